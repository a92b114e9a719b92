//! What the owner should know and has not polled yet, except for what streams report: a queue over lent slots.

use super::Event;

/// Room for one event that waits to be polled. Opaque; the owner only provides room for it.
#[derive(Clone, Debug, Default)]
pub struct Notice(Option<Event>);

impl Notice {
    /// An unused slot.
    pub const EMPTY: Notice = Notice(None);
}

/// What the queue remembers between calls, apart from the lent slots.
#[derive(Debug, Default)]
pub(super) struct NoticesState {
    head: usize,
    len: usize,
}

impl NoticesState {
    /// Events that wait.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

/// The queue joined with its lent slots, for one call.
#[derive(Debug)]
pub(super) struct Notices<'a> {
    state: &'a mut NoticesState,
    slots: &'a mut [Notice],
}

impl<'a> Notices<'a> {
    pub(super) const fn new(state: &'a mut NoticesState, slots: &'a mut [Notice]) -> Self {
        Notices { state, slots }
    }

    /// Appends an event; says whether there was room.
    #[must_use]
    pub(super) fn push(&mut self, event: Event) -> bool {
        let size = self.slots.len();
        if self.state.len >= size {
            return false;
        }
        let at = (self.state.head + self.state.len) % size;
        if let Some(slot) = self.slots.get_mut(at) {
            slot.0 = Some(event);
            self.state.len += 1;
        }
        true
    }

    /// Lets the queue begin at the first slot, so that slots can be added behind the last.
    pub(super) fn straighten(&mut self) {
        self.slots.rotate_left(core::mem::take(&mut self.state.head));
    }

    /// Takes the event that waits longest.
    pub(super) fn pop(&mut self) -> Option<Event> {
        self.state.len = self.state.len.checked_sub(1)?;
        let event = self.slots.get_mut(self.state.head)?.0.take();
        self.state.head = (self.state.head + 1) % self.slots.len();
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_in_order_and_a_full_queue_takes_no_more() {
        let (mut state, mut slots) = (NoticesState::default(), [Notice::EMPTY; 2]);
        let mut notices = Notices::new(&mut state, &mut slots);
        for _ in 0..3 {
            assert!(notices.push(Event::Mail) && notices.push(Event::Datagrams));
            assert!(!notices.push(Event::PersistTrust));
            assert_eq!((notices.pop(), notices.pop()), (Some(Event::Mail), Some(Event::Datagrams)));
            assert_eq!(notices.pop(), None);
            assert!(notices.push(Event::Mail));
            assert_eq!(notices.pop(), Some(Event::Mail));
        }
        assert!(!Notices::new(&mut NoticesState::default(), &mut []).push(Event::Mail), "no room lent");
    }

    #[test]
    fn a_queue_that_goes_around_its_end_keeps_its_order_when_it_grows() {
        let (mut state, mut slots) = (NoticesState::default(), vec![Notice::EMPTY; 3]);
        let mut notices = Notices::new(&mut state, &mut slots);
        assert!(notices.push(Event::Mail) && notices.push(Event::Datagrams));
        assert_eq!(notices.pop(), Some(Event::Mail));
        assert!(notices.push(Event::PersistTrust) && notices.push(Event::Mail));
        notices.straighten();
        slots.resize(4, Notice::EMPTY);
        let mut notices = Notices::new(&mut state, &mut slots);
        assert!(notices.push(Event::PersistTrust));
        let order: Vec<Event> = core::iter::from_fn(|| notices.pop()).collect();
        assert_eq!(order, [Event::Datagrams, Event::PersistTrust, Event::Mail, Event::PersistTrust]);
    }
}

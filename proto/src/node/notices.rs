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
}

//! Deadlines of many ids over lent memory: an indexed binary heap that knows the earliest one at once.

use crate::time::Instant;

/// What the heap remembers between calls, apart from the lent slices.
#[derive(Clone, Debug, Default)]
pub struct TimersState {
    len: usize,
}

impl TimersState {
    /// No deadline is set.
    pub const fn new() -> Self {
        TimersState { len: 0 }
    }
}

/// One id's deadline. [`TimerSlot::UNSET`] is where every slot starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimerSlot {
    deadline: Instant,
    /// What the heap sorts it by: never later than the deadline.
    sorted: Instant,
    /// Place in the heap plus one; 0 if it is not there.
    place: u32,
    /// There is a deadline.
    set: bool,
}

impl TimerSlot {
    /// Asks the processor for it.
    #[inline]
    pub(crate) fn fetch(&self) {
        crate::prefetch::fetch_all(self);
    }

    /// No deadline.
    pub const UNSET: TimerSlot =
        TimerSlot { deadline: Instant::ORIGIN, sorted: Instant::ORIGIN, place: 0, set: false };
}

/// The id is not below the number of timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchTimer {
    /// The id asked for.
    pub id: u32,
    /// How many timers there are: the shorter of the two lent slices.
    pub timers: usize,
}

impl core::fmt::Display for NoSuchTimer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "timer {} does not exist: ids are below {}", self.id, self.timers)
    }
}

impl core::error::Error for NoSuchTimer {}

/// The heap joined with its lent slices, for one call. Equal deadlines are due in order of their ids, so the order
/// never depends on history.
///
/// Nearly every packet moves a deadline to a later time or removes it, and few deadlines are ever reached. So a later
/// one, or none, is only written down: the heap goes by the old one until that has become the earliest of all. Such a
/// call costs one write, the others the logarithm of the number of deadlines.
#[derive(Debug)]
pub struct Timers<'a> {
    state: &'a mut TimersState,
    heap: &'a mut [u32],
    slots: &'a mut [TimerSlot],
}

impl<'a> Timers<'a> {
    /// Joins the state with its slices, the same ones at every call: `slots` all [`TimerSlot::UNSET`] when the state
    /// is new, `heap` of the same length with any content.
    pub const fn new(state: &'a mut TimersState, heap: &'a mut [u32], slots: &'a mut [TimerSlot]) -> Self {
        Timers { state, heap, slots }
    }

    /// Number of ids that can have a deadline.
    pub fn capacity(&self) -> usize {
        self.heap.len().min(self.slots.len())
    }

    /// Sets, moves or (with `None`) removes the deadline of `id`.
    pub fn set(&mut self, id: u32, deadline: Option<Instant>) -> Result<(), NoSuchTimer> {
        let timers = self.capacity();
        let slot = self.slots.get_mut(id as usize).filter(|_| (id as usize) < timers);
        let slot = slot.ok_or(NoSuchTimer { id, timers })?;
        slot.set = deadline.is_some();
        let Some(deadline) = deadline else { return Ok(()) };
        slot.deadline = deadline;
        match (slot.place as usize).checked_sub(1) {
            Some(_) if slot.sorted <= deadline => {}
            Some(place) => {
                slot.sorted = deadline;
                self.rise(place);
            }
            None => {
                slot.sorted = deadline;
                let last = self.state.len;
                self.state.len += 1;
                self.put(last, id);
                self.rise(last);
            }
        }
        Ok(())
    }

    /// The deadline of `id`, if one is set.
    pub fn get(&self, id: u32) -> Option<Instant> {
        self.slots.get(id as usize).filter(|slot| slot.set).map(|slot| slot.deadline)
    }

    /// The earliest deadline.
    pub fn peek(&mut self) -> Option<Instant> {
        self.earliest().map(|(at, _)| at)
    }

    /// Removes the earliest deadline if it is not after `now` and returns its id.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let (at, id) = self.earliest()?;
        if at > now {
            return None;
        }
        if let Some(slot) = self.slots.get_mut(id as usize) {
            slot.set = false;
        }
        self.remove_first();
        Some(id)
    }

    /// The earliest deadline and its id, once the heap knows what has been written down of its first entries.
    fn earliest(&mut self) -> Option<(Instant, u32)> {
        loop {
            let id = self.id_at(0)?;
            let slot = self.slots.get_mut(id as usize)?;
            if !slot.set {
                self.remove_first();
            } else if slot.deadline <= slot.sorted {
                return Some((slot.deadline, id));
            } else {
                slot.sorted = slot.deadline;
                self.sink(0);
            }
        }
    }

    fn id_at(&self, place: usize) -> Option<u32> {
        if place < self.state.len { self.heap.get(place).copied() } else { None }
    }

    /// What the heap is ordered by: the time, then the id.
    fn rank(&self, place: usize) -> Option<(Instant, u32)> {
        let id = self.id_at(place)?;
        Some((self.slots.get(id as usize)?.sorted, id))
    }

    fn put(&mut self, place: usize, id: u32) {
        if let (Some(entry), Some(slot)) = (self.heap.get_mut(place), self.slots.get_mut(id as usize)) {
            *entry = id;
            slot.place = place as u32 + 1;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        if let (Some(at_a), Some(at_b)) = (self.id_at(a), self.id_at(b)) {
            self.put(a, at_b);
            self.put(b, at_a);
        }
    }

    fn remove_first(&mut self) {
        let Some(last) = self.state.len.checked_sub(1) else { return };
        self.swap(0, last);
        if let Some(slot) = self.id_at(last).and_then(|id| self.slots.get_mut(id as usize)) {
            slot.place = 0;
        }
        self.state.len = last;
        self.sink(0);
    }

    fn rise(&mut self, mut place: usize) {
        while place > 0 && place < self.state.len {
            let parent = (place - 1) / 2;
            if self.rank(parent) <= self.rank(place) {
                return;
            }
            self.swap(parent, place);
            place = parent;
        }
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let Some(least) =
                [left, right].into_iter().filter(|c| *c < self.state.len).min_by_key(|c| self.rank(*c))
            else {
                return;
            };
            if self.rank(place) <= self.rank(least) {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const IDS: u32 = 13;

    #[derive(Clone, Debug)]
    enum Op {
        Set(u32, Option<u64>),
        PopDue(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0..IDS, proptest::option::weighted(0.8, 0..20_u64)).prop_map(|(id, at)| Op::Set(id, at)),
            (0..20_u64).prop_map(Op::PopDue),
        ]
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_list_searched_from_end_to_end(ops in proptest::collection::vec(op(), 0..300)) {
            let mut state = TimersState::new();
            let (mut heap, mut slots) = ([9; IDS as usize], [TimerSlot::UNSET; IDS as usize]);
            let mut model = BTreeMap::new();
            for op in ops {
                let mut timers = Timers::new(&mut state, &mut heap, &mut slots);
                match op {
                    Op::Set(id, at) => {
                        timers.set(id, at.map(Instant::from_micros)).unwrap();
                        match at {
                            Some(at) => model.insert(id, at),
                            None => model.remove(&id),
                        };
                    }
                    Op::PopDue(now) => {
                        let due = model.iter().map(|(id, at)| (*at, *id)).min().filter(|(at, _)| *at <= now);
                        prop_assert_eq!(timers.pop_due(Instant::from_micros(now)), due.map(|(_, id)| id));
                        due.map(|(_, id)| model.remove(&id));
                    }
                }
                prop_assert_eq!(timers.peek(), model.values().min().copied().map(Instant::from_micros));
                for id in 0..IDS {
                    prop_assert_eq!(timers.get(id), model.get(&id).copied().map(Instant::from_micros));
                }
            }
        }
    }

    #[test]
    fn an_id_beyond_the_shorter_slice_is_refused() {
        let mut state = TimersState::new();
        let (mut heap, mut slots) = ([0; 2], [TimerSlot::UNSET; 3]);
        let mut timers = Timers::new(&mut state, &mut heap, &mut slots);
        let refused = NoSuchTimer { id: 2, timers: 2 };
        assert_eq!(timers.set(2, Some(Instant::ORIGIN)), Err(refused));
        assert_eq!(timers.set(1, Some(Instant::ORIGIN)), Ok(()));
        assert_eq!(timers.pop_due(Instant::ORIGIN), Some(1));
        assert_eq!(timers.pop_due(Instant::ORIGIN), None);
    }
}

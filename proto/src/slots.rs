//! Slot numbers over lent memory: which are free ([`Free`]) and which wait for something ([`Fifo`]).

/// How many slots were ever used, and how many of those are free again.
#[derive(Clone, Copy, Debug, Default)]
pub struct FreeState {
    fresh: usize,
    returned: usize,
}

/// Hands out slot numbers, most recently returned first, so that memory never touched stays untouched.
#[derive(Debug)]
pub struct Free<'a> {
    state: &'a mut FreeState,
    stack: &'a mut [u32],
}

impl<'a> Free<'a> {
    /// A view of the free slots; `stack` must have room for every slot.
    pub fn new(state: &'a mut FreeState, stack: &'a mut [u32]) -> Self {
        Free { state, stack }
    }

    /// A free slot below `slots`, or `None` if all are in use.
    pub fn take(&mut self, slots: usize) -> Option<u32> {
        if let Some(top) = self.state.returned.checked_sub(1) {
            self.state.returned = top;
            return self.stack.get(top).copied();
        }
        let slot = self.state.fresh;
        if slot >= slots.min(self.stack.len()) {
            return None;
        }
        self.state.fresh += 1;
        u32::try_from(slot).ok()
    }

    /// Gives a slot back.
    pub fn give(&mut self, slot: u32) {
        if let Some(place) = self.stack.get_mut(self.state.returned) {
            *place = slot;
            self.state.returned += 1;
        }
    }
}

impl FreeState {
    /// Slots in use.
    pub fn used(&self) -> usize {
        self.fresh - self.returned
    }

    /// Slots below this number have been used at some time.
    pub fn high_water(&self) -> usize {
        self.fresh
    }
}

/// Where the queue starts and how long it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct FifoState {
    head: usize,
    len: usize,
}

impl FifoState {
    /// Whether no slot waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A first-in first-out queue of slot numbers. Each slot stands in it at most once (the slot holds the flag), so it
/// cannot overflow.
#[derive(Debug)]
pub struct Fifo<'a> {
    state: &'a mut FifoState,
    ring: &'a mut [u32],
}

impl<'a> Fifo<'a> {
    /// A view of the queue; `ring` must have room for every slot.
    pub fn new(state: &'a mut FifoState, ring: &'a mut [u32]) -> Self {
        Fifo { state, ring }
    }

    /// Appends a slot.
    pub fn push(&mut self, slot: u32) {
        let size = self.ring.len();
        if self.state.len < size {
            let at = (self.state.head + self.state.len) % size;
            if let Some(place) = self.ring.get_mut(at) {
                *place = slot;
                self.state.len += 1;
            }
        }
    }

    /// Takes the slot that waits longest.
    pub fn pop(&mut self) -> Option<u32> {
        self.state.len = self.state.len.checked_sub(1)?;
        let slot = self.ring.get(self.state.head).copied();
        // An empty queue starts over, so that it stays in the words it has used.
        self.state.head = if self.state.len == 0 { 0 } else { (self.state.head + 1) % self.ring.len() };
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_slots_are_reused_before_fresh_ones_are_touched() {
        let (mut state, mut stack) = (FreeState::default(), [0; 3]);
        let mut free = Free::new(&mut state, &mut stack);
        assert_eq!((free.take(3), free.take(3)), (Some(0), Some(1)));
        free.give(0);
        assert_eq!((free.take(3), free.take(3), free.take(3)), (Some(0), Some(2), None));
        assert_eq!((state.used(), state.high_water()), (3, 3));
    }

    #[test]
    fn a_fifo_that_is_emptied_stays_in_the_words_it_has_used() {
        let (mut state, mut ring) = (FifoState::default(), [9; 4]);
        for slot in 0..5 {
            let mut fifo = Fifo::new(&mut state, &mut ring);
            fifo.push(slot);
            assert_eq!(fifo.pop(), Some(slot));
            assert!(state.is_empty());
        }
        assert_eq!(ring, [4, 9, 9, 9]);
    }

    #[test]
    fn a_fifo_wraps_around() {
        let (mut state, mut ring) = (FifoState::default(), [0; 2]);
        let mut fifo = Fifo::new(&mut state, &mut ring);
        for slot in 0..5 {
            fifo.push(slot);
            fifo.push(slot + 100);
            assert_eq!((fifo.pop(), fifo.pop(), fifo.pop()), (Some(slot), Some(slot + 100), None));
        }
    }
}

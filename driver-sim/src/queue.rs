//! What is going to happen, ordered by (time, sequence): there are no ticks, and two things of one instant happen in the
//! order in which they were decided.
//!
//! It is a hierarchy of timing wheels (Varghese and Lauck): nothing is ever put before what was taken last, so an entry
//! lies in the wheel of the highest digit in which its time differs from that time, in the slot of that digit, and moves a
//! few times, always to a lower wheel, until it is due. All of it is walking through arrays in order, where a binary heap
//! jumps about in memory.

use std::collections::VecDeque;

use pilot_proto::Instant;

/// Bits of a time that one wheel stands for.
const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
/// As many as a time has digits.
const WHEELS: usize = u64::BITS.div_ceil(DIGIT) as usize;

/// The event queue.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    wheels: [Wheel; WHEELS],
    /// Bit `n` is set while wheel `n` is not empty.
    filled: u16,
    /// Nothing is left before this.
    last: Instant,
    /// The events, apart from what is sorted; entries name their place.
    events: Vec<Option<E>>,
    free: Vec<u32>,
}

/// Entries that differ from `last` in one digit and in none above. Those of one instant lie in one slot, in their order.
#[derive(Debug)]
struct Wheel {
    slots: [VecDeque<(Instant, u32)>; SLOTS],
    /// Bit `n` is set while slot `n` is not empty.
    filled: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue {
            wheels: std::array::from_fn(|_| Wheel {
                slots: std::array::from_fn(|_| VecDeque::new()),
                filled: 0,
            }),
            filled: 0,
            last: Instant::ORIGIN,
            events: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<E> Queue<E> {
    /// Adds what happens at `at`, or at once if that is past.
    pub(crate) fn push(&mut self, at: Instant, event: E) {
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place as usize] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() as u32 - 1
            }
        };
        self.put((at.max(self.last), place));
    }

    fn put(&mut self, entry: (Instant, u32)) {
        let differs = entry.0.as_micros() ^ self.last.as_micros();
        let wheel = differs.checked_ilog2().unwrap_or(0) / DIGIT;
        let slot = digit(entry.0, wheel);
        let wheel = wheel as usize;
        self.wheels[wheel].slots[slot].push_back(entry);
        self.wheels[wheel].filled |= 1 << slot;
        self.filled |= 1 << wheel;
    }

    /// The next event, unless it happens after `end`.
    pub(crate) fn pop(&mut self, end: Instant) -> Option<(Instant, E)> {
        loop {
            let number = self.filled.trailing_zeros();
            let wheel = self.wheels.get(number as usize)?;
            let slot = wheel.filled.trailing_zeros();
            // When the slot begins: in the lowest wheel that is when its entries are due.
            let place = number * DIGIT;
            let above = self.last.as_micros() >> place & !(SLOTS as u64 - 1);
            let start = (above | u64::from(slot)) << place;
            // Time goes no further than what is asked for, so a slot that goes beyond is looked through.
            let goes_beyond = start | ((1 << place) - 1) > end.as_micros();
            if goes_beyond && wheel.slots[slot as usize].iter().all(|entry| entry.0 > end) {
                return None;
            }
            self.last = Instant::from_micros(start);
            if number == 0 {
                return self.take(slot as usize);
            }
            self.sort(number as usize, slot as usize);
        }
    }

    /// The first of the events that are due.
    fn take(&mut self, slot: usize) -> Option<(Instant, E)> {
        let (at, place) = self.wheels[0].slots[slot].pop_front()?;
        if self.wheels[0].slots[slot].is_empty() {
            self.emptied(0, slot);
        }
        self.free.push(place);
        Some((at, self.events[place as usize].take()?))
    }

    /// Moves the entries of a slot that has begun to lower wheels.
    fn sort(&mut self, wheel: usize, slot: usize) {
        self.emptied(wheel, slot);
        let mut entries = std::mem::take(&mut self.wheels[wheel].slots[slot]);
        entries.drain(..).for_each(|entry| self.put(entry));
        // Its memory is used again.
        self.wheels[wheel].slots[slot] = entries;
    }

    fn emptied(&mut self, wheel: usize, slot: usize) {
        self.wheels[wheel].filled &= !(1 << slot);
        if self.wheels[wheel].filled == 0 {
            self.filled &= !(1 << wheel);
        }
    }
}

/// The slot of a time in a wheel.
fn digit(at: Instant, wheel: u32) -> usize {
    (at.as_micros() >> (wheel * DIGIT)) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    const END: Instant = Instant::from_micros(u64::MAX);

    #[test]
    fn events_of_one_instant_keep_their_order() {
        let mut queue = Queue::default();
        for (at, name) in [(5, 'a'), (1, 'b'), (5, 'c'), (1, 'd')] {
            queue.push(Instant::from_micros(at), name);
        }
        assert_eq!(queue.pop(Instant::ORIGIN), None);
        let order: String = std::iter::from_fn(|| queue.pop(END)).map(|(_, name)| name).collect();
        assert_eq!(order, "bdac");
    }

    #[test]
    fn what_was_not_due_does_not_stand_in_the_way_of_what_comes_before_it() {
        let mut queue = Queue::default();
        queue.push(Instant::from_micros(1000), 'z');
        assert_eq!(queue.pop(Instant::from_micros(999)), None);
        queue.push(Instant::from_micros(3), 'a');
        assert_eq!(queue.pop(END), Some((Instant::from_micros(3), 'a')));
        assert_eq!(queue.pop(END), Some((Instant::from_micros(1000), 'z')));
        assert_eq!(queue.pop(END), None);
    }

    #[test]
    fn it_agrees_with_a_sorted_list() {
        let mut dice = Dice::named(1, "queue", &[]);
        let (mut queue, mut model, mut now) = (Queue::default(), Vec::new(), 0);
        for number in 0..20_000_u64 {
            if dice.chance(520_000) {
                // Often the same instants, seldom far ones.
                let span = dice.pick(&[1, 4, 1000, 1_000_000, 1 << 40]);
                let at = now + dice.below(span);
                queue.push(Instant::from_micros(at), number);
                model.push((at, number));
            } else {
                let next = model.iter().copied().min();
                assert_eq!(queue.pop(END).map(|(at, number)| (at.as_micros(), number)), next);
                model.retain(|entry| Some(*entry) != next);
                now = next.map_or(now, |(at, _)| at);
            }
        }
    }
}

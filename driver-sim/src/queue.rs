//! What is going to happen, ordered by (time, sequence): there are no ticks, and two things of one instant happen in the
//! order in which they were decided.
//!
//! It is a radix heap (Ahuja, Mehlhorn, Orlin, Tarjan): nothing is ever put before what was taken last, so an entry lies in
//! the bucket of the highest bit in which its time differs from that time, and moves a few times, always to a lower
//! bucket, until it is due. All of it is walking through arrays in order, where a binary heap jumps about in memory.

use std::collections::VecDeque;

use pilot_proto::Instant;

/// Bits of a time, and a bucket for what is due.
const BUCKETS: usize = 65;

/// The event queue.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// Bucket 0 is due at `last`; bucket `n` differs from it in bit `n - 1` and in none above. Entries of one instant lie in
    /// one bucket, in their order.
    buckets: [VecDeque<(Instant, u32)>; BUCKETS],
    /// Bit `n` is set while bucket `n` is not empty.
    filled: u128,
    last: Instant,
    /// The events, apart from what is sorted; entries name their place.
    events: Vec<Option<E>>,
    free: Vec<u32>,
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Queue {
            buckets: std::array::from_fn(|_| VecDeque::new()),
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
        let bucket = (u64::BITS - differs.leading_zeros()) as usize;
        self.buckets[bucket].push_back(entry);
        self.filled |= 1 << bucket;
    }

    /// The next event, unless it happens after `end`.
    pub(crate) fn pop(&mut self, end: Instant) -> Option<(Instant, E)> {
        let bucket = self.filled.trailing_zeros() as usize;
        let first = match bucket {
            0 => self.last,
            _ => self.buckets.get(bucket)?.iter().map(|entry| entry.0).min()?,
        };
        if first > end {
            return None;
        }
        if bucket > 0 {
            self.last = first;
            self.filled &= !(1 << bucket);
            let mut entries = std::mem::take(&mut self.buckets[bucket]);
            entries.drain(..).for_each(|entry| self.put(entry));
            // Its memory is used again.
            self.buckets[bucket] = entries;
        }
        let (at, place) = self.buckets[0].pop_front()?;
        if self.buckets[0].is_empty() {
            self.filled &= !1;
        }
        self.free.push(place);
        Some((at, self.events[place as usize].take()?))
    }
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

//! What is going to happen, ordered by (time, sequence): there are no ticks, and two things of one instant happen in the
//! order in which they were decided.
//!
//! It is a hierarchy of timing wheels (Varghese and Lauck): nothing is ever put before what was taken last, so an entry
//! lies in the wheel of the highest digit in which its time differs from that time, in the slot of that digit, and moves a
//! few times, always to a lower wheel, until it is due. All of it is walking through arrays in order, where a binary heap
//! jumps about in memory. A [window](Window) takes a stretch of it apart by hosts.

use std::collections::VecDeque;

use pilot_proto::{Instant, time::Duration};

use crate::{
    net::HostId,
    window::{Entry, Window},
};

/// Bits of a time that one wheel stands for.
const DIGIT: u32 = 6;
const SLOTS: usize = 1 << DIGIT;
/// As many as a time has digits.
const WHEELS: usize = u64::BITS.div_ceil(DIGIT) as usize;
/// What times are counted in.
const TICK: Duration = Duration::from_micros(1);

/// The event queue.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    wheels: [Wheel; WHEELS],
    /// Bit `n` is set while wheel `n` is not empty.
    filled: u16,
    /// Nothing in the wheels is before this.
    last: Instant,
    /// The events, apart from what is sorted; entries name their place.
    events: Vec<Option<E>>,
    free: Vec<u32>,
    window: Window,
}

/// Entries that differ from `last` in one digit and in none above. Those of one instant lie in one slot, in their order.
#[derive(Debug)]
struct Wheel {
    slots: [VecDeque<Entry>; SLOTS],
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
            window: Window::default(),
        }
    }
}

impl<E> Queue<E> {
    /// Adds what happens to a host at `at`, or at once if that is past. While a window is open, what is planned for another
    /// host than the one whose turn it is waits for its end.
    pub(crate) fn push(&mut self, at: Instant, host: HostId, event: E) {
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
        let entry = Entry { at, host: host.0 as u32, place };
        if let Some(entry) = self.window.take_in(entry) {
            self.put(Entry { at: entry.at.max(self.last), ..entry });
        }
    }

    fn put(&mut self, entry: Entry) {
        let differs = entry.at.as_micros() ^ self.last.as_micros();
        let wheel = differs.checked_ilog2().unwrap_or(0) / DIGIT;
        let slot = digit(entry.at, wheel);
        let wheel = wheel as usize;
        self.wheels[wheel].slots[slot].push_back(entry);
        self.wheels[wheel].filled |= 1 << slot;
        self.filled |= 1 << wheel;
    }

    /// The next event, unless it happens after `end`.
    pub(crate) fn pop(&mut self, end: Instant) -> Option<(Instant, E)> {
        let entry = self.next(end)?;
        self.take(entry)
    }

    /// Opens a window of this length where the next event is, unless that happens after `end`; nothing in the window does.
    pub(crate) fn open_window(&mut self, length: Duration, end: Instant) -> bool {
        let Some(first) = self.next(end) else { return false };
        let end = (first.at + length).min(end + TICK);
        let last = Instant::from_micros(end.as_micros() - 1);
        let mut window = std::mem::take(&mut self.window);
        window.open(end, std::iter::once(first).chain(std::iter::from_fn(|| self.next(last))));
        self.window = window;
        true
    }

    /// Begins the next host's turn in the window. `None` closes it.
    pub(crate) fn next_turn(&mut self) -> Option<HostId> {
        self.window.next_turn().map(|host| HostId(host as usize))
    }

    /// The next event of this turn.
    pub(crate) fn pop_in_turn(&mut self) -> Option<(Instant, E)> {
        let entry = self.window.pop()?;
        self.take(entry)
    }

    /// Who has a turn so many turns after this one, and what happens to it then as far as it is planned.
    pub(crate) fn coming(&self, turns: usize) -> Option<(HostId, impl Iterator<Item = &Option<E>>)> {
        let (host, due) = self.window.coming(turns)?;
        Some((HostId(host as usize), due.iter().map(|entry| &self.events[entry.place as usize])))
    }

    /// Whether this host has its turn in a window that ends before `at`.
    pub(crate) fn closes_before(&self, at: Instant, host: HostId) -> bool {
        self.window.closes_before(at, host.0 as u32)
    }

    fn take(&mut self, entry: Entry) -> Option<(Instant, E)> {
        self.free.push(entry.place);
        Some((entry.at, self.events[entry.place as usize].take()?))
    }

    /// The next entry of the wheels, unless it is after `end`.
    fn next(&mut self, end: Instant) -> Option<Entry> {
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
            if goes_beyond && wheel.slots[slot as usize].iter().all(|entry| entry.at > end) {
                return None;
            }
            self.last = Instant::from_micros(start);
            if number > 0 {
                self.sort(number as usize, slot as usize);
                continue;
            }
            let entry = self.wheels[0].slots[slot as usize].pop_front();
            if self.wheels[0].slots[slot as usize].is_empty() {
                self.emptied(0, slot as usize);
            }
            return entry;
        }
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

    const HOST: HostId = HostId(0);
    const END: Instant = Instant::from_micros(u64::MAX);

    #[test]
    fn events_of_one_instant_keep_their_order() {
        let mut queue = Queue::default();
        for (at, name) in [(5, 'a'), (1, 'b'), (5, 'c'), (1, 'd')] {
            queue.push(Instant::from_micros(at), HOST, name);
        }
        assert_eq!(queue.pop(Instant::ORIGIN), None);
        let order: String = std::iter::from_fn(|| queue.pop(END)).map(|(_, name)| name).collect();
        assert_eq!(order, "bdac");
    }

    #[test]
    fn what_was_not_due_does_not_stand_in_the_way_of_what_comes_before_it() {
        let mut queue = Queue::default();
        queue.push(Instant::from_micros(1000), HOST, 'z');
        assert_eq!(queue.pop(Instant::from_micros(999)), None);
        queue.push(Instant::from_micros(3), HOST, 'a');
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
                queue.push(Instant::from_micros(at), HOST, number);
                model.push((at, number));
            } else {
                let next = model.iter().copied().min();
                assert_eq!(queue.pop(END).map(|(at, number)| (at.as_micros(), number)), next);
                model.retain(|entry| Some(*entry) != next);
                now = next.map_or(now, |(at, _)| at);
            }
        }
    }

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    /// What happens in the windows until `end`, turn by turn; the first thing in a turn plans `more`.
    fn turns(
        queue: &mut Queue<char>,
        length: u64,
        end: u64,
        more: &[(u64, HostId, char)],
    ) -> Vec<(usize, String)> {
        let (mut turns, mut more) = (Vec::new(), Some(more));
        while queue.open_window(Duration::from_micros(length), at(end)) {
            while let Some(host) = queue.next_turn() {
                let mut happened = String::new();
                while let Some((_, name)) = queue.pop_in_turn() {
                    happened.push(name);
                    for &(when, host, name) in more.take().unwrap_or_default() {
                        queue.push(at(when), host, name);
                    }
                }
                turns.push((host.0, happened));
            }
        }
        turns
    }

    #[test]
    fn in_a_window_each_host_has_all_that_happens_to_it_in_order() {
        let mut queue = Queue::default();
        for (when, host, name) in
            [(10, 2, 'a'), (11, 1, 'b'), (12, 2, 'c'), (19, 1, 'd'), (20, 1, 'e'), (99, 1, 'z')]
        {
            queue.push(at(when), HostId(host), name);
        }
        let own = [(11, HostId(1), 'B'), (15, HostId(1), 'C'), (5, HostId(1), 'A'), (30, HostId(1), 'E')];
        let happened = turns(&mut queue, 10, 50, &own);
        // Window 10 to 19, then 20 to 29, then 30.
        let expected = [(1, "bBACd"), (2, "ac"), (1, "e"), (1, "E")];
        assert_eq!(happened, expected.map(|(host, names)| (host, names.to_owned())));
        assert_eq!(queue.pop(at(98)), None);
        assert_eq!(queue.pop(END), Some((at(99), 'z')));
    }

    #[test]
    fn what_one_host_plans_for_another_waits_for_the_end_of_the_window() {
        let mut queue = Queue::default();
        queue.push(at(10), HostId(1), 'a');
        queue.push(at(12), HostId(2), 'b');
        let happened = turns(&mut queue, 10, 50, &[(11, HostId(2), 'c'), (25, HostId(2), 'd')]);
        assert_eq!(happened, [(1, "a"), (2, "b"), (2, "cd")].map(|(host, names)| (host, names.to_owned())));
    }
}

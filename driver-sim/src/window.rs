//! A stretch of time in which hosts have their turns one after the other, each with all that happens to it: what is needed
//! of a host then comes from main memory once, not for each event anew. That is the same to every host as long as nothing
//! that one does reaches another within the window (conservative windows, Chandy, Misra and Bryant; here on one thread).

use std::{collections::VecDeque, ops::Range};

use pilot_proto::Instant;

/// An event as it is sorted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Instant,
    /// Index of the host to which it happens.
    pub(crate) host: u32,
    /// Where the event is kept.
    pub(crate) place: u32,
}

/// What happens in it.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// What happens from here on is none of its business; the origin while none is open.
    end: Instant,
    /// What was planned before it opened, by host, and where the turn of each host begins in that.
    due: Vec<Entry>,
    turns: Vec<usize>,
    /// Turns that have begun.
    begun: usize,
    /// What is left of `due` in this turn, whose turn it is, and how late it is there.
    left: Range<usize>,
    host: u32,
    now: Instant,
    /// What this host has planned for itself since, in its order.
    soon: VecDeque<Entry>,
}

impl Window {
    /// Opens it with what happens before `end`, in its order.
    pub(crate) fn open(&mut self, end: Instant, due: impl Iterator<Item = Entry>) {
        (self.end, self.begun) = (end, 0);
        self.due.clear();
        self.due.extend(due);
        // What happens to one host stays in its order.
        self.due.sort_by_key(|entry| entry.host);
        self.turns.clear();
        let mut before = None;
        for (at, entry) in self.due.iter().enumerate() {
            if before.replace(entry.host) != Some(entry.host) {
                self.turns.push(at);
            }
        }
    }

    /// Begins the next host's turn. `None` closes the window.
    pub(crate) fn next_turn(&mut self) -> Option<u32> {
        let Some((due, host)) = self.turn(self.begun) else {
            self.end = Instant::ORIGIN;
            return None;
        };
        self.begun += 1;
        (self.left, self.host) = (due, host);
        Some(host)
    }

    fn turn(&self, number: usize) -> Option<(Range<usize>, u32)> {
        let start = *self.turns.get(number)?;
        let end = self.turns.get(number + 1).copied().unwrap_or(self.due.len());
        Some((start..end, self.due.get(start)?.host))
    }

    /// Who has a turn so many turns after this one, and what happens to it then as far as it is planned.
    pub(crate) fn coming(&self, turns: usize) -> Option<(u32, &[Entry])> {
        let (due, host) = self.turn((self.begun + turns).checked_sub(1)?)?;
        Some((host, self.due.get(due)?))
    }

    /// The next entry of this turn.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let due = self.due.get(self.left.clone()).and_then(<[Entry]>::first);
        // Of one instant, what was planned first comes first.
        let is_next = |due: &&Entry| self.soon.front().is_none_or(|soon| due.at <= soon.at);
        let next = match due.filter(is_next).copied() {
            Some(due) => {
                self.left.start += 1;
                due
            }
            None => self.soon.pop_front()?,
        };
        self.now = next.at;
        Some(next)
    }

    /// Whether it is this host's turn and `at` is after all turns.
    pub(crate) fn closes_before(&self, at: Instant, host: u32) -> bool {
        self.end > Instant::ORIGIN && at >= self.end && host == self.host
    }

    /// Keeps what the host whose turn it is plans for itself before the end. Gives back what is for later; that is also
    /// what it plans for others.
    pub(crate) fn take_in(&mut self, entry: Entry) -> Option<Entry> {
        if entry.at >= self.end {
            return Some(entry);
        }
        if entry.host != self.host {
            return Some(Entry { at: self.end, ..entry });
        }
        let entry = Entry { at: entry.at.max(self.now), ..entry };
        let place = self.soon.partition_point(|before| before.at <= entry.at);
        self.soon.insert(place, entry);
        None
    }
}

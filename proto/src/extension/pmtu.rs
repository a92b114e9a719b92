//! How large a segment the direct path to a peer carries (RFC 8899, `spec/extensions.md`).
//!
//! A search over the sizes of common links, driven by traffic: it begins when a full segment is sent, and no timer runs
//! but that of the one probe under way. What was found holds for one address.

use core::net::SocketAddr;

use crate::time::{Duration, Instant};
use crate::wire::frame::SEALED_OVERHEAD;
use crate::wire::packet::HEADER_LEN;

/// Sizes of IP packets that links carry: the least of IPv6, tunnels, DSL, Ethernet, wireless LAN, FDDI, jumbo frames.
pub const SIZES: [u16; 11] = [1280, 1380, 1400, 1420, 1460, 1480, 1492, 1500, 2304, 4352, 9000];
/// Probes of one size without an answer after which it is too large (MAX_PROBES).
pub const TRIES: u8 = 3;
/// How long an answer may take before a round trip has been measured.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Least time an answer is given; else four round trips.
pub const MIN_WAIT: Duration = Duration::from_millis(250);
/// Most time an answer is given.
pub const MAX_WAIT: Duration = Duration::from_secs(2);
/// How long what was found is not questioned (PMTU_RAISE_TIMER).
pub const RAISE_AFTER: Duration = Duration::from_secs(600);

/// Where most searches end.
const ETHERNET: u8 = 8;

/// A padded message to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) number: u32,
    /// Payload of a segment that makes a datagram of the size in question.
    pub(crate) segment: u16,
    pub(crate) to: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is being found out: base, or search complete.
    Resting { since: Option<Instant> },
    /// A probe of the size with this number is due.
    Due { size: u8 },
    /// It is under way.
    Waiting { size: u8, sent: Instant, until: Instant },
}

/// What is known of the path to one address. Sizes are numbered: 0 is what needs no proof, others are those of
/// [`SIZES`].
#[derive(Clone, Debug)]
pub(crate) struct Pmtu {
    to: Option<SocketAddr>,
    /// What the segments need no proof for, and the most that may be asked for.
    base: u16,
    limit: u16,
    proven: u8,
    /// The smallest known to be too large.
    ceiling: u8,
    state: State,
    /// Probes of the size in question.
    tries: u8,
    /// The number of the last probe.
    number: u32,
    /// In microseconds; 0 until one was measured.
    round_trip: u32,
}

impl Pmtu {
    pub(crate) const fn new() -> Self {
        Pmtu {
            to: None,
            base: 0,
            limit: 0,
            proven: 0,
            ceiling: 0,
            state: State::Resting { since: None },
            tries: 0,
            number: 0,
            round_trip: 0,
        }
    }

    /// A full segment goes to `to`, where segments of `base` bytes need no proof and larger ones than `limit` are of
    /// no use.
    pub(crate) fn on_traffic(&mut self, now: Instant, to: SocketAddr, base: u16, limit: u16) {
        if self.to != Some(to) || (self.base, self.limit) != (base, limit) {
            let number = self.number;
            *self = Pmtu { to: Some(to), base, limit, number, ..Pmtu::new() };
            self.ceiling = self.sizes() + 1;
            self.search(now);
        } else if let State::Resting { since: Some(since) } = self.state
            && now.since(since) >= RAISE_AFTER
        {
            self.ceiling = self.sizes() + 1;
            self.search(now);
        }
    }

    /// The largest segment that may go to `to`; `None`: nothing beyond what needs no proof.
    pub(crate) fn segment(&self, to: SocketAddr) -> Option<u16> {
        (self.proven > 0 && self.to == Some(to)).then(|| self.segment_of(self.proven))
    }

    /// A segment larger than what needs no proof seems to be lost again and again: is its size still carried?
    pub(crate) fn suspect(&mut self) {
        if self.proven > 0 && !self.is_confirming() {
            (self.state, self.tries) = (State::Due { size: self.proven }, 0);
        }
    }

    fn is_confirming(&self) -> bool {
        match self.state {
            State::Due { size } | State::Waiting { size, .. } => size == self.proven,
            State::Resting { .. } => false,
        }
    }

    /// The probe to be sent now.
    pub(crate) fn poll(&mut self, now: Instant) -> Option<Probe> {
        if let State::Waiting { size, until, .. } = self.state
            && until <= now
        {
            if self.tries < TRIES {
                self.state = State::Due { size };
            } else {
                self.on_too_large(now, size);
            }
        }
        let (State::Due { size }, Some(to)) = (self.state, self.to) else { return None };
        self.tries += 1;
        self.number = self.number.wrapping_add(1);
        let wait = match self.round_trip {
            0 => FIRST_WAIT,
            time => (Duration::from_micros(time.into()) * 4).clamp(MIN_WAIT, MAX_WAIT),
        };
        self.state = State::Waiting { size, sent: now, until: now + wait };
        Some(Probe { number: self.number, segment: self.segment_of(size), to })
    }

    /// The peer has answered a probe.
    pub(crate) fn on_answer(&mut self, now: Instant, number: u32) {
        let (State::Waiting { size, .. } | State::Due { size }) = self.state else { return };
        let back = self.number.wrapping_sub(number);
        if back >= u32::from(self.tries) {
            return;
        }
        if let State::Waiting { sent, .. } = self.state
            && back == 0
        {
            self.round_trip = u32::try_from(now.since(sent).as_micros()).unwrap_or(u32::MAX).max(1);
        }
        self.proven = self.proven.max(size);
        self.search(now);
    }

    /// When [`poll`](Self::poll) has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Resting { .. } => None,
            State::Due { .. } => Some(Instant::ORIGIN),
            State::Waiting { until, .. } => Some(until),
        }
    }

    fn on_too_large(&mut self, now: Instant, size: u8) {
        if size == self.proven {
            // A black hole (RFC 8899, 4.3): back to what needs no proof.
            self.proven = 0;
        }
        self.ceiling = size;
        self.search(now);
    }

    /// Goes on with the next size to be tried, or rests.
    fn search(&mut self, now: Instant) {
        self.tries = 0;
        let last = self.sizes();
        let next = if self.ceiling <= self.lowest() || self.proven + 1 >= self.ceiling {
            None
        } else if self.ceiling == last + 1 && self.proven < ETHERNET.min(last) && self.lowest() <= ETHERNET {
            Some(ETHERNET.min(last))
        } else if self.ceiling == last + 1 && self.proven == ETHERNET {
            Some(last)
        } else {
            let low = self.proven.max(self.lowest() - 1);
            Some((low + self.ceiling) / 2).filter(|size| *size > low)
        };
        self.state = next.map_or(State::Resting { since: Some(now) }, |size| State::Due { size });
    }

    /// The lowest number whose size is larger than what needs no proof.
    fn lowest(&self) -> u8 {
        (1..=self.count()).find(|size| self.segment_of(*size) > self.base).unwrap_or(u8::MAX)
    }

    /// The number of the largest size of any use.
    fn sizes(&self) -> u8 {
        (1..=self.count()).find(|size| self.segment_of(*size) == self.limit).unwrap_or(self.count())
    }

    fn count(&self) -> u8 {
        u8::try_from(SIZES.len()).unwrap_or(u8::MAX)
    }

    fn segment_of(&self, size: u8) -> u16 {
        let ip = match self.to {
            Some(SocketAddr::V6(_)) => 40,
            _ => 20,
        };
        let around = ip + 8 + SEALED_OVERHEAD + HEADER_LEN;
        let whole = SIZES.get(usize::from(size).wrapping_sub(1)).copied().unwrap_or(0);
        whole.saturating_sub(u16::try_from(around).unwrap_or(u16::MAX)).min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u16 = 1152;
    const LIMIT: u16 = 4096;

    /// A path whose packets may have `mtu` bytes and take 20 ms there and back.
    struct World {
        now: Instant,
        mtu: u16,
        pmtu: Pmtu,
        sent: u32,
    }

    fn address() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], 4000))
    }

    impl World {
        fn new(mtu: u16) -> Self {
            World { now: Instant::from_millis(1000), mtu, pmtu: Pmtu::new(), sent: 0 }
        }

        fn carries(&self, segment: u16) -> bool {
            segment + 98 <= self.mtu
        }

        /// Runs until the machine rests: the size found and how long it took.
        fn settle(&mut self) -> (Option<u16>, Duration) {
            let start = self.now;
            while let Some(due) = self.pmtu.poll_timeout() {
                self.now = self.now.max(due);
                if let Some(probe) = self.pmtu.poll(self.now) {
                    self.sent += 1;
                    assert!(self.sent < 100, "it ends");
                    if self.carries(probe.segment) {
                        self.now = self.now + Duration::from_millis(20);
                        self.pmtu.on_answer(self.now, probe.number);
                    }
                }
            }
            (self.pmtu.segment(address()), self.now.since(start))
        }

        fn traffic(&mut self) {
            self.pmtu.on_traffic(self.now, address(), BASE, LIMIT);
        }
    }

    /// Proves EXT-10: what is found on links of each kind, and in what time.
    #[test]
    fn the_largest_common_size_that_the_link_carries_is_found() {
        let around = 98;
        for mtu in [576, 1279, 1280, 1379, 1400, 1419, 1491, 1500, 2303, 2304, 4193, 4352, 9000, 65_535] {
            let mut world = World::new(mtu);
            assert_eq!(world.settle(), (None, Duration::ZERO), "nothing happens without traffic");
            world.traffic();
            let (found, took) = world.settle();
            let sizes = SIZES.iter().map(|size| (size - around).min(LIMIT));
            let best = sizes.filter(|segment| world.carries(*segment) && *segment > BASE).max();
            assert_eq!(found, best, "{mtu}");
            assert!(
                took <= Duration::from_secs(12) && world.sent <= 14,
                "{mtu}: {took:?}, {} probes",
                world.sent
            );
        }
    }

    /// Proves EXT-11: a search that is over is begun again after 10 minutes, by traffic.
    #[test]
    fn what_was_found_is_kept_and_then_questioned() {
        let mut world = World::new(1500);
        world.traffic();
        let (found, _) = world.settle();
        assert_eq!(found, Some(1402));
        let sent = world.sent;
        world.mtu = 9000;
        world.now = world.now + RAISE_AFTER / 2;
        world.traffic();
        assert_eq!(world.settle().0, found);
        assert_eq!(world.sent, sent);
        world.now = world.now + RAISE_AFTER;
        assert_eq!(world.pmtu.poll_timeout(), None, "an idle node asks for nothing");
        world.traffic();
        assert_eq!(world.settle().0, Some(4096));
    }

    /// Proves EXT-12: a path that has become narrow is noticed within seconds, and one that has not is left alone.
    #[test]
    fn a_black_hole_is_noticed() {
        let mut world = World::new(9000);
        world.traffic();
        world.settle();
        world.pmtu.suspect();
        world.pmtu.suspect();
        let sent = world.sent;
        assert_eq!(world.settle().0, Some(4096));
        assert_eq!(world.sent, sent + 1, "one answered probe clears it");
        world.mtu = 1400;
        world.pmtu.suspect();
        for _ in 0..TRIES {
            let due = world.pmtu.poll_timeout().unwrap();
            world.now = world.now.max(due);
            assert_eq!(world.pmtu.poll(world.now).map(|probe| probe.segment), Some(4096));
        }
        world.now = world.pmtu.poll_timeout().unwrap();
        world.pmtu.poll(world.now);
        assert_eq!(world.pmtu.segment(address()), None);
        assert_eq!(world.settle().0, Some(1302), "and searched anew below");
    }

    #[test]
    fn another_address_is_another_path() {
        let mut world = World::new(9000);
        world.traffic();
        world.settle();
        let other = SocketAddr::from(([192, 0, 2, 1], 4001));
        assert_eq!(world.pmtu.segment(other), None);
        world.pmtu.on_traffic(world.now, other, BASE, LIMIT);
        assert_eq!(world.pmtu.segment(address()), None);
        assert!(world.pmtu.poll_timeout().is_some());
    }

    #[test]
    fn late_answers_count_and_foreign_ones_do_not() {
        let mut world = World::new(1500);
        world.traffic();
        let first = world.pmtu.poll(world.now).unwrap();
        world.pmtu.on_answer(world.now, first.number + 1);
        world.pmtu.on_answer(world.now, first.number.wrapping_sub(1));
        assert_eq!(world.pmtu.segment(address()), None);
        world.now = world.pmtu.poll_timeout().unwrap();
        let second = world.pmtu.poll(world.now).unwrap();
        assert_eq!(second.segment, first.segment);
        world.pmtu.on_answer(world.now, first.number);
        assert_eq!(world.pmtu.segment(address()), Some(first.segment));
    }

    #[test]
    fn where_nothing_larger_is_of_use_nothing_is_asked() {
        let mut pmtu = Pmtu::new();
        pmtu.on_traffic(Instant::from_millis(1), address(), 4096, 4096);
        assert_eq!(pmtu.poll_timeout(), None);
        pmtu.on_traffic(Instant::from_millis(1), address(), 512, 512);
        assert_eq!(pmtu.poll_timeout(), None);
    }
}

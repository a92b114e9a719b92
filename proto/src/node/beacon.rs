//! The node as a client of its beacon: discovers its public address, stays registered, asks for hole punches.
//!
//! Everything here goes through the tunnel socket itself, so the address the beacon sees is the address peers reach.

use core::net::{IpAddr, SocketAddr};

use heapless::Deque;

use crate::time::{Duration, Instant};

/// Time between registrations at the beacon: below the 30 s after which common NATs forget a mapping.
pub(super) const REFRESH: Duration = Duration::from_secs(25);
/// Time between attempts while the beacon does not answer; the first attempts of a period come this fast.
pub(super) const RETRY: Duration = Duration::from_millis(500);
/// Fast attempts before falling back to [`REFRESH`].
pub(super) const FAST_TRIES: u8 = 4;
/// Empty punch frames sent per punch command; the releases send three.
pub(super) const PUNCHES: u8 = 3;
/// How long an address that was punched rests: a beacon that is told to cannot make us flood somebody.
const PUNCH_REST: Duration = Duration::from_millis(500);
/// Places in which addresses rest.
const RESTING: usize = 8;
/// Punch requests and commands held at once; more are dropped (the exchange behind them retries).
const QUEUE: usize = 16;

/// One datagram the beacon client wants sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeaconSend {
    /// Register at (and ask our address from) the beacon.
    Discover { beacon: SocketAddr },
    /// Ask the beacon to make the target and us punch.
    PunchRequest { beacon: SocketAddr, target: u32 },
    /// Open our NAT towards an address.
    Punch { to: SocketAddr },
}

/// The client's state.
#[derive(Debug)]
pub(crate) struct BeaconClient {
    address: Option<SocketAddr>,
    observed: Option<SocketAddr>,
    due: Option<Instant>,
    tries: u8,
    answered: bool,
    requests: Deque<u32, QUEUE>,
    punches: Deque<(SocketAddr, u8), QUEUE>,
    /// Until when addresses that were punched rest. Addresses that share a place rest together.
    resting: [Instant; RESTING],
    /// Whom we asked to be punched with last, and when: a punch command that follows is about that peer.
    asked: Deque<(u32, Instant), QUEUE>,
}

impl BeaconClient {
    pub(crate) fn new(address: Option<SocketAddr>) -> Self {
        BeaconClient {
            address,
            observed: None,
            due: address.map(|_| Instant::ORIGIN),
            tries: 0,
            answered: false,
            requests: Deque::new(),
            punches: Deque::new(),
            resting: [Instant::ORIGIN; RESTING],
            asked: Deque::new(),
        }
    }

    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    pub(crate) fn observed(&self) -> Option<SocketAddr> {
        self.observed
    }

    pub(crate) fn is_beacon(&self, from: SocketAddr) -> bool {
        self.address == Some(from)
    }

    /// Registers again now: our node id or our network changed.
    pub(crate) fn refresh(&mut self, now: Instant) {
        if self.address.is_some() {
            self.due = Some(now);
            self.tries = 0;
            self.answered = false;
        }
    }

    /// The beacon told us where it sees us. Returns the address if it is new.
    pub(crate) fn on_observed(&mut self, now: Instant, address: SocketAddr) -> Option<SocketAddr> {
        self.answered = true;
        self.tries = 0;
        self.due = Some(now + REFRESH);
        if self.observed == Some(address) {
            return None;
        }
        self.observed = Some(address);
        Some(address)
    }

    /// Asks for a punch with `target`, unless that was just done.
    pub(crate) fn request_punch(&mut self, now: Instant, target: u32) {
        if self.address.is_none() || self.requests.iter().any(|t| *t == target) {
            return;
        }
        if self.requests.push_back(target).is_ok() {
            if self.asked.is_full() {
                self.asked.pop_front();
            }
            let _ = self.asked.push_back((target, now));
        }
    }

    /// A punch command came from the beacon. Returns the peer it is probably about.
    pub(crate) fn on_punch_command(&mut self, now: Instant, to: SocketAddr) -> Option<u32> {
        let rests = self.rests(now, to) && !crate::planted!(PunchFlood);
        if is_reachable(to) && Some(to) != self.observed && !rests {
            let _ = self.punches.push_back((to, PUNCHES));
        }
        while let Some((target, at)) = self.asked.pop_front() {
            if now.since(at) < Duration::from_secs(5) {
                return Some(target);
            }
        }
        None
    }

    /// Whether the address was punched a moment ago; if not, that it is now.
    fn rests(&mut self, now: Instant, to: SocketAddr) -> bool {
        let sum = |octets: &[u8]| octets.iter().map(|octet| usize::from(*octet)).sum::<usize>();
        let host = match to.ip() {
            IpAddr::V4(ip) => sum(&ip.octets()),
            IpAddr::V6(ip) => sum(&ip.octets()),
        };
        let place = (host + usize::from(to.port())) % RESTING;
        match self.resting.get_mut(place) {
            Some(until) if *until <= now => {
                *until = now + PUNCH_REST;
                false
            }
            _ => true,
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether [`poll_send`](Self::poll_send) may have something.
    pub(crate) fn may_send(&self, now: Instant) -> bool {
        !self.punches.is_empty()
            || self.address.is_some() && (!self.requests.is_empty() || self.due.is_some_and(|at| at <= now))
    }

    pub(crate) fn poll_send(&mut self, now: Instant) -> Option<BeaconSend> {
        if let Some((to, left)) = self.punches.pop_front() {
            if left > 1 {
                let _ = self.punches.push_front((to, left - 1));
            }
            return Some(BeaconSend::Punch { to });
        }
        let beacon = self.address?;
        if self.due.is_some_and(|at| at <= now) {
            self.tries = self.tries.saturating_add(1);
            let wait = if !self.answered && self.tries < FAST_TRIES { RETRY } else { REFRESH };
            self.due = Some(now + wait);
            self.answered = false;
            return Some(BeaconSend::Discover { beacon });
        }
        self.requests.pop_front().map(|target| BeaconSend::PunchRequest { beacon, target })
    }
}

/// An address a punch may be sent to: one host, a real port. Private and loopback hosts are allowed, because the
/// beacon of a private network sees its nodes there.
fn is_reachable(to: SocketAddr) -> bool {
    let host = match to.ip() {
        IpAddr::V4(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast()),
    };
    host && to.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon() -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 9], 9001))
    }

    fn us(port: u16) -> SocketAddr {
        SocketAddr::from(([198, 51, 100, 1], port))
    }

    #[test]
    fn hazard_03_b23_a_lost_discovery_is_repeated_soon() {
        let mut client = BeaconClient::new(Some(beacon()));
        let mut now = Instant::ORIGIN;
        for _ in 0..FAST_TRIES {
            assert_eq!(client.poll_send(now), Some(BeaconSend::Discover { beacon: beacon() }));
            assert_eq!(client.poll_send(now), None);
            now = client.poll_timeout().unwrap();
        }
        assert_eq!(client.poll_send(now), Some(BeaconSend::Discover { beacon: beacon() }));
        assert_eq!(client.poll_timeout(), Some(now + REFRESH));
    }

    #[test]
    fn a_changed_address_is_reported_once() {
        let mut client = BeaconClient::new(Some(beacon()));
        assert_eq!(client.on_observed(Instant::ORIGIN, us(1)), Some(us(1)));
        assert_eq!(client.on_observed(Instant::ORIGIN, us(1)), None);
        assert_eq!(client.on_observed(Instant::ORIGIN, us(2)), Some(us(2)));
    }

    /// Proves NAT-8.
    #[test]
    fn a_punch_command_is_answered_by_three_frames_and_names_the_peer_we_asked_for() {
        let mut client = BeaconClient::new(Some(beacon()));
        client.on_observed(Instant::ORIGIN, us(1));
        client.request_punch(Instant::ORIGIN, 7);
        assert_eq!(
            client.poll_send(Instant::ORIGIN),
            Some(BeaconSend::PunchRequest { beacon: beacon(), target: 7 })
        );
        assert_eq!(client.on_punch_command(Instant::from_millis(20), us(7)), Some(7));
        for _ in 0..PUNCHES {
            assert_eq!(client.poll_send(Instant::from_millis(20)), Some(BeaconSend::Punch { to: us(7) }));
        }
        assert_eq!(client.poll_send(Instant::from_millis(20)), None);
    }

    /// Proves NAT-8. Found by the conformance suite: 100 commands made 255 frames.
    #[test]
    fn a_flood_of_punch_commands_does_not_become_one() {
        let mut client = BeaconClient::new(Some(beacon()));
        client.on_observed(Instant::ORIGIN, us(1));
        client.poll_send(Instant::ORIGIN);
        let frames = |client: &mut BeaconClient, now| {
            for _ in 0..100 {
                client.on_punch_command(now, us(7));
            }
            core::iter::from_fn(|| client.poll_send(now)).count()
        };
        assert_eq!(frames(&mut client, Instant::from_millis(10)), usize::from(PUNCHES));
        assert_eq!(frames(&mut client, Instant::from_millis(500)), 0);
        assert_eq!(frames(&mut client, Instant::from_millis(510)), usize::from(PUNCHES));
    }

    #[test]
    fn punches_never_go_to_many_hosts_or_to_ourselves() {
        let mut client = BeaconClient::new(Some(beacon()));
        client.on_observed(Instant::ORIGIN, us(1));
        client.poll_send(Instant::ORIGIN);
        for to in
            ["224.0.0.1:9", "255.255.255.255:9", "0.0.0.0:9", "192.0.2.1:0", "198.51.100.1:1", "[ff02::1]:9"]
        {
            client.on_punch_command(Instant::ORIGIN, to.parse().unwrap());
        }
        assert_eq!(client.poll_send(Instant::ORIGIN), None);
    }
}

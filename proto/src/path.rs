//! The way to one peer: direct, punched or relayed, decided from authenticated evidence only.
//!
//! Three rules keep two sides from believing different things about the path:
//!
//! 1. Traffic goes where the newest authenticated frame came from. A relayed frame moves us to the relay at once; a
//!    direct one only starts a probe, because hearing the peer does not prove that it hears us.
//! 2. Direct is left when frames that must be answered were not, for three round trips of this path, at least
//!    [`SUSPECT_AFTER`] and at most [`SUSPECT_MOST`].
//! 3. Direct is taken (again) when a probe sent directly was answered directly, [`PROBES_TO_SWITCH`] times. The relay
//!    stays the fallback. Probes never move the peer's own path, so two sides that probe cannot make each other flap.
//!    For four round trips after that, at least [`SETTLE`], relayed frames move nothing: they come from a peer whose own probes are still under
//!    way, and following it back would undo what was just proved.

use core::net::SocketAddr;

use heapless::Vec;

use crate::time::{Duration, Instant, earliest};

/// Addresses tried for one peer before one has proved itself: registered, LAN, observed by the beacon, last source.
pub const MAX_CANDIDATES: usize = 6;

/// Least silence after a frame that must be answered before the path is suspected. Shorter than the third
/// retransmission, so that a cut costs less than two seconds where a round trip takes 233 ms or less. On a slower path it
/// is [`SUSPECT_ROUND_TRIPS`].
pub const SUSPECT_AFTER: Duration = Duration::from_millis(700);
/// The same in round trips: one for the answer, and two because a lost frame is repeated after one and a half at the
/// latest, or a loss would be taken for a cut.
pub const SUSPECT_ROUND_TRIPS: u32 = 3;
/// Longest silence before the path is suspected: what three round trips of 3.3 s need, and as long as a stream waits
/// before it repeats ([`MAX_RTO`](crate::stream::rtt::MAX_RTO)).
pub const SUSPECT_MOST: Duration = Duration::from_secs(10);

/// Answered direct probes before the path is taken (again).
pub const PROBES_TO_SWITCH: u8 = 2;

/// Time between direct probes while the relay carries traffic: doubles from the first to the last.
pub const PROBE_FIRST: Duration = Duration::from_millis(300);
/// Longest time between direct probes; 1.18.0 probes every 15 s.
pub const PROBE_LAST: Duration = Duration::from_secs(15);

/// Longest time between direct probes while the relay carries what must be answered: a path that came back is in use
/// again within two seconds, for one small packet a second.
pub const PROBE_BUSY: Duration = Duration::from_secs(1);
/// How long after such a frame the relay counts as busy.
const BUSY_FOR: Duration = Duration::from_secs(5);

/// How long a path that two answered probes have just proved is kept although the peer still uses the relay, at least:
/// time for its own two probes. On a slow path it is [`SETTLE_ROUND_TRIPS`].
pub const SETTLE: Duration = Duration::from_millis(1500);
/// The same in round trips: half a one until the peer hears us directly, two for its probes, half a one until we hear
/// it, and one for chance.
pub const SETTLE_ROUND_TRIPS: u32 = 4;

/// An answer to a probe sent longer ago is no news.
const PROBE_LIFE: Duration = Duration::from_secs(30);

/// What a direct probe carries. Without a payload it would be a keepalive to 1.9.1 and later, which answer none.
pub const PROBE_PAYLOAD: &[u8; 12] = b"pathprobe.v1";

/// Silence of a peer that was sending, after which it is asked whether it still can: who only receives is owed nothing,
/// and would not notice that its NAT has moved it until its next keepalive. Patience, where that is longer.
pub const ASK_AFTER: Duration = Duration::from_secs(2);

/// Idle time after which a keepalive is sent to hold NAT mappings open (the releases send theirs after 25–30 s).
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(25);

/// Where one frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight to this address.
    Direct(SocketAddr),
    /// Wrapped in a relay message to the beacon.
    Relay,
}

/// What carries traffic to the peer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Via {
    /// Nothing authenticated has arrived yet.
    Unknown,
    Direct,
    Relay,
}

/// What silence has led to: see [`Path::poll_suspicion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Traffic has moved from the direct path to the relay, under the key that worked. Ask there for a sign of life.
    Moved,
    /// Nothing is heard on any path: the keys are suspect too.
    Silent,
}

/// Path selection for one peer. What every frame needs comes last (see [`PeerSlot`](crate::node::PeerSlot)).
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Path {
    candidates: Vec<SocketAddr, MAX_CANDIDATES>,
    last_probe: Option<Instant>,
    probe_wait: Duration,
    /// When the last frame that must be answered was sent.
    last_owed: Option<Instant>,
    /// Until when the peer may go on using the relay without moving us back.
    settling_until: Option<Instant>,
    /// When the relay took over: answers to probes sent before prove nothing.
    relayed_since: Instant,
    via: Via,
    /// `direct` has carried an authenticated frame, or answered a probe.
    proven: bool,
    /// Silence has already been reported to the node for this `unanswered` period.
    reported: bool,
    /// Probes sent since the relay took over: they go around all addresses until one answers.
    probes_sent: u8,
    probes_answered: u8,
    /// The direct address that last carried an authenticated frame, or the best guess.
    direct: Option<SocketAddr>,
    /// First frame that must be answered since the last authenticated frame from the peer, and how many.
    unanswered: Option<(Instant, u32)>,
    /// Until when a sign of life must come through the relay that has just taken over on suspicion.
    trial: Option<Instant>,
    /// When a peer that was sending is asked whether it still can.
    ask_at: Option<Instant>,
    last_received: Option<Instant>,
    last_sent: Option<Instant>,
    probe_due: Option<Instant>,
    /// The slowest recent round trip to the peer: up at once, down by an eighth of what is faster. Zero: not measured.
    round_trip: Duration,
}

impl Path {
    /// Where what every frame needs begins; it ends with the path.
    pub(crate) const HOT: usize = core::mem::offset_of!(Path, via);
}

impl Default for Path {
    fn default() -> Self {
        Path::new()
    }
}

impl Path {
    /// A path of which nothing is known.
    pub const fn new() -> Self {
        Path {
            via: Via::Unknown,
            direct: None,
            proven: false,
            candidates: Vec::new(),
            unanswered: None,
            reported: false,
            last_received: None,
            last_sent: None,
            last_owed: None,
            probe_due: None,
            last_probe: None,
            probe_wait: PROBE_FIRST,
            probes_sent: 0,
            probes_answered: 0,
            settling_until: None,
            relayed_since: Instant::ORIGIN,
            trial: None,
            ask_at: None,
            round_trip: Duration::ZERO,
        }
    }

    /// A round trip to the peer took so long: a key exchange, a probe, a segment and its acknowledgment.
    pub fn on_round_trip(&mut self, took: Duration) {
        if took > SUSPECT_MOST {
            return;
        }
        let faster = self.round_trip.saturating_sub(took);
        self.round_trip = took.max(self.round_trip.saturating_sub(faster / 8));
    }

    /// How long the peer may owe an answer before it is suspected, in [`SUSPECT_AFTER`]`..=`[`SUSPECT_MOST`].
    pub fn patience(&self) -> Duration {
        self.round_trip.saturating_mul(SUSPECT_ROUND_TRIPS).clamp(SUSPECT_AFTER, SUSPECT_MOST)
    }

    /// Adds an address at which the peer may be; the oldest unproven one makes room.
    pub fn add_candidate(&mut self, address: SocketAddr) {
        if self.direct == Some(address) || self.candidates.contains(&address) {
            return;
        }
        if self.candidates.is_full() {
            self.candidates.remove(0);
        }
        let _ = self.candidates.push(address);
    }

    /// New addresses are known: if the relay carries traffic, they are probed at once.
    pub fn on_located(&mut self, now: Instant) {
        if self.via == Via::Relay {
            self.probe_soon(now);
        }
    }

    /// Forgets addresses that never proved themselves, before fresh ones are learned.
    pub fn clear_candidates(&mut self) {
        self.candidates.clear();
    }

    /// Every address a key exchange should be sent to directly.
    pub fn direct_addresses(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.direct.into_iter().chain(self.candidates.iter().copied().filter(|a| Some(*a) != self.direct))
    }

    /// No address is known at all; only the relay could reach the peer.
    pub fn is_lost(&self) -> bool {
        self.direct.is_none() && self.candidates.is_empty()
    }

    /// Whether the relay carries traffic now.
    pub fn is_relayed(&self) -> bool {
        self.via == Via::Relay
    }

    /// The direct address in use or best known.
    pub fn direct(&self) -> Option<SocketAddr> {
        self.direct.or_else(|| self.candidates.first().copied())
    }

    /// When an authenticated frame last came from the peer.
    pub fn last_received(&self) -> Option<Instant> {
        self.last_received
    }

    /// The route for the next frame; `None` if there is no way at all.
    pub fn route(&self, relay_available: bool) -> Option<Route> {
        match (self.via, self.direct()) {
            (Via::Relay, _) if relay_available => Some(Route::Relay),
            (_, Some(address)) => Some(Route::Direct(address)),
            (_, None) if relay_available => Some(Route::Relay),
            (_, None) => None,
        }
    }

    /// A verified key exchange came over `route`. It is replayable, so it moves nothing that already works.
    pub fn on_exchange(&mut self, now: Instant, route: Route) {
        match (route, self.via) {
            (Route::Direct(address), Via::Unknown) => {
                self.direct = Some(address);
                self.via = Via::Direct;
            }
            (Route::Relay, Via::Unknown) => self.start_relaying(now),
            (Route::Direct(address), _) => self.add_candidate(address),
            (Route::Relay, _) => {}
        }
    }

    /// An authenticated frame came over `route`. `newest`: no frame with a higher counter came before. `is_probe`: it
    /// was a control packet, which says nothing about where the peer's traffic goes.
    ///
    /// Returns true if traffic has just moved between relay and direct.
    pub fn on_authenticated(&mut self, now: Instant, route: Route, newest: bool, is_probe: bool) -> bool {
        let before = self.via;
        self.last_received = Some(now);
        self.unanswered = None;
        self.reported = false;
        self.trial = None;
        self.ask_at = None;
        if !newest {
            return false;
        }
        match route {
            Route::Direct(address) => {
                // An address that is news is tried at once. One that is not is tried in its turn: behind some NATs a
                // probe comes from another address than the last one, and two sides would chase each other for ever.
                let news = !self.proven || !self.direct_addresses().any(|known| known == address);
                if !self.proven || self.direct != Some(address) {
                    self.candidates.retain(|a| *a != address);
                    if let Some(old) = self.direct.replace(address) {
                        self.add_candidate(old);
                    }
                    self.proven = true;
                }
                match self.via {
                    Via::Unknown => self.via = Via::Direct,
                    Via::Relay if !is_probe => self.probe_soon(now),
                    Via::Relay if news => {
                        self.probe_soon(self.last_probe.map_or(now, |at| now.max(at + PROBE_FIRST)))
                    }
                    _ => {}
                }
            }
            Route::Relay if !is_probe || self.via == Via::Unknown => {
                if self.via != Via::Relay && self.settling_until.is_none_or(|until| until <= now) {
                    self.start_relaying(now);
                }
            }
            Route::Relay => {}
        }
        self.via != before && before != Via::Unknown
    }

    /// What arrived were bytes of a stream: more may be on their way to an address that is ours no longer.
    pub fn on_stream_bytes(&mut self, now: Instant) {
        self.ask_at = Some(now + self.patience().max(ASK_AFTER));
    }

    /// Whether the peer is to be asked for a sign of life: it was sending, and has stopped. It is asked twice at most,
    /// which is what suspicion needs.
    pub fn poll_ask(&mut self, now: Instant) -> bool {
        if self.ask_at.is_none_or(|at| at > now) {
            return false;
        }
        let count = self.owe(now);
        self.ask_at = (count == 1).then(|| now + self.patience() / 2);
        // Who is owed more answers learns of the silence by them.
        count <= 2
    }

    /// A probe sent directly at `sent` was answered directly. Returns true if traffic has just moved to the direct path.
    pub fn on_probe_answered(&mut self, now: Instant, sent: Instant) -> bool {
        let took = now.since(sent);
        if self.via != Via::Relay || sent < self.relayed_since || took > PROBE_LIFE {
            return false;
        }
        self.probes_answered = self.probes_answered.saturating_add(1);
        if self.probes_answered < PROBES_TO_SWITCH {
            self.probe_due = Some(now);
            return false;
        }
        self.via = Via::Direct;
        // From here on the direct path is what is measured.
        self.round_trip = took;
        self.settling_until = Some(now + took.saturating_mul(SETTLE_ROUND_TRIPS).max(SETTLE));
        self.probe_due = None;
        self.probes_answered = 0;
        self.probe_wait = PROBE_FIRST;
        true
    }

    /// A frame was sent; `must_be_answered` if the peer owes a reply (data, SYN, FIN, ping; not a bare ACK).
    pub fn on_sent(&mut self, now: Instant, must_be_answered: bool) {
        self.last_sent = Some(now);
        if must_be_answered {
            self.owe(now);
            if let Some(due) = &mut self.probe_due {
                *due = (*due).min(now + PROBE_BUSY);
            }
        }
    }

    /// The peer owes one more answer; how many now.
    fn owe(&mut self, now: Instant) -> u32 {
        let (since, count) =
            self.unanswered.map_or((now, 1), |(since, count)| (since, count.saturating_add(1)));
        self.unanswered = Some((since, count));
        self.last_owed = Some(now);
        count
    }

    /// The peer is silent although it owes an answer. Each step is said once per silence: first traffic moves to the
    /// relay, if there is one and it is not used yet; when nothing is heard there either, the keys are suspect. A path
    /// dies more often than a key is lost, and a release that is given a new key drops the one that still works.
    pub fn poll_suspicion(&mut self, now: Instant, relay_available: bool) -> Option<Suspicion> {
        self.suspicion_due().filter(|at| *at <= now)?;
        if relay_available && self.via != Via::Relay {
            self.start_relaying(now);
            self.trial = Some(now + self.patience() / 2);
            return Some(Suspicion::Moved);
        }
        self.trial = None;
        self.reported = true;
        Some(Suspicion::Silent)
    }

    /// Nothing was heard since the relay took over. Some releases answer over a dead path until it has been silent for
    /// eight seconds, and then as soon as they are asked something.
    pub fn is_mute(&self) -> bool {
        self.via == Via::Relay && self.last_received.is_none_or(|at| at < self.relayed_since)
    }

    /// The direct address to probe now, if a probe is due.
    pub fn poll_probe(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.probe_due.is_none_or(|at| at > now) {
            return None;
        }
        let target = self.probe_target();
        self.probes_sent = self.probes_sent.wrapping_add(1);
        self.last_probe = Some(now);
        let busy = self.last_owed.is_some_and(|at| now.since(at) < BUSY_FOR);
        self.probe_wait = (self.probe_wait * 2).min(if busy { PROBE_BUSY } else { PROBE_LAST });
        self.probe_due = target.map(|_| now + self.probe_wait);
        target
    }

    /// Any address may be the one that works: a registered one behind a NAT is not, nor an old one after a move.
    fn probe_target(&self) -> Option<SocketAddr> {
        if self.probes_answered > 0 {
            return self.direct();
        }
        let turn = usize::from(self.probes_sent).checked_rem(self.direct_addresses().count())?;
        self.direct_addresses().nth(turn)
    }

    /// A keepalive is due: nothing was sent for [`KEEPALIVE_AFTER`].
    pub fn keepalive_due(&self) -> Option<Instant> {
        self.last_sent.map(|at| at + KEEPALIVE_AFTER)
    }

    /// When this path wants to be looked at next, not counting keepalives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(earliest(self.suspicion_due(), self.probe_due), self.ask_at)
    }

    fn suspicion_due(&self) -> Option<Instant> {
        if self.trial.is_some() {
            return self.trial;
        }
        match self.unanswered {
            Some((since, count)) if count >= 2 && !self.reported => Some(since + self.patience()),
            _ => None,
        }
    }

    fn start_relaying(&mut self, now: Instant) {
        self.via = Via::Relay;
        self.relayed_since = now;
        self.settling_until = None;
        self.probes_sent = 0;
        self.probes_answered = 0;
        self.probe_wait = PROBE_FIRST;
        self.probe_due = self.direct().map(|_| now + PROBE_FIRST);
    }

    fn probe_soon(&mut self, at: Instant) {
        if self.probe_due.is_none_or(|due| due > at + PROBE_FIRST) {
            self.probe_wait = PROBE_FIRST;
            self.probe_due = Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn at(ms: u64) -> Instant {
        Instant::from_millis(ms)
    }

    fn direct_path() -> Path {
        let mut path = Path::new();
        path.on_exchange(at(0), Route::Direct(address(1)));
        path.on_authenticated(at(0), Route::Direct(address(1)), true, false);
        path
    }

    #[test]
    fn a_peer_first_met_through_the_relay_is_probed_at_each_of_its_addresses() {
        let mut path = Path::new();
        path.add_candidate(address(1));
        path.add_candidate(address(2));
        path.on_exchange(at(0), Route::Relay);
        let mut targets = std::vec::Vec::new();
        while targets.len() < 4 {
            let due = path.poll_timeout().unwrap();
            targets.extend(path.poll_probe(due));
        }
        assert_eq!(targets, [address(1), address(2), address(1), address(2)]);
        path.on_authenticated(at(9000), Route::Direct(address(2)), true, true);
        path.on_probe_answered(at(9000), at(9000));
        assert_eq!(path.poll_probe(at(9000)), Some(address(2)));
        assert!(path.on_probe_answered(at(9001), at(9001)));
        assert_eq!(path.route(true), Some(Route::Direct(address(2))));
    }

    #[test]
    fn a_cut_direct_path_is_left_after_two_unanswered_frames_and_the_wait() {
        let mut path = direct_path();
        path.on_sent(at(100), true);
        assert_eq!(path.poll_timeout(), None, "one lost frame is no evidence");
        path.on_sent(at(300), true);
        assert_eq!(path.poll_timeout(), Some(at(100) + SUSPECT_AFTER));
        assert_eq!(path.poll_suspicion(at(799), true), None);
        assert_eq!(path.poll_suspicion(at(800), true), Some(Suspicion::Moved));
        assert_eq!(path.route(true), Some(Route::Relay));
        assert_eq!(path.poll_suspicion(at(900), true), None, "said once");
    }

    /// Proves NAT-15.
    #[test]
    fn keys_are_suspect_only_when_the_relay_is_silent_too() {
        for answered in [true, false] {
            let mut path = direct_path();
            path.on_sent(at(0), true);
            path.on_sent(at(1), true);
            assert_eq!(path.poll_suspicion(at(700), true), Some(Suspicion::Moved));
            assert!(path.is_mute());
            if answered {
                path.on_authenticated(at(710), Route::Relay, true, true);
                assert!(!path.is_mute());
            }
            let due = at(700) + SUSPECT_AFTER / 2;
            assert_eq!(path.poll_suspicion(due, true), Some(Suspicion::Silent).filter(|_| !answered));
            assert_eq!(path.poll_suspicion(due + SUSPECT_AFTER, true), None, "said once");
        }
    }

    #[test]
    fn without_a_relay_silence_is_reported_but_nothing_moves() {
        let mut path = direct_path();
        path.on_sent(at(0), true);
        path.on_sent(at(1), true);
        assert_eq!(path.poll_suspicion(at(1000), false), Some(Suspicion::Silent));
        assert_eq!(path.route(false), Some(Route::Direct(address(1))));
    }

    /// Proves NAT-19.
    #[test]
    fn a_peer_that_was_sending_and_stopped_is_asked_twice_and_then_suspected() {
        let mut path = direct_path();
        path.on_stream_bytes(at(0));
        path.on_stream_bytes(at(100));
        let due = at(100) + ASK_AFTER;
        assert_eq!(path.poll_timeout(), Some(due));
        assert!(path.poll_ask(due));
        let again = path.poll_timeout().unwrap();
        assert!(path.poll_ask(again) && again < due + SUSPECT_AFTER);
        assert_eq!(path.poll_timeout(), Some(due + SUSPECT_AFTER));
        assert_eq!(path.poll_suspicion(due + SUSPECT_AFTER, true), Some(Suspicion::Moved));
    }

    /// Proves NAT-19.
    #[test]
    fn an_answer_ends_the_asking_and_whoever_sends_no_stream_is_not_asked() {
        let mut path = direct_path();
        assert_eq!(path.poll_timeout(), None);
        path.on_stream_bytes(at(0));
        assert!(path.poll_ask(at(0) + ASK_AFTER));
        path.on_authenticated(at(2050), Route::Direct(address(1)), true, true);
        assert_eq!(path.poll_timeout(), None);
    }

    #[test]
    fn bare_acks_are_owed_nothing() {
        let mut path = direct_path();
        for ms in 0..10 {
            path.on_sent(at(ms), false);
        }
        assert_eq!(path.poll_timeout(), None);
    }

    #[test]
    fn the_relay_is_left_only_after_direct_probes_were_answered() {
        let mut path = direct_path();
        assert!(path.on_authenticated(at(10), Route::Relay, true, false), "the peer moved: follow at once");
        assert_eq!(path.poll_probe(at(10)), None);
        let due = path.poll_timeout().unwrap();
        assert_eq!(path.poll_probe(due), Some(address(1)));
        assert!(!path.on_probe_answered(due, due));
        assert_eq!(path.route(true), Some(Route::Relay), "one answer is not enough");
        assert_eq!(path.poll_probe(due), Some(address(1)), "the second follows at once");
        assert!(path.on_probe_answered(due, due));
        assert_eq!(path.route(true), Some(Route::Direct(address(1))));
        assert_eq!(path.poll_timeout(), None);
    }

    #[test]
    fn of_two_sides_that_return_the_first_waits_for_the_second() {
        let (mut first, mut second) = (direct_path(), direct_path());
        for path in [&mut first, &mut second] {
            path.on_authenticated(at(0), Route::Relay, true, false);
            while let Some(due) = path.poll_timeout().filter(|due| *due <= at(1000)) {
                path.poll_probe(due);
            }
        }
        for _ in 0..PROBES_TO_SWITCH {
            first.on_probe_answered(at(1000), at(1000));
        }
        // Its traffic is direct now; the other hears it, answers through the relay, and starts probing.
        second.on_authenticated(at(1010), Route::Direct(address(1)), true, false);
        assert_eq!(second.poll_timeout(), Some(at(1010)), "a probe at once");
        assert!(!first.on_authenticated(at(1020), Route::Relay, true, false), "not moved back");
        for _ in 0..PROBES_TO_SWITCH {
            second.on_probe_answered(at(1030), at(1030));
        }
        for path in [&first, &second] {
            assert_eq!(path.route(true), Some(Route::Direct(address(1))));
        }
        let settled = at(1000) + SETTLE;
        assert!(
            first.on_authenticated(settled, Route::Relay, true, false),
            "from then on the peer is followed"
        );
    }

    #[test]
    fn a_path_that_dies_again_while_it_settles_is_left_on_evidence() {
        let mut path = direct_path();
        path.on_authenticated(at(0), Route::Relay, true, false);
        for _ in 0..PROBES_TO_SWITCH {
            path.on_probe_answered(at(1000), at(1000));
        }
        path.on_sent(at(1010), true);
        path.on_sent(at(1020), true);
        assert_eq!(path.poll_suspicion(at(1010) + SUSPECT_AFTER, true), Some(Suspicion::Moved));
        assert_eq!(path.route(true), Some(Route::Relay));
    }

    #[test]
    fn unanswered_probes_back_off() {
        let mut path = direct_path();
        path.on_authenticated(at(0), Route::Relay, true, false);
        let mut previous = at(0);
        let mut waits = [Duration::ZERO; 8];
        for wait in &mut waits {
            let due = path.poll_timeout().unwrap();
            *wait = due.since(previous);
            previous = due;
            assert!(path.poll_probe(due).is_some());
            assert!(path.poll_timeout().unwrap() > due, "a served timer moves on");
        }
        assert!(waits.windows(2).all(|w| w[0] <= w[1]));
        assert_eq!(waits.last(), Some(&PROBE_LAST));
    }

    #[test]
    fn a_busy_relay_is_probed_past_every_second() {
        let mut path = direct_path();
        path.on_authenticated(at(0), Route::Relay, true, false);
        let mut now = at(0);
        while path.probe_wait < PROBE_LAST {
            now = path.poll_timeout().unwrap();
            path.poll_probe(now);
        }
        path.on_sent(now, true);
        path.on_authenticated(now, Route::Relay, true, false);
        let mut due = path.poll_timeout().unwrap();
        assert_eq!(due, now + PROBE_BUSY, "the first frame brings the probe forward");
        for _ in 0..3 {
            path.poll_probe(due);
            let next = path.poll_timeout().unwrap();
            assert_eq!(next, due + PROBE_BUSY);
            due = next;
        }
    }

    #[test]
    fn hazard_03_b6_old_frames_and_probes_do_not_move_the_path() {
        let mut path = direct_path();
        assert!(!path.on_authenticated(at(1), Route::Relay, false, false), "an old counter");
        assert!(!path.on_authenticated(at(2), Route::Relay, true, true), "a control packet");
        assert_eq!(path.route(true), Some(Route::Direct(address(1))));
    }

    /// Proves TUN-18.
    #[test]
    fn hazard_02_d13_the_endpoint_follows_sealed_frames_not_key_exchanges() {
        let mut path = direct_path();
        path.on_exchange(at(0), Route::Direct(address(2)));
        assert_eq!(path.route(true), Some(Route::Direct(address(1))), "a replayed exchange moves nothing");
        path.on_authenticated(at(1), Route::Direct(address(3)), true, false);
        assert_eq!(path.route(true), Some(Route::Direct(address(3))), "NAT rebinding is followed");
    }
}

//! Two tunnels, or a tunnel and a model of a release, on a network that loses, repeats and reorders: whatever happens,
//! they soon understand each other again.
#![cfg(feature = "rustcrypto")]

use std::collections::{BTreeMap, BTreeSet};

use pilot_proto::Instant;
use pilot_proto::crypto::{Aead, Aes256Gcm, Crypto, RustCrypto, X25519Secret};
use pilot_proto::rng::{Rng, SeededRng};
use pilot_proto::time::{Duration, earliest};
use pilot_proto::tunnel::{KeyOutcome, OpenError, Tunnel, Window};
use pilot_proto::wire::frame::{Frame, SEALED_HEAD_LEN, SEALED_OVERHEAD};
use proptest::prelude::*;

/// What the talkers say: one number each [`TALK_EVERY`].
const TALK_EVERY: Duration = Duration::from_millis(100);
const NODES: [u32; 2] = [1, 2];

#[derive(Clone, Debug)]
enum Message {
    /// A key exchange frame whose signature has been checked.
    Key([u8; 32]),
    Sealed(Vec<u8>),
}

/// One side: ours or a release's.
trait Peer {
    fn handle(&mut self, now: Instant, message: Message, out: &mut Outbox);
    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox);
    fn poll_timeout(&self) -> Option<Instant>;
    fn say(&mut self, now: Instant, number: u32, out: &mut Outbox);
    /// Forgets everything, as a process does that ends and starts again.
    fn restart(&mut self);
}

#[derive(Default)]
struct Outbox {
    sent: Vec<Message>,
    heard: Vec<u32>,
}

fn seal_into_frame(payload: &[u8], seal: impl FnOnce(&mut [u8]) -> Option<usize>) -> Option<Message> {
    let mut frame = vec![0; payload.len() + SEALED_OVERHEAD];
    frame[SEALED_HEAD_LEN..][..payload.len()].copy_from_slice(payload);
    let len = seal(&mut frame)?;
    frame.truncate(len);
    Some(Message::Sealed(frame))
}

/// What a packet carries: a number, or nothing (a keepalive).
fn number(packet: &[u8]) -> Option<u32> {
    packet.try_into().ok().map(u32::from_be_bytes)
}

/// A node reduced to its tunnel.
struct Ours {
    node: u32,
    tunnel: Tunnel<RustCrypto>,
    rng: SeededRng,
    /// Frames (prefix, counter) sealed: none may come twice under a key, and keys are not told apart here.
    nonces: BTreeSet<[u8; 12]>,
}

impl Ours {
    fn new(node: u32, seed: u64) -> Self {
        let rng = SeededRng::new(seed ^ u64::from(node) << 32);
        Ours { node, tunnel: Tunnel::new(), rng, nonces: BTreeSet::new() }
    }

    fn seal(&mut self, now: Instant, payload: &[u8], out: &mut Outbox) {
        let node = self.node;
        let frame = seal_into_frame(payload, |frame| {
            self.tunnel.seal(now, node, frame, payload.len(), &RustCrypto).ok()
        });
        if let Some(Message::Sealed(frame)) = &frame {
            assert!(self.nonces.insert(frame[8..20].try_into().unwrap()), "a nonce came twice");
        }
        out.sent.extend(frame);
    }

    fn drain(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(key) = self.tunnel.poll_exchange(now, &RustCrypto, &mut self.rng) {
            out.sent.push(Message::Key(key));
        }
    }
}

impl Peer for Ours {
    fn handle(&mut self, now: Instant, message: Message, out: &mut Outbox) {
        match message {
            Message::Key(key) => {
                let outcome = self.tunnel.handle_key(now, &key, true, &RustCrypto, &mut self.rng);
                if outcome == KeyOutcome::Answered {
                    self.seal(now, b"", out);
                }
            }
            Message::Sealed(mut frame) => {
                let Ok(Frame::Sealed(sealed)) = Frame::parse(&mut frame) else {
                    panic!("not a sealed frame")
                };
                if let Ok(opened) = self.tunnel.open(now, sealed, &RustCrypto) {
                    let confirmed = opened.confirmed;
                    out.heard.extend(number(opened.packet));
                    if confirmed {
                        self.seal(now, b"", out);
                    }
                }
            }
        }
        self.drain(now, out);
    }

    fn handle_timeout(&mut self, now: Instant, out: &mut Outbox) {
        self.tunnel.handle_timeout(now);
        self.drain(now, out);
        assert!(self.poll_timeout().is_none_or(|next| next > now), "a deadline that serving does not move");
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.tunnel.poll_timeout()
    }

    fn say(&mut self, now: Instant, number: u32, out: &mut Outbox) {
        self.tunnel.want(now);
        self.seal(now, &number.to_be_bytes(), out);
        self.drain(now, out);
    }

    fn restart(&mut self) {
        self.tunnel = Tunnel::new();
    }
}

/// What differs between releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Release {
    /// April to 1.7.2: any accepted key restarts counter and prefix; a frame without a key is dropped in silence; a
    /// key is sent for each packet that waits.
    April,
    /// 1.9.1 to 1.18.0: a known key changes nothing; a frame without a key is answered by the key, once a second.
    Later,
}

/// A release as it looks from outside: one static key, one key state, keys for all directions.
struct Reference {
    node: u32,
    release: Release,
    secret: X25519Secret,
    state: Option<KeyState>,
    last_sent: Option<Instant>,
    rng: SeededRng,
}

struct KeyState {
    aead: Aes256Gcm,
    peer: [u8; 32],
    prefix: [u8; 4],
    counter: u64,
    window: Window,
}

impl Reference {
    fn new(node: u32, release: Release, seed: u64) -> Self {
        let mut rng = SeededRng::new(seed ^ 0xABCD ^ u64::from(node) << 32);
        let secret = X25519Secret::random(&mut rng);
        Reference { node, release, secret, state: None, last_sent: None, rng }
    }

    fn send_key(&mut self, now: Instant, out: &mut Outbox) {
        self.last_sent = Some(now);
        out.sent.push(Message::Key(RustCrypto.x25519_public(&self.secret)));
    }

    fn rested(&self, now: Instant) -> bool {
        self.last_sent.is_none_or(|last| now.since(last) >= Duration::from_secs(1))
    }
}

impl Peer for Reference {
    fn handle(&mut self, now: Instant, message: Message, out: &mut Outbox) {
        match message {
            Message::Key(peer) => {
                let known = self.state.as_ref().is_some_and(|state| state.peer == peer);
                if known && self.release == Release::Later {
                    return;
                }
                let shared = RustCrypto.x25519(&self.secret, &peer).unwrap();
                let aead = RustCrypto.aead(&RustCrypto.hkdf_sha256(&shared, b"pilot-tunnel-v1"));
                let prefix = self.rng.u32().to_be_bytes();
                self.state = Some(KeyState { aead, peer, prefix, counter: 0, window: Window::default() });
                if !known {
                    self.send_key(now, out);
                }
            }
            Message::Sealed(mut frame) => {
                let Ok(Frame::Sealed(sealed)) = Frame::parse(&mut frame) else {
                    panic!("not a sealed frame")
                };
                let (nonce, aad) = (sealed.nonce, sealed.aad());
                let (packet, tag) = sealed.body.split_last_chunk_mut::<16>().unwrap();
                let opened = self.state.as_mut().is_some_and(|state| {
                    // The prefix is not looked at.
                    let opened = state.window.check(nonce.counter).is_ok()
                        && state.aead.open_in_place(&nonce.to_bytes(), &aad, packet, tag).is_ok();
                    if opened {
                        state.window.mark(nonce.counter);
                    }
                    opened
                });
                if opened {
                    out.heard.extend(number(packet));
                } else if self.release == Release::Later && self.rested(now) {
                    self.send_key(now, out);
                }
            }
        }
    }

    fn handle_timeout(&mut self, _now: Instant, _out: &mut Outbox) {}

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    fn say(&mut self, now: Instant, number: u32, out: &mut Outbox) {
        let Some(state) = &mut self.state else {
            // One key for each packet that waits, at the pace of retransmissions.
            if self.rested(now) {
                self.send_key(now, out);
            }
            return;
        };
        state.counter += 1;
        let nonce = pilot_proto::wire::frame::Nonce { prefix: state.prefix, counter: state.counter };
        let node = self.node;
        out.sent.extend(seal_into_frame(&number.to_be_bytes(), |frame| {
            let (head, rest) = frame.split_first_chunk_mut::<SEALED_HEAD_LEN>().unwrap();
            *head = pilot_proto::wire::frame::sealed_head(
                pilot_proto::wire::frame::Suite::Aes256Gcm,
                node,
                nonce,
            );
            let (packet, tag) = rest.split_last_chunk_mut::<16>().unwrap();
            *tag = state.aead.seal_in_place(&nonce.to_bytes(), &node.to_be_bytes(), packet).unwrap();
            Some(frame.len())
        }));
    }

    fn restart(&mut self) {
        self.secret = X25519Secret::random(&mut self.rng);
        (self.state, self.last_sent) = (None, None);
    }
}

/// What the network does to each message.
#[derive(Clone, Copy, Debug)]
struct Weather {
    loss_percent: u64,
    copy_percent: u64,
    /// One way, in milliseconds.
    delay: (u64, u64),
}

const CALM: Weather = Weather { loss_percent: 0, copy_percent: 0, delay: (20, 20) };
const STORM: Weather = Weather { loss_percent: 50, copy_percent: 20, delay: (5, 300) };

/// The two sides, the network between them, and what happened.
struct World {
    now: Instant,
    peers: [Box<dyn Peer>; 2],
    weather: Weather,
    talking: [bool; 2],
    next_talk: Instant,
    said: u32,
    /// Per side: what it said and when.
    spoken: [BTreeMap<u32, Instant>; 2],
    /// Per side: what it heard.
    heard: [BTreeSet<u32>; 2],
    keys_sent: [usize; 2],
    /// Everything on the wire, to be repeated by an attacker.
    seen: Vec<(usize, Message)>,
    queue: BTreeMap<(Instant, u64), (usize, Message)>,
    serial: u64,
    rng: SeededRng,
}

impl World {
    fn new(peers: [Box<dyn Peer>; 2], seed: u64) -> Self {
        let now = Instant::from_millis(500);
        World {
            now,
            peers,
            weather: CALM,
            talking: [true, true],
            next_talk: now,
            said: 0,
            spoken: Default::default(),
            heard: Default::default(),
            keys_sent: [0, 0],
            seen: Vec::new(),
            queue: BTreeMap::new(),
            serial: 0,
            rng: SeededRng::new(seed),
        }
    }

    fn ours(seed: u64) -> Self {
        Self::new(NODES.map(|node| Box::new(Ours::new(node, seed)) as Box<dyn Peer>), seed)
    }

    fn with(release: Release, seed: u64) -> Self {
        let [a, b] = NODES;
        Self::new([Box::new(Ours::new(a, seed)), Box::new(Reference::new(b, release, seed))], seed)
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.rng.u64() % 100 < percent
    }

    fn inject(&mut self, to: usize, message: Message) {
        self.serial += 1;
        self.queue.insert((self.now, self.serial), (to, message));
    }

    fn take(&mut self, side: usize, out: Outbox) {
        for number in out.heard {
            assert!(self.heard[side].insert(number), "{number} was delivered twice");
        }
        for message in out.sent {
            self.keys_sent[side] += usize::from(matches!(message, Message::Key(_)));
            self.seen.push((1 - side, message.clone()));
            let copies = if self.percent(self.weather.copy_percent) { 2 } else { 1 };
            for _ in 0..copies {
                if !self.percent(self.weather.loss_percent) {
                    let (least, most) = self.weather.delay;
                    let delay = least + self.rng.u64() % (most - least + 1);
                    self.serial += 1;
                    let at = self.now + Duration::from_millis(delay);
                    self.queue.insert((at, self.serial), (1 - side, message.clone()));
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let arrival = self.queue.keys().next().map(|(at, _)| *at);
            let deadline = earliest(self.peers[0].poll_timeout(), self.peers[1].poll_timeout());
            let talk = self.talking.contains(&true).then_some(self.next_talk);
            let next = earliest(earliest(arrival, deadline), talk).filter(|next| *next <= end);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            if arrival.is_some_and(|at| at <= self.now) {
                let (_, (to, message)) = self.queue.pop_first().unwrap();
                self.step(to, |peer, now, out| peer.handle(now, message, out));
                continue;
            }
            for side in [0, 1] {
                if self.peers[side].poll_timeout().is_some_and(|at| at <= self.now) {
                    self.step(side, |peer, now, out| peer.handle_timeout(now, out));
                }
            }
            if talk.is_some_and(|at| at <= self.now) {
                self.next_talk = self.now + TALK_EVERY;
                for side in [0, 1] {
                    if self.talking[side] {
                        self.said += 1;
                        let said = self.said;
                        self.spoken[side].insert(said, self.now);
                        self.step(side, |peer, now, out| peer.say(now, said, out));
                    }
                }
            }
        }
        self.now = end;
    }

    fn step(&mut self, side: usize, act: impl FnOnce(&mut dyn Peer, Instant, &mut Outbox)) {
        let mut out = Outbox::default();
        act(self.peers[side].as_mut(), self.now, &mut out);
        self.take(side, out);
    }

    /// Everything said from `since` on, but for what may still be on its way, has been heard.
    fn assert_all_heard_since(&self, since: Instant, what: &str) {
        for side in [0, 1] {
            for (number, at) in &self.spoken[side] {
                if *at >= since && self.now.since(*at) > Duration::from_secs(1) {
                    let late = at.since(since);
                    let heard = self.heard[1 - side].contains(number);
                    assert!(heard, "{what}: what side {side} said {late:?} after the mark was lost");
                }
            }
        }
    }

    /// A release drops the old key when a new one arrives, before we know. If it never says anything, we exchange a
    /// new one now and then, so some of what we say is lost.
    fn assert_release_converges(&mut self, within: Duration, what: &str) {
        if self.talking[1] {
            return self.assert_converges(within, what);
        }
        self.weather = CALM;
        self.run(within);
        let mark = self.now;
        self.run(secs(5));
        let said = self.spoken[0].iter().filter(|(_, at)| **at >= mark).map(|(number, _)| number);
        let lost = said.filter(|number| !self.heard[1].contains(number)).count();
        assert!(lost <= 3, "{what}: {lost} of 50 were lost");
    }

    /// The network is calm from now on, and after `within` nothing is lost.
    fn assert_converges(&mut self, within: Duration, what: &str) {
        self.weather = CALM;
        self.run(within);
        let mark = self.now;
        self.run(Duration::from_secs(5));
        self.assert_all_heard_since(mark, what);
    }
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Who talks: the first side, the second, both.
const TALKERS: [[bool; 2]; 3] = [[true, false], [false, true], [true, true]];

#[test]
fn a_cold_start_takes_one_round_trip() {
    for talking in TALKERS {
        let mut world = World::ours(1);
        world.talking = talking;
        world.run(millis(100));
        world.assert_converges(Duration::ZERO, "cold start");
        // Both starting at once need no more frames than one: each takes the other's for its answer.
        assert_eq!(world.keys_sent, [1, 1], "{talking:?}");
    }
}

/// The releases send one signature and one frame for each packet that waits.
#[test]
fn hazard_02_d15_one_exchange_for_all_packets_that_wait() {
    let mut world = World::ours(2);
    world.weather.loss_percent = 100;
    world.talking = [true, false];
    world.run(secs(60));
    // After 0, 1, 3, 7, 15 s; given up after 23 s; a rest of 5 s, and again.
    assert_eq!(world.keys_sent, [13, 0]);
    assert_eq!(world.spoken[0].len(), 601);
    world.assert_converges(secs(14), "after a minute without a network");
}

#[test]
fn a_storm_is_survived() {
    for seed in 0..30 {
        for talking in TALKERS {
            let mut world = World::ours(seed);
            world.weather = STORM;
            world.talking = talking;
            world.run(secs(20));
            world.assert_converges(secs(9), &format!("seed {seed}, talking {talking:?}"));
        }
    }
}

/// Proves TUN-12.
#[test]
fn hazard_02_d8_a_restart_is_noticed() {
    for seed in 0..20 {
        for talking in TALKERS {
            for restarted in [0, 1] {
                let mut world = World::ours(seed);
                world.talking = talking;
                world.run(secs(10) + millis(seed * 37));
                world.peers[restarted].restart();
                world.assert_converges(secs(3), &format!("side {restarted} restarted, talking {talking:?}"));
            }
        }
    }
}

#[test]
fn both_restart() {
    let mut world = World::ours(3);
    world.run(secs(10));
    for peer in &mut world.peers {
        peer.restart();
    }
    world.assert_converges(secs(1), "both restarted");
}

/// Make before break: replacing the key loses nothing, even if both sides do it at once.
#[test]
fn a_new_key_costs_no_packet() {
    for who in TALKERS {
        let mut pair = NODES.map(|node| Ours::new(node, 4));
        let mut now = Instant::from_millis(1000);
        let mut numbers = 0..;
        let mut wire: Vec<(usize, Message)> = Vec::new();
        for round in 0..600 {
            now = now + millis(20);
            if round % 100 == 50 {
                for side in [0, 1] {
                    if who[side] {
                        pair[side].tunnel.renew(now);
                    }
                }
            }
            let arriving = core::mem::take(&mut wire);
            let mut heard = 0;
            let mut sent = 0;
            for (to, message) in arriving {
                sent +=
                    usize::from(matches!(&message, Message::Sealed(frame) if frame.len() > SEALED_OVERHEAD));
                let mut out = Outbox::default();
                pair[to].handle(now, message, &mut out);
                heard += out.heard.len();
                wire.extend(out.sent.into_iter().map(|message| (1 - to, message)));
            }
            assert_eq!(heard, sent, "round {round}");
            for side in [0, 1] {
                let mut out = Outbox::default();
                if pair[side].tunnel.poll_timeout().is_some_and(|at| at <= now) {
                    pair[side].handle_timeout(now, &mut out);
                }
                pair[side].say(now, numbers.next().unwrap(), &mut out);
                wire.extend(out.sent.into_iter().map(|message| (1 - side, message)));
            }
        }
        assert!(pair.iter().all(|peer| peer.tunnel.is_confirmed() && !peer.tunnel.is_exchanging()));
    }
}

#[test]
fn idle_tunnels_fall_silent_and_ask_for_nothing() {
    for seed in 0..20 {
        let mut world = World::ours(seed);
        world.weather = STORM;
        world.run(secs(20));
        world.weather = CALM;
        world.run(secs(10));
        world.talking = [false, false];
        world.run(secs(150));
        let keys_sent = world.keys_sent;
        world.run(secs(3600));
        assert_eq!(world.keys_sent, keys_sent);
        assert!(world.peers.iter().all(|peer| peer.poll_timeout().is_none()), "{seed}");
        world.talking = [true, true];
        world.next_talk = world.now;
        let mark = world.now;
        world.run(secs(5));
        world.assert_all_heard_since(mark, "after an hour");
    }
}

/// Answers to answers must not go on for ever, not even where a second is shorter than the round trip.
#[test]
fn a_slow_path_does_not_make_an_endless_exchange() {
    for talking in TALKERS {
        let mut world = World::ours(5);
        world.weather.delay = (1300, 1300);
        world.talking = talking;
        world.run(secs(30));
        let settled = world.keys_sent;
        world.run(secs(600));
        let [a, b] = [0, 1].map(|side| world.keys_sent[side] - settled[side]);
        // One-way talk is never proved to be heard, so a key is exchanged once a minute.
        let allowed = if talking == [true, true] { 0 } else { 45 };
        assert!(a <= allowed && b <= allowed, "{talking:?}: {a} and {b} more keys");
    }
}

/// Old keys of the peer, sent again by anybody, take nothing away from a tunnel that works.
/// Proves TUN-14.
#[test]
fn hazard_02_d5_a_repeated_pila_breaks_nothing() {
    let mut world = World::ours(6);
    world.run(secs(5));
    world.peers[1].restart();
    world.run(secs(10));
    let old: Vec<(usize, Message)> =
        world.seen.iter().filter(|(_, message)| matches!(message, Message::Key(_))).cloned().collect();
    assert!(old.len() >= 4);
    let mark = world.now;
    for _ in 0..30 {
        for (to, message) in &old {
            world.inject(*to, message.clone());
            world.run(millis(270));
        }
    }
    world.run(secs(2));
    world.assert_all_heard_since(mark, "under repeated keys");
}

#[test]
fn hazard_02_d3_forged_and_repeated_frames_break_nothing() {
    let mut world = World::ours(7);
    world.run(secs(5));
    let old = world.seen.clone();
    let keys_sent = world.keys_sent;
    let mark = world.now;
    for (to, message) in old {
        if let Message::Sealed(mut frame) = message {
            world.inject(to, Message::Sealed(frame.clone()));
            frame[12..20].fill(0xFF);
            world.inject(to, Message::Sealed(frame));
            world.run(millis(30));
        }
    }
    world.run(secs(2));
    world.assert_all_heard_since(mark, "under forged frames");
    assert_eq!(world.keys_sent, keys_sent, "forgeries make a working tunnel send nothing");
}

/// Where a release is involved: who talks, and how long its silence may take to be noticed. April drops in silence
/// what it has no key for, so if only we talk, only our patience notices.
/// Proves TUN-11.
#[test]
fn releases_are_understood_from_a_cold_start() {
    for release in [Release::April, Release::Later] {
        for talking in TALKERS {
            let mut world = World::with(release, 8);
            world.talking = talking;
            world.run(millis(200));
            world.assert_release_converges(Duration::ZERO, &format!("{release:?}, talking {talking:?}"));
            assert!(world.keys_sent.iter().sum::<usize>() <= 8, "{release:?}: {:?}", world.keys_sent);
        }
    }
}

#[test]
fn releases_survive_a_storm() {
    for release in [Release::April, Release::Later] {
        for seed in 0..20 {
            for talking in TALKERS {
                let mut world = World::with(release, seed);
                world.weather = STORM;
                world.talking = talking;
                world.run(secs(20));
                let what = format!("{release:?}, seed {seed}, talking {talking:?}");
                world.assert_release_converges(secs(20), &what);
            }
        }
    }
}

#[test]
fn releases_that_restart_and_our_own_restart_are_survived() {
    for release in [Release::April, Release::Later] {
        for talking in TALKERS {
            for restarted in [0, 1] {
                for seed in 0..10 {
                    let mut world = World::with(release, seed);
                    world.talking = talking;
                    world.run(secs(10) + millis(seed * 37));
                    world.peers[restarted].restart();
                    // If only April talks and we restarted, its frames tell us at once.
                    let patience = if release == Release::April { secs(12) } else { secs(4) };
                    let what = format!("{release:?}, side {restarted} restarted, talking {talking:?}");
                    world.assert_release_converges(patience, &what);
                }
            }
        }
    }
}

/// A stranger who repeats April's own key makes us answer and April restart its counter, again and again.
#[test]
fn hazard_02_d7_restarted_counters_of_april_are_followed() {
    let mut world = World::with(Release::April, 9);
    world.run(secs(5));
    let our_key =
        world.seen.iter().rev().find(|(to, message)| *to == 1 && matches!(message, Message::Key(_)));
    let (_, our_key) = our_key.cloned().unwrap();
    let mark = world.now;
    for _ in 0..20 {
        world.inject(1, our_key.clone());
        world.run(millis(300));
    }
    world.run(secs(2));
    world.assert_all_heard_since(mark, "April restarts its counter");
}

#[test]
fn an_unsigned_key_does_not_replace_a_signed_one() {
    let [mut ours, mut other] = NODES.map(|node| Ours::new(node, 10));
    let now = Instant::from_millis(1000);
    let mut key = |now, ours: &mut Ours| {
        other.tunnel.renew(now);
        let key = other.tunnel.poll_exchange(now, &RustCrypto, &mut other.rng).unwrap();
        let outcome =
            ours.tunnel.handle_key(now, &key, now == Instant::from_millis(1000), &RustCrypto, &mut ours.rng);
        (key, outcome)
    };
    let (first, outcome) = key(now, &mut ours);
    assert_eq!(outcome, KeyOutcome::Begun);
    assert!(ours.tunnel.is_authenticated());
    let copy = ours.tunnel.handle_key(now, &first, true, &RustCrypto, &mut ours.rng);
    assert_eq!(copy, KeyOutcome::Copy, "by relay");
    let unsigned = ours.tunnel.handle_key(now, &first, false, &RustCrypto, &mut ours.rng);
    assert_eq!(unsigned, KeyOutcome::Downgrade, "1.18.0 sends PILK after PILA");
}

#[test]
fn a_frame_without_any_key_asks_for_one() {
    let mut ours = Ours::new(1, 11);
    let now = Instant::from_millis(1000);
    let mut frame = [b"PILS".as_slice(), &[7; 40]].concat();
    let Ok(Frame::Sealed(sealed)) = Frame::parse(&mut frame) else { panic!("not a sealed frame") };
    assert_eq!(ours.tunnel.open(now, sealed, &RustCrypto).err(), Some(OpenError::NoKey));
    assert!(ours.tunnel.poll_exchange(now, &RustCrypto, &mut ours.rng).is_some());
    assert!(ours.tunnel.poll_exchange(now, &RustCrypto, &mut ours.rng).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any weather, any talkers, restarts at any time.
    #[test]
    fn two_tunnels_always_converge(
        seed: u64,
        who in 0usize..3,
        changes in prop::collection::vec((0u64..4000, 0usize..4, 0u64..90, 1u64..600), 1..8),
    ) {
        let mut world = World::ours(seed);
        world.talking = TALKERS[who];
        for (time, restarted, loss_percent, delay) in changes {
            world.weather = Weather { loss_percent, copy_percent: 30, delay: (1, delay) };
            world.run(millis(time));
            if let Some(peer) = world.peers.get_mut(restarted) {
                peer.restart();
            }
        }
        world.assert_converges(secs(14), "two tunnels");
    }
}

//! Extensions between whole nodes: who states what, who believes it, and what a release sees of it: nothing.

mod common;

use std::collections::BTreeSet;

use common::{MS, Net, SECOND, TestNode, pattern, public, rogue::Rogue, transfer};
use pilot_proto::{
    Addr,
    crypto::{Crypto, RustCrypto},
    extension::{Cipher, Extensions},
    node::{Config, PeerInfo},
    port,
    wire::{
        extension::{Capabilities, MAX_LEN, Message, Signed, Statement},
        packet::{Flags, Header, Protocol},
    },
};

fn with(cipher: Cipher) -> impl FnOnce(&mut Config) {
    move |config| {
        config.public = true;
        config.extensions.cipher = cipher;
    }
}

/// A node as a release is: it states nothing and never has more than 512 segments of room.
fn release(config: &mut Config) {
    config.public = true;
    config.extensions.enabled = false;
    config.stream.recv_buffer = 512 * 1152;
}

fn peer_of(node: &mut TestNode, id: u32) -> PeerInfo {
    node.peers().find(|peer| peer.node == id).unwrap()
}

/// What `of` has been told by `by` in the session in use.
fn stated(net: &mut Net, of: usize, by: usize) -> Option<Capabilities> {
    let id = net.hosts[by].id;
    peer_of(&mut net.hosts[of].node, id).capabilities
}

fn frames(net: &Net, from: usize, magic: &[u8]) -> usize {
    let from = net.hosts[from].address;
    net.wire.iter().filter(|(source, _, data)| *source == from && data.starts_with(magic)).count()
}

/// Proves EXT-1 and EXT-7: towards a release every datagram is what it would be without extensions.
#[test]
fn a_release_sees_no_difference() {
    let run = |extensions: Extensions, seed: u64| {
        let mut net = Net::new(seed);
        net.record = true;
        (net.link.loss, net.link.jitter) = (20, MS * 3);
        let a = net.add(|config| (config.public, config.extensions) = (true, extensions));
        let b = net.add(release);
        transfer(&mut net, a, b, &pattern(400_000), 60 * SECOND);
        transfer(&mut net, b, a, &pattern(400_000), 60 * SECOND);
        let to = Addr { network: 0, node: net.hosts[b].id };
        net.hosts[a].node.send_datagram(net.now, to, 9, b"hello").unwrap();
        net.run_for(5 * SECOND);
        net.restart(b);
        transfer(&mut net, a, b, &pattern(50_000), 60 * SECOND);
        net.set_direct(a, b, false);
        transfer(&mut net, b, a, &pattern(50_000), 60 * SECOND);
        net.run_for(100 * SECOND);
        net.wire
    };
    for seed in 0..3 {
        let off = run(Extensions { enabled: false, cipher: Cipher::Either }, seed);
        assert!(off.len() > 1000);
        for cipher in [Cipher::Either, Cipher::ChaCha] {
            assert!(run(Extensions { enabled: true, cipher }, seed) == off, "seed {seed}, {cipher:?}");
        }
    }
}

/// Proves EXT-5: both state, both hear, and then nothing more is said.
#[test]
fn two_of_ours_agree_and_fall_silent() {
    let mut net = Net::new(1);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"hello", 10 * SECOND);
    net.run_for(30 * SECOND);
    for (of, by) in [(a, b), (b, a)] {
        let expected = Extensions::default().capabilities::<RustCrypto>();
        assert_eq!(stated(&mut net, of, by), Some(expected));
    }
    let before = net.hosts[a].sent + net.hosts[b].sent;
    net.run_for(20 * SECOND);
    assert!(net.hosts[a].sent + net.hosts[b].sent <= before + 4, "keepalives and the beacon only");
}

#[test]
fn one_side_switched_off_hears_and_says_nothing() {
    let mut net = Net::new(2);
    let a = public(&mut net);
    let b = net.add(|config| (config.public, config.extensions.enabled) = (true, false));
    let (got, _) = transfer(&mut net, a, b, &pattern(100_000), 10 * SECOND);
    assert!(got == pattern(100_000));
    net.run_for(20 * SECOND);
    assert_eq!((stated(&mut net, a, b), stated(&mut net, b, a)), (None, None));
}

/// Proves EXT-8 and EXT-9: the cipher changes under way, and no byte and no frame is lost by it.
#[test]
fn the_cipher_changes_in_the_middle_of_a_transfer_under_loss_and_reordering() {
    for (seed, ciphers) in
        [[Cipher::ChaCha, Cipher::Either], [Cipher::Either, Cipher::ChaCha]].into_iter().enumerate()
    {
        let mut net = Net::new(seed as u64);
        net.record = true;
        (net.link.loss, net.link.duplicate, net.link.jitter) = (30, 20, MS * 4);
        let (a, b) = (net.add(with(ciphers[0])), net.add(with(ciphers[1])));
        let data = pattern(500_000);
        for (from, to) in [(a, b), (b, a)] {
            let (got, _) = transfer(&mut net, from, to, &data, 60 * SECOND);
            assert!(got == data, "seed {seed}: {} of {}", got.len(), data.len());
        }
        for host in [a, b] {
            assert!(frames(&net, host, b"PILS") > 0, "before the statement");
            assert!(frames(&net, host, b"PILC") > 300, "{}", frames(&net, host, b"PILC"));
            let from = net.hosts[host].address;
            let sealed = |frame: &[u8]| frame.starts_with(b"PILS") || frame.starts_with(b"PILC");
            let of_host = net.wire.iter().filter(|(source, _, data)| *source == from && sealed(data));
            let nonces: BTreeSet<&[u8]> = of_host.clone().map(|(_, _, data)| &data[8..20]).collect();
            assert_eq!(nonces.len(), of_host.count(), "a nonce came twice");
            assert_eq!(net.hosts[host].node.counters().forged, 0);
        }
    }
}

#[test]
fn without_a_wish_or_against_one_the_cipher_stays() {
    for ciphers in [[Cipher::Either, Cipher::Either], [Cipher::ChaCha, Cipher::Aes]] {
        let mut net = Net::new(3);
        net.record = true;
        let (a, b) = (net.add(with(ciphers[0])), net.add(with(ciphers[1])));
        transfer(&mut net, a, b, &pattern(100_000), 10 * SECOND);
        assert_eq!(frames(&net, a, b"PILC") + frames(&net, b, b"PILC"), 0, "{ciphers:?}");
    }
}

/// Proves EXT-6: what was stated in one session is no promise for the next.
#[test]
fn a_peer_that_comes_back_as_a_release_is_treated_as_one_at_once() {
    for returning in [0, 1] {
        let mut net = Net::new(4);
        net.record = true;
        let (a, b) = (net.add(with(Cipher::ChaCha)), net.add(with(Cipher::ChaCha)));
        transfer(&mut net, a, b, &pattern(100_000), 10 * SECOND);
        assert!(frames(&net, a, b"PILC") > 0);
        net.run_for(5 * SECOND);
        release(&mut net.hosts[returning].config);
        net.restart(returning);
        net.wire.clear();
        let (got, took) = transfer(&mut net, a, b, &pattern(100_000), 10 * SECOND);
        assert!(got == pattern(100_000));
        assert!(took < 2 * SECOND, "{returning}: {took:?}");
        assert_eq!(frames(&net, returning, b"PILC"), 0);
        let other = 1 - returning;
        let last = net
            .wire
            .iter()
            .rposition(|(from, _, d)| *from == net.hosts[other].address && d.starts_with(b"PILC"));
        let exchanged = net.wire.iter().position(|(_, _, data)| data.starts_with(b"PILA"));
        assert!(last < exchanged.map(|at| at + 4), "none in the new session: {last:?} {exchanged:?}");
        assert_eq!(stated(&mut net, other, returning), None);
    }
}

struct Forger {
    rogue: Rogue,
    victim: usize,
}

impl Forger {
    fn new(net: &mut Net) -> Self {
        let victim = public(net);
        let mut rogue = Rogue::new(net);
        rogue.meet(net, victim);
        Forger { rogue, victim }
    }

    fn say(&mut self, net: &mut Net, message: &[u8]) {
        let mut header = self.rogue.header(net, self.victim, Protocol::Control, port::CONTROL, port::CONTROL);
        header.seq = 0;
        self.rogue.send(net, self.victim, &header, message);
        net.run_for(MS * 50);
    }

    /// A statement, with one thing of what is signed changed.
    fn statement(&mut self, net: &Net, change: impl FnOnce(&mut Signed<'_>)) -> Vec<u8> {
        let id = self.rogue.tunnel.sealing_session().unwrap();
        let session = self.rogue.tunnel.session(id).unwrap();
        let statement = Statement {
            capabilities: Extensions::default().capabilities::<RustCrypto>(),
            ..Statement::default()
        };
        let mut list = [0; 64];
        let len = statement.emit(&mut list).unwrap();
        let mut signed = Signed {
            sender_key: session.own,
            receiver_key: session.peer,
            sender: self.rogue.id,
            receiver: net.hosts[self.victim].id,
            list: &list[..len],
        };
        change(&mut signed);
        let signature = self.rogue.identity.sign(&RustCrypto, &signed.message().unwrap());
        let mut out = [0; MAX_LEN];
        let len = Message::Statement { list: &list[..len], signature }.emit(&mut out).unwrap();
        out[..len].to_vec()
    }

    fn believed(&self, net: &mut Net) -> bool {
        peer_of(&mut net.hosts[self.victim].node, self.rogue.id).capabilities.is_some()
    }

    /// The extension messages the victim sent since the last call.
    fn heard(&mut self, net: &mut Net) -> Vec<(Header, Vec<u8>)> {
        let mut packets = self.rogue.received(net);
        packets.retain(|(header, _)| header.dst_port == port::CONTROL);
        packets
    }
}

/// Proves EXT-4: who says what to whom in which session is all signed.
#[test]
fn a_statement_of_somebody_else_or_for_somebody_else_or_another_session_is_refused() {
    let mut net = Net::new(5);
    let mut forger = Forger::new(&mut net);
    let other = RustCrypto.x25519_public(&pilot_proto::crypto::X25519Secret::from_bytes([5; 32]));
    type Change = Box<dyn FnOnce(&mut Signed<'_>)>;
    let wrong: [Change; 6] = [
        Box::new(|s| s.sender = 77),
        Box::new(|s| s.receiver = 77),
        Box::new(|s| s.list = &[]),
        Box::new(|s| s.list = &[1, 1, 3]),
        Box::new(|s| core::mem::swap(&mut s.sender_key, &mut s.receiver_key)),
        Box::new(move |s| s.sender_key = Box::leak(Box::new(other))),
    ];
    for change in wrong {
        let message = forger.statement(&net, change);
        forger.say(&mut net, &message);
        assert!(!forger.believed(&mut net));
        assert_eq!(forger.heard(&mut net), [], "no answer to what does not verify");
    }
    let mut damaged = forger.statement(&net, |_| {});
    *damaged.last_mut().unwrap() ^= 1;
    forger.say(&mut net, &damaged);
    assert!(!forger.believed(&mut net));

    let genuine = forger.statement(&net, |_| {});
    forger.say(&mut net, &genuine);
    assert!(forger.believed(&mut net));
    let heard = forger.heard(&mut net);
    let kinds: Vec<u8> = heard.iter().map(|(_, body)| body[1]).collect();
    assert_eq!(kinds, [2, 1], "confirmed, and answered by a statement");
    assert!(heard.iter().all(|(header, _)| header.flags == Flags::NONE && header.src_port == port::CONTROL));
    forger.say(&mut net, &genuine);
    assert_eq!(forger.heard(&mut net).len(), 1, "a repetition is confirmed again");
}

#[test]
fn after_some_statements_that_do_not_verify_none_is_looked_at() {
    let mut net = Net::new(6);
    let mut forger = Forger::new(&mut net);
    let wrong = forger.statement(&net, |signed| signed.sender = 77);
    for _ in 0..pilot_proto::extension::MAX_REFUSED {
        forger.say(&mut net, &wrong);
    }
    let genuine = forger.statement(&net, |_| {});
    forger.say(&mut net, &genuine);
    assert!(!forger.believed(&mut net));
}

/// Proves EXT-2: whatever comes as a message, nothing breaks and nothing is answered.
#[test]
fn malformed_messages_are_ignored() {
    let mut net = Net::new(7);
    let mut forger = Forger::new(&mut net);
    let genuine = forger.statement(&net, |_| {});
    for len in 0..genuine.len() {
        forger.say(&mut net, &genuine[..len]);
        for byte in [0, 1] {
            let mut changed = genuine[..len.min(6)].to_vec();
            if let Some(at) = changed.get_mut(byte) {
                *at = at.wrapping_add(99);
            }
            forger.say(&mut net, &changed);
        }
    }
    assert!(!forger.believed(&mut net));
    assert_eq!(forger.heard(&mut net), []);
}

/// Proves EXT-13 between nodes: an announced exchange that does not arrive is begun by the other side.
#[test]
fn a_renewal_that_does_not_come_is_begun_by_the_other_side() {
    let mut net = Net::new(8);
    let mut forger = Forger::new(&mut net);
    let genuine = forger.statement(&net, |_| {});
    forger.say(&mut net, &genuine);
    let mut renewal = [0; 8];
    let len = Message::Renewal.emit(&mut renewal).unwrap();
    forger.say(&mut net, &renewal[..len]);
    let victim = net.hosts[forger.victim].address;
    let exchanges = |net: &Net| {
        net.wire.iter().filter(|(from, _, data)| *from == victim && data.starts_with(b"PILA")).count()
    };
    for (wait, expected) in [(SECOND, 0), (5 * SECOND, 1)] {
        forger.heard(&mut net);
        net.run_for(wait);
        net.wire.clear();
        // A repeated statement makes it seal an answer.
        forger.say(&mut net, &genuine);
        assert_eq!(exchanges(&net).min(1), expected, "after {wait:?}");
    }
}

/// Proves EXT-13 and EXT-14 in a life of some hours: keys are replaced once an hour and stated anew in each.
#[test]
fn in_hours_of_traffic_each_key_is_stated_anew() {
    let mut net = Net::new(9);
    net.record = true;
    let (a, b) = (net.add(with(Cipher::ChaCha)), net.add(with(Cipher::Either)));
    for _ in 0..200 {
        let (got, _) = transfer(&mut net, a, b, b"still there", 10 * SECOND);
        assert_eq!(got, b"still there");
        net.run_for(60 * SECOND);
    }
    let exchanges = frames(&net, a, b"PILA") + frames(&net, b, b"PILA");
    assert!((6..=16).contains(&exchanges), "{exchanges} in three hours and a half");
    for (of, by) in [(a, b), (b, a)] {
        assert!(stated(&mut net, of, by).is_some_and(|stated| stated.renewals));
    }
}

//! Frames, key exchange and sealed packets against what was captured; each deliberate difference names its hazard.
#![cfg(feature = "rustcrypto")]

use std::collections::{BTreeMap, BTreeSet};

use pilot_proto::Instant;
use pilot_proto::crypto::{Ed25519Seed, Identity, RustCrypto};
use pilot_proto::rng::Rng;
use pilot_proto::tunnel::{KeyOutcome, NotGenuine, OpenError, Tunnel, WINDOW, Window};
use pilot_proto::wire::frame::{
    Datagram, Frame, FrameError, KEY_ANONYMOUS_LEN, KEY_AUTHENTICATED_LEN, KeyAnonymous, KeyAuthenticated,
    PUNCH, SEALED_HEAD_LEN, SEALED_OVERHEAD,
};
use pilot_proto::wire::packet::Header;
use proptest::prelude::*;
use serde_json::Value;

const NOW: Instant = Instant::from_millis(1000);

fn load() -> Value {
    serde_json::from_str(include_str!("../../spec/vectors/tunnel.json")).expect("vectors are JSON")
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value[key].as_array().unwrap_or_else(|| panic!("no list {key}"));
    assert!(!list.is_empty(), "{key} is empty");
    list
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}"))
}

fn bytes(value: &Value, key: &str) -> Vec<u8> {
    hex::decode(text(value, key)).expect("vectors are hex")
}

fn array<const N: usize>(value: &Value, key: &str) -> [u8; N] {
    bytes(value, key).try_into().unwrap_or_else(|_| panic!("{key} has another length in {value}"))
}

fn node(value: &Value, key: &str) -> u32 {
    value[key].as_u64().unwrap().try_into().unwrap()
}

/// Randomness that was captured: first the private key, then the prefix of its session.
struct Script(Vec<u8>);

impl Rng for Script {
    fn fill(&mut self, out: &mut [u8]) {
        let rest = self.0.split_off(out.len());
        out.copy_from_slice(&self.0);
        self.0 = rest;
    }
}

/// The tunnel of the node with this private key to the node with this public key.
fn tunnel(private: [u8; 32], prefix: [u8; 4], peer: [u8; 32]) -> Tunnel<RustCrypto> {
    let mut tunnel = Tunnel::new();
    let mut rng = Script([private.as_slice(), &prefix].concat());
    assert_eq!(tunnel.handle_key(NOW, &peer, true, &RustCrypto, &mut rng), KeyOutcome::Begun);
    assert!(tunnel.is_ready() && tunnel.is_authenticated() && !tunnel.is_confirmed());
    tunnel
}

#[test]
fn sealed_frames_are_the_captured_ones() {
    for session in list(&load(), "sessions") {
        let (a, b) = (&session["a"], &session["b"]);
        for (from, to) in [(a, b), (b, a)] {
            let sent = list(session, "frames").iter().filter(|frame| frame["from"] == from["node"]);
            let sent: Vec<&Value> = sent.collect();
            let prefix = array(sent[0], "prefix");
            let mut sender = tunnel(array(from, "x25519_private"), prefix, array(to, "x25519_public"));
            let mut receiver = tunnel(array(to, "x25519_private"), [9; 4], array(from, "x25519_public"));
            for (i, vector) in sent.into_iter().enumerate() {
                let (inner, expected) = (bytes(vector, "inner"), bytes(vector, "frame"));
                // The first frames carry the counters that a new tunnel uses.
                if text(vector, "counter") == (i + 1).to_string() {
                    let mut frame = vec![0xA5; inner.len() + SEALED_OVERHEAD + 3];
                    frame[SEALED_HEAD_LEN..][..inner.len()].copy_from_slice(&inner);
                    let len =
                        sender.seal(NOW, node(from, "node"), &mut frame, inner.len(), &RustCrypto).unwrap();
                    assert_eq!(frame[..len], expected, "{}", text(vector, "name"));
                }
                // A high counter would make the ones after it too old.
                if text(vector, "name").starts_with("counter_") {
                    receiver = tunnel(array(to, "x25519_private"), [9; 4], array(from, "x25519_public"));
                }
                assert_eq!(
                    open(&mut receiver, &mut expected.clone()).unwrap(),
                    inner,
                    "{}",
                    text(vector, "name")
                );
                let (_, payload) = Header::parse(&inner).unwrap();
                assert_eq!(
                    inner.len() - payload.end,
                    vector["inner_trailing_bytes"].as_u64().unwrap() as usize
                );
            }
        }
    }
}

fn open(tunnel: &mut Tunnel<RustCrypto>, frame: &mut [u8]) -> Result<Vec<u8>, OpenError> {
    match Frame::parse(frame) {
        Ok(Frame::Sealed(sealed)) => {
            tunnel.open(NOW, sealed, &RustCrypto).map(|opened| opened.packet.to_vec())
        }
        other => panic!("not a sealed frame: {other:?}"),
    }
}

#[test]
fn key_exchange_frames_are_the_captured_ones() {
    let vectors = load();
    for vector in list(&vectors, "pila") {
        let seed = Ed25519Seed::from_bytes(array(vector, "ed25519_seed"));
        let identity = Identity::new(node(vector, "node"), seed, &RustCrypto);
        let mut expected = bytes(vector, "frame");
        let key = KeyAuthenticated::sign(&identity, expected[8..40].try_into().unwrap(), &RustCrypto);
        assert_eq!(key.signed_message(), array(vector, "signed_message"));
        let mut frame = [0xA5; KEY_AUTHENTICATED_LEN];
        assert_eq!(key.emit(&mut frame), Ok(KEY_AUTHENTICATED_LEN));
        assert_eq!(frame.as_slice(), expected);
        assert!(matches!(Frame::parse(&mut expected), Ok(Frame::KeyAuthenticated(parsed)) if parsed == key));
        assert!(key.emit(&mut [0; KEY_AUTHENTICATED_LEN - 1]).is_err());
    }
    for vector in list(&vectors, "pilk") {
        let key = KeyAnonymous { sender: node(vector, "node"), x25519: array(vector, "x25519_public") };
        let mut frame = [0xA5; KEY_ANONYMOUS_LEN];
        assert_eq!(key.emit(&mut frame), Ok(KEY_ANONYMOUS_LEN));
        assert_eq!(frame.as_slice(), bytes(vector, "frame"));
        assert!(matches!(Frame::parse(&mut frame), Ok(Frame::KeyAnonymous(parsed)) if parsed == key));
    }
}

/// What a node does with a key exchange frame: check who sent it, then feed it to the tunnel of that peer.
fn receive(
    frame: &mut [u8],
    registry: &BTreeMap<u32, [u8; 32]>,
    private: [u8; 32],
) -> Result<(), &'static str> {
    let (x25519, authenticated) = match Frame::parse(frame) {
        Ok(Frame::KeyAuthenticated(key)) => {
            let expected = registry.get(&key.sender).ok_or("no_registry_key")?;
            key.verify(expected, &RustCrypto).map_err(|error| match error {
                NotGenuine::KeyMismatch => "key_mismatch",
                NotGenuine::BadSignature => "bad_signature",
            })?;
            (key.x25519, true)
        }
        Ok(Frame::KeyAnonymous(key)) if registry.contains_key(&key.sender) => {
            return Err("authenticated_required");
        }
        Ok(Frame::KeyAnonymous(key)) => (key.x25519, false),
        Err(FrameError::TooShort { .. }) => return Err("too_short"),
        other => panic!("not a key exchange: {other:?}"),
    };
    let mut tunnel = Tunnel::<RustCrypto>::new();
    let mut rng = Script([private.as_slice(), &[1; 4]].concat());
    match tunnel.handle_key(NOW, &x25519, authenticated, &RustCrypto, &mut rng) {
        KeyOutcome::Begun => {
            assert_eq!(tunnel.is_authenticated(), authenticated);
            Ok(())
        }
        KeyOutcome::Weak => {
            assert!(!tunnel.is_ready());
            Err("weak_x25519")
        }
        other => panic!("{other:?}"),
    }
}

/// Among them the frame of a stranger who signs for another node with a key of his own: the reference accepted it
/// once it had accepted the true one.
#[test]
fn hazard_02_d1_forged_pila_is_refused() {
    let vectors = load();
    let session = &vectors["sessions"][0];
    let key_of = |side: &str| (node(&session[side], "node"), array(&session[side], "ed25519_public"));
    let registry = BTreeMap::from([key_of("a"), key_of("b")]);
    let private = array(&session["b"], "x25519_private");
    for kind in ["pila_receive", "pilk_receive"] {
        for vector in list(&vectors, kind) {
            let mut registry = registry.clone();
            if vector["registry_knows_sender"].as_bool() == Some(false) {
                registry.clear();
            }
            let expected = if vector["accepted"] == true { Ok(()) } else { Err(text(vector, "reason")) };
            let received = receive(&mut bytes(vector, "frame"), &registry, private);
            assert_eq!(received, expected, "{}", text(vector, "name"));
        }
    }
}

#[test]
fn sealed_frames_are_received_as_captured() {
    let vectors = load();
    let session = &vectors["sessions"][0];
    let (a, b) = (&session["a"], &session["b"]);
    let genuine = bytes(&list(&vectors, "pils_receive")[0], "frame");
    for vector in list(&vectors, "pils_receive") {
        let name = text(vector, "name");
        let mut receiver = tunnel(array(b, "x25519_private"), [9; 4], array(a, "x25519_public"));
        for before in vector["frames_before"].as_array().into_iter().flatten() {
            open(&mut receiver, &mut hex::decode(before.as_str().unwrap()).unwrap()).unwrap();
        }
        let mut frame = bytes(vector, "frame");
        let outcome = match Frame::parse(&mut frame) {
            Err(FrameError::TooShort { needed: SEALED_OVERHEAD, .. }) => "too_short",
            Ok(Frame::Sealed(sealed)) if sealed.sender != node(a, "node") => "no_key",
            Ok(Frame::Sealed(sealed)) => match receiver.open(NOW, sealed, &RustCrypto) {
                Ok(opened) if Header::parse(opened.packet).is_err() => "inner_invalid",
                Ok(_) => "delivered",
                Err(OpenError::Replay(_)) => "replay",
                Err(OpenError::Forged) => "decrypt_failure",
                Err(OpenError::NoKey) => "no_key",
            },
            other => panic!("{name}: {other:?}"),
        };
        // The reference accepts counter 0 for ever while it is the only one; a repetition is a repetition.
        let expected = if name == "counter_zero_twice" { "replay" } else { text(vector, "outcome") };
        assert_eq!(outcome, expected, "{name}");
        if outcome == "decrypt_failure" {
            // 02-D3: what did not open left no trace, not even in its own bytes.
            assert_eq!(frame, bytes(vector, "frame"), "{name}");
            assert!(open(&mut receiver, &mut genuine.clone()).is_ok(), "{name}");
        }
    }
}

/// The window against the captured sequences. It differs from the reference's in three ways, all on purpose.
/// Proves TUN-16.
#[test]
fn hazard_02_d3_forged_frames_do_not_move_the_window() {
    for sequence in list(&load(), "replay_sequences") {
        let name = text(sequence, "name");
        let mut window = Window::default();
        let mut opened = BTreeSet::new();
        for step in list(sequence, "steps") {
            let counter: u64 = text(step, "counter").parse().unwrap();
            let accepted = window.check(counter).is_ok();
            let behind = opened.last().map_or(0, |newest: &u64| newest.saturating_sub(counter));
            if Some(accepted) != step["accept"].as_bool() {
                let wider = accepted && (256..WINDOW).contains(&behind);
                let zero_only_once = !accepted && counter == 0 && opened.contains(&0);
                let no_trace_of_zero = accepted && name.starts_with("zero_") && !opened.contains(&counter);
                let no_trace_of_forged =
                    accepted && name.starts_with("forged_") && !opened.contains(&counter);
                assert!(
                    wider || zero_only_once || no_trace_of_zero || no_trace_of_forged,
                    "{name}: counter {counter}, accepted {accepted}"
                );
            }
            if accepted && step["authentic"].as_bool() != Some(false) {
                window.mark(counter);
                assert!(opened.insert(counter), "{name}: counter {counter} twice");
            }
        }
    }
}

/// Proves TUN-1 and TUN-2.
#[test]
fn datagrams_are_told_apart() {
    let parse = |datagram: &str| {
        let mut datagram = hex::decode(datagram).unwrap();
        format!("{:?}", Datagram::parse(&mut datagram))
    };
    assert!(parse("").starts_with("Err(TooShort { len: 0, needed: 4"));
    assert!(parse("50494c").starts_with("Err(TooShort { len: 3, needed: 4"));
    assert!(parse("50494c58").starts_with("Err(UnknownMagic"));
    assert!(parse("50494c5400").starts_with("Ok(Frame(Plain { packet: [0] }"));
    assert_eq!(parse("50494c50"), "Ok(Frame(Punch))");
    assert_eq!(parse("50494c500000000100"), "Ok(Frame(Punch))", "trailing bytes are ignored");
    assert!(parse("10").starts_with("Err(TooShort"));
    assert!(parse("0f00").starts_with("Err(BadBeacon"));
    assert!(parse("0a01").starts_with("Ok(Beacon(Wake { kind: 1 }"));
    assert_eq!(parse("060000000950494c50"), "Ok(Delivered { sender: 9, frame: [80, 73, 76, 80] })");
    assert!(parse("0600000009").starts_with("Err(BadBeacon"), "an empty delivery means nothing");
    assert_eq!(PUNCH, b"PILP");
}

proptest! {
    #[test]
    fn any_key_exchange_survives_the_wire(sender: u32, x25519: [u8; 32], seed: [u8; 32]) {
        let mut out = [0xA5; 200];
        let key = KeyAnonymous { sender, x25519 };
        let len = key.emit(&mut out).unwrap();
        prop_assert!(matches!(Frame::parse(&mut out[..len]), Ok(Frame::KeyAnonymous(parsed)) if parsed == key));
        let identity = Identity::new(sender, Ed25519Seed::from_bytes(seed), &RustCrypto);
        let key = KeyAuthenticated::sign(&identity, x25519, &RustCrypto);
        let len = key.emit(&mut out).unwrap();
        prop_assert!(matches!(Frame::parse(&mut out[..len]), Ok(Frame::KeyAuthenticated(parsed)) if parsed == key));
        prop_assert!(Frame::parse(&mut out[..len - 1]).is_err());
    }

    #[test]
    fn any_bytes_are_a_datagram_or_an_error(kind in 0usize..7, rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let magics: [&[u8]; 7] = [b"PILT", b"PILS", b"PILK", b"PILA", b"PILP", b"", b"\x06"];
        let mut datagram = [magics[kind], &rest].concat();
        let _ = Datagram::parse(&mut datagram);
    }

    #[test]
    fn any_packet_survives_the_tunnel(packet in prop::collection::vec(any::<u8>(), 0..300), flip: usize) {
        let vectors = load();
        let (a, b) = (&vectors["sessions"][0]["a"], &vectors["sessions"][0]["b"]);
        let mut sender = tunnel(array(a, "x25519_private"), [1; 4], array(b, "x25519_public"));
        let mut receiver = tunnel(array(b, "x25519_private"), [2; 4], array(a, "x25519_public"));
        let mut frame = vec![0xA5; packet.len() + SEALED_OVERHEAD];
        prop_assert!(sender.seal(NOW, 1, &mut frame[..packet.len() + SEALED_OVERHEAD - 1], packet.len(), &RustCrypto).is_err());
        frame[SEALED_HEAD_LEN..][..packet.len()].copy_from_slice(&packet);
        prop_assert_eq!(sender.seal(NOW, 1, &mut frame, packet.len(), &RustCrypto), Ok(frame.len()));
        // Any change of sender, nonce, ciphertext or tag is noticed, and does not spoil the true frame.
        let bit = 32 + flip % ((frame.len() - 4) * 8);
        let mut forged = frame.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(&mut receiver, &mut forged), Err(OpenError::Forged));
        prop_assert_eq!(open(&mut receiver, &mut frame.clone()).unwrap(), packet);
        prop_assert!(matches!(open(&mut receiver, &mut frame), Err(OpenError::Replay(_))));
    }
}

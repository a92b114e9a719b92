//! Frames on the UDP socket (TUN-1, TUN-2, TUN-5, TUN-9).

use super::super::case::{Case, Cases, Expect};
use super::{TUNNEL, about, flipped, hex, list, slug, text, unhex, vectors, with};
use crate::live::case::Level;
use crate::live::wire::Frame;
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(TUNNEL);
    let mut cases = Cases::new("frame");
    sealed(&mut cases, &golden);
    exchanges(&mut cases, &golden);
    bare(&mut cases);
    magic(&mut cases);
    genuine(&mut cases, &golden);
    cases.all
}

/// What an adapter tells of a frame.
fn members(frame: &Frame) -> Option<Value> {
    Some(match frame {
        Frame::Plain(packet) => json!({"kind": "PILT", "packet": hex(packet)}),
        Frame::Sealed { sender, nonce, body } => {
            let counter = nonce[4..].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            json!({
                "kind": "PILS", "sender": sender, "prefix": hex(&nonce[..4]), "counter": counter.to_string(),
                "body": hex(body),
            })
        }
        Frame::Anonymous { sender, x25519 } => {
            json!({"kind": "PILK", "sender": sender, "x25519": hex(x25519)})
        }
        Frame::Exchange { sender, x25519, ed25519, signature } => json!({
            "kind": "PILA", "sender": sender, "x25519": hex(x25519), "ed25519": hex(ed25519),
            "signature": hex(signature),
        }),
        Frame::Punch => json!({"kind": "PILP"}),
        Frame::Beacon(_) => json!({"kind": "beacon"}),
        Frame::Unknown(_) => return None,
    })
}

/// Decoding and encoding of one frame, and that it is refused at each shorter length.
fn both_ways(cases: &mut Cases, name: &str, bytes: &[u8], shortest: usize) {
    let Some(members) = members(&Frame::decode(bytes)) else { return };
    let rule = "a frame is read by its first four bytes";
    let expect = Expect::Result(members.clone());
    cases.must(&format!("decode/{name}"), "TUN-1", rule, about("decode-frame", bytes), expect);
    let rule = "a frame is written byte for byte";
    let expect = Expect::Result(json!({"hex": hex(bytes)}));
    cases.must(&format!("encode/{name}"), "TUN-1", rule, with("encode-frame", &members), expect);
    for length in 0..shortest {
        let rule = "a frame shorter than its kind demands is ignored";
        let question = about("decode-frame", &bytes[..length]);
        cases.must(&format!("refuse/{name}-cut-at-{length:03}"), "TUN-1", rule, question, Expect::Refusal);
    }
}

fn sealed(cases: &mut Cases, golden: &Value) {
    for (session, vectors) in list(&golden["sessions"]).iter().enumerate() {
        for (number, vector) in list(&vectors["frames"]).iter().enumerate() {
            let name = format!("sealed-{session}-{}", slug(text(&vector["name"])));
            let shortest = if session + number == 0 { 36 } else { 0 };
            both_ways(cases, &name, &unhex(&vector["frame"]), shortest);
        }
    }
}

fn exchanges(cases: &mut Cases, golden: &Value) {
    for (list_name, name, shortest) in [("pila", "exchange", 136), ("pilk", "anonymous", 40)] {
        for (number, vector) in list(&golden[list_name]).iter().enumerate() {
            let bytes = unhex(&vector["frame"]);
            both_ways(cases, &format!("{name}-{number}"), &bytes, if number == 0 { shortest } else { 0 });
            let Some(members) = members(&Frame::decode(&bytes)) else { continue };
            for extra in [1, 4, 100] {
                let rule = "bytes after the fixed part are ignored";
                let longer = [bytes.clone(), vec![0x5A; extra]].concat();
                let id = format!("decode/{name}-{number}-and-{extra}-more");
                cases.must(
                    &id,
                    "TUN-2",
                    rule,
                    about("decode-frame", &longer),
                    Expect::Result(members.clone()),
                );
            }
        }
    }
}

fn bare(cases: &mut Cases) {
    both_ways(cases, "punch", b"PILP", 4);
    let rule = "bytes after the magic of a punch are ignored";
    let expect = || Expect::Result(json!({"kind": "PILP"}));
    cases.must("decode/punch-with-node", "TUN-2", rule, about("decode-frame", b"PILP\0\0\0\x07"), expect());
    let packet = crate::live::wire::Packet::new(2, 1, 2).ports(9, 10).payload(*b"plain").encode();
    both_ways(cases, "plain", &[b"PILT", packet.as_slice()].concat(), 4);
}

/// Every first byte, and every bit of each magic.
fn magic(cases: &mut Cases) {
    let after = [0x11; 140];
    for first in 0x10..=0xFFu8 {
        let bytes = [&[first], &b"ILS"[..], &after].concat();
        if first == b'P' {
            continue;
        }
        let rule = "what is neither a beacon message nor a known frame is ignored";
        let id = format!("refuse/first-byte-{first:02x}");
        cases.must(&id, "TUN-1", rule, about("decode-frame", &bytes), Expect::Refusal);
    }
    for magic in [b"PILT", b"PILS", b"PILK", b"PILA", b"PILP"] {
        for bit in 0..32 {
            let bytes = flipped(&[magic.as_slice(), &after].concat(), bit);
            let name = String::from_utf8_lossy(magic).to_lowercase();
            let question = about("decode-frame", &bytes);
            match members(&Frame::decode(&bytes)) {
                None if &bytes[..4] == b"PILC" => {
                    let rule = "a sealed frame of the other cipher is for those that know it";
                    let id = format!("decode/{name}-bit-{bit:02}");
                    cases.must(&id, "EXT-8", rule, question, Expect::Either(json!({"kind": "PILC"})));
                }
                None => {
                    let rule = "a magic with one wrong bit is no magic";
                    cases.must(
                        &format!("refuse/{name}-bit-{bit:02}"),
                        "TUN-1",
                        rule,
                        question,
                        Expect::Refusal,
                    );
                }
                Some(members) => {
                    let rule = "a magic that becomes another is that frame";
                    let kind = json!({"kind": members["kind"]});
                    // A codec may read the packet at once, and this is none.
                    let plain = members["kind"] == "PILT";
                    let expect = if plain { Expect::Either(kind) } else { Expect::Result(kind) };
                    cases.must(&format!("decode/{name}-bit-{bit:02}"), "TUN-1", rule, question, expect);
                }
            }
        }
    }
    for (name, message) in [
        ("register", &b"\x01\0\0\0\x05"[..]),
        ("address", b"\x02\x04\xCB\0\x71\x07\x0F\xA0"),
        ("punch", b"\x04\x04\xCB\0\x71\x07\x0F\xA0"),
        ("delivery", b"\x06\0\0\0\x05PILP"),
        ("wake", b"\x0A\x01"),
    ] {
        let rule = "a datagram whose first byte is below 0x10 is a beacon message";
        let expect = Expect::Result(json!({"kind": "beacon"}));
        cases.must(&format!("decode/beacon-{name}"), "TUN-1", rule, about("decode-frame", message), expect);
    }
}

/// Whether an exchange is genuine, as far as key and signature tell.
fn genuine(cases: &mut Cases, golden: &Value) {
    for (number, vector) in list(&golden["pila"]).iter().enumerate() {
        let question = json!({
            "op": "sign-exchange", "seed": vector["ed25519_seed"], "node": vector["node"],
            "x25519": vector["x25519_public"],
        });
        let rule = "the signature covers \"auth\", the sender node and the X25519 key";
        let expect = Expect::Result(json!({"hex": vector["frame"]}));
        cases.must(&format!("sign/exchange-{number}"), "TUN-5", rule, question, expect);
    }
    // The registry knows these keys for nodes 1 and 2.
    let known = |node: u64| {
        let number = usize::try_from(node).ok()?.checked_sub(1)?;
        golden["pila"].get(number).filter(|_| node <= 2).map(|vector| vector["ed25519_public"].clone())
    };
    for vector in list(&golden["pila_receive"]) {
        let name = slug(text(&vector["name"]));
        let bytes = unhex(&vector["frame"]);
        let node = bytes.get(4..8).map_or(0, |b| b.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        let Some(key) = known(node) else { continue };
        if text(&vector["reason"]) == "weak_x25519" {
            // Told by `derive`, which has cases of its own.
            continue;
        }
        let question = json!({"op": "verify-exchange", "hex": hex(&bytes), "ed25519": key});
        let accepted = vector["accepted"] == true;
        let expect = if accepted { Expect::Result(json!({})) } else { Expect::Refusal };
        let rule = "an exchange needs the key known for its node and a valid signature";
        cases.must(&format!("verify/{name}"), "TUN-9", rule, question, expect);
    }
    let Some(first) = golden["pila"].get(0) else { return };
    let whole = unhex(&first["frame"]);
    // Node, X25519 key, Ed25519 key, signature: one bit in every byte of each.
    for at in 4..whole.len() {
        let bytes = flipped(&whole, 8 * at + at % 8);
        let question =
            json!({"op": "verify-exchange", "hex": hex(&bytes), "ed25519": first["ed25519_public"]});
        let rule = "nothing in an exchange can be changed";
        let id = format!("verify/changed-byte-{at:03}");
        cases.add(Level::Must, &id, "TUN-9", rule, question, Expect::Refusal);
    }
}

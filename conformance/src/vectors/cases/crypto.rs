//! Keys, sealing and signatures (TUN-5 to TUN-7, TRU-5).

use super::super::case::{Case, Cases, Expect};
use super::{TRUST, TUNNEL, VERSIONS, flipped, hex, list, pattern, slug, text, unhex, vectors};
use crate::live::wire::{Frame, Key};
use serde_json::{Value, json};
use x25519_dalek::{PublicKey, StaticSecret};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(TUNNEL);
    let mut cases = Cases::new("crypto");
    derive(&mut cases, &golden);
    nonce(&mut cases);
    seal(&mut cases, &golden);
    open(&mut cases, &golden);
    sign(&mut cases);
    verify(&mut cases);
    cases.all
}

fn derive(cases: &mut Cases, golden: &Value) {
    let rule = "the key is HKDF-SHA256 of the X25519 secret with the info pilot-tunnel-v1 and no salt";
    for (number, session) in list(&golden["sessions"]).iter().enumerate() {
        for (own, peer) in [("a", "b"), ("b", "a")] {
            let question = json!({
                "op": "derive", "private": session[own]["x25519_private"], "peer": session[peer]["x25519_public"],
            });
            let expect = Expect::Result(json!({
                "public": session[own]["x25519_public"], "shared": session["shared_secret"],
                "key": session["aes_key"],
            }));
            cases.must(&format!("derive/session-{number}-{own}"), "TUN-6", rule, question, expect);
        }
    }
    let secret = |seed: u8| {
        StaticSecret::from(std::array::from_fn::<u8, 32, _>(|i| {
            seed.wrapping_mul(31).wrapping_add(i as u8 * 7)
        }))
    };
    for seed in 1..=12 {
        let (own, peer) = (secret(seed), PublicKey::from(&secret(seed + 100)));
        let shared = own.diffie_hellman(&peer);
        let mut key = [0; 32];
        let derivation = hkdf::Hkdf::<sha2::Sha256>::new(None, shared.as_bytes());
        derivation.expand(b"pilot-tunnel-v1", &mut key).expect("32 bytes are a length HKDF has");
        let question = json!({"op": "derive", "private": hex(own.as_bytes()), "peer": hex(peer.as_bytes())});
        let expect = Expect::Result(json!({
            "public": hex(PublicKey::from(&own).as_bytes()), "shared": hex(shared.as_bytes()), "key": hex(&key),
        }));
        cases.must(&format!("derive/pair-{seed:02}"), "TUN-6", rule, question, expect);
    }
    let Some(session) = golden["sessions"].get(0) else { return };
    let mut peer = unhex(&session["b"]["x25519_public"]);
    peer[31] |= 0x80;
    let question = json!({"op": "derive", "private": session["a"]["x25519_private"], "peer": hex(&peer)});
    let expect = Expect::Result(json!({"shared": session["shared_secret"], "key": session["aes_key"]}));
    let rule = "the top bit of an X25519 key counts for nothing (RFC 7748)";
    cases.must("derive/top-bit", "TUN-6", rule, question, expect);
    for (number, point) in LOW_ORDER.iter().enumerate() {
        for top in [0, 0x80] {
            let mut peer = unhex(&json!(point));
            peer[31] |= top;
            let question =
                json!({"op": "derive", "private": session["a"]["x25519_private"], "peer": hex(&peer)});
            let rule = "an all-zero shared secret is refused";
            let id = format!("derive/refuse-low-order-{number}{}", if top > 0 { "-top-bit" } else { "" });
            cases.must(&id, "TUN-6", rule, question, Expect::Refusal);
        }
    }
}

/// The points of small order on Curve25519 and their other spellings below 2^255.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

fn nonce(cases: &mut Cases) {
    for counter in [0, 1, 0x0102_0304_0506_0708, u64::from(u32::MAX), 1 << 32, (1 << 53) + 1, u64::MAX] {
        let question = json!({"op": "nonce", "prefix": "a1a2a3a4", "counter": counter.to_string()});
        let expect = Expect::Result(json!({"hex": format!("a1a2a3a4{counter:016x}")}));
        let rule = "a nonce is the prefix and the counter, big-endian";
        cases.must(&format!("nonce/{counter}"), "TUN-7", rule, question, expect);
    }
}

fn seal_question(key: &Value, sender: u32, prefix: &[u8], counter: u64, plain: &[u8]) -> Value {
    json!({
        "op": "seal", "key": key, "sender": sender, "prefix": hex(prefix), "counter": counter.to_string(),
        "plaintext": hex(plain),
    })
}

fn seal(cases: &mut Cases, golden: &Value) {
    let rule = "AES-256-GCM under the key of the pair, with the sender node as associated data";
    let mut add =
        |id: String, key: &Value, sender: u32, prefix: &[u8], counter: u64, plain: &[u8], frame: &[u8]| {
            let question = seal_question(key, sender, prefix, counter, plain);
            let expect = Expect::Result(json!({"hex": hex(frame)}));
            cases.must(&format!("seal/{id}"), "TUN-6", rule, question, expect);
            let question = json!({"op": "open", "key": key, "hex": hex(frame)});
            let expect = Expect::Result(json!({
                "sender": sender, "counter": counter.to_string(), "plaintext": hex(plain),
            }));
            cases.must(&format!("open/{id}"), "TUN-6", rule, question, expect);
        };
    for (number, session) in list(&golden["sessions"]).iter().enumerate() {
        for vector in list(&session["frames"]) {
            let sender = vector["from"].as_u64().unwrap_or_default() as u32;
            let counter = text(&vector["counter"]).parse().unwrap_or_default();
            let id = format!("session-{number}-{}", slug(text(&vector["name"])));
            let (prefix, plain) = (unhex(&vector["prefix"]), unhex(&vector["inner"]));
            add(id, &session["aes_key"], sender, &prefix, counter, &plain, &unhex(&vector["frame"]));
        }
    }
    let key: [u8; 32] = std::array::from_fn(|i| i as u8 ^ 0x5A);
    let own = Key::given(&key);
    for length in [0, 1, 15, 16, 17, 31, 32, 33, 34, 1152, 1400, 4096] {
        let (plain, prefix) = (pattern(length), [9, 8, 7, 6]);
        let frame = own.seal(0x0102_0304, prefix, 77, &plain);
        add(format!("length-{length}"), &hex(&key).into(), 0x0102_0304, &prefix, 77, &plain, &frame);
    }
    for counter in [1, u64::from(u32::MAX), 1 << 32, (1 << 53) + 1, u64::MAX - 1] {
        let (plain, prefix) = (pattern(40), [0, 0, 0, 1]);
        let frame = own.seal(u32::MAX, prefix, counter, &plain);
        add(format!("counter-{counter}"), &hex(&key).into(), u32::MAX, &prefix, counter, &plain, &frame);
    }
}

fn open(cases: &mut Cases, golden: &Value) {
    let Some(session) = golden["sessions"].get(0) else { return };
    let key = &session["aes_key"];
    let Ok(bytes) = <[u8; 32]>::try_from(unhex(key)) else { return };
    let own = Key::given(&bytes);
    let question = |frame: &[u8]| json!({"op": "open", "key": key, "hex": hex(frame)});
    for vector in list(&golden["pils_receive"]) {
        let frame = unhex(&vector["frame"]);
        let id = format!("open/received-{}", slug(text(&vector["name"])));
        let opened = match Frame::decode(&frame) {
            Frame::Sealed { sender, nonce, body } => {
                own.open(sender, &nonce, &body).map(|plain| (sender, plain))
            }
            _ => None,
        };
        let (rule, expect) = match opened {
            Some((sender, plain)) => (
                "what was sealed by the rules opens",
                Expect::Result(json!({"sender": sender, "plaintext": hex(&plain)})),
            ),
            None => ("a frame that is not as it was sealed does not open", Expect::Refusal),
        };
        cases.must(&id, "TUN-16", rule, question(&frame), expect);
    }
    let Some(first) = session["frames"].get(2) else { return };
    let whole = unhex(&first["frame"]);
    for at in 0..whole.len() {
        let rule = "no byte of a sealed frame can be changed, its magic, sender and nonce included";
        let id = format!("open/changed-byte-{at:02}");
        cases.must(&id, "TUN-16", rule, question(&flipped(&whole, 8 * at + at % 8)), Expect::Refusal);
        let rule = "a sealed frame that was cut does not open";
        let id = format!("open/cut-at-{at:02}");
        cases.must(&id, "TUN-16", rule, question(&whole[..at]), Expect::Refusal);
    }
    for extra in [1, 16] {
        let longer = [whole.clone(), vec![0; extra]].concat();
        let rule = "bytes after a sealed frame count as its tag";
        cases.must(&format!("open/{extra}-more"), "TUN-16", rule, question(&longer), Expect::Refusal);
    }
    let mut other = bytes;
    other[0] ^= 1;
    let rule = "a frame opens under its own key only";
    let question = json!({"op": "open", "key": hex(&other), "hex": hex(&whole)});
    cases.must("open/other-key", "TUN-16", rule, question, Expect::Refusal);
}

/// Seed, public key, message and signature, of which the last two are text and hex.
fn signed() -> Vec<(String, String, String, Vec<u8>, String)> {
    let trust = vectors(TRUST);
    let mut all = Vec::new();
    let key_of = |node: &Value| list(&trust["keys"]).iter().find(|key| key["node_id"] == *node);
    for (number, vector) in list(&trust["signatures"]).iter().enumerate() {
        let Some(key) = key_of(&vector["signer_node"]) else { continue };
        all.push((
            format!("trust-{number:02}"),
            text(&key["seed_hex"]).into(),
            text(&key["public_key_hex"]).into(),
            text(&vector["string"]).as_bytes().to_vec(),
            text(&vector["signature_hex"]).into(),
        ));
    }
    let versions = vectors(VERSIONS);
    for (number, vector) in list(&versions["signatures"]["list"]).iter().enumerate() {
        let Some(key) = key_of(&vector["key"]) else { continue };
        let Ok(signature) = decode_base64(text(&vector["signature_b64"])) else { continue };
        all.push((
            format!("versions-{number:02}"),
            text(&key["seed_hex"]).into(),
            text(&key["public_key_hex"]).into(),
            text(&vector["signed_text"]).as_bytes().to_vec(),
            hex(&signature),
        ));
    }
    for (number, (seed, public, message, signature)) in RFC_8032.iter().enumerate() {
        let message = unhex(&json!(message));
        all.push((
            format!("rfc8032-{}", number + 1),
            seed.to_string(),
            public.to_string(),
            message,
            signature.to_string(),
        ));
    }
    all
}

fn decode_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text)
}

/// RFC 8032, 7.1, tests 1 and 2.
const RFC_8032: [(&str, &str, &str, &str); 2] = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
];

fn verify_question(public: &str, message: &[u8], signature: &str) -> Value {
    json!({"op": "verify", "public": public, "message": hex(message), "signature": signature})
}

fn sign(cases: &mut Cases) {
    for (id, seed, public, message, signature) in signed() {
        let question = json!({"op": "sign", "seed": seed, "message": hex(&message)});
        let expect = Expect::Result(json!({"public": public, "signature": signature}));
        let rule = "signatures are Ed25519 (RFC 8032), which is deterministic";
        cases.must(&format!("sign/{id}"), "REG-5", rule, question, expect);
        let rule = "a genuine signature is accepted";
        let question = verify_question(&public, &message, &signature);
        cases.must(&format!("verify/{id}"), "REG-5", rule, question, Expect::Result(json!({})));
    }
}

fn verify(cases: &mut Cases) {
    let signed = signed();
    let Some((_, _, public, message, signature)) = signed.first() else { return };
    let bytes = unhex(&json!(signature));
    let rule = "a signature with one wrong bit is refused";
    for at in 0..64 {
        let question = verify_question(public, message, &hex(&flipped(&bytes, 8 * at + at % 8)));
        cases.must(&format!("verify/changed-byte-{at:02}"), "REG-5", rule, question, Expect::Refusal);
    }
    for at in 0..message.len() {
        let rule = "a signature of another text is refused";
        let question = verify_question(public, &flipped(message, 8 * at), signature);
        cases.must(&format!("verify/changed-text-{at:02}"), "REG-5", rule, question, Expect::Refusal);
    }
    for length in [0, 32, 63, 65] {
        let mut other = bytes.clone();
        other.resize(length, 0);
        let rule = "a signature has 64 bytes";
        let question = verify_question(public, message, &hex(&other));
        cases.must(&format!("verify/length-{length}"), "REG-5", rule, question, Expect::Refusal);
    }
    if let Some((_, _, other, ..)) = signed.iter().find(|(_, _, other, ..)| other != public) {
        let rule = "a signature by another key is refused";
        cases.must(
            "verify/other-key",
            "REG-5",
            rule,
            verify_question(other, message, signature),
            Expect::Refusal,
        );
    }
    let rule = "the second half of a signature is below the order of the group (RFC 8032, 5.1.7)";
    let question = verify_question(public, message, &hex(&plus_order(&bytes)));
    cases.should("verify/malleable", "REG-5", rule, question, Expect::Refusal);
    // With a key of small order one signature fits every text.
    let mut anything = vec![0; 64];
    anything[0] = 1;
    for (number, key) in ["01", "00"].into_iter().enumerate() {
        let key = format!("{key}{}", "00".repeat(31));
        let rule = "a key of small order signs nothing";
        let question = verify_question(&key, message, &hex(&anything));
        cases.should(&format!("verify/small-order-key-{number}"), "REG-5", rule, question, Expect::Refusal);
    }
}

/// The signature with the order of the group added to its second half.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order = unhex(&json!("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"));
    let mut changed = signature.to_vec();
    let mut carry = 0;
    for (byte, add) in changed[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    changed
}

//! Operations about what nodes of this implementation agree on beyond the releases.

use super::answers::written;
use super::question::{Failure, Outcome, Question, hex, refused};
use pilot_proto::crypto::{AeadKey, Crypto, Ed25519Seed, RustCrypto, X25519Secret};
use pilot_proto::wire::extension::{Capabilities, Message, Signed, Statement, Withdrawn, session_name_input};
use pilot_proto::wire::frame::{self, Frame, Nonce, Suite};
use serde_json::{Value, json};

/// What the key of the other cipher is bound to (EXT-8).
const INFO: &[u8] = b"pilot-tunnel-chacha20poly1305-v1";

pub(crate) fn result(q: Question<'_>) -> Outcome {
    match q.text("op") {
        "derive-chacha" => {
            let own = X25519Secret::from_bytes(q.array("private")?);
            let shared = RustCrypto.x25519(&own, &q.array("peer")?).map_err(|e| refused(format!("{e:?}")))?;
            Ok(json!({"key": hex(RustCrypto.hkdf_sha256(&shared, INFO).expose())}))
        }
        "seal-chacha" => {
            let nonce = Nonce { prefix: q.array("prefix")?, counter: q.number("counter") };
            let sender: u32 = q.number("sender");
            let (key, mut body) = (AeadKey::from_bytes(q.array("key")?), q.bytes("plaintext"));
            let aad = sender.to_be_bytes();
            let tag = RustCrypto.chacha_seal_in_place(&key, &nonce.to_bytes(), &aad, &mut body);
            let mut bytes = frame::sealed_head(Suite::ChaCha20Poly1305, sender, nonce).to_vec();
            bytes.extend(body);
            bytes.extend(tag.map_err(|e| refused(format!("{e:?}")))?);
            Ok(json!({"hex": hex(&bytes)}))
        }
        "open-chacha" => open(&q.array("key")?, &mut q.bytes("hex")),
        "name-session" => {
            let input = session_name_input(&q.array("sender_key")?, &q.array("receiver_key")?);
            Ok(json!({"hex": hex(&RustCrypto.sha256(&input)[..8])}))
        }
        "sign-statement" => signed(q, |message| {
            let seed = Ed25519Seed::from_bytes(q.array("seed")?);
            Ok(json!({"signature": hex(&RustCrypto.ed25519_sign(&seed, message))}))
        }),
        "verify-statement" => signed(q, |message| {
            let genuine = RustCrypto.ed25519_verify(&q.array("public")?, message, &q.array("signature")?);
            genuine.map(|()| json!({})).map_err(|e| refused(format!("{e:?}")))
        }),
        "decode-extension" => Message::parse(&q.bytes("hex")).map(tell).map_err(refused),
        "encode-extension" => {
            let list = if q.0["list"].is_string() { q.bytes("list") } else { Vec::new() };
            let message = match q.text("kind") {
                "statement" => Message::Statement { list: &list, signature: q.array("signature")? },
                "received" => Message::Received,
                "probe" => Message::Probe { number: q.number("number") },
                "probe-received" => Message::ProbeReceived { number: q.number("number") },
                "renewal" => Message::Renewal,
                other => panic!("kind {other:?}"),
            };
            written(|out| message.emit(out))
        }
        "decode-statement" => {
            let statement = Statement::parse(&q.bytes("hex")).map_err(refused)?;
            let withdrawn = statement.withdrawn.iter();
            let withdrawn: Vec<Value> =
                withdrawn.map(|w| json!({"session": hex(&w.session), "last": w.last.to_string()})).collect();
            let can = statement.capabilities;
            Ok(json!({
                "opens_chacha": can.opens_chacha, "asks_for_chacha": can.asks_for_chacha,
                "largest_segment": can.largest_segment, "renewals": can.renewals, "withdrawn": withdrawn,
            }))
        }
        "encode-statement" => {
            let mut statement = Statement {
                capabilities: Capabilities {
                    opens_chacha: q.0["opens_chacha"] == true,
                    asks_for_chacha: q.0["asks_for_chacha"] == true,
                    largest_segment: q.number("largest_segment"),
                    renewals: q.0["renewals"] == true,
                },
                ..Statement::default()
            };
            for withdrawn in q.list("withdrawn").iter().map(Question) {
                let named =
                    Withdrawn { session: withdrawn.array("session")?, last: withdrawn.number("last") };
                statement.withdrawn.push(named).map_err(|_| refused("more than three withdrawals"))?;
            }
            written(|out| statement.emit(out))
        }
        _ => Err(Failure::Unsupported),
    }
}

fn open(key: &[u8; 32], bytes: &mut [u8]) -> Outcome {
    let Ok(Frame::Sealed(sealed)) = Frame::parse(bytes) else { return Err(refused("no sealed frame")) };
    if sealed.suite != Suite::ChaCha20Poly1305 {
        return Err(refused("another cipher"));
    }
    let (aad, nonce) = (sealed.aad(), sealed.nonce);
    let Some((body, tag)) = sealed.body.split_last_chunk_mut() else { return Err(refused("too_short")) };
    let key = AeadKey::from_bytes(*key);
    let opened = RustCrypto.chacha_open_in_place(&key, &nonce.to_bytes(), &aad, body, tag);
    opened.map_err(|e| refused(format!("{e:?}")))?;
    Ok(json!({"sender": sealed.sender, "counter": nonce.counter.to_string(), "plaintext": hex(body)}))
}

/// Hands over what the signature of a statement covers.
fn signed(q: Question<'_>, then: impl FnOnce(&[u8]) -> Outcome) -> Outcome {
    let list = q.bytes("list");
    let signed = Signed {
        sender_key: &q.array("sender_key")?,
        receiver_key: &q.array("receiver_key")?,
        sender: q.number("sender"),
        receiver: q.number("receiver"),
        list: &list,
    };
    then(&signed.message().ok_or(refused("list"))?)
}

fn tell(message: Message<'_>) -> Value {
    match message {
        Message::Statement { list, signature } => {
            json!({"kind": "statement", "list": hex(list), "signature": hex(&signature)})
        }
        Message::Received => json!({"kind": "received"}),
        Message::Probe { number } => json!({"kind": "probe", "number": number}),
        Message::ProbeReceived { number } => json!({"kind": "probe-received", "number": number}),
        Message::Renewal => json!({"kind": "renewal"}),
    }
}

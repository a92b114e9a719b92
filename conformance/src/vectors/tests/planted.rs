//! Errors that people make when they implement the protocol, each planted in an adapter that is otherwise right.

use super::answers::answer;
use super::question::hex;
use crate::live::wire::crc32;
use crate::vectors::cases::unhex;
use serde_json::{Value, json};

/// What it is, the operation it is in, and the adapter.
type Planted = (&'static str, &'static str, fn(&Value) -> Value);

/// Every operation has at least one.
pub(super) const ERRORS: &[Planted] = &[
    ("an error in place of unsupported", "no-such-operation", |_| json!({"error": "unknown operation"})),
    ("the node read little-endian", "decode-address", |q| changed(q, |r| r["node"] = swapped(&r["node"]))),
    ("the node written little-endian", "encode-address", |q| {
        let mut question = q.clone();
        question["node"] = swapped(&q["node"]);
        answer(&question)
    }),
    ("small hexadecimal letters", "format-address", |q| {
        changed(q, |r| r["text"] = text(&r["text"]).to_lowercase().into())
    }),
    ("broadcast on network 65535 only", "classify-address", |q| {
        changed(q, |r| r["broadcast"] = (q["network"] == 65_535 && q["node"] == u32::MAX).into())
    }),
    ("unspecified by the node alone", "classify-address", |q| {
        changed(q, |r| r["unspecified"] = (q["node"] == 0).into())
    }),
    ("white space trimmed", "parse-address", |q| with_text(q, |t| t.trim().into())),
    ("a sign in front accepted", "parse-address", |q| with_text(q, |t| t.trim_start_matches('+').into())),
    ("digits of other scripts accepted", "parse-address", |q| with_text(q, |t| t.replace('١', "1"))),
    ("decimal and hexadecimal network not compared", "parse-address", |q| {
        let mut text = text(&q["text"]).to_string();
        if let Some((_, right)) = text.split_once(':') {
            let network = right.get(..4).and_then(|digits| u16::from_str_radix(digits, 16).ok());
            text = format!("{}:{right}", network.unwrap_or_default());
        }
        answer(&json!({"op": "parse-address", "text": text}))
    }),
    ("groups of any length", "parse-address", |q| {
        with_text(q, |t| match t.split_once(':') {
            Some((left, right)) => {
                let groups: Vec<String> = right.split('.').map(|group| format!("{group:0>4}")).collect();
                format!("{left}:{}", groups.join("."))
            }
            None => t.into(),
        })
    }),
    ("the port cut to 16 bits", "parse-socket-address", |q| {
        with_text(q, |t| match t.rsplit_once(':').map(|(left, port)| (left, port.parse::<u128>())) {
            Some((left, Ok(port))) => format!("{left}:{}", port & 0xFFFF),
            _ => t.into(),
        })
    }),
    ("port 0 left out", "format-socket-address", |q| {
        changed(q, |r| r["text"] = text(&r["text"]).trim_end_matches(":0").into())
    }),
    ("the checksum not checked", "decode-packet", |q| with_bytes(q, "hex", summed)),
    ("the version not checked", "decode-packet", |q| {
        with_bytes(q, "hex", |b| {
            let right = b.len() >= 34 && summed(b.clone()) == b;
            let mut b = b;
            if right {
                b[0] = 0x10 | b[0] & 15;
                return summed(b);
            }
            b
        })
    }),
    ("bytes after the payload taken for payload", "decode-packet", |q| {
        let bytes = unhex(&q["hex"]);
        changed(q, |r| r["payload"] = hex(&bytes[34..]).into())
    }),
    ("bytes after the payload refused", "decode-packet", |q| {
        let bytes = unhex(&q["hex"]);
        let length = bytes.get(2..4).map_or(0, |b| usize::from(b[0]) << 8 | usize::from(b[1]));
        if bytes.len() > 34 + length { json!({"error": "truncated"}) } else { answer(q) }
    }),
    ("sequence and acknowledgment exchanged", "decode-packet", |q| {
        changed(q, |r| {
            let sequence = r["sequence"].clone();
            r["sequence"] = r["acknowledgment"].clone();
            r["acknowledgment"] = sequence;
        })
    }),
    ("only the flags SYN, ACK and FIN known", "decode-packet", |q| {
        changed(q, |r| r["flags"] = (r["flags"].as_u64().unwrap_or_default() & 7).into())
    }),
    ("the checksum written little-endian", "encode-packet", |q| result_bytes(q, |b| b[30..34].reverse())),
    ("the checksum over the header only", "encode-packet", |q| {
        result_bytes(q, |b| {
            let mut head = b[..34].to_vec();
            head[30..].fill(0);
            b[30..34].copy_from_slice(&crc32(&head).to_be_bytes());
        })
    }),
    ("the length cut to 16 bits", "encode-packet", |q| {
        let mut question = q.clone();
        let payload = text(&q["payload"]);
        question["payload"] = payload[..payload.len().min(2 * 65_535)].into();
        answer(&question)
    }),
    ("a count of none accepted", "decode-sack", |q| {
        if text(&q["hex"]).starts_with("5341434b00") { json!({"result": {"ranges": []}}) } else { answer(q) }
    }),
    ("a count above four accepted", "decode-sack", |q| {
        with_bytes(q, "hex", |mut b| {
            if let Some(count) = b.get_mut(4) {
                *count = if *count > 4 { 4 } else { *count };
            }
            b
        })
    }),
    ("a list that is cut short filled up", "decode-sack", |q| {
        with_bytes(q, "hex", |mut b| {
            b.resize(b.len() + 40, 0);
            b
        })
    }),
    ("more than four ranges written", "encode-sack", |q| {
        let ranges = q["ranges"].as_array().map_or(0, Vec::len);
        result_bytes(q, |b| {
            if ranges > 4 {
                b[4] = ranges as u8
            }
        })
    }),
    ("first and after exchanged", "encode-sack", |q| {
        result_bytes(q, |b| {
            if b.len() > 5 {
                b[5..13].rotate_left(4);
            }
        })
    }),
    ("bytes after a key exchange refused", "decode-frame", |q| {
        let bytes = unhex(&q["hex"]);
        if bytes.starts_with(b"PILA") && bytes.len() > 136 { json!({"error": "length"}) } else { answer(q) }
    }),
    ("a short exchange filled up", "decode-frame", |q| {
        with_bytes(q, "hex", |mut b| {
            if b.starts_with(b"PILA") {
                b.resize(b.len().max(136), 0);
            }
            b
        })
    }),
    ("magics told by their last letter", "decode-frame", |q| {
        with_bytes(q, "hex", |mut b| {
            if b.len() > 4 {
                b[..3].copy_from_slice(b"PIL");
            }
            b
        })
    }),
    ("the counter little-endian", "encode-frame", |q| {
        result_bytes(q, |b| {
            if b.starts_with(b"PILS") {
                b[12..20].reverse();
            }
        })
    }),
    ("auth: with a colon signed", "sign-exchange", |q| {
        let node = (q["node"].as_u64().unwrap_or_default() as u32).to_be_bytes();
        let message = hex(&[&b"auth:"[..], &node, &unhex(&q["x25519"])].concat());
        let signed = answer(&json!({"op": "sign", "seed": q["seed"], "message": message}));
        result_bytes(q, |b| b[72..].copy_from_slice(&unhex(&signed["result"]["signature"])))
    }),
    ("the key taken from the frame", "verify-exchange", |q| {
        let mut question = q.clone();
        question["ed25519"] = text(&q["hex"]).get(80..144).unwrap_or_default().into();
        answer(&question)
    }),
    ("the signature not checked", "verify-exchange", |q| {
        let own = text(&q["hex"]).get(80..144).unwrap_or_default() == q["ed25519"];
        if own { json!({"result": {}}) } else { json!({"error": "key"}) }
    }),
    ("keys of small order accepted", "derive", |q| accepting(q, json!({"shared": "00".repeat(32)}))),
    ("the secret used as the key", "derive", |q| changed(q, |r| r["key"] = r["shared"].clone())),
    ("the counter little-endian", "nonce", |q| result_bytes(q, |b| b[4..].reverse())),
    ("the counter cut to 32 bits", "nonce", |q| result_bytes(q, |b| b[4..8].fill(0))),
    ("no associated data", "seal", |q| {
        let mut question = q.clone();
        question["sender"] = 0.into();
        let mut given = answer(&question);
        let mut bytes = unhex(&given["result"]["hex"]);
        bytes[4..8].copy_from_slice(&(q["sender"].as_u64().unwrap_or_default() as u32).to_be_bytes());
        given["result"]["hex"] = hex(&bytes).into();
        given
    }),
    ("the tag in front", "seal", |q| result_bytes(q, |b| b[20..].rotate_right(16))),
    ("the tag not checked", "open", |q| accepting(q, json!({"plaintext": ""}))),
    ("the magic not checked", "open", |q| {
        with_bytes(q, "hex", |mut b| {
            if b.len() > 4 {
                b[..4].copy_from_slice(b"PILS");
            }
            b
        })
    }),
    ("one bit of the signature lost", "sign", |q| {
        changed(q, |r| r["signature"] = format!("{}0", &text(&r["signature"])[..127]).into())
    }),
    ("every signature accepted", "verify", |_| json!({"result": {}})),
    ("only the first half of a signature checked", "verify", |q| {
        let genuine = answer(q)["error"].is_null();
        let half = text(&q["signature"]).len() == 128;
        if genuine || half { json!({"result": {}}) } else { json!({"error": "signature"}) }
    }),
    ("receiver and sender exchanged", "sign-handshake", |q| {
        let mut question = q.clone();
        (question["sender"], question["receiver"]) = (q["receiver"].clone(), q["sender"].clone());
        answer(&question)
    }),
    ("a signature accepted in either direction", "verify-handshake", |q| {
        let mut question = q.clone();
        (question["sender"], question["receiver"]) = (q["receiver"].clone(), q["sender"].clone());
        let first = answer(q);
        if first["error"].is_null() { first } else { answer(&question) }
    }),
    ("what follows the object ignored", "decode-trust", |q| {
        with_bytes(q, "hex", |b| match b.iter().rposition(|byte| *byte == b'"') {
            Some(at) => {
                let end = b[at..].iter().position(|byte| *byte == b'}').map_or(b.len(), |end| at + end + 1);
                b[..end].to_vec()
            }
            None => b,
        })
    }),
    ("a node id in quotes accepted", "decode-trust", |q| {
        with_bytes(q, "hex", |b| {
            String::from_utf8_lossy(&b).replace("\"node_id\":\"7\"", "\"node_id\":7").into_bytes()
        })
    }),
    ("a message without a signature accepted", "decode-trust", |q| accepting(q, json!({}))),
    ("markup not escaped", "encode-trust", |q| {
        changed(q, |r| {
            let message = String::from_utf8_lossy(&unhex(&r["hex"])).replace("\\u003c", "<");
            r["hex"] = hex(message.as_bytes()).into();
        })
    }),
    ("a long text not cut", "encode-trust", |q| {
        let long = text(&q["justification"]).len() > 500;
        changed(q, |r| {
            if long {
                r["hex"] = format!("{}{}", text(&r["hex"]), "20".repeat(500)).into();
            }
        })
    }),
    ("missing bytes read as zero", "decode-ipc", |q| {
        with_bytes(q, "hex", |mut b| {
            if b.len() < 9 {
                b.resize(9, 0);
            }
            b
        })
    }),
    ("any byte but 0 is on", "decode-ipc", |q| {
        let (first, last) = (text(&q["hex"]).get(..2), text(&q["hex"]).get(2..));
        let switch = matches!(first, Some("15" | "1d"));
        changed(q, |r| {
            if switch && last != Some("00") {
                r["on"] = true.into();
            }
        })
    }),
    ("bytes after a fixed payload refused", "decode-ipc", |q| {
        let bytes = unhex(&q["hex"]);
        if matches!(bytes[..], [1, _, _, _, ..]) { json!({"error": "length"}) } else { answer(q) }
    }),
    ("off written as 2", "encode-ipc", |q| {
        result_bytes(q, |b| {
            if matches!(b[..], [0x15 | 0x1D, 1]) {
                b[1] = 2;
            }
        })
    }),
    ("ports little-endian", "encode-ipc", |q| {
        result_bytes(q, |b| {
            if matches!(b[..], [1 | 2, _, _]) {
                b[1..].reverse();
            }
        })
    }),
    ("bytes after a message refused", "decode-beacon", |q| {
        let bytes = unhex(&q["hex"]);
        if bytes.first() == Some(&1) && bytes.len() != 5 { json!({"error": "length"}) } else { answer(q) }
    }),
    ("an address of any length accepted", "decode-beacon", |q| accepting(q, json!({"kind": "your-address"}))),
    ("more nodes announced than there are", "decode-beacon", |q| {
        with_bytes(q, "hex", |mut b| {
            if b.first() == Some(&7) && b.len() >= 7 {
                let there = ((b.len() - 7) / 4) as u16;
                b[5..7].copy_from_slice(&there.to_be_bytes());
            }
            b
        })
    }),
    ("IPv4 written in sixteen bytes", "encode-beacon", |q| {
        result_bytes(q, |b| {
            if b.len() > 2 && matches!(b[..2], [2 | 4, 4]) {
                b[1] = 16;
                b.splice(2..2, [0; 10].into_iter().chain([0xFF; 2]));
            }
        })
    }),
    ("a window of 64", "replay-window", |q| {
        windowed(q, |seen, highest, c| c.saturating_add(64) > highest && !seen)
    }),
    ("only rising counters", "replay-window", |q| windowed(q, |_, highest, c| c > highest)),
    ("no window", "replay-window", |q| windowed(q, |_, _, _| true)),
    ("0 taken again and again", "replay-window", |q| {
        windowed(q, |seen, highest, c| !seen || c == 0 && highest == 0)
    }),
    ("forged frames move the window", "replay-window", |q| {
        let mut question = q.clone();
        for step in question["steps"].as_array_mut().into_iter().flatten() {
            step["authentic"] = true.into();
        }
        answer(&question)
    }),
    ("one window for all prefixes", "replay-window", |q| {
        let mut question = q.clone();
        for step in question["steps"].as_array_mut().into_iter().flatten() {
            step["prefix"] = "00000000".into();
        }
        answer(&question)
    }),
    ("a file whose name does not fit refused", "decode-data-exchange", |q| {
        let given = answer(q);
        let unnamed = given["result"]["frames"].as_array().is_some_and(|f| f.iter().any(|f| f["name"] == ""));
        if unnamed { json!({"error": "name"}) } else { given }
    }),
    ("no limit", "decode-data-exchange", |q| {
        let rest = text(&q["hex"]).len() / 2;
        accepting(q, json!({"frames": [], "rest": rest}))
    }),
    ("the length of a name cut to 16 bits", "encode-data-exchange", |q| accepting(q, json!({"hex": ""}))),
    ("length before type", "encode-data-exchange", |q| result_bytes(q, |b| b[..8].rotate_left(4))),
    ("no limit", "decode-event-stream", |q| {
        let rest = text(&q["hex"]).len() / 2;
        accepting(q, json!({"events": [], "rest": rest}))
    }),
    ("the length of a topic in four bytes", "encode-event", |q| {
        result_bytes(q, |b| drop(b.splice(..0, [0, 0])))
    }),
    ("a longer topic written", "encode-event", |q| accepting(q, json!({"hex": ""}))),
    ("any JSON accepted", "decode-registry", |q| accepting(q, json!({"messages": [], "rest": 0}))),
    ("65536 bytes refused", "decode-registry", |q| {
        if text(&q["hex"]).starts_with("00010000") { json!({"error": "length"}) } else { answer(q) }
    }),
    ("the length little-endian", "encode-registry", |q| result_bytes(q, |b| b[..4].reverse())),
    ("capital letters accepted", "check-hostname", |q| with_text(q, str::to_lowercase)),
    ("64 letters accepted", "check-hostname", |q| with_text(q, |t| t.chars().take(63).collect())),
    ("reserved names accepted", "check-hostname", |q| with_text(q, |t| format!("{t}0"))),
    ("the info of the other cipher", "derive-chacha", |q| {
        let mut question = q.clone();
        question["op"] = "derive".into();
        answer(&question)
    }),
    ("the magic of the other cipher", "seal-chacha", |q| result_bytes(q, |b| b[3] = b'S')),
    ("the tag not checked", "open-chacha", |q| accepting(q, json!({"plaintext": ""}))),
    ("the keys exchanged", "name-session", |q| {
        let mut question = q.clone();
        (question["sender_key"], question["receiver_key"]) =
            (q["receiver_key"].clone(), q["sender_key"].clone());
        answer(&question)
    }),
    ("the receiver not signed", "sign-statement", |q| {
        let mut question = q.clone();
        question["receiver"] = 0.into();
        answer(&question)
    }),
    ("the node ids not checked", "verify-statement", |q| {
        if q["sender"] == 77 || q["receiver"] == 77 { json!({"result": {}}) } else { answer(q) }
    }),
    ("the version not checked", "decode-extension", |q| {
        with_bytes(q, "hex", |mut b| {
            if let Some(version) = b.first_mut() {
                *version = 1;
            }
            b
        })
    }),
    ("the length of the list in one byte", "encode-extension", |q| {
        result_bytes(q, |b| {
            if b[1] == 1 {
                b.remove(2);
            }
        })
    }),
    ("a list that ends inside an item read so far", "decode-statement", |q| accepting(q, json!({}))),
    ("the bits of the ciphers exchanged", "encode-statement", |q| {
        let mut question = q.clone();
        question["asks_for_chacha"] = (q["asks_for_chacha"] != true && q["opens_chacha"] == true).into();
        answer(&question)
    }),
    ("bits that nobody knows refused", "decode-statement", |q| {
        if text(&q["hex"]) == "0101fd" { json!({"error": "bits"}) } else { answer(q) }
    }),
    ("one too many", "limit", |q| {
        changed(q, |r| r["value"] = (r["value"].as_u64().unwrap_or_default() + 1).into())
    }),
];

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The right answer with its result changed.
fn changed(question: &Value, change: impl FnOnce(&mut Value)) -> Value {
    let mut given = answer(question);
    if given["result"].is_object() {
        change(&mut given["result"]);
    }
    given
}

/// The right answer with the bytes of its result changed.
fn result_bytes(question: &Value, change: impl FnOnce(&mut Vec<u8>)) -> Value {
    changed(question, |result| {
        let mut bytes = unhex(&result["hex"]);
        change(&mut bytes);
        result["hex"] = hex(&bytes).into();
    })
}

/// The answer to other bytes.
fn with_bytes(question: &Value, name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Value {
    let mut other = question.clone();
    other[name] = hex(&change(unhex(&question[name]))).into();
    answer(&other)
}

/// The answer to another text.
fn with_text(question: &Value, change: impl FnOnce(&str) -> String) -> Value {
    let mut other = question.clone();
    other["text"] = change(text(&question["text"])).into();
    answer(&other)
}

/// The right answer, but `instead` for a refusal.
fn accepting(question: &Value, instead: Value) -> Value {
    let given = answer(question);
    if given["error"].is_null() { given } else { json!({"result": instead}) }
}

fn swapped(node: &Value) -> Value {
    (node.as_u64().unwrap_or_default() as u32).swap_bytes().into()
}

/// The packet with the checksum it should have.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.get(2..4).map_or(usize::MAX, |b| 34 + (usize::from(b[0]) << 8 | usize::from(b[1])));
    if bytes.len() >= end {
        bytes[30..34].fill(0);
        let sum = crc32(&bytes[..end]).to_be_bytes();
        bytes[30..34].copy_from_slice(&sum);
    }
    bytes
}

/// A window by a rule: whether the counter was seen, the highest, and the counter.
fn windowed(question: &Value, takes: impl Fn(bool, u64, u64) -> bool) -> Value {
    let (mut seen, mut highest) = (std::collections::BTreeSet::new(), 0);
    let steps = question["steps"].as_array().into_iter().flatten();
    let accepted: Vec<bool> = steps
        .map(|step| {
            let counter: u64 = text(&step["counter"]).parse().unwrap_or_default();
            let key = (text(&step["prefix"]).to_string(), counter);
            let taken = step["authentic"] == true && takes(seen.contains(&key), highest, counter);
            if taken {
                seen.insert(key);
                highest = highest.max(counter);
            }
            taken
        })
        .collect();
    json!({"result": {"accepted": accepted}})
}

//! Trust messages: the JSON of port 444 and its signature (TRU-2 to TRU-6).

use super::super::case::{Case, Cases, Expect};
use super::{TRUST, hex, list, slug, text, vectors, with};
use crate::live::case::{Grade, Outcome};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(TRUST);
    let mut cases = Cases::new("trust");
    signatures(&mut cases, &golden);
    decode(&mut cases, &golden);
    encode(&mut cases, &golden);
    cases.all
}

const KINDS: [&str; 4] = ["handshake_request", "handshake_accept", "handshake_reject", "handshake_revoke"];
/// Longest text that is kept (LIM-4), in bytes.
const TEXT: usize = 1024;
/// Longest message that is sent (TRU-4), in bytes.
const SENT: usize = 1152;

/// A message by TRU-3 and the first step of TRU-6: what an adapter tells of it, or why it is dropped.
fn read(message: &[u8]) -> Result<Value, String> {
    let Value::Object(given) = serde_json::from_slice(message).map_err(|e| e.to_string())? else {
        return Err("no object".into());
    };
    let mut members = Map::new();
    for (name, value) in given {
        members.insert(name.to_lowercase(), value);
    }
    let member = |name: &str| members.get(name).filter(|value| !value.is_null());
    let string = |name: &str| match member(name) {
        None => Ok(""),
        Some(value) => value.as_str().ok_or(format!("{name} is no text")),
    };
    let kind = string("type")?;
    if !KINDS.contains(&kind) {
        return Err(format!("type {kind:?}"));
    }
    let node = member("node_id").map_or(Some(0), Value::as_u64).and_then(|node| u32::try_from(node).ok());
    let time = member("timestamp").map_or(Some(0), Value::as_i64);
    for (name, length) in [("public_key", 32), ("signature", 64)] {
        let bytes = STANDARD.decode(string(name)?).map_err(|e| format!("{name}: {e}"))?;
        if bytes.len() != length {
            return Err(format!("{name} has {} bytes", bytes.len()));
        }
    }
    Ok(json!({
        "type": kind, "node_id": node.ok_or("node_id")?, "public_key": string("public_key")?,
        "justification": string("justification")?, "signature": string("signature")?,
        "reason": string("reason")?, "timestamp": time.ok_or("timestamp")?,
    }))
}

/// The message of the members, byte for byte (TRU-3).
fn write(members: &Value) -> String {
    let string = |name: &str| {
        let mut quoted = members[name].to_string();
        for (plain, escape) in [
            ("<", "\\u003c"),
            (">", "\\u003e"),
            ("&", "\\u0026"),
            ("\u{2028}", "\\u2028"),
            ("\u{2029}", "\\u2029"),
        ] {
            quoted = quoted.replace(plain, escape);
        }
        quoted
    };
    let names = ["type", "node_id", "public_key", "justification", "signature", "reason", "timestamp"];
    let written: Vec<String> = names.iter().map(|name| format!("\"{name}\":{}", string(name))).collect();
    format!("{{{}}}", written.join(","))
}

fn question(message: &[u8]) -> Value {
    json!({"op": "decode-trust", "hex": hex(message)})
}

fn signatures(cases: &mut Cases, golden: &Value) {
    for (number, vector) in list(&golden["signatures"]).iter().enumerate() {
        let words: Vec<&str> = text(&vector["string"]).split(':').collect();
        let ["handshake", from, to] = words[..] else { continue };
        let Some(key) = list(&golden["keys"]).iter().find(|key| key["node_id"] == vector["signer_node"])
        else {
            continue;
        };
        let ids: Vec<u64> = [from, to].iter().filter_map(|id| id.parse().ok()).collect();
        let fields = json!({"sender": ids[0], "receiver": ids[1]});
        let mut asked = with("sign-handshake", &fields);
        asked["seed"] = key["seed_hex"].clone();
        let rule = "the signature covers handshake:<sender>:<receiver>, ids in decimal";
        let expect = Expect::Result(json!({"signature": vector["signature_hex"]}));
        cases.must(&format!("sign/{number}"), "TRU-5", rule, asked, expect);
        let verify = |sender: u64, receiver: u64| {
            json!({
                "op": "verify-handshake", "public": key["public_key_hex"], "sender": sender,
                "receiver": receiver, "signature": vector["signature_hex"],
            })
        };
        let rule = "a genuine signature is accepted";
        cases.must(
            &format!("verify/{number}"),
            "TRU-5",
            rule,
            verify(ids[0], ids[1]),
            Expect::Result(json!({})),
        );
        let rule = "a signature counts for this sender and this receiver only";
        for (name, sender, receiver) in
            [("swapped", ids[1], ids[0]), ("other-receiver", ids[0], 77), ("other-sender", 77, ids[1])]
        {
            let id = format!("verify/{number}-{name}");
            cases.must(&id, "TRU-5", rule, verify(sender, receiver), Expect::Refusal);
        }
    }
}

fn decode(cases: &mut Cases, golden: &Value) {
    for vector in list(&golden["messages"]) {
        let Some(message) = vector["utf8"].as_str() else { continue };
        let id = format!("decode/{}", slug(text(&vector["name"])));
        let question = question(message.as_bytes());
        let other_case = text(&vector["name"]).contains("letter case");
        match read(message.as_bytes()) {
            Ok(members) if other_case => {
                let rule = "a receiver ignores the letter case of names";
                cases.should(&id, "TRU-3", rule, question, Expect::Result(members));
            }
            Ok(members) => {
                let rule = "a whole message is read, unknown keys and white space are ignored";
                cases.must(&id, "TRU-3", rule, question, Expect::Result(members));
            }
            Err(_) => {
                let rule = "a message that is not whole, or has a value of the wrong type, is dropped";
                cases.must(&id, "TRU-6", rule, question, Expect::Refusal);
            }
        }
    }
    let Some(whole) =
        golden["captured_from_reference"].get(0).map(|vector| text(&vector["utf8"]).to_string())
    else {
        return;
    };
    for length in (0..whole.len()).filter(|length| whole.is_char_boundary(*length)) {
        let rule = "a message that is cut short is dropped";
        let id = format!("decode/cut-at-{length:03}");
        cases.must(&id, "TRU-6", rule, question(&whole.as_bytes()[..length]), Expect::Refusal);
    }
    let Ok(members) = read(whole.as_bytes()) else { return };
    for (name, before, after) in [("space-before", " \r\n\t", ""), ("space-after", "", " \r\n\t ")] {
        let rule = "white space around the object is allowed";
        let padded = format!("{before}{whole}{after}");
        let expect = Expect::Result(members.clone());
        cases.must(&format!("decode/{name}"), "TRU-3", rule, question(padded.as_bytes()), expect);
    }
    for (name, after) in
        [("letter-after", "x"), ("zero-after", "\0"), ("brace-after", "}"), ("object-after", "{}")]
    {
        let rule = "anything but white space after the object drops the message";
        let id = format!("decode/{name}");
        cases.must(&id, "TRU-3", rule, question(format!("{whole}{after}").as_bytes()), Expect::Refusal);
    }
    equal_names(cases, &whole, &members);
    wrong_types(cases, &members);
}

fn equal_names(cases: &mut Cases, whole: &str, members: &Value) {
    let rule = "of equal names the last counts";
    let twice = whole.replacen('{', "{\"reason\":\"first\",", 1);
    cases.must(
        "decode/name-twice",
        "TRU-3",
        rule,
        question(twice.as_bytes()),
        Expect::Result(members.clone()),
    );
    let last = format!("{},\"reason\":\"last\"}}", whole.trim_end_matches('}'));
    let mut expected = members.clone();
    expected["reason"] = "last".into();
    cases.must("decode/name-again", "TRU-3", rule, question(last.as_bytes()), Expect::Result(expected));
    let escaped = whole.replacen("\"type\"", "\"t\\u0079pe\"", 1);
    let rule = "a name may be written with escapes";
    let expect = Expect::Result(members.clone());
    cases.must("decode/name-with-escape", "TRU-3", rule, question(escaped.as_bytes()), expect);
    let deep = whole.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(3000), "]".repeat(3000)), 1);
    let rule = "lists inside lists end no program";
    let expect = Expect::Either(members.clone());
    cases.must("decode/nested-3000-deep", "TRU-3", rule, question(deep.as_bytes()), expect);
    let nested = whole.replacen('{', "{\"x\":{\"reason\":[1,{\"type\":null}],\"y\":\"}\"},", 1);
    let rule = "unknown keys are ignored whatever they hold";
    let expect = Expect::Result(members.clone());
    cases.must("decode/unknown-nested", "TRU-3", rule, question(nested.as_bytes()), expect);
}

fn wrong_types(cases: &mut Cases, members: &Value) {
    let others = [
        ("null", Value::Null),
        ("number", json!(7)),
        ("negative", json!(-7)),
        ("fraction", json!(1.5)),
        ("large", json!(1u64 << 40)),
        ("text", json!("7")),
        ("boolean", json!(true)),
        ("list", json!([1])),
        ("object", json!({"a": 1})),
    ];
    for name in ["type", "node_id", "public_key", "justification", "signature", "reason", "timestamp"] {
        for (kind, other) in &others {
            let mut changed = members.clone();
            changed[name] = other.clone();
            let message = write(&changed);
            let id = format!("decode/{}-is-{kind}", slug(name));
            match read(message.as_bytes()) {
                Ok(read) => {
                    let rule = "null counts as absent, a value of the right type is taken";
                    cases.must(&id, "TRU-3", rule, question(message.as_bytes()), Expect::Result(read));
                }
                Err(_) => {
                    let rule = "a value of the wrong type drops the message";
                    cases.must(&id, "TRU-3", rule, question(message.as_bytes()), Expect::Refusal);
                }
            }
        }
    }
}

fn encode(cases: &mut Cases, golden: &Value) {
    let rule = "seven keys in their order, without spaces, five characters escaped";
    for (number, vector) in list(&golden["captured_from_reference"]).iter().enumerate() {
        let message = text(&vector["utf8"]).as_bytes();
        let Ok(members) = read(message) else { continue };
        let expect = Expect::Result(json!({"hex": hex(message)}));
        cases.must(
            &format!("encode/captured-{number}"),
            "TRU-3",
            rule,
            with("encode-trust", &members),
            expect,
        );
        let expect = Expect::Result(members);
        let rule = "what releases write is read";
        cases.must(&format!("decode/captured-{number}"), "TRU-3", rule, question(message), expect);
    }
    let Some(Ok(sample)) =
        golden["captured_from_reference"].get(1).map(|vector| read(text(&vector["utf8"]).as_bytes()))
    else {
        return;
    };
    for (name, reason) in [
        ("empty", ""),
        ("markup", "<a href='x'>&amp;</a>"),
        ("quotes", "\"\\/"),
        ("separators", "a\u{2028}b\u{2029}c"),
        ("lines", "one\ntwo\rthree\tfour"),
        ("letters", "Grüße, 世界, 🚀"),
    ] {
        let mut members = sample.clone();
        members["reason"] = reason.into();
        let expect = Expect::Result(json!({"hex": hex(write(&members).as_bytes())}));
        cases.must(&format!("encode/{name}"), "TRU-3", rule, with("encode-trust", &members), expect);
    }
    for kind in KINDS {
        for (node, time) in [(0u32, 0i64), (u32::MAX, 4_102_444_800), (7, -1)] {
            let mut members = sample.clone();
            members["type"] = kind.into();
            (members["node_id"], members["timestamp"]) = (node.into(), time.into());
            let expect = Expect::Result(json!({"hex": hex(write(&members).as_bytes())}));
            let id = format!("encode/{}-{node}", slug(kind));
            cases.must(&id, "TRU-3", rule, with("encode-trust", &members), expect);
        }
    }
    for (name, unit, count) in [("letters", "x", 1024), ("markup", "<", 900), ("rockets", "🚀", 256)] {
        let mut members = sample.clone();
        members["justification"] = unit.repeat(count).into();
        let full = members.clone();
        let rule = "a sender cuts its text so that the message fits one segment";
        let judge = move |result: &Value| cut(&full, result);
        let expect = Expect::Rule(Box::new(judge));
        cases.must(&format!("encode/long-{name}"), "TRU-4", rule, with("encode-trust", &members), expect);
    }
    let mut members = sample;
    members["justification"] = "j".repeat(TEXT + 500).into();
    let message = write(&members);
    members["justification"] = "j".repeat(TEXT).into();
    let rule = "of a longer text at most 1024 bytes are kept";
    let expect = Expect::Best(members);
    cases.should("decode/long-text", "TRU-4", rule, question(message.as_bytes()), expect);
}

fn cut(full: &Value, result: &Value) -> Outcome {
    let message = super::unhex(&result["hex"]);
    if message.len() > SENT {
        return Err(format!("{} bytes, at most {SENT} fit", message.len()));
    }
    let read = read(&message).map_err(|why| format!("cannot be read: {why}"))?;
    let (whole, kept) = (text(&full["justification"]), text(&read["justification"]));
    if !whole.starts_with(kept) || kept.is_empty() {
        return Err("the text is not a beginning of what was asked".into());
    }
    let mut expected = full.clone();
    expected["justification"] = kept.into();
    if write(&expected).as_bytes() == message {
        Ok(Grade::Strict)
    } else {
        Err("another member was changed".into())
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use crate::vectors::cases::{TRUST, list, text, vectors};

    #[test]
    fn the_second_reading_of_trust_messages_agrees_with_the_vectors() {
        let golden = vectors(TRUST);
        for vector in list(&golden["captured_from_reference"]) {
            let message = text(&vector["utf8"]);
            let members = read(message.as_bytes()).expect("whole");
            assert_eq!(write(&members), message);
        }
        for vector in list(&golden["messages"]) {
            let Some(message) = vector["utf8"].as_str() else { continue };
            let recommended = match text(&vector["recommended_result"]) {
                "same" => text(&vector["reference_result"]),
                other => other,
            };
            if !recommended.starts_with("dropped") && !recommended.starts_with("no effect") {
                assert!(read(message.as_bytes()).is_ok(), "{}", vector["name"]);
            }
        }
    }
}

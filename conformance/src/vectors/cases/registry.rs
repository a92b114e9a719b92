//! The frames of the registry's connection, and which names it takes (REG-1, REG-2, REG-17).

use super::super::case::{Case, Cases, Expect};
use super::{IPC, REGISTRY, about, hex, list, slug, text, unhex, vectors, with};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(REGISTRY);
    let mut cases = Cases::new("registry");
    frames(&mut cases, &golden);
    names(&mut cases, &golden);
    cases.all
}

/// Longest message of a client (REG-1), in bytes.
const MESSAGE: usize = 65_536;

/// The messages of a client in the bytes of its connection and how many bytes are left over; `None` if the connection
/// ends.
fn read(bytes: &[u8]) -> Option<Value> {
    let (mut rest, mut messages) = (bytes, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        if length > MESSAGE {
            return None;
        }
        let Some((body, after)) = after.split_at_checked(length) else { break };
        match serde_json::from_str::<Value>(&String::from_utf8_lossy(body)) {
            Ok(Value::Object(_) | Value::Null) => messages.push(hex(body)),
            _ => return None,
        }
        rest = after;
    }
    Some(json!({"messages": messages, "rest": rest.len()}))
}

fn add(cases: &mut Cases, name: &str, bytes: &[u8]) {
    let question = about("decode-registry", bytes);
    match read(bytes) {
        Some(members) => {
            let rule = "messages stand behind their lengths, wherever the stream is cut";
            cases.must(&format!("decode/{name}"), "REG-1", rule, question, Expect::Result(members));
        }
        None => {
            let rule =
                "a length above 65536, or a body that is not one JSON object or null, ends the connection";
            cases.must(&format!("refuse/{name}"), "REG-2", rule, question, Expect::Refusal);
        }
    }
}

fn frames(cases: &mut Cases, golden: &Value) {
    for vector in list(&golden["framing"]) {
        let Some(parts) = list(&vector["send_hex"]).iter().map(Value::as_str).collect::<Option<String>>()
        else {
            continue;
        };
        add(cases, &slug(text(&vector["desc"])), &unhex(&json!(parts)));
    }
    let one = |body: &str| [&(body.len() as u32).to_be_bytes()[..], body.as_bytes()].concat();
    let two =
        [one("{\"type\":\"lookup\",\"node_id\":1}"), one("null"), one("{\"type\":\"beacon_list\"}")].concat();
    for length in 0..=two.len() {
        add(cases, &format!("cut-at-{length:02}"), &two[..length]);
    }
    for length in [MESSAGE - 1, MESSAGE, MESSAGE + 1] {
        let body = format!("{{\"type\":\"lookup\"}}{}", " ".repeat(length - 17));
        add(cases, &format!("message-of-{length}"), &one(&body));
    }
    for length in [MESSAGE as u32 + 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        add(cases, &format!("announces-{length}"), &length.to_be_bytes());
    }
    for (name, body) in [
        ("number", "7"),
        ("text", "\"x\""),
        ("true", "true"),
        ("list", "[{}]"),
        ("two-objects", "{}{}"),
        ("comma-at-the-end", "{\"a\":1,}"),
        ("single-quotes", "{'a':1}"),
        ("comment", "{}//"),
        ("open", "{\"a\":"),
        ("empty-object", "{}"),
        ("spaces", " { } "),
    ] {
        add(cases, &format!("body-{name}"), &one(body));
    }
    let deep = one(&format!("{{\"x\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000)));
    let rule = "lists inside lists end no program";
    let expect = Expect::Either(json!({"rest": 0}));
    cases.must("decode/nested-30000-deep", "REG-2", rule, about("decode-registry", &deep), expect);
    for body in ["{}", "{\"type\":\"heartbeat\",\"node_id\":7}"] {
        let rule = "a message is written behind its length";
        let fields = json!({"message": hex(body.as_bytes())});
        let expect = Expect::Result(json!({"hex": hex(&one(body))}));
        let id = format!("encode/{}-bytes", body.len());
        cases.must(&id, "REG-1", rule, with("encode-registry", &fields), expect);
    }
}

/// REG-17.
fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let ends = !name.starts_with('-') && !name.ends_with('-');
    name.len() <= 63 && letters && ends && !["localhost", "backbone", "broadcast"].contains(&name)
}

fn names(cases: &mut Cases, golden: &Value) {
    let mut asked: Vec<String> = Vec::new();
    // What registries of releases took and refused.
    for pair in list(&golden["pairs"]) {
        let request = &pair["request"];
        let answer = &pair["response"];
        let taken = answer["type"] == "set_hostname_ok";
        let refused = text(&answer["error"]).starts_with("invalid hostname");
        if request["type"] == "set_hostname" && (taken || refused) {
            asked.push(text(&request["hostname"]).into());
        }
    }
    for exchange in list(&vectors(IPC)["exchanges"]) {
        let steps = list(&exchange["steps"]);
        let refused = steps.iter().any(|step| text(&step["error"]).contains("invalid hostname"));
        let message = steps.first().map(|step| unhex(&step["message_hex"])).unwrap_or_default();
        if let (true, Some((0x13, name))) = (refused, message.split_first().map(|(c, n)| (*c, n))) {
            asked.push(String::from_utf8_lossy(name).into());
        }
    }
    for name in
        ["", "a", "0", "a-b", "a--b", "agent-7", "localhosts", "-", "-a", "a-", "a.b", "a_b", "a b", "ä", "A"]
    {
        asked.push(name.into());
    }
    for name in ["localhost", "backbone", "broadcast"] {
        asked.push(name.into());
    }
    for length in [62, 63, 64, 255, 256, 1000] {
        asked.push("a".repeat(length));
    }
    for byte in 0..128u8 {
        asked.push(format!("a{}b", char::from(byte)));
    }
    asked.sort();
    asked.dedup();
    for name in asked {
        let question = json!({"op": "check-hostname", "text": name});
        let short = if name.len() > 20 { format!("{}-letters", name.len()) } else { hex(name.as_bytes()) };
        if is_name(&name) {
            let rule = "a name of small letters, digits and inner hyphens is taken";
            cases.must(&format!("name/take-{short}"), "REG-17", rule, question, Expect::Result(json!({})));
        } else {
            let rule = "any other name is refused";
            cases.must(&format!("name/refuse-{short}"), "REG-17", rule, question, Expect::Refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{is_name, list, read, text, unhex, vectors};
    use crate::vectors::cases::REGISTRY;
    use serde_json::{Value, json};

    #[test]
    fn the_second_reading_of_the_registry_agrees_with_the_vectors() {
        let golden = vectors(REGISTRY);
        for vector in list(&golden["framing"]) {
            let parts = list(&vector["send_hex"]).iter().map(Value::as_str).collect::<Option<String>>();
            let Some(parts) = parts else { continue };
            let ends = read(&unhex(&json!(parts))).is_none();
            assert_eq!(vector["closed_by_server"], ends, "{}", vector["desc"]);
        }
        for pair in list(&golden["pairs"]) {
            let name = text(&pair["request"]["hostname"]);
            if pair["request"]["type"] == "set_hostname" && pair["response"]["type"] == "set_hostname_ok" {
                assert!(is_name(name), "{name}");
            }
            if text(&pair["response"]["error"]).starts_with("invalid hostname") {
                assert!(!is_name(name), "{name}");
            }
        }
    }
}

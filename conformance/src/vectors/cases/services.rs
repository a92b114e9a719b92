//! What the services of every node speak: data exchange and the event stream (SVC).

use super::super::case::{Case, Cases, Expect};
use super::{SERVICES, VERSIONS, about, hex, list, pattern, slug, text, unhex, vectors, with};
use serde_json::{Value, json};

pub(crate) fn cases() -> Vec<Case> {
    let golden = vectors(SERVICES);
    let mut cases = Cases::new("data-exchange");
    data(&mut cases, &golden["data_exchange"]);
    let mut all = cases.all;
    let mut cases = Cases::new("event-stream");
    events(&mut cases, &golden["event_stream"]);
    all.extend(cases.all);
    all
}

/// Longest payload of either service, in bytes.
const PAYLOAD: usize = 1 << 24;
/// Longest topic, in bytes.
const TOPIC: usize = 1024;

/// SVC-1: the frames in the bytes of a stream and how many bytes are left over; `None` if it cannot go on.
fn frames(bytes: &[u8]) -> Option<Value> {
    let (mut rest, mut frames) = (bytes, Vec::new());
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = number(4) as usize;
        if length > PAYLOAD {
            return None;
        }
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        frames.push(frame(number(0), payload));
        rest = after;
    }
    Some(json!({"frames": frames, "rest": rest.len()}))
}

/// SVC-2: a frame as an adapter tells it.
fn frame(kind: u32, payload: &[u8]) -> Value {
    if kind != 4 {
        return json!({"type": kind, "payload": hex(payload)});
    }
    let (name, content) = payload
        .split_first_chunk::<2>()
        .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))))
        .unwrap_or((&[], payload));
    json!({"type": kind, "name": hex(name), "payload": hex(content)})
}

fn repeated(given: &Value, plain: &Value) -> Vec<u8> {
    match given["count"].as_u64() {
        Some(count) => unhex(&given["byte"]).repeat(count as usize),
        None => unhex(plain),
    }
}

fn data(cases: &mut Cases, golden: &Value) {
    for vector in list(&golden["decode"]) {
        let bytes = unhex(&vector["wire_hex"]);
        decode_data(cases, &slug(text(&vector["name"])), &bytes);
    }
    for vector in list(&golden["encode"]) {
        let payload = repeated(&vector["payload_repeat"], &vector["payload_hex"]);
        let name = repeated(&vector["filename_repeat"], &vector["filename_hex"]);
        let kind = vector["type"].as_u64().unwrap_or_default() as u32;
        let id = format!("encode/{}", slug(text(&vector["name"])));
        let mut fields = json!({"type": kind, "payload": hex(&payload)});
        let mut whole = payload.clone();
        if kind == 4 {
            fields["name"] = hex(&name).into();
            whole = [&(name.len() as u16).to_be_bytes()[..], &name, &payload].concat();
        }
        let question = with("encode-data-exchange", &fields);
        if name.len() > usize::from(u16::MAX) {
            let rule = "a name that its length field cannot state is refused";
            cases.must(&id, "SVC-2", rule, question, Expect::Refusal);
            continue;
        }
        let bytes = [&kind.to_be_bytes()[..], &(whole.len() as u32).to_be_bytes(), &whole].concat();
        let rule = "a frame is type, length and payload";
        let expect = Expect::Result(json!({"hex": hex(&bytes)}));
        let clause = if kind == 4 { "SVC-2" } else { "SVC-1" };
        cases.must(&id, clause, rule, question, expect);
    }
    let three =
        [&b"\0\0\0\x01\0\0\0\x05hello"[..], b"\0\0\0\x04\0\0\0\x08\0\x05a.txtz", b"\0\0\0\x03\0\0\0\x02{}"]
            .concat();
    for length in 0..=three.len() {
        let rule = "frames are found wherever the stream is cut";
        if let Some(members) = frames(&three[..length]) {
            let question = about("decode-data-exchange", &three[..length]);
            cases.must(
                &format!("decode/cut-at-{length:02}"),
                "SVC-1",
                rule,
                question,
                Expect::Result(members),
            );
        }
    }
    for length in [PAYLOAD as u32 + 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        let bytes = [&b"\0\0\0\x02"[..], &length.to_be_bytes(), &[1; 8]].concat();
        decode_data(cases, &format!("announces-{length}"), &bytes);
    }
    for length in [0u16, 1, 2, 3, 4, 5, 6, 0xFF, 0xFFFF] {
        let payload = [&length.to_be_bytes()[..], b"abcd"].concat();
        let bytes = [&b"\0\0\0\x04\0\0\0\x06"[..], &payload].concat();
        decode_data(cases, &format!("name-of-{length}-in-4"), &bytes);
    }
    let newer = vectors(VERSIONS);
    for vector in list(&newer["data_exchange"]["file_stream"]["frames"]) {
        let bytes = unhex(&vector["hex"]);
        decode_data(cases, &format!("newer-{}", slug(text(&vector["what"]))), &bytes);
    }
}

fn decode_data(cases: &mut Cases, name: &str, bytes: &[u8]) {
    let question = about("decode-data-exchange", bytes);
    match frames(bytes) {
        Some(members) => {
            let rule = "whole frames are read, what is left waits for more";
            let clause = if bytes.starts_with(b"\0\0\0\x04") { "SVC-2" } else { "SVC-1" };
            cases.must(&format!("decode/{name}"), clause, rule, question, Expect::Result(members));
        }
        None => {
            let rule = "a frame that announces more than 16 MiB ends the stream";
            cases.must(&format!("refuse/{name}"), "SVC-1", rule, question, Expect::Refusal);
        }
    }
}

/// SVC-3: the events in the bytes of a stream and how many bytes are left over; `None` if it cannot go on.
fn read_events(bytes: &[u8]) -> Option<Value> {
    let (mut rest, mut events) = (bytes, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        if length > TOPIC {
            return None;
        }
        let Some((topic, after)) = after.split_at_checked(length) else { break };
        let Some((length, after)) = after.split_first_chunk::<4>() else { break };
        let length = u32::from_be_bytes(*length) as usize;
        if length > PAYLOAD {
            return None;
        }
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        events.push(json!({"topic": hex(topic), "payload": hex(payload)}));
        rest = after;
    }
    Some(json!({"events": events, "rest": rest.len()}))
}

fn event(topic: &[u8], payload: &[u8]) -> Vec<u8> {
    [&(topic.len() as u16).to_be_bytes()[..], topic, &(payload.len() as u32).to_be_bytes(), payload].concat()
}

fn events(cases: &mut Cases, golden: &Value) {
    for vector in list(&golden["decode"]) {
        // Those of the vectors that are given by a rule are made below.
        if vector["wire_hex"].is_string() {
            decode_events(cases, &slug(text(&vector["name"])), &unhex(&vector["wire_hex"]));
        }
    }
    for vector in list(&golden["encode"]).iter().filter(|vector| vector["wire_hex"].is_string()) {
        let fields = json!({"topic": vector["topic_hex"], "payload": vector["payload_hex"]});
        let rule = "an event is topic and payload, each behind its length";
        let id = format!("encode/{}", slug(text(&vector["name"])));
        let expect = Expect::Result(json!({"hex": vector["wire_hex"]}));
        cases.must(&id, "SVC-3", rule, with("encode-event", &fields), expect);
    }
    for length in [0, 1, 255, 256, TOPIC] {
        let topic = pattern(length);
        let bytes = event(&topic, b"payload");
        decode_events(cases, &format!("topic-of-{length}"), &bytes);
        let fields = json!({"topic": hex(&topic), "payload": hex(b"payload")});
        let rule = "a topic has at most 1024 bytes";
        let expect = Expect::Result(json!({"hex": hex(&bytes)}));
        cases.must(
            &format!("encode/topic-of-{length}"),
            "SVC-3",
            rule,
            with("encode-event", &fields),
            expect,
        );
    }
    for length in [TOPIC + 1, 4096, 65_535, 65_536] {
        let topic = pattern(length);
        let fields = json!({"topic": hex(&topic), "payload": ""});
        let rule = "a longer topic is refused";
        let id = format!("refuse/encode-topic-of-{length}");
        cases.must(&id, "SVC-3", rule, with("encode-event", &fields), Expect::Refusal);
        if length < 65_536 {
            decode_events(cases, &format!("topic-of-{length}"), &event(&topic, b""));
        }
    }
    for length in [PAYLOAD as u32 + 1, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
        let bytes = [&b"\0\x01t"[..], &length.to_be_bytes(), &[1; 8]].concat();
        decode_events(cases, &format!("announces-{length}"), &bytes);
    }
    let two = [event(b"alerts", b"one"), event(b"", b""), event(b"*", b"three")].concat();
    for length in 0..=two.len() {
        let rule = "events are found wherever the stream is cut";
        if let Some(members) = read_events(&two[..length]) {
            let question = about("decode-event-stream", &two[..length]);
            cases.must(
                &format!("decode/cut-at-{length:02}"),
                "SVC-3",
                rule,
                question,
                Expect::Result(members),
            );
        }
    }
}

fn decode_events(cases: &mut Cases, name: &str, bytes: &[u8]) {
    let question = about("decode-event-stream", bytes);
    match read_events(bytes) {
        Some(members) => {
            let rule = "whole events are read, what is left waits for more";
            cases.must(&format!("decode/{name}"), "SVC-3", rule, question, Expect::Result(members));
        }
        None => {
            let rule = "a topic above 1024 bytes or a payload above 16 MiB ends the stream";
            cases.must(&format!("refuse/{name}"), "SVC-3", rule, question, Expect::Refusal);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{frames, list, read_events, text, unhex, vectors};
    use crate::vectors::cases::SERVICES;

    #[test]
    fn the_second_reading_of_services_agrees_with_the_vectors() {
        let golden = vectors(SERVICES);
        for vector in list(&golden["data_exchange"]["decode"]) {
            let read = frames(&unhex(&vector["wire_hex"]));
            let Some(read) = read.filter(|read| read["frames"] != serde_json::json!([])) else {
                assert_eq!(vector["ok"], false, "{}", vector["name"]);
                continue;
            };
            let first = &read["frames"][0];
            assert_eq!(first["type"], vector["type"], "{}", vector["name"]);
            assert_eq!(text(&first["name"]), text(&vector["filename_hex"]), "{}", vector["name"]);
            assert_eq!(first["payload"], vector["payload_hex"], "{}", vector["name"]);
        }
        for vector in list(&golden["event_stream"]["decode"]).iter().filter(|v| v["wire_hex"].is_string()) {
            let read = read_events(&unhex(&vector["wire_hex"]));
            match read.filter(|read| read["events"] != serde_json::json!([])) {
                Some(read) => {
                    assert_eq!(read["events"][0]["topic"], vector["topic_hex"], "{}", vector["name"]);
                    assert_eq!(read["events"][0]["payload"], vector["payload_hex"], "{}", vector["name"]);
                }
                None => assert_eq!(vector["ok"], false, "{}", vector["name"]),
            }
        }
    }
}

//! The messages between a daemon and programs of its host (IPC).

use super::super::case::{Case, Cases, Expect};
use super::{IPC, VERSIONS, hex, list, text, unhex, vectors, with};
use crate::live::case::Level;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Which end writes a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum From {
    Program,
    Daemon,
}

impl From {
    fn name(self) -> &'static str {
        match self {
            From::Program => "program",
            From::Daemon => "daemon",
        }
    }
}

/// A part of a payload: numbers of so many bytes, a switch, or all that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Number(&'static str, usize),
    /// 1 is on, anything else is off.
    Switch(&'static str),
    Bytes(&'static str),
    Text(&'static str),
}

use Part::{Bytes, Number, Switch, Text};

const PORT: Part = Number("port", 2);
const CONNECTION: Part = Number("connection", 4);
const NODE: Part = Number("node", 4);
const NETWORK: Part = Number("network", 2);
const DATA: Part = Bytes("data");
const WORDS: Part = Text("text");

/// A message: its first bytes (command, and action where there are several) and what follows.
type Layout = (From, &'static [u8], &'static [Part]);

/// IPC-7, as every release has it.
const RELEASES: &[Layout] = &[
    (From::Program, &[0x01], &[PORT]),
    (From::Daemon, &[0x02], &[PORT]),
    (From::Program, &[0x03], &[NETWORK, NODE, PORT]),
    (From::Daemon, &[0x04], &[CONNECTION]),
    (From::Daemon, &[0x05], &[Number("local_port", 2), CONNECTION, NETWORK, NODE, PORT]),
    (From::Program, &[0x06], &[CONNECTION, DATA]),
    (From::Daemon, &[0x07], &[CONNECTION, DATA]),
    (From::Program, &[0x08], &[CONNECTION]),
    (From::Daemon, &[0x09], &[CONNECTION]),
    (From::Daemon, &[0x0A], &[Number("code", 2), WORDS]),
    (From::Program, &[0x0B], &[NETWORK, NODE, PORT, DATA]),
    (From::Daemon, &[0x0C], &[NETWORK, NODE, PORT, Number("local_port", 2), DATA]),
    (From::Program, &[0x0D], &[]),
    (From::Daemon, &[0x0E], &[WORDS]),
    (From::Program, &[0x0F, 1], &[NODE, WORDS]),
    (From::Program, &[0x0F, 2], &[NODE]),
    (From::Program, &[0x0F, 3], &[NODE, WORDS]),
    (From::Program, &[0x0F, 4], &[]),
    (From::Program, &[0x0F, 5], &[]),
    (From::Program, &[0x0F, 6], &[NODE]),
    (From::Daemon, &[0x10], &[WORDS]),
    (From::Program, &[0x11], &[WORDS]),
    (From::Daemon, &[0x12], &[WORDS]),
    (From::Program, &[0x13], &[WORDS]),
    (From::Daemon, &[0x14], &[WORDS]),
    (From::Program, &[0x15], &[Switch("on")]),
    (From::Daemon, &[0x16], &[WORDS]),
    (From::Program, &[0x17], &[]),
    (From::Daemon, &[0x18], &[WORDS]),
    (From::Program, &[0x19], &[WORDS]),
    (From::Daemon, &[0x1A], &[WORDS]),
    (From::Program, &[0x1B], &[WORDS]),
    (From::Daemon, &[0x1C], &[WORDS]),
    (From::Program, &[0x1D], &[Switch("on")]),
    (From::Daemon, &[0x1E], &[WORDS]),
    (From::Program, &[0x1F, 1], &[]),
    (From::Program, &[0x1F, 2], &[NETWORK, WORDS]),
    (From::Program, &[0x1F, 3], &[NETWORK]),
    (From::Program, &[0x1F, 4], &[NETWORK]),
    (From::Program, &[0x1F, 5], &[NETWORK, NODE]),
    (From::Program, &[0x1F, 6], &[]),
    (From::Program, &[0x1F, 7], &[NETWORK, Switch("on")]),
    (From::Daemon, &[0x20], &[WORDS]),
    (From::Program, &[0x21], &[]),
    (From::Daemon, &[0x22], &[WORDS]),
];

/// What ours adds.
const OURS: &[(&str, Layout)] = &[
    ("IPC-1", (From::Program, &[0x61], &[Switch("on")])),
    ("IPC-1", (From::Daemon, &[0x62], &[Number("window", 4)])),
    ("IPC-2", (From::Program, &[0x63], &[Number("number", 4), DATA])),
    ("IPC-2", (From::Daemon, &[0x64], &[Number("number", 4), DATA])),
    ("IPC-3", (From::Program, &[0x65], &[CONNECTION, Number("bytes", 4)])),
    ("IPC-3", (From::Daemon, &[0x66], &[CONNECTION, Number("bytes", 4)])),
    ("IPC-4", (From::Program, &[0x67], &[CONNECTION])),
    ("IPC-5", (From::Daemon, &[0x68], &[CONNECTION, WORDS])),
    ("IPC-6", (From::Daemon, &[0x6A], &[WORDS])),
];

/// Messages with a rule of their own about what stands in them.
fn has_rules_of_content(head: &[u8]) -> bool {
    // A name that is asked for is not empty; tags are a JSON array.
    matches!(head, [0x11 | 0x19])
}

/// The message of a layout in which every number differs from every other, and what an adapter tells of it.
fn sample(layout: &Layout, tail: &str) -> (Vec<u8>, Value) {
    let (_, head, parts) = *layout;
    let mut bytes = head.to_vec();
    let mut members = Map::new();
    members.insert("command".into(), head[0].into());
    if let Some(action) = head.get(1) {
        members.insert("action".into(), (*action).into());
    }
    for part in parts {
        match *part {
            Number(name, width) => {
                let value: Vec<u8> = (0..width).map(|i| (bytes.len() + i) as u8 + 0x81).collect();
                let number = value.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
                members.insert(name.into(), number.into());
                bytes.extend(value);
            }
            Switch(name) => {
                members.insert(name.into(), true.into());
                bytes.push(1);
            }
            Bytes(name) => {
                members.insert(name.into(), hex(tail.as_bytes()).into());
                bytes.extend(tail.bytes());
            }
            Text(name) => {
                members.insert(name.into(), tail.into());
                bytes.extend(tail.bytes());
            }
        }
    }
    (bytes, Value::from(members))
}

/// What an adapter tells of a message; `None` if it is too short or unknown.
fn read(from: From, message: &[u8]) -> Option<Value> {
    let all = RELEASES.iter().chain(OURS.iter().map(|(_, layout)| layout));
    let (_, head, parts) = all.copied().find(|(end, head, _)| *end == from && message.starts_with(head))?;
    let mut rest = &message[head.len()..];
    let mut members = Map::new();
    members.insert("command".into(), head[0].into());
    if let Some(action) = head.get(1) {
        members.insert("action".into(), (*action).into());
    }
    for part in parts {
        let (name, value): (&str, Value) = match *part {
            Number(name, width) => {
                let (number, after) = rest.split_at_checked(width)?;
                rest = after;
                (name, number.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte)).into())
            }
            Switch(name) => {
                let (byte, after) = rest.split_first()?;
                rest = after;
                (name, (*byte == 1).into())
            }
            Bytes(name) => (name, hex(rest).into()),
            Text(name) => (name, String::from_utf8_lossy(rest).into()),
        };
        members.insert(name.into(), value);
    }
    Some(Value::from(members))
}

fn ask(from: From, message: &[u8]) -> Value {
    json!({"op": "decode-ipc", "from": from.name(), "hex": hex(message)})
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("ipc");
    let all =
        RELEASES.iter().map(|layout| ("IPC-7", layout)).chain(OURS.iter().map(|(clause, l)| (*clause, l)));
    for (clause, layout) in all {
        made(&mut cases, clause, layout);
    }
    refused(&mut cases);
    captured(&mut cases);
    cases.all
}

fn name_of(from: From, head: &[u8]) -> String {
    format!("{}-{}", from.name(), hex(head))
}

fn made(cases: &mut Cases, clause: &'static str, layout: &Layout) {
    let (from, head, parts) = *layout;
    let name = name_of(from, head);
    let tail = match head {
        [0x19] => "[\"one\",\"two\"]",
        [0x0E | 0x10 | 0x12 | 0x14 | 0x16 | 0x18 | 0x1A | 0x1C | 0x1E | 0x20 | 0x22 | 0x6A] => {
            "{\"ok\":true}"
        }
        // A Tagged message carries another one.
        [0x63] => "\r",
        [0x64] => "\x0E{}",
        _ => "tail é",
    };
    let (bytes, members) = sample(layout, tail);
    let rule = "a message is its command and what its layout says";
    let expect = Expect::Result(members.clone());
    cases.must(&format!("decode/{name}"), clause, rule, ask(from, &bytes), expect);
    let mut question = with("encode-ipc", &members);
    question["from"] = from.name().into();
    let expect = Expect::Result(json!({"hex": hex(&bytes)}));
    cases.must(&format!("encode/{name}"), clause, rule, question, expect);
    let fixed: usize = parts
        .iter()
        .map(|part| match part {
            Number(_, width) => *width,
            Switch(_) => 1,
            Bytes(_) | Text(_) => 0,
        })
        .sum();
    for length in head.len()..head.len() + fixed {
        let rule = "a payload too short for its command is an error";
        let id = format!("refuse/{name}-cut-at-{length:02}");
        cases.must(&id, clause, rule, ask(from, &bytes[..length]), Expect::Refusal);
    }
    let open = parts.iter().any(|part| matches!(part, Bytes(_) | Text(_)));
    if !open {
        let longer = [bytes, vec![0xEE; 5]].concat();
        let rule = "bytes after a fixed payload are ignored";
        let id = format!("decode/{name}-and-5-more");
        cases.must(&id, clause, rule, ask(from, &longer), Expect::Result(members));
    } else if !has_rules_of_content(head) && from == From::Program && !matches!(head, [0x63]) {
        let (bytes, members) = sample(layout, "");
        let rule = "text and data may be empty";
        let id = format!("decode/{name}-empty");
        cases.must(&id, clause, rule, ask(from, &bytes), Expect::Result(members));
    }
    for (at, part) in parts.iter().enumerate() {
        let Switch(member) = part else { continue };
        let place =
            head.len() + parts[..at].iter().map(|p| if let Number(_, w) = p { *w } else { 1 }).sum::<usize>();
        let values: &[u8] = if clause == "IPC-7" { &[0, 2, 255] } else { &[0, 2] };
        for value in values {
            let (mut bytes, mut members) = sample(layout, tail);
            bytes[place] = *value;
            members[member] = false.into();
            let rule = "1 is on, anything else is off";
            let id = format!("decode/{name}-{value}");
            cases.must(&id, clause, rule, ask(from, &bytes), Expect::Result(members));
        }
    }
}

fn refused(cases: &mut Cases) {
    let known = |from: From, command: u8| {
        let all = RELEASES.iter().chain(OURS.iter().map(|(_, layout)| layout));
        all.into_iter().any(|(end, head, _)| *end == from && head[0] == command)
    };
    for command in 0..=255u8 {
        if known(From::Program, command) {
            continue;
        }
        let bytes = [&[command][..], &[0; 40]].concat();
        let rule = "a command that only a daemon may send, or nobody knows, is an error";
        let id = format!("refuse/program-{command:02x}");
        if known(From::Daemon, command) || !(0x23..=0x80).contains(&command) {
            cases.must(&id, "IPC-7", rule, ask(From::Program, &bytes), Expect::Refusal);
        } else {
            // Later releases have commands here.
            let expect = Expect::Either(json!({"command": command}));
            cases.add(Level::May, &id, "IPC-7", rule, ask(From::Program, &bytes), expect);
        }
    }
    for (name, bytes) in [
        ("trust-without-action", &[0x0F][..]),
        ("trust-action-0", &[0x0F, 0, 0, 0, 0, 1]),
        ("trust-action-200", &[0x0F, 200, 0, 0, 0, 1]),
        ("network-without-action", &[0x1F]),
        ("network-action-0", &[0x1F, 0, 0, 1]),
        ("network-action-200", &[0x1F, 200, 0, 1]),
        ("resolve-nothing", &[0x11]),
    ] {
        let rule = "an action that is missing or unknown is an error, and a name to resolve is not empty";
        cases.must(&format!("refuse/{name}"), "IPC-7", rule, ask(From::Program, bytes), Expect::Refusal);
    }
    for (number, tags) in
        ["", "nope", "[1]", "{}", "[\"a\"", "\"a\"", "[\"a\",\"b\",\"c\",\"d\"]"].iter().enumerate()
    {
        let bytes = [&[0x19][..], tags.as_bytes()].concat();
        let rule = "tags are a JSON array of at most three texts";
        let id = format!("refuse/tags-{number}");
        cases.must(&id, "IPC-7", rule, ask(From::Program, &bytes), Expect::Refusal);
    }
}

/// What programs and daemons of releases wrote.
fn captured(cases: &mut Cases) {
    let (golden, newer) = (vectors(IPC), vectors(VERSIONS));
    let mut messages: Vec<(From, Vec<u8>)> = Vec::new();
    for exchange in list(&golden["exchanges"]) {
        for step in list(&exchange["steps"]) {
            let from = if text(&step["dir"]).starts_with("client") { From::Program } else { From::Daemon };
            messages.push((from, unhex(&step["message_hex"])));
        }
    }
    for vector in list(&newer["ipc_1_18_0"]["list"]) {
        let from = if vector["from"] == "client" { From::Program } else { From::Daemon };
        messages.push((from, unhex(&vector["hex"])));
    }
    let mut seen = BTreeSet::new();
    for (from, message) in messages {
        // What is refused, and what 1.18.0 added, has cases above.
        let Some(members) = read(from, &message) else { continue };
        if matches!(message[..], [0x11] | [0x19, ..]) || !seen.insert((from, message.clone())) {
            continue;
        }
        let rule = "what releases write is read";
        let id = format!("decode/captured-{:03}", seen.len());
        cases.must(&id, "IPC-7", rule, ask(from, &message), Expect::Result(members.clone()));
        let exact = members["text"].as_str().is_none_or(|text| message.ends_with(text.as_bytes()));
        let fixed = sample_length(from, &message) == Some(message.len());
        if exact && fixed {
            let mut question = with("encode-ipc", &members);
            question["from"] = from.name().into();
            let rule = "messages are written as releases write them";
            let id = format!("encode/captured-{:03}", seen.len());
            cases.must(&id, "IPC-7", rule, question, Expect::Result(json!({"hex": hex(&message)})));
        }
    }
}

/// The length that the layout of a message gives it.
fn sample_length(from: From, message: &[u8]) -> Option<usize> {
    let (_, head, parts) =
        RELEASES.iter().find(|(end, head, _)| *end == from && message.starts_with(head))?;
    let mut length = head.len();
    for part in *parts {
        match part {
            Number(_, width) => length += width,
            Switch(_) if message.get(length).is_some_and(|byte| *byte <= 1) => length += 1,
            // Another byte for off is not what is written.
            Switch(_) => return None,
            Bytes(_) | Text(_) => return Some(message.len()),
        }
    }
    Some(length)
}

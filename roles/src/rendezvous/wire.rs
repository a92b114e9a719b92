//! What one registry message says: reading requests by the reference's lenient rules, writing answers and refusals.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use crate::frames;
use crate::json::{self, Map, Value, json};

/// Longest request body in bytes; a longer announcement ends the connection.
pub const MAX_REQUEST: usize = 65_536;
/// Longest answer a poll or a list may grow to. Programs of the reference refuse answers above 65 536 bytes.
pub(super) const MAX_PORTION: usize = 60_000;

/// The text of every refusal whose reason is nobody's business.
const REQUEST_FAILED: &str = "request failed";
/// A message type that contains one of these is named in the refusal of an unknown type.
const SHOWN_WORDS: [&str; 11] = [
    "rate limited",
    "enterprise feature",
    "expired",
    "already",
    "not a member",
    "cannot",
    "too many",
    "too long",
    "not found",
    "invalid",
    "required",
];

/// Whether `body` is a request whatever it asks for (REG-2): one JSON object, or null.
pub fn is_request(body: &[u8]) -> bool {
    Request::parse(body).is_some()
}

/// One request: a JSON object. Missing members and members of a wrong type read as zero, false or empty.
#[derive(Debug)]
pub(super) struct Request(Map<String, Value>);

impl Request {
    /// Reads a frame's body; `None` if it is not a JSON object (or `null`), which ends the connection.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let value = match core::str::from_utf8(body) {
            Ok(text) => serde_json::from_str(text).ok()?,
            Err(_) => serde_json::from_str(&String::from_utf8_lossy(body)).ok()?,
        };
        match value {
            Value::Object(members) => Some(Request(members)),
            Value::Null => Some(Request(Map::new())),
            _ => None,
        }
    }

    pub(super) fn operation(&self) -> &str {
        self.text("type")
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or_default()
    }

    /// A number of any form.
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        self.0.get(name).and_then(Value::as_f64)
    }

    /// A node or beacon id: fractions are cut off, everything outside 0 to 2^32-1 is 0.
    pub(super) fn id(&self, name: &str) -> u32 {
        match self.number(name) {
            Some(number) if (0.0..4_294_967_296.0).contains(&number) => number as u32,
            _ => 0,
        }
    }

    /// A network id: fractions are cut off, everything outside 0 to 65 535 is 0.
    pub(super) fn network(&self, name: &str) -> u16 {
        match self.number(name) {
            Some(number) if (0.0..65_536.0).contains(&number) => number as u16,
            _ => 0,
        }
    }

    /// The strings of an array; other elements are dropped.
    pub(super) fn texts(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The client is told.
    Shown(String),
    /// The client reads `request failed`; the reason is for our log only.
    Hidden(&'static str),
}

impl Refusal {
    pub(super) fn shown<T>(text: impl Into<String>) -> Result<T, Self> {
        Err(Refusal::Shown(text.into()))
    }

    pub(super) fn no_node(id: u32) -> Self {
        Refusal::Shown(format!("node {id}: node not found"))
    }

    pub(super) fn no_network(id: u16) -> Self {
        Refusal::Shown(format!("network {id}: network not found"))
    }

    pub(super) fn unknown_operation(name: &str) -> Self {
        if SHOWN_WORDS.iter().any(|word| name.contains(word)) {
            let name: String = name.chars().take(256).collect();
            Refusal::Shown(format!("unknown message type: {}", quoted(&name)))
        } else {
            Refusal::Hidden("unknown message type")
        }
    }
}

/// `text` in double quotes, with the escapes of the reference's messages.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        let code = u32::from(c);
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f' | '\x7f' => out.push_str(&format!("\\x{code:02x}")),
            // What the standard library would not print as it is.
            _ if c.escape_debug().nth(1) == Some('u') => match code {
                ..0x1_0000 => out.push_str(&format!("\\u{code:04x}")),
                _ => out.push_str(&format!("\\U{code:08x}")),
            },
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// What an operation answers: the members of the answer, or why not.
pub(super) type Outcome = Result<Map<String, Value>, Refusal>;

/// Shorthand for the members of an answer: `members!{"node_id": 7}`.
macro_rules! members {
    ($($name:literal: $value:expr),* $(,)?) => {
        $crate::json::Map::from_iter([$((alloc::string::String::from($name), $crate::json::json!($value))),*])
    };
}
pub(super) use members;

/// The frame that answers `operation` with `outcome`.
pub(super) fn answer_frame(operation: &str, outcome: Outcome) -> Vec<u8> {
    let members = match outcome {
        Ok(mut members) => {
            members.insert("type".to_owned(), json!(format!("{operation}_ok")));
            members
        }
        Err(refusal) => {
            let text = match &refusal {
                Refusal::Shown(text) => text,
                Refusal::Hidden(_) => REQUEST_FAILED,
            };
            members! {"error": text, "type": "error"}
        }
    };
    frames::frame(json::to_line(&Value::Object(members)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_doubles() {
        let read = |text: &str| Request::parse(text.as_bytes()).unwrap().id("n");
        for (text, id) in [
            (r#"{"n":1.9}"#, 1),
            (r#"{"n":1e0}"#, 1),
            (r#"{"n":-1}"#, 0),
            (r#"{"n":-0.5}"#, 0),
            (r#"{"n":4294967295}"#, u32::MAX),
            (r#"{"n":4294967296}"#, 0),
            (r#"{"n":"1"}"#, 0),
            ("{}", 0),
            ("null", 0),
        ] {
            assert_eq!(read(text), id, "{text}");
        }
    }

    #[test]
    fn hazard_05_16_refused_text_is_never_filtered_by_what_the_client_wrote() {
        let hidden = answer_frame("set_tags", Err(Refusal::Hidden("tag \"required\" has bad characters")));
        assert_eq!(hidden.get(4..), Some(br#"{"error":"request failed","type":"error"}"#.as_slice()));
    }
}

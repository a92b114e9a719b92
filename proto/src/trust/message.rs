//! The message of port 444: one JSON object, parsed and written without a heap.
//!
//! One message travels on one stream; the answer is a message on a stream the other way. Seven keys, all always
//! written, in a fixed order; the signature covers the two node ids only (`spec/trust.md`, TRU-2 to TRU-5).

use core::fmt::{self, Write};

use heapless::String;

use super::json::{JsonError, Reader};
use crate::base64;

/// Longest justification or reason kept, in bytes of UTF-8. Received ones are cut, own ones refused.
pub const TEXT_MAX: usize = 1024;

/// Most bytes of a stream to collect while waiting for a message to become complete.
pub const MESSAGE_MAX: usize = 8192;

/// Bytes a written message may have at most: one full segment, because old receivers look at the first segment only.
pub const WRITTEN_MAX: usize = 1152;

/// A justification or a reason.
pub type Text = String<TEXT_MAX>;

/// What a message asks for or says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// May we talk?
    Request,
    /// Yes.
    Accept,
    /// No.
    Reject,
    /// No longer.
    Revoke,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Request, Kind::Accept, Kind::Reject, Kind::Revoke];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Request => "handshake_request",
            Kind::Accept => "handshake_accept",
            Kind::Reject => "handshake_reject",
            Kind::Revoke => "handshake_revoke",
        }
    }
}

/// One message. A message without a key or a signature cannot be represented: it proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it says.
    pub kind: Kind,
    /// Who says it.
    pub node: u32,
    /// The sender's Ed25519 key.
    pub key: [u8; 32],
    /// Why the sender asks; requests only.
    pub justification: Text,
    /// Ed25519 signature over [`signed_text`].
    pub signature: [u8; 64],
    /// Why the sender declines or revokes.
    pub reason: Text,
    /// Unix seconds.
    pub timestamp: i64,
}

/// A key of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `type`
    Type,
    /// `node_id`
    NodeId,
    /// `public_key`
    PublicKey,
    /// `justification`
    Justification,
    /// `signature`
    Signature,
    /// `reason`
    Reason,
    /// `timestamp`
    Timestamp,
}

impl Field {
    const ALL: [Field; 7] = [
        Field::Type,
        Field::NodeId,
        Field::PublicKey,
        Field::Justification,
        Field::Signature,
        Field::Reason,
        Field::Timestamp,
    ];

    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Field::Type => "type",
            Field::NodeId => "node_id",
            Field::PublicKey => "public_key",
            Field::Justification => "justification",
            Field::Signature => "signature",
            Field::Reason => "reason",
            Field::Timestamp => "timestamp",
        }
    }
}

/// Why bytes are not a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// Not JSON, or not yet: [`JsonError::Incomplete`] means that more bytes of the stream may help.
    Json(JsonError),
    /// JSON, but not an object.
    NotAnObject,
    /// Something follows the object.
    TrailingData {
        /// Offset of the first byte too many.
        at: usize,
    },
    /// A key whose value is of the wrong type or out of range.
    WrongType(Field),
    /// `type` is missing or none of the four.
    UnknownType,
    /// A key that must be there is missing or empty.
    Missing(Field),
    /// `public_key` is not base64 of 32 bytes, or `signature` not base64 of 64.
    BadBase64(Field),
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Json(error) => error.fmt(f),
            MessageError::NotAnObject => write!(f, "expected a JSON object"),
            MessageError::TrailingData { at } => write!(f, "data after the message at byte {at}"),
            MessageError::WrongType(field) => {
                write!(f, "{} has a value of the wrong type or range", field.as_str())
            }
            MessageError::UnknownType => write!(f, "type is none of the four handshake types"),
            MessageError::Missing(field) => write!(f, "{} is missing or empty", field.as_str()),
            MessageError::BadBase64(field) => {
                write!(f, "{} is not standard base64 of the right length", field.as_str())
            }
        }
    }
}

impl core::error::Error for MessageError {}

impl From<JsonError> for MessageError {
    fn from(error: JsonError) -> Self {
        MessageError::Json(error)
    }
}

/// The lent buffer is too short for the message even without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes needed without any text.
    pub needed: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "buffer too short: the message needs {} bytes without its text", self.needed)
    }
}

impl core::error::Error for NoRoom {}

/// What the signature covers: `handshake:<from>:<to>`, ids in decimal without padding.
pub fn signed_text(from: u32, to: u32) -> String<32> {
    let mut text = String::new();
    // Ten letters, two numbers of at most ten digits and a colon: always fits.
    let _ = write!(text, "handshake:{from}:{to}");
    text
}

impl Message {
    /// Parses one message: key names in any letter case, unknown keys ignored, the last of equal keys counts, texts
    /// cut to [`TEXT_MAX`], white space around it allowed and nothing else.
    pub fn parse(bytes: &[u8]) -> Result<Message, MessageError> {
        let mut raw = Raw::default();
        let mut reader = Reader::new(bytes);
        if reader.peek()? != b'{' {
            return Err(MessageError::NotAnObject);
        }
        reader.expect(b'{')?;
        if !reader.take(b'}')? {
            loop {
                raw.read_member(&mut reader)?;
                if reader.take(b'}')? {
                    break;
                }
                reader.expect(b',')?;
            }
        }
        if !reader.at_end() {
            let JsonError::Malformed { at } = reader.malformed() else {
                return Err(MessageError::NotAnObject);
            };
            return Err(MessageError::TrailingData { at });
        }
        raw.check()
    }

    /// Writes the canonical form into `out` and returns its length. A text that does not fit is cut: the relay
    /// carries it whole, and a shorter reason is better than a message that the receiver cannot read.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let needed = self.len_with("", "");
        let room = out.len().checked_sub(needed).ok_or(NoRoom { needed })?;
        let justification = fitting_prefix(&self.justification, room);
        let reason = fitting_prefix(&self.reason, room - escaped_len(justification));
        let len = self.len_with(justification, reason);
        let mut places = out.iter_mut();
        self.emit(justification, reason, &mut |byte| {
            if let Some(place) = places.next() {
                *place = byte;
            }
        });
        Ok(len)
    }

    fn len_with(&self, justification: &str, reason: &str) -> usize {
        let mut len = 0;
        self.emit(justification, reason, &mut |_| len += 1);
        len
    }

    fn emit(&self, justification: &str, reason: &str, put: &mut impl FnMut(u8)) {
        for (i, field) in Field::ALL.into_iter().enumerate() {
            put(if i == 0 { b'{' } else { b',' });
            put(b'"');
            field.as_str().bytes().for_each(&mut *put);
            put(b'"');
            put(b':');
            match field {
                Field::NodeId => decimal(self.node.into(), put),
                Field::Timestamp => decimal(self.timestamp.into(), put),
                _ => {
                    put(b'"');
                    match field {
                        Field::Type => self.kind.as_str().bytes().for_each(&mut *put),
                        Field::PublicKey => base64::encode(&self.key).for_each(&mut *put),
                        Field::Signature => base64::encode(&self.signature).for_each(&mut *put),
                        Field::Justification => justification.chars().for_each(|c| escape(c, put)),
                        _ => reason.chars().for_each(|c| escape(c, put)),
                    }
                    put(b'"');
                }
            }
        }
        put(b'}');
    }
}

/// The longest beginning of `text` that takes at most `room` bytes when escaped.
fn fitting_prefix(text: &str, room: usize) -> &str {
    let mut used = 0;
    let end = text.char_indices().find_map(|(at, c)| {
        escape(c, &mut |_| used += 1);
        (used > room).then_some(at)
    });
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

fn escaped_len(text: &str) -> usize {
    let mut len = 0;
    text.chars().for_each(|c| escape(c, &mut |_| len += 1));
    len
}

/// One character inside a JSON string, in the way the programs of the network write it.
fn escape(c: char, put: &mut impl FnMut(u8)) {
    let short = match c {
        '"' | '\\' => c as u8,
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{8}' => b'b',
        '\u{c}' => b'f',
        '\0'..='\x1f' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => b'u',
        _ => {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(put);
            return;
        }
    };
    put(b'\\');
    put(short);
    if short == b'u' {
        for shift in [12, 8, 4, 0] {
            let digit = char::from_digit(u32::from(c) >> shift & 15, 16).unwrap_or('0');
            put(digit as u8);
        }
    }
}

fn decimal(number: i128, put: &mut impl FnMut(u8)) {
    let mut text = String::<24>::new();
    let _ = write!(text, "{number}");
    text.bytes().for_each(put);
}

/// A string of the message before it is understood.
#[derive(Default)]
struct Bounded<const N: usize> {
    text: String<N>,
    cut: bool,
}

impl<const N: usize> Bounded<N> {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), JsonError> {
        self.text.clear();
        self.cut = false;
        reader.string(|c| self.cut = self.cut || self.text.push(c).is_err())
    }

    fn bytes<const M: usize>(&self, field: Field) -> Result<[u8; M], MessageError> {
        if self.text.is_empty() {
            return Err(MessageError::Missing(field));
        }
        // A cut text is longer than any that could be right.
        base64::decode(self.text.as_bytes()).filter(|_| !self.cut).ok_or(MessageError::BadBase64(field))
    }
}

#[derive(Default)]
struct Raw {
    kind: Bounded<24>,
    node: u32,
    key: Bounded<{ base64::encoded_len(32) }>,
    justification: Bounded<TEXT_MAX>,
    signature: Bounded<{ base64::encoded_len(64) }>,
    reason: Bounded<TEXT_MAX>,
    timestamp: i64,
}

impl Raw {
    fn read_member(&mut self, reader: &mut Reader<'_>) -> Result<(), MessageError> {
        let mut name = Bounded::<16>::default();
        name.read(reader)?;
        reader.expect(b':')?;
        let field =
            Field::ALL.into_iter().find(|field| !name.cut && field.as_str().eq_ignore_ascii_case(&name.text));
        let Some(field) = field else { return Ok(reader.skip()?) };
        if reader.take_null()? {
            return Ok(());
        }
        match (field, reader.peek()?) {
            (Field::NodeId, b'-' | b'0'..=b'9') => {
                self.node = reader.number()?.parse().map_err(|_| MessageError::WrongType(field))?;
            }
            (Field::Timestamp, b'-' | b'0'..=b'9') => {
                self.timestamp = reader.number()?.parse().map_err(|_| MessageError::WrongType(field))?;
            }
            (Field::Type, b'"') => self.kind.read(reader)?,
            (Field::PublicKey, b'"') => self.key.read(reader)?,
            (Field::Justification, b'"') => self.justification.read(reader)?,
            (Field::Signature, b'"') => self.signature.read(reader)?,
            (Field::Reason, b'"') => self.reason.read(reader)?,
            _ => return Err(MessageError::WrongType(field)),
        }
        Ok(())
    }

    fn check(self) -> Result<Message, MessageError> {
        let kind = Kind::ALL.into_iter().find(|kind| !self.kind.cut && kind.as_str() == self.kind.text);
        Ok(Message {
            kind: kind.ok_or(MessageError::UnknownType)?,
            node: self.node,
            key: self.key.bytes(Field::PublicKey)?,
            justification: self.justification.text,
            signature: self.signature.bytes(Field::Signature)?,
            reason: self.reason.text,
            timestamp: self.timestamp,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(message: &Message, room: usize) -> Vec<u8> {
        let mut out = vec![0xa5; room];
        let len = message.write(&mut out).unwrap();
        out.truncate(len);
        out
    }

    fn message() -> impl Strategy<Value = Message> {
        let kind = proptest::sample::select(Kind::ALL.to_vec());
        let bytes = (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>());
        (kind, any::<u32>(), bytes, any::<i64>(), ".{0,60}", "[\\x00-\\x20<>&\"\\\\\u{2028}\u{1f600}]{0,40}")
            .prop_map(|(kind, node, (key, a, b), timestamp, justification, reason)| {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&a);
                signature[32..].copy_from_slice(&b);
                let justification = Text::try_from(justification.as_str()).unwrap();
                let reason = Text::try_from(reason.as_str()).unwrap();
                Message { kind, node, key, justification, signature, reason, timestamp }
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_parsed(message in message()) {
            let bytes = written(&message, MESSAGE_MAX);
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
            serde_json::from_slice::<serde_json::Value>(&bytes).unwrap();
        }

        #[test]
        fn every_beginning_of_a_message_is_incomplete(message in message(), cut in 0.0..1.0_f64) {
            let bytes = written(&message, MESSAGE_MAX);
            let cut = (bytes.len() as f64 * cut) as usize;
            prop_assert_eq!(Message::parse(&bytes[..cut]), Err(MessageError::Json(JsonError::Incomplete)));
        }

        #[test]
        fn a_text_is_cut_to_what_the_buffer_takes(message in message(), more in 0..200_usize) {
            let room = message.len_with("", "") + more;
            let bytes = written(&message, room);
            prop_assert!(bytes.len() <= room);
            let parsed = Message::parse(&bytes).unwrap();
            prop_assert!(message.justification.starts_with(parsed.justification.as_str()));
            prop_assert!(message.reason.starts_with(parsed.reason.as_str()));
            if parsed != message {
                prop_assert!(bytes.len() + 6 > room, "room was left: {} of {room}", bytes.len());
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::parse(&bytes);
        }

        #[test]
        fn a_damaged_message_never_panics(message in message(), at: proptest::sample::Index, byte: u8) {
            let mut bytes = written(&message, MESSAGE_MAX);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Message::parse(&bytes);
        }
    }

    #[test]
    fn a_buffer_without_room_for_the_fixed_part_is_refused() {
        let message = Message {
            kind: Kind::Accept,
            node: 1,
            key: [1; 32],
            justification: Text::new(),
            signature: [2; 64],
            reason: Text::new(),
            timestamp: 0,
        };
        let needed = message.len_with("", "");
        assert_eq!(message.write(&mut vec![0; needed - 1]), Err(NoRoom { needed }));
        assert_eq!(message.write(&mut vec![0; needed]), Ok(needed));
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_null_changes_nothing() {
        let with = |tail: &str| {
            let key = "A".repeat(43) + "=";
            let signature = "A".repeat(86) + "==";
            let text = format!(
                r#"{{"type":"handshake_revoke","node_id":7,"public_key":"{key}","signature":"{signature}"{tail}}}"#
            );
            Message::parse(text.as_bytes())
        };
        assert_eq!(with(r#","node_id":8,"NODE_ID":9,"node_id":null,"reason":null"#).unwrap().node, 9);
        assert_eq!(with(r#","reason":5"#), Err(MessageError::WrongType(Field::Reason)));
        assert_eq!(with(r#","node_id":1e0"#), Err(MessageError::WrongType(Field::NodeId)));
        assert_eq!(with(r#","public_key":"""#), Err(MessageError::Missing(Field::PublicKey)));
        assert_eq!(with(r#","x":{"y":[1,{},"z"]}"#).unwrap().node, 7);
        let malformed = with(r#","x":{"y":[1,}}"#).unwrap_err();
        assert!(matches!(malformed, MessageError::Json(JsonError::Malformed { .. })), "{malformed}");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let long = "\u{e9}".repeat(600);
        let text = format!(
            r#"{{"type":"handshake_request","justification":"{long}","public_key":"{}=","signature":"{}=="}}"#,
            "A".repeat(43),
            "A".repeat(86)
        );
        let message = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(message.justification.as_str(), "\u{e9}".repeat(512));
    }
}

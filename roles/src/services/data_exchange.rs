//! Port 1001: messages and files. Frame: `u32 type, u32 length, payload`; each is answered by one text frame.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::fmt;

use super::event_stream::append;

/// The port.
pub const PORT: u16 = pilot_proto::port::DATA_EXCHANGE;

/// Longest payload in bytes, inclusive, name of a file and its length included.
pub const MAX_PAYLOAD: usize = 1 << 24;

/// Bytes of type and length.
pub const HEADER: usize = 8;

/// Longest file name in bytes.
pub const MAX_NAME: usize = u16::MAX as usize;

/// Longest header of a tagged message in bytes.
pub const MAX_TAG_HEADER: usize = 1024;

/// Frame types.
pub mod kind {
    /// UTF-8 by convention.
    pub const TEXT: u32 = 1;
    /// Any bytes.
    pub const BINARY: u32 = 2;
    /// JSON by convention.
    pub const JSON: u32 = 3;
    /// Name and content.
    pub const FILE: u32 = 4;
    /// A message that carries its sending time (since 1.12.4).
    pub const TRACED: u32 = 5;
    /// One step of a chunked file transfer (since 1.12.4).
    pub const CHUNKED: u32 = 7;
    /// A message that carries an id (since 1.13.10).
    pub const TAGGED: u32 = 10;
}

/// A frame as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or unknown.
    pub kind: u32,
    /// Everything after the length.
    pub payload: Vec<u8>,
}

/// What the payload of a frame means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<'a> {
    /// Type 1, 2 or 3; the frame's type says which.
    Message(&'a [u8]),
    /// Type 4 with a name.
    File {
        /// Name as sent: a path, control characters, not UTF-8: anything.
        name: &'a [u8],
        /// Content.
        data: &'a [u8],
    },
    /// Type 4 whose name is empty or unreadable: acknowledged with this many bytes, stored nowhere.
    UnnamedFile(&'a [u8]),
    /// Type 5.
    Traced {
        /// Type of the message inside.
        inner: u32,
        /// Sender's clock, nanoseconds since 1970.
        sent_at_ns: u64,
        /// The message inside.
        data: &'a [u8],
    },
    /// Type 7.
    Chunked {
        /// First half of the file's SHA-256.
        transfer: [u8; 16],
        /// The step.
        step: Chunked<'a>,
    },
    /// Type 10.
    Tagged {
        /// JSON object with `message_id` and, in an answer, `reply_to`.
        header: &'a [u8],
        /// Type of the message inside.
        inner: u32,
        /// The message inside.
        data: &'a [u8],
    },
    /// A type nobody knows.
    Unknown(&'a [u8]),
    /// Type 5, 7 or 10 whose payload does not have its form.
    Malformed(&'a [u8]),
}

/// Steps of a chunked file transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunked<'a> {
    /// 01, sender: what comes.
    Init {
        /// File size in bytes.
        size: u64,
        /// SHA-256 of the file.
        sha256: [u8; 32],
        /// Bytes per chunk.
        chunk: u32,
        /// File name, at most 255 bytes.
        name: &'a [u8],
    },
    /// 02, sender: a piece.
    Data {
        /// Where it belongs, bytes from the start.
        offset: u64,
        /// The piece.
        data: &'a [u8],
    },
    /// 03, receiver: everything before this is there.
    Ack {
        /// Bytes from the start.
        contiguous: u64,
    },
    /// 04, sender: all sent.
    Done,
    /// 05, receiver: go on from here.
    InitAck {
        /// Bytes from the start.
        resume: u64,
    },
    /// 06, receiver: end of the transfer; in answer to Init a refusal.
    Complete {
        /// Stored and its hash right.
        ok: bool,
        /// Words for the sender.
        text: &'a [u8],
    },
    /// 07, either side: end without result.
    Abort {
        /// Why.
        text: &'a [u8],
    },
}

impl<'a> Chunked<'a> {
    fn parse(step: u8, body: &'a [u8]) -> Option<Self> {
        let number =
            |bytes: &'a [u8]| bytes.split_first_chunk::<8>().map(|(n, rest)| (u64::from_be_bytes(*n), rest));
        Some(match step {
            1 => {
                let (size, rest) = number(body)?;
                let (sha256, rest) = rest.split_first_chunk::<32>()?;
                let (chunk, rest) = rest.split_first_chunk::<4>()?;
                let (name_length, rest) = rest.split_first_chunk::<2>()?;
                let name = rest.get(..usize::from(u16::from_be_bytes(*name_length)))?;
                Chunked::Init { size, sha256: *sha256, chunk: u32::from_be_bytes(*chunk), name }
            }
            2 => number(body).map(|(offset, data)| Chunked::Data { offset, data })?,
            3 => Chunked::Ack { contiguous: number(body)?.0 },
            4 => Chunked::Done,
            5 => Chunked::InitAck { resume: number(body)?.0 },
            6 => body.split_first().map(|(status, text)| Chunked::Complete { ok: *status == 0, text })?,
            7 => Chunked::Abort { text: body },
            _ => return None,
        })
    }
}

/// Type as texts name it: `TEXT`, `BINARY`, `JSON`, `FILE` or `UNKNOWN(n)`.
pub fn kind_name(kind: u32) -> Cow<'static, str> {
    match kind {
        kind::TEXT => "TEXT".into(),
        kind::BINARY => "BINARY".into(),
        kind::JSON => "JSON".into(),
        kind::FILE => "FILE".into(),
        n => format!("UNKNOWN({n})").into(),
    }
}

impl Frame {
    /// A message of a type.
    ///
    /// # Errors
    /// [`TooLarge`] above [`MAX_PAYLOAD`].
    pub fn message(kind: u32, data: &[u8]) -> Result<Self, TooLarge> {
        check(data.len())?;
        Ok(Frame { kind, payload: data.to_vec() })
    }

    /// A file.
    ///
    /// # Errors
    /// [`TooLarge`] if name and content together exceed [`MAX_PAYLOAD`], or the name [`MAX_NAME`].
    pub fn file(name: &[u8], data: &[u8]) -> Result<Self, TooLarge> {
        let length =
            u16::try_from(name.len()).map_err(|_| TooLarge { length: name.len(), allowed: MAX_NAME })?;
        check(2 + name.len() + data.len())?;
        let mut payload = Vec::with_capacity(2 + name.len() + data.len());
        payload.extend_from_slice(&length.to_be_bytes());
        payload.extend_from_slice(name);
        payload.extend_from_slice(data);
        Ok(Frame { kind: kind::FILE, payload })
    }

    /// What the payload means.
    pub fn content(&self) -> Content<'_> {
        let payload = self.payload.as_slice();
        match self.kind {
            kind::TEXT | kind::BINARY | kind::JSON => Content::Message(payload),
            kind::FILE => match payload.split_first_chunk::<2>() {
                Some((length, rest)) => match rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
                {
                    Some(([], data)) => Content::UnnamedFile(data),
                    Some((name, data)) => Content::File { name, data },
                    None => Content::UnnamedFile(payload),
                },
                None => Content::UnnamedFile(payload),
            },
            kind::TRACED => (|| {
                let (inner, rest) = payload.split_first_chunk::<4>()?;
                let (time, data) = rest.split_first_chunk::<8>()?;
                let (inner, sent_at_ns) = (u32::from_be_bytes(*inner), u64::from_be_bytes(*time));
                Some(Content::Traced { inner, sent_at_ns, data })
            })()
            .unwrap_or(Content::Malformed(payload)),
            kind::CHUNKED => (|| {
                let (step, rest) = payload.split_first()?;
                let (transfer, body) = rest.split_first_chunk::<16>()?;
                Some(Content::Chunked { transfer: *transfer, step: Chunked::parse(*step, body)? })
            })()
            .unwrap_or(Content::Malformed(payload)),
            kind::TAGGED => (|| {
                let (length, rest) = payload.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_be_bytes(*length));
                let (header, rest) = rest.split_at_checked(length)?;
                let (inner, data) = rest.split_first_chunk::<4>()?;
                ((1..=MAX_TAG_HEADER).contains(&length)).then_some(Content::Tagged {
                    header,
                    inner: u32::from_be_bytes(*inner),
                    data,
                })
            })()
            .unwrap_or(Content::Malformed(payload)),
            _ => Content::Unknown(payload),
        }
    }

    /// The frame in one piece. A reader may take header and payload with one read each, so keep them together.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.payload.len());
        out.extend_from_slice(&header(self.kind, self.payload.len()));
        out.extend_from_slice(&self.payload);
        out
    }
}

/// Type and length of a frame, for a sender that does not hold the payload in one piece.
pub fn header(kind: u32, length: usize) -> [u8; HEADER] {
    let ([a, b, c, d], [e, f, g, h]) =
        (kind.to_be_bytes(), u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    [a, b, c, d, e, f, g, h]
}

fn check(length: usize) -> Result<(), TooLarge> {
    if length > MAX_PAYLOAD { Err(TooLarge { length, allowed: MAX_PAYLOAD }) } else { Ok(()) }
}

/// A length above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge {
    /// Length found, in bytes.
    pub length: usize,
    /// Longest allowed.
    pub allowed: usize,
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame too large: {} (max {})", self.length, self.allowed)
    }
}

impl core::error::Error for TooLarge {}

/// Puts frames together from bytes cut anywhere. Memory grows with the bytes received, never with the bytes announced.
#[derive(Debug)]
pub struct Decoder {
    header: Vec<u8>,
    payload: Vec<u8>,
    max: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(MAX_PAYLOAD)
    }
}

impl Decoder {
    /// A decoder for payloads of up to `max` bytes.
    pub const fn new(max: usize) -> Self {
        Decoder { header: Vec::new(), payload: Vec::new(), max }
    }

    /// Takes bytes from the front of `input` until a frame is complete; call again until it returns `None`.
    ///
    /// # Errors
    /// [`TooLarge`]: close the stream without an answer. Every later call says the same.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, TooLarge> {
        append(&mut self.header, input, HEADER);
        let Some((kind, length)) = self.header.split_first_chunk::<4>() else { return Ok(None) };
        let Some((length, _)) = length.split_first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.max {
            return Err(TooLarge { length, allowed: self.max });
        }
        append(&mut self.payload, input, length);
        if self.payload.len() < length {
            return Ok(None);
        }
        let kind = u32::from_be_bytes(*kind);
        self.header.clear();
        Ok(Some(Frame { kind, payload: core::mem::take(&mut self.payload) }))
    }

    /// True between frames: a stream that ends now ended cleanly.
    pub fn is_idle(&self) -> bool {
        self.header.is_empty()
    }
}

/// The receiver's answer to one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stored, or nothing to store.
    Ack {
        /// Type name as in [`kind_name`].
        name: String,
        /// Bytes of content.
        bytes: u64,
        /// The same message was there already.
        duplicate: bool,
    },
    /// Not stored.
    Err(String),
    /// Something else.
    Other(String),
}

impl Answer {
    /// The acknowledgement of content of a type.
    pub fn ack(kind: u32, bytes: usize) -> Self {
        Answer::Ack { name: kind_name(kind).into_owned(), bytes: bytes as u64, duplicate: false }
    }

    /// The refusal of content of a type.
    pub fn save_failed(kind: u32, reason: &str) -> Self {
        Answer::Err(format!("ERR {} save failed: {reason}", kind_name(kind)))
    }

    /// Reads an answer's text.
    pub fn parse(text: &str) -> Self {
        let (rest, duplicate) = match text.strip_suffix(" (duplicate)") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let ack = rest.strip_prefix("ACK ").and_then(|rest| rest.strip_suffix(" bytes")).and_then(|rest| {
            let (name, bytes) = rest.rsplit_once(' ')?;
            Some(Answer::Ack { name: name.into(), bytes: bytes.parse().ok()?, duplicate })
        });
        match ack {
            Some(ack) => ack,
            None if text.starts_with("ERR") => Answer::Err(text.into()),
            None => Answer::Other(text.into()),
        }
    }

    /// The answer as the frame to send.
    pub fn to_frame(&self) -> Frame {
        Frame { kind: kind::TEXT, payload: format!("{self}").into_bytes() }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Ack { name, bytes, duplicate } => {
                write!(f, "ACK {name} {bytes} bytes{}", if *duplicate { " (duplicate)" } else { "" })
            }
            Answer::Err(text) | Answer::Other(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{bytes, vectors};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encode_vectors() {
        for case in vectors()["data_exchange"]["encode"].as_array().unwrap() {
            let kind = u32::try_from(case["type"].as_u64().unwrap()).unwrap();
            let payload = bytes(case, "payload").unwrap();
            let frame = match bytes(case, "filename") {
                Some(name) if kind == kind::FILE => Frame::file(&name, &payload),
                _ => Frame::message(kind, &payload),
            };
            if case["name"].as_str().unwrap().contains("wraps") {
                assert_eq!(frame, Err(TooLarge { length: 65_536, allowed: 65_535 }));
                continue;
            }
            let wire = frame.unwrap().to_bytes();
            assert_eq!(wire.len() as u64, case["wire_len"].as_u64().unwrap(), "{}", case["name"]);
            if let Some(expected) = case["wire_hex"].as_str() {
                assert_eq!(hex::encode(&wire), expected, "{}", case["name"]);
            }
        }
    }

    #[test]
    fn decode_vectors_in_any_cut() {
        for case in vectors()["data_exchange"]["decode"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let wire = bytes(case, "wire").unwrap();
            for cut in 0..=wire.len() {
                let mut decoder = Decoder::default();
                let mut out = Vec::new();
                let mut error = None;
                for mut part in [&wire[..cut], &wire[cut..]] {
                    loop {
                        match decoder.feed(&mut part) {
                            Ok(Some(frame)) => out.push(frame),
                            Ok(None) => break,
                            Err(e) => {
                                error = Some(e);
                                break;
                            }
                        }
                    }
                }
                if case["ok"] == true {
                    let frame = out.first().unwrap();
                    assert_eq!(u64::from(frame.kind), case["type"].as_u64().unwrap(), "{name}");
                    assert_eq!(kind_name(frame.kind), case["type_name"].as_str().unwrap());
                    let (file, data) = match frame.content() {
                        Content::File { name, data } => (name, data),
                        Content::Message(data) | Content::UnnamedFile(data) | Content::Unknown(data) => {
                            (&b""[..], data)
                        }
                        other => panic!("{name}: {other:?}"),
                    };
                    assert_eq!(data, bytes(case, "payload").unwrap(), "{name}");
                    assert_eq!(file, bytes(case, "filename").unwrap(), "{name}");
                    let answer = Answer::ack(frame.kind, data.len());
                    assert_eq!(
                        answer.to_frame().to_bytes(),
                        bytes(case, "daemon_ack_wire").unwrap(),
                        "{name}"
                    );
                    assert_eq!(Answer::parse(case["daemon_ack_text"].as_str().unwrap()), answer);
                } else {
                    assert!(out.is_empty());
                    let too_large = case["error"].as_str().unwrap().starts_with("frame too large");
                    assert_eq!(error.is_some(), too_large, "{name}");
                    assert_eq!(decoder.is_idle(), wire.is_empty(), "{name}");
                }
            }
        }
    }

    #[test]
    fn an_announced_length_reserves_no_memory() {
        let mut decoder = Decoder::default();
        let mut input = &header(kind::TEXT, MAX_PAYLOAD)[..];
        assert_eq!(decoder.feed(&mut input), Ok(None));
        assert!(decoder.payload.capacity() < 4096);
    }

    #[test]
    fn later_types_are_recognised() {
        let tagged = [&[0, 2][..], b"{}", &1u32.to_be_bytes(), b"hi"].concat();
        let frame = Frame::message(kind::TAGGED, &tagged).unwrap();
        assert_eq!(frame.content(), Content::Tagged { header: b"{}", inner: 1, data: b"hi" });
        let empty_header = Frame::message(kind::TAGGED, &[0, 0, 0, 0, 0, 1]).unwrap();
        assert!(matches!(empty_header.content(), Content::Malformed(_)));

        let mut init = vec![1];
        init.extend([7; 16]);
        init.extend(3u64.to_be_bytes());
        init.extend([9; 32]);
        init.extend(49_152u32.to_be_bytes());
        init.extend([0, 1, b'f']);
        let frame = Frame::message(kind::CHUNKED, &init).unwrap();
        let step = Chunked::Init { size: 3, sha256: [9; 32], chunk: 49_152, name: b"f" };
        assert_eq!(frame.content(), Content::Chunked { transfer: [7; 16], step });

        let traced = [&2u32.to_be_bytes()[..], &5u64.to_be_bytes(), b"x"].concat();
        let frame = Frame::message(kind::TRACED, &traced).unwrap();
        assert_eq!(frame.content(), Content::Traced { inner: 2, sent_at_ns: 5, data: b"x" });
    }

    #[test]
    fn answers_read_back() {
        assert_eq!(Answer::parse("ERR FILE save failed: x"), Answer::save_failed(kind::FILE, "x"));
        assert_eq!(
            Answer::parse("ACK UNKNOWN(10) 7 bytes (duplicate)"),
            Answer::Ack { name: "UNKNOWN(10)".into(), bytes: 7, duplicate: true }
        );
        assert_eq!(Answer::parse("hello"), Answer::Other("hello".into()));
    }

    proptest! {
        #[test]
        fn decoding_never_panics(kind in prop_oneof![0u32..12, any::<u32>()], payload: Vec<u8>, noise: Vec<u8>) {
            let _ = Frame { kind, payload }.content();
            let mut decoder = Decoder::default();
            let mut input = &noise[..];
            while let Ok(Some(frame)) = decoder.feed(&mut input) {
                let _ = frame.content();
            }
        }
    }
}

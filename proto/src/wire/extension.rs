//! The messages by which two nodes of this implementation agree on more than the releases know
//! (`spec/extensions.md`): the payload of control packets between ports 1.

use core::fmt;

use heapless::Vec;

use super::BufferTooSmall;
use super::bytes::{Reader, Writer};
use crate::crypto::{PublicKey, Signature};

/// The version of the messages.
pub const VERSION: u8 = 1;
/// Longest list of a statement, in bytes.
pub const MAX_LIST: usize = 255;
/// Most withdrawals in one statement.
pub const MAX_WITHDRAWN: usize = 3;
/// Bytes of a probe without its padding.
pub const PROBE_LEN: usize = 6;
/// Most bytes of any message but a probe.
pub const MAX_LEN: usize = 2 + 2 + MAX_LIST + SIGNATURE_LEN;

const SIGNATURE_LEN: usize = 64;
/// What a signature of a statement begins with.
const DOMAIN: &[u8; 19] = b"pilot-extensions-v1";
/// Most bytes a signature covers.
const MAX_SIGNED: usize = DOMAIN.len() + 32 + 32 + 4 + 4 + MAX_LIST;

const STATEMENT: u8 = 1;
const RECEIVED: u8 = 2;
const PROBE: u8 = 3;
const PROBE_RECEIVED: u8 = 4;
const RENEWAL: u8 = 5;

const CIPHERS: u8 = 1;
const PATH_MTU: u8 = 2;
const RENEWALS: u8 = 3;
const WITHDRAWN: u8 = 4;
const OPENS_CHACHA: u8 = 1;
const ASKS_FOR_CHACHA: u8 = 2;

/// One message. What a statement claims has not been verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// What the sender can do.
    Statement {
        /// The items, to be read with [`Statement::parse`].
        list: &'a [u8],
        /// Ed25519 over [`Signed::message`].
        signature: Signature,
    },
    /// The receiver's statement in this session has arrived.
    Received,
    /// A probe of the path; its size is what counts.
    Probe {
        /// Which one.
        number: u32,
    },
    /// A probe has arrived.
    ProbeReceived {
        /// Which one.
        number: u32,
    },
    /// The sender replaces the key of this session.
    Renewal,
}

/// What a node can do. Empty: nothing but what the releases do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// It opens ChaCha20-Poly1305.
    pub opens_chacha: bool,
    /// It asks for ChaCha20-Poly1305.
    pub asks_for_chacha: bool,
    /// It answers path probes and takes segments of up to so many bytes of payload; 0: it does not.
    pub largest_segment: u16,
    /// It understands renewals and withdrawals.
    pub renewals: bool,
}

/// A session that the sender of a statement will not seal under any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// Its name: see [`session_name_input`].
    pub session: [u8; 8],
    /// The last counter used there; 0 for none.
    pub last: u64,
}

/// The list of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// What the sender can do.
    pub capabilities: Capabilities,
    /// Sessions it has done with.
    pub withdrawn: Vec<Withdrawn, MAX_WITHDRAWN>,
}

impl<'a> Message<'a> {
    /// Reads the payload of a control packet between ports 1.
    pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        let cut = MessageError::Truncated { len: payload.len() };
        let mut read = Reader::new(payload);
        let (version, kind) = (read.u8().ok_or(cut)?, read.u8().ok_or(cut)?);
        if version != VERSION {
            return Err(MessageError::Version { found: version });
        }
        match kind {
            STATEMENT => {
                let len = read.u16().ok_or(cut)?;
                if usize::from(len) > MAX_LIST {
                    return Err(MessageError::ListTooLong { len });
                }
                let list = read.take(len.into()).ok_or(cut)?;
                Ok(Message::Statement { list, signature: read.array().ok_or(cut)? })
            }
            RECEIVED => Ok(Message::Received),
            PROBE => Ok(Message::Probe { number: read.u32().ok_or(cut)? }),
            PROBE_RECEIVED => Ok(Message::ProbeReceived { number: read.u32().ok_or(cut)? }),
            RENEWAL => Ok(Message::Renewal),
            found => Err(MessageError::Kind { found }),
        }
    }

    /// Writes the message; the padding of a probe is the caller's.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let write = Writer::new(out).u8(VERSION);
        match *self {
            Message::Statement { list, signature } => {
                let len = u16::try_from(list.len()).unwrap_or(u16::MAX);
                write.u8(STATEMENT).u16(len).put(list).put(&signature)
            }
            Message::Received => write.u8(RECEIVED),
            Message::Probe { number } => write.u8(PROBE).u32(number),
            Message::ProbeReceived { number } => write.u8(PROBE_RECEIVED).u32(number),
            Message::Renewal => write.u8(RENEWAL),
        }
        .finish()
    }
}

impl Statement {
    /// Reads a list. Unknown items are skipped.
    pub fn parse(list: &[u8]) -> Result<Self, MessageError> {
        let cut = MessageError::Truncated { len: list.len() };
        let (mut statement, mut seen) = (Statement::default(), [false; 4]);
        let mut rest = Reader::new(list);
        while let Some(kind) = rest.u8() {
            let len = rest.u8().ok_or(cut)?;
            let mut value = Reader::new(rest.take(len.into()).ok_or(cut)?);
            if let Some(seen) = seen.get_mut(usize::from(kind))
                && core::mem::replace(seen, true)
            {
                continue;
            }
            let capabilities = &mut statement.capabilities;
            match kind {
                CIPHERS => {
                    let bits = value.u8().ok_or(cut)?;
                    capabilities.opens_chacha = bits & OPENS_CHACHA != 0;
                    capabilities.asks_for_chacha = bits & ASKS_FOR_CHACHA != 0;
                }
                PATH_MTU => capabilities.largest_segment = value.u16().ok_or(cut)?,
                RENEWALS => capabilities.renewals = true,
                WITHDRAWN => {
                    let session = value.array().ok_or(cut)?;
                    let last = u64::from_be_bytes(value.array().ok_or(cut)?);
                    // More than there can be sessions says nothing to us.
                    let _ = statement.withdrawn.push(Withdrawn { session, last });
                }
                _ => {}
            }
        }
        Ok(statement)
    }

    /// Writes the list; at most [`MAX_LIST`] bytes.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let Capabilities { opens_chacha, asks_for_chacha, largest_segment, renewals } = self.capabilities;
        let mut write = Writer::new(out);
        if opens_chacha {
            let asks = if asks_for_chacha { ASKS_FOR_CHACHA } else { 0 };
            write = write.put(&[CIPHERS, 1, OPENS_CHACHA | asks]);
        }
        if largest_segment > 0 {
            write = write.put(&[PATH_MTU, 2]).u16(largest_segment);
        }
        if renewals {
            write = write.put(&[RENEWALS, 0]);
        }
        for Withdrawn { session, last } in &self.withdrawn {
            write = write.put(&[WITHDRAWN, 16]).put(session).put(&last.to_be_bytes());
        }
        write.finish()
    }
}

/// What the signature of a statement covers: who says what to whom, in which session.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The X25519 key of the sender, in this session.
    pub sender_key: &'a PublicKey,
    /// The X25519 key of the receiver, in this session.
    pub receiver_key: &'a PublicKey,
    /// The node that states.
    pub sender: u32,
    /// The node it states to.
    pub receiver: u32,
    /// The list.
    pub list: &'a [u8],
}

impl Signed<'_> {
    /// The bytes that are signed; `None` if the list is longer than [`MAX_LIST`].
    pub fn message(&self) -> Option<Vec<u8, MAX_SIGNED>> {
        let mut message = Vec::new();
        let (sender, receiver) = (self.sender.to_be_bytes(), self.receiver.to_be_bytes());
        for part in [&DOMAIN[..], self.sender_key, self.receiver_key, &sender, &receiver, self.list] {
            message.extend_from_slice(part).ok()?;
        }
        Some(message)
    }
}

/// What is hashed for the name of a session, by the side whose key is `sender`; the name is the first 8 bytes.
pub fn session_name_input(sender: &PublicKey, receiver: &PublicKey) -> [u8; 64] {
    let mut input = [0; 64];
    let (front, back) = input.split_at_mut(32);
    front.copy_from_slice(sender);
    back.copy_from_slice(receiver);
    input
}

/// Why a message means nothing to us. None is ever answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// Shorter than its kind, or than what it announces.
    Truncated {
        /// Bytes present.
        len: usize,
    },
    /// Not version 1.
    Version {
        /// What it is.
        found: u8,
    },
    /// None of the known kinds.
    Kind {
        /// What it is.
        found: u8,
    },
    /// A list of more than [`MAX_LIST`] bytes.
    ListTooLong {
        /// Bytes announced.
        len: u16,
    },
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageError::Truncated { len } => {
                write!(f, "extension message or list of {len} bytes ends too early")
            }
            MessageError::Version { found } => {
                write!(f, "extension message of version {found} (expected {VERSION})")
            }
            MessageError::Kind { found } => write!(f, "extension message of unknown kind {found}"),
            MessageError::ListTooLong { len } => {
                write!(f, "extension list of {len} bytes (at most {MAX_LIST})")
            }
        }
    }
}

impl core::error::Error for MessageError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn withdrawn() -> impl Strategy<Value = Withdrawn> {
        (any::<[u8; 8]>(), any::<u64>()).prop_map(|(session, last)| Withdrawn { session, last })
    }

    fn statements() -> impl Strategy<Value = Statement> {
        let sessions = prop::collection::vec(withdrawn(), 0..=MAX_WITHDRAWN);
        (any::<(bool, bool, u16, bool)>(), sessions).prop_map(|((opens, asks, size, renewals), sessions)| {
            Statement {
                capabilities: Capabilities {
                    opens_chacha: opens,
                    asks_for_chacha: opens && asks,
                    largest_segment: size,
                    renewals,
                },
                withdrawn: sessions.into_iter().collect(),
            }
        })
    }

    fn emitted(message: &Message<'_>) -> std::vec::Vec<u8> {
        let mut out = [0; MAX_LEN];
        let len = message.emit(&mut out).unwrap();
        out[..len].to_vec()
    }

    /// Proves EXT-2: the bytes of each kind.
    #[test]
    fn messages_have_the_bytes_of_the_table() {
        let statement = Message::Statement { list: &[3, 0], signature: [7; 64] };
        let bytes = emitted(&statement);
        assert_eq!(bytes[..6], [1, 1, 0, 2, 3, 0]);
        assert_eq!(bytes[6..], [7; 64]);
        assert_eq!(emitted(&Message::Received), [1, 2]);
        assert_eq!(emitted(&Message::Probe { number: 9 }), [1, 3, 0, 0, 0, 9]);
        assert_eq!(emitted(&Message::ProbeReceived { number: 9 }), [1, 4, 0, 0, 0, 9]);
        assert_eq!(emitted(&Message::Renewal), [1, 5]);
        assert_eq!(Message::parse(&[1, 2, 99, 99]), Ok(Message::Received), "what follows is ignored");
        assert_eq!(Message::parse(&[2, 2]), Err(MessageError::Version { found: 2 }));
        assert_eq!(Message::parse(&[1, 0]), Err(MessageError::Kind { found: 0 }));
        assert_eq!(Message::parse(&[1]), Err(MessageError::Truncated { len: 1 }));
        assert_eq!(Message::parse(&[1, 1, 1, 0]), Err(MessageError::ListTooLong { len: 256 }));
    }

    /// Proves EXT-4: what may come in a list.
    #[test]
    fn unknown_items_and_longer_values_are_ignored_and_the_first_of_two_counts() {
        let list = [99, 3, 1, 2, 3, 2, 4, 0x10, 0, 9, 9, 0, 0, 2, 2, 0, 1, 1, 1, 3];
        let read = Statement::parse(&list).unwrap().capabilities;
        let expected = Capabilities {
            opens_chacha: true,
            asks_for_chacha: true,
            largest_segment: 4096,
            renewals: false,
        };
        assert_eq!(read, expected);
        for len in [1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 14, 15, 16, 18, 19] {
            assert!(Statement::parse(&list[..len]).is_err(), "{len}");
        }
        assert!(Statement::parse(&[1, 0]).is_err(), "a value that is too short");
    }

    proptest! {
        #[test]
        fn statements_survive_the_wire(statement in statements(), signature: [u8; 32]) {
            let mut list = [0; MAX_LIST];
            let len = statement.emit(&mut list).unwrap();
            let mut both = [0; 64];
            both[..32].copy_from_slice(&signature);
            let message = Message::Statement { list: &list[..len], signature: both };
            let bytes = emitted(&message);
            prop_assert_eq!(Message::parse(&bytes), Ok(message));
            prop_assert_eq!(Statement::parse(&list[..len]), Ok(statement));
        }

        #[test]
        fn whatever_comes_nothing_breaks(mut bytes in prop::collection::vec(any::<u8>(), 0..400), ours: bool) {
            if let (true, Some(head)) = (ours, bytes.first_chunk_mut::<2>()) {
                *head = [VERSION, head[1] % 7];
            }
            if let Ok(Message::Statement { list, .. }) = Message::parse(&bytes) {
                let _ = Statement::parse(list);
            }
            let _ = Statement::parse(&bytes);
        }
    }
}

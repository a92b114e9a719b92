//! Why the trust machine refuses a call of ours or a message of somebody else.

use core::fmt;

use super::message::MessageError;

/// Why a call had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustError {
    /// The id is 0, broadcast, or our own.
    NotAPeer {
        /// The id.
        node: u32,
    },
    /// There is no request of this node to answer.
    NotPending {
        /// The id.
        node: u32,
    },
    /// The node is not trusted, so trust cannot be revoked.
    NotTrusted {
        /// The id.
        node: u32,
    },
    /// A text is too long.
    TextTooLong {
        /// Its length in bytes.
        len: usize,
        /// Longest allowed, in bytes.
        max: usize,
    },
    /// A list is full.
    TableFull {
        /// Which: `trusted`, `pending` or `requests`.
        table: &'static str,
        /// Entries it holds.
        capacity: usize,
    },
    /// Actions wait to be taken with [`Trust::poll_action`](super::Trust::poll_action) first.
    Busy,
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrustError::NotAPeer { node } => {
                write!(f, "node {node} cannot be trusted: not another node's id")
            }
            TrustError::NotPending { node } => write!(f, "no request of node {node} is pending"),
            TrustError::NotTrusted { node } => write!(f, "node {node} was not trusted"),
            TrustError::TextTooLong { len, max } => {
                write!(f, "text of {len} bytes, at most {max} are allowed")
            }
            TrustError::TableFull { table, capacity } => {
                write!(f, "list of {table} full: it holds {capacity} entries")
            }
            TrustError::Busy => write!(f, "earlier actions have not been taken yet"),
        }
    }
}

impl core::error::Error for TrustError {}

/// Why a message was dropped. Nothing is ever answered to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not a message.
    Message(MessageError),
    /// It speaks for another node than the one at the end of the tunnel.
    NotTheSender {
        /// Whom it names.
        claimed: u32,
        /// Who sent it.
        peer: u32,
    },
    /// It was written too long ago.
    TooOld {
        /// Age in seconds.
        age: i64,
        /// Oldest accepted, in seconds.
        max: i64,
    },
    /// It was written in the future.
    TooEarly {
        /// Seconds ahead of our clock.
        ahead: i64,
        /// Most accepted, in seconds.
        max: i64,
    },
    /// Nobody vouches for a key of its sender.
    UnknownKey,
    /// Its key is not the one vouched for.
    WrongKey,
    /// Its signature is not valid.
    BadSignature,
    /// It was accepted before.
    Replayed,
    /// The sender has sent too many messages lately.
    TooMany {
        /// Messages accepted in the time a message is remembered.
        max: usize,
    },
    /// Too many requests from the same place wait for the operator.
    SourceFull {
        /// Requests accepted per place.
        max: usize,
    },
    /// It answers what we did not ask.
    NotAsked,
    /// We could not act on it.
    Trust(TrustError),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Message(error) => error.fmt(f),
            Refused::NotTheSender { claimed, peer } => {
                write!(f, "message of node {claimed} came through the tunnel of node {peer}")
            }
            Refused::TooOld { age, max } => write!(f, "message is {age} s old, at most {max} are accepted"),
            Refused::TooEarly { ahead, max } => {
                write!(f, "message is {ahead} s ahead of our clock, at most {max} are accepted")
            }
            Refused::UnknownKey => write!(f, "no key is known for the sender"),
            Refused::WrongKey => {
                write!(f, "the message's key is not the one the registry has for the sender")
            }
            Refused::BadSignature => write!(f, "signature not valid"),
            Refused::Replayed => write!(f, "message was accepted before"),
            Refused::TooMany { max } => write!(f, "more than {max} messages from this node lately"),
            Refused::SourceFull { max } => write!(f, "more than {max} pending requests from this place"),
            Refused::NotAsked => write!(f, "answer to something we did not ask"),
            Refused::Trust(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Refused {}

impl From<MessageError> for Refused {
    fn from(error: MessageError) -> Self {
        Refused::Message(error)
    }
}

impl From<TrustError> for Refused {
    fn from(error: TrustError) -> Self {
        Refused::Trust(error)
    }
}

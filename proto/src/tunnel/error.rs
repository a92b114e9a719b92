//! Why a frame could not be sealed or opened.

use core::fmt;

use super::replay::Refused;
use crate::crypto::{CannotSeal, Forged};

/// Why a packet was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// No key yet; an exchange has been started unless one was given up a moment ago.
    NoKey,
    /// The key has sealed all it may; an exchange is under way.
    KeySpent,
    /// The frame does not fit the lent buffer.
    BufferTooSmall {
        /// Bytes needed.
        needed: usize,
        /// Bytes lent.
        lent: usize,
    },
    /// The crypto provider refused.
    Crypto(CannotSeal),
}

impl From<CannotSeal> for SealError {
    fn from(error: CannotSeal) -> Self {
        SealError::Crypto(error)
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::NoKey => f.write_str("no key for the peer yet"),
            SealError::KeySpent => f.write_str("the key has sealed all it may"),
            SealError::BufferTooSmall { needed, lent } => {
                write!(f, "buffer of {lent} bytes, {needed} needed")
            }
            SealError::Crypto(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SealError {}

/// Why a frame was not opened. Nothing has changed then, except that our own key exchange may be due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// There is no key at all.
    NoKey,
    /// Under none of our keys.
    Forged,
    /// Opened before, or too old to tell.
    Replay(Refused),
}

impl From<Forged> for OpenError {
    fn from(_: Forged) -> Self {
        OpenError::Forged
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::NoKey => f.write_str("no key for the sender"),
            OpenError::Forged => f.write_str("sealed under a key we do not have, or forged"),
            OpenError::Replay(refused) => refused.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

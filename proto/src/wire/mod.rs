//! Bytes on the wire: tunnel datagrams, beacon messages, the packet inside, and what rides in its payload.
//!
//! Parsers take any bytes and never panic; emitters write into memory the caller lends. Integers are big-endian.

pub mod beacon;
mod bytes;
pub mod extension;
pub mod frame;
pub mod packet;
pub mod sack;

/// The lent buffer is shorter than what was to be written into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferTooSmall {
    /// Bytes needed.
    pub needed: usize,
    /// Bytes lent.
    pub lent: usize,
}

impl core::fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "buffer of {} bytes, {} needed", self.lent, self.needed)
    }
}

impl core::error::Error for BufferTooSmall {}

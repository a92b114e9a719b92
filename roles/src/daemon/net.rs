//! The part of a node that local clients and built-in services use: streams by id, with back-pressure both ways.
//!
//! A trait, so that both can be tested without a network.

use alloc::string::String;
use core::fmt;

use pilot_proto::SockAddr;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// So many bytes, at least one.
    Bytes(usize),
    /// Nothing yet.
    Empty,
    /// Nothing any more: the peer has finished, or the stream is over.
    End,
}

/// The stream does not take data any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Over;

/// Streams. All calls happen at the instant the implementation was made for.
pub(crate) trait Net {
    /// Names a stream.
    type Id: Copy + Ord + fmt::Debug;

    /// Accepts streams to `port` from now on; false if somebody does already.
    fn listen(&mut self, port: u16) -> bool;

    /// Accepts no more streams to `port`.
    fn unlisten(&mut self, port: u16);

    /// Opens a stream.
    ///
    /// # Errors
    /// The words for the client.
    fn connect(&mut self, to: SockAddr) -> Result<Self::Id, String>;

    /// Sends a datagram from a port of its own.
    ///
    /// # Errors
    /// The words for the client.
    fn send_datagram(&mut self, to: SockAddr, data: &[u8]) -> Result<(), String>;

    /// Hands over data; returns how many bytes were taken. Zero: wait until the stream is writable.
    ///
    /// # Errors
    /// [`Over`] if no data will ever be taken again.
    fn write(&mut self, id: Self::Id, data: &[u8]) -> Result<usize, Over>;

    /// Takes received data.
    fn read(&mut self, id: Self::Id, buffer: &mut [u8]) -> Read;

    /// No more data will be written; what was written is still delivered.
    fn finish(&mut self, id: Self::Id);

    /// Ends both directions at once.
    fn reset(&mut self, id: Self::Id);

    /// The id will not be used again.
    fn release(&mut self, id: Self::Id);
}

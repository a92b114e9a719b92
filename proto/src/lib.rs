//! Pilot Protocol as a sans-IO state machine.
//!
//! Nothing in this crate owns a socket, reads a clock, draws entropy or uses a heap. Time is an
//! [`Instant`] handed in, randomness an [`Rng`](rng::Rng) handed in, memory is lent by the caller.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::todo
)]

pub mod addr;
pub mod base64;
pub mod crypto;
pub mod extension;
pub mod node;
pub mod path;
pub mod pool;
pub mod port;
pub mod ring;
pub mod rng;
pub mod slots;
pub mod stream;
pub mod table;
pub mod time;
pub mod timers;
pub mod trust;
pub mod tunnel;
pub mod wire;

pub use addr::{Addr, SockAddr};
pub use time::Instant;

/// One call's worth of outgoing UDP: the first `len` bytes of the buffer the caller lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where the datagrams go.
    pub to: core::net::SocketAddr,
    /// Bytes written into the lent buffer.
    pub len: usize,
    /// If set, the bytes are several datagrams of this size each (the last may be shorter), so that the driver can
    /// hand them to the kernel in one call. `None` means one datagram.
    pub segment_size: Option<usize>,
}

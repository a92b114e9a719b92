//! Pilot Protocol as a state machine: the data plane of one agent, and nothing of the machine it runs on.
//!
//! An agent has a number, its *node id*. Whoever knows the number can open byte streams to its ports and send it
//! datagrams, wherever it is: this crate agrees on keys with the peer, finds a direct way or goes through a relay,
//! repeats what is lost, and lets in only whom the agent trusts. It owns no socket, reads no clock, draws no
//! randomness, starts no thread and uses no heap: time is an [`Instant`] handed in, randomness an [`Rng`](rng::Rng)
//! handed in, memory is [lent](node::Memory). So it runs the same in a daemon, in a simulator and on a
//! microcontroller, and the same inputs give the same outputs, byte for byte.
//!
//! # The one contract
//!
//! [`node::Node`], and every machine below it, is used like this:
//!
//! - `handle_*` feeds **one** thing: a datagram, an answer, the news that an instant has come. So does each call of
//!   the application: `connect`, `write`, `read`. Nothing blocks, nothing calls out.
//! - `poll_transmit` and `poll_event` are then drained until they return `None`.
//! - `poll_timeout` is the one instant at which `handle_timeout` must be called. There are no ticks.
//! - What a node cannot know itself (where is node 2, what is its key?) it asks as an event, and goes on.
//!
//! # Two nodes and a wire
//!
//! All that a driver does, with a queue for a wire. Put a UDP socket in the place of the queue, wait where the clock is
//! moved, and it is a daemon.
//!
//! ```
//! use core::net::SocketAddr;
//! use pilot_proto::node::{Answer, Config, Event, Node, Question};
//! use pilot_proto::{Addr, Instant, crypto::*, rng::SeededRng, stream::Read};
//! # use pilot_proto::{node::*, pool::Chunk, table::words_for, timers::TimerSlot, trust::*};
//!
//! // Node 1 and node 2. `Room` is the memory they work in: here vectors, in firmware static arrays.
//! let address = |id: u32| SocketAddr::from(([192, 0, 2, id as u8], 4000));
//! let identity = |id| Identity::new(id, Ed25519Seed::from_bytes([id as u8; 32]), &RustCrypto);
//! let config = Config { public: true, ..Config::default() }; // Lets strangers in.
//! let mut nodes = [1, 2].map(|id| {
//!     Node::new(config.clone(), identity(id), Room::new(), RustCrypto, SeededRng::new(id.into()))
//! });
//!
//! let mut now = Instant::ORIGIN;
//! nodes[1].listen(80)?;
//! let stream = nodes[0].connect(now, Addr::backbone(2), 80)?;
//! nodes[0].write(now, stream, b"hello")?;
//! nodes[0].finish(now, stream)?;
//!
//! let (mut wire, mut heard, mut buffer) = (Vec::new(), Vec::new(), [0; 2048]);
//! while heard != b"hello" {
//!     for (id, node) in (1..).zip(&mut nodes) {
//!         while let Some(event) = node.poll_event(now) {
//!             match event {
//!                 // What a registry would answer.
//!                 Event::Ask(Question::Locate { node: peer }) => {
//!                     let key = Some(*identity(peer).public());
//!                     let candidates = &[address(peer)];
//!                     node.handle_answer(now, Answer::Located { node: peer, candidates, key, relay_only: false });
//!                 }
//!                 Event::Ask(Question::Key { node: peer }) => {
//!                     node.handle_answer(now, Answer::Key { node: peer, key: Some(*identity(peer).public()) });
//!                 }
//!                 Event::Readable { stream } => {
//!                     while let Ok(Read::Bytes(len)) = node.read(now, stream, &mut buffer) {
//!                         heard.extend_from_slice(&buffer[..len]);
//!                     }
//!                 }
//!                 _ => {}
//!             }
//!         }
//!         while let Some(transmit) = node.poll_transmit(now, &mut buffer) {
//!             let size = transmit.segment_size.unwrap_or(transmit.len);
//!             for datagram in buffer[..transmit.len].chunks(size) {
//!                 wire.push((address(id), transmit.to, datagram.to_vec()));
//!             }
//!         }
//!     }
//!     if wire.is_empty() {
//!         // Silence: on to the next deadline.
//!         now = nodes.iter_mut().filter_map(|node| node.poll_timeout()).min().ok_or("nothing is due")?;
//!         nodes.iter_mut().for_each(|node| node.handle_timeout(now));
//!     }
//!     for (from, to, mut datagram) in wire.drain(..) {
//!         let receiver = if to == address(1) { 0 } else { 1 };
//!         nodes[receiver].handle_datagram(now, from, &mut datagram);
//!     }
//! }
//! # struct Room {
//! #     peers: Vec<PeerSlot<RustCrypto>>, peer_index: Vec<u32>, peer_lists: Vec<u32>,
//! #     streams: Vec<StreamSlot>, stream_index: Vec<u32>, stream_lists: Vec<u32>,
//! #     timer_heap: Vec<u32>, timers: Vec<TimerSlot>, chunks: Vec<Chunk>, bytes: Vec<u8>,
//! #     packets: Vec<u8>, datagrams: Vec<u8>, listeners: Vec<Listener>, notices: Vec<Notice>,
//! #     trusted: Vec<Trusted>, pending: Vec<Pending>, intents: Vec<Intent>, seen: Vec<Seen>,
//! # }
//! # impl Room {
//! #     fn new() -> Self {
//! #         Room {
//! #             peers: (0..4).map(|_| PeerSlot::new()).collect(),
//! #             peer_index: vec![0; words_for(4)], peer_lists: vec![0; 4 * PEER_LISTS],
//! #             streams: (0..4).map(|_| StreamSlot::new()).collect(),
//! #             stream_index: vec![0; words_for(4)], stream_lists: vec![0; 4 * STREAM_LISTS],
//! #             timer_heap: vec![0; 8], timers: vec![TimerSlot::UNSET; 8],
//! #             chunks: vec![Chunk::NEW; 16], bytes: vec![0; 16 * 1152],
//! #             packets: vec![0; 4096], datagrams: vec![0; 4096],
//! #             listeners: vec![Listener::EMPTY; 4], notices: vec![Notice::EMPTY; 16],
//! #             trusted: vec![Trusted::EMPTY; 4], pending: vec![Pending::EMPTY; 4],
//! #             intents: vec![Intent::EMPTY; 4], seen: vec![Seen::EMPTY; 4],
//! #         }
//! #     }
//! # }
//! # impl Memory<RustCrypto> for Room {
//! #     fn parts(&mut self) -> Parts<'_, RustCrypto> {
//! #         pilot_proto::parts_of!(self)
//! #     }
//! # }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # A tour
//!
//! Bytes first, then what they mean, then what joins it all; each module's first line is its one idea.
//!
//! 1. [`addr`] and [`port`]: names of things. [`wire`]: the datagrams, the packet inside, and what rides in it.
//! 2. [`crypto`]: what must be computed, behind one trait. [`tunnel`]: which keys two peers have and which one seals.
//!    [`extension`]: what two peers of this project agree on beyond the releases.
//! 3. [`path`]: direct, punched or relayed. [`trust`]: who may talk to this node.
//! 4. [`stream`]: bytes that arrive complete and in order: windows, loss, congestion, ends.
//! 5. [`node`]: all of them for many peers and streams, in constant time per datagram. **Start here to use the crate.**
//! 6. The tools, all over lent memory: [`time`] and [`timers`], [`rng`], [`pool`] (stream data), [`ring`] (records that
//!    wait), [`slots`] and [`table`] (rows and how to find them), [`prefetch`] (rows before they are needed), [`base64`].
//!
//! The protocol in words, clause by clause, is in the folder `spec` of the repository; code and tests cite the clauses.
//!
//! # Features
//!
//! - `rustcrypto` (default): the built-in [crypto provider](crypto::RustCrypto). Without it the caller brings its own
//!   [`Crypto`](crypto::Crypto).
//! - `detect`: finds out at run time which instructions the processor has for the checksum; needs the standard
//!   library.
//! - `log`, `defmt`: lines about what happens seldom (keys, paths, refusals, ends), for the crates of these names.
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

/// `planted!(Bug)`: whether a bug was planted on purpose. Without the feature it is `false`, and the code behind it is not
/// compiled in.
#[doc(hidden)]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {{
        #[cfg(feature = "planted")]
        let is = $crate::planted::is($crate::planted::Bug::$bug);
        #[cfg(not(feature = "planted"))]
        let is = false;
        is
    }};
}

/// Whether this build can have bugs planted in it, for programs that refuse to.
pub const PLANTED: bool = cfg!(feature = "planted");

pub mod addr;
pub mod base64;
pub mod crypto;
pub mod extension;
mod macros;
pub mod node;
pub mod path;
#[cfg(feature = "planted")]
pub mod planted;
pub mod pool;
pub mod port;
pub mod prefetch;
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
    /// Whether routers on the way, or the kernel, may split them. Not so for a probe of the path, which must arrive whole
    /// or not at all.
    pub may_fragment: bool,
}

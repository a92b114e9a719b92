//! The memory a node works in: lent by its owner, bounded by its owner.
//!
//! A node never asks for memory. It works in the slices that [`Memory::parts`] shows it: static arrays in firmware,
//! vectors in a daemon. When a table is nearly full it asks the owner for more ([`Memory::more`]); the default answer is
//! no, and then the full table is a typed error.

use crate::{
    crypto::Crypto,
    node::{Listener, Notice, peer::PeerSlot, streams::StreamSlot},
    pool::Chunk,
    timers::TimerSlot,
    trust::{Intent, Pending, Seen, Trusted},
};

/// Lends a node its memory.
pub trait Memory<C: Crypto> {
    /// All of it, as disjoint slices. Every call must show the same memory; a table may have grown at its end.
    fn parts(&mut self) -> Parts<'_, C>;

    /// Makes room for at least one more entry in a table, at its end, if the owner's bound allows it; says whether.
    /// After a no, the node does not ask for that table again.
    fn more(&mut self, table: Table) -> bool {
        let _ = table;
        false
    }
}

/// The tables a node may ask more room for. All others have their size from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// [`Parts::peers`].
    Peers,
    /// [`Parts::streams`].
    Streams,
    /// [`Parts::listeners`].
    Listeners,
    /// [`Parts::notices`].
    Notices,
    /// [`Parts::trusted`].
    Trusted,
    /// [`Parts::pending`].
    Pending,
    /// [`Parts::intents`].
    Intents,
    /// [`Parts::seen`].
    Seen,
}

impl Table {
    /// All of them, in the order of their declaration.
    pub const ALL: [Table; 8] = [
        Table::Peers,
        Table::Streams,
        Table::Listeners,
        Table::Notices,
        Table::Trusted,
        Table::Pending,
        Table::Intents,
        Table::Seen,
    ];
}

/// The slices. Sizes are the node's limits; [`PEER_LISTS`], [`STREAM_LISTS`] and [`crate::table::words_for`] tell how
/// the helper tables must be sized for the *largest* number of peers and streams the owner will ever lend.
#[derive(Debug)]
pub struct Parts<'a, C: Crypto> {
    /// One slot per peer with tunnel state; each initialised with [`PeerSlot::new`].
    pub peers: &'a mut [PeerSlot<C>],
    /// Index of peers by node id: [`crate::table::words_for`]`(peers)` words.
    pub peer_index: &'a mut [u32],
    /// [`PEER_LISTS`] words per peer.
    pub peer_lists: &'a mut [u32],
    /// One slot per stream, open or waiting out its end; each initialised with [`StreamSlot::new`].
    pub streams: &'a mut [StreamSlot],
    /// Index of streams by ports and node: [`crate::table::words_for`]`(streams)` words.
    pub stream_index: &'a mut [u32],
    /// [`STREAM_LISTS`] words per stream.
    pub stream_lists: &'a mut [u32],
    /// As many words as [`timers`](Self::timers) has slots: deadlines beyond the shorter of the two are refused.
    pub timer_heap: &'a mut [u32],
    /// One slot per peer and per stream, twice the larger of the two numbers.
    pub timers: &'a mut [TimerSlot],
    /// Descriptors of the chunks that hold stream data.
    pub chunks: &'a mut [Chunk],
    /// The chunks' bytes; chunk size is `bytes.len() / chunks.len()` and bounds the segment size.
    pub bytes: &'a mut [u8],
    /// Packets that wait for keys or for their turn: datagrams out, pings, resets. At least one datagram large.
    pub packets: &'a mut [u8],
    /// Received datagrams that nobody has read yet.
    pub datagrams: &'a mut [u8],
    /// Ports on which streams are accepted, the trust port being one of them.
    pub listeners: &'a mut [Listener],
    /// Events, other than those of streams, that wait to be polled; when the owner does not poll, more are dropped.
    pub notices: &'a mut [Notice],
    /// Trusted nodes.
    pub trusted: &'a mut [Trusted],
    /// Handshake requests waiting for the operator.
    pub pending: &'a mut [Pending],
    /// Nodes we asked for trust.
    pub intents: &'a mut [Intent],
    /// Digests of handshake messages seen lately.
    pub seen: &'a mut [Seen],
}

/// [`Memory::parts`] for an owner that calls its fields as [`Parts`] does: `fn parts(&mut self) -> Parts<'_, C> {
/// parts_of!(self) }`.
#[macro_export]
macro_rules! parts_of {
    ($owner:expr) => {
        $crate::node::Parts {
            peers: &mut $owner.peers,
            peer_index: &mut $owner.peer_index,
            peer_lists: &mut $owner.peer_lists,
            streams: &mut $owner.streams,
            stream_index: &mut $owner.stream_index,
            stream_lists: &mut $owner.stream_lists,
            timer_heap: &mut $owner.timer_heap,
            timers: &mut $owner.timers,
            chunks: &mut $owner.chunks,
            bytes: &mut $owner.bytes,
            packets: &mut $owner.packets,
            datagrams: &mut $owner.datagrams,
            listeners: &mut $owner.listeners,
            notices: &mut $owner.notices,
            trusted: &mut $owner.trusted,
            pending: &mut $owner.pending,
            intents: &mut $owner.intents,
            seen: &mut $owner.seen,
        }
    };
}

/// Words of `peer_lists` per peer: the free list and the queue of peers that have something to send.
pub const PEER_LISTS: usize = 2;

/// Words of `stream_lists` per stream: the free list, the queue of streams that have something to send, and the queue
/// of streams that have something to report.
pub const STREAM_LISTS: usize = 3;

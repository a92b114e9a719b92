//! The static memory of one small node: 4 peers, 4 streams, 4 KiB of buffer a stream.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

use pilot_proto::{
    crypto::RustCrypto,
    node::{Listener, Memory, Notice, PEER_LISTS, Parts, PeerSlot, STREAM_LISTS, StreamSlot},
    parts_of,
    pool::Chunk,
    table::words_for,
    timers::TimerSlot,
    trust::{Intent, Pending, Seen, Trusted},
};

/// Peers with tunnel state.
pub(crate) const PEERS: usize = 4;
/// Streams, those that wait out their end included.
pub(crate) const STREAMS: usize = 4;
/// Bytes of stream data per stream; all streams share them.
pub(crate) const BUFFER: usize = 4096;
/// Bytes of one chunk, so of one segment sent.
pub(crate) const CHUNK: usize = 512;
/// Deadlines: one for each peer and each stream, counted in turn.
const TIMERS: usize = 2 * if PEERS > STREAMS { PEERS } else { STREAMS };
const CHUNKS: usize = STREAMS * BUFFER / CHUNK;
/// Bytes of packets that wait for keys, and of datagrams nobody has read: one of the largest each.
pub(crate) const PACKETS: usize = 1536;
/// Ports listened on.
pub(crate) const LISTENERS: usize = 8;
/// Events that wait to be polled.
pub(crate) const NOTICES: usize = 16;
/// Nodes we trust.
pub(crate) const TRUSTED: usize = 8;
/// Trust requests of others, and ours.
pub(crate) const REQUESTS: usize = 2;
/// Trust messages remembered.
pub(crate) const SEEN: usize = 8;

/// Everything one node works in.
pub(crate) struct Room {
    peers: [PeerSlot<RustCrypto>; PEERS],
    peer_index: [u32; words_for(PEERS)],
    peer_lists: [u32; PEER_LISTS * PEERS],
    streams: [StreamSlot; STREAMS],
    stream_index: [u32; words_for(STREAMS)],
    stream_lists: [u32; STREAM_LISTS * STREAMS],
    timer_heap: [u32; TIMERS],
    timers: [TimerSlot; TIMERS],
    chunks: [Chunk; CHUNKS],
    bytes: [u8; CHUNKS * CHUNK],
    packets: [u8; PACKETS],
    datagrams: [u8; PACKETS],
    listeners: [Listener; LISTENERS],
    notices: [Notice; NOTICES],
    trusted: [Trusted; TRUSTED],
    pending: [Pending; REQUESTS],
    intents: [Intent; REQUESTS],
    seen: [Seen; SEEN],
}

impl Room {
    /// Room nobody has used yet.
    pub(crate) const fn new() -> Self {
        Room {
            peers: [const { PeerSlot::new() }; PEERS],
            peer_index: [0; words_for(PEERS)],
            peer_lists: [0; PEER_LISTS * PEERS],
            streams: [const { StreamSlot::new() }; STREAMS],
            stream_index: [0; words_for(STREAMS)],
            stream_lists: [0; STREAM_LISTS * STREAMS],
            timer_heap: [0; TIMERS],
            timers: [TimerSlot::UNSET; _],
            chunks: [Chunk::NEW; CHUNKS],
            bytes: [0; CHUNKS * CHUNK],
            packets: [0; PACKETS],
            datagrams: [0; PACKETS],
            listeners: [Listener::EMPTY; LISTENERS],
            notices: [const { Notice::EMPTY }; NOTICES],
            trusted: [Trusted::EMPTY; TRUSTED],
            pending: [const { Pending::EMPTY }; REQUESTS],
            intents: [const { Intent::EMPTY }; REQUESTS],
            seen: [Seen::EMPTY; SEEN],
        }
    }
}

impl Memory<RustCrypto> for &mut Room {
    fn parts(&mut self) -> Parts<'_, RustCrypto> {
        parts_of!(self)
    }
}

/// A static that is lent once, for good.
pub(crate) struct LentOnce<T> {
    lent: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reachable only through `take`, which hands it to one caller; moving that caller's `&mut T`
// between threads needs `T: Send`.
unsafe impl<T: Send> Sync for LentOnce<T> {}

impl<T> LentOnce<T> {
    /// Not lent yet.
    pub(crate) const fn new(value: T) -> Self {
        LentOnce { lent: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// The value, for the first who asks.
    #[expect(clippy::mut_from_ref, reason = "the flag lets one caller in")]
    pub(crate) fn take(&'static self) -> Option<&'static mut T> {
        if self.lent.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the flag was down, so nobody has a reference to the value, and it stays up for ever.
        Some(unsafe { &mut *self.value.get() })
    }
}

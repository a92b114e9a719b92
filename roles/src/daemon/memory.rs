//! The memory of the daemon's node: vectors that grow with what is in them, up to a bound.

use alloc::{vec, vec::Vec};

use pilot_proto::{
    crypto::Crypto,
    node::{Listener, Memory, Notice, PEER_LISTS, Parts, PeerSlot, STREAM_LISTS, StreamSlot, Table},
    parts_of,
    pool::Chunk,
    table::words_for,
    timers::TimerSlot,
    trust::{Intent, PENDING_MAX, Pending, Seen, Trusted},
};

/// Entries that each growing table has room for at the start.
const INITIAL: usize = 4;
/// Bytes per chunk of stream data: the largest segment any release sends.
pub(crate) const CHUNK: usize = 4096;
/// Bytes of packets that wait for keys or their turn.
const PACKETS: usize = 512 << 10;
/// Bytes of received datagrams not read yet.
const DATAGRAMS: usize = 1 << 20;
/// Ports a daemon may listen on at once.
const LISTENERS: usize = 1024;
/// Events that wait to be polled: one timeout of the node may ask about every peer.
const NOTICES: usize = 4096;
/// Open trust requests of ours and recent decisions.
const INTENTS: usize = 512;
/// Handshake messages remembered.
const SEEN: usize = 8192;

/// Bounds of [`OwnedMemory`].
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Peers with tunnel state.
    pub peers: usize,
    /// Streams, those that wait out their end included.
    pub streams: usize,
    /// Bytes of stream data.
    pub stream_bytes: usize,
    /// Trusted nodes.
    pub trusted: usize,
}

/// Vectors for a node.
#[derive(Debug)]
pub struct OwnedMemory<C: Crypto> {
    bounds: Bounds,
    peers: Vec<PeerSlot<C>>,
    peer_index: Vec<u32>,
    peer_lists: Vec<u32>,
    streams: Vec<StreamSlot>,
    stream_index: Vec<u32>,
    stream_lists: Vec<u32>,
    timer_heap: Vec<u32>,
    timers: Vec<TimerSlot>,
    chunks: Vec<Chunk>,
    bytes: Vec<u8>,
    packets: Vec<u8>,
    datagrams: Vec<u8>,
    listeners: Vec<Listener>,
    notices: Vec<Notice>,
    trusted: Vec<Trusted>,
    pending: Vec<Pending>,
    intents: Vec<Intent>,
    seen: Vec<Seen>,
}

impl<C: Crypto> OwnedMemory<C> {
    /// Memory within `bounds`. What is not used costs address space only.
    pub fn new(bounds: Bounds) -> Self {
        let chunks = bounds.stream_bytes.div_ceil(CHUNK).max(1);
        let mut memory = OwnedMemory {
            bounds,
            peers: Vec::new(),
            peer_index: vec![0; words_for(bounds.peers)],
            peer_lists: vec![0; PEER_LISTS * bounds.peers],
            streams: Vec::new(),
            stream_index: vec![0; words_for(bounds.streams)],
            stream_lists: vec![0; STREAM_LISTS * bounds.streams],
            timer_heap: vec![0; 2 * bounds.peers.max(bounds.streams)],
            timers: vec![TimerSlot::UNSET; 2 * bounds.peers.max(bounds.streams)],
            chunks: vec![Chunk::NEW; chunks],
            bytes: vec![0; chunks * CHUNK],
            packets: vec![0; PACKETS],
            datagrams: vec![0; DATAGRAMS],
            listeners: Vec::new(),
            notices: Vec::new(),
            trusted: Vec::new(),
            pending: Vec::new(),
            intents: Vec::new(),
            seen: Vec::new(),
        };
        for table in Table::ALL {
            memory.more(table);
        }
        memory
    }
}

/// Doubles a table, up to `bound`; says whether it grew.
fn grow<T>(table: &mut Vec<T>, bound: usize, new: impl FnMut() -> T) -> bool {
    let before = table.len();
    table.resize_with((2 * before).max(INITIAL).min(bound).max(before), new);
    table.len() > before
}

impl<C: Crypto> Memory<C> for OwnedMemory<C> {
    fn parts(&mut self) -> Parts<'_, C> {
        parts_of!(self)
    }

    fn more(&mut self, table: Table) -> bool {
        match table {
            Table::Peers => grow(&mut self.peers, self.bounds.peers, PeerSlot::new),
            Table::Streams => grow(&mut self.streams, self.bounds.streams, StreamSlot::new),
            Table::Listeners => grow(&mut self.listeners, LISTENERS, || Listener::EMPTY),
            Table::Notices => grow(&mut self.notices, NOTICES, || Notice::EMPTY),
            Table::Trusted => grow(&mut self.trusted, self.bounds.trusted, || Trusted::EMPTY),
            Table::Pending => grow(&mut self.pending, PENDING_MAX, || Pending::EMPTY),
            Table::Intents => grow(&mut self.intents, INTENTS, || Intent::EMPTY),
            Table::Seen => grow(&mut self.seen, SEEN, || Seen::EMPTY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_proto::{
        Instant,
        crypto::{Ed25519Seed, Identity, RustCrypto},
        node::{Config, Node},
        rng::SeededRng,
        timers::{Timers, TimersState},
    };

    #[test]
    fn every_peer_and_every_stream_may_have_a_deadline() {
        for (peers, streams) in [(4, 16), (16, 4)] {
            let bounds = Bounds { peers, streams, stream_bytes: 1 << 16, trusted: 4 };
            let mut memory = OwnedMemory::<RustCrypto>::new(bounds);
            let (mut state, parts) = (TimersState::new(), memory.parts());
            let mut timers = Timers::new(&mut state, parts.timer_heap, parts.timers);
            // A node counts streams in even numbers and peers in odd ones.
            let (last_stream, last_peer) = (2 * (streams - 1), 2 * (peers - 1) + 1);
            for id in [last_stream, last_peer] {
                assert_eq!(timers.set(id as u32, Some(Instant::ORIGIN)), Ok(()), "{peers} {streams}");
            }
        }
    }

    #[test]
    fn a_program_may_bind_many_ports_in_one_breath() {
        let bounds = Bounds { peers: 4, streams: 4, stream_bytes: 1 << 16, trusted: 4 };
        let identity = Identity::new(7, Ed25519Seed::from_bytes([1; 32]), &RustCrypto);
        let memory = OwnedMemory::<RustCrypto>::new(bounds);
        let mut node = Node::new(Config::default(), identity, memory, RustCrypto, SeededRng::new(1));
        for port in 2000..2200 {
            assert_eq!(node.listen(port), Ok(()), "no poll in between");
        }
    }

    #[test]
    fn tables_double_up_to_their_bound() {
        let mut table = Vec::new();
        let mut sizes = Vec::new();
        while grow(&mut table, 300, || 0) {
            sizes.push(table.len());
        }
        assert_eq!(sizes, [4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(!grow(&mut Vec::<u8>::new(), 0, || 0));
    }
}

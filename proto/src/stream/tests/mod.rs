//! Tests of the stream: dialogues with a scripted peer, two streams on a bad link, a mock of the April release.
//!
//! Every dialogue runs from several initial sequence numbers, because half of all sequence bugs show only for some.

mod april;
mod closing;
mod data;
mod go_back;
mod handshake;
mod hazards;
mod hostile;
mod link;
mod loss;
mod moved;
mod recovery;
mod script;
mod traces;
mod vectors;
mod window;

use super::{Config, Events, Handled, Read, ReadError, Segment, Stream};
use crate::pool::{Chunk, Pool, PoolState};
use crate::time::{Duration, Instant};
use crate::wire::packet::Flags;

/// Where numbers are small, where they change sign, where they wrap.
pub(super) const ISNS: [u32; 3] = [0, (1 << 31) - 1, u32::MAX];
/// The scripted peer's, unlike ours.
pub(super) const PEER_ISN: u32 = u32::MAX - 3;
pub(super) const MSS: usize = 1152;

/// A payload byte pattern that shows misplaced bytes.
pub(super) fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|k| (k % 251) as u8).collect()
}

/// Memory for one pool.
pub(super) struct Memory {
    state: PoolState,
    chunks: Vec<Chunk>,
    bytes: Vec<u8>,
}

impl Memory {
    pub(super) fn new(chunks: usize, size: usize) -> Self {
        Memory { state: PoolState::new(), chunks: vec![Chunk::NEW; chunks], bytes: vec![0; chunks * size] }
    }

    pub(super) fn pool(&mut self) -> Pool<'_> {
        Pool::new(&mut self.state, &mut self.chunks, &mut self.bytes)
    }
}

/// One stream under test, its memory and its clock.
pub(super) struct End {
    pub(super) stream: Stream,
    pub(super) memory: Memory,
    pub(super) now: Instant,
}

pub(super) fn seg(flags: Flags, seq: u32, ack: u32, window: u16) -> Segment {
    Segment { flags, seq, ack, window }
}

/// Far from the origin and from whole milliseconds.
pub(super) const START: Instant = Instant::from_micros(1_234_567_891);

impl End {
    pub(super) fn connect(isn: u32) -> Self {
        End::connect_with(isn, &Config::DEFAULT)
    }

    pub(super) fn connect_with(isn: u32, config: &Config) -> Self {
        End { stream: Stream::connect(START, isn, config), memory: Memory::new(1024, MSS), now: START }
    }

    pub(super) fn accept(isn: u32) -> Self {
        let syn = seg(Flags::SYN, PEER_ISN, 0, 512);
        let stream = Stream::accept(START, isn, &syn, &Config::DEFAULT);
        End { stream, memory: Memory::new(1024, MSS), now: START }
    }

    /// A connected dialer whose peer advertised `window`; nothing is due.
    pub(super) fn open_with(isn: u32, window: u16, config: &Config) -> Self {
        let mut end = End::connect_with(isn, config);
        end.sends(Flags::SYN, isn, 0);
        end.feed(seg(Flags::SYN_ACK, PEER_ISN, isn.wrapping_add(1), window), b"");
        end.sends(Flags::ACK, isn.wrapping_add(1), PEER_ISN.wrapping_add(1));
        assert_eq!(end.stream.take_events(), Events::CONNECTED);
        end.quiet();
        end
    }

    pub(super) fn open(isn: u32) -> Self {
        End::open_with(isn, 512, &Config::DEFAULT)
    }

    pub(super) fn feed(&mut self, segment: Segment, payload: &[u8]) {
        assert_eq!(self.try_feed(segment, payload), Handled::Done);
    }

    pub(super) fn try_feed(&mut self, segment: Segment, payload: &[u8]) -> Handled {
        self.stream.handle_segment(self.now, &segment, payload, &mut self.memory.pool())
    }

    /// The next packet that leaves, checked against `wants_transmit`.
    pub(super) fn poll(&mut self) -> Option<(Segment, Vec<u8>)> {
        let wants = self.stream.wants_transmit(self.now);
        let mut buffer = [0xa5; 4096];
        let sent = self.stream.poll_transmit(self.now, &mut self.memory.pool(), &mut buffer);
        assert_eq!(wants, sent.is_some(), "wants_transmit and poll_transmit disagree");
        sent.map(|(segment, len)| (segment, buffer[..len].to_vec()))
    }

    pub(super) fn poll_all(&mut self) -> Vec<(Segment, Vec<u8>)> {
        core::iter::from_fn(|| self.poll()).collect()
    }

    /// Expects a packet without payload; returns its window.
    #[track_caller]
    pub(super) fn sends(&mut self, flags: Flags, seq: u32, ack: u32) -> u16 {
        let (segment, payload) = self.poll().expect("a packet");
        assert_eq!((segment.flags, segment.seq, segment.ack, payload.len()), (flags, seq, ack, 0));
        segment.window
    }

    /// Expects a data segment.
    #[track_caller]
    pub(super) fn sends_data(&mut self, seq: u32, data: &[u8]) {
        let (segment, payload) = self.poll().expect("a data segment");
        assert_eq!((segment.flags, segment.seq), (Flags::ACK, seq));
        assert!(payload == data, "got {} bytes, expected {}", payload.len(), data.len());
    }

    #[track_caller]
    pub(super) fn quiet(&mut self) {
        assert_eq!(self.poll(), None);
        if let Some(deadline) = self.stream.poll_timeout() {
            assert!(deadline > self.now, "a deadline in the past would be a hot loop");
        }
    }

    /// Lets time pass, waking the stream exactly when it asks for it.
    pub(super) fn pass(&mut self, by: Duration) -> Vec<(Duration, Segment, Vec<u8>)> {
        let (from, until) = (self.now, self.now + by);
        let mut sent = Vec::new();
        for (segment, payload) in self.poll_all() {
            sent.push((Duration::ZERO, segment, payload));
        }
        while let Some(at) = self.stream.poll_timeout().filter(|&at| at <= until) {
            assert!(at > self.now, "time must move: {at:?}");
            self.now = at;
            self.stream.handle_timeout(at, &mut self.memory.pool());
            for (segment, payload) in self.poll_all() {
                sent.push((at.since(from), segment, payload));
            }
        }
        self.now = until;
        sent
    }

    pub(super) fn write(&mut self, data: &[u8]) -> usize {
        self.stream.write(self.now, data, &mut self.memory.pool()).expect("writable")
    }

    /// Reads one piece.
    pub(super) fn read(&mut self) -> Result<Option<Vec<u8>>, ReadError> {
        let mut buffer = vec![0; 70_000];
        Ok(match self.stream.read(self.now, &mut buffer, &mut self.memory.pool())? {
            Read::Bytes(n) => Some(buffer[..n].to_vec()),
            Read::Empty => Some(Vec::new()),
            Read::End => None,
        })
    }

    pub(super) fn read_all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while let Ok(Some(piece)) = self.read() {
            if piece.is_empty() {
                break;
            }
            all.extend(piece);
        }
        all
    }

    /// Lets the stream go and checks that every chunk came back.
    pub(super) fn release(mut self) {
        let mut pool = self.memory.pool();
        self.stream.release(&mut pool);
        assert_eq!(pool.free(), pool.capacity(), "chunks leaked");
    }
}

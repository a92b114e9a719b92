//! Receiving: data is put in order, segment boundaries are kept, and what is free is advertised.

use super::Seq;
use super::config::{DEFAULT_MSS, MAX_MSS, RECV_RESERVE};
use crate::pool::{Chunk, Handle, Link, Pool, Queue};
use crate::wire::sack::{Block, Sack};

/// Unread segments whose boundaries are always kept; beyond, small segments share chunks.
const MERGE_ABOVE: u32 = 32;
/// Chunks a receiver may hold however small its buffer is.
const MIN_CHUNKS: u32 = 16;
/// Full-size segments of release 1.18.0 in a row that show a peer of that kind: it sends no larger ones, and knows
/// that a window of 0 is closed. (An April peer echoing what we sent makes shorter rows.)
const MODERN_RUN: u8 = 32;

/// What became of a data segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The next byte expected has moved.
    InOrder,
    /// Kept beyond a gap.
    Beyond,
    /// Nothing new in it.
    Duplicate,
    /// Dropped: outside the window, or no chunk left. Not to be acknowledged.
    NoRoom,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    /// RCV.NXT: the next byte expected.
    pub(super) next: Seq,
    /// In order and not yet read.
    ready: Queue,
    ready_bytes: u32,
    /// Beyond the gap at `next`: sorted, not overlapping.
    beyond: Queue,
    beyond_bytes: u32,
    buffer: u32,
    /// Where the window that was last advertised ends.
    edge: Seq,
    /// Segments of exactly the modern size, or the one expected, seen in a row; stops at [`MODERN_RUN`].
    modern_run: u8,
    /// A segment larger than those was seen.
    large_seen: bool,
    /// The largest segment the peer may send; 0: as a release.
    expected: u16,
}

impl Receiver {
    pub(super) fn new(next: Seq, buffer: u32) -> Self {
        Receiver { next, edge: next, buffer, ..Receiver::default() }
    }

    /// The peer may send segments of up to `size` bytes from now on.
    pub(super) fn expect(&mut self, size: u16) {
        self.expected = self.expected.max(size.min(MAX_MSS));
    }

    /// Bytes ready to be read.
    pub(super) fn readable(&self) -> u32 {
        self.ready_bytes
    }

    /// Chunks waiting beyond a gap.
    pub(super) fn beyond(&self) -> u32 {
        self.beyond.count
    }

    /// Takes a data segment starting at `seq`.
    pub(super) fn insert(&mut self, seq: Seq, data: &[u8], pool: &mut Pool) -> Arrival {
        self.observe_size(data.len());
        let old = if self.next.is_after(seq) { self.next.distance(seq) } else { 0 };
        let Some(data) = usize::try_from(old).ok().and_then(|old| data.get(old..)).filter(|d| !d.is_empty())
        else {
            return Arrival::Duplicate;
        };
        let seq = seq + old;
        let ahead = seq.distance(self.next);
        let room = (self.buffer + RECV_RESERVE).saturating_sub(self.ready_bytes).saturating_sub(ahead);
        let room = if crate::planted!(WindowOverrun) { u32::MAX } else { room };
        let fitting = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let whole = fitting == data.len();
        let Some(data) = data.get(..fitting).filter(|data| !data.is_empty()) else {
            return Arrival::NoRoom;
        };
        let (before, held) = (self.next, self.beyond_bytes);
        if ahead == 0 && self.beyond.count == 0 && self.merge(data, whole, pool) {
            return Arrival::InOrder;
        }
        self.fill(seq, data, whole, pool);
        self.release_ready(pool);
        if self.next != before {
            Arrival::InOrder
        } else if self.beyond_bytes != held {
            Arrival::Beyond
        } else if self.covers(seq, data.len(), pool) {
            Arrival::Duplicate
        } else {
            Arrival::NoRoom
        }
    }

    /// Learns from the size of a segment what kind of peer sends it.
    fn observe_size(&mut self, len: usize) {
        let expected = usize::from(self.expected.max(DEFAULT_MSS));
        if len > expected {
            self.large_seen = true;
        } else if len == usize::from(DEFAULT_MSS) || len == expected {
            self.modern_run = self.modern_run.saturating_add(1).min(MODERN_RUN);
        } else if self.modern_run < MODERN_RUN {
            self.modern_run = 0;
        }
    }

    fn peer_is_modern(&self) -> bool {
        self.modern_run == MODERN_RUN && !self.large_seen
    }

    /// Puts a small segment behind others in the same chunk once keeping boundaries would waste the pool.
    fn merge(&mut self, data: &[u8], whole: bool, pool: &mut Pool) -> bool {
        let Some(tail) = self.ready.tail.filter(|_| self.ready.count >= MERGE_ABOVE) else { return false };
        if usize::from(pool.get(tail).len) + data.len() > pool.chunk_size() {
            return false;
        }
        let n = to_u32(pool.append(tail, data, pool.chunk_size()));
        pool.update(tail, |chunk| chunk.ends_segment = whole);
        self.next = self.next + n;
        self.ready_bytes += n;
        n > 0
    }

    /// Fills the gaps that `data` covers, lowest first.
    fn fill(&mut self, mut seq: Seq, mut data: &[u8], whole: bool, pool: &mut Pool) {
        let (mut before, mut at) = match self.beyond.tail {
            Some(tail) if !pool.get(tail).end().is_after(seq) => (Some(tail), None),
            _ => (None, self.beyond.head),
        };
        while !data.is_empty() {
            let (gap, covered) = match at.map(|at| pool.get(at)) {
                Some(chunk) if !chunk.end().is_after(seq) => {
                    (before, at) = (at, chunk.next);
                    continue;
                }
                Some(chunk) if chunk.seq.is_after(seq) => (chunk.seq.distance(seq), 0),
                Some(chunk) => (0, chunk.end().distance(seq)),
                None => (u32::MAX, 0),
            };
            let n = if covered > 0 {
                covered
            } else {
                let Some(handle) = self.chunk_for(seq, &mut at, pool) else { return };
                let piece = data.get(..usize::try_from(gap).unwrap_or(usize::MAX)).unwrap_or(data);
                let n = pool.append(handle, piece, pool.chunk_size());
                let ends_segment = whole && n == data.len();
                pool.update(handle, |chunk| {
                    (chunk.seq, chunk.ends_segment) = (seq, ends_segment);
                });
                self.beyond.insert(before, handle, pool);
                self.beyond_bytes += to_u32(n);
                before = Some(handle);
                if n == 0 {
                    return;
                }
                to_u32(n)
            };
            seq = seq + n;
            data = usize::try_from(n).ok().and_then(|n| data.get(n..)).unwrap_or(&[]);
        }
    }

    /// A chunk for data at `seq`. If the pool has none, the data furthest ahead gives way, never nearer data; `at`
    /// is kept from naming a chunk that is gone.
    fn chunk_for(&mut self, seq: Seq, at: &mut Link, pool: &mut Pool) -> Option<Handle> {
        if self.free_chunks(pool) > 0
            && let Some(handle) = pool.take(self.held())
        {
            return Some(handle);
        }
        let last = self.beyond.tail.filter(|&last| pool.get(last).seq.is_after(seq))?;
        let (mut before, mut walk) = (None, self.beyond.head);
        while let Some(here) = walk.filter(|&here| here != last) {
            (before, walk) = (walk, pool.get(here).next);
        }
        match before {
            Some(before) => pool.update(before, |chunk| chunk.next = None),
            None => self.beyond.head = None,
        }
        self.beyond.tail = before;
        self.beyond.count -= 1;
        self.beyond_bytes -= u32::from(pool.get(last).len);
        if *at == Some(last) {
            *at = None;
        }
        pool.set(last, Chunk::NEW);
        Some(last)
    }

    /// Moves what now follows `next` to the reader.
    fn release_ready(&mut self, pool: &mut Pool) {
        while let Some(head) = self.beyond.head {
            let chunk = pool.get(head);
            if chunk.seq != self.next || self.beyond.pop(pool).is_none() {
                return;
            }
            self.ready.push(head, pool);
            self.next = chunk.end();
            self.beyond_bytes -= u32::from(chunk.len);
            self.ready_bytes += u32::from(chunk.len);
        }
    }

    /// Whether all of `len` bytes from `seq` on are here already.
    fn covers(&self, seq: Seq, len: usize, pool: &Pool) -> bool {
        let end = seq + to_u32(len);
        self.report_all(pool)
            .any(|block| !Seq::new(block.left).is_after(seq) && !end.is_after(Seq::new(block.right)))
    }

    /// The blocks beyond the gap, lowest first, joined where they touch.
    fn report_all<'p>(&self, pool: &'p Pool) -> impl Iterator<Item = Block> + 'p {
        let mut at = self.beyond.head;
        core::iter::from_fn(move || {
            let first = pool.get(at?);
            let mut right = first.end();
            at = first.next;
            while let Some(chunk) = at.map(|at| pool.get(at)).filter(|chunk| chunk.seq == right) {
                (right, at) = (chunk.end(), chunk.next);
            }
            Some(Block { left: first.seq.get(), right: right.get() })
        })
    }

    /// The report to send: the four lowest blocks.
    pub(super) fn report(&self, pool: &Pool) -> Sack {
        Sack::new(self.report_all(pool))
    }

    /// The report to send to a peer that takes long ones: as many blocks as fit `room` bytes.
    pub(super) fn long_report(&self, room: usize, pool: &Pool) -> Sack {
        Sack::new_long(self.report_all(pool), room)
    }

    /// Reads at most the rest of one segment.
    pub(super) fn read(&mut self, out: &mut [u8], pool: &mut Pool) -> usize {
        let mut done = 0;
        while let Some(head) = self.ready.head {
            let chunk = pool.get(head);
            let unread = pool.data(head).get(chunk.taken.into()..).unwrap_or(&[]);
            let n = unread.len().min(out.len() - done);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + n), unread.get(..n)) {
                to.copy_from_slice(from);
            }
            let emptied = n == unread.len();
            done += n;
            if !emptied {
                pool.update(head, |chunk| chunk.taken += u16::try_from(n).unwrap_or(u16::MAX));
                break;
            }
            self.ready.pop(pool);
            pool.give(head);
            if chunk.ends_segment || done == out.len() {
                break;
            }
        }
        self.ready_bytes -= to_u32(done);
        done
    }

    /// Copies what is ready to be read to `out` and leaves it there. How many bytes that are.
    pub(super) fn peek(&self, out: &mut [u8], pool: &Pool) -> usize {
        let (mut done, mut at) = (0, self.ready.head);
        while let Some(handle) = at {
            let chunk = pool.get(handle);
            let unread = pool.data(handle).get(chunk.taken.into()..).unwrap_or(&[]);
            let n = unread.len().min(out.len() - done);
            if let (Some(to), Some(from)) = (out.get_mut(done..done + n), unread.get(..n)) {
                to.copy_from_slice(from);
            }
            done += n;
            at = chunk.next.filter(|_| done < out.len());
        }
        done
    }

    /// Bytes a window unit stands for to this peer's sender.
    fn unit(&self) -> u32 {
        if self.peer_is_modern() { self.expected.max(DEFAULT_MSS).into() } else { MAX_MSS.into() }
    }

    fn held(&self) -> u32 {
        self.ready.count + self.beyond.count
    }

    /// Chunks that may be taken now.
    fn free_chunks(&self, pool: &Pool) -> u32 {
        let most = (self.buffer / to_u32(pool.chunk_size()).max(1) * 2).max(MIN_CHUNKS);
        pool.allowance(self.held()).min(most.saturating_sub(self.held()))
    }

    /// Whole segments that are free from `next` on, those received beyond a gap included: what the window field could
    /// say. Each needs chunks of its own, however little of them it fills.
    fn free_units(&self, pool: &Pool) -> u32 {
        let free = self.free_chunks(pool);
        let bytes = free.saturating_mul(to_u32(pool.chunk_size())).saturating_add(self.beyond_bytes);
        let bytes = self.buffer.saturating_sub(self.ready_bytes).min(bytes);
        (bytes / self.unit()).min(free + self.beyond.count).min(u16::MAX.into())
    }

    /// The window field, remembered as advertised. 0, a closed window, only to a peer known to understand it.
    pub(super) fn advertise(&mut self, pool: &Pool) -> u16 {
        let units = self.free_units(pool).max(u32::from(!self.peer_is_modern()));
        self.edge = self.next + units * self.unit();
        u16::try_from(units).unwrap_or(u16::MAX)
    }

    /// Whether all the peer can be told is that one more segment, or none, may come.
    pub(super) fn is_tight(&self, pool: &Pool) -> bool {
        self.free_units(pool) <= 1
    }

    /// Whether the window has grown by so much that a blocked sender should hear of it (RFC 9293, 3.8.6.2.2).
    pub(super) fn window_opened(&self, pool: &Pool) -> bool {
        let known = if self.edge.is_after(self.next) { self.edge.distance(self.next) } else { 0 };
        let now = self.free_units(pool) * self.unit();
        let grown = now.saturating_sub(known);
        grown >= self.buffer / 2 || (known <= 2 * self.unit() && grown >= (self.buffer / 8).max(self.unit()))
    }

    /// Gives all chunks back.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        self.ready.clear(pool);
        self.clear_beyond(pool);
        self.ready_bytes = 0;
    }

    /// Forgets what lies beyond the gap: it will not be closed any more.
    pub(super) fn clear_beyond(&mut self, pool: &mut Pool) {
        self.beyond.clear(pool);
        self.beyond_bytes = 0;
    }
}

fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::PoolState;

    /// Proves EXT-15: a window counts the largest segments that are to be expected.
    #[test]
    fn the_unit_of_the_window_follows_what_the_peer_may_send() {
        let (mut chunks, mut bytes) = (std::vec![Chunk::NEW; 512], std::vec![0; 512 * 4096]);
        let mut state = PoolState::default();
        let mut pool = Pool::new(&mut state, &mut chunks, &mut bytes);
        let mut receiver = Receiver::new(Seq::new(1), 1 << 20);
        let mut take = |receiver: &mut Receiver, len: usize| {
            assert_eq!(receiver.insert(receiver.next, &[0; 4096][..len], &mut pool), Arrival::InOrder);
            receiver.unit()
        };
        for _ in 1..MODERN_RUN {
            assert_eq!(take(&mut receiver, 1152), 4096, "it may be an April peer");
        }
        assert_eq!(take(&mut receiver, 1152), 1152);
        receiver.expect(1402);
        assert_eq!(receiver.unit(), 1402);
        assert_eq!(take(&mut receiver, 1402), 1402);
        receiver.expect(1302);
        assert_eq!(receiver.unit(), 1402, "what was answered stays answered");
        assert_eq!(take(&mut receiver, 1403), 4096, "that was no peer of ours");
    }
}

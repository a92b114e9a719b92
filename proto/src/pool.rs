//! The chunk pool: lent memory that all streams of a node share, handed out in chunks of one size.
//!
//! No stream can starve the others: beyond its first [`RESERVE`] chunks a queue may take one only while it holds
//! fewer than are free (the dynamic thresholds of Choudhury and Hahne). One busy queue so gets half of the pool, two
//! get a third each, and something is always left for a newcomer.

use core::num::NonZeroU32;

use crate::stream::Seq;
use crate::time::Instant;

/// Chunks a queue may take while the pool has any, however much it is pressed.
pub const RESERVE: u32 = 4;
/// Largest chunk, in bytes; more bytes per chunk than this are left unused.
pub const MAX_CHUNK: usize = 65_535;

/// What the pool remembers between calls, apart from the lent slices.
#[derive(Clone, Debug, Default)]
pub struct PoolState {
    /// Chunks given back, last in first out: the next one taken is the one most likely still in the cache.
    returned: Link,
    returned_count: u32,
    /// Chunks from here on were never used, so that memory nobody needs is never touched.
    fresh: u32,
}

impl PoolState {
    /// Every chunk is free.
    pub const fn new() -> Self {
        PoolState { returned: None, returned_count: 0, fresh: 0 }
    }

    /// Chunks in use.
    pub const fn used(&self) -> u32 {
        self.fresh.saturating_sub(self.returned_count)
    }
}

/// Names a chunk; only the pool makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle(NonZeroU32);

/// The chunk after this one, if any.
pub(crate) type Link = Option<Handle>;

impl Handle {
    fn new(index: u32) -> Link {
        NonZeroU32::new(index.checked_add(1)?).map(Handle)
    }

    fn index(self) -> usize {
        // A handle holds the index plus one.
        usize::try_from(self.0.get() - 1).unwrap_or(usize::MAX)
    }
}

/// Where a segment of the send queue is, as far as the sender knows (RFC 6675, section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Never sent.
    #[default]
    Unsent,
    /// Sent and believed to be under way.
    Flying,
    /// Reported received beyond a gap.
    Sacked,
    /// Believed lost, waiting to be sent again.
    Lost,
}

/// What is known of one chunk besides its bytes. [`Chunk::NEW`] is where every chunk starts.
#[derive(Clone, Copy, Debug)]
pub struct Chunk {
    pub(crate) next: Link,
    /// Sequence number of the first byte.
    pub(crate) seq: Seq,
    /// Bytes in use.
    pub(crate) len: u16,
    /// Bytes at the front that were already read.
    pub(crate) taken: u16,
    /// When it was last sent; not that of what is reported received: see [`run`](Self::run).
    pub(crate) sent: Instant,
    pub(crate) fate: Fate,
    /// Sent more than once, so that its ACK says nothing about the round trip (Karn's rule).
    pub(crate) resent: bool,
    /// The last byte is the last byte of a received segment.
    pub(crate) ends_segment: bool,
}

impl Chunk {
    /// A chunk nobody used yet.
    pub const NEW: Chunk = Chunk {
        next: None,
        seq: Seq::new(0),
        len: 0,
        taken: 0,
        sent: Instant::ORIGIN,
        fate: Fate::Unsent,
        resent: false,
        ends_segment: false,
    };

    /// The sequence number after the last byte.
    pub(crate) fn end(&self) -> Seq {
        self.seq + u32::from(self.len)
    }

    /// Of the first of several segments in a row that are reported received: the last of them, and how many they are.
    /// Kept in place of `sent`, which means nothing any more, for a chunk is not to grow.
    pub(crate) fn run(&self) -> (Link, u32) {
        let (last, count) = (self.sent.as_micros() >> 32, self.sent.as_micros() & u64::from(u32::MAX));
        let last = u32::try_from(last).ok().and_then(NonZeroU32::new).map(Handle);
        (last, u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Reported received, and the first of a [run](Self::run).
    pub(crate) fn lead(self, last: Handle, count: u32) -> Chunk {
        let sent = Instant::from_micros(u64::from(last.0.get()) << 32 | u64::from(count));
        Chunk { sent, fate: Fate::Sacked, taken: 0, ..self }
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Chunk::NEW
    }
}

/// The pool for the length of one call: the state and the memory it describes.
#[derive(Debug)]
pub struct Pool<'a> {
    state: &'a mut PoolState,
    chunks: &'a mut [Chunk],
    bytes: &'a mut [u8],
    chunk_size: usize,
}

impl<'a> Pool<'a> {
    /// A pool of `chunks.len()` chunks of `bytes.len() / chunks.len()` bytes each, at most [`MAX_CHUNK`].
    ///
    /// A chunk holds at most one segment being sent, so chunks below the segment size make the segments shorter.
    /// `state` must always come with the same slices.
    pub fn new(state: &'a mut PoolState, chunks: &'a mut [Chunk], bytes: &'a mut [u8]) -> Self {
        let chunk_size = bytes.len().checked_div(chunks.len()).unwrap_or(0).min(MAX_CHUNK);
        Pool { state, chunks, bytes, chunk_size }
    }

    /// Bytes per chunk.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Chunks in all, used and free.
    pub fn capacity(&self) -> u32 {
        if self.chunk_size == 0 { 0 } else { u32::try_from(self.chunks.len()).unwrap_or(u32::MAX - 1) }
    }

    /// Free chunks.
    pub fn free(&self) -> u32 {
        self.capacity().saturating_sub(self.state.fresh) + self.state.returned_count
    }

    /// How many more chunks a queue that holds `held` may take now.
    pub(crate) fn allowance(&self, held: u32) -> u32 {
        let free = self.free();
        // Each chunk taken makes one more held and one fewer free, hence the half.
        let fair = free.saturating_sub(held).div_ceil(2);
        fair.max(RESERVE.saturating_sub(held)).min(free)
    }

    /// A free chunk for a queue that holds `held`; `None` if the pool is empty or the queue has had its share.
    pub(crate) fn take(&mut self, held: u32) -> Link {
        if self.allowance(held) == 0 {
            return None;
        }
        let handle = match self.state.returned {
            Some(handle) => {
                self.state.returned = self.get(handle).next;
                self.state.returned_count = self.state.returned_count.saturating_sub(1);
                handle
            }
            None => {
                let handle = Handle::new(self.state.fresh)?;
                self.state.fresh += 1;
                handle
            }
        };
        self.set(handle, Chunk::NEW);
        Some(handle)
    }

    /// Gives a chunk back.
    pub(crate) fn give(&mut self, handle: Handle) {
        let next = self.state.returned;
        self.set(handle, Chunk { next, ..Chunk::NEW });
        self.state.returned = Some(handle);
        self.state.returned_count += 1;
    }

    /// What is known of a chunk.
    pub(crate) fn get(&self, handle: Handle) -> Chunk {
        self.chunks.get(handle.index()).copied().unwrap_or(Chunk::NEW)
    }

    /// Replaces what is known of a chunk.
    pub(crate) fn set(&mut self, handle: Handle, chunk: Chunk) {
        if let Some(place) = self.chunks.get_mut(handle.index()) {
            *place = chunk;
        }
    }

    /// Changes what is known of a chunk.
    pub(crate) fn update(&mut self, handle: Handle, change: impl FnOnce(&mut Chunk)) {
        if let Some(place) = self.chunks.get_mut(handle.index()) {
            change(place);
        }
    }

    /// The bytes in use of a chunk.
    pub(crate) fn data(&self, handle: Handle) -> &[u8] {
        let start = handle.index().saturating_mul(self.chunk_size);
        let len = usize::from(self.get(handle).len);
        self.bytes.get(start..start.saturating_add(len)).unwrap_or(&[])
    }

    /// Appends as much of `data` as the chunk has room for within its first `limit` bytes; returns how much.
    pub(crate) fn append(&mut self, handle: Handle, data: &[u8], limit: usize) -> usize {
        let used = usize::from(self.get(handle).len);
        let n = limit.min(self.chunk_size).saturating_sub(used).min(data.len());
        let start = handle.index().saturating_mul(self.chunk_size).saturating_add(used);
        match (self.bytes.get_mut(start..start.saturating_add(n)), data.get(..n)) {
            (Some(to), Some(from)) => to.copy_from_slice(from),
            _ => return 0,
        }
        self.update(handle, |chunk| chunk.len = u16::try_from(used + n).unwrap_or(u16::MAX));
        n
    }
}

/// A first-in-first-out list of chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    pub(crate) head: Link,
    pub(crate) tail: Link,
    pub(crate) count: u32,
}

impl Queue {
    pub(crate) fn push(&mut self, handle: Handle, pool: &mut Pool) {
        pool.update(handle, |chunk| chunk.next = None);
        match self.tail {
            Some(tail) => pool.update(tail, |chunk| chunk.next = Some(handle)),
            None => self.head = Some(handle),
        }
        self.tail = Some(handle);
        self.count += 1;
    }

    /// Takes the first chunk off the list; it still has to be given back.
    pub(crate) fn pop(&mut self, pool: &Pool) -> Link {
        let head = self.head?;
        self.head = pool.get(head).next;
        if self.head.is_none() {
            self.tail = None;
        }
        self.count = self.count.saturating_sub(1);
        Some(head)
    }

    /// Puts `handle` behind `after`, or first.
    pub(crate) fn insert(&mut self, after: Link, handle: Handle, pool: &mut Pool) {
        let next = match after {
            Some(after) => pool.get(after).next,
            None => self.head,
        };
        pool.update(handle, |chunk| chunk.next = next);
        match after {
            Some(after) => pool.update(after, |chunk| chunk.next = Some(handle)),
            None => self.head = Some(handle),
        }
        if next.is_none() {
            self.tail = Some(handle);
        }
        self.count += 1;
    }

    /// Gives all chunks back.
    pub(crate) fn clear(&mut self, pool: &mut Pool) {
        while let Some(handle) = self.pop(pool) {
            pool.give(handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untouched_memory_stays_untouched() {
        let (mut state, mut chunks, mut bytes) = (PoolState::new(), [Chunk::NEW; 8], [0xa5u8; 80]);
        let mut pool = Pool::new(&mut state, &mut chunks, &mut bytes);
        for _ in 0..100 {
            let a = pool.take(0).unwrap();
            let b = pool.take(1).unwrap();
            assert_eq!(pool.append(a, b"0123456789abc", 99), 10);
            assert_eq!(pool.append(b, b"0123456789abc", 3), 3);
            assert_eq!(pool.data(b), b"012");
            pool.give(a);
            pool.give(b);
        }
        assert_eq!(pool.free(), 8);
        assert!(bytes[20..].iter().all(|&byte| byte == 0xa5));
    }

    #[test]
    fn one_queue_gets_half_and_a_newcomer_always_something() {
        let (mut state, mut chunks, mut bytes) = (PoolState::new(), [Chunk::NEW; 100], [0u8; 1000]);
        let mut pool = Pool::new(&mut state, &mut chunks, &mut bytes);
        let mut held = [0; 30];
        for held in &mut held {
            while pool.take(*held).is_some() {
                *held += 1;
            }
            assert_eq!(pool.allowance(*held), 0);
        }
        assert_eq!(held[..4], [50, 25, 13, 6]);
        assert_eq!(pool.free(), 100 - held.iter().sum::<u32>());
    }

    #[test]
    fn no_memory_is_no_chunk() {
        let mut state = PoolState::new();
        let mut pool = Pool::new(&mut state, &mut [], &mut []);
        assert_eq!((pool.free(), pool.take(0)), (0, None));
        let mut chunks = [Chunk::NEW; 4];
        let mut pool = Pool::new(&mut state, &mut chunks, &mut []);
        assert_eq!((pool.free(), pool.take(0)), (0, None));
    }

    #[test]
    fn a_queue_keeps_its_order() {
        let (mut state, mut chunks, mut bytes) = (PoolState::new(), [Chunk::NEW; 8], [0u8; 80]);
        let mut pool = Pool::new(&mut state, &mut chunks, &mut bytes);
        let mut queue = Queue::default();
        let [a, b, c] = [0, 1, 2].map(|held| pool.take(held).unwrap());
        queue.push(b, &mut pool);
        queue.insert(None, a, &mut pool);
        queue.insert(Some(b), c, &mut pool);
        assert_eq!([0; 3].map(|_| queue.pop(&pool)), [Some(a), Some(b), Some(c)]);
        assert_eq!((queue.pop(&pool), queue.tail, queue.count), (None, None, 0));
    }
}

//! The list of received ranges that an ACK may carry as its payload (`spec/stream.md`, STR-12).
//!
//! It is told from user data only by how it looks, so both sides need care: the sender keeps data from looking like
//! a list ([`must_split`]), the receiver believes a list only if it makes sense here ([`Sack::parse_strict`]).

use heapless::Vec;

use super::BufferTooSmall;
use super::bytes::{Reader, Writer};

/// Most blocks that a list counts: what every release understands.
pub const MAX_BLOCKS: usize = 4;
/// Most blocks in a long list: four that are counted and those that follow them.
pub const MAX_LONG_BLOCKS: usize = 32;
/// Longest list that every release understands, in bytes.
pub const MAX_LEN: usize = HEAD_LEN + MAX_BLOCKS * BLOCK_LEN;
/// Where to cut a data segment that [`must_split`]: neither part then looks like a list.
pub const SPLIT_AT: usize = MAGIC.len();

const MAGIC: &[u8; 4] = b"SACK";
const HEAD_LEN: usize = 5;
const BLOCK_LEN: usize = 8;

/// A range of sequence numbers that arrived beyond a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Of the first byte.
    pub left: u32,
    /// After the last byte.
    pub right: u32,
}

/// Blocks, lowest first: one to four, or in a long list up to [`MAX_LONG_BLOCKS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sack(Vec<Block, MAX_LONG_BLOCKS>);

impl Sack {
    /// The first four of `blocks`.
    pub fn new(blocks: impl IntoIterator<Item = Block>) -> Self {
        Sack(blocks.into_iter().take(MAX_BLOCKS).collect())
    }

    /// A long list: as many of `blocks` as fit `room` bytes. Only for a peer that takes one (STR-12).
    pub fn new_long(blocks: impl IntoIterator<Item = Block>, room: usize) -> Self {
        let fit = (room.saturating_sub(HEAD_LEN) / BLOCK_LEN).min(MAX_LONG_BLOCKS);
        Sack(blocks.into_iter().take(fit).collect())
    }

    /// The blocks.
    pub fn blocks(&self) -> &[Block] {
        &self.0
    }

    /// Bytes that [`emit`](Self::emit) writes: none for no blocks.
    pub fn encoded_len(&self) -> usize {
        if self.0.is_empty() { 0 } else { HEAD_LEN + self.0.len() * BLOCK_LEN }
    }

    /// Writes the list; no blocks are no bytes.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let mut write = Writer::new(out);
        if let Ok(count @ 1..) = u8::try_from(self.0.len().min(MAX_BLOCKS)) {
            write = write.put(MAGIC).u8(count);
        }
        for block in &self.0 {
            write = write.u32(block.left).u32(block.right);
        }
        write.finish()
    }

    /// The list at the front of `payload`, as the reference reads it: later bytes and senseless blocks are let
    /// through. `None` means user data.
    pub fn parse_loose(payload: &[u8]) -> Option<Sack> {
        let mut read = Reader::new(payload);
        let (magic, count) = (read.array::<4>()?, read.u8()?);
        if magic != *MAGIC || !(1..=MAX_BLOCKS).contains(&count.into()) {
            return None;
        }
        let mut blocks = Vec::new();
        for _ in 0..count {
            blocks.push(Block { left: read.u32()?, right: read.u32()? }).ok()?;
        }
        Some(Sack(blocks))
    }

    /// The list that `payload` is, long or not, if it can be one: exact length, and for each block
    /// `ack < left < right <= send_next` in serial arithmetic. A genuine list always is. `None` means user data.
    ///
    /// `ack` is the acknowledgment number of the packet, `send_next` the next sequence number we shall send.
    pub fn parse_strict(payload: &[u8], ack: u32, send_next: u32) -> Option<Sack> {
        let mut sack = Self::parse_loose(payload)?;
        if sack.0.len() == MAX_BLOCKS {
            let mut more = Reader::new(payload.get(MAX_LEN..)?);
            while let (Some(left), Some(right)) = (more.u32(), more.u32()) {
                sack.0.push(Block { left, right }).ok()?;
            }
        }
        let in_flight = send_next.wrapping_sub(ack);
        let possible = |block: &Block| {
            let (left, right) = (block.left.wrapping_sub(ack), block.right.wrapping_sub(ack));
            0 < left && left < right && right <= in_flight
        };
        (payload.len() == sack.encoded_len() && sack.blocks().iter().all(possible)).then_some(sack)
    }
}

/// Whether a reference receiver would take this data segment for a list and lose it. Then send its first
/// [`SPLIT_AT`] bytes alone, also when it is sent again.
pub fn must_split(payload: &[u8]) -> bool {
    Sack::parse_loose(payload).is_some()
}

//! Cursors over lent bytes: reading stops with `None`, writing with [`BufferTooSmall`], neither ever panics.

use super::BufferTooSmall;

/// Reads fields from the front of a slice.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    /// Everything not yet read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}

/// Writes fields one after the other into a lent buffer, and counts what it would have needed.
pub(crate) struct Writer<'a> {
    rest: &'a mut [u8],
    lent: usize,
    needed: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        let lent = out.len();
        Writer { rest: out, lent, needed: 0 }
    }

    pub(crate) fn put(mut self, bytes: &[u8]) -> Self {
        self.needed = self.needed.saturating_add(bytes.len());
        if let Some((head, rest)) = core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.rest = rest;
        }
        self
    }

    pub(crate) fn u8(self, value: u8) -> Self {
        self.put(&[value])
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.put(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.put(&value.to_be_bytes())
    }

    /// Bytes written, if all of them fitted.
    pub(crate) fn finish(self) -> Result<usize, BufferTooSmall> {
        if self.needed <= self.lent {
            Ok(self.needed)
        } else {
            Err(BufferTooSmall { needed: self.needed, lent: self.lent })
        }
    }
}

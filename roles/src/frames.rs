//! Length-prefixed frames on a byte stream: 4-byte big-endian length, then the body. Registry and IPC both speak so.

use alloc::vec::Vec;

/// Bytes of the length prefix.
pub const PREFIX: usize = 4;

/// A frame announced more bytes than its protocol allows; the stream cannot be resynchronised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameTooLong {
    /// Announced length in bytes.
    pub announced: usize,
    /// Longest length allowed.
    pub allowed: usize,
}

impl core::fmt::Display for FrameTooLong {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a frame announces {} bytes, at most {} are allowed", self.announced, self.allowed)
    }
}

impl core::error::Error for FrameTooLong {}

/// Puts frames together from bytes cut anywhere. Holds at most one incomplete frame plus what one push brought.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    max: usize,
}

impl FrameReader {
    /// A reader that accepts bodies of up to `max` bytes.
    pub const fn new(max: usize) -> Self {
        FrameReader { buffer: Vec::new(), start: 0, max }
    }

    /// Takes bytes from the stream.
    pub fn push(&mut self, data: &[u8]) {
        if self.start > 0 && (self.start == self.buffer.len() || self.start > 64 * 1024) {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(data);
    }

    /// The next complete body, `None` if more bytes are needed.
    ///
    /// # Errors
    /// [`FrameTooLong`] if the next frame announces more than the maximum; every later call says the same.
    pub fn pop(&mut self) -> Result<Option<&[u8]>, FrameTooLong> {
        let rest = self.buffer.get(self.start..).unwrap_or_default();
        let Some((prefix, rest)) = rest.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let announced = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
        if announced > self.max {
            return Err(FrameTooLong { announced, allowed: self.max });
        }
        let Some(body) = rest.get(..announced) else { return Ok(None) };
        self.start += PREFIX + announced;
        Ok(Some(body))
    }

    /// Bytes held that no [`pop`](Self::pop) returned yet.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.start
    }
}

/// `body` with its length in front.
pub fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX + body.len());
    out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let mut stream = frame(b"one");
        stream.extend(frame(b""));
        stream.extend(frame(b"three"));
        for cut in 0..stream.len() {
            let mut reader = FrameReader::new(5);
            let mut seen = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                reader.push(part);
                while let Some(body) = reader.pop().unwrap() {
                    seen.push(body.to_vec());
                }
            }
            assert_eq!(seen, [b"one".to_vec(), b"".to_vec(), b"three".to_vec()]);
            assert_eq!(reader.pending(), 0);
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_stored() {
        let mut reader = FrameReader::new(4);
        reader.push(&5u32.to_be_bytes());
        assert_eq!(reader.pop(), Err(FrameTooLong { announced: 5, allowed: 4 }));
    }
}

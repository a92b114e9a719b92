//! The outgoing bytes of one byte stream: chunks as the role gave them, written many at a time.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Write},
};

/// Chunks handed to the kernel in one call.
const CHUNKS_PER_CALL: usize = 64;

/// Bytes waiting to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk is written already.
    written: usize,
    bytes: usize,
}

impl Queue {
    pub(crate) fn push(&mut self, chunk: Vec<u8>) {
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push_back(chunk);
        }
    }

    /// Bytes waiting.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// One call to the kernel; how many bytes it took.
    pub(crate) fn write_to(&mut self, socket: &mut impl Write) -> io::Result<usize> {
        let mut slices = [IoSlice::new(&[]); CHUNKS_PER_CALL];
        let mut count = 0;
        let mut skip = self.written;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk[skip..]);
            skip = 0;
            count += 1;
        }
        let taken = socket.write_vectored(&slices[..count])?;
        if taken == 0 && self.bytes > 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.advance(taken);
        Ok(taken)
    }

    fn advance(&mut self, taken: usize) {
        self.bytes -= taken;
        self.written += taken;
        while let Some(first) = self.chunks.front() {
            if self.written < first.len() {
                break;
            }
            self.written -= first.len();
            self.chunks.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sip(usize, Vec<u8>);

    impl Write for Sip {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let n = data.len().min(self.0);
            self.1.extend_from_slice(&data[..n]);
            Ok(n)
        }
        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            let all: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
            self.write(&all)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn partial_writes_keep_order_and_count() {
        for sip in 1..9 {
            let (mut queue, mut socket) = (Queue::default(), Sip(sip, Vec::new()));
            for chunk in [b"abc".as_slice(), b"", b"d", b"efgh"] {
                queue.push(chunk.to_vec());
            }
            while !queue.is_empty() {
                queue.write_to(&mut socket).unwrap();
            }
            assert_eq!(socket.1, b"abcdefgh");
        }
    }
}

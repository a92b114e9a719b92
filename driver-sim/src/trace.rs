//! What happened, as one number: two runs that are the same to the byte have the same.

use std::fmt;

use pilot_proto::Instant;

use crate::dice::mix;

/// The hash of everything that happened so far.
#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({:016x})", self.hash)
    }
}

impl Trace {
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// Notes that `kind` happened to `who` with these bytes.
    pub(crate) fn note(&mut self, at: Instant, kind: &'static str, who: usize, bytes: &[u8]) {
        self.hash = mix(self.hash ^ at.as_micros());
        self.hash = mix(self.hash ^ (who as u64) << 32 ^ bytes.len() as u64);
        for byte in kind.bytes() {
            self.hash = self.hash.rotate_left(8) ^ u64::from(byte);
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.hash =
                (self.hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        for byte in rest {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
}

//! What happened, as one number and, if wanted, as lines of JSON: two runs that are the same to the byte have the same.

use std::{fmt, io::Write};

use pilot_proto::Instant;

use crate::dice::mix;

/// The hash of everything that happened so far, and where it is written to.
#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    out: Option<Box<dyn Write + Send>>,
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

    /// Writes a line of JSON for everything from now on.
    pub(crate) fn write_to(&mut self, out: Box<dyn Write + Send>) {
        self.out = Some(out);
    }

    /// Notes that `kind` happened to `who` with these bytes.
    pub(crate) fn note(
        &mut self,
        at: Instant,
        kind: &'static str,
        who: usize,
        detail: &dyn fmt::Debug,
        bytes: &[u8],
    ) {
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
        if let Some(out) = &mut self.out {
            let line = serde_json::json!({
                "us": at.as_micros(), "kind": kind, "host": who, "bytes": bytes.len(), "detail": format!("{detail:?}"),
                "hash": format!("{:016x}", self.hash),
            });
            // A trace that cannot be written must not change the run.
            let _ = writeln!(out, "{line}");
        }
    }
}

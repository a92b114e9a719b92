//! What happened, as one number: two runs that are the same to the byte have the same.

use std::fmt;

use pilot_proto::Instant;

use crate::dice::{digest, mix};

/// What can happen to a host or its program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Birth,
    Crash,
    Timeout,
    Send,
    Receive,
    Opened,
    Bytes,
    Closed,
    Program,
    Tell,
    Synced,
}

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

    /// Notes that `what` happened to `who` with these bytes.
    pub(crate) fn note(&mut self, at: Instant, what: Kind, who: usize, bytes: &[u8]) {
        let whose = mix((who as u64) << 8 | what as u64);
        self.hash = mix(self.hash ^ digest(whose ^ at.as_micros(), bytes));
    }
}

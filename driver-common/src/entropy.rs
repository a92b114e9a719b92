//! Randomness for a role: ChaCha20 seeded by the operating system.

use std::io;

use pilot_proto::rng::Rng;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng};
use zeroize::Zeroize;

/// Bytes drawn from one seed before a new one is fetched, so that a leaked state says nothing about older output.
const BYTES_PER_SEED: usize = 1 << 20;

/// A cryptographically secure generator: no system call per draw, a fresh seed every mebibyte.
pub struct OsRng {
    stream: ChaCha20Rng,
    left: usize,
}

impl OsRng {
    /// Seeds a generator.
    ///
    /// # Errors
    /// If the operating system has no entropy to give.
    pub fn new() -> io::Result<Self> {
        Ok(OsRng { stream: seeded()?, left: BYTES_PER_SEED })
    }
}

fn seeded() -> io::Result<ChaCha20Rng> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| io::Error::other(format!("no entropy from the system: {e}")))?;
    let stream = ChaCha20Rng::from_seed(seed);
    seed.zeroize();
    Ok(stream)
}

impl Rng for OsRng {
    fn fill(&mut self, out: &mut [u8]) {
        if self.left < out.len() {
            // The old seed stays good if the system refuses a new one.
            if let Ok(stream) = seeded() {
                self.stream = stream;
            }
            self.left = BYTES_PER_SEED;
        }
        self.left = self.left.saturating_sub(out.len());
        self.stream.fill_bytes(out);
    }
}

impl core::fmt::Debug for OsRng {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("OsRng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_generators_and_two_draws_differ() {
        let (mut a, mut b) = (OsRng::new().unwrap(), OsRng::new().unwrap());
        let draws = [a.u64(), a.u64(), b.u64(), b.u64()];
        for (i, x) in draws.iter().enumerate() {
            assert!(!draws[i + 1..].contains(x), "{draws:?}");
        }
        let mut long = vec![0; BYTES_PER_SEED + 1];
        a.fill(&mut long);
        assert!(long.iter().any(|byte| *byte != 0));
    }
}

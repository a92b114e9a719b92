//! The clock of one host: it may run fast or slow, and its wall clock may be wrong and jump.

use pilot_proto::Instant;
use pilot_roles::Now;

/// Where every simulated wall clock that is right starts: 2026-04-06T04:48:07Z.
pub(crate) const EPOCH_MICROS: i64 = 1_775_450_887_000_000;

/// Microseconds of a second, and the whole in parts per million.
const MILLION: u64 = 1_000_000;

/// How a host reads the world's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// When this life of the host began; its monotonic clock starts there.
    pub(crate) born: Instant,
    /// How much faster than the world, in parts per million.
    pub(crate) drift_ppm: i32,
    /// How far the wall clock is off, in microseconds.
    pub(crate) wall_offset: i64,
}

impl Clock {
    /// What the host reads.
    pub(crate) fn read(&self, world: Instant) -> Now {
        let passed = world.since(self.born).as_micros() as u64;
        // Seconds and the rest apart, so that nothing is wider than a word.
        let (seconds, rest) = ((passed / MILLION) as i64, (passed % MILLION) as i64);
        let drift = i64::from(self.drift_ppm);
        let ahead = seconds.saturating_mul(drift).saturating_add(rest * drift / MILLION as i64);
        let local = passed.saturating_add_signed(ahead);
        Now {
            instant: Instant::from_micros(local),
            unix_micros: EPOCH_MICROS + world.as_micros() as i64 + self.wall_offset,
        }
    }

    /// The first instant of the world at which the host reads `local` or later.
    pub(crate) fn when(&self, local: Instant) -> Instant {
        let rate = MILLION.saturating_add_signed(self.drift_ppm.into()).max(1);
        let (whole, rest) = (local.as_micros() / rate, local.as_micros() % rate);
        let micros = whole.saturating_mul(MILLION).saturating_add(rest * MILLION / rate);
        let mut at = Instant::from_micros(self.born.as_micros().saturating_add(micros));
        while self.read(at).instant < local && at.as_micros() < u64::MAX {
            at = at + core::time::Duration::from_micros(1);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_is_the_first_instant_that_reads_so() {
        for drift_ppm in [-200, 0, 150] {
            let clock = Clock { born: Instant::from_micros(17), drift_ppm, wall_offset: 0 };
            for micros in [0, 1, 999, 1_000_000, 123_456_789] {
                let local = Instant::from_micros(micros);
                let at = clock.when(local);
                assert!(clock.read(at).instant >= local);
                if at > clock.born {
                    let before = Instant::from_micros(at.as_micros() - 1);
                    assert!(clock.read(before).instant < local, "{drift_ppm} {micros}");
                }
            }
        }
    }
}

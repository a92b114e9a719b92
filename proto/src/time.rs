//! Time as a number: a monotonic instant in microseconds since an origin the caller chose.

use core::num::NonZero;

pub use core::time::Duration;

/// A point on the caller's monotonic clock, in microseconds since its origin.
///
/// All arithmetic saturates: no input can make it panic. "Never" is `Option::<Instant>::None`, not a far value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant {
    /// One more than the microseconds, so that `Option<Instant>` is no larger: rows of tables are full of them, and each
    /// line of a row that a datagram needs may come from main memory.
    above: NonZero<u64>,
}

impl Instant {
    /// The origin of the caller's clock.
    pub const ORIGIN: Instant = Instant { above: NonZero::<u64>::MIN };

    /// The instant `micros` microseconds after the origin; the last one there is stands for `u64::MAX`.
    pub const fn from_micros(micros: u64) -> Self {
        Instant { above: NonZero::<u64>::MIN.saturating_add(micros) }
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.above.get() - 1
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.above.get().saturating_sub(earlier.above.get()))
    }

    /// `self - by`, not before the origin.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        Self::from_micros(self.as_micros().saturating_sub(by))
    }
}

impl Default for Instant {
    fn default() -> Self {
        Self::ORIGIN
    }
}

impl core::fmt::Debug for Instant {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Instant").field(&self.as_micros()).finish()
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, by: Duration) -> Instant {
        let by = u64::try_from(by.as_micros()).unwrap_or(u64::MAX);
        Instant { above: self.above.saturating_add(by) }
    }
}

/// The earlier of two optional deadlines; `None` is never.
pub fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Instant::from_micros(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Instant::ORIGIN.saturating_sub(Duration::from_secs(1)), Instant::ORIGIN);
        assert_eq!(Instant::ORIGIN.since(end), Duration::ZERO);
        assert_eq!(earliest(None, Some(end)), Some(end));
    }

    #[test]
    fn an_instant_that_may_be_missing_takes_no_more_room() {
        assert_eq!(size_of::<Option<Instant>>(), size_of::<u64>());
        for micros in [0, 1, u64::MAX - 1] {
            assert_eq!(Instant::from_micros(micros).as_micros(), micros);
        }
        assert_eq!(format!("{:?}", Instant::from_micros(7)), "Instant(7)");
    }
}

//! Time as a number: a monotonic instant in microseconds since an origin the caller chose.

pub use core::time::Duration;

/// A point on the caller's monotonic clock, in microseconds since its origin.
///
/// All arithmetic saturates: no input can make it panic. "Never" is `Option::<Instant>::None`, not a far value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the caller's clock.
    pub const ORIGIN: Instant = Instant(0);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// The instant `millis` milliseconds after the origin.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis.saturating_mul(1000))
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self - by`, not before the origin.
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        Instant(self.0.saturating_sub(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl core::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, by: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX)))
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
}

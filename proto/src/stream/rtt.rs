//! Round-trip estimation and the retransmission timeout (RFC 6298).

use core::time::Duration;

/// Before the first sample (RFC 6298, 2.1).
pub const INITIAL_RTO: Duration = Duration::from_secs(1);
/// The reference's floor. RFC 6298 says 1 s, which leaves a lost tail unrepaired for too long; the delayed ACK of the
/// slowest peer (40 ms) is well below.
pub const MIN_RTO: Duration = Duration::from_millis(200);
/// The reference's ceiling, also for the doubled timeout (RFC 6298 allows a ceiling of at least 60 s).
pub const MAX_RTO: Duration = Duration::from_secs(10);
/// G of RFC 6298: the variance term is at least this.
const GRANULARITY: Duration = Duration::from_millis(10);

/// Smoothed round trip, its variation, and the timeout that follows.
#[derive(Clone, Debug, Default)]
pub struct RttEstimator {
    /// Nanoseconds; 0 until the first sample. Truncating integer arithmetic, as in the golden vectors.
    srtt: u64,
    rttvar: u64,
    /// How often the timeout was doubled since the last progress.
    backoff: u8,
    /// A sample has come since the doubling was last undone without one.
    measured: bool,
}

impl RttEstimator {
    /// Takes a round trip measured on a segment that was sent once.
    pub fn sample(&mut self, rtt: Duration) {
        // A round trip of exactly zero would look like "no sample yet".
        let r = u64::try_from(rtt.as_nanos()).unwrap_or(u64::MAX).clamp(1, u64::MAX / 16);
        if self.srtt == 0 {
            (self.srtt, self.rttvar) = (r, r / 2);
        } else {
            self.rttvar = self.rttvar * 3 / 4 + self.srtt.abs_diff(r) / 4;
            self.srtt = self.srtt * 7 / 8 + r / 8;
        }
        (self.backoff, self.measured) = (0, true);
    }

    /// Smoothed round trip; zero before the first sample.
    pub fn srtt(&self) -> Duration {
        Duration::from_nanos(self.srtt)
    }

    /// Its mean deviation.
    pub fn rttvar(&self) -> Duration {
        Duration::from_nanos(self.rttvar)
    }

    /// The timeout without any doubling.
    fn base(&self) -> Duration {
        if self.srtt == 0 {
            return INITIAL_RTO;
        }
        let variance = Duration::from_nanos(self.rttvar.saturating_mul(4)).max(GRANULARITY);
        self.srtt().saturating_add(variance).clamp(MIN_RTO, MAX_RTO)
    }

    /// The current timeout, in [`MIN_RTO`]`..=`[`MAX_RTO`].
    pub fn rto(&self) -> Duration {
        self.base().saturating_mul(1 << self.backoff.min(16)).min(MAX_RTO)
    }

    /// Doubles the timeout (RFC 6298, 5.5).
    pub fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// The last timeout was for a reason, whatever the round trip is.
    pub(super) fn forget_doubling(&mut self) {
        self.backoff = 0;
    }

    /// The peer acknowledged something new. The path works again, so the doubling is undone; but only once until a
    /// round trip has been measured. A path that became slower than the timeout has every segment sent twice, and what
    /// was sent twice measures nothing (Karn): there the doubling must stay (RFC 6298, 5.7).
    pub fn progress(&mut self) {
        if self.backoff > 0 && self.measured {
            (self.backoff, self.measured) = (0, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_doubles_up_to_the_ceiling() {
        let mut rtt = RttEstimator::default();
        assert_eq!(rtt.rto(), INITIAL_RTO);
        for expected in [2, 4, 8, 10, 10] {
            rtt.back_off();
            assert_eq!(rtt.rto(), Duration::from_secs(expected));
        }
        for _ in 0..1000 {
            rtt.back_off();
        }
        assert_eq!(rtt.rto(), MAX_RTO);
        rtt.progress();
        assert_eq!(rtt.rto(), MAX_RTO, "nothing is known of this path yet");
        rtt.sample(Duration::ZERO);
        assert_eq!((rtt.rto(), rtt.srtt()), (MIN_RTO, Duration::from_nanos(1)));
        rtt.back_off();
        rtt.progress();
        assert_eq!(rtt.rto(), MIN_RTO);
        rtt.back_off();
        rtt.progress();
        assert_eq!(rtt.rto(), 2 * MIN_RTO, "twice in a row without a sample: the path is slow");
        rtt.sample(Duration::MAX);
        assert_eq!(rtt.rto(), MAX_RTO);
    }
}

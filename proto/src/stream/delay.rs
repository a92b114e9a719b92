//! What the path's delay says: how long an empty path takes, and whether packets wait in a queue on it.

use crate::time::{Duration, Instant};

/// How long a smallest round trip is believed. Routes change.
const BASE_LIFE: Duration = Duration::from_secs(30);
/// A round trip longer than the smallest by this much stands in a queue: an eighth of it, within these bounds
/// (RFC 9406, 4.2).
const QUEUE: (Duration, Duration) = (Duration::from_millis(4), Duration::from_millis(16));

/// The smallest of the last one to two periods.
#[derive(Clone, Copy, Debug, Default)]
struct Smallest {
    /// Of the present period and the one before, in microseconds; 0 is none.
    present: u32,
    before: u32,
    since: Instant,
}

impl Smallest {
    fn take(&mut self, now: Instant, micros: u32, period: Duration) {
        if now.since(self.since) >= period {
            (self.before, self.present, self.since) = (self.present, micros, now);
        } else if self.present == 0 || micros < self.present {
            self.present = micros;
        }
    }

    fn get(&self) -> u32 {
        match (self.present, self.before) {
            (0, other) | (other, 0) => other,
            (a, b) => a.min(b),
        }
    }
}

/// Smallest round trips, long ago and lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delay {
    base: Smallest,
    recent: Smallest,
}

impl Delay {
    /// Takes a round trip measured on a segment sent once; `srtt` is the smoothed one.
    pub(super) fn sample(&mut self, now: Instant, rtt: Duration, srtt: Duration) {
        let micros = u32::try_from(rtt.as_micros()).unwrap_or(u32::MAX).max(1);
        self.base.take(now, micros, BASE_LIFE);
        self.recent.take(now, micros, srtt / 4);
    }

    /// The smallest round trip; zero before the first sample.
    pub(super) fn base(&self) -> Duration {
        Duration::from_micros(self.base.get().into())
    }

    /// Whether even the fastest packet of the last round trip had to wait in a queue.
    pub(super) fn is_queueing(&self) -> bool {
        let (base, recent) = (self.base(), Duration::from_micros(self.recent.get().into()));
        recent.saturating_sub(base) >= (base / 8).clamp(QUEUE.0, QUEUE.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_shows_in_the_fastest_packet_and_a_new_route_becomes_the_base() {
        let ms = Duration::from_millis;
        let mut delay = Delay::default();
        assert!(!delay.is_queueing() && delay.base() == Duration::ZERO);
        let mut now = Instant::from_millis(1);
        let mut feed = |delay: &mut Delay, rtt: u64, times: u32| {
            for _ in 0..times {
                now = now + ms(10);
                delay.sample(now, ms(rtt), ms(50));
            }
        };
        feed(&mut delay, 50, 10);
        feed(&mut delay, 90, 1);
        assert!(!delay.is_queueing(), "one late packet is jitter");
        feed(&mut delay, 55, 20);
        assert!(!delay.is_queueing());
        feed(&mut delay, 57, 20);
        assert!(delay.is_queueing() && delay.base() == ms(50));
        feed(&mut delay, 57, 6100);
        assert!(!delay.is_queueing() && delay.base() == ms(57), "after a minute it is the path");
    }
}

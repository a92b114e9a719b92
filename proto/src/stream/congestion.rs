//! How much may be under way: the congestion window, behind a trait so that an algorithm can be exchanged.

use crate::time::{Duration, Instant};

/// Segments that may be under way at the start (RFC 6928, and the reference).
pub const INITIAL_SEGMENTS: u32 = 10;
/// Largest window, in bytes (the reference's).
pub const MAX_WINDOW: u32 = 1 << 20;
/// Slow start threshold before the first loss, in bytes (the reference's).
pub const INITIAL_SSTHRESH: u32 = 512 << 10;

/// A congestion control algorithm. All sizes are bytes.
///
/// The stream tells it what happened; whether segments are lost, and which, is not its business.
pub trait Congestion {
    /// Most bytes that may be under way.
    fn window(&self) -> u32;
    /// The slow start threshold, for statistics.
    fn ssthresh(&self) -> u32;
    /// `acked` bytes were newly acknowledged outside of loss recovery, while the window was the limit.
    fn on_ack(&mut self, now: Instant, acked: u32, srtt: Duration);
    /// A loss was detected with `flight` bytes under way; called once per window of data.
    fn on_loss(&mut self, now: Instant, flight: u32);
    /// The retransmission timer expired with `flight` bytes outstanding.
    fn on_timeout(&mut self, now: Instant, flight: u32);
    /// Nothing was sent for longer than a retransmission timeout: the window may no longer be true (RFC 5681, 4.1).
    fn on_idle(&mut self);
}

/// Slow start and additive increase, multiplicative decrease (RFC 5681), counting bytes (RFC 3465).
#[derive(Clone, Debug)]
pub struct Reno {
    mss: u32,
    window: u32,
    ssthresh: u32,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: u32,
}

impl Reno {
    /// The initial window for segments of `mss` bytes.
    pub fn new(mss: u32) -> Self {
        let mss = mss.max(1);
        Reno { mss, window: INITIAL_SEGMENTS.saturating_mul(mss), ssthresh: INITIAL_SSTHRESH, acked: 0 }
    }

    fn halve(&mut self, flight: u32) {
        self.ssthresh = (flight / 2).max(2 * self.mss);
        self.acked = 0;
    }
}

impl Congestion for Reno {
    fn window(&self) -> u32 {
        self.window
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, _now: Instant, acked: u32, _srtt: Duration) {
        if self.window < self.ssthresh {
            self.window = self.window.saturating_add(acked);
        } else {
            self.acked = self.acked.saturating_add(acked);
            if self.acked >= self.window {
                self.acked -= self.window;
                self.window = self.window.saturating_add(self.mss);
            }
        }
        self.window = self.window.min(MAX_WINDOW);
    }

    fn on_loss(&mut self, _now: Instant, flight: u32) {
        self.halve(flight);
        self.window = self.ssthresh;
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32) {
        self.halve(flight);
        self.window = self.mss;
    }

    fn on_idle(&mut self) {
        self.window = self.window.min(INITIAL_SEGMENTS.saturating_mul(self.mss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_per_window() {
        let mut reno = Reno::new(1000);
        let (now, srtt) = (Instant::ORIGIN, Duration::ZERO);
        assert_eq!(reno.window(), 10_000);
        reno.on_ack(now, 10_000, srtt);
        assert_eq!(reno.window(), 20_000);
        reno.on_loss(now, 20_000);
        assert_eq!((reno.window(), reno.ssthresh()), (10_000, 10_000));
        for _ in 0..10 {
            reno.on_ack(now, 1000, srtt);
        }
        assert_eq!(reno.window(), 11_000);
        reno.on_timeout(now, 1000);
        assert_eq!((reno.window(), reno.ssthresh()), (1000, 2000));
        for _ in 0..10_000 {
            reno.on_ack(now, u32::MAX, srtt);
        }
        assert_eq!(reno.window(), MAX_WINDOW);
        reno.on_idle();
        assert_eq!(reno.window(), 10_000);
    }
}

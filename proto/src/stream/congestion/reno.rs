//! NewReno's window: slow start and additive increase, multiplicative decrease (RFC 5681, 6582).

use super::{Congestion, INITIAL_SSTHRESH, MAX_WINDOW, initial_window};
use crate::time::{Duration, Instant};

/// Slow start and additive increase, multiplicative decrease (RFC 5681), counting bytes (RFC 3465).
#[derive(Clone, Debug)]
pub struct Reno {
    mss: u32,
    window: u32,
    ssthresh: u32,
    /// Bytes acknowledged since the window last grew in congestion avoidance.
    acked: u32,
    /// Window and threshold before the last cut.
    before: (u32, u32),
}

impl Reno {
    /// The initial window for segments of `mss` bytes.
    pub fn new(mss: u32) -> Self {
        let mss = mss.max(1);
        let (window, ssthresh) = (initial_window(mss), INITIAL_SSTHRESH);
        Reno { mss, window, ssthresh, acked: 0, before: (window, ssthresh) }
    }

    fn halve(&mut self, flight: u32) {
        self.before = (self.window, self.ssthresh);
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

    fn on_queue(&mut self) {
        self.ssthresh = self.ssthresh.min(self.window);
    }

    fn on_loss(&mut self, _now: Instant, flight: u32) {
        self.halve(flight);
        self.window = self.ssthresh;
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32) {
        self.halve(flight);
        self.window = self.mss;
    }

    fn undo(&mut self) {
        let (window, ssthresh) = self.before;
        (self.window, self.ssthresh) = (self.window.max(window), self.ssthresh.max(ssthresh));
    }

    fn on_idle(&mut self) {
        self.window = self.window.min(initial_window(self.mss));
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
        reno.undo();
        assert_eq!((reno.window(), reno.ssthresh()), (11_000, 10_000));
        for _ in 0..10_000 {
            reno.on_ack(now, u32::MAX, srtt);
        }
        assert_eq!(reno.window(), MAX_WINDOW);
        reno.on_idle();
        assert_eq!(reno.window(), 10_000);
    }
}

//! A rate with a finite queue in front of it: what comes when the queue is full is lost (drop-tail). Links have one each; a
//! router has one each way for all who share it.

use pilot_proto::{Instant, time::Duration};
use serde::{Deserialize, Serialize};

use crate::watch::Loss;

/// A router: everything between its hosts and the rest of the world passes it. Hosts behind it reach each other without.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouterSpec {
    /// Hosts behind it; each is behind one router at most.
    pub hosts: Vec<usize>,
    /// Bytes per second in each direction, all hosts together.
    pub rate: u64,
    /// Bytes that may wait for their turn in each direction.
    pub queue: u64,
}

/// One direction.
#[derive(Clone, Debug)]
pub(crate) struct Bottleneck {
    /// Bytes per second; 0 is unlimited.
    rate: u64,
    queue: u64,
    /// When the last byte accepted so far has left.
    free_at: Instant,
}

impl Bottleneck {
    pub(crate) const fn new(rate: u64, queue: u64) -> Self {
        Bottleneck { rate, queue, free_at: Instant::ORIGIN }
    }

    /// Bytes that wait for their turn.
    pub(crate) fn queued(&self, now: Instant) -> u64 {
        self.free_at.since(now).as_micros() as u64 * self.rate / 1_000_000
    }

    /// Takes a datagram of `bytes`; when its last byte has left.
    pub(crate) fn pass(&mut self, now: Instant, bytes: usize) -> Result<Instant, Loss> {
        let Some(takes) = (bytes as u64 * 1_000_000).checked_div(self.rate) else { return Ok(now) };
        if self.queued(now) > self.queue {
            return Err(Loss::QueueFull);
        }
        self.free_at = self.free_at.max(now) + Duration::from_micros(takes);
        Ok(self.free_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_the_rate_is_kept() {
        let mut neck = Bottleneck::new(100_000, 10_000);
        let left: Vec<_> = (0..50).filter_map(|_| neck.pass(Instant::ORIGIN, 1000).ok()).collect();
        assert_eq!(left.len(), 11);
        assert_eq!(left[10].as_micros(), 11 * 10_000);
        assert_eq!(neck.queued(Instant::ORIGIN), 11_000);
        let mut open = Bottleneck::new(0, 0);
        assert_eq!(open.pass(Instant::from_micros(7), 1 << 30), Ok(Instant::from_micros(7)));
    }
}

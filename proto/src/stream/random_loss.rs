//! Loss that is no congestion: how much of it is borne before the window is cut.
//!
//! A radio link loses packets whatever the load, and an algorithm that takes every loss for congestion cannot fill it:
//! CUBIC's average window at a loss of 1 % is a dozen segments. So a loss is borne while nothing waits in a queue
//! ([`Delay`](super::delay::Delay)) and no more than one segment in fifty is lost, which is also the bound of BBRv3.
//! Beyond, and whenever there is a queue, CUBIC does what RFC 9438 says.

/// Segments that must arrive for one lost segment to be borne: 2 %.
const PER_LOSS: u16 = 50;
/// Losses borne before any segment has arrived.
const AT_FIRST: u16 = 3;
/// Most losses that can be saved up for.
const MOST: u16 = 16;

/// How many losses may still be borne.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance(u16);

impl Default for Allowance {
    fn default() -> Self {
        Allowance(AT_FIRST * PER_LOSS)
    }
}

impl Allowance {
    /// Segments have arrived.
    pub(super) fn earn(&mut self, segments: u32) {
        let segments = u16::try_from(segments).unwrap_or(u16::MAX);
        self.0 = self.0.saturating_add(segments).min(MOST * PER_LOSS);
    }

    /// Segments were lost; false if that is more than can be borne.
    pub(super) fn bear(&mut self, losses: u32) -> bool {
        let cost = u16::try_from(losses).unwrap_or(u16::MAX).saturating_mul(PER_LOSS);
        let enough = self.0 >= cost;
        self.0 = self.0.saturating_sub(cost);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_fifty_is_borne_and_not_much_more() {
        for (segments_per_loss, borne) in [(100, true), (50, true), (40, false), (20, false)] {
            let mut allowance = Allowance::default();
            let all = (0..100).all(|_| {
                allowance.earn(segments_per_loss);
                allowance.bear(1)
            });
            assert_eq!(all, borne, "one in {segments_per_loss}");
        }
        let mut allowance = Allowance::default();
        allowance.earn(u32::MAX);
        assert!(allowance.bear(16) && !allowance.bear(1));
        assert!(!Allowance::default().bear(4));
    }
}

//! CUBIC (RFC 9438) in integers: after a loss the window returns to where it was along a cubic of time, so that
//! growth does not depend on the round trip, but never slower than NewReno would.

use super::{Congestion, INITIAL_SSTHRESH, MAX_WINDOW, initial_window};
use crate::time::{Duration, Instant};

/// The factor beta by which a loss cuts the window, as a fraction (RFC 9438, 4.6).
const BETA: (u32, u32) = (7, 10);
/// What a shrinking flow remembers of its peak, (1 + beta) / 2 (RFC 9438, 4.7).
const FAST_CONVERGENCE: (u32, u32) = (17, 20);
/// The factor alpha of NewReno's growth for this beta, 3 (1 - beta) / (1 + beta) (RFC 9438, 4.3).
const ALPHA: (u32, u32) = (9, 17);
/// Longest time on the curve, in milliseconds: what still fits the arithmetic, at 1 Gbit/s and 4 MiB ten times K.
const MAX_TIME: u64 = 1 << 16;
/// A pause this much longer than a round trip between two calls was the application's and does not count as growth.
const PAUSE: Duration = Duration::from_millis(100);

/// Slow start, then a cubic of the time since the last loss.
#[derive(Clone, Debug)]
pub struct Cubic {
    mss: u32,
    window: u32,
    ssthresh: u32,
    /// Where the last loss happened, or what fast convergence left of it; 0 before the first.
    w_max: u32,
    /// The window NewReno would have.
    w_est: u32,
    /// Fractions of a byte not yet added to `window` (in 1/window) and `w_est` (in 1/(17 window)).
    rest: u32,
    rest_est: u32,
    /// When the present growth began, moved on by pauses; `None` until the first acknowledgment after a loss.
    epoch: Option<Instant>,
    /// When an acknowledgment last counted.
    last: Instant,
    /// Milliseconds from the epoch until the curve reaches `w_max`.
    k: u32,
    before: Before,
}

/// What a cut can be taken back to.
#[derive(Clone, Copy, Debug)]
struct Before {
    window: u32,
    ssthresh: u32,
    w_max: u32,
}

impl Cubic {
    /// The initial window for segments of `mss` bytes.
    pub fn new(mss: u32) -> Self {
        let mss = mss.clamp(1, u16::MAX.into());
        let (window, ssthresh) = (initial_window(mss), INITIAL_SSTHRESH);
        Cubic {
            mss,
            window,
            ssthresh,
            w_max: 0,
            w_est: 0,
            rest: 0,
            rest_est: 0,
            epoch: None,
            last: Instant::ORIGIN,
            k: 0,
            before: Before { window, ssthresh, w_max: 0 },
        }
    }

    fn cut(&mut self, flight: u32) {
        let Cubic { window, ssthresh, w_max, .. } = *self;
        self.before = Before { window, ssthresh, w_max };
        self.w_max = if window < w_max { part(window, FAST_CONVERGENCE) } else { window };
        self.ssthresh = part(flight, BETA).max(2 * self.mss);
        self.epoch = None;
    }

    /// Time since the epoch, in milliseconds; starts the epoch if there is none.
    fn elapsed(&mut self, now: Instant, srtt: Duration) -> u64 {
        let pause = now.since(self.last).saturating_sub(srtt);
        let mut epoch = match self.epoch {
            Some(epoch) => epoch,
            None => {
                self.w_max = self.w_max.max(self.window);
                let below = u64::from(self.w_max - self.window);
                // K = cbrt((W_max - cwnd) / C), in segments and seconds, C = 0.4; a millisecond cubed is 1e-9.
                self.k = cube_root(below * 2_500_000_000 / u64::from(self.mss));
                (self.w_est, self.rest, self.rest_est) = (self.window, 0, 0);
                self.last = now;
                now
            }
        };
        if now > self.last && pause > PAUSE {
            epoch = epoch + pause;
        }
        (self.epoch, self.last) = (Some(epoch), now);
        u64::try_from((now.since(epoch) + srtt).as_millis()).unwrap_or(MAX_TIME).min(MAX_TIME)
    }

    /// W_cubic at `time` milliseconds after the epoch, in bytes.
    fn curve(&self, time: u64) -> u64 {
        let distance = time.abs_diff(self.k.into()).min(MAX_TIME);
        let height = distance.pow(3) / 1000 * 4 * u64::from(self.mss) / 10_000_000;
        let w_max = u64::from(self.w_max);
        if time < u64::from(self.k) { w_max.saturating_sub(height) } else { w_max.saturating_add(height) }
    }
}

impl Congestion for Cubic {
    fn window(&self) -> u32 {
        self.window
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, now: Instant, acked: u32, srtt: Duration) {
        let window = self.window;
        if window < self.ssthresh {
            self.window = window.saturating_add(acked).min(MAX_WINDOW);
            return;
        }
        let time = self.elapsed(now, srtt);
        // NewReno's window grows alpha segments a window, and a whole one once it is where the last loss was.
        let (of, in_all) = if self.w_est < self.before.window { ALPHA } else { (ALPHA.1, ALPHA.1) };
        let per_window = u64::from(of) * u64::from(self.mss);
        let (more, rest) = share(per_window, acked, u64::from(in_all) * u64::from(window), self.rest_est);
        (self.w_est, self.rest_est) = (self.w_est.saturating_add(more).min(MAX_WINDOW), rest);
        // A round trip from now the window shall be on the curve.
        let most = u64::from(window) * 3 / 2;
        let target = self.curve(time).clamp(window.into(), most);
        let (more, rest) = share(target - u64::from(window), acked, window.into(), self.rest);
        self.rest = rest;
        self.window = window.saturating_add(more).max(self.w_est).min(MAX_WINDOW);
    }

    fn on_queue(&mut self) {
        self.ssthresh = self.ssthresh.min(self.window);
    }

    fn on_loss(&mut self, _now: Instant, flight: u32) {
        self.cut(flight);
        self.window = self.ssthresh;
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32) {
        self.cut(flight);
        self.window = self.mss;
    }

    fn undo(&mut self) {
        let Before { window, ssthresh, w_max } = self.before;
        (self.window, self.ssthresh) = (self.window.max(window), self.ssthresh.max(ssthresh));
        (self.w_max, self.epoch) = (w_max.max(self.window), None);
    }

    fn on_idle(&mut self) {
        self.window = self.window.min(initial_window(self.mss));
        self.epoch = None;
    }
}

fn part(of: u32, (numerator, denominator): (u32, u32)) -> u32 {
    let part = u64::from(of) * u64::from(numerator) / u64::from(denominator.max(1));
    u32::try_from(part).unwrap_or(u32::MAX)
}

/// `amount * acked / whole` and what the division left, with what an earlier one left added.
fn share(amount: u64, acked: u32, whole: u64, rest: u32) -> (u32, u32) {
    let whole = whole.max(1);
    let sum = amount.saturating_mul(acked.into()).saturating_add(rest.into());
    let (more, rest) = (sum / whole, sum % whole);
    (u32::try_from(more).unwrap_or(u32::MAX), u32::try_from(rest).unwrap_or(u32::MAX))
}

/// The largest integer whose cube is at most `n`.
fn cube_root(n: u64) -> u32 {
    let mut root: u64 = 0;
    // 2^64 has the root 2^21.3, so 22 bits are enough and no cube overflows.
    for bit in (0..=20).rev() {
        let larger = root | (1 << bit);
        if larger.pow(3) <= n {
            root = larger;
        }
    }
    u32::try_from(root).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSS: u32 = 1000;
    const RTT: Duration = Duration::from_millis(100);

    /// Feeds `rounds` windows of acknowledgments, one round trip each, and returns the window after each.
    fn rounds(cubic: &mut Cubic, now: &mut Instant, rounds: usize) -> Vec<u32> {
        let mut after = Vec::new();
        for _ in 0..rounds {
            let acks = cubic.window() / MSS;
            for _ in 0..acks {
                *now = *now + RTT / acks;
                cubic.on_ack(*now, MSS, RTT);
            }
            after.push(cubic.window() / MSS);
        }
        after
    }

    #[test]
    fn the_curve_of_rfc_9438_is_followed() {
        let mut cubic = Cubic::new(MSS);
        let mut now = Instant::from_millis(5);
        assert_eq!(rounds(&mut cubic, &mut now, 6), [20, 40, 80, 160, 320, 640]);
        cubic.on_loss(now, 640 * MSS);
        assert_eq!((cubic.window(), cubic.ssthresh()), (448 * MSS, 448 * MSS));
        // K = cbrt(192 / 0.4) = 7.83 s: steep, flat around the old window, steep again.
        let after = rounds(&mut cubic, &mut now, 160);
        let at = |seconds: usize| after[seconds * 10 - 1];
        // 0.4 (t - K)^3 + 640, a round trip later.
        for (seconds, expected) in
            [(1, 518), (2, 564), (4, 619), (6, 637), (8, 640), (10, 644), (12, 671), (15, 793)]
        {
            let got: u32 = at(seconds);
            assert!(got.abs_diff(expected) <= 12, "{got} after {seconds} s, not {expected}");
        }
    }

    #[test]
    fn a_small_window_grows_as_newreno_does() {
        let mut cubic = Cubic::new(MSS);
        let mut now = Instant::from_millis(5);
        cubic.on_loss(now, 10 * MSS);
        assert_eq!(cubic.window(), 7 * MSS);
        let rtt = Duration::from_millis(10);
        for round in 0..30 {
            now = now + rtt;
            cubic.on_ack(now, cubic.window(), rtt);
            let newreno = 7000 + (round + 1) * 1000 * 9 / 17;
            assert!(cubic.window() >= newreno.min(10_000) - 20, "{} in round {round}", cubic.window());
        }
        assert!(cubic.window() > 20 * MSS, "a whole segment each round above the old window");
    }

    #[test]
    fn a_second_loss_below_the_peak_gives_way() {
        let mut cubic = Cubic::new(MSS);
        cubic.on_loss(Instant::ORIGIN, 100 * MSS);
        cubic.on_ack(Instant::from_millis(1), MSS, RTT);
        cubic.w_max = 100 * MSS;
        cubic.window = 80 * MSS;
        cubic.on_loss(Instant::from_millis(2), 80 * MSS);
        assert_eq!((cubic.w_max, cubic.window()), (68 * MSS, 56 * MSS));
        cubic.undo();
        assert_eq!(cubic.window(), 80 * MSS);
        cubic.on_timeout(Instant::from_millis(3), 80 * MSS);
        assert_eq!((cubic.window(), cubic.ssthresh()), (MSS, 56 * MSS));
        cubic.undo();
        assert_eq!((cubic.window(), cubic.ssthresh()), (80 * MSS, 70 * MSS));
    }

    #[test]
    fn a_pause_of_the_application_is_no_growth() {
        let mut cubic = Cubic::new(MSS);
        let mut now = Instant::from_millis(5);
        rounds(&mut cubic, &mut now, 5);
        cubic.on_loss(now, 320 * MSS);
        rounds(&mut cubic, &mut now, 5);
        let before = cubic.window();
        now = now + Duration::from_secs(60);
        cubic.on_ack(now, MSS, RTT);
        assert!(cubic.window() - before < MSS, "{} after {before}", cubic.window());
    }

    proptest! {
        #[test]
        fn cube_root_is_exact(n: u64) {
            let root = u64::from(cube_root(n));
            prop_assert!(root.pow(3) <= n || n == 0);
            prop_assert!(root == (1 << 21) - 1 || (root + 1).pow(3) > n);
        }

        #[test]
        fn nothing_overflows(
            mss in 1u32..70_000,
            events in prop::collection::vec((0u8..5, 0u64..1 << 40, 0u32..u32::MAX, 0u64..100_000), 0..50),
        ) {
            let mut cubic = Cubic::new(mss);
            let mut now = Instant::ORIGIN;
            for (what, wait, bytes, rtt) in events {
                now = now + Duration::from_micros(wait);
                match what {
                    0 | 1 => cubic.on_ack(now, bytes, Duration::from_millis(rtt)),
                    2 => cubic.on_loss(now, bytes),
                    3 => cubic.on_timeout(now, bytes),
                    _ => cubic.on_idle(),
                }
                prop_assert!(cubic.window() >= 1);
            }
        }
    }
}

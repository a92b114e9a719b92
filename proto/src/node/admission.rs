//! Who may open a stream to us, and how fast: token buckets and the short memory of trust verdicts.

use crate::time::{Duration, Instant};

/// A token bucket with continuous refill.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Thousandths of a token left when `at`.
    level: u32,
    at: Instant,
}

impl Bucket {
    pub(crate) const fn full(burst: u32) -> Self {
        Bucket { level: burst.saturating_mul(1000), at: Instant::ORIGIN }
    }

    /// Takes a token if there is one; `rate` per second, at most `burst` saved up.
    pub(crate) fn take(&mut self, now: Instant, rate: u32, burst: u32) -> bool {
        let elapsed = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        let refill = u32::try_from(elapsed.saturating_mul(u64::from(rate))).unwrap_or(u32::MAX);
        if refill > 0 {
            self.level = self.level.saturating_add(refill).min(burst.saturating_mul(1000));
            self.at = now;
        }
        let enough = self.level >= 1000;
        if enough {
            self.level -= 1000;
        }
        enough
    }
}

/// The turns of what we send to somebody who has a bucket: as many at once as it holds, then one each time it has filled
/// up by one (the generic cell rate algorithm). What is sent faster is dropped there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    /// When the next would be due if they came one by one.
    next: Instant,
}

/// Turns are given away no further ahead: whoever asked may have given up by then.
const MAX_AHEAD: Duration = Duration::from_secs(5);

impl Turns {
    pub(crate) const NEW: Turns = Turns { next: Instant::ORIGIN };

    /// The next turn, of `burst` at once and then one each `gap`; or when to ask again, if so many have been given that the
    /// next is too far ahead.
    pub(crate) fn take(&mut self, now: Instant, gap: Duration, burst: u32) -> Result<Instant, Instant> {
        let next = self.next.max(now);
        let turn = next.saturating_sub(gap * burst.saturating_sub(1)).max(now);
        if turn.since(now) > MAX_AHEAD {
            return Err(now + MAX_AHEAD);
        }
        self.next = next + gap;
        Ok(turn)
    }
}

/// What is remembered of the question whether an untrusted node may talk to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unknown,
    /// Asked, no answer yet.
    Asked(Instant),
    Allowed(Instant),
    Denied(Instant),
}

/// How long an unanswered question blocks asking again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How long a verdict holds. Short, because trust may be revoked or granted at the registry meanwhile.
const ALLOWED_FOR: Duration = Duration::from_secs(30);
const DENIED_FOR: Duration = Duration::from_secs(3);

impl Verdict {
    /// The verdict if it is still fresh; `Unknown` means that somebody should be asked.
    pub(crate) fn fresh(self, now: Instant) -> Verdict {
        match self {
            Verdict::Asked(at) if now.since(at) < ASK_AGAIN => self,
            Verdict::Allowed(at) if now.since(at) < ALLOWED_FOR => self,
            Verdict::Denied(at) if now.since(at) < DENIED_FOR => self,
            _ => Verdict::Unknown,
        }
    }
}

/// Key exchanges per source address: a fixed table of buckets, so that memory is bounded whatever comes. Sources that
/// share a bucket share its rate.
#[derive(Debug)]
pub(crate) struct SourceLimiter<const N: usize> {
    buckets: [Bucket; N],
}

impl<const N: usize> SourceLimiter<N> {
    pub(crate) const fn new(burst: u32) -> Self {
        SourceLimiter { buckets: [Bucket::full(burst); N] }
    }

    pub(crate) fn take(&mut self, now: Instant, hash: u64, rate: u32, burst: u32) -> bool {
        let at = usize::try_from(hash % N.max(1) as u64).unwrap_or(0);
        self.buckets.get_mut(at).is_some_and(|bucket| bucket.take(now, rate, burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let mut bucket = Bucket::full(10);
        let mut now = Instant::from_millis(1);
        assert_eq!((0..20).filter(|_| bucket.take(now, 100, 10)).count(), 10);
        let mut given = 0;
        for _ in 0..1000 {
            now = now + Duration::from_millis(1);
            given += u32::from(bucket.take(now, 100, 10));
        }
        assert_eq!(given, 100, "no fraction of a token is lost");
    }

    #[test]
    fn turns_are_a_burst_and_then_one_by_one() {
        let (ms, mut turns) = (Duration::from_millis, Turns::NEW);
        let now = Instant::from_millis(100_000);
        let first: Vec<_> = (0..6).map(|_| turns.take(now, ms(100), 4).unwrap().since(now)).collect();
        assert_eq!(first, [0, 0, 0, 0, 100, 200].map(ms));
        let later = now + ms(350);
        assert_eq!(turns.take(later, ms(100), 4), Ok(later), "the turn was at 300 ms");
        assert_eq!(turns.take(later, ms(100), 4), Ok(now + ms(400)));
        let given = (0..1000).filter(|_| turns.take(later, ms(100), 4).is_ok()).count();
        assert_eq!((given, turns.take(later, ms(100), 4)), (49, Err(later + MAX_AHEAD)));
    }

    #[test]
    fn verdicts_expire() {
        let now = Instant::from_millis(10_000);
        assert_eq!(Verdict::Denied(now).fresh(now + Duration::from_secs(1)), Verdict::Denied(now));
        assert_eq!(Verdict::Denied(now).fresh(now + DENIED_FOR), Verdict::Unknown);
        assert_eq!(Verdict::Allowed(now).fresh(now + ALLOWED_FOR), Verdict::Unknown);
        assert_eq!(Verdict::Asked(now).fresh(now + ASK_AGAIN), Verdict::Unknown);
    }
}

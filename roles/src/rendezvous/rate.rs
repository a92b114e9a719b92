//! What one source may do and hold: token buckets, and shares of a table.
//!
//! A bucket holds no tokens: it is the instant at which it will be full again.

use alloc::collections::BTreeMap;
use core::net::IpAddr;
use core::time::Duration;

use pilot_proto::{Instant, planted};

/// How many per how long; the bucket holds as many as come back in one period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    count: u32,
    period: Duration,
}

impl Rate {
    pub(super) const fn per_minute(count: u32) -> Self {
        Rate { count, period: Duration::from_secs(60) }
    }

    pub(super) const fn per_second(count: u32) -> Self {
        Rate { count, period: Duration::from_secs(1) }
    }
}

/// One bucket. The default is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// Takes one token; says whether there was one.
    pub(super) fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let next = self.full_at.max(now) + rate.period / rate.count.max(1);
        if next > now + rate.period {
            return false;
        }
        self.full_at = next;
        true
    }

    fn is_full(self, now: Instant) -> bool {
        self.full_at <= now
    }
}

/// A bucket for every key that used one lately.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    rate: Rate,
    max: usize,
    buckets: BTreeMap<K, Bucket>,
    swept: Instant,
}

impl<K: Ord> Buckets<K> {
    /// Buckets for at most `max` keys at a time.
    pub(super) const fn new(rate: Rate, max: usize) -> Self {
        Buckets { rate, max, buckets: BTreeMap::new(), swept: Instant::ORIGIN }
    }

    /// Takes a token of `key`'s bucket; says whether there was one. A new key is refused while `max` others wait for
    /// their buckets to fill.
    pub(super) fn take(&mut self, key: K, now: Instant) -> bool {
        if planted!(RatesUnlimited) {
            return true;
        }
        if let Some(bucket) = self.buckets.get_mut(&key) {
            return bucket.take(self.rate, now);
        }
        if self.buckets.len() >= self.max && now.since(self.swept) >= Duration::from_secs(1) {
            self.swept = now;
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if self.buckets.len() >= self.max {
            return false;
        }
        self.buckets.entry(key).or_default().take(self.rate, now)
    }
}

/// How many entries of a table each source holds.
#[derive(Debug)]
pub(super) struct Shares {
    max: u32,
    held: BTreeMap<IpAddr, u32>,
}

impl Shares {
    /// Shares of at most `max` entries.
    pub(super) const fn new(max: u32) -> Self {
        Shares { max, held: BTreeMap::new() }
    }

    /// Counts one more entry, if the source's share has room.
    pub(super) fn take(&mut self, source: IpAddr) -> bool {
        let held = self.held.entry(source).or_default();
        let room = *held < self.max;
        *held += u32::from(room);
        room
    }

    /// An entry is gone.
    pub(super) fn give_back(&mut self, source: IpAddr) {
        if let Some(held) = self.held.get_mut(&source) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.held.remove(&source);
            }
        }
    }
}

/// Whom a limit by source address counts: one IPv4 address, or one IPv6 /64, which one host can fill.
pub(super) fn source_key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_starts_full_and_refills_continuously() {
        let mut bucket = Bucket::default();
        let rate = Rate::per_minute(10);
        let start = Instant::from_millis(1000);
        assert!((0..10).all(|_| bucket.take(rate, start)));
        assert!(!bucket.take(rate, start));
        assert!(!bucket.take(rate, start + Duration::from_millis(5900)));
        assert!(bucket.take(rate, start + Duration::from_millis(6000)));
        assert!(!bucket.take(rate, start + Duration::from_millis(6000)));
    }

    #[test]
    fn the_table_of_buckets_is_bounded_and_forgets_full_ones() {
        let mut buckets = Buckets::new(Rate::per_minute(60), 2);
        let at = |secs: u64| Instant::from_millis(10_000 + secs * 1000);
        assert!(buckets.take(1, at(0)) && buckets.take(2, at(0)));
        assert!(!buckets.take(3, at(0)));
        assert!(buckets.take(3, at(2)));
        assert_eq!(buckets.buckets.len(), 1);
    }

    #[test]
    fn a_share_has_a_limit_and_comes_back() {
        let mut shares = Shares::new(1);
        let (a, b) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        assert!(shares.take(a) && !shares.take(a) && shares.take(b));
        shares.give_back(a);
        assert!(shares.take(a));
        shares.give_back(a);
        shares.give_back(b);
        assert!(shares.held.is_empty());
    }

    #[test]
    fn an_ipv6_host_has_one_bucket() {
        let key = |text: &str| source_key(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}

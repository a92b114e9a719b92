//! Sequence numbers: a circle of 2^32, so "less than" does not exist, only distances.

use core::fmt;
use core::ops::{Add, Sub};

/// A sequence number. Deliberately not ordered: compare with [`is_after`](Seq::is_after), which is right for
/// numbers less than 2^31 apart.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Seq(u32);

impl Seq {
    /// The number as the wire carries it.
    pub const fn new(number: u32) -> Self {
        Seq(number)
    }

    /// The number as the wire carries it.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// How far `self` lies behind `from` going up, in 0..2^32.
    pub const fn distance(self, from: Seq) -> u32 {
        self.0.wrapping_sub(from.0)
    }

    /// Whether `self` follows `other`: (self - other) as a signed number is positive.
    pub const fn is_after(self, other: Seq) -> bool {
        self.0.wrapping_sub(other.0).wrapping_sub(1) < u32::MAX / 2
    }

    /// Whether `self` precedes `other`.
    pub const fn is_before(self, other: Seq) -> bool {
        other.is_after(self)
    }

    /// Whether `self` is one of the `len` numbers from `start` on.
    pub const fn in_window(self, start: Seq, len: u32) -> bool {
        self.distance(start) < len
    }
}

impl Add<u32> for Seq {
    type Output = Seq;

    fn add(self, by: u32) -> Seq {
        Seq(self.0.wrapping_add(by))
    }
}

impl Sub<u32> for Seq {
    type Output = Seq;

    fn sub(self, by: u32) -> Seq {
        Seq(self.0.wrapping_sub(by))
    }
}

impl fmt::Debug for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_wraps() {
        for start in [0, 1, (1 << 31) - 1, 1 << 31, u32::MAX].map(Seq::new) {
            assert!(!start.is_after(start) && !start.is_before(start));
            assert!((start + 1).is_after(start) && start.is_before(start + 1));
            assert!((start + (u32::MAX / 2)).is_after(start));
            assert!((start - 1).is_before(start));
            assert!(start.in_window(start, 1) && !(start + 1).in_window(start, 1));
            assert!(!(start - 1).in_window(start, u32::MAX));
        }
    }
}

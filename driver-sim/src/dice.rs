//! Chance: a generator per subsystem and link, derived from one seed by name, so that one draw more in one place moves
//! nothing elsewhere. Probabilities are whole parts per million; nothing here is floating.

use pilot_proto::rng::{Rng, SeededRng};

/// The whole of a probability in parts per million.
pub const MILLION: u32 = 1_000_000;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Dice(SeededRng);

impl Dice {
    /// The stream of `name` and `numbers` under `seed`: always the same, independent of all others.
    pub fn named(seed: u64, name: &str, numbers: &[u64]) -> Self {
        let mut state = mix(seed ^ 0x7069_6c6f_742d_7369);
        for byte in name.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        for &number in numbers {
            state = mix(state ^ number);
        }
        Dice(SeededRng::new(state))
    }

    /// Uniform in `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `low..=high`; `low` if they are the wrong way round.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True with a probability of `ppm` parts per million. Certain answers draw nothing.
    pub fn chance(&mut self, ppm: u32) -> bool {
        ppm > 0 && (ppm >= MILLION || self.below(MILLION.into()) < ppm.into())
    }

    /// One of `choices`, which is not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

impl Rng for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        self.0.fill(out);
    }
}

/// These bytes as 64 bits, under a seed. Four words are taken at a time, so that none waits for the one before.
pub(crate) fn digest(seed: u64, bytes: &[u8]) -> u64 {
    let mut lanes = [seed, seed ^ LANE, seed.wrapping_add(LANE), seed.rotate_left(32)];
    let mut take = |lane: usize, word: u64| {
        let product = (lanes[lane] ^ word).wrapping_mul(LANE);
        lanes[lane] = product ^ product >> 32;
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let (blocks, words) = words.as_chunks::<4>();
    for block in blocks {
        for (lane, word) in block.iter().enumerate() {
            take(lane, u64::from_le_bytes(*word));
        }
    }
    for (lane, word) in words.iter().enumerate() {
        take(lane, u64::from_le_bytes(*word));
    }
    take(3, rest.iter().fold(bytes.len() as u64, |word, byte| word << 8 | u64::from(*byte)));
    let [a, b, c, d] = lanes;
    mix(a.wrapping_add(b.rotate_left(17)) ^ c.wrapping_add(d.rotate_left(43)))
}

/// Odd, and what no word is likely to be.
const LANE: u64 = 0x9e37_79b9_7f4a_7c15;

/// A bijection of 64 bits that leaves no pattern (the finaliser of MurmurHash3).
pub(crate) const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_told_apart_by_every_part_of_their_name() {
        let first = |seed, name, numbers: &[u64]| Dice::named(seed, name, numbers).u64();
        let all = [
            first(1, "link", &[1, 2]),
            first(1, "link", &[2, 1]),
            first(2, "link", &[1, 2]),
            first(1, "nat", &[1, 2]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(!all[at + 1..].contains(one));
        }
        assert_eq!(all[0], first(1, "link", &[1, 2]));
    }

    #[test]
    fn every_bit_and_the_length_count_in_a_digest() {
        let bytes = [7; 75];
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..bytes.len() {
            assert!(seen.insert(digest(1, &bytes[..len])) && seen.insert(digest(2, &bytes[..len])), "{len}");
        }
        for bit in 0..8 * bytes.len() {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(seen.insert(digest(1, &changed)), "{bit}");
        }
    }

    #[test]
    fn chances_come_about_as_often_as_promised() {
        let mut dice = Dice::named(7, "test", &[]);
        let hits = (0..100_000).filter(|_| dice.chance(100_000)).count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
        assert!(!dice.chance(0) && dice.chance(MILLION));
        assert!((0..1000).all(|_| (3..=5).contains(&dice.between(3, 5))));
    }
}

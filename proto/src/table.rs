//! A hash index over lent memory: finds the slot of a key in somebody else's array in constant time.
//!
//! The index stores slot numbers only. Keys stay where they are (in the caller's slot array), so a key of any shape
//! can be indexed: the caller hands in its hash and says which slots match. A word holds the slot and, in the bits that
//! are left, some of the hash, so that a search looks at hardly any row but the one it is for: rows are far apart, and
//! in a large table each look costs as long as main memory takes to answer.

use crate::rng::Rng;

/// Most 64-bit words a key may be cut into for [`IndexState::hash`].
pub const MAX_KEY_WORDS: usize = 4;

/// The index has reached its highest permitted load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Entries the index may hold: seven eighths of the lent words.
    pub capacity: usize,
}

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "index full: it holds at most {} entries", self.capacity)
    }
}

impl core::error::Error for Full {}

/// What an index remembers between calls, apart from the lent words: its secret and how many entries it has.
///
/// # Why this hash
///
/// Node ids, ports and addresses are chosen by strangers, so with a known hash function they could all be made to
/// fall into one place. The hash is therefore keyed with 576 random bits. Its first step, `Σ wordᵢ·keyᵢ + key₀` in
/// 128-bit arithmetic of which the upper half is kept, is strongly universal (Dietzfelbinger 1996): whatever two
/// keys a stranger picks without seeing the secret, they collide with probability 2⁻⁶⁴. Its second step, a folded
/// multiplication with another key, destroys the arithmetic progressions that the first step would hand on (ids are
/// given out in sequence) and that linear probing is sensitive to. Hashes never leave the process, so nothing about
/// the secret is learned from outside. Cost: three to nine multiplications, no memory.
#[derive(Clone)]
pub struct IndexState {
    len: usize,
    offset: u128,
    keys: [u128; MAX_KEY_WORDS],
    fold: u64,
}

impl core::fmt::Debug for IndexState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("IndexState").field("len", &self.len).finish_non_exhaustive()
    }
}

impl IndexState {
    /// An empty index with a secret drawn from `rng`. It starts on words that are all zero.
    pub fn new(rng: &mut impl Rng) -> Self {
        let mut word = || (u128::from(rng.u64()) << 64) | u128::from(rng.u64());
        let offset = word();
        let keys = core::array::from_fn(|_| word());
        IndexState { len: 0, offset, keys, fold: rng.u64() | 1 }
    }

    /// Number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The keyed hash of a key cut into words. Use one cut per index: `[1]` and `[1, 0]` hash alike.
    pub fn hash<const N: usize>(&self, key: [u64; N]) -> u64 {
        const { assert!(N <= MAX_KEY_WORDS, "a key has at most MAX_KEY_WORDS words") };
        let sum = key
            .iter()
            .zip(self.keys)
            .fold(self.offset, |sum, (word, k)| sum.wrapping_add(k.wrapping_mul(u128::from(*word))));
        let folded = u128::from((sum >> 64) as u64 ^ self.fold) * u128::from(self.fold);
        (folded >> 64) as u64 ^ folded as u64
    }

    /// The slot with this hash for which `matches` says yes. For callers that hold the words shared.
    pub fn find(&self, words: &[u32], hash: u64, mut matches: impl FnMut(u32) -> bool) -> Option<u32> {
        let (mut at, word) = (home(hash, words.len()), Word::of(words.len()));
        for _ in 0..words.len() {
            let found = *words.get(at)?;
            let slot = word.slot(found)?;
            if word.same_tag(found, hash) && matches(slot) {
                return Some(slot);
            }
            at = next(at, words.len());
        }
        None
    }
}

/// How the words of one index are cut: the slot plus one in the lower bits, 0 being an unused word, and bits of the
/// hash in the others.
#[derive(Clone, Copy)]
struct Word {
    /// The bits of the slot.
    slots: u32,
}

impl Word {
    /// For an index of `size` words; all its slots are below that.
    fn of(size: usize) -> Self {
        let highest = u32::try_from(size).unwrap_or(u32::MAX);
        Word { slots: u32::MAX.checked_shr(highest.leading_zeros()).unwrap_or(0) }
    }

    fn join(self, slot: u32, hash: u64) -> Option<u32> {
        let stored = slot.checked_add(1).filter(|stored| *stored <= self.slots)?;
        Some(stored | hash as u32 & !self.slots)
    }

    fn slot(self, word: u32) -> Option<u32> {
        (word & self.slots).checked_sub(1)
    }

    /// Whether the word may be of a key with this hash. The bits are other ones than those that [`home`] uses most.
    fn same_tag(self, word: u32, hash: u64) -> bool {
        (word ^ hash as u32) & !self.slots == 0
    }
}

/// The index joined with its lent words, for one call.
///
/// Open addressing with linear probing; deletion moves later entries back, so there are no tombstones and searches
/// never slow down with age.
#[derive(Debug)]
pub struct Index<'a> {
    state: &'a mut IndexState,
    words: &'a mut [u32],
}

/// Entries that an index over `words` words may hold.
pub const fn capacity(words: usize) -> usize {
    words - words.div_ceil(8)
}

/// Words to lend for at least `entries` entries at two thirds load, where searches are short.
pub const fn words_for(entries: usize) -> usize {
    entries + entries / 2 + 1
}

impl<'a> Index<'a> {
    /// Joins `state` with its words: the same ones at every call, all zero when the state is new.
    pub const fn new(state: &'a mut IndexState, words: &'a mut [u32]) -> Self {
        Index { state, words }
    }

    /// Number of entries.
    pub const fn len(&self) -> usize {
        self.state.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.state.len == 0
    }

    /// Entries it may hold.
    pub const fn capacity(&self) -> usize {
        capacity(self.words.len())
    }

    /// See [`IndexState::hash`].
    pub fn hash<const N: usize>(&self, key: [u64; N]) -> u64 {
        self.state.hash(key)
    }

    /// The slot with this hash for which `matches` says yes.
    pub fn find(&self, hash: u64, matches: impl FnMut(u32) -> bool) -> Option<u32> {
        self.state.find(self.words, hash, matches)
    }

    /// Adds `slot` (below the number of words) under `hash`. The caller has made sure that its key is not there yet.
    pub fn insert(&mut self, hash: u64, slot: u32) -> Result<(), Full> {
        let full = Full { capacity: self.capacity() };
        if self.state.len >= full.capacity {
            return Err(full);
        }
        let stored = Word::of(self.words.len()).join(slot, hash).ok_or(full)?;
        let mut at = home(hash, self.words.len());
        for _ in 0..self.words.len() {
            if let Some(word) = self.words.get_mut(at).filter(|word| **word == 0) {
                *word = stored;
                self.state.len += 1;
                return Ok(());
            }
            at = next(at, self.words.len());
        }
        Err(full)
    }

    /// Removes `slot`, whose key has `hash`; `hash_of` tells the hash of any other slot's key. Says whether it was
    /// there. The keys of all slots must still be readable through `hash_of` when this is called.
    pub fn remove(&mut self, hash: u64, slot: u32, mut hash_of: impl FnMut(u32) -> u64) -> bool {
        let size = self.words.len();
        let word = Word::of(size);
        let mut hole = home(hash, size);
        loop {
            match self.words.get(hole).and_then(|found| word.slot(*found)) {
                Some(found) if found == slot => break,
                Some(_) => hole = next(hole, size),
                None => return false,
            }
        }
        let mut at = next(hole, size);
        while let Some(other) = self.words.get(at).and_then(|found| word.slot(*found)) {
            // It may move back into the hole unless its search would start behind the hole.
            if distance(home(hash_of(other), size), at, size) >= distance(hole, at, size) {
                self.words.swap(hole, at);
                hole = at;
            }
            at = next(at, size);
        }
        if let Some(word) = self.words.get_mut(hole) {
            *word = 0;
        }
        self.state.len = self.state.len.saturating_sub(1);
        true
    }

    /// Forgets every entry; the secret stays.
    pub fn clear(&mut self) {
        self.words.fill(0);
        self.state.len = 0;
    }
}

/// Where the search for `hash` starts: the hash scaled to the table, so that its size need not be a power of two.
fn home(hash: u64, size: usize) -> usize {
    ((u128::from(hash) * size as u128) >> 64) as usize
}

fn next(at: usize, size: usize) -> usize {
    if at + 1 < size { at + 1 } else { 0 }
}

/// Steps from `from` to `to`, going round.
fn distance(from: usize, to: usize, size: usize) -> usize {
    if to >= from { to - from } else { to + size - from }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::SeededRng;
    use std::collections::BTreeMap;

    #[test]
    fn a_million_operations_agree_with_a_btreemap() {
        let mut rng = SeededRng::new(1);
        for (size, operations) in [(8, 100_000), (97, 300_000), (1024, 600_000)] {
            let mut state = IndexState::new(&mut rng);
            let mut words = vec![0; size];
            let mut keys: Vec<Option<u64>> = vec![None; size];
            let mut model = BTreeMap::new();
            for _ in 0..operations {
                let key = u64::from(rng.u32()) % (2 * size as u64);
                let mut index = Index::new(&mut state, &mut words);
                let hash = index.hash([key]);
                let found = index.find(hash, |slot| keys[slot as usize] == Some(key));
                assert_eq!(found, model.get(&key).copied());
                match found {
                    Some(slot) => {
                        let secret = index.state.clone();
                        assert!(index.remove(hash, slot, |s| secret.hash([keys[s as usize].unwrap()])));
                        keys[slot as usize] = None;
                        model.remove(&key);
                    }
                    None => {
                        let slot = keys.iter().position(Option::is_none).unwrap() as u32;
                        match index.insert(hash, slot) {
                            Ok(()) => {
                                keys[slot as usize] = Some(key);
                                model.insert(key, slot);
                            }
                            Err(full) => {
                                assert_eq!(full.capacity, capacity(size));
                                assert_eq!(model.len(), full.capacity);
                            }
                        }
                    }
                }
                assert_eq!(state.len(), model.len());
            }
        }
    }

    #[test]
    fn the_load_stops_at_seven_eighths_and_an_empty_slice_holds_nothing() {
        let mut state = IndexState::new(&mut SeededRng::new(2));
        let mut words = [0; 16];
        let mut index = Index::new(&mut state, &mut words);
        for slot in 0..14 {
            index.insert(index.hash([u64::from(slot)]), slot).unwrap();
        }
        assert_eq!(index.insert(7, 14), Err(Full { capacity: 14 }));
        index.clear();
        assert!(index.is_empty());
        assert_eq!(index.find(7, |_| true), None);

        let mut state = IndexState::new(&mut SeededRng::new(2));
        let mut index = Index::new(&mut state, &mut []);
        assert_eq!(index.insert(7, 0), Err(Full { capacity: 0 }));
        assert_eq!(index.find(7, |_| true), None);
        assert!(!index.remove(7, 0, |_| 7));
    }

    #[test]
    fn colliding_keys_stay_reachable_when_one_in_the_middle_goes() {
        let mut state = IndexState::new(&mut SeededRng::new(3));
        let mut words = [0; 8];
        let mut index = Index::new(&mut state, &mut words);
        for slot in 0..5 {
            index.insert(u64::MAX, slot).unwrap();
        }
        assert!(index.remove(u64::MAX, 1, |_| u64::MAX));
        assert!(!index.remove(u64::MAX, 1, |_| u64::MAX));
        for slot in [0, 2, 3, 4] {
            assert_eq!(index.find(u64::MAX, |s| s == slot), Some(slot));
        }
    }

    #[test]
    fn hazard_01_h18_and_04_24_sequential_ids_do_not_cluster_under_any_of_many_secrets() {
        for seed in 0..200 {
            let mut state = IndexState::new(&mut SeededRng::new(seed));
            let mut words = vec![0; words_for(1000)];
            let mut index = Index::new(&mut state, &mut words);
            for slot in 0..1000 {
                index.insert(index.hash([u64::from(slot)]), slot).unwrap();
            }
            let mut rows = 0;
            for slot in 0..1000 {
                index.find(index.hash([u64::from(slot)]), |s| {
                    rows += 1;
                    s == slot
                });
            }
            assert!(rows < 1010, "seed {seed}: {rows} rows looked at in 1000 searches");
            let word = Word::of(words.len());
            let way = |(at, found): (usize, &u32)| {
                let hash = state.hash([u64::from(word.slot(*found)?)]);
                Some(distance(home(hash, words.len()), at, words.len()) + 1)
            };
            let steps: usize = words.iter().enumerate().filter_map(way).sum();
            assert!(steps < 4000, "seed {seed}: {steps} words looked at in 1000 searches");
        }
    }
}

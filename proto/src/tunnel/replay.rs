//! Which frames have been opened already: a window of counters for each nonce prefix the peer has used under a key.
//!
//! The order of use is check, open, mark: a frame that proves nothing changes nothing.

use heapless::Vec;

use crate::wire::frame::Nonce;

/// How far behind the newest counter a frame may be and still be told from a repetition, in counters.
pub const WINDOW: u64 = 1024;
/// Prefixes with a window of their own under one key. April restarts its counter with a new prefix whenever it
/// accepts a key exchange, so frames of two prefixes can be in flight together.
pub const LIVE_PREFIXES: usize = 3;
/// Prefixes that are remembered only to refuse them.
pub const RETIRED_PREFIXES: usize = 61;

/// One word more than the window, so that the word of the newest counter can be half used.
const WORDS: usize = (WINDOW / WORD_BITS) as usize + 1;
const WORD_BITS: u64 = u64::BITS as u64;

/// The counters of one prefix. Cost is the same for any counter, including 0 and `u64::MAX`.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Window {
    /// `None` until a frame has been opened.
    newest: Option<u64>,
    /// A ring of words of 64 counters each.
    seen: [u64; WORDS],
}

impl Window {
    /// Whether a frame with this counter may be opened.
    pub fn check(&self, counter: u64) -> Result<(), Refused> {
        match self.newest {
            Some(newest) if counter <= newest => {
                let (slot, bit) = place(counter);
                if newest - counter >= WINDOW {
                    Err(Refused::TooOld { behind: newest - counter })
                } else if self.seen.get(slot).is_some_and(|word| word & bit != 0) {
                    Err(Refused::Seen)
                } else {
                    Ok(())
                }
            }
            _ => Ok(()),
        }
    }

    /// Records a counter whose frame has been opened. Whether it is newer than all before.
    pub fn mark(&mut self, counter: u64) -> bool {
        let newer = self.newest.is_none_or(|newest| counter > newest);
        if newer {
            let entered = self.newest.map_or(0, |newest| counter / WORD_BITS - newest / WORD_BITS);
            for back in 0..entered.min(WORDS as u64) {
                let (slot, _) = place(counter - back * WORD_BITS);
                if let Some(word) = self.seen.get_mut(slot) {
                    *word = 0;
                }
            }
            self.newest = Some(counter);
        }
        let (slot, bit) = place(counter);
        if let Some(word) = self.seen.get_mut(slot) {
            *word |= bit;
        }
        newer
    }
}

fn place(counter: u64) -> (usize, u64) {
    ((counter / WORD_BITS % WORDS as u64) as usize, 1 << (counter % WORD_BITS))
}

/// A prefix and its counters.
#[derive(Clone, Debug)]
#[repr(C)]
struct Live {
    prefix: [u8; 4],
    window: Window,
}

/// All prefixes of the peer under one key.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Replay {
    /// Least recently used first.
    live: Vec<Live, LIVE_PREFIXES>,
    retired: Vec<[u8; 4], RETIRED_PREFIXES>,
}

impl Replay {
    /// Where what every frame needs ends: the window of the first prefix.
    pub(super) const HOT: usize = size_of::<Live>() + align_of::<Self>();

    /// Whether frames with this prefix have been opened.
    pub fn knows(&self, prefix: [u8; 4]) -> bool {
        self.live.iter().any(|live| live.prefix == prefix)
    }

    /// The highest counter of all that have been opened; 0 if none has.
    pub fn newest(&self) -> u64 {
        self.live.iter().filter_map(|live| live.window.newest).max().unwrap_or(0)
    }

    /// Whether a frame with this nonce may be opened.
    pub fn check(&self, nonce: Nonce) -> Result<(), Refused> {
        match self.live.iter().find(|live| live.prefix == nonce.prefix) {
            Some(live) => live.window.check(nonce.counter),
            None if self.retired.contains(&nonce.prefix) => Err(Refused::Retired),
            None if self.live.is_full() && self.retired.is_full() => Err(Refused::TooManyPrefixes),
            None => Ok(()),
        }
    }

    /// Records a nonce that passed [`check`](Self::check) and whose frame has been opened. Whether the frame is newer
    /// than all before.
    pub fn mark(&mut self, nonce: Nonce) -> bool {
        let last = self.live.len().saturating_sub(1);
        let Some(at) = self.live.iter().position(|live| live.prefix == nonce.prefix) else {
            let mut window = Window::default();
            window.mark(nonce.counter);
            if self.live.is_full() {
                let oldest = self.live.remove(0);
                let kept = self.retired.push(oldest.prefix);
                debug_assert!(kept.is_ok(), "check refuses a new prefix when there is no room");
            }
            let kept = self.live.push(Live { prefix: nonce.prefix, window });
            debug_assert!(kept.is_ok());
            return true;
        };
        let newer = self.live.get_mut(at).is_some_and(|live| live.window.mark(nonce.counter));
        if at != last
            && let Some(used) = self.live.get_mut(at..)
        {
            used.rotate_left(1);
        }
        newer && at == last
    }
}

/// Why a nonce is not acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A frame with this counter has been opened.
    Seen,
    /// Too far behind the newest counter to tell.
    TooOld {
        /// How far.
        behind: u64,
    },
    /// The peer has long gone on to other prefixes.
    Retired,
    /// The peer has used more prefixes under this key than can be told apart. The key must be replaced.
    TooManyPrefixes,
}

impl core::fmt::Display for Refused {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Refused::Seen => f.write_str("counter seen before"),
            Refused::TooOld { behind } => {
                write!(f, "counter {behind} behind the newest (less than {WINDOW} allowed)")
            }
            Refused::Retired => f.write_str("prefix no longer in use"),
            Refused::TooManyPrefixes => {
                write!(f, "more than {} prefixes under one key", LIVE_PREFIXES + RETIRED_PREFIXES)
            }
        }
    }
}

impl core::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Every counter ever accepted.
    #[derive(Default)]
    struct Model(BTreeSet<u64>);

    impl Model {
        fn accepts(&self, counter: u64) -> bool {
            let newest = self.0.last().copied();
            !self.0.contains(&counter) && newest.is_none_or(|newest| newest.saturating_sub(counter) < WINDOW)
        }
    }

    fn agree(counters: impl IntoIterator<Item = u64>) {
        let (mut window, mut model) = (Window::default(), Model::default());
        for counter in counters {
            assert_eq!(window.check(counter).is_ok(), model.accepts(counter), "counter {counter}");
            if window.check(counter).is_ok() {
                assert_eq!(window.mark(counter), model.0.last().is_none_or(|newest| counter > *newest));
                model.0.insert(counter);
            }
        }
    }

    /// Proves TUN-17.
    #[test]
    fn window_at_its_edges() {
        agree([0, 0, 1, 0]);
        agree([5, 4, 5, 1024 + 5, 5, 6, 4, 1024 + 4]);
        agree([63, 64, 64 + 1023, 64, 65, 63, 64 + 1024, 65, 64]);
        agree([u64::MAX, u64::MAX, u64::MAX - 1, u64::MAX - 1023, u64::MAX - 1024, 0]);
        agree([1, u64::MAX - 1, u64::MAX, 1, u64::MAX]);
    }

    #[test]
    fn prefixes_are_apart_and_bounded() {
        let nonce = |prefix: u32, counter| Nonce { prefix: prefix.to_be_bytes(), counter };
        let mut replay = Replay::default();
        assert!(replay.mark(nonce(0, 9)));
        assert!(replay.mark(nonce(1, 1)), "a restarted counter under a new prefix is news");
        assert_eq!(replay.check(nonce(0, 9)), Err(Refused::Seen));
        assert!(!replay.mark(nonce(0, 10)), "a late frame of the earlier prefix is not");
        for prefix in 2..(LIVE_PREFIXES + RETIRED_PREFIXES) as u32 {
            assert_eq!(replay.check(nonce(prefix, 1)), Ok(()));
            replay.mark(nonce(prefix, 1));
        }
        assert_eq!(replay.check(nonce(0, 11)), Err(Refused::Retired));
        assert_eq!(replay.check(nonce(1000, 1)), Err(Refused::TooManyPrefixes));
        assert_eq!(replay.check(nonce(63, 2)), Ok(()));
    }

    proptest! {
        #[test]
        fn window_is_the_model(
            start in prop_oneof![Just(0), Just(u64::MAX - 9000), any::<u64>()],
            jumps in prop::collection::vec(prop_oneof![0u64..3, 0u64..1100, 0u64..9000], 0..400),
            back: bool,
        ) {
            // Wander around the newest counter, sometimes backwards.
            let mut at = start;
            agree(jumps.into_iter().enumerate().map(|(i, jump)| {
                at = if back && i % 3 == 0 { at.saturating_sub(jump) } else { at.saturating_add(jump) };
                at
            }));
        }
    }
}

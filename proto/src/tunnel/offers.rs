//! Our X25519 key pairs that the peer may have seen and may still use, newest last.
//!
//! Every attempt to exchange keys offers a fresh pair: the releases do not answer a key they have already.

use heapless::Vec;

use crate::crypto::{Crypto, PublicKey, X25519Secret};
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// How many pairs are kept.
pub(super) const MAX_OFFERS: usize = 4;
/// How long the peer may use a pair.
pub(super) const KEPT: Duration = Duration::from_secs(30);
/// How long a pair is young enough to answer with. Within that time answers repeat it, so that whichever of the
/// peer's attempts an answer belongs to, both sides can derive the key.
const REUSED: Duration = Duration::from_secs(10);

/// One pair.
pub(super) struct Offer {
    pub(super) secret: X25519Secret,
    pub(super) public: PublicKey,
    born: Instant,
    pub(super) known: Known,
}

impl Offer {
    fn is_young(&self, now: Instant) -> bool {
        now.since(self.born) < REUSED
    }
}

/// What the peer knows of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: it has not been sent.
    Unsent,
    /// It has been sent to answer.
    Sent,
    /// It has been sent to be answered.
    Asked,
    /// It has been sent, and a key of the peer has arrived since.
    Answered,
}

/// The pairs.
#[derive(Default)]
pub(super) struct Offers(Vec<Offer, MAX_OFFERS>);

impl Offers {
    pub(super) const fn new() -> Self {
        Offers(Vec::new())
    }

    /// Makes a fresh pair, in place of the oldest if need be.
    pub(super) fn add(&mut self, now: Instant, crypto: &impl Crypto, rng: &mut impl Rng) {
        if self.0.is_full() {
            self.0.remove(0);
        }
        let secret = match crate::planted!(TunnelKeyKept) {
            true => X25519Secret::from_bytes([7; 32]),
            false => X25519Secret::random(rng),
        };
        let public = crypto.x25519_public(&secret);
        let kept = self.0.push(Offer { secret, public, born: now, known: Known::Unsent });
        debug_assert!(kept.is_ok());
    }

    /// Whether the newest pair may be offered again.
    pub(super) fn newest_is_young(&self, now: Instant) -> bool {
        self.0.last().is_some_and(|offer| offer.is_young(now))
    }

    /// Whether the next key to arrive is taken for the answer to our newest.
    pub(super) fn awaits_answer(&self, now: Instant) -> bool {
        self.0.last().is_some_and(|offer| offer.known == Known::Asked && offer.is_young(now))
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Offer> {
        self.0.last_mut()
    }

    /// Those the peer may be answering now, newest last; the newest in any case.
    pub(super) fn young(&self, now: Instant) -> impl Iterator<Item = &Offer> {
        let newest = self.0.len().saturating_sub(1);
        self.0
            .iter()
            .enumerate()
            .filter(move |(at, offer)| *at == newest || offer.is_young(now))
            .map(|(_, offer)| offer)
    }

    /// Wipes pairs too old to be used.
    pub(super) fn prune(&mut self, now: Instant) {
        self.0.retain(|offer| now.since(offer.born) < KEPT);
    }

    /// When the next pair is to be wiped.
    pub(super) fn next_prune(&self) -> Option<Instant> {
        self.0.first().map(|offer| offer.born + KEPT)
    }
}

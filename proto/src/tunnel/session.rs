//! One key: what two X25519 keys give, our nonces under it, and the peer's.

use super::replay::{Refused, Replay};
use super::{OpenError, SealError, SessionId};
use crate::crypto::{Aead, AeadKey, Crypto, PublicKey, WeakKey, X25519Secret};
use crate::extension::Agreement;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::extension::session_name_input;
use crate::wire::frame::{Nonce, SEALED_HEAD_LEN, SEALED_OVERHEAD, Sealed, Suite, TAG_LEN, sealed_head};

/// Packets sealed under one key after which a new one is sought. RFC 9001 B.1 allows 2^28 packets of up to 2 KiB;
/// a key serves both directions, and the peer may count as we do.
pub const REKEY_AFTER_PACKETS: u64 = 1 << 26;
/// Packets sealed under one key after which it seals no more.
pub const REFUSE_AFTER_PACKETS: u64 = 1 << 27;
/// Bytes sealed under one key after which a new one is sought.
pub const REKEY_AFTER_BYTES: u64 = 1 << 36;
/// Bytes sealed under one key after which it seals no more.
pub const REFUSE_AFTER_BYTES: u64 = 1 << 37;
/// Age of a key at which a new one is sought, when there is something to seal.
pub const REKEY_AFTER: Duration = Duration::from_secs(60 * 60);
/// What the side that did not start the exchange adds to [`REKEY_AFTER`], so that both do not start at once.
pub const REKEY_PATIENCE: Duration = Duration::from_secs(5 * 60);

/// What the derivation of the key of AES-256-GCM is bound to (TUN-6).
pub const KEY_INFO: &[u8] = b"pilot-tunnel-v1";
/// The same for the key of ChaCha20-Poly1305 (EXT-8).
pub const CHACHA_INFO: &[u8] = b"pilot-tunnel-chacha20poly1305-v1";

/// A key and its state. It is kept as long as either side may use it; its counter never restarts.
///
/// What every frame needs comes first and in one piece (see "Cost" in ARCHITECTURE.md).
#[repr(C)]
pub(super) struct Session<A> {
    /// Grows with each session of a tunnel.
    pub(super) id: SessionId,
    prefix: [u8; 4],
    /// A frame has been opened: the peer has the key.
    pub(super) confirmed: bool,
    /// The peer's key came signed.
    pub(super) authenticated: bool,
    /// We started the exchange.
    pub(super) initiated: bool,
    /// The peer has been told that it is replaced (EXT-13).
    pub(super) renewal_told: bool,
    /// The peer has been told that we do not seal under it any more (EXT-14).
    pub(super) withdrawn: bool,
    /// What extensions both sides have agreed on.
    pub(super) agreement: Agreement,
    pub(super) born: Instant,
    /// When the last frame was opened.
    pub(super) opened: Option<Instant>,
    /// When the first frame that must be answered was sealed after the last one opened.
    pub(super) unanswered: Option<Instant>,
    /// The last counter used.
    counter: u64,
    bytes: u64,
    aead: A,
    replay: Replay,
    /// Our public key.
    pub(super) own: PublicKey,
    /// The peer's public key.
    pub(super) peer: PublicKey,
    /// The key of the other cipher, if the provider has it.
    chacha: Option<AeadKey>,
}

impl<A> Session<A> {
    /// Where what every frame needs ends.
    pub(super) const HOT: usize = core::mem::offset_of!(Self, replay) + Replay::HOT;
}

impl<A: Aead> Session<A> {
    /// Derives the key that `secret` (whose public key is `own`) and `peer` give.
    pub(super) fn derive<C: Crypto<Aead = A>>(
        id: SessionId,
        now: Instant,
        secret: &X25519Secret,
        own: PublicKey,
        peer: PublicKey,
        crypto: &C,
        rng: &mut impl Rng,
    ) -> Result<Self, WeakKey> {
        let shared = crypto.x25519(secret, &peer)?;
        let mut prefix = [0; 4];
        rng.fill(&mut prefix);
        Ok(Session {
            id,
            aead: crypto.aead(&crypto.hkdf_sha256(&shared, KEY_INFO)),
            chacha: C::CHACHA.then(|| crypto.hkdf_sha256(&shared, CHACHA_INFO)),
            agreement: Agreement::NONE,
            own,
            peer,
            authenticated: false,
            initiated: false,
            renewal_told: false,
            withdrawn: false,
            born: now,
            confirmed: false,
            opened: None,
            unanswered: None,
            prefix,
            counter: 0,
            bytes: 0,
            replay: Replay::default(),
        })
    }

    /// Seals the packet at `frame[20..20 + len]` for the node `own`: the length of the whole frame.
    pub(super) fn seal<C: Crypto<Aead = A>>(
        &mut self,
        own: u32,
        frame: &mut [u8],
        len: usize,
        crypto: &C,
    ) -> Result<usize, SealError> {
        let total = len.saturating_add(SEALED_OVERHEAD);
        let lent = frame.len();
        let frame = frame.get_mut(..total).ok_or(SealError::BufferTooSmall { needed: total, lent })?;
        if self.is_spent() {
            return Err(SealError::KeySpent);
        }
        let too_small = SealError::BufferTooSmall { needed: total, lent };
        let (head, rest) = frame.split_first_chunk_mut::<SEALED_HEAD_LEN>().ok_or(too_small)?;
        let (packet, tag) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(too_small)?;
        // Counted before use: a nonce whose sealing failed is not used again.
        self.counter += 1;
        self.bytes = self.bytes.saturating_add(len as u64);
        let mut nonce = Nonce { prefix: self.prefix, counter: self.counter };
        nonce.counter -= u64::from(crate::planted!(NonceReuse) && self.counter.is_multiple_of(8));
        let (nonce_bytes, aad) = (nonce.to_bytes(), own.to_be_bytes());
        let (suite, sealed) = match self.chacha.as_ref().filter(|_| self.agreement.seals_with_chacha()) {
            Some(key) => {
                (Suite::ChaCha20Poly1305, crypto.chacha_seal_in_place(key, &nonce_bytes, &aad, packet))
            }
            None => (Suite::Aes256Gcm, self.aead.seal_in_place(&nonce_bytes, &aad, packet)),
        };
        *head = sealed_head(suite, own, nonce);
        *tag = sealed?;
        Ok(total)
    }

    /// Opens a frame in place, if it is for this key and new. Whether it is newer than all before under this key.
    /// The bytes stay as they were if not.
    pub(super) fn open<C: Crypto<Aead = A>>(
        &mut self,
        now: Instant,
        sealed: &mut Sealed<'_>,
        crypto: &C,
    ) -> Result<bool, OpenError> {
        if !crate::planted!(ReplayAccepted) {
            self.replay.check(sealed.nonce)?;
        }
        let aad = sealed.aad();
        let (packet, tag) = sealed.body.split_last_chunk_mut::<TAG_LEN>().ok_or(OpenError::Forged)?;
        let nonce = sealed.nonce.to_bytes();
        match (sealed.suite, &self.chacha) {
            (Suite::Aes256Gcm, _) => self.aead.open_in_place(&nonce, &aad, packet, tag)?,
            (Suite::ChaCha20Poly1305, Some(key)) => {
                crypto.chacha_open_in_place(key, &nonce, &aad, packet, tag)?;
            }
            (Suite::ChaCha20Poly1305, None) => return Err(OpenError::Forged),
        }
        self.confirmed = true;
        self.opened = Some(now);
        self.unanswered = None;
        Ok(self.replay.mark(sealed.nonce))
    }

    /// Its name in a withdrawal by us, and the last counter we used.
    pub(super) fn own_end<C: Crypto<Aead = A>>(&self, crypto: &C) -> ([u8; 8], u64) {
        (name(&self.own, &self.peer, crypto), self.counter)
    }

    /// Its name in a withdrawal by the peer.
    pub(super) fn peer_name<C: Crypto<Aead = A>>(&self, crypto: &C) -> [u8; 8] {
        name(&self.peer, &self.own, crypto)
    }

    /// The highest counter of the peer that has been opened.
    pub(super) fn newest(&self) -> u64 {
        self.replay.newest()
    }

    /// Whether the peer uses this prefix under this key.
    pub(super) fn knows(&self, prefix: [u8; 4]) -> bool {
        self.replay.knows(prefix)
    }

    /// Whether it may not seal any more.
    pub(super) fn is_spent(&self) -> bool {
        self.counter >= REFUSE_AFTER_PACKETS || self.bytes >= REFUSE_AFTER_BYTES
    }

    /// Whether a new key should be sought.
    pub(super) fn is_worn(&self, now: Instant) -> bool {
        let patience = if self.initiated { Duration::ZERO } else { REKEY_PATIENCE };
        self.counter >= REKEY_AFTER_PACKETS
            || self.bytes >= REKEY_AFTER_BYTES
            || now.since(self.born) >= REKEY_AFTER + patience
    }

    /// Whether `prefix` is the one we use: both directions would draw the same nonces.
    pub(super) fn shares_prefix(&self, prefix: [u8; 4]) -> bool {
        self.prefix == prefix
    }

    /// Whether it has sealed frames for so long without opening one.
    pub(super) fn silent_for(&self, now: Instant, at_least: Duration) -> bool {
        self.unanswered.is_some_and(|since| now.since(since) >= at_least)
    }

    /// When it was last good for something.
    pub(super) fn last_use(&self) -> Instant {
        self.opened.unwrap_or(self.born).max(self.born)
    }

    /// Puts the volume sealed near its limits, which no test can reach otherwise.
    #[cfg(test)]
    pub(super) fn wear(&mut self, packets: u64, bytes: u64) {
        (self.counter, self.bytes) = (self.counter.max(packets), bytes);
    }

    /// Uses the peer's prefix, which chance brings once in 2^32.
    #[cfg(test)]
    pub(super) fn set_prefix(&mut self, prefix: [u8; 4]) {
        self.prefix = prefix;
    }
}

fn name(sender: &PublicKey, receiver: &PublicKey, crypto: &impl Crypto) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = crypto.sha256(&session_name_input(sender, receiver));
    [a, b, c, d, e, f, g, h]
}

impl From<Refused> for OpenError {
    fn from(refused: Refused) -> Self {
        OpenError::Replay(refused)
    }
}

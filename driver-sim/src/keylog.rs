//! A crypto provider that notes the keys of sessions, so that a capture can be read.
//!
//! The key log is the text that the dissector in `spec/wireshark` reads. A line that begins with `#` is a comment; each
//! other line is one session, its fields apart by one space:
//!
//! ```text
//! PILOT_KEY aes-256-gcm <session key> <X25519 public key> <X25519 public key>
//! ```
//!
//! The suite is `aes-256-gcm` or `chacha20-poly1305`: each session has a key for either. It is `null` when the run computed without cryptography and what is sealed is in clear. Keys
//! are 64 lower-case hexadecimal digits each. The two public keys are those of the key exchange frames (PILA, PILK) of
//! the two sides, the smaller one first: a session belongs to the pair, and both directions use its key. A reader tries
//! all keys, or those of the pairs of public keys that two nodes have shown; the tag tells the right one.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use pilot_proto::crypto::{
    AeadKey, BadSignature, CannotSeal, Crypto, Ed25519Seed, Forged, PublicKey, SharedSecret, Signature, Tag,
    WeakKey, X25519Secret,
};

/// What the keys of the two suites are bound to (TUN-6, EXT-8).
const AES_INFO: &[u8] = b"pilot-tunnel-v1";
const CHACHA_INFO: &[u8] = b"pilot-tunnel-chacha20poly1305-v1";
/// The suite of [`NullCrypto`](crate::NullCrypto).
pub(crate) const NULL: &str = "null";

/// Keys of sessions; clones share what they know.
#[derive(Clone, Default)]
pub struct KeyLog(Arc<Mutex<Keys>>);

#[derive(Default)]
struct Keys {
    /// Public keys of each shared secret, the smaller one first.
    pairs: BTreeMap<[u8; 32], (PublicKey, PublicKey)>,
    sessions: BTreeMap<(PublicKey, PublicKey, &'static str), [u8; 32]>,
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog(..)")
    }
}

impl fmt::Display for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Keys of Pilot sessions: suite, key, the two X25519 public keys in order.")?;
        let keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for ((a, b, suite), key) in &keys.sessions {
            writeln!(f, "PILOT_KEY {suite} {} {} {}", Hex(key), Hex(a), Hex(b))?;
        }
        Ok(())
    }
}

impl KeyLog {
    fn met(&self, own: PublicKey, peer: PublicKey, shared: &SharedSecret) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.pairs.insert(*shared.expose(), (own.min(peer), own.max(peer)));
    }

    fn derived(&self, suite: &'static str, shared: &SharedSecret, key: &AeadKey) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((a, b)) = keys.pairs.get(shared.expose()).copied() {
            keys.sessions.insert((a, b, suite), *key.expose());
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A provider that computes as `C` does, and tells a key log if there is one.
#[derive(Clone, Debug)]
pub struct Logged<C> {
    inner: C,
    suite: &'static str,
    log: Option<KeyLog>,
}

impl<C> Logged<C> {
    /// `inner`, whose ciphers are called `suite` in the log.
    pub const fn new(inner: C, suite: &'static str, log: Option<KeyLog>) -> Self {
        Logged { inner, suite, log }
    }
}

impl<C: Crypto> Crypto for Logged<C> {
    type Aead = C::Aead;

    fn aead(&self, key: &AeadKey) -> C::Aead {
        self.inner.aead(key)
    }

    fn x25519_public(&self, secret: &X25519Secret) -> PublicKey {
        self.inner.x25519_public(secret)
    }

    fn x25519(&self, secret: &X25519Secret, peer: &PublicKey) -> Result<SharedSecret, WeakKey> {
        let shared = self.inner.x25519(secret, peer)?;
        if let Some(log) = &self.log {
            log.met(self.inner.x25519_public(secret), *peer, &shared);
        }
        Ok(shared)
    }

    fn hkdf_sha256(&self, shared: &SharedSecret, info: &[u8]) -> AeadKey {
        let key = self.inner.hkdf_sha256(shared, info);
        let suite = match (self.suite, info) {
            (suite, AES_INFO) => Some(suite),
            (NULL, CHACHA_INFO) => None,
            (_, CHACHA_INFO) => Some("chacha20-poly1305"),
            _ => None,
        };
        if let (Some(log), Some(suite)) = (&self.log, suite) {
            log.derived(suite, shared, &key);
        }
        key
    }

    fn ed25519_public(&self, seed: &Ed25519Seed) -> PublicKey {
        self.inner.ed25519_public(seed)
    }

    fn ed25519_sign(&self, seed: &Ed25519Seed, message: &[u8]) -> Signature {
        self.inner.ed25519_sign(seed, message)
    }

    fn ed25519_verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.inner.ed25519_verify(public, message, signature)
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        self.inner.sha256(data)
    }

    const CHACHA: bool = C::CHACHA;

    fn chacha_seal_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
    ) -> Result<Tag, CannotSeal> {
        self.inner.chacha_seal_in_place(key, nonce, aad, buf)
    }

    fn chacha_open_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Forged> {
        self.inner.chacha_open_in_place(key, nonce, aad, buf, tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_proto::crypto::RustCrypto;

    #[test]
    fn both_sides_of_a_session_are_one_line_that_another_computation_confirms() {
        let log = KeyLog::default();
        let crypto = Logged::new(RustCrypto, "aes-256-gcm", Some(log.clone()));
        let (a, b) = (X25519Secret::from_bytes([1; 32]), X25519Secret::from_bytes([2; 32]));
        let (pa, pb) = (crypto.x25519_public(&a), crypto.x25519_public(&b));
        for (own, peer) in [(&a, pb), (&b, pa)] {
            crypto.hkdf_sha256(&crypto.x25519(own, &peer).unwrap(), AES_INFO);
        }
        let key = RustCrypto.hkdf_sha256(&RustCrypto.x25519(&a, &pb).unwrap(), AES_INFO);
        let (low, high) = (pa.min(pb), pa.max(pb));
        let line = format!("PILOT_KEY aes-256-gcm {} {} {}\n", Hex(key.expose()), Hex(&low), Hex(&high));
        let text = log.to_string();
        assert_eq!(text.split_once('\n').unwrap().1, line);
    }
}

//! A crypto provider that notes the keys of sessions, so that a capture can be read.
//!
//! The key log is the text that the dissector in `spec/wireshark` reads. A line that begins with `#` is a comment; each
//! other line is one session, its fields apart by one space:
//!
//! ```text
//! PILOT_KEY aes-256-gcm <session key> <X25519 public key> <X25519 public key>
//! ```
//!
//! The suite is `aes-256-gcm` or `chacha20-poly1305`: each session has a key for either. It is `null` when the run
//! computed without cryptography and what is sealed is in clear. Keys are 64 lower-case hexadecimal digits each. The two
//! public keys are those of the key exchange frames (PILA, PILK) of the two sides, the smaller one first: a session
//! belongs to the pair, and both directions use its key. A reader tries all keys, or those of the pairs of public keys
//! that two nodes have shown; the tag tells the right one.
//!
//! **Whoever has the lines reads everything their sessions carried.** Nothing here is kept longer than it takes to hand
//! a line over.
#![forbid(unsafe_code)]

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use pilot_proto::{
    crypto::{
        AeadKey, BadSignature, CannotSeal, Crypto, Ed25519Seed, Forged, PublicKey, SharedSecret, Signature,
        Tag, WeakKey, X25519Secret,
    },
    tunnel::{CHACHA_INFO, KEY_INFO},
};
use zeroize::Zeroizing;

/// What a key log begins with.
pub const HEAD: &str = "# Keys of Pilot sessions: suite, key, the two X25519 public keys in order.\n";

/// `PILOT_KEY`, the longest suite, three keys, blanks and the end of the line.
const LONGEST: usize = 9 + 1 + 17 + 3 * 65 + 1;

/// Which ciphers a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ciphers {
    /// AES-256-GCM and ChaCha20-Poly1305.
    Real,
    /// None: what is sealed is in clear.
    Null,
}

/// Where lines go; clones share it.
#[derive(Clone)]
pub struct KeyLog(Arc<Mutex<State>>);

struct State {
    /// The last shared secret and the public keys it came from, the smaller one first. A key is derived before the next
    /// secret is computed, so one is enough.
    met: Option<(Zeroizing<[u8; 32]>, PublicKey, PublicKey)>,
    sink: Box<dyn FnMut(&str) + Send>,
}

impl fmt::Debug for KeyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLog(..)")
    }
}

impl KeyLog {
    /// Gives every line, its end included, to `sink`. It is called while a packet waits: it must not block.
    pub fn new(sink: impl FnMut(&str) + Send + 'static) -> Self {
        KeyLog(Arc::new(Mutex::new(State { met: None, sink: Box::new(sink) })))
    }

    fn met(&self, own: PublicKey, peer: PublicKey, shared: &SharedSecret) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.met = Some((Zeroizing::new(*shared.expose()), own.min(peer), own.max(peer)));
    }

    fn derived(&self, suite: &'static str, shared: &SharedSecret, key: &AeadKey) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State { met, sink } = &mut *state;
        let Some((_, a, b)) = met.as_ref().filter(|(secret, ..)| **secret == *shared.expose()) else {
            return;
        };
        let mut line = Zeroizing::new(String::with_capacity(LONGEST));
        // A text takes everything.
        let _ = writeln!(line, "PILOT_KEY {suite} {} {} {}", Hex(key.expose()), Hex(a), Hex(b));
        sink(&line);
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
    ciphers: Ciphers,
    log: Option<KeyLog>,
}

impl<C> Logged<C> {
    /// `inner`, which has `ciphers`.
    pub const fn new(inner: C, ciphers: Ciphers, log: Option<KeyLog>) -> Self {
        Logged { inner, ciphers, log }
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
        let suite = match (self.ciphers, info) {
            (Ciphers::Real, KEY_INFO) => Some("aes-256-gcm"),
            (Ciphers::Real, CHACHA_INFO) => Some("chacha20-poly1305"),
            (Ciphers::Null, KEY_INFO) => Some("null"),
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
    fn both_sides_of_a_session_say_the_same_line_and_another_computation_confirms_it() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let log = KeyLog::new(move |line| sink.lock().unwrap().push(line.to_owned()));
        let crypto = Logged::new(RustCrypto, Ciphers::Real, Some(log));
        let (a, b) = (X25519Secret::from_bytes([1; 32]), X25519Secret::from_bytes([2; 32]));
        let (pa, pb) = (crypto.x25519_public(&a), crypto.x25519_public(&b));
        for (own, peer) in [(&a, pb), (&b, pa)] {
            let shared = crypto.x25519(own, &peer).unwrap();
            crypto.hkdf_sha256(&shared, KEY_INFO);
            crypto.hkdf_sha256(&shared, CHACHA_INFO);
            crypto.hkdf_sha256(&shared, b"something else");
        }
        let shared = RustCrypto.x25519(&a, &pb).unwrap();
        let line = |suite, info| {
            let key = RustCrypto.hkdf_sha256(&shared, info);
            format!("PILOT_KEY {suite} {} {} {}\n", Hex(key.expose()), Hex(&pa.min(pb)), Hex(&pa.max(pb)))
        };
        let one = [line("aes-256-gcm", KEY_INFO), line("chacha20-poly1305", CHACHA_INFO)];
        assert_eq!(*lines.lock().unwrap(), [one.clone(), one.clone()].concat());
        // So the wiped text was never moved, which would leave a copy behind.
        assert!(one.iter().all(|line| line.len() <= LONGEST));
    }

    #[test]
    fn a_key_of_a_secret_that_was_not_seen_is_not_told() {
        let log = KeyLog::new(|line| panic!("{line}"));
        let crypto = Logged::new(RustCrypto, Ciphers::Real, Some(log));
        crypto.hkdf_sha256(&SharedSecret::from_bytes([1; 32]), KEY_INFO);
    }
}

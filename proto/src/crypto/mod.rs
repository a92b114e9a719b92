//! The cryptography the protocol needs, behind one trait, so that it can be hardware, `ring` or the built-in one.
//!
//! A provider computes; it keeps no state and draws no randomness. Secrets are types that wipe themselves and do not
//! print (`secret.rs`).

use core::fmt;

mod identity;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;
mod secret;

pub use identity::Identity;
#[cfg(feature = "rustcrypto")]
pub use rustcrypto::{Aes256Gcm, RustCrypto};
pub use secret::{AeadKey, Ed25519Seed, SharedSecret, X25519Secret};

/// An X25519 or Ed25519 public key.
pub type PublicKey = [u8; 32];
/// An Ed25519 signature.
pub type Signature = [u8; 64];
/// The tag of a sealed frame.
pub type Tag = [u8; 16];

/// A provider of cryptography.
pub trait Crypto {
    /// AES-256-GCM under one key.
    type Aead: Aead;

    /// Expands `key` once, for many frames.
    fn aead(&self, key: &AeadKey) -> Self::Aead;

    /// The public key of `secret` (RFC 7748).
    fn x25519_public(&self, secret: &X25519Secret) -> PublicKey;

    /// The secret shared with the owner of `peer`; an all-zero result is refused.
    fn x25519(&self, secret: &X25519Secret, peer: &PublicKey) -> Result<SharedSecret, WeakKey>;

    /// HKDF-SHA256 (RFC 5869) with an empty salt: 32 bytes bound to `info`.
    fn hkdf_sha256(&self, shared: &SharedSecret, info: &[u8]) -> AeadKey;

    /// The public key of `seed` (RFC 8032).
    fn ed25519_public(&self, seed: &Ed25519Seed) -> PublicKey;

    /// Signs `message`.
    fn ed25519_sign(&self, seed: &Ed25519Seed, message: &[u8]) -> Signature;

    /// Checks that the owner of `public` signed `message`. Low-order keys are refused.
    fn ed25519_verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature>;

    /// SHA-256 of `data`.
    fn sha256(&self, data: &[u8]) -> [u8; 32];

    /// Whether it has ChaCha20-Poly1305 (RFC 8439), which no release uses: the two functions below.
    const CHACHA: bool = false;

    /// Encrypts `buf` with ChaCha20-Poly1305 and returns its tag. A nonce must never come twice under a key.
    fn chacha_seal_in_place(
        &self,
        _key: &AeadKey,
        _nonce: &[u8; 12],
        _aad: &[u8],
        _buf: &mut [u8],
    ) -> Result<Tag, CannotSeal> {
        Err(CannotSeal)
    }

    /// Decrypts `buf` with ChaCha20-Poly1305 if `tag` proves it; if not, `buf` must be left as it was.
    fn chacha_open_in_place(
        &self,
        _key: &AeadKey,
        _nonce: &[u8; 12],
        _aad: &[u8],
        _buf: &mut [u8],
        _tag: &Tag,
    ) -> Result<(), Forged> {
        Err(Forged)
    }
}

/// AES-256-GCM under one key, in place.
pub trait Aead {
    /// Encrypts `buf` and returns its tag. A nonce must never come twice.
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Result<Tag, CannotSeal>;

    /// Decrypts `buf` if `tag` proves it. If it does not, `buf` must be left as it was: the frame may belong to
    /// another key.
    fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &Tag) -> Result<(), Forged>;
}

/// Whether two public keys (or other public 32 bytes) are equal, in constant time.
pub fn same_key(a: &[u8; 32], b: &[u8; 32]) -> bool {
    subtle::ConstantTimeEq::ct_eq(a.as_slice(), b.as_slice()).into()
}

/// A public key of low order: the shared secret would be known to everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakKey;

/// A signature that does not match key and message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

/// A tag that does not match key, nonce, associated data and ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forged;

/// The provider refused to encrypt, e.g. more than the cipher can take or a device that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CannotSeal;

macro_rules! errors {
    ($($name:ident: $text:literal,)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl core::error::Error for $name {}
    )*};
}

errors! {
    WeakKey: "X25519 public key of low order",
    BadSignature: "Ed25519 signature does not match",
    Forged: "tag does not match (wrong key or forged)",
    CannotSeal: "the crypto provider cannot encrypt this",
}

//! The built-in provider: RustCrypto and dalek, pure Rust, hardware instructions where the processor has them.

use aes_gcm::KeyInit;
use aes_gcm::aead::AeadInOut;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use super::{
    Aead, AeadKey, BadSignature, CannotSeal, Crypto, Ed25519Seed, Forged, PublicKey, SharedSecret, Signature,
    Tag, WeakKey, X25519Secret,
};

/// The built-in provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

/// AES-256-GCM with an expanded key, which is wiped when dropped.
pub struct Aes256Gcm(Gcm);

/// GCM never runs the cipher backwards, so only the encrypting half of the key is expanded and kept.
type Gcm = aes_gcm::AesGcm<aes_gcm::aes::Aes256Enc, aes_gcm::aead::consts::U12>;

impl Crypto for RustCrypto {
    type Aead = Aes256Gcm;

    fn aead(&self, key: &AeadKey) -> Aes256Gcm {
        Aes256Gcm(Gcm::new(key.expose().into()))
    }

    fn x25519_public(&self, secret: &X25519Secret) -> PublicKey {
        x25519_dalek::PublicKey::from(&static_secret(secret)).to_bytes()
    }

    fn x25519(&self, secret: &X25519Secret, peer: &PublicKey) -> Result<SharedSecret, WeakKey> {
        let shared = static_secret(secret).diffie_hellman(&x25519_dalek::PublicKey::from(*peer));
        if shared.was_contributory() { Ok(SharedSecret::from_bytes(shared.to_bytes())) } else { Err(WeakKey) }
    }

    fn hkdf_sha256(&self, shared: &SharedSecret, info: &[u8]) -> AeadKey {
        let mut key = zeroize::Zeroizing::new([0; 32]);
        // 32 bytes are far below the 255 blocks HKDF can give.
        let expanded = hkdf::Hkdf::<Sha256>::new(None, shared.expose()).expand(info, &mut *key);
        debug_assert!(expanded.is_ok());
        AeadKey::from_bytes(*key)
    }

    fn ed25519_public(&self, seed: &Ed25519Seed) -> PublicKey {
        SigningKey::from_bytes(seed.expose()).verifying_key().to_bytes()
    }

    fn ed25519_sign(&self, seed: &Ed25519Seed, message: &[u8]) -> Signature {
        SigningKey::from_bytes(seed.expose()).sign(message).to_bytes()
    }

    fn ed25519_verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        VerifyingKey::from_bytes(public)
            .and_then(|key| key.verify_strict(message, &signature))
            .map_err(|_| BadSignature)
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    const CHACHA: bool = true;

    fn chacha_seal_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
    ) -> Result<Tag, CannotSeal> {
        let cipher = chacha20poly1305::ChaCha20Poly1305::new(key.expose().into());
        cipher.encrypt_inout_detached(nonce.into(), aad, buf.into()).map(Into::into).map_err(|_| CannotSeal)
    }

    fn chacha_open_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Forged> {
        let cipher = chacha20poly1305::ChaCha20Poly1305::new(key.expose().into());
        cipher.decrypt_inout_detached(nonce.into(), aad, buf.into(), tag.into()).map_err(|_| Forged)
    }
}

fn static_secret(secret: &X25519Secret) -> x25519_dalek::StaticSecret {
    x25519_dalek::StaticSecret::from(*secret.expose())
}

impl Aead for Aes256Gcm {
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Result<Tag, CannotSeal> {
        self.0.encrypt_inout_detached(nonce.into(), aad, buf.into()).map(Into::into).map_err(|_| CannotSeal)
    }

    fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &Tag) -> Result<(), Forged> {
        // The tag is compared before anything is decrypted, so a forged buffer stays as it was.
        self.0.decrypt_inout_detached(nonce.into(), aad, buf.into(), tag.into()).map_err(|_| Forged)
    }
}

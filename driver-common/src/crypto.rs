//! The crypto provider of the drivers: `ring` for what every packet needs, the built-in one for everything else.
//!
//! `ring` seals and opens AES-256-GCM about three times as fast. What it does not do is wipe its expanded keys when they
//! are dropped; the keys they come from are wiped.

use std::cell::RefCell;

use pilot_proto::crypto::{
    Aead, AeadKey, BadSignature, CannotSeal, Crypto, Ed25519Seed, Forged, PublicKey, RustCrypto,
    SharedSecret, Signature, Tag, WeakKey, X25519Secret,
};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// `ring` for packets, [`RustCrypto`] for the rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct RingCrypto(RustCrypto);

/// AES-256-GCM under one key, or ChaCha20-Poly1305 for the time of a call; `None` is the key `ring` refused, which seals
/// and opens nothing.
#[derive(Debug)]
pub struct RingAes256Gcm(Option<LessSafeKey>);

fn chacha(key: &AeadKey) -> RingAes256Gcm {
    RingAes256Gcm(UnboundKey::new(&CHACHA20_POLY1305, key.expose()).ok().map(LessSafeKey::new))
}

thread_local! {
    /// What `ring` may overwrite when it opens a forged frame.
    static BEFORE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Aead for RingAes256Gcm {
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Result<Tag, CannotSeal> {
        let key = self.0.as_ref().ok_or(CannotSeal)?;
        let tag = key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), buf)
            .map_err(|_| CannotSeal)?;
        tag.as_ref().try_into().map_err(|_| CannotSeal)
    }

    fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &Tag) -> Result<(), Forged> {
        let key = self.0.as_ref().ok_or(Forged)?;
        BEFORE.with_borrow_mut(|before| {
            before.clear();
            before.extend_from_slice(buf);
            let nonce = Nonce::assume_unique_for_key(*nonce);
            match key.open_in_place_separate_tag(nonce, Aad::from(aad), (*tag).into(), buf, 0..) {
                Ok(_) => Ok(()),
                Err(_) => {
                    buf.copy_from_slice(before);
                    Err(Forged)
                }
            }
        })
    }
}

impl Crypto for RingCrypto {
    type Aead = RingAes256Gcm;

    fn aead(&self, key: &AeadKey) -> RingAes256Gcm {
        RingAes256Gcm(UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new))
    }

    fn x25519_public(&self, secret: &X25519Secret) -> PublicKey {
        self.0.x25519_public(secret)
    }

    fn x25519(&self, secret: &X25519Secret, peer: &PublicKey) -> Result<SharedSecret, WeakKey> {
        self.0.x25519(secret, peer)
    }

    fn hkdf_sha256(&self, shared: &SharedSecret, info: &[u8]) -> AeadKey {
        self.0.hkdf_sha256(shared, info)
    }

    fn ed25519_public(&self, seed: &Ed25519Seed) -> PublicKey {
        self.0.ed25519_public(seed)
    }

    fn ed25519_sign(&self, seed: &Ed25519Seed, message: &[u8]) -> Signature {
        self.0.ed25519_sign(seed, message)
    }

    fn ed25519_verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        self.0.ed25519_verify(public, message, signature)
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        self.0.sha256(data)
    }

    const CHACHA: bool = true;

    fn chacha_seal_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
    ) -> Result<Tag, CannotSeal> {
        chacha(key).seal_in_place(nonce, aad, buf)
    }

    fn chacha_open_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Forged> {
        chacha(key).open_in_place(nonce, aad, buf, tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_providers_seal_the_same_and_open_each_others_frames() {
        let key = AeadKey::from_bytes([7; 32]);
        let (ring, rust) = (RingCrypto::default().aead(&key), RustCrypto.aead(&key));
        for len in [0, 1, 15, 16, 17, 1400, 65_000] {
            let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let (mut a, mut b) = (plain.clone(), plain.clone());
            let tag = ring.seal_in_place(&[1; 12], b"aad", &mut a).unwrap();
            assert_eq!(rust.seal_in_place(&[1; 12], b"aad", &mut b).unwrap(), tag);
            assert!(a == b);
            rust.open_in_place(&[1; 12], b"aad", &mut a, &tag).unwrap();
            ring.open_in_place(&[1; 12], b"aad", &mut b, &tag).unwrap();
            assert!(a == plain && b == plain);
        }
    }

    #[test]
    fn both_providers_agree_on_chacha() {
        let (key, ring) = (AeadKey::from_bytes([9; 32]), RingCrypto::default());
        let plain: Vec<u8> = (0..1400).map(|i| i as u8).collect();
        let (mut a, mut b) = (plain.clone(), plain.clone());
        let tag = ring.chacha_seal_in_place(&key, &[1; 12], b"aad", &mut a).unwrap();
        assert_eq!(RustCrypto.chacha_seal_in_place(&key, &[1; 12], b"aad", &mut b).unwrap(), tag);
        assert!(a == b && a != plain);
        assert_eq!(ring.chacha_open_in_place(&key, &[2; 12], b"aad", &mut a, &tag), Err(Forged));
        assert_eq!(RustCrypto.chacha_open_in_place(&key, &[2; 12], b"aad", &mut a, &tag), Err(Forged));
        assert!(a == b, "a forged frame is left as it was");
        RustCrypto.chacha_open_in_place(&key, &[1; 12], b"aad", &mut a, &tag).unwrap();
        ring.chacha_open_in_place(&key, &[1; 12], b"aad", &mut b, &tag).unwrap();
        assert!(a == plain && b == plain);
    }

    #[test]
    fn a_forged_frame_is_refused_and_left_as_it_was() {
        let aead = RingCrypto::default().aead(&AeadKey::from_bytes([7; 32]));
        let mut frame = vec![3; 1400];
        let tag = aead.seal_in_place(&[1; 12], b"aad", &mut frame).unwrap();
        let sealed = frame.clone();
        assert_eq!(aead.open_in_place(&[1; 12], b"AAD", &mut frame, &tag), Err(Forged));
        assert_eq!(aead.open_in_place(&[2; 12], b"aad", &mut frame, &tag), Err(Forged));
        frame[700] ^= 1;
        assert_eq!(aead.open_in_place(&[1; 12], b"aad", &mut frame, &tag), Err(Forged));
        frame[700] ^= 1;
        assert!(frame == sealed);
    }
}

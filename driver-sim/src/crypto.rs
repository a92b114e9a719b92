//! Cryptography that costs next to nothing and protects nothing: for runs in which the network is the question. It still
//! tells keys, nonces and messages apart, so a wrong key is noticed.

use pilot_proto::crypto::{
    Aead, AeadKey, BadSignature, CannotSeal, Crypto, Ed25519Seed, Forged, PublicKey, SharedSecret, Signature,
    Tag, WeakKey, X25519Secret,
};

use crate::dice::{self, mix};

/// The provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullCrypto;

/// A key that is remembered as one number.
#[derive(Clone, Copy, Debug)]
pub struct NullAead(u64);

/// What a digest begins with that has no key.
const SEED: u64 = 0x7069_6c6f;

fn digest(seed: u64, parts: &[&[u8]]) -> u64 {
    parts.iter().fold(seed, |seed, part| dice::digest(seed, part))
}

fn spread<const N: usize>(seed: u64) -> [u8; N] {
    let mut out = [0; N];
    for (at, chunk) in out.chunks_mut(8).enumerate() {
        chunk.copy_from_slice(&mix(seed.wrapping_add(at as u64 + 1)).to_le_bytes()[..chunk.len()]);
    }
    out
}

impl Crypto for NullCrypto {
    type Aead = NullAead;

    fn aead(&self, key: &AeadKey) -> NullAead {
        NullAead(digest(SEED, &[key.expose()]))
    }

    fn x25519_public(&self, secret: &X25519Secret) -> PublicKey {
        spread(digest(SEED, &[secret.expose()]))
    }

    fn x25519(&self, secret: &X25519Secret, peer: &PublicKey) -> Result<SharedSecret, WeakKey> {
        // Both sides must come to the same: what is added up has no order.
        let (own, other) = (digest(SEED, &[&self.x25519_public(secret)]), digest(SEED, &[peer]));
        Ok(SharedSecret::from_bytes(spread(own.wrapping_add(other))))
    }

    fn hkdf_sha256(&self, shared: &SharedSecret, info: &[u8]) -> AeadKey {
        AeadKey::from_bytes(spread(digest(SEED, &[shared.expose(), info])))
    }

    fn ed25519_public(&self, seed: &Ed25519Seed) -> PublicKey {
        spread(digest(SEED, &[b"ed25519", seed.expose()]))
    }

    fn ed25519_sign(&self, seed: &Ed25519Seed, message: &[u8]) -> Signature {
        spread(digest(SEED, &[&self.ed25519_public(seed), message]))
    }

    fn ed25519_verify(
        &self,
        public: &PublicKey,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), BadSignature> {
        let expected: Signature = spread(digest(SEED, &[public, message]));
        if *signature == expected { Ok(()) } else { Err(BadSignature) }
    }

    fn sha256(&self, data: &[u8]) -> [u8; 32] {
        spread(digest(SEED, &[b"sha256", data]))
    }

    const CHACHA: bool = true;

    fn chacha_seal_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
    ) -> Result<Tag, CannotSeal> {
        NullAead(digest(SEED, &[b"chacha", key.expose()])).seal_in_place(nonce, aad, buf)
    }

    fn chacha_open_in_place(
        &self,
        key: &AeadKey,
        nonce: &[u8; 12],
        aad: &[u8],
        buf: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Forged> {
        NullAead(digest(SEED, &[b"chacha", key.expose()])).open_in_place(nonce, aad, buf, tag)
    }
}

impl NullAead {
    fn tag(&self, nonce: &[u8; 12], aad: &[u8], buf: &[u8]) -> Tag {
        spread(digest(self.0, &[nonce, aad, buf]))
    }
}

impl Aead for NullAead {
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Result<Tag, CannotSeal> {
        Ok(self.tag(nonce, aad, buf))
    }

    fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &Tag) -> Result<(), Forged> {
        if *tag == self.tag(nonce, aad, buf) { Ok(()) } else { Err(Forged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_come_to_one_key_and_a_changed_byte_is_noticed() {
        let crypto = NullCrypto;
        let (a, b) = (X25519Secret::from_bytes([1; 32]), X25519Secret::from_bytes([2; 32]));
        let (pa, pb) = (crypto.x25519_public(&a), crypto.x25519_public(&b));
        let ab = crypto.x25519(&a, &pb).unwrap();
        let ba = crypto.x25519(&b, &pa).unwrap();
        assert_eq!(ab.expose(), ba.expose());
        let key = crypto.aead(&crypto.hkdf_sha256(&ab, b"info"));
        let mut data = *b"some data";
        let tag = key.seal_in_place(&[0; 12], b"aad", &mut data).unwrap();
        assert!(key.open_in_place(&[0; 12], b"aad", &mut data, &tag).is_ok());
        data[3] ^= 1;
        assert!(key.open_in_place(&[0; 12], b"aad", &mut data, &tag).is_err());
    }
}

//! Where a node hands its packets to the cipher: the one place at which a filter sees them in clear, whatever the path
//! they take. A provider of cryptography that lets somebody else look at each packet, and change it, before it is sealed
//! and after it was opened.
//!
//! The node does not know. A packet whose checksum was spoiled here is a packet that was dropped.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use pilot_proto::{
    crypto::{
        Aead, AeadKey, BadSignature, CannotSeal, Crypto, Ed25519Seed, Forged, PublicKey, SharedSecret,
        Signature, Tag, WeakKey, X25519Secret,
    },
    wire::packet::{HEADER_LEN, Header},
};

/// Somebody at the seam.
pub(crate) trait Filter: fmt::Debug + Send {
    /// A packet is about to be sealed under `key`.
    fn leaving(&mut self, packet: &mut [u8], key: &AeadKey);

    /// A packet was opened.
    fn entering(&mut self, packet: &mut [u8]);
}

/// Shared by the provider and whoever put it there.
pub(crate) type Shared<F> = Arc<Mutex<F>>;

/// Takes the filter, even if a thread panicked with it.
pub(crate) fn lock<F>(shared: &Shared<F>) -> std::sync::MutexGuard<'_, F> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a changed header back. Bytes behind the payload stay.
pub(crate) fn rewrite(packet: &mut [u8], header: &Header, payload_end: usize) {
    if let Some(packet) = packet.get_mut(..payload_end) {
        // It was read from there, so it fits.
        let _ = header.emit(packet);
    }
}

/// Makes the receiver drop a packet: its checksum is wrong.
pub(crate) fn spoil(packet: &mut [u8]) {
    if let Some(byte) = packet.get_mut(HEADER_LEN - 1) {
        *byte ^= 0x55;
    }
}

/// A provider with a filter.
#[derive(Debug)]
pub(crate) struct Seam<C, F> {
    pub(crate) inner: C,
    pub(crate) filter: Shared<F>,
}

impl<C: Clone, F> Clone for Seam<C, F> {
    fn clone(&self) -> Self {
        Seam { inner: self.inner.clone(), filter: self.filter.clone() }
    }
}

/// A key with a filter.
pub(crate) struct SeamAead<A, F> {
    inner: A,
    key: AeadKey,
    filter: Shared<F>,
}

impl<C: Crypto, F: Filter> Crypto for Seam<C, F> {
    type Aead = SeamAead<C::Aead, F>;

    fn aead(&self, key: &AeadKey) -> Self::Aead {
        let copy = AeadKey::from_bytes(*key.expose());
        SeamAead { inner: self.inner.aead(key), key: copy, filter: self.filter.clone() }
    }

    fn x25519_public(&self, secret: &X25519Secret) -> PublicKey {
        self.inner.x25519_public(secret)
    }

    fn x25519(&self, secret: &X25519Secret, peer: &PublicKey) -> Result<SharedSecret, WeakKey> {
        self.inner.x25519(secret, peer)
    }

    fn hkdf_sha256(&self, shared: &SharedSecret, info: &[u8]) -> AeadKey {
        self.inner.hkdf_sha256(shared, info)
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
}

impl<A: Aead, F: Filter> Aead for SeamAead<A, F> {
    fn seal_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8]) -> Result<Tag, CannotSeal> {
        lock(&self.filter).leaving(buf, &self.key);
        self.inner.seal_in_place(nonce, aad, buf)
    }

    fn open_in_place(&self, nonce: &[u8; 12], aad: &[u8], buf: &mut [u8], tag: &Tag) -> Result<(), Forged> {
        self.inner.open_in_place(nonce, aad, buf, tag)?;
        lock(&self.filter).entering(buf);
        Ok(())
    }
}

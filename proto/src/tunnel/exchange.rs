//! The signed key exchange frame: making one, and telling whether one speaks for its sender (`spec/tunnel.md` TUN-5,
//! TUN-9).

use core::fmt;

use crate::crypto::{BadSignature, Crypto, Identity, PublicKey, same_key};
use crate::wire::frame::{KeyAuthenticated, signed_message};

impl KeyAuthenticated {
    /// The frame by which `identity` offers `x25519`.
    pub fn sign(identity: &Identity, x25519: PublicKey, crypto: &impl Crypto) -> Self {
        let signature = identity.sign(crypto, &signed_message(identity.node(), &x25519));
        KeyAuthenticated { sender: identity.node(), x25519, ed25519: *identity.public(), signature }
    }

    /// Whether this comes from the node whose Ed25519 key is `expected`: the one the registry vouches for, or the
    /// one pinned earlier. On [`NotGenuine::KeyMismatch`] a rotated key is worth one more question to the registry.
    ///
    /// A genuine frame may still be an old one, sent again by anybody.
    pub fn verify(&self, expected: &PublicKey, crypto: &impl Crypto) -> Result<(), NotGenuine> {
        if !same_key(&self.ed25519, expected) {
            return Err(NotGenuine::KeyMismatch);
        }
        crypto.ed25519_verify(expected, &self.signed_message(), &self.signature).map_err(NotGenuine::from)
    }
}

/// Why a signed key exchange frame does not speak for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotGenuine {
    /// The Ed25519 key in the frame is not the one expected.
    KeyMismatch,
    /// The signature does not match.
    BadSignature,
}

impl From<BadSignature> for NotGenuine {
    fn from(_: BadSignature) -> Self {
        NotGenuine::BadSignature
    }
}

impl fmt::Display for NotGenuine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotGenuine::KeyMismatch => "Ed25519 key is not the one known for the sender",
            NotGenuine::BadSignature => "signature of the key exchange does not match",
        })
    }
}

impl core::error::Error for NotGenuine {}

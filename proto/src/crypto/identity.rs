//! Who a node is: its Ed25519 key pair and the node id it is registered under.

use super::{Crypto, Ed25519Seed, PublicKey, Signature};

/// A node id and the key that speaks for it.
#[derive(Clone, Debug)]
pub struct Identity {
    node: u32,
    seed: Ed25519Seed,
    public: PublicKey,
}

impl Identity {
    /// The identity of `node`, whose private key has this seed.
    pub fn new(node: u32, seed: Ed25519Seed, crypto: &impl Crypto) -> Self {
        let public = crypto.ed25519_public(&seed);
        Identity { node, seed, public }
    }

    /// The same key under another node id: what a new registration may give.
    #[must_use]
    pub fn with_node(self, node: u32) -> Self {
        Identity { node, ..self }
    }

    /// The node id.
    pub const fn node(&self) -> u32 {
        self.node
    }

    /// The Ed25519 public key.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The seed of the private key, for storing.
    pub const fn seed(&self) -> &Ed25519Seed {
        &self.seed
    }

    /// Signs `message`.
    pub fn sign(&self, crypto: &impl Crypto, message: &[u8]) -> Signature {
        crypto.ed25519_sign(&self.seed, message)
    }
}

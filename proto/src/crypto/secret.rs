//! Secrets as types: wiped when dropped, never printed, never mistaken for one another.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::rng::Rng;

macro_rules! secret {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the bytes of a secret. Wipe the copy you keep.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes, for the crypto provider or for storing.
            pub const fn expose(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(secret)"))
            }
        }
    )*};
}

secret! {
    /// An X25519 private key.
    X25519Secret,
    /// What two X25519 keys have in common.
    SharedSecret,
    /// A key of AES-256-GCM or ChaCha20-Poly1305.
    AeadKey,
    /// The seed of an Ed25519 private key.
    Ed25519Seed,
}

impl X25519Secret {
    /// A fresh private key.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut secret = Self([0; 32]);
        rng.fill(&mut secret.0);
        secret
    }
}

impl Ed25519Seed {
    /// A fresh seed.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut seed = Self([0; 32]);
        rng.fill(&mut seed.0);
        seed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let seed = Ed25519Seed::from_bytes([0x42; 32]);
        assert_eq!(format!("{seed:?}"), "Ed25519Seed(secret)");
    }
}

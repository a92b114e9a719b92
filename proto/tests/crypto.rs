//! The built-in crypto provider against the captured keys, and the contract every provider must keep.
#![cfg(feature = "rustcrypto")]

use pilot_proto::crypto::{
    Aead, AeadKey, BadSignature, Crypto, Ed25519Seed, Forged, Identity, RustCrypto, WeakKey, X25519Secret,
};
use serde_json::Value;

const TUNNEL: &str = include_str!("../../spec/vectors/tunnel.json");

fn array<const N: usize>(value: &Value, key: &str) -> [u8; N] {
    let text = value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"));
    hex::decode(text).unwrap().try_into().unwrap()
}

/// Proves TUN-6.
#[test]
fn sessions_have_the_captured_keys() {
    let vectors: Value = serde_json::from_str(TUNNEL).unwrap();
    for session in vectors["sessions"].as_array().unwrap() {
        let (a, b) = (&session["a"], &session["b"]);
        for (own, peer) in [(a, b), (b, a)] {
            let secret = X25519Secret::from_bytes(array(own, "x25519_private"));
            assert_eq!(RustCrypto.x25519_public(&secret), array(own, "x25519_public"));
            let shared = RustCrypto.x25519(&secret, &array(peer, "x25519_public")).unwrap();
            assert_eq!(shared.expose(), &array(session, "shared_secret"));
            let key = RustCrypto.hkdf_sha256(&shared, b"pilot-tunnel-v1");
            assert_eq!(key.expose(), &array(session, "aes_key"));

            let seed = Ed25519Seed::from_bytes(array(own, "ed25519_seed"));
            assert_eq!(Identity::new(1, seed, &RustCrypto).public(), &array(own, "ed25519_public"));
        }
    }
}

#[test]
fn signatures_are_the_captured_ones() {
    let vectors: Value = serde_json::from_str(TUNNEL).unwrap();
    for pila in vectors["pila"].as_array().unwrap() {
        let identity = Identity::new(1, Ed25519Seed::from_bytes(array(pila, "ed25519_seed")), &RustCrypto);
        let message: [u8; 40] = array(pila, "signed_message");
        let signature = identity.sign(&RustCrypto, &message);
        assert_eq!(signature, array(pila, "signature"));
        assert_eq!(RustCrypto.ed25519_verify(identity.public(), &message, &signature), Ok(()));
        for at in 0..64 {
            let mut wrong = signature;
            wrong[at] ^= 1;
            assert_eq!(RustCrypto.ed25519_verify(identity.public(), &message, &wrong), Err(BadSignature));
        }
    }
}

#[test]
fn low_order_keys_are_refused() {
    let secret = X25519Secret::from_bytes([7; 32]);
    let mut one = [0; 32];
    one[0] = 1;
    assert_eq!(RustCrypto.x25519(&secret, &[0; 32]).err(), Some(WeakKey));
    assert_eq!(RustCrypto.x25519(&secret, &one).err(), Some(WeakKey));
    assert_eq!(RustCrypto.ed25519_verify(&one, b"", &[0; 64]), Err(BadSignature));
}

#[test]
fn a_forged_buffer_stays_as_it_was() {
    let aead = RustCrypto.aead(&AeadKey::from_bytes([1; 32]));
    let (nonce, aad) = ([2; 12], b"from");
    let mut buf = *b"a packet of some length";
    let tag = aead.seal_in_place(&nonce, aad, &mut buf).unwrap();
    let sealed = buf;
    let mut wrong = tag;
    wrong[15] ^= 0x80;
    assert_eq!(aead.open_in_place(&nonce, aad, &mut buf, &wrong), Err(Forged));
    assert_eq!(aead.open_in_place(&nonce, b"else", &mut buf, &tag), Err(Forged));
    assert_eq!(buf, sealed);
    assert_eq!(aead.open_in_place(&nonce, aad, &mut buf, &tag), Ok(()));
    assert_eq!(&buf, b"a packet of some length");
}

#[test]
fn sha256_of_abc() {
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hex::encode(RustCrypto.sha256(b"abc")), expected);
}

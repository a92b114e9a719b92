//! The wire, written a second time.
//!
//! A judge that shares the code under test shares its mistakes, so this crate has a codec and key derivation of its
//! own: short, slow, straight from the clauses, and able to emit what no correct implementation emits.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use ed25519_dalek::{Signer, SigningKey};
use x25519_dalek::{PublicKey, StaticSecret};

pub(crate) const SYN: u8 = 1;
pub(crate) const ACK: u8 = 2;
pub(crate) const FIN: u8 = 4;
pub(crate) const RST: u8 = 8;

pub(crate) const STREAM: u8 = 1;
pub(crate) const DATAGRAM: u8 = 2;
pub(crate) const CONTROL: u8 = 3;

/// PKT-1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) version: u8,
    pub(crate) flags: u8,
    pub(crate) protocol: u8,
    pub(crate) source: (u16, u32),
    pub(crate) destination: (u16, u32),
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) window: u16,
    pub(crate) payload: Vec<u8>,
}

impl Packet {
    /// A packet of `protocol` from node to node in network 0, the rest zero.
    pub(crate) fn new(protocol: u8, source: u32, destination: u32) -> Packet {
        Packet {
            version: 1,
            flags: 0,
            protocol,
            source: (0, source),
            destination: (0, destination),
            source_port: 0,
            destination_port: 0,
            sequence: 0,
            acknowledgment: 0,
            window: 0,
            payload: Vec::new(),
        }
    }

    pub(crate) fn ports(mut self, source: u16, destination: u16) -> Packet {
        (self.source_port, self.destination_port) = (source, destination);
        self
    }

    pub(crate) fn flags(mut self, flags: u8) -> Packet {
        self.flags = flags;
        self
    }

    pub(crate) fn numbers(mut self, sequence: u32, acknowledgment: u32, window: u16) -> Packet {
        (self.sequence, self.acknowledgment, self.window) = (sequence, acknowledgment, window);
        self
    }

    pub(crate) fn payload(mut self, payload: impl Into<Vec<u8>>) -> Packet {
        self.payload = payload.into();
        self
    }

    pub(crate) fn is(&self, flags: u8) -> bool {
        self.flags == flags
    }

    pub(crate) fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// PKT-8.
    pub(crate) fn is_keepalive(&self) -> bool {
        self.protocol == CONTROL && self.flags == 0 && self.destination_port == 0 && self.payload.is_empty()
    }

    /// The bytes, with the right length and checksum.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.version << 4 | self.flags & 15, self.protocol];
        bytes.extend((self.payload.len() as u16).to_be_bytes());
        for (network, node) in [self.source, self.destination] {
            bytes.extend(network.to_be_bytes());
            bytes.extend(node.to_be_bytes());
        }
        bytes.extend(self.source_port.to_be_bytes());
        bytes.extend(self.destination_port.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.acknowledgment.to_be_bytes());
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&self.payload);
        let sum = crc32(&bytes).to_be_bytes();
        bytes.splice(30..34, sum);
        bytes
    }

    /// PKT-4.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Packet, String> {
        let (head, rest) = bytes.split_first_chunk::<34>().ok_or(format!("{} bytes", bytes.len()))?;
        let short = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let long = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::from(short(2));
        let payload =
            rest.get(..length).ok_or(format!("{length} bytes of payload announced, {} there", rest.len()))?;
        let mut zeroed = head.to_vec();
        zeroed[30..34].fill(0);
        zeroed.extend(payload);
        if crc32(&zeroed) != long(30) {
            return Err(format!("checksum {:08x}, expected {:08x}", long(30), crc32(&zeroed)));
        }
        if head[0] >> 4 != 1 {
            return Err(format!("version {}", head[0] >> 4));
        }
        Ok(Packet {
            version: 1,
            flags: head[0] & 15,
            protocol: head[1],
            source: (short(4), long(6)),
            destination: (short(10), long(12)),
            source_port: short(16),
            destination_port: short(18),
            sequence: long(20),
            acknowledgment: long(24),
            window: short(28),
            payload: payload.to_vec(),
        })
    }

    /// One line for a trace.
    pub(crate) fn describe(&self) -> String {
        let flags: Vec<&str> = [(SYN, "SYN"), (ACK, "ACK"), (FIN, "FIN"), (RST, "RST")]
            .into_iter()
            .filter(|(flag, _)| self.has(*flag))
            .map(|(_, name)| name)
            .collect();
        let what = match self.protocol {
            STREAM => "stream",
            DATAGRAM => "datagram",
            CONTROL => "control",
            _ => "unknown protocol",
        };
        format!(
            "{what} {}:{} > {}:{} [{}] seq {} ack {} win {} len {}",
            self.source.1,
            self.source_port,
            self.destination.1,
            self.destination_port,
            flags.join(" "),
            self.sequence,
            self.acknowledgment,
            self.window,
            self.payload.len()
        )
    }
}

/// PKT-3, bit by bit.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(
            sum ^ u32::from(*byte),
            |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 },
        )
    })
}

/// STR-12: a SACK payload.
pub(crate) fn sack(ranges: &[(u32, u32)]) -> Vec<u8> {
    let mut bytes = b"SACK".to_vec();
    bytes.push(ranges.len() as u8);
    for (first, after) in ranges {
        bytes.extend(first.to_be_bytes());
        bytes.extend(after.to_be_bytes());
    }
    bytes
}

/// A frame as it is on the wire (TUN-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Plain(Vec<u8>),
    Sealed { sender: u32, nonce: [u8; 12], body: Vec<u8> },
    Anonymous { sender: u32, x25519: [u8; 32] },
    Exchange { sender: u32, x25519: [u8; 32], ed25519: [u8; 32], signature: [u8; 64] },
    Punch,
    Beacon(Vec<u8>),
    Unknown(Vec<u8>),
}

impl Frame {
    pub(crate) fn decode(bytes: &[u8]) -> Frame {
        let unknown = || Frame::Unknown(bytes.to_vec());
        if bytes.first().is_some_and(|first| *first < 0x10) {
            return Frame::Beacon(bytes.to_vec());
        }
        let Some((magic, rest)) = bytes.split_first_chunk::<4>() else { return unknown() };
        let sender = rest.first_chunk::<4>().map(|node| u32::from_be_bytes(*node));
        let take = |at: usize| rest.get(at..at + 32).and_then(|key| <[u8; 32]>::try_from(key).ok());
        match (magic, sender) {
            (b"PILT", _) => Frame::Plain(rest.to_vec()),
            (b"PILP", _) => Frame::Punch,
            (b"PILS", Some(sender)) if rest.len() >= 32 => {
                let mut nonce = [0; 12];
                nonce.copy_from_slice(&rest[4..16]);
                Frame::Sealed { sender, nonce, body: rest[16..].to_vec() }
            }
            (b"PILK", Some(sender)) => match take(4) {
                Some(x25519) => Frame::Anonymous { sender, x25519 },
                None => unknown(),
            },
            (b"PILA", Some(sender)) => match (take(4), take(36), rest.get(68..132)) {
                (Some(x25519), Some(ed25519), Some(signed)) => {
                    let mut signature = [0; 64];
                    signature.copy_from_slice(signed);
                    Frame::Exchange { sender, x25519, ed25519, signature }
                }
                _ => unknown(),
            },
            _ => unknown(),
        }
    }
}

/// TUN-5: a signed key exchange frame.
pub(crate) fn exchange(node: u32, x25519: &[u8; 32], identity: &SigningKey) -> Vec<u8> {
    let mut signed = b"auth".to_vec();
    signed.extend(node.to_be_bytes());
    signed.extend(x25519);
    let mut frame = b"PILA".to_vec();
    frame.extend(node.to_be_bytes());
    frame.extend(x25519);
    frame.extend(identity.verifying_key().as_bytes());
    frame.extend(identity.sign(&signed).to_bytes());
    frame
}

/// An anonymous key exchange frame.
pub(crate) fn anonymous(node: u32, x25519: &[u8; 32]) -> Vec<u8> {
    let mut frame = b"PILK".to_vec();
    frame.extend(node.to_be_bytes());
    frame.extend(x25519);
    frame
}

/// TUN-6: what two X25519 keys give.
pub(crate) struct Key(Aes256Gcm);

impl Key {
    pub(crate) fn derive(own: &StaticSecret, peer: &[u8; 32]) -> Key {
        let shared = own.diffie_hellman(&PublicKey::from(*peer));
        let mut key = [0; 32];
        let derivation = hkdf::Hkdf::<sha2::Sha256>::new(None, shared.as_bytes());
        derivation.expand(b"pilot-tunnel-v1", &mut key).expect("32 bytes are a length HKDF has");
        Key(Aes256Gcm::new(&key.into()))
    }

    /// A key given as it is.
    pub(crate) fn given(key: &[u8; 32]) -> Key {
        Key(Aes256Gcm::new(key.into()))
    }

    /// TUN-7: a sealed frame around `inner`.
    pub(crate) fn seal(&self, sender: u32, prefix: [u8; 4], counter: u64, inner: &[u8]) -> Vec<u8> {
        self.seal_with(sender, sender, prefix, counter, inner)
    }

    /// The same with associated data that need not be the sender.
    pub(crate) fn seal_with(
        &self,
        sender: u32,
        aad: u32,
        prefix: [u8; 4],
        counter: u64,
        inner: &[u8],
    ) -> Vec<u8> {
        let mut nonce = [0; 12];
        nonce[..4].copy_from_slice(&prefix);
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        let mut body = inner.to_vec();
        let tag = self
            .0
            .encrypt_inout_detached(&Nonce::from(nonce), &aad.to_be_bytes(), body.as_mut_slice().into())
            .expect("a datagram is a length AES-GCM takes");
        let mut frame = b"PILS".to_vec();
        frame.extend(sender.to_be_bytes());
        frame.extend(nonce);
        frame.extend(body);
        frame.extend(&tag[..]);
        frame
    }

    /// The packet in a sealed frame.
    pub(crate) fn open(&self, sender: u32, nonce: &[u8; 12], body: &[u8]) -> Option<Vec<u8>> {
        let (cipher, tag) = body.split_last_chunk::<16>()?;
        let mut plain = cipher.to_vec();
        let (nonce, tag) = (Nonce::from(*nonce), Tag::from(*tag));
        self.0
            .decrypt_inout_detached(&nonce, &sender.to_be_bytes(), plain.as_mut_slice().into(), &tag)
            .ok()?;
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, Key, Packet, crc32};
    use ed25519_dalek::SigningKey;
    use serde_json::Value;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len() / 2).filter_map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect()
    }

    fn bytes(value: &Value) -> Vec<u8> {
        hex(value.as_str().expect("hex"))
    }

    fn key(value: &Value) -> [u8; 32] {
        bytes(value).try_into().expect("32 bytes")
    }

    #[test]
    fn the_codec_agrees_with_the_vectors() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        let vectors: Value =
            serde_json::from_str(include_str!("../../../spec/vectors/wire.json")).expect("JSON");
        for vector in vectors["packets_valid"].as_array().expect("a list") {
            let Some(data) = vector["hex"].as_str().map(hex) else { continue };
            let packet = Packet::decode(&data).expect("valid");
            assert_eq!(packet.encode(), data, "{}", vector["name"]);
        }
        for vector in vectors["packets_malformed"].as_array().expect("a list") {
            assert!(Packet::decode(&bytes(&vector["hex"])).is_err(), "{}", vector["name"]);
        }
    }

    #[test]
    fn frames_and_keys_agree_with_the_vectors() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../spec/vectors/tunnel.json")).expect("JSON");
        let sides = &vectors["sessions"][0];
        let secret = x25519_dalek::StaticSecret::from(key(&sides["a"]["x25519_private"]));
        let shared = Key::derive(&secret, &key(&sides["b"]["x25519_public"]));
        let vector = &vectors["pils_receive"][0];
        let data = bytes(&vector["frame"]);
        let Frame::Sealed { sender, nonce, body } = Frame::decode(&data) else { panic!("not sealed") };
        let inner = shared.open(sender, &nonce, &body).expect("opens");
        Packet::decode(&inner).expect("a packet");
        let (prefix, counter) = (nonce.first_chunk().expect("four"), nonce.last_chunk().expect("eight"));
        assert_eq!(shared.seal(sender, *prefix, u64::from_be_bytes(*counter), &inner), data);
        let vector = &vectors["pila"][0];
        let identity = SigningKey::from_bytes(&key(&vector["ed25519_seed"]));
        let frame = super::exchange(1, &key(&vector["x25519_public"]), &identity);
        assert_eq!(frame, bytes(&vector["frame"]));
    }
}

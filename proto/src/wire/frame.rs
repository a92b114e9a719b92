//! Tunnel datagrams: what one UDP datagram on the tunnel socket is (`spec/tunnel.md`).
//!
//! A first byte below `0x10` is a beacon message, anything else must begin with one of six magics.

use core::fmt;

use super::BufferTooSmall;
use super::beacon::Beacon;
use super::bytes::{Reader, Writer};

/// Bytes of the magic that begins every frame.
pub const MAGIC_LEN: usize = 4;
/// Bytes before the packet in a plaintext frame.
pub const PLAIN_HEAD_LEN: usize = MAGIC_LEN;
/// Bytes before the ciphertext in a sealed frame: magic, sender, nonce.
pub const SEALED_HEAD_LEN: usize = 20;
/// Bytes after the ciphertext in a sealed frame.
pub const TAG_LEN: usize = 16;
/// What sealing adds to a packet, in bytes.
pub const SEALED_OVERHEAD: usize = SEALED_HEAD_LEN + TAG_LEN;
/// Bytes of an anonymous key exchange frame.
pub const KEY_ANONYMOUS_LEN: usize = 40;
/// Bytes of an authenticated key exchange frame.
pub const KEY_AUTHENTICATED_LEN: usize = 136;
/// The whole of a hole-punching frame.
pub const PUNCH: &[u8; MAGIC_LEN] = b"PILP";

const PLAIN: &[u8; MAGIC_LEN] = b"PILT";
const SEALED: &[u8; MAGIC_LEN] = b"PILS";
const SEALED_CHACHA: &[u8; MAGIC_LEN] = b"PILC";
const KEY_ANONYMOUS: &[u8; MAGIC_LEN] = b"PILK";
const KEY_AUTHENTICATED: &[u8; MAGIC_LEN] = b"PILA";

/// First bytes below this one begin a beacon message.
const FIRST_TUNNEL_BYTE: u8 = 0x10;

/// One datagram that arrived on the tunnel socket.
#[derive(Debug)]
pub enum Datagram<'a> {
    /// From a peer.
    Frame(Frame<'a>),
    /// From a peer through the beacon. The frame is still to be parsed ([`Frame::parse`]); it is not empty.
    Delivered {
        /// The node the beacon says it comes from.
        sender: u32,
        /// The peer's frame.
        frame: &'a mut [u8],
    },
    /// From the beacon, all other messages.
    Beacon(Beacon<'a>),
}

impl<'a> Datagram<'a> {
    /// Tells what `datagram` is. Where it came from is for the caller to judge.
    pub fn parse(datagram: &'a mut [u8]) -> Result<Self, FrameError> {
        match datagram.first() {
            None => Err(FrameError::TooShort { len: 0, needed: MAGIC_LEN }),
            Some(FIRST_TUNNEL_BYTE..) => Frame::parse(datagram).map(Datagram::Frame),
            Some(_) => match Beacon::parse(datagram).ok_or(FrameError::BadBeacon)? {
                Beacon::Deliver { sender, frame } => {
                    let head = datagram.len().saturating_sub(frame.len());
                    match datagram.get_mut(head..) {
                        Some(frame) if !frame.is_empty() => Ok(Datagram::Delivered { sender, frame }),
                        _ => Err(FrameError::BadBeacon),
                    }
                }
                _ => Beacon::parse(datagram).map(Datagram::Beacon).ok_or(FrameError::BadBeacon),
            },
        }
    }
}

/// A frame from a peer.
#[derive(Debug)]
pub enum Frame<'a> {
    /// PILT: a packet in the clear.
    Plain {
        /// The packet and whatever follows it.
        packet: &'a mut [u8],
    },
    /// PILS or PILC: a packet under the key of the tunnel.
    Sealed(Sealed<'a>),
    /// PILK: a key exchange nobody vouches for.
    KeyAnonymous(KeyAnonymous),
    /// PILA: a signed key exchange.
    KeyAuthenticated(KeyAuthenticated),
    /// PILP: opens a hole in a NAT, says nothing.
    Punch,
}

/// The cipher of a sealed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// PILS, which every release speaks.
    Aes256Gcm,
    /// PILC, an extension (`spec/extensions.md`, EXT-8).
    ChaCha20Poly1305,
}

impl Suite {
    const fn magic(self) -> &'static [u8; MAGIC_LEN] {
        match self {
            Suite::Aes256Gcm => SEALED,
            Suite::ChaCha20Poly1305 => SEALED_CHACHA,
        }
    }
}

/// A sealed packet, ready to be opened in place.
#[derive(Debug)]
pub struct Sealed<'a> {
    /// What it is sealed with.
    pub suite: Suite,
    /// Node id the sender claims; it is the associated data of the cipher.
    pub sender: u32,
    /// Four bytes of prefix, eight of counter.
    pub nonce: Nonce,
    /// Ciphertext and 16-byte tag.
    pub body: &'a mut [u8],
}

/// A PILK frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAnonymous {
    /// Node id the sender claims.
    pub sender: u32,
    /// Its X25519 public key.
    pub x25519: [u8; 32],
}

/// A PILA frame. The signature has not been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyAuthenticated {
    /// Node id the sender claims.
    pub sender: u32,
    /// Its X25519 public key.
    pub x25519: [u8; 32],
    /// Its Ed25519 public key, to be compared with the one that is known.
    pub ed25519: [u8; 32],
    /// Ed25519 over [`signed_message`](Self::signed_message).
    pub signature: [u8; 64],
}

/// The nonce of a sealed frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Random; tells apart the directions and restarts that share a key.
    pub prefix: [u8; 4],
    /// Grows by one with each frame.
    pub counter: u64,
}

impl Nonce {
    /// Bytes of a nonce.
    pub const LEN: usize = 12;

    /// The wire form: prefix, then counter.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.prefix;
        let [e, f, g, h, i, j, k, l] = self.counter.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }
}

impl<'a> Frame<'a> {
    /// Reads a frame that came from a peer, directly or inside a delivery of the beacon.
    ///
    /// Bytes after the fixed part of PILK, PILA and PILP are ignored.
    pub fn parse(frame: &'a mut [u8]) -> Result<Self, FrameError> {
        let len = frame.len();
        let too_short = |needed| FrameError::TooShort { len, needed };
        let (magic, rest) = frame.split_first_chunk_mut::<MAGIC_LEN>().ok_or(too_short(MAGIC_LEN))?;
        match &*magic {
            PLAIN => Ok(Frame::Plain { packet: rest }),
            SEALED => {
                Sealed::parse(Suite::Aes256Gcm, rest).map(Frame::Sealed).ok_or(too_short(SEALED_OVERHEAD))
            }
            SEALED_CHACHA => {
                let sealed = Sealed::parse(Suite::ChaCha20Poly1305, rest);
                sealed.map(Frame::Sealed).ok_or(too_short(SEALED_OVERHEAD))
            }
            KEY_ANONYMOUS => {
                KeyAnonymous::parse(rest).map(Frame::KeyAnonymous).ok_or(too_short(KEY_ANONYMOUS_LEN))
            }
            KEY_AUTHENTICATED => KeyAuthenticated::parse(rest)
                .map(Frame::KeyAuthenticated)
                .ok_or(too_short(KEY_AUTHENTICATED_LEN)),
            PUNCH => Ok(Frame::Punch),
            unknown => Err(FrameError::UnknownMagic { found: *unknown }),
        }
    }
}

impl<'a> Sealed<'a> {
    fn parse(suite: Suite, rest: &'a mut [u8]) -> Option<Self> {
        let (head, body) = rest.split_first_chunk_mut::<{ SEALED_HEAD_LEN - MAGIC_LEN }>()?;
        let mut read = Reader::new(head);
        let sender = read.u32()?;
        let prefix = read.array()?;
        let counter = u64::from_be_bytes(read.array()?);
        (body.len() >= TAG_LEN).then_some(Sealed { suite, sender, nonce: Nonce { prefix, counter }, body })
    }

    /// The associated data: the sender's node id as it stands in the frame.
    pub fn aad(&self) -> [u8; 4] {
        self.sender.to_be_bytes()
    }
}

/// Who a datagram that is a sealed frame says it is from; nothing else of it is looked at.
pub fn sealed_sender(datagram: &[u8]) -> Option<u32> {
    let (magic, rest) = datagram.split_first_chunk::<MAGIC_LEN>()?;
    if magic != SEALED && magic != SEALED_CHACHA { None } else { Reader::new(rest).u32() }
}

/// The bytes before the ciphertext of a sealed frame.
pub fn sealed_head(suite: Suite, sender: u32, nonce: Nonce) -> [u8; SEALED_HEAD_LEN] {
    let mut head = [0; SEALED_HEAD_LEN];
    let written = Writer::new(&mut head).put(suite.magic()).u32(sender).put(&nonce.to_bytes()).finish();
    debug_assert_eq!(written, Ok(SEALED_HEAD_LEN));
    head
}

/// Writes the magic of a plaintext frame before the packet that already stands at `frame[4..]`.
pub fn emit_plain(frame: &mut [u8]) -> Result<(), BufferTooSmall> {
    Writer::new(frame).put(PLAIN).finish().map(|_| ())
}

impl KeyAnonymous {
    fn parse(rest: &[u8]) -> Option<Self> {
        let mut read = Reader::new(rest);
        Some(KeyAnonymous { sender: read.u32()?, x25519: read.array()? })
    }

    /// Writes the frame: always [`KEY_ANONYMOUS_LEN`] bytes.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Writer::new(out).put(KEY_ANONYMOUS).u32(self.sender).put(&self.x25519).finish()
    }
}

impl KeyAuthenticated {
    fn parse(rest: &[u8]) -> Option<Self> {
        let mut read = Reader::new(rest);
        Some(KeyAuthenticated {
            sender: read.u32()?,
            x25519: read.array()?,
            ed25519: read.array()?,
            signature: read.array()?,
        })
    }

    /// Writes the frame: always [`KEY_AUTHENTICATED_LEN`] bytes.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Writer::new(out)
            .put(KEY_AUTHENTICATED)
            .u32(self.sender)
            .put(&self.x25519)
            .put(&self.ed25519)
            .put(&self.signature)
            .finish()
    }

    /// What the signature covers.
    pub fn signed_message(&self) -> [u8; SIGNED_LEN] {
        signed_message(self.sender, &self.x25519)
    }
}

/// Bytes a PILA signature covers.
pub const SIGNED_LEN: usize = 40;

/// What the signature of a PILA frame covers: `auth`, sender, X25519 public key.
pub fn signed_message(sender: u32, x25519: &[u8; 32]) -> [u8; SIGNED_LEN] {
    let mut message = [0; SIGNED_LEN];
    let written = Writer::new(&mut message).put(b"auth").u32(sender).put(x25519).finish();
    debug_assert_eq!(written, Ok(SIGNED_LEN));
    message
}

/// Why a datagram means nothing to us. None of these is ever answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Shorter than the fixed part of its kind.
    TooShort {
        /// Bytes present.
        len: usize,
        /// Bytes of the fixed part.
        needed: usize,
    },
    /// None of the known magics.
    UnknownMagic {
        /// The first four bytes.
        found: [u8; MAGIC_LEN],
    },
    /// A first byte below 16, but not a beacon message.
    BadBeacon,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FrameError::TooShort { len, needed } => {
                write!(f, "frame of {len} bytes (at least {needed} needed)")
            }
            FrameError::UnknownMagic { found } => {
                write!(
                    f,
                    "frame begins with \"{}\" (expected PILT, PILS, PILK, PILA or PILP)",
                    found.escape_ascii()
                )
            }
            FrameError::BadBeacon => f.write_str("malformed or unknown beacon message"),
        }
    }
}

impl core::error::Error for FrameError {}

//! The packet: a 34-byte header with a checksum over header and payload (`spec/packet.md`).

use core::fmt;
use core::ops::{BitOr, BitOrAssign, Range};

use super::bytes::{Reader, Writer};
use crate::addr::{Addr, SockAddr};

/// Bytes of the header.
pub const HEADER_LEN: usize = 34;
/// The only version there is; it fills the high half of the first byte.
pub const VERSION: u8 = 1;
/// Longest payload the length field can name, in bytes.
pub const MAX_PAYLOAD: usize = 65535;

/// The header without its checksum field.
const CHECKED_LEN: usize = HEADER_LEN - 4;

/// The four flags of a packet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// Opens a connection.
    pub const SYN: Flags = Flags(1);
    /// The acknowledgment field counts.
    pub const ACK: Flags = Flags(2);
    /// The sender has no more data.
    pub const FIN: Flags = Flags(4);
    /// The connection is gone.
    pub const RST: Flags = Flags(8);
    /// [`SYN`](Self::SYN) and [`ACK`](Self::ACK).
    pub const SYN_ACK: Flags = Flags(1 | 2);
    /// [`FIN`](Self::FIN) and [`ACK`](Self::ACK).
    pub const FIN_ACK: Flags = Flags(4 | 2);

    /// The low four bits of `bits`.
    pub const fn from_bits(bits: u8) -> Self {
        Flags(bits & 0x0F)
    }

    /// The bits, in 0..=15.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all flags of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (flag, name) in
            [(Flags::SYN, "SYN"), (Flags::ACK, "ACK"), (Flags::FIN, "FIN"), (Flags::RST, "RST")]
        {
            if self.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = "|";
            }
        }
        if self.is_empty() { f.write_str("-") } else { Ok(()) }
    }
}

/// What the payload belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// 1: a reliable byte stream.
    Stream,
    /// 2: a datagram.
    Datagram,
    /// 3: ping, pong, keepalive.
    Control,
    /// Any other number: parses, and is then ignored.
    Other(u8),
}

impl From<u8> for Protocol {
    fn from(number: u8) -> Self {
        match number {
            1 => Protocol::Stream,
            2 => Protocol::Datagram,
            3 => Protocol::Control,
            other => Protocol::Other(other),
        }
    }
}

impl From<Protocol> for u8 {
    fn from(protocol: Protocol) -> u8 {
        match protocol {
            Protocol::Stream => 1,
            Protocol::Datagram => 2,
            Protocol::Control => 3,
            Protocol::Other(number) => number,
        }
    }
}

/// The header of a packet, without what follows from the payload (its length and the checksum).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Flags.
    pub flags: Flags,
    /// What the payload belongs to.
    pub protocol: Protocol,
    /// Sender.
    pub src: Addr,
    /// Receiver.
    pub dst: Addr,
    /// Sender's port.
    pub src_port: u16,
    /// Receiver's port.
    pub dst_port: u16,
    /// Sequence number of the first payload byte.
    pub seq: u32,
    /// Next sequence number expected from the other side.
    pub ack: u32,
    /// Free receive-buffer segments, each of which a peer takes for 4096 bytes.
    pub window: u16,
}

impl Header {
    /// A header with the named fields; flags, numbers and window are zero.
    pub const fn new(protocol: Protocol, src: SockAddr, dst: SockAddr) -> Self {
        Header {
            flags: Flags::NONE,
            protocol,
            src: src.addr,
            dst: dst.addr,
            src_port: src.port,
            dst_port: dst.port,
            seq: 0,
            ack: 0,
            window: 0,
        }
    }

    /// Where the packet comes from.
    pub const fn src(&self) -> SockAddr {
        SockAddr::new(self.src, self.src_port)
    }

    /// Where the packet goes.
    pub const fn dst(&self) -> SockAddr {
        SockAddr::new(self.dst, self.dst_port)
    }

    /// Reads the packet at the front of `packet`: its header and where in `packet` its payload lies.
    ///
    /// Bytes after the declared payload are ignored. Nothing but length, checksum and version is judged here.
    pub fn parse(packet: &[u8]) -> Result<(Header, Range<usize>), PacketError> {
        let len = packet.len();
        let too_short = PacketError::TooShort { len };
        let (checked, rest) = packet.split_first_chunk::<CHECKED_LEN>().ok_or(too_short)?;
        let (stored, rest) = rest.split_first_chunk::<4>().ok_or(too_short)?;
        let (header, version, declared) = fields(checked).ok_or(too_short)?;
        let needed = HEADER_LEN + usize::from(declared);
        let payload = rest.get(..declared.into()).ok_or(PacketError::Truncated { len, needed })?;
        let (stored, computed) = (u32::from_be_bytes(*stored), checksum(checked, payload));
        if stored != computed && !crate::planted!(ChecksumIgnored) {
            return Err(PacketError::Checksum { stored, computed });
        }
        if version != VERSION && !crate::planted!(VersionIgnored) {
            return Err(PacketError::Version { found: version });
        }
        Ok((header, HEADER_LEN..needed))
    }

    /// Writes this header before the payload that already stands at `packet[34..]`, which it takes to the end of
    /// `packet`.
    pub fn emit(&self, packet: &mut [u8]) -> Result<(), EmitError> {
        let len = packet.len();
        let (head, payload) =
            packet.split_first_chunk_mut::<HEADER_LEN>().ok_or(EmitError::NoRoom { len })?;
        let payload_len =
            u16::try_from(payload.len()).map_err(|_| EmitError::PayloadTooLarge { len: payload.len() })?;
        let mut checked = [0; CHECKED_LEN];
        let written = Writer::new(&mut checked)
            .u8(VERSION << 4 | self.flags.bits())
            .u8(self.protocol.into())
            .u16(payload_len)
            .put(&self.src.to_bytes())
            .put(&self.dst.to_bytes())
            .u16(self.src_port)
            .u16(self.dst_port)
            .u32(self.seq)
            .u32(self.ack)
            .u16(self.window)
            .finish();
        debug_assert_eq!(written, Ok(CHECKED_LEN));
        let (front, back) = head.split_first_chunk_mut::<CHECKED_LEN>().ok_or(EmitError::NoRoom { len })?;
        back.copy_from_slice(&checksum(&checked, payload).to_be_bytes());
        *front = checked;
        Ok(())
    }
}

/// Header, version and payload length out of the checked part; it is always long enough.
fn fields(checked: &[u8; CHECKED_LEN]) -> Option<(Header, u8, u16)> {
    let mut read = Reader::new(checked);
    let first = read.u8()?;
    let protocol = read.u8()?.into();
    let declared = read.u16()?;
    let header = Header {
        flags: Flags::from_bits(first),
        protocol,
        src: Addr::from_bytes(read.array()?),
        dst: Addr::from_bytes(read.array()?),
        src_port: read.u16()?,
        dst_port: read.u16()?,
        seq: read.u32()?,
        ack: read.u32()?,
        window: read.u16()?,
    };
    Some((header, first >> 4, declared))
}

/// CRC-32 (IEEE 802.3, reflected) over the header with a zero checksum field, then the payload.
fn checksum(checked: &[u8; CHECKED_LEN], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(checked);
    crc.update(&[0; 4]);
    crc.update(payload);
    crc.finalize()
}

/// Why bytes are not a packet. The variants stand in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    /// Fewer than the 34 bytes of a header.
    TooShort {
        /// Bytes present.
        len: usize,
    },
    /// Fewer bytes than header and declared payload.
    Truncated {
        /// Bytes present.
        len: usize,
        /// Bytes of header and declared payload.
        needed: usize,
    },
    /// The checksum does not match.
    Checksum {
        /// In the header.
        stored: u32,
        /// Over the bytes.
        computed: u32,
    },
    /// Not version 1.
    Version {
        /// The version named.
        found: u8,
    },
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            PacketError::TooShort { len } => write!(f, "packet of {len} bytes (header has {HEADER_LEN})"),
            PacketError::Truncated { len, needed } => {
                write!(f, "packet of {len} bytes (its header declares {needed})")
            }
            PacketError::Checksum { stored, computed } => {
                write!(f, "checksum {stored:08x} (bytes give {computed:08x})")
            }
            PacketError::Version { found } => write!(f, "version {found} (expected {VERSION})"),
        }
    }
}

impl core::error::Error for PacketError {}

/// Why a packet could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitError {
    /// The slice cannot hold the 34 bytes of a header.
    NoRoom {
        /// Bytes lent.
        len: usize,
    },
    /// More than 65535 bytes of payload.
    PayloadTooLarge {
        /// Bytes of payload.
        len: usize,
    },
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            EmitError::NoRoom { len } => write!(f, "buffer of {len} bytes (header has {HEADER_LEN})"),
            EmitError::PayloadTooLarge { len } => {
                write!(f, "payload too large: {len} bytes (max {MAX_PAYLOAD})")
            }
        }
    }
}

impl core::error::Error for EmitError {}

//! Addresses: 16-bit network, 32-bit node, 16-bit port, in binary and text (`spec/addressing.md`).

use core::fmt;
use core::str::FromStr;

/// A Pilot address: network and node (6 bytes on the wire).
///
/// The text form repeats the network in hex: network 1, node `0x00A3F291` is `1:0001.00A3.F291`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr {
    /// Network id; 0 is the backbone, of which everybody is a member.
    pub network: u16,
    /// Node id; `0xFFFF_FFFF` is broadcast, 0 is unspecified.
    pub node: u32,
}

impl Addr {
    /// Bytes of an address on the wire.
    pub const LEN: usize = 6;
    /// The node id that means every member of the network.
    pub const BROADCAST_NODE: u32 = u32::MAX;
    /// Network 0, node 0: no address.
    pub const UNSPECIFIED: Addr = Addr { network: 0, node: 0 };

    /// `node` on the backbone (network 0): the form of every node's own address.
    pub const fn backbone(node: u32) -> Self {
        Addr { network: 0, node }
    }

    /// Every member of `network`.
    pub const fn broadcast(network: u16) -> Self {
        Addr { network, node: Self::BROADCAST_NODE }
    }

    /// Whether this names all members of its network. The network plays no part in the test.
    pub const fn is_broadcast(self) -> bool {
        self.node == Self::BROADCAST_NODE
    }

    /// Whether this is network 0, node 0.
    pub const fn is_unspecified(self) -> bool {
        self.network == 0 && self.node == 0
    }

    /// The wire form: network, then node, big-endian.
    pub const fn to_bytes(self) -> [u8; Self::LEN] {
        let [n0, n1] = self.network.to_be_bytes();
        let [a, b, c, d] = self.node.to_be_bytes();
        [n0, n1, a, b, c, d]
    }

    /// Reads the wire form. Every six bytes are an address.
    pub const fn from_bytes([n0, n1, a, b, c, d]: [u8; Self::LEN]) -> Self {
        Addr { network: u16::from_be_bytes([n0, n1]), node: u32::from_be_bytes([a, b, c, d]) }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{n}:{n:04X}.{:04X}.{:04X}", self.node >> 16, self.node & 0xFFFF, n = self.network)
    }
}

impl FromStr for Addr {
    type Err = AddrError;

    /// Accepts upper and lower case hex and leading zeros in the decimal network; nothing is trimmed.
    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (network, node) = text.split_once(':').ok_or(AddrError::NoColon)?;
        let network = decimal_u16(network).ok_or(AddrError::BadNetwork)?;
        let mut parts = node.split('.');
        let (Some(a), Some(b), Some(c), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(AddrError::GroupCount { found: node.split('.').count() });
        };
        let groups = [a, b, c];
        for (group, text) in (1..).zip(groups) {
            if text.len() != 4 {
                return Err(AddrError::GroupLength { group, found: text.len() });
            }
        }
        let [repeated, high, low] = groups.map(hex_u16);
        let repeated = repeated.ok_or(AddrError::BadHex { group: 1 })?;
        if repeated != network {
            return Err(AddrError::NetworkMismatch { decimal: network, hex: repeated });
        }
        let high = high.ok_or(AddrError::BadHex { group: 2 })?;
        let low = low.ok_or(AddrError::BadHex { group: 3 })?;
        Ok(Addr { network, node: u32::from(high) << 16 | u32::from(low) })
    }
}

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SockAddr {
    /// The address.
    pub addr: Addr,
    /// The port.
    pub port: u16,
}

impl SockAddr {
    /// `port` at `addr`.
    pub const fn new(addr: Addr, port: u16) -> Self {
        SockAddr { addr, port }
    }
}

impl fmt::Display for SockAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.addr, self.port)
    }
}

impl FromStr for SockAddr {
    type Err = AddrError;

    /// `<address>:<decimal port>`, split at the last colon.
    fn from_str(text: &str) -> Result<Self, AddrError> {
        let (addr, port) = text.rsplit_once(':').ok_or(AddrError::NoColon)?;
        let addr = addr.parse()?;
        let port = decimal_u16(port).ok_or(AddrError::BadPort)?;
        Ok(SockAddr { addr, port })
    }
}

/// Why a text is not an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddrError {
    /// There is no `:`.
    NoColon,
    /// What stands before the first `:` is not a decimal number in 0..=65535.
    BadNetwork,
    /// Not three groups separated by dots.
    GroupCount {
        /// How many there are.
        found: usize,
    },
    /// A group is not four bytes long.
    GroupLength {
        /// Which group, counted from 1.
        group: u8,
        /// Its length in bytes.
        found: usize,
    },
    /// A group holds something else than hex digits.
    BadHex {
        /// Which group, counted from 1.
        group: u8,
    },
    /// The first hex group does not repeat the decimal network.
    NetworkMismatch {
        /// The decimal network.
        decimal: u16,
        /// The first hex group.
        hex: u16,
    },
    /// What stands after the last `:` is not a decimal number in 0..=65535.
    BadPort,
}

impl fmt::Display for AddrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            AddrError::NoColon => f.write_str("no ':' (expected N:XXXX.YYYY.YYYY)"),
            AddrError::BadNetwork => f.write_str("invalid network id (expected decimal 0..=65535)"),
            AddrError::GroupCount { found } => {
                write!(f, "{found} dot-separated hex groups (expected 3: XXXX.YYYY.YYYY)")
            }
            AddrError::GroupLength { group, found } => {
                write!(f, "hex group {group} has {found} bytes (expected 4 digits)")
            }
            AddrError::BadHex { group } => write!(f, "hex group {group} is not hexadecimal"),
            AddrError::NetworkMismatch { decimal, hex } => {
                write!(f, "network mismatch: decimal {decimal} != hex 0x{hex:04X}")
            }
            AddrError::BadPort => f.write_str("invalid port (expected decimal 0..=65535)"),
        }
    }
}

impl core::error::Error for AddrError {}

/// ASCII digits only: the standard parser would let a leading `+` through.
fn decimal_u16(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Hex digits only, for the same reason.
fn hex_u16(text: &str) -> Option<u16> {
    text.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(text, 16).ok()).flatten()
}

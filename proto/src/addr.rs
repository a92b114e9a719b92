//! Addresses: 16-bit network, 32-bit node, 16-bit port, in binary and text.

/// A Pilot address: network and node (6 bytes on the wire).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addr {
    /// Network id; 0 is the backbone, of which everybody is a member.
    pub network: u16,
    /// Node id; `0xFFFF_FFFF` is broadcast, 0 is unspecified.
    pub node: u32,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SockAddr {
    /// The address.
    pub addr: Addr,
    /// The port.
    pub port: u16,
}

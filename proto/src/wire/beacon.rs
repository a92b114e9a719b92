//! Beacon messages: address discovery, hole punching, relay, gossip (`spec/nat.md`).
//!
//! All are unauthenticated. Bytes after the fields of a message are ignored.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::BufferTooSmall;
use super::bytes::{Reader, Writer};

/// Bytes before the frame in a [`Beacon::Relay`].
pub const RELAY_HEAD_LEN: usize = 9;
/// Bytes before the frame in a [`Beacon::Deliver`].
pub const DELIVER_HEAD_LEN: usize = 5;
/// The [`Beacon::Wake`] kind that says: a trust handshake waits for you at the registry.
pub const WAKE_HANDSHAKE: u8 = 1;

const NODE_ID_LEN: usize = 4;

const DISCOVER: u8 = 0x01;
const DISCOVER_REPLY: u8 = 0x02;
const PUNCH_REQUEST: u8 = 0x03;
const PUNCH: u8 = 0x04;
const RELAY: u8 = 0x05;
const DELIVER: u8 = 0x06;
const SYNC: u8 = 0x07;
const WAKE: u8 = 0x0a;

/// One message to, from or between beacons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beacon<'a> {
    /// 01, to the beacon: this node is here; what address do you see?
    Discover {
        /// The sender; 0 before it has an id.
        node: u32,
    },
    /// 02, from the beacon: the address your message came from.
    DiscoverReply {
        /// The observed address.
        observed: SocketAddr,
    },
    /// 03, to the beacon: have the target and me send to each other.
    PunchRequest {
        /// The sender.
        requester: u32,
        /// Whom it wants to reach.
        target: u32,
    },
    /// 04, from the beacon: send to this address, it is about to send to you.
    Punch {
        /// The other node's address.
        peer: SocketAddr,
    },
    /// 05, to the beacon and between beacons: pass this frame on.
    Relay {
        /// The sender.
        sender: u32,
        /// The receiver.
        target: u32,
        /// The frame; may be empty.
        frame: &'a [u8],
    },
    /// 06, from the beacon: a frame another node asked to pass on.
    Deliver {
        /// The node that says it sent it.
        sender: u32,
        /// The frame; may be empty, which means nothing.
        frame: &'a [u8],
    },
    /// 07, between beacons: the nodes that are registered at the sender.
    Sync {
        /// Id of the sending beacon.
        beacon: u32,
        /// Those nodes.
        nodes: NodeList<'a>,
    },
    /// 0a, from the beacon: something waits for you ([`WAKE_HANDSHAKE`]; other kinds are to be ignored).
    Wake {
        /// What waits.
        kind: u8,
    },
}

impl<'a> Beacon<'a> {
    /// Reads a message. `None` if it is cut short, has an impossible address length, or is of an unknown type:
    /// all of these are ignored in silence.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let mut read = Reader::new(message);
        Some(match read.u8()? {
            DISCOVER => Beacon::Discover { node: read.u32()? },
            DISCOVER_REPLY => Beacon::DiscoverReply { observed: read_addr(&mut read)? },
            PUNCH_REQUEST => Beacon::PunchRequest { requester: read.u32()?, target: read.u32()? },
            PUNCH => Beacon::Punch { peer: read_addr(&mut read)? },
            RELAY => Beacon::Relay { sender: read.u32()?, target: read.u32()?, frame: read.rest() },
            DELIVER => Beacon::Deliver { sender: read.u32()?, frame: read.rest() },
            SYNC => {
                let beacon = read.u32()?;
                let count = usize::from(read.u16()?);
                Beacon::Sync { beacon, nodes: NodeList(read.take(count * NODE_ID_LEN)?) }
            }
            WAKE => Beacon::Wake { kind: read.u8()? },
            _ => return None,
        })
    }

    /// Writes the message and says how many bytes it took.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let write = Writer::new(out);
        match *self {
            Beacon::Discover { node } => write.u8(DISCOVER).u32(node),
            Beacon::DiscoverReply { observed } => put_addr(write.u8(DISCOVER_REPLY), observed),
            Beacon::PunchRequest { requester, target } => write.u8(PUNCH_REQUEST).u32(requester).u32(target),
            Beacon::Punch { peer } => put_addr(write.u8(PUNCH), peer),
            Beacon::Relay { sender, target, frame } => write.put(&relay_head(sender, target)).put(frame),
            Beacon::Deliver { sender, frame } => write.put(&deliver_head(sender)).put(frame),
            Beacon::Sync { beacon, nodes } => write.u8(SYNC).u32(beacon).u16(nodes.len()).put(nodes.0),
            Beacon::Wake { kind } => write.u8(WAKE).u8(kind),
        }
        .finish()
    }
}

/// What goes before a frame to have the beacon pass it on, for a frame that already stands in its buffer.
pub const fn relay_head(sender: u32, target: u32) -> [u8; RELAY_HEAD_LEN] {
    let [a, b, c, d] = sender.to_be_bytes();
    let [e, f, g, h] = target.to_be_bytes();
    [RELAY, a, b, c, d, e, f, g, h]
}

/// What goes before a frame that the beacon delivers.
pub const fn deliver_head(sender: u32) -> [u8; DELIVER_HEAD_LEN] {
    let [a, b, c, d] = sender.to_be_bytes();
    [DELIVER, a, b, c, d]
}

/// A list of node ids as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeList<'a>(&'a [u8]);

impl<'a> NodeList<'a> {
    /// Lays `nodes` out in the lent memory: as many as it has room for (4 bytes each), at most 65535.
    pub fn new(memory: &'a mut [u8], nodes: impl IntoIterator<Item = u32>) -> Self {
        let mut used = 0;
        let (entries, _) = memory.as_chunks_mut::<NODE_ID_LEN>();
        for (entry, node) in entries.iter_mut().take(usize::from(u16::MAX)).zip(nodes) {
            *entry = node.to_be_bytes();
            used += NODE_ID_LEN;
        }
        let memory: &[u8] = memory;
        NodeList(memory.get(..used).unwrap_or_default())
    }

    /// How many there are.
    pub fn len(self) -> u16 {
        u16::try_from(self.0.len() / NODE_ID_LEN).unwrap_or(u16::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The node ids in order.
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.0.as_chunks().0.iter().map(|&entry| u32::from_be_bytes(entry))
    }
}

/// Length, 4 or 16 bytes, port. An IPv4 address in its IPv6 form is taken for what it is.
fn read_addr(read: &mut Reader<'_>) -> Option<SocketAddr> {
    let ip: IpAddr = match read.u8()? {
        4 => read.array::<4>()?.into(),
        16 => Ipv6Addr::from(read.array::<16>()?).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, read.u16()?))
}

fn put_addr<'a>(write: Writer<'a>, addr: SocketAddr) -> Writer<'a> {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => write.u8(4).put(&ip.octets()),
        IpAddr::V6(ip) => write.u8(16).put(&ip.octets()),
    }
    .u16(addr.port())
}

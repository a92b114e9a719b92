//! What a node keeps of one stream beside the stream machine itself.

use crate::{
    addr::{Addr, SockAddr},
    node::peer::NONE,
    stream::{Events, Stream},
    trust::Delivery,
};

/// One stream's slot in the table. Opaque; the owner only provides room for it.
#[derive(Debug)]
pub struct StreamSlot {
    /// `None` marks a free slot.
    pub(crate) stream: Option<Stream>,
    /// Counts the streams that lived in this slot.
    pub(crate) generation: u32,
    /// Source address of what we send: the address the peer dialled, or our own on the backbone.
    pub(crate) local: Addr,
    pub(crate) local_port: u16,
    pub(crate) remote: SockAddr,
    /// Slot of the peer.
    pub(crate) peer: u32,
    /// Next stream of the same peer that waits for keys.
    pub(crate) next_blocked: u32,
    pub(crate) blocked: bool,
    /// Next stream of the same peer that its silence has stalled, and the one before.
    pub(crate) next_stalled: u32,
    pub(crate) previous_stalled: u32,
    pub(crate) stalled: bool,
    /// [`PeerSlot::moves`](super::PeerSlot::moves) when the stream last heard from the peer.
    pub(crate) moves: u8,
    pub(crate) queued: bool,
    pub(crate) reporting: bool,
    pub(crate) unreported: Events,
    /// Opened by a peer and not yet announced.
    pub(crate) announce: bool,
    /// Opened by the peer.
    pub(crate) accepted: bool,
    /// Counts against the limits of open streams.
    pub(crate) counted: bool,
    /// Found by its ports.
    pub(crate) indexed: bool,
    /// The owner is done with it; the slot is freed when the stream machine is.
    pub(crate) released: bool,
    /// A trust handshake of the node's own, never shown to the owner.
    pub(crate) internal: bool,
    /// The trust message this stream carries.
    pub(crate) delivery: Option<Delivery>,
    /// The dialled node could not be located.
    pub(crate) unreachable: bool,
}

impl StreamSlot {
    /// An empty slot.
    pub const fn new() -> Self {
        StreamSlot {
            stream: None,
            generation: 0,
            local: Addr { network: 0, node: 0 },
            local_port: 0,
            remote: SockAddr { addr: Addr { network: 0, node: 0 }, port: 0 },
            peer: NONE,
            next_blocked: NONE,
            blocked: false,
            next_stalled: NONE,
            previous_stalled: NONE,
            stalled: false,
            moves: 0,
            queued: false,
            reporting: false,
            unreported: Events::NONE,
            announce: false,
            accepted: false,
            counted: false,
            indexed: false,
            released: false,
            internal: false,
            delivery: None,
            unreachable: false,
        }
    }
}

impl Default for StreamSlot {
    fn default() -> Self {
        Self::new()
    }
}

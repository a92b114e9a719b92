//! What is known about other nodes: whom we trust, who asks, what we recently decided, what we already heard.

use super::book::Entry;
use super::message::{Kind, Text};
use crate::time::Instant;

/// A node we trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// Its id.
    pub node: u32,
    /// The Ed25519 key trust is bound to. `None` until the registry or a key exchange has told it, which happens
    /// only after a handshake through the relay.
    pub key: Option<[u8; 32]>,
    /// Since when: Unix seconds.
    pub approved_at: i64,
    /// Whether both sides asked, or the other side accepted what we asked.
    pub mutual: bool,
    /// The shared network that caused the approval; 0 if none did.
    pub network: u16,
}

impl Trusted {
    /// An unused slot.
    pub const EMPTY: Trusted = Trusted { node: 0, key: None, approved_at: 0, mutual: false, network: 0 };
}

/// A node that asks and has no answer yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub node: u32,
    /// The key that signed the request; `None` if it came through the relay.
    pub key: Option<[u8; 32]>,
    /// Why it asks. Control characters are removed.
    pub justification: Text,
    /// When: Unix seconds.
    pub received_at: i64,
    /// Whether a copy came through the relay, so that the answer goes there too.
    pub relayed: bool,
    /// Where it came from, see [`Peer::source`](super::Peer::source).
    pub(super) source: u64,
    pub(super) until: Instant,
}

impl Pending {
    /// An unused slot.
    pub const EMPTY: Pending = Pending {
        node: 0,
        key: None,
        justification: Text::new(),
        received_at: 0,
        relayed: false,
        source: 0,
        until: Instant::ORIGIN,
    };
}

/// What we recently decided about a node. There is one per node, so two of them can never contradict each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intent {
    /// The node's id.
    pub node: u32,
    /// What we decided.
    pub decision: Decision,
    /// Until when it counts: Unix seconds.
    pub until_unix: i64,
    pub(super) until: Instant,
    /// Asked while an earlier question was open, so that a no to that one may still be on its way.
    pub(super) again: bool,
}

impl Intent {
    /// An unused slot.
    pub const EMPTY: Intent = Intent {
        node: 0,
        decision: Decision::Revoked { drop_tunnel_at: None },
        until_unix: 0,
        until: Instant::ORIGIN,
        again: false,
    };
}

/// The decision of an [`Intent`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// We asked: only now does an accept count.
    Asked {
        /// Why.
        justification: Text,
    },
    /// We declined; the reason is kept until it is sent.
    Rejected {
        /// Why.
        reason: Text,
    },
    /// We revoked: nothing may trust the node again by itself.
    Revoked {
        /// When the tunnel is given up if the revocation has not been delivered before; `None` when that is done.
        drop_tunnel_at: Option<Instant>,
    },
}

impl Default for Decision {
    fn default() -> Self {
        Decision::Revoked { drop_tunnel_at: None }
    }
}

/// A message that was accepted. Its sender is the authenticated tunnel peer, so whoever makes two of its own messages
/// look alike only silences itself; a short hash of the texts is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(pub(super) Option<Heard>);

impl Seen {
    /// An unused slot.
    pub const EMPTY: Seen = Seen(None);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) node: u32,
    pub(super) kind: Kind,
    pub(super) timestamp: i64,
    pub(super) texts: u64,
    pub(super) until: Instant,
}

impl Entry for Trusted {
    fn node(&self) -> u32 {
        self.node
    }
}

impl Entry for Pending {
    fn node(&self) -> u32 {
        self.node
    }
}

impl Entry for Intent {
    fn node(&self) -> u32 {
        self.node
    }
}

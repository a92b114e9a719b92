//! What the trust machine wants done, and what it tells the operator.

use super::message::Kind;

/// One thing to do, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Make the lists durable before doing anything that follows.
    Persist,
    /// Deliver a message on a stream of its own to port 444; then report with
    /// [`Trust::handle_delivery`](super::Trust::handle_delivery).
    Send(Delivery),
    /// Hand the request to `to` in at the registry as well (`request_handshake`).
    RelayRequest {
        /// The node we ask.
        to: u32,
    },
    /// Hand the answer to `to` in at the registry (`respond_handshake`).
    RelayRespond {
        /// The node that asked.
        to: u32,
        /// Yes or no.
        accept: bool,
    },
    /// Tell the registry that we trust `node` (`report_trust`).
    Report {
        /// The node.
        node: u32,
    },
    /// Tell the registry that we no longer trust `node` (`revoke_trust`).
    RevokeAtRegistry {
        /// The node.
        node: u32,
    },
    /// Ask the registry for the node's key and tell it with [`Trust::key_learned`](super::Trust::key_learned).
    LookUpKey {
        /// The node.
        node: u32,
    },
    /// Forget the tunnel to `node`, keys and address.
    DropTunnel {
        /// The node.
        node: u32,
    },
    /// Tell the operator.
    Event(TrustEvent),
}

/// A message to deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The receiver.
    pub to: u32,
    /// Which message.
    pub kind: Kind,
    /// Whether the answer must go through the relay if it cannot be delivered directly.
    pub(super) relay_on_failure: bool,
}

/// Why trust came about without the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AutoReason {
    /// Both sides asked.
    Mutual,
    /// Both are members of one network.
    SameNetwork,
    /// The operator has switched automatic approval on.
    Flag,
}

impl AutoReason {
    /// The word the operator's programs know.
    pub const fn as_str(self) -> &'static str {
        match self {
            AutoReason::Mutual => "mutual",
            AutoReason::SameNetwork => "same_network",
            AutoReason::Flag => "auto_approve",
        }
    }
}

/// Something the operator should know about one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrustEvent {
    /// It asks; its words are [`Trust::last_justification`](super::Trust::last_justification).
    Received(u32),
    /// Its request waits for the operator; its words are in the pending list.
    Pending(u32),
    /// It is trusted without the operator.
    AutoApproved(u32, AutoReason),
    /// The operator approved it.
    Approved(u32),
    /// The operator declined.
    Rejected(u32),
    /// The operator revoked its trust, or we left the network it rested on.
    Revoked(u32),
    /// It revoked ours.
    RevokedByPeer(u32),
    /// It accepted what we asked.
    Accepted(u32),
    /// It declined what we asked.
    RejectedByPeer(u32),
    /// It did not answer what we asked.
    Unanswered(u32),
    /// Its id now belongs to another key: no longer trusted until approved anew.
    KeyChanged(u32),
}

impl TrustEvent {
    /// The name in webhook messages.
    pub const fn name(self) -> &'static str {
        match self {
            TrustEvent::Received(_) => "handshake.received",
            TrustEvent::Pending(_) => "handshake.pending",
            TrustEvent::AutoApproved(..) => "handshake.auto_approved",
            TrustEvent::Approved(_) => "handshake.approved",
            TrustEvent::Rejected(_) => "handshake.rejected",
            TrustEvent::Revoked(_) => "trust.revoked",
            TrustEvent::RevokedByPeer(_) => "trust.revoked_by_peer",
            TrustEvent::Accepted(_) => "handshake.accepted",
            TrustEvent::RejectedByPeer(_) => "handshake.rejected_by_peer",
            TrustEvent::Unanswered(_) => "handshake.unanswered",
            TrustEvent::KeyChanged(_) => "trust.key_changed",
        }
    }

    /// Whom it is about.
    pub const fn node(self) -> u32 {
        match self {
            TrustEvent::Received(node)
            | TrustEvent::Pending(node)
            | TrustEvent::AutoApproved(node, _)
            | TrustEvent::Approved(node)
            | TrustEvent::Rejected(node)
            | TrustEvent::Revoked(node)
            | TrustEvent::RevokedByPeer(node)
            | TrustEvent::Accepted(node)
            | TrustEvent::RejectedByPeer(node)
            | TrustEvent::Unanswered(node)
            | TrustEvent::KeyChanged(node) => node,
        }
    }

    /// Whether the node is trusted from now on.
    pub const fn is_gain(self) -> bool {
        matches!(self, TrustEvent::AutoApproved(..) | TrustEvent::Approved(_) | TrustEvent::Accepted(_))
    }
}

//! What a node tells its owner, what it asks, and how it is answered.

use core::net::SocketAddr;

use crate::{
    addr::SockAddr,
    stream::CloseReason,
    trust::{Refused, TrustEvent},
    wire::frame::FrameError,
};

/// A stream of this node. Ids are not reused until 2³² streams have lived in the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub(crate) slot: u32,
    pub(crate) generation: u32,
}

/// Something the node cannot know itself. It parks a bounded amount of work until the answer comes, and asks again
/// when that takes too long; an answer nobody waits for is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Where is this node, and what is its key? Answered by [`Answer::Located`] or [`Answer::NotLocated`].
    Locate {
        /// The node.
        node: u32,
    },
    /// What is this node's Ed25519 key? Answered by [`Answer::Key`].
    Key {
        /// The node.
        node: u32,
    },
    /// May this node open streams and send datagrams to us although it is not on the local trust list (a shared
    /// network, or a pair the registry knows)? Answered by [`Answer::MayTalk`].
    MayTalk {
        /// The node.
        node: u32,
    },
}

/// The answer to a [`Question`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// Where the node is.
    Located {
        /// The node.
        node: u32,
        /// Addresses to try, best first.
        candidates: &'a [SocketAddr],
        /// Its Ed25519 key, if the answer brings it.
        key: Option<[u8; 32]>,
        /// It can only be reached through the beacon.
        relay_only: bool,
    },
    /// The node cannot be located: unknown, or we may not know. Streams being opened to it end with
    /// [`Event::Unreachable`].
    NotLocated {
        /// The node.
        node: u32,
    },
    /// The node's key; `None` if it has none or nobody knows.
    Key {
        /// The node.
        node: u32,
        /// Its Ed25519 key.
        key: Option<[u8; 32]>,
    },
    /// Whether the node may talk to us.
    MayTalk {
        /// The node.
        node: u32,
        /// The verdict, remembered for a short time.
        allowed: bool,
    },
}

/// Something to tell the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustErrand {
    /// Hand in our request to a node; its words are [`crate::trust::Trust::asked`].
    Request {
        /// The node.
        to: u32,
    },
    /// Hand in our answer to a node's relayed request.
    Respond {
        /// The node.
        to: u32,
        /// Yes or no.
        accept: bool,
    },
    /// We trust this node.
    Report {
        /// The node.
        node: u32,
    },
    /// We trust this node no longer.
    Revoke {
        /// The node.
        node: u32,
    },
}

/// What the owner should know, or must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Please find out, and answer with [`Node::handle_answer`](super::Node::handle_answer).
    Ask(Question),
    /// A peer opened a stream to a port on which we listen.
    Incoming {
        /// The new stream.
        stream: StreamId,
        /// Our port.
        port: u16,
        /// The peer's address and port.
        remote: SockAddr,
    },
    /// A stream we opened is established.
    Connected {
        /// Which.
        stream: StreamId,
    },
    /// A stream has bytes, or its end, to read.
    Readable {
        /// Which.
        stream: StreamId,
    },
    /// A stream that had no room for a write has room again.
    Writable {
        /// Which.
        stream: StreamId,
    },
    /// A stream is over. What had arrived can still be read until [`Node::release`](super::Node::release).
    Closed {
        /// Which.
        stream: StreamId,
        /// Why.
        reason: CloseReason,
    },
    /// The node a stream was to be opened to cannot be located; the stream is over.
    Unreachable {
        /// Which.
        stream: StreamId,
    },
    /// Datagrams wait in [`Node::read_datagram`](super::Node::read_datagram).
    Datagrams,
    /// Something about trust happened.
    Trust(TrustEvent),
    /// The trust lists have changed: make [`Node::with_trust`](super::Node::with_trust) durable.
    PersistTrust,
    /// Tell the registry something about trust.
    Errand(TrustErrand),
    /// A handshake message was not accepted.
    HandshakeRefused {
        /// Who sent it.
        node: u32,
        /// Why.
        reason: Refused,
    },
    /// The beacon sees us at a new address.
    PublicAddress(SocketAddr),
    /// The beacon says that handshake mail waits at the registry.
    Mail,
    /// Keys were agreed with a peer.
    TunnelUp {
        /// The peer.
        node: u32,
        /// Over the relay.
        relay: bool,
        /// Its X25519 key differs from the one before.
        rekeyed: bool,
    },
    /// Traffic to a peer has moved.
    PathChanged {
        /// The peer.
        node: u32,
        /// Now over the relay (true) or direct (false).
        relay: bool,
    },
    /// A stream or datagram was refused because its sender is not trusted.
    Rejected {
        /// The sender.
        from: SockAddr,
        /// The port it wanted.
        port: u16,
        /// A datagram rather than a stream.
        datagram: bool,
    },
    /// Stream requests arrive faster than the configured rate.
    RateLimited {
        /// Whose request was dropped.
        from: SockAddr,
    },
    /// A sealed frame came twice.
    Replay {
        /// The peer.
        node: u32,
        /// The repeated counter.
        counter: u64,
    },
    /// A datagram made no sense. Not said of every one when many come.
    Malformed {
        /// Where it came from.
        from: SocketAddr,
        /// What was wrong with it.
        problem: FrameError,
    },
    /// A key exchange did not match the key the registry vouches for.
    Impostor {
        /// The node it claimed to be.
        node: u32,
    },
}

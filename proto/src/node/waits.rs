//! What a node waits for, and for whom: for whoever wants to explain why something does not finish. Nothing is kept for it;
//! looking changes nothing.

use super::{Memory, Node, admission::Verdict, open, peer::Asked, peer::NONE};
use crate::{
    crypto::Crypto,
    node::StreamInfo,
    rng::Rng,
    stream::{Hold, State},
    time::Instant,
    trust::Decision,
};

/// Something that is due from a peer, from the owner of the node, or from a person.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait {
    /// The node it is about.
    pub node: u32,
    /// What is due.
    pub what: Due,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Due {
    /// The owner's answer to [`Question::Locate`](super::Question::Locate).
    Location {
        /// When it was asked.
        asked: Instant,
    },
    /// The owner's answer to [`Question::Key`](super::Question::Key).
    Key {
        /// When it was asked.
        asked: Instant,
    },
    /// The owner's answer to [`Question::MayTalk`](super::Question::MayTalk).
    Verdict {
        /// When it was asked.
        asked: Instant,
    },
    /// The peer's answer to our key exchange.
    Exchange {
        /// Exchanges sent since the peer last answered one.
        sent: u8,
        /// When the next one goes; `None`: they were given up.
        next: Option<Instant>,
    },
    /// A way to the peer: neither an address nor a relay is known.
    Path,
    /// Keys, for a stream that waits for them.
    Keys {
        /// The stream.
        stream: StreamInfo,
    },
    /// What a stream with keys waits for.
    Stream {
        /// The stream.
        stream: StreamInfo,
        /// What for.
        hold: Hold,
    },
    /// The other node's answer to our trust request.
    Consent,
    /// Our operator's answer to the other node's trust request.
    Decision {
        /// When it came: Unix seconds.
        received_at: i64,
    },
}

impl<M: Memory<C>, C: Crypto, R: Rng> Node<M, C, R> {
    /// Tells everything this node waits for: questions and exchanges by peer, then streams, then trust.
    pub fn waits(&mut self, mut tell: impl FnMut(Wait)) {
        let relay = self.core.beacon.address().is_some();
        let (peers, streams) = (self.core.peer_free.high_water(), self.core.stream_free.high_water());
        let parts = self.memory.parts();
        for peer in parts.peers.iter().take(peers).filter(|peer| peer.node != 0) {
            let mut due = |what| tell(Wait { node: peer.node, what });
            if let Asked::At(asked) = peer.locate {
                due(Due::Location { asked });
            }
            if let Asked::At(asked) = peer.key_asked {
                due(Due::Key { asked });
            }
            if let (Verdict::Asked(asked), true) = (peer.verdict, peer.parked_syn.is_some()) {
                due(Due::Verdict { asked });
            }
            let wanted = peer.blocked != NONE;
            if wanted && peer.path.route(relay).is_none() {
                due(Due::Path);
            }
            let without = wanted && !peer.tunnel.is_ready();
            if self.config.encrypt && (without || peer.tunnel.is_exchanging()) {
                let next = peer.tunnel.next_exchange().filter(|_| peer.tunnel.is_exchanging());
                due(Due::Exchange { sent: peer.attempts, next });
            }
        }
        for (slot, row) in (0u32..).zip(parts.streams.iter().take(streams)) {
            let (Some(stream), Some(machine)) = (open::info(slot, row), &row.stream) else { continue };
            let mut due = |what| tell(Wait { node: row.remote.addr.node, what });
            match machine.holds() {
                _ if row.blocked && stream.state != State::Closed => due(Due::Keys { stream }),
                holds => {
                    holds.into_iter().flatten().for_each(|hold| due(Due::Stream { stream, hold }));
                }
            }
        }
        for intent in self.intents().filter(|intent| matches!(intent.decision, Decision::Asked { .. })) {
            tell(Wait { node: intent.node, what: Due::Consent });
        }
        for pending in self.pending() {
            tell(Wait { node: pending.node, what: Due::Decision { received_at: pending.received_at } });
        }
    }
}

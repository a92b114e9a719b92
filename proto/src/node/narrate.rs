//! What a log tells of a node, line by line: the events that somebody looking for a fault would ask for.

use super::{Event, TrustErrand};
use crate::macros::say;

/// Tells an event that was handed to the owner or will be.
pub(super) fn narrate(event: &Event) {
    match event {
        Event::TunnelUp { node, relay, rekeyed } => {
            say!(info, "keys agreed with node {}: relay {}, new key {}", *node, *relay, *rekeyed);
        }
        Event::PathChanged { node, relay } => say!(info, "node {}: path switched, relay {}", *node, *relay),
        Event::PublicAddress(address) => say!(info, "the beacon sees us at {}"; address),
        Event::Rejected { from, port, datagram } => {
            say!(info, "port {} closed to an untrusted peer: datagram {}, from {}", *port, *datagram; from);
        }
        Event::RateLimited { from } => say!(warn, "stream requests come too fast, one dropped from {}"; from),
        Event::Impostor { node } => {
            say!(warn, "key exchange refused: not the key the registry vouches for, node {}", *node);
        }
        Event::Replay { node, counter } => say!(warn, "node {}: frame {} came twice", *node, *counter),
        Event::Malformed { from, problem } => say!(debug, "datagram from {} dropped: {}"; from, problem),
        Event::HandshakeRefused { node, reason } => {
            say!(warn, "node {}: trust message refused: {}", *node; reason);
        }
        Event::Trust(event) => say!(info, "node {}: {}", event.node(), event.name()),
        Event::Errand(TrustErrand::Report { node }) => say!(debug, "node {}: trust reported", *node),
        Event::Closed { stream, reason } => say!(debug, "stream {} over: {}", stream.slot; reason),
        Event::Unreachable { stream } => say!(debug, "stream {} over: node cannot be located", stream.slot),
        Event::Ask(_)
        | Event::Incoming { .. }
        | Event::Connected { .. }
        | Event::Readable { .. }
        | Event::Writable { .. }
        | Event::Datagrams
        | Event::PersistTrust
        | Event::Errand(_)
        | Event::Mail => {}
    }
}

/// Tells that a table or queue had no room.
pub(super) fn full(what: &'static str) {
    say!(warn, "no room in the table of {}", what);
}

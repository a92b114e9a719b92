//! Trust messages as a correct implementation writes them, and how a peer comes to be trusted.

use super::bench::Bench;
use super::client::Client;
use super::peer::{PATIENCE, Peer};
use super::rendezvous::TARGET;
use super::wire::{ACK, FIN};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The port of trust messages.
pub(crate) const TRUST: u16 = 444;

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

/// A message of `peer` as a correct implementation writes it.
pub(crate) fn message(peer: &Peer, kind: &str, text: &str, timestamp: u64) -> Value {
    let signed = format!("handshake:{}:{TARGET}", peer.node);
    json!({
        "type": kind, "node_id": peer.node,
        "public_key": BASE64_STANDARD.encode(peer.identity.verifying_key().as_bytes()),
        "justification": text,
        "signature": BASE64_STANDARD.encode(peer.identity.sign(signed.as_bytes()).to_bytes()),
        "reason": "", "timestamp": timestamp,
    })
}

/// Sends a text on a stream of its own to port 444, as TRU-2 says.
pub(crate) fn deliver(peer: &mut Peer, local: u16, text: &[u8]) -> Result<(), String> {
    let mut conn = peer.connect(local, TRUST, 1)?;
    peer.write(&mut conn, text)?;
    let at = conn;
    peer.expect("acknowledgment of the message", |p| {
        at.is_for(p) && p.has(ACK) && p.acknowledgment == at.next
    })?;
    peer.send(&conn.packet(peer, FIN))
}

/// Starts asking `peer` for trust and returns the message it gets, having taken its stream.
pub(crate) fn asked(bench: &mut Bench<'_>, peer: &mut Peer) -> Result<(Value, Client), String> {
    let mut client = bench.client()?;
    client.send(0x0F, &[&[1][..], &peer.node.to_be_bytes(), b"be my friend"].concat())?;
    let mut conn = peer.accept(TRUST, 9)?;
    let at = conn;
    let segment = peer.expect("request for trust", |p| at.is_for(p) && !p.payload.is_empty())?;
    conn.expected = conn.expected.wrapping_add(segment.payload.len() as u32);
    peer.send(&conn.packet(peer, ACK))?;
    let value =
        serde_json::from_slice(&segment.payload).map_err(|e| format!("the request is no JSON: {e}"))?;
    Ok((value, client))
}

/// Whether the target's list of this kind has the node.
pub(crate) fn lists(bench: &Bench<'_>, sub: u8, member: &str, node: u32) -> Result<bool, String> {
    let answer = bench.client()?.ask_json(0x0F, &[sub])?;
    Ok(answer[member].as_array().into_iter().flatten().any(|entry| entry["node_id"] == node))
}

/// Whether the target itself trusts the node, whatever the registry says.
pub(crate) fn is_trusted(bench: &Bench<'_>, node: u32) -> Result<bool, String> {
    lists(bench, 5, "trusted", node)
}

/// The target asks `peer` for trust and gets it, so that it trusts the peer by its own list. Its registry must have the
/// pair already: the accept has to pass the gate.
pub(crate) fn befriend(bench: &mut Bench<'_>, peer: &mut Peer) -> Result<(), String> {
    let (_, _client) = asked(bench, peer)?;
    let text = message(peer, "handshake_accept", "", now()).to_string();
    deliver(peer, 49_000, text.as_bytes())?;
    let node = peer.node;
    bench.until(PATIENCE, "the target trusts who was asked", || {
        is_trusted(bench, node).ok().filter(|trusted| *trusted).map(drop)
    })?;
    peer.drain().map(drop)
}

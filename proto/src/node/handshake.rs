//! Trust handshakes on port 444: carries messages between the trust machine and streams of the node's own.
//!
//! One message is one stream; an answer is a stream in the other direction. These streams are never shown to the
//! owner.

use super::{Ctx, Event, Memory, Node, StreamId, TrustErrand, admission::Verdict, inbound::is_open};
use crate::{
    addr::Addr,
    crypto::Crypto,
    path::Route,
    pool::Pool,
    port,
    rng::Rng,
    stream::{CloseReason, Events, State},
    time::{Duration, Instant},
    trust::{
        Action, Decision, Delivery, Intent, MESSAGE_MAX, Now, Peer, Pending, Refused, Requested, Storage,
        Trust, TrustError, Trusted, WRITTEN_MAX, is_complete,
    },
};

/// How long a handshake stream may stay silent before it is closed (the releases wait 10 s for the first segment).
pub(super) const IDLE: Duration = Duration::from_secs(15);

/// How long the parts of one message are collected once the stream is open.
const COLLECT: Duration = Duration::from_secs(10);

/// Joins the trust machine with its memory while other fields stay free.
macro_rules! trust {
    ($ctx:expr) => {
        Trust::new(
            &mut $ctx.core.trust,
            Storage {
                trusted: $ctx.parts.trusted,
                pending: $ctx.parts.pending,
                intents: $ctx.parts.intents,
                seen: $ctx.parts.seen,
            },
        )
    };
}

impl<M: Memory<C>, C: Crypto, R: Rng> Node<M, C, R> {
    /// Asks a node for trust, directly and through the registry at once.
    pub fn request_trust(
        &mut self,
        now: Instant,
        node: u32,
        justification: &str,
    ) -> Result<Requested, TrustError> {
        let mut ctx = self.ctx(now);
        let clock = ctx.clock();
        if let Some(slot) = ctx.find_peer(node)
            && let Some(peer) = ctx.peer(slot)
        {
            peer.contacted = Some(now);
        }
        trust!(ctx).request(clock, node, justification)
    }

    /// The operator's yes to a pending request.
    pub fn approve(&mut self, now: Instant, node: u32) -> Result<(), TrustError> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).approve(clock, node)
    }

    /// The operator's no to a pending request.
    pub fn reject(&mut self, now: Instant, node: u32, reason: &str) -> Result<(), TrustError> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).reject(clock, node, reason)
    }

    /// Ends trust in a node.
    pub fn revoke(&mut self, now: Instant, node: u32) -> Result<(), TrustError> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).revoke(clock, node)
    }

    /// Feeds a request that was collected at the registry. `network` is one that both share, or 0.
    pub fn handle_relayed_request(
        &mut self,
        now: Instant,
        node: u32,
        justification: &str,
        network: u16,
    ) -> Result<(), Refused> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).handle_relayed_request(clock, node, justification, network)
    }

    /// Feeds an answer that was collected at the registry.
    pub fn handle_relayed_response(&mut self, now: Instant, node: u32, accept: bool) -> Result<(), Refused> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).handle_relayed_response(clock, node, accept)
    }

    /// Puts back a trusted node from durable memory.
    pub fn restore_trusted(&mut self, record: Trusted) -> Result<(), TrustError> {
        let ctx = self.ctx(Instant::ORIGIN);
        trust!(ctx).restore_trusted(record)
    }

    /// Puts back a pending request from durable memory.
    pub fn restore_pending(
        &mut self,
        now: Instant,
        node: u32,
        key: Option<[u8; 32]>,
        justification: &str,
        received_at: i64,
    ) -> Result<(), TrustError> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).restore_pending(clock, node, key, justification, received_at)
    }

    /// Puts back an open request or recent decision from durable memory.
    pub fn restore_intent(
        &mut self,
        now: Instant,
        node: u32,
        decision: Decision,
        until_unix: i64,
    ) -> Result<(), TrustError> {
        let ctx = self.ctx(now);
        let clock = ctx.clock();
        trust!(ctx).restore_intent(clock, node, decision, until_unix)
    }

    /// Shows the trust lists.
    pub fn with_trust<T>(&mut self, look: impl FnOnce(&Trust<'_>) -> T) -> T {
        let ctx = self.ctx(Instant::ORIGIN);
        look(&trust!(ctx))
    }

    /// Nodes we trust, ascending by id.
    pub fn trusted(&mut self) -> impl Iterator<Item = Trusted> + '_ {
        let ctx = self.ctx(Instant::ORIGIN);
        let count = trust!(ctx).trusted().len();
        ctx.parts.trusted.iter().take(count).cloned()
    }

    /// Requests waiting for the operator, ascending by id.
    pub fn pending(&mut self) -> impl Iterator<Item = Pending> + '_ {
        let ctx = self.ctx(Instant::ORIGIN);
        let count = trust!(ctx).pending().len();
        ctx.parts.pending.iter().take(count).cloned()
    }

    /// Open requests and recent decisions, ascending by id.
    pub fn intents(&mut self) -> impl Iterator<Item = Intent> + '_ {
        let ctx = self.ctx(Instant::ORIGIN);
        let count = trust!(ctx).intents().len();
        ctx.parts.intents.iter().take(count).cloned()
    }
}

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    pub(super) fn clock(&self) -> Now {
        let micros = i64::try_from(self.now.as_micros()).unwrap_or(i64::MAX);
        let unix = self.core.wall_offset.saturating_add(micros).div_euclid(1_000_000);
        Now { instant: self.now, unix }
    }

    /// Is the node on the local list, under the key we know it by?
    pub(super) fn is_trusted(&self, node: u32) -> bool {
        let key =
            self.find_peer(node).and_then(|slot| self.parts.peers.get(slot as usize)).and_then(|p| p.key);
        self.core.trust.trusts(self.parts.trusted, node, key.as_ref())
    }

    /// The registry told a node's key.
    pub(super) fn trust_key_learned(&mut self, node: u32, key: &[u8; 32]) {
        let clock = self.clock();
        let _ = trust!(self).key_learned(clock, node, key);
    }

    pub(super) fn trust_timeout(&mut self) {
        let clock = self.clock();
        trust!(self).handle_timeout(clock);
    }

    /// Carries out what the trust machine wants until something is for the owner.
    pub(super) fn trust_event(&mut self) -> Option<Event> {
        while let Some(action) = trust!(self).poll_action() {
            match action {
                Action::Persist => return Some(Event::PersistTrust),
                Action::RelayRequest { to } => return Some(Event::Errand(TrustErrand::Request { to })),
                Action::RelayRespond { to, accept } => {
                    return Some(Event::Errand(TrustErrand::Respond { to, accept }));
                }
                Action::Report { node } => return Some(Event::Errand(TrustErrand::Report { node })),
                Action::RevokeAtRegistry { node } => {
                    return Some(Event::Errand(TrustErrand::Revoke { node }));
                }
                Action::LookUpKey { node } => return Some(Event::Ask(super::Question::Key { node })),
                Action::Event(event) => {
                    if let Some(slot) = self.find_peer(event.node())
                        && let Some(peer) = self.peer(slot)
                    {
                        peer.verdict = Verdict::Unknown;
                    }
                    return Some(Event::Trust(event));
                }
                Action::Send(delivery) => self.deliver(delivery),
                Action::DropTunnel { .. } if crate::planted!(RevokeLeavesOpen) => {}
                Action::DropTunnel { node } => self.drop_tunnel(node),
            }
        }
        None
    }

    fn deliver(&mut self, delivery: Delivery) {
        let to = Addr { network: 0, node: delivery.to };
        match self.connect(to, port::TRUST, true) {
            Ok(id) => {
                if let Some(row) = self.stream(id.slot) {
                    row.delivery = Some(delivery);
                }
            }
            Err(_) => {
                let _ = trust!(self).handle_delivery(delivery, false);
            }
        }
    }

    fn drop_tunnel(&mut self, node: u32) {
        let Some(slot) = self.find_peer(node) else { return };
        if let Some(peer) = self.peer(slot) {
            peer.tunnel = crate::tunnel::Tunnel::new();
            peer.exchange = None;
            peer.last_exchange = None;
            peer.verdict = Verdict::Unknown;
            peer.contacted = None;
        }
        self.after_peer(slot);
    }

    /// Something happened to a handshake stream.
    pub(super) fn internal_stream(&mut self, slot: u32) {
        let Some(row) = self.stream(slot) else { return };
        let id = StreamId { slot, generation: row.generation };
        let events = core::mem::replace(&mut row.unreported, Events::NONE);
        match row.delivery {
            Some(delivery) => self.outgoing_message(id, delivery, events),
            None if row.accepted => self.incoming_message(id, events),
            None => {}
        }
    }

    fn outgoing_message(&mut self, id: StreamId, delivery: Delivery, events: Events) {
        let now = self.now;
        if events.contains(Events::CONNECTED) {
            let clock = self.clock();
            let mut out = [0; WRITTEN_MAX];
            let (crypto, identity) = (self.crypto, self.identity);
            let sign = |text: &[u8]| identity.sign(crypto, text);
            if let Ok(len) = trust!(self).write_message(clock, delivery, identity.public(), sign, &mut out) {
                let _ = self.write(id, out.get(..len).unwrap_or_default());
            }
            if let Some(stream) = self.stream(id.slot).and_then(|row| row.stream.as_mut()) {
                stream.finish(now);
            }
            self.after_stream(id.slot);
        }
        if events.contains(Events::CLOSED) {
            let reason = self.stream(id.slot).and_then(|row| row.stream.as_ref()?.close_reason());
            if let Some(row) = self.stream(id.slot) {
                row.delivery = None;
            }
            let _ = trust!(self).handle_delivery(delivery, reason == Some(CloseReason::Clean));
            self.release(id);
        }
    }

    fn incoming_message(&mut self, id: StreamId, events: Events) {
        let now = self.now;
        let pool = Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        let row = self.parts.streams.get(id.slot as usize);
        let Some(stream) = row.and_then(|row| row.stream.as_ref()) else { return };
        let ended = stream.state() != State::Established;
        let late = stream.open_since().is_some_and(|since| now.since(since) >= COLLECT);
        if events.contains(Events::READABLE) || ended {
            let mut message = [0; MESSAGE_MAX];
            let len = stream.peek(&mut message, &pool);
            let text = message.get(..len).unwrap_or_default();
            if len > 0 && (ended || len == MESSAGE_MAX || is_complete(text)) {
                self.message(id.slot, text);
                self.release(id);
                return;
            }
        }
        if late || !is_open(stream) {
            self.release(id);
        }
    }

    fn message(&mut self, slot: u32, bytes: &[u8]) {
        let clock = self.clock();
        let Some(peer) = self.stream(slot).map(|row| row.peer) else { return };
        let Some(peer) = self.parts.peers.get(peer as usize) else { return };
        let source = match peer.answer_route {
            Some(Route::Direct(from)) => match from.ip() {
                core::net::IpAddr::V4(ip) => u64::from(ip.to_bits()),
                core::net::IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
            },
            _ => 0,
        };
        let key = peer.key;
        let peer = Peer { node: peer.node, key: key.as_ref(), source, network: 0 };
        let node = peer.node;
        let crypto = self.crypto;
        let result = trust!(self).handle_message(clock, peer, bytes, |key, text, signature| {
            crypto.ed25519_verify(key, text, signature).is_ok()
        });
        if let Err(reason) = result {
            self.notice(Event::HandshakeRefused { node, reason });
        }
    }
}

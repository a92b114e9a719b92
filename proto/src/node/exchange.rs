//! What is known of a peer and how it becomes known: questions, answers, key exchanges, verdicts, timers.

use super::{
    Answer, Ctx, Event, Question,
    admission::Verdict,
    peer::{Asked, NONE, ParkedExchange, SYN_BURST, SYN_RATE},
    peer_timer,
};
use crate::{
    addr::{Addr, SockAddr},
    crypto::{Crypto, same_key},
    path::{PROBE_PAYLOAD, Route, Suspicion},
    port,
    rng::Rng,
    slots::Free,
    stream::{Segment, State, Stream},
    time::{Duration, Instant, earliest},
    tunnel::KeyOutcome,
    wire::packet::{Flags, Header, Protocol},
};

/// How long the answer of a node we contacted is let in although it is not trusted (1.18.0: the same five minutes,
/// the same two ports).
const REPLY_WINDOW: Duration = Duration::from_secs(300);
/// How long a peer that says nothing is still sent keepalives.
const KEEPALIVE_WHILE: Duration = Duration::from_secs(300);

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    // --- answers -------------------------------------------------------------------------------------------------

    pub(super) fn answer(&mut self, answer: Answer<'_>) {
        let (now, encrypt) = (self.now, self.config.encrypt);
        match answer {
            Answer::Located { node, candidates, key, relay_only } => {
                let Some(slot) = self.find_peer(node) else { return };
                let Some(peer) = self.peer(slot) else { return };
                peer.locate = Asked::Answered(now);
                peer.relay_only = relay_only;
                if !relay_only {
                    peer.path.clear_candidates();
                    for candidate in candidates {
                        peer.path.add_candidate(*candidate);
                    }
                    peer.path.on_located(now);
                }
                if encrypt && !peer.tunnel.is_ready() {
                    peer.tunnel.want(now);
                }
                if !relay_only {
                    self.core.beacon.request_punch(now, node);
                }
                if let Some(key) = key {
                    self.trust_key_learned(node, &key);
                    self.key_known(slot, Some(key));
                }
                if !encrypt {
                    self.unblock(slot);
                }
                self.after_peer(slot);
            }
            Answer::NotLocated { node } => {
                let Some(slot) = self.find_peer(node) else { return };
                if let Some(peer) = self.peer(slot) {
                    peer.locate = Asked::Failed(now);
                    if !peer.path.is_lost() || peer.path.last_received().is_some() {
                        return;
                    }
                }
                self.fail_blocked(slot);
            }
            Answer::Key { node, key } => {
                if let Some(key) = &key {
                    self.trust_key_learned(node, key);
                }
                if let Some(slot) = self.find_peer(node) {
                    self.key_known(slot, key);
                    self.after_peer(slot);
                }
            }
            Answer::MayTalk { node, allowed } => {
                let Some(slot) = self.find_peer(node) else { return };
                let Some(peer) = self.peer(slot) else { return };
                peer.verdict = if allowed { Verdict::Allowed(now) } else { Verdict::Denied(now) };
                if let Some(syn) = peer.parked_syn.take() {
                    self.stream_request(slot, &syn);
                }
            }
        }
    }

    fn ask(&mut self, question: Question) {
        self.notice(Event::Ask(question));
    }

    pub(super) fn ask_key(&mut self, slot: u32) {
        let (now, registered) = (self.now, self.core.registered);
        let Some(peer) = self.peer(slot).filter(|peer| peer.key_asked.may_ask(now, registered)) else {
            return;
        };
        peer.key_asked = Asked::At(now);
        let node = peer.node;
        self.ask(Question::Key { node });
    }

    pub(super) fn ask_location(&mut self, slot: u32) {
        let (now, registered) = (self.now, self.core.registered);
        let Some(peer) = self.peer(slot).filter(|peer| peer.locate.may_ask(now, registered)) else { return };
        peer.locate = Asked::At(now);
        let node = peer.node;
        self.ask(Question::Locate { node });
    }

    fn key_known(&mut self, slot: u32, key: Option<[u8; 32]>) {
        let now = self.now;
        let Some(peer) = self.peer(slot) else { return };
        peer.key_asked = if key.is_some() { Asked::Answered(now) } else { Asked::Failed(now) };
        let Some(key) = key else {
            // Without a vouched key nothing is installed: no fallback to an unauthenticated tunnel (hazard 02-D11).
            peer.parked = None;
            return;
        };
        let node = peer.node;
        peer.key = Some(key);
        if let Some(parked) = peer.parked.take() {
            if same_key(&key, &parked.ed25519) {
                self.accept_exchange(slot, &parked);
            } else {
                self.core.counters.forged += 1;
                self.notice(Event::Impostor { node });
            }
        }
    }

    /// The exchange is signed with the key the registry vouches for.
    pub(super) fn accept_exchange(&mut self, slot: u32, exchange: &ParkedExchange) {
        let now = self.now;
        let Some(peer) = self.parts.peers.get_mut(slot as usize) else { return };
        peer.answer_route = Some(exchange.route);
        peer.path.on_exchange(now, exchange.route);
        if crate::planted!(ExchangeMoves) {
            peer.path.on_authenticated(now, exchange.route, true, false);
        }
        let rekeyed = peer.tunnel.is_ready();
        let outcome = peer.tunnel.handle_key(now, &exchange.x25519, true, self.crypto, self.rng);
        let (node, relay) = (peer.node, peer.path.is_relayed());
        match outcome {
            KeyOutcome::Answered => {
                peer.attempts = 0;
                peer.relay_copy = None;
                peer.path.on_round_trip(peer.tunnel.round_trip_most());
                self.notice(Event::TunnelUp { node, relay, rekeyed });
                self.prove_key(slot);
            }
            KeyOutcome::Begun => self.notice(Event::TunnelUp { node, relay, rekeyed }),
            KeyOutcome::Copy | KeyOutcome::Repeated | KeyOutcome::Weak | KeyOutcome::Downgrade => {}
        }
        // Met through the relay, by a peer that may not be able to reach us: then we try to reach it.
        if self
            .peer(slot)
            .is_some_and(|peer| peer.path.is_relayed() && peer.path.is_lost() && !peer.relay_only)
        {
            self.ask_location(slot);
        }
        self.unblock(slot);
    }

    /// The first sealed packet is what tells the peer that the new key works: a keepalive, unless a stream waits.
    pub(super) fn prove_key(&mut self, slot: u32) {
        if self.peer(slot).is_some_and(|peer| peer.blocked == NONE) {
            let alive = self.control(0, 0, 0);
            self.queue_packet(slot, &alive, &[], None);
        }
    }

    // --- what waits for a peer -----------------------------------------------------------------------------------

    /// The tunnel can carry frames: everything that waited for it goes on.
    pub(super) fn unblock(&mut self, slot: u32) {
        if !self.tunnel_ready(slot) {
            return;
        }
        let Some(peer) = self.peer(slot) else { return };
        let mut next = core::mem::replace(&mut peer.blocked, NONE);
        while let Some(row) = self.stream(next) {
            row.blocked = false;
            let slot = next;
            next = core::mem::replace(&mut row.next_blocked, NONE);
            self.stream_ready(slot);
        }
        self.core.packets_due = self.core.packets.len();
    }

    /// Ends every stream that waits for a peer which cannot be found.
    fn fail_blocked(&mut self, slot: u32) {
        let Some(peer) = self.peer(slot) else { return };
        let mut next = core::mem::replace(&mut peer.blocked, NONE);
        while let Some(row) = self.stream(next) {
            let slot = next;
            row.blocked = false;
            row.unreachable = true;
            next = core::mem::replace(&mut row.next_blocked, NONE);
            let now = self.now;
            let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
            if let Some(stream) =
                self.parts.streams.get_mut(slot as usize).and_then(|row| row.stream.as_mut())
            {
                stream.reset(now, &mut pool);
            }
            self.after_stream(slot);
        }
    }

    /// A stream that is over and let go has nothing to wait for at a peer without a tunnel: what it still had to say
    /// cannot be said.
    fn hush(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| row.blocked && row.released)
        else {
            return;
        };
        let Some(stream) = row.stream.as_mut().filter(|stream| stream.state() == State::Closed) else {
            return;
        };
        let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        stream.release(&mut pool);
        row.blocked = false;
        let (peer, after) = (row.peer, core::mem::replace(&mut row.next_blocked, NONE));
        // Out of the list of those that wait: from the peer, or from the stream in front.
        let Some(peer) = self.parts.peers.get_mut(peer as usize) else { return };
        if peer.blocked == slot {
            peer.blocked = after;
            return;
        }
        let mut at = peer.blocked;
        while let Some(row) = self.parts.streams.get_mut(at as usize) {
            if row.next_blocked == slot {
                row.next_blocked = after;
                return;
            }
            at = row.next_blocked;
        }
    }

    /// Parks a stream until the tunnel to its peer is up, and sees to it that it comes up.
    pub(super) fn block(&mut self, stream: u32, peer: u32) {
        let (now, encrypt) = (self.now, self.config.encrypt);
        let Some(row) = self.parts.streams.get_mut(stream as usize) else { return };
        let Some(slot) = self.parts.peers.get_mut(peer as usize) else { return };
        if !row.blocked {
            row.blocked = true;
            row.next_blocked = core::mem::replace(&mut slot.blocked, stream);
        }
        if slot.path.is_lost() && slot.path.last_received().is_none() && !slot.relay_only {
            self.ask_location(peer);
        } else if let Some(slot) = self.peer(peer).filter(|_| encrypt) {
            slot.tunnel.want(now);
        }
        self.after_peer(peer);
        self.reap(stream);
    }

    // --- admission -----------------------------------------------------------------------------------------------

    /// May this peer open a stream to `port` (or send a datagram: `None`)? Asks the owner if nobody knows.
    pub(super) fn may_talk(&mut self, slot: u32, port: Option<u16>) -> Verdict {
        let now = self.now;
        let Some(node) = self.peer(slot).map(|peer| peer.node) else { return Verdict::Denied(now) };
        if self.config.public || self.is_trusted(node) || crate::planted!(TrustGateSkipped) {
            return Verdict::Allowed(now);
        }
        let Some(peer) = self.peer(slot) else { return Verdict::Denied(now) };
        let answers = [port::TRUST, port::DATA_EXCHANGE];
        if port.is_some_and(|port| answers.contains(&port))
            && peer.contacted.is_some_and(|at| now.since(at) < REPLY_WINDOW)
        {
            return Verdict::Allowed(now);
        }
        let verdict = peer.verdict.fresh(now);
        if verdict == Verdict::Unknown {
            peer.verdict = Verdict::Asked(now);
            self.ask(Question::MayTalk { node });
        }
        verdict
    }

    /// A peer wants to open a stream. The trust gate comes first and is silent, so that a private node shows strangers
    /// neither its ports nor that it is there (hazards 01-H16, 04-20, 08-8).
    pub(super) fn stream_request(&mut self, peer: u32, syn: &Header) {
        let now = self.now;
        let from = SockAddr { addr: syn.src, port: syn.src_port };
        match self.may_talk(peer, Some(syn.dst_port)) {
            Verdict::Allowed(_) => {}
            Verdict::Denied(_) => {
                self.notice(Event::Rejected { from, port: syn.dst_port, datagram: false });
                return;
            }
            Verdict::Asked(_) | Verdict::Unknown => {
                if let Some(peer) = self.peer(peer) {
                    peer.parked_syn = Some(*syn);
                }
                return;
            }
        }
        let Some(on_port) = self.listeners().get_mut(syn.dst_port).map(|listener| listener.open) else {
            self.send_reset(peer, syn);
            return;
        };
        // The source's own rate first: one node must not use up everybody's (hazard 04-22).
        let own = self.peer(peer).is_some_and(|peer| peer.syn_bucket.take(now, SYN_RATE, SYN_BURST));
        let all = own && self.core.syn_bucket.take(now, self.config.syn_rate, self.config.syn_rate);
        if !all && !crate::planted!(SynsUnlimited) {
            self.notice(Event::RateLimited { from });
            return;
        }
        if on_port >= self.config.max_streams_per_port || self.core.open_streams >= self.config.max_streams {
            self.send_reset(peer, syn);
            return;
        }
        let segment = Segment::from(syn);
        let mut config = self.stream_config(peer);
        if syn.dst_port == port::TRUST {
            config.idle_timeout = Some(super::handshake::IDLE);
        }
        let stream = Stream::accept(now, self.rng.u32(), &segment, &config);
        // Answers come from the address the peer dialled, or a reference dialler does not recognise them (01-H3).
        let local = Addr { network: syn.dst.network, node: self.core.id };
        if let Some(slot) = self.add_stream(stream, peer, local, syn.dst_port, from) {
            if let Some(row) = self.stream(slot) {
                row.announce = true;
                row.accepted = true;
                row.internal = syn.dst_port == port::TRUST;
            }
            if let Some(listener) = self.listeners().get_mut(syn.dst_port) {
                listener.open += 1;
            }
            self.after_stream(slot);
        } else {
            super::narrate::full("streams");
            self.send_reset(peer, syn);
        }
    }

    pub(super) fn stream_config(&mut self, peer: u32) -> crate::stream::Config {
        let mut config = self.config.stream;
        let local =
            self.peer(peer).and_then(|peer| peer.path.direct()).is_some_and(|to| to.ip().is_loopback());
        if local {
            let chunk = self.parts.bytes.len().checked_div(self.parts.chunks.len()).unwrap_or(0);
            config.mss = config.mss.max(self.config.local_mss).min(u16::try_from(chunk).unwrap_or(u16::MAX));
        }
        config
    }

    /// A row for a new stream; `None` if the table is full.
    pub(super) fn add_stream(
        &mut self,
        stream: Stream,
        peer: u32,
        local: Addr,
        local_port: u16,
        remote: SockAddr,
    ) -> Option<u32> {
        let slots = self.parts.streams.len();
        let (free, _, _) = Self::stream_lists(self.parts.stream_lists)?;
        let slot = Free::new(&mut self.core.stream_free, free).take(slots)?;
        let hash = Self::stream_hash(&self.core.stream_index, local_port, remote.addr.node, remote.port);
        let indexed = crate::table::Index::new(&mut self.core.stream_index, self.parts.stream_index)
            .insert(hash, slot)
            .is_ok();
        let row = self.parts.streams.get_mut(slot as usize)?;
        if !indexed {
            let (free, _, _) = Self::stream_lists(self.parts.stream_lists)?;
            Free::new(&mut self.core.stream_free, free).give(slot);
            self.core.counters.overflowed += 1;
            return None;
        }
        let generation = row.generation.wrapping_add(1);
        *row = super::StreamSlot::new();
        row.generation = generation;
        row.stream = Some(stream);
        row.local = local;
        row.local_port = local_port;
        row.remote = remote;
        row.peer = peer;
        row.counted = true;
        row.indexed = true;
        if let (Some(peer), Some(row)) =
            (self.parts.peers.get_mut(peer as usize), self.parts.streams.get_mut(slot as usize))
        {
            peer.streams += 1;
            row.moves = peer.moves;
        }
        self.core.open_streams += 1;
        Some(slot)
    }

    /// Frees the row of a stream that is over and that the owner has let go.
    pub(super) fn reap(&mut self, slot: u32) {
        let now = self.now;
        self.hush(slot);
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| row.released) else { return };
        if !row.stream.as_ref().is_some_and(|stream| stream.is_reapable(now)) {
            return;
        }
        if row.queued || row.reporting || row.blocked || crate::planted!(LeakedStream) {
            return;
        }
        self.unlink_stalled(slot);
        let Some(row) = self.parts.streams.get_mut(slot as usize) else { return };
        let Some(stream) = row.stream.as_mut() else { return };
        let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        stream.release(&mut pool);
        let peer = row.peer;
        self.unindex(slot);
        if let Some(row) = self.parts.streams.get_mut(slot as usize) {
            row.stream = None;
        }
        let _ = self.timers().set(super::stream_timer(slot), None);
        if let Some((free, _, _)) = Self::stream_lists(self.parts.stream_lists) {
            Free::new(&mut self.core.stream_free, free).give(slot);
        }
        if let Some(peer) = self.peer(peer) {
            peer.streams = peer.streams.saturating_sub(1);
        }
    }

    /// Takes a stream out of the index of ports.
    pub(super) fn unindex(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| row.indexed) else { return };
        row.indexed = false;
        let rows = &*self.parts.streams;
        let keys = self.core.stream_index.clone();
        let hash_of = |slot: u32| {
            rows.get(slot as usize).map_or(0, |row| {
                Self::stream_hash(&keys, row.local_port, row.remote.addr.node, row.remote.port)
            })
        };
        crate::table::Index::new(&mut self.core.stream_index, self.parts.stream_index).remove(
            hash_of(slot),
            slot,
            hash_of,
        );
    }

    pub(super) fn send_reset(&mut self, peer: u32, to: &Header) {
        let reset = Header {
            flags: Flags::RST,
            protocol: Protocol::Stream,
            src: Addr { network: to.dst.network, node: self.core.id },
            dst: to.src,
            src_port: to.dst_port,
            dst_port: to.src_port,
            seq: 0,
            ack: 0,
            window: 0,
        };
        self.queue_packet(peer, &reset, &[], None);
    }

    // --- timers of a peer ----------------------------------------------------------------------------------------

    /// Brings the timer and the send queue of a peer up to date after anything happened to it.
    pub(super) fn after_peer(&mut self, slot: u32) {
        let now = self.now;
        let Some(peer) = self.peer(slot) else { return };
        let sending = peer.queued
            || peer.tunnel.exchange_is_due(now)
            || peer.copy_due().is_some_and(|at| at <= now)
            || peer.talk.is_due(now)
            || peer.tunnel.renewal_is_due();
        // What is due now leaves with the next transmit, which asks again; a timer for it would only spin.
        let deadline = Self::peer_deadline(peer, now).filter(|at| *at > now || !sending);
        let deadline = earliest(deadline, peer.returning);
        let _ = self.timers().set(peer_timer(slot), deadline);
        if sending {
            self.peer_ready(slot);
        }
    }

    fn peer_deadline(peer: &super::PeerSlot<C>, now: Instant) -> Option<Instant> {
        let alive = peer.path.last_received().is_some_and(|at| now.since(at) < KEEPALIVE_WHILE);
        let keepalive = peer.path.keepalive_due().filter(|_| alive && peer.tunnel.is_ready());
        let deadline = earliest(peer.tunnel.poll_timeout(), earliest(peer.path.poll_timeout(), keepalive));
        let deadline = earliest(deadline, peer.talk.poll_timeout());
        earliest(deadline, peer.copy_due().filter(|at| *at > now))
    }

    pub(super) fn peer_timeout(&mut self, slot: u32) {
        let now = self.now;
        let relay = self.relay_available();
        let Some(peer) = self.peer(slot) else { return };
        peer.tunnel.handle_timeout(now);
        let (node, returning) = (peer.node, peer.returning);
        if let Some(suspicion) = peer.path.poll_suspicion(now, relay) {
            // The peer is silent: the path died, it moved, or it restarted. The relay, a fresh address and fresh keys
            // over every path mend one each.
            match suspicion {
                Suspicion::Moved => {
                    peer.moves = peer.moves.wrapping_add(1);
                    self.let_return(slot);
                    self.ping(slot, Some(Route::Relay));
                    self.notice(Event::PathChanged { node, relay: true });
                }
                Suspicion::Silent => peer.tunnel.renew(now),
            }
            self.core.beacon.request_punch(now, node);
            self.ask_location(slot);
        }
        if let Some(peer) = self.peer(slot)
            && peer.path.poll_ask(now)
        {
            if peer.path.is_relayed() {
                // The beacon passes on nothing to, or from, an address that it does not know.
                self.core.beacon.refresh(now);
            }
            self.ping(slot, None);
        }
        self.probe_path(slot);
        self.keepalive(slot);
        if returning.is_some_and(|at| at <= now) {
            self.wake_some(slot);
        }
        self.after_peer(slot);
    }

    /// Sends a ping over the direct path while the relay carries the traffic.
    fn probe_path(&mut self, slot: u32) {
        let now = self.now;
        let relay_only = self.config.relay_only;
        let Some(peer) = self.peer(slot) else { return };
        // The timer moves even when nothing can be sent, or it would only spin.
        let Some(address) = peer.path.poll_probe(now) else { return };
        let mute = peer.path.is_mute();
        if relay_only || !self.tunnel_ready(slot) {
            return;
        }
        self.ping(slot, Some(Route::Direct(address)));
        if mute && self.relay_available() {
            // Two: one for each key, should the tunnel try two.
            self.ping(slot, Some(Route::Relay));
            self.ping(slot, Some(Route::Relay));
        }
    }

    /// `None`: where traffic goes.
    fn ping(&mut self, slot: u32, route: Option<Route>) {
        let Some(node) = self.peer(slot).map(|peer| peer.node) else { return };
        let ping = self.control(node, super::FIRST_EPHEMERAL, probe_seq(self.now));
        self.queue_packet(slot, &ping, PROBE_PAYLOAD, route);
    }

    fn keepalive(&mut self, slot: u32) {
        let now = self.now;
        let Some(peer) = self.peer(slot) else { return };
        let alive = peer.path.last_received().is_some_and(|at| now.since(at) < KEEPALIVE_WHILE);
        if alive && peer.tunnel.is_ready() && peer.path.keepalive_due().is_some_and(|at| at <= now) {
            // The form of 1.12 and later: ports 0, nothing else; nobody answers it (April does, harmlessly).
            let alive = self.control(0, 0, 0);
            self.queue_packet(slot, &alive, &[], None);
            // Counted as sent at once, so that the timer moves even if the packet has to wait.
            if let Some(peer) = self.peer(slot) {
                peer.path.on_sent(now, false);
            }
        }
    }

    pub(super) fn control(&self, node: u32, src_port: u16, seq: u32) -> Header {
        Header {
            flags: Flags::NONE,
            protocol: Protocol::Control,
            src: self.own_addr(),
            dst: Addr { network: 0, node },
            src_port,
            dst_port: port::PING,
            seq,
            ack: 0,
            window: 0,
        }
    }
}

/// The sequence number of a probe is the time it is sent, in milliseconds: its answer brings it back, however many are
/// under way on a slow path.
const fn probe_seq(now: Instant) -> u32 {
    (now.as_micros() / 1000) as u32
}

/// When the probe with this sequence number was sent, if that was within the last 24 days.
pub(super) fn probe_sent(now: Instant, seq: u32) -> Option<Instant> {
    let ago = probe_seq(now).wrapping_sub(seq);
    if ago > u32::MAX / 2 {
        return None;
    }
    Some(now.saturating_sub(Duration::from_millis(u64::from(ago))))
}

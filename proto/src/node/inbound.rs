//! A datagram's way in: beacon message or tunnel frame → opened in place → packet → stream, datagram or control.

use core::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};

use super::{COMPLAINT_RATE, Ctx, EXCHANGE_BURST, EXCHANGE_RATE, Event, STRANGER_RATE, admission::Verdict};
use crate::{
    addr::{Addr, SockAddr},
    crypto::{Crypto, same_key},
    node::{
        exchange::probe_sent,
        peer::{OWN_SYN_BURST, OWN_SYN_GAP, PING_BURST, PING_RATE, ParkedExchange},
        stream_timer,
    },
    path::Route,
    port,
    ring::Ring,
    rng::Rng,
    stream::{Handled, Read, Segment, State, Stream},
    time::Duration,
    tunnel::OpenError,
    wire::{
        beacon::{Beacon, WAKE_HANDSHAKE},
        frame::{Datagram, Frame, FrameError, KeyAnonymous, KeyAuthenticated, Sealed, Suite},
        packet::{Flags, Header, Protocol},
    },
};

/// When a stream that may send but is not asked to (its tunnel or the driver's socket is not ready) is looked at again,
/// so that what it waits for besides, such as giving up, still happens.
const TRANSMIT_WAIT: Duration = Duration::from_millis(100);

/// How long after a punch command the key exchange goes to the punched address, should the tunnel not be up by then:
/// the peer's packet has opened its NAT meanwhile, and a peer in the same local network has been found there.
const PUNCHED_COPY_AFTER: Duration = Duration::from_millis(100);

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    pub(super) fn datagram(&mut self, from: SocketAddr, data: &mut [u8]) {
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        let len = data.len();
        // Only the configured beacon may speak as one (hazards 02-D12, 03-B7): anybody else could divert traffic.
        match Datagram::parse(data) {
            Ok(Datagram::Frame(frame)) => self.frame(Route::Direct(from), frame, len),
            Ok(Datagram::Beacon(message)) if self.speaks_as_beacon(from) => self.beacon_message(message),
            Ok(Datagram::Delivered { sender, frame }) if self.speaks_as_beacon(from) => {
                let len = frame.len();
                if let Ok(frame) = Frame::parse(frame)
                    && frame_sender(&frame).is_none_or(|claimed| claimed == sender)
                {
                    self.frame(Route::Relay, frame, len);
                }
            }
            Ok(_) => self.malformed(from, FrameError::BadBeacon),
            Err(problem) => self.malformed(from, problem),
        }
    }

    fn speaks_as_beacon(&self, from: SocketAddr) -> bool {
        self.core.beacon.is_beacon(from) || crate::planted!(BeaconOfAnybody)
    }

    fn malformed(&mut self, from: SocketAddr, problem: FrameError) {
        if self.core.complaints.take(self.now, COMPLAINT_RATE, COMPLAINT_RATE) {
            self.notice(Event::Malformed { from, problem });
        }
    }

    fn beacon_message(&mut self, message: Beacon<'_>) {
        let now = self.now;
        match message {
            Beacon::DiscoverReply { observed } => {
                if let Some(address) = self.core.beacon.on_observed(now, observed) {
                    self.notice(Event::PublicAddress(address));
                }
            }
            Beacon::Punch { peer: address } if !self.config.relay_only && !crate::planted!(PunchIgnored) => {
                let about = self.core.beacon.on_punch_command(now, address);
                if let Some(slot) = about.and_then(|node| self.find_peer(node)) {
                    if let Some(peer) = self.peer(slot) {
                        peer.path.add_candidate(address);
                        if !peer.tunnel.is_ready() {
                            peer.punched = Some((now + PUNCHED_COPY_AFTER, address));
                            peer.tunnel.renew(now);
                        }
                    }
                    self.after_peer(slot);
                }
            }
            Beacon::Wake { kind: WAKE_HANDSHAKE } => self.notice(Event::Mail),
            _ => {}
        }
    }

    fn frame(&mut self, route: Route, frame: Frame<'_>, len: usize) {
        if self.core.id == 0 {
            return;
        }
        match frame {
            Frame::Sealed(sealed)
                if self.config.encrypt
                    && (sealed.suite == Suite::Aes256Gcm || self.config.extensions.enabled) =>
            {
                self.sealed(route, sealed, len);
            }
            Frame::KeyAuthenticated(key) if self.config.encrypt => self.key_exchange(route, &key),
            Frame::KeyAnonymous(key) if self.config.encrypt => self.anonymous_exchange(route, &key),
            Frame::Plain { packet } if !self.config.encrypt || crate::planted!(PlaintextAccepted) => {
                self.plain(route, packet, len);
            }
            _ => {}
        }
    }

    // --- sealed and plain frames ---------------------------------------------------------------------------------

    fn sealed(&mut self, route: Route, sealed: Sealed<'_>, len: usize) {
        let now = self.now;
        let (sender, counter) = (sealed.sender, sealed.nonce.counter);
        if sender == self.core.id || sender == 0 {
            return;
        }
        let Some(slot) = self.find_sender(sender) else {
            // It believes in a tunnel that we do not have: we restarted, or it is lost. Our key exchange mends both.
            self.introduce_stranger(route, sender);
            return;
        };
        let Some(peer) = self.parts.peers.get_mut(slot as usize) else { return };
        let opened = match peer.tunnel.open(now, sealed, self.crypto) {
            Ok(opened) => opened,
            Err(OpenError::Replay(_)) => {
                self.notice(Event::Replay { node: sender, counter });
                self.after_peer(slot);
                return;
            }
            Err(_) => {
                // The tunnel has decided whether this calls for a key exchange.
                self.core.counters.forged += 1;
                self.remember_route(slot, route);
                self.after_peer(slot);
                return;
            }
        };
        let (newest, confirmed, session) = (opened.newest, opened.confirmed, opened.session);
        let packet = opened.packet;
        self.core.counters.packets_received += 1;
        self.core.counters.bytes_received += len as u64;
        let Ok((header, payload)) = Header::parse(packet) else { return };
        let probe = header.protocol == Protocol::Control;
        let Some(peer) = self.parts.peers.get_mut(slot as usize) else { return };
        peer.proved = true;
        peer.answer_route = Some(route);
        let newest = newest && !(crate::planted!(RoamingIgnored) && peer.path.last_received().is_some());
        let before = peer.path.last_received();
        let moved = peer.path.on_authenticated(now, route, newest, probe);
        if confirmed {
            peer.relay_copy = None;
            peer.attempts = 0;
            peer.path.on_round_trip(peer.tunnel.round_trip_most());
        }
        if moved {
            peer.moves = peer.moves.wrapping_add(1);
            let relay = peer.path.is_relayed();
            self.notice(Event::PathChanged { node: sender, relay });
        }
        // Hazards 01-H2, 02-D4: a tunnel speaks for its own node only, and to us only. Two keepalives of older
        // releases carry a zero address; they are alive signs and nothing else.
        if (header.src.node == sender || crate::planted!(SpoofedSource))
            && (header.dst.node == self.core.id || (probe && header.dst.node == 0))
        {
            let body = packet.get(payload.clone()).unwrap_or_default();
            if !self.extension_input(slot, session, &header, body) {
                self.packet(slot, route, &header, packet, payload);
            }
        }
        if confirmed {
            self.prove_key(slot);
            self.unblock(slot);
        }
        self.heard_again(slot, before, moved || confirmed);
        self.after_peer(slot);
    }

    /// Only reached when the operator switched encryption off.
    fn plain(&mut self, route: Route, packet: &mut [u8], len: usize) {
        let now = self.now;
        let Ok((header, payload)) = Header::parse(packet) else { return };
        if header.dst.node != self.core.id {
            return;
        }
        let Some(slot) = self.find_or_add_peer(header.src.node, true) else { return };
        self.core.counters.packets_received += 1;
        self.core.counters.bytes_received += len as u64;
        let probe = header.protocol == Protocol::Control;
        let (mut before, mut moved) = (None, false);
        if let Some(peer) = self.peer(slot) {
            peer.answer_route = Some(route);
            peer.path.on_exchange(now, route);
            before = peer.path.last_received();
            moved = peer.path.on_authenticated(now, route, true, probe);
            peer.moves = peer.moves.wrapping_add(moved.into());
            if peer.path.is_relayed() && peer.path.is_lost() && !peer.relay_only {
                self.ask_location(slot);
            }
        }
        self.packet(slot, route, &header, packet, payload);
        self.heard_again(slot, before, moved);
        self.after_peer(slot);
    }

    fn packet(&mut self, peer: u32, route: Route, header: &Header, packet: &[u8], payload: Range<usize>) {
        let payload = packet.get(payload).unwrap_or_default();
        match header.protocol {
            Protocol::Stream => self.stream_packet(peer, header, payload),
            Protocol::Datagram => self.datagram_packet(peer, header, payload),
            Protocol::Control => self.control_packet(peer, route, header, payload),
            Protocol::Other(_) => {}
        }
    }

    fn stream_packet(&mut self, peer: u32, header: &Header, payload: &[u8]) {
        let now = self.now;
        let segment = Segment::from(header);
        let found = self.find_stream(header.dst_port, header.src.node, header.src_port);
        let Some(slot) = found.or_else(|| self.stream_of_anybody(header)) else {
            if header.flags.contains(Flags::SYN) && !header.flags.contains(Flags::ACK) {
                self.stream_request(peer, header);
            } else if !payload.is_empty()
                && !header.flags.contains(Flags::RST)
                && !crate::planted!(StrayUnanswered)
            {
                // The peer sends into a stream we do not know (we restarted): end it there at once (01-H12). Replies
                // to data only, so that two nodes can never answer each other.
                self.send_reset(peer, header);
            }
            return;
        };
        let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        let Some(row) = self.parts.streams.get_mut(slot as usize) else { return };
        let (Some(stream), Some(peer_row)) = (&mut row.stream, self.parts.peers.get_mut(peer as usize))
        else {
            return;
        };
        if core::mem::replace(&mut row.moves, peer_row.moves) != peer_row.moves {
            stream.handle_path_change();
        }
        let handled = stream.handle_segment(now, &segment, payload, &mut pool);
        if let Some(took) = stream.round_trip() {
            peer_row.path.on_round_trip(took);
        }
        if !payload.is_empty() {
            peer_row.path.on_stream_bytes(now);
        }
        self.after_stream(slot);
        if handled == Handled::Superseded {
            // The peer has started anew on the same ports: its request is judged afresh.
            self.stream_request(peer, header);
        }
    }

    /// The stream on these ports, whoever its peer is: a bug planted on purpose.
    fn stream_of_anybody(&self, header: &Header) -> Option<u32> {
        if !crate::planted!(ResetOfAnybody) || !header.flags.contains(Flags::RST) {
            return None;
        }
        let ports = (header.dst_port, header.src_port);
        let at = self
            .parts
            .streams
            .iter()
            .position(|row| row.indexed && (row.local_port, row.remote.port) == ports);
        at.and_then(|at| u32::try_from(at).ok())
    }

    fn datagram_packet(&mut self, peer: u32, header: &Header, payload: &[u8]) {
        if payload.is_empty() && !crate::planted!(EmptyDatagram) {
            return;
        }
        let payload = payload.get(..1200).filter(|_| crate::planted!(DatagramCut)).unwrap_or(payload);
        let from = SockAddr { addr: header.src, port: header.src_port };
        match self.may_talk(peer, None) {
            Verdict::Allowed(_) => {}
            Verdict::Denied(_) => {
                self.notice(Event::Rejected { from, port: header.dst_port, datagram: true });
                return;
            }
            _ => return,
        }
        let mut ring = Ring::new(&mut self.core.datagrams, self.parts.datagrams);
        let head = datagram_record(from, header.dst_port);
        if ring.push(&[&head, payload]).is_err() {
            self.core.counters.overflowed += 1;
        }
        if !self.core.datagrams_reported {
            self.core.datagrams_reported = true;
            self.notice(Event::Datagrams);
        }
    }

    /// Pings are answered, answers never (hazard 01-H4): only what has no ACK, comes from a port and is meant for us.
    fn control_packet(&mut self, slot: u32, route: Route, header: &Header, payload: &[u8]) {
        let now = self.now;
        // A ping from port 0 without payload is a keepalive. With payload it is the path probe of 1.18.0, which resets
        // the path when nobody answers.
        let storm = crate::planted!(PingStorm);
        if !header.flags.contains(Flags::ACK) || storm {
            let is_ping = header.src_port != 0 || !payload.is_empty();
            let is_ping = header.dst_port == port::PING && header.dst.node == self.core.id && is_ping;
            if storm
                || is_ping && crate::planted!(PingsUnlimited)
                || is_ping
                    && self.peer(slot).is_some_and(|peer| peer.ping_bucket.take(now, PING_RATE, PING_BURST))
            {
                let pong = Header {
                    flags: Flags::ACK,
                    protocol: Protocol::Control,
                    src: self.own_addr(),
                    dst: header.src,
                    src_port: port::PING,
                    dst_port: header.src_port,
                    seq: header.seq,
                    ack: header.seq.wrapping_add(1),
                    window: 0,
                };
                self.queue_packet(slot, &pong, payload, Some(route));
            }
            return;
        }
        let Some(peer) = self.peer(slot) else { return };
        if let (Route::Direct(_), Some(sent)) = (route, probe_sent(now, header.seq)) {
            let node = peer.node;
            if peer.path.on_probe_answered(now, sent) {
                peer.moves = peer.moves.wrapping_add(1);
                self.let_return(slot);
                self.notice(Event::PathChanged { node, relay: false });
            }
        }
    }

    // --- key exchange --------------------------------------------------------------------------------------------

    /// Key exchanges are the only expensive thing a stranger can ask for.
    fn exchange_allowed(&mut self, route: Route, sender: u32) -> bool {
        let hash = match route {
            Route::Direct(from) => match from.ip() {
                IpAddr::V4(ip) => self.core.peer_index.hash([u64::from(ip.to_bits()), 4]),
                IpAddr::V6(ip) => self.core.peer_index.hash([(ip.to_bits() >> 64) as u64, 6]),
            },
            Route::Relay => self.core.peer_index.hash([u64::from(sender), 0]),
        };
        self.core.exchange_sources.take(self.now, hash, EXCHANGE_RATE, EXCHANGE_BURST)
            || crate::planted!(ExchangesUnlimited)
    }

    fn key_exchange(&mut self, route: Route, key: &KeyAuthenticated) {
        if key.sender == self.core.id || key.sender == 0 || !self.exchange_allowed(route, key.sender) {
            return;
        }
        // Nothing is kept of a frame that is not even signed by the key it shows.
        if key.verify(&key.ed25519, self.crypto).is_err() && !crate::planted!(ForgedKeyAccepted) {
            self.core.counters.forged += 1;
            return;
        }
        let Some(slot) = self.find_or_add_peer(key.sender, true) else { return };
        let Some(peer) = self.peer(slot) else { return };
        let parked = ParkedExchange { x25519: key.x25519, ed25519: key.ed25519, route };
        match peer.key {
            Some(known) if same_key(&known, &key.ed25519) || crate::planted!(ForgedKeyAccepted) => {
                self.accept_exchange(slot, &parked)
            }
            // No key yet, or another one than before: only the registry can say (02 rules 11, hazard D1).
            _ => {
                peer.parked = Some(parked);
                self.ask_key(slot);
            }
        }
        self.after_peer(slot);
    }

    /// An anonymous key proves nothing (hazard 02-D11): we answer with our authenticated one and install nothing.
    fn anonymous_exchange(&mut self, route: Route, key: &KeyAnonymous) {
        let sender = key.sender;
        if crate::planted!(AnonymousAccepted)
            && let Some(slot) = self.find_or_add_peer(sender, true)
        {
            let exchange = ParkedExchange { x25519: key.x25519, ed25519: [0; 32], route };
            self.accept_exchange(slot, &exchange);
            return self.after_peer(slot);
        }
        if sender != self.core.id && self.exchange_allowed(route, sender) {
            self.introduce_stranger(route, sender);
        }
    }

    /// Sends our key exchange to a node that evidently lacks our key, within the rate for strangers.
    fn introduce_stranger(&mut self, route: Route, sender: u32) {
        let now = self.now;
        if !self.core.strangers.take(now, STRANGER_RATE, STRANGER_RATE)
            && !crate::planted!(StrangersUnlimited)
        {
            return;
        }
        let Some(slot) = self.find_or_add_peer(sender, true) else { return };
        self.remember_route(slot, route);
        if let Some(peer) = self.peer(slot) {
            peer.tunnel.answer(now);
        }
        self.after_peer(slot);
    }

    /// Remembers where an unauthenticated frame came from as one more place to send our key to, as long as there is
    /// no tunnel that works.
    fn remember_route(&mut self, slot: u32, route: Route) {
        let Some(peer) = self.peer(slot).filter(|peer| !peer.tunnel.is_confirmed()) else { return };
        if let Route::Direct(address) = route {
            peer.path.add_candidate(address);
        }
        peer.answer_route = Some(route);
    }

    /// Brings timers, queues and reports of a stream up to date after anything happened to it.
    pub(super) fn after_stream(&mut self, slot: u32) {
        let now = self.now;
        let Some(row) = self.parts.streams.get_mut(slot as usize) else { return };
        let Some(stream) = row.stream.as_mut() else { return };
        if row.released && stream.peek_len() > 0 {
            // Nobody will read it; as long as it stays, the window is shut and the peer cannot finish.
            let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
            let mut nowhere = [0; 1024];
            while let Ok(Read::Bytes(_)) = stream.read(now, &mut nowhere, &mut pool) {}
        }
        if stream.wants_turn()
            && let Some(peer) = self.parts.peers.get_mut(row.peer as usize)
        {
            match peer.syn_turns.take(now, OWN_SYN_GAP, OWN_SYN_BURST) {
                Ok(turn) => stream.pace_syn(now, turn),
                Err(later) => stream.put_syn_off(later),
            }
        }
        let events = stream.take_events();
        row.unreported |= events;
        let over = stream.state() == State::Closed;
        let (report, wants, deadline) =
            (!row.unreported.is_empty(), stream.wants_transmit(now), stream.poll_timeout());
        let (internal, accepted, port) = (row.internal, row.accepted, row.local_port);
        if row.counted && !is_open(stream) {
            row.counted = false;
            self.core.open_streams = self.core.open_streams.saturating_sub(1);
            if let Some(listener) = self.listeners().get_mut(port).filter(|_| accepted) {
                listener.open = listener.open.saturating_sub(1);
            }
        }
        // What is due already waits for a transmit, not for time. Asked for again it would never end the timeout.
        let deadline = deadline.map(|at| if at <= now { now + TRANSMIT_WAIT } else { at });
        let _ = self.timers().set(stream_timer(slot), deadline);
        if wants {
            self.stream_ready(slot);
        }
        if over {
            // Whoever still holds it may read on; the ports are free for a new stream.
            self.unindex(slot);
        }
        if internal {
            self.internal_stream(slot);
        } else if report {
            self.report(slot);
        }
        self.reap(slot);
    }

    pub(super) fn stream_timeout(&mut self, slot: u32) {
        let now = self.now;
        let mut pool = crate::pool::Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        if let Some(stream) = self.parts.streams.get_mut(slot as usize).and_then(|row| row.stream.as_mut()) {
            stream.handle_timeout(now, &mut pool);
        }
        self.doubt_path(slot);
        self.note_stall(slot);
        self.after_stream(slot);
    }
}

/// Whether the stream counts against the limits: not over, not waiting out its end.
pub(super) fn is_open(stream: &Stream) -> bool {
    !matches!(stream.state(), State::TimeWait | State::Closed)
}

/// Who a frame says it is from; a plaintext frame says so only inside.
fn frame_sender(frame: &Frame<'_>) -> Option<u32> {
    match frame {
        Frame::Sealed(sealed) => Some(sealed.sender),
        Frame::KeyAnonymous(key) => Some(key.sender),
        Frame::KeyAuthenticated(key) => Some(key.sender),
        Frame::Plain { .. } | Frame::Punch => None,
    }
}

/// Head of a record in the datagram ring: source network, node, port, destination port.
pub(super) const DATAGRAM_RECORD: usize = 10;

fn datagram_record(from: SockAddr, dst_port: u16) -> [u8; DATAGRAM_RECORD] {
    let mut head = [0; DATAGRAM_RECORD];
    let fields = [
        &from.addr.network.to_be_bytes()[..],
        &from.addr.node.to_be_bytes()[..],
        &from.port.to_be_bytes()[..],
        &dst_port.to_be_bytes()[..],
    ];
    let mut places = head.iter_mut();
    for byte in fields.into_iter().flatten() {
        if let Some(place) = places.next() {
            *place = *byte;
        }
    }
    head
}

/// The parts of a record in the datagram ring.
pub(super) fn parse_datagram_record(record: &[u8]) -> Option<(SockAddr, u16, &[u8])> {
    let (head, payload) = record.split_first_chunk::<DATAGRAM_RECORD>()?;
    let [n0, n1, a, b, c, d, p0, p1, q0, q1] = *head;
    let addr = Addr { network: u16::from_be_bytes([n0, n1]), node: u32::from_be_bytes([a, b, c, d]) };
    let from = SockAddr { addr, port: u16::from_be_bytes([p0, p1]) };
    Some((from, u16::from_be_bytes([q0, q1]), payload))
}

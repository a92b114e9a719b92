//! A byte's way out: beacon messages, key exchanges, waiting packets, then streams in turn; each laid out directly in
//! the caller's buffer and sealed in place.
//!
//! A frame is built as `[relay header 9] [frame header 20] [packet header 34] [payload] [tag 16]`, the first only if it
//! goes through the beacon, the second and last only if encryption is on.

use super::{
    Ctx,
    beacon::BeaconSend,
    peer::{Asked, ExchangeOut, MAX_ROUTES},
};
use crate::{
    Transmit,
    addr::SockAddr,
    crypto::Crypto,
    path::Route,
    pool::Pool,
    rng::Rng,
    time::{Duration, Instant},
    wire::{
        beacon::{Beacon, RELAY_HEAD_LEN, relay_head},
        frame::{self, KeyAuthenticated, MAGIC_LEN, PLAIN_HEAD_LEN, SEALED_HEAD_LEN, TAG_LEN},
        packet::{Flags, HEADER_LEN, Header, Protocol},
    },
};

/// Datagrams in one batch: what one call to the kernel takes (UDP_MAX_SEGMENTS is 64), and few enough that other
/// streams get their turn soon.
const MAX_BATCH: usize = 64;
/// Bytes in one batch: the largest UDP payload.
const MAX_BATCH_BYTES: usize = 65_507;
/// How long a key exchange may stay unanswered before a copy goes through the relay. A later copy would cost time
/// behind NATs; an earlier one would mark us as relayed at old peers (TUN-13) that answer a little late.
const RELAY_COPY_AFTER: Duration = Duration::from_millis(300);

/// How a frame to a peer is wrapped and where it goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wrap {
    pub(super) route: Route,
    /// Bytes in front of the packet header.
    pub(super) front: usize,
    /// Bytes behind the payload.
    pub(super) back: usize,
}

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    pub(super) fn transmit(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        if let Some(transmit) = self.transmit_beacon(buffer) {
            return Some(transmit);
        }
        if self.core.id == 0 {
            return None;
        }
        while let Some(slot) = self.pop_ready_peer() {
            if let Some(transmit) = self.transmit_exchange(slot, buffer) {
                return Some(transmit);
            }
            if let Some(transmit) = self.transmit_extension(slot, buffer) {
                return Some(transmit);
            }
        }
        while let Some(left) = self.core.packets_due.checked_sub(1) {
            self.core.packets_due = left;
            if let Some(transmit) = self.transmit_packet(buffer) {
                return Some(transmit);
            }
        }
        while let Some(slot) = self.pop_ready_stream() {
            if let Some(transmit) = self.transmit_stream(slot, buffer) {
                return Some(transmit);
            }
        }
        None
    }

    fn transmit_beacon(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let own = self.core.id;
        let (to, len) = match self.core.beacon.poll_send(self.now)? {
            BeaconSend::Discover { beacon } => (beacon, Beacon::Discover { node: own }.emit(buffer).ok()?),
            BeaconSend::PunchRequest { beacon, target } => {
                (beacon, Beacon::PunchRequest { requester: own, target }.emit(buffer).ok()?)
            }
            BeaconSend::Punch { to } => {
                buffer.first_chunk_mut::<MAGIC_LEN>()?.copy_from_slice(frame::PUNCH);
                (to, MAGIC_LEN)
            }
        };
        Some(Transmit { to, len, segment_size: None, may_fragment: true })
    }

    // --- key exchanges -------------------------------------------------------------------------------------------

    fn transmit_exchange(&mut self, slot: u32, buffer: &mut [u8]) -> Option<Transmit> {
        let now = self.now;
        let relay = self.relay_available();
        let peer = self.parts.peers.get_mut(slot as usize).filter(|peer| peer.node != 0)?;
        if peer.exchange.is_none()
            && let Some(x25519) = peer.tunnel.poll_exchange(now, self.crypto, self.rng)
        {
            peer.attempts = peer.attempts.saturating_add(1);
            let hidden = peer.relay_only || self.config.relay_only;
            let mut routes: heapless::Vec<Route, MAX_ROUTES> = heapless::Vec::new();
            let direct = peer.path.direct_addresses().filter(|_| !hidden).map(Route::Direct);
            for route in direct.chain(peer.answer_route) {
                if !routes.contains(&route) {
                    let _ = routes.push(route);
                }
            }
            // The first attempt goes through the relay only if there is no other way; repetitions go both ways,
            // because one of them may be dead and the oldest peers accept only one of them (TUN-13).
            if relay && (routes.is_empty() || peer.attempts > 1 || peer.path.is_relayed()) {
                if !routes.contains(&Route::Relay) {
                    let _ = routes.push(Route::Relay);
                }
                peer.relay_copy = None;
            } else {
                peer.relay_copy = Some(now + RELAY_COPY_AFTER).filter(|_| relay && !peer.tunnel.is_ready());
            }
            let frame = KeyAuthenticated::sign(self.identity, x25519, self.crypto);
            peer.exchange = Some(ExchangeOut { frame, routes });
        }
        if let Some((_, address)) = peer.punched.take_if(|(at, _)| *at <= now)
            && !peer.tunnel.is_ready()
        {
            peer.also_exchange_with(Route::Direct(address));
        }
        if peer.relay_copy.is_some_and(|at| at <= now) {
            peer.relay_copy = None;
            if !peer.tunnel.is_ready() {
                peer.also_exchange_with(Route::Relay);
            }
        }
        let Some(exchange) = peer.exchange.as_mut() else {
            self.after_peer(slot);
            return None;
        };
        let frame = exchange.frame;
        let route = exchange.routes.pop();
        if exchange.routes.is_empty() {
            peer.exchange = None;
        }
        peer.last_exchange = Some(frame);
        let node = peer.node;
        let transmit = route.and_then(|route| {
            let front = relay_len(route);
            let len = front + frame.emit(buffer.get_mut(front..)?).ok()?;
            self.finish_frame(node, route, len, 1, buffer)
        });
        if let Some(peer) = self.peer(slot) {
            peer.path.on_sent(now, false);
        }
        self.peer_ready(slot);
        transmit
    }

    // --- packets -------------------------------------------------------------------------------------------------

    /// Queues a packet for a peer: a datagram, a ping or pong, a reset. With a route it is sent there and nowhere
    /// else; without one, on the peer's path. When the queue is full the oldest packet makes room.
    pub(super) fn queue_packet(&mut self, slot: u32, header: &Header, payload: &[u8], route: Option<Route>) {
        let deadline = (self.now + self.config.packet_life).as_micros().to_be_bytes();
        let mut head = [0; HEADER_LEN];
        if header.emit(&mut head).is_err() {
            return;
        }
        let (kind, address) = encode_route(route);
        let Some(node) = self.peer(slot).map(|peer| peer.node) else { return };
        let parts =
            [&slot.to_be_bytes()[..], &node.to_be_bytes()[..], &deadline, &[kind], &address, &head, payload];
        while let Err(error) = self.packets().push(&parts) {
            self.core.counters.overflowed += 1;
            if !matches!(error, crate::ring::RingError::Full { .. }) || !self.packets().pop() {
                return;
            }
        }
        self.core.packets_due = self.core.packets.len();
    }

    /// Looks at the packet that waits longest: sends it, puts it back to wait for keys, or drops it.
    fn transmit_packet(&mut self, buffer: &mut [u8]) -> Option<Transmit> {
        let mut ring = self.packets();
        let record = ring.front()?;
        let total = record.len();
        let copy = buffer.get_mut(..total).map(|room| room.copy_from_slice(record));
        ring.pop();
        copy?;
        let WaitingPacket { slot, node, deadline, route } = WaitingPacket::parse(buffer)?;
        if deadline <= self.now {
            return None;
        }
        self.peer(slot).filter(|peer| peer.node == node)?;
        let wrap = if self.tunnel_ready(slot) { self.wrap(slot, route) } else { None };
        let Some(wrap) = wrap else {
            let record = buffer.get(..total)?;
            let _ = self.packets().push(&[record]);
            self.want_tunnel(slot);
            return None;
        };
        let len = total.checked_sub(WaitingPacket::HEAD)?;
        if wrap.front + len + wrap.back > buffer.len() {
            return None;
        }
        // The waiting header says nothing of its payload; length and checksum are put in now.
        let (header, _) =
            Header::parse(buffer.get(WaitingPacket::HEAD..WaitingPacket::HEAD + HEADER_LEN)?).ok()?;
        buffer.copy_within(WaitingPacket::HEAD..total, wrap.front);
        header.emit(buffer.get_mut(wrap.front..wrap.front + len)?).ok()?;
        let talk = header.protocol == Protocol::Datagram;
        let total = self.seal(slot, &wrap, buffer, len, talk)?;
        let now = self.now;
        if let Some(peer) = self.peer(slot) {
            // Datagrams are owed no answer, and a lost probe is repeated by its own timer.
            peer.path.on_sent(now, false);
        }
        self.after_peer(slot);
        self.finish_frame(node, wrap.route, total, 1, buffer)
    }

    // --- streams -------------------------------------------------------------------------------------------------

    fn transmit_stream(&mut self, slot: u32, buffer: &mut [u8]) -> Option<Transmit> {
        let row = self.stream(slot)?;
        let (peer, remote, local, local_port) = (row.peer, row.remote, row.local, row.local_port);
        if !self.tunnel_ready(peer) {
            self.block(slot, peer);
            return None;
        }
        let Some(wrap) = self.wrap(peer, None) else {
            self.block(slot, peer);
            return None;
        };
        self.fit_segments(slot);
        let node = remote.addr.node;
        let src = SockAddr { addr: local, port: local_port };
        let (mut total, mut count, mut size) = (0, 0, 0);
        let mut owed = false;
        let limit = buffer.len().min(MAX_BATCH_BYTES);
        while count < MAX_BATCH {
            let room = if count == 0 { limit } else { size };
            let Some(space) = buffer.get_mut(total..limit).and_then(|rest| rest.get_mut(..room)) else {
                break;
            };
            let Some((len, must_be_answered)) = self.build_segment(slot, peer, &wrap, src, remote, space)
            else {
                break;
            };
            owed |= must_be_answered;
            total += len;
            count += 1;
            if count == 1 {
                size = len;
            } else if len < size {
                break;
            }
        }
        let now = self.now;
        if count > 0 {
            if let Some(peer) = self.peer(peer) {
                peer.path.on_sent(now, owed);
            }
            self.question_path(peer, wrap.route, size.saturating_sub(wrap.front + HEADER_LEN + wrap.back));
            self.after_peer(peer);
        }
        self.after_stream(slot);
        if count == 0 {
            return None;
        }
        let mut transmit = self.finish_frame(node, wrap.route, total, count, buffer)?;
        transmit.segment_size = Some(size).filter(|_| count > 1);
        Some(transmit)
    }

    /// One sealed segment at the front of `space`: its length, and whether the peer owes an answer.
    fn build_segment(
        &mut self,
        slot: u32,
        peer: u32,
        wrap: &Wrap,
        src: SockAddr,
        dst: SockAddr,
        space: &mut [u8],
    ) -> Option<(usize, bool)> {
        let now = self.now;
        let end = space.len().checked_sub(wrap.back)?;
        let payload = space.get_mut(wrap.front + HEADER_LEN..end)?;
        let mut pool = Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        let stream = self.parts.streams.get_mut(slot as usize)?.stream.as_mut()?;
        let (segment, payload_len) = stream.poll_transmit(now, &mut pool, payload)?;
        let header = Header {
            flags: segment.flags,
            protocol: Protocol::Stream,
            src: src.addr,
            dst: dst.addr,
            src_port: src.port,
            dst_port: dst.port,
            seq: segment.seq,
            ack: segment.ack,
            window: segment.window,
        };
        let len = HEADER_LEN + payload_len;
        header.emit(space.get_mut(wrap.front..wrap.front + len)?).ok()?;
        // Data, SYN and FIN are owed an answer. These are not, and waiting for one would suspect path and key after
        // every close.
        let last_word = [Flags::ACK, Flags::FIN_ACK, Flags::RST].contains(&segment.flags);
        let owed = payload_len > 0 || !last_word;
        let total = self.seal(peer, wrap, space, len, owed)?;
        if wrap.route == Route::Relay {
            *space.first_chunk_mut()? = relay_head(self.core.id, dst.addr.node);
        }
        Some((total, owed))
    }

    // --- wrapping ------------------------------------------------------------------------------------------------

    /// Whether frames can go: there are keys or, in plaintext, it is known where the peer is.
    pub(super) fn tunnel_ready(&mut self, peer: u32) -> bool {
        let encrypt = self.config.encrypt;
        self.peer(peer).is_some_and(|peer| match encrypt {
            true => peer.tunnel.is_ready() || crate::planted!(PlaintextFallback),
            false => {
                let located = matches!(peer.locate, Asked::Answered(_));
                located || !peer.path.is_lost() || peer.path.is_relayed()
            }
        })
    }

    pub(super) fn want_tunnel(&mut self, slot: u32) {
        let (now, encrypt) = (self.now, self.config.encrypt);
        let Some(peer) = self.peer(slot) else { return };
        if peer.path.is_lost() && !peer.relay_only {
            self.ask_location(slot);
        } else if encrypt {
            peer.tunnel.want(now);
        }
        self.after_peer(slot);
    }

    pub(super) fn wrap(&mut self, peer: u32, route: Option<Route>) -> Option<Wrap> {
        let relay = self.relay_available();
        let only = self.config.relay_only;
        let peer = self.parts.peers.get(peer as usize)?;
        let route = match route {
            _ if only || (peer.relay_only && relay) => Some(Route::Relay).filter(|_| relay),
            Some(route) => Some(route),
            None => peer.path.route(relay && !crate::planted!(RelayUnanswered)),
        }?;
        let encrypt = self.config.encrypt && (peer.tunnel.is_ready() || !crate::planted!(PlaintextFallback));
        let (header, back) = if encrypt { (SEALED_HEAD_LEN, TAG_LEN) } else { (PLAIN_HEAD_LEN, 0) };
        Some(Wrap { route, front: relay_len(route) + header, back })
    }

    /// Seals (or frames) the packet of `len` bytes that lies at `wrap.front`. Total length, relay header included.
    pub(super) fn seal(
        &mut self,
        peer: u32,
        wrap: &Wrap,
        space: &mut [u8],
        len: usize,
        owed: bool,
    ) -> Option<usize> {
        let relay = relay_len(wrap.route);
        let space = space.get_mut(relay..)?;
        let peer = self.parts.peers.get_mut(peer as usize)?;
        let sealed = if wrap.back > 0 {
            let (now, own) = (self.now, self.core.id);
            let sealed = match owed {
                true => peer.tunnel.seal(now, own, space, len, self.crypto),
                false => peer.tunnel.seal_unanswered(now, own, space, len, self.crypto),
            }
            .ok()?;
            self.core.counters.sealed += 1;
            sealed
        } else {
            frame::emit_plain(space).ok()?;
            PLAIN_HEAD_LEN + len
        };
        Some(relay + sealed)
    }

    /// Adds the relay header where it belongs (streams have done so for each segment) and counts.
    pub(super) fn finish_frame(
        &mut self,
        node: u32,
        route: Route,
        len: usize,
        count: usize,
        buffer: &mut [u8],
    ) -> Option<Transmit> {
        self.core.counters.packets_sent += count as u64;
        self.core.counters.bytes_sent += len as u64;
        let to = match route {
            Route::Direct(address) => address,
            Route::Relay => {
                *buffer.first_chunk_mut()? = relay_head(self.core.id, node);
                self.core.beacon.address()?
            }
        };
        Some(Transmit { to, len, segment_size: None, may_fragment: true })
    }
}

const fn relay_len(route: Route) -> usize {
    match route {
        Route::Direct(_) => 0,
        Route::Relay => RELAY_HEAD_LEN,
    }
}

/// Head of a record in the packet ring.
#[derive(Clone, Copy, Debug)]
struct WaitingPacket {
    slot: u32,
    node: u32,
    deadline: Instant,
    route: Option<Route>,
}

impl WaitingPacket {
    /// Slot 4, node 4, deadline 8, kind of route 1, address 18.
    const HEAD: usize = 35;

    fn parse(record: &[u8]) -> Option<Self> {
        let (slot, rest) = record.split_first_chunk::<4>()?;
        let (node, rest) = rest.split_first_chunk::<4>()?;
        let (deadline, rest) = rest.split_first_chunk::<8>()?;
        let (&[kind], rest) = rest.split_first_chunk::<1>()?;
        let (address, _) = rest.split_first_chunk::<18>()?;
        Some(WaitingPacket {
            slot: u32::from_be_bytes(*slot),
            node: u32::from_be_bytes(*node),
            deadline: Instant::from_micros(u64::from_be_bytes(*deadline)),
            route: decode_route(kind, address),
        })
    }
}

fn encode_route(route: Option<Route>) -> (u8, [u8; 18]) {
    use core::net::IpAddr;
    let mut out = [0; 18];
    let kind = match route {
        None => 0,
        Some(Route::Relay) => 1,
        Some(Route::Direct(address)) => {
            let (ip, port) = out.split_at_mut(16);
            let six = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            ip.copy_from_slice(&six.octets());
            port.copy_from_slice(&address.port().to_be_bytes());
            2
        }
    };
    (kind, out)
}

fn decode_route(kind: u8, address: &[u8; 18]) -> Option<Route> {
    use core::net::{IpAddr, Ipv6Addr, SocketAddr};
    match kind {
        1 => Some(Route::Relay),
        2 => {
            let (ip, port) = address.split_first_chunk::<16>()?;
            let port = u16::from_be_bytes(port.try_into().ok()?);
            Some(Route::Direct(SocketAddr::new(IpAddr::V6(Ipv6Addr::from(*ip)).to_canonical(), port)))
        }
        _ => None,
    }
}

//! The application's side: listen, connect, read and write streams, send and receive datagrams.

use super::{
    Ctx, Event, FIRST_EPHEMERAL, Listeners, Memory, Node, Notices, StreamId, inbound::parse_datagram_record,
    peer::Asked,
};
use crate::{
    addr::{Addr, SockAddr},
    crypto::Crypto,
    pool::Pool,
    ring::Ring,
    rng::Rng,
    stream::{CloseReason, Events, Read, State, Stats, Stream},
    time::Instant,
    wire::packet::{Flags, Header, Protocol},
};

/// Why a port cannot be listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// Somebody (the node itself, for the trust port) listens there.
    InUse {
        /// The port.
        port: u16,
    },
    /// There is no room for another port.
    TooMany {
        /// Ports there is room for.
        max: usize,
    },
}

/// Why a stream cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// The node has no id yet: it is not registered.
    NotRegistered,
    /// The address is our own, broadcast or zero.
    BadAddress(Addr),
    /// Every row of the stream table, or every ephemeral port towards that port, is in use.
    TooManyStreams,
    /// Every row of the peer table is in use.
    TooManyPeers,
}

/// Why a datagram cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The node has no id yet: it is not registered.
    NotRegistered,
    /// The address is our own, broadcast or zero.
    BadAddress(Addr),
    /// More bytes than a packet can hold.
    TooLong {
        /// Bytes offered.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Every row of the peer table is in use.
    TooManyPeers,
}

/// Why a stream operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// No such stream, or it was released.
    Unknown,
    /// The stream cannot carry data: not established yet, finished, or closed.
    NotOpen,
}

/// What an owner may know of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamInfo {
    /// Its id.
    pub id: StreamId,
    /// Our port.
    pub local_port: u16,
    /// The peer's address and port.
    pub remote: SockAddr,
    /// State of the machine.
    pub state: State,
    /// Its counters.
    pub stats: Stats,
}

/// Datagram bytes that fit an encrypted frame sent directly: 65 507 less frame header, packet header and tag.
pub const MAX_DATAGRAM: usize = 65_437;

macro_rules! on_errors {
    ($($error:ident { $($pattern:pat => ($($text:tt)*)),* $(,)? })*) => {$(
        impl core::fmt::Display for $error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self { $($pattern => write!(f, $($text)*)),* }
            }
        }
        impl core::error::Error for $error {}
    )*};
}

on_errors! {
    ListenError {
        ListenError::InUse { port } => ("port {port} already bound"),
        ListenError::TooMany { max } => ("more than {max} ports bound"),
    }
    ConnectError {
        ConnectError::NotRegistered => ("this node is not registered yet"),
        ConnectError::BadAddress(addr) => ("{addr} is not the address of another node"),
        ConnectError::TooManyStreams => ("too many open connections"),
        ConnectError::TooManyPeers => ("too many peers"),
    }
    SendError {
        SendError::NotRegistered => ("this node is not registered yet"),
        SendError::BadAddress(addr) => ("{addr} is not the address of another node"),
        SendError::TooLong { len, max } => ("payload too large: {len} bytes (max {max})"),
        SendError::TooManyPeers => ("too many peers"),
    }
    StreamError {
        StreamError::Unknown => ("connection not found"),
        StreamError::NotOpen => ("connection not established"),
    }
}

impl<M: Memory<C>, C: Crypto, R: Rng> Node<M, C, R> {
    /// Accepts streams on `port`.
    pub fn listen(&mut self, port: u16) -> Result<(), ListenError> {
        self.grow();
        let max = self.memory.parts().listeners.len();
        let mut listeners = self.listeners();
        if listeners.contains(port) {
            Err(ListenError::InUse { port })
        } else if listeners.insert(port) {
            Ok(())
        } else {
            Err(ListenError::TooMany { max })
        }
    }

    /// Accepts no more streams on `port`; those that are open stay open.
    pub fn unlisten(&mut self, port: u16) {
        self.listeners().remove(port);
    }

    /// Whether anybody listens on `port`.
    pub fn is_listening(&mut self, port: u16) -> bool {
        self.listeners().contains(port)
    }

    /// Number of ports listened on.
    pub fn listening(&self) -> usize {
        self.core.listeners
    }

    fn listeners(&mut self) -> Listeners<'_> {
        Listeners::new(&mut self.core.listeners, self.memory.parts().listeners)
    }

    /// Opens a stream. [`Event::Connected`] or [`Event::Closed`] follows.
    pub fn connect(&mut self, now: Instant, to: Addr, port: u16) -> Result<StreamId, ConnectError> {
        self.ctx(now).connect(to, port, false)
    }

    /// Queues bytes on a stream; returns how many were taken. Fewer than offered means that [`Event::Writable`]
    /// follows when there is room.
    pub fn write(&mut self, now: Instant, id: StreamId, data: &[u8]) -> Result<usize, StreamError> {
        self.ctx(now).write(id, data)
    }

    /// Takes bytes from a stream: at most what one segment brought, and at most `out.len()`.
    pub fn read(&mut self, now: Instant, id: StreamId, out: &mut [u8]) -> Result<Read, StreamError> {
        self.ctx(now).read(id, out)
    }

    /// Ends our side of a stream after everything queued has arrived.
    pub fn finish(&mut self, now: Instant, id: StreamId) -> Result<(), StreamError> {
        let mut ctx = self.ctx(now);
        ctx.row(id)?.stream.as_mut().ok_or(StreamError::Unknown)?.finish(now);
        ctx.after_stream(id.slot);
        Ok(())
    }

    /// Aborts a stream: queued data is dropped, the peer is told.
    pub fn reset(&mut self, now: Instant, id: StreamId) -> Result<(), StreamError> {
        let mut ctx = self.ctx(now);
        ctx.row(id)?;
        ctx.reset_slot(id.slot);
        Ok(())
    }

    /// The owner is done with a stream: no more events of it, and its room is reused once it has said goodbye. A
    /// stream that is still open is finished first.
    pub fn release(&mut self, now: Instant, id: StreamId) {
        self.ctx(now).release(id);
    }

    /// One stream.
    pub fn stream_info(&mut self, id: StreamId) -> Option<StreamInfo> {
        let rows = self.memory.parts().streams;
        let row = rows.get(id.slot as usize).filter(|row| row.generation == id.generation)?;
        info(id.slot, row)
    }

    /// Every stream, closed ones that wait out their end included; the node's own handshakes not.
    pub fn streams(&mut self) -> impl Iterator<Item = StreamInfo> + '_ {
        let used = self.core.stream_free.high_water();
        let rows = self.memory.parts().streams.get(..used).unwrap_or_default();
        (0u32..).zip(rows).filter(|(_, row)| !row.internal).filter_map(|(slot, row)| info(slot, row))
    }

    /// Sends a datagram from a fresh port; returns that port. It waits a few seconds for keys, then is dropped.
    pub fn send_datagram(
        &mut self,
        now: Instant,
        to: Addr,
        port: u16,
        data: &[u8],
    ) -> Result<u16, SendError> {
        self.ctx(now).send_datagram(to, port, data)
    }

    /// Takes a received datagram: sender, our port, and how many bytes of it were written to `out`.
    pub fn read_datagram(&mut self, out: &mut [u8]) -> Option<(SockAddr, u16, usize)> {
        self.core.datagrams_reported = false;
        let mut ring = Ring::new(&mut self.core.datagrams, self.memory.parts().datagrams);
        let (from, port, payload) = parse_datagram_record(ring.front()?)?;
        let len = payload.len().min(out.len());
        if let (Some(out), Some(payload)) = (out.get_mut(..len), payload.get(..len)) {
            out.copy_from_slice(payload);
        }
        ring.pop();
        self.core.datagrams_reported = !ring.is_empty();
        Some((from, port, len))
    }

    /// Sends our key to a node we know from before, so that a tunnel it still believes in works again at once.
    pub fn introduce(&mut self, now: Instant, node: u32) {
        let mut ctx = self.ctx(now);
        if let Some(slot) = ctx.find_or_add_peer(node, false) {
            ctx.want_tunnel(slot);
        }
    }
}

pub(super) fn info(slot: u32, row: &super::StreamSlot) -> Option<StreamInfo> {
    let stream = row.stream.as_ref()?;
    Some(StreamInfo {
        id: StreamId { slot, generation: row.generation },
        local_port: row.local_port,
        remote: row.remote,
        state: stream.state(),
        stats: stream.stats(),
    })
}

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    fn row(&mut self, id: StreamId) -> Result<&mut super::StreamSlot, StreamError> {
        self.stream(id.slot)
            .filter(|row| row.generation == id.generation && !row.released)
            .ok_or(StreamError::Unknown)
    }

    pub(super) fn connect(&mut self, to: Addr, port: u16, internal: bool) -> Result<StreamId, ConnectError> {
        let now = self.now;
        if self.core.id == 0 {
            return Err(ConnectError::NotRegistered);
        }
        if to.node == self.core.id || to.is_broadcast() || to.node == 0 {
            return Err(ConnectError::BadAddress(to));
        }
        if self.core.open_streams >= self.config.max_streams {
            return Err(ConnectError::TooManyStreams);
        }
        let peer = self.find_or_add_peer(to.node, false).ok_or(ConnectError::TooManyPeers)?;
        let local_port = self.ephemeral(to.node, port).ok_or(ConnectError::TooManyStreams)?;
        if let Some(peer) = self.peer(peer) {
            peer.contacted = Some(now);
            // A failed look-up is forgotten: the user tries again because something may have changed.
            if matches!(peer.locate, Asked::Failed(_)) {
                peer.locate = Asked::Never;
            }
        }
        let config = self.stream_config(peer);
        let stream = Stream::connect(now, self.rng.u32(), &config);
        let remote = SockAddr { addr: to, port };
        let local = self.own_addr();
        let slot =
            self.add_stream(stream, peer, local, local_port, remote).ok_or(ConnectError::TooManyStreams)?;
        let row = self.stream(slot).ok_or(ConnectError::TooManyStreams)?;
        row.internal = internal;
        let id = StreamId { slot, generation: row.generation };
        self.after_stream(slot);
        Ok(id)
    }

    /// The next ephemeral port not in use towards (`node`, `port`), wrapping inside the dynamic range (01-H6).
    fn ephemeral(&mut self, node: u32, port: u16) -> Option<u16> {
        for _ in FIRST_EPHEMERAL..=u16::MAX {
            let candidate = self.core.next_port;
            self.core.next_port = candidate.checked_add(1).unwrap_or(FIRST_EPHEMERAL);
            if self.find_stream(candidate, node, port).is_none() && !self.listeners().contains(candidate) {
                return Some(candidate);
            }
        }
        None
    }

    pub(super) fn write(&mut self, id: StreamId, data: &[u8]) -> Result<usize, StreamError> {
        self.row(id)?;
        let now = self.now;
        self.fit_segments(id.slot);
        let mut pool = Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        let row = self.parts.streams.get_mut(id.slot as usize).ok_or(StreamError::Unknown)?;
        let stream = row.stream.as_mut().ok_or(StreamError::Unknown)?;
        let written = stream.write(now, data, &mut pool).map_err(|_| StreamError::NotOpen);
        self.after_stream(id.slot);
        written
    }

    pub(super) fn read(&mut self, id: StreamId, out: &mut [u8]) -> Result<Read, StreamError> {
        self.row(id)?;
        let now = self.now;
        let mut pool = Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        let row = self.parts.streams.get_mut(id.slot as usize).ok_or(StreamError::Unknown)?;
        let stream = row.stream.as_mut().ok_or(StreamError::Unknown)?;
        let read = stream.read(now, out, &mut pool).map_err(|_| StreamError::NotOpen);
        // Where nothing was, nothing has changed.
        if read != Ok(Read::Empty) {
            self.after_stream(id.slot);
        }
        read
    }

    pub(super) fn release(&mut self, id: StreamId) {
        let now = self.now;
        let Ok(row) = self.row(id) else { return };
        row.released = true;
        row.unreported = Events::NONE;
        if let Some(stream) = row.stream.as_mut() {
            stream.finish(now);
        }
        self.after_stream(id.slot);
    }

    pub(super) fn reset_slot(&mut self, slot: u32) {
        let now = self.now;
        let mut pool = Pool::new(&mut self.core.pool, self.parts.chunks, self.parts.bytes);
        if let Some(stream) = self.parts.streams.get_mut(slot as usize).and_then(|row| row.stream.as_mut()) {
            stream.reset(now, &mut pool);
        }
        self.after_stream(slot);
    }

    fn send_datagram(&mut self, to: Addr, dst_port: u16, data: &[u8]) -> Result<u16, SendError> {
        if self.core.id == 0 {
            return Err(SendError::NotRegistered);
        }
        if to.node == self.core.id || to.is_broadcast() || to.node == 0 {
            return Err(SendError::BadAddress(to));
        }
        if data.len() > MAX_DATAGRAM {
            return Err(SendError::TooLong { len: data.len(), max: MAX_DATAGRAM });
        }
        let slot = self.find_or_add_peer(to.node, false).ok_or(SendError::TooManyPeers)?;
        let src_port = self.ephemeral(to.node, dst_port).unwrap_or(FIRST_EPHEMERAL);
        let header = Header {
            flags: Flags::NONE,
            protocol: Protocol::Datagram,
            src: self.own_addr(),
            dst: to,
            src_port,
            dst_port,
            seq: 0,
            ack: 0,
            window: 0,
        };
        self.queue_packet(slot, &header, data, None);
        Ok(src_port)
    }

    // --- events --------------------------------------------------------------------------------------------------

    pub(super) fn event(&mut self) -> Option<Event> {
        if let Some(event) = Notices::new(&mut self.core.notices, self.parts.notices).pop() {
            return Some(event);
        }
        if let Some(event) = self.trust_event() {
            return Some(event);
        }
        while let Some(slot) = self.pop_reporting() {
            if let Some(event) = self.stream_event(slot) {
                return Some(event);
            }
            self.reap(slot);
        }
        None
    }

    /// One event of a stream; those that are left keep it in the queue.
    fn stream_event(&mut self, slot: u32) -> Option<Event> {
        let row = self.stream(slot).filter(|row| !row.released)?;
        let id = StreamId { slot, generation: row.generation };
        if row.announce {
            row.announce = false;
            row.unreported = row.unreported.without(Events::CONNECTED);
            let event = Event::Incoming { stream: id, port: row.local_port, remote: row.remote };
            self.report(slot);
            return Some(event);
        }
        let order = [Events::CONNECTED, Events::READABLE, Events::WRITABLE, Events::CLOSED];
        let next = order.into_iter().find(|event| row.unreported.contains(*event))?;
        row.unreported = row.unreported.without(next);
        let unreachable = row.unreachable;
        let reason = row.stream.as_ref().and_then(Stream::close_reason).unwrap_or(CloseReason::Clean);
        if !row.unreported.is_empty() {
            self.report(slot);
        }
        Some(match next {
            Events::CONNECTED => Event::Connected { stream: id },
            Events::READABLE => Event::Readable { stream: id },
            Events::WRITABLE => Event::Writable { stream: id },
            _ if unreachable => Event::Unreachable { stream: id },
            _ => Event::Closed { stream: id, reason },
        })
    }
}

//! The role's UDP socket: receives in batches, splits what the kernel merged, sends through the [`Outbox`].

use std::{
    io::{self, IoSliceMut},
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use pilot_proto::Transmit;
use quinn_udp::{BATCH_SIZE, RecvMeta, UdpSockRef, UdpSocketState};

use crate::{
    outbox::{Kernel, Outbox, Polled},
    reactor::{Reactor, Token, Watch},
};

/// Bytes of socket buffer asked for in each direction: at 1 Gbit/s, 64 ms of a busy process.
const SOCKET_BUFFER: usize = 8 << 20;

/// Room for the largest datagram, or for the largest run of datagrams the kernel merges.
const SLOT: usize = 65_536;

/// A bound, watched socket.
pub(crate) struct UdpPort<W> {
    wire: Wire,
    outbox: Outbox,
    slots: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
    /// Filled slots of `metas`, and where in them reading goes on.
    filled: usize,
    slot: usize,
    offset: usize,
    readable: bool,
    watch: W,
    /// Whether the loop is woken when the kernel has room. Only while it has none: each datagram that leaves would
    /// otherwise wake the loop for nothing.
    watching_room: bool,
}

/// The socket as the kernel side of the outbox.
struct Wire {
    socket: Arc<UdpSocket>,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Kernel for Wire {
    fn send(
        &mut self,
        to: SocketAddr,
        bytes: &[u8],
        segment: Option<usize>,
        may_fragment: bool,
    ) -> io::Result<()> {
        let destination = match (self.local, to.ip()) {
            (SocketAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        let transmit = quinn_udp::Transmit {
            destination,
            ecn: None,
            contents: bytes,
            segment_size: segment,
            src_ip: None,
        };
        if may_fragment {
            return self.state.try_send(UdpSockRef::from(&*self.socket), &transmit);
        }
        // An option of the socket, not of the datagram; there are a few of these in ten minutes.
        set_fragments(&self.socket, self.local, Fragments::Forbidden);
        let sent = self.state.try_send(UdpSockRef::from(&*self.socket), &transmit);
        set_fragments(&self.socket, self.local, Fragments::WhereNeeded);
        sent
    }

    fn max_segments(&self) -> usize {
        self.state.max_gso_segments()
    }
}

impl<W: Watch> UdpPort<W> {
    /// Watches a bound socket.
    pub(crate) fn new<X: Reactor<Watch = W>>(
        socket: UdpSocket,
        reactor: &X,
        token: Token,
    ) -> io::Result<Self> {
        let local = socket.local_addr()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        set_fragments(&socket, local, Fragments::WhereNeeded);
        grow_buffers(&socket, &state);
        let socket = Arc::new(socket);
        let watch = reactor.watch(socket.clone(), token)?;
        Ok(UdpPort {
            wire: Wire { socket, state, local },
            outbox: Outbox::new(),
            slots: vec![0; SLOT * BATCH_SIZE],
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            slot: 0,
            offset: 0,
            readable: true,
            watch,
            watching_room: false,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.wire.local
    }

    /// The loop saw the socket become ready.
    pub(crate) fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        if writable {
            self.outbox.writable(&mut self.wire);
            if self.outbox.is_full() {
                self.watch.arm_write();
            }
        }
        self.watch_room();
    }

    /// Asks for wake-ups about room exactly as long as a datagram waits for it.
    fn watch_room(&mut self) {
        let wanted = self.outbox.is_full();
        if wanted == self.watching_room {
            return;
        }
        self.watching_room = wanted;
        if wanted {
            self.watch.arm_write();
        } else {
            self.watch.disarm_write();
        }
    }

    /// Whether datagrams may be waiting.
    pub(crate) fn has_input(&self) -> bool {
        self.readable || self.slot < self.filled
    }

    /// Whether the kernel refused a datagram that waits for room.
    pub(crate) fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// The next datagram received.
    pub(crate) fn receive(&mut self) -> Option<Received<'_>> {
        loop {
            if self.slot >= self.filled && !self.fill() {
                return None;
            }
            let meta = self.metas.get(self.slot)?;
            if self.offset >= meta.len {
                (self.slot, self.offset) = (self.slot + 1, 0);
                continue;
            }
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            let len = meta.stride.clamp(1, SLOT).min(meta.len - self.offset);
            // All of a slot are from one sender; the next slot is shown with the first of this one.
            let next =
                self.metas.get(self.slot + 1).filter(|_| self.offset == 0 && self.slot + 1 < self.filled);
            let (slots, after) = self.slots.split_at_mut_checked((self.slot + 1) * SLOT)?;
            let start = self.slot * SLOT + self.offset;
            self.offset += len;
            let data = slots.get_mut(start..start + len)?;
            return Some(Received { from, data, next: next.and_then(|meta| after.get(..meta.len)) });
        }
    }

    /// Takes the next batch from the kernel; false if there is none.
    fn fill(&mut self) -> bool {
        (self.filled, self.slot, self.offset) = (0, 0, 0);
        if !self.readable {
            return false;
        }
        let mut rest = self.slots.chunks_mut(SLOT);
        let mut slots: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
        let Wire { socket, state, .. } = &self.wire;
        match state.recv(UdpSockRef::from(&**socket), &mut slots, &mut self.metas) {
            Ok(filled) => self.filled = filled.min(BATCH_SIZE),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                self.watch.arm_read();
            }
            // An error reported by an earlier send; the next turn reads on.
            Err(e) => tracing::debug!(error = %e, "udp receive failed"),
        }
        self.filled > 0
    }

    /// Lets the role write its next datagrams.
    pub(crate) fn transmit(&mut self, role: impl FnOnce(&mut [u8]) -> Option<Transmit>) -> Polled {
        self.outbox.poll(&mut self.wire, role)
    }

    /// Hands what is staged to the kernel.
    pub(crate) fn flush(&mut self) {
        self.outbox.flush(&mut self.wire);
        self.watch_room();
        if let Some(error) = self.outbox.last_error.take() {
            // One line per turn at most, however many were lost in it.
            tracing::debug!(lost = self.outbox.lost, %error, "datagrams could not be sent");
        }
    }
}

/// A datagram as it was received.
pub(crate) struct Received<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) data: &'a mut [u8],
    /// What another sender's datagrams begin with that were received together with it, said once.
    pub(crate) next: Option<&'a [u8]>,
}

/// Whether datagrams may be fragmented on their way.
#[derive(Clone, Copy, Debug)]
enum Fragments {
    /// By the kernel where it knows that the path needs it, not by routers.
    WhereNeeded,
    /// By nobody, whatever the kernel believes of the path: it is being probed.
    Forbidden,
}

/// quinn-udp forbids IP fragments, which QUIC wants. Old peers send and a beacon relays datagrams above the MTU, so here
/// the kernel's default (fragment where the path needs it) is put back, but for probes.
fn set_fragments(socket: &UdpSocket, local: SocketAddr, fragments: Fragments) {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::sockopt::{self, Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery};
        let (four, six) = match fragments {
            Fragments::WhereNeeded => (Ipv4PathMtuDiscovery::WANT, Ipv6PathMtuDiscovery::WANT),
            Fragments::Forbidden => (Ipv4PathMtuDiscovery::PROBE, Ipv6PathMtuDiscovery::PROBE),
        };
        let mut result = sockopt::set_ip_mtu_discover(socket, four);
        if local.is_ipv6() {
            result = result.and(sockopt::set_ipv6_mtu_discover(socket, six));
        }
        if let Err(error) = result {
            tracing::debug!(%error, ?fragments, "IP fragments cannot be chosen on the udp socket");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, local, fragments);
}

fn grow_buffers(socket: &UdpSocket, state: &UdpSocketState) {
    let socket = || UdpSockRef::from(socket);
    let _ = state.set_recv_buffer_size(socket(), SOCKET_BUFFER);
    let _ = state.set_send_buffer_size(socket(), SOCKET_BUFFER);
    let (receive, send) =
        (state.recv_buffer_size(socket()).unwrap_or(0), state.send_buffer_size(socket()).unwrap_or(0));
    tracing::debug!(
        wanted = SOCKET_BUFFER,
        receive,
        send,
        gso = state.max_gso_segments(),
        gro = state.gro_segments(),
        "udp socket buffers"
    );
}

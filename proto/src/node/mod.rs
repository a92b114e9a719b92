//! `Node` joins tunnel, path, streams, datagrams and trust: the data plane of one agent.
//!
//! It follows the one contract: feed it one thing (`handle_*`, or one call of the application), then drain
//! [`Node::poll_transmit`] and [`Node::poll_event`] until both return `None`, then ask [`Node::poll_timeout`] for the
//! one instant at which [`Node::handle_timeout`] must be called. It never calls out: what it cannot know itself it
//! asks with [`Event::Ask`] and goes on with everything else.
//!
//! Who does what, by file: `inbound` takes datagrams apart, `outbound` puts them together, `exchange` agrees on
//! keys and answers questions about peers, `extension` agrees with peers of our kind on more, `admission` decides who may open a stream, `open` holds the
//! application's side of streams and datagrams, `handshake` carries trust messages on port 444, `beacon` talks to
//! the beacon, `narrate` tells a log, `waits` what it waits for, `peer` and `streams` are the rows of the two tables, `memory` is where they live.

mod admission;
mod beacon;
mod config;
mod event;
mod exchange;
mod extension;
mod handshake;
mod inbound;
mod listeners;
mod memory;
mod narrate;
mod notices;
mod open;
mod outbound;
mod peer;
mod returning;
mod streams;
mod waits;

use core::net::SocketAddr;

pub use config::{Config, Counters};
pub use event::{Answer, Event, Question, StreamId, TrustErrand};
pub use listeners::Listener;
pub use memory::{Memory, PEER_LISTS, Parts, STREAM_LISTS, Table};
pub use notices::Notice;
pub use open::{ConnectError, ListenError, MAX_DATAGRAM, SendError, StreamError, StreamInfo};
pub use peer::{PeerInfo, PeerSlot};
pub use streams::StreamSlot;
pub use waits::{Due, Wait};

use self::{
    admission::{Bucket, SourceLimiter},
    beacon::BeaconClient,
    listeners::Listeners,
    notices::{Notices, NoticesState},
    peer::NONE,
};
use crate::{
    Transmit,
    addr::Addr,
    crypto::{Crypto, Identity},
    pool::PoolState,
    ring::{Ring, RingState},
    rng::Rng,
    slots::{Fifo, FifoState, Free, FreeState},
    table::{Index, IndexState},
    time::{Instant, earliest},
    timers::{Timers, TimersState},
    trust::TrustState,
    wire::frame,
};

/// First of the ports that outgoing streams and datagrams use (RFC 6335 dynamic range); the last is 65 535.
const FIRST_EPHEMERAL: u16 = 49_152;
/// Key exchanges per second and source address, and how many at once (1.12 and later: 5 and 5).
const EXCHANGE_RATE: u32 = 5;
const EXCHANGE_BURST: u32 = 10;
const EXCHANGE_SOURCES: usize = 64;
/// Malformed datagrams reported per second.
const COMPLAINT_RATE: u32 = 2;
/// Answers per second to frames of peers we know nothing of.
const STRANGER_RATE: u32 = 50;

/// The data plane of one agent. See the [module](self).
#[derive(Debug)]
pub struct Node<M, C: Crypto, R> {
    config: Config,
    identity: Identity,
    crypto: C,
    rng: R,
    memory: M,
    core: Core,
}

/// Rows of each table that are in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Peers with tunnel state.
    pub peers: usize,
    /// Streams, the node's own and those that wait out their end included.
    pub streams: usize,
    /// Chunks of stream data.
    pub chunks: usize,
    /// Packets that wait for keys or their turn.
    pub packets: usize,
    /// Received datagrams not read yet.
    pub datagrams: usize,
}

/// Everything a node remembers outside the lent memory.
#[derive(Debug)]
struct Core {
    /// Own node id; 0 until the registry gave us one.
    id: u32,
    /// When it did last.
    registered: Instant,
    /// Microseconds from the monotonic to the wall clock.
    wall_offset: i64,
    peer_index: IndexState,
    peer_free: FreeState,
    ready_peers: FifoState,
    /// Where the search for a peer slot to reuse goes on.
    clock_hand: u32,
    stream_index: IndexState,
    stream_free: FreeState,
    ready_streams: FifoState,
    reporting: FifoState,
    open_streams: u32,
    timers: TimersState,
    pool: PoolState,
    packets: RingState,
    /// Packets to look at before the next wait: a tunnel came up or one was queued.
    packets_due: usize,
    datagrams: RingState,
    datagrams_reported: bool,
    trust: TrustState,
    beacon: BeaconClient,
    listeners: usize,
    next_port: u16,
    notices: NoticesState,
    syn_bucket: Bucket,
    strangers: Bucket,
    complaints: Bucket,
    exchange_sources: SourceLimiter<EXCHANGE_SOURCES>,
    counters: Counters,
    /// Which of [`Table::ALL`] the owner lets grow no more.
    refused: u8,
}

impl Core {
    /// The slot of a peer of which `is_it` says yes. Rows are looked at by nobody else.
    fn find_peer<C: Crypto>(
        &self,
        parts: &Parts<'_, C>,
        node: u32,
        is_it: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        self.peer_index.find(parts.peer_index, self.peer_index.hash([u64::from(node)]), is_it)
    }

    /// Asks the processor for what a frame of the peer needs.
    #[inline]
    fn fetch_peer<C: Crypto>(parts: &Parts<'_, C>, slot: u32) {
        if let Some(peer) = parts.peers.get(slot as usize) {
            peer.fetch();
        }
        if let Some(timer) = parts.timers.get(peer_timer(slot) as usize) {
            timer.fetch();
        }
    }
}

/// Everything one call works with, borrowed apart.
struct Ctx<'a, C: Crypto, R> {
    now: Instant,
    config: &'a Config,
    identity: &'a Identity,
    crypto: &'a C,
    rng: &'a mut R,
    core: &'a mut Core,
    parts: Parts<'a, C>,
}

/// Entries that one call may add to a list of trust, or notices that do not depend on the number of peers.
const SPARE: usize = 4;

impl<M: Memory<C>, C: Crypto, R: Rng> Node<M, C, R> {
    /// A node that does not know its own id yet: it talks to the beacon only, until [`Node::set_id`].
    pub fn new(config: Config, identity: Identity, mut memory: M, crypto: C, mut rng: R) -> Self {
        let first_port = rng.u32() % u32::from(u16::MAX - FIRST_EPHEMERAL);
        let mut trust = TrustState::new(config.trust_auto_approve);
        trust.set_node(identity.node());
        // The trust port is the node's own.
        let mut listeners = 0;
        let _ = Listeners::new(&mut listeners, memory.parts().listeners).insert(crate::port::TRUST);
        let core = Core {
            id: identity.node(),
            registered: Instant::ORIGIN,
            wall_offset: 0,
            peer_index: IndexState::new(&mut rng),
            peer_free: FreeState::default(),
            ready_peers: FifoState::default(),
            clock_hand: 0,
            stream_index: IndexState::new(&mut rng),
            stream_free: FreeState::default(),
            ready_streams: FifoState::default(),
            reporting: FifoState::default(),
            open_streams: 0,
            timers: TimersState::new(),
            pool: PoolState::default(),
            packets: RingState::new(),
            packets_due: 0,
            datagrams: RingState::new(),
            datagrams_reported: false,
            trust,
            beacon: BeaconClient::new(config.beacon),
            listeners,
            next_port: FIRST_EPHEMERAL.saturating_add(u16::try_from(first_port).unwrap_or(0)),
            notices: NoticesState::default(),
            syn_bucket: Bucket::full(config.syn_rate),
            strangers: Bucket::full(STRANGER_RATE),
            complaints: Bucket::full(COMPLAINT_RATE),
            exchange_sources: SourceLimiter::new(EXCHANGE_BURST),
            counters: Counters::default(),
            refused: 0,
        };
        Node { config, identity, crypto, rng, memory, core }
    }

    fn ctx(&mut self, now: Instant) -> Ctx<'_, C, R> {
        self.grow();
        Ctx {
            now,
            config: &self.config,
            identity: &self.identity,
            crypto: &self.crypto,
            rng: &mut self.rng,
            core: &mut self.core,
            parts: self.memory.parts(),
        }
    }

    /// Asks the owner for room before a call that may need it. Where the owner has no more, the call finds the table
    /// full.
    fn grow(&mut self) {
        if self.short() == 0 {
            return;
        }
        for (at, table) in Table::ALL.into_iter().enumerate() {
            while self.short() & 1 << at != 0 {
                if table == Table::Notices {
                    // A queue that goes around its end would be torn apart.
                    Notices::new(&mut self.core.notices, self.memory.parts().notices).straighten();
                }
                if !self.memory.more(table) {
                    self.core.refused |= 1 << at;
                    break;
                }
            }
        }
    }

    /// Which of [`Table::ALL`] may be too small for the next call and can grow, a bit for each.
    fn short(&mut self) -> u8 {
        let (core, parts) = (&self.core, self.memory.parts());
        let [trusted, pending, intents] = core.trust.used();
        let peers = core.peer_free.used();
        let short: [bool; Table::ALL.len()] = [
            peers >= parts.peers.len(),
            core.stream_free.used() >= parts.streams.len(),
            core.listeners >= parts.listeners.len(),
            // One timeout may ask for the place and the key of every peer.
            core.notices.len() + 2 * peers + SPARE > parts.notices.len(),
            trusted + SPARE > parts.trusted.len(),
            pending + SPARE > parts.pending.len(),
            intents + SPARE > parts.intents.len(),
            core.trust.seen_wanted() > parts.seen.len(),
        ];
        short.into_iter().rev().fold(0, |bits, short| bits << 1 | u8::from(short)) & !core.refused
    }

    /// Tells the node its id, after every registration. Peers see the new id with the next frame, and what could not be
    /// found out before may be asked for again at once.
    pub fn set_id(&mut self, now: Instant, node: u32) {
        self.core.registered = now;
        self.identity = self.identity.clone().with_node(node);
        self.core.id = node;
        self.core.trust.set_node(node);
        self.core.beacon.refresh(now);
    }

    /// Own node id; 0 before registration.
    pub fn id(&self) -> u32 {
        self.core.id
    }

    /// Tells the node what the wall clock shows, in microseconds since 1970; trust messages carry that time.
    pub fn set_wall_clock(&mut self, now: Instant, unix_micros: i64) {
        self.core.wall_offset =
            unix_micros.saturating_sub(i64::try_from(now.as_micros()).unwrap_or(i64::MAX));
    }

    /// Accept streams and datagrams from everybody, or only from trusted nodes.
    pub fn set_public(&mut self, public: bool) {
        self.config.public = public;
    }

    /// The address at which the beacon sees us.
    pub fn public_address(&self) -> Option<SocketAddr> {
        self.core.beacon.observed()
    }

    /// Our local network may have changed: registers at the beacon again and probes every peer.
    pub fn handle_network_change(&mut self, now: Instant) {
        self.core.beacon.refresh(now);
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        self.core.counters
    }

    /// What of the lent memory is in use.
    pub fn usage(&self) -> Usage {
        Usage {
            peers: self.core.peer_free.used(),
            streams: self.core.stream_free.used(),
            chunks: self.core.pool.used() as usize,
            packets: self.core.packets.len(),
            datagrams: self.core.datagrams.len(),
        }
    }

    /// Feeds one datagram from the tunnel socket. It may be decrypted in place.
    ///
    /// Whatever it is, the worst that can happen is that it is dropped.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, data: &mut [u8]) {
        self.ctx(now).datagram(from, data);
    }

    /// Tells the node of a datagram that will be fed soon, best while the one before it has not been yet: what the node
    /// keeps of its sender is fetched from memory meanwhile. With thousands of peers that is most of what a datagram
    /// costs. Nothing else happens, whatever the datagram is and whether it is ever fed; without the feature `prefetch`
    /// nothing at all.
    pub fn expect(&mut self, data: &[u8]) {
        if cfg!(feature = "prefetch")
            && let Some(sender) = frame::sealed_sender(data)
        {
            let parts = self.memory.parts();
            // The row is not looked at, which would mean to wait for it.
            if let Some(slot) = self.core.find_peer(&parts, sender, |_| true) {
                Core::fetch_peer(&parts, slot);
            }
        }
    }

    /// Tells the node that the instant it asked for has come. A call with nothing due changes nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.ctx(now).timeout();
    }

    /// Answers an [`Event::Ask`].
    pub fn handle_answer(&mut self, now: Instant, answer: Answer<'_>) {
        self.ctx(now).answer(answer);
    }

    /// Writes outgoing datagrams into `buffer`, of which at least 2048 bytes are needed and 65 536 are best.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Instant, buffer: &mut [u8]) -> Option<Transmit> {
        if !self.may_transmit(now) {
            return None;
        }
        self.ctx(now).transmit(buffer)
    }

    /// Whether [`Node::poll_transmit`] may have something or change anything.
    pub fn may_transmit(&self, now: Instant) -> bool {
        let core = &self.core;
        core.packets_due > 0
            || !core.ready_streams.is_empty()
            || !core.ready_peers.is_empty()
            || core.beacon.may_send(now)
    }

    /// Whether [`Node::poll_event`] may have something: what a call for nothing would cost is saved.
    pub fn may_have_events(&self) -> bool {
        self.core.notices.len() > 0 || !self.core.reporting.is_empty() || self.core.trust.has_actions()
    }

    /// The next thing the owner should know.
    #[must_use]
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        if !self.may_have_events() {
            return None;
        }
        let event = self.ctx(now).event()?;
        narrate::narrate(&event);
        Some(event)
    }

    /// When [`Node::handle_timeout`] must be called next; `None` is never.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let parts = self.memory.parts();
        let timers = Timers::new(&mut self.core.timers, parts.timer_heap, parts.timers).peek();
        earliest(timers, earliest(self.core.beacon.poll_timeout(), self.core.trust.poll_timeout()))
    }

    /// Every peer with tunnel state.
    pub fn peers(&mut self) -> impl Iterator<Item = PeerInfo> + '_ {
        let used = self.core.peer_free.high_water();
        let rows = self.memory.parts().peers.get(..used).unwrap_or_default();
        rows.iter().filter(|peer| peer.node != 0).map(|peer| PeerInfo {
            node: peer.node,
            endpoint: peer.path.direct(),
            encrypted: peer.tunnel.is_ready(),
            authenticated: peer.tunnel.is_ready() && peer.tunnel.is_authenticated(),
            relay: peer.path.is_relayed(),
            last_received: peer.path.last_received(),
            capabilities: peer.tunnel.agreement().peer().copied(),
            chacha: peer.tunnel.agreement().seals_with_chacha(),
        })
    }
}

impl<C: Crypto, R: Rng> Ctx<'_, C, R> {
    fn timers(&mut self) -> Timers<'_> {
        Timers::new(&mut self.core.timers, self.parts.timer_heap, self.parts.timers)
    }

    fn listeners(&mut self) -> Listeners<'_> {
        Listeners::new(&mut self.core.listeners, self.parts.listeners)
    }

    fn packets(&mut self) -> Ring<'_> {
        Ring::new(&mut self.core.packets, self.parts.packets)
    }

    /// Own address on the backbone.
    fn own_addr(&self) -> Addr {
        Addr { network: 0, node: self.core.id }
    }

    fn relay_available(&self) -> bool {
        self.core.beacon.address().is_some()
    }

    /// Tells the owner something; dropped (and counted) if the owner does not poll.
    fn notice(&mut self, event: Event) {
        if !Notices::new(&mut self.core.notices, self.parts.notices).push(event) {
            self.core.counters.overflowed += 1;
        }
    }

    // --- peers -------------------------------------------------------------------------------------------------

    fn peer(&mut self, slot: u32) -> Option<&mut PeerSlot<C>> {
        self.parts.peers.get_mut(slot as usize).filter(|peer| peer.node != 0)
    }

    fn find_peer(&self, node: u32) -> Option<u32> {
        let peers = &*self.parts.peers;
        self.core.find_peer(&self.parts, node, |slot| {
            peers.get(slot as usize).is_some_and(|peer| peer.node == node)
        })
    }

    /// [`find_peer`](Self::find_peer) for the sender of a frame, of whom much is needed.
    fn find_sender(&self, node: u32) -> Option<u32> {
        self.core.find_peer(&self.parts, node, |slot| {
            Core::fetch_peer(&self.parts, slot);
            self.parts.peers.get(slot as usize).is_some_and(|peer| peer.node == node)
        })
    }

    /// The peer's slot, made if there is room: a free one, or one whose loss costs nothing. A stranger never takes
    /// the place of a proved peer.
    fn find_or_add_peer(&mut self, node: u32, stranger: bool) -> Option<u32> {
        if node == 0 || node == u32::MAX || node == self.core.id {
            return None;
        }
        if let Some(slot) = self.find_peer(node) {
            return Some(slot);
        }
        let slots = self.parts.peers.len();
        let (free, _) =
            self.parts.peer_lists.split_at_mut_checked(self.parts.peer_lists.len() / PEER_LISTS)?;
        let slot = match Free::new(&mut self.core.peer_free, free).take(slots) {
            Some(slot) => slot,
            None => self.evict_peer(stranger)?,
        };
        let row = self.parts.peers.get_mut(slot as usize)?;
        *row = PeerSlot::new();
        row.node = node;
        let hash = self.core.peer_index.hash([u64::from(node)]);
        if Index::new(&mut self.core.peer_index, self.parts.peer_index).insert(hash, slot).is_err() {
            row.node = 0;
            self.give_peer_slot(slot);
            self.core.counters.overflowed += 1;
            return None;
        }
        Some(slot)
    }

    /// Frees the slot of a peer that will not be missed, looking at a bounded number of candidates.
    fn evict_peer(&mut self, stranger: bool) -> Option<u32> {
        const LOOK_AT: usize = 64;
        let count = u32::try_from(self.parts.peers.len()).ok().filter(|count| *count > 0)?;
        for _ in 0..LOOK_AT {
            self.core.clock_hand = (self.core.clock_hand + 1) % count;
            let slot = self.core.clock_hand;
            let trusted = self.peer(slot).map(|peer| peer.node).is_some_and(|node| self.is_trusted(node));
            let Some(peer) = self.peer(slot) else { continue };
            if peer.is_evictable() && !trusted && !(stranger && peer.proved) {
                self.remove_peer_from_index(slot);
                return Some(slot);
            }
        }
        self.core.counters.overflowed += 1;
        narrate::full("peers");
        None
    }

    fn remove_peer_from_index(&mut self, slot: u32) {
        let peers = &*self.parts.peers;
        let node = peers.get(slot as usize).map_or(0, |peer| peer.node);
        let keys = self.core.peer_index.clone();
        let hash_of = |slot: u32| keys.hash([u64::from(peers.get(slot as usize).map_or(0, |p| p.node))]);
        Index::new(&mut self.core.peer_index, self.parts.peer_index).remove(
            keys.hash([u64::from(node)]),
            slot,
            hash_of,
        );
        let _ = self.timers().set(peer_timer(slot), None);
        if let Some(peer) = self.parts.peers.get_mut(slot as usize) {
            peer.node = 0;
        }
    }

    fn give_peer_slot(&mut self, slot: u32) {
        if let Some((free, _)) =
            self.parts.peer_lists.split_at_mut_checked(self.parts.peer_lists.len() / PEER_LISTS)
        {
            Free::new(&mut self.core.peer_free, free).give(slot);
        }
    }

    /// Puts a peer into the queue of those that have something to send.
    fn peer_ready(&mut self, slot: u32) {
        let half = self.parts.peer_lists.len() / PEER_LISTS;
        let Some(peer) = self.parts.peers.get_mut(slot as usize).filter(|p| p.node != 0 && !p.queued) else {
            return;
        };
        if let Some((_, ready)) = self.parts.peer_lists.split_at_mut_checked(half) {
            peer.queued = true;
            Fifo::new(&mut self.core.ready_peers, ready).push(slot);
        }
    }

    fn pop_ready_peer(&mut self) -> Option<u32> {
        let half = self.parts.peer_lists.len() / PEER_LISTS;
        let (_, ready) = self.parts.peer_lists.split_at_mut_checked(half)?;
        let slot = Fifo::new(&mut self.core.ready_peers, ready).pop()?;
        if let Some(peer) = self.parts.peers.get_mut(slot as usize) {
            peer.queued = false;
        }
        Some(slot)
    }

    // --- streams -----------------------------------------------------------------------------------------------

    fn stream(&mut self, slot: u32) -> Option<&mut StreamSlot> {
        self.parts.streams.get_mut(slot as usize).filter(|row| row.stream.is_some())
    }

    fn stream_hash(index: &IndexState, local_port: u16, node: u32, remote_port: u16) -> u64 {
        index.hash([u64::from(node) << 32 | u64::from(local_port) << 16 | u64::from(remote_port)])
    }

    fn find_stream(&self, local_port: u16, node: u32, remote_port: u16) -> Option<u32> {
        let hash = Self::stream_hash(&self.core.stream_index, local_port, node, remote_port);
        let rows = &*self.parts.streams;
        self.core.stream_index.find(self.parts.stream_index, hash, |slot| {
            rows.get(slot as usize).is_some_and(|row| {
                row.stream.is_some()
                    && row.local_port == local_port
                    && row.remote.port == remote_port
                    && row.remote.addr.node == node
            })
        })
    }

    /// The three lists of streams: free slots, ready to send, to be reported.
    fn stream_lists(lists: &mut [u32]) -> Option<(&mut [u32], &mut [u32], &mut [u32])> {
        let third = lists.len() / STREAM_LISTS;
        let (free, rest) = lists.split_at_mut_checked(third)?;
        let (ready, report) = rest.split_at_mut_checked(third)?;
        Some((free, ready, report))
    }

    fn stream_ready(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| !row.queued && !row.blocked)
        else {
            return;
        };
        if let Some((_, ready, _)) = Self::stream_lists(self.parts.stream_lists) {
            row.queued = true;
            Fifo::new(&mut self.core.ready_streams, ready).push(slot);
        }
    }

    fn pop_ready_stream(&mut self) -> Option<u32> {
        let (_, ready, _) = Self::stream_lists(self.parts.stream_lists)?;
        let slot = Fifo::new(&mut self.core.ready_streams, ready).pop()?;
        if let Some(row) = self.parts.streams.get_mut(slot as usize) {
            row.queued = false;
        }
        Some(slot)
    }

    fn report(&mut self, slot: u32) {
        let Some(row) = self.parts.streams.get_mut(slot as usize).filter(|row| !row.reporting) else {
            return;
        };
        if let Some((_, _, report)) = Self::stream_lists(self.parts.stream_lists) {
            row.reporting = true;
            Fifo::new(&mut self.core.reporting, report).push(slot);
        }
    }

    fn pop_reporting(&mut self) -> Option<u32> {
        let (_, _, report) = Self::stream_lists(self.parts.stream_lists)?;
        let slot = Fifo::new(&mut self.core.reporting, report).pop()?;
        if let Some(row) = self.parts.streams.get_mut(slot as usize) {
            row.reporting = false;
        }
        Some(slot)
    }

    // --- time --------------------------------------------------------------------------------------------------

    fn timeout(&mut self) {
        let now = self.now;
        while let Some(id) = self.timers().pop_due(now) {
            let slot = id / 2;
            if id % 2 == 0 { self.stream_timeout(slot) } else { self.peer_timeout(slot) }
        }
        self.trust_timeout();
    }
}

/// Timer of a stream: even numbers.
const fn stream_timer(slot: u32) -> u32 {
    slot * 2
}

/// Timer of a peer: odd numbers.
const fn peer_timer(slot: u32) -> u32 {
    slot * 2 + 1
}

const _: () = assert!(NONE == u32::MAX);

//! The beacon: tells nodes the address they are seen at, lets two of them punch holes, and relays what cannot go
//! directly. Nothing in its protocol is authenticated, so what it believes is bounded here.
//!
//! A node id belongs to the address that claimed it first and keeps it alive. Another address takes it over at once if
//! it has the same IP address (the node restarted on another port, or its NAT moved it) or the one from which the node
//! last proved its key to the registry; any other only when the owner has been silent.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec,
    vec::Vec,
};
use core::net::{IpAddr, SocketAddr};

use pilot_proto::Transmit;
use pilot_proto::planted;
use pilot_proto::ring::{Ring, RingState};
use pilot_proto::time::{Duration, Instant, earliest};
use pilot_proto::wire::beacon::{Beacon as Message, NodeList, WAKE_HANDSHAKE, deliver_head};

use super::rate::{Bucket, Buckets, Rate, Shares, source_key};

/// A node that said nothing for this long may be replaced by another address. Daemons speak every 30 or 60 s.
const QUIET_AFTER: Duration = Duration::from_secs(90);
/// Between two lists of our nodes to the peer beacons.
const GOSSIP_EVERY: Duration = Duration::from_secs(10);
/// Most nodes on one page of the list: more do not fit a datagram with the page's number.
const PAGE_NODES: usize = 16_374;
/// Most pages of one list. Nodes beyond them are not told to the other beacons.
const MAX_PAGES: usize = 32;
/// Largest message: a datagram.
const MAX_MESSAGE: usize = 65_535;
/// Datagrams handed to the driver in one call, which is what kernels take.
const MAX_BATCH: usize = 64;
/// Bytes of one such batch.
const MAX_BATCH_BYTES: usize = 65_507;

/// Address replies to one source address: a host of many daemons, not a flood to a forged source.
const REPLIES: Rate = Rate::per_minute(600);
/// Punch requests of one node.
const PUNCHES: Rate = Rate::per_minute(60);
/// Frames relayed for one node.
const RELAYS: Rate = Rate::per_second(4000);
/// Source addresses counted at a time.
const MAX_BUCKETS: usize = 65_536;

/// How the beacon is run.
#[derive(Clone, Debug)]
pub struct BeaconConfig {
    /// Most nodes at a time.
    pub max_nodes: usize,
    /// Most nodes at a time at one source address (one IPv4 address, one IPv6 /64).
    pub max_nodes_per_source: u32,
    /// A node that said nothing for this long is forgotten: nothing is relayed to it. Nodes speak every 25 to 60 s (NAT-4).
    pub forget_after: Duration,
    /// Bytes of messages that wait for the driver; what does not fit is lost, as on any full link.
    pub queue_bytes: usize,
    /// Our id among the beacons of a cluster.
    pub id: u32,
    /// The other beacons of the cluster. Only they are believed about their nodes.
    pub peers: Vec<SocketAddr>,
}

impl Default for BeaconConfig {
    fn default() -> Self {
        BeaconConfig {
            max_nodes: 262_144,
            max_nodes_per_source: 1024,
            forget_after: Duration::from_secs(600),
            queue_bytes: 4 << 20,
            id: 0,
            peers: Vec::new(),
        }
    }
}

/// What the beacon asks of the registry that runs beside it.
pub(super) trait Witness {
    /// The IP address from which the node last proved its key, if it is registered.
    fn source_of(&self, node: u32) -> Option<IpAddr>;
    /// Whether `requester` may learn where `target` is, if both are registered.
    fn may_reach(&self, requester: u32, target: u32) -> Option<bool>;
}

#[derive(Debug)]
struct Member {
    addr: SocketAddr,
    heard: Instant,
    punches: Bucket,
    relays: Bucket,
}

/// A page of another beacon's list.
#[derive(Debug)]
struct Page {
    heard: Instant,
    /// Ascending.
    nodes: Vec<u32>,
}

/// The beacon.
#[derive(Debug)]
pub(super) struct Beacon {
    config: BeaconConfig,
    nodes: BTreeMap<u32, Member>,
    /// When to look whether a node is to be forgotten: one entry a node, not later than due.
    checks: BTreeSet<(Instant, u32)>,
    sources: Shares,
    /// Nodes of other beacons, by beacon and page.
    lists: BTreeMap<(SocketAddr, u8), Page>,
    /// Peer beacons that take their lists in pages.
    read_pages: BTreeSet<SocketAddr>,
    gossip_at: Option<Instant>,
    replies: Buckets<IpAddr>,
    out: Outbox,
}

impl Beacon {
    pub(super) fn new(config: BeaconConfig) -> Self {
        Beacon {
            out: Outbox::new(config.queue_bytes),
            nodes: BTreeMap::new(),
            checks: BTreeSet::new(),
            sources: Shares::new(config.max_nodes_per_source),
            lists: BTreeMap::new(),
            read_pages: BTreeSet::new(),
            gossip_at: None,
            replies: Buckets::new(REPLIES, MAX_BUCKETS),
            config,
        }
    }

    pub(super) fn start(&mut self, now: Instant) {
        if !self.config.peers.is_empty() {
            self.gossip_at = Some(now + GOSSIP_EVERY);
        }
    }

    /// Deals with a message; false if it is none, or none for a beacon.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        from: SocketAddr,
        data: &[u8],
        witness: &impl Witness,
    ) -> bool {
        let from = canonical(from);
        match Message::parse(data) {
            Some(Message::Relay { sender, target, frame }) => {
                self.relay(now, from, sender, target, frame, data, witness);
            }
            Some(Message::Discover { node }) => {
                let stale =
                    self.nodes.get(&node).map(|member| member.addr).filter(|_| planted!(StaleReflexive));
                // Node 0 is a daemon without an id that asks for its address only.
                if node != 0 {
                    self.hear(now, node, from, witness);
                }
                if self.replies.take(source_key(from.ip()), now) || planted!(RepliesUnlimited) {
                    self.send(from, &Message::DiscoverReply { observed: stale.unwrap_or(from) });
                }
            }
            Some(Message::PunchRequest { requester, target }) => {
                self.punch(now, from, requester, target, witness);
            }
            Some(Message::Sync { nodes, .. })
                if self.config.peers.contains(&from) || planted!(GossipOfAnybody) =>
            {
                self.replace_page(now, from, nodes, page_of(data, nodes));
            }
            _ if planted!(GarbageReflected) => {
                self.send(from, &Message::DiscoverReply { observed: from });
            }
            // The rest is for daemons, or from a beacon that is none of ours.
            Some(
                Message::Sync { .. }
                | Message::DiscoverReply { .. }
                | Message::Punch { .. }
                | Message::Deliver { .. }
                | Message::Wake { .. },
            )
            | None => return false,
        }
        true
    }

    /// Its configuration.
    pub(super) const fn config(&self) -> &BeaconConfig {
        &self.config
    }

    /// Nodes it knows.
    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Tells a node that a handshake message waits for it at the registry.
    pub(super) fn wake(&mut self, node: u32) {
        if let Some(member) = self.nodes.get(&node) {
            let addr = member.addr;
            self.send(addr, &Message::Wake { kind: WAKE_HANDSHAKE });
        }
    }

    /// A node speaks from an address; says whether the address is the node's.
    fn hear(&mut self, now: Instant, node: u32, from: SocketAddr, witness: &impl Witness) -> bool {
        let source = source_key(from.ip());
        let known_here = || witness.source_of(node).is_some_and(|ip| source_key(ip) == source);
        if let Some(member) = self.nodes.get_mut(&node) {
            if member.addr != from {
                let old = source_key(member.addr.ip());
                if old != source {
                    let owned = now.since(member.heard) < QUIET_AFTER && !planted!(IdOfAnybody);
                    if owned && !known_here() {
                        return false;
                    }
                    if !self.sources.take(source) {
                        return false;
                    }
                    self.sources.give_back(old);
                }
                member.addr = from;
            }
            member.heard = now;
            return true;
        }
        let full = self.nodes.len() >= self.config.max_nodes || !self.sources.take(source);
        if full && !planted!(PlacesUnlimited) {
            return false;
        }
        let member = Member { addr: from, heard: now, punches: Bucket::default(), relays: Bucket::default() };
        self.nodes.insert(node, member);
        self.checks.insert((now + self.config.forget_after, node));
        true
    }

    fn punch(&mut self, now: Instant, from: SocketAddr, requester: u32, target: u32, witness: &impl Witness) {
        if !self.nodes.contains_key(&requester) || !self.hear(now, requester, from, witness) {
            return;
        }
        let Some(target_addr) = self.live(target, now) else { return };
        if witness.may_reach(requester, target) == Some(false) && !planted!(PunchOfStrangers) {
            return;
        }
        let allowed = self.nodes.get_mut(&requester).is_some_and(|member| member.punches.take(PUNCHES, now));
        if allowed || planted!(PunchesUnlimited) {
            self.send(from, &Message::Punch { peer: target_addr });
            self.send(target_addr, &Message::Punch { peer: from });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parsed message, beside the bytes it came in")]
    fn relay(
        &mut self,
        now: Instant,
        from: SocketAddr,
        sender: u32,
        target: u32,
        frame: &[u8],
        message: &[u8],
        witness: &impl Witness,
    ) {
        if self.config.peers.contains(&from) {
            // From a peer beacon: its sender is not ours, and it goes no further than here.
            if let Some(addr) = self.live(target, now) {
                self.out.push(addr, &[&deliver_head(sender), frame]);
            }
            return;
        }
        if planted!(RelayForUnregistered)
            && !self.nodes.contains_key(&sender)
            && let Some(addr) = self.live(target, now)
        {
            return self.out.push(addr, &[&deliver_head(sender), frame]);
        }
        if planted!(RelayRegisters) {
            self.hear(now, sender, from, witness);
        }
        let Some(member) = self.nodes.get_mut(&sender) else { return };
        // A NAT may have moved the sender to another port since it spoke last.
        let at_home = member.addr == from || source_key(member.addr.ip()) == source_key(from.ip());
        let at_home = at_home || planted!(RelayInAnyName);
        if !(at_home || witness.source_of(sender).is_some_and(|ip| source_key(ip) == source_key(from.ip()))) {
            return;
        }
        if !member.relays.take(RELAYS, now) && !planted!(RelaysUnlimited) {
            return;
        }
        let other =
            self.nodes.keys().find(|node| planted!(RelayMisdelivered) && ![sender, target].contains(node));
        let target = other.copied().unwrap_or(target);
        if let Some(addr) = self.live(target, now) {
            if planted!(RelayDoubled) {
                self.out.push(addr, &[&deliver_head(sender), frame]);
            }
            self.out.push(addr, &[&deliver_head(sender), frame]);
        } else if let Some(beacon) = self.beacon_of(target) {
            self.out.push(beacon, &[message]);
        }
    }

    fn live(&self, node: u32, now: Instant) -> Option<SocketAddr> {
        let member = self.nodes.get(&node)?;
        let live = now.since(member.heard) < self.config.forget_after || planted!(NeverForgotten);
        live.then_some(member.addr)
    }

    fn send(&mut self, to: SocketAddr, message: &Message<'_>) {
        let mut buf = [0; 32];
        if let Ok(len) = message.emit(&mut buf) {
            self.out.push(to, &[buf.get(..len).unwrap_or_default()]);
        }
    }

    /// The beacon that told last that the node is there.
    fn beacon_of(&self, node: u32) -> Option<SocketAddr> {
        let there = self.lists.iter().filter(|(_, page)| page.nodes.binary_search(&node).is_ok());
        there.max_by_key(|(_, page)| page.heard).map(|(&(beacon, _), _)| beacon)
    }

    /// A peer beacon tells its nodes: all of them, or a page of them. It replaces what was there before, and pages
    /// that the list no longer has.
    fn replace_page(
        &mut self,
        now: Instant,
        from: SocketAddr,
        nodes: NodeList<'_>,
        numbers: Option<[u8; 2]>,
    ) {
        let [at, pages] = numbers.unwrap_or([0, 1]);
        self.lists.retain(|&(beacon, page), _| beacon != from || (page < pages && page != at));
        let mut nodes: Vec<u32> = nodes.iter().filter(|node| !self.nodes.contains_key(node)).collect();
        if !nodes.is_empty() {
            nodes.sort_unstable();
            self.lists.insert((from, at), Page { heard: now, nodes });
        }
        if numbers.is_some() {
            self.read_pages.insert(from);
        } else {
            self.read_pages.remove(&from);
        }
    }

    /// Tells the peer beacons our nodes. A release takes each message for the whole list, so only a beacon that has
    /// shown us page numbers gets more than the first page.
    fn gossip(&mut self) {
        let mut memory = vec![0; PAGE_NODES * 4];
        let mut buf = vec![0; MAX_MESSAGE];
        let pages = self.nodes.len().div_ceil(PAGE_NODES).clamp(1, MAX_PAGES);
        let mut left = self.nodes.keys().copied();
        for at in 0..pages {
            let nodes = NodeList::new(&mut memory, left.by_ref().take(PAGE_NODES));
            let Ok(len) = (Message::Sync { beacon: self.config.id, nodes }).emit(&mut buf) else { return };
            let message = buf.get(..len).unwrap_or_default();
            let numbers = [at, pages].map(|number| number as u8);
            for peer in &self.config.peers {
                let reads = self.read_pages.contains(peer);
                if at == 0 || reads {
                    let numbers: &[u8] = if pages > 1 || reads { &numbers } else { &[] };
                    self.out.push(*peer, &[message, numbers]);
                }
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, node)) = self.checks.first()
            && at <= now
        {
            self.checks.pop_first();
            let Some(member) = self.nodes.get(&node) else { continue };
            let due = member.heard + self.config.forget_after;
            if due > now {
                self.checks.insert((due, node));
            } else if !planted!(NeverForgotten)
                && let Some(member) = self.nodes.remove(&node)
            {
                self.sources.give_back(source_key(member.addr.ip()));
            }
        }
        if self.gossip_at.is_some_and(|at| at <= now) {
            self.gossip_at = Some(now + GOSSIP_EVERY);
            self.gossip();
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.gossip_at, self.checks.first().map(|&(at, _)| at))
    }

    pub(super) fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        self.out.poll(buf)
    }
}

/// The number of the page and of all pages, behind the list of a beacon that has or reads pages.
fn page_of(message: &[u8], nodes: NodeList<'_>) -> Option<[u8; 2]> {
    let list = 7 + 4 * usize::from(nodes.len());
    let &[at, pages] = message.get(list..)?.first_chunk()?;
    (at < pages && usize::from(pages) <= MAX_PAGES).then_some([at, pages])
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Messages on their way to the driver, in one ring of bytes.
#[derive(Debug)]
struct Outbox {
    state: RingState,
    bytes: Vec<u8>,
    to: VecDeque<SocketAddr>,
}

impl Outbox {
    fn new(bytes: usize) -> Self {
        Outbox { state: RingState::new(), bytes: vec![0; bytes], to: VecDeque::new() }
    }

    /// Queues a message made of `parts`; without room it is lost.
    fn push(&mut self, to: SocketAddr, parts: &[&[u8]]) {
        if Ring::new(&mut self.state, &mut self.bytes).push(parts).is_ok() {
            self.to.push_back(to);
        }
    }

    /// Writes the next message, and those behind it of the same length to the same address.
    fn poll(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        let mut ring = Ring::new(&mut self.state, &mut self.bytes);
        let &to = self.to.front()?;
        let size = ring.front()?.len();
        let (mut len, mut messages) = (0, 0);
        while messages < MAX_BATCH
            && self.to.front() == Some(&to)
            && let Some(message) = ring.front()
            && (messages == 0 || (message.len() <= size && len + message.len() <= MAX_BATCH_BYTES))
        {
            let last = message.len() < size;
            let Some(place) = buf.get_mut(len..len + message.len()) else { break };
            place.copy_from_slice(message);
            len += message.len();
            messages += 1;
            ring.pop();
            self.to.pop_front();
            if last {
                break;
            }
        }
        if messages == 0 {
            // It does not fit the lent buffer and never will.
            ring.pop();
            self.to.pop_front();
            return self.poll(buf);
        }
        Some(Transmit { to, len, segment_size: (messages > 1).then_some(size), may_fragment: true })
    }
}

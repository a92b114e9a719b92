//! A small network for tests: nodes, a beacon, links with delay and loss, virtual time, one seed.
//!
//! It only calls `handle_timeout` at the instants a node asked for, so a missing deadline hangs the test.
#![allow(dead_code)]

pub(crate) mod rogue;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::SocketAddr,
};

use pilot_proto::{
    Addr, Instant,
    crypto::{Crypto, Ed25519Seed, Identity, RustCrypto},
    node::{
        Answer, Config, Event, Listener, Memory, Node, Notice, PEER_LISTS, Parts, PeerSlot, Question,
        STREAM_LISTS, StreamId, StreamSlot,
    },
    parts_of,
    pool::Chunk,
    rng::{Rng, SeededRng},
    stream::Read,
    table::words_for,
    time::Duration,
    timers::TimerSlot,
    trust::{Intent, Pending, Seen, Trusted},
    wire::beacon::Beacon,
};

pub(crate) struct Owned {
    peers: Vec<PeerSlot<RustCrypto>>,
    peer_index: Vec<u32>,
    peer_lists: Vec<u32>,
    streams: Vec<StreamSlot>,
    stream_index: Vec<u32>,
    stream_lists: Vec<u32>,
    timer_heap: Vec<u32>,
    timers: Vec<TimerSlot>,
    chunks: Vec<Chunk>,
    bytes: Vec<u8>,
    packets: Vec<u8>,
    datagrams: Vec<u8>,
    listeners: Vec<Listener>,
    notices: Vec<Notice>,
    trusted: Vec<Trusted>,
    pending: Vec<Pending>,
    intents: Vec<Intent>,
    seen: Vec<Seen>,
}

impl Owned {
    pub(crate) fn new(peers: usize, streams: usize, chunks: usize, chunk: usize) -> Self {
        Self::with_queues(peers, streams, chunks, chunk, 256 * 1024, 64)
    }

    /// With so many bytes of waiting packets and of datagrams, and so many entries in each list.
    pub(crate) fn with_queues(
        peers: usize,
        streams: usize,
        chunks: usize,
        chunk: usize,
        queue: usize,
        lists: usize,
    ) -> Self {
        let ids = 2 * peers.max(streams);
        Owned {
            peers: (0..peers).map(|_| PeerSlot::new()).collect(),
            peer_index: vec![0; words_for(peers)],
            peer_lists: vec![0; PEER_LISTS * peers],
            streams: (0..streams).map(|_| StreamSlot::new()).collect(),
            stream_index: vec![0; words_for(streams)],
            stream_lists: vec![0; STREAM_LISTS * streams],
            timer_heap: vec![0; ids],
            timers: vec![TimerSlot::UNSET; ids],
            chunks: (0..chunks).map(|_| Chunk::NEW).collect(),
            bytes: vec![0; chunks * chunk],
            packets: vec![0; queue],
            datagrams: vec![0; queue],
            listeners: vec![Listener::EMPTY; lists],
            notices: vec![Notice::EMPTY; lists],
            trusted: vec![Trusted::EMPTY; lists],
            pending: vec![Pending::EMPTY; lists],
            intents: vec![Intent::EMPTY; lists],
            seen: vec![Seen::EMPTY; 4 * lists],
        }
    }
}

impl Memory<RustCrypto> for Owned {
    fn parts(&mut self) -> Parts<'_, RustCrypto> {
        parts_of!(self)
    }
}

pub(crate) type TestNode = Node<Owned, RustCrypto, SeededRng>;

/// One agent of the test network.
pub(crate) struct Host {
    pub(crate) node: TestNode,
    pub(crate) id: u32,
    pub(crate) address: SocketAddr,
    pub(crate) key: [u8; 32],
    pub(crate) seed: [u8; 32],
    pub(crate) config: Config,
    /// Events that are not questions, in order.
    pub(crate) events: Vec<Event>,
    /// Datagrams sent, for silence checks.
    pub(crate) sent: usize,
    /// Datagrams sent that may not be fragmented.
    pub(crate) probes: usize,
    /// The registry does not answer this host.
    pub(crate) registry_down: bool,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at: Instant,
    order: u64,
    from: SocketAddr,
    to: SocketAddr,
    data: Vec<u8>,
}

/// Link properties between hosts.
pub(crate) struct Link {
    pub(crate) delay: Duration,
    /// Lost datagrams out of a thousand.
    pub(crate) loss: u32,
    /// Duplicated datagrams out of a thousand.
    pub(crate) duplicate: u32,
    /// Extra delay up to this, drawn per datagram: reorders.
    pub(crate) jitter: Duration,
    /// Largest datagram that passes; larger ones vanish.
    pub(crate) mtu: usize,
}

pub(crate) struct Net {
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<Host>,
    pub(crate) link: Link,
    /// Pairs of addresses between which nothing passes.
    pub(crate) cut: BTreeSet<(SocketAddr, SocketAddr)>,
    pub(crate) beacon: SocketAddr,
    pub(crate) beacon_nodes: BTreeMap<u32, SocketAddr>,
    /// Pairs that the registry would let talk (shared network); all resolve freely.
    pub(crate) allowed: BTreeSet<(u32, u32)>,
    /// Where the registry says that a node is, if that is not where it is.
    pub(crate) located: BTreeMap<u32, SocketAddr>,
    /// Every question, and which host asked.
    pub(crate) asked: Vec<(usize, Question)>,
    flights: BinaryHeap<Reverse<Flight>>,
    order: u64,
    rng: SeededRng,
    /// Every datagram on the wire: (from, to, bytes).
    pub(crate) wire: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
    pub(crate) record: bool,
}

pub(crate) const MS: Duration = Duration::from_millis(1);

impl Net {
    pub(crate) fn new(seed: u64) -> Self {
        Net {
            now: Instant::from_millis(1),
            hosts: Vec::new(),
            link: Link { delay: MS * 5, loss: 0, duplicate: 0, jitter: Duration::ZERO, mtu: usize::MAX },
            cut: BTreeSet::new(),
            beacon: "192.0.2.1:9001".parse().unwrap(),
            beacon_nodes: BTreeMap::new(),
            allowed: BTreeSet::new(),
            located: BTreeMap::new(),
            asked: Vec::new(),
            flights: BinaryHeap::new(),
            order: 0,
            rng: SeededRng::new(seed),
            wire: Vec::new(),
            record: false,
        }
    }

    /// Adds a host with the next id and returns its place.
    pub(crate) fn add(&mut self, configure: impl FnOnce(&mut Config)) -> usize {
        let id = self.hosts.len() as u32 + 1;
        let mut config = Config { beacon: Some(self.beacon), ..Config::default() };
        configure(&mut config);
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        let address = SocketAddr::from(([198, 51, 100, id as u8], 4000));
        let (node, key) = Self::build(&config, id, seed, self.rng.u64());
        self.hosts.push(Host {
            node,
            id,
            address,
            key,
            seed,
            config,
            events: Vec::new(),
            sent: 0,
            probes: 0,
            registry_down: false,
        });
        self.hosts.len() - 1
    }

    /// A registered address and key behind which no node answers: see [`rogue::Rogue`].
    pub(crate) fn add_silent(&mut self) -> usize {
        let host = self.add(|config| config.beacon = None);
        let (h, rng) = (&mut self.hosts[host], self.rng.u64());
        h.node = Self::build(&h.config, 0, h.seed, rng).0;
        host
    }

    fn build(config: &Config, id: u32, seed: [u8; 32], rng: u64) -> (TestNode, [u8; 32]) {
        let crypto = RustCrypto;
        let identity = Identity::new(id, Ed25519Seed::from_bytes(seed), &crypto);
        let key = *identity.public();
        let memory = Owned::new(64, 256, 2048, 4096);
        (Node::new(config.clone(), identity, memory, crypto, SeededRng::new(rng)), key)
    }

    /// The process dies and starts again: everything but its identity is lost.
    pub(crate) fn restart(&mut self, host: usize) {
        let rng = self.rng.u64();
        let h = &mut self.hosts[host];
        h.node = Self::build(&h.config, h.id, h.seed, rng).0;
        h.events.clear();
    }

    fn launch(&mut self, from: SocketAddr, to: SocketAddr, data: &[u8]) {
        if self.record {
            self.wire.push((from, to, data.to_vec()));
        }
        if self.cut.contains(&(from, to))
            || self.rng.u32() % 1000 < self.link.loss
            || data.len() > self.link.mtu
        {
            return;
        }
        let copies = if self.rng.u32() % 1000 < self.link.duplicate { 2 } else { 1 };
        for _ in 0..copies {
            let jitter = self.link.jitter.as_micros() as u64;
            let jitter = if jitter == 0 { 0 } else { self.rng.u64() % jitter };
            self.order += 1;
            self.flights.push(Reverse(Flight {
                at: self.now + self.link.delay + Duration::from_micros(jitter),
                order: self.order,
                from,
                to,
                data: data.to_vec(),
            }));
        }
    }

    fn beacon_receives(&mut self, from: SocketAddr, data: &[u8]) {
        let mut out = [0; 64];
        match Beacon::parse(data) {
            Some(Beacon::Discover { node }) => {
                self.beacon_nodes.insert(node, from);
                let n = Beacon::DiscoverReply { observed: from }.emit(&mut out).unwrap();
                self.launch(self.beacon, from, &out[..n]);
            }
            Some(Beacon::PunchRequest { requester, target }) => {
                let (Some(a), Some(b)) =
                    (self.beacon_nodes.get(&requester).copied(), self.beacon_nodes.get(&target).copied())
                else {
                    return;
                };
                for (to, peer) in [(a, b), (b, a)] {
                    let n = Beacon::Punch { peer }.emit(&mut out).unwrap();
                    self.launch(self.beacon, to, &out[..n]);
                }
            }
            Some(Beacon::Relay { sender, target, frame }) => {
                if let Some(to) = self.beacon_nodes.get(&target).copied() {
                    let mut deliver = vec![0; frame.len() + 5];
                    Beacon::Deliver { sender, frame }.emit(&mut deliver).unwrap();
                    self.launch(self.beacon, to, &deliver);
                }
            }
            _ => {}
        }
    }

    /// Drains everything a host has to say.
    fn drain(&mut self, host: usize) {
        let mut buffer = vec![0; 65_536];
        loop {
            let now = self.now;
            let mut idle = true;
            while let Some(event) = self.hosts[host].node.poll_event(now) {
                idle = false;
                match event {
                    Event::Ask(question) => {
                        self.asked.push((host, question));
                        if !self.hosts[host].registry_down {
                            self.answer(host, question);
                        }
                    }
                    event => self.hosts[host].events.push(event),
                }
            }
            while let Some(transmit) = self.hosts[host].node.poll_transmit(now, &mut buffer) {
                idle = false;
                let from = self.hosts[host].address;
                let size = transmit.segment_size.unwrap_or(transmit.len).max(1);
                for datagram in buffer[..transmit.len].chunks(size) {
                    self.hosts[host].sent += 1;
                    self.hosts[host].probes += usize::from(!transmit.may_fragment);
                    let datagram = datagram.to_vec();
                    self.launch(from, transmit.to, &datagram);
                }
            }
            if idle {
                break;
            }
        }
    }

    fn answer(&mut self, host: usize, question: Question) {
        let now = self.now;
        let (Question::Locate { node } | Question::Key { node } | Question::MayTalk { node }) = question;
        let found = self.hosts.iter().find(|h| h.id == node).map(|h| (h.address, h.key));
        let found = found.map(|(at, key)| (self.located.get(&node).copied().unwrap_or(at), key));
        let me = self.hosts[host].id;
        let allowed = self.allowed.contains(&(me.min(node), me.max(node)));
        let node_ref = &mut self.hosts[host].node;
        match (question, found) {
            (Question::Locate { .. }, Some((address, key))) => node_ref.handle_answer(
                now,
                Answer::Located { node, candidates: &[address], key: Some(key), relay_only: false },
            ),
            (Question::Locate { .. }, None) => node_ref.handle_answer(now, Answer::NotLocated { node }),
            (Question::Key { .. }, found) => {
                node_ref.handle_answer(now, Answer::Key { node, key: found.map(|(_, key)| key) });
            }
            (Question::MayTalk { .. }, _) => node_ref.handle_answer(now, Answer::MayTalk { node, allowed }),
        }
    }

    /// Runs until nothing happens before `until`, or `done` says so. Returns whether `done` did.
    pub(crate) fn run_until(&mut self, until: Instant, mut done: impl FnMut(&mut Net) -> bool) -> bool {
        let mut turns_at_one_instant = 0;
        loop {
            for host in 0..self.hosts.len() {
                self.drain(host);
            }
            if done(self) {
                return true;
            }
            for host in 0..self.hosts.len() {
                self.drain(host);
            }
            let flight = self.flights.peek().map(|Reverse(flight)| flight.at);
            let timer = self.hosts.iter_mut().filter_map(|host| host.node.poll_timeout()).min();
            let next = match (flight, timer) {
                (Some(a), Some(b)) => a.min(b),
                (Some(a), None) | (None, Some(a)) => a,
                (None, None) => break,
            };
            if next > until {
                break;
            }
            turns_at_one_instant = if next <= self.now { turns_at_one_instant + 1 } else { 0 };
            assert!(
                turns_at_one_instant < 10_000,
                "hot loop at {:?}: flight {flight:?} timer {timer:?}",
                self.now
            );
            self.now = self.now.max(next);
            let now = self.now;
            while let Some(Reverse(flight)) = self.flights.peek() {
                if flight.at > now {
                    break;
                }
                let Some(Reverse(mut flight)) = self.flights.pop() else { break };
                if flight.to == self.beacon {
                    self.beacon_receives(flight.from, &flight.data);
                } else if let Some(host) = self.hosts.iter().position(|host| host.address == flight.to) {
                    self.hosts[host].node.handle_datagram(now, flight.from, &mut flight.data);
                    self.drain(host);
                }
            }
            for host in 0..self.hosts.len() {
                // Sending may make something due at once, such as a suspicion, but time moves on soon.
                let mut services = 0;
                while self.hosts[host].node.poll_timeout().is_some_and(|at| at <= now) {
                    self.hosts[host].node.handle_timeout(now);
                    self.drain(host);
                    services += 1;
                    assert!(services <= 3, "host {host}: time does not move at {now:?}");
                }
            }
        }
        self.now = self.now.max(until);
        false
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        self.run_until(until, |_| false);
    }

    /// Runs until `done`, at most `limit`; how long it took.
    pub(crate) fn run_until_done(&mut self, limit: Duration, done: impl FnMut(&mut Net) -> bool) -> Duration {
        let start = self.now;
        assert!(self.run_until(start + limit, done), "not done after {limit:?}");
        self.now.since(start)
    }

    pub(crate) fn connect(&mut self, from: usize, to: usize, port: u16) -> StreamId {
        let node = self.hosts[to].id;
        self.hosts[from].node.connect(self.now, Addr { network: 0, node }, port).unwrap()
    }

    /// Cuts (or heals) the direct way between two hosts.
    pub(crate) fn set_direct(&mut self, a: usize, b: usize, open: bool) {
        let (a, b) = (self.hosts[a].address, self.hosts[b].address);
        for pair in [(a, b), (b, a)] {
            if open {
                self.cut.remove(&pair);
            } else {
                self.cut.insert(pair);
            }
        }
    }

    pub(crate) fn incoming(&self, host: usize, port: u16) -> Option<StreamId> {
        self.hosts[host].events.iter().rev().find_map(|event| match event {
            Event::Incoming { stream, port: p, .. } if *p == port => Some(*stream),
            _ => None,
        })
    }
}

pub(crate) fn crypto() -> impl Crypto {
    RustCrypto
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn public(net: &mut Net) -> usize {
    net.add(|config| config.public = true)
}

/// Bytes that tell where they are.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + i / 251) as u8).collect()
}

pub(crate) fn read_all(node: &mut TestNode, now: Instant, id: StreamId, into: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 8192];
    loop {
        match node.read(now, id, &mut buffer) {
            Ok(Read::Bytes(n)) => into.extend_from_slice(&buffer[..n]),
            Ok(Read::Empty) | Err(_) => return false,
            Ok(Read::End) => return true,
        }
    }
}

/// Sends `data` from `a` to port 1000 of `b` on a new stream, finishes, and returns what `b` got and how long it took
/// until the end was seen.
pub(crate) fn transfer(
    net: &mut Net,
    a: usize,
    b: usize,
    data: &[u8],
    limit: Duration,
) -> (Vec<u8>, Duration) {
    if !net.hosts[b].node.is_listening(1000) {
        net.hosts[b].node.listen(1000).unwrap();
    }
    net.hosts[b].events.clear();
    let out = net.connect(a, b, 1000);
    let (mut sent, mut got, mut ended) = (0, Vec::new(), false);
    let took = net.run_until_done(limit, |net| {
        let now = net.now;
        while sent < data.len() {
            match net.hosts[a].node.write(now, out, &data[sent..]) {
                Ok(0) | Err(_) => break,
                Ok(n) => sent += n,
            }
        }
        if sent == data.len() {
            let _ = net.hosts[a].node.finish(now, out);
        }
        if let Some(incoming) = net.incoming(b, 1000) {
            ended = ended || read_all(&mut net.hosts[b].node, now, incoming, &mut got);
            if ended {
                net.hosts[b].node.release(now, incoming);
            }
        }
        ended
    });
    net.hosts[a].node.release(net.now, out);
    (got, took)
}

pub(crate) fn is_relayed(net: &mut Net, a: usize, b: usize) -> bool {
    let id = net.hosts[b].id;
    net.hosts[a].node.peers().any(|peer| peer.node == id && peer.relay)
}

pub(crate) fn trusts(net: &mut Net, a: usize, b: usize) -> bool {
    let id = net.hosts[b].id;
    net.hosts[a].node.trusted().any(|record| record.node == id)
}

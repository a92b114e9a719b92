//! One node among many: what a datagram costs it with few and with very many peers and streams.
//!
//! Cost may not depend on the number of rows in a table. What a machine cannot hide is its cache: a row that nobody
//! touched for long comes from main memory. So each case is measured twice, with the same ten rows in use and with all
//! of them in turn.

use std::net::SocketAddr;

use pilot_proto::{
    Addr, Instant,
    crypto::{Aead, AeadKey, Crypto, Ed25519Seed, Identity, RustCrypto},
    node::{Answer, Config, Event, Node, PeerSlot, Question, StreamId},
    rng::SeededRng,
    stream::{self, Read},
    time::Duration,
};

use crate::common::{MS, Owned, TestNode};
use crate::{line, over, percentile, timed, title};

const PORT: u16 = 1000;
/// Rows in use when only a few are.
const FEW: usize = 10;

struct Agent {
    node: TestNode,
    id: u32,
    address: SocketAddr,
    key: [u8; 32],
}

impl Agent {
    fn new(id: u32, memory: Owned) -> Self {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&id.to_be_bytes());
        let identity = Identity::new(id, Ed25519Seed::from_bytes(seed), &RustCrypto);
        let key = *identity.public();
        let stream = stream::Config { keepalive: None, idle_timeout: None, ..stream::Config::default() };
        let config = Config {
            public: true,
            stream,
            syn_rate: 1_000_000,
            max_streams: 100_000,
            max_streams_per_port: 100_000,
            ..Config::default()
        };
        let [_, high, middle, low] = id.to_be_bytes();
        Agent {
            node: Node::new(config, identity, memory, RustCrypto, SeededRng::new(id.into())),
            id,
            address: SocketAddr::from(([10, high, middle, low], 4000)),
            key,
        }
    }

    /// Answers what the node asks; the streams that were opened to it.
    fn events(
        &mut self,
        now: Instant,
        others: &dyn Fn(u32) -> (SocketAddr, [u8; 32]),
    ) -> Vec<(u32, StreamId)> {
        let mut incoming = Vec::new();
        while let Some(event) = self.node.poll_event(now) {
            match event {
                Event::Ask(Question::Locate { node }) => {
                    let (address, key) = others(node);
                    let candidates = &[address];
                    let answer = Answer::Located { node, candidates, key: Some(key), relay_only: false };
                    self.node.handle_answer(now, answer);
                }
                Event::Ask(Question::Key { node }) => {
                    self.node.handle_answer(now, Answer::Key { node, key: Some(others(node).1) });
                }
                Event::Incoming { stream, remote, .. } => incoming.push((remote.addr.node, stream)),
                Event::Closed { reason, .. } => panic!("a stream ended: {reason:?}"),
                _ => {}
            }
        }
        incoming
    }
}

/// The node in question, its peers, and the streams between them: (peer, stream here, stream there).
struct Crowd {
    hub: Agent,
    peers: Vec<Agent>,
    streams: Vec<(usize, StreamId, StreamId)>,
    now: Instant,
    buffer: Vec<u8>,
}

impl Crowd {
    fn new(peers: usize, streams_each: usize) -> Self {
        let streams = peers * streams_each;
        let mut crowd = Crowd {
            hub: Agent::new(
                1,
                Owned::with_queues(peers, streams.max(1), (streams * 2).max(256), 2048, 1 << 20, 64),
            ),
            peers: (0..peers)
                .map(|i| {
                    let memory =
                        Owned::with_queues(1, streams_each.max(1), 4 * streams_each.max(4), 2048, 8192, 4);
                    Agent::new(i as u32 + 2, memory)
                })
                .collect(),
            streams: Vec::new(),
            now: Instant::from_millis(1),
            buffer: vec![0; 65_536],
        };
        crowd.hub.node.listen(PORT).unwrap();
        let to = Addr { network: 0, node: 1 };
        for peer in 0..peers {
            // No source may exchange keys too often, and sources share what is counted.
            crowd.now = crowd.now + MS * 20;
            let now = crowd.now;
            let ours: Vec<StreamId> =
                (0..streams_each).map(|_| crowd.peers[peer].node.connect(now, to, PORT).unwrap()).collect();
            crowd.peers[peer].node.introduce(now, 1);
            let theirs = crowd.settle(peer);
            assert_eq!(theirs.len(), streams_each, "streams of peer {peer}");
            for there in ours {
                let port = crowd.peers[peer].node.stream_info(there).unwrap().local_port;
                let here = theirs.iter().copied().find(|here| {
                    crowd.hub.node.stream_info(*here).is_some_and(|info| info.remote.port == port)
                });
                crowd.streams.push((peer, here.unwrap(), there));
            }
            assert!(crowd.peers[peer].node.peers().any(|peer| peer.encrypted), "tunnel of peer {peer}");
        }
        crowd
    }

    /// Carries everything between the hub and one peer; the streams that came up at the hub.
    fn settle(&mut self, peer: usize) -> Vec<StreamId> {
        let mut incoming = Vec::new();
        let now = self.now;
        loop {
            let agent = &mut self.peers[peer];
            let (peer_id, peer_at) = (agent.id, (agent.address, agent.key));
            let hub_at = (self.hub.address, self.hub.key);
            agent.events(now, &|_| hub_at);
            let out = drain(agent, now, &mut self.buffer);
            for mut datagram in out {
                self.hub.node.handle_datagram(now, self.peers[peer].address, &mut datagram.1);
            }
            incoming.extend(
                self.hub
                    .events(now, &|_| peer_at)
                    .into_iter()
                    .filter(|(id, _)| *id == peer_id)
                    .map(|(_, id)| id),
            );
            let back = drain(&mut self.hub, now, &mut self.buffer);
            if back.is_empty() {
                return incoming;
            }
            for (to, mut datagram) in back {
                if to == peer_at.0 {
                    self.peers[peer].node.handle_datagram(now, hub_at.0, &mut datagram);
                }
            }
        }
    }

    /// Lets the deadlines pass that the set-up left.
    fn rest(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        let now = self.now;
        for agent in self.peers.iter_mut().chain([&mut self.hub]) {
            agent.node.handle_timeout(now);
        }
        for peer in 0..self.peers.len() {
            self.settle(peer);
        }
    }

    /// Datagrams of `size` bytes from ten peers: taken in, and read. All are sealed beforehand, so that nobody but the
    /// node in question is at work between two rounds, and lie where a driver receives: in memory just written. `batch`:
    /// as a driver that has taken them from the kernel together.
    fn datagrams(&mut self, size: usize, all: bool, batch: bool) -> f64 {
        // So many bytes in all, sealed beforehand.
        let rounds = (1 << 26) / FEW / (size + 1024);
        let payload = vec![0x5a; size];
        let to = Addr { network: 0, node: 1 };
        let mut sealed = Vec::new();
        for turn in 0..rounds * FEW {
            let (round, i) = (turn / FEW, turn % FEW);
            let peer = if all { (round + i * 7919) % self.peers.len() } else { i };
            let agent = &mut self.peers[peer];
            agent.node.send_datagram(self.now, to, PORT, &payload).unwrap();
            let [(_, data)] = drain(agent, self.now, &mut self.buffer).try_into().expect("one datagram");
            sealed.push((agent.address, data));
        }
        let mut sealed = sealed.chunks(FEW);
        let mut frames = vec![(self.hub.address, Vec::with_capacity(8192)); FEW];
        percentile(rounds, FEW, || {
            self.now = self.now + MS;
            let now = self.now;
            for ((from, frame), (address, data)) in frames.iter_mut().zip(sealed.next().unwrap()) {
                *from = *address;
                frame.clear();
                frame.extend_from_slice(data);
            }
            let mut out = [0; 8192];
            let mut read = 0;
            let time = timed(|| {
                for at in 0..FEW {
                    if let Some((_, next)) = frames.get(at + 1).filter(|_| batch) {
                        self.hub.node.expect(next);
                    }
                    let (from, frame) = &mut frames[at];
                    self.hub.node.handle_datagram(now, *from, frame);
                    while self.hub.node.poll_event(now).is_some() {}
                    while self.hub.node.read_datagram(&mut out).is_some() {
                        read += 1;
                    }
                    let _ = self.hub.node.poll_timeout();
                }
            });
            assert_eq!(read, FEW);
            time
        })
    }

    /// Segments of 1000 bytes on ten streams: taken in, read, answered by as many bytes.
    fn segments(&mut self, rounds: usize, all: bool) -> f64 {
        let mut next = 0;
        percentile(rounds, FEW, || {
            self.now = self.now + MS * 50;
            let now = self.now;
            let mut frames = Vec::new();
            for i in 0..FEW {
                let row = if all { (next + i * 7919) % self.streams.len() } else { i };
                let (peer, here, there) = self.streams[row];
                let agent = &mut self.peers[peer];
                assert_eq!(agent.node.write(now, there, &[0x5a; 1000]), Ok(1000));
                let sent = drain(agent, now, &mut self.buffer);
                frames.extend(sent.into_iter().map(|(_, data)| (peer, here, there, data)));
            }
            next += 1;
            assert_eq!(frames.len(), FEW);
            let mut out = [0; 2048];
            let (mut got, mut back) = (0, Vec::with_capacity(2 * FEW));
            let time = timed(|| {
                for (peer, here, _, datagram) in &mut frames {
                    let hub = &mut self.hub.node;
                    hub.handle_datagram(now, self.peers[*peer].address, datagram);
                    while hub.poll_event(now).is_some() {}
                    while let Ok(Read::Bytes(n)) = hub.read(now, *here, &mut out) {
                        got += n;
                    }
                    assert_eq!(hub.write(now, *here, &out[..1000]), Ok(1000));
                    while let Some(sent) = hub.poll_transmit(now, &mut self.buffer) {
                        back.push((*peer, self.buffer[..sent.len].to_vec()));
                    }
                    let _ = hub.poll_timeout();
                }
            });
            assert_eq!(got, FEW * 1000);
            for (peer, mut datagram) in back {
                self.peers[peer].node.handle_datagram(now, self.hub.address, &mut datagram);
            }
            for (peer, _, there, _) in &frames {
                while let Ok(Read::Bytes(_)) = self.peers[*peer].node.read(now, *there, &mut out) {}
            }
            // Acknowledgments that are due later.
            self.now = now + MS * 20;
            for (peer, ..) in &frames {
                self.peers[*peer].node.handle_timeout(self.now);
                self.hub.node.handle_timeout(self.now);
                self.settle(*peer);
            }
            time
        })
    }
}

/// What an agent sends now, datagram by datagram.
fn drain(agent: &mut Agent, now: Instant, buffer: &mut [u8]) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut out = Vec::new();
    while let Some(sent) = agent.node.poll_transmit(now, buffer) {
        let size = sent.segment_size.unwrap_or(sent.len).max(1);
        out.extend(buffer[..sent.len].chunks(size).map(|data| (sent.to, data.to_vec())));
    }
    out
}

fn compare(what: &str, few: f64, hot: f64, cold: f64, many: usize) {
    line(&format!("{what}: {FEW}, all in use"), few, "");
    line(&format!("{what}: {many}, ten in use"), hot, &over(hot, few));
    line(&format!("{what}: {many}, all in turn"), cold, &over(cold, few));
}

/// Lines of 64 bytes of a peer's row that a datagram touches, one behind the other: counted from the sizes of the
/// fields, not measured.
const LINES: usize = 17;

/// What main memory alone takes for as many lines of as many rows, read and written, one row after the other.
fn lines_alone(rows: usize) -> f64 {
    let size = size_of::<PeerSlot<RustCrypto>>().div_ceil(64);
    let mut table = vec![[0_u64; 8]; rows * size];
    let (mut next, mut carry) = (0, 0);
    percentile(4000, FEW, || {
        next += 1;
        timed(|| {
            for i in 0..FEW {
                // Where the next row lies is known when this one has been read, as the next datagram comes after it.
                let row = (next + i * 7919 + carry) % rows;
                for line in &mut table[row * size..][..LINES] {
                    line[0] = line[0].wrapping_add(1);
                    carry = carry.wrapping_add(line[1] as usize);
                }
            }
        })
    })
}

/// What the cipher alone takes to open a frame of `size` bytes under each of `keys` keys in turn, ten for each look at
/// the clock.
fn keys_alone(size: usize, keys: usize) -> f64 {
    let keys: Vec<_> = (0..keys as u64)
        .map(|i| {
            let mut key = [7; 32];
            key[..8].copy_from_slice(&i.to_be_bytes());
            // As far from the next key as in the rows of peers.
            let apart = [0_u8; size_of::<PeerSlot<RustCrypto>>() - size_of::<<RustCrypto as Crypto>::Aead>()];
            (RustCrypto.aead(&AeadKey::from_bytes(key)), apart)
        })
        .collect();
    let mut next = 0;
    percentile((1 << 26) / FEW / (size + 1024), FEW, || {
        next += 1;
        let picked: [usize; FEW] = std::array::from_fn(|i| (next + i * 7919) % keys.len());
        let mut frames: Vec<_> = picked
            .iter()
            .map(|at| {
                let mut frame = vec![0x5a; size];
                let mut key = [7; 32];
                key[..8].copy_from_slice(&(*at as u64).to_be_bytes());
                let tag = RustCrypto
                    .aead(&AeadKey::from_bytes(key))
                    .seal_in_place(&[3; 12], b"self", &mut frame)
                    .unwrap();
                (frame, tag)
            })
            .collect();
        timed(|| {
            for (at, (frame, tag)) in picked.iter().zip(&mut frames) {
                keys[*at].0.open_in_place(&[3; 12], b"self", frame, tag).unwrap();
            }
        })
    })
}

/// Datagrams of three sizes with 10 and 10,000 peers.
pub(crate) fn peers() {
    const MANY: usize = 10_000;
    let mut few = Crowd::new(FEW, 0);
    let mut many = Crowd::new(MANY, 0);
    few.rest();
    many.rest();
    for size in [64, 1400, 4096] {
        title(&format!("node: one datagram of {size} bytes taken in and read"));
        let base = few.datagrams(size, false, false);
        let (hot, cold) = (many.datagrams(size, false, false), many.datagrams(size, true, false));
        compare("peers", base, hot, cold, MANY);
        let batch = many.datagrams(size, true, true);
        line(&format!("peers: {MANY}, all in turn, in batches of {FEW}"), batch, &over(batch, base));
        let (base, cold) = (keys_alone(size, FEW), keys_alone(size, MANY));
        line(&format!("the cipher alone, {FEW} keys"), base, "");
        line(&format!("the cipher alone, {MANY} keys in turn"), cold, &over(cold, base));
    }
    drop((few, many));
    title("what memory takes");
    let note = format!("{LINES} lines of {} bytes", size_of::<PeerSlot<RustCrypto>>());
    line(&format!("touching the rows of {MANY} peers, nothing else"), lines_alone(MANY), &note);
}

/// Segments of 1000 bytes with 10 and 10,000 streams.
pub(crate) fn streams() {
    title("node: one segment of 1000 bytes taken in, read, answered by another");
    // No peer may open more than 64 streams at once.
    let mut few = Crowd::new(FEW, 1);
    let mut many = Crowd::new(200, 50);
    few.rest();
    many.rest();
    let base = few.segments(2000, false);
    let (hot, cold) = (many.segments(2000, false), many.segments(2000, true));
    compare("streams", base, hot, cold, many.streams.len());
}

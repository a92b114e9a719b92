//! A whole node. The bytes are its peer: one that has a tunnel and seals whatever it likes, one that only throws
//! datagrams, the owner that answers questions rightly or not, and the clock.

use std::net::SocketAddr;

use arbitrary::{Arbitrary, Unstructured};
use pilot_proto::{
    Addr, Instant, SockAddr,
    crypto::{Ed25519Seed, Identity},
    node::{Answer, Config, Event, Node, Question, StreamId},
    rng::SeededRng,
    stream::Read,
    time::Duration,
    trust::{Kind, Message},
    tunnel::Tunnel,
    wire::{
        frame::{Frame, KEY_AUTHENTICATED_LEN, KeyAuthenticated, SEALED_HEAD_LEN, TAG_LEN},
        packet::{Flags, HEADER_LEN, Header, Protocol},
    },
};
use pilot_roles::daemon::{Bounds, OwnedMemory};
use pilot_sim::NullCrypto;

const OURS: u32 = 1;
const PEER: u32 = 2;
const PORTS: [u16; 8] = [0, 1, 7, 444, 1000, 1001, 49_152, 65_535];

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, n], 4000))
}

fn identity(node: u32) -> Identity {
    Identity::new(node, Ed25519Seed::from_bytes([node as u8; 32]), &NullCrypto)
}

struct Run {
    node: Node<OwnedMemory<NullCrypto>, NullCrypto, SeededRng>,
    now: Instant,
    peer: Identity,
    tunnel: Tunnel<NullCrypto>,
    rng: SeededRng,
    streams: Vec<StreamId>,
    /// The last packet that came from the node: its numbers make ours fit.
    heard: Option<Header>,
    /// How the owner answers.
    answers: u8,
    buffer: Vec<u8>,
}

/// One thing that happens.
#[derive(Arbitrary, Debug)]
struct Step {
    op: u8,
    flags: u8,
    ports: u8,
    offset: i8,
    window: u8,
}

/// See the head of this file.
pub fn node(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let Ok(settings) = bytes.arbitrary::<u8>() else { return };
    let config = Config {
        encrypt: settings & 1 == 0,
        public: settings & 2 == 0,
        beacon: (settings & 4 == 0).then(|| at(250)),
        trust_auto_approve: settings & 8 == 0,
        max_streams: 6,
        ..Config::default()
    };
    let bounds = Bounds { peers: 8, streams: 8, stream_bytes: 1 << 17, trusted: 4 };
    let memory = OwnedMemory::new(bounds);
    let mut run = Run {
        node: Node::new(config, identity(OURS), memory, NullCrypto, SeededRng::new(7)),
        now: Instant::from_millis(1000),
        peer: identity(PEER),
        tunnel: Tunnel::new(),
        rng: SeededRng::new(8),
        streams: Vec::new(),
        heard: None,
        answers: settings >> 4,
        buffer: vec![0; 65_536],
    };
    run.node.set_wall_clock(run.now, 1_795_335_956_000_000);
    let _ = run.node.listen(1000);
    run.tunnel.want(run.now);
    for _ in 0..200 {
        run.drain();
        if bytes.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut bytes) else { break };
        let Ok(text) = <&[u8]>::arbitrary(&mut bytes) else { break };
        run.step(&step, text);
    }
    run.drain();
    run.pass(Duration::from_secs(300));
    assert_eq!(run.node.counters().overflowed >> 32, 0);
}

impl Run {
    fn step(&mut self, step: &Step, text: &[u8]) {
        let (now, port) = (self.now, PORTS[usize::from(step.ports & 7)]);
        match step.op % 16 {
            // Mostly the peer speaks.
            0..=6 => self.say(step, text),
            7 => {
                let mut data = text.to_vec();
                self.node.handle_datagram(now, at(step.ports % 4), &mut data);
            }
            8 => {
                let key = Message {
                    kind: [Kind::Request, Kind::Accept, Kind::Reject, Kind::Revoke]
                        [usize::from(step.flags & 3)],
                    node: PEER,
                    key: *self.peer.public(),
                    justification: Default::default(),
                    signature: [0; 64],
                    reason: Default::default(),
                    timestamp: i64::from(step.offset),
                };
                let mut out = [0; 2048];
                let len = key.write(&mut out).expect("there is room");
                self.say(step, &out[..len]);
            }
            9 => {
                if let Ok(id) = self.node.connect(now, Addr::backbone(u32::from(step.flags % 4)), port) {
                    self.streams.push(id);
                }
            }
            10 => {
                let to = Addr::backbone(u32::from(step.flags % 4));
                let _ = self.node.send_datagram(now, to, port, text);
            }
            11 => self.touch(step, text),
            12 => self.answer_something(step),
            13 => self.pass(Duration::from_millis(u64::from(step.window) * u64::from(step.flags))),
            14 => self.pass(Duration::from_micros(u64::from(step.window))),
            _ => {
                let node = &mut self.node;
                match step.flags % 6 {
                    0 => drop(node.listen(port)),
                    1 => node.unlisten(port),
                    2 => node.introduce(now, u32::from(step.ports % 4)),
                    3 => node.handle_network_change(now),
                    4 => node.set_public(step.ports & 1 == 0),
                    _ => self.tunnel.renew(now),
                }
            }
        }
    }

    /// The owner does something with one of its streams.
    fn touch(&mut self, step: &Step, text: &[u8]) {
        if self.streams.is_empty() {
            return;
        }
        let at = usize::from(step.ports) % self.streams.len();
        let (now, id) = (self.now, self.streams[at]);
        let mut out = vec![0; usize::from(step.window) * 16 + 1];
        match step.flags % 6 {
            0 | 1 => drop(self.node.write(now, id, text)),
            2 => {
                if let Ok(Read::Bytes(len)) = self.node.read(now, id, &mut out) {
                    assert!(0 < len && len <= out.len());
                }
            }
            3 => drop(self.node.finish(now, id)),
            4 => drop(self.node.reset(now, id)),
            _ => {
                self.node.release(now, id);
                self.streams.remove(at);
            }
        }
    }

    /// The peer seals a packet whose numbers fit, or nearly.
    fn say(&mut self, step: &Step, payload: &[u8]) {
        let protocol = Protocol::from([1, 1, 1, 2, 3, 9][usize::from(step.op >> 4) % 6]);
        let (from, to) = (PORTS[usize::from(step.ports >> 3 & 7)], PORTS[usize::from(step.ports & 7)]);
        let sock = |node, port| SockAddr::new(Addr::backbone(node), port);
        let mut header = Header::new(protocol, sock(PEER, from), sock(OURS, to));
        header.flags = Flags::from_bits(step.flags);
        header.window = u16::from(step.window) * 4;
        header.seq = 1000;
        if let Some(heard) = self.heard.filter(|_| step.flags & 0x10 == 0) {
            (header.src_port, header.dst_port) = (heard.dst_port, heard.src_port);
            header.seq = heard.ack;
            header.ack = heard.seq.wrapping_add(1);
        }
        match step.flags >> 5 {
            0 | 1 => header.seq = header.seq.wrapping_add_signed(i32::from(step.offset)),
            2 => header.ack = header.ack.wrapping_add_signed(i32::from(step.offset)),
            3 => header.src.node = step.offset as u32,
            _ => {}
        }
        let len = HEADER_LEN + payload.len();
        let mut frame = vec![0; SEALED_HEAD_LEN + len + TAG_LEN];
        let packet = &mut frame[SEALED_HEAD_LEN..SEALED_HEAD_LEN + len];
        packet[HEADER_LEN..].copy_from_slice(payload);
        if header.emit(packet).is_err() {
            return;
        }
        if self.tunnel.seal(self.now, PEER, &mut frame, len, &NullCrypto).is_err() {
            // Without a key, in the clear.
            frame.truncate(SEALED_HEAD_LEN + len);
            frame.drain(..SEALED_HEAD_LEN - 4);
            frame[..4].copy_from_slice(b"PILT");
        }
        self.node.handle_datagram(self.now, at(2), &mut frame);
    }

    fn answer_something(&mut self, step: &Step) {
        let node = u32::from(step.ports % 4);
        let candidates = [at(step.window % 4)];
        let key = (step.flags & 4 == 0).then(|| *identity(node).public());
        self.node.handle_answer(
            self.now,
            match step.flags % 4 {
                0 => Answer::Located {
                    node,
                    candidates: &candidates[..usize::from(step.flags >> 7)],
                    key,
                    relay_only: step.flags & 8 == 0,
                },
                1 => Answer::NotLocated { node },
                2 => Answer::Key { node, key },
                _ => Answer::MayTalk { node, allowed: step.flags & 8 == 0 },
            },
        );
    }

    fn drain(&mut self) {
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 20_000, "the node never comes to rest");
            let mut idle = true;
            if let Some(event) = self.node.poll_event(self.now) {
                idle = false;
                match event {
                    Event::Ask(question) => self.answer(question),
                    Event::Incoming { stream, .. } => self.streams.push(stream),
                    _ => {}
                }
            }
            let mut buffer = core::mem::take(&mut self.buffer);
            if let Some(sent) = self.node.poll_transmit(self.now, &mut buffer) {
                idle = false;
                for frame in buffer[..sent.len].chunks_mut(sent.segment_size.unwrap_or(sent.len)) {
                    self.hear(frame);
                }
            }
            self.buffer = buffer;
            while let Some(x25519) = self.tunnel.poll_exchange(self.now, &NullCrypto, &mut self.rng) {
                idle = false;
                let mut frame = [0; KEY_AUTHENTICATED_LEN];
                KeyAuthenticated::sign(&self.peer, x25519, &NullCrypto).emit(&mut frame).expect("it fits");
                self.node.handle_datagram(self.now, at(2), &mut frame);
            }
            let mut out = [0; 2048];
            while self.node.read_datagram(&mut out).is_some() {}
            if idle {
                return;
            }
        }
    }

    fn answer(&mut self, question: Question) {
        let answer = match question {
            _ if self.answers & 1 == 1 => return,
            Question::Locate { node: node @ 2..=3 } => Answer::Located {
                node,
                candidates: &[at(node as u8)],
                key: Some(*identity(node).public()),
                relay_only: false,
            },
            Question::Locate { node } => Answer::NotLocated { node },
            Question::Key { node } => Answer::Key { node, key: Some(*identity(node).public()) },
            Question::MayTalk { node } => Answer::MayTalk { node, allowed: self.answers & 2 == 0 },
        };
        self.node.handle_answer(self.now, answer);
    }

    /// What the node sends reaches the peer.
    fn hear(&mut self, frame: &mut [u8]) {
        match Frame::parse(frame) {
            Ok(Frame::KeyAuthenticated(key)) => {
                let (tunnel, rng) = (&mut self.tunnel, &mut self.rng);
                tunnel.handle_key(self.now, &key.x25519, true, &NullCrypto, rng);
            }
            Ok(Frame::Sealed(sealed)) => {
                let Ok(opened) = self.tunnel.open(self.now, sealed, &NullCrypto) else { return };
                let (header, _) = Header::parse(opened.packet).expect("a node sends packets that parse");
                if header.protocol == Protocol::Stream {
                    self.heard = Some(header);
                }
            }
            _ => {}
        }
    }

    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        let (mut turns, mut spins) = (0, 0);
        loop {
            self.drain();
            let Some(due) = self.node.poll_timeout().filter(|due| *due <= until) else { break };
            turns += 1;
            spins = if due > self.now { 0 } else { spins + 1 };
            assert!(spins < 1000, "it asks for the past: {due:?} at {:?}", self.now);
            assert!(turns < 100_000, "it is never silent");
            self.now = self.now.max(due);
            self.node.handle_timeout(self.now);
            self.tunnel.handle_timeout(self.now);
        }
        self.now = until;
    }
}

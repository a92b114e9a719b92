//! Daemons under what local programs and the registry may say to them.

use std::net::SocketAddr;

use arbitrary::{Arbitrary, Unstructured};
use pilot_proto::{Addr, SockAddr, crypto::Ed25519Seed, rng::SeededRng, time::Duration};
use pilot_roles::{
    ConnId, Listener,
    daemon::{Daemon, DaemonConfig},
    frames::{FrameReader, PREFIX, frame},
    ipc::{HandshakeRequest, MAX_MESSAGE, NetworkRequest, Reply, Request},
    rendezvous::Rendezvous,
};
use pilot_sim::NullCrypto;

use crate::{
    host::{Host, Said},
    rendezvous::load,
};

type Agent = Host<Daemon<NullCrypto, SeededRng>>;

fn agent(seed: u8, trust_auto_approve: bool) -> Agent {
    let mut config = DaemonConfig::new(Ed25519Seed::from_bytes([seed; 32]), format!("{seed}@example.com"));
    config.beacon = Some(at(250));
    config.stream_memory = 1 << 18;
    config.max_peers = 16;
    config.max_streams = 16;
    config.max_trusted = 8;
    config.trust_auto_approve = trust_auto_approve;
    config.public = seed == 2;
    Host::new(Daemon::new(config, NullCrypto, SeededRng::new(seed.into())), at(seed))
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 4000))
}

/// Two daemons and their rendezvous, on a network without delay.
struct Net {
    rendezvous: Host<Rendezvous<NullCrypto>>,
    agents: [Agent; 2],
    /// Connections to the registry: whose, its end, the registry's end.
    calls: Vec<(usize, ConnId, ConnId)>,
    programs: Vec<(usize, ConnId)>,
    /// Datagrams to lose.
    lose: u8,
    /// The last datagram that arrived, and where: it may arrive again.
    last: (SocketAddr, SocketAddr, Vec<u8>),
}

impl Net {
    fn new() -> Self {
        let rendezvous = Host::new(load(Default::default()), at(250));
        let mut net = Net {
            rendezvous,
            agents: [agent(1, true), agent(2, false)],
            calls: Vec::new(),
            programs: Vec::new(),
            lose: 0,
            last: (at(0), at(0), Vec::new()),
        };
        net.settle();
        net.pass(Duration::from_secs(1));
        assert!(net.agents.iter().all(|agent| agent.listening.contains(&Listener::Ipc)), "both are ready");
        for which in [0, 0, 1, 1] {
            let conn = net.agents[which].accept(Listener::Ipc, None);
            net.programs.push((which, conn));
        }
        net
    }

    /// Carries what was said until nobody says anything.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 5000, "a network that never comes to rest");
            let mut idle = true;
            for which in 0..2 {
                for said in core::mem::take(&mut self.agents[which].said) {
                    idle = false;
                    self.carry(which, said);
                }
            }
            for said in core::mem::take(&mut self.rendezvous.said) {
                idle = false;
                self.answer(said);
            }
            if idle {
                return;
            }
        }
    }

    fn carry(&mut self, from: usize, said: Said) {
        match said {
            Said::Datagram(to, data) => self.send(at(from as u8 + 1), to, data),
            Said::Connect(conn) => {
                let there = self.rendezvous.accept(Listener::Registry, Some(at(from as u8 + 1)));
                self.calls.push((from, conn, there));
                self.agents[from].opened(conn);
            }
            Said::Bytes(conn, data) => {
                if let Some(call) = self.calls.iter().find(|call| (call.0, call.1) == (from, conn)) {
                    self.rendezvous.bytes(call.2, &data);
                } else {
                    to_program(&data);
                }
            }
            Said::Closed(conn) => {
                if let Some(call) = self.calls.iter().find(|call| (call.0, call.1) == (from, conn)) {
                    self.rendezvous.close(call.2);
                }
            }
        }
    }

    fn answer(&mut self, said: Said) {
        match said {
            Said::Datagram(to, data) => self.send(at(250), to, data),
            Said::Bytes(conn, data) => {
                if let Some(call) = self.calls.iter().find(|call| call.2 == conn) {
                    self.agents[call.0].bytes(call.1, &data);
                }
            }
            Said::Closed(conn) => {
                if let Some(call) = self.calls.iter().find(|call| call.2 == conn) {
                    self.agents[call.0].close(call.1);
                }
            }
            Said::Connect(_) => unreachable!("a rendezvous dials nobody"),
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, mut data: Vec<u8>) {
        if self.lose > 0 {
            self.lose -= 1;
            return;
        }
        self.last = (from, to, data.clone());
        self.datagram(from, to, &mut data);
    }

    fn datagram(&mut self, from: SocketAddr, to: SocketAddr, data: &mut [u8]) {
        match (0..2u8).find(|n| at(n + 1) == to) {
            Some(n) => self.agents[usize::from(n)].datagram(from, data),
            None if to == at(250) => self.rendezvous.datagram(from, data),
            None => {}
        }
    }

    fn pass(&mut self, by: Duration) {
        // In steps, so that what is said meets the other side before its clock has gone far ahead.
        let step = by / 4;
        for _ in 0..4 {
            self.rendezvous.pass(step);
            self.agents.iter_mut().for_each(|agent| agent.pass(step));
            self.settle();
        }
    }
}

/// What a daemon writes to a program is whole messages that a program can read.
fn to_program(data: &[u8]) {
    let mut reader = FrameReader::new(MAX_MESSAGE);
    reader.push(data);
    while let Some(message) = reader.pop().expect("a message within the limit") {
        assert!(Reply::parse(message).is_ok(), "{}", message.escape_ascii());
    }
}

/// One thing that happens. Small numbers, so that things meet.
#[derive(Arbitrary, Debug)]
struct Step {
    op: u8,
    program: u8,
    node: u8,
    port: u8,
    id: u8,
}

const PORTS: [u16; 6] = [7, 1000, 1001, 1002, 444, 40_000];

fn request<'a>(step: &Step, data: &'a [u8]) -> Request<'a> {
    let node = u32::from(step.node % 4);
    let (port, id) = (PORTS[usize::from(step.port) % PORTS.len()], u32::from(step.id % 8));
    let to = SockAddr::new(Addr { network: u16::from(step.node > 250), node }, port);
    let flag = step.id & 1 == 1;
    let text = String::from_utf8_lossy(data);
    match step.op % 32 {
        0 | 1 => Request::Bind { port },
        2..=4 => Request::Dial { to },
        5..=8 => Request::Send { id, data },
        9 => Request::Close { id },
        10 | 11 => Request::SendTo { to, data },
        12 => Request::Info,
        13 | 14 => Request::Handshake(HandshakeRequest::Request { node, justification: text }),
        15 => Request::Handshake(HandshakeRequest::Approve { node }),
        16 => Request::Handshake(HandshakeRequest::Reject { node, reason: text }),
        17 => Request::Handshake(HandshakeRequest::Pending),
        18 => Request::Handshake(HandshakeRequest::Trusted),
        19 => Request::Handshake(HandshakeRequest::Revoke { node }),
        20 => Request::Handshake(HandshakeRequest::Wait { node, timeout_ms: u32::from(step.id) * 100 }),
        21 => Request::ResolveHostname { name: text },
        22 => Request::SetHostname { name: text },
        23 => Request::SetVisibility { public: flag },
        24 => Request::Deregister,
        25 => Request::SetTags { tags: vec![text.into_owned()] },
        26 => Request::SetWebhook { url: text },
        27 => Request::Network(NetworkRequest::List),
        28 => Request::CancelDials,
        29 => Request::PreferDirect { node },
        30 => Request::Unbind { port },
        _ => Request::SendToConfirmed { to, data },
    }
}

/// Two daemons with two programs each, and the network between them, do what the bytes say.
pub fn daemon_ipc(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut net = Net::new();
    for _ in 0..100 {
        if bytes.is_empty() {
            break;
        }
        let (Ok(step), Ok(text)) = (Step::arbitrary(&mut bytes), <&[u8]>::arbitrary(&mut bytes)) else {
            break;
        };
        let which = usize::from(step.program) % net.programs.len();
        let (agent, conn) = net.programs[which];
        match step.op {
            0..=223 => {
                let mut message = Vec::new();
                request(&step, text).write(&mut message);
                net.agents[agent].bytes(conn, &message);
            }
            224..=231 => net.agents[agent].bytes(conn, &frame(text)),
            232..=239 => {
                net.agents[agent].close(conn);
                net.programs[which].1 = net.agents[agent].accept(Listener::Ipc, None);
            }
            // The network loses some, brings one again, perhaps changed, and somebody else sends what he likes.
            240..=242 => net.lose = step.id % 8,
            243 | 244 => {
                let (from, to, mut data) = net.last.clone();
                let place = usize::from(step.port) % data.len().max(1);
                if let Some(byte) = data.get_mut(place) {
                    *byte ^= step.id & 0x0f;
                }
                net.datagram(from, to, &mut data);
            }
            245..=247 => net.datagram(at(step.node), at(step.program % 3 + 1), &mut text.to_vec()),
            _ => net.pass(Duration::from_millis(u64::from(step.id) * u64::from(step.port))),
        }
        net.settle();
    }
    net.pass(Duration::from_secs(1));
}

/// A daemon whose registry answers with the lines of the input, one an answer. The first byte chooses what a program
/// asks for meanwhile.
pub fn registry_reply(data: &[u8]) {
    let Some((what, lines)) = data.split_first() else { return };
    let mut lines = lines.split(|byte| *byte == b'\n');
    let mut agent = agent(1, true);
    let mut program = None;
    for _ in 0..64 {
        for said in core::mem::take(&mut agent.said) {
            match said {
                Said::Connect(conn) => agent.opened(conn),
                Said::Bytes(conn, data) if Some(conn) != program => {
                    let mut reader = FrameReader::new(MAX_MESSAGE);
                    reader.push(&data);
                    while let Ok(Some(request)) = reader.pop() {
                        assert!(request.starts_with(b"{"), "{}", request.escape_ascii());
                        let Some(line) = lines.next() else { return };
                        agent.bytes(conn, &frame(line));
                    }
                }
                Said::Bytes(_, data) => to_program(&data),
                Said::Datagram(..) | Said::Closed(_) => {}
            }
        }
        if program.is_none() && agent.listening.contains(&Listener::Ipc) {
            let conn = agent.accept(Listener::Ipc, None);
            program = Some(conn);
            for op in [*what, what.rotate_left(3), what.wrapping_add(13), 2, 21] {
                let mut message = Vec::new();
                let step = Step { op, program: 0, node: 2, port: 1, id: 1 };
                request(&step, b"agent-b").write(&mut message);
                assert!(message.len() > PREFIX);
                agent.bytes(conn, &message);
            }
        }
        if agent.said.is_empty() {
            agent.pass(Duration::from_secs(2));
        }
    }
}

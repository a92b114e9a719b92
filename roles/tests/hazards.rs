//! Defects of older daemons (`spec/hazards.md`), looked for in one daemon whose registry, beacon and programs are
//! played by the test.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use pilot_proto::{
    Addr, Instant, SockAddr,
    crypto::{Ed25519Seed, RustCrypto},
    port,
    rng::SeededRng,
    time::Duration,
    wire::beacon::Beacon,
};
use pilot_roles::{
    ConnId, Input, Listener, Now, Output, Role,
    daemon::{Daemon, DaemonConfig},
    frames::{self, FrameReader},
    ipc::{JsonKind, MAX_MESSAGE, Reply, Request},
    json::{Value, json},
    role::Closed,
};

const PROGRAM: ConnId = ConnId::Accepted(1);
/// Where the socket is bound, and where the world sees it.
const LOCAL: &str = "0.0.0.0:4000";
const OBSERVED: &str = "203.0.113.7:61000";

struct Play {
    daemon: Box<dyn Role>,
    now: Now,
    beacon: SocketAddr,
    registry: Option<ConnId>,
    from_daemon: FrameReader,
    /// Requests the registry has not answered.
    asked: VecDeque<Value>,
    listening: BTreeSet<Listener>,
    heard: Vec<Vec<u8>>,
    reader: FrameReader,
    posts: usize,
}

impl Play {
    fn new() -> Self {
        let mut config = DaemonConfig::new(Ed25519Seed::from_bytes([7; 32]), "a@example.com".into());
        let beacon = "198.51.100.1:9001".parse().unwrap();
        config.beacon = Some(beacon);
        config.persistent = true;
        let mut play = Play {
            daemon: Box::new(Daemon::new(config, RustCrypto, SeededRng::new(1))),
            now: Now { instant: Instant::from_millis(1), unix_micros: 1_775_459_287_000_000 },
            beacon,
            registry: None,
            from_daemon: FrameReader::new(70_000),
            asked: VecDeque::new(),
            listening: BTreeSet::new(),
            heard: Vec::new(),
            reader: FrameReader::new(MAX_MESSAGE),
            posts: 0,
        };
        play.input(Input::Started { udp: Some(LOCAL.parse().unwrap()) });
        play
    }

    /// Running as node 7, with one local program.
    fn running() -> Self {
        let mut play = Play::new();
        play.registered();
        play.input(Input::Opened { conn: PROGRAM, listener: Some(Listener::Ipc), peer: None, local: None });
        play
    }

    fn registered(&mut self) {
        for _ in 0..20 {
            if self.listening.contains(&Listener::Ipc) {
                return;
            }
            self.pass(Duration::from_millis(500));
            self.answer("register", &json!({"type": "register_ok", "node_id": 7, "observed_addr": OBSERVED}));
        }
        panic!("not registered: {:?}", self.asked);
    }

    fn input(&mut self, input: Input<'_>) {
        self.daemon.handle_input(self.now, input);
        self.settle();
    }

    fn settle(&mut self) {
        let mut buffer = vec![0; 65_536];
        loop {
            let mut idle = true;
            while let Some(transmit) = self.daemon.poll_transmit(self.now, &mut buffer) {
                idle = false;
                let is_question =
                    matches!(Beacon::parse(&buffer[..transmit.len]), Some(Beacon::Discover { .. }));
                if transmit.to == self.beacon && is_question {
                    let mut reply = [0; 32];
                    let observed = OBSERVED.parse().unwrap();
                    let len = Beacon::DiscoverReply { observed }.emit(&mut reply).unwrap();
                    self.daemon.handle_datagram(self.now, self.beacon, &mut reply[..len]);
                }
            }
            while let Some(output) = self.daemon.poll_output(self.now) {
                idle = false;
                self.perform(output);
            }
            if idle {
                return;
            }
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Listen(listener) => drop(self.listening.insert(listener)),
            Output::Connect { conn, .. } => {
                self.registry = Some(conn);
                self.from_daemon = FrameReader::new(70_000);
                let opened = Input::Opened { conn, listener: None, peer: None, local: None };
                self.daemon.handle_input(self.now, opened);
            }
            Output::Send { conn, data } => {
                let bytes = data.len();
                if Some(conn) == self.registry {
                    self.from_daemon.push(&data);
                    while let Some(body) = self.from_daemon.pop().unwrap() {
                        self.asked.push_back(serde_json::from_slice(body).unwrap());
                    }
                } else {
                    self.reader.push(&data);
                    while let Some(message) = self.reader.pop().unwrap() {
                        self.heard.push(message.to_vec());
                    }
                }
                self.daemon.handle_input(self.now, Input::Sent { conn, bytes });
            }
            Output::Store { ticket, .. } => {
                self.daemon.handle_input(self.now, Input::Stored { ticket, result: Ok(()) });
            }
            Output::Post { .. } => self.posts += 1,
            Output::Pause(_) | Output::Resume(_) | Output::Close(_) | Output::Log(_) | Output::Exit(_) => {}
        }
    }

    /// Answers the oldest request if it is a `kind`, and whatever else waits before it with a plain yes.
    fn answer(&mut self, kind: &str, answer: &Value) -> Option<Value> {
        while let Some(request) = self.asked.pop_front() {
            let ours = request["type"] == kind;
            let plain = json!({"type": "ok"});
            let body = serde_json::to_vec(if ours { answer } else { &plain }).unwrap();
            let conn = self.registry.unwrap();
            self.input(Input::Bytes { conn, data: &frames::frame(&body) });
            if ours {
                return Some(request);
            }
        }
        None
    }

    /// Lets time pass; the registry stays silent.
    fn pass(&mut self, time: Duration) {
        let end = self.now.instant + time;
        while let Some(due) = self.daemon.poll_timeout().filter(|due| *due <= end) {
            let passed = due.since(self.now.instant);
            self.now.instant = self.now.instant.max(due);
            self.now.unix_micros += i64::try_from(passed.as_micros()).unwrap();
            self.daemon.handle_timeout(self.now);
            self.settle();
        }
        self.now.instant = end;
    }

    fn say(&mut self, request: &Request<'_>) {
        let mut data = Vec::new();
        request.write(&mut data);
        self.input(Input::Bytes { conn: PROGRAM, data: &data });
    }

    fn has_heard(&self, wanted: impl Fn(&Reply<'_>) -> bool) -> bool {
        self.heard.iter().any(|message| wanted(&Reply::parse(message).unwrap()))
    }
}

/// The local socket is bound to another port than the NAT shows.
/// Proves NAT-6.
#[test]
fn hazard_03_b2_the_port_that_the_beacon_sees_is_registered() {
    let mut play = Play::new();
    play.pass(Duration::from_secs(1));
    let registered = play.answer("register", &json!({"type": "register_ok", "node_id": 7}));
    assert_eq!(registered.unwrap()["listen_addr"], OBSERVED);
}

#[test]
fn hazard_03_b3_a_registry_that_comes_back_is_told_the_same_address() {
    let mut play = Play::running();
    let conn = play.registry.unwrap();
    play.asked.clear();
    play.input(Input::Closed { conn, reason: Closed::Eof });
    play.pass(Duration::from_secs(60));
    let again = play.answer("register", &json!({"type": "register_ok", "node_id": 7}));
    assert_eq!(again.unwrap()["listen_addr"], OBSERVED);
}

#[test]
fn hazard_07_12_the_socket_opens_last() {
    let mut play = Play::new();
    play.pass(Duration::from_secs(1));
    assert_eq!(play.listening, BTreeSet::new(), "without an id there is nothing to serve");
    play.registered();
    play.input(Input::Opened { conn: PROGRAM, listener: Some(Listener::Ipc), peer: None, local: None });
    for port in [port::TRUST, port::ECHO, port::DATA_EXCHANGE, port::EVENT_STREAM] {
        play.heard.clear();
        play.say(&Request::Bind { port });
        assert!(play.has_heard(|reply| matches!(reply, Reply::Error { .. })), "port {port} was free");
    }
    play.heard.clear();
    play.say(&Request::Info);
    let info = play.heard.iter().find_map(|message| match Reply::parse(message).unwrap() {
        Reply::Json { kind: JsonKind::Info, json } => Some(serde_json::from_slice::<Value>(json).unwrap()),
        _ => None,
    });
    assert!(info.unwrap()["uptime_secs"].as_u64().unwrap() < 60);
}

#[test]
fn hazard_07_20_a_webhook_that_does_not_answer_is_nobodys_business() {
    let mut play = Play::running();
    play.say(&Request::SetWebhook { url: "http://192.0.2.1/hook".into() });
    assert!(play.has_heard(|reply| matches!(reply, Reply::Json { kind: JsonKind::SetWebhook, .. })));
    play.heard.clear();
    play.say(&Request::SetWebhook { url: "http://192.0.2.2/hook".into() });
    play.say(&Request::Info);
    assert!(play.has_heard(|reply| matches!(reply, Reply::Json { kind: JsonKind::Info, .. })));
}

/// Nobody knows where the members are, and the registry takes its time.
/// Proves ADR-8.
#[test]
fn hazard_01_h15_a_broadcast_looks_all_members_up_at_once_and_stops_nobody() {
    let mut play = Play::running();
    play.say(&Request::SendTo { to: SockAddr::new(Addr::broadcast(3), 9), data: b"all" });
    let members: Vec<Value> = (7..=30).map(|node| json!({"node_id": node})).collect();
    play.answer("list_nodes", &json!({"type": "list_nodes_ok", "nodes": members})).expect("the members");
    play.pass(Duration::from_millis(10));
    let looked_up = play.asked.iter().filter(|request| request["type"] == "resolve").count();
    assert_eq!(looked_up, 23, "{:?}", play.asked);
    play.say(&Request::Info);
    assert!(play.has_heard(|reply| matches!(reply, Reply::Json { kind: JsonKind::Info, .. })));
}

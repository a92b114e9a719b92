//! A rendezvous and daemons on a simulated network, one thread, one clock: enough to see them work together.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use pilot_proto::{
    Instant,
    crypto::{Ed25519Seed, RustCrypto},
    rng::SeededRng,
    time::Duration,
};
use pilot_roles::{
    ConnId, Input, Listener, Now, Output, Role,
    daemon::{Daemon, DaemonConfig},
    frames::FrameReader,
    ipc::{MAX_MESSAGE, Reply, Request},
    rendezvous::{BeaconConfig, Config, Rendezvous},
    role::{Closed, Store},
};

/// One way through the network.
const LATENCY: Duration = Duration::from_millis(1);
/// Outputs and transmits of one turn of a role; more is a role that never comes to rest.
const MAX_TURNS: u32 = 10_000;
/// Timeouts of one instant.
const MAX_SPINS: u32 = 1000;
/// Where the world's wall clock starts.
const EPOCH: i64 = 1_775_459_287_000_000;

/// A host behind a NAT: its address in the local network and the one the world sees.
pub(crate) const LAN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 5));
const NAT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 200));

/// The rendezvous is the first actor.
pub(crate) const RENDEZVOUS: usize = 0;

/// Somebody outside a role: a local program.
#[derive(Debug)]
pub(crate) struct Program {
    actor: usize,
    conn: ConnId,
    reader: FrameReader,
    heard: VecDeque<Vec<u8>>,
    /// What the daemon does not take yet, and whether the program has gone meanwhile.
    waiting: Vec<u8>,
    leaving: bool,
}

struct Actor {
    role: Option<Box<dyn Role>>,
    addr: SocketAddr,
    listening: BTreeSet<Listener>,
    files: BTreeMap<String, Vec<u8>>,
    exit: Option<u8>,
}

#[derive(Debug)]
enum Event {
    Datagram { to: SocketAddr, from: SocketAddr, data: Vec<u8> },
    Bytes { actor: usize, conn: ConnId, data: Vec<u8> },
    Opened { actor: usize, conn: ConnId, listener: Option<Listener>, peer: Option<SocketAddr> },
    Closed { actor: usize, conn: ConnId },
    Stored { actor: usize, ticket: u64, result: Result<(), String> },
}

pub(crate) struct World {
    pub(crate) now: Instant,
    actors: Vec<Actor>,
    queue: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    links: BTreeMap<(usize, ConnId), (usize, ConnId)>,
    programs: Vec<Program>,
    paused: BTreeSet<(usize, ConnId)>,
    accepted: u64,
    /// What the operating system has taken and the role has not been told yet.
    sent: Vec<(usize, ConnId, usize)>,
    spins: u32,
    /// Datagrams that match are lost.
    pub(crate) cut: Box<dyn FnMut(SocketAddr, SocketAddr) -> bool>,
    pub(crate) posts: Vec<String>,
    pub(crate) datagrams: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let config = Config { beacon: Some(BeaconConfig::default()), ..Config::default() };
        let role = Rendezvous::new(config, RustCrypto, EPOCH / 1_000_000, std::iter::empty()).unwrap();
        let mut world = World {
            now: Instant::ORIGIN,
            actors: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            programs: Vec::new(),
            paused: BTreeSet::new(),
            accepted: 0,
            sent: Vec::new(),
            spins: 0,
            cut: Box::new(|_, _| false),
            posts: Vec::new(),
            datagrams: 0,
        };
        world.add(Box::new(role), "198.51.100.1:9001".parse().unwrap());
        world
    }

    fn add(&mut self, role: Box<dyn Role>, addr: SocketAddr) -> usize {
        let actor = self.actors.len();
        let (listening, files) = (BTreeSet::new(), BTreeMap::new());
        self.actors.push(Actor { role: Some(role), addr, listening, files, exit: None });
        let udp = Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), addr.port()));
        self.feed(actor, |role, now| role.handle_input(now, Input::Started { udp }));
        actor
    }

    /// A daemon with the key `[seed; 32]` at `203.0.113.<seed>`, or at [`LAN`] if it has a local address.
    pub(crate) fn daemon(&mut self, seed: u8, change: impl FnOnce(&mut DaemonConfig)) -> usize {
        let mut config =
            DaemonConfig::new(Ed25519Seed::from_bytes([seed; 32]), format!("{seed}@example.com"));
        config.beacon = Some(self.actors[RENDEZVOUS].addr);
        config.persistent = true;
        config.stream_memory = 8 << 20;
        config.max_peers = 64;
        config.max_streams = 128;
        config.max_trusted = 64;
        change(&mut config);
        let addr = if config.lan_addrs.is_empty() {
            format!("203.0.113.{seed}:4000").parse().unwrap()
        } else {
            SocketAddr::new(NAT, 4000 + u16::from(seed))
        };
        let role = Daemon::new(config, RustCrypto, SeededRng::new(seed.into()));
        self.add(Box::new(role), addr)
    }

    /// The daemon ends without a word; another with the same key takes its place.
    pub(crate) fn restart(
        &mut self,
        actor: usize,
        seed: u8,
        change: impl FnOnce(&mut DaemonConfig),
    ) -> usize {
        self.actors[actor].role = None;
        let files = std::mem::take(&mut self.actors[actor].files);
        let gone: Vec<_> = self.links.keys().filter(|(a, _)| *a == actor).copied().collect();
        for end in gone {
            self.hang_up(end);
        }
        self.actors[actor].addr = "0.0.0.0:0".parse().unwrap();
        let trust = files.get("trust.json").cloned();
        let next = self.daemon(seed, |config| {
            config.trust_file = trust;
            change(config);
        });
        self.actors[next].files = files;
        next
    }

    fn clock(&self) -> Now {
        Now { instant: self.now, unix_micros: EPOCH + i64::try_from(self.now.as_micros()).unwrap() }
    }

    fn later(&mut self, event: Event) {
        self.sequence += 1;
        self.queue.insert((self.now + LATENCY, self.sequence), event);
    }

    fn feed(&mut self, actor: usize, input: impl FnOnce(&mut dyn Role, Now)) {
        let now = self.clock();
        let Some(mut role) = self.actors[actor].role.take() else { return };
        input(&mut *role, now);
        let mut buffer = vec![0; 65_536];
        let mut turns = 0;
        // Once each, as a driver may: what comes up while the other is polled must show in the next timeout.
        while let Some(output) = role.poll_output(now) {
            turns += 1;
            assert!(turns < MAX_TURNS, "actor {actor} never ends: {output:?}");
            self.perform(actor, output);
        }
        while let Some(transmit) = role.poll_transmit(now, &mut buffer) {
            turns += 1;
            assert!(turns < MAX_TURNS, "actor {actor} never ends: {transmit:?}");
            let from = self.source(actor, transmit.to);
            for data in buffer[..transmit.len].chunks(transmit.segment_size.unwrap_or(transmit.len)) {
                self.datagrams += 1;
                if !(self.cut)(from, transmit.to) {
                    self.later(Event::Datagram { to: transmit.to, from, data: data.to_vec() });
                }
            }
        }
        if self.actors[actor].exit.is_none() {
            self.actors[actor].role = Some(role);
        }
    }

    fn perform(&mut self, actor: usize, output: Output) {
        match output {
            Output::Listen(listener) => {
                self.actors[actor].listening.insert(listener);
            }
            Output::Connect { conn, .. } => {
                if self.actors[RENDEZVOUS].role.is_none() {
                    return self.later(Event::Closed { actor, conn });
                }
                self.accepted += 1;
                let there = ConnId::Accepted(self.accepted);
                self.links.insert((actor, conn), (RENDEZVOUS, there));
                self.links.insert((RENDEZVOUS, there), (actor, conn));
                let peer = Some(SocketAddr::new(self.actors[actor].addr.ip(), 50_000));
                let listener = Some(Listener::Registry);
                self.later(Event::Opened { actor: RENDEZVOUS, conn: there, listener, peer });
                self.later(Event::Opened { actor, conn, listener: None, peer: None });
            }
            Output::Send { conn, data } => {
                let bytes = data.len();
                if let Some(program) = self.program(actor, conn) {
                    program.reader.push(&data);
                    while let Ok(Some(message)) = program.reader.pop() {
                        program.heard.push_back(message.to_vec());
                    }
                } else if let Some((there, conn)) = self.links.get(&(actor, conn)).copied() {
                    self.later(Event::Bytes { actor: there, conn, data });
                }
                self.sent.push((actor, conn, bytes));
            }
            Output::Pause(conn) => {
                self.paused.insert((actor, conn));
            }
            Output::Resume(conn) => {
                self.paused.remove(&(actor, conn));
                self.flush(actor, conn);
            }
            Output::Close(conn) => match self.program(actor, conn) {
                Some(program) => program.leaving = true,
                None => self.hang_up((actor, conn)),
            },
            Output::Store { ticket, store } => {
                let files = &mut self.actors[actor].files;
                let result = match store {
                    Store::Records(_) => Ok(()),
                    Store::Create { name, .. } if files.contains_key(&name) => Err("exists".into()),
                    Store::Replace { name, bytes, .. } | Store::Create { name, bytes, .. } => {
                        files.insert(name, bytes);
                        Ok(())
                    }
                };
                self.later(Event::Stored { actor, ticket, result });
            }
            Output::Post { body, .. } => self.posts.push(String::from_utf8(body).unwrap()),
            Output::Log(_) => {}
            Output::Exit(status) => self.actors[actor].exit = Some(status),
        }
    }

    /// Where a datagram to `to` comes from: hosts behind one public address see each other's local ones.
    fn source(&self, actor: usize, to: SocketAddr) -> SocketAddr {
        let addr = self.actors[actor].addr;
        if to.ip() == LAN { SocketAddr::new(LAN, addr.port()) } else { addr }
    }

    fn receiver(&self, to: SocketAddr) -> Option<usize> {
        let is = |actor: &Actor| {
            actor.addr == to || (to.ip() == LAN && to.port() == actor.addr.port() && actor.addr.ip() == NAT)
        };
        self.actors.iter().position(is)
    }

    fn hang_up(&mut self, end: (usize, ConnId)) {
        if let Some((actor, conn)) = self.links.remove(&end) {
            self.links.remove(&(actor, conn));
            self.later(Event::Closed { actor, conn });
            self.later(Event::Closed { actor: end.0, conn: end.1 });
        }
    }

    fn program(&mut self, actor: usize, conn: ConnId) -> Option<&mut Program> {
        self.programs.iter_mut().find(|program| program.actor == actor && program.conn == conn)
    }

    fn flush(&mut self, actor: usize, conn: ConnId) {
        if let Some(program) = self.program(actor, conn) {
            let data = std::mem::take(&mut program.waiting);
            let leaving = program.leaving;
            if !data.is_empty() {
                self.later(Event::Bytes { actor, conn, data });
            }
            if leaving {
                self.later(Event::Closed { actor, conn });
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Datagram { to, from, mut data } => {
                if let Some(actor) = self.receiver(to) {
                    self.feed(actor, |role, now| role.handle_datagram(now, from, &mut data));
                }
            }
            Event::Bytes { actor, conn, data } => {
                if self.paused.contains(&(actor, conn))
                    && let Some(program) = self.program(actor, conn)
                {
                    program.waiting.splice(0..0, data);
                    return;
                }
                self.feed(actor, |role, now| role.handle_input(now, Input::Bytes { conn, data: &data }));
            }
            Event::Opened { actor, conn, listener, peer } => {
                let input = Input::Opened { conn, listener, peer, local: None };
                self.feed(actor, |role, now| role.handle_input(now, input));
            }
            // The end comes after everything that was sent.
            Event::Closed { actor, conn }
                if self.program(actor, conn).is_some_and(|p| !p.waiting.is_empty()) => {}
            Event::Closed { actor, conn } => {
                let input = Input::Closed { conn, reason: Closed::Eof };
                self.feed(actor, |role, now| role.handle_input(now, input));
            }
            Event::Stored { actor, ticket, result } => {
                self.feed(actor, |role, now| role.handle_input(now, Input::Stored { ticket, result }));
            }
        }
    }

    /// Lets the world go on until `done` says so; fails after `limit`.
    pub(crate) fn run(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            while let Some((actor, conn, bytes)) = self.sent.pop() {
                self.feed(actor, |role, now| role.handle_input(now, Input::Sent { conn, bytes }));
            }
            if done(self) {
                return true;
            }
            let timer = (0..self.actors.len())
                .filter_map(|actor| Some((self.actors[actor].role.as_ref()?.poll_timeout()?, actor)))
                .min();
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            match (event, timer) {
                (Some(at), timer) if at <= end && timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = self.now.max(at);
                    if let Some((_, event)) = self.queue.pop_first() {
                        self.happen(event);
                    }
                }
                (_, Some((due, actor))) if due <= end => {
                    assert!(due > self.now || self.spins < MAX_SPINS, "actor {actor} asks for the past");
                    self.spins = if due > self.now { 0 } else { self.spins + 1 };
                    self.now = self.now.max(due);
                    self.feed(actor, |role, now| role.handle_timeout(now));
                }
                _ => {
                    self.now = end;
                    return done(self);
                }
            }
        }
    }

    pub(crate) fn rest(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    /// Waits until the daemon serves local programs.
    pub(crate) fn ready(&mut self, actor: usize) {
        assert!(
            self.run(Duration::from_secs(30), |world| world.actors[actor].listening.contains(&Listener::Ipc)),
            "daemon {actor} is not ready"
        );
    }

    pub(crate) fn exit_status(&self, actor: usize) -> Option<u8> {
        self.actors[actor].exit
    }

    pub(crate) fn files(&self, actor: usize) -> &BTreeMap<String, Vec<u8>> {
        &self.actors[actor].files
    }

    pub(crate) fn shut_down(&mut self, actor: usize) {
        self.feed(actor, |role, now| role.handle_input(now, Input::Shutdown));
    }

    // --- programs ----------------------------------------------------------------------------------------------

    pub(crate) fn program_at(&mut self, actor: usize) -> usize {
        self.ready(actor);
        self.accepted += 1;
        let conn = ConnId::Accepted(self.accepted);
        self.programs.push(Program {
            actor,
            conn,
            reader: FrameReader::new(MAX_MESSAGE),
            heard: VecDeque::new(),
            waiting: Vec::new(),
            leaving: false,
        });
        let input = Input::Opened { conn, listener: Some(Listener::Ipc), peer: None, local: None };
        self.feed(actor, |role, now| role.handle_input(now, input));
        self.programs.len() - 1
    }

    pub(crate) fn say(&mut self, program: usize, request: &Request<'_>) {
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        let Program { actor, conn, .. } = self.programs[program];
        if self.paused.contains(&(actor, conn)) {
            self.programs[program].waiting.extend(bytes);
        } else {
            self.feed(actor, |role, now| role.handle_input(now, Input::Bytes { conn, data: &bytes }));
        }
    }

    pub(crate) fn leave(&mut self, program: usize) {
        self.programs[program].leaving = true;
        let Program { actor, conn, .. } = self.programs[program];
        self.later(Event::Closed { actor, conn });
    }

    /// The next message `wanted` takes; others are put aside.
    pub(crate) fn hear<T>(
        &mut self,
        program: usize,
        limit: Duration,
        mut wanted: impl FnMut(&Reply<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        self.run(limit, |world| {
            let heard = &mut world.programs[program].heard;
            let at = heard.iter().position(|message| {
                found = wanted(&Reply::parse(message).unwrap());
                found.is_some()
            });
            if let Some(at) = at {
                heard.remove(at);
            }
            at.is_some()
        });
        found
    }
}

//! The world: hosts, programs and a network on one thread, moved by an event queue. It takes no protocol decision; it does
//! what the drivers do, with time, chance and failure in its hands.

use std::net::{IpAddr, SocketAddr};

use pilot_keylog::KeyLog;
use pilot_proto::{Instant, time::Duration, wire::beacon::Beacon};
use pilot_roles::{
    ConnId, Input, Listener, Now, Output, Role,
    role::{Closed, Store},
};

use rustc_hash::FxHashMap;

use crate::{
    check::{Breach, RelayJudge, Verdict, WireJudge, judge_tables},
    dice::Dice,
    disk::Disk,
    host::{Host, HostSpec, Stopping},
    ledger::Ledger,
    link::LinkConfig,
    nat::NatConfig,
    net::{HostId, Net, Passage, RealmId},
    pipe::Half,
    program::{Program, ProgramId, What},
    promise::RegistryJudge,
    queue::Queue,
    trace::Trace,
    watch::{Eyes, Loss, Moment, Observer, Seen},
};

/// Outputs and transmits of one turn of a role; more is a role that never comes to rest.
const MAX_TURNS: u32 = 100_000;
/// Timeouts of one host at one instant; more is a role that asks for the past.
const MAX_SPINS: u32 = 1000;
/// What a message between two processes of one host takes.
const LOCAL: Duration = Duration::from_micros(20);
/// What a sync of the disk takes, at least and at most, in microseconds.
const SYNC: (u64, u64) = (200, 5000);
/// A connection attempt that nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a closed connection may make no progress with what is queued.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a program looks whether the daemon listens.
const RECONNECT: Duration = Duration::from_millis(500);
/// How long a role that ended by itself with a failure stays down before it is started again.
const SUPERVISOR: Duration = Duration::from_secs(5);
/// How often a role is looked at after it did something, in parts per million.
const SUSPICION_PPM: u32 = 10_000;
/// Lines of log kept of each host.
const MAX_LOG: usize = 200;

mod faults;
mod programs;
mod streams;

#[derive(Debug)]
enum Event {
    /// Look at a host's timer.
    Timer(HostId),
    Datagram {
        from: HostId,
        passage: Passage,
        data: Vec<u8>,
    },
    /// A connection attempt arrives.
    Connect {
        from: HostId,
        life: u64,
        conn: ConnId,
        to: HostId,
    },
    /// The first segment of a half arrives.
    Segment {
        stream: u64,
        side: usize,
    },
    /// The receiver of a half reads again.
    Read {
        stream: u64,
        side: usize,
    },
    /// A closing side has had its time.
    Flush {
        stream: u64,
        side: usize,
    },
    /// Something for one life of a host.
    Tell {
        host: HostId,
        life: u64,
        told: Told,
    },
    /// The oldest write is durable.
    Synced {
        host: HostId,
        life: u64,
    },
    /// Call a role that did not ask for it.
    Probe {
        host: HostId,
        life: u64,
    },
    Program(ProgramId),
    Taken(ProgramId),
    /// A slow program reads again.
    Awake(ProgramId, u64),
    Birth(HostId, u64),
}

#[derive(Debug)]
enum Told {
    Listening(Listener),
    Sent { conn: ConnId, bytes: usize },
    Closed { conn: ConnId, reason: Closed },
    Posted { ticket: u64 },
}

/// One end of a byte stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum End {
    Host(HostId, ConnId),
    Program(ProgramId),
}

/// A byte stream: side 0 has dialled. Half `n` leads from side `n` to the other.
#[derive(Debug)]
struct Stream {
    ends: [End; 2],
    hosts: [HostId; 2],
    halves: [Half; 2],
    /// The role has closed it and has not heard so yet.
    waits: [bool; 2],
}

/// What happened so far, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Events taken from the queue.
    pub events: u64,
    /// Datagrams that roles sent.
    pub datagrams: u64,
    /// Datagrams that reached a role.
    pub delivered: u64,
    /// Frames that the beacon passed on.
    pub relayed: u64,
    /// Bytes of the datagrams that roles sent.
    pub bytes: u64,
    /// Byte streams that were accepted.
    pub streams: u64,
    /// Lives of hosts that began.
    pub births: u64,
}

impl Counters {
    /// What happened since `before`.
    pub const fn since(&self, before: &Counters) -> Counters {
        Counters {
            events: self.events - before.events,
            datagrams: self.datagrams - before.datagrams,
            delivered: self.delivered - before.delivered,
            relayed: self.relayed - before.relayed,
            bytes: self.bytes - before.bytes,
            streams: self.streams - before.streams,
            births: self.births - before.births,
        }
    }
}

/// The world.
#[derive(Debug)]
pub struct World {
    seed: u64,
    now: Instant,
    queue: Queue<Event>,
    pub(crate) net: Net,
    hosts: Vec<Host>,
    programs: Vec<Program>,
    streams: FxHashMap<u64, Stream>,
    ends: FxHashMap<End, (u64, usize)>,
    accepted: u64,
    /// Datagrams that wait behind a clog.
    held: Vec<(HostId, Passage, HostId, Vec<u8>)>,
    dice: Dice,
    /// What programs know beyond the network.
    pub ledger: Ledger,
    wire: WireJudge,
    registry: RegistryJudge,
    relay: RelayJudge,
    /// When to look at tables and timers nobody asked about.
    suspicion: Dice,
    trace: Trace,
    eyes: Eyes,
    pub(crate) keys: Option<KeyLog>,
    breach: Option<Breach>,
    counters: Counters,
    posts: Vec<Vec<u8>>,
    buffer: Vec<u8>,
    /// Buffers of datagrams that are gone, to be used again.
    spare: Vec<Vec<u8>>,
}

impl World {
    /// An empty world.
    pub fn new(seed: u64, link: LinkConfig) -> Self {
        World {
            seed,
            now: Instant::ORIGIN,
            queue: Queue::default(),
            net: Net::new(seed, link),
            hosts: Vec::new(),
            programs: Vec::new(),
            streams: FxHashMap::default(),
            ends: FxHashMap::default(),
            accepted: 0,
            held: Vec::new(),
            dice: Dice::named(seed, "world", &[]),
            ledger: Ledger::default(),
            wire: WireJudge::default(),
            registry: RegistryJudge::default(),
            relay: RelayJudge::default(),
            suspicion: Dice::named(seed, "suspicion", &[]),
            trace: Trace::default(),
            eyes: Eyes::default(),
            keys: None,
            breach: None,
            counters: Counters::default(),
            posts: Vec::new(),
            buffer: vec![0; 65_536],
            spare: Vec::new(),
        }
    }

    /// From now on a packet in clear is a breach.
    pub fn expect_encryption(&mut self) {
        self.wire.encrypted = true;
    }

    /// Shows everything that happens to `observer`; hosts made before are shown to it first.
    pub fn watch(&mut self, mut observer: Box<dyn Observer>) {
        for host in (0..self.hosts.len()).map(HostId) {
            observer.see(self.moment(host), &self.introduction(host));
        }
        self.eyes.add(observer);
    }

    /// Notes the keys of all sessions that hosts made from now on agree on.
    pub fn log_keys(&mut self, keys: KeyLog) {
        self.keys = Some(keys);
    }

    fn moment(&self, host: HostId) -> Moment {
        Moment { at: self.now, hash: self.trace.hash(), host }
    }

    fn introduction(&self, id: HostId) -> Seen<'_> {
        let spec = &self.hosts[id.0].spec;
        let (ip, public_ip) = (self.net.ip(id), self.net.public_ip(id));
        Seen::Host { name: &spec.name, ip, port: spec.udp_port, public_ip }
    }

    /// Shows something that costs nothing to prepare.
    fn show(&mut self, host: HostId, seen: &Seen<'_>) {
        if self.eyes.are_open() {
            self.eyes.show(self.moment(host), seen);
        }
    }

    /// A NAT in `outside`; the network behind it.
    pub fn add_nat(&mut self, outside: RealmId, config: NatConfig) -> RealmId {
        self.net.add_nat(outside, config)
    }

    /// Makes a host's place in a network; [`World::settle`] says what lives there.
    pub fn add_place(&mut self, realm: RealmId) -> HostId {
        self.net.add_host(realm)
    }

    /// Lets a host live at the place made last.
    pub fn settle(&mut self, place: HostId, spec: HostSpec) {
        assert_eq!(place.0, self.hosts.len(), "places are settled in their order");
        self.hosts.push(Host::new(spec));
        if self.eyes.are_open() {
            let mut eyes = std::mem::take(&mut self.eyes);
            eyes.show(self.moment(place), &self.introduction(place));
            self.eyes = eyes;
        }
        self.bear(place);
    }

    // --- looking -----------------------------------------------------------------------------------------------

    /// Time since the beginning.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// What happened so far, in numbers.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// One number for everything that happened so far.
    pub const fn hash(&self) -> u64 {
        self.trace.hash()
    }

    /// The first rule that was broken.
    pub const fn breach(&self) -> Option<&Breach> {
        self.breach.as_ref()
    }

    /// The address of a host in its own network.
    pub fn ip(&self, host: HostId) -> IpAddr {
        self.net.ip(host)
    }

    /// A host's disk.
    pub fn disk(&self, host: HostId) -> &Disk {
        &self.hosts[host.0].disk
    }

    /// With what status a role ended, if it did.
    pub fn exit(&self, host: HostId) -> Option<u8> {
        self.hosts[host.0].exit
    }

    /// Whether a daemon serves local programs.
    pub fn is_ready(&self, host: HostId) -> bool {
        self.hosts[host.0].listening.contains(&Listener::Ipc)
    }

    /// Bodies of all HTTP posts.
    pub fn posts(&self) -> &[Vec<u8>] {
        &self.posts
    }

    /// The last lines of a host's log.
    pub fn log(&self, host: HostId) -> impl Iterator<Item = String> + '_ {
        let host = &self.hosts[host.0];
        host.log.iter().map(|(at, level, words)| {
            format!("{:>10.3} {level:?} {}: {words}", at.as_micros() as f64 / 1e6, host.spec.name)
        })
    }

    /// What hosts and scripts still wait for.
    pub fn pending(&self) -> Vec<String> {
        let daemons = self.hosts.iter().filter(|host| host.spec.is_daemon);
        let down = daemons
            .filter(|host| !host.listening.contains(&Listener::Ipc) && host.exit != Some(0))
            .map(|host| format!("{} does not serve programs", host.spec.name));
        let scripts = self.programs.iter().filter_map(|program| {
            let words = program.script.as_ref()?.pending(&self.ledger)?;
            Some(format!("{}: {words}", self.hosts[program.host.0].spec.name))
        });
        down.chain(scripts).collect()
    }

    // --- running -----------------------------------------------------------------------------------------------

    /// Lets the world go on until `done` says so; whether it did within `limit`. A breach ends it at once.
    pub fn run(&mut self, limit: Duration, mut done: impl FnMut(&mut World) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            if done(self) {
                return true;
            }
            if self.breach.is_some() {
                return false;
            }
            match self.queue.pop(end) {
                Some((at, event)) => self.step(at, event),
                None => {
                    self.now = end;
                    return done(self);
                }
            }
        }
    }

    /// Lets time pass.
    pub fn rest(&mut self, time: Duration) {
        self.run(time, |_| false);
    }

    fn step(&mut self, at: Instant, event: Event) {
        self.now = at;
        self.counters.events += 1;
        match event {
            Event::Timer(host) => self.timer(host),
            Event::Datagram { from, passage, data } => self.datagram(from, passage, data),
            Event::Connect { from, life, conn, to } => self.connect(from, life, conn, to),
            Event::Segment { stream, side } => self.segment(stream, side),
            Event::Read { stream, side } => self.hear(stream, side),
            Event::Flush { stream, side } => self.flush_timeout(stream, side),
            Event::Tell { host, life, told } => self.told(host, life, told),
            Event::Synced { host, life } => self.synced(host, life),
            Event::Probe { host, life } => self.probe(host, life),
            Event::Program(program) => self.woken(program),
            Event::Taken(program) => {
                self.play(program, What::Room);
            }
            Event::Awake(program, stream) => self.read_on(program, stream),
            Event::Birth(host, life) => {
                if self.hosts[host.0].life == life {
                    self.bear(host);
                }
            }
        }
        if let Some((rule, words)) = self.ledger.breach.take() {
            self.judge(Err((rule, words)));
        }
    }

    fn judge(&mut self, verdict: Verdict) {
        if let Err((rule, words)) = verdict
            && self.breach.is_none()
        {
            if self.eyes.are_open() {
                self.eyes.show(self.moment(HostId(0)), &Seen::Breach { rule, words: &words });
            }
            self.breach = Some(Breach { at: self.now, rule, words });
        }
    }

    // --- roles -------------------------------------------------------------------------------------------------

    fn bear(&mut self, id: HostId) {
        let dice = Dice::named(self.seed, "role", &[id.0 as u64, self.hosts[id.0].life]);
        self.counters.births += 1;
        self.trace.note(self.now, "birth", id.0, &[]);
        self.show(id, &Seen::Born);
        let host = &mut self.hosts[id.0];
        host.bear(self.now, dice);
        let udp = Some(host.bound());
        self.feed(id, |role, now| role.handle_input(now, Input::Started { udp }));
    }

    /// One thing in, everything out.
    fn feed(&mut self, id: HostId, input: impl FnOnce(&mut dyn Role, Now)) {
        let host = &mut self.hosts[id.0];
        let Some(mut role) = host.role.take() else { return };
        let now = host.clock.read(self.now);
        input(&mut *role, now);
        self.drain(id, &mut *role, now);
        if self.eyes.are_open() {
            self.eyes.look(self.moment(id), &mut *role);
        }
        let host = &mut self.hosts[id.0];
        match host.exit {
            Some(status) => self.ended(id, status),
            None => {
                let next = role.poll_timeout().map(|at| host.clock.when(at).max(self.now));
                host.role = Some(role);
                self.arm(id, next);
                self.suspect(id);
            }
        }
    }

    /// Looks at the tables of a role now and then, and calls it later when it did not ask.
    fn suspect(&mut self, id: HostId) {
        if self.suspicion.chance(SUSPICION_PPM) {
            let host = &self.hosts[id.0];
            let fills = host.role.as_ref().map_or(Vec::new(), |role| role.fills());
            let (verdict, life) = (judge_tables(&host.spec.name, &fills, false), host.life);
            self.judge(verdict);
            let at = self.now + Duration::from_micros(self.suspicion.between(1000, 3_000_000));
            self.queue.push(at, Event::Probe { host: id, life });
        }
    }

    /// Calls a role that has nothing due. If it does something, it had forgotten to ask to be called.
    fn probe(&mut self, id: HostId, life: u64) {
        let host = &mut self.hosts[id.0];
        if host.life != life {
            return;
        }
        let now = host.clock.read(self.now);
        let Some(role) = &mut host.role else { return };
        let due = role.poll_timeout();
        if due.is_some_and(|at| at <= now.instant) {
            return;
        }
        role.handle_timeout(now);
        if host.spec.misbehaves {
            return;
        }
        let sent = role.poll_transmit(now, &mut self.buffer).map(|transmit| format!("sends {transmit:?}"));
        let did = sent.or_else(|| role.poll_output(now).map(|output| format!("does {output:?}")));
        let then = role.poll_timeout();
        let moved = (then != due).then(|| format!("then wants to be called at {then:?}"));
        if let Some(did) = did.or(moved) {
            let words = format!(
                "{} is called at {:?}, wanted to be at {due:?}, and {did}",
                host.spec.name, now.instant
            );
            self.judge(Err(("works without having asked", words)));
        }
    }

    /// Everybody has left: looks for what was forgotten.
    pub fn expect_empty_tables(&mut self) {
        let verdict = self.judge_idle_tables();
        self.judge(verdict);
    }

    /// Whether tables are empty that must be when everybody has left.
    pub(crate) fn judge_idle_tables(&self) -> Verdict {
        self.hosts.iter().try_for_each(|host| {
            let fills = host.role.as_ref().map_or(Vec::new(), |role| role.fills());
            judge_tables(&host.spec.name, &fills, true)
        })
    }

    fn arm(&mut self, id: HostId, next: Option<Instant>) {
        let host = &mut self.hosts[id.0];
        if let Some(at) = next
            && host.wake.is_none_or(|wake| at < wake)
        {
            host.wake = Some(at);
            self.queue.push(at, Event::Timer(id));
        }
    }

    fn timer(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        if host.wake != Some(self.now) {
            return;
        }
        host.wake = None;
        let now = host.clock.read(self.now);
        let due = host.role.as_ref().and_then(|role| role.poll_timeout());
        if due.is_none_or(|at| at > now.instant) {
            let next = due.map(|at| host.clock.when(at));
            return self.arm(id, next);
        }
        host.spins = if host.spins.0 == self.now { (self.now, host.spins.1 + 1) } else { (self.now, 0) };
        if host.spins.1 > MAX_SPINS {
            let words = format!("{} asks to be called at {due:?}, which is past", host.spec.name);
            return self.judge(Err(("timer in the past", words)));
        }
        self.trace.note(self.now, "timeout", id.0, &[]);
        self.show(id, &Seen::Timeout);
        self.feed(id, |role, now| role.handle_timeout(now));
    }

    fn drain(&mut self, id: HostId, role: &mut dyn Role, now: Now) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut turns = 0;
        loop {
            let mut silent = true;
            while let Some(transmit) = role.poll_transmit(now, &mut buffer) {
                (silent, turns) = (false, turns + 1);
                let size = transmit.segment_size.unwrap_or(transmit.len).max(1);
                for data in buffer[..transmit.len].chunks_mut(size) {
                    self.transmit(id, transmit.to, data);
                }
                if turns > MAX_TURNS {
                    break;
                }
            }
            while let Some(output) = role.poll_output(now) {
                (silent, turns) = (false, turns + 1);
                self.perform(id, output);
                if turns > MAX_TURNS {
                    break;
                }
            }
            if turns > MAX_TURNS {
                let name = &self.hosts[id.0].spec.name;
                self.judge(Err(("never comes to rest", format!("{name} has {turns} things to do at once"))));
            }
            if silent || turns > MAX_TURNS {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn transmit(&mut self, id: HostId, to: SocketAddr, data: &mut [u8]) {
        self.counters.datagrams += 1;
        self.counters.bytes += data.len() as u64;
        self.trace.note(self.now, "send", id.0, data);
        let host = &self.hosts[id.0];
        let port = host.spec.udp_port;
        let is_daemon = host.spec.is_daemon;
        if is_daemon && !host.spec.misbehaves {
            let verdict = self.wire.sent(data);
            self.judge(verdict);
        }
        // The link may corrupt it; who looks sees what was sent.
        let sent = self.eyes.are_open().then(|| data.to_vec());
        let departed = self.net.depart(self.now, id, port, to);
        if let Some((_, target)) = departed.filter(|_| !is_daemon) {
            self.judge_relay(target, data);
        }
        let fate = match departed {
            Some((_, target)) => self.net.send(self.now, (id, target), data),
            None => Err(Loss::NoRoute),
        };
        if let Some(data) = &sent {
            let target = departed.map(|(_, target)| target);
            let queued = target.map_or(0, |target| self.net.queued(self.now, (id, target)));
            let from = SocketAddr::new(self.net.ip(id), port);
            self.show(id, &Seen::Sent { from, to, target, data, queued, lost: fate.err() });
        }
        let (Some((passage, _)), Ok((at, twin))) = (departed, fate) else { return };
        for at in [Some(at), twin].into_iter().flatten() {
            let mut copy = self.spare.pop().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(data);
            self.queue.push(at, Event::Datagram { from: id, passage, data: copy });
        }
    }

    /// The beacon sends something to a host.
    fn judge_relay(&mut self, target: HostId, data: &[u8]) {
        if matches!(Beacon::parse(data), Some(Beacon::Deliver { .. })) {
            self.counters.relayed += 1;
            // Who shares a NAT may get a neighbour's frame after the NAT forgot who is who.
            if let Some(node) = self.ledger.node(target.0).filter(|_| !self.net.has_neighbours(target)) {
                let verdict = self.relay.said(data, node);
                self.judge(verdict);
            }
        }
    }

    fn datagram(&mut self, from: HostId, passage: Passage, mut data: Vec<u8>) {
        let arrived = match self.net.arrive(self.now, passage) {
            None => Err(Loss::Nat),
            Some((host, port)) if self.hosts[host.0].spec.udp_port != port => Err(Loss::NobodyThere),
            Some((host, _)) if self.net.is_cut((from, host)) => Err(Loss::Cut),
            Some((host, _)) => Ok(host),
        };
        match arrived {
            Ok(host) if self.net.is_clogged((from, host)) => {
                self.held.push((from, passage, host, data));
                return;
            }
            Ok(host) => {
                self.counters.delivered += 1;
                self.trace.note(self.now, "receive", host.0, &data);
                if !self.hosts[host.0].spec.is_daemon {
                    self.relay.heard(&data);
                }
                if self.hosts[host.0].role.is_none() {
                    self.lost(from, passage, data.len(), Loss::NobodyThere);
                } else if self.eyes.are_open() {
                    let to = SocketAddr::new(self.net.ip(host), self.hosts[host.0].spec.udp_port);
                    self.show(host, &Seen::Received { from: passage.src, to, data: &data });
                }
                self.feed(host, |role, now| role.handle_datagram(now, passage.src, &mut data));
            }
            Err(why) => self.lost(from, passage, data.len(), why),
        }
        if self.spare.len() < 1024 {
            self.spare.push(data);
        }
    }

    fn lost(&mut self, from: HostId, passage: Passage, bytes: usize, why: Loss) {
        self.show(from, &Seen::Lost { to: passage.dst, bytes, why });
    }

    fn perform(&mut self, id: HostId, output: Output) {
        match output {
            Output::Listen(listener) => {
                self.hosts[id.0].listening.insert(listener);
                self.tell(id, self.now, Told::Listening(listener));
            }
            Output::Connect { conn, to } => self.dial(id, conn, to),
            Output::Send { conn, data } => {
                if !self.hosts[id.0].spec.is_daemon {
                    let verdict = self.registry.said(conn, &data, &self.hosts[id.0].disk);
                    self.judge(verdict);
                }
                if let Some((stream, side)) = self.ends.get(&End::Host(id, conn)).copied() {
                    if let Some(s) = self.streams.get_mut(&stream) {
                        s.halves[side].send(data);
                    }
                    self.pump(stream, side);
                }
            }
            Output::Pause(conn) => self.pause(End::Host(id, conn), true),
            Output::Resume(conn) => self.pause(End::Host(id, conn), false),
            Output::Close(conn) => self.close(id, conn),
            Output::Store { ticket, store } => {
                let at = self.now + Duration::from_micros(self.dice.between(SYNC.0, SYNC.1));
                let host = &mut self.hosts[id.0];
                let life = host.life;
                let at = host.disk.submit(at, ticket, store);
                self.queue.push(at, Event::Synced { host: id, life });
            }
            Output::Post { ticket, body, .. } => {
                self.posts.push(body);
                self.tell(id, self.now + Duration::from_millis(50), Told::Posted { ticket });
            }
            Output::Log(record) => {
                let mut words = record.message.to_owned();
                for (name, value) in &record.fields {
                    words.push_str(&format!(" {name}={value}"));
                }
                self.show(id, &Seen::Log { level: record.level, words: &words });
                let log = &mut self.hosts[id.0].log;
                if log.len() >= MAX_LOG {
                    log.remove(0);
                }
                log.push((self.now, record.level, words));
            }
            Output::Exit(status) => self.hosts[id.0].exit = self.hosts[id.0].exit.or(Some(status)),
        }
    }

    fn tell(&mut self, host: HostId, at: Instant, told: Told) {
        let life = self.hosts[host.0].life;
        self.queue.push(at, Event::Tell { host, life, told });
    }

    fn told(&mut self, id: HostId, life: u64, told: Told) {
        if self.hosts[id.0].life != life {
            return;
        }
        self.trace.note(self.now, "tell", id.0, &[]);
        let input = match told {
            Told::Listening(listener) => Input::Listening { listener, result: Ok(()) },
            Told::Sent { conn, bytes } => Input::Sent { conn, bytes },
            Told::Closed { conn, reason } => {
                self.hosts[id.0].dialing.remove(&conn);
                Input::Closed { conn, reason }
            }
            Told::Posted { ticket } => Input::Posted { ticket, result: Ok(200) },
        };
        self.feed(id, |role, now| role.handle_input(now, input));
    }

    fn synced(&mut self, id: HostId, life: u64) {
        if self.hosts[id.0].life != life {
            return;
        }
        let Some((ticket, store, result)) = self.hosts[id.0].disk.sync() else { return };
        self.trace.note(self.now, "synced", id.0, &ticket.to_le_bytes());
        if let (Store::Records(changes), Ok(())) = (&store, &result) {
            let verdict = self.registry.stored(changes);
            self.judge(verdict);
        }
        self.feed(id, |role, now| role.handle_input(now, Input::Stored { ticket, result }));
    }

    /// A role ended by itself: what it wrote still reaches disk and peers.
    fn ended(&mut self, id: HostId, status: u8) {
        self.show(id, &Seen::Ended { status });
        if self.eyes.are_open() {
            self.eyes.forget(self.moment(id));
        }
        while let Some((_, store, result)) = self.hosts[id.0].disk.sync() {
            if let (Store::Records(changes), Ok(())) = (&store, &result) {
                let verdict = self.registry.stored(changes);
                self.judge(verdict);
            }
        }
        for (stream, side) in self.streams_of(id) {
            if let Some(s) = self.streams.get_mut(&stream) {
                s.halves[side].close();
                s.halves[1 - side].deaf = true;
            }
            self.pump(stream, side);
            self.queue.push(self.now + FLUSH_TIMEOUT, Event::Flush { stream, side });
        }
        let host = &mut self.hosts[id.0];
        host.end();
        let life = host.life;
        if status != 0 {
            self.queue.push(self.now + SUPERVISOR, Event::Birth(id, life));
        } else if host.stopping == Stopping::ForRestart {
            self.queue.push(self.now, Event::Birth(id, life));
        }
    }

    fn streams_of(&self, id: HostId) -> Vec<(u64, usize)> {
        let own = |(end, at): (&End, &(u64, usize))| match end {
            End::Host(host, conn) if *host == id => Some((*conn, *at)),
            _ => None,
        };
        let mut streams: Vec<_> = self.ends.iter().filter_map(own).collect();
        streams.sort_unstable();
        streams.into_iter().map(|(_, at)| at).collect()
    }
}

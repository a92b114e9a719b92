//! The world: hosts, programs and a network on one thread, moved by an event queue. It takes no protocol decision; it does
//! what the drivers do, with time, chance and failure in its hands.

use std::{collections::VecDeque, net::IpAddr};

use pilot_keylog::KeyLog;
use pilot_proto::{Instant, time::Duration};
use pilot_roles::{ConnId, Listener, role::Closed};

use rustc_hash::FxHashMap;

use crate::{
    check::{Breach, RelayJudge, SinkJudge, Verdict, WireJudge},
    dice::Dice,
    disk::Disk,
    host::{Host, HostSpec},
    ledger::Ledger,
    link::LinkConfig,
    nat::NatConfig,
    net::{HostId, Net, Passage, RealmId},
    pipe::Half,
    program::{Program, ProgramId, What},
    promise::RegistryJudge,
    queue::Queue,
    trace::Trace,
    watch::{Eyes, Moment, Observer, Seen},
};

mod datagrams;
mod faults;
mod programs;
mod streams;
mod turns;
mod waits;
mod windows;

#[derive(Debug)]
enum Event {
    /// Look at a host's timer.
    Timer(HostId),
    Datagram {
        from: HostId,
        passage: Passage,
        data: Vec<u8>,
        /// It has passed the router in front of its receiver.
        inside: bool,
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
    Posted { ticket: u64, result: Result<u16, String> },
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
    /// What programs know beyond the network.
    pub ledger: Ledger,
    wire: WireJudge,
    registry: RegistryJudge,
    relay: RelayJudge,
    sinks: SinkJudge,
    trace: Trace,
    eyes: Eyes,
    pub(crate) keys: Option<KeyLog>,
    breach: Option<Breach>,
    counters: Counters,
    posts: Vec<Vec<u8>>,
    /// The host whose turn it is in a window wants to be called after it.
    unarmed: bool,
    /// Whose role has its turn, and what the operating system took of its connections meanwhile.
    turn: Option<HostId>,
    taken: VecDeque<(ConnId, usize)>,
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
            ledger: Ledger::default(),
            wire: WireJudge::default(),
            registry: RegistryJudge::default(),
            relay: RelayJudge::default(),
            sinks: SinkJudge::default(),
            trace: Trace::default(),
            eyes: Eyes::default(),
            keys: None,
            breach: None,
            counters: Counters::default(),
            posts: Vec::new(),
            unarmed: false,
            turn: None,
            taken: VecDeque::new(),
            buffer: vec![0; 65_536],
            spare: Vec::new(),
        }
    }

    /// Makes room for so many hosts, each with a program and with links to and from `friends` others. Tables that grow by
    /// moving give large pieces of memory back, and the system's allocator then stops to ask the system for each large
    /// piece apart: those of later hosts are cleared by hand, and all of them is in use instead of what is needed.
    pub(crate) fn reserve(&mut self, hosts: usize, friends: usize) {
        self.hosts.reserve(hosts);
        self.programs.reserve(hosts);
        // One to the registry and one to the program.
        self.streams.reserve(2 * hosts);
        self.ends.reserve(4 * hosts);
        self.net.reserve(hosts, friends);
        self.wire.reserve(hosts * friends);
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
        self.hosts.push(Host::new(spec, |name| Dice::named(self.seed, name, &[place.0 as u64])));
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
            Event::Datagram { from, passage, data, inside } => self.datagram(from, passage, data, inside),
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
}

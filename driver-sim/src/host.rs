//! One host: a role, its disk, its clock and what it listens on. A crash ends the role and keeps the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

use pilot_proto::Instant;
use pilot_roles::{
    ConnId, Listener, Now, Role,
    role::{Dial, Level},
};

use crate::{clock::Clock, dice::Dice, disk::Disk, net::HostId, program::ProgramId};

/// Makes the role of one life of a host from what its disk holds.
pub type Birth = Box<dyn Fn(&Disk, Now, Dice) -> Box<dyn Role>>;

/// A host as it is made.
pub struct HostSpec {
    /// How people call it.
    pub name: String,
    /// UDP port of the role's socket.
    pub udp_port: u16,
    /// Makes the role.
    pub birth: Birth,
    /// Whom it may dial.
    pub dials: BTreeMap<Dial, HostId>,
    /// How much faster than the world its clock runs, in parts per million.
    pub drift_ppm: i32,
    /// How far its wall clock is off, in microseconds.
    pub wall_offset: i64,
    /// Its datagrams are judged as a daemon's: nonces and encryption.
    pub is_daemon: bool,
    /// It breaks rules on purpose and is not judged itself.
    pub misbehaves: bool,
}

/// Whether the operator asked the role to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    No,
    Yes,
    /// And to start again at once.
    ForRestart,
}

/// A host as it lives.
pub(crate) struct Host {
    pub(crate) spec: HostSpec,
    pub(crate) role: Option<Box<dyn Role>>,
    /// Counts births: what was meant for an earlier life does not reach the next.
    pub(crate) life: u64,
    pub(crate) clock: Clock,
    pub(crate) disk: Disk,
    pub(crate) listening: BTreeSet<Listener>,
    /// Connections that are on their way.
    pub(crate) dialing: BTreeSet<ConnId>,
    /// When the world will look at its timer.
    pub(crate) wake: Option<Instant>,
    /// Timeouts fed at one instant.
    pub(crate) spins: (Instant, u32),
    pub(crate) exit: Option<u8>,
    pub(crate) stopping: Stopping,
    pub(crate) log: Vec<(Instant, Level, String)>,
    /// Chance in what the world does to it.
    pub(crate) dice: Dice,
    /// When to look at tables and timers nobody asked about.
    pub(crate) suspicion: Dice,
    /// The program on it, the last if there are several: what happens to the host will need it.
    pub(crate) program: Option<ProgramId>,
    /// Bytes a second its programs read; 0 is without limit.
    pub(crate) read_rate: u64,
    /// The endpoint of its webhook takes nothing.
    pub(crate) sink_fails: bool,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("name", &self.spec.name)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// `dice` gives a stream of its own for each name.
    pub(crate) fn new(spec: HostSpec, dice: impl Fn(&str) -> Dice) -> Self {
        let clock = Clock { born: Instant::ORIGIN, drift_ppm: spec.drift_ppm, wall_offset: spec.wall_offset };
        Host {
            spec,
            role: None,
            life: 0,
            clock,
            disk: Disk::default(),
            listening: BTreeSet::new(),
            dialing: BTreeSet::new(),
            wake: None,
            spins: (Instant::ORIGIN, 0),
            exit: None,
            stopping: Stopping::No,
            log: Vec::new(),
            dice: dice("host"),
            suspicion: dice("suspicion"),
            program: None,
            read_rate: 0,
            sink_fails: false,
        }
    }

    /// Begins a life at `now`; the first input is still to be fed.
    pub(crate) fn bear(&mut self, now: Instant, dice: Dice) {
        self.clock.born = now;
        self.life += 1;
        self.exit = None;
        self.stopping = Stopping::No;
        self.role = Some((self.spec.birth)(&self.disk, self.clock.read(now), dice));
    }

    /// Ends a life; the disk is the caller's business.
    pub(crate) fn end(&mut self) {
        self.role = None;
        self.life += 1;
        self.listening.clear();
        self.dialing.clear();
        self.wake = None;
    }

    /// Where the role believes to be bound: it sees no address of its own.
    pub(crate) fn bound(&self) -> SocketAddr {
        SocketAddr::new(std::net::Ipv4Addr::UNSPECIFIED.into(), self.spec.udp_port)
    }
}

//! Watching a run: everything that happens is shown to whoever looks, as one [`Seen`] a time. Looking changes nothing:
//! the same seed gives the same hash with and without watchers.
//!
//! Three watchers come with the simulator: [`Journal`](crate::Journal) writes lines of JSON,
//! [`Capture`](crate::Capture) a file for Wireshark, [`Chronicle`](crate::Chronicle) keeps what a report is drawn from.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use pilot_proto::{
    Instant,
    node::{PeerInfo, StreamId, StreamInfo},
    time::Duration,
};
use pilot_roles::{
    Role,
    role::{Level, Watcher},
};
use serde::{Serialize, Serializer};

use crate::{net::HostId, scenario::Verb};

/// Numbers of one stream are shown at most this often.
const SAMPLE: Duration = Duration::from_millis(5);

/// When something happened, and to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// The world's time.
    #[serde(rename = "time_us", serialize_with = "micros")]
    pub at: Instant,
    /// One number for everything that happened before: where two runs part, so do their hashes.
    #[serde(serialize_with = "hex")]
    pub hash: u64,
    /// Index of the host.
    #[serde(serialize_with = "index")]
    pub host: HostId,
}

/// One thing that happened. The names of variants and fields, in snake case, are the schema of the trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Seen<'a> {
    /// The host was made; always the first of a host.
    Host {
        /// How people call it.
        name: &'a str,
        /// Its address in its own network.
        ip: IpAddr,
        /// Its UDP port.
        port: u16,
        /// The address the internet sees it at; another one behind a NAT.
        public_ip: IpAddr,
    },
    /// A life of its role begins.
    Born,
    /// The role ended by itself.
    Ended {
        /// Exit status.
        status: u8,
    },
    /// Its timer was due.
    Timeout,
    /// Its role is a node of this id.
    Node {
        /// Node id.
        node: u32,
    },
    /// It sent a datagram.
    Sent {
        /// Its own address.
        from: SocketAddr,
        /// Where to.
        to: SocketAddr,
        /// Host at which that address leads, if any.
        #[serde(serialize_with = "index_or_null")]
        target: Option<HostId>,
        /// The datagram.
        #[serde(rename = "bytes", serialize_with = "length")]
        data: &'a [u8],
        /// Bytes that waited on the link for their turn, this datagram included.
        queued: u64,
        /// Why it will not arrive, if it was lost at once.
        lost: Option<Loss>,
    },
    /// A datagram it sent was lost at the other end.
    Lost {
        /// Where to.
        to: SocketAddr,
        /// Its size.
        bytes: usize,
        /// Why.
        why: Loss,
    },
    /// A datagram reached its role.
    Received {
        /// Sender as seen here.
        from: SocketAddr,
        /// Its own address.
        to: SocketAddr,
        /// The datagram.
        #[serde(rename = "bytes", serialize_with = "length")]
        data: &'a [u8],
    },
    /// A byte stream (TCP, local socket) opened, carried bytes to it, or ended.
    Conn {
        /// Its id.
        conn: String,
        /// What of it.
        what: &'static str,
        /// How many bytes.
        bytes: usize,
    },
    /// A stream of its node is in another state than before; the last one of a stream is `gone`.
    Stream {
        /// Counts the streams of this life of the host.
        stream: u32,
        /// Its own port.
        port: u16,
        /// Address and port of the other side.
        remote: String,
        /// The state, in the names of RFC 9293.
        state: String,
    },
    /// Numbers of a stream of its node, at most every 5 ms.
    Sample(Sample),
    /// The way to a peer is another than before.
    Path {
        /// Node id of the peer.
        peer: u32,
        /// `none` (no tunnel yet), `direct` or `relay`.
        via: &'static str,
        /// The direct address in use or best known.
        endpoint: Option<SocketAddr>,
        /// Keys are agreed on.
        encrypted: bool,
        /// And the peer has proved who it is.
        authenticated: bool,
    },
    /// Its role said something to its operator.
    Log {
        /// How loud: `debug`, `info`, `warn`, `error`.
        #[serde(serialize_with = "loudness")]
        level: Level,
        /// The line.
        words: &'a str,
    },
    /// Something was done to the world on purpose.
    Fault {
        /// What.
        verb: Verb,
        /// To whom.
        hosts: Vec<usize>,
    },
    /// A judge saw a rule broken; a run that merely does not finish has no such line.
    Breach {
        /// Which.
        rule: &'a str,
        /// What exactly.
        words: &'a str,
    },
}

/// Numbers of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// As in [`Seen::Stream`].
    pub stream: u32,
    /// Congestion window, in bytes.
    pub cwnd: u32,
    /// Slow start threshold, in bytes.
    pub ssthresh: u32,
    /// Bytes sent and not acknowledged.
    pub in_flight: u32,
    /// Smoothed round trip, in microseconds; 0 before the first.
    pub srtt_us: u64,
    /// Retransmission timeout, in microseconds.
    pub rto_us: u64,
    /// Payload bytes sent for the first time so far.
    pub sent: u64,
    /// Of these, bytes that the other side acknowledged.
    pub acked: u64,
    /// Payload bytes received so far, copies included.
    pub received: u64,
    /// Segments sent again so far.
    pub retransmits: u32,
    /// The other side's window, in segments.
    pub peer_window: u16,
    /// Loss recovery is going on.
    pub recovering: bool,
}

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Nobody has the address.
    NoRoute,
    /// The way is cut.
    Cut,
    /// By chance.
    Random,
    /// By chance, in a burst.
    Burst,
    /// The queue of the link was full.
    QueueFull,
    /// Larger than the link takes.
    TooLarge,
    /// A NAT did not let it in.
    Nat,
    /// Nobody listens at the port, or the host is down.
    NobodyThere,
}

impl Loss {
    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            Loss::NoRoute => "nobody has the address",
            Loss::Cut => "the way is cut",
            Loss::Random => "by chance",
            Loss::Burst => "in a burst",
            Loss::QueueFull => "queue full",
            Loss::TooLarge => "too large",
            Loss::Nat => "refused by a NAT",
            Loss::NobodyThere => "nobody there",
        }
    }
}

/// Sees a run.
pub trait Observer: Send {
    /// Something happened.
    fn see(&mut self, moment: Moment, seen: &Seen<'_>);
}

/// All observers of a world and what they were shown last.
#[derive(Default)]
pub(crate) struct Eyes {
    observers: Vec<Box<dyn Observer>>,
    shown: BTreeMap<HostId, Shown>,
}

/// What was shown of one life of a host.
#[derive(Debug, Default)]
struct Shown {
    node: u32,
    streams: BTreeMap<StreamId, ShownStream>,
    opened: u32,
    paths: BTreeMap<u32, (&'static str, Option<SocketAddr>, bool, bool)>,
}

#[derive(Debug)]
struct ShownStream {
    number: u32,
    info: StreamInfo,
    sampled: Option<(Instant, Sample)>,
    seen: bool,
}

impl std::fmt::Debug for Eyes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Eyes({})", self.observers.len())
    }
}

impl Eyes {
    pub(crate) fn add(&mut self, observer: Box<dyn Observer>) {
        self.observers.push(observer);
    }

    /// Whether anybody looks; if not, there is nothing to prepare.
    pub(crate) fn are_open(&self) -> bool {
        !self.observers.is_empty()
    }

    pub(crate) fn show(&mut self, moment: Moment, seen: &Seen<'_>) {
        self.observers.iter_mut().for_each(|observer| observer.see(moment, seen));
    }

    /// A life of a host is over: its streams and paths are, too.
    pub(crate) fn forget(&mut self, moment: Moment) {
        let shown = self.shown.remove(&moment.host).unwrap_or_default();
        for stream in shown.streams.values() {
            self.show(moment, &stream.state("gone".into()));
        }
        for (peer, (_, endpoint, ..)) in shown.paths {
            let seen = Seen::Path { peer, via: "none", endpoint, encrypted: false, authenticated: false };
            self.show(moment, &seen);
        }
    }

    /// Shows what changed in a role since it was looked at last.
    pub(crate) fn look(&mut self, moment: Moment, role: &mut dyn Role) {
        let mut shown = self.shown.remove(&moment.host).unwrap_or_default();
        role.observe(&mut Look { eyes: self, moment, shown: &mut shown });
        let gone: Vec<_> = shown.streams.iter().filter(|(_, s)| !s.seen).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(stream) = shown.streams.remove(&id) {
                self.show(moment, &stream.state("gone".into()));
            }
        }
        shown.streams.values_mut().for_each(|stream| stream.seen = false);
        self.shown.insert(moment.host, shown);
    }
}

impl ShownStream {
    fn state(&self, state: String) -> Seen<'static> {
        Seen::Stream {
            stream: self.number,
            port: self.info.local_port,
            remote: self.info.remote.to_string(),
            state,
        }
    }

    fn sample(&self) -> Sample {
        let stats = &self.info.stats;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Sample {
            stream: self.number,
            cwnd: stats.cong_win,
            ssthresh: stats.ssthresh,
            in_flight: stats.in_flight,
            srtt_us: micros(stats.srtt),
            rto_us: micros(stats.rto),
            sent: stats.counters.bytes_sent,
            acked: stats.counters.bytes_sent.saturating_sub(u64::from(stats.in_flight)),
            received: stats.counters.bytes_recv,
            retransmits: stats.counters.retransmits,
            peer_window: stats.peer_window,
            recovering: stats.in_recovery,
        }
    }
}

/// One look at one role.
struct Look<'a> {
    eyes: &'a mut Eyes,
    moment: Moment,
    shown: &'a mut Shown,
}

impl Watcher for Look<'_> {
    fn node(&mut self, id: u32) {
        if self.shown.node != id {
            self.shown.node = id;
            self.eyes.show(self.moment, &Seen::Node { node: id });
        }
    }

    fn stream(&mut self, info: &StreamInfo) {
        let (at, opened) = (self.moment.at, &mut self.shown.opened);
        let mut is_new = false;
        let stream = self.shown.streams.entry(info.id).or_insert_with(|| {
            (*opened, is_new) = (*opened + 1, true);
            ShownStream { number: *opened, info: *info, sampled: None, seen: true }
        });
        let before = std::mem::replace(&mut stream.info, *info);
        stream.seen = true;
        if is_new || before.state != info.state {
            self.eyes.show(self.moment, &stream.state(info.state.to_string()));
        }
        let sample = stream.sample();
        let due = stream.sampled.is_none_or(|(last, old)| at.since(last) >= SAMPLE && old != sample);
        if due || before.state != info.state {
            stream.sampled = Some((at, sample));
            self.eyes.show(self.moment, &Seen::Sample(sample));
        }
    }

    fn peer(&mut self, info: &PeerInfo) {
        let via = match (info.encrypted, info.relay) {
            (false, _) => "none",
            (true, true) => "relay",
            (true, false) => "direct",
        };
        let now = (via, info.endpoint, info.encrypted, info.authenticated);
        if self.shown.paths.insert(info.node, now) != Some(now) {
            let (_, endpoint, encrypted, authenticated) = now;
            let seen = Seen::Path { peer: info.node, via, endpoint, encrypted, authenticated };
            self.eyes.show(self.moment, &seen);
        }
    }
}

fn micros<S: Serializer>(at: &Instant, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(at.as_micros())
}

fn hex<S: Serializer>(hash: &u64, out: S) -> Result<S::Ok, S::Error> {
    out.collect_str(&format_args!("{hash:016x}"))
}

fn index<S: Serializer>(host: &HostId, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(host.0 as u64)
}

fn index_or_null<S: Serializer>(host: &Option<HostId>, out: S) -> Result<S::Ok, S::Error> {
    host.map(|host| host.0).serialize(out)
}

fn length<S: Serializer>(data: &&[u8], out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u64(data.len() as u64)
}

fn loudness<S: Serializer>(level: &Level, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    })
}

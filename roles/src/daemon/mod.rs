//! The daemon of one agent: its node, its place in the registry, its local socket, its built-in services.
//!
//! Start order: the beacon tells our address, the registry our id, then peers are served, and last of all local
//! clients, who therefore never meet a daemon that does not know who it is. What each part does, by file: `registry`
//! keeps us known and asks, `locate` remembers the answers, `ipc` serves local clients and `commands` answers what
//! they ask, `services` are ports 7, 1001 and 1002, `events` passes on what the node reports, `trust` keeps the
//! trust lists and the mail of handshakes, `waits` tells what all of them wait for, `webhook` tells the operator, `info` describes us, `memory` is what the
//! node works in, and `net` is how the rest sees the node.

mod adapter;
mod commands;
mod config;
mod events;
#[cfg(test)]
mod fake_net;
mod info;
mod ipc;
mod locate;
mod memory;
mod net;
mod registry;
mod services;
mod trust;
mod trust_file;
mod waits;
mod webhook;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::{fmt, net::SocketAddr};

use pilot_proto::{
    Addr, Instant, Transmit, base64,
    crypto::{Crypto, Identity},
    node::{self, Node, StreamId},
    planted,
    rng::Rng,
    stream::{self, State},
    time::{Duration, earliest},
};

pub use config::{DaemonConfig, Enabled};
pub use memory::{Bounds, OwnedMemory};
pub use trust_file::is_trust_file;

use self::{
    adapter::Adapter,
    commands::Tag,
    ipc::{Numbers, Server},
    locate::{Here, Places},
    memory::CHUNK,
    registry::{Registration, Registry},
    services::{Act, Services},
    trust::TrustDesk,
    webhook::{Webhook, data},
};
use crate::role::{
    Closed, ConnId, Fill, Input, Level, Listener, Now, Output, Record, Role, Store, Wait, Watcher,
};

/// How long the beacon may take to tell our address before we register without.
const DISCOVERY: Duration = Duration::from_secs(1);
/// How long a goodbye may take, which is less than drivers allow, and how long it takes at least, so that ends of streams
/// arrive.
const GOODBYE: Duration = Duration::from_secs(4);
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Nodes we greet after a start, so that tunnels they still believe in work again at once.
const GREETED: usize = 16;

/// How far the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The driver has not started us.
    New,
    /// Waiting for the beacon.
    Discovering {
        until: Instant,
    },
    /// Waiting for the registry.
    Registering,
    Running,
    /// Saying goodbye.
    Ending {
        from: Instant,
    },
    Ended,
}

/// What a store is for.
#[derive(Clone, Copy, Debug)]
enum StoreFor {
    Service(u64),
    Trust,
}

/// The daemon. See the [module](self).
pub struct Daemon<C: Crypto, R> {
    config: DaemonConfig,
    phase: Phase,
    node: Node<OwnedMemory<C>, C, R>,
    public_key: String,
    registry: Registry<Tag>,
    places: Places,
    here: Here,
    ipc: Server<StreamId>,
    numbers: Numbers,
    services: Services<StreamId>,
    trust: TrustDesk,
    webhook: Webhook,
    /// While ending: peers have everything that local programs wrote.
    delivered: bool,
    started: Instant,
    udp: Option<SocketAddr>,
    tickets: u64,
    stores: BTreeMap<u64, StoreFor>,
    outputs: VecDeque<Output>,
    /// No part but the node can have anything for another: nothing came in since that was found.
    settled: bool,
    /// `deadline` is that of the node as it is.
    timed: bool,
    /// Datagrams on their way from the node to clients.
    scratch: Vec<u8>,
    deadline: Option<Instant>,
}

impl<C: Crypto, R> fmt::Debug for Daemon<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Daemon")
            .field("phase", &self.phase)
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}

/// The node as [`net::Net`].
macro_rules! via {
    ($self:ident, $now:expr) => {
        &mut Adapter { node: &mut $self.node, now: $now.instant }
    };
}
use via;

impl<C: Crypto + Clone + Send + 'static, R: Rng> Daemon<C, R> {
    /// A daemon that waits for [`Input::Started`].
    pub fn new(config: DaemonConfig, crypto: C, rng: R) -> Self {
        let identity = Identity::new(0, config.seed.clone(), &crypto);
        let public_key: String = base64::encode(identity.public()).map(char::from).collect();
        let (signer, signing) = (identity.clone(), crypto.clone());
        let sign = Box::new(move |text: &[u8]| signer.sign(&signing, text));
        let settings = registry::Settings {
            keepalive: config.keepalive,
            patience: config.patience,
            public: config.public,
            hostname: config.hostname.clone(),
            tags: None,
            networks: config.networks.clone(),
        };
        let node_config = node::Config {
            encrypt: config.encrypt,
            public: config.public,
            beacon: config.beacon,
            relay_only: config.relay_only,
            trust_auto_approve: config.trust_auto_approve,
            extensions: config.extensions,
            syn_rate: config.syn_rate,
            max_streams_per_port: config.max_streams_per_port,
            max_streams: config.max_streams,
            stream: stream::Config {
                idle_timeout: Some(config.idle_timeout),
                time_wait: config.time_wait,
                ..stream::Config::default()
            },
            ..node::Config::default()
        };
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let memory = OwnedMemory::new(Bounds {
            peers: size(config.max_peers),
            // As many again may wait out their end.
            streams: size(config.max_streams.saturating_mul(2)),
            stream_bytes: size(config.stream_memory),
            trusted: size(config.max_trusted),
        });
        Daemon {
            phase: Phase::New,
            node: Node::new(node_config, identity, memory, crypto, rng),
            registry: Registry::new(Instant::ORIGIN, settings, public_key.clone(), sign),
            public_key,
            places: Places::default(),
            here: Here {
                public: None,
                lan: config.lan_addrs.clone(),
                beacon: config.beacon,
                relay_only: config.relay_only,
            },
            ipc: Server::new(),
            numbers: Numbers::default(),
            services: Services::new(config.services, config.utc_offset, config.received_directory.clone()),
            trust: TrustDesk::default(),
            webhook: Webhook::new(config.webhook.clone()),
            delivered: false,
            started: Instant::ORIGIN,
            udp: None,
            tickets: 0,
            stores: BTreeMap::new(),
            outputs: VecDeque::new(),
            settled: false,
            timed: false,
            scratch: Vec::new(),
            deadline: None,
            config,
        }
    }

    fn log(&mut self, level: Level, message: &'static str, fields: Vec<(&'static str, String)>) {
        self.outputs.push_back(Output::Log(Record { level, message, fields }));
    }

    fn store(&mut self, store: Store, what: StoreFor) {
        self.tickets += 1;
        self.stores.insert(self.tickets, what);
        self.outputs.push_back(Output::Store { ticket: self.tickets, store });
    }

    /// Our address on the backbone.
    fn addr(&self) -> Addr {
        Addr::backbone(self.registry.node())
    }

    // --- the way up and down -----------------------------------------------------------------------------------

    fn start(&mut self, now: Now, udp: Option<SocketAddr>) {
        self.udp = udp;
        self.started = now.instant;
        self.restore_trust(now);
        let ask_beacon =
            self.config.beacon.is_some() && self.config.endpoint.is_empty() && !self.config.relay_only;
        if ask_beacon && udp.is_some() {
            self.phase = Phase::Discovering { until: now.instant + DISCOVERY };
        } else {
            self.register(now);
        }
    }

    fn register(&mut self, now: Now) {
        self.phase = Phase::Registering;
        self.registry.start(now.instant, self.registration());
    }

    /// What the registry shall know of us.
    fn registration(&self) -> Registration {
        let port = self.udp.map_or(0, |udp| udp.port());
        let local = || match self.udp {
            _ if planted!(PortNotTold) => String::from("0.0.0.0:0"),
            Some(udp) if udp.ip().is_unspecified() && udp.is_ipv4() => format!("127.0.0.1:{port}"),
            Some(udp) if udp.ip().is_unspecified() => format!("[::1]:{port}"),
            Some(udp) => udp.to_string(),
            None => String::from("0.0.0.0:0"),
        };
        let (listen_addr, lan_addrs) = if self.config.relay_only {
            (String::from("0.0.0.0:0"), Vec::new())
        } else {
            // A socket bound to one address is not reached at the others.
            let bound = self.udp.map(|udp| udp.ip()).filter(|ip| !ip.is_unspecified());
            let reached = self.config.lan_addrs.iter().filter(|ip| bound.is_none_or(|bound| bound == **ip));
            let lan = reached.map(|ip| SocketAddr::new(*ip, port).to_string()).collect();
            let public = self.here.public.filter(|addr| is_public(*addr));
            let addr = match public {
                _ if !self.config.endpoint.is_empty() => self.config.endpoint.clone(),
                Some(addr) => addr.to_string(),
                None => local(),
            };
            (addr, lan)
        };
        Registration {
            listen_addr,
            owner: self.config.email.clone(),
            lan_addrs,
            relay_only: self.config.relay_only,
            version: self.config.version.clone(),
        }
    }

    /// The beacon sees us at a (new) address.
    fn public_address(&mut self, now: Now, addr: SocketAddr) {
        let changed = self.here.public.replace(addr) != Some(addr);
        match self.phase {
            Phase::Discovering { .. } => self.register(now),
            Phase::Running if changed && self.registration() != *self.registry.registration() => {
                self.log(Level::Info, "public address changed", vec![("address", addr.to_string())]);
                let what = self.registration();
                self.registry.start(now.instant, what);
            }
            _ => {}
        }
    }

    /// The registry knows us under this id.
    fn registered(
        &mut self,
        now: Now,
        node: u32,
        first: bool,
        forgotten: bool,
        observed: Option<SocketAddr>,
    ) {
        self.node.set_id(now.instant, node);
        self.webhook.set_node(node);
        if self.here.public.is_none() {
            self.here.public = observed;
        }
        let address = self.addr().to_string();
        let endpoint = self.registry.registration().listen_addr.clone();
        if first && self.phase == Phase::Registering {
            self.phase = Phase::Running;
            self.log(
                Level::Info,
                "daemon registered",
                vec![
                    ("node_id", node.to_string()),
                    ("addr", address.clone()),
                    ("endpoint", endpoint.clone()),
                ],
            );
            self.webhook.emit(
                now,
                "node.registered",
                data([("address", address.into()), ("endpoint", endpoint.into())]),
            );
            self.services.start(via!(self, now));
            self.outputs.push_back(Output::Listen(Listener::Ipc));
            let known: Vec<u32> = self.node.trusted().map(|record| record.node).take(GREETED).collect();
            for node in known {
                self.node.introduce(now.instant, node);
            }
        } else if forgotten {
            self.log(Level::Warn, "registered again", vec![("address", address.clone())]);
            self.webhook.emit(now, "node.reregistered", data([("address", address.into())]));
            self.report_all_trust(now);
        }
    }

    fn shutdown(&mut self, now: Now) {
        if matches!(self.phase, Phase::Ending { .. } | Phase::Ended) || planted!(EndIgnored) {
            return;
        }
        self.phase = Phase::Ending { from: now.instant };
        self.ipc.shutdown(via!(self, now), &mut self.numbers);
        let streams: Vec<StreamId> = self.node.streams().map(|stream| stream.id).collect();
        for id in streams {
            // One with data that waits for room is finished after it.
            if !self.ipc.holds(id) {
                let _ = self.node.finish(now.instant, id);
            }
        }
    }

    fn exit(&mut self, status: u8) {
        self.phase = Phase::Ended;
        self.outputs.push_back(Output::Exit(status));
    }

    /// Whether peers have everything that local programs wrote.
    fn all_delivered(&mut self) -> bool {
        let over = |state| matches!(state, State::SynSent | State::TimeWait | State::Closed);
        !self.ipc.has_held() && self.node.streams().all(|s| over(s.state) || s.stats.unacked == 0)
    }

    /// When the goodbye is looked at next.
    fn phase_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Discovering { .. } if planted!(BeaconAwaited) => None,
            Phase::Discovering { until } => Some(until),
            Phase::Ending { from } if self.webhook.is_idle() && self.delivered => Some(from + LAST_WORDS),
            Phase::Ending { from } => Some(from + GOODBYE),
            _ => None,
        }
    }

    fn phase_due(&mut self, now: Now) {
        if self.phase_timeout().is_some_and(|due| due <= now.instant) {
            match self.phase {
                Phase::Discovering { .. } => {
                    self.log(Level::Warn, "the beacon does not answer; registering without it", Vec::new());
                    self.register(now);
                }
                Phase::Ending { .. } => self.exit(0),
                _ => {}
            }
        }
    }

    /// Finds out when the node, or a local program with more to ask than fits into a turn, must be looked at again, unless
    /// nothing happened since.
    fn time(&mut self, now: Now) {
        if !self.timed {
            self.timed = true;
            self.deadline = if self.ipc.has_more() { Some(now.instant) } else { self.node.poll_timeout() };
        }
    }

    // --- passing on --------------------------------------------------------------------------------------------

    /// Passes on what one part has for another, until nothing is left; says whether there was anything. Drivers poll until
    /// nothing is left, so most calls find nothing.
    #[inline]
    fn settle(&mut self, now: Now) -> bool {
        (!self.settled || self.node.may_have_events()) && self.pass_on(now)
    }

    fn pass_on(&mut self, now: Now) -> bool {
        let mut passed = false;
        while !self.settled || self.node.may_have_events() {
            self.settled = true;
            let mut quiet = true;
            while let Some(event) = self.node.poll_event(now.instant) {
                quiet = false;
                self.node_event(now, event);
            }
            while let Some(event) = self.registry.poll_event(now) {
                quiet = false;
                self.registry_event(now, event);
            }
            while let Some(ask) = self.ipc.poll_ask() {
                quiet = false;
                self.command(now, &ask);
                self.ipc.process(via!(self, now), &mut self.numbers, ask.client);
            }
            self.webhook.set_watched(self.ipc.is_watched());
            while let Some(notice) = self.webhook.poll_notice() {
                self.ipc.notice(notice.as_bytes());
            }
            while let Some(act) = self.services.poll_act() {
                quiet = false;
                match act {
                    Act::Store { key, store } => self.store(store, StoreFor::Service(key)),
                    Act::Event(name, data) => self.webhook.emit(now, name, data),
                    Act::Write { .. } => {}
                }
            }
            if !quiet {
                (self.settled, self.timed, passed) = (false, false, true);
            }
        }
        passed
    }

    fn registry_event(&mut self, now: Now, event: registry::Event<Tag>) {
        use registry::Event;
        match event {
            Event::Registered { node, first, forgotten, observed } => {
                self.registered(now, node, first, forgotten, observed);
            }
            Event::Fatal(words) => {
                self.log(Level::Error, "registration failed", vec![("error", words)]);
                self.exit(1);
            }
            Event::Answer(tag, answer) => self.answered(now, tag, answer),
            Event::Mail { requests, responses } => self.mail(now, requests, responses),
            Event::Polled => self.mail_polled(now),
            Event::Joined(network) => {
                self.webhook.emit(now, "network.auto_joined", data([("network_id", network.into())]));
            }
            Event::Refused(what, error) => {
                self.log(
                    Level::Warn,
                    "the registry refused",
                    vec![("request", what.into()), ("error", error)],
                );
            }
        }
    }

    fn stored(&mut self, now: Now, ticket: u64, result: &Result<(), String>) {
        let Some(what) = self.stores.remove(&ticket) else { return };
        if let Err(error) = result
            && error != "exists"
        {
            self.log(Level::Error, "a file could not be written", vec![("error", error.clone())]);
        }
        match what {
            StoreFor::Service(key) => self.services.stored(via!(self, now), now, key, result),
            StoreFor::Trust => self.trust_stored(now, result),
        }
    }

    fn opened(&mut self, now: Now, conn: ConnId, listener: Option<Listener>) {
        match listener {
            Some(Listener::Ipc) if self.phase == Phase::Running => self.ipc.opened(conn),
            Some(_) => self.outputs.push_back(Output::Close(conn)),
            None => self.registry.opened(now, conn),
        }
    }

    fn closed(&mut self, now: Now, conn: ConnId, reason: Closed) {
        if self.registry.owns(conn) {
            self.registry.closed(now, conn, reason);
        } else {
            self.ipc.closed(via!(self, now), &mut self.numbers, conn);
            self.forget_waits(conn);
        }
    }
}

/// An address that others can reach: not loopback, private, link-local or unspecified.
fn is_public(addr: SocketAddr) -> bool {
    match addr {
        SocketAddr::V4(addr) => {
            let ip = addr.ip();
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified())
        }
        SocketAddr::V6(addr) => {
            let ip = addr.ip();
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}

impl<C: Crypto + Clone + Send + 'static, R: Rng> Role for Daemon<C, R> {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, data: &mut [u8]) {
        self.node.set_wall_clock(now.instant, now.unix_micros);
        self.node.handle_datagram(now.instant, from, data);
        self.timed = false;
        self.settle(now);
    }

    fn expect(&mut self, data: &[u8]) {
        self.node.expect(data);
    }

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        self.node.set_wall_clock(now.instant, now.unix_micros);
        self.timed = false;
        // Of most that programs say only the node hears, and that tells if it has something for others.
        let local = matches!(input, Input::Bytes { conn, .. } if !self.registry.owns(conn))
            || matches!(input, Input::Sent { .. });
        match input {
            Input::Started { udp } => self.start(now, udp),
            Input::Listening { result: Ok(()), .. } => {
                let (node, addr) = (self.node.id().to_string(), self.addr().to_string());
                self.log(Level::Info, "daemon running", vec![("node_id", node), ("addr", addr)]);
            }
            Input::Listening { result: Err(error), .. } => {
                self.log(Level::Error, "ipc start", vec![("error", error)]);
                self.exit(1);
            }
            Input::Opened { conn, listener, .. } => self.opened(now, conn, listener),
            Input::Bytes { conn, data } if !local => self.registry.bytes(now, conn, data),
            Input::Bytes { conn, data } => self.ipc.bytes(via!(self, now), &mut self.numbers, conn, data),
            Input::Sent { conn, bytes } => self.ipc.sent(via!(self, now), &mut self.numbers, conn, bytes),
            Input::Closed { conn, reason } => self.closed(now, conn, reason),
            Input::Stored { ticket, result } => self.stored(now, ticket, &result),
            Input::Posted { ticket, result } => self.webhook.posted(now.instant, ticket, &result),
            Input::Shutdown => self.shutdown(now),
        }
        self.settled &= local && !self.ipc.take_stirred();
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        self.node.set_wall_clock(now.instant, now.unix_micros);
        self.node.handle_timeout(now.instant);
        if self.phase != Phase::New {
            self.registry.handle_timeout(now);
            self.webhook.handle_timeout(now.instant);
            self.trust_due(now);
            self.phase_due(now);
            self.ipc.next_turn(via!(self, now), &mut self.numbers);
        }
        (self.settled, self.timed) = (false, false);
        self.settle(now);
    }

    fn poll_transmit(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit> {
        self.timed &= !self.node.may_transmit(now.instant);
        let transmit = match self.phase {
            Phase::New | Phase::Ended => None,
            _ => self.node.poll_transmit(now.instant, buf),
        };
        if transmit.is_none() {
            // Sending may raise questions, such as where a peer is. They must not wait for the next timer, and the
            // driver may have polled outputs for the last time.
            if self.settle(now) {
                self.deadline = Some(now.instant);
            } else {
                self.time(now);
            }
        }
        transmit
    }

    fn poll_output(&mut self, now: Now) -> Option<Output> {
        self.settle(now);
        // What goes to programs is read from the node only now.
        self.timed &= !self.ipc.has_output();
        let output = self
            .outputs
            .pop_front()
            .or_else(|| self.registry.poll_output())
            .or_else(|| self.webhook.poll_output())
            .or_else(|| self.ipc.poll_output(via!(self, now)));
        if output.is_none() {
            if matches!(self.phase, Phase::Ending { .. }) {
                self.delivered = self.all_delivered();
            }
            self.time(now);
        }
        output
    }

    fn observe(&mut self, watcher: &mut dyn Watcher) {
        watcher.node(self.node.id());
        self.node.streams().for_each(|stream| watcher.stream(&stream));
        self.node.peers().for_each(|peer| watcher.peer(&peer));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if matches!(self.phase, Phase::New | Phase::Ended) {
            return None;
        }
        [
            self.deadline,
            self.registry.poll_timeout(),
            self.webhook.poll_timeout(),
            self.trust.poll_timeout(),
            self.phase_timeout(),
        ]
        .into_iter()
        .fold(None, earliest)
    }

    fn waits(&mut self) -> Vec<Wait> {
        self.all_waits()
    }

    fn fills(&self) -> Vec<Fill> {
        let usage = self.node.usage();
        let (streams, clients) = self.ipc.fills();
        let (events, max_events) = self.webhook.fill();
        let fill = |table, used, max: u64, transient| Fill {
            table,
            used,
            max: usize::try_from(max).unwrap_or(usize::MAX),
            transient,
        };
        vec![
            fill("peers", usage.peers, self.config.max_peers.into(), false),
            // As many again may wait out their end.
            fill("streams", usage.streams, u64::from(self.config.max_streams) * 2, true),
            fill(
                "stream chunks",
                usage.chunks,
                u64::from(self.config.stream_memory).div_ceil(CHUNK as u64),
                true,
            ),
            // Those too old are thrown away when they are next looked at, not by a timer.
            fill("waiting packets", usage.packets, u64::MAX, false),
            fill("datagrams", usage.datagrams, u64::MAX, true),
            streams,
            clients,
            fill("stores", self.stores.len(), 4096, true),
            Fill { table: "events", used: events, max: max_events, transient: true },
        ]
    }
}

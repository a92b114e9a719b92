//! Saying what a node of one's own should be.

use std::{fs::File, io, marker::PhantomData, os::unix::net::UnixStream, path::PathBuf};

use pilot_keylog::Logged;
use pilot_roles::{
    Listener,
    daemon::{Daemon, DaemonConfig, Enabled},
};

use super::PreparedRendezvous;
use crate::{
    Clock, DialTls, OsRng, Place, RingCrypto, Setup, Stopper,
    programs::node::{self, Ready, Spec},
};

/// A node that is not made yet. Without further words it is private, forgets its identity, listens on any UDP port,
/// offers no service and approves nobody.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder<D> {
    spec: Spec,
    config: Tuning,
    socket: Option<PathBuf>,
    driver: PhantomData<fn() -> D>,
}

/// A driver, as [`Builder`]s use it.
pub trait Launch: Sized {
    /// What [`Builder::bind`] gives: an endpoint, or a future of one.
    type Bound;

    /// Prepares the node, runs it and a pump, and joins.
    fn launch(builder: Builder<Self>) -> Self::Bound;

    /// Runs a rendezvous beside the caller, until the stopper is used.
    ///
    /// # Errors
    /// If the system has no descriptor or thread for it.
    fn serve(prepared: PreparedRendezvous) -> io::Result<Stopper>;
}

#[derive(Clone, Debug, Default)]
struct Tuning {
    hostname: String,
    public: bool,
    trust_auto_approve: bool,
    relay_only: bool,
    endpoint: String,
    webhook: String,
    networks: Vec<u16>,
    services: Option<Enabled>,
    max_streams: Option<u32>,
    accept_rate: Option<u32>,
    max_peers: Option<u32>,
    stream_memory: Option<u32>,
}

/// A node ready to run: give role, clock and setup to a driver, and a pump to [`socket`](Prepared::socket).
pub struct Prepared {
    /// The role.
    pub role: Daemon<Logged<RingCrypto>, OsRng>,
    /// The clock it was made with.
    pub clock: Clock,
    /// Its sockets.
    pub setup: Setup,
    /// Our end of the connection to it; does not block.
    pub socket: UnixStream,
    /// Keep it as long as the node runs: nobody else may use the identity meanwhile.
    pub lock: Option<File>,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared").finish_non_exhaustive()
    }
}

impl<D> Default for Builder<D> {
    fn default() -> Self {
        Builder {
            spec: Spec {
                registry: String::from("34.71.57.205:9000").into(),
                beacon: String::from("34.71.57.205:9001"),
                listen: String::from(":0"),
                identity: None,
                email: String::from("embedded@localhost.invalid"),
                home: None,
                keylog: None,
            },
            config: Tuning::default(),
            socket: None,
            driver: PhantomData,
        }
    }
}

impl<D: Launch> Builder<D> {
    /// Starts the node and joins its network.
    ///
    /// # Errors
    /// One sentence naming what cannot be used, or if the network cannot be joined.
    pub fn bind(self) -> D::Bound {
        D::launch(self)
    }
}

impl<D> Builder<D> {
    /// The registry, `host:port`.
    pub fn registry(mut self, addr: impl Into<String>) -> Self {
        self.spec.registry.addr = addr.into();
        self
    }

    /// Reach the registry over TLS.
    pub fn registry_tls(mut self, tls: DialTls) -> Self {
        self.spec.registry.tls = Some(tls);
        self
    }

    /// The beacon, `host:port`; empty for none: no hole punching and no relay.
    pub fn beacon(mut self, addr: impl Into<String>) -> Self {
        self.spec.beacon = addr.into();
        self
    }

    /// UDP address of the tunnels, `host:port` or `:port`.
    pub fn listen(mut self, addr: impl Into<String>) -> Self {
        self.spec.listen = addr.into();
        self
    }

    /// File of the node's key, made at the first start. The node is the same at every start with it, and keeps its trust
    /// in `trust.json` beside it.
    pub fn identity(mut self, file: impl Into<PathBuf>) -> Self {
        self.spec.identity = Some(file.into());
        self
    }

    /// Account address told to the registry.
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.spec.email = email.into();
        self
    }

    /// Name of the node.
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.config.hostname = name.into();
        self
    }

    /// Let everybody find this node and connect to it.
    pub fn public(mut self, public: bool) -> Self {
        self.config.public = public;
        self
    }

    /// Approve every trust request.
    pub fn trust_auto_approve(mut self, approve: bool) -> Self {
        self.config.trust_auto_approve = approve;
        self
    }

    /// Reach and be reached through the beacon only.
    pub fn relay_only(mut self, relay_only: bool) -> Self {
        self.config.relay_only = relay_only;
        self
    }

    /// Fixed public `host:port`, instead of asking the beacon.
    pub fn public_addr(mut self, addr: impl Into<String>) -> Self {
        self.config.endpoint = addr.into();
        self
    }

    /// URL to post events to.
    pub fn webhook(mut self, url: impl Into<String>) -> Self {
        self.config.webhook = url.into();
        self
    }

    /// Networks to join at the start.
    pub fn networks(mut self, networks: impl IntoIterator<Item = u16>) -> Self {
        self.config.networks = networks.into_iter().collect();
        self
    }

    /// The services of a daemon: echo (7), data exchange (1001) and event stream (1002). Messages and files go below
    /// `home`, as those of `pilot-daemon` below the home directory.
    pub fn services(mut self, services: Enabled, home: impl Into<PathBuf>) -> Self {
        self.config.services = Some(services);
        self.spec.home = Some(home.into());
        self
    }

    /// Streams at a time (default 4096).
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.config.max_streams = Some(streams);
        self
    }

    /// Streams accepted per second, of all peers together (default 100); more are asked to try again.
    pub fn accept_rate(mut self, streams: u32) -> Self {
        self.config.accept_rate = Some(streams);
        self
    }

    /// Peers with tunnel state [16 384]; one costs about 7 KiB while there is one.
    pub fn max_peers(mut self, peers: u32) -> Self {
        self.config.max_peers = Some(peers);
        self
    }

    /// Bytes of stream data in memory, all streams together [64 MiB].
    pub fn stream_memory(mut self, bytes: u32) -> Self {
        self.config.stream_memory = Some(bytes);
        self
    }

    /// Also serves other programs, `pilotctl` among them, at this Unix socket.
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.socket = Some(path.into());
        self
    }

    /// Reads and binds everything. Drivers call this.
    ///
    /// # Errors
    /// One sentence naming what cannot be used.
    pub fn prepare(self) -> io::Result<Prepared> {
        let tuning = self.config;
        let tune = |config: &mut DaemonConfig| {
            config.hostname = tuning.hostname;
            config.public = tuning.public;
            config.trust_auto_approve = tuning.trust_auto_approve;
            config.relay_only = tuning.relay_only;
            config.endpoint = tuning.endpoint;
            config.webhook = tuning.webhook;
            config.networks = tuning.networks;
            config.services =
                tuning.services.unwrap_or(Enabled { echo: false, data_exchange: false, event_stream: false });
            config.max_streams = tuning.max_streams.unwrap_or(config.max_streams);
            config.max_streams_per_port = config.max_streams_per_port.max(config.max_streams);
            config.syn_rate = tuning.accept_rate.unwrap_or(config.syn_rate);
            config.max_peers = tuning.max_peers.unwrap_or(config.max_peers);
            config.stream_memory = tuning.stream_memory.unwrap_or(config.stream_memory);
        };
        let Ready { role, clock, mut setup, lock } =
            node::prepare(self.spec, tune).map_err(io::Error::other)?;
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        setup.connected.push((Listener::Ipc, theirs));
        setup.listeners.extend(self.socket.map(|path| (Listener::Ipc, Place::Unix(path))));
        Ok(Prepared { role, clock, setup, socket, lock })
    }
}

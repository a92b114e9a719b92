//! What the operator decides about a daemon.

use alloc::{string::String, vec::Vec};
use core::net::{IpAddr, SocketAddr};

use pilot_proto::{crypto::Ed25519Seed, extension::Extensions, time::Duration};

pub use super::services::Enabled;

/// Settings of a daemon. [`DaemonConfig::new`] gives the defaults of the released daemons.
#[derive(Clone, Debug)]
pub struct DaemonConfig {
    /// The seed of the node's Ed25519 key.
    pub seed: Ed25519Seed,
    /// The identity and everything else is kept over restarts.
    pub persistent: bool,
    /// Account e-mail, told to the registry.
    pub email: String,
    /// Name of the node; empty for none.
    pub hostname: String,
    /// Everybody may find the node and open streams to it.
    pub public: bool,
    /// Encrypt tunnels.
    pub encrypt: bool,
    /// What is done beyond the releases, with peers that can do it too.
    pub extensions: Extensions,
    /// Accept every valid trust request.
    pub trust_auto_approve: bool,
    /// Never send directly and never tell anybody but the beacon where we are.
    pub relay_only: bool,
    /// The beacon; `None`: no discovery, no hole punching, no relay.
    pub beacon: Option<SocketAddr>,
    /// `host:port` to register instead of what the beacon sees; empty: ask the beacon.
    pub endpoint: String,
    /// Addresses of this host in local networks, which peers in the same network may use.
    pub lan_addrs: Vec<IpAddr>,
    /// Pause between heartbeats to the registry.
    pub keepalive: Duration,
    /// How long the first registration may take before the daemon gives up.
    pub patience: Duration,
    /// Silence of a peer after which a stream is over.
    pub idle_timeout: Duration,
    /// How long a cleanly ended stream is remembered.
    pub time_wait: Duration,
    /// Stream requests per second, of all peers together.
    pub syn_rate: u32,
    /// Open streams per local port.
    pub max_streams_per_port: u32,
    /// Open streams in total.
    pub max_streams: u32,
    /// Peers with tunnel state.
    pub max_peers: u32,
    /// Nodes that can be trusted.
    pub max_trusted: u32,
    /// Bytes of stream data in memory, all streams together.
    pub stream_memory: u32,
    /// Built-in services.
    pub services: Enabled,
    /// URL of the operator's webhook; empty for none.
    pub webhook: String,
    /// The registry's admin token, for listing and inviting; empty for none.
    pub admin_token: String,
    /// Networks to join at the start.
    pub networks: Vec<u16>,
    /// Minutes east of UTC, for times that people read.
    pub utc_offset: i32,
    /// The program's version.
    pub version: String,
    /// How the tunnel travels, as `info` names it.
    pub transport: String,
    /// Where [`Area::Received`](crate::role::Area::Received) is, as webhook events name it.
    pub received_directory: String,
    /// Content of `trust.json`, if there is one.
    pub trust_file: Option<Vec<u8>>,
}

impl DaemonConfig {
    /// The defaults for a key and an account.
    pub fn new(seed: Ed25519Seed, email: String) -> Self {
        DaemonConfig {
            seed,
            persistent: false,
            email,
            hostname: String::new(),
            public: false,
            encrypt: true,
            extensions: Extensions::default(),
            trust_auto_approve: false,
            relay_only: false,
            beacon: None,
            endpoint: String::new(),
            lan_addrs: Vec::new(),
            keepalive: Duration::from_secs(30),
            patience: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(120),
            time_wait: Duration::from_secs(10),
            syn_rate: 100,
            max_streams_per_port: 1024,
            max_streams: 4096,
            max_peers: 16_384,
            max_trusted: 32_768,
            stream_memory: 64 << 20,
            services: Enabled::default(),
            webhook: String::new(),
            admin_token: String::new(),
            networks: Vec::new(),
            utc_offset: 0,
            version: String::from(env!("CARGO_PKG_VERSION")),
            transport: String::from("udp"),
            received_directory: String::from("received"),
            trust_file: None,
        }
    }
}

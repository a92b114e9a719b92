//! What an owner decides about its node.

use core::net::SocketAddr;

use crate::{extension::Extensions, stream, time::Duration};

/// Settings of a node. [`Config::default`] is what the released daemons do unless told otherwise.
#[derive(Clone, Debug)]
pub struct Config {
    /// Encrypt tunnels. Off means plaintext both ways and must be the operator's explicit wish; an encrypting and a
    /// plaintext node cannot talk.
    pub encrypt: bool,
    /// Accept streams and datagrams from everybody. Off: only from trusted nodes.
    pub public: bool,
    /// The beacon, if any: without it there is no address discovery, no hole punching and no relay.
    pub beacon: Option<SocketAddr>,
    /// Never send directly and never offer an address: only the beacon learns where we are.
    pub relay_only: bool,
    /// Accept every valid trust request without asking the operator.
    pub trust_auto_approve: bool,
    /// Stream requests per second from all peers together; the burst is the same number.
    pub syn_rate: u32,
    /// Open streams per local port; more are refused by a reset.
    pub max_streams_per_port: u32,
    /// Open streams in total; more are refused by a reset.
    pub max_streams: u32,
    /// Settings of every stream. Its segment size is raised to [`Config::local_mss`] on paths that cannot fragment.
    pub stream: stream::Config,
    /// Segment size towards loopback addresses, whose MTU is 65 536: the 4096 bytes of the older releases.
    pub local_mss: u16,
    /// How long a waiting packet may wait for keys before it is dropped as stale.
    pub packet_life: Duration,
    /// What is done beyond the releases, with peers that can do it too.
    pub extensions: Extensions,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            encrypt: true,
            public: false,
            beacon: None,
            relay_only: false,
            trust_auto_approve: false,
            syn_rate: 100,
            max_streams_per_port: 1024,
            max_streams: 4096,
            stream: stream::Config::default(),
            local_mss: 4096,
            packet_life: Duration::from_secs(5),
            extensions: Extensions::default(),
        }
    }
}

/// Counters since the start; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tunnel frames sent, key exchanges included, beacon messages not.
    pub packets_sent: u64,
    /// Bytes of those frames, relay header included.
    pub bytes_sent: u64,
    /// Tunnel frames that yielded a packet.
    pub packets_received: u64,
    /// Bytes of those frames.
    pub bytes_received: u64,
    /// Packets sealed.
    pub sealed: u64,
    /// Frames that did not open.
    pub forged: u64,
    /// Frames, packets and requests dropped because a table or queue was full.
    pub overflowed: u64,
}

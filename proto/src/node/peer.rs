//! What a node keeps of one peer: keys, path, and what it waits for.

use core::{mem::offset_of, net::SocketAddr};

use heapless::Vec;

use crate::{
    crypto::Crypto,
    extension::Talk,
    node::admission::{Bucket, Turns, Verdict},
    path::{MAX_CANDIDATES, Path, Route},
    prefetch,
    time::{Duration, Instant, earliest},
    tunnel::Tunnel,
    wire::{extension::Capabilities, frame::KeyAuthenticated, packet::Header},
};

/// Streams from one peer that may be requested at once (1.18.0: 64); then [`SYN_RATE`] per second.
pub(super) const SYN_BURST: u32 = 64;
/// Stream requests per second from one peer once the burst is used up.
pub(super) const SYN_RATE: u32 = 10;

/// SYNs that we send to one peer at once. Releases before 1.18.0 let 10 in; the others come again in turn.
pub(super) const OWN_SYN_BURST: u32 = SYN_BURST;
/// Time between two of them afterwards. Releases count ten a second, but only whole ones since they last counted.
pub(super) const OWN_SYN_GAP: Duration = Duration::from_millis(110);

/// Pings from one peer that are answered at once; then [`PING_RATE`] per second. 1.18.0 sends three in ten seconds, we
/// one in 300 ms at most.
pub(super) const PING_BURST: u32 = 20;
/// Pings per second from one peer that are answered once the burst is used up.
pub(super) const PING_RATE: u32 = 10;

/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// A question to the owner and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Never,
    At(Instant),
    Answered(Instant),
    Failed(Instant),
}

/// How long an unanswered question blocks asking again, and how long a failure is believed.
const ASK_AGAIN: Duration = Duration::from_secs(5);
const FAILED_FOR: Duration = Duration::from_secs(3);

impl Asked {
    /// May the owner be asked (again)? A failure from before `registered`, when the node was last registered, says nothing.
    pub(crate) fn may_ask(self, now: Instant, registered: Instant) -> bool {
        match self {
            Asked::Never => true,
            Asked::At(at) => now.since(at) >= ASK_AGAIN,
            Asked::Failed(at) if at <= registered => true,
            Asked::Failed(at) | Asked::Answered(at) => now.since(at) >= FAILED_FOR,
        }
    }
}

/// A key exchange whose signature is right but whose key nobody has vouched for yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ParkedExchange {
    pub(crate) x25519: [u8; 32],
    pub(crate) ed25519: [u8; 32],
    pub(crate) route: Route,
}

/// Routes of one exchange: the direct address, its candidates, the answer route, the relay.
pub(super) const MAX_ROUTES: usize = MAX_CANDIDATES + 3;

/// A key exchange of ours on its way: one frame, several routes.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeOut {
    pub(crate) frame: KeyAuthenticated,
    pub(crate) routes: Vec<Route, MAX_ROUTES>,
}

/// One peer's slot in the table. Opaque; the owner only provides room for it.
///
/// What every frame needs lies in one piece in the middle: the end of `path`, what is said of it below, the beginning of
/// `tunnel` and its first session. With many peers each line of a row comes from main memory, and lines that follow
/// each other come together.
#[repr(C)]
pub struct PeerSlot<C: Crypto> {
    /// The Ed25519 key the registry vouched for; pinned.
    pub(crate) key: Option<[u8; 32]>,
    pub(crate) locate: Asked,
    pub(crate) key_asked: Asked,
    pub(crate) parked: Option<ParkedExchange>,
    pub(crate) exchange: Option<ExchangeOut>,
    /// The exchange sent last, for a copy through the relay.
    pub(crate) last_exchange: Option<KeyAuthenticated>,
    /// A stream request that waits for the verdict.
    pub(crate) parked_syn: Option<Header>,
    pub(crate) syn_bucket: Bucket,
    pub(crate) ping_bucket: Bucket,
    /// Of our own SYNs.
    pub(crate) syn_turns: Turns,
    pub(crate) streams: u32,
    /// First stream that waits for keys; linked through the stream slots.
    pub(crate) blocked: u32,
    /// When we last opened a stream to the peer or asked it for trust: its answer is let in for a while.
    pub(crate) contacted: Option<Instant>,
    pub(crate) verdict: Verdict,
    pub(crate) path: Path,
    /// Node id; 0 marks a free slot.
    pub(crate) node: u32,
    /// First stream that the peer's silence has stalled; linked through the stream slots.
    pub(crate) stalled: u32,
    /// First of those that were woken meanwhile and have not gone on yet.
    pub(crate) woken: u32,
    /// It was heard of again, and not all of those streams know yet: when the next are told.
    pub(crate) returning: Option<Instant>,
    /// How often traffic moved between relay and direct, modulo 256.
    pub(crate) moves: u8,
    /// A frame from the peer has opened: it is who it says, and not evicted for one that is not proved.
    pub(crate) proved: bool,
    /// In the queue of those that have something to send, as it is while an exchange is on its way.
    pub(crate) queued: bool,
    pub(crate) relay_only: bool,
    /// Exchanges sent since the peer last answered one.
    pub(crate) attempts: u8,
    /// When the last exchange should also go through the relay, should the tunnel not be up by then.
    pub(crate) relay_copy: Option<Instant>,
    /// When the last exchange should also go to an address the beacon told, should the tunnel not be up by then.
    pub(crate) punched: Option<(Instant, SocketAddr)>,
    /// The route of the last verified exchange or authenticated frame: an answer goes there too.
    pub(crate) answer_route: Option<Route>,
    /// What is to be said about extensions.
    pub(crate) talk: Talk,
    pub(crate) tunnel: Tunnel<C>,
}

impl<C: Crypto> PeerSlot<C> {
    /// Asks the processor for what every frame needs, all of it at once.
    #[inline]
    pub(crate) fn fetch(&self) {
        let from = offset_of!(Self, path) + Path::HOT;
        let to = offset_of!(Self, tunnel) + Tunnel::<C>::HOT;
        prefetch::fetch(self, from..to);
    }

    /// When a copy of the last exchange is due.
    pub(crate) fn copy_due(&self) -> Option<Instant> {
        earliest(self.relay_copy, self.punched.map(|(at, _)| at))
    }

    /// Sends the exchange that is under way to one more place.
    pub(crate) fn also_exchange_with(&mut self, route: Route) {
        let Some(frame) = self.last_exchange else { return };
        let out = self.exchange.get_or_insert(ExchangeOut { frame, routes: Vec::new() });
        if !out.routes.contains(&route) {
            let _ = out.routes.push(route);
        }
    }

    /// An empty slot.
    pub const fn new() -> Self {
        PeerSlot {
            node: 0,
            tunnel: Tunnel::new(),
            path: Path::new(),
            talk: Talk::new(),
            key: None,
            locate: Asked::Never,
            key_asked: Asked::Never,
            relay_only: false,
            parked: None,
            exchange: None,
            last_exchange: None,
            attempts: 0,
            relay_copy: None,
            punched: None,
            answer_route: None,
            verdict: Verdict::Unknown,
            parked_syn: None,
            syn_bucket: Bucket::full(SYN_BURST),
            ping_bucket: Bucket::full(PING_BURST),
            syn_turns: Turns::NEW,
            contacted: None,
            proved: false,
            streams: 0,
            blocked: NONE,
            stalled: NONE,
            woken: NONE,
            returning: None,
            moves: 0,
            queued: false,
        }
    }

    /// Nothing of value would be lost if this slot were given to another peer.
    pub(crate) fn is_evictable(&self) -> bool {
        self.streams == 0 && !self.queued && self.blocked == NONE
    }
}

impl<C: Crypto> core::fmt::Debug for PeerSlot<C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PeerSlot").field("node", &self.node).field("path", &self.path).finish_non_exhaustive()
    }
}

impl<C: Crypto> Default for PeerSlot<C> {
    fn default() -> Self {
        Self::new()
    }
}

/// What an owner may know of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Node id.
    pub node: u32,
    /// The direct address in use or best known.
    pub endpoint: Option<core::net::SocketAddr>,
    /// Keys are agreed.
    pub encrypted: bool,
    /// The keys are bound to the identity the registry vouches for.
    pub authenticated: bool,
    /// Traffic goes through the beacon.
    pub relay: bool,
    /// When a frame from it last opened.
    pub last_received: Option<Instant>,
    /// What it stated that it can do, in the session in use; `None`: nothing, as a release.
    pub capabilities: Option<Capabilities>,
    /// Frames to it are sealed with ChaCha20-Poly1305 instead of AES-256-GCM.
    pub chacha: bool,
}

//! The registry without its connections: who may ask what, and the operations by name.

use alloc::{collections::BTreeMap, format, string::String};
use core::net::{IpAddr, SocketAddr};

use pilot_proto::crypto::Crypto;
use pilot_proto::time::Duration;
use pilot_proto::{Instant, planted};

use super::base64;
use super::conn::{Polled, Proven};
use super::ops;
use super::rate::{Buckets, Rate, source_key};
use super::records::{Endpoint, Node, PublicKey};
use super::state::State;
use super::store::Promise;
use super::wire::{Outcome, Refusal, Request};
use crate::role::Now;

/// Between two searches for nodes to forget.
const FORGET_EVERY: Duration = Duration::from_secs(86_400);
/// Source addresses and nodes whose requests are counted at a time.
const MAX_BUCKETS: usize = 65_536;

/// How the registry is run.
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// What an administrator must send; `None` refuses all administration.
    pub admin_token: Option<String>,
    /// Most keys known, and so most nodes: a node that left keeps its id for its key.
    pub max_nodes: usize,
    /// A node that was silent for longer than this is offline: its endpoint is no longer given out. At least as long as
    /// some heartbeats of its nodes, which send one every 30 to 60 s (REG-9).
    pub stale_after: Duration,
    /// A node that was silent for this many days is forgotten with its name and its trust.
    pub forget_after_days: u32,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Most connections at a time from one source address (one IPv4 address, one IPv6 /64).
    pub max_connections_per_source: u32,
    /// Whether anybody may list a beacon, as beacons of the reference do. Else the admin token is needed.
    pub open_beacon_list: bool,
    /// What others are told as the address of a node that wants to be reached through the beacon only.
    pub relay_address: Option<SocketAddr>,
    /// Whether a node that looked up a public node's address counts as consenting when that node reports trust.
    ///
    /// A daemon of the reference that asked for trust directly and is told of the approval by poll never reports it,
    /// so with `false` the approving side cannot find a private asker.
    pub contact_counts_as_consent: bool,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        RegistryConfig {
            admin_token: None,
            max_nodes: 1_000_000,
            stale_after: Duration::from_secs(180),
            forget_after_days: 90,
            max_connections: 65_536,
            max_connections_per_source: 1024,
            open_beacon_list: false,
            relay_address: None,
            contact_counts_as_consent: true,
        }
    }
}

/// Who is asking, and what the answer brings with it.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) now: Now,
    pub(super) source: SocketAddr,
    pub(super) proven: &'a mut Proven,
    /// A node for which a handshake message was left.
    pub(super) wake: Option<u32>,
    /// Messages that the answer carries.
    pub(super) polled: Option<Polled>,
    /// The connection ends after this answer.
    pub(super) hang_up: bool,
}

/// Buckets of the limited operations.
#[derive(Debug)]
pub(super) struct Limits {
    /// All requests.
    pub(super) any: Buckets<IpAddr>,
    pub(super) register: Buckets<IpAddr>,
    pub(super) resolve: Buckets<IpAddr>,
    pub(super) query: Buckets<IpAddr>,
    pub(super) heartbeat: Buckets<u32>,
    /// Heartbeats from one address before their signature is looked at.
    pub(super) unverified: Buckets<IpAddr>,
}

/// The registry.
#[derive(Debug)]
pub(super) struct Registry<C> {
    pub(super) config: RegistryConfig,
    pub(super) state: State,
    pub(super) limits: Limits,
    /// Listed beacons: address, and when it was told last.
    pub(super) beacons: BTreeMap<u32, (String, Instant)>,
    /// When to look for nodes that are to be forgotten.
    forget_at: Instant,
    crypto: C,
}

impl<C: Crypto> Registry<C> {
    pub(super) fn new(config: RegistryConfig, crypto: C, state: State) -> Self {
        let limits = Limits {
            any: Buckets::new(Rate::per_minute(30_000), MAX_BUCKETS),
            register: Buckets::new(Rate::per_minute(10), MAX_BUCKETS),
            resolve: Buckets::new(Rate::per_minute(100), MAX_BUCKETS),
            query: Buckets::new(Rate::per_minute(500), MAX_BUCKETS),
            heartbeat: Buckets::new(Rate::per_minute(50), MAX_BUCKETS),
            unverified: Buckets::new(Rate::per_minute(3000), MAX_BUCKETS),
        };
        Registry { config, state, limits, beacons: BTreeMap::new(), forget_at: Instant::ORIGIN, crypto }
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.state.restart_clocks(now);
        self.forget_at = now + FORGET_EVERY;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        (self.state.key_count() > 0).then_some(self.forget_at)
    }

    pub(super) fn handle_timeout(&mut self, now: Now) {
        if now.instant >= self.forget_at {
            self.forget_at = now.instant + FORGET_EVERY;
            self.state.forget_silent(now.unix_secs() - i64::from(self.config.forget_after_days) * 86_400);
        }
    }

    /// Performs one request.
    pub(super) fn call(&mut self, caller: &mut Caller<'_>, request: &Request) -> Outcome {
        Self::limit(&mut self.limits.any, caller, "requests")?;
        match request.operation() {
            "register" => ops::node::register(self, caller, request),
            "heartbeat" => ops::node::heartbeat(self, caller, request),
            "deregister" => ops::node::deregister(self, caller, request),
            "set_hostname" => ops::settings::set_hostname(self, caller, request),
            "set_visibility" => ops::settings::set_visibility(self, caller, request),
            "set_tags" => ops::settings::set_tags(self, caller, request),
            "set_task_exec" => ops::settings::set_task_exec(self, caller, request),
            "rotate_key" => ops::keys::rotate_key(self, caller, request),
            "get_key_info" => ops::keys::get_key_info(self, caller, request),
            "lookup" => ops::find::lookup(self, caller, request),
            "resolve" => ops::find::resolve(self, caller, request),
            "resolve_hostname" => ops::find::resolve_hostname(self, caller, request),
            "punch" => ops::find::punch(self, caller, request),
            "report_trust" => ops::trust::report_trust(self, caller, request),
            "revoke_trust" => ops::trust::revoke_trust(self, caller, request),
            "check_trust" => ops::trust::check_trust(self, request),
            "request_handshake" => ops::trust::request_handshake(self, caller, request),
            "poll_handshakes" => ops::trust::poll_handshakes(self, caller, request),
            "respond_handshake" => ops::trust::respond_handshake(self, caller, request),
            "list_networks" => ops::network::list_networks(self),
            "list_nodes" => ops::network::list_nodes(self, caller, request),
            "get_network_policy" => ops::network::get_network_policy(request),
            "beacon_register" => ops::beacons::beacon_register(self, caller, request),
            "beacon_list" => ops::beacons::beacon_list(self, caller),
            "subscribe_replication" => {
                caller.hang_up = true;
                Refusal::shown("replication not configured")
            }
            other => Err(Refusal::unknown_operation(other)),
        }
    }

    /// The node's record.
    pub(super) fn node(&self, id: u32) -> Result<&Node, Refusal> {
        self.state.node(id).ok_or_else(|| Refusal::no_node(id))
    }

    /// Whether the node was heard lately enough for its endpoint to be given out.
    pub(super) fn is_online(&self, node: &Node, now: Instant) -> bool {
        now.since(node.seen) <= self.config.stale_after || planted!(NeverOffline)
    }

    /// Whether `requester` may know where `target` is.
    pub(super) fn may_reach(&self, requester: u32, target: u32) -> bool {
        self.state.node(target).is_some_and(|node| node.public || planted!(PrivateFound))
            || self.state.trusted(requester, target)
    }

    /// Checks that `signature` of the request is `node`'s over `text`.
    pub(super) fn verify(
        &mut self,
        caller: &mut Caller<'_>,
        request: &Request,
        node: u32,
        text: &str,
    ) -> Result<(), Refusal> {
        let key = self.node(node)?.key;
        self.check_signature(request, &key, text)?;
        self.proved(caller, node);
        Ok(())
    }

    /// The same, or the admin token. If both fail, the refusal is the signature's.
    pub(super) fn verify_or_admin(
        &mut self,
        caller: &mut Caller<'_>,
        request: &Request,
        node: u32,
        text: &str,
    ) -> Result<(), Refusal> {
        match self.verify(caller, request, node, text) {
            Err(_) if self.is_admin(request) && !planted!(AdministratorIgnored) => Ok(()),
            other => other,
        }
    }

    /// Checks the request's signature with a given key.
    pub(super) fn check_signature(
        &self,
        request: &Request,
        key: &PublicKey,
        text: &str,
    ) -> Result<(), Refusal> {
        let signature = request.text("signature");
        if signature.is_empty() {
            return Refusal::shown("signature required for authenticated node");
        }
        let signature = base64::decode(signature)
            .map_err(|bad| Refusal::Shown(format!("invalid signature encoding: {bad}")))?;
        let valid = <&[u8; 64]>::try_from(signature.as_slice())
            .is_ok_and(|signature| self.crypto.ed25519_verify(key, text.as_bytes(), signature).is_ok());
        if valid || planted!(RequestForged) {
            Ok(())
        } else {
            Err(Refusal::Hidden("signature does not verify"))
        }
    }

    /// Notes that the caller holds `node`'s key: a registration that waited for this proof counts now.
    pub(super) fn proved(&mut self, caller: &mut Caller<'_>, node: u32) {
        caller.proven.add(node);
        let source = caller.source.ip().to_canonical();
        let claimed = self
            .state
            .touch_node(node)
            .and_then(|record| record.claim.take_if(|claim: &mut Endpoint| claim.source == source));
        if let Some(endpoint) = claimed {
            self.state.edit_node(Promise::Loose, node, |record| record.endpoint = endpoint);
        }
    }

    /// Whether the request carries the admin token. Takes the same time wherever two tokens differ.
    pub(super) fn is_admin(&self, request: &Request) -> bool {
        if planted!(AnybodyAdministers) {
            return true;
        }
        let given = request.text("admin_token").as_bytes();
        match self.config.admin_token.as_deref().map(str::as_bytes) {
            None | Some([]) => false,
            Some(token) => {
                let differing = token.iter().zip(given).fold(0, |sum, (a, b)| sum | (a ^ b));
                token.len() == given.len() && core::hint::black_box(differing) == 0
            }
        }
    }

    /// Refuses whoever is not the administrator.
    pub(super) fn admin_only(&self, request: &Request) -> Result<(), Refusal> {
        if self.is_admin(request) {
            Ok(())
        } else if self.config.admin_token.is_none() {
            Err(Refusal::Hidden("no admin token configured"))
        } else {
            Refusal::shown("invalid admin token")
        }
    }

    /// Takes a token from a bucket of the caller's address.
    pub(super) fn limit(
        buckets: &mut Buckets<IpAddr>,
        caller: &Caller<'_>,
        what: &str,
    ) -> Result<(), Refusal> {
        let ip = caller.source.ip().to_canonical();
        if buckets.take(source_key(ip), caller.now.instant) {
            Ok(())
        } else {
            Refusal::shown(format!("rate limited: too many {what} from {ip}"))
        }
    }

    /// The address from which the node's key was last proven, for the beacon.
    pub(super) fn known_source(&self, node: u32) -> Option<IpAddr> {
        self.state.node(node).map(|record| record.endpoint.source)
    }
}

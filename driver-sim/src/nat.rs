//! A NAT, as RFC 4787 describes it: how it maps, what it filters, which ports it gives, whether it hairpins, and when it
//! forgets.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use pilot_proto::{Instant, time::Duration};
use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// How much of the remote address a NAT looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dependence {
    /// Nothing.
    #[default]
    Independent,
    /// The IP address.
    Address,
    /// The IP address and the port.
    Port,
}

impl Dependence {
    /// From the friendliest to the strictest.
    pub const ALL: [Dependence; 3] = [Dependence::Independent, Dependence::Address, Dependence::Port];

    fn of(self, remote: SocketAddr) -> Option<SocketAddr> {
        match self {
            Dependence::Independent => None,
            Dependence::Address => Some(SocketAddr::new(remote.ip(), 0)),
            Dependence::Port => Some(remote),
        }
    }
}

/// How a NAT behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NatConfig {
    /// Which remote addresses see one host at the same port.
    pub mapping: Dependence,
    /// Which remote addresses may answer.
    pub filtering: Dependence,
    /// A host keeps its port if it is free.
    pub preserve_ports: bool,
    /// Hosts inside reach each other through the outer address.
    pub hairpin: bool,
    /// A mapping without outgoing traffic for this many seconds is forgotten.
    pub timeout_s: u64,
}

impl Default for NatConfig {
    fn default() -> Self {
        NatConfig {
            mapping: Dependence::Independent,
            filtering: Dependence::Port,
            preserve_ports: false,
            hairpin: false,
            timeout_s: 120,
        }
    }
}

type Key = (SocketAddr, Option<SocketAddr>);

#[derive(Debug)]
struct Mapping {
    port: u16,
    used: Instant,
    /// Whom the host inside has sent to, as far as the filter cares, and when.
    contacted: BTreeMap<Option<SocketAddr>, Instant>,
}

/// A NAT between two networks.
#[derive(Debug)]
pub(crate) struct Nat {
    pub(crate) config: NatConfig,
    outer: IpAddr,
    mappings: BTreeMap<Key, Mapping>,
    ports: BTreeMap<u16, Key>,
    dice: Dice,
}

impl Nat {
    pub(crate) fn new(config: NatConfig, outer: IpAddr, dice: Dice) -> Self {
        Nat { config, outer, mappings: BTreeMap::new(), ports: BTreeMap::new(), dice }
    }

    /// Its address in the outer network.
    pub(crate) const fn outer(&self) -> IpAddr {
        self.outer
    }

    fn is_fresh(&self, used: Instant, now: Instant) -> bool {
        now.since(used) < Duration::from_secs(self.config.timeout_s)
    }

    /// A datagram leaves: the address the outside sees.
    pub(crate) fn outbound(&mut self, now: Instant, from: SocketAddr, to: SocketAddr) -> SocketAddr {
        let key = (from, self.config.mapping.of(to));
        if self.mappings.get(&key).is_some_and(|mapping| !self.is_fresh(mapping.used, now)) {
            self.forget(&key);
        }
        if !self.mappings.contains_key(&key) {
            let port = self.free_port(now, from.port());
            self.ports.insert(port, key);
            self.mappings.insert(key, Mapping { port, used: now, contacted: BTreeMap::new() });
        }
        let filter = self.config.filtering.of(to);
        let port = self.mappings.get_mut(&key).map_or(0, |mapping| {
            mapping.used = now;
            mapping.contacted.insert(filter, now);
            mapping.port
        });
        SocketAddr::new(self.outer, port)
    }

    /// A datagram arrives at an outer port: the host it is for, if the NAT lets it in.
    pub(crate) fn inbound(&self, now: Instant, from: SocketAddr, port: u16) -> Option<SocketAddr> {
        let key = self.ports.get(&port)?;
        let mapping = self.mappings.get(key)?;
        let contacted = mapping.contacted.get(&self.config.filtering.of(from))?;
        (self.is_fresh(mapping.used, now) && self.is_fresh(*contacted, now)).then_some(key.0)
    }

    /// The host a port leads to, let in or not.
    pub(crate) fn owner(&self, port: u16) -> Option<SocketAddr> {
        self.ports.get(&port).map(|key| key.0)
    }

    /// Forgets everything, as after a restart: hosts inside appear at other ports.
    pub(crate) fn rebind(&mut self) {
        self.mappings.clear();
        self.ports.clear();
    }

    fn forget(&mut self, key: &Key) {
        if let Some(mapping) = self.mappings.remove(key) {
            self.ports.remove(&mapping.port);
        }
    }

    fn free_port(&mut self, now: Instant, wanted: u16) -> u16 {
        if self.config.preserve_ports && !self.is_taken(now, wanted) {
            return wanted;
        }
        loop {
            let port = self.dice.between(1024, 65_535) as u16;
            if !self.is_taken(now, port) {
                return port;
            }
        }
    }

    fn is_taken(&mut self, now: Instant, port: u16) -> bool {
        let Some(key) = self.ports.get(&port).copied() else { return false };
        let fresh = self.mappings.get(&key).is_some_and(|mapping| self.is_fresh(mapping.used, now));
        if !fresh {
            self.forget(&key);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn nat(mapping: Dependence, filtering: Dependence) -> Nat {
        let config = NatConfig { mapping, filtering, preserve_ports: true, ..NatConfig::default() };
        Nat::new(config, "203.0.113.1".parse().unwrap(), Dice::named(1, "nat", &[]))
    }

    #[test]
    fn mapping_decides_which_remotes_see_the_same_port() {
        let (host, now) = (addr("10.0.0.2:4000"), Instant::ORIGIN);
        for (mapping, same_ip, other_ip) in [
            (Dependence::Independent, true, true),
            (Dependence::Address, true, false),
            (Dependence::Port, false, false),
        ] {
            let mut nat = nat(mapping, Dependence::Port);
            let first = nat.outbound(now, host, addr("198.51.100.1:1"));
            assert_eq!(first, addr("203.0.113.1:4000"));
            assert_eq!(nat.outbound(now, host, addr("198.51.100.1:2")) == first, same_ip);
            assert_eq!(nat.outbound(now, host, addr("198.51.100.2:1")) == first, other_ip);
        }
    }

    #[test]
    fn filtering_decides_who_may_answer_and_silence_closes_the_door() {
        let (host, now) = (addr("10.0.0.2:4000"), Instant::ORIGIN);
        for (filtering, other_port, other_ip) in [
            (Dependence::Independent, true, true),
            (Dependence::Address, true, false),
            (Dependence::Port, false, false),
        ] {
            let mut nat = nat(Dependence::Independent, filtering);
            let port = nat.outbound(now, host, addr("198.51.100.1:1")).port();
            assert_eq!(nat.inbound(now, addr("198.51.100.1:1"), port), Some(host));
            assert_eq!(nat.inbound(now, addr("198.51.100.1:2"), port).is_some(), other_port);
            assert_eq!(nat.inbound(now, addr("198.51.100.2:1"), port).is_some(), other_ip);
            let late = now + Duration::from_secs(120);
            assert_eq!(nat.inbound(late, addr("198.51.100.1:1"), port), None);
        }
    }

    #[test]
    fn a_preserved_port_has_one_owner_and_a_rebinding_forgets_it() {
        let (remote, now) = (addr("198.51.100.1:1"), Instant::ORIGIN);
        let mut nat = nat(Dependence::Independent, Dependence::Independent);
        let first = nat.outbound(now, addr("10.0.0.2:4000"), remote);
        let second = nat.outbound(now, addr("10.0.0.3:4000"), remote);
        assert!(first.port() == 4000 && second.port() != 4000);
        nat.rebind();
        assert_eq!(nat.inbound(now, remote, second.port()), None);
    }
}

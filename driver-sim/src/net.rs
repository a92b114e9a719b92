//! Where hosts are: the internet, networks behind NATs (which may be nested), the links between hosts, and what is cut.
//!
//! A datagram climbs out of its own networks when it is sent and descends into the receiver's when it arrives, so that two
//! sides that punch at once find each NAT as it is at that moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
};

use pilot_proto::{Instant, time::Duration};
use rustc_hash::FxHashMap;

use crate::{
    bottleneck::Bottleneck,
    dice::Dice,
    link::{Link, LinkConfig},
    nat::{Nat, NatConfig},
    watch::Loss,
};

/// A host of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub(crate) usize);

impl HostId {
    /// Its place in the order of creation.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// A network: [`RealmId::INTERNET`] or what is behind a NAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RealmId(pub(crate) usize);

impl RealmId {
    /// The network everybody reaches.
    pub const INTERNET: RealmId = RealmId(0);
}

#[derive(Clone, Copy, Debug)]
enum Member {
    Host(HostId),
    /// The NAT in front of this realm.
    Gate(RealmId),
}

#[derive(Debug)]
struct Realm {
    /// The NAT and the network on its outer side; the internet has none.
    gate: Option<(Nat, RealmId)>,
    members: FxHashMap<IpAddr, Member>,
    hosts: u32,
}

impl Realm {
    fn new(gate: Option<(Nat, RealmId)>) -> Self {
        Realm { gate, members: FxHashMap::default(), hosts: 0 }
    }
}

/// A datagram between its sender's and its receiver's networks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passage {
    /// Where both meet.
    realm: RealmId,
    /// The sender's address as seen there.
    pub(crate) src: SocketAddr,
    pub(crate) dst: SocketAddr,
    /// The receiver, if there is no network below that.
    host: Option<HostId>,
}

/// A router that hosts share, in both directions.
#[derive(Debug)]
struct Router {
    out: Bottleneck,
    back: Bottleneck,
}

/// The whole network.
#[derive(Debug)]
pub(crate) struct Net {
    seed: u64,
    realms: Vec<Realm>,
    places: Vec<(RealmId, IpAddr)>,
    links: FxHashMap<(HostId, HostId), Link>,
    shapes: BTreeMap<(HostId, HostId), Rc<LinkConfig>>,
    default: Rc<LinkConfig>,
    routers: Vec<Router>,
    /// The router each host is behind.
    behind: BTreeMap<HostId, usize>,
    cut: BTreeSet<(HostId, HostId)>,
    clogged: BTreeSet<(HostId, HostId)>,
}

impl Net {
    pub(crate) fn new(seed: u64, default: LinkConfig) -> Self {
        Net {
            seed,
            realms: vec![Realm::new(None)],
            places: Vec::new(),
            links: FxHashMap::default(),
            shapes: BTreeMap::new(),
            default: Rc::new(default),
            routers: Vec::new(),
            behind: BTreeMap::new(),
            cut: BTreeSet::new(),
            clogged: BTreeSet::new(),
        }
    }

    /// Makes room for so many hosts of the internet, each with links to and from `friends` others.
    pub(crate) fn reserve(&mut self, hosts: usize, friends: usize) {
        self.places.reserve(hosts);
        self.realms[RealmId::INTERNET.0].members.reserve(hosts);
        self.links.reserve(2 * hosts * friends);
    }

    /// A NAT in `outside` and the network behind it.
    pub(crate) fn add_nat(&mut self, outside: RealmId, config: NatConfig) -> RealmId {
        let realm = RealmId(self.realms.len());
        let outer = self.take_ip(outside, Member::Gate(realm));
        let dice = Dice::named(self.seed, "nat", &[realm.0 as u64]);
        self.realms.push(Realm::new(Some((Nat::new(config, outer, dice), outside))));
        realm
    }

    /// A host in `realm`.
    pub(crate) fn add_host(&mut self, realm: RealmId) -> HostId {
        let host = HostId(self.places.len());
        let ip = self.take_ip(realm, Member::Host(host));
        self.places.push((realm, ip));
        host
    }

    /// Every host of the internet has a network of its own, so that limits per source do not mix them.
    fn take_ip(&mut self, realm: RealmId, member: Member) -> IpAddr {
        let inside = &mut self.realms[realm.0];
        inside.hosts += 1;
        let base = match realm {
            RealmId::INTERNET => Ipv4Addr::new(20, 0, 0, 0),
            _ => Ipv4Addr::new(10, 0, 0, 0),
        };
        let ip = IpAddr::V4(Ipv4Addr::from(u32::from(base) + inside.hosts));
        inside.members.insert(ip, member);
        ip
    }

    pub(crate) fn ip(&self, host: HostId) -> IpAddr {
        self.places[host.0].1
    }

    pub(crate) fn is_inside(&self, host: HostId) -> bool {
        self.places[host.0].0 != RealmId::INTERNET
    }

    /// Whether others share a NAT with it, its own or its provider's.
    pub(crate) fn has_neighbours(&self, host: HostId) -> bool {
        let mut realm = &self.realms[self.places[host.0].0.0];
        while let Some((_, outside)) = &realm.gate {
            if realm.hosts > 1 {
                return true;
            }
            realm = &self.realms[outside.0];
        }
        false
    }

    /// The address the internet sees connections of a host come from.
    pub(crate) fn public_ip(&self, host: HostId) -> IpAddr {
        let (mut realm, mut ip) = self.places[host.0];
        while let Some((nat, outside)) = &self.realms[realm.0].gate {
            // A NAT has one outer address; the port does not matter.
            ip = nat.outer();
            realm = *outside;
        }
        ip
    }

    /// Lets the NAT in front of the host forget all it knows, or the one in front of that.
    pub(crate) fn rebind(&mut self, host: HostId, carrier: bool) {
        let mut realm = self.places[host.0].0;
        if carrier {
            realm = self.realms[realm.0].gate.as_ref().map_or(RealmId::INTERNET, |(_, outside)| *outside);
        }
        if let Some((nat, _)) = &mut self.realms[realm.0].gate {
            nat.rebind();
        }
    }

    /// Climbs out of the sender's networks; `None` if nobody there has the address.
    pub(crate) fn depart(
        &mut self,
        now: Instant,
        from: HostId,
        port: u16,
        dst: SocketAddr,
    ) -> Option<(Passage, HostId)> {
        let (mut realm, ip) = self.places[from.0];
        let mut src = SocketAddr::new(ip, port);
        let mut left = None;
        loop {
            match self.realms[realm.0].members.get(&dst.ip()).copied() {
                Some(Member::Host(host)) => {
                    return Some((Passage { realm, src, dst, host: Some(host) }, host));
                }
                Some(Member::Gate(of)) if left == Some(of) && !self.hairpins(of) => return None,
                Some(Member::Gate(_)) => break,
                None => {}
            }
            let (nat, outside) = self.realms[realm.0].gate.as_mut()?;
            src = nat.outbound(now, src, dst);
            left = Some(realm);
            realm = *outside;
        }
        let passage = Passage { realm, src, dst, host: None };
        let target = self.descend(passage, Nat::owner)?.0;
        Some((passage, target))
    }

    /// Descends into the receiver's networks; the host and its port, if every NAT lets the datagram in.
    pub(crate) fn arrive(&self, now: Instant, passage: Passage) -> Option<(HostId, u16)> {
        if let Some(host) = passage.host {
            return Some((host, passage.dst.port()));
        }
        self.descend(passage, |nat, port| nat.inbound(now, passage.src, port))
    }

    fn descend(
        &self,
        passage: Passage,
        enter: impl Fn(&Nat, u16) -> Option<SocketAddr>,
    ) -> Option<(HostId, u16)> {
        let (mut realm, mut dst) = (passage.realm, passage.dst);
        loop {
            match *self.realms[realm.0].members.get(&dst.ip())? {
                Member::Host(host) => return Some((host, dst.port())),
                Member::Gate(inner) => {
                    let (nat, _) = self.realms[inner.0].gate.as_ref()?;
                    dst = enter(nat, dst.port())?;
                    realm = inner;
                }
            }
        }
    }

    fn hairpins(&self, realm: RealmId) -> bool {
        self.realms[realm.0].gate.as_ref().is_some_and(|(nat, _)| nat.config.hairpin)
    }

    /// Gives one direction a shape of its own.
    pub(crate) fn shape(&mut self, from: HostId, to: HostId, config: LinkConfig) {
        self.links.remove(&(from, to));
        self.shapes.insert((from, to), Rc::new(config));
    }

    /// Puts a router in front of hosts.
    pub(crate) fn add_router(&mut self, hosts: impl IntoIterator<Item = HostId>, rate: u64, queue: u64) {
        let number = self.routers.len();
        self.behind.extend(hosts.into_iter().map(|host| (host, number)));
        self.routers.push(Router { out: Bottleneck::new(rate, queue), back: Bottleneck::new(rate, queue) });
    }

    /// The routers between two hosts: the sender's and the receiver's. Those behind the same one have none.
    fn routers(&self, way: (HostId, HostId)) -> (Option<usize>, Option<usize>) {
        let (from, to) = (self.behind.get(&way.0).copied(), self.behind.get(&way.1).copied());
        if from == to { (None, None) } else { (from, to) }
    }

    /// A datagram reaches the router in front of its receiver; when it has passed, if it does.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        way: (HostId, HostId),
        bytes: usize,
    ) -> Result<Instant, Loss> {
        match self.routers(way).1.and_then(|router| self.routers.get_mut(router)) {
            Some(router) => router.back.pass(now, bytes),
            None => Ok(now),
        }
    }

    fn link(&mut self, from: HostId, to: HostId) -> &mut Link {
        let Net { links, shapes, default, seed, .. } = self;
        links.entry((from, to)).or_insert_with(|| {
            let config = shapes.get(&(from, to)).unwrap_or(default).clone();
            Link::new(config, Dice::named(*seed, "link", &[from.0 as u64, to.0 as u64]))
        })
    }

    /// The link that has one direction, if something went there.
    pub(crate) fn known_link(&self, from: HostId, to: HostId) -> Option<&Link> {
        self.links.get(&(from, to))
    }

    /// When a datagram arrives, if it does, and its twin.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        way: (HostId, HostId),
        data: &mut [u8],
    ) -> Result<(Instant, Option<Instant>), Loss> {
        if self.cut.contains(&way) {
            return Err(Loss::Cut);
        }
        let left = match self.routers(way).0.and_then(|router| self.routers.get_mut(router)) {
            Some(router) => router.out.pass(now, data.len())?,
            None => now,
        };
        self.link(way.0, way.1).send(left, data)
    }

    /// Bytes that wait for their turn, at the sender's router and on the link.
    pub(crate) fn queued(&mut self, now: Instant, way: (HostId, HostId)) -> u64 {
        let router = self.routers(way).0.map_or(0, |router| self.routers[router].out.queued(now));
        router + self.link(way.0, way.1).queued(now)
    }

    /// What a host does reaches no other in less; `None` where several share what is in between, or ways differ.
    pub(crate) fn shortest_way(&self) -> Option<Duration> {
        let alike = self.realms.len() == 1 && self.routers.is_empty() && self.shapes.is_empty();
        alike.then(|| Duration::from_micros(self.default.delay_us)).filter(|way| !way.is_zero())
    }

    /// How long bytes of a byte stream take.
    pub(crate) fn stream_delay(&mut self, way: (HostId, HostId), bytes: usize) -> Duration {
        self.link(way.0, way.1).stream_delay(bytes)
    }

    pub(crate) fn is_cut(&self, way: (HostId, HostId)) -> bool {
        self.cut.contains(&way)
    }

    pub(crate) fn is_clogged(&self, way: (HostId, HostId)) -> bool {
        self.clogged.contains(&way)
    }

    /// Everything that flies this way and will is lost.
    pub(crate) fn cut(&mut self, way: (HostId, HostId)) {
        self.cut.insert(way);
    }

    /// Everything that flies this way waits.
    pub(crate) fn clog(&mut self, way: (HostId, HostId)) {
        self.clogged.insert(way);
    }

    /// Nothing is cut or clogged.
    pub(crate) fn is_whole(&self) -> bool {
        self.cut.is_empty() && self.clogged.is_empty()
    }

    pub(crate) fn heal(&mut self) {
        self.cut.clear();
        self.clogged.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nat::Dependence;

    fn open(hairpin: bool) -> NatConfig {
        NatConfig {
            filtering: Dependence::Independent,
            preserve_ports: true,
            hairpin,
            ..NatConfig::default()
        }
    }

    #[test]
    fn a_host_behind_two_nats_is_seen_at_the_outer_one_and_reached_through_both() {
        let mut net = Net::new(1, LinkConfig::default());
        let server = net.add_host(RealmId::INTERNET);
        let carrier = net.add_nat(RealmId::INTERNET, open(false));
        let home = net.add_nat(carrier, open(false));
        let host = net.add_host(home);
        let now = Instant::ORIGIN;
        let to = SocketAddr::new(net.ip(server), 9001);
        let (passage, target) = net.depart(now, host, 4000, to).unwrap();
        assert_eq!((target, passage.src.ip()), (server, net.public_ip(host)));
        assert_eq!(net.arrive(now, passage), Some((server, 9001)));
        let (back, target) = net.depart(now, server, 9001, passage.src).unwrap();
        assert_eq!(target, host);
        assert_eq!(net.arrive(now, back), Some((host, 4000)));
    }

    #[test]
    fn either_of_two_nats_may_forget() {
        for carrier in [false, true] {
            let mut net = Net::new(1, LinkConfig::default());
            let server = net.add_host(RealmId::INTERNET);
            let outer = net.add_nat(RealmId::INTERNET, open(false));
            let home = net.add_nat(outer, open(false));
            let host = net.add_host(home);
            let now = Instant::ORIGIN;
            let to = SocketAddr::new(net.ip(server), 9001);
            let (out, _) = net.depart(now, host, 4000, to).unwrap();
            let (back, _) = net.depart(now, server, 9001, out.src).unwrap();
            assert!(net.arrive(now, back).is_some());
            net.rebind(host, carrier);
            assert!(net.arrive(now, back).is_none());
        }
    }

    #[test]
    fn homes_of_one_carrier_meet_at_its_outside_only_with_a_hairpin() {
        for hairpin in [false, true] {
            let mut net = Net::new(1, LinkConfig::default());
            let server = net.add_host(RealmId::INTERNET);
            let carrier = net.add_nat(RealmId::INTERNET, open(hairpin));
            let homes = [net.add_nat(carrier, open(false)), net.add_nat(carrier, open(false))];
            let (a, b) = (net.add_host(homes[0]), net.add_host(homes[1]));
            let (now, away) = (Instant::ORIGIN, SocketAddr::new(net.ip(server), 1));
            let seen = net.depart(now, b, 4001, away).unwrap().0.src;
            let around = net.depart(now, a, 4000, seen).map(|(passage, _)| passage);
            assert_eq!(around.and_then(|passage| net.arrive(now, passage)), hairpin.then_some((b, 4001)));
        }
    }

    #[test]
    fn hosts_of_one_network_meet_inside_and_outside_only_with_a_hairpin() {
        for hairpin in [false, true] {
            let mut net = Net::new(1, LinkConfig::default());
            let server = net.add_host(RealmId::INTERNET);
            let home = net.add_nat(RealmId::INTERNET, open(hairpin));
            let (a, b) = (net.add_host(home), net.add_host(home));
            let (now, away) = (Instant::ORIGIN, SocketAddr::new(net.ip(server), 1));
            let inside = SocketAddr::new(net.ip(b), 4001);
            let (passage, _) = net.depart(now, a, 4000, inside).unwrap();
            assert_eq!((passage.src.ip(), net.arrive(now, passage)), (net.ip(a), Some((b, 4001))));
            let seen = net.depart(now, b, 4001, away).unwrap().0.src;
            let around = net.depart(now, a, 4000, seen);
            assert_eq!(around.map(|(_, host)| host), hairpin.then_some(b));
        }
    }
}

//! What the owner of a node may ask of it, and what it is told when it asks too much.

mod common;

use common::{MS, Net, Owned, SECOND, pattern, public, read_all, transfer, trusts};
use pilot_proto::{
    Addr, Instant,
    crypto::{Ed25519Seed, Identity, RustCrypto},
    node::{
        Answer, Config, ConnectError, Event, ListenError, MAX_DATAGRAM, Node, SendError, StreamError,
        TrustErrand,
    },
    rng::SeededRng,
    stream::CloseReason,
    trust::{AutoReason, Decision, Refused, TrustError, TrustEvent, Trusted},
};

const NOW: Instant = Instant::from_millis(1);

/// A node on its own with so much memory.
fn alone(id: u32, config: Config, memory: Owned) -> common::TestNode {
    let mut rng = SeededRng::new(9);
    let identity = Identity::new(id, Ed25519Seed::random(&mut &mut rng), &RustCrypto);
    Node::new(config, identity, memory, RustCrypto, rng)
}

#[test]
fn an_unregistered_node_says_so_until_it_has_an_id() {
    let mut node = alone(0, Config::default(), Owned::new(4, 4, 16, 1200));
    let peer = Addr::backbone(7);
    assert_eq!(node.id(), 0);
    assert_eq!(node.connect(NOW, peer, 7), Err(ConnectError::NotRegistered));
    assert_eq!(node.send_datagram(NOW, peer, 7, b"x"), Err(SendError::NotRegistered));
    node.set_id(NOW, 3);
    assert_eq!(node.id(), 3);
    assert!(node.connect(NOW, peer, 7).is_ok());
    assert!(node.send_datagram(NOW, peer, 7, b"x").is_ok());
}

/// The same key under the id that registration gave: whoever met the old id sees nothing of the new one.
#[test]
fn a_registered_node_is_found_under_its_id() {
    let mut net = Net::new(50);
    let (a, b) = (public(&mut net), public(&mut net));
    let now = net.now;
    net.hosts[b].node.set_id(now, 77);
    net.hosts[b].id = 77;
    let data = pattern(5_000);
    assert_eq!(transfer(&mut net, a, b, &data, 5 * SECOND).0, data);
    assert_eq!(net.beacon_nodes.get(&77), Some(&net.hosts[b].address), "the beacon is told");
}

#[test]
fn addresses_that_are_nobody_else_are_refused() {
    let mut node = alone(3, Config::default(), Owned::new(4, 4, 16, 1200));
    for nobody in [Addr::backbone(0), Addr::backbone(3), Addr::broadcast(0), Addr::broadcast(9)] {
        assert_eq!(node.connect(NOW, nobody, 7), Err(ConnectError::BadAddress(nobody)));
        assert_eq!(node.send_datagram(NOW, nobody, 7, b"x"), Err(SendError::BadAddress(nobody)));
    }
    for len in [MAX_DATAGRAM + 1, 70_000] {
        let refused = node.send_datagram(NOW, Addr::backbone(4), 7, &vec![0; len]);
        assert_eq!(refused, Err(SendError::TooLong { len, max: MAX_DATAGRAM }));
    }
    assert!(node.send_datagram(NOW, Addr::backbone(4), 7, &[0; MAX_DATAGRAM]).is_ok());
}

#[test]
fn ports_are_bound_once_and_as_many_as_there_is_room_for() {
    let memory = Owned::with_queues(4, 4, 16, 1200, 4096, 3);
    let mut node = alone(3, Config::default(), memory);
    assert_eq!(node.listening(), 1, "the trust port is the node's own");
    assert_eq!(node.listen(444), Err(ListenError::InUse { port: 444 }));
    assert_eq!((node.listen(80), node.listen(443)), (Ok(()), Ok(())));
    assert_eq!(node.listen(80), Err(ListenError::InUse { port: 80 }));
    assert_eq!(node.listen(81), Err(ListenError::TooMany { max: 3 }));
    node.unlisten(80);
    assert_eq!((node.listening(), node.is_listening(80)), (2, false));
    assert_eq!(node.listen(81), Ok(()));
}

#[test]
fn tables_that_are_full_say_so_and_give_their_rows_back() {
    let mut node = alone(3, Config { max_streams: 3, ..Config::default() }, Owned::new(2, 4, 16, 1200));
    let (first, second) = (Addr::backbone(11), Addr::backbone(12));
    assert!(node.connect(NOW, first, 7).is_ok() && node.connect(NOW, second, 7).is_ok());
    assert_eq!(node.connect(NOW, Addr::backbone(13), 7), Err(ConnectError::TooManyPeers), "two are in use");
    assert_eq!(node.send_datagram(NOW, Addr::backbone(13), 7, b"x"), Err(SendError::TooManyPeers));
    assert!(node.connect(NOW, first, 8).is_ok());
    assert_eq!(node.connect(NOW, first, 9), Err(ConnectError::TooManyStreams), "the configured limit");

    let mut node = alone(3, Config::default(), Owned::new(2, 2, 16, 1200));
    assert!(node.connect(NOW, first, 7).is_ok() && node.connect(NOW, first, 8).is_ok());
    assert_eq!(node.connect(NOW, first, 9), Err(ConnectError::TooManyStreams), "two rows were lent");
}

/// Who finds no row free for its stream is told at once.
#[test]
fn a_dialler_that_finds_every_row_taken_is_reset() {
    let mut net = Net::new(59);
    let (a, b) = (public(&mut net), public(&mut net));
    let (host, rng) = (&mut net.hosts[b], SeededRng::new(3));
    let identity = Identity::new(host.id, Ed25519Seed::from_bytes(host.seed), &RustCrypto);
    host.node = Node::new(host.config.clone(), identity, Owned::new(4, 1, 64, 1200), RustCrypto, rng);
    host.node.listen(1000).unwrap();
    let dials = [net.connect(a, b, 1000), net.connect(a, b, 1000)];
    net.run_for(2 * SECOND);
    let events = &net.hosts[a].events;
    let connected = dials.map(|stream| events.contains(&Event::Connected { stream }));
    let refused =
        dials.map(|stream| events.contains(&Event::Closed { stream, reason: CloseReason::Refused }));
    assert!(connected.iter().filter(|yes| **yes).count() == 1 && connected != refused, "{events:?}");
}

/// On paths that cannot fragment segments are as large as those of the older releases.
#[test]
fn loopback_takes_large_segments() {
    let mut net = Net::new(63);
    net.record = true;
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[a].address = "127.0.0.1:4001".parse().unwrap();
    net.hosts[b].address = "127.0.0.1:4002".parse().unwrap();
    net.run_for(SECOND);
    transfer(&mut net, a, b, b"meet", 5 * SECOND);
    let data = pattern(100_000);
    assert_eq!(transfer(&mut net, a, b, &data, 5 * SECOND).0, data);
    let longest = net.wire.iter().map(|(.., datagram)| datagram.len()).max().unwrap();
    assert!((4096..4300).contains(&longest), "{longest}");
}

#[test]
fn a_reset_tells_both_sides() {
    let mut net = Net::new(51);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let out = net.connect(a, b, 1000);
    net.run_until_done(SECOND, |net| net.incoming(b, 1000).is_some());
    let now = net.now;
    assert_eq!(net.hosts[a].node.reset(now, out), Ok(()));
    net.run_for(100 * MS);
    let reason = |net: &Net, host: usize| {
        net.hosts[host].events.iter().find_map(|event| match event {
            Event::Closed { reason, .. } => Some(*reason),
            _ => None,
        })
    };
    assert_eq!((reason(&net, a), reason(&net, b)), (Some(CloseReason::Aborted), Some(CloseReason::Reset)));
    let now = net.now;
    net.hosts[a].node.release(now, out);
    assert_eq!(net.hosts[a].node.reset(now, out), Err(StreamError::Unknown));
    assert_eq!(net.hosts[a].node.write(now, out, b"x"), Err(StreamError::Unknown));
}

#[test]
fn an_introduction_makes_a_tunnel_before_it_is_needed() {
    let mut net = Net::new(52);
    let (a, b) = (public(&mut net), public(&mut net));
    let (id, now) = (net.hosts[b].id, net.now);
    net.hosts[a].node.introduce(now, id);
    net.run_for(SECOND);
    assert!(net.hosts[a].node.peers().any(|peer| peer.node == id && peer.encrypted && peer.authenticated));
    assert_eq!(net.hosts[a].node.streams().count(), 0);
}

/// Two plaintext nodes talk; the same stream, without keys.
#[test]
fn nodes_whose_operator_switched_encryption_off_talk_in_the_open() {
    let mut net = Net::new(53);
    net.record = true;
    let open = |config: &mut Config| (config.public, config.encrypt) = (true, false);
    let (a, b) = (net.add(open), net.add(open));
    let data = pattern(50_000);
    assert_eq!(transfer(&mut net, a, b, &data, 5 * SECOND).0, data);
    let magics: Vec<&[u8]> = net.wire.iter().filter_map(|(.., bytes)| bytes.get(..4)).collect();
    assert!(magics.iter().any(|magic| magic == b"PILT"), "plain frames, directly");
    assert!(!magics.iter().any(|magic| *magic == b"PILS" || *magic == b"PILA"), "no key, nothing sealed");

    // What the wire brings for somebody else, or broken, is dropped.
    let mut frame = net.wire.iter().find(|(_, to, f)| *to == net.hosts[b].address && f.starts_with(b"PILT"));
    let (from, _, frame) = frame.take().unwrap();
    let (from, mut broken, mut astray) = (*from, frame.clone(), frame.clone());
    let counters = net.hosts[b].node.counters().packets_received;
    *broken.last_mut().unwrap() ^= 1;
    let now = net.now;
    net.hosts[b].node.handle_datagram(now, from, &mut broken);
    net.hosts[a].node.handle_datagram(now, from, &mut astray);
    assert_eq!(net.hosts[b].node.counters().packets_received, counters);
}

#[test]
fn a_node_made_public_lets_strangers_in() {
    let mut net = Net::new(54);
    let (a, b) = (public(&mut net), net.add(|_| {}));
    net.hosts[b].node.listen(1000).unwrap();
    let refused = net.connect(a, b, 1000);
    net.run_for(3 * SECOND);
    assert!(net.incoming(b, 1000).is_none());
    let now = net.now;
    net.hosts[a].node.release(now, refused);
    net.hosts[b].node.set_public(true);
    assert_eq!(transfer(&mut net, a, b, b"welcome", 5 * SECOND).0, b"welcome");
}

/// Datagrams of untrusted nodes are refused like their streams, and the owner is told.
#[test]
fn a_private_node_refuses_datagrams_of_strangers() {
    let mut net = Net::new(55);
    let (a, b) = (public(&mut net), net.add(|_| {}));
    let (to, now) = (Addr::backbone(net.hosts[b].id), net.now);
    for _ in 0..3 {
        net.hosts[a].node.send_datagram(now, to, 9, b"hello").unwrap();
        net.run_for(SECOND);
    }
    let rejected = net.hosts[b].events.iter().any(|event| {
        matches!(event, Event::Rejected { from, port: 9, datagram: true } if from.addr.node == net.hosts[a].id)
    });
    assert!(rejected, "{:?}", net.hosts[b].events);
    let mut buffer = [0; 64];
    assert_eq!(net.hosts[b].node.read_datagram(&mut buffer), None);
}

#[test]
fn a_network_change_asks_the_beacon_at_once() {
    let mut net = Net::new(56);
    let a = public(&mut net);
    net.run_for(SECOND);
    let before = net.hosts[a].node.public_address();
    assert_eq!(before, Some(net.hosts[a].address));
    net.hosts[a].address.set_port(5001);
    let now = net.now;
    net.hosts[a].node.handle_network_change(now);
    net.run_for(100 * MS);
    assert_eq!(net.hosts[a].node.public_address(), Some(net.hosts[a].address));
    assert!(net.hosts[a].events.contains(&Event::PublicAddress(net.hosts[a].address)));
    // Without a beacon there is nobody to ask.
    let mut node = alone(3, Config::default(), Owned::new(4, 4, 16, 1200));
    node.handle_network_change(NOW);
    assert_eq!((node.poll_timeout(), node.poll_transmit(NOW, &mut [0; 2048])), (None, None));
}

/// Over IPv6 as over IPv4.
#[test]
fn nodes_with_ipv6_addresses_meet() {
    let mut net = Net::new(57);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[a].address = "[2001:db8::a]:4000".parse().unwrap();
    net.hosts[b].address = "[2001:db8::b]:4000".parse().unwrap();
    assert_eq!(transfer(&mut net, a, b, b"six", 5 * SECOND).0, b"six");
    let (id, now) = (net.hosts[b].id, net.now);
    net.hosts[a].node.request_trust(now, id, "").unwrap();
    let asker = net.hosts[a].id;
    net.run_until_done(5 * SECOND, |net| net.hosts[b].node.pending().any(|p| p.node == asker));
}

/// A cut direct path over IPv6: the probes name their way, whatever the family.
#[test]
fn probes_of_an_ipv6_path_bring_it_back() {
    let mut net = Net::new(58);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[a].address = "[2001:db8::a]:4000".parse().unwrap();
    net.hosts[b].address = "[2001:db8::b]:4000".parse().unwrap();
    net.run_for(SECOND);
    net.set_direct(a, b, false);
    net.hosts[b].node.listen(1000).unwrap();
    let out = net.connect(a, b, 1000);
    net.run_until_done(20 * SECOND, |net| net.incoming(b, 1000).is_some());
    assert!(common::is_relayed(&mut net, a, b));
    net.set_direct(a, b, true);
    let mut at = net.now;
    net.run_until_done(60 * SECOND, |net| {
        if net.now >= at {
            at = net.now + SECOND;
            let now = net.now;
            let _ = net.hosts[a].node.write(now, out, b"still here");
        }
        if let Some(incoming) = net.incoming(b, 1000) {
            let now = net.now;
            read_all(&mut net.hosts[b].node, now, incoming, &mut Vec::new());
        }
        !common::is_relayed(net, a, b)
    });
}

// --- trust -----------------------------------------------------------------------------------------------------------

fn errands(net: &Net, host: usize) -> Vec<TrustErrand> {
    let errand = |event: &Event| match event {
        Event::Errand(errand) => Some(*errand),
        _ => None,
    };
    net.hosts[host].events.iter().filter_map(errand).collect()
}

#[test]
fn a_request_that_is_declined_is_over_on_both_sides() {
    let mut net = Net::new(60);
    let (a, b) = (public(&mut net), public(&mut net));
    let (ida, idb) = (net.hosts[a].id, net.hosts[b].id);
    let now = net.now;
    // Contacted before, so that the request may be answered directly.
    net.hosts[a].node.introduce(now, idb);
    net.run_for(SECOND);
    let now = net.now;
    net.hosts[a].node.request_trust(now, idb, "please").unwrap();
    net.run_until_done(5 * SECOND, |net| net.hosts[b].node.pending().any(|p| p.node == ida));
    assert!(net.hosts[a].node.intents().any(|intent| intent.node == idb));
    let now = net.now;
    net.hosts[b].node.reject(now, ida, "not today").unwrap();
    net.run_until_done(5 * SECOND, |net| {
        net.hosts[a].events.contains(&Event::Trust(TrustEvent::RejectedByPeer(idb)))
    });
    assert!(net.hosts[b].events.contains(&Event::Trust(TrustEvent::Rejected(ida))));
    assert!(!trusts(&mut net, a, b) && !trusts(&mut net, b, a));
    let now = net.now;
    assert_eq!(net.hosts[b].node.approve(now, ida), Err(TrustError::NotPending { node: ida }));
    assert_eq!(net.hosts[b].node.revoke(now, ida), Err(TrustError::NotTrusted { node: ida }));
}

/// What the registry relays: a request, and the answer to one of ours.
#[test]
fn trust_through_the_registry() {
    let mut net = Net::new(61);
    let (a, b) = (public(&mut net), public(&mut net));
    let (ida, idb, now) = (net.hosts[a].id, net.hosts[b].id, net.now);
    net.set_direct(a, b, false);
    net.cut.insert((net.hosts[a].address, net.beacon));
    net.hosts[a].node.request_trust(now, idb, "mail").unwrap();
    net.run_for(SECOND);
    assert!(errands(&net, a).contains(&TrustErrand::Request { to: idb }));
    let asked = net.hosts[a].node.with_trust(|trust| trust.asked(idb).map(String::from));
    assert_eq!(asked.as_deref(), Some("mail"));

    let now = net.now;
    net.hosts[b].node.handle_relayed_request(now, ida, "mail", 0).unwrap();
    net.run_for(SECOND);
    assert!(net.hosts[b].node.pending().any(|p| p.node == ida));
    let now = net.now;
    net.hosts[b].node.approve(now, ida).unwrap();
    net.run_for(SECOND);
    assert!(
        errands(&net, b).contains(&TrustErrand::Respond { to: ida, accept: true }),
        "{:?}",
        errands(&net, b)
    );

    let now = net.now;
    net.hosts[a].node.handle_relayed_response(now, idb, true).unwrap();
    net.run_for(SECOND);
    assert!(trusts(&mut net, a, b));
    assert!(net.hosts[a].events.contains(&Event::Trust(TrustEvent::Accepted(idb))));
    let now = net.now;
    let again = net.hosts[a].node.handle_relayed_response(now, 99, true);
    assert_eq!(again, Err(Refused::NotAsked), "an answer to nothing");
}

/// Everything about trust outlives a restart.
#[test]
fn what_was_made_durable_is_put_back() {
    let mut node = alone(3, Config::default(), Owned::new(4, 4, 16, 1200));
    node.set_wall_clock(NOW, 1_700_000_000_000_000);
    let trusted =
        Trusted { node: 8, key: Some([8; 32]), approved_at: 1_600_000_000, mutual: true, network: 0 };
    node.restore_trusted(trusted).unwrap();
    node.restore_pending(NOW, 9, Some([9; 32]), "let me in", 1_699_999_000).unwrap();
    node.restore_intent(NOW, 10, Decision::Revoked { drop_tunnel_at: None }, 1_700_000_500).unwrap();
    assert!(node.trusted().eq([trusted]));
    let pending: Vec<_> = node.pending().map(|p| (p.node, p.key)).collect();
    assert_eq!(pending, [(9, Some([9; 32]))]);
    let intents: Vec<_> = node.intents().map(|intent| (intent.node, intent.until_unix)).collect();
    assert_eq!(intents, [(10, 1_700_000_500)]);
}

/// A revocation counts even when the list of decisions is full: the one that ends first makes room.
#[test]
fn a_revocation_always_finds_room() {
    let mut node = alone(3, Config::default(), Owned::with_queues(4, 4, 16, 1200, 4096, 3));
    node.set_wall_clock(NOW, 1_700_000_000_000_000);
    for (peer, until) in [(10, 1_700_000_200), (11, 1_700_000_100), (12, 1_700_000_300)] {
        node.restore_intent(NOW, peer, Decision::Revoked { drop_tunnel_at: None }, until).unwrap();
    }
    let trusted =
        Trusted { node: 8, key: Some([8; 32]), approved_at: 1_600_000_000, mutual: true, network: 0 };
    node.restore_trusted(trusted).unwrap();
    node.revoke(NOW, 8).unwrap();
    assert!(node.intents().map(|intent| intent.node).eq([8, 10, 12]));
    assert_eq!(node.trusted().count(), 0);
}

#[test]
fn a_node_that_approves_by_itself_needs_no_operator() {
    let mut net = Net::new(62);
    let a = public(&mut net);
    let b = net.add(|config| (config.public, config.trust_auto_approve) = (true, true));
    let (ida, idb, now) = (net.hosts[a].id, net.hosts[b].id, net.now);
    net.hosts[a].node.request_trust(now, idb, "").unwrap();
    net.run_until_done(5 * SECOND, |net| trusts(net, a, b) && trusts(net, b, a));
    let approved = TrustEvent::AutoApproved(ida, AutoReason::Flag);
    assert!(net.hosts[b].events.contains(&Event::Trust(approved)));
}

// --- answers that come too late or twice ---------------------------------------------------------------------------

#[test]
fn answers_nobody_waits_for_change_nothing() {
    let mut node = alone(3, Config::default(), Owned::new(4, 4, 16, 1200));
    let candidates = &["192.0.2.7:1".parse().unwrap()];
    for answer in [
        Answer::Located { node: 7, candidates, key: Some([7; 32]), relay_only: false },
        Answer::NotLocated { node: 7 },
        Answer::Key { node: 7, key: None },
        Answer::MayTalk { node: 7, allowed: true },
    ] {
        node.handle_answer(NOW, answer);
    }
    assert_eq!((node.peers().count(), node.poll_timeout()), (0, None));
    assert_eq!(node.poll_event(NOW), None);
    assert_eq!(node.poll_transmit(NOW, &mut [0; 2048]), None);
}

#[test]
fn a_datagram_that_is_only_expected_changes_nothing() {
    let mut net = Net::new(51);
    let (a, b) = (public(&mut net), public(&mut net));
    net.record = true;
    transfer(&mut net, a, b, &pattern(5_000), 5 * SECOND);
    let wire = std::mem::take(&mut net.wire);
    let node = &mut net.hosts[b].node;
    let state = |node: &mut common::TestNode| (node.counters(), node.usage(), node.poll_timeout());
    let before = state(node);
    for (_, _, datagram) in &wire {
        (0..=datagram.len()).for_each(|len| node.expect(&datagram[..len]));
    }
    assert_eq!(state(node), before);
    assert_eq!(node.poll_event(net.now), None);
}

//! Defects of older releases in tunnels, towards the beacon and in choosing paths (`spec/hazards.md`), looked for in
//! whole nodes.

mod common;

use common::{MS, Net, SECOND, is_relayed, public, rogue::Rogue, transfer, trusts};
use pilot_proto::{
    Addr,
    crypto::{Ed25519Seed, Identity, RustCrypto},
    node::{Answer, Event, Question},
    wire::{
        beacon::Beacon,
        frame::KeyAuthenticated,
        packet::{Flags, Protocol},
    },
};

const STRANGER: &str = "203.0.113.66:666";

/// Feeds a beacon message that did not come from the beacon.
fn forge(net: &mut Net, host: usize, message: &Beacon<'_>) {
    let mut frame = [0; 64];
    let len = message.emit(&mut frame).unwrap();
    net.hosts[host].node.handle_datagram(net.now, STRANGER.parse().unwrap(), &mut frame[..len]);
}

/// A key exchange of a node that signs with a key of its own.
fn foreign_exchange(node: u32, seed: u8, x25519: [u8; 32]) -> [u8; 136] {
    let identity = Identity::new(node, Ed25519Seed::from_bytes([seed; 32]), &RustCrypto);
    let mut frame = [0; 136];
    KeyAuthenticated::sign(&identity, x25519, &RustCrypto).emit(&mut frame).unwrap();
    frame
}

fn has_tunnel(net: &mut Net, host: usize, node: u32) -> bool {
    net.hosts[host].node.peers().any(|peer| peer.node == node && peer.encrypted)
}

/// Proves PKT-5.
#[test]
fn hazard_02_d4_and_08_7_the_inner_source_is_the_peer_of_the_tunnel() {
    let mut net = Net::new(1);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(7).unwrap();
    let mut rogue = Rogue::new(&mut net);
    rogue.meet(&mut net, b);
    for protocol in [Protocol::Datagram, Protocol::Stream] {
        let mut header = rogue.header(&net, b, protocol, 50_000, 7);
        header.src.node = net.hosts[a].id;
        header.flags = if protocol == Protocol::Stream { Flags::SYN } else { Flags::NONE };
        rogue.send(&mut net, b, &header, b"I am somebody else");
    }
    net.run_for(SECOND);
    assert_eq!(net.hosts[b].node.read_datagram(&mut [0; 100]), None);
    assert_eq!(net.incoming(b, 7), None);
    let own = rogue.header(&net, b, Protocol::Datagram, 50_000, 7);
    rogue.send(&mut net, b, &own, b"I am myself");
    let got = net.hosts[b].node.read_datagram(&mut [0; 100]);
    assert_eq!(got.map(|(from, port, _)| (from.addr.node, port)), Some((rogue.id, 7)));
}

#[test]
fn hazard_02_d10_and_08_10_unknown_keys_are_asked_for_once_and_nobody_waits() {
    let mut net = Net::new(2);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    net.hosts[b].registry_down = true;
    net.asked.clear();
    for round in 0..1000u32 {
        let mut frame = foreign_exchange(1000 + round % 5, 9, [round as u8 | 1; 32]);
        net.hosts[b].node.handle_datagram(net.now, STRANGER.parse().unwrap(), &mut frame);
        net.run_for(MS);
    }
    let (got, took) = transfer(&mut net, a, b, b"still here", 10 * SECOND);
    assert_eq!(got, b"still here");
    assert!(took < 200 * MS, "{took:?}");
    let questions = net.asked.iter().filter(|(_, q)| matches!(q, Question::Key { node } if *node >= 1000));
    assert!(questions.count() <= 5, "{:?}", net.asked);
}

/// The registry is back: what failed without it is not believed any longer. Proves TUN-9.
#[test]
fn after_a_registration_a_key_that_could_not_be_had_before_is_asked_for_at_once() {
    for registers in [false, true] {
        let mut net = Net::new(5);
        let (a, b) = (public(&mut net), public(&mut net));
        net.hosts[b].registry_down = true;
        net.connect(a, b, 1000);
        let node = net.hosts[a].id;
        net.run_until_done(SECOND, |net| net.asked.contains(&(b, Question::Key { node })));
        let (now, id) = (net.now, net.hosts[b].id);
        net.hosts[b].node.handle_answer(now, Answer::Key { node, key: None });
        if registers {
            net.hosts[b].node.set_id(now, id);
        }
        net.hosts[b].registry_down = false;
        // The other's exchange comes again after a second, and after another two.
        let took = net.run_until_done(10 * SECOND, |net| has_tunnel(net, b, node));
        assert_eq!(took < 1500 * MS, registers, "{took:?}");
    }
}

/// Proves TUN-10.
#[test]
fn hazard_02_d11_no_key_is_installed_that_nobody_vouches_for() {
    let mut net = Net::new(3);
    let (b, silent) = (public(&mut net), net.add_silent());
    let known = net.hosts[silent].id;
    // Anonymous and authenticated, of a registered node and of one that the registry does not know; and of a
    // registered one while the registry is silent.
    for (node, registry_down) in [(known, false), (77, false), (known, true)] {
        net.hosts[b].registry_down = registry_down;
        let mut anonymous = b"PILK".to_vec();
        anonymous.extend(node.to_be_bytes());
        anonymous.extend([9; 32]);
        net.hosts[b].node.handle_datagram(net.now, STRANGER.parse().unwrap(), &mut anonymous);
        let mut authenticated = foreign_exchange(node, 9, [9; 32]);
        net.hosts[b].node.handle_datagram(net.now, STRANGER.parse().unwrap(), &mut authenticated);
        net.run_for(10 * SECOND);
        assert!(!has_tunnel(&mut net, b, node), "{node} {registry_down}");
    }
    assert!(net.hosts[b].events.contains(&Event::Impostor { node: known }));
}

#[test]
fn hazard_02_d14_what_waited_too_long_for_a_key_is_not_sent() {
    let mut net = Net::new(4);
    let (a, b) = (public(&mut net), public(&mut net));
    net.run_for(SECOND);
    let to = Addr { network: 0, node: net.hosts[b].id };
    net.set_direct(a, b, false);
    let (beacon, from) = (net.beacon, net.hosts[a].address);
    net.cut.insert((from, beacon));
    net.hosts[a].node.send_datagram(net.now, to, 9, b"ancient").unwrap();
    net.run_for(8 * SECOND);
    net.cut.clear();
    net.run_for(60 * SECOND);
    net.hosts[a].node.send_datagram(net.now, to, 9, b"fresh").unwrap();
    net.run_for(10 * SECOND);
    let mut buffer = [0; 100];
    let (_, _, len) = net.hosts[b].node.read_datagram(&mut buffer).expect("the fresh one");
    assert_eq!(&buffer[..len], b"fresh");
    assert_eq!(net.hosts[b].node.read_datagram(&mut buffer), None);
}

/// Frames of 40 bytes that call for frames of 136, towards a third party.
#[test]
fn hazard_02_d16_strangers_cannot_make_us_flood_a_peer() {
    let mut net = Net::new(5);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    net.record = true;
    net.run_for(SECOND);
    net.wire.clear();
    let (sender, victim) = (net.hosts[a].id, net.hosts[a].address);
    for round in 0..2000u32 {
        let mut frame = if round % 2 == 0 { b"PILK".to_vec() } else { b"PILS".to_vec() };
        frame.extend(sender.to_be_bytes());
        frame.extend([round as u8; 64]);
        // Every frame from another host.
        let from = format!("203.0.{}.{}:99", round % 250, round / 250);
        net.hosts[b].node.handle_datagram(net.now, from.parse().unwrap(), &mut frame);
        net.run_for(MS);
    }
    let own = net.hosts[b].address;
    let sent = net.wire.iter().filter(|(from, to, _)| *from == own && *to == victim).count();
    assert!(sent <= 10, "{sent} frames in 2 s");
    let (_, took) = transfer(&mut net, a, b, b"y", 10 * SECOND);
    assert!(took < 200 * MS, "{took:?}");
}

#[test]
fn hazard_02_d17_strangers_neither_fill_the_tables_nor_drive_peers_out() {
    let mut net = Net::new(6);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    for node in 1000..3000u32 {
        let mut frame = foreign_exchange(node, 9, [7; 32]);
        let from = format!("203.0.{}.{}:99", node % 250, node / 250);
        net.hosts[b].node.handle_datagram(net.now, from.parse().unwrap(), &mut frame);
        net.run_for(MS);
    }
    assert!(net.hosts[b].node.peers().count() <= 64, "as many as there is memory for");
    let known = net.hosts[a].id;
    assert!(has_tunnel(&mut net, b, known));
    let newcomer = public(&mut net);
    let (got, took) = transfer(&mut net, newcomer, b, b"room for one more", 10 * SECOND);
    assert_eq!(got, b"room for one more");
    assert!(took < 2 * SECOND, "{took:?}");
}

#[test]
fn hazard_02_d19_a_tunnel_made_anew_after_a_revocation_opens_nothing() {
    let mut net = Net::new(7);
    let (a, b) = (net.add(|_| {}), net.add(|_| {}));
    let (ida, idb) = (net.hosts[a].id, net.hosts[b].id);
    net.hosts[a].node.request_trust(net.now, idb, "").unwrap();
    net.hosts[b].node.request_trust(net.now, ida, "").unwrap();
    net.run_until_done(10 * SECOND, |net| trusts(net, a, b) && trusts(net, b, a));
    net.hosts[a].node.revoke(net.now, idb).unwrap();
    net.run_until_done(10 * SECOND, |net| !trusts(net, b, a));
    net.run_for(10 * SECOND);
    net.hosts[a].events.clear();
    net.hosts[a].node.listen(1000).unwrap();
    let to = Addr { network: 0, node: ida };
    let id = net.connect(b, a, 1000);
    net.hosts[b].node.send_datagram(net.now, to, 9, b"let me in").unwrap();
    net.run_for(40 * SECOND);
    assert_eq!(net.hosts[a].node.read_datagram(&mut [0; 100]), None);
    assert_eq!(net.incoming(a, 1000), None);
    assert!(!net.hosts[b].events.contains(&Event::Connected { stream: id }));
}

/// Proves TUN-4.
#[test]
fn frames_that_claim_to_be_from_us_are_dropped() {
    let mut net = Net::new(8);
    let a = net.add(|config| config.beacon = None);
    let (own, own_seed) = (net.hosts[a].id, net.hosts[a].seed);
    net.record = true;
    let identity = Identity::new(own, Ed25519Seed::from_bytes(own_seed), &RustCrypto);
    let mut exchange = [0; 136];
    KeyAuthenticated::sign(&identity, [9; 32], &RustCrypto).emit(&mut exchange).unwrap();
    for magic in [b"PILA", b"PILK", b"PILS"] {
        exchange[..4].copy_from_slice(magic);
        net.hosts[a].node.handle_datagram(net.now, STRANGER.parse().unwrap(), &mut exchange);
        net.run_for(SECOND);
    }
    assert_eq!(net.hosts[a].node.peers().count(), 0);
    assert_eq!(net.wire, []);
}

#[test]
fn hazard_03_b1_the_address_is_asked_for_from_the_tunnel_socket() {
    let mut net = Net::new(10);
    let a = public(&mut net);
    net.run_for(SECOND);
    let (id, address) = (net.hosts[a].id, net.hosts[a].address);
    assert_eq!(net.beacon_nodes.get(&id), Some(&address));
    assert_eq!(net.hosts[a].node.public_address(), Some(address));
}

/// Both nodes are behind NATs whose ports the registry does not know; the beacon sees the right ones.
/// Proves NAT-7.
#[test]
fn hazard_03_b4_and_03_b5_the_address_of_a_punch_is_used_soon() {
    let mut net = Net::new(11);
    let (a, b) = (public(&mut net), public(&mut net));
    net.run_for(SECOND);
    for host in [a, b] {
        let wrong = format!("203.0.113.{host}:9").parse().unwrap();
        net.located.insert(net.hosts[host].id, wrong);
    }
    let (_, took) = transfer(&mut net, a, b, b"x", 10 * SECOND);
    assert!(took < SECOND / 2, "{took:?}");
    net.run_for(SECOND);
    assert!(!is_relayed(&mut net, a, b) && !is_relayed(&mut net, b, a));
}

/// Proves NAT-2.
#[test]
fn hazard_03_b7_only_the_beacon_makes_us_punch() {
    let mut net = Net::new(12);
    let a = public(&mut net);
    net.run_for(SECOND);
    net.record = true;
    let target = "192.0.2.77:53".parse().unwrap();
    forge(&mut net, a, &Beacon::Punch { peer: target });
    net.run_for(SECOND);
    assert!(net.wire.iter().all(|(_, to, _)| *to != target));
}

/// Proves NAT-5.
#[test]
fn hazard_03_b18_the_beacon_is_told_of_us_whatever_the_registry_does() {
    let mut net = Net::new(13);
    let a = public(&mut net);
    net.hosts[a].registry_down = true;
    net.run_for(SECOND);
    net.record = true;
    net.run_for(100 * SECOND);
    let told = net.wire.iter().filter(|(_, to, data)| *to == net.beacon && data[0] == 1).count();
    assert!((3..=5).contains(&told), "{told} in 100 s");
}

/// The first candidate is a host that another network also has.
#[test]
fn hazard_03_b20_a_wrong_local_address_costs_no_time() {
    let mut net = Net::new(14);
    let (a, b) = (public(&mut net), public(&mut net));
    net.run_for(SECOND);
    let wrong = "192.168.1.7:4000".parse().unwrap();
    let (idb, right, key) = (net.hosts[b].id, net.hosts[b].address, net.hosts[b].key);
    net.hosts[a].registry_down = true;
    net.hosts[b].node.listen(1000).unwrap();
    let id = net.connect(a, b, 1000);
    net.run_for(MS);
    let candidates = &[wrong, right];
    let answer =
        pilot_proto::node::Answer::Located { node: idb, candidates, key: Some(key), relay_only: false };
    net.hosts[a].node.handle_answer(net.now, answer);
    let took =
        net.run_until_done(10 * SECOND, |net| net.hosts[a].events.contains(&Event::Connected { stream: id }));
    assert!(took < 100 * MS, "{took:?}");
    assert!(!is_relayed(&mut net, a, b));
}

/// Proves NAT-13.
#[test]
fn hazard_03_b21_a_peer_that_moved_while_it_was_silent_is_looked_up_again() {
    let mut net = Net::new(15);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    net.run_for(5 * SECOND);
    net.asked.clear();
    net.hosts[b].address = "198.51.100.200:5555".parse().unwrap();
    net.restart(b);
    let (got, took) = transfer(&mut net, a, b, b"moved", 10 * SECOND);
    assert_eq!(got, b"moved");
    assert!(took < 3 * SECOND, "{took:?}");
    assert!(net.asked.contains(&(a, Question::Locate { node: net.hosts[b].id })));
    net.run_for(40 * SECOND);
    transfer(&mut net, a, b, b"y", 10 * SECOND);
    assert!(!is_relayed(&mut net, a, b));
}

#[test]
fn hazard_03_b22_only_the_beacon_tells_us_our_address() {
    let mut net = Net::new(16);
    let a = net.add(|config| config.public = true);
    forge(&mut net, a, &Beacon::DiscoverReply { observed: "192.0.2.77:53".parse().unwrap() });
    assert_eq!(net.hosts[a].node.public_address(), None);
    net.run_for(SECOND);
    assert_eq!(net.hosts[a].node.public_address(), Some(net.hosts[a].address));
}

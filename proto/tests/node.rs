//! Whole nodes over a small simulated network: streams, restarts, cut paths, gates, silence.

mod common;

use common::{MS, Net, SECOND, is_relayed, pattern, public, read_all, transfer, trusts};
use pilot_proto::{
    Addr,
    node::Event,
    path::{SUSPECT_AFTER, SUSPECT_MOST},
    stream::CloseReason,
    wire::beacon::Beacon,
};

#[test]
fn a_stream_carries_exact_bytes_and_its_end() {
    let mut net = Net::new(1);
    let (a, b) = (public(&mut net), public(&mut net));
    let data = pattern(300_000);
    let (got, took) = transfer(&mut net, a, b, &data, 20 * SECOND);
    assert!(got == data, "{} of {} bytes", got.len(), data.len());
    assert!(took < 2 * SECOND, "{took:?}");
}

/// A full window after silence is paced: its next burst is due at an instant that only sending moves.
#[test]
fn a_burst_that_is_due_ends_the_timeout_and_is_sent() {
    let mut net = Net::new(1);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let out = net.connect(a, b, 1000);
    let data = pattern(250_000);
    for round in 1..=3 {
        let (mut sent, mut got) = (0, Vec::new());
        let took = net.run_until_done(10 * SECOND, |net| {
            let now = net.now;
            while sent < data.len() {
                match net.hosts[a].node.write(now, out, &data[sent..]) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => sent += n,
                }
            }
            if let Some(incoming) = net.incoming(b, 1000) {
                read_all(&mut net.hosts[b].node, now, incoming, &mut got);
            }
            got.len() == data.len()
        });
        assert!(got == data, "round {round}: {} of {} bytes", got.len(), data.len());
        assert!(took < SECOND, "round {round}: {took:?}");
    }
}

#[test]
fn bytes_survive_loss_duplication_and_reordering() {
    for seed in 0..5 {
        let mut net = Net::new(seed);
        net.link.loss = 50;
        net.link.duplicate = 20;
        net.link.jitter = MS * 4;
        let (a, b) = (public(&mut net), public(&mut net));
        let data = pattern(200_000);
        let (got, _) = transfer(&mut net, a, b, &data, 120 * SECOND);
        assert!(got == data, "seed {seed}: {} of {} bytes", got.len(), data.len());
    }
}

#[test]
fn the_same_inputs_give_the_same_outputs_byte_for_byte() {
    let run = || {
        let mut net = Net::new(7);
        net.record = true;
        net.link.loss = 30;
        net.link.jitter = MS * 3;
        let (a, b) = (public(&mut net), public(&mut net));
        transfer(&mut net, a, b, &pattern(50_000), 60 * SECOND);
        net.wire
    };
    assert!(run() == run());
}

#[test]
fn after_a_restart_of_either_side_the_next_message_arrives_within_two_seconds() {
    for restarted in [0, 1] {
        let mut net = Net::new(2);
        let (a, b) = (public(&mut net), public(&mut net));
        transfer(&mut net, a, b, b"before", 10 * SECOND);
        net.run_for(5 * SECOND);
        net.restart([a, b][restarted]);
        let (got, took) = transfer(&mut net, a, b, b"after", 10 * SECOND);
        assert_eq!(got, b"after");
        assert!(took < 2 * SECOND, "restart of {restarted}: {took:?}");
    }
}

/// Proves NAT-11 and NAT-12.
#[test]
fn hazard_04_30_a_cut_direct_path_is_replaced_by_the_relay_and_taken_again_without_flapping() {
    let mut net = Net::new(3);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"direct", 10 * SECOND);
    assert!(!is_relayed(&mut net, a, b));
    net.run_for(SECOND);

    net.set_direct(a, b, false);
    let (got, took) = transfer(&mut net, a, b, b"through the relay", 10 * SECOND);
    assert_eq!(got, b"through the relay");
    assert!(took < 2 * SECOND, "{took:?}");
    assert!(is_relayed(&mut net, a, b) && is_relayed(&mut net, b, a));
    for _ in 0..10 {
        let (_, took) = transfer(&mut net, a, b, b"again", 10 * SECOND);
        assert!(took < 100 * MS, "the relay is settled: {took:?}");
        net.run_for(SECOND);
    }

    net.set_direct(a, b, true);
    let (_, took) = transfer(&mut net, a, b, b"healed", 10 * SECOND);
    assert!(took < 100 * MS, "nothing stops when the path heals: {took:?}");
    net.run_for(35 * SECOND);
    transfer(&mut net, a, b, b"direct again", 10 * SECOND);
    net.run_for(SECOND);
    assert!(!is_relayed(&mut net, a, b));
    for host in [a, b] {
        let changes =
            net.hosts[host].events.iter().filter(|e| matches!(e, Event::PathChanged { .. })).count();
        assert!(changes <= 2, "host {host} moved {changes} times");
    }
}

/// Proves NAT-11 and NAT-14: how long an answer may stay out follows the round trip.
#[test]
fn slow_paths_are_not_suspected_and_cut_ones_are_left_in_time() {
    for round_trip in [MS, 200 * MS, SECOND, 3 * SECOND] {
        let mut net = Net::new(5);
        net.link.delay = round_trip / 2;
        let (a, b) = (public(&mut net), public(&mut net));
        let moves = |net: &Net, host: usize| {
            net.hosts[host].events.iter().filter(|e| matches!(e, Event::PathChanged { .. })).count()
        };
        let exchanges = |net: &Net| net.wire.iter().filter(|(_, _, data)| data.starts_with(b"PILA")).count();
        transfer(&mut net, a, b, b"first", 60 * SECOND);
        net.run_for(60 * SECOND);
        net.record = true;
        for size in [10, 100_000] {
            let data = pattern(size);
            assert!(transfer(&mut net, a, b, &data, 300 * SECOND).0 == data);
            net.run_for(20 * SECOND);
            transfer(&mut net, b, a, b"and back", 60 * SECOND);
            assert_eq!((moves(&net, a), moves(&net, b)), (0, 0), "round trip {round_trip:?}");
            assert_eq!(exchanges(&net), 0, "round trip {round_trip:?}");
        }

        net.set_direct(a, b, false);
        net.hosts[b].node.listen(1001).unwrap();
        net.connect(a, b, 1001);
        // SYN repetitions come after 250 and 500 ms; then patience.
        let patience = (3 * round_trip).clamp(SUSPECT_AFTER, SUSPECT_MOST);
        let took = net.run_until_done(30 * SECOND, |net| is_relayed(net, a, b));
        assert!(took <= patience + patience / 2, "round trip {round_trip:?}: {took:?}");
        assert!(took >= patience - patience / 4, "round trip {round_trip:?}: {took:?}");
        transfer(&mut net, a, b, b"through the relay", 60 * SECOND);

        net.set_direct(a, b, true);
        for _ in 0..12 {
            transfer(&mut net, a, b, b"direct again", 60 * SECOND);
            net.run_for(SECOND);
        }
        net.run_for(35 * SECOND);
        assert!(!is_relayed(&mut net, a, b) && !is_relayed(&mut net, b, a), "round trip {round_trip:?}");
        // Transfer and the check clear the events of b each time, so a's are the whole story.
        assert_eq!(moves(&net, a), 2, "round trip {round_trip:?}: away and back");
    }
}

/// Proves NAT-10.
#[test]
fn a_path_cut_in_one_direction_only_is_left_by_both_sides() {
    for (from, to) in [(0, 1), (1, 0)] {
        let mut net = Net::new(4);
        public(&mut net);
        public(&mut net);
        transfer(&mut net, 0, 1, b"direct", 10 * SECOND);
        let pair = (net.hosts[from].address, net.hosts[to].address);
        net.cut.insert(pair);
        let (_, took) = transfer(&mut net, 0, 1, b"one way", 10 * SECOND);
        assert!(took < 3 * SECOND, "{from} to {to}: {took:?}");
        let (_, took) = transfer(&mut net, 0, 1, b"again", 10 * SECOND);
        assert!(took < 200 * MS, "{from} to {to}: {took:?}");
    }
}

/// Proves NAT-9.
#[test]
fn nodes_that_cannot_reach_each_other_directly_meet_at_the_relay() {
    let mut net = Net::new(5);
    let (a, b) = (public(&mut net), public(&mut net));
    net.set_direct(a, b, false);
    net.run_for(SECOND);
    let (got, took) = transfer(&mut net, a, b, b"hello", 10 * SECOND);
    assert_eq!(got, b"hello");
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_new_address_of_a_peer_is_followed_from_its_next_sealed_frame() {
    let mut net = Net::new(6);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"one", 10 * SECOND);
    net.hosts[a].address = "203.0.113.9:5555".parse().unwrap();
    let (got, took) = transfer(&mut net, a, b, b"two", 10 * SECOND);
    assert_eq!(got, b"two");
    assert!(took < 100 * MS, "{took:?}");
}

#[test]
fn an_unknown_node_is_unreachable_at_once() {
    let mut net = Net::new(8);
    let a = public(&mut net);
    let id = net.hosts[a].node.connect(net.now, Addr { network: 0, node: 77 }, 7).unwrap();
    net.run_for(SECOND);
    assert!(net.hosts[a].events.contains(&Event::Unreachable { stream: id }));
}

/// Proves STR-3 and TRU-15.
#[test]
fn hazard_01_h16_and_04_20_and_08_8_a_closed_port_is_refused_and_a_private_node_is_silent() {
    let mut net = Net::new(9);
    let (a, b) = (public(&mut net), public(&mut net));
    let private = net.add(|_| {});
    let refused = net.connect(a, b, 9);
    let ignored = net.connect(a, private, 9);
    net.run_for(5 * SECOND);
    assert!(net.hosts[a].events.contains(&Event::Closed { stream: refused, reason: CloseReason::Refused }));
    assert!(
        !net.hosts[a].events.iter().any(|e| matches!(e, Event::Closed { stream, .. } if *stream == ignored)),
        "a stranger learns nothing of closed ports"
    );
    net.run_for(60 * SECOND);
    assert!(net.hosts[a].events.iter().any(
        |e| matches!(e, Event::Closed { stream, reason } if *stream == ignored && *reason != CloseReason::Refused)
    ));
}

#[test]
fn a_private_node_asks_before_it_lets_somebody_in() {
    let mut net = Net::new(10);
    let a = public(&mut net);
    let b = net.add(|_| {});
    net.allowed.insert((net.hosts[a].id, net.hosts[b].id));
    let (got, took) = transfer(&mut net, a, b, b"shared network", 10 * SECOND);
    assert_eq!(got, b"shared network");
    assert!(took < SECOND, "the request waits for the answer, it is not lost: {took:?}");
}

/// Proves PKT-8.
#[test]
fn two_idle_nodes_send_only_keepalives() {
    let mut net = Net::new(11);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    net.run_for(15 * SECOND);
    let before = [net.hosts[a].sent, net.hosts[b].sent];
    net.run_for(100 * SECOND);
    for (host, before) in [a, b].into_iter().zip(before) {
        let sent = net.hosts[host].sent - before;
        // Four registrations at the beacon and four keepalives in 100 s.
        assert!(sent <= 9, "host {host} sent {sent}");
    }
    assert_eq!(net.hosts[a].node.streams().count(), 0, "nothing is left of the stream");
}

/// Proves PKT-10 and TUN-15.
#[test]
fn datagrams_wait_for_keys_and_keep_their_order() {
    let mut net = Net::new(12);
    let (a, b) = (public(&mut net), public(&mut net));
    let to = Addr { network: 0, node: net.hosts[b].id };
    for i in 0..20u8 {
        net.hosts[a].node.send_datagram(net.now, to, 5000, &[i; 3]).unwrap();
    }
    net.run_for(SECOND);
    let mut got = Vec::new();
    let mut buffer = [0; 100];
    while let Some((from, port, len)) = net.hosts[b].node.read_datagram(&mut buffer) {
        assert_eq!((from.addr.node, port, len), (net.hosts[a].id, 5000, 3));
        got.push(buffer[0]);
    }
    assert_eq!(got, (0..20).collect::<Vec<u8>>());
}

/// Proves TUN-13.
#[test]
fn hazard_02_d15_an_unreachable_node_costs_few_exchanges() {
    let mut net = Net::new(13);
    let (a, b) = (public(&mut net), public(&mut net));
    net.set_direct(a, b, false);
    net.beacon_nodes.clear();
    net.record = true;
    net.run_for(SECOND);
    let beacon = net.beacon;
    let (from, to) = (net.hosts[a].address, net.hosts[b].address);
    for pair in [(from, beacon), (beacon, from)] {
        net.cut.insert(pair);
    }
    net.wire.clear();
    let node = net.hosts[b].id;
    for _ in 0..100 {
        net.hosts[a].node.send_datagram(net.now, Addr { network: 0, node }, 9, b"?").unwrap();
    }
    net.run_for(10 * SECOND);
    let exchanges = net.wire.iter().filter(|(_, t, data)| *t == to && data.starts_with(b"PILA")).count();
    assert!(exchanges <= 8, "{exchanges}");
}

/// Proves TUN-3.
#[test]
fn hazard_02_d2_and_01_h14_plaintext_is_dropped_while_encryption_is_on() {
    let mut net = Net::new(14);
    let a = public(&mut net);
    net.hosts[a].node.listen(7).unwrap();
    // A valid SYN in the clear from node 2 to port 7.
    let mut frame = b"PILT".to_vec();
    frame.resize(38, 0);
    use pilot_proto::{
        SockAddr,
        wire::packet::{Flags, Header, Protocol},
    };
    let sock = |node, port| SockAddr { addr: Addr { network: 0, node }, port };
    let mut header = Header::new(Protocol::Stream, sock(2, 50_000), sock(net.hosts[a].id, 7));
    header.flags = Flags::SYN;
    header.emit(&mut frame[4..]).unwrap();
    net.hosts[a].node.handle_datagram(net.now, "203.0.113.1:1".parse().unwrap(), &mut frame);
    net.run_for(SECOND);
    assert_eq!(net.incoming(a, 7), None);
    assert_eq!(net.hosts[a].node.peers().count(), 0);
}

#[test]
fn hazard_02_d12_only_the_beacon_may_relay() {
    let mut net = Net::new(15);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    let mut forged = [0; 64];
    let sender = net.hosts[b].id;
    let n = Beacon::Deliver { sender, frame: b"PILSgarbage" }.emit(&mut forged).unwrap();
    let now = net.now;
    net.hosts[a].node.handle_datagram(now, "203.0.113.1:1".parse().unwrap(), &mut forged[..n]);
    let beacon = net.beacon;
    net.hosts[a].node.handle_datagram(now, beacon, &mut forged[..n]);
    assert!(!is_relayed(&mut net, a, b), "unauthenticated evidence moves nothing");
}

#[test]
fn arbitrary_datagrams_change_nothing() {
    use pilot_proto::rng::{Rng, SeededRng};
    let mut net = Net::new(16);
    let (a, b) = (public(&mut net), public(&mut net));
    transfer(&mut net, a, b, b"x", 10 * SECOND);
    let mut rng = SeededRng::new(99);
    let from = [net.hosts[b].address, net.beacon, "203.0.113.1:1".parse().unwrap()];
    for i in 0..20_000 {
        let mut data = vec![0; rng.u32() as usize % 200];
        rng.fill(&mut data);
        let head: &[u8] = [&b"PILS"[..], b"PILA", b"PILK", b"PILT", b"PILP", &[6], &[4], &[2]][i % 8];
        if data.len() > head.len() + 4 {
            data[..head.len()].copy_from_slice(head);
            if i % 3 == 0 {
                data[head.len()..head.len() + 4].copy_from_slice(&net.hosts[b].id.to_be_bytes());
            }
        }
        let now = net.now;
        net.hosts[a].node.handle_datagram(now, from[i % 3], &mut data);
        if i % 100 == 0 {
            net.run_for(10 * MS);
        }
    }
    net.run_for(SECOND);
    let (got, took) = transfer(&mut net, a, b, b"still here", 10 * SECOND);
    assert_eq!(got, b"still here");
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn trust_is_asked_and_granted_between_public_nodes() {
    let mut net = Net::new(20);
    let (a, b) = (public(&mut net), public(&mut net));
    let (ida, idb) = (net.hosts[a].id, net.hosts[b].id);
    net.hosts[a].node.request_trust(net.now, idb, "we work together").unwrap();
    let took = net.run_until_done(5 * SECOND, |net| net.hosts[b].node.pending().any(|p| p.node == ida));
    assert!(took < SECOND, "{took:?}");
    assert!(!trusts(&mut net, a, b) && !trusts(&mut net, b, a));
    net.hosts[b].node.approve(net.now, ida).unwrap();
    let took = net.run_until_done(5 * SECOND, |net| trusts(net, a, b) && trusts(net, b, a));
    assert!(took < SECOND, "{took:?}");
    assert!(net.hosts[a].events.iter().any(|e| matches!(e, Event::PersistTrust)));
    net.run_for(30 * SECOND);
    for host in [a, b] {
        assert_eq!(
            net.hosts[host].node.streams().count(),
            0,
            "handshake streams are the node's own business"
        );
        let left = net.hosts[host].node.with_trust(|trust| trust.pending().len());
        assert_eq!(left, 0);
    }
}

#[test]
fn trust_asked_from_both_sides_needs_no_approval_and_opens_private_nodes() {
    let mut net = Net::new(21);
    let (a, b) = (net.add(|_| {}), net.add(|_| {}));
    // Both are private: the direct messages are let in because both contacted each other.
    let (ida, idb) = (net.hosts[a].id, net.hosts[b].id);
    net.hosts[a].node.request_trust(net.now, idb, "").unwrap();
    net.hosts[b].node.request_trust(net.now, ida, "").unwrap();
    let took = net.run_until_done(10 * SECOND, |net| trusts(net, a, b) && trusts(net, b, a));
    assert!(took < 3 * SECOND, "{took:?}");
    let (got, _) = transfer(&mut net, a, b, b"inside", 10 * SECOND);
    assert_eq!(got, b"inside");
    net.run_for(SECOND);

    net.hosts[a].node.revoke(net.now, idb).unwrap();
    let took = net.run_until_done(10 * SECOND, |net| !trusts(net, b, a));
    assert!(took < 2 * SECOND, "hazard 08-5: the revocation arrives: {took:?}");
    assert!(!trusts(&mut net, a, b));
    let id = net.connect(b, a, 1000);
    net.run_for(40 * SECOND);
    assert!(
        !net.hosts[b].events.iter().any(|e| matches!(e, Event::Connected { stream } if *stream == id)),
        "the gate is closed"
    );
}

#[test]
fn transmits_end_although_a_deadline_of_the_keys_has_passed() {
    let mut net = Net::new(44);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].node.listen(1000).unwrap();
    let out = net.connect(a, b, 1000);
    net.run_until_done(5 * SECOND, |net| net.incoming(b, 1000).is_some());
    // A late driver: it sends before it tells the node what time it is. Old key pairs should have been wiped by now.
    let late = net.now + 40 * SECOND;
    let node = &mut net.hosts[a].node;
    assert!(node.poll_timeout().is_some_and(|at| at < late));
    node.write(late, out, b"late").unwrap();
    let mut buffer = vec![0; 65_536];
    let transmits = (0..100).take_while(|_| node.poll_transmit(late, &mut buffer).is_some()).count();
    assert!((1..10).contains(&transmits), "{transmits}");
    node.handle_timeout(late);
    assert!(node.poll_timeout().is_none_or(|at| at > late));
}

#[test]
fn dials_that_fail_leave_nothing_behind() {
    let mut net = Net::new(30);
    let a = public(&mut net);
    for round in 0..600 {
        let to = Addr { network: 0, node: 77 };
        let id = net.hosts[a].node.connect(net.now, to, 7).unwrap_or_else(|e| panic!("dial {round}: {e}"));
        net.run_for(SECOND);
        assert!(net.hosts[a].events.contains(&Event::Unreachable { stream: id }), "dial {round}");
        net.hosts[a].events.clear();
        let now = net.now;
        net.hosts[a].node.release(now, id);
    }
    assert_eq!(net.hosts[a].node.streams().count(), 0);
}

#[test]
fn dials_to_a_dead_node_leave_nothing_behind() {
    let mut net = Net::new(31);
    let (a, b) = (public(&mut net), public(&mut net));
    net.hosts[b].address = "203.0.113.99:1".parse().unwrap();
    net.beacon_nodes.clear();
    let dead = net.hosts[b].address;
    let beacon = net.beacon;
    for host in [net.hosts[a].address, beacon] {
        net.cut.insert((host, dead));
        net.cut.insert((dead, host));
    }
    for _ in 0..20 {
        let ids: Vec<_> = (0..10).map(|_| net.connect(a, b, 7)).collect();
        net.run_for(35 * SECOND);
        let now = net.now;
        for id in ids {
            assert!(
                net.hosts[a]
                    .events
                    .iter()
                    .any(|e| matches!(e, Event::Closed { stream, .. } if *stream == id))
            );
            net.hosts[a].node.release(now, id);
        }
        net.hosts[a].events.clear();
    }
    net.run_for(SECOND);
    assert_eq!(net.hosts[a].node.streams().count(), 0);
}

/// Memory that never grows, and tells what it was asked for.
struct Refusing {
    room: common::Owned,
    asked: std::rc::Rc<std::cell::RefCell<Vec<pilot_proto::node::Table>>>,
}

impl pilot_proto::node::Memory<pilot_proto::crypto::RustCrypto> for Refusing {
    fn parts(&mut self) -> pilot_proto::node::Parts<'_, pilot_proto::crypto::RustCrypto> {
        self.room.parts()
    }

    fn more(&mut self, table: pilot_proto::node::Table) -> bool {
        self.asked.borrow_mut().push(table);
        false
    }
}

#[test]
fn an_owner_that_refuses_room_is_asked_once_for_each_table() {
    use pilot_proto::{
        crypto::{Ed25519Seed, Identity, RustCrypto},
        node::{Config, Node, Table},
        rng::SeededRng,
    };
    // Some tables are short from the start and others, between them, are not.
    let room = common::Owned::with_queues(1, 1, 4, 2048, 4096, 1);
    let asked = std::rc::Rc::default();
    let memory = Refusing { room, asked: std::rc::Rc::clone(&asked) };
    let identity = Identity::new(1, Ed25519Seed::from_bytes([7; 32]), &RustCrypto);
    let mut node = Node::new(Config::default(), identity, memory, RustCrypto, SeededRng::new(1));
    for ms in 0..100 {
        node.handle_timeout(pilot_proto::Instant::from_millis(ms));
    }
    let asked = asked.borrow();
    assert!(asked.contains(&Table::Notices) && !asked.contains(&Table::Peers), "{asked:?}");
    for table in Table::ALL {
        assert!(asked.iter().filter(|other| **other == table).count() <= 1, "{table:?} in {asked:?}");
    }
}

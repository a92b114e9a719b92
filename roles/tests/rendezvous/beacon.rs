//! The beacon: captured scenarios, restarts, and what a stranger cannot do with it.

use std::net::SocketAddr;
use std::time::Duration;

use pilot_roles::Role;
use pilot_roles::json::{Value, json};
use pilot_roles::rendezvous::{BeaconConfig, Config, RegistryConfig};

use crate::host::{Host, Key};

fn host(beacon: BeaconConfig) -> Host {
    Host::new(Config { registry: RegistryConfig::default(), beacon: Some(beacon) })
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn discover(node: u32) -> Vec<u8> {
    [&[1][..], &node.to_be_bytes()].concat()
}

fn punch(requester: u32, target: u32) -> Vec<u8> {
    [&[3][..], &requester.to_be_bytes(), &target.to_be_bytes()].concat()
}

fn relay(sender: u32, target: u32, frame: &[u8]) -> Vec<u8> {
    [&[5][..], &sender.to_be_bytes(), &target.to_be_bytes(), frame].concat()
}

fn deliver(sender: u32, frame: &[u8]) -> Vec<u8> {
    [&[6][..], &sender.to_be_bytes(), frame].concat()
}

/// Steps in which the reference believes a stranger and we do not: what, and where the datagram goes instead.
const BELIEVED_BY_THE_REFERENCE: [(&str, Option<&str>); 3] = [
    ("relay does not register the sender: id 77 stays unknown", None),
    ("21 now goes to p3", Some("p2")),
    ("21 unknown", Some("p2")),
];

/// Proves NAT-3.
#[test]
fn the_captured_scenarios_send_the_captured_datagrams() {
    let vectors: Value = serde_json::from_str(include_str!("../../../spec/vectors/beacon.json")).unwrap();
    for scenario in vectors["scenarios"].as_array().unwrap() {
        let name = scenario["name"].as_str().unwrap();
        let endpoint = |name: &Value| addr(scenario["endpoints"][name.as_str().unwrap()].as_str().unwrap());
        let peers = if name == "cluster" { vec![endpoint(&json!("p2"))] } else { vec![] };
        let id = scenario["beacon_id"].as_u64().unwrap() as u32;
        let mut host = host(BeaconConfig { id, peers, ..BeaconConfig::default() });
        for step in scenario["steps"].as_array().unwrap() {
            let what = step["what"].as_str().unwrap();
            let mut sent = if step["gossip"] == true {
                host.advance(Duration::from_secs(10));
                std::mem::take(&mut host.datagrams)
            } else {
                let message = hex::decode(step["send"].as_str().unwrap()).unwrap();
                host.datagram(endpoint(&step["from"]), &message)
            };
            let mut expected: Vec<(SocketAddr, Vec<u8>)> = step["beacon_sends"]
                .as_array()
                .unwrap()
                .iter()
                .map(|sent| (endpoint(&sent["to"]), hex::decode(sent["hex"].as_str().unwrap()).unwrap()))
                .collect();
            if let Some((_, to)) = BELIEVED_BY_THE_REFERENCE.iter().find(|(step, _)| *step == what) {
                let message = hex::decode(step["send"].as_str().unwrap()).unwrap();
                expected = to.iter().map(|to| (endpoint(&json!(to)), message.clone())).collect();
            }
            sent.sort();
            expected.sort();
            assert_eq!(sent, expected, "{name}: {what}");
        }
    }
}

fn register(host: &mut Host, ip: &str, key: u8) {
    let conn = host.open_from(ip);
    let request = json!({"type": "register", "listen_addr": ":4000", "public_key": Key::new(key).text()});
    assert_eq!(host.ask(conn, request)["type"], "register_ok");
}

#[test]
fn a_node_that_restarts_on_another_port_is_reachable_at_once() {
    let mut host = host(BeaconConfig::default());
    let (old, new, peer) = (addr("192.0.2.1:4000"), addr("192.0.2.1:5000"), addr("192.0.2.9:4000"));
    host.datagram(old, &discover(1));
    host.datagram(peer, &discover(2));
    assert_eq!(host.datagram(new, &discover(1)).len(), 1);
    assert_eq!(host.datagram(peer, &relay(2, 1, b"x")), [(new, deliver(2, b"x"))]);
}

#[test]
fn a_node_that_the_registry_knows_elsewhere_moves_at_once() {
    let mut host = host(BeaconConfig::default());
    let (old, new, peer) = (addr("192.0.2.1:4000"), addr("198.51.100.1:4000"), addr("192.0.2.9:4000"));
    register(&mut host, "192.0.2.1", 1);
    host.datagram(old, &discover(1));
    host.datagram(peer, &discover(2));
    // It moves to another network, registers there, and proves its key with its first signed call.
    let conn = host.open_from("198.51.100.1");
    let again = json!({"type": "register", "listen_addr": ":4000", "public_key": Key::new(1).text()});
    host.ask(conn, again);
    host.datagram(new, &discover(1));
    assert_eq!(host.datagram(peer, &relay(2, 1, b"x")), [(old, deliver(2, b"x"))]);
    let beat = json!({"type": "heartbeat", "node_id": 1, "signature": Key::new(1).sign("heartbeat:1")});
    assert_eq!(host.ask(conn, beat)["type"], "heartbeat_ok");
    host.datagram(new, &discover(1));
    assert_eq!(host.datagram(peer, &relay(2, 1, b"x")), [(new, deliver(2, b"x"))]);
}

#[test]
fn hazard_03_b8_a_stranger_cannot_take_the_traffic_of_a_live_node() {
    let mut host = host(BeaconConfig::default());
    let (node, thief, peer) = (addr("192.0.2.1:4000"), addr("203.0.113.6:6"), addr("192.0.2.9:4000"));
    host.datagram(node, &discover(1));
    host.datagram(peer, &discover(2));
    for message in [discover(1), punch(1, 2)] {
        host.datagram(thief, &message);
        assert_eq!(host.datagram(peer, &relay(2, 1, b"x")), [(node, deliver(2, b"x"))]);
    }
    // A node that has been silent for longer than any keepalive may have moved anywhere.
    host.advance(Duration::from_secs(90));
    host.datagram(thief, &discover(1));
    host.datagram(peer, &discover(2));
    assert_eq!(host.datagram(peer, &relay(2, 1, b"x")), [(thief, deliver(2, b"x"))]);
}

#[test]
fn hazard_03_b9_only_registered_nodes_relay_and_only_under_their_own_id() {
    let mut host = host(BeaconConfig::default());
    let (node, stranger, peer) = (addr("192.0.2.1:4000"), addr("203.0.113.6:6"), addr("192.0.2.9:4000"));
    host.datagram(node, &discover(1));
    host.datagram(peer, &discover(2));
    assert_eq!(host.datagram(stranger, &relay(7, 1, b"x")), []);
    assert_eq!(host.datagram(stranger, &relay(2, 1, b"x")), []);
    // A NAT that moved the sender to another port does not cut it off.
    assert_eq!(host.datagram(addr("192.0.2.9:7777"), &relay(2, 1, b"x")), [(node, deliver(2, b"x"))]);
}

#[test]
fn hazard_03_b9_a_flood_from_one_sender_is_cut_to_its_share() {
    let mut host = host(BeaconConfig::default());
    let (node, peer) = (addr("192.0.2.1:4000"), addr("192.0.2.9:4000"));
    host.datagram(node, &discover(1));
    host.datagram(peer, &discover(2));
    let passed = (0..5000).filter(|_| !host.datagram(peer, &relay(2, 1, b"x")).is_empty()).count();
    assert_eq!(passed, 4000);
}

#[test]
fn hazard_03_b7_punching_needs_an_address_that_the_beacon_has_answered() {
    let mut host = host(BeaconConfig::default());
    let (node, victim) = (addr("192.0.2.1:4000"), addr("203.0.113.6:6"));
    host.datagram(node, &discover(1));
    assert_eq!(host.datagram(victim, &punch(9, 1)), []);
    let commands: usize = (0..200).map(|_| host.datagram(node, &punch(1, 1)).len()).sum();
    assert_eq!(commands, 120);
}

#[test]
fn a_private_node_is_not_punched_for_whom_it_does_not_trust() {
    let mut host = host(BeaconConfig::default());
    register(&mut host, "192.0.2.1", 1);
    register(&mut host, "192.0.2.2", 2);
    host.datagram(addr("192.0.2.1:4000"), &discover(1));
    host.datagram(addr("192.0.2.2:4000"), &discover(2));
    assert_eq!(host.datagram(addr("192.0.2.2:4000"), &punch(2, 1)), []);
    let conn = host.open_from("192.0.2.1");
    let public = json!({
        "type": "set_visibility", "node_id": 1, "public": true, "signature": Key::new(1).sign("set_visibility:1"),
    });
    host.ask(conn, public);
    assert_eq!(host.datagram(addr("192.0.2.2:4000"), &punch(2, 1)).len(), 2);
}

/// Proves NAT-4.
#[test]
fn hazard_03_b14_nodes_expire_and_one_source_cannot_fill_the_table() {
    let mut host = host(BeaconConfig { max_nodes: 6, max_nodes_per_source: 3, ..BeaconConfig::default() });
    let (greedy, peer) = (addr("203.0.113.6:6"), addr("192.0.2.9:4000"));
    host.datagram(peer, &discover(100));
    (1..=5).for_each(|node| drop(host.datagram(greedy, &discover(node))));
    let reached = |host: &mut Host| {
        (1..=5).filter(|node| !host.datagram(peer, &relay(100, *node, b"x")).is_empty()).count()
    };
    assert_eq!(reached(&mut host), 3);
    host.advance(Duration::from_secs(599));
    host.datagram(peer, &discover(100));
    assert_eq!(reached(&mut host), 3);
    host.advance(Duration::from_secs(1));
    assert_eq!(reached(&mut host), 0);
    (6..=7).for_each(|node| drop(host.datagram(greedy, &discover(node))));
    assert_eq!(host.datagram(peer, &relay(100, 7, b"x")).len(), 1);
}

/// Proves NAT-4.
#[test]
fn the_operator_says_after_which_silence_a_node_is_forgotten() {
    let mut host = host(BeaconConfig { forget_after: Duration::from_secs(70), ..BeaconConfig::default() });
    let (one, two) = (addr("192.0.2.1:4000"), addr("192.0.2.2:4000"));
    host.datagram(one, &discover(1));
    host.datagram(two, &discover(2));
    host.advance(Duration::from_secs(69));
    host.datagram(one, &discover(1));
    assert_eq!(host.datagram(one, &relay(1, 2, b"x")).len(), 1);
    host.advance(Duration::from_secs(1));
    assert!(host.datagram(one, &relay(1, 2, b"x")).is_empty());
    assert_eq!(host.datagram(two, &relay(2, 1, b"x")).len(), 0, "who was forgotten is not relayed for");
    host.datagram(two, &discover(2));
    assert_eq!(host.datagram(two, &relay(2, 1, b"x")).len(), 1);
}

#[test]
fn hazard_03_b11_a_frame_from_a_peer_beacon_goes_no_further() {
    let (a, b) = (addr("198.51.100.1:9001"), addr("198.51.100.2:9001"));
    let mut host = host(BeaconConfig { peers: vec![a, b], id: 1, ..BeaconConfig::default() });
    host.datagram(a, &hex::decode("07000000020001000000 14".replace(' ', "")).unwrap());
    assert_eq!(host.datagram(b, &relay(3, 20, b"x")), []);
    let node = addr("192.0.2.1:4000");
    host.datagram(node, &discover(3));
    assert_eq!(host.datagram(node, &relay(3, 20, b"x")), [(a, relay(3, 20, b"x"))]);
}

#[test]
fn hazard_03_b19_frames_leave_in_the_order_they_came_and_together() {
    let mut host = host(BeaconConfig::default());
    let (node, peer) = (addr("192.0.2.1:4000"), addr("192.0.2.9:4000"));
    host.datagram(node, &discover(1));
    host.datagram(peer, &discover(2));
    let frames: Vec<Vec<u8>> = (0..100_u8).map(|at| vec![at; if at == 50 { 900 } else { 1200 }]).collect();
    let now = host.now();
    for frame in &frames {
        host.role.handle_datagram(now, peer, &mut relay(2, 1, frame));
    }
    let mut buf = vec![0; 65_536];
    let first = host.role.poll_transmit(now, &mut buf).unwrap();
    assert_eq!((first.to, first.segment_size), (node, Some(1205)));
    assert_eq!(first.len, 50 * 1205 + 905);
    host.drain();
    let rest: Vec<_> = host.datagrams.iter().map(|(_, message)| message[5]).collect();
    assert_eq!(rest, (51..100).collect::<Vec<u8>>());
}

#[test]
fn a_full_queue_loses_frames_and_nothing_else() {
    let mut host = host(BeaconConfig { queue_bytes: 4096, ..BeaconConfig::default() });
    let (node, peer) = (addr("192.0.2.1:4000"), addr("192.0.2.9:4000"));
    host.datagram(node, &discover(1));
    host.datagram(peer, &discover(2));
    let now = host.now();
    for at in 0..10 {
        host.role.handle_datagram(now, peer, &mut relay(2, 1, &[at; 1000]));
    }
    host.drain();
    assert_eq!(host.datagrams.len(), 4);
    host.datagrams.clear();
    assert_eq!(host.datagram(peer, &relay(2, 1, b"x")).len(), 1);
}

#[test]
fn a_relayed_handshake_message_wakes_its_receiver_once_it_is_durable() {
    let mut host = host(BeaconConfig::default());
    register(&mut host, "192.0.2.1", 1);
    register(&mut host, "192.0.2.2", 2);
    let (one, two) = (addr("192.0.2.1:4000"), addr("192.0.2.2:4000"));
    host.datagram(one, &discover(1));
    host.datagram(two, &discover(2));
    let conn = host.open_from("192.0.2.1");
    host.auto_store = false;
    let ask = json!({
        "type": "request_handshake", "from_node_id": 1, "to_node_id": 2, "signature": Key::new(1).sign("handshake:1:2"),
    });
    host.post(conn, &ask);
    assert!(host.datagrams.is_empty());
    host.commit();
    assert_eq!(std::mem::take(&mut host.datagrams), [(two, vec![0x0a, 1])]);
    let respond = json!({
        "type": "respond_handshake", "node_id": 2, "peer_id": 1, "accept": true,
        "signature": Key::new(2).sign("respond:2:1"),
    });
    host.post(conn, &respond);
    host.commit();
    assert_eq!(std::mem::take(&mut host.datagrams), [(one, vec![0x0a, 1])]);
}

#[test]
fn an_idle_beacon_asks_for_no_timer() {
    let mut host = host(BeaconConfig::default());
    assert_eq!(host.role.poll_timeout(), None);
    host.datagram(addr("192.0.2.1:4000"), &discover(1));
    assert_eq!(host.role.poll_timeout(), Some(host.instant + Duration::from_secs(600)));
    host.advance(Duration::from_secs(600));
    assert_eq!(host.role.poll_timeout(), None);
}

fn gossip(nodes: &[u32]) -> Vec<u8> {
    let count = u16::try_from(nodes.len()).unwrap();
    let ids = nodes.iter().flat_map(|node| node.to_be_bytes());
    [&[7][..], &2_u32.to_be_bytes(), &count.to_be_bytes()].concat().into_iter().chain(ids).collect()
}

#[test]
fn hazard_03_b10_only_a_peer_beacon_tells_where_nodes_are() {
    let (friend, stranger) = (addr("198.51.100.1:9001"), addr("203.0.113.66:9001"));
    let mut host = host(BeaconConfig { peers: vec![friend], id: 1, ..BeaconConfig::default() });
    let node = addr("192.0.2.1:4000");
    host.datagram(node, &discover(3));
    host.datagram(stranger, &gossip(&[20]));
    assert_eq!(host.datagram(node, &relay(3, 20, b"x")), []);
    host.datagram(friend, &gossip(&[20]));
    host.datagram(stranger, &gossip(&[]));
    assert_eq!(host.datagram(node, &relay(3, 20, b"x")), [(friend, relay(3, 20, b"x"))]);
}

#[test]
fn hazard_03_b12_the_list_for_other_beacons_always_fits_a_datagram() {
    let peer = addr("198.51.100.1:9001");
    let mut host = host(BeaconConfig { peers: vec![peer], id: 1, ..BeaconConfig::default() });
    for node in 1..=17_000_u32 {
        host.datagram(addr(&format!("10.{}.{}.1:4000", node >> 8, node & 255)), &discover(node));
    }
    let lists: Vec<Vec<u8>> = host
        .datagrams_after(Duration::from_secs(10))
        .into_iter()
        .filter(|(to, _)| *to == peer)
        .map(|(_, l)| l)
        .collect();
    let [list] = &lists[..] else { panic!("{} lists", lists.len()) };
    assert_eq!(list.len(), 7 + 4 * 16_374 + 2);
    assert!(list.len() <= 65_507);
}

/// Proves NAT-16.
#[test]
fn two_beacons_of_ours_tell_each_other_more_nodes_than_a_datagram_holds() {
    let (left, right) = (addr("198.51.100.1:9001"), addr("198.51.100.2:9001"));
    let mut big = host(BeaconConfig { peers: vec![right], id: 1, ..BeaconConfig::default() });
    let mut small = host(BeaconConfig { peers: vec![left], id: 2, ..BeaconConfig::default() });
    for node in 1..=17_000_u32 {
        big.datagram(addr(&format!("10.{}.{}.1:4000", node >> 8, node & 255)), &discover(node));
    }
    let node = addr("192.0.2.1:4000");
    small.datagram(node, &discover(20_000));
    let reaches = |small: &mut Host, target| small.datagram(node, &relay(20_000, target, b"x")).len();
    let round = |big: &mut Host, small: &mut Host| {
        let told = big.datagrams_after(Duration::from_secs(10));
        for (_, list) in &told {
            small.datagram(left, list);
        }
        for (_, list) in small.datagrams_after(Duration::from_secs(10)) {
            big.datagram(right, &list);
        }
        told.len()
    };
    // A beacon of which nothing is known gets the first page only: a release would take the next for the whole list.
    assert_eq!(round(&mut big, &mut small), 1);
    assert_eq!([1, 16_374, 16_375, 17_000].map(|target| reaches(&mut small, target)), [1, 1, 0, 0]);
    assert_eq!(round(&mut big, &mut small), 2);
    assert_eq!([1, 16_374, 16_375, 17_000].map(|target| reaches(&mut small, target)), [1, 1, 1, 1]);
    // A list without numbers is the whole list, and its sender reads no pages.
    big.datagram(right, &gossip(&[20_000]));
    small.datagram(left, &gossip(&[5]));
    assert_eq!([5, 1, 17_000].map(|target| reaches(&mut small, target)), [1, 0, 0]);
    assert_eq!(round(&mut big, &mut small), 1);
}

/// Proves NAT-17.
#[test]
fn a_registration_that_asks_for_another_delivery_is_ignored_and_harms_nobody() {
    let mut host = host(BeaconConfig::default());
    let (node, other) = (addr("192.0.2.1:4000"), addr("192.0.2.9:4000"));
    host.datagram(node, &discover(1));
    host.datagram(other, &discover(2));
    for from in [node, other] {
        assert_eq!(host.datagram(from, &[8, 0, 0, 0, 1]), []);
        assert_eq!(host.datagram(from, &[8, 0, 0, 0, 3]), []);
        assert_eq!(host.datagram(from, &[9, 0, 0, 0, 2, 0, 0, 0, 1, b'x']), []);
    }
    assert_eq!(host.datagram(other, &relay(2, 1, b"x")), [(node, deliver(2, b"x"))]);
    assert_eq!(host.datagram(other, &relay(2, 3, b"x")), []);
}

/// What one beacon says takes the place of what it said before, and of nothing else.
#[test]
fn hazard_03_b13_a_list_replaces_the_list_of_its_sender_only() {
    let (a, b) = (addr("198.51.100.1:9001"), addr("198.51.100.2:9001"));
    let mut host = host(BeaconConfig { peers: vec![a, b], id: 1, ..BeaconConfig::default() });
    let node = addr("192.0.2.1:4000");
    host.datagram(node, &discover(3));
    host.datagram(a, &gossip(&[20, 21]));
    host.datagram(b, &gossip(&[30]));
    host.datagram(a, &gossip(&[21]));
    let goes_to =
        |host: &mut Host, target| host.datagram(node, &relay(3, target, b"x")).first().map(|(to, _)| *to);
    assert_eq!([20, 21, 30].map(|target| goes_to(&mut host, target)), [None, Some(a), Some(b)]);
}

//! Connections: back-pressure, idleness, bounds, goodbye, and anything that may arrive on them.

use std::time::Duration;

use pilot_roles::json::json;
use pilot_roles::rendezvous::{BeaconConfig, Config, RegistryConfig};
use pilot_roles::{Input, Role};
use proptest::prelude::*;

use crate::host::Host;
use crate::net::{Net, register, signed};

#[test]
fn hazard_05_36_a_client_that_does_not_read_is_not_read_either_and_loses_nothing() {
    let mut host = Host::new(Config::default());
    let conn = host.open_from("192.0.2.1");
    host.auto_sent = false;
    let networks = json!({"type": "list_networks"});
    let mut asked = 0;
    while !host.peers[&conn].paused {
        host.post(conn, &networks);
        asked += 1;
    }
    let queued = host.peers[&conn].unsent;
    assert!((256 * 1024..300 * 1024).contains(&queued), "{queued}");
    // What was already on its way waits unanswered.
    host.post(conn, &networks);
    assert_eq!(host.answers(conn).len(), asked);
    host.input(Input::Sent { conn, bytes: queued });
    assert!(!host.peers[&conn].paused);
    assert_eq!(host.answers(conn).len(), 1);
}

#[test]
fn idle_connections_are_closed_after_five_minutes() {
    let mut host = Host::new(Config::default());
    let (silent, slow, busy) =
        (host.open_from("192.0.2.1"), host.open_from("192.0.2.2"), host.open_from("192.0.2.3"));
    for _ in 0..4 {
        host.advance(Duration::from_secs(75));
        // A byte now and then is not a request.
        if !host.peers[&slow].closed {
            host.bytes(slow, &[0]);
        }
        host.post(busy, &json!({"type": "beacon_list"}));
    }
    assert!(host.peers[&silent].closed && host.peers[&slow].closed && !host.peers[&busy].closed);
    host.advance(Duration::from_secs(299));
    assert!(!host.peers[&busy].closed);
    host.advance(Duration::from_secs(1));
    assert!(host.peers[&busy].closed);
}

#[test]
fn connections_are_bounded_in_all_and_for_one_source() {
    let registry =
        RegistryConfig { max_connections: 3, max_connections_per_source: 2, ..RegistryConfig::default() };
    let mut host = Host::new(Config { registry, beacon: None });
    let greedy: Vec<_> = (0..3).map(|_| host.open_from("192.0.2.1")).collect();
    let closed = |host: &Host, conn| host.peers[conn].closed;
    assert_eq!(greedy.iter().map(|conn| closed(&host, conn)).collect::<Vec<_>>(), [false, false, true]);
    let other = host.open_from("192.0.2.2");
    let late = host.open_from("192.0.2.3");
    assert!(!closed(&host, &other) && closed(&host, &late));
    host.close(greedy[0]);
    let again = host.open_from("192.0.2.1");
    assert!(!closed(&host, &again));
}

#[test]
fn a_shutdown_answers_what_it_promised_and_ends_when_the_store_has_it() {
    let mut net = Net::new(1);
    let conn = net.host.open_from("192.0.2.1");
    net.host.auto_store = false;
    let request = json!({"type": "set_hostname", "node_id": 1, "hostname": "one"});
    net.host.post(conn, &signed(1, "set_hostname:1", request));
    net.host.input(Input::Shutdown);
    assert_eq!(net.host.exit, None);
    assert!(!net.host.peers[&conn].closed);
    net.host.commit();
    assert_eq!(net.host.answers(conn)[0]["hostname"], "one");
    assert!(net.host.peers[&conn].closed);
    assert_eq!(net.host.exit, Some(0));
}

#[test]
fn replication_is_refused_and_hung_up() {
    let mut host = Host::new(Config::default());
    let conn = host.open_from("192.0.2.1");
    let answer = host.ask(conn, json!({"type": "subscribe_replication", "token": "x"}));
    assert_eq!(answer["error"], "replication not configured");
    assert!(host.peers[&conn].closed);
}

#[test]
fn hazard_05_14_reads_have_a_limit_too() {
    let mut host = Host::new(Config::default());
    let conn = host.open_from("192.0.2.1");
    let check = json!({"type": "check_trust", "node_id": 1, "peer_id": 2});
    let refused =
        (0..30_001).map(|_| host.ask(conn, check.clone())).find(|answer| answer.get("error").is_some());
    assert_eq!(refused.unwrap()["error"], "rate limited: too many requests from 192.0.2.1");
}

fn operation() -> impl Strategy<Value = String> {
    let names = [
        "register",
        "heartbeat",
        "deregister",
        "set_hostname",
        "set_visibility",
        "set_tags",
        "rotate_key",
        "get_key_info",
        "lookup",
        "resolve",
        "resolve_hostname",
        "punch",
        "report_trust",
        "revoke_trust",
        "check_trust",
        "request_handshake",
        "poll_handshakes",
        "respond_handshake",
        "list_networks",
        "list_nodes",
        "get_network_policy",
        "beacon_register",
        "beacon_list",
        "nonsense",
    ];
    prop::sample::select(names.map(str::to_owned).to_vec())
}

proptest! {
    // Each case is a whole registry with real signatures.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes_are_survived_and_answered_the_same_every_time(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..16),
        datagrams in prop::collection::vec(prop::collection::vec(0..12_u8, 0..24), 0..16),
    ) {
        let run = || {
            let beacon = Some(BeaconConfig { queue_bytes: 1 << 16, ..BeaconConfig::default() });
            let mut host = Host::new(Config { registry: RegistryConfig::default(), beacon });
            let conn = host.open_from("192.0.2.1");
            for part in &parts {
                host.bytes(conn, part);
                host.advance(Duration::from_millis(10));
            }
            let sent: Vec<_> = datagrams.iter()
                .flat_map(|data| host.datagram("192.0.2.1:4000".parse().unwrap(), data))
                .collect();
            (sent, std::mem::take(&mut host.peers.get_mut(&conn).unwrap().received))
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn any_request_gets_one_answer_and_the_store_can_always_be_loaded(
        requests in prop::collection::vec(
            (operation(), 0..4_u8, 0..4_u8, any::<bool>(), "[a-z#-]{0,4}"), 1..40),
    ) {
        let mut host = Host::new(Config::default());
        let conn = host.open_from("192.0.2.1");
        for (operation, a, b, flag, text) in requests {
            let request = json!({
                "type": operation, "node_id": a, "peer_id": b, "requester_id": a, "from_node_id": a, "to_node_id": b,
                "node_a": a, "node_b": b, "accept": flag, "public": flag, "hostname": text, "tags": [text],
                "network_id": 0, "public_key": crate::host::Key::new(a).text(),
                "new_public_key": crate::host::Key::new(b).text(),
            });
            let texts = [
                format!("{operation}:{a}"), format!("{operation}:{a}:{b}"), format!("handshake:{a}:{b}"),
                format!("respond:{a}:{b}"), format!("rotate:{a}"),
            ];
            for text in &texts {
                host.ask(conn, signed(a, text, request.clone()));
            }
            host.ask(conn, register(a));
        }
        let again = Host::load(Config::default(), host.stored.clone()).unwrap();
        prop_assert_eq!(again.stored, host.stored);
    }
}

#[test]
fn an_idle_rendezvous_asks_for_no_timer() {
    let host = Host::new(Config::default());
    assert_eq!(host.role.poll_timeout(), None);
}

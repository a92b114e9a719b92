//! Who may be which node: keys, registrations and what they may change.

use std::time::Duration;

use pilot_roles::json::{Value, json};
use pilot_roles::rendezvous::{Config, RegistryConfig};

use crate::host::{Host, Key};
use crate::net::{ADMIN, Net, failed, register, signed, signed_register};

fn lookup(net: &mut Net, n: u8) -> Value {
    net.ask(1, json!({"type": "lookup", "node_id": n}))
}

#[test]
fn hazard_05_1_who_only_knows_the_key_cannot_move_a_live_node_or_name_it() {
    let mut net = Net::new(2);
    net.publish(1, true);
    let stranger = net.host.open_from("203.0.113.6");
    let mut forged = register(1);
    forged["hostname"] = json!("stolen");
    let answer = net.host.ask(stranger, forged);
    assert_eq!((&answer["node_id"], answer.get("hostname")), (&json!(1), None));
    assert_eq!(lookup(&mut net, 1)["real_addr"], "192.0.2.1:4000");
    assert_eq!(lookup(&mut net, 1).get("hostname"), None);
    assert_eq!(net.beat(1)["type"], "heartbeat_ok");
    assert_eq!(lookup(&mut net, 1)["real_addr"], "192.0.2.1:4000");
}

#[test]
fn a_daemon_that_restarts_elsewhere_moves_with_its_first_signature() {
    let mut net = Net::new(2);
    net.publish(1, true);
    let elsewhere = net.host.open_from("203.0.113.6");
    assert_eq!(net.host.ask(elsewhere, register(1))["observed_addr"], "203.0.113.6:4000");
    let beat = signed(1, "heartbeat:1", json!({"type": "heartbeat", "node_id": 1}));
    net.host.ask(elsewhere, beat);
    assert_eq!(lookup(&mut net, 1)["real_addr"], "203.0.113.6:4000");
}

#[test]
fn a_daemon_that_comes_back_after_an_outage_is_believed_at_once() {
    let mut net = Net::new(2);
    net.publish(1, true);
    net.host.advance(Duration::from_secs(181));
    assert_eq!(net.resolve(2, 1)["error"], "node 1: node not found");
    let elsewhere = net.host.open_from("203.0.113.6");
    net.host.ask(elsewhere, register(1));
    net.host.ask(elsewhere, register(2));
    assert_eq!(net.resolve(2, 1)["real_addr"], "203.0.113.6:4000");
}

#[test]
fn a_signed_registration_moves_at_once_and_ends_unsigned_ones() {
    let mut net = Net::new(2);
    net.publish(1, true);
    let elsewhere = net.host.open_from("203.0.113.6");
    assert_eq!(net.host.ask(elsewhere, signed_register(1))["node_id"], 1);
    assert_eq!(lookup(&mut net, 1)["real_addr"], "203.0.113.6:4000");
    assert_eq!(net.ask(1, register(1))["error"], "signature required for authenticated node");
    // Rotation keeps the duty to sign.
    let rotate = json!({"type": "rotate_key", "node_id": 1, "new_public_key": Key::new(9).text()});
    assert_eq!(net.sign(1, &format!("rotate:1:{}", Key::new(9).text()), rotate)["type"], "rotate_key_ok");
    assert_eq!(net.ask(1, register(9))["error"], "signature required for authenticated node");
    assert_eq!(net.ask(1, signed_register(9))["node_id"], 1);
}

/// Proves REG-7.
#[test]
fn a_signature_that_is_there_must_be_right() {
    let mut host = Host::new(Config::default());
    let conn = host.open_from("192.0.2.1");
    assert_eq!(host.ask(conn, signed(2, "register", register(1))), failed());
    let mut broken = register(1);
    broken["signature"] = json!("%%%");
    let text = "invalid signature encoding: illegal base64 data at input byte 0";
    assert_eq!(host.ask(conn, broken)["error"], text);
    assert_eq!(host.ask(conn, signed_register(1))["node_id"], 1);
}

/// Proves REG-5 and REG-6.
#[test]
fn registrations_captured_from_every_release_are_accepted() {
    let vectors: Value = serde_json::from_str(include_str!("../../../spec/vectors/versions.json")).unwrap();
    let mut host = Host::new(Config::default());
    let conn = host.open_from("127.0.0.1");
    let requests = vectors["registry"]["register_requests"].as_object().unwrap();
    assert_eq!(requests.len(), 5);
    for (version, request) in requests {
        let answer = host.ask(conn, request.clone());
        assert_eq!(answer["type"], "register_ok", "{version}");
        assert_eq!(answer["observed_addr"], request["listen_addr"], "{version}");
    }
}

/// Proves REG-8.
#[test]
fn hazard_05_2_and_3_an_email_is_no_password_and_every_key_is_its_own_node() {
    let mut host = Host::new(Config::default());
    let conn = host.open_from("192.0.2.1");
    let with_owner = |n: u8| {
        let mut request = register(n);
        request["owner"] = json!("someone@example.com");
        request
    };
    for _ in 0..3 {
        assert_eq!(host.ask(conn, with_owner(1))["node_id"], 1);
        assert_eq!(host.ask(conn, with_owner(2))["node_id"], 2);
    }
}

/// Proves REG-11.
#[test]
fn hazard_05_8_a_private_name_is_found_by_who_signed_for_a_trusted_node() {
    let mut net = Net::new(3);
    net.name(2, "two");
    let find = |extra: Value| {
        let mut request = json!({"type": "resolve_hostname", "hostname": "two"});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        request
    };
    let unknown = json!({"error": "hostname \"two\" not found", "type": "error"});
    // Claiming to be the owner, or a friend of his, is not enough.
    net.report(1, 2);
    net.report(2, 1);
    assert_eq!(net.ask(3, find(json!({"requester_id": 2}))), unknown);
    assert_eq!(net.ask(3, find(json!({"requester_id": 1}))), unknown);
    net.beat(3);
    assert_eq!(net.ask(3, find(json!({}))), unknown);
    // Hazard 46: daemons of the reference never say who asks; the connection knows.
    assert_eq!(net.ask(1, find(json!({})))["node_id"], 2);
    assert_eq!(net.ask(1, find(json!({"requester_id": 1})))["node_id"], 2);
    assert_eq!(net.ask(1, find(json!({"requester_id": 3}))), unknown);
    assert_eq!(net.ask(2, find(json!({})))["node_id"], 2);
}

/// Proves REG-10.
#[test]
fn hazard_05_6_punch_asks_for_the_permission_of_resolve() {
    let mut net = Net::new(2);
    let punch = json!({"type": "punch", "requester_id": 1, "node_a": 1, "node_b": 2});
    assert_eq!(net.sign(1, "punch:1:2", punch.clone()), failed());
    net.publish(2, true);
    assert_eq!(net.sign(1, "punch:1:2", punch)["node_b_addr"], "192.0.2.2:4000");
}

#[test]
fn hazard_05_10_and_11_rotation_takes_both_signed_texts_but_no_foreign_key() {
    let mut net = Net::new(2);
    let rotate = |n: u8| json!({"type": "rotate_key", "node_id": 1, "new_public_key": Key::new(n).text()});
    assert_eq!(net.sign(1, "rotate:1", rotate(2)), failed());
    assert_eq!(net.sign(1, "rotate:1", rotate(9))["public_key"], json!(Key::new(9).text()));
    let later = signed(9, &format!("rotate:1:{}", Key::new(1).text()), rotate(1));
    assert_eq!(net.ask(1, later)["type"], "rotate_key_ok");
    // A message made for one key does not install another.
    let captured = signed(1, &format!("rotate:1:{}", Key::new(9).text()), rotate(8));
    assert_eq!(net.ask(1, captured), failed());
}

#[test]
fn hazard_05_12_a_key_that_was_replaced_does_not_open_the_record() {
    let mut net = Net::new(2);
    let rotate = json!({"type": "rotate_key", "node_id": 1, "new_public_key": Key::new(9).text()});
    net.sign(1, "rotate:1", rotate);
    assert_eq!(net.ask(1, register(1))["node_id"], 3);
    assert_eq!(net.ask(1, register(9))["node_id"], 1);
}

#[test]
fn hazard_05_13_one_key_is_one_node_however_it_is_written() {
    let mut net = Net::new(1);
    let mut broken = register(1);
    let text = Key::new(1).text();
    broken["public_key"] = json!(format!("{}\n{}", &text[..8], &text[8..]));
    let answer = net.ask(1, broken.clone());
    assert_eq!((&answer["node_id"], &answer["public_key"]), (&json!(1), &broken["public_key"]));
}

#[test]
fn hazard_05_15_and_03_b16_only_the_administrator_lists_beacons() {
    let mut net = Net::new(1);
    let beacon = json!({"type": "beacon_register", "beacon_id": 7, "addr": "192.0.2.7:9001"});
    assert_eq!(net.ask(1, beacon.clone())["error"], "invalid admin token");
    let mut admin = beacon;
    admin["admin_token"] = json!(ADMIN);
    assert_eq!(net.ask(1, admin)["beacon_id"], 7);
    let list = |net: &mut Net| net.ask(1, json!({"type": "beacon_list"}))["beacons"].take();
    assert_eq!(list(&mut net), json!([{"addr": "192.0.2.7:9001", "id": 7}]));
    net.host.advance(Duration::from_secs(61));
    assert_eq!(list(&mut net), json!([]));
}

/// Proves REG-9.
#[test]
fn hazard_05_31_an_outage_costs_no_name_tags_or_visibility() {
    let mut net = Net::new(1);
    net.name(1, "one");
    net.publish(1, true);
    let before = lookup(&mut net, 1);
    net.host.advance(Duration::from_secs(3600));
    assert_eq!(net.ask(1, register(1))["node_id"], 1);
    assert_eq!(lookup(&mut net, 1), before);
}

#[test]
fn hazard_05_37_many_daemons_behind_one_address_can_all_beat() {
    let mut net = Net::new(100);
    let shared = net.host.open_from("192.0.2.200");
    for n in 1..=100 {
        let beat = signed(n, &format!("heartbeat:{n}"), json!({"type": "heartbeat", "node_id": n}));
        assert_eq!(net.host.ask(shared, beat)["type"], "heartbeat_ok");
    }
}

#[test]
fn heartbeats_may_carry_the_time_they_were_signed_at() {
    let mut net = Net::new(1);
    let now = net.host.unix_micros / 1_000_000;
    let beat = |at: i64| json!({"type": "heartbeat", "node_id": 1, "ts": at});
    assert_eq!(net.sign(1, &format!("heartbeat:1:{now}"), beat(now))["type"], "heartbeat_ok");
    assert_eq!(net.sign(1, "heartbeat:1", beat(now)), failed());
    let old = now - 301;
    let refusal = net.sign(1, &format!("heartbeat:1:{old}"), beat(old));
    assert!(refusal["error"].as_str().unwrap().starts_with("invalid ts"));
}

#[test]
fn a_relay_only_node_is_given_out_at_the_beacon() {
    let relay = "198.51.100.9:9001".parse().unwrap();
    let config = RegistryConfig { relay_address: Some(relay), ..RegistryConfig::default() };
    let mut net = Net::with(Config { registry: config, beacon: None }, 2);
    let mut hidden = register(1);
    hidden["relay_only"] = json!(true);
    hidden["lan_addrs"] = json!(["10.0.0.1:4000"]);
    net.ask(1, hidden);
    net.publish(1, true);
    let answer = net.resolve(2, 1);
    assert_eq!((&answer["real_addr"], &answer["relay_only"]), (&json!("198.51.100.9:9001"), &json!(true)));
    assert_eq!(answer.get("lan_addrs"), None);
}

/// Proves REG-9.
#[test]
fn the_operator_says_after_which_silence_a_node_is_offline() {
    let config = RegistryConfig { stale_after: Duration::from_secs(20), ..RegistryConfig::default() };
    let mut net = Net::with(Config { registry: config, beacon: None }, 2);
    net.publish(1, true);
    net.host.advance(Duration::from_secs(20));
    assert_eq!(net.resolve(2, 1)["real_addr"], "192.0.2.1:4000");
    net.host.advance(Duration::from_secs(1));
    assert_eq!(net.resolve(2, 1)["error"], "node 1: node not found");
    net.beat(1);
    assert_eq!(net.resolve(2, 1)["real_addr"], "192.0.2.1:4000");
}

#[test]
fn the_table_of_nodes_has_an_end() {
    let config = RegistryConfig { max_nodes: 2, ..RegistryConfig::default() };
    let mut net = Net::with(Config { registry: config, beacon: None }, 2);
    assert_eq!(net.ask(1, register(3))["error"], "too many nodes (max 2)");
    assert_eq!(net.ask(1, register(2))["node_id"], 2);
}

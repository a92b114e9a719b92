//! Replays what was captured from the reference's registry: requests, answers, framing, rate limits.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pilot_roles::ConnId;
use pilot_roles::json::{Value, json};
use pilot_roles::rendezvous::{Config, RegistryConfig};

use crate::host::{Host, Key};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../spec/vectors/registry.json")).unwrap()
}

/// Operations this registry does not know: all of them read `request failed`.
const NOT_OFFERED: [&str; 36] = [
    "create_network",
    "delete_network",
    "demote_member",
    "directory_status",
    "directory_sync",
    "get_audit_export",
    "get_audit_log",
    "get_identity",
    "get_idp_config",
    "get_member_role",
    "get_polo_score",
    "get_provision_status",
    "get_webhook",
    "get_webhook_dlq",
    "invite_to_network",
    "join_network",
    "kick_member",
    "leave_network",
    "poll_invites",
    "promote_member",
    "provision_network",
    "rename_network",
    "respond_invite",
    "set_audit_export",
    "set_external_id",
    "set_identity_webhook",
    "set_idp_config",
    "set_key_expiry",
    "set_network_enterprise",
    "set_network_policy",
    "set_polo_score",
    "set_webhook",
    "transfer_ownership",
    "update_polo_score",
    "validate_token",
    "get_expr_policy",
];

/// Answers that rest on operations that are not offered: networks, key expiry, external ids.
const RESTS_ON_NOT_OFFERED: [&str; 13] = [
    "network-155",
    "network-166",
    "network-170",
    "network-171",
    "network-182",
    "enterprise-237",
    "enterprise-239",
    "key_expiry-241",
    "key_expiry-245",
    "key_expiry-246",
    "admin-259",
    "deregister-301",
    "restart-316",
];

/// Where we do better: the pair and the answer we give instead (`null`: the pair is not sent).
fn better() -> BTreeMap<&'static str, Value> {
    let refused = json!({"error": "request failed", "type": "error"});
    let unknown_name = json!({"error": "hostname \"bob-host\" not found", "type": "error"});
    BTreeMap::from([
        // A requester that the connection has not signed for is nobody.
        ("resolve-091", unknown_name),
        // Punching asks for the same permission as resolving.
        ("resolve-094", refused.clone()),
        ("resolve-095", refused.clone()),
        // An approval that nobody asked for is half a trust.
        ("handshake-129", json!({"trusted": false, "type": "check_trust_ok"})),
        // The same e-mail with another key is another node, and an old key does not open a new record.
        ("deregister-306", Value::Null),
        ("deregister-307", Value::Null),
        ("deregister-308", Value::Null),
    ])
}

fn config() -> Config {
    let registry = RegistryConfig {
        admin_token: Some("vector-admin-token".to_owned()),
        open_beacon_list: true,
        ..RegistryConfig::default()
    };
    Config { registry, beacon: None }
}

/// A value at a JSON pointer is compared by type only.
fn blur(answer: &mut Value, pointers: &[Value]) {
    for pointer in pointers {
        let Some(value) = answer.pointer_mut(pointer.as_str().unwrap()) else { continue };
        *value = match &*value {
            Value::Number(_) => json!("<number>"),
            Value::String(_) => json!("<string>"),
            other => other.clone(),
        };
    }
}

struct Replay {
    host: Host,
    conns: BTreeMap<String, ConnId>,
    identities: Value,
}

impl Replay {
    fn new(host: Host) -> Self {
        Replay { host, conns: BTreeMap::new(), identities: vectors()["identities"].clone() }
    }

    fn ask(&mut self, ip: &str, request: Value) -> Value {
        self.host.advance(Duration::from_millis(200));
        let conn = *self.conns.entry(ip.to_owned()).or_insert_with(|| self.host.open_from(ip));
        let answer = self.host.ask(conn, request);
        if self.host.peers[&conn].closed {
            self.conns.remove(ip);
        }
        answer
    }

    fn signed(&mut self, ip: &str, who: &str, text: &str, mut request: Value) {
        let seed = hex::decode(self.identities[who]["seed_hex"].as_str().unwrap()).unwrap();
        request["signature"] = Key::new(seed[0]).sign(text).into();
        let answer = self.ask(ip, request);
        assert!(answer.get("error").is_none(), "{text}: {answer}");
    }

    /// What the reference does by itself and we only with proof.
    fn before(&mut self, id: &str, request: &mut Value) {
        match id {
            // Its signature is not one; the reference does not look.
            "register-004" => drop(request.as_object_mut().unwrap().remove("signature")),
            // The reference gives the node to another key for its e-mail; here the old key hands it over.
            "recovery-025" => {
                let new = self.identities["alice2"]["public_key"].clone();
                let rotate = json!({"type": "rotate_key", "node_id": 1, "new_public_key": new});
                self.signed("127.0.0.1", "alice", "rotate:1", rotate);
            }
            // A live node that comes from a new address proves its key there before it may take a name.
            "recovery-029" => {
                let beat = json!({"type": "heartbeat", "node_id": 1});
                self.signed("127.0.0.3", "alice2", "heartbeat:1", beat);
            }
            // Trust takes two.
            "trust-105" => {
                let report = json!({"type": "report_trust", "node_id": 2, "peer_id": 1});
                self.signed("127.0.0.1", "bob", "report_trust:2:1", report);
            }
            "deregister-296" => {
                let report = json!({"type": "report_trust", "node_id": 3, "peer_id": 2});
                self.signed("127.0.0.1", "carol", "report_trust:3:2", report);
            }
            _ => {}
        }
    }

    /// Replays pairs in order; says which got the captured answer or our better one.
    fn run(&mut self, pairs: &[Value]) -> BTreeSet<String> {
        let mut replayed = BTreeSet::new();
        for pair in pairs {
            let (id, ip) = (pair["id"].as_str().unwrap(), pair["source_ip"].as_str().unwrap());
            let mut request = pair["request"].clone();
            let operation = request["type"].as_str().unwrap_or_default();
            let expected = better().remove(id);
            if expected == Some(Value::Null) || RESTS_ON_NOT_OFFERED.contains(&id) {
                continue;
            }
            if NOT_OFFERED.contains(&operation) {
                let refused = json!({"error": "request failed", "type": "error"});
                assert_eq!(self.ask(ip, request), refused, "{id}");
                continue;
            }
            self.before(id, &mut request);
            let mut answer = self.ask(ip, request);
            let mut expected = expected.unwrap_or_else(|| pair["response"].clone());
            let mut volatile = pair["volatile"].as_array().cloned().unwrap_or_default();
            match id {
                // We rotated once more, above.
                "rotate_key-039" => volatile.push(json!("/rotate_count")),
                // Scores and external ids are not offered.
                "network-168" => volatile.push(json!("/nodes/0/polo_score")),
                _ => {}
            }
            if pair["unordered"] == json!(["/nodes"]) {
                let by_id = |node: &Value| node["node_id"].as_u64();
                expected["nodes"].as_array_mut().unwrap().sort_by_key(by_id);
            }
            for pointer in ["/time", "/created_at", "/rotated_at"] {
                volatile.push(json!(pointer));
            }
            for list in ["requests", "responses"] {
                volatile.extend((0..2).map(|at| json!(format!("/{list}/{at}/timestamp"))));
            }
            blur(&mut answer, &volatile);
            blur(&mut expected, &volatile);
            assert_eq!(answer, expected, "{id}: {}", pair["desc"]);
            replayed.insert(id.to_owned());
        }
        replayed
    }
}

/// Proves REG-3.
#[test]
fn the_captured_pairs_get_the_captured_answers() {
    let vectors = vectors();
    let of = |server: &str| -> Vec<Value> {
        let pairs = vectors["pairs"].as_array().unwrap().iter();
        pairs.filter(|pair| pair["server"] == server).cloned().collect()
    };
    let mut replay = Replay::new(Host::new(config()));
    let mut replayed = replay.run(&of("A"));
    let mut restarted = Replay::new(Host::load(config(), replay.host.stored).unwrap());
    replayed.extend(restarted.run(&of("A-restarted")));
    let mut no_admin = Replay::new(Host::new(Config::default()));
    replayed.extend(no_admin.run(&of("B")));
    assert_eq!(replayed.len(), 164);
}

/// Proves REG-1 and REG-2.
#[test]
fn the_captured_framing_cases_get_the_captured_bytes() {
    for case in vectors()["framing"].as_array().unwrap() {
        let mut host = Host::new(config());
        let conn = host.open_from("127.0.0.1");
        for part in case["send_hex"].as_array().unwrap() {
            let bytes = match part.as_str() {
                Some(text) => hex::decode(text).unwrap(),
                None => {
                    let mut bytes = hex::decode(part["prefix_hex"].as_str().unwrap()).unwrap();
                    bytes.resize(part["total_len"].as_u64().unwrap() as usize, b' ');
                    bytes
                }
            };
            host.bytes(conn, &bytes);
        }
        let peer = &host.peers[&conn];
        assert_eq!(hex::encode(&peer.received), case["recv_hex"].as_str().unwrap(), "{}", case["desc"]);
        assert_eq!(json!(peer.closed), case["closed_by_server"], "{}", case["desc"]);
    }
}

fn register(byte: u8) -> Value {
    json!({"type": "register", "listen_addr": ":4000", "public_key": Key::new(byte).text()})
}

fn refused_at(host: &mut Host, conn: ConnId, times: usize, request: &Value) -> Option<(usize, Value)> {
    (0..times).find_map(|at| {
        let error = host.ask(conn, request.clone())["error"].take();
        error.as_str().is_some_and(|text| text.starts_with("rate limited")).then_some((at, error))
    })
}

/// Proves REG-15.
#[test]
fn the_captured_rate_limits_hold() {
    let vectors = vectors();
    let captured = |at: usize, name: &str| vectors["rate_limits"][at][name].clone();
    let mut host = Host::new(config());
    let conn = host.open_from("127.0.0.20");
    let errors: Vec<Value> = (1..=12).map(|byte| host.ask(conn, register(byte))["error"].take()).collect();
    assert_eq!(json!(errors), captured(0, "errors"));
    assert_eq!(host.ask(conn, register(1))["type"], "register_ok");
    let other = host.open_from("127.0.0.21");
    assert_eq!(host.ask(other, register(13))["type"], "register_ok");
    host.advance(Duration::from_millis(12_200));
    assert_eq!(host.ask(conn, register(11))["type"], "register_ok");

    for at in [4, 5, 8, 9, 10] {
        let mut request = captured(at, "request");
        if request["type"] == "heartbeat" {
            request["signature"] = Key::new(1).sign("heartbeat:1").into();
        }
        let sent = captured(at, "sent").as_u64().unwrap() as usize;
        // The capture took time, in which the bucket of 500 refilled a little; ours takes none.
        let first = captured(at, "first_refused_index").as_u64().map(|at| (at as usize).min(500));
        let refusal = refused_at(&mut host, conn, sent, &request);
        assert_eq!(refusal, first.map(|first| (first, captured(at, "error"))), "{request}");
    }
}

//! Crashes: what was promised survives, what was not promised was not told.

use std::time::Duration;

use pilot_roles::json::{Value, json};
use pilot_roles::rendezvous::{Config, LoadError};
use pilot_roles::{ConnId, Input};

use crate::host::{Host, Key, Records};

fn signed(key: u8, text: &str, mut request: Value) -> Value {
    request["signature"] = Key::new(key).sign(text).into();
    request
}

fn register(key: u8) -> Value {
    json!({"type": "register", "listen_addr": ":4000", "public_key": Key::new(key).text()})
}

/// Requests that change what must survive, by node 1 (key 1) about node 2 (key 2).
fn changes() -> [Value; 8] {
    [
        register(3),
        signed(1, "set_hostname:1", json!({"type": "set_hostname", "node_id": 1, "hostname": "one"})),
        signed(1, "set_visibility:1", json!({"type": "set_visibility", "node_id": 1, "public": true})),
        signed(1, "set_tags:1", json!({"type": "set_tags", "node_id": 1, "tags": ["gpu"]})),
        signed(1, "handshake:1:2", json!({"type": "request_handshake", "from_node_id": 1, "to_node_id": 2})),
        signed(
            1,
            "respond:1:2",
            json!({"type": "respond_handshake", "node_id": 1, "peer_id": 2, "accept": true}),
        ),
        signed(
            1,
            "rotate:1",
            json!({"type": "rotate_key", "node_id": 1, "new_public_key": Key::new(9).text()}),
        ),
        signed(1, "deregister:1", json!({"type": "deregister", "node_id": 1})),
    ]
}

fn two_nodes() -> (Host, ConnId) {
    let mut host = Host::new(Config::default());
    let conn = host.open_from("192.0.2.1");
    for key in [1, 2] {
        assert_eq!(host.ask(conn, register(key))["node_id"], key);
    }
    (host, conn)
}

/// Proves REG-4.
#[test]
fn no_answer_before_the_change_is_durable() {
    for change in changes() {
        let (mut host, conn) = two_nodes();
        host.auto_store = false;
        host.post(conn, &change);
        assert_eq!(host.answers(conn), Vec::<Value>::new(), "{change}");
        host.commit();
        let answers = host.answers(conn);
        assert_eq!(answers.len(), 1, "{change}");
        assert_eq!(answers[0].get("error"), None, "{change}");
    }
}

#[test]
fn nobody_learns_what_is_not_durable_and_answers_keep_their_order() {
    let (mut host, conn) = two_nodes();
    let other = host.open_from("192.0.2.2");
    let lookup = json!({"type": "lookup", "node_id": 1});
    host.auto_store = false;
    host.post(conn, &changes()[2]);
    host.post(conn, &lookup);
    host.post(other, &lookup);
    assert_eq!((host.answers(conn).len(), host.answers(other).len()), (0, 0));
    host.commit();
    let answers = host.answers(conn);
    assert_eq!(answers[0]["visibility"], "public");
    assert_eq!(answers[1]["public"], true);
    assert_eq!(host.answers(other)[0]["public"], true);
}

#[test]
fn a_crash_loses_only_what_was_not_answered() {
    for change in changes() {
        let (mut host, conn) = two_nodes();
        let before = host.stored.clone();
        host.auto_store = false;
        host.post(conn, &change);
        let after_crash = Host::load(Config::default(), host.stored.clone()).unwrap();
        assert_eq!(after_crash.stored, before, "{change}");
    }
}

#[test]
fn a_reload_knows_everything_again() {
    let (mut host, conn) = two_nodes();
    for change in &changes()[..6] {
        assert_eq!(host.ask(conn, change.clone()).get("error"), None);
    }
    let questions = [
        json!({"type": "lookup", "node_id": 1}),
        json!({"type": "resolve_hostname", "hostname": "one"}),
        json!({"type": "check_trust", "node_id": 1, "peer_id": 2}),
        json!({"type": "list_networks"}),
        register(1),
        register(4),
        signed(2, "poll_handshakes:2", json!({"type": "poll_handshakes", "node_id": 2})),
    ];
    let mut again = Host::load(Config::default(), host.stored.clone()).unwrap();
    let conn_again = again.open_from("192.0.2.1");
    for question in questions {
        assert_eq!(again.ask(conn_again, question.clone()), host.ask(conn, question.clone()), "{question}");
    }
}

#[test]
fn a_failed_store_refuses_and_ends() {
    let (mut host, conn) = two_nodes();
    host.auto_store = false;
    host.post(conn, &changes()[1]);
    let (ticket, _) = host.pending.pop_front().unwrap();
    host.input(Input::Stored { ticket, result: Err("disk full".to_owned()) });
    assert_eq!(host.answers(conn), [json!({"error": "request failed", "type": "error"})]);
    assert!(host.peers[&conn].closed);
    assert_eq!(host.exit, Some(1));
    let mut again = Host::load(Config::default(), host.stored.clone()).unwrap();
    let conn = again.open_from("192.0.2.1");
    assert_eq!(again.ask(conn, json!({"type": "lookup", "node_id": 1})).get("hostname"), None);
}

#[test]
fn heartbeats_write_nothing() {
    let (mut host, conn) = two_nodes();
    host.auto_store = false;
    let beat = signed(1, "heartbeat:1", json!({"type": "heartbeat", "node_id": 1}));
    assert_eq!(host.ask(conn, beat)["type"], "heartbeat_ok");
    assert!(host.pending.is_empty());
}

#[test]
fn hazard_05_25_a_corrupt_store_is_an_error_that_names_the_record() {
    let (host, _) = two_nodes();
    let damage = |change: &dyn Fn(&mut Records)| {
        let mut stored = host.stored.clone();
        change(&mut stored);
        Host::load(Config::default(), stored).err()
    };
    let node_1 = ("nodes".to_owned(), vec![0, 0, 0, 1]);
    assert_eq!(damage(&|_| {}), None);
    assert_eq!(
        damage(&|stored| stored.get_mut(&node_1).unwrap().truncate(20)),
        Some(LoadError::Corrupt { table: "nodes".to_owned(), key: "00000001".to_owned() })
    );
    assert_eq!(
        damage(&|stored| drop(stored.insert(("nodes".to_owned(), vec![1]), b"{}".to_vec()))),
        Some(LoadError::Corrupt { table: "nodes".to_owned(), key: "01".to_owned() })
    );
    assert_eq!(
        damage(&|stored| drop(stored.insert(("elsewhere".to_owned(), vec![]), vec![]))),
        Some(LoadError::UnknownTable { table: "elsewhere".to_owned() })
    );
    assert!(matches!(
        damage(&|stored| stored.retain(|(table, _), _| table != "keys")),
        Some(LoadError::Inconsistent { table: "nodes", .. })
    ));
    assert!(matches!(
        damage(&|stored| stored.retain(|(table, _), _| table != "registry")),
        Some(LoadError::Inconsistent { table: "keys", .. })
    ));
}

#[test]
fn hazard_05_32_after_a_restart_every_node_has_time_to_show_itself() {
    let (mut host, conn) = two_nodes();
    assert_eq!(host.ask(conn, changes()[2].clone())["visibility"], "public");
    let mut again = Host::load(Config::default(), host.stored.clone()).unwrap();
    again.advance(Duration::from_secs(170));
    let conn = again.open_from("192.0.2.1");
    let resolve = signed(2, "resolve:2:1", json!({"type": "resolve", "node_id": 1, "requester_id": 2}));
    assert_eq!(again.ask(conn, resolve.clone())["real_addr"], "192.0.2.1:4000");
    again.advance(Duration::from_secs(20));
    assert_eq!(again.ask(conn, resolve)["error"], "node 1: node not found");
}

#[test]
fn hazard_05_29_an_answer_that_never_left_is_polled_again() {
    let (mut host, conn) = two_nodes();
    assert_eq!(host.ask(conn, changes()[4].clone())["status"], "delivered");
    let poll = signed(2, "poll_handshakes:2", json!({"type": "poll_handshakes", "node_id": 2}));
    let requests = |answer: &Value| answer["requests"].as_array().unwrap().len();

    // The other side breaks off before our system took the answer.
    host.auto_sent = false;
    let broken = host.open_from("192.0.2.2");
    host.post(broken, &poll);
    // Meanwhile another poll does not get the same message twice.
    let second = host.open_from("192.0.2.2");
    assert_eq!(requests(&host.ask(second, poll.clone())), 0);
    host.close(broken);
    assert_eq!(requests(&host.ask(second, poll.clone())), 1);

    // Once taken, it is gone for good, after a restart too.
    let bytes = host.peers[&second].unsent;
    host.input(Input::Sent { conn: second, bytes });
    assert_eq!(requests(&host.ask(second, poll.clone())), 0);
    let mut again = Host::load(Config::default(), host.stored.clone()).unwrap();
    let conn = again.open_from("192.0.2.2");
    assert_eq!(requests(&again.ask(conn, poll)), 0);
}

#[test]
fn nodes_that_are_gone_for_good_are_forgotten_and_the_others_kept() {
    const DAY: Duration = Duration::from_secs(86_400);
    let (mut host, conn) = two_nodes();
    for change in &changes()[..6] {
        assert_eq!(host.ask(conn, change.clone()).get("error"), None);
    }
    let leave = signed(3, "deregister:3", json!({"type": "deregister", "node_id": 3}));
    assert_eq!(host.ask(conn, leave)["type"], "deregister_ok");
    let beat = signed(2, "heartbeat:2", json!({"type": "heartbeat", "node_id": 2}));
    for _ in 0..89 {
        host.advance(DAY);
        let conn = host.open_from("192.0.2.2");
        assert_eq!(host.ask(conn, beat.clone())["type"], "heartbeat_ok");
    }
    let known = |host: &mut Host| {
        let conn = host.open_from("192.0.2.2");
        [1, 2].map(|id| host.ask(conn, json!({"type": "lookup", "node_id": id})).get("error").is_none())
    };
    assert_eq!(known(&mut host), [true, true]);
    // A restart in between forgets no sign of life.
    let then = host.unix_micros;
    let mut host = Host::load(Config::default(), host.stored).unwrap();
    host.unix_micros = then;
    host.advance(DAY);
    host.advance(DAY);
    assert_eq!(known(&mut host), [false, true]);
    let conn = host.open_from("192.0.2.2");
    assert_eq!(
        host.ask(conn, json!({"type": "resolve_hostname", "hostname": "one"}))["error"],
        "hostname \"one\" not found"
    );
    assert!(host.stored.keys().all(|(table, _)| ["nodes", "keys", "registry"].contains(&table.as_str())));
    assert_eq!(host.stored.len(), 3);
    // Ids are never given to another key.
    assert_eq!(host.ask(conn, register(3))["node_id"], 4);
}

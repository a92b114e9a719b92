//! Daemons and a rendezvous on a simulated network: what operators and local programs see.

mod world;

use std::collections::BTreeSet;

use pilot_proto::{Addr, SockAddr, port, time::Duration};
use pilot_roles::{
    daemon::DaemonConfig,
    ipc::{HandshakeRequest, JsonKind, Reply, Request},
    json::Value,
    services::{data_exchange::Frame, event_stream},
};

use world::{LAN, World};

const SECOND: Duration = Duration::from_secs(1);

fn at(node: u32, port: u16) -> SockAddr {
    SockAddr::new(Addr::backbone(node), port)
}

fn public(config: &mut DaemonConfig) {
    config.public = true;
}

/// What most tests ask of a world.
trait Ask {
    fn json(&mut self, program: usize, request: &Request<'_>, kind: JsonKind) -> Result<Value, String>;
    fn dial(&mut self, program: usize, to: SockAddr, limit: Duration) -> Result<u32, String>;
    fn receive(&mut self, program: usize, id: u32, bytes: usize) -> Vec<u8>;
}

impl Ask for World {
    fn json(&mut self, program: usize, request: &Request<'_>, kind: JsonKind) -> Result<Value, String> {
        self.say(program, request);
        self.hear(program, 20 * SECOND, |reply| match reply {
            Reply::Json { kind: k, json } if *k == kind => Some(Ok(serde_json::from_slice(json).unwrap())),
            Reply::Error { text, .. } => Some(Err(text.clone().into_owned())),
            _ => None,
        })
        .expect("an answer")
    }

    fn dial(&mut self, program: usize, to: SockAddr, limit: Duration) -> Result<u32, String> {
        self.say(program, &Request::Dial { to });
        self.hear(program, limit, |reply| match reply {
            Reply::DialOk { id } => Some(Ok(*id)),
            Reply::Error { text, .. } => Some(Err(text.clone().into_owned())),
            _ => None,
        })
        .unwrap_or(Err("no answer".into()))
    }

    fn receive(&mut self, program: usize, id: u32, bytes: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < bytes {
            let more = self.hear(program, 20 * SECOND, |reply| match reply {
                Reply::Recv { id: i, data } if *i == id => Some(data.to_vec()),
                _ => None,
            });
            received.extend(more.unwrap_or_else(|| panic!("{} of {bytes} bytes", received.len())));
        }
        received
    }
}

fn status(program: usize, world: &mut World, request: HandshakeRequest<'_>) -> Result<Value, String> {
    world.json(program, &Request::Handshake(request), JsonKind::Handshake)
}

#[test]
fn two_public_daemons_echo() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    // Nothing else goes on: the dial alone must set everything in motion.
    world.rest(Duration::from_millis(2345));
    let before = world.now;
    let id = world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    let took = world.now.since(before);
    assert!(took < Duration::from_millis(20), "first contact took {took:?}");
    world.say(program, &Request::Send { id, data: b"ping-0" });
    assert_eq!(world.receive(program, id, 6), b"ping-0");
    world.say(program, &Request::Close { id });
    assert_eq!(world.hear(program, SECOND, |r| matches!(r, Reply::CloseOk { .. }).then_some(())), Some(()));
    let refused = world.dial(program, at(2, 4711), SECOND);
    assert_eq!(refused, Err("connection refused".into()));
    let unknown = world.dial(program, at(9, 7), SECOND);
    assert_eq!(unknown, Err("resolve node 9: registry: node 9: node not found".into()));
}

#[test]
fn two_daemons_in_one_local_network_meet_there_at_once() {
    let mut world = World::new();
    let local = |config: &mut DaemonConfig| {
        config.public = true;
        config.lan_addrs = vec![LAN];
    };
    let (a, b) = (world.daemon(1, local), world.daemon(2, local));
    let program = world.program_at(a);
    world.ready(b);
    let before = world.now;
    world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    let took = world.now.since(before);
    assert!(took < Duration::from_millis(20), "first contact took {took:?}");
    let info = world.json(program, &Request::Info, JsonKind::Info).unwrap();
    assert_eq!(info["peer_list"][0]["endpoint"], "192.168.1.5:4002");
}

/// Everything is said before anything is read.
#[test]
fn hazard_04_4_megabytes_come_back_from_the_echo() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    let id = world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    let data: Vec<u8> = (0..=250).cycle().take(9_000_000).collect();
    for part in data.chunks(500_000) {
        world.say(program, &Request::Send { id, data: part });
    }
    assert!(world.receive(program, id, data.len()) == data);
}

#[test]
fn bulk_data_passes_between_programs_and_ends_cleanly() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let (sender, receiver) = (world.program_at(a), world.program_at(b));
    world.say(receiver, &Request::Bind { port: 5000 });
    let id = world.dial(sender, at(2, 5000), SECOND).unwrap();
    let data: Vec<u8> = (0..=250).cycle().take(3_000_000).collect();
    for part in data.chunks(500_000) {
        world.say(sender, &Request::Send { id, data: part });
    }
    world.say(sender, &Request::Close { id });
    world.leave(sender);
    let accepted = world.hear(receiver, SECOND, |reply| match reply {
        Reply::Accept { local_port: 5000, id, remote } if remote.addr == Addr::backbone(1) => Some(*id),
        _ => None,
    });
    let accepted = accepted.unwrap();
    assert!(world.receive(receiver, accepted, data.len()) == data);
    let ended = world.hear(receiver, SECOND, |r| matches!(r, Reply::CloseOk { .. }).then_some(()));
    assert_eq!(ended, Some(()));
}

#[test]
fn two_private_nodes_become_acquainted_within_seconds() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, |_| {}), world.daemon(2, |c| c.hostname = "bob".into()));
    let (alice, bob) = (world.program_at(a), world.program_at(b));
    let denied = world.dial(alice, at(2, port::ECHO), SECOND);
    assert_eq!(denied, Err("resolve node 2: registry: request failed".into()));

    let asked = world.now;
    let request = HandshakeRequest::Request { node: 2, justification: "work".into() };
    assert_eq!(status(alice, &mut world, request).unwrap()["status"], "sent");
    let pending =
        |world: &mut World| status(bob, world, HandshakeRequest::Pending).unwrap()["pending"].clone();
    while pending(&mut world) == Value::Array(Vec::new()) {
        world.rest(Duration::from_millis(20));
    }
    assert!(world.now.since(asked) < SECOND, "seen after {:?}", world.now.since(asked));
    assert_eq!(pending(&mut world)[0]["justification"], "work");

    let approved = world.now;
    assert_eq!(status(bob, &mut world, HandshakeRequest::Approve { node: 1 }).unwrap()["status"], "approved");
    let wait = HandshakeRequest::Wait { node: 2, timeout_ms: 10_000 };
    assert_eq!(status(alice, &mut world, wait).unwrap()["trusted"], true);
    let id = world.dial(alice, at(2, port::ECHO), 3 * SECOND).unwrap();
    assert!(world.now.since(approved) < 3 * SECOND, "usable after {:?}", world.now.since(approved));
    world.say(alice, &Request::Send { id, data: b"hello" });
    assert_eq!(world.receive(alice, id, 5), b"hello");

    // Hazard 07-16: with trust, a private node is found by name.
    let name = Request::ResolveHostname { name: "bob".into() };
    assert_eq!(world.json(alice, &name, JsonKind::ResolveHostname).unwrap()["node_id"], 2);

    let trusted = status(alice, &mut world, HandshakeRequest::Trusted).unwrap();
    assert_eq!(trusted["trusted"][0]["node_id"], 2);
    assert!(!trusted["trusted"][0]["public_key"].as_str().unwrap().is_empty());
    let file = String::from_utf8(world.files(a)["trust.json"].clone()).unwrap();
    assert!(file.contains("\"node_id\": 2"), "{file}");

    // Revocation reaches the other side and stays (TRU-10, TRU-12).
    assert_eq!(status(bob, &mut world, HandshakeRequest::Revoke { node: 1 }).unwrap()["status"], "revoked");
    world.rest(40 * SECOND);
    for program in [alice, bob] {
        let trusted = status(program, &mut world, HandshakeRequest::Trusted).unwrap();
        assert_eq!(trusted["trusted"], Value::Array(Vec::new()));
    }
    let again = status(bob, &mut world, HandshakeRequest::Revoke { node: 1 });
    assert_eq!(again, Err("handshake revoke: node 1 was not trusted".into()));
}

#[test]
fn a_message_is_acknowledged_when_it_is_in_the_inbox() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    let id = world.dial(program, at(2, port::DATA_EXCHANGE), SECOND).unwrap();
    let frame = Frame::message(1, b"hello").unwrap().to_bytes();
    world.say(program, &Request::Send { id, data: &frame });
    let answer = world.receive(program, id, 8 + 16);
    assert_eq!(&answer[8..], b"ACK TEXT 5 bytes");
    let (name, content) = world.files(b).iter().find(|(name, _)| name.starts_with("TEXT-")).unwrap();
    assert!(name.ends_with(".json"));
    let message: Value = serde_json::from_slice(content).unwrap();
    assert_eq!((&message["from"], &message["data"]), (&"0:0000.0000.0001".into(), &"hello".into()));
}

#[test]
fn events_reach_a_subscriber_on_another_node() {
    let mut world = World::new();
    let (a, b, c) = (world.daemon(1, public), world.daemon(2, public), world.daemon(3, public));
    let (subscriber, publisher) = (world.program_at(a), world.program_at(c));
    world.ready(b);
    let event = |payload: &[u8]| event_stream::encode(b"topic", payload).unwrap();
    let inbound = world.dial(subscriber, at(2, port::EVENT_STREAM), SECOND).unwrap();
    world.say(subscriber, &Request::Send { id: inbound, data: &event(b"") });
    world.rest(SECOND);
    let outbound = world.dial(publisher, at(2, port::EVENT_STREAM), SECOND).unwrap();
    let sent = [event(b"one"), event(b"two")].concat();
    world.say(publisher, &Request::Send { id: outbound, data: &[event(b""), sent.clone()].concat() });
    world.say(publisher, &Request::Close { id: outbound });
    assert_eq!(world.receive(subscriber, inbound, sent.len()), sent);
}

#[test]
fn datagrams_reach_every_program_of_the_other_node() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let (alice, bob) = (world.program_at(a), world.program_at(b));
    world.say(alice, &Request::SendTo { to: at(2, 6000), data: b"datagram" });
    let heard = world.hear(bob, 2 * SECOND, |reply| match reply {
        Reply::RecvFrom { from, to_port: 6000, data: b"datagram" } => Some(from.addr),
        _ => None,
    });
    assert_eq!(heard, Some(Addr::backbone(1)));
    world.say(alice, &Request::SendTo { to: SockAddr::new(Addr::broadcast(0), 1), data: b"x" });
    let error = world.hear(alice, SECOND, |reply| match reply {
        Reply::Error { text, .. } => Some(text.clone().into_owned()),
        _ => None,
    });
    assert_eq!(error.unwrap(), "sendto: broadcast on backbone network is not permitted");
}

#[test]
fn hazard_14_1_after_a_restart_of_either_side_the_next_message_arrives_within_two_seconds() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    let b = world.restart(b, 2, public);
    world.ready(b);
    let before = world.now;
    let id = world.dial(program, at(2, port::ECHO), 5 * SECOND).unwrap();
    world.say(program, &Request::Send { id, data: b"again" });
    assert_eq!(world.receive(program, id, 5), b"again");
    assert!(world.now.since(before) < 2 * SECOND, "{:?}", world.now.since(before));

    let a = world.restart(a, 1, public);
    let program = world.program_at(a);
    let before = world.now;
    let id = world.dial(program, at(2, port::ECHO), 5 * SECOND).unwrap();
    world.say(program, &Request::Send { id, data: b"again" });
    assert_eq!(world.receive(program, id, 5), b"again");
    assert!(world.now.since(before) < 2 * SECOND, "{:?}", world.now.since(before));
}

#[test]
fn trust_survives_a_restart() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, |_| {}), world.daemon(2, |c| c.trust_auto_approve = true));
    let alice = world.program_at(a);
    world.ready(b);
    let request = HandshakeRequest::Request { node: 2, justification: "".into() };
    status(alice, &mut world, request).unwrap();
    let wait = || HandshakeRequest::Wait { node: 2, timeout_ms: 10_000 };
    assert_eq!(status(alice, &mut world, wait()).unwrap()["trusted"], true);
    let a = world.restart(a, 1, |_| {});
    let alice = world.program_at(a);
    assert_eq!(status(alice, &mut world, wait()).unwrap()["trusted"], true);
    world.dial(alice, at(2, port::ECHO), 3 * SECOND).unwrap();
}

#[test]
fn info_has_every_key_of_the_released_daemons() {
    let mut world = World::new();
    let a = world.daemon(1, |config| config.hostname = "agent-a".into());
    let program = world.program_at(a);
    world.rest(SECOND);
    let info = world.json(program, &Request::Info, JsonKind::Info).unwrap();
    let vectors: Value = serde_json::from_str(include_str!("../../spec/vectors/ipc.json")).unwrap();
    let first = vectors["exchanges"][0]["steps"][1]["json"].as_str().unwrap();
    let expected: Value = serde_json::from_str(first).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let missing: Vec<_> = keys(&expected).difference(&keys(&info)).cloned().collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (key, value) in [("address", "0:0000.0000.0001"), ("hostname", "agent-a"), ("email", "1@example.com")]
    {
        assert_eq!(info[key], value);
    }
    assert_eq!(info["public_key"], "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=");
    let health = world.json(program, &Request::Health, JsonKind::Health).unwrap();
    assert_eq!(health["status"], "ok");
}

#[test]
fn a_connection_that_its_client_has_closed_is_not_listed_without_a_number() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    let kept = world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    let closed = world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    world.say(program, &Request::Close { id: closed });
    world.rest(SECOND / 10);
    let info = world.json(program, &Request::Info, JsonKind::Info).unwrap();
    let listed: Vec<_> =
        info["conn_list"].as_array().unwrap().iter().map(|conn| conn["id"].clone()).collect();
    assert_eq!(listed, [kept]);
}

#[test]
fn settings_change_through_the_registry_and_errors_keep_their_words() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let (alice, bob) = (world.program_at(a), world.program_at(b));
    let name = |name: &'static str| Request::SetHostname { name: name.into() };
    assert_eq!(world.json(alice, &name("alice"), JsonKind::SetHostname).unwrap()["hostname"], "alice");
    assert_eq!(world.json(alice, &Request::Info, JsonKind::Info).unwrap()["hostname"], "alice");
    let taken = world.json(bob, &name("alice"), JsonKind::SetHostname);
    assert_eq!(taken, Err("set_hostname: registry: hostname \"alice\" already in use by node 1".into()));
    let hidden = Request::SetVisibility { public: false };
    assert_eq!(world.json(bob, &hidden, JsonKind::SetVisibility).unwrap()["visibility"], "private");
    let refused = world.dial(alice, at(2, port::ECHO), 2 * SECOND);
    assert!(refused.is_err(), "a private node lets a stranger in");
    let webhook = Request::SetWebhook { url: "http://hook/".into() };
    assert_eq!(world.json(alice, &webhook, JsonKind::SetWebhook).unwrap()["webhook"], "http://hook/");
}

#[test]
fn a_shutdown_ends_streams_and_exits_with_zero() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    let id = world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    world.shut_down(b);
    assert!(world.run(SECOND, |world| world.exit_status(b) == Some(0)));
    let ended =
        world.hear(program, SECOND, |r| matches!(r, Reply::CloseOk { id: i } if *i == id).then_some(()));
    assert_eq!(ended, Some(()));
}

#[test]
fn the_operator_is_told() {
    let mut world = World::new();
    let a = world.daemon(1, |config| config.webhook = "http://hook/".into());
    world.ready(a);
    let first: Value = serde_json::from_str(&world.posts[0]).unwrap();
    assert_eq!((&first["event"], &first["event_id"]), (&"node.registered".into(), &1.into()));
    assert_eq!(first["data"]["endpoint"], "203.0.113.1:4000");
}

#[test]
fn an_idle_daemon_is_silent_but_for_its_heartbeat_and_the_beacon() {
    let mut world = World::new();
    let (a, b) = (world.daemon(1, public), world.daemon(2, public));
    let program = world.program_at(a);
    world.ready(b);
    let id = world.dial(program, at(2, port::ECHO), SECOND).unwrap();
    world.say(program, &Request::Close { id });
    world.rest(30 * SECOND);
    let before = world.datagrams;
    world.rest(60 * SECOND);
    assert!(world.datagrams - before < 40, "{} datagrams in a minute", world.datagrams - before);
}

#[test]
fn the_same_world_happens_the_same_way_twice() {
    let story = || {
        let mut world = World::new();
        let (a, b) = (world.daemon(1, public), world.daemon(2, public));
        let program = world.program_at(a);
        world.ready(b);
        let mut counter = 0u32;
        world.cut = Box::new(move |_, _| {
            counter += 1;
            counter.is_multiple_of(17)
        });
        let id = world.dial(program, at(2, port::ECHO), 5 * SECOND).unwrap();
        world.say(program, &Request::Send { id, data: &[7; 50_000] });
        world.receive(program, id, 50_000);
        let info = world.json(program, &Request::Info, JsonKind::Info).unwrap();
        (world.now, world.datagrams, info.to_string())
    };
    assert_eq!(story(), story());
}

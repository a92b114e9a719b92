//! The rendezvous under sequences of requests and datagrams, and its store under any records.

use std::net::SocketAddr;

use arbitrary::{Arbitrary, Unstructured};
use pilot_proto::{
    base64,
    crypto::{Crypto, Ed25519Seed},
    time::Duration,
    wire::beacon::{Beacon, NodeList},
};
use pilot_roles::{
    ConnId, Listener,
    frames::{FrameReader, frame},
    json::{self, Value, json},
    rendezvous::{BeaconConfig, Config, RegistryConfig, Rendezvous},
};
use pilot_sim::NullCrypto;

use crate::host::{Host, Records, Said};

const ADMIN: &str = "token";
/// Keys, and so nodes at most, in a sequence.
const KEYS: u8 = 6;

pub(crate) fn config() -> Config {
    let registry = RegistryConfig {
        admin_token: Some(ADMIN.to_owned()),
        max_connections: 64,
        ..RegistryConfig::default()
    };
    Config { registry, beacon: Some(BeaconConfig { max_nodes: 64, ..BeaconConfig::default() }) }
}

pub(crate) fn load(records: Records) -> Rendezvous<NullCrypto> {
    let records = records.into_iter().map(|((table, key), value)| (table, key, value));
    let unix = Host::<Rendezvous<NullCrypto>>::unix_secs();
    Rendezvous::new(config(), NullCrypto, unix, records).expect("what it stored itself it can read")
}

fn base64(bytes: &[u8]) -> String {
    base64::encode(bytes).map(char::from).collect()
}

fn at(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 4000 + u16::from(n)))
}

/// Records of the store, one a line: table, key in hex and value, separated by blanks.
pub fn store_record(data: &[u8]) {
    let records = data.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut parts = line.splitn(3, |byte| *byte == b' ');
        let table = String::from_utf8(parts.next()?.to_vec()).ok()?;
        let digits = core::str::from_utf8(parts.next()?).ok()?;
        let key = (0..digits.len() / 2)
            .map(|i| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok())
            .collect::<Option<Vec<u8>>>()?;
        Some((table, key, parts.next()?.to_vec()))
    });
    let unix = Host::<Rendezvous<NullCrypto>>::unix_secs();
    if let Ok(role) = Rendezvous::new(config(), NullCrypto, unix, records) {
        let mut host = Host::new(role, at(250));
        host.pass(Duration::from_secs(100_000));
    }
}

/// Any bytes on one connection to the registry, cut in two.
pub fn registry_bytes(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else { return };
    let mut host = Host::new(load(Records::new()), at(250));
    let conn = host.accept(Listener::Registry, Some(at(1)));
    let (a, b) = data.split_at(usize::from(*cut).min(data.len()));
    host.bytes(conn, a);
    host.bytes(conn, b);
    answers(&mut host);
    load(host.records);
}

/// One JSON request to a registry in which three nodes are.
pub fn registry_request(data: &[u8]) {
    let mut host = Host::new(load(Records::new()), at(250));
    let conn = host.accept(Listener::Registry, Some(at(1)));
    for n in 1..=3 {
        ask(&mut host, conn, &register(n));
    }
    host.bytes(conn, &frame(data));
    assert!(answers(&mut host) <= 1);
    load(host.records);
}

fn ask(host: &mut Host<Rendezvous<NullCrypto>>, conn: ConnId, request: &Value) {
    host.bytes(conn, &frame(json::to_line(request).as_bytes()));
    answers(host);
}

/// Takes what the registry said; each message must be a JSON object. How many there were.
fn answers(host: &mut Host<Rendezvous<NullCrypto>>) -> usize {
    let mut count = 0;
    for said in host.said.drain(..) {
        if let Said::Bytes(_, data) = said {
            let mut reader = FrameReader::new(16 << 20);
            reader.push(&data);
            while let Some(body) = reader.pop().expect("a frame within the limit") {
                assert!(body.starts_with(b"{") && body.ends_with(b"}"), "{}", body.escape_ascii());
                count += 1;
            }
            assert_eq!(reader.pending(), 0, "answers are whole frames");
        }
    }
    count
}

fn public(n: u8) -> [u8; 32] {
    NullCrypto.ed25519_public(&Ed25519Seed::from_bytes([n; 32]))
}

fn register(n: u8) -> Value {
    json!({"type": "register", "listen_addr": ":4000", "public_key": base64(&public(n))})
}

fn signed(n: u8, text: &str, mut request: Value) -> Value {
    let signature = NullCrypto.ed25519_sign(&Ed25519Seed::from_bytes([n; 32]), text.as_bytes());
    request["signature"] = base64(&signature).into();
    request
}

/// One step of a sequence. Small numbers, so that steps meet each other.
#[derive(Arbitrary, Debug)]
struct Step {
    op: u8,
    by: u8,
    node: u8,
    other: u8,
    how: u8,
}

fn request(step: &Step) -> Value {
    let (n, peer) = (step.node % (KEYS + 1), step.other % (KEYS + 1));
    let key = step.by % KEYS + 1;
    let flag = step.how & 1 == 1;
    let names = ["", "a", "b", "agent-c", "localhost", "-", "Upper"];
    let name = names[usize::from(step.how >> 2) % names.len()];
    let (text, request) = match step.op % 20 {
        0 => return register(key),
        1 => {
            let text = base64(&public(key));
            (format!("register::4000:{text}"), register(key))
        }
        2 => (String::new(), json!({"type": "lookup", "node_id": n})),
        3 => (format!("resolve:{n}:{peer}"), json!({"type": "resolve", "node_id": peer, "requester_id": n})),
        4 => (format!("set_visibility:{n}"), json!({"type": "set_visibility", "node_id": n, "public": flag})),
        5 => (format!("set_hostname:{n}"), json!({"type": "set_hostname", "node_id": n, "hostname": name})),
        6 => (
            format!("resolve:{n}:{peer}"),
            json!({"type": "resolve_hostname", "hostname": name, "requester_id": n}),
        ),
        7 | 8 => (
            format!("handshake:{n}:{peer}"),
            json!({"type": "request_handshake", "from_node_id": n, "to_node_id": peer, "justification": name}),
        ),
        9 | 10 => (
            format!("respond:{n}:{peer}"),
            json!({"type": "respond_handshake", "node_id": n, "peer_id": peer, "accept": flag}),
        ),
        11 => (format!("poll_handshakes:{n}"), json!({"type": "poll_handshakes", "node_id": n})),
        12 => (
            format!("report_trust:{n}:{peer}"),
            json!({"type": "report_trust", "node_id": n, "peer_id": peer}),
        ),
        13 => (
            format!("revoke_trust:{n}:{peer}"),
            json!({"type": "revoke_trust", "node_id": n, "peer_id": peer}),
        ),
        14 => (String::new(), json!({"type": "check_trust", "node_id": n, "peer_id": peer})),
        15 => (format!("heartbeat:{n}"), json!({"type": "heartbeat", "node_id": n})),
        16 => (format!("deregister:{n}"), json!({"type": "deregister", "node_id": n})),
        17 => {
            let new = base64(&public(peer + 1));
            (format!("rotate:{n}:{new}"), json!({"type": "rotate_key", "node_id": n, "new_public_key": new}))
        }
        18 => (format!("set_tags:{n}"), json!({"type": "set_tags", "node_id": n, "tags": [name, "x"]})),
        _ => (
            format!("punch:{n}:{peer}"),
            json!({"type": "punch", "requester_id": n, "node_a": n, "node_b": peer}),
        ),
    };
    match step.how >> 5 {
        0 => request,
        1 => {
            let mut request = request;
            request["admin_token"] = ADMIN.into();
            request
        }
        _ => signed(key, &text, request),
    }
}

/// Something for the beacon, from an address that may be the one of a node.
fn beacon_message(host: &mut Host<Rendezvous<NullCrypto>>, step: &Step) {
    let (node, target) = (u32::from(step.node % (KEYS + 1)), u32::from(step.other % (KEYS + 1)));
    let mut memory = [0; 16];
    let message = match step.how % 5 {
        0 | 1 => Beacon::Discover { node },
        2 => Beacon::PunchRequest { requester: node, target },
        3 => Beacon::Relay { sender: node, target, frame: b"PILP" },
        _ => Beacon::Sync { beacon: node, nodes: NodeList::new(&mut memory, [node, target]) },
    };
    let mut out = [0; 64];
    let len = message.emit(&mut out).expect("there is room");
    host.datagram(at(step.by % KEYS + 1), &mut out[..len]);
    reply_is_small(host, len);
}

/// A sequence of registry operations by six key holders on four connections, datagrams to the beacon, time and restarts. After
/// it the registry starts again from what it stored, and says the same of every node.
pub fn registry(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut host = Host::new(load(Records::new()), at(250));
    let mut conns = [1, 2, 3, 4].map(|n| host.accept(Listener::Registry, Some(at(n))));
    for _ in 0..200 {
        let Ok(step) = Step::arbitrary(&mut bytes) else { break };
        if bytes.is_empty() {
            break;
        }
        match step.op {
            0..=219 => {
                let which = usize::from(step.by) % conns.len();
                if !host.open.contains(&conns[which]) {
                    conns[which] = host.accept(Listener::Registry, Some(at(which as u8 + 1)));
                }
                ask(&mut host, conns[which], &request(&step));
            }
            220..=231 => beacon_message(&mut host, &step),
            232..=239 => host.pass(Duration::from_secs(u64::from(step.how) * u64::from(step.by))),
            240..=247 => host.close(conns[usize::from(step.by) % conns.len()]),
            _ => {
                let (now, records) = (host.now, host.records);
                host = Host::new(load(records.clone()), at(250));
                (host.now, host.records) = (now, records);
                conns = [1, 2, 3, 4].map(|n| host.accept(Listener::Registry, Some(at(n))));
            }
        }
    }
    same_after_restart(host);
}

fn same_after_restart(mut host: Host<Rendezvous<NullCrypto>>) {
    let said = |host: &mut Host<Rendezvous<NullCrypto>>| {
        let conn = host.accept(Listener::Registry, Some(at(9)));
        host.said.clear();
        for n in 1..=KEYS {
            for peer in 1..=KEYS {
                let ask = json!({"type": "check_trust", "node_id": n, "peer_id": peer});
                host.bytes(conn, &frame(json::to_line(&ask).as_bytes()));
            }
        }
        let said = core::mem::take(&mut host.said);
        said.into_iter()
            .filter_map(|said| match said {
                Said::Bytes(_, data) => Some(data),
                _ => None,
            })
            .collect::<Vec<_>>()
            .concat()
    };
    let before = said(&mut host);
    let mut again = Host::new(load(host.records.clone()), at(250));
    again.now = host.now;
    assert_eq!(before.escape_ascii().to_string(), said(&mut again).escape_ascii().to_string());
}

/// Datagrams to the beacon, from four addresses, well made and not.
pub fn beacon_role(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let mut host = Host::new(load(Records::new()), at(250));
    let mut out = [0; 512];
    while !bytes.is_empty() {
        let kind: u8 = bytes.arbitrary().unwrap_or(0);
        let from = at(kind >> 6);
        let mut memory = [0; 64];
        let mut small = || bytes.int_in_range(0..=5u32).unwrap_or(0);
        let message = match kind & 15 {
            0 | 1 => Beacon::Discover { node: small() },
            2 | 3 => Beacon::PunchRequest { requester: small(), target: small() },
            4..=6 => Beacon::Relay { sender: small(), target: small(), frame: b"PILP" },
            7 => Beacon::Deliver { sender: small(), frame: b"PILP" },
            8 => Beacon::Sync { beacon: small(), nodes: NodeList::new(&mut memory, [1, 2, 9]) },
            9 => Beacon::Punch { peer: at(7) },
            10 => {
                let by = u64::from(bytes.arbitrary::<u8>().unwrap_or(0));
                host.pass(Duration::from_secs(by));
                continue;
            }
            _ => {
                let len = usize::from(bytes.arbitrary::<u8>().unwrap_or(0)).min(bytes.len());
                let mut raw = bytes.bytes(len).unwrap_or_default().to_vec();
                host.datagram(from, &mut raw);
                reply_is_small(&mut host, raw.len());
                continue;
            }
        };
        let len = message.emit(&mut out).expect("there is room");
        host.datagram(from, &mut out[..len]);
        reply_is_small(&mut host, len);
    }
}

/// Nobody can make the beacon send much with little.
fn reply_is_small(host: &mut Host<Rendezvous<NullCrypto>>, asked: usize) {
    let sent: usize =
        host.said.drain(..).map(|said| if let Said::Datagram(_, data) = said { data.len() } else { 0 }).sum();
    assert!(sent <= 2 * asked + 32, "{sent} bytes for {asked}");
}

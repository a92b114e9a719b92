//! The released pilotctl 1.7.2 against our daemon: every daemon command, its effect, and the shape of its JSON.

use crate::node::{Node, World};
use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use crate::report::{Report, Verdict};
use crate::steps::{lists, noise, received, trusts};
use crate::topology::Place;
use serde_json::Value;
use std::time::{Duration, Instant};

/// JSON types of the members a command promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Num,
    Str,
    Bool,
    List,
}
use Kind::{Bool, Int, List, Num, Str};

type Shape = &'static [(&'static str, Kind)];

const INFO: Shape = &[
    ("node_id", Int),
    ("address", Str),
    ("hostname", Str),
    ("uptime_secs", Num),
    ("connections", Int),
    ("ports", Int),
    ("peers", Int),
    ("encrypted_peers", Int),
    ("authenticated_peers", Int),
    ("encrypt", Bool),
    ("identity", Bool),
    ("public_key", Str),
    ("email", Str),
    ("bytes_sent", Int),
    ("bytes_recv", Int),
    ("pkts_sent", Int),
    ("pkts_recv", Int),
    ("tunnel_encryption_success", Int),
    ("tunnel_encryption_failure", Int),
    ("handshake_pending_count", Int),
    ("peer_list", List),
    ("conn_list", List),
];
const STATUS: Shape = &[
    ("running", Bool),
    ("responsive", Bool),
    ("pid", Int),
    ("pid_file", Str),
    ("socket", Str),
    ("node_id", Int),
    ("address", Str),
    ("hostname", Str),
    ("uptime_secs", Num),
    ("peers", Int),
    ("connections", Int),
];
const HEALTH: Shape = &[
    ("status", Str),
    ("uptime_seconds", Int),
    ("connections", Int),
    ("peers", Int),
    ("bytes_sent", Int),
    ("bytes_recv", Int),
];
const LOOKUP: Shape = &[
    ("type", Str),
    ("node_id", Int),
    ("address", Str),
    ("networks", List),
    ("public_key", Str),
    ("public", Bool),
    ("polo_score", Int),
];
const FOUND: Shape = &[("hostname", Str), ("node_id", Int), ("address", Str), ("public", Bool)];
const NAMED: Shape = &[("hostname", Str), ("node_id", Int)];
const VISIBILITY: Shape = &[("type", Str), ("node_id", Int), ("visibility", Str)];
const PENDING: Shape = &[("node_id", Int), ("public_key", Str), ("justification", Str), ("received_at", Int)];
const TRUSTED: Shape =
    &[("node_id", Int), ("public_key", Str), ("approved_at", Int), ("mutual", Bool), ("network", Int)];
const DECIDED: Shape = &[("status", Str), ("node_id", Int)];
const EXCHANGE: Shape = &[("target", Str), ("port", Int), ("sent", Str), ("response", Str)];
const RECEIVED: Shape = &[("seq", Int), ("port", Int), ("data", Str), ("bytes", Int)];
const DATAGRAM: Shape = &[("src_addr", Str), ("src_port", Int), ("data", Str), ("bytes", Int)];
const ECHO: Shape = &[("seq", Int), ("rtt_ms", Num), ("bytes", Int)];
const BENCH: Shape = &[
    ("target", Str),
    ("sent_bytes", Int),
    ("recv_bytes", Int),
    ("send_duration_ms", Num),
    ("total_duration_ms", Num),
    ("send_mbps", Num),
    ("total_mbps", Num),
];
const ROUTE: Shape = &[("target", Str), ("setup_ms", Num), ("rtt_samples", List)];
const SENT: Shape = &[("target", Str), ("type", Str), ("bytes", Int), ("ack", Str)];
const SENT_FILE: Shape = &[("filename", Str), ("bytes", Int), ("destination", Str), ("ack", Str)];
const IN_INBOX: Shape = &[("type", Str), ("from", Str), ("data", Str), ("bytes", Int), ("received_at", Str)];
const IN_RECEIVED: Shape = &[("name", Str), ("bytes", Int), ("modified", Str), ("path", Str)];
const EVENT: Shape = &[("topic", Str), ("data", Str), ("bytes", Int)];
const PUBLISHED: Shape = &[("target", Str), ("topic", Str), ("bytes", Int)];
const PEER: Shape = &[("node_id", Int), ("endpoint", Str), ("encrypted", Bool), ("authenticated", Bool)];
const CONNECTION: Shape = &[
    ("id", Int),
    ("local_port", Int),
    ("remote_addr", Str),
    ("remote_port", Int),
    ("state", Str),
    ("cong_win", Int),
    ("ssthresh", Int),
    ("in_flight", Int),
    ("srtt_ms", Num),
    ("rttvar_ms", Num),
    ("unacked", Int),
    ("ooo_buf", Int),
    ("peer_recv_win", Int),
    ("recv_win", Int),
    ("in_recovery", Bool),
    ("bytes_sent", Int),
    ("bytes_recv", Int),
    ("segs_sent", Int),
    ("segs_recv", Int),
    ("retransmits", Int),
    ("fast_retx", Int),
    ("sack_recv", Int),
    ("sack_sent", Int),
    ("dup_acks", Int),
];
const TAGS: Shape = &[("node_id", Int), ("tags", List)];
const NETWORK: Shape = &[("id", Int), ("name", Str), ("join_rule", Str), ("members", Int)];

/// How long a request or an answer may take to be seen at the other side.
const SEEN: Duration = Duration::from_secs(10);

type Check = fn(&Node<'_>, &Node<'_>) -> Result<(), String>;

/// In this order: later commands use the trust earlier ones made.
const COMMANDS: [(&str, Check); 33] = [
    ("daemon status", daemon_status),
    ("info", info),
    ("health", health),
    ("lookup", lookup),
    ("set-hostname", set_hostname),
    ("set-public", set_public),
    ("find", find),
    ("clear-hostname", clear_hostname),
    ("set-private", set_private),
    ("set-tags", set_tags),
    ("clear-tags", clear_tags),
    ("network list", network_list),
    ("handshake", handshake),
    ("pending", pending),
    ("approve", approve),
    ("trust", trust),
    ("ping", ping),
    ("traceroute", traceroute),
    ("bench", bench),
    ("connect", connect),
    ("send", send),
    ("recv", recv),
    ("listen", listen),
    ("send-message", send_message),
    ("inbox", inbox),
    ("send-file", send_file),
    ("received", received_files),
    ("publish", publish),
    ("subscribe", subscribe),
    ("peers", peers),
    ("connections, disconnect", connections),
    ("untrust", untrust),
    ("reject", reject),
];

/// Two daemons of ours, driven by the released pilotctl.
pub(crate) fn run(session: &Session, catalogue: &Catalogue, reports: &mut Vec<Report>) -> Result<(), String> {
    let report =
        Report::begin(reports, "pilotctl 1.7.2 driving our daemon; JSON members and types as released");
    let world = World::start(session, catalogue, Place::LOOPBACK, "ctl")?;
    let start = |name| Node::start_driven_by(&world, Flavour::Ours, Flavour::April, Place::LOOPBACK, name);
    let (a, b) = (start("a")?, start("b")?);
    for (name, check) in COMMANDS {
        let started = Instant::now();
        let outcome = check(&a, &b);
        session.check()?;
        let verdict = match outcome {
            Ok(()) => Verdict::Pass(String::new()),
            Err(why) => Verdict::Fail(format!("{why} [a: {}] [b: {}]", a.log(2), b.log(2))),
        };
        report.add(name, "1.7.2 ctl", started.elapsed().as_secs_f64(), verdict);
    }
    Ok(())
}

/// Fails naming the first member that is missing or of another type.
fn shaped(data: &Value, shape: Shape) -> Result<(), String> {
    for (name, kind) in shape {
        let member = data.get(name).ok_or(format!("no {name:?} in {data}"))?;
        let fits = match kind {
            Int => member.is_i64() || member.is_u64(),
            Num => member.is_number(),
            Str => member.is_string(),
            Bool => member.is_boolean(),
            List => member.is_array(),
        };
        if !fits {
            return Err(format!("{name:?} is {member}, expected {kind:?}"));
        }
    }
    Ok(())
}

/// The entry of `data[list]` that satisfies `wanted`, checked against a shape.
fn entry<'v>(
    data: &'v Value,
    list: &str,
    shape: Shape,
    wanted: impl Fn(&Value) -> bool,
) -> Result<&'v Value, String> {
    let entries = data[list].as_array().ok_or(format!("no list {list:?} in {data}"))?;
    let found = entries.iter().find(|entry| wanted(entry)).ok_or(format!("not found in {list:?}: {data}"))?;
    shaped(found, shape)?;
    Ok(found)
}

fn expect(data: &Value, member: &str, value: impl Into<Value>) -> Result<(), String> {
    let value = value.into();
    if data[member] == value {
        Ok(())
    } else {
        Err(format!("{member:?} is {}, expected {value}", data[member]))
    }
}

fn daemon_status(a: &Node<'_>, _: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["daemon", "status"])?;
    shaped(&data, STATUS)?;
    expect(&data, "running", true)?;
    expect(&data, "node_id", a.id)
}

fn info(a: &Node<'_>, _: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["info"])?;
    shaped(&data, INFO)?;
    expect(&data, "encrypt", true)?;
    expect(&data, "identity", true)?;
    expect(&data, "email", "agent@example.com")
}

fn health(a: &Node<'_>, _: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["health"])?;
    shaped(&data, HEALTH)?;
    expect(&data, "status", "ok")
}

fn lookup(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["lookup", &b.id.to_string()])?;
    shaped(&data, LOOKUP)?;
    expect(&data, "address", b.address.as_str())
}

fn set_hostname(_: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["set-hostname", "agent-b"])?;
    shaped(&data, NAMED)?;
    expect(&data, "hostname", "agent-b")?;
    expect(&b.ctl(&["info"])?, "hostname", "agent-b")
}

fn set_public(_: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["set-public"])?;
    shaped(&data, VISIBILITY)?;
    expect(&data, "visibility", "public")
}

fn find(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["find", "agent-b"])?;
    shaped(&data, FOUND)?;
    expect(&data, "node_id", b.id)?;
    match a.ctl(&["find", "nobody"]) {
        Err(why) if why.contains("nobody") => Ok(()),
        other => Err(format!("an unknown name gave {other:?}")),
    }
}

fn clear_hostname(_: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    expect(&b.ctl(&["clear-hostname"])?, "hostname", "")?;
    expect(&b.ctl(&["info"])?, "hostname", "")
}

fn set_private(_: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["set-private"])?;
    shaped(&data, VISIBILITY)?;
    expect(&data, "visibility", "private")
}

fn set_tags(a: &Node<'_>, _: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["set-tags", "web", "#api"])?;
    shaped(&data, TAGS)?;
    expect(&data, "tags", vec!["web", "api"])
}

fn clear_tags(a: &Node<'_>, _: &Node<'_>) -> Result<(), String> {
    expect(&a.ctl(&["clear-tags"])?, "tags", Vec::<Value>::new())
}

fn network_list(a: &Node<'_>, _: &Node<'_>) -> Result<(), String> {
    entry(&a.ctl(&["network", "list"])?, "networks", NETWORK, |network| network["id"] == 0).map(drop)
}

/// `a` asks, and waits until `b` has seen it.
fn ask(a: &Node<'_>, b: &Node<'_>) -> Result<Value, String> {
    let data = a.ctl(&["handshake", &b.id.to_string(), "let us talk"])?;
    let seen = || b.ctl(&["pending"]).is_ok_and(|data| lists(&data["pending"], a.id)).then_some(());
    a.session().until(SEEN, "the request at the target", seen)?;
    Ok(data)
}

fn handshake(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = ask(a, b)?;
    shaped(&data, DECIDED)?;
    expect(&data, "status", "sent")
}

fn pending(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["pending"])?;
    let request = entry(&data, "pending", PENDING, |request| request["node_id"] == a.id)?;
    expect(request, "justification", "let us talk")
}

fn approve(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["approve", &a.id.to_string()])?;
    shaped(&data, DECIDED)?;
    expect(&data, "status", "approved")?;
    a.session().until(SEEN, "trust at the asker", || trusts(a, b.id).then_some(()))
}

fn trust(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    for (node, peer) in [(a, b), (b, a)] {
        entry(&node.ctl(&["trust"])?, "trusted", TRUSTED, |trusted| trusted["node_id"] == peer.id)?;
    }
    Ok(())
}

fn ping(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["ping", &b.id.to_string(), "--count", "2"])?;
    expect(&data, "target", b.address.as_str())?;
    expect(&data, "timeout", false)?;
    (0..2).try_for_each(|seq| entry(&data, "results", ECHO, |result| result["seq"] == seq).map(drop))
}

fn traceroute(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["traceroute", &b.address])?;
    shaped(&data, ROUTE)?;
    let samples = data["rtt_samples"].as_array().map_or(0, |samples| {
        samples.iter().filter(|sample| shaped(sample, &[("rtt_ms", Num), ("bytes", Int)]).is_ok()).count()
    });
    if samples == 3 { Ok(()) } else { Err(format!("{samples} of 3 samples: {data}")) }
}

fn bench(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["bench", &b.address, "0.5"])?;
    shaped(&data, BENCH)?;
    expect(&data, "recv_bytes", 1 << 19)
}

fn connect(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["connect", &b.address, "7", "--message", "hello", "--timeout", "10s"])?;
    shaped(&data, EXCHANGE)?;
    expect(&data, "response", "hello")
}

fn send(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["send", &b.address, "7", "--data", "hello", "--timeout", "10s"])?;
    shaped(&data, EXCHANGE)?;
    expect(&data, "response", "hello")
}

fn recv(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let mut waiting = b.ctl_start(&["recv", "5000", "--timeout", "15s"])?;
    // Nobody says when the port is bound; until then the dial is refused.
    a.session().until(SEEN, "recv to end", || {
        let sent = a.ctl(&["send", &b.address, "5000", "--data", "hi b", "--timeout", "2s"]);
        (sent.is_ok() || !waiting.is_running()).then_some(())
    })?;
    let data = b.ctl_end("recv", waiting, SEEN)?;
    let message = entry(&data, "messages", RECEIVED, |message| message["seq"] == 0)?;
    expect(message, "data", "hi b")
}

/// pilotctl 1.7.2 has no command that sends a datagram; the one of 1.18.0 has.
fn listen(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let mut waiting = b.ctl_start(&["listen", "6000", "--count", "1", "--timeout", "15s"])?;
    let mut sent = Ok(Value::Null);
    let arrived = a.session().until(SEEN, "the datagram", || {
        let datagram = ["dgram", &b.address, "6000", "--data", "dg"];
        sent = a.ctl_of(Flavour::Newest, &datagram, Duration::from_secs(5));
        (!waiting.is_running()).then_some(())
    });
    arrived.map_err(|why| format!("{why}; the last dgram (pilotctl 1.18.0) said {sent:?}"))?;
    let data = b.ctl_end("listen", waiting, SEEN)?;
    let datagram = entry(&data, "messages", DATAGRAM, |datagram| datagram["data"] == "dg")?;
    expect(datagram, "src_addr", a.address.as_str())
}

fn send_message(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    for (kind, text, ack) in [
        ("text", "hello inbox", "ACK TEXT 11 bytes"),
        ("json", "{\"a\":1}", "ACK JSON 7 bytes"),
        ("binary", "abc", "ACK BINARY 3 bytes"),
    ] {
        let data = a.ctl(&["send-message", &b.address, "--data", text, "--type", kind])?;
        shaped(&data, SENT)?;
        expect(&data, "ack", ack)?;
    }
    Ok(())
}

fn inbox(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["inbox"])?;
    for kind in ["TEXT", "JSON", "BINARY"] {
        let message = entry(&data, "messages", IN_INBOX, |message| message["type"] == kind)?;
        expect(message, "from", a.address.as_str())?;
    }
    expect(&data, "total", 3)?;
    expect(&b.ctl(&["inbox", "--clear"])?, "cleared", 3)
}

fn send_file(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let content = noise(50_000, 7);
    let path = a.home.join("sample.dat");
    std::fs::write(&path, &content).map_err(|e| format!("{}: {e}", path.display()))?;
    let data = a.ctl(&["send-file", &b.address, &path.display().to_string()])?;
    shaped(&data, SENT_FILE)?;
    expect(&data, "ack", "ACK FILE 50000 bytes")?;
    a.session().until(SEEN, "the file at the target", || received(b, &content).then_some(()))
}

fn received_files(_: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = b.ctl(&["received"])?;
    let is_ours = |file: &Value| file["name"].as_str().is_some_and(|name| name.starts_with("sample-"));
    let file = entry(&data, "files", IN_RECEIVED, is_ours)?;
    expect(file, "bytes", 50_000)?;
    expect(&b.ctl(&["received", "--clear"])?, "cleared", 1)
}

fn publish(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    shaped(&a.ctl(&["publish", &b.address, "news", "--data", "flash"])?, PUBLISHED)
}

fn subscribe(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let mut waiting = a.ctl_start(&["subscribe", &b.address, "*", "--count", "1", "--timeout", "15s"])?;
    a.session().until(SEEN, "the event", || {
        let _ = a.ctl(&["publish", &b.address, "news", "--data", "flash"]);
        (!waiting.is_running()).then_some(())
    })?;
    let data = a.ctl_end("subscribe", waiting, SEEN)?;
    let event = entry(&data, "events", EVENT, |event| event["topic"] == "news")?;
    expect(event, "data", "flash")
}

fn peers(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let data = a.ctl(&["peers"])?;
    let peer = entry(&data, "peers", PEER, |peer| peer["node_id"] == b.id)?;
    expect(peer, "encrypted", true)?;
    expect(peer, "authenticated", true)
}

fn connections(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    let mut held = a.ctl_start(&["subscribe", &b.address, "quiet", "--count", "1", "--timeout", "30s"])?;
    let listed = a.session().until(SEEN, "the connection in the list", || {
        let data = a.ctl(&["connections"]).ok()?;
        let open =
            |connection: &Value| connection["remote_port"] == 1002 && connection["state"] == "ESTABLISHED";
        entry(&data, "connections", CONNECTION, open).ok().and_then(|found| found["id"].as_u64())
    });
    let id = listed.map_err(|why| format!("{why}: {:?}", a.ctl(&["connections"])))?;
    expect(&a.ctl(&["disconnect", &id.to_string()])?, "conn_id", id)?;
    a.session().until(SEEN, "the subscriber to see the end", || (!held.is_running()).then_some(()))
}

fn untrust(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    expect(&b.ctl(&["untrust", &a.id.to_string()])?, "node_id", a.id)?;
    if trusts(b, a.id) {
        return Err("still trusted".into());
    }
    match b.ctl(&["untrust", &a.id.to_string()]) {
        Err(why) if why.contains("not trusted") => Ok(()),
        other => Err(format!("a second untrust gave {other:?}")),
    }
}

/// Last, because a request that is made while the rejection of another is still on its way is rejected with it.
fn reject(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    ask(a, b)?;
    let data = b.ctl(&["reject", &a.id.to_string(), "not now"])?;
    shaped(&data, DECIDED)?;
    expect(&data, "status", "rejected")?;
    let data = b.ctl(&["pending"])?;
    if lists(&data["pending"], a.id) { Err(format!("still pending: {data}")) } else { Ok(()) }
}

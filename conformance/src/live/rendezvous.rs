//! The rendezvous, played: a registry that says what a case wants it to say, and a beacon that can be told to lie,
//! to be silent, or to deliver anything.

use super::link::framed;
use super::trace::Trace;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The node id given to the target.
pub(crate) const TARGET: u32 = 1;

/// What the registry knows of a node.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: [u8; 32],
    pub(crate) address: String,
    pub(crate) hostname: String,
    pub(crate) public: bool,
    pub(crate) relay_only: bool,
}

/// How an answer is brought, where that is not as it should be.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// These bytes instead of a frame.
    Raw(Vec<u8>),
    /// A frame around this body.
    Body(Vec<u8>),
    /// The first half; then the connection ends.
    Cut,
    /// The first half; then nothing.
    Half,
    /// Nothing; the connection ends.
    HangUp,
    /// The announcement of two gigabytes, and bytes as long as they are taken.
    Endless,
    /// The right answer, twice.
    Twice,
    /// The right answer, byte by byte.
    Slow,
    /// The right answer in a body of 300000 bytes.
    Long,
}

#[derive(Default)]
struct State {
    nodes: BTreeMap<u32, Record>,
    trusted: BTreeSet<(u32, u32)>,
    inbox: Vec<Value>,
    responses: Vec<Value>,
    /// What the target asked, in order.
    asked: Vec<Value>,
    /// Answers that replace the usual ones, by kind of question.
    scripted: BTreeMap<String, Value>,
    /// Kinds of question that are never answered.
    mute: BTreeSet<String>,
    /// Where the beacon has seen nodes.
    seen: BTreeMap<u32, SocketAddr>,
    /// How often nodes have registered at the beacon.
    discovered: BTreeMap<u32, u32>,
    beacon_mute: bool,
    /// What the beacon tells a node of its address, where that is not the truth.
    said: BTreeMap<u32, SocketAddr>,
    connections: Vec<TcpStream>,
    /// Connections that were made, refused ones included.
    dials: usize,
    refusing: bool,
    /// How lookups are answered, where that is not as usual.
    manner: Option<Manner>,
    stop: bool,
}

/// Both halves; dropping it ends their threads.
pub(crate) struct Rendezvous {
    shared: Arc<(Mutex<State>, Condvar)>,
    registry: SocketAddr,
    beacon: Arc<UdpSocket>,
    threads: Vec<JoinHandle<()>>,
}

fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pair(a: u32, b: u32) -> (u32, u32) {
    (a.min(b), a.max(b))
}

impl Rendezvous {
    pub(crate) fn start(trace: &Trace) -> Result<Rendezvous, String> {
        let fail = |e: std::io::Error| format!("rendezvous: {e}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fail)?;
        let registry = listener.local_addr().map_err(fail)?;
        let beacon = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(fail)?);
        beacon.set_read_timeout(Some(Duration::from_millis(200))).map_err(fail)?;
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let mut threads = Vec::new();
        let (state, tracing) = (Arc::clone(&shared), trace.clone());
        threads.push(std::thread::spawn(move || accept(&listener, &state, &tracing)));
        let (state, socket) = (Arc::clone(&shared), Arc::clone(&beacon));
        threads.push(std::thread::spawn(move || serve_beacon(&socket, &state)));
        Ok(Rendezvous { shared, registry, beacon, threads })
    }

    pub(crate) fn registry(&self) -> SocketAddr {
        self.registry
    }

    pub(crate) fn beacon(&self) -> SocketAddr {
        // A bound socket has an address.
        self.beacon.local_addr().unwrap_or(self.registry)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.0)
    }

    pub(crate) fn register(&self, node: u32, record: Record) {
        self.state().nodes.insert(node, record);
    }

    pub(crate) fn record(&self, node: u32) -> Option<Record> {
        self.state().nodes.get(&node).cloned()
    }

    pub(crate) fn change(&self, node: u32, change: impl FnOnce(&mut Record)) {
        if let Some(record) = self.state().nodes.get_mut(&node) {
            change(record);
        }
    }

    /// Makes `check_trust` of the pair answer yes.
    pub(crate) fn trust(&self, a: u32, b: u32) {
        self.state().trusted.insert(pair(a, b));
    }

    /// Puts a relayed handshake request into the target's inbox.
    pub(crate) fn relay_request(&self, from: u32, justification: &str, timestamp: u64) {
        self.state().inbox.push(json!({
            "from_node_id": from, "justification": justification, "timestamp": timestamp,
        }));
    }

    /// Puts an answer to a handshake request into the target's inbox.
    pub(crate) fn relay_response(&self, from: u32, accept: bool, timestamp: u64) {
        self.state()
            .responses
            .push(json!({ "from_node_id": from, "accept": accept, "timestamp": timestamp }));
    }

    /// From now on questions of `kind` get `answer`; `None` makes it usual again.
    pub(crate) fn script(&self, kind: &str, answer: Option<Value>) {
        let mut state = self.state();
        match answer {
            Some(answer) => state.scripted.insert(kind.into(), answer),
            None => state.scripted.remove(kind),
        };
    }

    /// Whether questions of `kind` stay without answer.
    pub(crate) fn mute(&self, kind: &str, mute: bool) {
        let mut state = self.state();
        if mute {
            state.mute.insert(kind.into())
        } else {
            state.mute.remove(kind)
        };
    }

    pub(crate) fn mute_beacon(&self, mute: bool) {
        self.state().beacon_mute = mute;
    }

    /// Closes all registry connections; while `refusing`, new ones too.
    pub(crate) fn cut(&self, refusing: bool) {
        let mut state = self.state();
        state.refusing = refusing;
        for connection in state.connections.drain(..) {
            // One that is gone already is what was wanted.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Takes connections again.
    pub(crate) fn accept_again(&self) {
        self.state().refusing = false;
    }

    /// How many connections were made so far.
    pub(crate) fn dials(&self) -> usize {
        self.state().dials
    }

    /// From now on lookups are answered in this manner; `None` makes it usual again.
    pub(crate) fn answer_lookups(&self, manner: Option<Manner>) {
        self.state().manner = manner;
    }

    /// How often something of `kind` was asked after `since`.
    pub(crate) fn count(&self, since: usize, kind: &str) -> usize {
        self.state().asked.iter().skip(since).filter(|asked| asked["type"] == kind).count()
    }

    /// Whether the target has collected all requests that were relayed to it.
    pub(crate) fn inbox_is_empty(&self) -> bool {
        self.state().inbox.is_empty()
    }

    /// Everything asked so far, by place; questions from `since` on are returned by [`Rendezvous::asked`].
    pub(crate) fn mark(&self) -> usize {
        self.state().asked.len()
    }

    /// Waits for a question that fits, asked after `since`.
    pub(crate) fn asked(
        &self,
        since: usize,
        limit: Duration,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value, String> {
        let end = Instant::now() + limit;
        let mut state = self.state();
        loop {
            if let Some(found) = state.asked.iter().skip(since).find(|asked| fits(asked)) {
                return Ok(found.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("the registry was not asked {what} within {:.1} s", limit.as_secs_f64()));
            }
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Where the beacon last saw a node.
    pub(crate) fn seen(&self, node: u32) -> Option<SocketAddr> {
        self.state().seen.get(&node).copied()
    }

    /// How often a node has registered at the beacon. Other messages show where it is as well.
    pub(crate) fn beacon_registrations(&self, node: u32) -> u32 {
        self.state().discovered.get(&node).copied().unwrap_or(0)
    }

    /// From now on the beacon tells the node that this is its address; `None` makes it honest again.
    pub(crate) fn say_seen(&self, node: u32, address: Option<SocketAddr>) {
        let mut state = self.state();
        match address {
            Some(address) => state.said.insert(node, address),
            None => state.said.remove(&node),
        };
    }

    /// Forgets where the beacon saw a node.
    pub(crate) fn forget_seen(&self, node: u32) {
        self.state().seen.remove(&node);
    }

    /// Sends bytes from the beacon's socket.
    pub(crate) fn beacon_send(&self, to: SocketAddr, bytes: &[u8]) -> Result<(), String> {
        self.beacon.send_to(bytes, to).map(drop).map_err(|e| format!("beacon: {e}"))
    }
}

impl Drop for Rendezvous {
    fn drop(&mut self) {
        self.state().stop = true;
        self.cut(true);
        // Wakes the one that waits for connections.
        drop(TcpStream::connect(self.registry));
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<(Mutex<State>, Condvar)>, trace: &Trace) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut state = lock(&shared.0);
        if state.stop {
            return;
        }
        state.dials += 1;
        if state.refusing {
            continue;
        }
        let Ok(copy) = stream.try_clone() else { continue };
        state.connections.push(copy);
        let (shared, trace) = (Arc::clone(shared), trace.clone());
        std::thread::spawn(move || serve(stream, &shared, &trace));
    }
}

fn serve(mut stream: TcpStream, shared: &(Mutex<State>, Condvar), trace: &Trace) {
    let host = stream.peer_addr().map_or_else(|_| String::new(), |address| address.ip().to_string());
    loop {
        let mut length = [0; 4];
        if stream.read_exact(&mut length).is_err() {
            return;
        }
        let length = u32::from_be_bytes(length);
        let mut text = vec![0; length.min(1 << 20) as usize];
        if stream.read_exact(&mut text).is_err() {
            return;
        }
        let Ok(question) = serde_json::from_slice::<Value>(&text) else { return };
        let (answer, manner) = {
            let mut state = lock(&shared.0);
            let answer = answer(&mut state, &question, &host);
            state.asked.push(question.clone());
            shared.1.notify_all();
            (answer, state.manner.clone().filter(|_| question["type"] == "lookup"))
        };
        trace.note(format!("registry < {question}"));
        let Some(answer) = answer else { continue };
        trace.note(format!("registry > {answer}"));
        let text = answer.to_string();
        let goes_on = match manner {
            None => stream.write_all(&framed(text.as_bytes())).is_ok(),
            Some(manner) => bring(&mut stream, text.as_bytes(), &manner),
        };
        if !goes_on {
            return;
        }
    }
}

/// Ends a connection that others hold too.
fn hang_up(stream: &TcpStream) -> bool {
    // One that is gone already is what was wanted.
    let _ = stream.shutdown(std::net::Shutdown::Both);
    false
}

/// Answers in this manner; says whether the connection goes on.
fn bring(stream: &mut TcpStream, body: &[u8], manner: &Manner) -> bool {
    let right = framed(body);
    let half = &right[..right.len() / 2];
    match manner {
        Manner::Raw(bytes) => stream.write_all(bytes).is_ok(),
        Manner::Body(body) => stream.write_all(&framed(body)).is_ok(),
        Manner::Cut => stream.write_all(half).is_ok() && hang_up(stream),
        Manner::Half => stream.write_all(half).is_ok(),
        Manner::HangUp => hang_up(stream),
        Manner::Endless => {
            let mut written = stream.write_all(&0x7FFF_FFFF_u32.to_be_bytes());
            for _ in 0..1024 {
                written = written.and_then(|()| stream.write_all(&[b' '; 65_536]));
            }
            written.is_ok()
        }
        Manner::Twice => stream.write_all(&right.repeat(2)).is_ok(),
        Manner::Slow => right.iter().all(|byte| {
            std::thread::sleep(Duration::from_millis(1));
            stream.write_all(&[*byte]).is_ok()
        }),
        Manner::Long => {
            let mut body = body.to_vec();
            body.resize(300_000, b' ');
            stream.write_all(&framed(&body)).is_ok()
        }
    }
}

fn address(node: u32) -> String {
    format!("0:0000.{:04X}.{:04X}", node >> 16, node & 0xFFFF)
}

fn answer(state: &mut State, question: &Value, host: &str) -> Option<Value> {
    let kind = question["type"].as_str().unwrap_or_default();
    if state.mute.contains(kind) {
        return None;
    }
    if let Some(answer) = state.scripted.get(kind) {
        return Some(answer.clone());
    }
    let number =
        |member: &str| question[member].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    let error = |text: String| json!({ "type": "error", "error": text });
    let known = |state: &State, node: u32| {
        state.nodes.get(&node).cloned().ok_or_else(|| error(format!("node {node}: node not found")))
    };
    Some(match kind {
        "register" => {
            let key = question["public_key"].as_str().unwrap_or_default();
            let decoded =
                BASE64_STANDARD.decode(key).ok().and_then(|key| key.try_into().ok()).unwrap_or([0; 32]);
            let listen = question["listen_addr"].as_str().unwrap_or_default();
            let port = listen.rsplit(':').next().unwrap_or_default();
            let seen = format!("{host}:{port}");
            let record = Record {
                key: decoded,
                address: seen.clone(),
                hostname: question["hostname"].as_str().unwrap_or_default().into(),
                public: false,
                relay_only: false,
            };
            state.nodes.insert(TARGET, record);
            json!({
                "type": "register_ok", "node_id": TARGET, "address": address(TARGET), "network_id": 0,
                "public_key": key, "observed_addr": seen, "protocol_version": 1,
            })
        }
        "lookup" => match known(state, number("node_id")) {
            Ok(record) => json!({
                "type": "lookup_ok", "node_id": number("node_id"), "address": address(number("node_id")),
                "networks": [0], "public": record.public, "public_key": BASE64_STANDARD.encode(record.key),
                "polo_score": 0, "hostname": record.hostname, "real_addr": record.address,
                "relay_only": record.relay_only,
            }),
            Err(error) => error,
        },
        "resolve" => match known(state, number("node_id")) {
            Ok(record) => json!({
                "type": "resolve_ok", "node_id": number("node_id"), "real_addr": record.address,
                "lan_addrs": [], "key_age_days": 0, "relay_only": record.relay_only,
            }),
            Err(error) => error,
        },
        "resolve_hostname" => {
            let name = question["hostname"].as_str().unwrap_or_default();
            let found = state.nodes.iter().find(|(_, record)| !name.is_empty() && record.hostname == name);
            match found {
                Some((&node, record)) => json!({
                    "type": "resolve_hostname_ok", "node_id": node, "address": address(node),
                    "hostname": name, "public": record.public,
                }),
                None => error(format!("hostname {name:?} not found")),
            }
        }
        "check_trust" => {
            let trusted = state.trusted.contains(&pair(number("node_id"), number("peer_id")));
            json!({ "type": "check_trust_ok", "trusted": trusted })
        }
        "report_trust" => {
            state.trusted.insert(pair(number("node_id"), number("peer_id")));
            json!({ "type": "report_trust_ok" })
        }
        "revoke_trust" => {
            state.trusted.remove(&pair(number("node_id"), number("peer_id")));
            json!({ "type": "revoke_trust_ok" })
        }
        "poll_handshakes" => {
            let (requests, responses) =
                (std::mem::take(&mut state.inbox), std::mem::take(&mut state.responses));
            json!({ "type": "poll_handshakes_ok", "requests": requests, "responses": responses })
        }
        "request_handshake" => json!({ "type": "request_handshake_ok", "status": "delivered" }),
        "respond_handshake" => json!({
            "type": "respond_handshake_ok", "peer_id": number("peer_id"), "accept": question["accept"],
        }),
        "heartbeat" => {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            json!({ "type": "heartbeat_ok", "time": now.map_or(0, |now| now.as_secs()) })
        }
        "set_visibility" => {
            let public = question["public"].as_bool().unwrap_or_default();
            if let Some(record) = state.nodes.get_mut(&number("node_id")) {
                record.public = public;
            }
            let visibility = if public { "public" } else { "private" };
            json!({ "type": "set_visibility_ok", "node_id": number("node_id"), "visibility": visibility })
        }
        "set_hostname" => json!({
            "type": "set_hostname_ok", "node_id": number("node_id"), "hostname": question["hostname"],
        }),
        "set_tags" => {
            json!({ "type": "set_tags_ok", "node_id": number("node_id"), "tags": question["tags"] })
        }
        "list_networks" => json!({ "type": "list_networks_ok", "networks": [{
            "id": 0, "name": "backbone", "join_rule": "open", "members": 1, "created": 0, "enterprise": false,
        }] }),
        "poll_invites" => json!({ "type": "poll_invites_ok", "invites": [] }),
        "get_polo_score" => json!({
            "type": "get_polo_score_ok", "node_id": number("node_id"), "address": address(number("node_id")),
            "polo_score": 0,
        }),
        "" => error("request failed".into()),
        other => json!({ "type": format!("{other}_ok"), "node_id": number("node_id") }),
    })
}

/// `02` or `04`: an IPv4 address and a port.
pub(crate) fn endpoint(kind: u8, address: SocketAddr) -> Vec<u8> {
    let mut bytes = vec![kind];
    match address {
        SocketAddr::V4(address) => {
            bytes.push(4);
            bytes.extend(address.ip().octets());
        }
        SocketAddr::V6(address) => {
            bytes.push(16);
            bytes.extend(address.ip().octets());
        }
    }
    bytes.extend(address.port().to_be_bytes());
    bytes
}

/// NAT-3, without its precautions.
fn serve_beacon(socket: &UdpSocket, shared: &(Mutex<State>, Condvar)) {
    let mut buffer = vec![0; 65536];
    loop {
        let received = socket.recv_from(&mut buffer);
        let mut state = lock(&shared.0);
        if state.stop {
            return;
        }
        let Ok((length, from)) = received else { continue };
        let Some((&kind, body)) = buffer[..length].split_first() else { continue };
        let node = |at: usize| body.get(at..at + 4).map(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]));
        let mut out: Vec<(SocketAddr, Vec<u8>)> = Vec::new();
        match (kind, node(0), node(4)) {
            (1, Some(id), _) => {
                *state.discovered.entry(id).or_default() += 1;
                state.seen.insert(id, from);
                shared.1.notify_all();
                out.push((from, endpoint(2, state.said.get(&id).copied().unwrap_or(from))));
            }
            (3, Some(requester), Some(target)) => {
                state.seen.insert(requester, from);
                if let Some(&other) = state.seen.get(&target) {
                    out.push((from, endpoint(4, other)));
                    out.push((other, endpoint(4, from)));
                }
            }
            (5, Some(sender), Some(destination)) => {
                if let Some(&to) = state.seen.get(&destination) {
                    let delivery = [&[6][..], &sender.to_be_bytes(), &body[8..]].concat();
                    out.push((to, delivery));
                }
            }
            _ => {}
        }
        if state.beacon_mute {
            continue;
        }
        drop(state);
        for (to, bytes) in out {
            // A datagram that cannot be sent is a datagram lost.
            let _ = socket.send_to(&bytes, to);
        }
    }
}

//! A daemon that is only a script: node 1, whose peer node 2 runs every service.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pilot_proto::{Addr, SockAddr};
use pilot_roles::frames::FrameReader;
use pilot_roles::ipc::{HandshakeRequest, JsonKind, MAX_MESSAGE, NetworkRequest, Reply, Request};
use pilot_roles::json::{Value, json, to_line};
use pilot_roles::services::{data_exchange, event_stream};

/// What the world around the daemon is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nobody trusts us yet: every node is refused.
    Alone,
    /// Node 2, `agent-b`, is public and reachable.
    Peered,
    /// Node 2 takes messages and files but never says that it did.
    Mute,
    /// Node 2 cannot store anything.
    Full,
    /// Node 2 does not know the frame type.
    Old,
    /// Node 2 closes every stream at once.
    Closing,
    /// Node 2 sends back only half of what it gets.
    Lossy,
}

/// The scripted daemon. Ends with the test process.
pub(crate) struct Fake {
    pub(crate) socket: PathBuf,
    /// Bytes of stream data it was sent.
    pub(crate) taken: Arc<Mutex<u64>>,
}

impl Fake {
    pub(crate) fn start(directory: &Path, mode: Mode) -> Self {
        let socket = directory.join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let taken = Arc::new(Mutex::new(0));
        let count = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = Arc::clone(&count);
                std::thread::spawn(move || Session::new(mode, count).serve(stream));
            }
        });
        Fake { socket, taken }
    }
}

struct Session {
    mode: Mode,
    taken: Arc<Mutex<u64>>,
    next: u32,
    streams: Vec<(u32, u16)>,
    frames: data_exchange::Decoder,
    events: event_stream::Decoder,
    subscribed: bool,
    out: Vec<u8>,
}

impl Session {
    fn new(mode: Mode, taken: Arc<Mutex<u64>>) -> Self {
        Session {
            mode,
            taken,
            next: 0,
            streams: Vec::new(),
            frames: data_exchange::Decoder::default(),
            events: event_stream::Decoder::default(),
            subscribed: false,
            out: Vec::new(),
        }
    }

    fn serve(mut self, mut stream: UnixStream) {
        let remote = SockAddr::new(Addr::backbone(1), 49_208);
        if self.mode == Mode::Peered {
            self.say(&Reply::RecvFrom { from: remote, to_port: 6000, data: b"dg" });
        }
        let mut reader = FrameReader::new(MAX_MESSAGE);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            while let Some(message) = reader.pop().unwrap().map(<[u8]>::to_vec) {
                match Request::parse(&message) {
                    Ok(Some(request)) => self.handle(&request),
                    Ok(None) => {}
                    Err(error) => self.say(&Reply::error(error.to_string())),
                }
            }
            if stream.write_all(&std::mem::take(&mut self.out)).is_err() {
                return;
            }
            match stream.read(&mut buffer) {
                Ok(n @ 1..) => reader.push(&buffer[..n]),
                _ => return,
            }
        }
    }

    fn say(&mut self, reply: &Reply<'_>) {
        reply.write(&mut self.out);
    }

    fn json(&mut self, kind: JsonKind, value: &Value) {
        self.say(&Reply::Json { kind, json: to_line(value).as_bytes() });
    }

    fn refuse(&mut self, words: &str) {
        self.say(&Reply::error(words));
    }

    fn handle(&mut self, request: &Request<'_>) {
        match request {
            Request::Info => self.json(JsonKind::Info, &info(self.mode != Mode::Alone)),
            Request::Health => {
                let health = json!({
                    "bytes_recv": 0, "bytes_sent": 0, "connections": 0, "peers": 0, "status": "ok", "uptime_seconds": 1
                });
                self.json(JsonKind::Health, &health);
            }
            Request::Bind { port: 7 } => self.refuse("port 7 already bound"),
            Request::Bind { port } => {
                self.say(&Reply::BindOk { port: *port });
                let words: &[&[u8]] = match port {
                    5000 => &[b"hi b"],
                    5001 => &[b"one", b"two"],
                    _ => &[],
                };
                for data in words {
                    let id = self.stream(0);
                    let remote = SockAddr::new(Addr::backbone(2), 50_000);
                    self.say(&Reply::Accept { local_port: *port, id, remote });
                    self.say(&Reply::Recv { id, data });
                }
            }
            Request::Dial { to } => self.dial(*to),
            Request::Send { id, data } => self.receive(*id, data),
            Request::Close { id } => self.say(&Reply::CloseOk { id: *id }),
            Request::ResolveHostname { name } => {
                if self.mode != Mode::Alone && name == "agent-b" {
                    let found = json!({
                        "address": "0:0000.0000.0002", "hostname": name, "node_id": 2, "public": true,
                        "type": "resolve_hostname_ok"
                    });
                    self.json(JsonKind::ResolveHostname, &found);
                } else {
                    self.refuse(&format!("resolve_hostname: registry: hostname \"{name}\" not found"));
                }
            }
            Request::SetHostname { name } => match name.as_ref() {
                "agent-b" => {
                    self.refuse("set_hostname: registry: hostname \"agent-b\" already in use by node 2");
                }
                name => {
                    let answer = json!({"hostname": name, "node_id": 1, "type": "set_hostname_ok"});
                    self.json(JsonKind::SetHostname, &answer);
                }
            },
            Request::SetVisibility { public } => {
                let visibility = if *public { "public" } else { "private" };
                let answer = json!({"node_id": 1, "type": "set_visibility_ok", "visibility": visibility});
                self.json(JsonKind::SetVisibility, &answer);
            }
            Request::SetTags { tags } => {
                let mut kept: Vec<&str> = Vec::new();
                for tag in tags.iter().map(|tag| tag.trim_start_matches('#')) {
                    if tag.is_empty() || tag.contains(' ') {
                        return self.refuse("set_tags: registry: request failed");
                    }
                    if !kept.contains(&tag) {
                        kept.push(tag);
                    }
                }
                let tags = if kept.is_empty() { Value::Null } else { json!(kept) };
                self.json(JsonKind::SetTags, &json!({"node_id": 1, "tags": tags, "type": "set_tags_ok"}));
            }
            Request::SetWebhook { url } => self.json(JsonKind::SetWebhook, &json!({"webhook": url})),
            Request::Deregister => self.json(JsonKind::Deregister, &json!({"type": "deregister_ok"})),
            Request::Handshake(request) => self.handshake(request),
            Request::Network(request) => self.network(request),
            other => self.refuse(&format!("unknown command: 0x{:02X}", other.command())),
        }
    }

    fn handshake(&mut self, request: &HandshakeRequest<'_>) {
        let answer = match request {
            HandshakeRequest::Request { node: 99, .. } => {
                return self.refuse("handshake request: handshake relay: registry: node 99: node not found");
            }
            HandshakeRequest::Revoke { node: 99 } => {
                return self.refuse("handshake revoke: node 99 was not trusted");
            }
            HandshakeRequest::Request { node, .. } => json!({"node_id": node, "status": "sent"}),
            HandshakeRequest::Approve { node } => json!({"node_id": node, "status": "approved"}),
            HandshakeRequest::Reject { node, .. } => json!({"node_id": node, "status": "rejected"}),
            HandshakeRequest::Revoke { node } => json!({"node_id": node, "status": "revoked"}),
            HandshakeRequest::Pending if self.mode == Mode::Alone => json!({"pending": []}),
            HandshakeRequest::Pending => json!({"pending": [{
                "justification": "let us talk", "node_id": 1, "public_key": "", "received_at": 1_775_466_487
            }]}),
            HandshakeRequest::Trusted if self.mode == Mode::Alone => json!({"trusted": []}),
            HandshakeRequest::Trusted => json!({"trusted": [{
                "approved_at": 1_775_466_487, "mutual": true, "network": 0, "node_id": 2, "public_key": "k"
            }]}),
            HandshakeRequest::Wait { node, .. } => json!({"node_id": node, "trusted": true}),
        };
        self.json(JsonKind::Handshake, &answer);
    }

    fn network(&mut self, request: &NetworkRequest<'_>) {
        let answer = match request {
            NetworkRequest::List => json!({"networks": [
                {"created": 1, "enterprise": false, "id": 0, "join_rule": "open", "members": 2, "name": "backbone"}
            ], "type": "list_networks_ok"}),
            NetworkRequest::Join { network: 1, .. } => {
                json!({"address": "1:0001.0000.0002", "network_id": 1, "type": "join_network_ok"})
            }
            NetworkRequest::Join { network: 2, token } if token == "s3" => {
                json!({"address": "2:0002.0000.0002", "network_id": 2, "type": "join_network_ok"})
            }
            NetworkRequest::Join { network: 2, .. } => {
                return self.refuse("network join: registry: invalid token for network 2");
            }
            NetworkRequest::Members { network: 1 } => json!({"nodes": [
                {"hostname": "agent-a", "node_id": 1, "public": false},
                {"hostname": "agent-b", "node_id": 2, "public": true}
            ], "type": "list_nodes_ok"}),
            NetworkRequest::Members { network } => {
                return self
                    .refuse(&format!("network members: registry: network {network}: network not found"));
            }
            NetworkRequest::Invite { network, node } => json!({
                "network_id": network, "status": "already_invited", "target_node_id": node,
                "type": "invite_to_network_ok"
            }),
            NetworkRequest::Invites if self.mode == Mode::Peered => json!({"invites": [
                {"inviter_id": 1, "network_id": 3, "timestamp": 1_775_466_487}
            ], "type": "poll_invites_ok"}),
            NetworkRequest::Invites => json!({"invites": [], "type": "poll_invites_ok"}),
            NetworkRequest::Respond { network, accept } => {
                json!({"accepted": accept, "network_id": network, "type": "respond_invite_ok"})
            }
            NetworkRequest::Leave { network: 0 } => {
                return self.refuse("network leave: registry: cannot leave the backbone network");
            }
            NetworkRequest::Leave { network } => json!({"network_id": network, "type": "leave_network_ok"}),
            NetworkRequest::Join { network, .. } => {
                return self.refuse(&format!("network join: registry: network {network}: network not found"));
            }
        };
        self.json(JsonKind::Network, &answer);
    }

    fn dial(&mut self, to: SockAddr) {
        match (self.mode, to.addr.node, to.port) {
            (Mode::Alone, node, _) => self.refuse(&format!("resolve node {node}: registry: request failed")),
            (_, 2, 7 | 1001 | 1002 | 5000) => {
                let id = self.stream(to.port);
                self.say(&Reply::DialOk { id });
                if self.mode == Mode::Closing {
                    self.say(&Reply::CloseOk { id });
                }
            }
            (_, 2, _) => self.refuse("connection refused"),
            (_, node, _) => {
                self.refuse(&format!("resolve node {node}: registry: node {node}: node not found"))
            }
        }
    }

    fn stream(&mut self, port: u16) -> u32 {
        self.next += 1;
        self.streams.push((self.next, port));
        self.next
    }

    fn receive(&mut self, id: u32, data: &[u8]) {
        *self.taken.lock().unwrap() += data.len() as u64;
        let Some((_, port)) = self.streams.iter().find(|(stream, _)| *stream == id) else {
            return self.refuse(&format!("connection {id} not found"));
        };
        match port {
            7 if self.mode == Mode::Lossy => {
                self.say(&Reply::Recv { id, data: &data[..data.len() / 2] });
                self.say(&Reply::CloseOk { id });
            }
            7 => self.say(&Reply::Recv { id, data }),
            5000 => self.say(&Reply::CloseOk { id }),
            1001 => self.exchange(id, data),
            1002 => self.event(id, data),
            _ => {}
        }
    }

    fn exchange(&mut self, id: u32, mut data: &[u8]) {
        while let Ok(Some(frame)) = self.frames.feed(&mut data) {
            use data_exchange::{Answer, Content};
            let length = match frame.content() {
                Content::File { data, .. } => data.len(),
                _ => frame.payload.len(),
            };
            let answer = match self.mode {
                Mode::Mute => {
                    self.say(&Reply::CloseOk { id });
                    continue;
                }
                Mode::Full => Answer::save_failed(frame.kind, "write: no space left on device"),
                Mode::Old => Answer::ack(99, length),
                _ => Answer::ack(frame.kind, length),
            };
            let bytes = answer.to_frame().to_bytes();
            // In two pieces, as the reference sends it.
            self.say(&Reply::Recv { id, data: &bytes[..8] });
            self.say(&Reply::Recv { id, data: &bytes[8..] });
        }
    }

    fn event(&mut self, id: u32, mut data: &[u8]) {
        while let Ok(Some(event)) = self.events.feed(&mut data) {
            if std::mem::replace(&mut self.subscribed, true) {
                continue;
            }
            let events: &[(&[u8], &[u8])] = match event.topic.as_slice() {
                b"news" => &[(b"news", b"flash")],
                b"*" => &[(b"x", b"1"), (b"y", b"2")],
                _ => &[],
            };
            let bytes: Vec<u8> =
                events.iter().flat_map(|(topic, data)| event_stream::encode(topic, data).unwrap()).collect();
            if !bytes.is_empty() {
                self.say(&Reply::Recv { id, data: &bytes });
            }
        }
    }
}

fn info(peered: bool) -> Value {
    let peers = if peered {
        json!([{"authenticated": true, "encrypted": true, "endpoint": "127.0.0.1:4000", "node_id": 2}])
    } else {
        json!([])
    };
    let count = usize::from(peered);
    json!({
        "address": "0:0000.0000.0001", "authenticated_peers": count, "bytes_recv": 900, "bytes_sent": 1229,
        "conn_list": [], "connections": 0, "email": "a@example.com", "encrypt": true, "encrypted_peers": count,
        "handshake_pending_count": 0, "hostname": "agent-a", "identity": true, "node_id": 1, "peer_list": peers,
        "peers": count, "pkts_recv": 9, "pkts_sent": 10, "ports": 5,
        "public_key": "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=", "tunnel_encryption_failure": 0,
        "tunnel_encryption_success": 1, "uptime_secs": 2
    })
}

/// Runs the program; gives up on it after half a minute. Without `socket` no setting is in the environment.
pub(crate) fn pilotctl(
    home: &Path,
    socket: Option<&Path>,
    argv: &[&str],
    stdin: Option<&str>,
) -> (Option<i32>, String, String) {
    use std::process::{Command, Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_pilotctl"));
    command.args(argv).env_clear().env("HOME", home);
    if let Some(socket) = socket {
        command.env("PILOT_SOCKET", socket).env("PILOT_REGISTRY", "127.0.0.1:1");
    }
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // A program that does not read its input is fine.
    let _ = input.write_all(stdin.unwrap_or_default().as_bytes());
    drop(input);
    let pid = child.id();
    let (done, watch) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if watch.recv_timeout(Duration::from_secs(30)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
    });
    let output = child.wait_with_output().unwrap();
    drop(done);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

//! A small network at the registry: node `n` has key `n` and calls from 192.0.2.`n`.

use pilot_roles::ConnId;
use pilot_roles::json::{Value, json};
use pilot_roles::rendezvous::{Config, RegistryConfig};

use crate::host::{Host, Key};

pub(crate) const ADMIN: &str = "the-admin-token";

pub(crate) struct Net {
    pub(crate) host: Host,
    conns: Vec<ConnId>,
}

/// An IP address of node `n`.
pub(crate) fn ip(n: u8) -> String {
    format!("192.0.2.{n}")
}

pub(crate) fn register(n: u8) -> Value {
    json!({"type": "register", "listen_addr": ":4000", "public_key": Key::new(n).text()})
}

/// `request` with the signature of key `n` over `text`.
pub(crate) fn signed(n: u8, text: &str, mut request: Value) -> Value {
    request["signature"] = Key::new(n).sign(text).into();
    request
}

/// The registration that later releases send.
pub(crate) fn signed_register(n: u8) -> Value {
    let request = register(n);
    signed(n, &format!("register::4000:{}", Key::new(n).text()), request)
}

impl Net {
    /// Nodes 1 to `count`, private, registered unsigned as by the oldest daemons.
    pub(crate) fn new(count: u8) -> Self {
        let registry = RegistryConfig { admin_token: Some(ADMIN.to_owned()), ..RegistryConfig::default() };
        Self::with(Config { registry, beacon: None }, count)
    }

    pub(crate) fn with(config: Config, count: u8) -> Self {
        let mut host = Host::new(config);
        let conns = (1..=count).map(|n| host.open_from(&ip(n))).collect();
        let mut net = Net { host, conns };
        for n in 1..=count {
            assert_eq!(net.ask(n, register(n))["node_id"], n);
        }
        net
    }

    /// Node `n` asks on its own connection, a new one if that was closed.
    pub(crate) fn ask(&mut self, n: u8, request: Value) -> Value {
        let conn = &mut self.conns[usize::from(n) - 1];
        if self.host.peers[conn].closed {
            *conn = self.host.open_from(&ip(n));
        }
        self.host.ask(*conn, request)
    }

    /// Node `n` asks with its signature over `text`.
    pub(crate) fn sign(&mut self, n: u8, text: &str, request: Value) -> Value {
        self.ask(n, signed(n, text, request))
    }

    pub(crate) fn beat(&mut self, n: u8) -> Value {
        self.sign(n, &format!("heartbeat:{n}"), json!({"type": "heartbeat", "node_id": n}))
    }

    pub(crate) fn publish(&mut self, n: u8, public: bool) {
        let request = json!({"type": "set_visibility", "node_id": n, "public": public});
        assert_eq!(self.sign(n, &format!("set_visibility:{n}"), request)["type"], "set_visibility_ok");
    }

    pub(crate) fn name(&mut self, n: u8, hostname: &str) -> Value {
        let request = json!({"type": "set_hostname", "node_id": n, "hostname": hostname});
        self.sign(n, &format!("set_hostname:{n}"), request)
    }

    pub(crate) fn resolve(&mut self, n: u8, target: u8) -> Value {
        let request = json!({"type": "resolve", "node_id": target, "requester_id": n});
        self.sign(n, &format!("resolve:{n}:{target}"), request)
    }

    pub(crate) fn request(&mut self, n: u8, to: u8, justification: &str) -> Value {
        let request = json!({
            "type": "request_handshake", "from_node_id": n, "to_node_id": to, "justification": justification,
        });
        self.sign(n, &format!("handshake:{n}:{to}"), request)
    }

    pub(crate) fn respond(&mut self, n: u8, peer: u8, accept: bool) -> Value {
        let request = json!({"type": "respond_handshake", "node_id": n, "peer_id": peer, "accept": accept});
        self.sign(n, &format!("respond:{n}:{peer}"), request)
    }

    pub(crate) fn report(&mut self, n: u8, peer: u8) -> Value {
        let request = json!({"type": "report_trust", "node_id": n, "peer_id": peer});
        self.sign(n, &format!("report_trust:{n}:{peer}"), request)
    }

    pub(crate) fn revoke(&mut self, n: u8, peer: u8) -> Value {
        let request = json!({"type": "revoke_trust", "node_id": n, "peer_id": peer});
        self.sign(n, &format!("revoke_trust:{n}:{peer}"), request)
    }

    /// The requests and responses that wait for node `n`.
    pub(crate) fn poll(&mut self, n: u8) -> (Vec<Value>, Vec<Value>) {
        let request = json!({"type": "poll_handshakes", "node_id": n});
        let answer = self.sign(n, &format!("poll_handshakes:{n}"), request);
        let list = |name: &str| answer[name].as_array().unwrap().clone();
        (list("requests"), list("responses"))
    }

    pub(crate) fn trusted(&mut self, a: u8, b: u8) -> bool {
        self.ask(a, json!({"type": "check_trust", "node_id": a, "peer_id": b}))["trusted"].as_bool().unwrap()
    }
}

pub(crate) fn failed() -> Value {
    json!({"error": "request failed", "type": "error"})
}

//! The registry's requests as JSON objects, signed where the registry wants a signature.
//!
//! A signature is Ed25519 by the node's identity over a fixed ASCII text, in padded base64.

use alloc::{format, string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::json::{Map, Value, json};

/// Signs with the node's identity.
pub(crate) type Sign = dyn Fn(&[u8]) -> [u8; 64] + Send;

/// A request body.
pub(crate) type Request = Map<String, Value>;

/// What `register` tells the registry about us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registration {
    /// `host:port` of the tunnel.
    pub(crate) listen_addr: String,
    /// Account e-mail.
    pub(crate) owner: String,
    /// `ip:port` in local networks.
    pub(crate) lan_addrs: Vec<String>,
    /// Only the beacon may be told to peers.
    pub(crate) relay_only: bool,
    /// Program version.
    pub(crate) version: String,
}

/// Makes requests of one node.
#[derive(Clone, Copy)]
pub(crate) struct Requests<'a> {
    /// Our node id.
    pub(crate) node: u32,
    /// Our key, base64.
    pub(crate) public_key: &'a str,
    /// Our signature.
    pub(crate) sign: &'a Sign,
}

fn object(value: Value) -> Request {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

impl Requests<'_> {
    fn signed(&self, value: Value, text: &str) -> Request {
        let mut map = object(value);
        map.insert("signature".into(), Value::String(self.signature(text)));
        map
    }

    fn signature(&self, text: &str) -> String {
        STANDARD.encode((self.sign)(text.as_bytes()))
    }

    /// `register`, signed as 1.18.0 does, so that the registry can insist on it later.
    pub(crate) fn register(&self, what: &Registration) -> Request {
        let mut map = self.signed(
            json!({
                "type": "register",
                "listen_addr": what.listen_addr,
                "public_key": self.public_key,
                "owner": what.owner,
                "version": what.version,
            }),
            &format!("register:{}:{}", what.listen_addr, self.public_key),
        );
        if !what.lan_addrs.is_empty() {
            map.insert("lan_addrs".into(), json!(what.lan_addrs));
        }
        if what.relay_only {
            map.insert("relay_only".into(), Value::Bool(true));
        }
        map
    }

    /// `heartbeat`, with the time when the registry demanded it.
    pub(crate) fn heartbeat(&self, unix_secs: Option<i64>) -> Request {
        let node = self.node;
        match unix_secs {
            None => self.signed(json!({"type": "heartbeat", "node_id": node}), &format!("heartbeat:{node}")),
            Some(ts) => self.signed(
                json!({"type": "heartbeat", "node_id": node, "ts": ts}),
                &format!("heartbeat:{node}:{ts}"),
            ),
        }
    }

    /// A request about ourselves, signed `<word>:<own id>`.
    fn own(&self, operation: &str, field: Option<(&str, Value)>) -> Request {
        let mut map = self
            .signed(json!({"type": operation, "node_id": self.node}), &format!("{operation}:{}", self.node));
        if let Some((key, value)) = field {
            map.insert(key.into(), value);
        }
        map
    }

    /// `set_visibility`.
    pub(crate) fn set_visibility(&self, public: bool) -> Request {
        self.own("set_visibility", Some(("public", public.into())))
    }

    /// `set_hostname`; empty clears.
    pub(crate) fn set_hostname(&self, hostname: &str) -> Request {
        self.own("set_hostname", Some(("hostname", hostname.into())))
    }

    /// `set_tags`.
    pub(crate) fn set_tags(&self, tags: &[String]) -> Request {
        self.own("set_tags", Some(("tags", json!(tags))))
    }

    /// `set_task_exec`.
    pub(crate) fn set_task_exec(&self, enabled: bool) -> Request {
        self.own("set_task_exec", Some(("enabled", enabled.into())))
    }

    /// `deregister`.
    pub(crate) fn deregister(&self) -> Request {
        self.own("deregister", None)
    }

    /// `poll_handshakes`: collects relayed requests and answers; the registry forgets them then.
    pub(crate) fn poll_handshakes(&self) -> Request {
        self.own("poll_handshakes", None)
    }

    /// `poll_invites`.
    pub(crate) fn poll_invites(&self) -> Request {
        self.own("poll_invites", None)
    }

    /// `lookup`: key and public data of a node.
    pub(crate) fn lookup(&self, node: u32) -> Request {
        object(json!({"type": "lookup", "node_id": node}))
    }

    /// `resolve`: where a node is.
    pub(crate) fn resolve(&self, node: u32) -> Request {
        self.signed(
            json!({"type": "resolve", "node_id": node, "requester_id": self.node}),
            &format!("resolve:{}:{node}", self.node),
        )
    }

    /// `resolve_hostname`; says who asks, without which private nodes are never found.
    pub(crate) fn resolve_hostname(&self, hostname: &str) -> Request {
        object(json!({"type": "resolve_hostname", "hostname": hostname, "requester_id": self.node}))
    }

    /// `check_trust`: whether the registry knows a pair, or a shared network.
    pub(crate) fn check_trust(&self, peer: u32) -> Request {
        object(json!({"type": "check_trust", "node_id": self.node, "peer_id": peer}))
    }

    /// `request_handshake`: leaves a trust request in the peer's inbox at the registry.
    pub(crate) fn request_handshake(&self, peer: u32, justification: &str) -> Request {
        self.signed(
            json!({
                "type": "request_handshake", "from_node_id": self.node, "to_node_id": peer,
                "justification": justification,
            }),
            &format!("handshake:{}:{peer}", self.node),
        )
    }

    /// `respond_handshake`.
    pub(crate) fn respond_handshake(&self, peer: u32, accept: bool) -> Request {
        self.signed(
            json!({"type": "respond_handshake", "node_id": self.node, "peer_id": peer, "accept": accept}),
            &format!("respond:{}:{peer}", self.node),
        )
    }

    /// `report_trust`.
    pub(crate) fn report_trust(&self, peer: u32) -> Request {
        self.pair("report_trust", peer)
    }

    /// `revoke_trust`.
    pub(crate) fn revoke_trust(&self, peer: u32) -> Request {
        self.pair("revoke_trust", peer)
    }

    fn pair(&self, operation: &str, peer: u32) -> Request {
        self.signed(
            json!({"type": operation, "node_id": self.node, "peer_id": peer}),
            &format!("{operation}:{}:{peer}", self.node),
        )
    }

    /// `list_networks`.
    pub(crate) fn list_networks(&self) -> Request {
        object(json!({"type": "list_networks"}))
    }

    /// `join_network`.
    pub(crate) fn join_network(&self, network: u16, token: &str) -> Request {
        self.signed(
            json!({
                "type": "join_network", "node_id": self.node, "network_id": network, "token": token,
                "inviter_id": 0,
            }),
            &format!("join_network:{}:{network}", self.node),
        )
    }

    /// `leave_network`.
    pub(crate) fn leave_network(&self, network: u16) -> Request {
        self.signed(
            json!({"type": "leave_network", "node_id": self.node, "network_id": network}),
            &format!("leave_network:{}:{network}", self.node),
        )
    }

    /// `list_nodes`; the backbone needs the admin token.
    pub(crate) fn list_nodes(&self, network: u16, admin_token: &str) -> Request {
        let mut map = object(json!({"type": "list_nodes", "network_id": network}));
        if !admin_token.is_empty() {
            map.insert("admin_token".into(), admin_token.into());
        }
        map
    }

    /// `invite_to_network`.
    pub(crate) fn invite_to_network(&self, network: u16, target: u32, admin_token: &str) -> Request {
        let mut map = self.signed(
            json!({
                "type": "invite_to_network", "network_id": network, "inviter_id": self.node,
                "target_node_id": target,
            }),
            &format!("invite:{}:{network}:{target}", self.node),
        );
        if !admin_token.is_empty() {
            map.insert("admin_token".into(), admin_token.into());
        }
        map
    }

    /// `respond_invite`.
    pub(crate) fn respond_invite(&self, network: u16, accept: bool) -> Request {
        self.signed(
            json!({"type": "respond_invite", "node_id": self.node, "network_id": network, "accept": accept}),
            &format!("respond_invite:{}:{network}", self.node),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use pilot_proto::crypto::{Crypto, Ed25519Seed, RustCrypto};

    const PUBLIC_KEY: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";

    fn sign(text: &[u8]) -> [u8; 64] {
        RustCrypto.ed25519_sign(&Ed25519Seed::from_bytes([1; 32]), text)
    }

    #[test]
    fn signatures_are_those_of_the_vectors() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../../spec/vectors/versions.json")).unwrap();
        let list = vectors["signatures"]["list"].as_array().unwrap();
        let expected: BTreeMap<&str, &str> = list
            .iter()
            .map(|case| (case["signed_text"].as_str().unwrap(), case["signature_b64"].as_str().unwrap()))
            .collect();
        let requests = Requests { node: 7, public_key: PUBLIC_KEY, sign: &sign };
        let register = |listen_addr: &str| {
            requests.register(&Registration { listen_addr: listen_addr.into(), ..Registration::default() })
        };
        for (text, request) in [
            (format!("register:203.0.113.7:4000:{PUBLIC_KEY}"), register("203.0.113.7:4000")),
            (format!("register:0.0.0.0:0:{PUBLIC_KEY}"), register("0.0.0.0:0")),
            ("heartbeat:7".into(), requests.heartbeat(None)),
            ("heartbeat:7:1795335884".into(), requests.heartbeat(Some(1_795_335_884))),
        ] {
            assert_eq!(request["signature"], expected[text.as_str()], "{text}");
        }
    }

    #[test]
    fn what_is_signed_names_the_operation_and_the_ids() {
        let requests = Requests { node: 7, public_key: PUBLIC_KEY, sign: &sign };
        for (text, request) in [
            ("resolve:7:9", requests.resolve(9)),
            ("handshake:7:9", requests.request_handshake(9, "why")),
            ("respond:7:9", requests.respond_handshake(9, true)),
            ("report_trust:7:9", requests.report_trust(9)),
            ("revoke_trust:7:9", requests.revoke_trust(9)),
            ("poll_handshakes:7", requests.poll_handshakes()),
            ("set_hostname:7", requests.set_hostname("a")),
            ("set_visibility:7", requests.set_visibility(true)),
            ("set_tags:7", requests.set_tags(&["a".into()])),
            ("set_task_exec:7", requests.set_task_exec(true)),
            ("deregister:7", requests.deregister()),
            ("join_network:7:3", requests.join_network(3, "token")),
            ("leave_network:7:3", requests.leave_network(3)),
            ("invite:7:3:9", requests.invite_to_network(3, 9, "")),
            ("poll_invites:7", requests.poll_invites()),
            ("respond_invite:7:3", requests.respond_invite(3, true)),
        ] {
            assert_eq!(request["signature"], STANDARD.encode(sign(text.as_bytes())), "{text}");
        }
    }

    #[test]
    fn hazard_07_16_a_name_is_asked_for_in_our_own_name() {
        let requests = Requests { node: 7, public_key: PUBLIC_KEY, sign: &sign };
        assert_eq!(requests.resolve_hostname("bob")["requester_id"], 7);
    }
}

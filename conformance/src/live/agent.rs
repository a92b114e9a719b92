//! An agent at a rendezvous under test: a key, an address of its own, a connection to the registry and a socket
//! towards the beacon. It does what a case tells it to, right or wrong.

use super::link::{ANSWER, Link};
use super::peer::{host, secret};
use super::trace::Trace;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Where a rendezvous listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) registry: SocketAddr,
    pub(crate) beacon: SocketAddr,
}

pub(crate) struct Agent {
    pub(crate) identity: SigningKey,
    /// Its host: limits by source address are its own.
    pub(crate) source: Ipv4Addr,
    /// Its id, once it has registered.
    pub(crate) node: u32,
    pub(crate) link: Link,
    pub(crate) socket: UdpSocket,
    pub(crate) place: Place,
    trace: Trace,
}

impl Agent {
    /// An agent that the registry does not know yet.
    pub(crate) fn new(number: u32, place: Place, trace: &Trace) -> Result<Agent, String> {
        let source = host(number);
        let socket = UdpSocket::bind((source, 0)).map_err(|e| format!("{source}: {e}"))?;
        Ok(Agent {
            identity: SigningKey::from_bytes(&secret("agent", number, 0)),
            source,
            node: 0,
            link: Link::dial(source, place.registry, trace)?,
            socket,
            place,
            trace: trace.clone(),
        })
    }

    /// A new connection instead of the one it has.
    pub(crate) fn dial_again(&mut self) -> Result<(), String> {
        self.link = self.another_link()?;
        Ok(())
    }

    pub(crate) fn another_link(&self) -> Result<Link, String> {
        Link::dial(self.source, self.place.registry, &self.trace)
    }

    /// Its public key as text.
    pub(crate) fn key(&self) -> String {
        BASE64_STANDARD.encode(self.identity.verifying_key().as_bytes())
    }

    /// A signature as text (REG-5).
    pub(crate) fn sign(&self, text: &str) -> String {
        BASE64_STANDARD.encode(self.identity.sign(text.as_bytes()).to_bytes())
    }

    /// A signed registration.
    pub(crate) fn registration(&self, listen: &str) -> Value {
        let key = self.key();
        json!({
            "type": "register", "public_key": key, "listen_addr": listen,
            "signature": self.sign(&format!("register:{listen}:{key}")),
        })
    }

    /// The same without a signature, as April's daemons send it.
    pub(crate) fn unsigned(&self, listen: &str) -> Value {
        json!({ "type": "register", "public_key": self.key(), "listen_addr": listen })
    }

    /// Registers with its socket's port.
    pub(crate) fn register(&mut self) -> Result<(), String> {
        let listen = format!(":{}", self.address()?.port());
        let registered = self.registration(&listen);
        self.take_id(&registered)
    }

    /// Registers as `request` says and keeps the id that is given.
    pub(crate) fn take_id(&mut self, request: &Value) -> Result<(), String> {
        let answer = self.ask_ok(request)?;
        self.node =
            number(&answer["node_id"]).filter(|id| *id != 0).ok_or(format!("no node id in {answer}"))?;
        Ok(())
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, String> {
        self.socket.local_addr().map_err(|e| format!("{}: {e}", self.source))
    }

    /// The request must be performed.
    pub(crate) fn ask_ok(&mut self, request: &Value) -> Result<Value, String> {
        let answer = self.link.ask(request)?;
        expect_ok(request, answer)
    }

    /// The request must be refused, and the connection must stay; the words of the refusal.
    pub(crate) fn refused(&mut self, request: &Value) -> Result<String, String> {
        let answer = self.link.ask(request)?;
        refusal(request, &answer)
    }

    /// Makes the node public or private.
    pub(crate) fn set_public(&mut self, public: bool) -> Result<(), String> {
        let node = self.node;
        let request = json!({
            "type": "set_visibility", "node_id": node, "public": public,
            "signature": self.sign(&format!("set_visibility:{node}")),
        });
        self.ask_ok(&request).map(drop)
    }

    pub(crate) fn set_hostname(&self, hostname: &str) -> Value {
        let node = self.node;
        json!({
            "type": "set_hostname", "node_id": node, "hostname": hostname,
            "signature": self.sign(&format!("set_hostname:{node}")),
        })
    }

    pub(crate) fn heartbeat(&self) -> Value {
        let node = self.node;
        json!({ "type": "heartbeat", "node_id": node, "signature": self.sign(&format!("heartbeat:{node}")) })
    }

    pub(crate) fn resolve(&self, target: u32) -> Value {
        let node = self.node;
        json!({
            "type": "resolve", "requester_id": node, "node_id": target,
            "signature": self.sign(&format!("resolve:{node}:{target}")),
        })
    }

    pub(crate) fn report_trust(&self, peer: u32) -> Value {
        let node = self.node;
        json!({
            "type": "report_trust", "node_id": node, "peer_id": peer,
            "signature": self.sign(&format!("report_trust:{node}:{peer}")),
        })
    }

    pub(crate) fn revoke_trust(&self, peer: u32) -> Value {
        let node = self.node;
        json!({
            "type": "revoke_trust", "node_id": node, "peer_id": peer,
            "signature": self.sign(&format!("revoke_trust:{node}:{peer}")),
        })
    }

    pub(crate) fn request_handshake(&self, to: u32, justification: &str) -> Value {
        let node = self.node;
        json!({
            "type": "request_handshake", "from_node_id": node, "to_node_id": to,
            "justification": justification, "signature": self.sign(&format!("handshake:{node}:{to}")),
        })
    }

    pub(crate) fn respond_handshake(&self, peer: u32, accept: bool) -> Value {
        let node = self.node;
        json!({
            "type": "respond_handshake", "node_id": node, "peer_id": peer, "accept": accept,
            "signature": self.sign(&format!("respond:{node}:{peer}")),
        })
    }

    pub(crate) fn poll_handshakes(&self) -> Value {
        let node = self.node;
        json!({
            "type": "poll_handshakes", "node_id": node,
            "signature": self.sign(&format!("poll_handshakes:{node}")),
        })
    }

    /// Whether the registry says that two nodes trust each other.
    pub(crate) fn trusted(&mut self, a: u32, b: u32) -> Result<bool, String> {
        let answer = self.ask_ok(&json!({ "type": "check_trust", "node_id": a, "peer_id": b }))?;
        answer["trusted"].as_bool().ok_or(format!("no answer in {answer}"))
    }

    /// What everybody may know of a node.
    pub(crate) fn lookup(&mut self, node: u32) -> Result<Value, String> {
        self.ask_ok(&json!({ "type": "lookup", "node_id": node }))
    }

    // Towards the beacon -------------------------------------------------------------------------------------------

    /// Sends a datagram to the beacon.
    pub(crate) fn tell(&self, message: &[u8]) -> Result<(), String> {
        self.trace.datagram(self.address()?, self.place.beacon, message);
        self.socket.send_to(message, self.place.beacon).map(drop).map_err(|e| format!("{}: {e}", self.source))
    }

    /// The next datagram of the beacon.
    pub(crate) fn hear(&self, limit: Duration) -> Result<Option<Vec<u8>>, String> {
        let fail = |e: std::io::Error| format!("{}: {e}", self.source);
        let mut buffer = vec![0; 65536];
        if limit.is_zero() {
            self.socket.set_nonblocking(true).map_err(fail)?;
        } else {
            self.socket.set_read_timeout(Some(limit)).map_err(fail)?;
        }
        let received = self.socket.recv_from(&mut buffer);
        self.socket.set_nonblocking(false).map_err(fail)?;
        match received {
            Ok((length, from)) => {
                buffer.truncate(length);
                self.trace.datagram(from, self.address()?, &buffer);
                if from == self.place.beacon {
                    Ok(Some(buffer))
                } else {
                    Err(format!("a datagram from {from} instead of the beacon"))
                }
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(e) => Err(fail(e)),
        }
    }

    /// The next datagram of the beacon must be there soon.
    pub(crate) fn expect(&self, what: &str) -> Result<Vec<u8>, String> {
        self.hear(ANSWER)?.ok_or(format!("no {what} of the beacon within {:.1} s", ANSWER.as_secs_f64()))
    }

    /// Everything that is here already.
    pub(crate) fn drain(&self) -> Result<Vec<Vec<u8>>, String> {
        let mut heard = Vec::new();
        while let Some(datagram) = self.hear(Duration::ZERO)? {
            heard.push(datagram);
        }
        Ok(heard)
    }

    /// Registers at the beacon and takes the answer.
    pub(crate) fn appear(&self) -> Result<(), String> {
        self.tell(&discover(self.node))?;
        let answer = self.expect("address")?;
        let expected = super::rendezvous::endpoint(2, self.address()?);
        if answer == expected {
            Ok(())
        } else {
            Err(format!("answered {answer:02x?}, expected {expected:02x?}"))
        }
    }
}

/// NAT-1, 01.
pub(crate) fn discover(node: u32) -> Vec<u8> {
    [&[1][..], &node.to_be_bytes()].concat()
}

/// NAT-1, 03.
pub(crate) fn punch(requester: u32, target: u32) -> Vec<u8> {
    [&[3][..], &requester.to_be_bytes(), &target.to_be_bytes()].concat()
}

/// NAT-1, 05.
pub(crate) fn relay(sender: u32, destination: u32, frame: &[u8]) -> Vec<u8> {
    [&[5][..], &sender.to_be_bytes(), &destination.to_be_bytes(), frame].concat()
}

/// NAT-1, 06.
pub(crate) fn delivery(sender: u32, frame: &[u8]) -> Vec<u8> {
    [&[6][..], &sender.to_be_bytes(), frame].concat()
}

/// A node id in an answer.
pub(crate) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// The answer must be of the kind that a performed request gets.
pub(crate) fn expect_ok(request: &Value, answer: Value) -> Result<Value, String> {
    let kind = request["type"].as_str().unwrap_or_default();
    if answer["type"] == format!("{kind}_ok") && answer.get("error").is_none() {
        Ok(answer)
    } else {
        Err(format!("{request} is answered {answer}"))
    }
}

/// The answer must be a refusal; its words.
pub(crate) fn refusal(request: &Value, answer: &Value) -> Result<String, String> {
    match (answer["type"].as_str(), answer["error"].as_str()) {
        (Some("error"), Some(words)) => Ok(words.to_string()),
        _ => Err(format!("{request} is answered {answer}, must be refused")),
    }
}

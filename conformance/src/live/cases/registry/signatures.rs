//! Signed requests: each operation with the right signature, and with every wrong one.

use crate::live::agent::Agent;
use crate::live::case::{Cases, OfRendezvous};
use crate::live::server::{ADMIN, Server};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// An operation that a node signs.
#[derive(Clone, Copy)]
struct Operation {
    name: &'static str,
    /// The member that names who signs.
    signer: &'static str,
    /// The text that is signed, of the signer and another node (REG-5, TRU-14).
    text: fn(u32, u32) -> String,
    /// The other members.
    members: fn(u32, u32) -> Value,
    /// Whether the administrator's token does as well.
    admin: bool,
}

const OPERATIONS: [Operation; 13] = [
    Operation {
        name: "heartbeat",
        signer: "node_id",
        text: |a, _| format!("heartbeat:{a}"),
        members: |_, _| json!({}),
        admin: false,
    },
    Operation {
        name: "resolve",
        signer: "requester_id",
        text: |a, b| format!("resolve:{a}:{b}"),
        members: |_, b| json!({ "node_id": b }),
        admin: false,
    },
    Operation {
        name: "punch",
        signer: "requester_id",
        text: |a, b| format!("punch:{a}:{b}"),
        members: |a, b| json!({ "node_a": a, "node_b": b }),
        admin: false,
    },
    Operation {
        name: "set_hostname",
        signer: "node_id",
        text: |a, _| format!("set_hostname:{a}"),
        members: |a, _| json!({ "hostname": format!("signed-{a}") }),
        admin: true,
    },
    Operation {
        name: "set_visibility",
        signer: "node_id",
        text: |a, _| format!("set_visibility:{a}"),
        members: |_, _| json!({ "public": true }),
        admin: true,
    },
    Operation {
        name: "set_tags",
        signer: "node_id",
        text: |a, _| format!("set_tags:{a}"),
        members: |_, _| json!({ "tags": ["signed"] }),
        admin: true,
    },
    Operation {
        name: "set_task_exec",
        signer: "node_id",
        text: |a, _| format!("set_task_exec:{a}"),
        members: |_, _| json!({ "enabled": true }),
        admin: true,
    },
    Operation {
        name: "deregister",
        signer: "node_id",
        text: |a, _| format!("deregister:{a}"),
        members: |_, _| json!({}),
        admin: true,
    },
    Operation {
        name: "report_trust",
        signer: "node_id",
        text: |a, b| format!("report_trust:{a}:{b}"),
        members: |_, b| json!({ "peer_id": b }),
        admin: false,
    },
    Operation {
        name: "revoke_trust",
        signer: "node_id",
        text: |a, b| format!("revoke_trust:{a}:{b}"),
        members: |_, b| json!({ "peer_id": b }),
        admin: false,
    },
    Operation {
        name: "request_handshake",
        signer: "from_node_id",
        text: |a, b| format!("handshake:{a}:{b}"),
        members: |_, b| json!({ "to_node_id": b, "justification": "please" }),
        admin: false,
    },
    Operation {
        name: "respond_handshake",
        signer: "node_id",
        text: |a, b| format!("respond:{a}:{b}"),
        members: |_, b| json!({ "peer_id": b, "accept": true }),
        admin: false,
    },
    Operation {
        name: "poll_handshakes",
        signer: "node_id",
        text: |a, _| format!("poll_handshakes:{a}"),
        members: |_, _| json!({}),
        admin: false,
    },
];

impl Operation {
    /// The request of node `a` about `b` with this signature.
    fn request(self, a: u32, b: u32, signature: Option<String>) -> Value {
        let mut request = (self.members)(a, b);
        request["type"] = self.name.into();
        request[self.signer] = a.into();
        if let Some(signature) = signature {
            request["signature"] = signature.into();
        }
        request
    }
}

/// A signature that must not count, and how it comes about.
type Wrong = (&'static str, fn(Operation, &Agent, &Agent) -> Option<String>);

const WRONG: [Wrong; 8] = [
    ("missing", |_, _, _| None),
    ("empty", |_, _, _| Some(String::new())),
    ("forged", |op, a, b| Some(b.sign(&(op.text)(a.node, b.node)))),
    ("of-another-node", |op, a, b| Some(b.sign(&(op.text)(b.node, a.node)))),
    ("of-another-operation", |op, a, _| Some(a.sign(&format!("other_{}:{}", op.name, a.node)))),
    ("about-another-node", |op, a, b| {
        // What names one node only is signed over a text with a number more.
        let text = (op.text)(a.node, b.node);
        let other = (op.text)(a.node, b.node + 1);
        Some(a.sign(&if text == other { format!("{text}:1") } else { other }))
    }),
    ("no-base64", |_, _, _| Some("?".repeat(88))),
    ("cut", |op, a, b| {
        let whole = BASE64_STANDARD.decode(a.sign(&(op.text)(a.node, b.node))).unwrap_or_default();
        Some(BASE64_STANDARD.encode(whole.get(..63).unwrap_or_default()))
    }),
];

/// Two nodes that an operation can be about: the other is public, and there is something to revoke.
fn nodes(server: &mut Server<'_>) -> Result<(Agent, Agent), String> {
    let (a, mut b) = server.friends()?;
    b.set_public(true)?;
    Ok((a, b))
}

/// Everything that anybody can see of the two.
fn seen(a: u32, b: u32, asker: &mut Agent) -> Result<Vec<Value>, String> {
    let mut seen = vec![asker.lookup(a)?, asker.lookup(b)?];
    for node in [a, b] {
        seen.push(asker.ask_ok(&json!({ "type": "get_key_info", "node_id": node }))?);
    }
    seen.push(asker.trusted(a, b)?.into());
    Ok(seen)
}

pub(super) fn signatures(cases: &mut Cases<OfRendezvous>) {
    for operation in OPERATIONS {
        cases.must(
            &format!("signed/{}/right", operation.name),
            "REG-5",
            "a request that is signed as the table says is performed",
            move |server| {
                let (mut a, b) = nodes(server)?;
                let signature = a.sign(&(operation.text)(a.node, b.node));
                a.ask_ok(&operation.request(a.node, b.node, Some(signature))).map(drop)
            },
        );
        for (name, wrong) in WRONG {
            cases.must(
                &format!("signed/{}/{name}", operation.name),
                "REG-5",
                "a request without the right signature is refused and changes nothing; the same, signed, is performed",
                move |server| {
                    let (mut a, mut b) = nodes(server)?;
                    let before = seen(a.node, b.node, &mut b)?;
                    let request = operation.request(a.node, b.node, wrong(operation, &a, &b));
                    // From the node's own connection, where other requests have carried its signature.
                    a.refused(&request)?;
                    b.refused(&request)?;
                    let after = seen(a.node, b.node, &mut b)?;
                    if after != before {
                        return Err(format!("{before:?} became {after:?}"));
                    }
                    let waiting = b.ask_ok(&b.poll_handshakes())?;
                    if waiting["requests"] != json!([]) || waiting["responses"] != json!([]) {
                        return Err(format!("something waits: {waiting}"));
                    }
                    let signature = a.sign(&(operation.text)(a.node, b.node));
                    a.ask_ok(&operation.request(a.node, b.node, Some(signature))).map(drop)
                },
            );
        }
        cases.must(
            &format!("signed/{}/administrator", operation.name),
            "REG-5",
            "the administrator's token replaces the signature of settings and of a farewell, and of nothing else",
            move |server| {
                let (a, mut b) = nodes(server)?;
                let mut request = operation.request(a.node, b.node, None);
                request["admin_token"] = format!("{ADMIN}?").into();
                b.refused(&request)?;
                request["admin_token"] = ADMIN.into();
                if operation.admin { b.ask_ok(&request).map(drop) } else { b.refused(&request).map(drop) }
            },
        );
    }
}

//! Messages of the local protocol: members of a question and an answer on one side, the types of `pilot-roles` on the
//! other.

use super::answers::{addr, sock_addr};
use super::question::{Failure, Outcome, Question, hex, refused};
use pilot_proto::SockAddr;
use pilot_roles::frames::PREFIX;
use pilot_roles::ipc::{HandshakeRequest, JsonKind, NetworkRequest, Reply, Request};
use serde_json::{Value, json};

pub(crate) fn decode(q: Question<'_>) -> Outcome {
    let bytes = q.bytes("hex");
    if q.text("from") == "program" {
        let request = Request::parse(&bytes).map_err(refused)?.ok_or(refused("empty"))?;
        Ok(named(request.command(), tell_request(&request)))
    } else {
        let reply = Reply::parse(&bytes).map_err(refused)?;
        Ok(named(reply.command(), tell_reply(&reply)))
    }
}

pub(crate) fn encode(q: Question<'_>) -> Outcome {
    let data = if q.0["data"].is_string() { q.bytes("data") } else { Vec::new() };
    let mut out = Vec::new();
    if q.text("from") == "program" {
        request(q, &data)?.write(&mut out);
    } else {
        reply(q, &data)?.write(&mut out);
    }
    Ok(json!({"hex": hex(&out[PREFIX..])}))
}

fn named(command: u8, mut members: Value) -> Value {
    members["command"] = command.into();
    members
}

fn to(to: SockAddr) -> Value {
    json!({"network": to.addr.network, "node": to.addr.node, "port": to.port})
}

fn beside(mut members: Value, name: &str, value: Value) -> Value {
    members[name] = value;
    members
}

fn tell_request(request: &Request<'_>) -> Value {
    match request {
        Request::Bind { port } | Request::Unbind { port } => json!({"port": port}),
        Request::Dial { to: at } => to(*at),
        Request::Send { id, data } => json!({"connection": id, "data": hex(data)}),
        Request::Close { id } | Request::Finish { id } => json!({"connection": id}),
        Request::SendTo { to: at, data } | Request::SendToConfirmed { to: at, data } => {
            beside(to(*at), "data", hex(data).into())
        }
        Request::Info | Request::Deregister | Request::Health | Request::CancelDials => json!({}),
        Request::Handshake(request) => match request {
            HandshakeRequest::Request { node, justification } => {
                json!({"action": 1, "node": node, "text": justification})
            }
            HandshakeRequest::Approve { node } => json!({"action": 2, "node": node}),
            HandshakeRequest::Reject { node, reason } => json!({"action": 3, "node": node, "text": reason}),
            HandshakeRequest::Pending => json!({"action": 4}),
            HandshakeRequest::Trusted => json!({"action": 5}),
            HandshakeRequest::Revoke { node } => json!({"action": 6, "node": node}),
            HandshakeRequest::Wait { node, timeout_ms } => {
                json!({"action": 7, "node": node, "timeout": timeout_ms})
            }
        },
        Request::ResolveHostname { name: text }
        | Request::SetHostname { name: text }
        | Request::SetWebhook { url: text } => json!({"text": text}),
        Request::SetVisibility { public: on }
        | Request::SetTaskExec { on }
        | Request::Extend { events: on } => {
            json!({"on": on})
        }
        Request::SetTags { tags } => json!({"text": json!(tags).to_string()}),
        Request::Network(request) => match request {
            NetworkRequest::List => json!({"action": 1}),
            NetworkRequest::Join { network, token } => {
                json!({"action": 2, "network": network, "text": token})
            }
            NetworkRequest::Leave { network } => json!({"action": 3, "network": network}),
            NetworkRequest::Members { network } => json!({"action": 4, "network": network}),
            NetworkRequest::Invite { network, node } => {
                json!({"action": 5, "network": network, "node": node})
            }
            NetworkRequest::Invites => json!({"action": 6}),
            NetworkRequest::Respond { network, accept } => {
                json!({"action": 7, "network": network, "on": accept})
            }
        },
        Request::PreferDirect { node } => json!({"node": node}),
        Request::Tagged { tag, message } => json!({"number": tag, "data": hex(message)}),
        Request::Consumed { id, bytes } => json!({"connection": id, "bytes": bytes}),
    }
}

fn tell_reply(reply: &Reply<'_>) -> Value {
    match reply {
        Reply::BindOk { port } | Reply::UnbindOk { port } => json!({"port": port}),
        Reply::DialOk { id } | Reply::CloseOk { id } => json!({"connection": id}),
        Reply::Accept { local_port, id, remote } => {
            beside(beside(to(*remote), "local_port", (*local_port).into()), "connection", (*id).into())
        }
        Reply::Recv { id, data } => json!({"connection": id, "data": hex(data)}),
        Reply::Error { code, text } => json!({"code": code, "text": text}),
        Reply::RecvFrom { from, to_port, data } => {
            beside(beside(to(*from), "local_port", (*to_port).into()), "data", hex(data).into())
        }
        Reply::SentTo => json!({}),
        Reply::Extended { window } => json!({"window": window}),
        Reply::Tagged { tag, message } => json!({"number": tag, "data": hex(message)}),
        Reply::Taken { id, bytes } => json!({"connection": id, "bytes": bytes}),
        Reply::Broken { id, text } => json!({"connection": id, "text": text}),
        Reply::Event { json } | Reply::Json { json, .. } => json!({"text": String::from_utf8_lossy(json)}),
    }
}

fn request<'a>(q: Question<'a>, data: &'a [u8]) -> Result<Request<'a>, Failure> {
    let text = || q.text("text").into();
    let on = q.0["on"] == true;
    Ok(match (q.number("command"), q.0["action"].as_u64()) {
        (0x01u8, _) => Request::Bind { port: q.number("port") },
        (0x03, _) => Request::Dial { to: sock_addr(q) },
        (0x06, _) => Request::Send { id: q.number("connection"), data },
        (0x08, _) => Request::Close { id: q.number("connection") },
        (0x0B, _) => Request::SendTo { to: sock_addr(q), data },
        (0x0D, _) => Request::Info,
        (0x0F, Some(action)) => {
            let node = || q.number("node");
            Request::Handshake(match action {
                1 => HandshakeRequest::Request { node: node(), justification: text() },
                2 => HandshakeRequest::Approve { node: node() },
                3 => HandshakeRequest::Reject { node: node(), reason: text() },
                4 => HandshakeRequest::Pending,
                5 => HandshakeRequest::Trusted,
                6 => HandshakeRequest::Revoke { node: node() },
                _ => return Err(Failure::Unsupported),
            })
        }
        (0x11, _) => Request::ResolveHostname { name: text() },
        (0x13, _) => Request::SetHostname { name: text() },
        (0x15, _) => Request::SetVisibility { public: on },
        (0x17, _) => Request::Deregister,
        (0x19, _) => {
            let tags = serde_json::from_str(q.text("text")).map_err(refused)?;
            Request::SetTags { tags }
        }
        (0x1B, _) => Request::SetWebhook { url: text() },
        (0x1D, _) => Request::SetTaskExec { on },
        (0x1F, Some(action)) => {
            let network = || q.number("network");
            Request::Network(match action {
                1 => NetworkRequest::List,
                2 => NetworkRequest::Join { network: network(), token: text() },
                3 => NetworkRequest::Leave { network: network() },
                4 => NetworkRequest::Members { network: network() },
                5 => NetworkRequest::Invite { network: network(), node: q.number("node") },
                6 => NetworkRequest::Invites,
                7 => NetworkRequest::Respond { network: network(), accept: on },
                _ => return Err(Failure::Unsupported),
            })
        }
        (0x21, _) => Request::Health,
        (0x61, _) => Request::Extend { events: on },
        (0x63, _) => Request::Tagged { tag: q.number("number"), message: data },
        (0x65, _) => Request::Consumed { id: q.number("connection"), bytes: q.number("bytes") },
        (0x67, _) => Request::Finish { id: q.number("connection") },
        _ => return Err(Failure::Unsupported),
    })
}

/// The answers that are one JSON object.
const JSON: [JsonKind; 11] = [
    JsonKind::Info,
    JsonKind::Handshake,
    JsonKind::ResolveHostname,
    JsonKind::SetHostname,
    JsonKind::SetVisibility,
    JsonKind::Deregister,
    JsonKind::SetTags,
    JsonKind::SetWebhook,
    JsonKind::SetTaskExec,
    JsonKind::Network,
    JsonKind::Health,
];

fn reply<'a>(q: Question<'a>, data: &'a [u8]) -> Result<Reply<'a>, Failure> {
    let id = || q.number("connection");
    let remote = || SockAddr { addr: addr(q), port: q.number("port") };
    Ok(match q.number::<u8>("command") {
        0x02 => Reply::BindOk { port: q.number("port") },
        0x04 => Reply::DialOk { id: id() },
        0x05 => Reply::Accept { local_port: q.number("local_port"), id: id(), remote: remote() },
        0x07 => Reply::Recv { id: id(), data },
        0x09 => Reply::CloseOk { id: id() },
        0x0A => Reply::Error { code: q.number("code"), text: q.text("text").into() },
        0x0C => Reply::RecvFrom { from: remote(), to_port: q.number("local_port"), data },
        0x62 => Reply::Extended { window: q.number("window") },
        0x64 => Reply::Tagged { tag: q.number("number"), message: data },
        0x66 => Reply::Taken { id: id(), bytes: q.number("bytes") },
        0x68 => Reply::Broken { id: id(), text: q.text("text").into() },
        0x6A => Reply::Event { json: q.text("text").as_bytes() },
        byte => {
            let kind = JSON.into_iter().find(|kind| *kind as u8 == byte).ok_or(Failure::Unsupported)?;
            Reply::Json { kind, json: q.text("text").as_bytes() }
        }
    })
}

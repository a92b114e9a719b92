//! What a program asks of the daemon: parsed with the reference's words for every malformed payload, and emitted.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::fmt;

use pilot_proto::SockAddr;

use super::cursor::{Cursor, sock_addr_bytes};
use super::write_message;
use crate::json::Value;

/// Most tags one node may carry.
const MAX_TAGS: usize = 3;

/// A request from a program. Text is lossily decoded: what is not UTF-8 reads as U+FFFD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// 01: listen on a port until the program disconnects. Port 0 is port 0, not "any".
    Bind {
        /// The port.
        port: u16,
    },
    /// 03: open a stream.
    Dial {
        /// Where to.
        to: SockAddr,
    },
    /// 06: write to a stream. No answer unless it fails.
    Send {
        /// Stream id.
        id: u32,
        /// At most [`MAX_SEND`](super::MAX_SEND) bytes.
        data: &'a [u8],
    },
    /// 08: close a stream.
    Close {
        /// Stream id.
        id: u32,
    },
    /// 0B: send a datagram. No answer unless it fails.
    SendTo {
        /// Where to; node `0xFFFF_FFFF` means every other member of the network.
        to: SockAddr,
        /// Content.
        data: &'a [u8],
    },
    /// 0D: everything the daemon knows about itself.
    Info,
    /// 0F: trust.
    Handshake(HandshakeRequest<'a>),
    /// 11: find a node by name.
    ResolveHostname {
        /// Name, not empty.
        name: Cow<'a, str>,
    },
    /// 13: change one's own name.
    SetHostname {
        /// New name; empty clears it.
        name: Cow<'a, str>,
    },
    /// 15: public or private.
    SetVisibility {
        /// Public.
        public: bool,
    },
    /// 17: leave the registry.
    Deregister,
    /// 19: replace one's tags.
    SetTags {
        /// At most three.
        tags: Vec<String>,
    },
    /// 1B: where to post events.
    SetWebhook {
        /// URL; empty switches it off.
        url: Cow<'a, str>,
    },
    /// 1D: whether the node takes tasks.
    SetTaskExec {
        /// On.
        on: bool,
    },
    /// 1F: networks.
    Network(NetworkRequest<'a>),
    /// 21: a short sign of life.
    Health,
    /// 2B (since 1.12.4): give up all dials of this program. Never answered.
    CancelDials,
    /// 2D (since 1.12.4): try again for a direct path to a relayed node.
    PreferDirect {
        /// The node.
        node: u32,
    },
    /// 37 (since 1.18.0): give a port back.
    Unbind {
        /// The port.
        port: u16,
    },
    /// 39 (since 1.18.0): [`SendTo`](Request::SendTo) that is answered when the datagram was accepted.
    SendToConfirmed {
        /// Where to.
        to: SockAddr,
        /// Content.
        data: &'a [u8],
    },
    /// 61 (IPC-1): from here on every message below is understood; answered with the window.
    Extend {
        /// Tell this program what happens on the node (IPC-6).
        events: bool,
    },
    /// 63 (IPC-2): a request whose answer, or error, carries the same number.
    Tagged {
        /// The program's number for it.
        tag: u32,
        /// The request, command byte and payload.
        message: &'a [u8],
    },
    /// 65 (IPC-3): the program took data of a stream out of its window. Never answered.
    Consumed {
        /// Stream id.
        id: u32,
        /// How many bytes more.
        bytes: u32,
    },
    /// 67 (IPC-4): nothing more will be sent on a stream; it is still read. Never answered.
    Finish {
        /// Stream id.
        id: u32,
    },
}

/// Sub-commands of 0F.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeRequest<'a> {
    /// 01: ask a node for trust.
    Request {
        /// The node.
        node: u32,
        /// Why; may be empty.
        justification: Cow<'a, str>,
    },
    /// 02: say yes to a waiting request.
    Approve {
        /// The node.
        node: u32,
    },
    /// 03: say no to a waiting request.
    Reject {
        /// The node.
        node: u32,
        /// Why; may be empty.
        reason: Cow<'a, str>,
    },
    /// 04: requests waiting for an answer.
    Pending,
    /// 05: nodes trusted.
    Trusted,
    /// 06: end trust.
    Revoke {
        /// The node.
        node: u32,
    },
    /// 07 (since 1.12.4): answer as soon as the node is trusted, or after the time is over.
    Wait {
        /// The node.
        node: u32,
        /// Longest wait in milliseconds.
        timeout_ms: u32,
    },
}

/// Sub-commands of 1F.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkRequest<'a> {
    /// 01: all networks of the registry.
    List,
    /// 02: become a member.
    Join {
        /// Network id.
        network: u16,
        /// Token; may be empty.
        token: Cow<'a, str>,
    },
    /// 03: stop being a member.
    Leave {
        /// Network id.
        network: u16,
    },
    /// 04: who is a member.
    Members {
        /// Network id.
        network: u16,
    },
    /// 05: invite a node.
    Invite {
        /// Network id.
        network: u16,
        /// The node invited.
        node: u32,
    },
    /// 06: invitations for this node.
    Invites,
    /// 07: answer an invitation.
    Respond {
        /// Network id.
        network: u16,
        /// Accept.
        accept: bool,
    },
}

/// A request that cannot be read. Its text is the answer the program gets, word for word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadRequest {
    /// The payload is too short: command as the answer names it, and what is missing.
    Missing(&'static str, &'static str),
    /// A first byte nobody knows, or one only a daemon may send.
    UnknownCommand(u8),
    /// A second byte nobody knows: command and value.
    UnknownSub(&'static str, u8),
    /// Unbind without a port; it has words of its own.
    UnbindPort,
    /// Tags are not a JSON array of strings.
    TagsJson(String),
    /// More tags than allowed.
    TooManyTags,
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadRequest::Missing(command, what) => write!(f, "{command}: missing {what}"),
            BadRequest::UnknownCommand(byte) => write!(f, "unknown command: 0x{byte:02X}"),
            BadRequest::UnknownSub(command, byte) => write!(f, "{command}: unknown sub-command 0x{byte:02X}"),
            BadRequest::UnbindPort => f.write_str("unbind: port is required"),
            BadRequest::TagsJson(why) => write!(f, "set_tags: invalid JSON: {why}"),
            BadRequest::TooManyTags => write!(f, "set_tags: maximum {MAX_TAGS} tags allowed"),
        }
    }
}

impl core::error::Error for BadRequest {}

/// Bit of Extend's flags: tell what happens.
const EXTEND_EVENTS: u8 = 1;

const NODE_ID: &str = "node_id";
const NETWORK_ID: &str = "network_id";

impl<'a> Request<'a> {
    /// Reads one message (command byte and payload, no length prefix). `None` for an empty one, which gets no
    /// answer. Bytes after a fixed payload are ignored.
    ///
    /// # Errors
    /// [`BadRequest`]; its text is the answer to give.
    pub fn parse(message: &'a [u8]) -> Result<Option<Self>, BadRequest> {
        let Some((&command, payload)) = message.split_first() else { return Ok(None) };
        let mut p = Cursor(payload);
        let missing = BadRequest::Missing;
        Ok(Some(match command {
            0x01 => Request::Bind { port: p.u16().ok_or(missing("bind", "port"))? },
            0x03 => Request::Dial { to: p.sock_addr().ok_or(missing("dial", "address/port"))? },
            0x06 => Request::Send { id: p.u32().ok_or(missing("send", "conn_id"))?, data: p.rest() },
            0x08 => Request::Close { id: p.u32().ok_or(missing("close", "conn_id"))? },
            0x0B => Request::SendTo {
                to: p.sock_addr().ok_or(missing("sendto", "address/port"))?,
                data: p.rest(),
            },
            0x0D => Request::Info,
            0x0F => Request::Handshake(HandshakeRequest::parse(p)?),
            0x11 if payload.is_empty() => return Err(missing("resolve_hostname", "hostname")),
            0x11 => Request::ResolveHostname { name: text(payload) },
            0x13 => Request::SetHostname { name: text(payload) },
            0x15 => Request::SetVisibility { public: p.u8().ok_or(missing("set_visibility", "value"))? == 1 },
            0x17 => Request::Deregister,
            0x19 => Request::SetTags { tags: tags(payload)? },
            0x1B => Request::SetWebhook { url: text(payload) },
            0x1D => Request::SetTaskExec { on: p.u8().ok_or(missing("set_task_exec", "value"))? == 1 },
            0x1F => Request::Network(NetworkRequest::parse(p)?),
            0x21 => Request::Health,
            0x2B => Request::CancelDials,
            0x2D => Request::PreferDirect { node: p.u32().ok_or(missing("prefer_direct", NODE_ID))? },
            0x37 => Request::Unbind { port: p.u16().ok_or(BadRequest::UnbindPort)? },
            0x39 => Request::SendToConfirmed {
                to: p.sock_addr().ok_or(missing("sendto", "address/port"))?,
                data: p.rest(),
            },
            0x61 => {
                Request::Extend { events: p.u8().ok_or(missing("extend", "flags"))? & EXTEND_EVENTS != 0 }
            }
            0x63 => Request::Tagged { tag: p.u32().ok_or(missing("tagged", "tag"))?, message: p.rest() },
            0x65 => match p.u32().zip(p.u32()) {
                Some((id, bytes)) => Request::Consumed { id, bytes },
                None => return Err(missing("consumed", "conn_id or bytes")),
            },
            0x67 => Request::Finish { id: p.u32().ok_or(missing("finish", "conn_id"))? },
            byte => return Err(BadRequest::UnknownCommand(byte)),
        }))
    }

    /// The command byte.
    pub const fn command(&self) -> u8 {
        match self {
            Request::Bind { .. } => 0x01,
            Request::Dial { .. } => 0x03,
            Request::Send { .. } => 0x06,
            Request::Close { .. } => 0x08,
            Request::SendTo { .. } => 0x0B,
            Request::Info => 0x0D,
            Request::Handshake(_) => 0x0F,
            Request::ResolveHostname { .. } => 0x11,
            Request::SetHostname { .. } => 0x13,
            Request::SetVisibility { .. } => 0x15,
            Request::Deregister => 0x17,
            Request::SetTags { .. } => 0x19,
            Request::SetWebhook { .. } => 0x1B,
            Request::SetTaskExec { .. } => 0x1D,
            Request::Network(_) => 0x1F,
            Request::Health => 0x21,
            Request::CancelDials => 0x2B,
            Request::PreferDirect { .. } => 0x2D,
            Request::Unbind { .. } => 0x37,
            Request::SendToConfirmed { .. } => 0x39,
            Request::Extend { .. } => 0x61,
            Request::Tagged { .. } => 0x63,
            Request::Consumed { .. } => 0x65,
            Request::Finish { .. } => 0x67,
        }
    }

    /// The byte of the answer, `None` if only a failure is answered. It is always the command's byte plus one.
    pub const fn answer(&self) -> Option<u8> {
        match self {
            Request::Send { .. }
            | Request::SendTo { .. }
            | Request::CancelDials
            | Request::Tagged { .. }
            | Request::Consumed { .. }
            | Request::Finish { .. } => None,
            other => Some(other.command() + 1),
        }
    }

    /// Appends the message with its length prefix to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let command = self.command();
        match self {
            Request::Info | Request::Deregister | Request::Health | Request::CancelDials => {
                write_message(out, command, &[]);
            }
            Request::Bind { port } | Request::Unbind { port } => {
                write_message(out, command, &[&port.to_be_bytes()]);
            }
            Request::Dial { to } => write_message(out, command, &[&sock_addr_bytes(*to)]),
            Request::Send { id, data } => write_message(out, command, &[&id.to_be_bytes(), data]),
            Request::Close { id: number }
            | Request::PreferDirect { node: number }
            | Request::Finish { id: number } => {
                write_message(out, command, &[&number.to_be_bytes()]);
            }
            Request::SendTo { to, data } | Request::SendToConfirmed { to, data } => {
                write_message(out, command, &[&sock_addr_bytes(*to), data]);
            }
            Request::Handshake(request) => request.write(out),
            Request::ResolveHostname { name: text }
            | Request::SetHostname { name: text }
            | Request::SetWebhook { url: text } => write_message(out, command, &[text.as_bytes()]),
            Request::SetVisibility { public: on } | Request::SetTaskExec { on } => {
                write_message(out, command, &[&[u8::from(*on)]]);
            }
            Request::SetTags { tags } => {
                let json = crate::json::to_line(&Value::from(tags.clone()));
                write_message(out, command, &[json.as_bytes()]);
            }
            Request::Network(request) => request.write(out),
            Request::Extend { events } => {
                write_message(out, command, &[&[if *events { EXTEND_EVENTS } else { 0 }]]);
            }
            Request::Tagged { tag, message } => write_message(out, command, &[&tag.to_be_bytes(), message]),
            Request::Consumed { id, bytes } => {
                write_message(out, command, &[&id.to_be_bytes(), &bytes.to_be_bytes()]);
            }
        }
    }
}

impl<'a> HandshakeRequest<'a> {
    fn parse(mut p: Cursor<'a>) -> Result<Self, BadRequest> {
        let sub = p.u8().ok_or(BadRequest::Missing("handshake", "sub-command"))?;
        let command = match sub {
            1 => "handshake request",
            2 => "handshake approve",
            3 => "handshake reject",
            4 => return Ok(HandshakeRequest::Pending),
            5 => return Ok(HandshakeRequest::Trusted),
            6 => "handshake revoke",
            7 => "handshake wait",
            byte => return Err(BadRequest::UnknownSub("handshake", byte)),
        };
        let node = p.u32().ok_or(BadRequest::Missing(command, NODE_ID))?;
        Ok(match sub {
            1 => HandshakeRequest::Request { node, justification: text(p.rest()) },
            2 => HandshakeRequest::Approve { node },
            3 => HandshakeRequest::Reject { node, reason: text(p.rest()) },
            6 => HandshakeRequest::Revoke { node },
            _ => HandshakeRequest::Wait {
                node,
                timeout_ms: p.u32().ok_or(BadRequest::Missing(command, "timeout"))?,
            },
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut message =
            |sub: u8, parts: [&[u8]; 2]| write_message(out, 0x0F, &[&[sub], parts[0], parts[1]]);
        match self {
            HandshakeRequest::Request { node, justification } => {
                message(1, [&node.to_be_bytes(), justification.as_bytes()]);
            }
            HandshakeRequest::Approve { node } => message(2, [&node.to_be_bytes(), b""]),
            HandshakeRequest::Reject { node, reason } => message(3, [&node.to_be_bytes(), reason.as_bytes()]),
            HandshakeRequest::Pending => message(4, [b"", b""]),
            HandshakeRequest::Trusted => message(5, [b"", b""]),
            HandshakeRequest::Revoke { node } => message(6, [&node.to_be_bytes(), b""]),
            HandshakeRequest::Wait { node, timeout_ms } => {
                message(7, [&node.to_be_bytes(), &timeout_ms.to_be_bytes()]);
            }
        }
    }
}

impl<'a> NetworkRequest<'a> {
    fn parse(mut p: Cursor<'a>) -> Result<Self, BadRequest> {
        let missing = BadRequest::Missing;
        Ok(match p.u8().ok_or(missing("network", "sub-command"))? {
            1 => NetworkRequest::List,
            2 => NetworkRequest::Join {
                network: p.u16().ok_or(missing("network join", NETWORK_ID))?,
                token: text(p.rest()),
            },
            3 => NetworkRequest::Leave { network: p.u16().ok_or(missing("network leave", NETWORK_ID))? },
            4 => NetworkRequest::Members { network: p.u16().ok_or(missing("network members", NETWORK_ID))? },
            5 => p
                .u16()
                .zip(p.u32())
                .map(|(network, node)| NetworkRequest::Invite { network, node })
                .ok_or(missing("network invite", "network_id or target_node_id"))?,
            6 => NetworkRequest::Invites,
            7 => p
                .u16()
                .zip(p.u8())
                .map(|(network, accept)| NetworkRequest::Respond { network, accept: accept == 1 })
                .ok_or(missing("network respond-invite", "network_id or accept flag"))?,
            byte => return Err(BadRequest::UnknownSub("network", byte)),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut message =
            |sub: u8, parts: [&[u8]; 2]| write_message(out, 0x1F, &[&[sub], parts[0], parts[1]]);
        match self {
            NetworkRequest::List => message(1, [b"", b""]),
            NetworkRequest::Join { network, token } => message(2, [&network.to_be_bytes(), token.as_bytes()]),
            NetworkRequest::Leave { network } => message(3, [&network.to_be_bytes(), b""]),
            NetworkRequest::Members { network } => message(4, [&network.to_be_bytes(), b""]),
            NetworkRequest::Invite { network, node } => {
                message(5, [&network.to_be_bytes(), &node.to_be_bytes()]);
            }
            NetworkRequest::Invites => message(6, [b"", b""]),
            NetworkRequest::Respond { network, accept } => {
                message(7, [&network.to_be_bytes(), &[u8::from(*accept)]]);
            }
        }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Tags from a JSON array of strings; `null` counts as none.
fn tags(payload: &[u8]) -> Result<Vec<String>, BadRequest> {
    let value: Value = serde_json::from_slice(payload).map_err(|error| {
        BadRequest::TagsJson(match error.classify() {
            serde_json::error::Category::Eof => String::from("unexpected end of JSON input"),
            _ => format!("{error}"),
        })
    })?;
    let wrong = |found: &Value, wanted: &str| {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        BadRequest::TagsJson(format!("json: cannot unmarshal {found} into Go value of type {wanted}"))
    };
    let tags = match value {
        Value::Null => Vec::new(),
        Value::Array(elements) => elements
            .into_iter()
            .map(|element| match element {
                Value::String(tag) => Ok(tag),
                Value::Null => Ok(String::new()),
                other => Err(wrong(&other, "string")),
            })
            .collect::<Result<Vec<_>, _>>()?,
        other => return Err(wrong(&other, "[]string")),
    };
    if tags.len() > MAX_TAGS { Err(BadRequest::TooManyTags) } else { Ok(tags) }
}

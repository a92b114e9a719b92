//! What the daemon tells a program: answers, and events nobody asked for.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use pilot_proto::SockAddr;

use super::cursor::{Cursor, sock_addr_bytes};
use super::write_message;

/// A message from the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// 02: the port is bound.
    BindOk {
        /// The port asked for.
        port: u16,
    },
    /// 04: the stream is open.
    DialOk {
        /// Stream id.
        id: u32,
    },
    /// 05, event: somebody opened a stream to a bound port.
    Accept {
        /// The bound port.
        local_port: u16,
        /// Stream id.
        id: u32,
        /// Who.
        remote: SockAddr,
    },
    /// 07, event: data of a stream.
    Recv {
        /// Stream id.
        id: u32,
        /// Data; its boundaries mean nothing.
        data: &'a [u8],
    },
    /// 09: answer to a close, and event: the stream ended after all its data. One stream may bring both.
    CloseOk {
        /// Stream id.
        id: u32,
    },
    /// 0A: the request failed, or an earlier unanswered one did.
    Error {
        /// Always 1 so far.
        code: u16,
        /// Why.
        text: Cow<'a, str>,
    },
    /// 0C, event: a datagram. Every program of a daemon gets every datagram and picks by port.
    RecvFrom {
        /// Who sent it.
        from: SockAddr,
        /// The port it was sent to.
        to_port: u16,
        /// Content.
        data: &'a [u8],
    },
    /// 38: the port is free again.
    UnbindOk {
        /// The port.
        port: u16,
    },
    /// 3A: the datagram was accepted.
    SentTo,
    /// 62 (IPC-1): the messages below are understood.
    Extended {
        /// Bytes of a stream that may be under way in either direction.
        window: u32,
    },
    /// 64 (IPC-2): the answer to a tagged request.
    Tagged {
        /// The request's number.
        tag: u32,
        /// The answer, command byte and payload.
        message: &'a [u8],
    },
    /// 66, event (IPC-3): the stream took data of the program.
    Taken {
        /// Stream id.
        id: u32,
        /// How many bytes more.
        bytes: u32,
    },
    /// 68, event (IPC-5): a stream ended before its data was complete; after what it brought.
    Broken {
        /// Stream id.
        id: u32,
        /// Why.
        text: Cow<'a, str>,
    },
    /// 6A, event (IPC-6): something happened on the node, as webhooks tell it.
    Event {
        /// One object.
        json: &'a [u8],
    },
    /// The answers that are one JSON object.
    Json {
        /// Which.
        kind: JsonKind,
        /// The object.
        json: &'a [u8],
    },
}

/// Which JSON answer; the number is its command byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum JsonKind {
    /// To Info.
    Info = 0x0E,
    /// To Handshake.
    Handshake = 0x10,
    /// To ResolveHostname.
    ResolveHostname = 0x12,
    /// To SetHostname.
    SetHostname = 0x14,
    /// To SetVisibility.
    SetVisibility = 0x16,
    /// To Deregister.
    Deregister = 0x18,
    /// To SetTags.
    SetTags = 0x1A,
    /// To SetWebhook.
    SetWebhook = 0x1C,
    /// To SetTaskExec.
    SetTaskExec = 0x1E,
    /// To Network.
    Network = 0x20,
    /// To Health.
    Health = 0x22,
    /// To PreferDirect.
    PreferDirect = 0x2E,
}

impl JsonKind {
    const ALL: [JsonKind; 12] = [
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
        JsonKind::PreferDirect,
    ];
}

/// A message from the daemon that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadReply {
    /// No command byte.
    Empty,
    /// A command byte no daemon is known to send.
    Unknown(u8),
    /// The payload of this command byte is too short.
    Short(u8),
}

impl fmt::Display for BadReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadReply::Empty => write!(f, "empty message from daemon"),
            BadReply::Unknown(byte) => write!(f, "unknown message 0x{byte:02X} from daemon"),
            BadReply::Short(byte) => write!(f, "message 0x{byte:02X} from daemon is too short"),
        }
    }
}

impl core::error::Error for BadReply {}

impl<'a> Reply<'a> {
    /// An error with the one code in use.
    pub fn error(text: impl Into<Cow<'a, str>>) -> Self {
        Reply::Error { code: super::ERROR_CODE, text: text.into() }
    }

    /// Reads one message (command byte and payload, no length prefix).
    ///
    /// # Errors
    /// [`BadReply`] for unknown command bytes and short payloads.
    pub fn parse(message: &'a [u8]) -> Result<Self, BadReply> {
        let (&command, payload) = message.split_first().ok_or(BadReply::Empty)?;
        let mut p = Cursor(payload);
        let reply = match command {
            0x02 => p.u16().map(|port| Reply::BindOk { port }),
            0x04 => p.u32().map(|id| Reply::DialOk { id }),
            0x05 => (|| Some(Reply::Accept { local_port: p.u16()?, id: p.u32()?, remote: p.sock_addr()? }))(),
            0x07 => p.u32().map(|id| Reply::Recv { id, data: p.rest() }),
            0x09 => p.u32().map(|id| Reply::CloseOk { id }),
            0x0A => p.u16().map(|code| Reply::Error { code, text: String::from_utf8_lossy(p.rest()) }),
            0x0C => p.sock_addr().zip(p.u16()).map(|(from, to_port)| Reply::RecvFrom {
                from,
                to_port,
                data: p.rest(),
            }),
            0x38 => p.u16().map(|port| Reply::UnbindOk { port }),
            0x3A => Some(Reply::SentTo),
            0x62 => p.u32().map(|window| Reply::Extended { window }),
            0x64 => p.u32().map(|tag| Reply::Tagged { tag, message: p.rest() }),
            0x66 => p.u32().zip(p.u32()).map(|(id, bytes)| Reply::Taken { id, bytes }),
            0x68 => p.u32().map(|id| Reply::Broken { id, text: String::from_utf8_lossy(p.rest()) }),
            0x6A => Some(Reply::Event { json: payload }),
            byte => {
                let kind = JsonKind::ALL.into_iter().find(|kind| *kind as u8 == byte);
                Some(Reply::Json { kind: kind.ok_or(BadReply::Unknown(byte))?, json: payload })
            }
        };
        reply.ok_or(BadReply::Short(command))
    }

    /// The command byte.
    pub const fn command(&self) -> u8 {
        match self {
            Reply::BindOk { .. } => 0x02,
            Reply::DialOk { .. } => 0x04,
            Reply::Accept { .. } => 0x05,
            Reply::Recv { .. } => 0x07,
            Reply::CloseOk { .. } => 0x09,
            Reply::Error { .. } => 0x0A,
            Reply::RecvFrom { .. } => 0x0C,
            Reply::UnbindOk { .. } => 0x38,
            Reply::SentTo => 0x3A,
            Reply::Extended { .. } => 0x62,
            Reply::Tagged { .. } => 0x64,
            Reply::Taken { .. } => 0x66,
            Reply::Broken { .. } => 0x68,
            Reply::Event { .. } => 0x6A,
            Reply::Json { kind, .. } => *kind as u8,
        }
    }

    /// Appends the message with its length prefix to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let command = self.command();
        match self {
            Reply::BindOk { port } | Reply::UnbindOk { port } => {
                write_message(out, command, &[&port.to_be_bytes()]);
            }
            Reply::DialOk { id } | Reply::CloseOk { id } => write_message(out, command, &[&id.to_be_bytes()]),
            Reply::Accept { local_port, id, remote } => write_message(
                out,
                command,
                &[&local_port.to_be_bytes(), &id.to_be_bytes(), &sock_addr_bytes(*remote)],
            ),
            Reply::Recv { id, data } => write_message(out, command, &[&id.to_be_bytes(), data]),
            Reply::Error { code, text } => {
                write_message(out, command, &[&code.to_be_bytes(), text.as_bytes()]);
            }
            Reply::RecvFrom { from, to_port, data } => {
                write_message(out, command, &[&sock_addr_bytes(*from), &to_port.to_be_bytes(), data]);
            }
            Reply::SentTo => write_message(out, command, &[]),
            Reply::Extended { window } => write_message(out, command, &[&window.to_be_bytes()]),
            Reply::Tagged { tag, message } => write_message(out, command, &[&tag.to_be_bytes(), message]),
            Reply::Taken { id, bytes } => {
                write_message(out, command, &[&id.to_be_bytes(), &bytes.to_be_bytes()]);
            }
            Reply::Broken { id, text } => write_message(out, command, &[&id.to_be_bytes(), text.as_bytes()]),
            Reply::Json { json, .. } | Reply::Event { json } => write_message(out, command, &[json]),
        }
    }
}

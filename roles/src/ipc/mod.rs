//! The local protocol between a daemon and its programs (spec/ipc.md): messages of one command byte and a payload,
//! each preceded by its length (see [`crate::frames`]).

mod cursor;
mod reply;
mod request;

pub use reply::{BadReply, JsonKind, Reply};
pub use request::{BadRequest, HandshakeRequest, NetworkRequest, Request};

/// Longest message in bytes, command byte included, length prefix not. A longer one costs the connection.
pub const MAX_MESSAGE: usize = 1 << 20;

/// Bytes of one stream that may be under way to one side before that side says it took them (IPC-3), in programs that
/// asked for flow control.
pub const STREAM_WINDOW: u32 = 256 << 10;

/// Longest data one [`Request::Send`] can carry.
pub const MAX_SEND: usize = MAX_MESSAGE - 5;

/// The only error code in use.
pub const ERROR_CODE: u16 = 1;

/// Appends a length-prefixed message of `command` and `payload` to `out`.
fn write_message(out: &mut alloc::vec::Vec<u8>, command: u8, payload: &[&[u8]]) {
    let length = 1 + payload.iter().map(|part| part.len()).sum::<usize>();
    out.reserve(crate::frames::PREFIX + length);
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.push(command);
    for part in payload {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests;

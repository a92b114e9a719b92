//! The local socket's messages, and the client that reads a daemon's.

use pilot_roles::{
    client::Client,
    frames::{PREFIX, frame},
    ipc::{HandshakeRequest, Reply, Request},
};

/// A program's message.
pub fn ipc_request(data: &[u8]) {
    match Request::parse(data) {
        Ok(Some(request)) => {
            let mut out = Vec::new();
            request.write(&mut out);
            assert_eq!(Request::parse(&out[PREFIX..]), Ok(Some(request)));
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A daemon's message.
pub fn ipc_reply(data: &[u8]) {
    match Reply::parse(data) {
        Ok(reply) => {
            let mut out = Vec::new();
            reply.write(&mut out);
            assert_eq!(Reply::parse(&out[PREFIX..]), Ok(reply));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A client with calls open, and a daemon that says anything. The first byte chooses the calls; messages are separated
/// by the two bytes `ff fe`.
pub fn ipc_client(data: &[u8]) {
    let Some((calls, mut rest)) = data.split_first() else { return };
    let mut client = Client::new();
    for (bit, request) in [
        Request::Info,
        Request::Bind { port: 7 },
        Request::Handshake(HandshakeRequest::Trusted),
        Request::Close { id: 1 },
        Request::Send { id: 1, data: b"x" },
    ]
    .iter()
    .enumerate()
    {
        if calls >> bit & 1 == 1 {
            let _ = client.call(request);
        }
    }
    let written = client.output().len();
    client.wrote(written);
    while !rest.is_empty() {
        let end = rest.windows(2).position(|two| two == [0xff, 0xfe]);
        let (message, after) = end.map_or((rest, &[][..]), |at| (&rest[..at], &rest[at + 2..]));
        rest = after;
        let done = client.handle_bytes(&frame(message)).is_err();
        while client.poll_event().is_some() {}
        if done {
            break;
        }
    }
    client.handle_end(&"end");
    while client.poll_event().is_some() {}
    assert_eq!(client.open_calls(), 0, "every call has been answered");
}

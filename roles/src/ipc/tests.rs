use super::*;
use crate::frames::frame;
use alloc::{borrow::Cow, format, string::ToString, vec::Vec};
use proptest::prelude::*;

fn exchanges() -> Vec<serde_json::Value> {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../spec/vectors/ipc.json")).unwrap();
    file["exchanges"].as_array().unwrap().clone()
}

fn messages(direction: &str) -> Vec<(serde_json::Value, Vec<u8>)> {
    exchanges()
        .into_iter()
        .flat_map(|exchange| exchange["steps"].as_array().unwrap().clone())
        .filter(|step| step["dir"] == direction)
        .filter_map(|step| {
            let message = hex::decode(step["message_hex"].as_str()?).unwrap();
            Some((step, message))
        })
        .collect()
}

#[test]
fn every_captured_request_is_read_and_written_back() {
    let mut read = 0;
    for (_, message) in messages("client->daemon") {
        let Ok(Some(request)) = Request::parse(&message) else { continue };
        read += 1;
        let mut written = Vec::new();
        request.write(&mut written);
        let written = &written[crate::frames::PREFIX..];
        // Trailing junk is dropped, "not 1" becomes 0, and `null` becomes `[]`; all else is identical.
        if written != message {
            let junk = message.starts_with(written);
            let flag = matches!(request, Request::SetVisibility { .. } | Request::SetTaskExec { .. });
            let tags = matches!(request, Request::SetTags { .. });
            assert!(junk || flag || tags, "{} -> {}", hex::encode(&message), hex::encode(written));
        }
    }
    assert!(read > 90, "{read}");
}

#[test]
fn every_message_of_the_extension_is_read_and_written_back() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../spec/vectors/ipc.json")).unwrap();
    let messages = file["extensions"]["messages"].as_array().unwrap();
    assert_eq!(messages.len(), 9);
    for message in messages {
        let bytes = hex::decode(message["message_hex"].as_str().unwrap()).unwrap();
        let mut written = Vec::new();
        match message["dir"].as_str().unwrap() {
            "client->daemon" => Request::parse(&bytes).unwrap().unwrap().write(&mut written),
            _ => Reply::parse(&bytes).unwrap().write(&mut written),
        }
        assert_eq!(written, frame(&bytes), "{}", message["name"]);
    }
}

#[test]
fn every_captured_answer_is_read_and_written_back() {
    let mut read = 0;
    for (step, message) in messages("daemon->client") {
        let reply = Reply::parse(&message).unwrap();
        read += 1;
        if let Some(text) = step["error"].as_str() {
            assert_eq!(reply, Reply::error(text));
        }
        let mut written = Vec::new();
        reply.write(&mut written);
        assert_eq!(written, frame(&message));
    }
    assert!(read > 100, "{read}");
}

#[test]
fn malformed_requests_get_the_captured_words() {
    let mut checked = 0;
    for exchange in exchanges() {
        let steps = exchange["steps"].as_array().unwrap();
        let (Some(request), Some(answer)) = (steps.first(), steps.get(1)) else { continue };
        let (Some(request), Some(text)) = (request["message_hex"].as_str(), answer["error"].as_str()) else {
            continue;
        };
        let message = hex::decode(request).unwrap();
        let malformed =
            text.contains(": missing ") || text.contains("unknown ") && !text.contains("registry");
        if let Err(error) = Request::parse(&message) {
            // Sub-command 7 came later, and JSON errors are worded by the parser.
            if text == "handshake: unknown sub-command 0x07" {
                continue;
            }
            match error {
                BadRequest::TagsJson(_) if message != b"\x19" => {
                    assert!(error.to_string().starts_with("set_tags: invalid JSON: "));
                }
                error => assert_eq!(error.to_string(), text),
            }
            checked += 1;
        } else {
            assert!(!malformed, "{request} should be refused with {text}");
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn requests_of_later_releases() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../spec/vectors/ipc.json")).unwrap();
    let wait = HandshakeRequest::Wait { node: 5, timeout_ms: 300 };
    for request in file["newer_versions"]["requests"].as_array().unwrap() {
        let message = hex::decode(request["request_hex"].as_str().unwrap()).unwrap();
        match (message[0], Request::parse(&message)) {
            (0x0F, Ok(Some(Request::Handshake(request)))) => assert_eq!(request, wait),
            (0x37, Ok(Some(request))) => assert_eq!(request, Request::Unbind { port: 5000 }),
            (0x2D, Ok(Some(request))) => assert_eq!(request, Request::PreferDirect { node: 2 }),
            (0x39, Ok(Some(Request::SendToConfirmed { data, .. }))) => assert_eq!(data, b"hi"),
            (0x23 | 0x25 | 0x29, Err(BadRequest::UnknownCommand(byte))) => assert_eq!(byte, message[0]),
            (_, other) => panic!("{request}: {other:?}"),
        }
    }
    assert_eq!(Request::parse(&[0x2B]), Ok(Some(Request::CancelDials)));
}

#[test]
fn what_the_released_libraries_write_is_read_and_written_back() {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../../../spec/vectors/libpilot.json")).unwrap();
    let mut read = 0;
    for call in file["calls"].as_array().unwrap() {
        let Some(request) = call["request_hex"].as_str().and_then(|text| hex::decode(text).ok()) else {
            continue;
        };
        match Request::parse(&request) {
            Ok(Some(parsed)) => {
                read += 1;
                if request == b"\x19null" {
                    assert_eq!(parsed, Request::SetTags { tags: Vec::new() });
                    continue;
                }
                let mut written = Vec::new();
                parsed.write(&mut written);
                assert_eq!(hex::encode(&written[crate::frames::PREFIX..]), hex::encode(&request), "{call}");
            }
            // Managed networks, keys, badges and broadcasts are not offered.
            other => {
                let known =
                    matches!(request.first(), Some(0x23 | 0x25 | 0x27 | 0x29 | 0x2F | 0x31 | 0x33 | 0x35));
                assert!(known, "{call}: {other:?}");
            }
        }
    }
    assert!(read > 20, "{read}");
}

#[test]
fn text_that_is_not_utf8_is_read_lossily() {
    let Ok(Some(Request::SetHostname { name })) = Request::parse(b"\x13a\xff") else { panic!() };
    assert_eq!(name, Cow::Borrowed("a\u{fffd}"));
    assert_eq!(Request::parse(b""), Ok(None));
    assert_eq!(format!("{}", BadRequest::UnknownCommand(0x9a)), "unknown command: 0x9A");
}

proptest! {
    #[test]
    fn parsing_never_panics(message: Vec<u8>) {
        let _ = Request::parse(&message);
        let _ = Reply::parse(&message);
    }
}

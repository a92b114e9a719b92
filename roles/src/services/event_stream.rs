//! Port 1002: topics. Event: `u16 topic length, topic, u32 payload length, payload`; the first one of a stream
//! subscribes it to its topic, each later one is published.

use alloc::vec::Vec;
use core::fmt;

/// The port.
pub const PORT: u16 = pilot_proto::port::EVENT_STREAM;

/// Longest topic in bytes, inclusive.
pub const MAX_TOPIC: usize = 1024;

/// Longest payload in bytes, inclusive.
pub const MAX_PAYLOAD: usize = 1 << 24;

/// The topic whose subscribers get every event. The only wildcard.
pub const ALL: &[u8] = b"*";

/// An event. Topics are any bytes, the empty one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub topic: Vec<u8>,
    /// Content.
    pub payload: Vec<u8>,
}

/// A topic or payload above its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventTooLarge {
    /// Topic length in bytes, above [`MAX_TOPIC`].
    Topic(usize),
    /// Payload length in bytes, above [`MAX_PAYLOAD`].
    Payload(usize),
}

impl fmt::Display for EventTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventTooLarge::Topic(n) => write!(f, "topic too long: {n} (max {MAX_TOPIC})"),
            EventTooLarge::Payload(n) => write!(f, "payload too large: {n} (max {MAX_PAYLOAD})"),
        }
    }
}

impl core::error::Error for EventTooLarge {}

/// An event in one piece. Start each on a new segment: some readers take one read for one event.
///
/// # Errors
/// [`EventTooLarge`]; the reference would send a wrong length instead.
pub fn encode(topic: &[u8], payload: &[u8]) -> Result<Vec<u8>, EventTooLarge> {
    if topic.len() > MAX_TOPIC {
        return Err(EventTooLarge::Topic(topic.len()));
    }
    if payload.len() > MAX_PAYLOAD {
        return Err(EventTooLarge::Payload(payload.len()));
    }
    let mut out = Vec::with_capacity(6 + topic.len() + payload.len());
    out.extend_from_slice(&u16::try_from(topic.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(topic);
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or_default().to_be_bytes());
    out.extend_from_slice(payload);
    Ok(out)
}

/// True if a subscriber of `subscription` gets events of `topic`.
pub fn matches(subscription: &[u8], topic: &[u8]) -> bool {
    subscription == ALL || subscription == topic
}

/// Puts events together from bytes cut anywhere. Memory grows with the bytes received, never with the bytes announced.
#[derive(Debug)]
pub struct Decoder {
    topic_length: Vec<u8>,
    topic: Vec<u8>,
    payload_length: Vec<u8>,
    payload: Vec<u8>,
    max_payload: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(MAX_PAYLOAD)
    }
}

impl Decoder {
    /// A decoder for payloads of up to `max_payload` bytes.
    pub const fn new(max_payload: usize) -> Self {
        Decoder {
            topic_length: Vec::new(),
            topic: Vec::new(),
            payload_length: Vec::new(),
            payload: Vec::new(),
            max_payload,
        }
    }

    /// Takes bytes from the front of `input` until an event is complete; call again until it returns `None`.
    ///
    /// # Errors
    /// [`EventTooLarge`]: close the stream without an answer. Every later call says the same.
    pub fn feed(&mut self, input: &mut &[u8]) -> Result<Option<Event>, EventTooLarge> {
        append(&mut self.topic_length, input, 2);
        let Some(length) = self.topic_length.first_chunk::<2>() else { return Ok(None) };
        let topic_length = usize::from(u16::from_be_bytes(*length));
        if topic_length > MAX_TOPIC {
            return Err(EventTooLarge::Topic(topic_length));
        }
        append(&mut self.topic, input, topic_length);
        if self.topic.len() < topic_length {
            return Ok(None);
        }
        append(&mut self.payload_length, input, 4);
        let Some(length) = self.payload_length.first_chunk::<4>() else { return Ok(None) };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > self.max_payload {
            return Err(EventTooLarge::Payload(length));
        }
        append(&mut self.payload, input, length);
        if self.payload.len() < length {
            return Ok(None);
        }
        self.topic_length.clear();
        self.payload_length.clear();
        Ok(Some(Event {
            topic: core::mem::take(&mut self.topic),
            payload: core::mem::take(&mut self.payload),
        }))
    }

    /// True between events: a stream that ends now ended cleanly.
    pub fn is_idle(&self) -> bool {
        self.topic_length.is_empty()
    }
}

/// Moves bytes from the front of `input` to `to` until `to` holds `length` or `input` is empty.
pub(super) fn append(to: &mut Vec<u8>, input: &mut &[u8], length: usize) {
    let wanted = length.saturating_sub(to.len()).min(input.len());
    let (head, rest) = input.split_at_checked(wanted).unwrap_or((input, &[]));
    to.extend_from_slice(head);
    *input = rest;
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{bytes, vectors};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encode_vectors() {
        for case in vectors()["event_stream"]["encode"].as_array().unwrap() {
            let (topic, payload) = (bytes(case, "topic").unwrap(), bytes(case, "payload").unwrap());
            match encode(&topic, &payload) {
                Ok(wire) => {
                    assert_eq!(wire.len() as u64, case["wire_len"].as_u64().unwrap());
                    if let Some(expected) = case["wire_hex"].as_str() {
                        assert_eq!(hex::encode(wire), expected);
                    }
                }
                Err(error) => assert_eq!(error, EventTooLarge::Topic(topic.len()), "{}", case["name"]),
            }
        }
    }

    #[test]
    fn decode_vectors_in_any_cut() {
        let mut seen = 0;
        for case in vectors()["event_stream"]["decode"].as_array().unwrap() {
            let Some(wire) = bytes(case, "wire") else { continue };
            seen += 1;
            for cut in 0..=wire.len() {
                let mut decoder = Decoder::default();
                let mut out = Vec::new();
                let mut error = None;
                for mut part in [&wire[..cut], &wire[cut..]] {
                    while let Some(event) = decoder.feed(&mut part).unwrap_or_else(|e| {
                        error = Some(e);
                        None
                    }) {
                        out.push(event);
                    }
                }
                if case["ok"] == true {
                    assert_eq!(out[0].topic, bytes(case, "topic").unwrap());
                    assert_eq!(out[0].payload, bytes(case, "payload").unwrap());
                } else {
                    assert!(out.is_empty());
                    let too_large = case["error"].as_str().unwrap().contains("too l");
                    assert_eq!(error.is_some(), too_large, "{}", case["name"]);
                    assert_eq!(decoder.is_idle(), wire.is_empty());
                }
            }
        }
        assert!(seen > 8);
    }

    #[test]
    fn routing_vectors() {
        for case in vectors()["event_stream"]["routing"].as_array().unwrap() {
            let subscription = case["subscriber_topic"].as_str().unwrap().as_bytes();
            let published = case["publisher_events"].as_array().unwrap();
            let received: Vec<_> = published
                .iter()
                .filter(|e| matches(subscription, e.as_str().unwrap().split('|').next().unwrap().as_bytes()))
                .cloned()
                .collect();
            assert_eq!(&received, case["receives"].as_array().unwrap());
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(topic in proptest::collection::vec(any::<u8>(), 0..40), payload: Vec<u8>) {
            let wire = encode(&topic, &payload).unwrap();
            let event = Decoder::default().feed(&mut &wire[..]).unwrap().unwrap();
            prop_assert_eq!(event, Event { topic, payload });
        }

        #[test]
        fn decoding_never_panics(noise: Vec<u8>) {
            let mut decoder = Decoder::default();
            let mut input = &noise[..];
            while let Ok(Some(_)) = decoder.feed(&mut input) {}
        }
    }
}

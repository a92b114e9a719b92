//! Readers of byte streams: where the bytes are cut makes no difference.

use core::fmt::Debug;

use pilot_roles::{
    frames::{FrameReader, frame},
    services::{
        data_exchange::{self, Answer},
        event_stream,
    },
};

/// The first byte says where to cut, the rest is the stream.
fn cuts(data: &[u8]) -> Option<(usize, &[u8])> {
    let (size, stream) = data.split_first()?;
    Some((usize::from(*size).max(1), stream))
}

/// What `read` finds in `stream` cut into pieces of `size` bytes, up to the first error.
fn found<T, E>(
    stream: &[u8],
    size: usize,
    mut read: impl FnMut(&mut &[u8]) -> Result<Option<T>, E>,
) -> (Vec<T>, Option<E>) {
    let mut all = Vec::new();
    for mut piece in stream.chunks(size) {
        loop {
            match read(&mut piece) {
                Ok(Some(item)) => all.push(item),
                Ok(None) => break,
                Err(error) => return (all, Some(error)),
            }
        }
        assert!(piece.is_empty(), "what is not taken is lost");
    }
    (all, None)
}

fn same<T: PartialEq + Debug, E: PartialEq + Debug, R: FnMut(&mut &[u8]) -> Result<Option<T>, E>>(
    stream: &[u8],
    size: usize,
    reader: impl Fn() -> R,
) -> Vec<T> {
    let whole = found(stream, stream.len().max(1), reader());
    assert_eq!(whole, found(stream, size, reader()));
    whole.0
}

/// Frames with a length in front.
pub fn frames(data: &[u8]) {
    let Some((size, stream)) = cuts(data) else { return };
    let found = same(stream, size, || {
        let mut reader = FrameReader::new(4096);
        move |piece: &mut &[u8]| {
            reader.push(core::mem::take(piece));
            reader.pop().map(|body| body.map(<[u8]>::to_vec))
        }
    });
    let again: Vec<u8> = found.iter().flat_map(|body| frame(body)).collect();
    assert!(stream.starts_with(&again));
}

/// The service of port 1001, both directions.
pub fn data_exchange(data: &[u8]) {
    let Some((size, stream)) = cuts(data) else { return };
    let found = same(stream, size, || {
        let mut decoder = data_exchange::Decoder::new(65_536);
        move |piece: &mut &[u8]| decoder.feed(piece)
    });
    let again: Vec<u8> = found.iter().flat_map(data_exchange::Frame::to_bytes).collect();
    assert!(stream.starts_with(&again));
    for frame in found {
        let _ = frame.content();
        if let Ok(text) = core::str::from_utf8(&frame.payload) {
            let _ = Answer::parse(text).to_frame();
        }
    }
}

/// The service of port 1002.
pub fn event_stream(data: &[u8]) {
    let Some((size, stream)) = cuts(data) else { return };
    let found = same(stream, size, || {
        let mut decoder = event_stream::Decoder::new(65_536);
        move |piece: &mut &[u8]| decoder.feed(piece)
    });
    let again: Vec<u8> =
        found.iter().flat_map(|event| event_stream::encode(&event.topic, &event.payload).unwrap()).collect();
    assert!(stream.starts_with(&again));
    for event in &found {
        assert!(event_stream::matches(event_stream::ALL, &event.topic));
        assert!(event_stream::matches(&event.topic, &event.topic));
    }
}

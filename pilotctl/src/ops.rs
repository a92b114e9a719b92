//! What commands and the demo do with a daemon, free of printing.

use std::time::{Duration, Instant};

use pilot_proto::{Addr, port};
use pilot_roles::services::data_exchange::{self, Answer, Frame, kind};
use pilot_roles::services::event_stream::{self, Event};

use crate::ipc::{CallError, Daemon, Received};

/// How long an answer may pause before it counts as complete.
pub(crate) const QUIET: Duration = Duration::from_millis(50);

/// Bytes of one piece of a benchmark.
const BENCH_PIECE: usize = 4096;

/// Why an operation with a peer failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpError {
    /// No stream could be opened.
    Dial(CallError),
    /// The stream broke.
    Stream(CallError),
    /// The peer closed before it answered.
    Ended,
    /// The peer's answer breaks the rules.
    Garbled(String),
}

impl std::fmt::Display for OpError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            OpError::Dial(error) => write!(f, "dial: {error}"),
            OpError::Stream(error) => error.fmt(f),
            OpError::Ended => f.write_str("EOF"),
            OpError::Garbled(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for OpError {}

/// Sends `data` on a new stream and reads the answer until it ends or pauses. Empty if the peer closed silently.
pub(crate) fn ask(
    daemon: &mut Daemon,
    (addr, port): (Addr, u16),
    data: &[u8],
    deadline: Instant,
) -> Result<Vec<u8>, OpError> {
    let stream = daemon.dial(addr, port, deadline).map_err(OpError::Dial)?;
    let left = deadline.saturating_duration_since(Instant::now());
    let answer = daemon
        .send_all(stream, data, left, |_| {})
        .and_then(|()| daemon.recv_burst(stream, Some(deadline), QUIET))
        .map_err(OpError::Stream)?;
    // The answer is here; whether the stream closes well changes nothing about it.
    let _ = daemon.close(stream);
    Ok(answer)
}

/// One probe of `ping`: a new stream to the echo port, a few bytes there and back. Returns how many came back.
pub(crate) fn ping(
    daemon: &mut Daemon,
    addr: Addr,
    sequence: i64,
    deadline: Instant,
) -> Result<usize, OpError> {
    let stream = daemon.dial(addr, port::ECHO, deadline).map_err(OpError::Dial)?;
    let probe = format!("ping-{sequence}");
    let back = echo(daemon, stream, probe.as_bytes(), deadline);
    let _ = daemon.close(stream);
    back
}

/// Sends `probe` on an open stream to an echo port and waits until as many bytes came back.
pub(crate) fn echo(
    daemon: &mut Daemon,
    stream: u32,
    probe: &[u8],
    deadline: Instant,
) -> Result<usize, OpError> {
    let left = deadline.saturating_duration_since(Instant::now());
    daemon.send_all(stream, probe, left, |_| {}).map_err(OpError::Stream)?;
    let mut back = 0;
    while back < probe.len() {
        match daemon.recv(stream, Some(deadline)).map_err(OpError::Stream)? {
            Received::Data(data) => back += data.len(),
            Received::End => return Err(OpError::Ended),
        }
    }
    Ok(back)
}

/// Sends one frame to the peer's data exchange and waits for its answer. `idle` bounds the dial, each pause while
/// sending, and the wait for the answer. `progress` hears how many bytes the daemon took.
pub(crate) fn exchange(
    daemon: &mut Daemon,
    addr: Addr,
    frame: &Frame,
    idle: Duration,
    progress: impl FnMut(u64),
) -> Result<Answer, OpError> {
    let stream = daemon.dial(addr, data_exchange::PORT, Instant::now() + idle).map_err(OpError::Dial)?;
    let result = (|| {
        daemon.send_all(stream, &frame.to_bytes(), idle, progress).map_err(OpError::Stream)?;
        let mut decoder = data_exchange::Decoder::default();
        loop {
            // Data the daemon took may still be on its way; every sign of the peer would count as progress, but
            // there is none before the answer, so the wait grows with what was sent.
            let patience = idle + Duration::from_micros(frame.payload.len() as u64);
            match daemon.recv(stream, Some(Instant::now() + patience)).map_err(OpError::Stream)? {
                Received::End => return Err(OpError::Ended),
                Received::Data(data) => {
                    let answer =
                        decoder.feed(&mut data.as_slice()).map_err(|e| OpError::Garbled(e.to_string()))?;
                    if let Some(answer) = answer {
                        return if answer.kind == kind::TEXT {
                            Ok(Answer::parse(&String::from_utf8_lossy(&answer.payload)))
                        } else {
                            Err(OpError::Garbled(format!("answer of type {} instead of text", answer.kind)))
                        };
                    }
                }
            }
        }
    })();
    let _ = daemon.close(stream);
    result
}

/// A subscription to one topic of a peer.
#[derive(Debug)]
pub(crate) struct Subscription {
    stream: u32,
    decoder: event_stream::Decoder,
    rest: Vec<u8>,
}

impl Subscription {
    /// Subscribes to `topic` at `addr`. The broker says nothing, so it may take a moment to be in force.
    pub(crate) fn open(
        daemon: &mut Daemon,
        addr: Addr,
        topic: &[u8],
        deadline: Instant,
    ) -> Result<Self, OpError> {
        let hello = event_stream::encode(topic, b"").map_err(|e| OpError::Garbled(e.to_string()))?;
        let stream = daemon.dial(addr, event_stream::PORT, deadline).map_err(OpError::Dial)?;
        let left = deadline.saturating_duration_since(Instant::now());
        daemon.send_all(stream, &hello, left, |_| {}).map_err(OpError::Stream)?;
        Ok(Subscription { stream, decoder: event_stream::Decoder::default(), rest: Vec::new() })
    }

    /// The next event.
    pub(crate) fn next(&mut self, daemon: &mut Daemon, deadline: Option<Instant>) -> Result<Event, OpError> {
        loop {
            let mut input = self.rest.as_slice();
            let event = self.decoder.feed(&mut input).map_err(|e| OpError::Garbled(e.to_string()))?;
            self.rest = input.to_vec();
            if let Some(event) = event {
                return Ok(event);
            }
            match daemon.recv(self.stream, deadline).map_err(OpError::Stream)? {
                Received::Data(data) => self.rest = data,
                Received::End => return Err(OpError::Ended),
            }
        }
    }

    /// Ends the subscription.
    pub(crate) fn close(self, daemon: &mut Daemon) {
        let _ = daemon.close(self.stream);
    }
}

/// Publishes one event. A publisher has to be a subscriber first; it never gets its own events back, so success
/// means that the daemon has the event and will deliver it before the stream ends.
pub(crate) fn publish(
    daemon: &mut Daemon,
    addr: Addr,
    topic: &[u8],
    payload: &[u8],
    idle: Duration,
) -> Result<(), OpError> {
    let event = event_stream::encode(topic, payload).map_err(|e| OpError::Garbled(e.to_string()))?;
    let subscription = Subscription::open(daemon, addr, topic, Instant::now() + idle)?;
    daemon.send_all(subscription.stream, &event, idle, |_| {}).map_err(OpError::Stream)?;
    daemon.close(subscription.stream).map_err(OpError::Stream)
}

/// What a benchmark measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bench {
    /// Bytes handed to the daemon.
    pub(crate) sent: u64,
    /// Bytes that came back as they were sent.
    pub(crate) received: u64,
    /// Until the last byte was handed over.
    pub(crate) send_time: Duration,
    /// Until the last byte was back.
    pub(crate) total_time: Duration,
}

/// Sends `size` bytes through the peer's echo port and checks what comes back. `step` hears the bytes back so far.
/// An error comes with what was measured until then.
pub(crate) fn bench(
    daemon: &mut Daemon,
    addr: Addr,
    size: u64,
    deadline: Instant,
    mut step: impl FnMut(u64),
) -> Result<Bench, (Bench, OpError)> {
    let pattern: Vec<u8> = (0..=u8::MAX).cycle().take(BENCH_PIECE * 16).collect();
    let stream =
        daemon.dial(addr, port::ECHO, deadline).map_err(|error| (Bench::default(), OpError::Dial(error)))?;
    let start = Instant::now();
    let mut bench = Bench::default();
    let result = loop {
        if bench.received >= size {
            break Ok(());
        }
        while bench.sent < size {
            let piece = usize::try_from(size - bench.sent).unwrap_or(usize::MAX).min(pattern.len());
            let taken = daemon.offer(stream, pattern.get(..piece).unwrap_or_default());
            if taken == 0 {
                break;
            }
            bench.sent += taken as u64;
        }
        let unsent = daemon.waiting() > 0;
        if let Err(error) = daemon.step(Some(deadline)) {
            break Err(OpError::Stream(error));
        }
        if unsent {
            bench.send_time = start.elapsed();
        }
        let mut ended = false;
        let mut wrong = None;
        while let Some(received) = daemon.take(stream) {
            match received {
                Received::End => ended = true,
                Received::Data(data) => {
                    let expected = (bench.received..).map(|at| at.to_le_bytes()[0]);
                    if let Some(at) = data.iter().zip(expected).position(|(byte, expected)| *byte != expected)
                    {
                        wrong = Some(bench.received + at as u64);
                    }
                    bench.received += data.len() as u64;
                    step(bench.received);
                }
            }
        }
        if let Some(at) = wrong {
            break Err(OpError::Garbled(format!("byte {at} came back changed")));
        }
        if let Err(error) = daemon.refusal() {
            break Err(OpError::Stream(error));
        }
        if ended && bench.received < size {
            break Err(OpError::Ended);
        }
    };
    bench.total_time = start.elapsed();
    let _ = daemon.close(stream);
    result.map(|()| bench).map_err(|error| (bench, error))
}

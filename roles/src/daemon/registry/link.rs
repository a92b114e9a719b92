//! One connection to the registry: requests go out in order, answers come back in the same order, and a connection
//! that breaks or stalls is replaced without its users noticing, as long as their deadline allows.

use alloc::{collections::VecDeque, format, string::String, vec::Vec};
use core::fmt;

use pilot_proto::{
    Instant, planted,
    time::{Duration, earliest},
};

use crate::{
    frames::{self, FrameReader},
    json::{self, Map, Value},
    role::{Closed, ConnId, Dial, Output, Wait, Whom},
};

/// Longest request body the registries of the time accept, in bytes.
pub(crate) const MAX_REQUEST: usize = 65_536;
/// Longest answer we accept, in bytes: lists of members grow without bound at the registry.
pub(crate) const MAX_ANSWER: usize = 16 << 20;
/// Requests that may wait for the connection; more are refused.
pub(crate) const MAX_WAITING: usize = 1024;
/// Requests that may be on the wire without an answer.
const MAX_IN_FLIGHT: usize = 64;
/// A request that was not answered after this long fails, and if it was on the wire the connection is replaced.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the driver may take to open the connection.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses before connecting again, by how many connections in a row brought no answer; the last one repeats.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Why a request brought no answer. Its text is what clients of the daemon have always read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The registry said no, in these words.
    Refused(String),
    /// No answer: the connection could not be opened, broke twice, or stalled.
    Unreachable(String),
    /// [`MAX_WAITING`] requests wait already.
    Busy,
    /// The request is longer than the registry accepts, in bytes.
    TooLong(usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(text) => write!(f, "registry: {text}"),
            Failure::Unreachable(words) => write!(f, "send failed and reconnect failed: {words}"),
            Failure::Busy => write!(f, "registry: too many requests waiting (max {MAX_WAITING})"),
            Failure::TooLong(bytes) => {
                write!(f, "registry: request too long: {bytes} bytes (max {MAX_REQUEST})")
            }
        }
    }
}

/// What a request came to.
pub(crate) type Answer = Result<Map<String, Value>, Failure>;

#[derive(Debug)]
struct Call<T> {
    tag: T,
    frame: Vec<u8>,
    deadline: Instant,
    /// It was on a connection that broke; the next break fails it.
    repeated: bool,
}

impl<T> Call<T> {
    /// The operation, and the node it is about.
    fn name(&self) -> String {
        let body = self.frame.get(frames::PREFIX..).unwrap_or_default();
        let request: Value = serde_json::from_slice(body).unwrap_or_default();
        let operation = request.get("type").and_then(Value::as_str).unwrap_or("a request");
        match ["peer_id", "to_node_id", "hostname", "node_id"].iter().find_map(|key| request.get(key)) {
            Some(whom) => format!("`{operation}` ({whom})"),
            None => format!("`{operation}`"),
        }
    }
}

#[derive(Debug)]
enum State {
    Down { until: Instant },
    Dialing { conn: ConnId, until: Instant },
    Up { conn: ConnId, reader: FrameReader },
}

/// What became of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is open. Whatever must be said first is said now, with [`Link::ask_first`]; then [`Link::advance`].
    Up,
    /// An attempt to open it failed.
    DialFailed,
}

/// The connection. `T` comes back with the answer.
#[derive(Debug)]
pub(crate) struct Link<T> {
    state: State,
    waiting: VecDeque<Call<T>>,
    flight: VecDeque<Call<T>>,
    dials: u64,
    failures: usize,
    words: String,
    outputs: VecDeque<Output>,
    answers: VecDeque<(T, Answer)>,
    changes: VecDeque<Change>,
}

impl<T> Link<T> {
    /// A link that connects at once.
    pub(crate) fn new(now: Instant) -> Self {
        Link {
            state: State::Down { until: now },
            waiting: VecDeque::new(),
            flight: VecDeque::new(),
            dials: 0,
            failures: 0,
            words: String::new(),
            outputs: VecDeque::new(),
            answers: VecDeque::new(),
            changes: VecDeque::new(),
        }
    }

    /// Queues a request; its answer comes from [`Link::poll_answer`].
    pub(crate) fn ask(&mut self, now: Instant, request: Map<String, Value>, tag: T) {
        if self.waiting.len() >= MAX_WAITING {
            self.answers.push_back((tag, Err(Failure::Busy)));
            return;
        }
        if let Some(call) = self.call(now, request, tag) {
            self.waiting.push_back(call);
            self.advance(now);
        }
    }

    /// Queues a request before all that wait.
    pub(crate) fn ask_first(&mut self, now: Instant, request: Map<String, Value>, tag: T) {
        if let Some(call) = self.call(now, request, tag) {
            self.waiting.push_front(call);
            self.advance(now);
        }
    }

    fn call(&mut self, now: Instant, request: Map<String, Value>, tag: T) -> Option<Call<T>> {
        let body = json::to_line(&Value::Object(request));
        if body.len() > MAX_REQUEST {
            self.answers.push_back((tag, Err(Failure::TooLong(body.len()))));
            return None;
        }
        Some(Call {
            tag,
            frame: frames::frame(body.as_bytes()),
            deadline: now + CALL_TIMEOUT,
            repeated: false,
        })
    }

    /// The connection is open, as far as we know.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// The words of the last failure to connect.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// Whether `conn` is, or was last, this link's.
    pub(crate) fn owns(&self, conn: ConnId) -> bool {
        match self.state {
            State::Dialing { conn: own, .. } | State::Up { conn: own, .. } => own == conn,
            State::Down { .. } => false,
        }
    }

    /// The driver opened the connection.
    pub(crate) fn opened(&mut self, conn: ConnId) {
        if matches!(self.state, State::Dialing { conn: own, .. } if own == conn) {
            self.state = State::Up {
                conn,
                reader: FrameReader::new(if planted!(HugeAnswer) { usize::MAX } else { MAX_ANSWER }),
            };
            self.changes.push_back(Change::Up);
        }
    }

    /// Bytes came.
    pub(crate) fn bytes(&mut self, now: Instant, conn: ConnId, data: &[u8]) {
        let State::Up { conn: own, reader } = &mut self.state else { return };
        if *own != conn {
            return;
        }
        reader.push(data);
        loop {
            let State::Up { reader, .. } = &mut self.state else { return };
            let body = match reader.pop() {
                Ok(Some(body)) => body,
                Ok(None) => break,
                Err(error) => {
                    let words = format!("answer of {} bytes (max {})", error.announced, error.allowed);
                    return self.replace(now, words);
                }
            };
            let parsed = serde_json::from_slice::<Value>(body);
            let Ok(Value::Object(answer)) = parsed else {
                return self.replace(now, String::from("recv: the answer is not a JSON object"));
            };
            let Some(call) = self.flight.pop_front() else {
                return self.replace(now, String::from("recv: an answer nobody asked for"));
            };
            // Only now: a registry that takes connections and closes them must not be dialled without end.
            self.failures = 0;
            let answer = match answer.get("error").and_then(Value::as_str) {
                Some(text) => Err(Failure::Refused(text.into())),
                None => Ok(answer),
            };
            self.answers.push_back((call.tag, answer));
        }
        self.advance(now);
    }

    /// The connection ended, or could not be opened.
    pub(crate) fn closed(&mut self, now: Instant, conn: ConnId, reason: Closed) {
        if !self.owns(conn) {
            return;
        }
        let words = match reason {
            Closed::Eof => String::from("recv: EOF"),
            Closed::Failed(words) => words,
        };
        self.down(now, words);
    }

    /// Gives the connection up and opens another.
    fn replace(&mut self, now: Instant, words: String) {
        if let State::Dialing { conn, .. } | State::Up { conn, .. } = self.state {
            self.outputs.push_back(Output::Close(conn));
        }
        self.down(now, words);
    }

    fn down(&mut self, now: Instant, words: String) {
        let was_up = self.is_up();
        self.words = words;
        while let Some(mut call) = self.flight.pop_back() {
            if call.repeated {
                self.answers.push_back((call.tag, Err(Failure::Unreachable(self.words.clone()))));
            } else {
                call.repeated = true;
                self.waiting.push_front(call);
            }
        }
        let pause = PAUSES.get(self.failures.min(PAUSES.len() - 1)).copied().unwrap_or_default();
        let pause = match () {
            () if planted!(NotDialledAgain) && was_up => Duration::from_secs(3600),
            () if planted!(DialledWithoutPause) => Duration::ZERO,
            () => pause,
        };
        self.failures += 1;
        self.state = State::Down { until: now + pause };
        if !was_up {
            self.changes.push_back(Change::DialFailed);
        }
    }

    /// Does what has become possible or due.
    pub(crate) fn advance(&mut self, now: Instant) {
        match self.state {
            State::Down { until } if until <= now => {
                self.dials += 1;
                let conn = ConnId::Dialed(self.dials);
                self.outputs.push_back(Output::Connect { conn, to: Dial::Registry });
                self.state = State::Dialing { conn, until: now + DIAL_TIMEOUT };
            }
            State::Dialing { until, .. } if until <= now => {
                self.replace(now, String::from("dial: i/o timeout"));
            }
            State::Up { conn, .. } => {
                let mut data = Vec::new();
                while self.flight.len() < MAX_IN_FLIGHT
                    && let Some(call) = self.waiting.pop_front()
                {
                    data.extend_from_slice(&call.frame);
                    self.flight.push_back(call);
                }
                if !data.is_empty() {
                    self.outputs.push_back(Output::Send { conn, data });
                }
            }
            State::Down { .. } | State::Dialing { .. } => {}
        }
    }

    /// The instant this link waits for has come.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.flight.front().is_some_and(|call| call.deadline <= now) {
            if let Some(call) = self.flight.pop_front() {
                self.answers
                    .push_back((call.tag, Err(Failure::Unreachable(String::from("recv: i/o timeout")))));
            }
            self.replace(now, String::from("recv: i/o timeout"));
        }
        while self.waiting.front().is_some_and(|call| call.deadline <= now)
            && let Some(call) = self.waiting.pop_front()
        {
            self.answers.push_back((call.tag, Err(Failure::Unreachable(self.words.clone()))));
        }
        self.advance(now);
    }

    /// When [`Link::handle_timeout`] must be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let call =
            earliest(self.flight.front().map(|c| c.deadline), self.waiting.front().map(|c| c.deadline));
        match self.state {
            State::Down { until } | State::Dialing { until, .. } => earliest(call, Some(until)),
            State::Up { .. } => call,
        }
    }

    /// What it waits for.
    pub(crate) fn waits(&self) -> impl Iterator<Item = Wait> + '_ {
        let connection = match self.state {
            State::Down { until } => {
                Some((format!("a connection, in back-off ({})", self.words), Some(until)))
            }
            State::Dialing { until, .. } => Some((String::from("a connection, dialled"), Some(until))),
            State::Up { .. } => None,
        };
        let wait = |what, since, next| Wait { whom: Whom::Registry, what, since, next };
        let calls = self.flight.iter().chain(&self.waiting).map(move |call| {
            let since = call.deadline.saturating_sub(CALL_TIMEOUT);
            wait(format!("the answer to {}", call.name()), Some(since), Some(call.deadline))
        });
        connection.map(|(what, next)| wait(what, None, next)).into_iter().chain(calls)
    }

    /// The next thing the driver should do.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The next answer.
    pub(crate) fn poll_answer(&mut self) -> Option<(T, Answer)> {
        self.answers.pop_front()
    }

    /// The next change of the connection.
    pub(crate) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::json;

    const START: Instant = Instant::from_millis(5);

    fn request(n: u32) -> Map<String, Value> {
        match json!({"type": "lookup", "node_id": n}) {
            Value::Object(map) => map,
            other => panic!("{other} is not an object"),
        }
    }

    fn dial(link: &mut Link<u32>) -> ConnId {
        match link.poll_output() {
            Some(Output::Connect { conn, to: Dial::Registry }) => conn,
            other => panic!("expected a dial, got {other:?}"),
        }
    }

    fn bodies(link: &mut Link<u32>) -> Vec<Vec<u8>> {
        let mut reader = FrameReader::new(MAX_REQUEST);
        let mut out = Vec::new();
        while let Some(Output::Send { data, .. }) = link.poll_output() {
            reader.push(&data);
        }
        while let Some(body) = reader.pop().unwrap() {
            out.push(body.to_vec());
        }
        out
    }

    fn up() -> (Link<u32>, ConnId) {
        let mut link = Link::new(START);
        link.handle_timeout(START);
        let conn = dial(&mut link);
        link.opened(conn);
        assert_eq!(link.poll_change(), Some(Change::Up));
        (link, conn)
    }

    #[test]
    fn answers_belong_to_requests_in_order() {
        let (mut link, conn) = up();
        link.ask(START, request(1), 1);
        link.ask(START, request(2), 2);
        assert_eq!(
            bodies(&mut link),
            [br#"{"node_id":1,"type":"lookup"}"#.to_vec(), br#"{"node_id":2,"type":"lookup"}"#.to_vec()]
        );
        let mut stream = frames::frame(br#"{"type":"lookup_ok","public":true}"#);
        stream.extend(frames::frame(br#"{"error":"node 2: node not found","type":"error"}"#));
        for byte in stream {
            link.bytes(START, conn, &[byte]);
        }
        assert!(matches!(link.poll_answer(), Some((1, Ok(_)))));
        let (tag, refused) = link.poll_answer().unwrap();
        assert_eq!((tag, refused.unwrap_err().to_string()), (2, "registry: node 2: node not found".into()));
        assert_eq!(link.poll_timeout(), None);
    }

    #[test]
    fn a_broken_connection_repeats_what_was_on_the_wire_once() {
        let (mut link, conn) = up();
        link.ask(START, request(1), 1);
        link.ask(START, request(2), 2);
        bodies(&mut link);
        link.closed(START, conn, Closed::Eof);
        let later = link.poll_timeout().unwrap();
        link.handle_timeout(later);
        let second = dial(&mut link);
        assert_ne!(conn, second);
        link.opened(second);
        link.advance(later);
        assert_eq!(bodies(&mut link).len(), 2);
        link.closed(later, second, Closed::Failed("reset".into()));
        let mut failed = Vec::new();
        while let Some((tag, answer)) = link.poll_answer() {
            assert_eq!(answer, Err(Failure::Unreachable("reset".into())));
            failed.push(tag);
        }
        failed.sort_unstable();
        assert_eq!(failed, [1, 2]);
    }

    #[test]
    fn hazard_05_44_a_stalled_registry_fails_requests_at_their_deadline_and_is_redialled() {
        let (mut link, conn) = up();
        link.ask(START, request(1), 1);
        bodies(&mut link);
        link.ask(START + Duration::from_secs(1), request(2), 2);
        bodies(&mut link);
        let due = link.poll_timeout().unwrap();
        assert_eq!(due, START + CALL_TIMEOUT);
        link.handle_timeout(due);
        assert!(matches!(link.poll_answer(), Some((1, Err(Failure::Unreachable(_))))));
        assert_eq!(link.poll_answer(), None);
        assert_eq!(link.poll_output(), Some(Output::Close(conn)));
        let due = link.poll_timeout().unwrap();
        link.handle_timeout(due);
        let second = dial(&mut link);
        link.opened(second);
        link.advance(due);
        assert_eq!(bodies(&mut link).len(), 1);
    }

    #[test]
    fn attempts_to_connect_back_off_and_waiting_requests_end() {
        let mut link = Link::new(START);
        link.ask(START, request(1), 1);
        let mut now = START;
        let mut dials = 0;
        while now < START + CALL_TIMEOUT {
            while let Some(output) = link.poll_output() {
                if let Output::Connect { conn, .. } = output {
                    dials += 1;
                    link.closed(now, conn, Closed::Failed("connection refused".into()));
                }
            }
            now = link.poll_timeout().unwrap();
            link.handle_timeout(now);
        }
        assert!(dials > 4 && dials < 8, "{dials} dials");
        let (_, answer) = link.poll_answer().unwrap();
        assert_eq!(answer.unwrap_err().to_string(), "send failed and reconnect failed: connection refused");
    }

    /// A full registry of the first implementation takes connections and closes them at once.
    #[test]
    fn connections_that_bring_no_answer_back_off_as_refused_ones_do() {
        let mut link: Link<u32> = Link::new(START);
        let mut now = START;
        let mut opened = Vec::new();
        while now < START + Duration::from_secs(15) {
            link.handle_timeout(now);
            if opened.is_empty() {
                // The first one answers: what failed before it no longer counts.
                link.ask(now, request(1), 1);
            }
            while let Some(output) = link.poll_output() {
                if let Output::Connect { conn, .. } = output {
                    link.opened(conn);
                    link.advance(now);
                    if opened.is_empty() {
                        link.bytes(now, conn, &frames::frame(b"{}"));
                    }
                    opened.push(now);
                    link.closed(now, conn, Closed::Eof);
                }
            }
            now = link.poll_timeout().unwrap();
        }
        let pauses: Vec<_> = opened.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        assert_eq!(pauses, PAUSES[..5], "{pauses:?}");
    }

    #[test]
    fn the_queue_and_a_request_are_bounded() {
        let mut link = Link::new(START);
        for n in 0..=u32::try_from(MAX_WAITING).unwrap() {
            link.ask(START, request(n), n);
        }
        assert_eq!(link.poll_answer(), Some((1024, Err(Failure::Busy))));
        let mut long = request(1);
        long.insert("justification".into(), Value::String("x".repeat(MAX_REQUEST)));
        let mut link = Link::new(START);
        link.ask(START, long, 7);
        assert!(matches!(link.poll_answer(), Some((7, Err(Failure::TooLong(_))))));
    }

    #[test]
    fn a_malformed_answer_replaces_the_connection() {
        for bad in [frames::frame(b"[]"), frames::frame(b"{"), (20u32 << 20).to_be_bytes().to_vec()] {
            let (mut link, conn) = up();
            link.ask(START, request(1), 1);
            bodies(&mut link);
            link.bytes(START, conn, &bad);
            assert_eq!(link.poll_output(), Some(Output::Close(conn)));
            assert!(!link.is_up());
        }
    }
}

//! The program's side of the local protocol: bytes in, bytes out, calls matched with their answers.
//!
//! Answers name no request, and an error could belong to any, so one call is under way at a time; the rest wait
//! here. Data of streams does not wait: it is not answered. A daemon that understands [`Client::extend`] (IPC-1) numbers
//! its answers, so that any number of calls is under way, and counts the data of each stream. Feed [`Client::handle_bytes`], write what
//! [`Client::output`] holds, drain [`Client::poll_event`].

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

use pilot_proto::SockAddr;

use crate::frames::{FrameReader, FrameTooLong, PREFIX};
use crate::ipc::{BadReply, JsonKind, MAX_MESSAGE, Reply, Request};
use crate::json::Value;

/// Bytes of stream data in one message. Far below the limit, because daemons up to 1.12.4 lose messages of
/// several hundred kilobytes without a word.
const SEND_CHUNK: usize = 64 * 1024;

/// [`Client::send`] accepts no more data while this much output waits to be written.
pub const MAX_OUTPUT: usize = 1 << 20;

/// Names a call; its answer carries the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// What a call brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// To Bind.
    Bound,
    /// To Dial: the stream's id.
    Connected(u32),
    /// To Close.
    Closed,
    /// To Unbind.
    Unbound,
    /// To SendToConfirmed.
    Sent,
    /// To Extend.
    Extended,
    /// To everything else.
    Json(JsonKind, Value),
}

/// What the daemon had to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer to a call; a refusal is in the daemon's words.
    Answer {
        /// Which call.
        call: CallId,
        /// What it brought.
        result: Result<Answer, String>,
    },
    /// Somebody opened a stream to a bound port.
    Accept {
        /// The bound port.
        port: u16,
        /// The new stream.
        stream: u32,
        /// Who.
        remote: SockAddr,
    },
    /// Data of a stream. Its boundaries mean nothing.
    Data {
        /// The stream.
        stream: u32,
        /// Never empty.
        data: Vec<u8>,
    },
    /// A stream ended after all its data; said once for every stream that was not closed from here.
    End {
        /// The stream.
        stream: u32,
    },
    /// A stream that took no more data takes some again.
    Writable {
        /// The stream.
        stream: u32,
    },
    /// A stream ended before its data was complete, after what it brought.
    Broken {
        /// The stream.
        stream: u32,
        /// Why, in the daemon's words.
        why: String,
    },
    /// Something happened on the node.
    Notice(Value),
    /// A datagram to some port of the node, bound here or not.
    Datagram {
        /// Who sent it.
        from: SockAddr,
        /// The port it was sent to.
        port: u16,
        /// Content.
        data: Vec<u8>,
    },
    /// Something sent earlier without a call could not be delivered, in the daemon's words.
    SendFailed(String),
}

/// The byte stream makes no sense any more; drop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A message longer than the protocol allows.
    TooLong(FrameTooLong),
    /// A message shorter than its command needs.
    Malformed(BadReply),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::TooLong(e) => {
                write!(f, "message of {} bytes from daemon (max {})", e.announced, e.allowed)
            }
            Broken::Malformed(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for Broken {}

/// A call that was not answered yet.
#[derive(Debug)]
struct Call {
    id: CallId,
    /// Command byte of the answer.
    answer: u8,
    /// The stream, for a close: its answer looks like any end of stream.
    closes: Option<u32>,
    /// The message, until it is on its way.
    message: Vec<u8>,
}

/// The client. Not tied to any socket.
#[derive(Debug)]
pub struct Client {
    input: FrameReader,
    output: Vec<u8>,
    written: usize,
    calls: VecDeque<Call>,
    next_call: u64,
    /// Streams that are open as far as we know, and whether we asked to close them.
    streams: BTreeMap<u32, Stream>,
    events: VecDeque<Event>,
    /// Calls with numbers, once the daemon knows them, and the window of each stream.
    tagged: BTreeMap<u32, Call>,
    window: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stream {
    /// We asked to close it.
    closing: bool,
    /// The daemon said that nothing more comes.
    ended: bool,
    /// Bytes it takes until the daemon says that it took some.
    room: usize,
    /// Bytes read out of its window that the daemon was not told of.
    untold: usize,
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client of a connection just opened. The protocol has no greeting.
    pub const fn new() -> Self {
        Client {
            input: FrameReader::new(MAX_MESSAGE),
            output: Vec::new(),
            written: 0,
            calls: VecDeque::new(),
            next_call: 0,
            streams: BTreeMap::new(),
            events: VecDeque::new(),
            tagged: BTreeMap::new(),
            window: None,
        }
    }

    /// Asks something that will be answered. `None` if `request` is one that never is: use
    /// [`send`](Self::send) and [`post`](Self::post) for those.
    pub fn call(&mut self, request: &Request<'_>) -> Option<CallId> {
        let answer = request.answer()?;
        let closes = match request {
            Request::Close { id } => Some(*id),
            _ => None,
        };
        if let Some(stream) = closes.and_then(|id| self.streams.get_mut(&id)) {
            stream.closing = true;
        }
        self.next_call += 1;
        let id = CallId(self.next_call);
        let mut message = Vec::new();
        request.write(&mut message);
        let call = Call { id, answer, closes, message };
        match self.window {
            Some(_) => self.start_tagged(call),
            None => {
                self.calls.push_back(call);
                self.start_next_call();
            }
        }
        Some(id)
    }

    /// Asks for the messages of IPC-1, and with `events` for [`Event::Notice`]s. Refused by daemons that do not know them;
    /// everything works without them, but one call at a time, and streams of which one stands still hold up the others.
    pub fn extend(&mut self, events: bool) -> Option<CallId> {
        self.call(&Request::Extend { events })
    }

    /// Whether the daemon understood [`Client::extend`].
    pub const fn is_extended(&self) -> bool {
        self.window.is_some()
    }

    fn start_tagged(&mut self, call: Call) {
        // Open calls are few against 2^32.
        let tag = call.id.0 as u32;
        let message = call.message.get(PREFIX..).unwrap_or_default();
        Request::Tagged { tag, message }.write(&mut self.output);
        self.tagged.insert(tag, Call { message: Vec::new(), ..call });
    }

    /// `bytes` of a stream's data were read, and there is room for as many again.
    pub fn consumed(&mut self, stream: u32, bytes: usize) {
        let (Some(window), Some(state)) = (self.window, self.streams.get_mut(&stream)) else { return };
        state.untold += bytes;
        if state.untold >= window / 4 && !state.ended && !state.closing {
            let bytes = u32::try_from(core::mem::take(&mut state.untold)).unwrap_or(u32::MAX);
            self.post(&Request::Consumed { id: stream, bytes });
        }
    }

    /// Nothing more will be sent on a stream, which is still read. False if the daemon can only close it.
    pub fn finish(&mut self, stream: u32) -> bool {
        if self.window.is_some() {
            self.post(&Request::Finish { id: stream });
        }
        self.window.is_some()
    }

    /// Says something that is not answered unless it fails: SendTo, CancelDials.
    pub fn post(&mut self, request: &Request<'_>) {
        request.write(&mut self.output);
    }

    /// Sends data of a stream, cut into messages; returns how many bytes were taken. Less than all means that
    /// the daemon reads slower than we write: write the output first, and if nothing is left of it, wait for
    /// [`Event::Writable`]; then go on.
    pub fn send(&mut self, stream: u32, data: &[u8]) -> usize {
        let mut taken = 0;
        for chunk in data.chunks(SEND_CHUNK) {
            let room = match (self.window, self.streams.get(&stream)) {
                (Some(_), Some(stream)) => stream.room,
                _ => usize::MAX,
            };
            let chunk = chunk.get(..room).unwrap_or(chunk);
            if chunk.is_empty() || self.output.len() - self.written >= MAX_OUTPUT {
                break;
            }
            if let Some(stream) = self.streams.get_mut(&stream) {
                stream.room = stream.room.saturating_sub(chunk.len());
            }
            Request::Send { id: stream, data: chunk }.write(&mut self.output);
            taken += chunk.len();
        }
        taken
    }

    /// Bytes to write to the daemon, in order.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// The first `n` bytes of [`output`](Self::output) were written.
    pub fn wrote(&mut self, n: usize) {
        self.written = self.written.saturating_add(n).min(self.output.len());
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        } else if self.written > MAX_OUTPUT {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }

    /// Takes bytes from the daemon.
    ///
    /// # Errors
    /// [`Broken`]: the connection is of no use any more.
    pub fn handle_bytes(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let mut input = core::mem::replace(&mut self.input, FrameReader::new(MAX_MESSAGE));
        input.push(bytes);
        let result = loop {
            match input.pop() {
                Ok(Some(message)) => {
                    if let Err(broken) = self.handle_message(message) {
                        break Err(broken);
                    }
                }
                Ok(None) => break Ok(()),
                Err(too_long) => break Err(Broken::TooLong(too_long)),
            }
        };
        self.input = input;
        result
    }

    /// What the daemon said, in its order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), Broken> {
        let reply = match Reply::parse(message) {
            Ok(reply) => reply,
            // Later daemons may have more to say; not to us.
            Err(BadReply::Unknown(_) | BadReply::Empty) => return Ok(()),
            Err(error) => return Err(Broken::Malformed(error)),
        };
        let command = reply.command();
        match reply {
            Reply::Accept { local_port, id, remote } => {
                self.opened(id);
                self.events.push_back(Event::Accept { port: local_port, stream: id, remote });
            }
            Reply::Recv { id, data } => {
                if !data.is_empty() {
                    self.events.push_back(Event::Data { stream: id, data: data.to_vec() });
                }
            }
            Reply::RecvFrom { from, to_port, data } => {
                self.events.push_back(Event::Datagram { from, port: to_port, data: data.to_vec() });
            }
            Reply::CloseOk { id } => {
                // One close may be answered twice; the second finds nothing left to tell.
                if self.calls.front().is_some_and(|call| call.closes == Some(id)) {
                    self.streams.remove(&id);
                    self.finish_call(Ok(Answer::Closed));
                } else if self.window.is_some() {
                    // It may still be written.
                    if let Some(stream) = self.streams.get_mut(&id)
                        && !core::mem::replace(&mut stream.ended, true)
                        && !stream.closing
                    {
                        self.events.push_back(Event::End { stream: id });
                    }
                } else if self.streams.remove(&id).is_some_and(|stream| !stream.closing) {
                    self.events.push_back(Event::End { stream: id });
                }
            }
            Reply::Taken { id, bytes } => {
                if let Some(stream) = self.streams.get_mut(&id) {
                    stream.room = stream.room.saturating_add(bytes as usize);
                    self.events.push_back(Event::Writable { stream: id });
                }
            }
            Reply::Broken { id, text } => {
                if self.streams.remove(&id).is_some_and(|stream| !stream.closing) {
                    self.events.push_back(Event::Broken { stream: id, why: text.into_owned() });
                }
            }
            Reply::Event { json } => {
                self.events.extend(serde_json::from_slice(json).map(Event::Notice));
            }
            Reply::Tagged { tag, message } => {
                let Some(call) = self.tagged.remove(&tag) else { return Ok(()) };
                let result = match Reply::parse(message) {
                    Ok(Reply::Error { text, .. }) => Err(text.into_owned()),
                    Ok(reply) if reply.command() == call.answer => self.answer(reply),
                    _ => Err(String::from("the daemon's answer makes no sense")),
                };
                if let Some(id) = call.closes {
                    self.streams.remove(&id);
                }
                self.events.push_back(Event::Answer { call: call.id, result });
            }
            Reply::Error { text, .. } => {
                let awaited = self.calls.front().map(|call| call.answer);
                if awaited.is_none() || (is_send_error(&text) && awaited != Some(0x3A)) {
                    self.events.push_back(Event::SendFailed(text.into_owned()));
                } else {
                    self.finish_call(Err(text.into_owned()));
                }
            }
            answer => {
                if self.calls.front().is_none_or(|call| call.answer != command) {
                    return Ok(());
                }
                let result = self.answer(answer);
                self.finish_call(result);
            }
        }
        Ok(())
    }

    fn opened(&mut self, stream: u32) {
        let room = self.window.unwrap_or_default();
        self.streams.insert(stream, Stream { closing: false, ended: false, room, untold: 0 });
    }

    /// What an answer that is no error brings.
    fn answer(&mut self, reply: Reply<'_>) -> Result<Answer, String> {
        Ok(match reply {
            Reply::BindOk { .. } => Answer::Bound,
            Reply::DialOk { id } => {
                self.opened(id);
                Answer::Connected(id)
            }
            Reply::UnbindOk { .. } => Answer::Unbound,
            Reply::CloseOk { .. } => Answer::Closed,
            Reply::Extended { window } => {
                self.window = Some(window as usize);
                Answer::Extended
            }
            Reply::Json { kind, json } => serde_json::from_slice(json)
                .map(|value| Answer::Json(kind, value))
                .map_err(|error| format!("answer is not JSON: {error}"))?,
            _ => Answer::Sent,
        })
    }

    /// The call under way is over; the next one may start.
    fn finish_call(&mut self, result: Result<Answer, String>) {
        if let Some(call) = self.calls.pop_front() {
            self.events.push_back(Event::Answer { call: call.id, result });
        }
        self.start_next_call();
    }

    fn start_next_call(&mut self) {
        while self.window.is_some()
            && let Some(call) = self.calls.pop_front()
        {
            self.start_tagged(call);
        }
        if let Some(call) = self.calls.front_mut() {
            self.output.append(&mut call.message);
        }
    }

    /// Calls that were not answered yet, the one under way included.
    pub fn open_calls(&self) -> usize {
        self.calls.len() + self.tagged.len()
    }

    /// The connection ended: every open call fails with `why`, every open stream ends.
    pub fn handle_end(&mut self, why: &impl ToString) {
        let tagged = core::mem::take(&mut self.tagged).into_values();
        for call in core::mem::take(&mut self.calls).into_iter().chain(tagged) {
            self.events.push_back(Event::Answer { call: call.id, result: Err(why.to_string()) });
        }
        for (stream, state) in core::mem::take(&mut self.streams) {
            if state.closing || state.ended {
                continue;
            }
            // Without numbers the end of the daemon cannot be told from the end of a stream, and never was.
            self.events.push_back(match self.window {
                Some(_) => Event::Broken { stream, why: why.to_string() },
                None => Event::End { stream },
            });
        }
    }
}

/// True for the words that only Send and SendTo are refused with.
fn is_send_error(text: &str) -> bool {
    let unknown_stream = || {
        let number = text.strip_prefix("connection ").and_then(|rest| rest.strip_suffix(" not found"));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    text.starts_with("send: ") || text.starts_with("sendto: ") || unknown_stream()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    fn say(client: &mut Client, replies: &[Reply<'_>]) -> Vec<Event> {
        let mut bytes = Vec::new();
        for reply in replies {
            reply.write(&mut bytes);
        }
        client.handle_bytes(&bytes).unwrap();
        core::iter::from_fn(|| client.poll_event()).collect()
    }

    fn take_output(client: &mut Client) -> Vec<Vec<u8>> {
        let mut reader = FrameReader::new(MAX_MESSAGE);
        reader.push(client.output());
        client.wrote(client.output().len());
        let mut messages = Vec::new();
        while let Some(message) = reader.pop().unwrap() {
            messages.push(message.to_vec());
        }
        messages
    }

    fn connected(client: &mut Client, id: u32) {
        client.call(&Request::Dial { to: SockAddr::default() }).unwrap();
        take_output(client);
        assert_eq!(say(client, &[Reply::DialOk { id }]).len(), 1);
    }

    #[test]
    fn one_call_is_under_way_at_a_time_and_answers_find_their_calls() {
        let mut client = Client::new();
        let info = client.call(&Request::Info).unwrap();
        let health = client.call(&Request::Health).unwrap();
        assert_eq!(take_output(&mut client), [b"\x0d".to_vec()]);
        let events = say(&mut client, &[Reply::error("no")]);
        assert_eq!(events, [Event::Answer { call: info, result: Err("no".into()) }]);
        assert_eq!(take_output(&mut client), [b"\x21".to_vec()]);
        let events = say(&mut client, &[Reply::Json { kind: JsonKind::Health, json: br#"{"a":1}"# }]);
        let json = Answer::Json(JsonKind::Health, serde_json::json!({"a": 1}));
        assert_eq!(events, [Event::Answer { call: health, result: Ok(json) }]);
        assert_eq!(client.open_calls(), 0);
    }

    #[test]
    fn hazard_07_13_send_errors_are_not_mistaken_for_the_answer_to_a_call() {
        let mut client = Client::new();
        connected(&mut client, 7);
        client.send(7, b"x");
        let dial = client.call(&Request::Dial { to: SockAddr::default() }).unwrap();
        let events = say(
            &mut client,
            &[
                Reply::error("send: connection closed"),
                Reply::error("connection 7 not found"),
                Reply::error("send SYN: no route"),
            ],
        );
        assert_eq!(
            events,
            [
                Event::SendFailed("send: connection closed".into()),
                Event::SendFailed("connection 7 not found".into()),
                Event::Answer { call: dial, result: Err("send SYN: no route".into()) },
            ]
        );
        let events = say(&mut client, &[Reply::error("anything")]);
        assert_eq!(events, [Event::SendFailed("anything".into())]);
    }

    #[test]
    fn hazard_07_18_two_close_notices_are_one_event() {
        let mut client = Client::new();
        connected(&mut client, 7);
        let call = client.call(&Request::Close { id: 7 }).unwrap();
        let events = say(&mut client, &[Reply::CloseOk { id: 7 }, Reply::CloseOk { id: 7 }]);
        assert_eq!(events, [Event::Answer { call, result: Ok(Answer::Closed) }]);

        connected(&mut client, 8);
        let events = say(
            &mut client,
            &[Reply::Recv { id: 8, data: b"last" }, Reply::CloseOk { id: 8 }, Reply::CloseOk { id: 8 }],
        );
        assert_eq!(events, [Event::Data { stream: 8, data: b"last".to_vec() }, Event::End { stream: 8 }]);
    }

    #[test]
    fn hazard_07_21_large_data_is_split_and_back_pressure_is_visible() {
        let mut client = Client::new();
        let data = vec![1; 3 << 20];
        let taken = client.send(7, &data);
        assert_eq!(taken, MAX_OUTPUT);
        assert_eq!(client.send(7, &data), 0);
        let messages = take_output(&mut client);
        assert!(messages.iter().all(|message| message.len() == 5 + SEND_CHUNK));
        assert_eq!(messages.len() * SEND_CHUNK, taken);
        assert_eq!(client.send(7, b"more"), 4);
        client.wrote(3);
        assert_eq!(client.output().len(), 4 + 5 + 4 - 3);
    }

    #[test]
    fn accepted_streams_and_datagrams_are_events_between_a_call_and_its_answer() {
        let mut client = Client::new();
        let call = client.call(&Request::Bind { port: 5 }).unwrap();
        let remote = SockAddr::default();
        let events = say(
            &mut client,
            &[
                Reply::RecvFrom { from: remote, to_port: 9, data: b"d" },
                Reply::BindOk { port: 5 },
                Reply::Accept { local_port: 5, id: 3, remote },
            ],
        );
        assert_eq!(
            events,
            [
                Event::Datagram { from: remote, port: 9, data: b"d".to_vec() },
                Event::Answer { call, result: Ok(Answer::Bound) },
                Event::Accept { port: 5, stream: 3, remote },
            ]
        );
        client.call(&Request::Info).unwrap();
        client.handle_end(&"daemon disconnected");
        let events: Vec<_> = core::iter::from_fn(|| client.poll_event()).collect();
        assert_eq!(events.len(), 2);
        assert_eq!(events[1], Event::End { stream: 3 });
    }

    #[test]
    fn unknown_messages_are_skipped_and_short_ones_break_the_connection() {
        let mut client = Client::new();
        client.handle_bytes(&crate::frames::frame(b"\x77hello")).unwrap();
        client.handle_bytes(&crate::frames::frame(b"")).unwrap();
        assert_eq!(client.poll_event(), None);
        assert_eq!(
            client.handle_bytes(&crate::frames::frame(b"\x07\x00")),
            Err(Broken::Malformed(BadReply::Short(7)))
        );
        let long = u32::try_from(MAX_MESSAGE + 1).unwrap().to_be_bytes();
        assert!(matches!(Client::new().handle_bytes(&long), Err(Broken::TooLong(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(noise: Vec<u8>, message: Vec<u8>) {
            let mut client = Client::new();
            client.call(&Request::Info);
            let _ = client.handle_bytes(&crate::frames::frame(&message));
            let _ = client.handle_bytes(&noise);
            while client.poll_event().is_some() {}
        }
    }
}

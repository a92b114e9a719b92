//! Scripts: what programs do all day. Each tries again until its work is done, and accuses whoever breaks a promise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pilot_proto::{Addr, Instant, SockAddr, time::Duration};
use pilot_roles::{
    client::{Answer, CallId, Event, MAX_OUTPUT},
    ipc::{HandshakeRequest, JsonKind, Request},
};

use crate::{
    ledger::{Ledger, content, first_wrong},
    program::{Io, Pending, Script, What},
    talk::judge_datagram,
};

/// Where receivers listen.
pub(crate) const PORT: u16 = 5000;
/// Transfer number and attempt, in front of the content.
const HEAD: usize = 8;
/// Content written at once.
const CHUNK: u64 = 64 * 1024;
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(1);
/// How long nothing may arrive after the sender's close was confirmed, before all is sent again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Listens on every agent: learns the node's id, receives transfers and says yes to trust requests.
#[derive(Debug, Default)]
pub struct Serve {
    info: Option<CallId>,
    bind: Option<CallId>,
    bound: bool,
    /// Says yes by hand: asks for requests now and then.
    approves: bool,
    pending: Option<CallId>,
    streams: BTreeMap<u32, Receiving>,
}

#[derive(Debug, Default)]
struct Receiving {
    /// In whose name.
    node: u32,
    head: Vec<u8>,
    number: Option<usize>,
    at: u64,
}

impl Serve {
    /// One that says yes to trust requests.
    pub fn approving() -> Self {
        Serve { approves: true, ..Serve::default() }
    }

    fn receive(io: &mut Io<'_>, receiving: &mut Receiving, mut data: &[u8]) {
        if receiving.head.len() < HEAD {
            let missing = (HEAD - receiving.head.len()).min(data.len());
            receiving.head.extend_from_slice(&data[..missing]);
            data = &data[missing..];
            if let Ok(head) = <[u8; HEAD]>::try_from(receiving.head.as_slice()) {
                let number = (u64::from_be_bytes(head) >> 32) as usize;
                let sender = io.ledger.host_of(receiving.node);
                match io.ledger.transfer_mut(number) {
                    Some(transfer)
                        if transfer.from.is_some_and(|from| sender.is_some_and(|host| host != from)) =>
                    {
                        let words = format!("transfer {number} came in the name of node {}", receiving.node);
                        io.ledger.accuse("data from a spoofed node", words);
                    }
                    Some(transfer) => {
                        transfer.streams += 1;
                        transfer.began_at.get_or_insert(io.now);
                        receiving.number = Some(number);
                    }
                    None => io.ledger.accuse("stream content", format!("a stream begins with {head:02x?}")),
                }
            }
        }
        let Some(number) = receiving.number else { return };
        if let Some(at) = first_wrong(number, receiving.at, data) {
            io.ledger.accuse("stream content", format!("transfer {number} is wrong at byte {at}"));
        }
        receiving.at += data.len() as u64;
        io.ledger.verified += data.len() as u64;
        let at = receiving.at;
        let Some(transfer) = io.ledger.transfer_mut(number) else { return };
        transfer.received = transfer.received.max(at);
        let ends = at == transfer.bytes && !transfer.done;
        transfer.done |= ends;
        if ends {
            transfer.done_at.get_or_insert(io.now);
        }
        let total = transfer.bytes;
        if at > total {
            io.ledger.accuse("stream content", format!("transfer {number}: {at} bytes of {total}"));
        }
        if ends {
            io.ledger.judge_contest(number);
        }
    }

    fn ended(io: &mut Io<'_>, receiving: &Receiving) {
        if let Some(number) = receiving.number
            && let Some(transfer) = io.ledger.transfer(number)
            && receiving.at < transfer.bytes
            && io.ledger.calm
        {
            let words = format!("transfer {number} ended at byte {} of {}", receiving.at, transfer.bytes);
            io.ledger.accuse("stream cut short", words);
        }
    }

    fn look(&mut self, io: &mut Io<'_>) {
        if self.approves && self.pending.is_none() {
            self.pending = io.client.call(&Request::Handshake(HandshakeRequest::Pending));
        }
    }
}

impl Script for Serve {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected => {
                self.streams.clear();
                self.bound = false;
                self.info = io.client.call(&Request::Info);
                self.bind = io.client.call(&Request::Bind { port: PORT });
                self.pending = None;
                self.look(io);
            }
            What::Disconnected => self.bound = false,
            What::Woken => self.look(io),
            What::Room => {}
            What::Event(Event::Answer { call, result }) => {
                if self.info == Some(call) {
                    match result {
                        Ok(Answer::Json(JsonKind::Info, info)) => {
                            let node = info["node_id"].as_u64().unwrap_or_default() as u32;
                            io.ledger.learn(io.host, node);
                        }
                        // The connection broke; the next one asks again.
                        _ => self.info = None,
                    }
                } else if self.bind == Some(call) {
                    self.bound = result == Ok(Answer::Bound);
                } else if self.pending == Some(call) {
                    self.pending = None;
                    if let Ok(Answer::Json(JsonKind::Handshake, list)) = result {
                        for request in list["pending"].as_array().into_iter().flatten() {
                            let node = request["node_id"].as_u64().unwrap_or_default() as u32;
                            io.client.call(&Request::Handshake(HandshakeRequest::Approve { node }));
                        }
                    }
                    io.wake_at(io.now + RETRY);
                }
            }
            What::Event(Event::Accept { stream, remote, .. }) => {
                let node = remote.addr.node;
                let host = io.ledger.host_of(node);
                if host.is_some_and(|host| !io.ledger.may_talk(host, io.host)) {
                    let words = format!("host {} accepts a stream of node {node}", io.host);
                    io.ledger.accuse("data from an untrusted node", words);
                }
                self.streams.insert(stream, Receiving { node, ..Receiving::default() });
            }
            What::Event(Event::Datagram { from, data, .. }) => {
                judge_datagram(io.ledger, io.host, from.addr.node, &data);
            }
            What::Event(Event::Data { stream, data }) => {
                if let Some(receiving) = self.streams.get_mut(&stream) {
                    Self::receive(io, receiving, &data);
                }
            }
            What::Event(Event::End { stream }) => {
                if let Some(receiving) = self.streams.remove(&stream) {
                    // A stream that ended at its daemon may have been ended by a broken network.
                    if io.connected {
                        Self::ended(io, &receiving);
                    }
                }
            }
            // These programs do not ask for the messages of IPC-1.
            What::Event(Event::Writable { .. } | Event::Broken { .. } | Event::Notice(_)) => {}
            What::Event(Event::SendFailed(_)) => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        (!self.bound).then(|| Pending {
            work: "listening".into(),
            with: None,
            since: Instant::ORIGIN,
            state: format!("port {PORT} is not bound"),
        })
    }
}

/// Sends one transfer to another agent, again and again until all of it has arrived in one stream.
#[derive(Debug)]
pub struct Push {
    number: usize,
    /// Index of the receiving host.
    to: usize,
    /// When to begin.
    start: Instant,
    state: State,
    attempts: u32,
    last_words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    Dialing(Option<CallId>),
    Sending {
        stream: u32,
        at: u64,
    },
    Closing {
        close: Option<CallId>,
    },
    /// The daemon confirmed the close; how much had arrived when we looked last, and until when more must have.
    Waiting {
        received: u64,
        until: Instant,
    },
    Done,
}

impl Push {
    /// Sends transfer `number` to the agent on host `to`, from `start` on.
    pub const fn new(number: usize, to: usize, start: Instant) -> Self {
        Push { number, to, start, state: State::Idle, attempts: 0, last_words: String::new() }
    }

    fn is_done(&self, ledger: &Ledger) -> bool {
        ledger.transfer(self.number).is_none_or(|transfer| transfer.done)
    }

    fn begin(&mut self, io: &mut Io<'_>) {
        if self.is_done(io.ledger) {
            self.state = State::Done;
            return;
        }
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        let Some(node) = io.ledger.node(self.to) else { return io.wake_at(io.now + RETRY) };
        self.attempts += 1;
        let to = SockAddr::new(Addr::backbone(node), PORT);
        self.state = State::Dialing(io.client.call(&Request::Dial { to }));
    }

    fn received(&self, ledger: &Ledger) -> u64 {
        ledger.transfer(self.number).map_or(0, |transfer| transfer.received)
    }

    fn wait(&mut self, io: &mut Io<'_>) {
        self.state = State::Waiting { received: self.received(io.ledger), until: io.now + PATIENCE };
        io.wake_at(io.now + RETRY);
    }

    fn again(&mut self, io: &mut Io<'_>, why: String) {
        self.last_words = why;
        self.state = State::Idle;
        io.wake_at(io.now + RETRY);
    }

    fn send(&mut self, io: &mut Io<'_>) {
        let total = io.ledger.transfer(self.number).map_or(0, |transfer| transfer.bytes);
        let State::Sending { stream, at } = &mut self.state else { return };
        let stream = *stream;
        let mut chunk = Vec::new();
        while *at < total && io.client.output().len() + HEAD + (CHUNK as usize) < MAX_OUTPUT {
            chunk.resize(CHUNK.min(total - *at) as usize, 0);
            content(self.number, *at, &mut chunk);
            *at += chunk.len() as u64;
            io.client.send(stream, &chunk);
        }
        if *at == total {
            self.state = State::Closing { close: io.client.call(&Request::Close { id: stream }) };
        }
    }
}

impl Script for Push {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match (what, self.state) {
            (_, State::Done) => {}
            (What::Connected, _) | (What::Woken, State::Idle) => self.begin(io),
            (What::Disconnected, _) => self.state = State::Idle,
            (What::Woken, State::Waiting { received, until }) => {
                if self.is_done(io.ledger) {
                    self.state = State::Done;
                } else if self.received(io.ledger) > received {
                    self.wait(io);
                } else if io.now < until {
                    io.wake_at(io.now + RETRY);
                } else if io.ledger.calm {
                    let words = format!("transfer {} was closed and did not arrive", self.number);
                    io.ledger.accuse("stream cut short", words);
                } else {
                    self.again(io, "it was closed and did not arrive".into());
                }
            }
            (What::Event(Event::Answer { call, result }), State::Dialing(dial)) if dial == Some(call) => {
                match result {
                    Ok(Answer::Connected(stream)) => {
                        self.state = State::Sending { stream, at: 0 };
                        let head = (self.number as u64) << 32 | u64::from(self.attempts);
                        io.client.send(stream, &head.to_be_bytes());
                        self.send(io);
                    }
                    Ok(other) => {
                        io.ledger.accuse("local protocol broken", format!("a dial is answered by {other:?}"))
                    }
                    Err(words) => self.again(io, words),
                }
            }
            (What::Event(Event::Answer { call, .. }), State::Closing { close }) if close == Some(call) => {
                self.wait(io);
            }
            (What::Event(Event::End { stream: ended }), State::Sending { stream, .. }) if ended == stream => {
                self.again(io, "the stream ended".into());
            }
            (What::Room, State::Sending { .. }) => self.send(io),
            _ => {}
        }
    }

    fn pending(&self, ledger: &Ledger) -> Option<Pending> {
        let Push { number, state, attempts, last_words, .. } = self;
        let transfer = ledger.transfer(*number)?;
        (!transfer.done).then(|| Pending {
            work: format!("transfer {number}"),
            with: Some(self.to),
            since: self.start,
            state: format!(
                "{} of {} bytes, {state:?} after {attempts} attempts, last words {last_words:?}",
                transfer.received, transfer.bytes
            ),
        })
    }
}

/// Asks another agent for trust until it is given.
#[derive(Debug)]
pub struct Befriend {
    to: usize,
    start: Instant,
    call: Option<CallId>,
    waits: bool,
    trusted: bool,
    last_words: String,
}

impl Befriend {
    /// Asks the agent on host `to` from `start` on.
    pub const fn new(to: usize, start: Instant) -> Self {
        Befriend { to, start, call: None, waits: false, trusted: false, last_words: String::new() }
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        if self.trusted || self.call.is_some() {
            return;
        }
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        let Some(node) = io.ledger.node(self.to) else { return io.wake_at(io.now + RETRY) };
        let request = if self.waits {
            HandshakeRequest::Wait { node, timeout_ms: 10_000 }
        } else {
            HandshakeRequest::Request { node, justification: "simulated".into() }
        };
        self.call = io.client.call(&Request::Handshake(request));
    }
}

impl Script for Befriend {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected => {
                (self.call, self.waits) = (None, false);
                self.ask(io);
            }
            What::Disconnected => self.call = None,
            What::Woken => self.ask(io),
            What::Event(Event::Answer { call, result }) if self.call == Some(call) => {
                self.call = None;
                match result {
                    Ok(Answer::Json(_, answer)) => {
                        self.trusted |= answer["trusted"] == true;
                        self.waits = !self.waits;
                        self.ask(io);
                    }
                    Ok(other) => self.last_words = format!("{other:?}"),
                    Err(words) => {
                        (self.last_words, self.waits) = (words, false);
                        io.wake_at(io.now + RETRY);
                    }
                }
            }
            What::Event(_) | What::Room => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        (!self.trusted).then(|| Pending {
            work: "trust request".into(),
            with: Some(self.to),
            since: self.start,
            state: format!("not trusted yet, last words {:?}", self.last_words),
        })
    }
}

/// Takes names, one after another; two agents may want the same one.
#[derive(Debug)]
pub struct Rename {
    names: VecDeque<String>,
    start: Instant,
    call: Option<CallId>,
    taken: BTreeSet<String>,
}

impl Rename {
    /// Wants each of `names` once, from `start` on.
    pub fn new(names: impl IntoIterator<Item = String>, start: Instant) -> Self {
        Rename { names: names.into_iter().collect(), start, call: None, taken: BTreeSet::new() }
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        if let (Some(name), None) = (self.names.front(), self.call) {
            self.call = io.client.call(&Request::SetHostname { name: name.as_str().into() });
        }
    }
}

impl Script for Rename {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected => {
                self.call = None;
                self.ask(io);
            }
            What::Woken => self.ask(io),
            What::Event(Event::Answer { call, result }) if self.call == Some(call) => {
                self.call = None;
                let taken = |words: &str| words.contains("already in use");
                match (result, self.names.front().cloned()) {
                    (Ok(_), Some(name)) => {
                        self.taken.insert(name);
                        self.names.pop_front();
                    }
                    (Err(words), _) if taken(&words) => {
                        self.names.pop_front();
                    }
                    _ => {}
                }
                io.wake_at(io.now + RETRY);
            }
            What::Event(_) | What::Room | What::Disconnected => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        self.names.front().map(|name| Pending {
            work: "a name".into(),
            with: None,
            since: self.start,
            state: format!("wants {name:?}"),
        })
    }
}

/// Changes what an agent says about itself: tags, and whether it takes tasks.
#[derive(Debug)]
pub struct Settle {
    left: u32,
    start: Instant,
    call: Option<CallId>,
}

impl Settle {
    /// Makes `changes` changes from `start` on.
    pub const fn new(changes: u32, start: Instant) -> Self {
        Settle { left: changes, start, call: None }
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        if io.now < self.start {
            return io.wake_at(self.start);
        }
        if self.left > 0 && self.call.is_none() {
            let request = match io.dice.below(3) {
                0 => Request::SetTaskExec { on: io.dice.chance(500_000) },
                _ => Request::SetTags {
                    tags: (0..io.dice.between(1, 3)).map(|_| format!("tag-{}", io.dice.below(5))).collect(),
                },
            };
            self.call = io.client.call(&request);
        }
    }
}

impl Script for Settle {
    fn handle(&mut self, io: &mut Io<'_>, what: What) {
        match what {
            What::Connected => {
                self.call = None;
                self.ask(io);
            }
            What::Woken => self.ask(io),
            What::Event(Event::Answer { call, result }) if self.call == Some(call) => {
                self.call = None;
                self.left -= u32::from(result.is_ok());
                io.wake_at(io.now + RETRY);
            }
            What::Event(_) | What::Room | What::Disconnected => {}
        }
    }

    fn pending(&self, _: &Ledger) -> Option<Pending> {
        (self.left > 0).then(|| Pending {
            work: "settings".into(),
            with: None,
            since: self.start,
            state: format!("{} left", self.left),
        })
    }
}

//! A role that does everything the contract knows, on command, so that a driver can be tested without a protocol.
//!
//! Datagrams are echoed; `burst N SIZE` is answered with N datagrams of SIZE bytes in segmented transmits. Streams of the
//! Unix listener are echoed under back-pressure. Streams of the TCP listener take one command per line (see [`Probe::command`]).

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use pilot_proto::{Instant, Transmit};
use pilot_roles::{
    ConnId, Input, Listener, Now, Output, Role,
    role::{Area, Change, Closed, Dial, Level, Record, Store},
};

/// An echoing stream with more than this queued is not read.
const HIGH: usize = 256 * 1024;

#[derive(Default)]
struct Stream {
    echo: bool,
    line: Vec<u8>,
    queued: usize,
    paused: bool,
}

/// The role.
#[derive(Default)]
pub(crate) struct Probe {
    loaded: usize,
    streams: BTreeMap<ConnId, Stream>,
    outputs: VecDeque<Output>,
    datagrams: VecDeque<(SocketAddr, Vec<u8>, Option<usize>)>,
    waiting: BTreeMap<u64, ConnId>,
    dialled: BTreeMap<ConnId, ConnId>,
    timers: Vec<(Instant, ConnId)>,
    next: u64,
    /// The defect of a timer that serving does not move.
    stuck: bool,
    timeouts: u64,
}

impl Probe {
    /// `loaded` is how many records the store held.
    pub(crate) fn new(loaded: usize) -> Self {
        Probe { loaded, ..Probe::default() }
    }

    fn say(&mut self, conn: ConnId, text: &str) {
        self.send(conn, format!("{text}\n").into_bytes());
    }

    fn send(&mut self, conn: ConnId, data: Vec<u8>) {
        if let Some(stream) = self.streams.get_mut(&conn) {
            stream.queued += data.len();
            self.outputs.push_back(Output::Send { conn, data });
        }
    }

    fn ticket(&mut self, conn: ConnId) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, conn);
        self.next
    }

    fn command(&mut self, now: Now, conn: ConnId, line: &str) {
        let mut words = line.splitn(3, ' ');
        let (verb, a, b) = (words.next().unwrap(), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match verb {
            "loaded" => self.say(conn, &self.loaded.to_string()),
            "record" | "replace" | "create" => {
                let (name, bytes) = (a.to_owned(), b.as_bytes().to_vec());
                let store = match verb {
                    "record" => {
                        Store::Records(vec![Change { table: "t", key: a.into(), value: Some(bytes) }])
                    }
                    "replace" => Store::Replace { area: Area::State, name, bytes },
                    _ => Store::Create { area: Area::State, name, bytes },
                };
                let ticket = self.ticket(conn);
                self.outputs.push_back(Output::Store { ticket, store });
            }
            "post" => {
                let ticket = self.ticket(conn);
                self.outputs.push_back(Output::Post { ticket, url: a.into(), body: b.into() });
            }
            "flood" => {
                self.send(conn, vec![b'x'; a.parse().unwrap()]);
                self.outputs.push_back(Output::Close(conn));
            }
            "dial" => {
                self.next += 1;
                let dialled = ConnId::Dialed(self.next);
                self.dialled.insert(dialled, conn);
                self.outputs.push_back(Output::Connect { conn: dialled, to: Dial::Registry });
            }
            "timer" => {
                self.timers.push((now.instant + Duration::from_millis(a.parse().unwrap()), conn));
            }
            "send" => {
                self.datagrams.push_back((a.parse().unwrap(), b.as_bytes().to_vec(), None));
                self.say(conn, "queued");
            }
            "stick" => self.stuck = true,
            "timeouts" => self.say(conn, &self.timeouts.to_string()),
            "exit" => self.outputs.push_back(Output::Exit(a.parse().unwrap())),
            other => self.say(conn, &format!("no command {other}")),
        }
    }

    fn bytes(&mut self, now: Now, conn: ConnId, data: &[u8]) {
        if let Some(asker) = self.dialled.get(&conn).copied() {
            self.send(asker, data.to_vec());
            self.outputs.push_back(Output::Close(conn));
            return;
        }
        let Some(stream) = self.streams.get_mut(&conn) else { return };
        if stream.echo {
            assert!(!stream.paused, "bytes of a paused stream");
            if stream.queued + data.len() > HIGH {
                stream.paused = true;
                self.outputs.push_back(Output::Pause(conn));
            }
            self.send(conn, data.to_vec());
            return;
        }
        stream.line.extend_from_slice(data);
        while let Some(stream) = self.streams.get_mut(&conn)
            && let Some(end) = stream.line.iter().position(|byte| *byte == b'\n')
        {
            let line: Vec<u8> = stream.line.drain(..=end).collect();
            self.command(now, conn, String::from_utf8(line).unwrap().trim_end());
        }
    }
}

impl Role for Probe {
    fn handle_datagram(&mut self, _: Now, from: SocketAddr, data: &mut [u8]) {
        let burst = std::str::from_utf8(data).ok().and_then(|text| text.strip_prefix("burst "));
        if let Some((count, size)) = burst.and_then(|rest| rest.split_once(' ')) {
            let (mut left, size): (usize, usize) = (count.parse().unwrap(), size.parse().unwrap());
            while left > 0 {
                let n = left.min((65_536 / size).max(1));
                self.datagrams.push_back((from, vec![n as u8; n * size], (n > 1).then_some(size)));
                left -= n;
            }
        } else {
            self.datagrams.push_back((from, data.to_vec(), None));
        }
    }

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        match input {
            Input::Started { udp } => {
                assert!(udp.is_some());
                self.outputs.push_back(Output::Listen(Listener::Ipc));
                self.outputs.push_back(Output::Listen(Listener::Registry));
            }
            Input::Listening { listener, result } => {
                if let Err(words) = result {
                    let fields = vec![("listener", format!("{listener:?}")), ("why", words)];
                    let record = Record { level: Level::Error, message: "cannot listen", fields };
                    self.outputs.push_back(Output::Log(record));
                    self.outputs.push_back(Output::Exit(9));
                }
            }
            Input::Opened { conn: conn @ ConnId::Accepted(_), listener, peer, .. } => {
                assert_eq!(peer.is_some(), listener == Some(Listener::Registry));
                let stream = Stream { echo: listener == Some(Listener::Ipc), ..Stream::default() };
                assert!(self.streams.insert(conn, stream).is_none(), "an id is used once");
            }
            Input::Opened { conn, peer, .. } => {
                assert!(peer.is_some());
                self.outputs.push_back(Output::Send { conn, data: b"hello\n".to_vec() });
            }
            Input::Bytes { conn, data } => self.bytes(now, conn, data),
            Input::Sent { conn, bytes } => {
                if let Some(stream) = self.streams.get_mut(&conn) {
                    stream.queued -= bytes;
                    if stream.paused && stream.queued < HIGH / 2 {
                        stream.paused = false;
                        self.outputs.push_back(Output::Resume(conn));
                    }
                }
            }
            Input::Closed { conn, reason } => {
                if let Some(asker) = self.dialled.remove(&conn)
                    && let Closed::Failed(words) = reason
                {
                    self.say(asker, &format!("failed {words}"));
                }
                self.streams.remove(&conn);
            }
            Input::Stored { ticket, result } => {
                if let Some(conn) = self.waiting.remove(&ticket) {
                    self.say(conn, &format!("{ticket} {}", result.err().unwrap_or_else(|| "ok".into())));
                }
            }
            Input::Posted { ticket, result } => {
                if let Some(conn) = self.waiting.remove(&ticket) {
                    let words =
                        result.map_or_else(|words| format!("failed {words}"), |code| code.to_string());
                    self.say(conn, &words);
                }
            }
            Input::Shutdown => {
                let conns: Vec<ConnId> = self.streams.keys().copied().collect();
                for conn in conns {
                    self.say(conn, "bye");
                }
                self.outputs.push_back(Output::Exit(0));
            }
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        self.timeouts += 1;
        let (due, later) = self.timers.drain(..).partition(|(at, _)| *at <= now.instant);
        self.timers = later;
        for (at, conn) in due {
            self.say(conn, &format!("late by {}", now.instant.since(at).as_micros()));
        }
    }

    fn poll_transmit(&mut self, _: Now, buf: &mut [u8]) -> Option<Transmit> {
        assert!(buf.len() >= 65_536);
        let (to, data, segment_size) = self.datagrams.pop_front()?;
        buf[..data.len()].copy_from_slice(&data);
        Some(Transmit { to, len: data.len(), segment_size, may_fragment: true })
    }

    fn poll_output(&mut self, _: Now) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        if self.stuck {
            return Some(Instant::ORIGIN);
        }
        self.timers.iter().map(|(at, _)| *at).min()
    }
}

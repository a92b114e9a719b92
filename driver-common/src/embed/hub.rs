//! One connection to a node, shared by everything a program opened through it: what arrives is sorted to who waits.
//!
//! The hub has no socket. A *pump* of the driver moves bytes with [`Hub::drive`]; calls, streams, listeners and the rest
//! are polled like futures, and block threads through the same wakers.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use pilot_proto::SockAddr;
use pilot_roles::{
    client::{Answer, CallId, Client, Event},
    ipc::Request,
    json::Value,
};

use super::wakers::Wakers;
use crate::Stopper;

/// Bytes read from the node at once.
const READ: usize = 128 * 1024;
/// Reads and writes of one [`Hub::drive`] before other tasks have their turn.
const ROUNDS: usize = 16;
/// Unread bytes of all streams at which nothing more is read from a daemon that does not count streams one by one.
const MAX_UNREAD: usize = 8 << 20;
/// Streams that wait to be accepted, per port; more are closed.
const MAX_BACKLOG: usize = 1024;
/// Datagrams and events that wait to be read, per reader; more are dropped, as networks do.
const MAX_QUEUED: usize = 4096;

/// What a pump does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// Wait until the socket is as wanted, or the waker is called.
    Wait {
        /// The socket is wanted readable.
        read: bool,
        /// The socket is wanted writable.
        write: bool,
    },
    /// Drive again, after others had their turn.
    Again,
    /// The connection is over; nothing more to do.
    Over,
}

/// One connection to a node, shared by everything a program opened through it.
#[derive(Debug, Default)]
pub struct Hub(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) client: Client,
    pump: Wakers,
    calls: HashMap<CallId, Call>,
    pub(super) streams: HashMap<u32, StreamState>,
    pub(super) listeners: HashMap<u16, Backlog>,
    pub(super) datagrams: HashMap<u16, Mailbag<(SockAddr, Vec<u8>)>>,
    pub(super) events: HashMap<u64, Mailbag<Value>>,
    pub(super) next_reader: u64,
    /// Unread bytes of all streams.
    unread: usize,
    /// Bytes ever queued for the node, and ever written to it.
    queued: u64,
    written: u64,
    flushing: Wakers,
    /// Nobody wants anything more; the connection ends once the node has everything that was written.
    leaving: bool,
    said_goodbye: bool,
    /// What to end after that.
    node: Option<Stopper>,
    /// Why the connection is over.
    pub(super) gone: Option<String>,
}

#[derive(Debug, Default)]
struct Call {
    result: Option<Result<Answer, String>>,
    waiting: Wakers,
}

#[derive(Debug, Default)]
pub(super) struct StreamState {
    incoming: VecDeque<Vec<u8>>,
    /// Bytes read of the first of them.
    offset: usize,
    /// Nothing more comes; why, if it ended early.
    ended: Option<Result<(), String>>,
    finished: bool,
    readers: Wakers,
    writers: Wakers,
}

#[derive(Debug, Default)]
pub(super) struct Backlog {
    pub(super) waiting: VecDeque<(u32, SockAddr)>,
    pub(super) acceptors: Wakers,
}

/// Things that wait for a reader.
#[derive(Debug)]
pub(super) struct Mailbag<T> {
    pub(super) things: VecDeque<T>,
    pub(super) readers: Wakers,
}

impl<T> Default for Mailbag<T> {
    fn default() -> Self {
        Mailbag { things: VecDeque::new(), readers: Wakers::default() }
    }
}

impl<T> Mailbag<T> {
    pub(super) fn put(&mut self, thing: T, woken: &mut Wakers) {
        if self.things.len() < MAX_QUEUED {
            self.things.push_back(thing);
            self.readers.move_to(woken);
        }
    }
}

fn gone(why: &str) -> io::Error {
    io::Error::new(ErrorKind::NotConnected, why.to_owned())
}

impl Hub {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A reader that broke while it held the state has changed nothing halfway: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and lets the pump know if there is something to write.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut woken = Wakers::default();
        let mut state = self.state();
        let before = state.client.output().len();
        let result = change(&mut state);
        let after = state.client.output().len();
        state.queued += (after - before) as u64;
        if after > before {
            state.pump.move_to(&mut woken);
        }
        drop(state);
        woken.wake();
        result
    }

    // ---- the pump's side ----

    /// Moves bytes between the node and this hub, as far as `socket`, which must not block, goes. The waker of `cx` is
    /// called when there is more to write.
    pub fn drive(&self, cx: &mut Context<'_>, socket: &UnixStream, buffer: &mut Vec<u8>) -> Drive {
        buffer.resize(READ, 0);
        for _ in 0..ROUNDS {
            let mut state = self.state();
            let mut woken = Wakers::default();
            let wrote = state.write(socket, &mut woken);
            let full = !state.client.output().is_empty();
            let over = state.gone.is_some();
            if state.leaving && !full && !std::mem::replace(&mut state.said_goodbye, true) {
                // The node reads to this end, and then ends its side.
                let _ = socket.shutdown(Shutdown::Write);
            }
            let wants_read = state.leaving || state.client.is_extended() || state.unread < MAX_UNREAD;
            if wrote.is_ok() && !over {
                state.pump.add(cx);
            }
            drop(state);
            woken.wake();
            if let Err(error) = wrote {
                // What the node said before it hung up is still read below.
                tracing::debug!(%error, "the node takes no more");
            }
            if over {
                return Drive::Over;
            }
            if !wants_read {
                return Drive::Wait { read: false, write: full };
            }
            let mut reader = socket;
            match reader.read(buffer) {
                Ok(0) => {
                    self.end("the node has ended");
                    return Drive::Over;
                }
                Ok(len) => {
                    if let Err(words) = self.take(buffer.get(..len).unwrap_or_default()) {
                        self.end(&words);
                        return Drive::Over;
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    return Drive::Wait { read: true, write: full };
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.end(&e.to_string());
                    return Drive::Over;
                }
            }
        }
        Drive::Again
    }

    /// Bytes from the node, sorted.
    fn take(&self, bytes: &[u8]) -> Result<(), String> {
        let mut woken = Wakers::default();
        let result = self.with(|state| {
            let result = state.client.handle_bytes(bytes).map_err(|broken| broken.to_string());
            while let Some(event) = state.client.poll_event() {
                state.sort(event, &mut woken);
            }
            result
        });
        woken.wake();
        result
    }

    /// The connection is over.
    pub fn end(&self, why: &str) {
        let mut woken = Wakers::default();
        self.with(|state| {
            state.client.handle_end(&why);
            while let Some(event) = state.client.poll_event() {
                state.sort(event, &mut woken);
            }
            state.gone.get_or_insert_with(|| why.to_owned());
            state.client.wrote(usize::MAX);
            state.written = state.queued;
            state.node.take().iter().for_each(Stopper::stop);
            state.flushing.move_to(&mut woken);
            state.listeners.values_mut().for_each(|backlog| backlog.acceptors.move_to(&mut woken));
            state.datagrams.values_mut().for_each(|mailbag| mailbag.readers.move_to(&mut woken));
            state.events.values_mut().for_each(|mailbag| mailbag.readers.move_to(&mut woken));
        });
        woken.wake();
    }

    /// Ends the connection once the node has everything that was written, and then the node, if it is one's own.
    pub(super) fn leave(&self, node: Option<Stopper>) {
        let mut woken = Wakers::default();
        let mut state = self.state();
        state.leaving = true;
        match &state.gone {
            Some(_) => node.iter().for_each(Stopper::stop),
            None => state.node = node,
        }
        state.pump.move_to(&mut woken);
        drop(state);
        woken.wake();
    }

    // ---- calls ----

    /// Begins a call.
    pub(super) fn call(&self, request: &Request<'_>) -> Option<CallId> {
        self.with(|state| {
            let id = state.client.call(request)?;
            let result = state.gone.clone().map(Err);
            state.calls.insert(id, Call { result, ..Call::default() });
            Some(id)
        })
    }

    /// The answer to a call.
    pub(super) fn poll_answer(&self, cx: &Context<'_>, id: CallId) -> Poll<Result<Answer, String>> {
        let mut state = self.state();
        let Some(call) = state.calls.get_mut(&id) else { return Poll::Ready(Err("asked twice".into())) };
        match call.result.take() {
            Some(result) => {
                state.calls.remove(&id);
                Poll::Ready(result)
            }
            None => {
                call.waiting.add(cx);
                Poll::Pending
            }
        }
    }

    /// Nobody waits for the answer any more. A stream it brings is closed.
    pub(super) fn forget_call(&self, id: CallId) {
        self.with(|state| {
            if let Some(Call { result: Some(Ok(Answer::Connected(stream))), .. }) = state.calls.remove(&id) {
                state.close(stream);
            }
        });
    }

    // ---- streams ----

    /// Reads what a stream brought; 0 is its end.
    pub(super) fn poll_read(
        &self,
        cx: &Context<'_>,
        stream: u32,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut woken = Wakers::default();
        let result = self.with(|state| state.read(cx, stream, buffer, &mut woken));
        woken.wake();
        result
    }

    /// Writes to a stream, as much as it takes.
    pub(super) fn poll_write(&self, cx: &Context<'_>, stream: u32, data: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|state| {
            let State { client, streams, gone: over, .. } = state;
            if let Some(why) = over {
                return Poll::Ready(Err(gone(why)));
            }
            let Some(known) = streams.get_mut(&stream) else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            if known.finished {
                return Poll::Ready(Err(io::Error::new(
                    ErrorKind::BrokenPipe,
                    "the stream was closed for writing",
                )));
            }
            if let Some(Err(why)) = &known.ended {
                return Poll::Ready(Err(io::Error::new(ErrorKind::BrokenPipe, why.clone())));
            }
            if data.is_empty() {
                return Poll::Ready(Ok(0));
            }
            match client.send(stream, data) {
                0 => {
                    known.writers.add(cx);
                    Poll::Pending
                }
                taken => Poll::Ready(Ok(taken)),
            }
        })
    }

    /// Where in the bytes for the node the last one queued is.
    pub(super) fn mark(&self) -> u64 {
        self.state().queued
    }

    /// Ready once the node has every byte before `mark`. It delivers them even if we go away.
    pub(super) fn poll_flushed(&self, cx: &Context<'_>, mark: u64) -> Poll<io::Result<()>> {
        let mut state = self.state();
        match &state.gone {
            Some(why) => Poll::Ready(Err(gone(why))),
            None if state.written >= mark => Poll::Ready(Ok(())),
            None => {
                state.flushing.add(cx);
                Poll::Pending
            }
        }
    }

    /// Says that nothing more will be written to a stream.
    pub(super) fn finish(&self, stream: u32) {
        self.with(|state| {
            let Some(known) = state.streams.get_mut(&stream) else { return };
            if !std::mem::replace(&mut known.finished, true) && !state.client.finish(stream) {
                // This daemon can only close both directions; what came so far can still be read.
                known.ended.get_or_insert(Ok(()));
                let _ = state.client.call(&Request::Close { id: stream });
            }
        });
    }

    /// Lets go of a stream: what was written is delivered, what was not read is dropped.
    pub(super) fn close(&self, stream: u32) {
        self.with(|state| state.close(stream));
    }
}

impl State {
    /// Writes what there is until the socket is full.
    fn write(&mut self, mut socket: &UnixStream, woken: &mut Wakers) -> io::Result<()> {
        while !self.client.output().is_empty() {
            match socket.write(self.client.output()) {
                Ok(len) => {
                    self.client.wrote(len);
                    self.written += len as u64;
                    self.flushing.move_to(woken);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.written += self.client.output().len() as u64;
                    self.client.wrote(usize::MAX);
                    return Err(e);
                }
            }
        }
        if self.client.output().len() < pilot_roles::client::MAX_OUTPUT / 2 {
            // Those that wait for their own window try in vain, and wait again.
            self.streams.values_mut().for_each(|stream| stream.writers.move_to(woken));
        }
        Ok(())
    }

    fn sort(&mut self, event: Event, woken: &mut Wakers) {
        match event {
            Event::Answer { call, result } => match self.calls.get_mut(&call) {
                Some(waiting) => {
                    if let Ok(Answer::Connected(stream)) = result {
                        self.streams.insert(stream, StreamState::default());
                    }
                    waiting.result = Some(result);
                    waiting.waiting.move_to(woken);
                }
                None => {
                    if let Ok(Answer::Connected(stream)) = result {
                        self.streams.insert(stream, StreamState::default());
                        self.close(stream);
                    }
                }
            },
            Event::Accept { port, stream, remote } => {
                self.streams.insert(stream, StreamState::default());
                match self.listeners.get_mut(&port).filter(|backlog| backlog.waiting.len() < MAX_BACKLOG) {
                    Some(backlog) => {
                        backlog.waiting.push_back((stream, remote));
                        backlog.acceptors.move_to(woken);
                    }
                    None => self.close(stream),
                }
            }
            Event::Data { stream, data } => {
                if let Some(known) = self.streams.get_mut(&stream) {
                    self.unread += data.len();
                    known.incoming.push_back(data);
                    known.readers.move_to(woken);
                }
            }
            Event::End { stream } => self.ended(stream, Ok(()), woken),
            Event::Broken { stream, why } => self.ended(stream, Err(why), woken),
            Event::Writable { stream } => {
                if let Some(known) = self.streams.get_mut(&stream) {
                    known.writers.move_to(woken);
                }
            }
            Event::Datagram { from, port, data } => {
                if let Some(mailbag) = self.datagrams.get_mut(&port) {
                    mailbag.put((from, data), woken);
                }
            }
            Event::Notice(value) => {
                for mailbag in self.events.values_mut() {
                    mailbag.put(value.clone(), woken);
                }
            }
            Event::SendFailed(words) => tracing::debug!(%words, "the node refused something"),
        }
    }

    fn ended(&mut self, stream: u32, how: Result<(), String>, woken: &mut Wakers) {
        if let Some(known) = self.streams.get_mut(&stream) {
            if known.ended.is_none() || how.is_err() {
                known.ended = Some(how);
            }
            known.readers.move_to(woken);
            known.writers.move_to(woken);
        }
    }

    fn read(
        &mut self,
        cx: &Context<'_>,
        stream: u32,
        buffer: &mut [u8],
        woken: &mut Wakers,
    ) -> Poll<io::Result<usize>> {
        let Some(known) = self.streams.get_mut(&stream) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        let mut filled = 0;
        while let (Some(room), Some(chunk)) =
            (buffer.get_mut(filled..).filter(|room| !room.is_empty()), known.incoming.front())
        {
            let rest = chunk.get(known.offset..).unwrap_or_default();
            let len = rest.len().min(room.len());
            if let (Some(to), Some(from)) = (room.get_mut(..len), rest.get(..len)) {
                to.copy_from_slice(from);
            }
            filled += len;
            known.offset += len;
            if len == rest.len() {
                known.incoming.pop_front();
                known.offset = 0;
            }
        }
        if filled > 0 {
            self.client.consumed(stream, filled);
            if self.unread >= MAX_UNREAD && self.unread - filled < MAX_UNREAD {
                self.pump.move_to(woken);
            }
            self.unread -= filled;
            return Poll::Ready(Ok(filled));
        }
        if buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match &known.ended {
            Some(Ok(())) => Poll::Ready(Ok(0)),
            Some(Err(why)) => Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionReset, why.clone()))),
            None => {
                known.readers.add(cx);
                Poll::Pending
            }
        }
    }

    pub(super) fn close(&mut self, stream: u32) {
        let Some(known) = self.streams.remove(&stream) else { return };
        let unread: usize = known.incoming.iter().map(Vec::len).sum();
        self.unread -= unread - known.offset;
        if self.gone.is_none() {
            let _ = self.client.call(&Request::Close { id: stream });
        }
    }
}

//! The blocking client: the sans-IO client on a Unix socket, with a deadline on everything.

use std::collections::VecDeque;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use pilot_mio::embed::open_socket;
use pilot_proto::{Addr, SockAddr};
use pilot_roles::client::{Answer, Client, Event};
use pilot_roles::ipc::Request;
use pilot_roles::json::Value;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest wait for an answer of the daemon that needs no peer. Daemons of other makers block up to 39 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(45);

/// Why something asked of the daemon did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// The daemon refused, in its words.
    Refused(String),
    /// The daemon hung up.
    Gone,
    /// The deadline came first.
    Late,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Refused(words) => write!(f, "daemon: {words}"),
            CallError::Gone => f.write_str("daemon disconnected"),
            CallError::Late => f.write_str("no answer in time"),
        }
    }
}

impl std::error::Error for CallError {}

/// What reading from a stream brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Some bytes.
    Data(Vec<u8>),
    /// The peer closed, and everything it sent was delivered.
    End,
}

/// A connection to the daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    socket: UnixStream,
    client: Client,
    events: VecDeque<Event>,
    gone: bool,
}

impl Daemon {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// Those of [`open_socket`].
    pub(crate) fn connect(path: &Path) -> std::io::Result<Self> {
        let socket = open_socket(path)?;
        Ok(Daemon { socket, client: Client::new(), events: VecDeque::new(), gone: false })
    }

    /// Asks, and waits for the answer.
    pub(crate) fn call(&mut self, request: &Request<'_>, deadline: Instant) -> Result<Answer, CallError> {
        let Some(call) = self.client.call(request) else {
            self.client.post(request);
            return Ok(Answer::Sent);
        };
        loop {
            let ours = |event: &Event| matches!(event, Event::Answer { call: id, .. } if *id == call);
            if let Some(at) = self.events.iter().position(ours)
                && let Some(Event::Answer { result, .. }) = self.events.remove(at)
            {
                let refused = |words| if self.gone { CallError::Gone } else { CallError::Refused(words) };
                return result.map_err(refused);
            }
            self.step(Some(deadline))?;
        }
    }

    /// Asks something that is answered with a JSON object.
    pub(crate) fn object(&mut self, request: &Request<'_>) -> Result<Value, CallError> {
        match self.call(request, Instant::now() + PATIENCE)? {
            Answer::Json(_, value) => Ok(value),
            _ => Ok(Value::Null),
        }
    }

    /// Opens a stream.
    pub(crate) fn dial(&mut self, addr: Addr, port: u16, deadline: Instant) -> Result<u32, CallError> {
        match self.call(&Request::Dial { to: SockAddr::new(addr, port) }, deadline)? {
            Answer::Connected(stream) => Ok(stream),
            other => Err(CallError::Refused(format!("{other:?} instead of a stream"))),
        }
    }

    /// Closes a stream. What was sent is still delivered.
    pub(crate) fn close(&mut self, stream: u32) -> Result<(), CallError> {
        self.call(&Request::Close { id: stream }, Instant::now() + PATIENCE).map(drop)
    }

    /// Hands data of a stream to the daemon as far as there is room; call [`step`](Self::step) to make more.
    pub(crate) fn offer(&mut self, stream: u32, data: &[u8]) -> usize {
        self.client.send(stream, data)
    }

    /// Bytes offered that the daemon did not take yet.
    pub(crate) fn waiting(&self) -> usize {
        self.client.output().len()
    }

    /// Hands all of `data` to the daemon. Gives up after `idle` without progress. `progress` hears the total.
    pub(crate) fn send_all(
        &mut self,
        stream: u32,
        data: &[u8],
        idle: Duration,
        mut progress: impl FnMut(u64),
    ) -> Result<(), CallError> {
        let mut sent = 0;
        let mut deadline = Instant::now() + idle;
        while sent < data.len() || self.waiting() > 0 {
            let taken = self.offer(stream, data.get(sent..).unwrap_or_default());
            sent += taken;
            let waiting = self.waiting();
            self.step(Some(deadline))?;
            if taken > 0 || self.waiting() < waiting {
                deadline = Instant::now() + idle;
            }
            self.refusal()?;
            progress(sent.saturating_sub(self.waiting()) as u64);
        }
        Ok(())
    }

    /// What a stream brought next. An earlier send of it that was refused is reported here.
    pub(crate) fn recv(&mut self, stream: u32, deadline: Option<Instant>) -> Result<Received, CallError> {
        loop {
            if let Some(received) = self.take(stream) {
                return Ok(received);
            }
            self.refusal()?;
            self.step(deadline)?;
        }
    }

    /// What a stream brought so far, without waiting.
    pub(crate) fn take(&mut self, stream: u32) -> Option<Received> {
        let ours = |event: &Event| match event {
            Event::Data { stream: id, .. } | Event::End { stream: id } => *id == stream,
            _ => false,
        };
        let at = self.events.iter().position(ours)?;
        match self.events.remove(at)? {
            Event::Data { data, .. } => Some(Received::Data(data)),
            _ => Some(Received::End),
        }
    }

    /// Reads until the stream ends, or nothing came for `quiet` after the first bytes.
    pub(crate) fn recv_burst(
        &mut self,
        stream: u32,
        deadline: Option<Instant>,
        quiet: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let mut all = match self.recv(stream, deadline)? {
            Received::Data(data) => data,
            Received::End => return Ok(Vec::new()),
        };
        loop {
            match self.recv(stream, Some(Instant::now() + quiet)) {
                Ok(Received::Data(mut data)) => all.append(&mut data),
                Ok(Received::End) | Err(CallError::Late | CallError::Refused(_)) => return Ok(all),
                Err(CallError::Gone) => return Err(CallError::Gone),
            }
        }
    }

    /// The next event that is not about an open call.
    pub(crate) fn next_event(&mut self, deadline: Option<Instant>) -> Result<Event, CallError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.step(deadline)?;
        }
    }

    /// The next stream somebody opened to a bound port.
    pub(crate) fn accept(&mut self, deadline: Option<Instant>) -> Result<(u32, SockAddr), CallError> {
        loop {
            let accept = |event: &Event| matches!(event, Event::Accept { .. });
            if let Some(at) = self.events.iter().position(accept)
                && let Some(Event::Accept { stream, remote, .. }) = self.events.remove(at)
            {
                return Ok((stream, remote));
            }
            self.step(deadline)?;
        }
    }

    /// Forgets datagrams: programs get those of every port of the node.
    pub(crate) fn drop_datagrams(&mut self) {
        self.events.retain(|event| !matches!(event, Event::Datagram { .. }));
    }

    /// An earlier send that was refused; the daemon does not say which.
    pub(crate) fn refusal(&mut self) -> Result<(), CallError> {
        let Some(at) = self.events.iter().position(|event| matches!(event, Event::SendFailed(_))) else {
            return Ok(());
        };
        match self.events.remove(at) {
            Some(Event::SendFailed(words)) => Err(CallError::Refused(words)),
            _ => Ok(()),
        }
    }

    /// Writes and reads once, waiting for the socket until `deadline`.
    pub(crate) fn step(&mut self, deadline: Option<Instant>) -> Result<(), CallError> {
        if self.gone {
            return Err(CallError::Gone);
        }
        let mut wanted = PollFlags::IN;
        if !self.client.output().is_empty() {
            wanted |= PollFlags::OUT;
        }
        let wait = match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                Some(Timespec {
                    tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                })
            }
            None => None,
        };
        let mut fds = [PollFd::new(&self.socket, wanted)];
        match poll(&mut fds, wait.as_ref()) {
            Ok(0) => return Err(CallError::Late),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(_) => return Err(self.hang_up()),
        }
        let ready = fds[0].revents();
        if ready.contains(PollFlags::OUT) {
            match self.socket.write(self.client.output()) {
                Ok(n) => self.client.wrote(n),
                Err(error) if retry(&error) => {}
                // What the daemon said before it hung up is still to be read.
                Err(_) => self.client.wrote(usize::MAX),
            }
        }
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            let mut buffer = vec![0; 64 * 1024];
            match self.socket.read(&mut buffer) {
                Ok(0) => drop(self.hang_up()),
                Ok(n) => {
                    if self.client.handle_bytes(buffer.get(..n).unwrap_or_default()).is_err() {
                        drop(self.hang_up());
                    }
                }
                Err(error) if retry(&error) => {}
                Err(_) => drop(self.hang_up()),
            }
        }
        while let Some(event) = self.client.poll_event() {
            self.events.push_back(event);
        }
        Ok(())
    }

    fn hang_up(&mut self) -> CallError {
        self.gone = true;
        self.client.handle_end(&CallError::Gone);
        CallError::Gone
    }
}

fn retry(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

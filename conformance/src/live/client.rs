//! A local program of the target's daemon, speaking the local socket's messages.

use super::trace::{Trace, hex};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A message of the daemon: its command and the rest.
pub(crate) type Message = (u8, Vec<u8>);

/// A daemon that reads nothing for so long serves nobody: the case fails instead of waiting for it.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
    waiting: VecDeque<Message>,
    trace: Trace,
}

impl Client {
    pub(crate) fn connect(socket: &Path, trace: &Trace) -> Result<Client, String> {
        let stream = UnixStream::connect(socket).map_err(|e| format!("{}: {e}", socket.display()))?;
        stream.set_write_timeout(Some(TAKEN_WITHIN)).map_err(|e| format!("local socket: {e}"))?;
        Ok(Client { stream, buffer: Vec::new(), waiting: VecDeque::new(), trace: trace.clone() })
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.stream.write_all(bytes).map_err(|e| match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                format!("the daemon took nothing from its local socket for {} s", TAKEN_WITHIN.as_secs())
            }
            _ => format!("local socket: {e}"),
        })
    }

    /// Sends bytes until `limit` passes without any being taken; says how many were.
    pub(crate) fn send_while_taken(&mut self, bytes: &[u8], limit: Duration) -> Result<usize, String> {
        self.stream.set_write_timeout(Some(limit)).map_err(|e| format!("local socket: {e}"))?;
        let taken = super::link::write_while_taken(&mut self.stream, bytes);
        self.stream.set_write_timeout(Some(TAKEN_WITHIN)).map_err(|e| format!("local socket: {e}"))?;
        taken.map_err(|e| format!("local socket: {e}"))
    }

    /// Sends one message.
    pub(crate) fn send(&mut self, command: u8, payload: &[u8]) -> Result<(), String> {
        self.trace.note(format!("local > {command:02x} {}", hex(payload, 40)));
        let length = (payload.len() as u32 + 1).to_be_bytes();
        self.send_raw(&[&length[..], &[command], payload].concat())
    }

    /// The next message, waiting at most `limit`; `None` when there is none, an error when the daemon hung up.
    pub(crate) fn receive(&mut self, limit: Duration) -> Result<Option<Message>, String> {
        match self.waiting.pop_front() {
            Some(message) => Ok(Some(message)),
            None => self.read(limit),
        }
    }

    fn read(&mut self, limit: Duration) -> Result<Option<Message>, String> {
        let end = Instant::now() + limit;
        loop {
            if let Some((length, rest)) = self.buffer.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*length) as usize;
                if let Some(message) = rest.get(..length) {
                    let (command, payload) = message.split_first().ok_or("an empty message of the daemon")?;
                    let message = (*command, payload.to_vec());
                    self.buffer.drain(..4 + length);
                    self.trace.note(format!("local < {:02x} {}", message.0, hex(&message.1, 60)));
                    return Ok(Some(message));
                }
            }
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).map_err(|e| format!("local socket: {e}"))?;
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("the daemon closed the local socket".into()),
                Ok(read) => self.buffer.extend(&chunk[..read]),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if Instant::now() >= end {
                        return Ok(None);
                    }
                }
                Err(e) => return Err(format!("the daemon closed the local socket: {e}")),
            }
        }
    }

    /// Waits for a message that fits; others stay for later.
    pub(crate) fn expect(
        &mut self,
        limit: Duration,
        what: &str,
        fits: impl Fn(&Message) -> bool,
    ) -> Result<Message, String> {
        let end = Instant::now() + limit;
        if let Some(at) = self.waiting.iter().position(&fits) {
            return self.waiting.remove(at).ok_or_else(|| what.to_string());
        }
        loop {
            match self.read(end.saturating_duration_since(Instant::now()))? {
                Some(message) if fits(&message) => return Ok(message),
                Some(message) => self.waiting.push_back(message),
                None => return Err(format!("no {what} within {:.1} s", limit.as_secs_f64())),
            }
        }
    }

    /// Sends a request and takes its answer, which has the next command number, or 0A.
    pub(crate) fn ask(&mut self, command: u8, payload: &[u8]) -> Result<Message, String> {
        self.ask_within(Duration::from_secs(5), command, payload)
    }

    pub(crate) fn ask_within(
        &mut self,
        limit: Duration,
        command: u8,
        payload: &[u8],
    ) -> Result<Message, String> {
        self.send(command, payload)?;
        let answer = if command == 0x0A { 0x0A } else { command + 1 };
        self.expect(limit, &format!("answer to command {command:02x}"), |m| m.0 == answer || m.0 == 0x0A)
    }

    /// The same, and the answer must not be an error.
    pub(crate) fn ask_ok(&mut self, command: u8, payload: &[u8]) -> Result<Vec<u8>, String> {
        match self.ask(command, payload)? {
            (0x0A, error) => {
                let text = String::from_utf8_lossy(error.get(2..).unwrap_or_default()).into_owned();
                Err(format!("command {command:02x} failed: {text}"))
            }
            (_, payload) => Ok(payload),
        }
    }

    pub(crate) fn ask_json(&mut self, command: u8, payload: &[u8]) -> Result<Value, String> {
        let answer = self.ask_ok(command, payload)?;
        serde_json::from_slice(&answer).map_err(|e| format!("answer to command {command:02x}: {e}"))
    }

    pub(crate) fn bind(&mut self, port: u16) -> Result<(), String> {
        let bound = self.ask_ok(0x01, &port.to_be_bytes())?;
        if bound == port.to_be_bytes() {
            Ok(())
        } else {
            Err(format!("bound {bound:02x?} instead of {port}"))
        }
    }

    /// Starts a dial; its answer is [`Client::dialled`].
    pub(crate) fn dial(&mut self, node: u32, port: u16) -> Result<(), String> {
        self.send(0x03, &[&[0, 0][..], &node.to_be_bytes(), &port.to_be_bytes()].concat())
    }

    pub(crate) fn dialled(&mut self, limit: Duration) -> Result<u32, String> {
        let (command, payload) = self.expect(limit, "answer to Dial", |m| m.0 == 0x04 || m.0 == 0x0A)?;
        if command == 0x0A {
            return Err(format!("Dial: {}", String::from_utf8_lossy(payload.get(2..).unwrap_or_default())));
        }
        number(&payload).ok_or("DialOK without a number".into())
    }

    /// The next accepted connection on `port`: its id.
    pub(crate) fn accepted(&mut self, port: u16) -> Result<u32, String> {
        let fits = |m: &Message| m.0 == 0x05 && m.1.get(..2) == Some(&port.to_be_bytes()[..]);
        let (_, payload) = self.expect(Duration::from_secs(5), "Accept", fits)?;
        number(payload.get(2..).unwrap_or_default()).ok_or("Accept without a number".into())
    }

    pub(crate) fn write(&mut self, connection: u32, bytes: &[u8]) -> Result<(), String> {
        self.send(0x06, &[&connection.to_be_bytes()[..], bytes].concat())
    }

    /// Reads until `length` bytes of a connection are here.
    pub(crate) fn read_bytes(&mut self, connection: u32, length: usize) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let what = format!("Recv ({} of {length} bytes are here)", bytes.len());
            let (command, payload) = self.expect(Duration::from_secs(5), &what, |m| {
                (m.0 == 0x07 || m.0 == 0x09) && number(&m.1) == Some(connection)
            })?;
            if command == 0x09 {
                return Err(format!("the stream ended after {} of {length} bytes", bytes.len()));
            }
            bytes.extend(payload.get(4..).unwrap_or_default());
        }
        Ok(bytes)
    }

    /// Waits until the daemon says that a connection ended.
    pub(crate) fn ended(&mut self, connection: u32, limit: Duration) -> Result<(), String> {
        self.expect(limit, "end of the stream", |m| m.0 == 0x09 && number(&m.1) == Some(connection)).map(drop)
    }

    pub(crate) fn close(&mut self, connection: u32) -> Result<(), String> {
        self.send(0x08, &connection.to_be_bytes())
    }

    /// Waits for a datagram that fits: its payload.
    pub(crate) fn datagram(
        &mut self,
        limit: Duration,
        fits: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, String> {
        let body = |m: &Message| m.1.get(10..).map(<[u8]>::to_vec).unwrap_or_default();
        let message = self.expect(limit, "datagram", |m| m.0 == 0x0C && fits(&body(m)))?;
        Ok(body(&message))
    }

    /// Datagrams that are here already.
    pub(crate) fn datagrams(&mut self) -> Result<Vec<Vec<u8>>, String> {
        while let Some(message) = self.read(Duration::from_millis(1))? {
            self.waiting.push_back(message);
        }
        let (datagrams, rest) = self.waiting.drain(..).partition(|m: &Message| m.0 == 0x0C);
        self.waiting = rest;
        let datagrams: VecDeque<Message> = datagrams;
        Ok(datagrams.into_iter().map(|m| m.1.get(10..).unwrap_or_default().to_vec()).collect())
    }
}

/// The connection number at the front of a payload.
pub(crate) fn number(payload: &[u8]) -> Option<u32> {
    payload.first_chunk::<4>().map(|n| u32::from_be_bytes(*n))
}

//! The daemon's local socket: clients, the ports they bound, the streams they own.
//!
//! Streams, ports and datagrams are handled here, on a [`Net`]; every other request comes out as an [`Ask`] and its
//! answer goes back in with [`Server::reply`], whenever that is: each request is a task of its own, and only answers
//! of one kind keep the order of their requests.
//!
//! Nobody waits for a client. What a stream brings stays in the stream while its client is behind, datagrams for such
//! a client are dropped, and a client whose own data waits for window space, or whose answers nobody takes, is not read
//! any further. Nor does anybody wait for a client that asks without end: what a turn handles of each is
//! bounded, and [`Server::next_turn`] goes on with them.

mod client;
mod delivery;
mod requests;
mod streams;

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::ToString,
    vec,
    vec::Vec,
};

use pilot_proto::planted;

pub(crate) use self::requests::Ask;
use self::{
    client::{Client, DATAGRAM_WATER, LOW_WATER},
    streams::{MAX_STREAMS, Stream},
};
use crate::{
    daemon::net::Net,
    frames::FrameReader,
    ipc::MAX_MESSAGE,
    role::{ConnId, Fill, Level, Output, Record},
};

/// Clients at once; more are closed. What newer programs allow.
const MAX_CLIENTS: usize = 1024;
/// Clients that go on in one turn, of those that had more to ask than fits into one.
const CLIENTS_PER_TURN: usize = 4;

/// Counts the streams of the daemon, as clients see them.
#[derive(Debug, Default)]
pub(crate) struct Numbers(u32);

impl Numbers {
    /// The next number; never 0.
    pub(crate) const fn next(&mut self) -> u32 {
        self.0 = match self.0.wrapping_add(1) {
            0 => 1,
            number => number,
        };
        self.0
    }
}

/// The server.
#[derive(Debug)]
pub(crate) struct Server<Id> {
    clients: BTreeMap<ConnId, Client>,
    ports: BTreeMap<u16, ConnId>,
    streams: BTreeMap<u32, Stream<Id>>,
    numbers: BTreeMap<Id, u32>,
    ended: VecDeque<u32>,
    tickets: u64,
    listed: VecDeque<ConnId>,
    outputs: VecDeque<Output>,
    asks: VecDeque<Ask>,
    /// See [`Server::take_stirred`].
    stirred: bool,
    /// Clients that have used up their turn.
    resting: VecDeque<ConnId>,
    dropped_datagrams: u64,
    /// Stream data on its way into a message.
    scratch: Vec<u8>,
}

impl<Id: Copy + Ord> Server<Id> {
    /// Nobody is connected.
    pub(crate) fn new() -> Self {
        Server {
            clients: BTreeMap::new(),
            ports: BTreeMap::new(),
            streams: BTreeMap::new(),
            numbers: BTreeMap::new(),
            ended: VecDeque::new(),
            tickets: 0,
            listed: VecDeque::new(),
            outputs: VecDeque::new(),
            asks: VecDeque::new(),
            stirred: false,
            resting: VecDeque::new(),
            dropped_datagrams: 0,
            scratch: Vec::new(),
        }
    }

    /// How full the tables of streams and clients are.
    pub(crate) fn fills(&self) -> (Fill, Fill) {
        let clients = self.clients.len();
        let streams = Fill {
            table: "streams of programs",
            used: self.streams.len(),
            max: MAX_STREAMS * MAX_CLIENTS,
            transient: true,
        };
        (streams, Fill { table: "programs", used: clients, max: MAX_CLIENTS, transient: true })
    }

    /// A client connected.
    pub(crate) fn opened(&mut self, conn: ConnId) {
        if self.clients.len() >= MAX_CLIENTS {
            self.outputs.push_back(Output::Close(conn));
        } else {
            self.clients.insert(conn, Client::new());
        }
    }

    /// A client sent bytes.
    pub(crate) fn bytes(
        &mut self,
        net: &mut impl Net<Id = Id>,
        numbers: &mut Numbers,
        conn: ConnId,
        data: &[u8],
    ) {
        if let Some(client) = self.clients.get_mut(&conn) {
            if !client.rests() {
                client.cost = 0;
            }
            client.reader.push(data);
            self.process(net, numbers, conn);
        }
    }

    /// The operating system took bytes for a client.
    pub(crate) fn sent(
        &mut self,
        net: &mut impl Net<Id = Id>,
        numbers: &mut Numbers,
        conn: ConnId,
        bytes: usize,
    ) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.sent(bytes);
        let waits = client.paused || client.gone;
        if !client.readable.is_empty() && client.unread() <= LOW_WATER {
            self.list(conn);
        }
        if waits {
            self.process(net, numbers, conn);
        }
    }

    /// A client disconnected. What it wrote is still delivered.
    pub(crate) fn closed(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers, conn: ConnId) {
        let Some(client) = self.clients.get_mut(&conn) else { return };
        client.leave();
        let ports = core::mem::take(&mut client.ports);
        for port in ports.into_iter().filter(|_| !planted!(DeadProgramPorts)) {
            self.ports.remove(&port);
            net.unlisten(port);
        }
        self.process(net, numbers, conn);
    }

    /// Handles what a client sent, as far as it may.
    pub(crate) fn process(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers, conn: ConnId) {
        let behind = |(of, client): (&ConnId, &Client)| *of != conn && client.unread() > DATAGRAM_WATER / 2;
        if planted!(SlowProgramBlocks) && self.clients.iter().any(behind) {
            return;
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let mut reader = core::mem::replace(&mut client.reader, FrameReader::new(MAX_MESSAGE));
        let mut broken = None;
        let mut done = false;
        while let Some(client) = self.clients.get_mut(&conn)
            && !client.is_blocked()
            && !client.asking
        {
            match reader.pop() {
                Ok(Some(message)) => {
                    client.cost += 1;
                    self.message(net, numbers, conn, message, None);
                    if self.clients.get(&conn).is_some_and(Client::rests) {
                        self.resting.push_back(conn);
                    }
                }
                Ok(None) => {
                    done = true;
                    break;
                }
                Err(_) if planted!(HugeMessage) => {
                    done = true;
                    break;
                }
                Err(too_long) => {
                    broken = Some(too_long);
                    break;
                }
            }
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        if client.gone {
            client.reader = reader;
            if done || broken.is_some() {
                self.forget(net, conn);
            }
            return;
        }
        if let Some(too_long) = broken {
            self.outputs.push_back(Output::Log(Record {
                level: Level::Warn,
                message: "local client closed",
                fields: vec![("problem", too_long.to_string())],
            }));
            self.outputs.push_back(Output::Close(conn));
            return self.closed(net, numbers, conn);
        }
        client.reader = reader;
        if client.is_blocked() != client.paused {
            client.paused = !client.paused;
            self.outputs.push_back(if client.paused { Output::Pause(conn) } else { Output::Resume(conn) });
        }
    }

    /// Whether a client asked for something since the last time, or for events, so that others have to do with it.
    pub(crate) fn take_stirred(&mut self) -> bool {
        core::mem::take(&mut self.stirred)
    }

    /// Whether [`Server::next_turn`] has something to do.
    pub(crate) fn has_more(&self) -> bool {
        !self.resting.is_empty()
    }

    /// A new turn: clients that have used up theirs go on, a few of them at a time.
    pub(crate) fn next_turn(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers) {
        for _ in 0..CLIENTS_PER_TURN.min(self.resting.len()) {
            let Some(conn) = self.resting.pop_front() else { return };
            if let Some(client) = self.clients.get_mut(&conn) {
                client.cost = 0;
                self.process(net, numbers, conn);
            }
        }
    }

    /// Ends everything of a client that is gone and whose last message is handled.
    fn forget(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId) {
        if planted!(ProgramsLeak) {
            return;
        }
        let Some(client) = self.clients.remove(&conn) else { return };
        for number in client.streams.into_iter().filter(|_| !planted!(DeadProgramStreams)) {
            self.close_stream(net, number);
        }
    }

    /// Says goodbye to everybody: streams are finished, ports given back, connections closed.
    pub(crate) fn shutdown(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers) {
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            self.outputs.push_back(Output::Close(conn));
            self.closed(net, numbers, conn);
            while let Some(client) = self.clients.get_mut(&conn).filter(|c| c.rests() || c.asking) {
                (client.cost, client.asking) = (0, false);
                self.process(net, numbers, conn);
            }
            self.forget(net, conn);
        }
    }
}

#[cfg(test)]
mod tests;

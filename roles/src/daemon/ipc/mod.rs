//! The daemon's local socket: clients, the ports they bound, the streams they own.
//!
//! Streams, ports and datagrams are handled here, on a [`Net`]; every other request comes out as an [`Ask`] and its
//! answer goes back in with [`Server::reply`], whenever that is: each request is a task of its own, and only answers
//! of one kind keep the order of their requests.
//!
//! Nobody waits for a client. What a stream brings stays in the stream while its client is behind, datagrams for such
//! a client are dropped, and a client whose own data waits for window space is not read any further.

mod client;

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use pilot_proto::{SockAddr, planted};

use self::client::{Client, DATAGRAM_WATER, HIGH_WATER, LOW_WATER};
use crate::{
    daemon::net::{Net, Over, Read},
    frames::FrameReader,
    ipc::{MAX_MESSAGE, Reply, Request, STREAM_WINDOW},
    role::{ConnId, Fill, Level, Output, Record},
};

/// Clients at once; more are closed. What newer programs allow.
const MAX_CLIENTS: usize = 1024;
/// Streams one client may own; more are refused. What newer programs allow.
const MAX_STREAMS: usize = 4096;
/// Most bytes of stream data in one message.
const RECV_ROOM: usize = 32 << 10;
/// Room made for it at first.
const RECV_FIRST: usize = 1 << 10;
/// [`STREAM_WINDOW`] here.
const WINDOW: usize = STREAM_WINDOW as usize;
/// Bytes taken from a client after which it is told.
const TELL: usize = WINDOW / 4;
/// Bytes after which staged messages go to the driver.
const BATCH: usize = 256 << 10;
/// Written bytes of a stream's waiting data that are cut off once they outnumber the rest.
const COMPACT: usize = 64 << 10;
/// Ids of ended streams that are remembered, so that a late write is told the truth.
const MAX_ENDED: usize = 256;

/// A request that is answered elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Who wants to know; hand both to [`Server::reply`].
    pub(crate) client: ConnId,
    /// Which request.
    pub(crate) ticket: u64,
    /// The message.
    pub(crate) message: Vec<u8>,
}

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

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Being opened; the ticket of the request.
    Dialing(u64),
    Open,
    /// The client closed it; what it wrote is still delivered.
    Closing,
    /// It is over; what it brought is still handed to the client.
    Over,
}

#[derive(Debug)]
struct Stream<Id> {
    id: Id,
    owner: ConnId,
    phase: Phase,
    /// Data of the client that waits for window space, and how much of it is gone.
    held: Vec<u8>,
    gone: usize,
    /// Listed among the client's readable streams.
    listed: bool,
    /// The client was told that nothing more comes.
    ended: bool,
    /// The client will send no more; what is held is still delivered.
    finishing: bool,
    /// Bytes the client has room for, if it counts.
    room: usize,
    /// Bytes taken from the client that it was not told of.
    untold: usize,
    /// Why the stream ended early; told after its data to a client that wants to know.
    broken: Option<String>,
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

    // --- clients -----------------------------------------------------------------------------------------------

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
        if !client.readable.is_empty() && client.unread() <= LOW_WATER {
            self.list(conn);
        }
        self.process(net, numbers, conn);
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
    fn process(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers, conn: ConnId) {
        let behind = |(of, client): (&ConnId, &Client)| *of != conn && client.unread() > DATAGRAM_WATER / 2;
        if planted!(SlowProgramBlocks) && self.clients.iter().any(behind) {
            return;
        }
        let Some(client) = self.clients.get_mut(&conn) else { return };
        let mut reader = core::mem::replace(&mut client.reader, FrameReader::new(MAX_MESSAGE));
        let mut broken = None;
        let mut done = false;
        while self.clients.get(&conn).is_some_and(|client| !client.is_blocked()) {
            match reader.pop() {
                Ok(Some(message)) => self.message(net, numbers, conn, message, None),
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

    /// Ends everything of a client that is gone and whose last message is handled.
    fn forget(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId) {
        let Some(client) = self.clients.remove(&conn) else { return };
        for number in client.streams.into_iter().filter(|_| !planted!(DeadProgramStreams)) {
            self.close_stream(net, number);
        }
    }

    fn message(
        &mut self,
        net: &mut impl Net<Id = Id>,
        numbers: &mut Numbers,
        conn: ConnId,
        message: &[u8],
        tag: Option<u32>,
    ) {
        let request = match Request::parse(message) {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => return self.refuse(conn, tag, error.to_string()),
        };
        match request {
            Request::Extend { events } => {
                let ticket = self.expect(conn, &request, tag);
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.extended = true;
                    client.watches |= events;
                }
                self.answer(conn, ticket, Ok(Reply::Extended { window: STREAM_WINDOW }));
            }
            Request::Tagged { tag: new, message } if tag.is_none() => {
                self.message(net, numbers, conn, message, Some(new));
            }
            Request::Tagged { .. } => self.refuse(conn, tag, String::from("tagged: twice")),
            Request::Consumed { id, bytes } => self.consumed(conn, id, bytes),
            Request::Finish { id } => self.finish(net, conn, id),
            Request::Send { id, data } => self.send(net, conn, id, data),
            Request::SendTo { to, data } if !to.addr.is_broadcast() => {
                if let Err(words) = net.send_datagram(to, data) {
                    self.push(conn, &Reply::error(format!("sendto: {words}")));
                }
            }
            Request::SendToConfirmed { to, data } if !to.addr.is_broadcast() => {
                let result = net.send_datagram(to, data);
                let ticket = self.expect(conn, &request, tag);
                self.answer(
                    conn,
                    ticket,
                    match &result {
                        Ok(()) => Ok(Reply::SentTo),
                        Err(words) => Err(format!("sendto: {words}")),
                    },
                );
            }
            Request::Bind { port } => {
                let ticket = self.expect(conn, &request, tag);
                let free = !self.ports.contains_key(&port) && net.listen(port);
                if free {
                    self.ports.insert(port, conn);
                    if let Some(client) = self.clients.get_mut(&conn) {
                        client.ports.insert(port);
                    }
                }
                let words = format!("port {port} already bound");
                self.answer(conn, ticket, if free { Ok(Reply::BindOk { port }) } else { Err(words) });
            }
            Request::Unbind { port } => {
                let ticket = self.expect(conn, &request, tag);
                let own = self.clients.get_mut(&conn).is_some_and(|client| client.ports.remove(&port));
                if own {
                    self.ports.remove(&port);
                    net.unlisten(port);
                }
                let words = || String::from("unbind: port is not owned by this client");
                self.answer(conn, ticket, if own { Ok(Reply::UnbindOk { port }) } else { Err(words()) });
            }
            Request::Dial { to } => {
                let ticket = self.expect(conn, &request, tag);
                if self.clients.get(&conn).is_none_or(|c| c.gone || c.streams.len() >= MAX_STREAMS) {
                    return self.answer(
                        conn,
                        ticket,
                        Err(format!("too many connections (max {MAX_STREAMS})")),
                    );
                }
                match net.connect(to) {
                    Ok(id) => self.add(numbers.next(), id, conn, Phase::Dialing(ticket)),
                    Err(words) => self.answer(conn, ticket, Err(words)),
                }
            }
            Request::CancelDials => {
                let streams =
                    self.clients.get(&conn).map(|client| client.streams.clone()).unwrap_or_default();
                for number in streams {
                    let dialing = self.streams.get(&number).map(|stream| stream.phase);
                    if let Some(Phase::Dialing(ticket)) = dialing {
                        self.close_stream(net, number);
                        self.answer(conn, ticket, Err(String::from("dial cancelled")));
                    }
                }
            }
            Request::Close { id } => {
                let ticket = self.expect(conn, &request, tag);
                let owner = self.streams.get(&id).map(|stream| (stream.owner, stream.ended));
                match owner {
                    // Administrative tools close streams of others, who are told as if the stream had ended.
                    Some((owner, ended)) => {
                        self.close_stream(net, id);
                        if owner != conn && !ended {
                            self.push(owner, &Reply::CloseOk { id });
                        }
                    }
                    None => self.asks.push_back(Ask { client: conn, ticket, message: message.to_vec() }),
                }
                self.answer(conn, ticket, Ok(Reply::CloseOk { id }));
            }
            other => {
                let ticket = match other.answer() {
                    Some(_) => self.expect(conn, &other, tag),
                    None => 0,
                };
                self.asks.push_back(Ask { client: conn, ticket, message: message.to_vec() });
            }
        }
    }

    // --- answers -----------------------------------------------------------------------------------------------

    fn expect(&mut self, conn: ConnId, request: &Request<'_>, tag: Option<u32>) -> u64 {
        self.tickets += 1;
        if let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.gone) {
            client.expect(self.tickets, request.command(), tag);
        }
        self.tickets
    }

    fn answer(&mut self, conn: ConnId, ticket: u64, result: Result<Reply<'_>, String>) {
        let reply = result.unwrap_or_else(Reply::error);
        if let Some(client) = self.clients.get_mut(&conn) {
            client.reply(ticket, &reply);
            self.list(conn);
        }
    }

    /// The next request to be answered elsewhere.
    pub(crate) fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    /// Answers an [`Ask`]; ticket 0 stands for a request that is answered only when it fails.
    pub(crate) fn reply(
        &mut self,
        net: &mut impl Net<Id = Id>,
        numbers: &mut Numbers,
        client: ConnId,
        ticket: u64,
        result: Result<Reply<'_>, String>,
    ) {
        match (ticket, result) {
            (0, Ok(_)) => {}
            (0, Err(words)) => self.push(client, &Reply::error(words)),
            (ticket, result) => self.answer(client, ticket, result),
        }
        self.process(net, numbers, client);
    }

    /// A request that cannot be read.
    fn refuse(&mut self, conn: ConnId, tag: Option<u32>, words: String) {
        let reply = Reply::error(words);
        match (tag, self.clients.get_mut(&conn)) {
            (Some(tag), Some(client)) => {
                client.push_tagged(tag, &reply);
                self.list(conn);
            }
            _ => self.push(conn, &reply),
        }
    }

    /// Something happened on the node; told to those who asked and keep up.
    pub(crate) fn notice(&mut self, json: &[u8]) {
        let mut reached = Vec::new();
        for (conn, client) in self.clients.iter_mut().filter(|(_, client)| client.watches) {
            if client.unread() + json.len() <= HIGH_WATER {
                client.push(&Reply::Event { json });
                reached.push(*conn);
            }
        }
        for conn in reached {
            self.list(conn);
        }
    }

    /// Whether anybody wants to know what happens.
    pub(crate) fn is_watched(&self) -> bool {
        self.clients.values().any(|client| client.watches)
    }

    /// Whether data of a client waits for this stream's window space.
    pub(crate) fn holds(&self, id: Id) -> bool {
        let stream = self.number(id).and_then(|number| self.streams.get(&number));
        stream.is_some_and(|stream| stream.held.len() > stream.gone)
    }

    /// Whether data of clients waits for window space.
    pub(crate) fn has_held(&self) -> bool {
        self.streams.values().any(|stream| stream.held.len() > stream.gone)
    }

    fn push(&mut self, conn: ConnId, reply: &Reply<'_>) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.push(reply);
            self.list(conn);
        }
    }

    fn list(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.listed && !client.gone) {
            client.listed = true;
            self.listed.push_back(conn);
        }
    }

    // --- streams -----------------------------------------------------------------------------------------------

    fn add(&mut self, number: u32, id: Id, owner: ConnId, phase: Phase) {
        let counts = self.clients.get(&owner).is_some_and(|client| client.extended);
        let stream = Stream {
            id,
            owner,
            phase,
            held: Vec::new(),
            gone: 0,
            listed: false,
            ended: false,
            finishing: false,
            room: if counts { WINDOW } else { usize::MAX },
            untold: 0,
            broken: None,
        };
        self.streams.insert(number, stream);
        self.numbers.insert(id, number);
        if let Some(client) = self.clients.get_mut(&owner) {
            client.streams.insert(number);
        }
    }

    fn remove(&mut self, net: &mut impl Net<Id = Id>, number: u32) {
        let Some(stream) = self.streams.remove(&number) else { return };
        self.numbers.remove(&stream.id);
        net.release(stream.id);
        if let Some(client) = self.clients.get_mut(&stream.owner) {
            client.streams.remove(&number);
            client.held = client.held.saturating_sub(stream.held.len() - stream.gone);
        }
        self.ended.push_back(number);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }

    fn send(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId, number: u32, data: &[u8]) {
        let stream = self.streams.get_mut(&number).filter(|stream| stream.owner == conn);
        let words = match stream {
            Some(stream) if stream.phase == Phase::Open && !stream.finishing => {
                let taken = if stream.held.is_empty() { net.write(stream.id, data) } else { Ok(0) };
                let Ok(taken) = taken else {
                    return self.push(conn, &Reply::error("send: connection closed"));
                };
                let rest = data.get(taken..).unwrap_or_default();
                stream.held.extend_from_slice(rest);
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.held += rest.len();
                }
                self.taken(number, taken);
                return;
            }
            Some(stream) if stream.phase == Phase::Over => String::from("send: connection closed"),
            Some(_) => String::from("send: connection not established"),
            None if self.ended.contains(&number) => String::from("send: connection not established"),
            None => format!("connection {number} not found"),
        };
        self.push(conn, &Reply::error(words));
    }

    /// The stream took bytes of its client.
    fn taken(&mut self, number: u32, bytes: usize) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.untold += bytes;
        if stream.untold < TELL || self.clients.get(&stream.owner).is_none_or(|client| !client.extended) {
            return;
        }
        let bytes = u32::try_from(core::mem::take(&mut stream.untold)).unwrap_or(u32::MAX);
        let owner = stream.owner;
        self.push(owner, &Reply::Taken { id: number, bytes });
    }

    /// The client has read bytes of a stream.
    fn consumed(&mut self, conn: ConnId, number: u32, bytes: u32) {
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| stream.owner == conn) else {
            return;
        };
        let full = stream.room == 0;
        stream.room = stream.room.saturating_add(bytes as usize);
        if full && stream.room > 0 {
            let id = stream.id;
            self.readable(id);
        }
    }

    /// The client will send no more on a stream, but reads on.
    fn finish(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId, number: u32) {
        let Some(stream) = self.streams.get_mut(&number).filter(|stream| stream.owner == conn) else {
            return;
        };
        if stream.phase == Phase::Open
            && !core::mem::replace(&mut stream.finishing, true)
            && stream.held.is_empty()
        {
            net.finish(stream.id);
        }
    }

    /// The client is done with a stream; what it wrote is delivered, then the stream is finished.
    fn close_stream(&mut self, net: &mut impl Net<Id = Id>, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        match stream.phase {
            Phase::Dialing(_) => {
                net.reset(stream.id);
                self.remove(net, number);
            }
            Phase::Open if !stream.held.is_empty() => stream.phase = Phase::Closing,
            Phase::Open => {
                net.finish(stream.id);
                self.remove(net, number);
            }
            Phase::Closing => {}
            Phase::Over => self.remove(net, number),
        }
    }

    /// A peer opened a stream to a port. False if no client bound it.
    pub(crate) fn incoming(
        &mut self,
        net: &mut impl Net<Id = Id>,
        number: u32,
        id: Id,
        local_port: u16,
        remote: SockAddr,
    ) -> bool {
        let Some(owner) = self.ports.get(&local_port).copied() else { return false };
        if self.clients.get(&owner).is_none_or(|client| client.streams.len() >= MAX_STREAMS) {
            net.reset(id);
            net.release(id);
            return true;
        }
        self.add(number, id, owner, Phase::Open);
        self.push(owner, &Reply::Accept { local_port, id: number, remote });
        true
    }

    /// The number clients know a stream by.
    pub(crate) fn number(&self, id: Id) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// A stream that was being opened is open.
    pub(crate) fn connected(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers, id: Id) {
        let Some(number) = self.number(id) else { return };
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if let Phase::Dialing(ticket) = stream.phase {
            stream.phase = Phase::Open;
            let owner = stream.owner;
            self.answer(owner, ticket, Ok(Reply::DialOk { id: number }));
            self.process(net, numbers, owner);
        }
    }

    /// A stream has something to read.
    pub(crate) fn readable(&mut self, id: Id) {
        let Some(number) = self.number(id) else { return };
        let Some(stream) = self.streams.get_mut(&number) else { return };
        if stream.listed || stream.phase == Phase::Closing {
            return;
        }
        let Some(client) = self.clients.get_mut(&stream.owner).filter(|client| !client.gone) else { return };
        stream.listed = true;
        client.readable.push_back(number);
        if client.unread() < HIGH_WATER {
            let owner = stream.owner;
            self.list(owner);
        }
    }

    /// A stream takes data again.
    pub(crate) fn writable(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers, id: Id) {
        let Some(number) = self.number(id) else { return };
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let waiting = stream.held.get(stream.gone..).unwrap_or_default();
        if waiting.is_empty() {
            return;
        }
        let taken = match net.write(stream.id, waiting) {
            Ok(taken) => taken,
            Err(Over) => waiting.len(),
        };
        stream.gone += taken;
        let owner = stream.owner;
        if stream.gone >= stream.held.len() {
            stream.held = Vec::new();
            stream.gone = 0;
            if stream.phase == Phase::Closing {
                stream.phase = Phase::Open;
                self.close_stream(net, number);
            } else if stream.finishing {
                net.finish(stream.id);
            }
        }
        if let Some(stream) = self.streams.get_mut(&number)
            && stream.gone > COMPACT
            && stream.gone > stream.held.len() / 2
        {
            stream.held.drain(..stream.gone);
            stream.gone = 0;
        }
        if let Some(client) = self.clients.get_mut(&owner) {
            client.held = client.held.saturating_sub(taken);
        }
        self.taken(number, taken);
        self.process(net, numbers, owner);
    }

    /// A stream is over; `words` say why to a client that still waits for it to open, `broken` to one that waits for
    /// data that will not come.
    pub(crate) fn over(
        &mut self,
        net: &mut impl Net<Id = Id>,
        numbers: &mut Numbers,
        id: Id,
        words: String,
        broken: Option<String>,
    ) {
        let Some(number) = self.number(id) else { return };
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let owner = stream.owner;
        match stream.phase {
            Phase::Dialing(ticket) => {
                self.remove(net, number);
                self.answer(owner, ticket, Err(words));
            }
            Phase::Open => {
                stream.phase = Phase::Over;
                stream.broken = broken;
                let left = core::mem::take(&mut stream.held).len() - core::mem::take(&mut stream.gone);
                if let Some(client) = self.clients.get_mut(&owner) {
                    client.held = client.held.saturating_sub(left);
                }
                self.readable(id);
            }
            Phase::Closing => self.remove(net, number),
            Phase::Over => {}
        }
        self.process(net, numbers, owner);
    }

    /// A datagram for every client that keeps up.
    pub(crate) fn datagram(&mut self, from: SockAddr, to_port: u16, data: &[u8]) {
        let mut reached = Vec::new();
        for (conn, client) in &mut self.clients {
            if client.unread() + data.len() > DATAGRAM_WATER {
                self.dropped_datagrams += 1;
                continue;
            }
            client.push(&Reply::RecvFrom { from, to_port, data });
            reached.push(*conn);
        }
        for conn in reached {
            self.list(conn);
        }
    }

    /// The next thing the driver should do. Only now is stream data read, so that it comes in large pieces.
    pub(crate) fn poll_output(&mut self, net: &mut impl Net<Id = Id>) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        while let Some(conn) = self.listed.front().copied() {
            self.fill(net, conn);
            let Some(client) = self.clients.get_mut(&conn).filter(|client| client.staged() > 0) else {
                self.listed.pop_front();
                if let Some(client) = self.clients.get_mut(&conn) {
                    client.listed = false;
                }
                continue;
            };
            return Some(Output::Send { conn, data: client.take_out() });
        }
        None
    }

    /// Reads a client's streams in turn, as far as it keeps up.
    fn fill(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId) {
        while let Some(client) = self.clients.get_mut(&conn)
            && client.staged() < BATCH
            && client.unread() < HIGH_WATER
            && let Some(number) = client.readable.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            // Several segments become one message: the client is behind if there are several.
            let mut filled = 0_usize;
            let state = loop {
                let most = RECV_ROOM.min(filled.saturating_add(stream.room));
                if filled == most {
                    break Read::Bytes(0);
                }
                if filled == self.scratch.len() {
                    self.scratch.resize((2 * filled).clamp(RECV_FIRST, RECV_ROOM), 0);
                }
                let end = most.min(self.scratch.len());
                let room = self.scratch.get_mut(filled..end).unwrap_or_default();
                match net.read(stream.id, room) {
                    Read::Bytes(bytes) => {
                        filled += bytes;
                        // Without a window there is always room.
                        if stream.room != usize::MAX {
                            stream.room -= bytes;
                        }
                    }
                    other => break other,
                }
            };
            if filled > 0 {
                client
                    .push(&Reply::Recv { id: number, data: self.scratch.get(..filled).unwrap_or_default() });
            }
            match state {
                // The client says when it has room again.
                Read::Bytes(_) if stream.room == 0 => stream.listed = false,
                Read::Bytes(_) => client.readable.push_back(number),
                Read::Empty if stream.phase == Phase::Over => self.end(net, conn, number),
                Read::Empty => stream.listed = false,
                Read::End => self.end(net, conn, number),
            }
        }
    }

    /// Nothing more comes from a stream.
    fn end(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId, number: u32) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        stream.listed = false;
        let first = !core::mem::replace(&mut stream.ended, true);
        let broken = stream.broken.take();
        if stream.phase == Phase::Over {
            self.remove(net, number);
        }
        match broken {
            Some(words) if self.clients.get(&conn).is_some_and(|client| client.extended) => {
                self.push(conn, &Reply::Broken { id: number, text: words.into() });
            }
            _ if first => self.push(conn, &Reply::CloseOk { id: number }),
            _ => {}
        }
    }

    /// Says goodbye to everybody: streams are finished, ports given back, connections closed.
    pub(crate) fn shutdown(&mut self, net: &mut impl Net<Id = Id>, numbers: &mut Numbers) {
        for conn in self.clients.keys().copied().collect::<Vec<_>>() {
            self.outputs.push_back(Output::Close(conn));
            self.closed(net, numbers, conn);
            self.forget(net, conn);
        }
    }

    /// Datagrams not delivered to a client that did not keep up.
    pub(crate) const fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams
    }
}

#[cfg(test)]
mod tests;

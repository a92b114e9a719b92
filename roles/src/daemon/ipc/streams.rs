//! The streams of clients: who owns one, how far it is, and the data of its client that waits for window space.

use alloc::{format, string::String, vec::Vec};

use pilot_proto::SockAddr;

use super::{Numbers, Server, client::HIGH_WATER};
use crate::{
    daemon::net::{Net, Over},
    ipc::{Reply, STREAM_WINDOW},
    role::ConnId,
};

/// Streams one client may own; more are refused. What newer programs allow.
pub(super) const MAX_STREAMS: usize = 4096;
/// [`STREAM_WINDOW`] here.
pub(super) const WINDOW: usize = STREAM_WINDOW as usize;
/// Bytes taken from a client after which it is told.
pub(super) const TELL: usize = WINDOW / 4;
/// Written bytes of a stream's waiting data that are cut off once they outnumber the rest.
const COMPACT: usize = 64 << 10;
/// Ids of ended streams that are remembered, so that a late write is told the truth.
const MAX_ENDED: usize = 256;

/// How far a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Being opened; the ticket of the request.
    Dialing(u64),
    Open,
    /// The client closed it; what it wrote is still delivered.
    Closing,
    /// It is over; what it brought is still handed to the client.
    Over,
}

#[derive(Debug)]
pub(super) struct Stream<Id> {
    pub(super) id: Id,
    pub(super) owner: ConnId,
    pub(super) phase: Phase,
    /// Data of the client that waits for window space, and how much of it is gone.
    pub(super) held: Vec<u8>,
    pub(super) gone: usize,
    /// Listed among the client's readable streams.
    pub(super) listed: bool,
    /// The client was told that nothing more comes.
    pub(super) ended: bool,
    /// The client will send no more; what is held is still delivered.
    pub(super) finishing: bool,
    /// Bytes the client has room for, if it counts.
    pub(super) room: usize,
    /// Bytes taken from the client that it was not told of.
    pub(super) untold: usize,
    /// Why the stream ended early; told after its data to a client that wants to know.
    pub(super) broken: Option<String>,
}

impl<Id: Copy + Ord> Server<Id> {
    pub(super) fn add(&mut self, number: u32, id: Id, owner: ConnId, phase: Phase) {
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

    pub(super) fn remove(&mut self, net: &mut impl Net<Id = Id>, number: u32) {
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

    pub(super) fn send(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId, number: u32, data: &[u8]) {
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
    pub(super) fn consumed(&mut self, conn: ConnId, number: u32, bytes: u32) {
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
    pub(super) fn finish(&mut self, net: &mut impl Net<Id = Id>, conn: ConnId, number: u32) {
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
    pub(super) fn close_stream(&mut self, net: &mut impl Net<Id = Id>, number: u32) {
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

    /// Whether data of a client waits for this stream's window space.
    pub(crate) fn holds(&self, id: Id) -> bool {
        let stream = self.number(id).and_then(|number| self.streams.get(&number));
        stream.is_some_and(|stream| stream.held.len() > stream.gone)
    }

    /// Whether data of clients waits for window space.
    pub(crate) fn has_held(&self) -> bool {
        self.streams.values().any(|stream| stream.held.len() > stream.gone)
    }
}

//! What goes to clients: what their streams bring, datagrams and events, each client's as far as it keeps up.

use alloc::vec::Vec;

use pilot_proto::{SockAddr, planted};

use super::{
    Server,
    client::{DATAGRAM_WATER, HIGH_WATER},
    streams::Phase,
};
use crate::{
    daemon::net::{Net, Read},
    ipc::Reply,
    role::{ConnId, Output},
};

/// Most bytes of stream data in one message.
pub(super) const RECV_ROOM: usize = 32 << 10;
/// Room made for it at first.
const RECV_FIRST: usize = 1 << 10;
/// Bytes after which staged messages go to the driver.
pub(super) const BATCH: usize = 256 << 10;

impl<Id: Copy + Ord> Server<Id> {
    pub(super) fn push(&mut self, conn: ConnId, reply: &Reply<'_>) {
        if let Some(client) = self.clients.get_mut(&conn) {
            client.push(reply);
            self.list(conn);
        }
    }

    pub(super) fn list(&mut self, conn: ConnId) {
        if let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.listed && !client.gone) {
            client.listed = true;
            self.listed.push_back(conn);
        }
    }

    /// A datagram for every client that keeps up.
    pub(crate) fn datagram(&mut self, from: SockAddr, to_port: u16, data: &[u8]) {
        let mut reached = Vec::new();
        for (conn, client) in &mut self.clients {
            if client.unread() + data.len() > DATAGRAM_WATER && !planted!(DatagramsPileUp) {
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

    /// Whether [`Server::poll_output`] has something to do.
    pub(crate) fn has_output(&self) -> bool {
        !self.outputs.is_empty() || !self.listed.is_empty()
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

    /// Datagrams not delivered to a client that did not keep up.
    pub(crate) const fn dropped_datagrams(&self) -> u64 {
        self.dropped_datagrams
    }
}

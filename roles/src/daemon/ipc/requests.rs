//! What a client asks: done here if it is about its own streams, ports and datagrams, handed out as an [`Ask`] if not;
//! and the answers, each of which goes to its request.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use pilot_proto::planted;

use super::{
    Numbers, Server,
    client::COST_OF_ASK,
    streams::{MAX_STREAMS, Phase, Stream},
};
use crate::{
    daemon::net::Net,
    ipc::{Reply, Request, STREAM_WINDOW},
    role::ConnId,
};

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

impl<Id: Copy + Ord> Server<Id> {
    pub(super) fn message(
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
                    self.stirred = true;
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
                let dialing = |stream: &&Stream<Id>| matches!(stream.phase, Phase::Dialing(_));
                if planted!(DialsShared) && self.streams.values().filter(dialing).count() >= 64 {
                    return self.answer(conn, ticket, Err(String::from("too many dials")));
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
                    None => self.hand_out(conn, ticket, message),
                }
                self.answer(conn, ticket, Ok(Reply::CloseOk { id }));
            }
            other => {
                let ticket = match other.answer() {
                    Some(_) => self.expect(conn, &other, tag),
                    None => 0,
                };
                self.hand_out(conn, ticket, message);
            }
        }
    }

    fn expect(&mut self, conn: ConnId, request: &Request<'_>, tag: Option<u32>) -> u64 {
        self.tickets += 1;
        if let Some(client) = self.clients.get_mut(&conn).filter(|client| !client.gone) {
            client.expect(self.tickets, request.command(), tag);
        }
        self.tickets
    }

    pub(super) fn answer(&mut self, conn: ConnId, ticket: u64, result: Result<Reply<'_>, String>) {
        let reply = result.unwrap_or_else(Reply::error);
        if let Some(client) = self.clients.get_mut(&conn) {
            let rested = client.rests();
            client.reply(ticket, &reply);
            if client.rests() && !rested {
                self.resting.push_back(conn);
            }
            self.list(conn);
        }
    }

    fn hand_out(&mut self, client: ConnId, ticket: u64, message: &[u8]) {
        self.stirred = true;
        self.asks.push_back(Ask { client, ticket, message: message.to_vec() });
        if let Some(client) = self.clients.get_mut(&client) {
            client.asking = true;
            client.cost += COST_OF_ASK;
        }
    }

    /// The next request to be answered elsewhere; then call [`Server::process`].
    pub(crate) fn poll_ask(&mut self) -> Option<Ask> {
        let ask = self.asks.pop_front()?;
        if let Some(client) = self.clients.get_mut(&ask.client) {
            client.asking = false;
        }
        Some(ask)
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
}

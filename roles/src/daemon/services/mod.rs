//! The built-in services, and what they have in common: streams that are read only as fast as they can be answered.

pub(crate) mod data_exchange;
pub(crate) mod echo;
pub(crate) mod event_stream;

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};

use pilot_proto::{SockAddr, port};

use self::{data_exchange::DataExchange, event_stream::Broker};
use super::net::{Net, Over, Read};
use crate::{
    json::Value,
    role::{Now, Store},
};

/// Bytes read at once.
const ROOM: usize = 32 << 10;
/// Unsent answers at which a connection is not read any further.
const MAX_ANSWERS: usize = 256 << 10;
/// Undelivered events at which a subscriber is cut off.
const MAX_EVENTS: usize = 4 << 20;

/// Something a service wants done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Write to connections.
    Write {
        /// Numbers of the connections.
        to: Vec<u32>,
        /// What.
        data: Vec<u8>,
    },
    /// Make something durable; the result goes to [`Services::stored`] under the same key.
    Store {
        /// The service's own number for it.
        key: u64,
        /// What.
        store: Store,
    },
    /// Tell the operator's webhook: name and data.
    Event(&'static str, Value),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Echo,
    DataExchange,
    EventStream,
}

#[derive(Debug)]
struct Stream {
    number: u32,
    kind: Kind,
    out: VecDeque<u8>,
    /// The peer sends nothing more.
    ended: bool,
    /// Finish once everything is written.
    closing: bool,
}

/// The services that are switched on.
#[derive(Debug)]
pub(crate) struct Services<Id> {
    ports: Vec<(u16, Kind)>,
    data: DataExchange,
    broker: Broker,
    streams: BTreeMap<Id, Stream>,
    numbers: BTreeMap<u32, Id>,
    busy: VecDeque<Id>,
    acts: Vec<Act>,
    done: VecDeque<Act>,
    scratch: Vec<u8>,
    cut_off: u64,
}

/// Which services are switched on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enabled {
    /// Echo, port 7.
    pub echo: bool,
    /// Data exchange, port 1001.
    pub data_exchange: bool,
    /// Event stream, port 1002.
    pub event_stream: bool,
}

impl Default for Enabled {
    fn default() -> Self {
        Enabled { echo: true, data_exchange: true, event_stream: true }
    }
}

impl<Id: Copy + Ord> Services<Id> {
    /// The services in a time zone `utc_offset` minutes east of UTC; `directory` is where received files go.
    pub(crate) fn new(enabled: Enabled, utc_offset: i32, directory: String) -> Self {
        let all = [
            (enabled.echo, port::ECHO, Kind::Echo),
            (enabled.data_exchange, port::DATA_EXCHANGE, Kind::DataExchange),
            (enabled.event_stream, port::EVENT_STREAM, Kind::EventStream),
        ];
        Services {
            ports: all.into_iter().filter(|(on, ..)| *on).map(|(_, port, kind)| (port, kind)).collect(),
            data: DataExchange::new(utc_offset, directory),
            broker: Broker::default(),
            streams: BTreeMap::new(),
            numbers: BTreeMap::new(),
            busy: VecDeque::new(),
            acts: Vec::new(),
            done: VecDeque::new(),
            scratch: Vec::new(),
            cut_off: 0,
        }
    }

    /// Starts to listen.
    pub(crate) fn start(&self, net: &mut impl Net<Id = Id>) {
        for (port, _) in &self.ports {
            net.listen(*port);
        }
    }

    /// Subscribers cut off because they did not keep up.
    pub(crate) const fn cut_off(&self) -> u64 {
        self.cut_off
    }

    /// Whether the stream is a service's.
    pub(crate) fn has(&self, id: Id) -> bool {
        self.streams.contains_key(&id)
    }

    /// The number of a service's stream.
    pub(crate) fn number(&self, id: Id) -> Option<u32> {
        self.streams.get(&id).map(|stream| stream.number)
    }

    /// A peer opened a stream. False if no service listens on the port.
    pub(crate) fn incoming(&mut self, number: u32, id: Id, local_port: u16, remote: SockAddr) -> bool {
        let Some((_, kind)) = self.ports.iter().find(|(port, _)| *port == local_port).copied() else {
            return false;
        };
        match kind {
            Kind::Echo => {}
            Kind::DataExchange => self.data.opened(number, remote.addr),
            Kind::EventStream => self.broker.opened(number, remote),
        }
        self.streams.insert(id, Stream { number, kind, out: VecDeque::new(), ended: false, closing: false });
        self.numbers.insert(number, id);
        true
    }

    /// A stream can be read or written again.
    pub(crate) fn ready(&mut self, net: &mut impl Net<Id = Id>, now: Now, id: Id) {
        self.busy.push_back(id);
        self.run(net, now);
    }

    /// A stream is over; what it had brought is still handled.
    pub(crate) fn over(&mut self, net: &mut impl Net<Id = Id>, now: Now, id: Id) {
        self.ready(net, now, id);
        self.remove(net, id);
        self.run(net, now);
    }

    /// An administrator closes a stream by number.
    pub(crate) fn close(&mut self, net: &mut impl Net<Id = Id>, now: Now, number: u32) {
        if let Some(id) = self.numbers.get(&number).copied()
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.closing = true;
            self.ready(net, now, id);
        }
    }

    /// A store is durable, or failed.
    pub(crate) fn stored(
        &mut self,
        net: &mut impl Net<Id = Id>,
        now: Now,
        key: u64,
        result: &Result<(), String>,
    ) {
        self.data.stored(now, key, result, &mut self.acts);
        self.run(net, now);
    }

    /// The next thing to store or to tell.
    pub(crate) fn poll_act(&mut self) -> Option<Act> {
        self.done.pop_front()
    }

    fn run(&mut self, net: &mut impl Net<Id = Id>, now: Now) {
        loop {
            for act in core::mem::take(&mut self.acts) {
                match act {
                    Act::Write { to, data } => {
                        for number in to {
                            self.write(net, number, &data);
                        }
                    }
                    act => self.done.push_back(act),
                }
            }
            let Some(id) = self.busy.pop_front() else { break };
            self.pump(net, now, id);
        }
    }

    fn write(&mut self, net: &mut impl Net<Id = Id>, number: u32, data: &[u8]) {
        let Some(id) = self.numbers.get(&number).copied() else { return };
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.kind == Kind::EventStream
            && !stream.out.is_empty()
            && stream.out.len() + data.len() > MAX_EVENTS
        {
            self.cut_off += 1;
            net.reset(id);
            return self.remove(net, id);
        }
        stream.out.extend(data);
        self.busy.push_back(id);
    }

    /// Moves one stream as far as it goes.
    fn pump(&mut self, net: &mut impl Net<Id = Id>, now: Now, id: Id) {
        while let Some(stream) = self.streams.get_mut(&id) {
            while !stream.out.is_empty() {
                match net.write(id, stream.out.as_slices().0) {
                    Ok(0) => break,
                    Ok(taken) => drop(stream.out.drain(..taken)),
                    Err(Over) => stream.out.clear(),
                }
            }
            let idle = stream.kind != Kind::DataExchange || self.data.is_idle(stream.number);
            if stream.out.is_empty() && (stream.closing || (stream.ended && idle)) {
                net.finish(id);
                return self.remove(net, id);
            }
            let ready = stream.kind != Kind::DataExchange || self.data.is_ready(stream.number);
            if stream.ended || stream.closing || !ready || stream.out.len() >= MAX_ANSWERS {
                return;
            }
            self.scratch.resize(ROOM, 0);
            let bytes = match net.read(id, &mut self.scratch) {
                Read::Bytes(bytes) => self.scratch.get(..bytes).unwrap_or_default(),
                Read::Empty => return,
                Read::End => {
                    stream.ended = true;
                    continue;
                }
            };
            let open = match stream.kind {
                Kind::Echo => {
                    echo::input(bytes, &mut stream.out);
                    true
                }
                Kind::DataExchange => self.data.input(now, stream.number, bytes, &mut self.acts),
                Kind::EventStream => self.broker.input(stream.number, bytes, &mut self.acts),
            };
            if !open {
                stream.closing = true;
            }
            if !self.acts.is_empty() {
                // What was said must take effect, and be answered, before more is read.
                return self.busy.push_back(id);
            }
        }
    }

    fn remove(&mut self, net: &mut impl Net<Id = Id>, id: Id) {
        let Some(stream) = self.streams.remove(&id) else { return };
        self.numbers.remove(&stream.number);
        match stream.kind {
            Kind::Echo => {}
            Kind::DataExchange => self.data.closed(stream.number),
            Kind::EventStream => self.broker.closed(stream.number, &mut self.acts),
        }
        net.release(id);
    }
}

#[cfg(test)]
mod tests;

//! A driver in miniature that the targets of roles share: performs what a role wants at once and checks what every
//! driver may rely on.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use pilot_proto::{Instant, time::Duration};
use pilot_roles::{
    ConnId, Input, Listener, Now, Output, Role,
    role::{Change, Closed, Store},
};

/// Where the wall clock starts.
const EPOCH: i64 = 1_795_335_956_000_000;
/// Outputs and datagrams of one input; more is a role that never comes to rest.
const MAX_TURNS: u32 = 50_000;

/// What is in the transactional store.
pub(crate) type Records = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// What a role said that somebody else must hear.
#[derive(Debug)]
pub(crate) enum Said {
    Datagram(SocketAddr, Vec<u8>),
    Bytes(ConnId, Vec<u8>),
    Connect(ConnId),
    Closed(ConnId),
}

pub(crate) struct Host<R> {
    pub(crate) role: R,
    pub(crate) now: Instant,
    pub(crate) records: Records,
    pub(crate) open: BTreeSet<ConnId>,
    pub(crate) listening: BTreeSet<Listener>,
    /// In its order, since it was last taken.
    pub(crate) said: Vec<Said>,
    pub(crate) exited: bool,
    accepted: u64,
    buffer: Vec<u8>,
}

impl<R: Role> Host<R> {
    pub(crate) fn new(role: R, udp: SocketAddr) -> Self {
        let mut host = Host {
            role,
            now: Instant::from_millis(1000),
            records: Records::new(),
            open: BTreeSet::new(),
            listening: BTreeSet::new(),
            said: Vec::new(),
            exited: false,
            accepted: 0,
            buffer: vec![0; 65_536],
        };
        host.input(Input::Started { udp: Some(udp) });
        host
    }

    pub(crate) const fn unix_secs() -> i64 {
        EPOCH / 1_000_000
    }

    fn clock(&self) -> Now {
        Now { instant: self.now, unix_micros: EPOCH + self.now.as_micros() as i64 }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        if !self.exited {
            self.role.handle_input(self.clock(), input);
            self.drain();
        }
    }

    pub(crate) fn datagram(&mut self, from: SocketAddr, data: &mut [u8]) {
        if !self.exited {
            self.role.handle_datagram(self.clock(), from, data);
            self.drain();
        }
    }

    /// Somebody connects.
    pub(crate) fn accept(&mut self, listener: Listener, peer: Option<SocketAddr>) -> ConnId {
        self.accepted += 1;
        let conn = ConnId::Accepted(self.accepted);
        self.open.insert(conn);
        self.input(Input::Opened { conn, listener: Some(listener), peer, local: None });
        conn
    }

    /// What the role dialled is open.
    pub(crate) fn opened(&mut self, conn: ConnId) {
        self.open.insert(conn);
        self.input(Input::Opened { conn, listener: None, peer: None, local: None });
    }

    pub(crate) fn bytes(&mut self, conn: ConnId, data: &[u8]) {
        if self.open.contains(&conn) {
            self.input(Input::Bytes { conn, data });
        }
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        if self.open.remove(&conn) {
            self.input(Input::Closed { conn, reason: Closed::Eof });
        }
    }

    /// Lets time pass, calling the role at every instant it asks for.
    pub(crate) fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        let mut spins = 0;
        while let Some(due) = self.role.poll_timeout().filter(|due| *due <= until && !self.exited) {
            spins = if due > self.now { 0 } else { spins + 1 };
            assert!(spins < 1000, "it asks for the past: {due:?} at {:?}", self.now);
            self.now = self.now.max(due);
            self.role.handle_timeout(self.clock());
            self.drain();
        }
        self.now = until;
    }

    fn drain(&mut self) {
        let now = self.clock();
        let mut turns = 0;
        let mut back: Vec<Input<'static>> = Vec::new();
        loop {
            let mut idle = true;
            while let Some(sent) = self.role.poll_transmit(now, &mut self.buffer) {
                idle = false;
                turns += 1;
                assert!(turns < MAX_TURNS, "it never comes to rest: {sent:?}");
                let size = sent.segment_size.unwrap_or(sent.len);
                assert!(sent.len > 0 && size > 0, "an empty datagram");
                let datagrams = self.buffer[..sent.len].chunks(size);
                self.said.extend(datagrams.map(|data| Said::Datagram(sent.to, data.to_vec())));
            }
            while let Some(output) = self.role.poll_output(now) {
                idle = false;
                turns += 1;
                assert!(turns < MAX_TURNS, "it never comes to rest: {output:?}");
                self.perform(output, &mut back);
            }
            for input in back.drain(..) {
                idle = false;
                self.role.handle_input(now, input);
            }
            if idle || self.exited {
                break;
            }
        }
        self.bounded();
    }

    /// Whoever speaks, no table grows beyond its bound.
    fn bounded(&self) {
        for fill in self.role.fills() {
            assert!(fill.used <= fill.max, "{} {}, at most {} are allowed", fill.used, fill.table, fill.max);
        }
    }

    fn perform(&mut self, output: Output, back: &mut Vec<Input<'static>>) {
        match output {
            Output::Listen(listener) => {
                self.listening.insert(listener);
                back.push(Input::Listening { listener, result: Ok(()) });
            }
            Output::Connect { conn, .. } => self.said.push(Said::Connect(conn)),
            Output::Send { conn, data } => {
                assert!(self.open.contains(&conn), "it sends on {conn:?}, which is closed");
                back.push(Input::Sent { conn, bytes: data.len() });
                self.said.push(Said::Bytes(conn, data));
            }
            Output::Close(conn) => {
                if self.open.remove(&conn) {
                    self.said.push(Said::Closed(conn));
                    back.push(Input::Closed { conn, reason: Closed::Eof });
                }
            }
            Output::Store { ticket, store } => {
                if let Store::Records(changes) = store {
                    changes.into_iter().for_each(|change| self.commit(change));
                } else if let Store::Create { name, .. } | Store::Replace { name, .. } = store {
                    assert!(!name.contains('/') && name != ".." && !name.is_empty(), "file name {name:?}");
                }
                back.push(Input::Stored { ticket, result: Ok(()) });
            }
            Output::Post { ticket, .. } => back.push(Input::Posted { ticket, result: Ok(200) }),
            Output::Exit(_) => self.exited = true,
            Output::Pause(_) | Output::Resume(_) | Output::Log(_) => {}
        }
    }

    fn commit(&mut self, Change { table, key, value }: Change) {
        let at = (table.to_owned(), key);
        match value {
            Some(value) => self.records.insert(at, value),
            None => self.records.remove(&at),
        };
    }
}

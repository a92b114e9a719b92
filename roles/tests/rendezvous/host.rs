//! A driver in miniature: runs the role on one thread, with a store that loses what was not committed.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use pilot_proto::Instant;
use pilot_proto::crypto::{Crypto, Ed25519Seed, RustCrypto};
use pilot_roles::json::Value;
use pilot_roles::rendezvous::{Config, LoadError, Rendezvous};
use pilot_roles::role::{Closed, Store};
use pilot_roles::{ConnId, Input, Listener, Now, Output, Role};

pub(crate) type Records = BTreeMap<(String, Vec<u8>), Vec<u8>>;

/// A key pair from the vectors, or one of our own.
#[derive(Clone)]
pub(crate) struct Key(Ed25519Seed);

impl Key {
    pub(crate) fn new(byte: u8) -> Self {
        Key(Ed25519Seed::from_bytes([byte; 32]))
    }

    pub(crate) fn public(&self) -> [u8; 32] {
        RustCrypto.ed25519_public(&self.0)
    }

    pub(crate) fn text(&self) -> String {
        base64(&self.public())
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        base64(&RustCrypto.ed25519_sign(&self.0, text.as_bytes()))
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    pilot_proto::base64::encode(bytes).map(char::from).collect()
}

/// What the role did with one connection.
#[derive(Default)]
pub(crate) struct Peer {
    pub(crate) received: Vec<u8>,
    pub(crate) closed: bool,
    pub(crate) paused: bool,
    /// Bytes handed over but not acknowledged with `Sent`.
    pub(crate) unsent: usize,
}

pub(crate) struct Host {
    pub(crate) role: Rendezvous<RustCrypto>,
    pub(crate) instant: Instant,
    pub(crate) unix_micros: i64,
    /// What is on the disk.
    pub(crate) stored: Records,
    /// What was handed to the store and is not on the disk.
    pub(crate) pending: VecDeque<(u64, Vec<pilot_roles::role::Change>)>,
    pub(crate) auto_store: bool,
    pub(crate) auto_sent: bool,
    pub(crate) peers: BTreeMap<ConnId, Peer>,
    pub(crate) datagrams: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) exit: Option<u8>,
    next_conn: u64,
}

impl Host {
    pub(crate) fn new(config: Config) -> Self {
        Self::load(config, Records::new()).unwrap()
    }

    pub(crate) fn load(config: Config, stored: Records) -> Result<Self, LoadError> {
        let unix_micros = 1_795_335_956_000_000;
        let records = stored.clone().into_iter().map(|((table, key), value)| (table, key, value));
        let role = Rendezvous::new(config, RustCrypto, unix_micros / 1_000_000, records)?;
        let mut host = Host {
            role,
            instant: Instant::from_millis(1000),
            unix_micros,
            stored,
            pending: VecDeque::new(),
            auto_store: true,
            auto_sent: true,
            peers: BTreeMap::new(),
            datagrams: Vec::new(),
            exit: None,
            next_conn: 0,
        };
        host.input(Input::Started { udp: None });
        host.input(Input::Listening { listener: Listener::Registry, result: Ok(()) });
        Ok(host)
    }

    pub(crate) fn now(&self) -> Now {
        Now { instant: self.instant, unix_micros: self.unix_micros }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        self.instant = self.instant + by;
        self.unix_micros += by.as_micros() as i64;
        let now = self.now();
        if self.role.poll_timeout().is_some_and(|at| at <= self.instant) {
            self.role.handle_timeout(now);
            self.drain();
        }
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        let now = self.now();
        self.role.handle_input(now, input);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        let now = self.now();
        loop {
            let mut feed: Vec<Input<'_>> = Vec::new();
            while let Some(output) = self.role.poll_output(now) {
                match output {
                    Output::Send { conn, data } => {
                        let peer = self.peers.get_mut(&conn).unwrap();
                        assert!(!peer.closed, "sent on a closed connection");
                        peer.received.extend_from_slice(&data);
                        if self.auto_sent {
                            feed.push(Input::Sent { conn, bytes: data.len() });
                        } else {
                            peer.unsent += data.len();
                        }
                    }
                    Output::Close(conn) => self.peers.get_mut(&conn).unwrap().closed = true,
                    Output::Pause(conn) => self.peers.get_mut(&conn).unwrap().paused = true,
                    Output::Resume(conn) => self.peers.get_mut(&conn).unwrap().paused = false,
                    Output::Store { ticket, store: Store::Records(changes) } => {
                        self.pending.push_back((ticket, changes));
                        if self.auto_store {
                            feed.extend(self.commit_one());
                        }
                    }
                    Output::Exit(status) => self.exit = Some(status),
                    Output::Listen(_) | Output::Log(_) => {}
                    other => panic!("unexpected {other:?}"),
                }
            }
            let mut buf = vec![0; 65_536];
            while let Some(sent) = self.role.poll_transmit(now, &mut buf) {
                let size = sent.segment_size.unwrap_or(sent.len).max(1);
                self.datagrams.extend(buf[..sent.len].chunks(size).map(|part| (sent.to, part.to_vec())));
            }
            if feed.is_empty() {
                return;
            }
            feed.into_iter().for_each(|input| self.role.handle_input(now, input));
        }
    }

    fn commit_one(&mut self) -> Option<Input<'static>> {
        let (ticket, changes) = self.pending.pop_front()?;
        for change in changes {
            let at = (change.table.to_owned(), change.key);
            match change.value {
                Some(value) => self.stored.insert(at, value),
                None => self.stored.remove(&at),
            };
        }
        Some(Input::Stored { ticket, result: Ok(()) })
    }

    /// Commits everything the role handed over.
    pub(crate) fn commit(&mut self) {
        while let Some(done) = self.commit_one() {
            self.input(done);
        }
    }

    pub(crate) fn open(&mut self, source: SocketAddr) -> ConnId {
        self.next_conn += 1;
        let conn = ConnId::Accepted(self.next_conn);
        self.peers.insert(conn, Peer::default());
        self.input(Input::Opened {
            conn,
            listener: Some(Listener::Registry),
            peer: Some(source),
            local: None,
        });
        conn
    }

    pub(crate) fn open_from(&mut self, ip: &str) -> ConnId {
        let ip: IpAddr = ip.parse().unwrap();
        self.open(SocketAddr::new(ip, 39_059))
    }

    pub(crate) fn close(&mut self, conn: ConnId) {
        self.input(Input::Closed { conn, reason: Closed::Eof });
        self.peers.remove(&conn);
    }

    pub(crate) fn bytes(&mut self, conn: ConnId, data: &[u8]) {
        self.input(Input::Bytes { conn, data });
    }

    /// Sends a request without waiting for its answer.
    pub(crate) fn post(&mut self, conn: ConnId, request: &Value) {
        let frame = pilot_roles::frames::frame(request.to_string().as_bytes());
        self.bytes(conn, &frame);
    }

    /// The answers that came on a connection since the last call.
    pub(crate) fn answers(&mut self, conn: ConnId) -> Vec<Value> {
        let mut reader = pilot_roles::frames::FrameReader::new(16 << 20);
        reader.push(&std::mem::take(&mut self.peers.get_mut(&conn).unwrap().received));
        let mut answers = Vec::new();
        while let Some(body) = reader.pop().unwrap() {
            answers.push(serde_json::from_slice(body).unwrap());
        }
        assert_eq!(reader.pending(), 0);
        answers
    }

    /// Sends a request and returns its answer, which must be there at once.
    pub(crate) fn ask(&mut self, conn: ConnId, request: Value) -> Value {
        self.post(conn, &request);
        let answers = self.answers(conn);
        assert_eq!(answers.len(), 1, "one answer to {request}");
        answers.into_iter().next().unwrap()
    }

    /// Feeds a datagram and returns what was sent because of it.
    pub(crate) fn datagram(&mut self, from: SocketAddr, data: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        let now = self.now();
        self.role.handle_datagram(now, from, &mut data.to_vec());
        self.drain();
        std::mem::take(&mut self.datagrams)
    }

    /// Lets time pass and returns the datagrams sent because of it.
    pub(crate) fn datagrams_after(&mut self, by: Duration) -> Vec<(SocketAddr, Vec<u8>)> {
        self.advance(by);
        std::mem::take(&mut self.datagrams)
    }
}

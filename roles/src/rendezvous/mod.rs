//! The rendezvous: the registry on byte streams and the beacon on UDP, as one role.
//!
//! **Durable before reply.** An operation changes the state in memory and leaves records for the store; its answer is
//! held until the store has them. So is every later answer, on every connection, that may rest on them: nobody ever
//! learns what a crash could take back. If the store fails, memory is ahead of it and cannot be trusted: waiting
//! callers are refused, and the role ends with status 1, to be started again from what is stored.

mod base64;
mod beacon;
mod conn;
mod ops;
mod rate;
mod records;
mod registry;
mod state;
mod store;
mod wire;

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::net::{IpAddr, SocketAddr};

use pilot_proto::crypto::Crypto;
use pilot_proto::time::{Duration, earliest};
use pilot_proto::{Instant, Transmit, planted};

use crate::role::{ConnId, Fill, Input, Level, Listener, Now, Output, Record, Role, Store, Wait, Whom};
use beacon::{Beacon, Witness};
use conn::{Answer, Conn, Polled, pop_if};
use rate::{Bucket, Rate, Shares, source_key};
use registry::{Caller, Registry};
use state::State;

use wire::{Refusal, Request, answer_frame};

pub use beacon::BeaconConfig;
pub use ops::check_hostname;
pub use registry::RegistryConfig;
pub use store::LoadError;
pub use wire::{MAX_REQUEST, is_request};

/// A connection that neither completes a request nor takes bytes for this long is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// Log lines about input that makes no sense: whoever sends it must not fill the disk.
const COMPLAINTS: Rate = Rate::per_minute(60);

/// What a rendezvous offers.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The registry.
    pub registry: RegistryConfig,
    /// The beacon; `None` runs the registry alone, on no UDP socket.
    pub beacon: Option<BeaconConfig>,
}

/// Registry and beacon.
#[derive(Debug)]
pub struct Rendezvous<C> {
    registry: Registry<C>,
    beacon: Option<Beacon>,
    conns: BTreeMap<ConnId, Conn>,
    sources: Shares,
    /// When to look whether a connection is idle: one entry a connection, not later than due.
    checks: BTreeSet<(Instant, ConnId)>,
    outputs: VecDeque<Output>,
    /// The last ticket given, the last that an answer must wait for, and the last that is durable.
    last_ticket: u64,
    binding_ticket: u64,
    durable_ticket: u64,
    /// Connections with answers that wait for a ticket, and nodes to wake after one, in the order of tickets.
    waiting: VecDeque<(u64, ConnId)>,
    wakes: VecDeque<(u64, u32)>,
    complaints: Bucket,
    /// The operator wants an end: it comes when everything handed to the store is durable.
    stopping: bool,
    ended: bool,
}

impl<C: Crypto> Rendezvous<C> {
    /// A rendezvous with the records of the store: (table, key, value), in any order; none at the first start.
    ///
    /// `unix_secs` is the wall clock, which becomes the registry's date of birth at the first start.
    ///
    /// # Errors
    /// [`LoadError`] if the records cannot have been written by this program. Nothing is repaired or dropped.
    pub fn new(
        config: Config,
        crypto: C,
        unix_secs: i64,
        loaded: impl Iterator<Item = (String, Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, LoadError> {
        let state = State::load(loaded, unix_secs)?;
        Ok(Rendezvous {
            beacon: config.beacon.map(Beacon::new),
            conns: BTreeMap::new(),
            sources: Shares::new(config.registry.max_connections_per_source),
            checks: BTreeSet::new(),
            outputs: VecDeque::new(),
            last_ticket: 0,
            binding_ticket: 0,
            durable_ticket: 0,
            waiting: VecDeque::new(),
            wakes: VecDeque::new(),
            stopping: false,
            ended: false,
            complaints: Bucket::default(),
            registry: Registry::new(config.registry, crypto, state),
        })
    }

    fn log(&mut self, level: Level, message: &'static str, fields: Vec<(&'static str, String)>) {
        self.outputs.push_back(Output::Log(Record { level, message, fields }));
    }

    /// A log line about input that makes no sense, unless strangers have just caused many.
    fn complain(&mut self, now: Instant, what: &'static str, peer: impl ToString, problem: String) {
        if self.complaints.take(COMPLAINTS, now) {
            self.log(Level::Warn, what, vec![("peer", peer.to_string()), ("problem", problem)]);
        }
    }

    fn opened(&mut self, now: Now, id: ConnId, peer: Option<SocketAddr>) {
        let Some(peer) = peer else {
            self.log(Level::Warn, "connection without a source address refused", vec![]);
            self.outputs.push_back(Output::Close(id));
            return;
        };
        let full = self.stopping || self.conns.len() >= self.registry.config.max_connections;
        if full || !(self.sources.take(source_key(peer.ip())) || planted!(ConnectionsUnlimited)) {
            self.outputs.push_back(Output::Close(id));
            return;
        }
        let check = now.instant + IDLE_LIMIT;
        self.conns.insert(id, Conn::new(peer, now.instant, check));
        self.checks.insert((check, id));
    }

    /// Answers the complete requests of a connection, as far as the other side takes answers.
    fn serve(&mut self, now: Now, id: ConnId) {
        let half = |(of, conn): (&ConnId, &Conn)| *of != id && conn.reader.pending() > 0;
        if planted!(HalfRequestBlocks) && self.conns.iter().any(half) {
            return;
        }
        while let Some(conn) = self.conns.get_mut(&id) {
            if conn.ending {
                break;
            }
            if conn.is_full() {
                if !conn.paused {
                    conn.paused = true;
                    self.outputs.push_back(Output::Pause(id));
                }
                break;
            }
            let request = match conn.reader.pop() {
                Ok(None) => {
                    if conn.paused {
                        conn.paused = false;
                        self.outputs.push_back(Output::Resume(id));
                    }
                    break;
                }
                Ok(Some(body)) => {
                    let any = || Request::parse(b"null").filter(|_| planted!(GarbageAnswered));
                    Request::parse(body)
                        .or_else(any)
                        .ok_or_else(|| "a request is not a JSON object".to_owned())
                }
                Err(too_long) => Err(too_long.to_string()),
            };
            conn.progress = now.instant;
            let request = match request {
                Ok(request) => request,
                Err(problem) => {
                    // Not our protocol, or no longer in step: nothing of what follows can be trusted.
                    let peer = conn.source;
                    self.end(id);
                    self.complain(
                        now.instant,
                        "connection closed: not the registry's protocol",
                        peer,
                        problem,
                    );
                    break;
                }
            };
            let mut caller = Caller {
                now,
                source: conn.source,
                proven: &mut conn.proven,
                wake: None,
                polled: None,
                hang_up: false,
            };
            let outcome = self.registry.call(&mut caller, &request);
            let Caller { wake, polled, hang_up, source, .. } = caller;
            if let Err(Refusal::Hidden(reason)) = outcome {
                let fields = vec![
                    ("operation", request.operation().to_owned()),
                    ("peer", source.to_string()),
                    ("reason", reason.to_owned()),
                ];
                self.log(Level::Debug, "request refused", fields);
            }
            self.store();
            self.answer(id, answer_frame(request.operation(), outcome), polled);
            if let Some(node) = wake {
                self.wake(node);
            }
            if hang_up {
                self.end(id);
            }
        }
        self.release(id);
    }

    /// Sends the changes of the last operation to the store.
    fn store(&mut self) {
        let (changes, binding) = self.registry.state.journal.take();
        if changes.is_empty() {
            return;
        }
        self.last_ticket += 1;
        if binding {
            self.binding_ticket = self.last_ticket;
        }
        self.outputs.push_back(Output::Store { ticket: self.last_ticket, store: Store::Records(changes) });
    }

    /// The ticket that has to be durable before anything learnt now may be told.
    fn barrier(&self) -> u64 {
        if self.binding_ticket > self.durable_ticket && !planted!(AckBeforeSync) {
            self.binding_ticket
        } else {
            0
        }
    }

    fn answer(&mut self, id: ConnId, frame: Vec<u8>, polled: Option<Polled>) {
        let after = self.barrier();
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.push(Answer { frame, after, polled });
            if after > 0 && self.waiting.back() != Some(&(after, id)) {
                self.waiting.push_back((after, id));
            }
        }
    }

    fn wake(&mut self, node: u32) {
        if planted!(Unwoken) {
            return;
        }
        match self.barrier() {
            0 => {
                if let Some(beacon) = &mut self.beacon {
                    beacon.wake(node);
                }
            }
            after => self.wakes.push_back((after, node)),
        }
    }

    /// Lets the answers of a connection go that may, and the connection if it has nothing left to do.
    fn release(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        while let Some(data) = conn.release(self.durable_ticket) {
            self.outputs.push_back(Output::Send { conn: id, data });
        }
        if conn.ending && conn.is_drained() {
            self.outputs.push_back(Output::Close(id));
            self.forget(id);
        }
    }

    /// Reads no more from a connection and closes it behind its last answer.
    fn end(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.ending = true;
        }
        self.release(id);
    }

    /// The connection is no more: what it carried of an inbox goes back.
    fn forget(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.remove(&id) {
            self.checks.remove(&(conn.check, id));
            if !planted!(ConnectionsLeak) {
                self.sources.give_back(source_key(conn.source.ip()));
            }
            conn.undelivered().for_each(|polled| self.registry.undelivered(&polled));
        }
    }

    fn sent(&mut self, now: Now, id: ConnId, bytes: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.took(bytes);
        conn.progress = now.instant;
        while let Some(polled) = conn.delivered() {
            self.registry.delivered(&polled);
        }
        let paused = conn.paused;
        self.store();
        if paused {
            self.serve(now, id);
        }
    }

    fn stored(&mut self, ticket: u64, result: Result<(), String>) {
        if let Err(problem) = result {
            self.fail(&problem);
            return;
        }
        self.durable_ticket = self.durable_ticket.max(ticket);
        let durable = self.durable_ticket;
        while let Some((_, node)) = pop_if(&mut self.wakes, |(after, _)| *after <= durable) {
            if let Some(beacon) = &mut self.beacon {
                beacon.wake(node);
            }
        }
        while let Some((_, id)) = pop_if(&mut self.waiting, |(after, _)| *after <= durable) {
            self.release(id);
        }
        self.stop_if_done();
    }

    /// Ends once nothing waits for the store any more.
    fn stop_if_done(&mut self) {
        if self.stopping && self.durable_ticket == self.last_ticket {
            self.exit(0);
        }
    }

    /// The store has failed: refuse who waits, and end.
    fn fail(&mut self, problem: &str) {
        if self.ended {
            return;
        }
        self.log(Level::Error, "store failed, ending", vec![("problem", problem.to_owned())]);
        let refusal = answer_frame("", Err(Refusal::Hidden("store failed")));
        for (id, mut conn) in core::mem::take(&mut self.conns) {
            for _ in 0..conn.drop_waiting() {
                self.outputs.push_back(Output::Send { conn: id, data: refusal.clone() });
            }
            self.outputs.push_back(Output::Close(id));
        }
        self.exit(1);
    }

    fn exit(&mut self, status: u8) {
        if !self.ended {
            self.ended = true;
            self.outputs.push_back(Output::Exit(status));
        }
    }
}

impl<C: Crypto> Witness for Registry<C> {
    fn source_of(&self, node: u32) -> Option<IpAddr> {
        self.known_source(node)
    }

    fn may_reach(&self, requester: u32, target: u32) -> Option<bool> {
        self.state.node(requester)?;
        self.state.node(target)?;
        Some(Registry::may_reach(self, requester, target))
    }
}

impl<C: Crypto> Role for Rendezvous<C> {
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, data: &mut [u8]) {
        let Some(beacon) = &mut self.beacon else { return };
        if !beacon.handle(now.instant, from, data, &self.registry) {
            let problem = format!("{} bytes that no node sends to a beacon", data.len());
            self.complain(now.instant, "datagram ignored", from, problem);
        }
    }

    fn handle_input(&mut self, now: Now, input: Input<'_>) {
        if self.ended {
            return;
        }
        match input {
            Input::Started { .. } => {
                if let Some(beacon) = &mut self.beacon {
                    beacon.start(now.instant);
                }
                self.registry.start(now.instant);
                self.outputs.push_back(Output::Listen(Listener::Registry));
            }
            Input::Listening { listener: Listener::Registry, result: Err(problem) } => {
                self.log(Level::Error, "cannot listen", vec![("problem", problem)]);
                self.exit(1);
            }
            Input::Opened { conn, listener: Some(Listener::Registry), peer, .. } => {
                self.opened(now, conn, peer);
            }
            Input::Bytes { conn: id, data } => {
                if let Some(conn) = self.conns.get_mut(&id)
                    && !conn.ending
                {
                    conn.reader.push(data);
                    self.serve(now, id);
                }
            }
            Input::Sent { conn, bytes } => self.sent(now, conn, bytes),
            Input::Closed { conn, .. } => self.forget(conn),
            Input::Stored { ticket, result } => self.stored(ticket, result),
            Input::Shutdown => {
                self.stopping = true;
                let open: Vec<ConnId> = self.conns.keys().copied().collect();
                open.into_iter().for_each(|id| self.end(id));
                self.stop_if_done();
            }
            // Nothing of this kind was asked for.
            Input::Listening { .. } | Input::Opened { .. } | Input::Posted { .. } => {}
        }
    }

    fn handle_timeout(&mut self, now: Now) {
        if let Some(beacon) = &mut self.beacon {
            beacon.handle_timeout(now.instant);
        }
        self.registry.handle_timeout(now);
        self.store();
        while let Some(&(at, id)) = self.checks.first()
            && at <= now.instant
        {
            self.checks.pop_first();
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            let due = conn.progress + IDLE_LIMIT;
            if due > now.instant {
                conn.check = due;
                self.checks.insert((due, id));
            } else {
                self.outputs.push_back(Output::Close(id));
                self.forget(id);
            }
        }
    }

    fn poll_transmit(&mut self, _now: Now, buf: &mut [u8]) -> Option<Transmit> {
        self.beacon.as_mut()?.poll_transmit(buf)
    }

    fn poll_output(&mut self, _now: Now) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let beacon = self.beacon.as_ref().and_then(Beacon::poll_timeout);
        earliest(earliest(beacon, self.registry.poll_timeout()), self.checks.first().map(|&(at, _)| at))
    }

    fn waits(&mut self) -> Vec<Wait> {
        let writes = self.last_ticket - self.durable_ticket;
        let answers = self.waiting.len();
        let disk = (writes > 0).then(|| Wait {
            whom: Whom::Disk,
            what: format!("{writes} writes, and {answers} callers for them"),
            since: None,
            next: None,
        });
        disk.into_iter().collect()
    }

    fn fills(&self) -> Vec<Fill> {
        let config = &self.registry.config;
        let fill = |table, used, max, transient| Fill { table, used, max, transient };
        let mut fills = vec![
            fill("nodes", self.registry.state.node_count(), config.max_nodes, false),
            fill("keys", self.registry.state.key_count(), config.max_nodes, false),
            fill("connections", self.conns.len(), config.max_connections, false),
            fill("idle checks", self.checks.len(), self.conns.len(), false),
            fill("waiting answers", self.waiting.len(), usize::MAX, true),
            fill("waiting wakes", self.wakes.len(), usize::MAX, true),
        ];
        if let (Some(beacon), Some(config)) = (&self.beacon, self.beacon.as_ref().map(Beacon::config)) {
            fills.push(fill("beacon nodes", beacon.node_count(), config.max_nodes, false));
        }
        fills
    }
}

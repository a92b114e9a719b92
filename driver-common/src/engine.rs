//! The engine: feeds a role one thing, performs what it puts out, and says how long its driver may wait.
//!
//! A driver is a loop of two steps: wait on its reactor for as long as [`Next`] says, then give the engine a turn with
//! what became ready. Every turn is bounded and alternates: time, letters from threads, new connections, datagrams, reading, writing. No
//! peer and no kind of work can keep the others waiting for longer than one turn.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    net::{SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::mpsc::Receiver,
    time::Duration,
};

use pilot_proto::{Instant, time::earliest};
use pilot_roles::{
    Input, Listener, Now, Output, Role,
    role::{Area, Dial},
};

use crate::{
    clock::Clock,
    dial::Target,
    http::Posts,
    listen::Place,
    log,
    mailbox::{Letter, Mailbox, Waker},
    outbox::Polled,
    reactor::{Reactor, Ready, Token},
    signals::Signals,
    store::{Keeper, RecordStore},
    streams::{News, READ_PER_TURN, Streams},
    udp::{Received, UdpPort},
};

const SIGNALS: Token = Token(0);
const UDP: Token = Token(1);
const FIRST_STREAM: usize = 2;

/// Datagrams taken in one turn.
const DATAGRAMS_PER_TURN: usize = 256;
/// Transmits (each up to 64 KiB) asked from the role in one turn.
const TRANSMITS_PER_TURN: usize = 256;
/// Letters of worker threads read in one turn.
const LETTERS_PER_TURN: usize = 1024;
/// How long a role may take to say goodbye after [`Input::Shutdown`].
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// How long the last bytes may take to leave after [`Output::Exit`].
const FLUSH_GRACE: Duration = Duration::from_secs(2);
/// Turns in a row that neither waited nor did anything, after which the loop says why and slows down.
const MAX_IDLE_TURNS: u32 = 1000;
/// Length of a turn of a loop that was slowed down.
const SLOWED_TURN: Duration = Duration::from_millis(1);
/// Exit status when the role had to be ended by force.
const FORCED: u8 = 1;

/// Where the abstract things of a role are on this machine.
#[derive(Default)]
pub struct Setup {
    /// The role's UDP socket, bound.
    pub udp: Option<UdpSocket>,
    /// Where each listener is.
    pub listeners: BTreeMap<Listener, Place>,
    /// Connections of this process, taken as if they had come through their listener once the role listens there.
    pub connected: Vec<(Listener, UnixStream)>,
    /// Where each thing to dial is.
    pub dials: BTreeMap<Dial, Target>,
    /// The database of records. Without one, records are answered as durable and forgotten with the process.
    pub store: Option<RecordStore>,
    /// Directory of each area; made with mode 0700 when first written to.
    pub areas: BTreeMap<Area, PathBuf>,
    /// Whether SIGINT and SIGTERM end the role gracefully. They belong to the whole process.
    pub signals: bool,
}

/// What a driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait until something is ready, the engine's waker is called, or this time is over (`None`: however long).
    Wait(Option<Duration>),
    /// The role has ended with this status; call [`Engine::close`].
    Done(u8),
}

/// Runs one role, for a driver that waits with `X`.
pub struct Engine<R, X: Reactor> {
    role: R,
    clock: Clock,
    mailbox: Mailbox,
    letters: Receiver<Letter>,
    udp: Option<UdpPort<X::Watch>>,
    streams: Streams<X>,
    places: BTreeMap<Listener, Place>,
    connected: Vec<(Listener, UnixStream)>,
    dials: BTreeMap<Dial, Target>,
    keeper: Keeper,
    posts: Posts,
    signals: Option<Signals<X::Watch>>,
    buffer: Vec<u8>,
    /// Answers to outputs that must not be fed while outputs are drained.
    listened: VecDeque<(Listener, Result<(), String>)>,
    /// Transmits the role may still be asked for in this turn.
    burst: usize,
    /// The role may have datagrams it was not asked for.
    unsent: bool,
    exit: Option<u8>,
    /// Since the role's end: by when the last bytes must have left.
    flush_until: Option<Instant>,
    shutdown: Shutdown,
    /// What [`Next`] said last.
    waited: Option<Duration>,
    /// Things done in this turn.
    progress: u64,
    idle_turns: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shutdown {
    NotAsked,
    /// The role was asked; by this instant it must have ended.
    Asked(Instant),
}

/// Asks a running engine, from any thread, to shut its role down. A second call forces it.
#[derive(Clone, Debug)]
pub struct Stopper(Mailbox);

impl Stopper {
    /// As SIGTERM does.
    pub fn stop(&self) {
        self.0.post(Letter::Stop);
    }
}

impl<R: Role, X: Reactor> Engine<R, X> {
    /// Prepares everything; nothing is fed to `role` before [`Engine::start`]. `clock` is the one the role's constructor
    /// was given times of, if it was. `waker` ends a wait from any thread.
    ///
    /// # Errors
    /// If the operating system refuses a watch, the worker thread, or the UDP socket's options.
    pub fn new(role: R, clock: Clock, setup: Setup, reactor: X, waker: Waker) -> io::Result<Self> {
        let (mailbox, letters) = Mailbox::new(waker);
        let udp = setup.udp.map(|socket| UdpPort::new(socket, &reactor, UDP)).transpose()?;
        let signals = setup.signals.then(|| Signals::hook(&reactor, SIGNALS)).transpose()?;
        Ok(Engine {
            role,
            clock,
            streams: Streams::new(reactor, mailbox.clone(), FIRST_STREAM),
            keeper: Keeper::start(setup.store, setup.areas, mailbox.clone())?,
            posts: Posts::new(mailbox.clone()),
            mailbox,
            letters,
            udp,
            places: setup.listeners,
            connected: setup.connected,
            dials: setup.dials,
            signals,
            buffer: vec![0; READ_PER_TURN],
            listened: VecDeque::new(),
            burst: TRANSMITS_PER_TURN,
            unsent: false,
            exit: None,
            flush_until: None,
            waited: None,
            shutdown: Shutdown::NotAsked,
            progress: 0,
            idle_turns: 0,
        })
    }

    /// A handle that ends the role from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.mailbox.clone())
    }

    /// Where the UDP socket is bound.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.udp.as_ref().map(UdpPort::local_addr)
    }

    /// Starts the role.
    pub fn start(&mut self) -> Next {
        let udp = self.udp_addr();
        self.feed(Input::Started { udp });
        self.feed_news();
        self.next()
    }

    /// Handles what became ready, and everything that is due.
    pub fn turn(&mut self, ready: impl IntoIterator<Item = Ready>) -> Next {
        match self.flush_until {
            None => self.work(ready),
            Some(_) => self.flush(ready),
        }
        self.next()
    }

    /// After [`Next::Done`]: waits until everything is on disk. This blocks; it is short unless the disk is slow.
    pub fn close(&mut self) {
        self.keeper.finish();
        self.posts.finish();
    }

    fn next(&mut self) -> Next {
        let Some(code) = self.exit else {
            self.waited = self.timeout();
            return Next::Wait(self.waited);
        };
        let now = self.clock.instant();
        let until = *self.flush_until.get_or_insert(now + FLUSH_GRACE);
        // What the role wrote must still reach its peers.
        let udp_waits = self.udp.as_mut().is_some_and(|udp| {
            udp.flush();
            udp.is_full()
        });
        let streams_done = self.streams.finish(now);
        if (streams_done && !udp_waits) || now >= until {
            Next::Done(code)
        } else {
            Next::Wait(Some(until.since(now)))
        }
    }

    fn flush(&mut self, ready: impl IntoIterator<Item = Ready>) {
        let now = self.clock.instant();
        for ready in ready {
            match (ready.token, &mut self.udp) {
                (UDP, Some(udp)) => udp.ready(false, ready.writable),
                _ => drop(self.streams.ready(ready, now)),
            }
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let blocked = self.udp.as_ref().is_some_and(|udp| udp.is_full());
        let busy = self.udp.as_ref().is_some_and(UdpPort::has_input)
            || self.streams.has_work()
            || (self.unsent && !blocked);
        let least = if self.idle_turns >= MAX_IDLE_TURNS { SLOWED_TURN } else { Duration::ZERO };
        if busy {
            return Some(least);
        }
        let grace = match self.shutdown {
            Shutdown::Asked(until) => Some(until),
            Shutdown::NotAsked => None,
        };
        let next = earliest(earliest(self.role.poll_timeout(), self.streams.next_deadline()), grace)?;
        Some(next.since(self.clock.instant()).max(least))
    }

    fn guard_against_spinning(&mut self, nothing_ready: bool) {
        let idle = self.progress == 0 && nothing_ready && self.waited.is_some_and(|wait| wait <= SLOWED_TURN);
        self.idle_turns = if idle { self.idle_turns.saturating_add(1) } else { 0 };
        self.progress = 0;
        if self.idle_turns == MAX_IDLE_TURNS {
            let due = self.role.poll_timeout().map(|at| self.clock.instant().since(at));
            tracing::warn!(
                timer_overdue = ?due,
                udp_full = self.udp.as_ref().is_some_and(|udp| udp.is_full()),
                streams = self.streams.has_work(),
                unsent = self.unsent,
                "the event loop turns without progress and is slowed down"
            );
        }
    }

    fn work(&mut self, ready: impl IntoIterator<Item = Ready>) {
        self.burst = TRANSMITS_PER_TURN;
        let now = self.clock.instant();
        let mut nothing_ready = true;
        for ready in ready {
            nothing_ready = false;
            match ready.token {
                SIGNALS => {
                    for _ in 0..self.signals.as_mut().map_or(0, Signals::take) {
                        self.ask_to_stop();
                    }
                }
                UDP => {
                    if let Some(udp) = &mut self.udp {
                        udp.ready(ready.readable, ready.writable);
                    }
                }
                _ => drop(self.streams.ready(ready, now)),
            }
        }
        self.guard_against_spinning(nothing_ready);
        if self.unsent {
            self.unsent = false;
            self.drain();
        }
        self.pass_time();
        self.read_letters();
        self.progress += self.streams.accept(self.clock.instant()) as u64;
        self.feed_news();
        self.receive_datagrams();
        let (reads, _) = self.streams.waiting();
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..reads {
            if let Some(news) = self.streams.read_next(&mut buffer, now) {
                self.feed_one(news, &buffer);
            }
            self.feed_news();
        }
        self.buffer = buffer;
        let (_, writes) = self.streams.waiting();
        for _ in 0..writes {
            self.streams.write_next(now);
            self.feed_news();
        }
        if let Some(udp) = &mut self.udp {
            udp.flush();
        }
    }

    fn pass_time(&mut self) {
        let now = self.clock.now();
        self.streams.expire(now.instant);
        if self.exit.is_none() && self.role.poll_timeout().is_some_and(|at| at <= now.instant) {
            self.role.handle_timeout(now);
            self.drain();
        }
        if let Shutdown::Asked(until) = self.shutdown
            && until <= now.instant
            && self.exit.is_none()
        {
            tracing::warn!("the role did not end in time and is ended by force");
            self.exit = Some(FORCED);
        }
    }

    fn read_letters(&mut self) {
        for _ in 0..LETTERS_PER_TURN {
            let Ok(letter) = self.letters.try_recv() else { return };
            match letter {
                Letter::Stored { ticket, result } => self.feed(Input::Stored { ticket, result }),
                Letter::Posted { ticket, result } => self.feed(Input::Posted { ticket, result }),
                Letter::Resolved { conn, result } => {
                    self.streams.resolved(conn, result, self.clock.instant());
                    self.feed_news();
                }
                Letter::Stop => self.ask_to_stop(),
            }
        }
        // There may be more; the next turn must come without a new wake-up.
        self.mailbox.wake();
    }

    fn receive_datagrams(&mut self) {
        for _ in 0..DATAGRAMS_PER_TURN {
            if self.exit.is_some() {
                return;
            }
            let Some(Received { from, data, next }) = self.udp.as_mut().and_then(UdpPort::receive) else {
                return;
            };
            if let Some(next) = next {
                self.role.expect(next);
            }
            self.role.handle_datagram(self.clock.now(), from, data);
            self.progress += 1;
            self.drain();
            self.feed_news();
        }
    }

    fn ask_to_stop(&mut self) {
        match self.shutdown {
            Shutdown::NotAsked => {
                self.shutdown = Shutdown::Asked(self.clock.instant() + SHUTDOWN_GRACE);
                self.feed(Input::Shutdown);
            }
            Shutdown::Asked(_) => self.exit = self.exit.or(Some(FORCED)),
        }
    }

    /// Feeds what happened to byte streams and listeners while something else was done.
    fn feed_news(&mut self) {
        loop {
            if let Some((listener, result)) = self.listened.pop_front() {
                self.feed(Input::Listening { listener, result });
            } else if let Some(news) = self.streams.next_news() {
                self.feed_one(news, &[]);
            } else {
                return;
            }
        }
    }

    fn feed_one(&mut self, news: News, buffer: &[u8]) {
        match news {
            News::Opened { conn, listener, peer, local } => {
                self.feed(Input::Opened { conn, listener, peer, local });
            }
            News::Bytes { conn, len } => self.feed(Input::Bytes { conn, data: &buffer[..len] }),
            News::Sent { conn, bytes } => self.feed(Input::Sent { conn, bytes }),
            News::Closed { conn, reason } => self.feed(Input::Closed { conn, reason }),
        }
    }

    /// One thing in, everything out. After the role's end nothing goes in.
    fn feed(&mut self, input: Input<'_>) {
        if self.exit.is_none() {
            self.role.handle_input(self.clock.now(), input);
            self.progress += 1;
            self.drain();
        }
    }

    fn drain(&mut self) {
        let now = self.clock.now();
        loop {
            // A role may find out what it lacks (a key, an address) only when it is asked to send, so outputs come last.
            let mut silent = !self.transmit(now);
            while let Some(output) = self.role.poll_output(now) {
                silent = false;
                self.perform(now, output);
            }
            if silent {
                return;
            }
            self.progress += 1;
        }
    }

    /// Sends what the role has, as far as turn and kernel allow; whether it had anything.
    fn transmit(&mut self, now: Now) -> bool {
        let mut any = false;
        let (role, Some(udp)) = (&mut self.role, &mut self.udp) else { return false };
        loop {
            if self.burst == 0 {
                self.unsent = true;
                return any;
            }
            match udp.transmit(|buffer| role.poll_transmit(now, buffer)) {
                Polled::Some => any = true,
                Polled::Nothing => return any,
                Polled::Full => {
                    self.unsent = true;
                    return any;
                }
            }
            self.burst -= 1;
        }
    }

    fn perform(&mut self, now: Now, output: Output) {
        match output {
            Output::Listen(listener) => {
                let result = match self.places.remove(&listener) {
                    Some(place) => {
                        let shown = place.to_string();
                        let transport = place.transport();
                        let result = self.streams.listen(listener, place);
                        match (&result, listener) {
                            (Err(_), _) => {}
                            (Ok(()), Listener::Ipc) => {
                                tracing::info!(target: "pilot", socket = %shown, "IPC listening");
                            }
                            (Ok(()), Listener::Registry) => {
                                tracing::info!(target: "pilot", addr = %shown, transport, "registry listening");
                            }
                        }
                        result
                    }
                    None if self.connected.iter().any(|(through, _)| *through == listener) => Ok(()),
                    None => Err(format!("no place is configured for {listener:?}")),
                };
                self.listened.push_back((listener, result));
                for (_, socket) in self.connected.extract_if(.., |(through, _)| *through == listener) {
                    self.streams.adopt(listener, socket);
                }
            }
            Output::Connect { conn, to } => {
                self.streams.connect(conn, self.dials.get(&to), now.instant);
            }
            Output::Send { conn, data } => self.streams.send(conn, data),
            Output::Pause(conn) => self.streams.pause(conn),
            Output::Resume(conn) => self.streams.resume(conn),
            Output::Close(conn) => self.streams.close(conn, now.instant),
            Output::Store { ticket, store } => self.keeper.submit(ticket, store, &self.mailbox),
            Output::Post { ticket, url, body } => self.posts.submit(ticket, url, body),
            Output::Log(record) => log::emit(&record),
            Output::Exit(code) => self.exit = self.exit.or(Some(code)),
        }
    }
}

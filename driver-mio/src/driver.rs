//! The event loop: feeds a role one thing, performs what it puts out, and asks when it must be called again.
//!
//! Every turn is bounded and alternates: time, letters from threads, new connections, datagrams, reading, writing. No
//! peer and no kind of work can keep the others waiting for longer than one turn.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, ErrorKind},
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::mpsc::Receiver,
    time::Duration,
};

use mio::{Events, Poll, Token};
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
    mailbox::{Letter, Mailbox},
    outbox::Polled,
    signals::Signals,
    store::{Keeper, RecordStore},
    streams::{News, READ_PER_TURN, Streams},
    udp::UdpPort,
};

const WAKER: Token = Token(0);
const SIGNALS: Token = Token(1);
const UDP: Token = Token(2);
const FIRST_STREAM: usize = 3;

/// Datagrams taken in one turn.
const DATAGRAMS_PER_TURN: usize = 256;
/// Transmits (each up to 64 KiB) asked from the role in one turn.
const TRANSMITS_PER_TURN: usize = 256;
/// Letters of worker threads read in one turn.
const LETTERS_PER_TURN: usize = 1024;
/// Events taken from the operating system at once.
const EVENTS_PER_TURN: usize = 1024;
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
    /// Where each thing to dial is.
    pub dials: BTreeMap<Dial, Target>,
    /// The database of records. Without one, records are answered as durable and forgotten with the process.
    pub store: Option<RecordStore>,
    /// Directory of each area; made with mode 0700 when first written to.
    pub areas: BTreeMap<Area, PathBuf>,
    /// Whether SIGINT and SIGTERM end the role gracefully. They belong to the whole process.
    pub signals: bool,
}

/// Runs one role.
pub struct Driver<R> {
    role: R,
    clock: Clock,
    poll: Poll,
    mailbox: Mailbox,
    letters: Receiver<Letter>,
    udp: Option<UdpPort>,
    streams: Streams,
    places: BTreeMap<Listener, Place>,
    dials: BTreeMap<Dial, Target>,
    keeper: Keeper,
    posts: Posts,
    signals: Option<Signals>,
    /// Answers to outputs that must not be fed while outputs are drained.
    listened: VecDeque<(Listener, Result<(), String>)>,
    /// Transmits the role may still be asked for in this turn.
    burst: usize,
    /// The role may have datagrams it was not asked for.
    unsent: bool,
    exit: Option<u8>,
    shutdown: Shutdown,
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

/// Asks a running driver, from any thread, to shut its role down. A second call forces it.
#[derive(Clone, Debug)]
pub struct Stopper(Mailbox);

impl Stopper {
    /// As SIGTERM does.
    pub fn stop(&self) {
        self.0.post(Letter::Stop);
    }
}

impl<R: Role> Driver<R> {
    /// Prepares the loop; nothing is fed to `role` before [`Driver::run`]. `clock` is the one the role's constructor
    /// was given times of, if it was.
    ///
    /// # Errors
    /// If the operating system refuses the loop, the worker thread, or the UDP socket's options.
    pub fn new(role: R, clock: Clock, setup: Setup) -> io::Result<Self> {
        let poll = Poll::new()?;
        let (mailbox, letters) = Mailbox::new(poll.registry(), WAKER)?;
        let udp = setup.udp.map(|socket| UdpPort::new(socket, poll.registry(), UDP)).transpose()?;
        let signals = setup.signals.then(|| Signals::hook(poll.registry(), SIGNALS)).transpose()?;
        Ok(Driver {
            role,
            clock,
            streams: Streams::new(poll.registry().try_clone()?, mailbox.clone(), FIRST_STREAM),
            keeper: Keeper::start(setup.store, setup.areas, mailbox.clone())?,
            posts: Posts::new(mailbox.clone()),
            poll,
            mailbox,
            letters,
            udp,
            places: setup.listeners,
            dials: setup.dials,
            signals,
            listened: VecDeque::new(),
            burst: TRANSMITS_PER_TURN,
            unsent: false,
            exit: None,
            shutdown: Shutdown::NotAsked,
            progress: 0,
            idle_turns: 0,
        })
    }

    /// A handle that ends [`Driver::run`] from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.mailbox.clone())
    }

    /// Where the UDP socket is bound.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.udp.as_ref().map(UdpPort::local_addr)
    }

    /// Runs the role until it ends; its exit status. Everything it wrote is then on disk and, as far as the other sides
    /// read it, sent.
    ///
    /// # Errors
    /// If the operating system refuses to wait for events.
    pub fn run(&mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut buffer = vec![0; READ_PER_TURN];
        let udp = self.udp_addr();
        self.feed(Input::Started { udp });
        self.feed_news();
        loop {
            if let Some(code) = self.exit {
                self.finish(&mut events);
                return Ok(code);
            }
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => events.clear(),
                Err(e) => return Err(e),
            }
            self.guard_against_spinning(timeout, events.is_empty());
            self.turn(&events, &mut buffer);
        }
    }

    /// How long the loop may sleep.
    fn timeout(&self) -> Option<Duration> {
        let blocked = self.udp.as_ref().is_some_and(UdpPort::is_full);
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

    fn guard_against_spinning(&mut self, timeout: Option<Duration>, no_events: bool) {
        let idle = self.progress == 0 && no_events && timeout.is_some_and(|wait| wait <= SLOWED_TURN);
        self.idle_turns = if idle { self.idle_turns.saturating_add(1) } else { 0 };
        self.progress = 0;
        if self.idle_turns == MAX_IDLE_TURNS {
            let due = self.role.poll_timeout().map(|at| self.clock.instant().since(at));
            tracing::warn!(
                timer_overdue = ?due,
                udp_full = self.udp.as_ref().is_some_and(UdpPort::is_full),
                streams = self.streams.has_work(),
                unsent = self.unsent,
                "the event loop turns without progress and is slowed down"
            );
        }
    }

    fn turn(&mut self, events: &Events, buffer: &mut [u8]) {
        self.burst = TRANSMITS_PER_TURN;
        let now = self.clock.instant();
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => {
                    for _ in 0..self.signals.as_mut().map_or(0, Signals::take) {
                        self.ask_to_stop();
                    }
                }
                UDP => {
                    if let Some(udp) = &mut self.udp {
                        udp.ready(event.is_readable(), event.is_writable());
                    }
                }
                _ => {
                    self.streams.ready(event, now);
                }
            }
        }
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
        for _ in 0..reads {
            if let Some(news) = self.streams.read_next(buffer, now) {
                self.feed_one(news, buffer);
            }
            self.feed_news();
        }
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
            let Some((from, data)) = self.udp.as_mut().and_then(UdpPort::receive) else { return };
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
                    None => Err(format!("no place is configured for {listener:?}")),
                };
                self.listened.push_back((listener, result));
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

    /// The role has ended: what it wrote must still reach disk and peers.
    fn finish(&mut self, events: &mut Events) {
        let until = self.clock.instant() + FLUSH_GRACE;
        loop {
            let now = self.clock.instant();
            let udp_waits = match &mut self.udp {
                Some(udp) => {
                    udp.flush();
                    udp.is_full()
                }
                None => false,
            };
            let streams_done = self.streams.finish(now);
            if (streams_done && !udp_waits) || now >= until {
                break;
            }
            if self.poll.poll(events, Some(until.since(now))).is_err() {
                break;
            }
            for event in &*events {
                match (event.token(), &mut self.udp) {
                    (UDP, Some(udp)) => udp.ready(false, event.is_writable()),
                    _ => {
                        self.streams.ready(event, now);
                    }
                }
            }
        }
        self.keeper.finish();
        self.posts.finish();
    }
}

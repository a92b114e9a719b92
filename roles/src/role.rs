//! The one contract between a role and a driver: what goes in, what comes out.
//!
//! A driver feeds one thing ([`Role::handle_datagram`], [`Role::handle_input`], [`Role::handle_timeout`]), then drains
//! [`Role::poll_transmit`] and [`Role::poll_output`], in this order, until both return `None` in a row (being asked to send
//! may make a role want something else), then asks [`Role::poll_timeout`] for the one instant at which it must call back.
//! It takes no protocol decision.

use alloc::{string::String, vec::Vec};
use core::net::SocketAddr;

use pilot_proto::{
    Instant, Transmit,
    node::{PeerInfo, StreamInfo},
};

/// The time handed to a role: a monotonic instant for timers and a wall clock for what people and peers read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since the driver's start.
    pub instant: Instant,
    /// Wall clock: microseconds since 1970-01-01T00:00:00Z. May jump.
    pub unix_micros: i64,
}

impl Now {
    /// Wall clock in whole seconds since 1970.
    pub const fn unix_secs(self) -> i64 {
        self.unix_micros.div_euclid(1_000_000)
    }
}

/// A byte stream between the driver's operating system and somebody else: a TCP or Unix connection.
///
/// The side that creates a connection numbers it, so ids never collide and never need to be agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnId {
    /// Accepted by the driver; the driver counts.
    Accepted(u64),
    /// Asked for by the role with [`Output::Connect`]; the role counts.
    Dialed(u64),
}

/// What a role may listen on for byte streams. Where that is (path, address, TLS) is the driver's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Listener {
    /// The daemon's local socket for applications.
    Ipc,
    /// The registry's TCP port.
    Registry,
}

/// Who a role may dial. Where that is (address, TLS) is the driver's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dial {
    /// The registry the daemon was configured with.
    Registry,
}

/// Why a byte stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The other side closed it, after everything it sent was delivered.
    Eof,
    /// It could not be opened, or broke; the operating system's words.
    Failed(String),
}

/// One change of the transactional store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Table name.
    pub table: &'static str,
    /// Key inside the table.
    pub key: Vec<u8>,
    /// New value, or `None` to delete.
    pub value: Option<Vec<u8>>,
}

/// Directories a role may write files into; the driver maps them to paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Area {
    /// Beside the identity file: `identity.json`, `trust.json`, `account.json`.
    State,
    /// Messages for the operator, one JSON file each.
    Inbox,
    /// Files sent by peers.
    Received,
}

/// Something to make durable. The driver answers each with [`Input::Stored`], after fsync, in order of the tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// One transaction on the embedded store. The driver may commit several tickets together.
    Records(Vec<Change>),
    /// Atomically replace (temporary file, fsync, rename) a file of mode 0600.
    Replace {
        /// Directory.
        area: Area,
        /// Base name; never contains a separator.
        name: String,
        /// New content.
        bytes: Vec<u8>,
    },
    /// Create a file of mode 0600 that must not exist yet; fails with `"exists"` if it does.
    Create {
        /// Directory.
        area: Area,
        /// Base name; never contains a separator.
        name: String,
        /// Content.
        bytes: Vec<u8>,
    },
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Only for developers.
    Debug,
    /// Normal life.
    Info,
    /// Something was refused or had to be repaired.
    Warn,
    /// Something an operator must look at.
    Error,
}

/// One structured log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How loud.
    pub level: Level,
    /// What happened, a constant phrase that can be searched for.
    pub message: &'static str,
    /// Details, in order.
    pub fields: Vec<(&'static str, String)>,
}

/// One thing fed to a role.
#[derive(Debug)]
pub enum Input<'a> {
    /// The driver runs; the first input of all.
    Started {
        /// Where the role's UDP socket is bound, if it has one.
        udp: Option<SocketAddr>,
    },
    /// Answer to [`Output::Listen`].
    Listening {
        /// Which.
        listener: Listener,
        /// The operating system's words if it failed.
        result: Result<(), String>,
    },
    /// A byte stream is open.
    Opened {
        /// Its id: `Accepted` through `listener`, or `Dialed` by the role.
        conn: ConnId,
        /// Through which listener it came; `None` if dialled.
        listener: Option<Listener>,
        /// The other side, if it has an address.
        peer: Option<SocketAddr>,
        /// Our side, if it has an address.
        local: Option<SocketAddr>,
    },
    /// Bytes arrived on a byte stream, in order, cut anywhere.
    Bytes {
        /// Which.
        conn: ConnId,
        /// The bytes.
        data: &'a [u8],
    },
    /// The operating system took this many more bytes of what was sent with [`Output::Send`]: the role's measure of
    /// how much is still queued in the driver.
    Sent {
        /// Which.
        conn: ConnId,
        /// How many more.
        bytes: usize,
    },
    /// A byte stream ended, or could not be opened. Its id is never used again.
    Closed {
        /// Which.
        conn: ConnId,
        /// Why.
        reason: Closed,
    },
    /// A [`Output::Store`] is durable, or failed.
    Stored {
        /// The ticket of the output.
        ticket: u64,
        /// The operating system's words if it failed.
        result: Result<(), String>,
    },
    /// A [`Output::Post`] was answered.
    Posted {
        /// The ticket of the output.
        ticket: u64,
        /// HTTP status, or the words of the failure.
        result: Result<u16, String>,
    },
    /// The operator asked the role to end; it answers with [`Output::Exit`] when it has said goodbye.
    Shutdown,
}

/// One thing a role wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start to accept byte streams.
    Listen(Listener),
    /// Open a byte stream; answered by [`Input::Opened`] or [`Input::Closed`].
    Connect {
        /// The role's id for it.
        conn: ConnId,
        /// To whom.
        to: Dial,
    },
    /// Queue bytes on a byte stream. The driver never drops them silently: it writes them or closes the stream.
    Send {
        /// Which.
        conn: ConnId,
        /// What.
        data: Vec<u8>,
    },
    /// Stop reading from a byte stream (back-pressure), until [`Output::Resume`].
    Pause(ConnId),
    /// Read again.
    Resume(ConnId),
    /// Write what is queued, then close. No further input for this id but [`Input::Closed`] follows.
    Close(ConnId),
    /// Make something durable.
    Store {
        /// Comes back in [`Input::Stored`].
        ticket: u64,
        /// What.
        store: Store,
    },
    /// POST a JSON body; answered by [`Input::Posted`].
    Post {
        /// Comes back in [`Input::Posted`].
        ticket: u64,
        /// `http://` or `https://` URL.
        url: String,
        /// The body.
        body: Vec<u8>,
    },
    /// Tell the operator.
    Log(Record),
    /// The role has ended; the driver flushes and stops with this exit status.
    Exit(u8),
}

/// Is shown what a role holds; see [`Role::observe`]. Each method does nothing unless it is wanted.
pub trait Watcher {
    /// The role is this node.
    fn node(&mut self, _id: u32) {}

    /// One of its streams.
    fn stream(&mut self, _stream: &StreamInfo) {}

    /// One of its peers.
    fn peer(&mut self, _peer: &PeerInfo) {}
}

/// How full one table of a role is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What is in it.
    pub table: &'static str,
    /// Rows in use.
    pub used: usize,
    /// Rows there may be.
    pub max: usize,
    /// Nothing stays in it when all programs and connections are gone.
    pub transient: bool,
}

/// Whom a role waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// The registry.
    Registry,
    /// The beacon.
    Beacon,
    /// Another node.
    Node(u32),
    /// Its local programs, or who sits in front of them.
    Programs,
    /// Its disk.
    Disk,
    /// Its webhook's endpoint.
    Sink,
}

/// Something a role waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Whom.
    pub whom: Whom,
    /// What for, in words that follow "waits for".
    pub what: String,
    /// Since when, if that is known.
    pub since: Option<Instant>,
    /// When the role does something about it by itself, if it will.
    pub next: Option<Instant>,
}

/// A sans-IO machine that a driver runs. The same inputs in the same order give the same outputs, byte for byte.
pub trait Role {
    /// Feeds one UDP datagram, which the role may decrypt in place.
    fn handle_datagram(&mut self, now: Now, from: SocketAddr, data: &mut [u8]);

    /// Shows a datagram that will be fed soon, so that what it needs is fetched from memory meanwhile. Changes nothing;
    /// never needed.
    fn expect(&mut self, _data: &[u8]) {}

    /// Feeds one of the other things.
    fn handle_input(&mut self, now: Now, input: Input<'_>);

    /// Tells the role that the instant it asked for has come. A call with nothing due changes nothing.
    fn handle_timeout(&mut self, now: Now);

    /// Writes outgoing datagrams into `buf` (at least 65 536 bytes); call until `None`.
    #[must_use]
    fn poll_transmit(&mut self, now: Now, buf: &mut [u8]) -> Option<Transmit>;

    /// The next thing to do; call until `None`.
    #[must_use]
    fn poll_output(&mut self, now: Now) -> Option<Output>;

    /// When [`Role::handle_timeout`] must be called next; `None` is never.
    #[must_use]
    fn poll_timeout(&self) -> Option<Instant>;

    /// Shows everything it holds that a trace or a plot may want; changes nothing. A role without a node shows nothing.
    fn observe(&mut self, _watcher: &mut dyn Watcher) {}

    /// What it waits for, for whoever wants to explain why something does not finish; changes nothing.
    fn waits(&mut self) -> Vec<Wait> {
        Vec::new()
    }

    /// How full its tables are, for whoever watches it.
    fn fills(&self) -> Vec<Fill> {
        Vec::new()
    }
}

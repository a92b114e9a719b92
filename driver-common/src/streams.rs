//! Byte streams: the life of every connection from its opening to the last byte.
//!
//! Readiness is told once, so it is remembered per connection until the kernel says "would block", and what is
//! ready waits in a queue from which each turn takes every connection once: a busy one cannot starve the others.
//!
//! A connection ends gently: what is queued is written, the sending half is closed, and what the other side still sends
//! is read and dropped for a moment. Closing at once would make TCP throw away the last answer.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    io::ErrorKind,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    sync::Arc,
    time::Duration,
    vec,
};

use pilot_proto::Instant;
use pilot_roles::role::{Closed, ConnId, Listener};

use crate::{
    dial::{Resolved, Resolver, Target},
    doors::{self, Doors},
    listen::Place,
    mailbox::Mailbox,
    queue::Queue,
    reactor::{Reactor, Ready, Token, Watch},
    socket::{self, Socket},
    tls::DialTls,
};

/// Connections at a time; more wait in the kernel's backlog.
const MAX_CONNECTIONS: usize = 65_536;
/// Bytes read from one connection in one turn.
pub(crate) const READ_PER_TURN: usize = 65_536;
/// Bytes written to one connection in one turn.
const WRITE_PER_TURN: usize = 256 * 1024;
/// Bytes that may wait for one connection. The role keeps far below by counting what was sent; this is the last resort.
const MAX_QUEUED: usize = 64 << 20;
/// How long one address may take to answer a dial, and a host name to resolve.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a closed connection may make no progress with what is still queued.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what the other side still sends is read and dropped after the last byte.
const LINGER: Duration = Duration::from_secs(1);

/// What the role must be told about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    Opened {
        conn: ConnId,
        listener: Option<Listener>,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    },
    /// The first bytes of the buffer lent to [`Streams::read_next`].
    Bytes {
        conn: ConnId,
        len: usize,
    },
    Sent {
        conn: ConnId,
        bytes: usize,
    },
    Closed {
        conn: ConnId,
        reason: Closed,
    },
}

/// Where a connection is in its life.
enum Stage {
    /// Its host name is being resolved.
    Resolving,
    /// A TCP connection is on its way; the addresses to try after it.
    Connecting { socket: Arc<TcpStream>, rest: vec::IntoIter<SocketAddr> },
    /// Bytes flow.
    Open(Socket),
    /// The role, or the other side, has closed it; the queue is still written. The role hears the end if it closed it.
    Flushing { socket: Socket, role_waits: bool },
    /// Everything is written and the role has heard the end.
    Lingering(Socket),
}

struct Conn<W> {
    id: ConnId,
    /// Of its socket, once it has one. Before the socket, so that it ends first.
    watch: Option<W>,
    stage: Stage,
    queue: Queue,
    paused: bool,
    readable: bool,
    writable: bool,
    in_reads: bool,
    in_writes: bool,
    deadline: Option<Instant>,
    /// How to secure it once it is dialled.
    tls: Option<DialTls>,
}

impl<W: Watch> Conn<W> {
    fn arm_read(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.arm_read();
        }
    }

    fn arm_write(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.arm_write();
        }
    }
}

/// All byte streams of one role.
pub(crate) struct Streams<X: Reactor> {
    reactor: X,
    mailbox: Mailbox,
    resolver: Resolver,
    conns: HashMap<Token, Conn<X::Watch>>,
    tokens: HashMap<ConnId, Token>,
    doors: Doors<X::Watch>,
    next_token: usize,
    next_accepted: u64,
    reads: VecDeque<Token>,
    writes: VecDeque<Token>,
    deadlines: BTreeSet<(Instant, Token)>,
    news: VecDeque<News>,
}

impl<X: Reactor> Streams<X> {
    /// Uses tokens from `first_token` upwards.
    pub(crate) fn new(reactor: X, mailbox: Mailbox, first_token: usize) -> Self {
        Streams {
            reactor,
            mailbox,
            resolver: Resolver::default(),
            conns: HashMap::new(),
            tokens: HashMap::new(),
            doors: Doors::new(),
            next_token: first_token,
            next_accepted: 0,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            deadlines: BTreeSet::new(),
            news: VecDeque::new(),
        }
    }

    // ---- what the role wants ----

    pub(crate) fn listen(&mut self, name: Listener, place: Place) -> Result<(), String> {
        let token = self.new_token();
        self.doors.open(name, place, &self.reactor, token)
    }

    /// Takes a connection made elsewhere in this process as if it had come through `listener`.
    pub(crate) fn adopt(&mut self, listener: Listener, socket: UnixStream) {
        match doors::given(socket) {
            Ok(socket) => self.accepted(listener, socket),
            Err(error) => tracing::warn!(%error, "cannot use a connection of this process"),
        }
    }

    pub(crate) fn connect(&mut self, id: ConnId, target: Option<&Target>, now: Instant) {
        if self.tokens.contains_key(&id) {
            tracing::error!(conn = ?id, "a role dialled with an id that is in use");
            return;
        }
        let token = self.new_token();
        let resolved = match target {
            Some(target) => self.resolver.resolve(&target.addr, token, &self.mailbox),
            None => Err("nothing is configured to dial".to_owned()),
        };
        self.add(token, id).tls = target.and_then(|target| target.tls.clone());
        match resolved {
            Ok(Resolved::Now(addr)) => self.resolved(token, Ok(vec![addr]), now),
            Ok(Resolved::Later) => self.set_deadline(token, Some(now + CONNECT_TIMEOUT)),
            Err(words) => self.resolved(token, Err(words), now),
        }
    }

    pub(crate) fn send(&mut self, id: ConnId, data: Vec<u8>) {
        let Some((token, conn)) = self.by_id(id) else { return };
        if matches!(conn.stage, Stage::Flushing { .. } | Stage::Lingering(_)) {
            return;
        }
        conn.queue.push(data);
        if conn.queue.len() > MAX_QUEUED {
            self.fail(token, format!("more than {MAX_QUEUED} bytes are waiting to be sent"));
        } else {
            self.mark_write(token);
        }
    }

    pub(crate) fn pause(&mut self, id: ConnId) {
        if let Some((_, conn)) = self.by_id(id) {
            conn.paused = true;
        }
    }

    pub(crate) fn resume(&mut self, id: ConnId) {
        if let Some((token, conn)) = self.by_id(id) {
            conn.paused = false;
            self.mark_read(token);
        }
    }

    pub(crate) fn close(&mut self, id: ConnId, now: Instant) {
        let Some((token, conn)) = self.by_id(id) else { return };
        match std::mem::replace(&mut conn.stage, Stage::Resolving) {
            Stage::Open(socket) => {
                conn.stage = Stage::Flushing { socket, role_waits: true };
                self.set_deadline(token, Some(now + FLUSH_TIMEOUT));
                self.mark_write(token);
            }
            Stage::Resolving | Stage::Connecting { .. } => self.end(token, Closed::Eof),
            stage @ (Stage::Flushing { .. } | Stage::Lingering(_)) => conn.stage = stage,
        }
    }

    // ---- what the operating system says ----

    /// Takes note of an event; false if the token is not one of these.
    pub(crate) fn ready(&mut self, ready: Ready, now: Instant) -> bool {
        let token = ready.token;
        if self.doors.ready(token) {
            return true;
        }
        let Some(conn) = self.conns.get_mut(&token) else { return false };
        conn.readable |= ready.readable;
        conn.writable |= ready.writable;
        if matches!(conn.stage, Stage::Connecting { .. }) {
            self.connecting(token, now);
        } else {
            self.mark_read(token);
            self.mark_write(token);
        }
        true
    }

    /// The resolver's answer for the connection with this token.
    pub(crate) fn resolved(&mut self, token: Token, result: Result<Vec<SocketAddr>, String>, now: Instant) {
        match result {
            Ok(addrs) => self.dial_next(token, addrs.into_iter(), "the name has no address".to_owned(), now),
            Err(words) => self.fail(token, words),
        }
    }

    /// Does what the passing of time asks for.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((_, token)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.set_deadline(token, None);
            let Some(conn) = self.conns.get_mut(&token) else { continue };
            match std::mem::replace(&mut conn.stage, Stage::Resolving) {
                Stage::Connecting { rest, .. } => {
                    self.dial_next(token, rest, "no answer within 10 s".to_owned(), now);
                }
                Stage::Resolving => self.fail(token, "the name server did not answer within 10 s".to_owned()),
                Stage::Flushing { .. } => self.fail(token, "the other side stopped reading".to_owned()),
                Stage::Lingering(_) => self.forget(token),
                Stage::Open(socket) => conn.stage = Stage::Open(socket),
            }
        }
    }

    /// When [`Streams::expire`] or accepting has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        pilot_proto::time::earliest(self.deadlines.first().map(|(at, _)| *at), self.doors.next_deadline())
    }

    // ---- the work of a turn ----

    /// Whether a turn would find work without waiting for the operating system.
    pub(crate) fn has_work(&self) -> bool {
        !(self.reads.is_empty() && self.writes.is_empty() && self.news.is_empty()) || self.doors.has_work()
    }

    pub(crate) fn next_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    /// Accepts what waits, within the bounds of a turn. Returns how many.
    pub(crate) fn accept(&mut self, now: Instant) -> usize {
        let accepted = self.doors.accept(now, MAX_CONNECTIONS.saturating_sub(self.conns.len()));
        let count = accepted.len();
        for (name, socket) in accepted {
            self.accepted(name, socket);
        }
        count
    }

    /// How many connections wait to be read, and to be written: the length of a fair round.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        (self.reads.len(), self.writes.len())
    }

    /// Reads once from the next connection that has something. Call once per waiting connection; news may follow.
    pub(crate) fn read_next(&mut self, buffer: &mut [u8], now: Instant) -> Option<News> {
        let token = self.reads.pop_front()?;
        let conn = self.conns.get_mut(&token)?;
        conn.in_reads = false;
        let socket = match &mut conn.stage {
            Stage::Open(socket) if !conn.paused => socket,
            Stage::Flushing { socket, .. } | Stage::Lingering(socket) => socket,
            _ => return None,
        };
        let result = socket.read(buffer);
        // Reading moves a TLS session on: what it refused to write before, it may take now.
        conn.writable |= matches!(socket, Socket::Tls(_));
        match result {
            Ok(0) => self.end_of_input(token, now),
            Ok(len) => {
                let (conn_id, open) = (conn.id, matches!(conn.stage, Stage::Open(_)));
                self.mark_read(token);
                self.mark_write(token);
                return open.then_some(News::Bytes { conn: conn_id, len });
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                conn.readable = false;
                conn.arm_read();
                self.mark_write(token);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => self.mark_read(token),
            Err(e) => self.fail(token, e.to_string()),
        }
        None
    }

    /// Writes to the next connection that has something queued, and ends it if that was the last.
    pub(crate) fn write_next(&mut self, now: Instant) {
        let Some(token) = self.writes.pop_front() else { return };
        let Some(conn) = self.conns.get_mut(&token) else { return };
        conn.in_writes = false;
        let (Stage::Open(socket) | Stage::Flushing { socket, .. }) = &mut conn.stage else { return };
        let mut sent = 0;
        let failure = loop {
            if (conn.queue.is_empty() && !socket.has_pending()) || sent >= WRITE_PER_TURN {
                break None;
            }
            let written = if conn.queue.is_empty() {
                socket.push_pending().map(|()| 0)
            } else {
                socket.write_from(&mut conn.queue)
            };
            match written {
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    conn.writable = false;
                    if let Some(watch) = &mut conn.watch {
                        watch.arm_write();
                    }
                    break None;
                }
                Err(e) => break Some(e),
            }
        };
        if let Some(e) = failure {
            self.fail(token, e.to_string());
            return;
        }
        let (id, empty) = (conn.id, conn.queue.is_empty() && !socket.has_pending());
        match &conn.stage {
            Stage::Open(_) if sent > 0 => self.news.push_back(News::Sent { conn: id, bytes: sent }),
            Stage::Flushing { .. } if empty => return self.flushed(token, now),
            Stage::Flushing { .. } if sent > 0 => self.set_deadline(token, Some(now + FLUSH_TIMEOUT)),
            _ => {}
        }
        self.mark_write(token);
    }

    /// Stops accepting, closes everything gently; true when nothing is left to write.
    pub(crate) fn finish(&mut self, now: Instant) -> bool {
        self.doors.close();
        let ids: Vec<ConnId> = self.tokens.keys().copied().collect();
        for id in ids {
            self.close(id, now);
        }
        for _ in 0..self.writes.len() {
            self.write_next(now);
        }
        self.conns.values().all(|conn| matches!(conn.stage, Stage::Lingering(_)))
    }

    // ---- transitions ----

    fn accepted(&mut self, listener: Listener, socket: Socket) {
        let token = self.new_token();
        let watch = match self.reactor.watch(socket.descriptor(), token) {
            Ok(watch) => watch,
            Err(error) => {
                tracing::warn!(%error, "cannot watch an accepted connection");
                return;
            }
        };
        let id = ConnId::Accepted(self.next_accepted);
        self.next_accepted += 1;
        self.add(token, id).watch = Some(watch);
        self.open(token, socket, Some(listener));
    }

    fn open(&mut self, token: Token, socket: Socket, listener: Option<Listener>) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let (mut peer, mut local) = (None, None);
        if let Some(tcp) = socket.tcp() {
            // Requests and answers are small and whole; waiting to fill a segment only adds delay.
            let _ = tcp.set_nodelay(true);
            let plain = |addr: SocketAddr| SocketAddr::new(addr.ip().to_canonical(), addr.port());
            (peer, local) = (tcp.peer_addr().ok().map(plain), tcp.local_addr().ok().map(plain));
        }
        let id = conn.id;
        conn.stage = Stage::Open(socket);
        (conn.readable, conn.writable) = (true, true);
        self.set_deadline(token, None);
        self.news.push_back(News::Opened { conn: id, listener, peer, local });
        self.mark_read(token);
        self.mark_write(token);
    }

    fn dial_next(
        &mut self,
        token: Token,
        mut rest: vec::IntoIter<SocketAddr>,
        mut words: String,
        now: Instant,
    ) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        for addr in rest.by_ref() {
            // The watch of an address that failed goes first: the token is used again.
            conn.watch = None;
            let dialled = socket::connect(addr).and_then(|socket| {
                let mut watch = self.reactor.watch(socket.clone(), token)?;
                watch.arm_write();
                Ok((socket, watch))
            });
            match dialled {
                Ok((socket, watch)) => {
                    conn.watch = Some(watch);
                    conn.stage = Stage::Connecting { socket, rest };
                    self.set_deadline(token, Some(now + CONNECT_TIMEOUT));
                    return;
                }
                Err(e) => words = format!("{addr}: {e}"),
            }
        }
        self.fail(token, words);
    }

    fn connecting(&mut self, token: Token, now: Instant) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let (socket, rest) = match std::mem::replace(&mut conn.stage, Stage::Resolving) {
            Stage::Connecting { socket, rest } => (socket, rest),
            other => {
                conn.stage = other;
                return;
            }
        };
        let outcome = match socket.take_error() {
            Ok(Some(e)) | Err(e) => Err(e),
            Ok(None) => socket.peer_addr().map(|_| ()),
        };
        match outcome {
            Ok(()) => {
                let secured = match conn.tls.take() {
                    Some(tls) => tls.session(socket).map(Socket::Tls),
                    None => Ok(Socket::Tcp(socket)),
                };
                match secured {
                    Ok(socket) => self.open(token, socket, None),
                    Err(e) => self.fail(token, e.to_string()),
                }
            }
            Err(e) if e.kind() == ErrorKind::NotConnected => {
                conn.stage = Stage::Connecting { socket, rest };
                conn.arm_write();
            }
            Err(e) => self.dial_next(token, rest, e.to_string(), now),
        }
    }

    /// The other side sends no more.
    fn end_of_input(&mut self, token: Token, now: Instant) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        conn.readable = false;
        match std::mem::replace(&mut conn.stage, Stage::Resolving) {
            Stage::Open(socket) => {
                // It may still read: what the role has queued is for it.
                let id = conn.id;
                conn.stage = Stage::Flushing { socket, role_waits: false };
                self.tokens.remove(&id);
                self.news.push_back(News::Closed { conn: id, reason: Closed::Eof });
                self.set_deadline(token, Some(now + FLUSH_TIMEOUT));
                self.mark_write(token);
            }
            Stage::Lingering(_) => self.forget(token),
            stage => conn.stage = stage,
        }
    }

    /// The last byte is written.
    fn flushed(&mut self, token: Token, now: Instant) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        match std::mem::replace(&mut conn.stage, Stage::Resolving) {
            Stage::Flushing { mut socket, role_waits: true } => {
                let _ = socket.finish();
                let id = conn.id;
                conn.stage = Stage::Lingering(socket);
                self.tokens.remove(&id);
                self.news.push_back(News::Closed { conn: id, reason: Closed::Eof });
                self.set_deadline(token, Some(now + LINGER));
                self.mark_read(token);
            }
            // The other side has sent its last byte too.
            Stage::Flushing { role_waits: false, .. } => self.forget(token),
            stage => conn.stage = stage,
        }
    }

    fn fail(&mut self, token: Token, words: String) {
        self.end(token, Closed::Failed(words));
    }

    /// Drops a connection and tells the role, unless it knows.
    fn end(&mut self, token: Token, reason: Closed) {
        let Some(id) = self.conns.get(&token).map(|conn| conn.id) else { return };
        if self.tokens.remove(&id).is_some() {
            self.news.push_back(News::Closed { conn: id, reason });
        }
        self.forget(token);
    }

    /// Drops a connection; its watch and its descriptor end with it.
    fn forget(&mut self, token: Token) {
        self.set_deadline(token, None);
        self.conns.remove(&token);
    }

    // ---- bookkeeping ----

    fn new_token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }

    fn add(&mut self, token: Token, id: ConnId) -> &mut Conn<X::Watch> {
        let conn = Conn {
            id,
            watch: None,
            stage: Stage::Resolving,
            queue: Queue::default(),
            paused: false,
            readable: false,
            writable: false,
            in_reads: false,
            in_writes: false,
            deadline: None,
            tls: None,
        };
        self.tokens.insert(id, token);
        self.conns.entry(token).insert_entry(conn).into_mut()
    }

    fn by_id(&mut self, id: ConnId) -> Option<(Token, &mut Conn<X::Watch>)> {
        let token = *self.tokens.get(&id)?;
        self.conns.get_mut(&token).map(|conn| (token, conn))
    }

    fn mark_read(&mut self, token: Token) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let wanted = match conn.stage {
            Stage::Open(_) => !conn.paused,
            Stage::Lingering(_) => true,
            // After the role's Close its input is dropped only once everything is written.
            Stage::Flushing { .. } | Stage::Resolving | Stage::Connecting { .. } => false,
        };
        if wanted && conn.readable && !conn.in_reads {
            conn.in_reads = true;
            self.reads.push_back(token);
        }
    }

    fn mark_write(&mut self, token: Token) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        let wanted = match &conn.stage {
            Stage::Open(socket) => !conn.queue.is_empty() || socket.has_pending(),
            Stage::Flushing { .. } => true,
            Stage::Resolving | Stage::Connecting { .. } | Stage::Lingering(_) => false,
        };
        if wanted && conn.writable && !conn.in_writes {
            conn.in_writes = true;
            self.writes.push_back(token);
        }
    }

    fn set_deadline(&mut self, token: Token, at: Option<Instant>) {
        let Some(conn) = self.conns.get_mut(&token) else { return };
        if let Some(old) = std::mem::replace(&mut conn.deadline, at) {
            self.deadlines.remove(&(old, token));
        }
        if let Some(at) = at {
            self.deadlines.insert((at, token));
        }
    }
}

//! A node inside a program of threads, or a daemon of this host, as `Read` and `Write`.

use std::{
    future::{Future, poll_fn},
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Wake, Waker},
    thread,
    time::Duration,
};

use mio::{Interest, Poll, Token, unix::SourceFd};
use pilot_driver::embed::{
    self, Addr, Drive, Event, Exit, Hub, Launch, Node, PreparedRendezvous, SockAddr, Value, wait,
};
use pilot_roles::ipc::Request;

use crate::{Driver, Mio, Stopper};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// Says what a node should be; see [`Endpoint::builder`].
pub type Builder = embed::Builder<Mio>;

/// A registry and a beacon of this process's own, for tests and examples.
pub type LocalRendezvous = embed::LocalRendezvous<Mio>;

/// A node of one's own, or a daemon's. Clones are handles of the same.
///
/// ```no_run
/// # fn f() -> std::io::Result<()> {
/// use pilot_mio::Endpoint;
///
/// let endpoint = Endpoint::builder().registry("rendezvous.example:9000").hostname("agent-a").bind()?;
/// // or, with a daemon: let endpoint = Endpoint::local(pilot_mio::embed::DEFAULT_SOCKET)?;
/// let stream = endpoint.connect("agent-b:1000")?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint(embed::Endpoint);

impl Launch for Mio {
    type Bound = io::Result<Endpoint>;

    fn launch(builder: Builder) -> io::Result<Endpoint> {
        let prepared = builder.prepare()?;
        let mut driver = Driver::new(prepared.role, prepared.clock, prepared.setup)?;
        let exit = Exit::default();
        let node = Node { stopper: driver.stopper(), exit: exit.clone(), lock: prepared.lock };
        thread::Builder::new().name("pilot-node".into()).spawn(move || {
            let status = driver.run().unwrap_or_else(|error| {
                tracing::error!(%error, "the node's loop broke");
                1
            });
            // Its sockets end before anybody is told.
            drop(driver);
            exit.set(status);
        })?;
        let hub = pump(prepared.socket)?;
        block(embed::Endpoint::join(hub, Some(node))).map(Endpoint)
    }

    fn serve(prepared: PreparedRendezvous) -> io::Result<Stopper> {
        let mut driver = Driver::new(prepared.role, prepared.clock, prepared.setup)?;
        let stopper = driver.stopper();
        thread::Builder::new().name("rendezvous".into()).spawn(move || driver.run())?;
        Ok(stopper)
    }
}

fn block<T>(future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    within(None, future)
}

fn within<T>(timeout: Option<Duration>, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    wait(timeout, future).unwrap_or_else(|| Err(ErrorKind::TimedOut.into()))
}

impl Endpoint {
    /// A node inside this process, without a daemon.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The node of the daemon that listens at `socket`.
    ///
    /// # Errors
    /// If nobody does, or another user.
    pub fn local(socket: impl AsRef<Path>) -> io::Result<Endpoint> {
        let hub = pump(embed::open_socket(socket.as_ref())?)?;
        block(embed::Endpoint::join(hub, None)).map(Endpoint)
    }

    /// The futures below, for programs that mix threads and tasks.
    pub fn futures(&self) -> &embed::Endpoint {
        &self.0
    }

    /// The node's address.
    pub fn addr(&self) -> Addr {
        self.0.addr()
    }

    /// The address of a node: `0:0000.0000.0002`, `2`, or a name, which only trusted nodes may be found by.
    ///
    /// # Errors
    /// `NotFound` for a name nobody has or may tell us.
    pub fn resolve(&self, target: &str) -> io::Result<Addr> {
        block(self.0.resolve(target))
    }

    /// Opens a stream to `node:port`.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NotFound`, or the node's words.
    pub fn connect(&self, target: &str) -> io::Result<Stream> {
        block(self.0.connect(target)).map(Stream::new)
    }

    /// As [`Endpoint::connect`], for at most `timeout`.
    ///
    /// # Errors
    /// See there.
    pub fn connect_timeout(&self, target: &str, timeout: Duration) -> io::Result<Stream> {
        within(Some(timeout), self.0.connect(target)).map(Stream::new)
    }

    /// Accepts streams to a port.
    ///
    /// # Errors
    /// `AddrInUse` if somebody does already.
    pub fn listen(&self, port: u16) -> io::Result<Listener> {
        block(self.0.listen(port)).map(Listener)
    }

    /// Receives datagrams to a port.
    ///
    /// # Errors
    /// `AddrInUse` if this program does already.
    pub fn datagrams(&self, port: u16) -> io::Result<Datagrams> {
        self.0.datagrams(port).map(Datagrams)
    }

    /// Sends a datagram to `node:port`.
    ///
    /// # Errors
    /// If it is too long, or the node knows that it cannot be sent. Success does not mean that it arrives.
    pub fn send_datagram(&self, target: &str, data: &[u8]) -> io::Result<()> {
        block(self.0.send_datagram(target, data))
    }

    /// What happens on the node from now on, and before it the requests for trust that wait for an answer.
    ///
    /// # Errors
    /// `Unsupported` by daemons of other makers.
    pub fn events(&self) -> io::Result<Events> {
        block(self.0.events()).map(Events)
    }

    /// Asks a node for trust.
    ///
    /// # Errors
    /// The node's words.
    pub fn request_trust(&self, node: u32, justification: &str) -> io::Result<()> {
        block(self.0.request_trust(node, justification))
    }

    /// Says yes to a request.
    ///
    /// # Errors
    /// The node's words.
    pub fn approve(&self, node: u32) -> io::Result<()> {
        block(self.0.approve(node))
    }

    /// Says no to a request.
    ///
    /// # Errors
    /// The node's words.
    pub fn reject(&self, node: u32, reason: &str) -> io::Result<()> {
        block(self.0.reject(node, reason))
    }

    /// Ends trust.
    ///
    /// # Errors
    /// If there is none.
    pub fn revoke(&self, node: u32) -> io::Result<()> {
        block(self.0.revoke(node))
    }

    /// Waits until a node is trusted; whether it is.
    ///
    /// # Errors
    /// The node's words.
    pub fn wait_trusted(&self, node: u32, timeout: Duration) -> io::Result<bool> {
        block(self.0.wait_trusted(node, timeout))
    }

    /// Everything the node knows about itself.
    ///
    /// # Errors
    /// If the node has ended.
    pub fn info(&self) -> io::Result<Value> {
        block(self.0.info())
    }

    /// Any request of the local protocol that is answered with an object.
    ///
    /// # Errors
    /// The node's words.
    pub fn ask(&self, request: &Request<'_>) -> io::Result<Value> {
        block(self.0.ask(request))
    }

    /// See [`embed::Endpoint::shutdown`].
    pub fn shutdown(self) {
        let _ = wait(None, self.0.shutdown());
    }
}

struct Nudge(mio::Waker);

impl Wake for Nudge {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // It fails only when the kernel's counter is full, and then the pump is awake.
        let _ = self.0.wake();
    }
}

/// Moves bytes between a socket and the hub that is returned, on a thread of its own.
fn pump(socket: UnixStream) -> io::Result<Arc<Hub>> {
    let hub = Arc::new(Hub::default());
    let mut poll = Poll::new()?;
    let waker = Waker::from(Arc::new(Nudge(mio::Waker::new(poll.registry(), WAKER)?)));
    poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), SOCKET, Interest::READABLE)?;
    let pumped = hub.clone();
    thread::Builder::new().name("pilot-pump".into()).spawn(move || {
        let why = match work(&pumped, &socket, &mut poll, &waker) {
            Ok(()) => "the connection to the node was closed".to_owned(),
            Err(error) => error.to_string(),
        };
        pumped.end(&why);
    })?;
    Ok(hub)
}

fn work(hub: &Hub, socket: &UnixStream, poll: &mut Poll, waker: &Waker) -> io::Result<()> {
    let mut events = mio::Events::with_capacity(4);
    let (mut buffer, mut writing) = (Vec::new(), false);
    loop {
        let wants_room = match hub.drive(&mut Context::from_waker(waker), socket, &mut buffer) {
            Drive::Over => return Ok(()),
            Drive::Again => continue,
            Drive::Wait { write, .. } => write,
        };
        if wants_room != writing {
            let interest =
                if wants_room { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            poll.registry().reregister(&mut SourceFd(&socket.as_raw_fd()), SOCKET, interest)?;
            writing = wants_room;
        }
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e),
            _ => {}
        }
    }
}

/// A byte stream to a port of another node. [`Stream::shutdown`] delivers everything and still allows reading; with its
/// last handle it is closed both ways.
#[derive(Debug)]
pub struct Stream {
    stream: embed::Stream,
    timeouts: Arc<Timeouts>,
}

/// In microseconds; `u64::MAX` is for ever. Shared by all handles, as those of sockets are.
#[derive(Debug)]
struct Timeouts {
    read: AtomicU64,
    write: AtomicU64,
}

fn load(timeout: &AtomicU64) -> Option<Duration> {
    Some(timeout.load(Ordering::Relaxed)).filter(|micros| *micros != u64::MAX).map(Duration::from_micros)
}

fn store(timeout: &AtomicU64, value: Option<Duration>) -> io::Result<()> {
    if value.is_some_and(|value| value.is_zero()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a timeout of zero; None is for ever"));
    }
    let micros = value.map_or(u64::MAX, |value| u64::try_from(value.as_micros()).unwrap_or(u64::MAX).max(1));
    timeout.store(micros, Ordering::Relaxed);
    Ok(())
}

impl Stream {
    fn new(stream: embed::Stream) -> Self {
        let timeouts = Timeouts { read: AtomicU64::new(u64::MAX), write: AtomicU64::new(u64::MAX) };
        Stream { stream, timeouts: Arc::new(timeouts) }
    }

    /// The other side.
    pub fn peer(&self) -> SockAddr {
        self.stream.peer()
    }

    /// Its number, as `pilotctl connections` shows it.
    pub fn id(&self) -> u32 {
        self.stream.id()
    }

    /// Another handle of the same stream, with the same timeouts.
    ///
    /// # Errors
    /// Never; the signature is that of `TcpStream`.
    pub fn try_clone(&self) -> io::Result<Stream> {
        Ok(Stream { stream: self.stream.clone(), timeouts: self.timeouts.clone() })
    }

    /// How long a read may wait; `None` is for ever. It then fails with `TimedOut`.
    ///
    /// # Errors
    /// If the timeout is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        store(&self.timeouts.read, timeout)
    }

    /// How long a write, flush or shutdown may wait; `None` is for ever. It then fails with `TimedOut`.
    ///
    /// # Errors
    /// If the timeout is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        store(&self.timeouts.write, timeout)
    }

    /// Nothing more will be written, and everything written is the node's, which delivers it. What the other side still
    /// writes can be read, whatever `how` says.
    ///
    /// # Errors
    /// `Unsupported` for `Read` alone.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how == Shutdown::Read {
            return Err(ErrorKind::Unsupported.into());
        }
        within(load(&self.timeouts.write), poll_fn(|cx| self.stream.poll_close(cx)))
    }
}

impl Read for &Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        within(load(&self.timeouts.read), poll_fn(|cx| self.stream.poll_read(cx, buffer)))
    }
}

impl Write for &Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        within(load(&self.timeouts.write), poll_fn(|cx| self.stream.poll_write(cx, data)))
    }

    fn flush(&mut self) -> io::Result<()> {
        within(load(&self.timeouts.write), poll_fn(|cx| self.stream.poll_flush(cx)))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self).write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

/// Accepts streams to one port until it is dropped.
#[derive(Debug)]
pub struct Listener(embed::Listener);

impl Listener {
    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The next stream.
    ///
    /// # Errors
    /// If the node has ended.
    pub fn accept(&self) -> io::Result<Stream> {
        block(self.0.accept()).map(Stream::new)
    }

    /// As [`Listener::accept`], for at most `timeout`.
    ///
    /// # Errors
    /// `TimedOut`, or see there.
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<Stream> {
        within(Some(timeout), self.0.accept()).map(Stream::new)
    }

    /// The next streams, without end.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }
}

/// See [`Listener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a Listener);

impl Iterator for Incoming<'_> {
    type Item = io::Result<Stream>;

    fn next(&mut self) -> Option<io::Result<Stream>> {
        Some(self.0.accept())
    }
}

/// Datagrams to one port, until it is dropped. They may be lost, doubled or reordered, and are dropped while nobody reads.
#[derive(Debug)]
pub struct Datagrams(embed::Datagrams);

impl Datagrams {
    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port()
    }

    /// The next datagram and who sent it, waiting for at most `timeout` (`None`: for ever).
    ///
    /// # Errors
    /// `TimedOut`, or if the node has ended.
    pub fn recv(&self, timeout: Option<Duration>) -> io::Result<(Vec<u8>, SockAddr)> {
        within(timeout, self.0.recv())
    }
}

/// What happens on the node.
#[derive(Debug)]
pub struct Events(embed::Events);

impl Events {
    /// The next event, waiting for at most `timeout` (`None`: for ever).
    ///
    /// # Errors
    /// `TimedOut`, or if the node has ended.
    pub fn next(&mut self, timeout: Option<Duration>) -> io::Result<Event> {
        within(timeout, self.0.next())
    }
}

//! A node inside an async program, or a daemon of this host, as futures' streams.

use std::{
    future::Future,
    io,
    ops::Deref,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};
use pilot_driver::embed::{self, Addr, Drive, Event, Exit, Hub, Launch, Node, PreparedRendezvous, SockAddr};

use crate::{
    Async, Driver, Stopper,
    runtime::{self, Watched},
};

/// Says what a node should be; see [`Endpoint::builder`].
pub type Builder = embed::Builder<Async>;

/// A registry and a beacon of this process's own, for tests and examples.
pub type LocalRendezvous = embed::LocalRendezvous<Async>;

/// An endpoint on its way.
pub type Bind = Pin<Box<dyn Future<Output = io::Result<Endpoint>> + Send>>;

/// A node of one's own, or a daemon's. Clones are handles of the same.
///
/// ```no_run
/// # async fn f() -> std::io::Result<()> {
/// use pilot_async::Endpoint;
///
/// let endpoint = Endpoint::builder().registry("rendezvous.example:9000").hostname("agent-a").bind().await?;
/// // or, with a daemon: let endpoint = Endpoint::local(pilot_async::embed::DEFAULT_SOCKET).await?;
/// let stream = endpoint.connect("agent-b:1000").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint(embed::Endpoint);

/// Everything about names and trust is in [`embed::Endpoint`].
impl Deref for Endpoint {
    type Target = embed::Endpoint;

    fn deref(&self) -> &embed::Endpoint {
        &self.0
    }
}

impl Launch for Async {
    type Bound = Bind;

    fn launch(builder: Builder) -> Bind {
        Box::pin(async move {
            // Files and names take their time.
            let prepared = runtime::unblock(move || builder.prepare()).await?;
            let driver = Driver::new(prepared.role, prepared.clock, prepared.setup)?;
            let exit = Exit::default();
            let node = Node { stopper: driver.stopper(), exit: exit.clone(), lock: prepared.lock };
            runtime::spawn(async move { exit.set(driver.run().await) });
            let hub = pump(prepared.socket)?;
            embed::Endpoint::join(hub, Some(node)).await.map(Endpoint)
        })
    }

    fn serve(prepared: PreparedRendezvous) -> io::Result<Stopper> {
        let driver = Driver::new(prepared.role, prepared.clock, prepared.setup)?;
        let stopper = driver.stopper();
        runtime::spawn(async move {
            let _ = driver.run().await;
        });
        Ok(stopper)
    }
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
    pub async fn local(socket: impl AsRef<Path>) -> io::Result<Endpoint> {
        let hub = pump(embed::open_socket(socket.as_ref())?)?;
        embed::Endpoint::join(hub, None).await.map(Endpoint)
    }

    /// Opens a stream to `node:port`. Nothing is left behind if the future is dropped.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NotFound`, or the node's words.
    pub async fn connect(&self, target: &str) -> io::Result<Stream> {
        self.0.connect(target).await.map(Stream)
    }

    /// As [`Endpoint::connect`], to an address.
    ///
    /// # Errors
    /// See there.
    pub async fn connect_to(&self, to: SockAddr) -> io::Result<Stream> {
        self.0.connect_to(to).await.map(Stream)
    }

    /// Accepts streams to a port.
    ///
    /// # Errors
    /// `AddrInUse` if somebody does already.
    pub async fn listen(&self, port: u16) -> io::Result<Listener> {
        self.0.listen(port).await.map(Listener)
    }

    /// What happens on the node from now on, and before it the requests for trust that wait for an answer.
    ///
    /// # Errors
    /// `Unsupported` by daemons of other makers.
    pub async fn events(&self) -> io::Result<Events> {
        self.0.events().await.map(Events)
    }

    /// The node's address.
    pub fn addr(&self) -> Addr {
        self.0.addr()
    }

    /// See [`embed::Endpoint::shutdown`].
    pub async fn shutdown(self) {
        self.0.shutdown().await;
    }
}

/// Moves bytes between a socket and the hub that is returned, on a task of its own.
fn pump(socket: std::os::unix::net::UnixStream) -> io::Result<Arc<Hub>> {
    let hub = Arc::new(Hub::default());
    let watched = Watched::new(socket)?;
    let pumped = hub.clone();
    runtime::spawn(async move {
        let mut buffer = Vec::new();
        std::future::poll_fn(|cx| {
            loop {
                let (read, write) = match pumped.drive(cx, watched.get(), &mut buffer) {
                    Drive::Over => return Poll::Ready(()),
                    Drive::Again => {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Drive::Wait { read, write } => (read, write),
                };
                let readable = read && watched.poll_readable(cx).is_ready();
                let writable = write && watched.poll_writable(cx).is_ready();
                if !readable && !writable {
                    return Poll::Pending;
                }
            }
        })
        .await;
        pumped.end("the connection to the node was closed");
    });
    Ok(hub)
}

/// A byte stream to a port of another node. Closing it with `close` delivers everything and still allows reading; with
/// its last handle it is closed both ways.
#[derive(Clone, Debug)]
pub struct Stream(embed::Stream);

impl Stream {
    /// The other side.
    pub fn peer(&self) -> SockAddr {
        self.0.peer()
    }

    /// Its number, as `pilotctl connections` shows it.
    pub fn id(&self) -> u32 {
        self.0.id()
    }
}

impl AsyncRead for &Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for &Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_close(cx)
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

    /// The next stream. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn accept(&self) -> io::Result<Stream> {
        self.0.accept().await.map(Stream)
    }

    /// The next streams as a stream that never ends but with an error.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming(self)
    }
}

/// See [`Listener::incoming`].
#[derive(Debug)]
pub struct Incoming<'a>(&'a Listener);

impl futures_core::Stream for Incoming<'_> {
    type Item = io::Result<Stream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Stream>>> {
        self.0.0.poll_accept(cx).map(|accepted| Some(accepted.map(Stream)))
    }
}

pub use pilot_driver::embed::Datagrams;

/// What happens on the node, as a stream that never ends but with an error.
#[derive(Debug)]
pub struct Events(embed::Events);

impl Events {
    /// The next event. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn next(&mut self) -> io::Result<Event> {
        self.0.next().await
    }
}

impl futures_core::Stream for Events {
    type Item = io::Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Event>>> {
        self.0.poll_next(cx).map(Some)
    }
}

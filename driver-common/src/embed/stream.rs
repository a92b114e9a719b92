//! What an [`Endpoint`](super::Endpoint) gives out: streams, listeners, datagrams, events.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io::{self, ErrorKind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use pilot_proto::SockAddr;
use pilot_roles::{ipc::Request, json::Value};

use super::{endpoint::Shared, hub::State};

/// A byte stream to a port of another node. Clones are handles of the same stream; with the last one it is closed.
#[derive(Clone, Debug)]
pub struct Stream(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    id: u32,
    peer: SockAddr,
    /// Where a flush that was begun ends, and a close; 0 if none was.
    flush_mark: AtomicU64,
    close_mark: AtomicU64,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id).field("peer", &self.peer).finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, id: u32, peer: SockAddr) -> Self {
        let (flush_mark, close_mark) = (AtomicU64::new(0), AtomicU64::new(0));
        Stream(Arc::new(Inner { shared, id, peer, flush_mark, close_mark }))
    }

    /// The other side.
    pub fn peer(&self) -> SockAddr {
        self.0.peer
    }

    /// Its number, as `pilotctl connections` shows it.
    pub fn id(&self) -> u32 {
        self.0.id
    }

    /// Reads; 0 is the end, after everything the other side wrote.
    ///
    /// # Errors
    /// `ConnectionReset` if the stream ended early, after everything that did arrive.
    pub fn poll_read(&self, cx: &Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.0.shared.hub.poll_read(cx, self.0.id, buffer)
    }

    /// Writes as much as there is room for.
    ///
    /// # Errors
    /// `BrokenPipe` if the stream was closed from here, or is over.
    pub fn poll_write(&self, cx: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.0.shared.hub.poll_write(cx, self.0.id, data)
    }

    /// Ready once the node has everything written so far; it delivers it whatever becomes of this handle.
    ///
    /// # Errors
    /// If the node has ended.
    pub fn poll_flush(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.poll_mark(cx, &self.0.flush_mark, true)
    }

    /// Says that nothing more will be written, and is ready as [`Stream::poll_flush`]. What the other side still writes
    /// can be read.
    ///
    /// # Errors
    /// If the node has ended.
    pub fn poll_close(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        self.0.shared.hub.finish(self.0.id);
        self.poll_mark(cx, &self.0.close_mark, false)
    }

    fn poll_mark(&self, cx: &Context<'_>, mark: &AtomicU64, again: bool) -> Poll<io::Result<()>> {
        let hub = &self.0.shared.hub;
        // A second caller may wait for a little more than it asked for.
        let until = match mark.load(Ordering::Relaxed) {
            0 => {
                let until = hub.mark();
                mark.store(until, Ordering::Relaxed);
                until
            }
            until => until,
        };
        let done = hub.poll_flushed(cx, until);
        if again && done.is_ready() {
            mark.store(0, Ordering::Relaxed);
        }
        done
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.hub.close(self.id);
    }
}

/// Accepts streams to one port until it is dropped.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    port: u16,
}

impl Listener {
    pub(super) fn new(shared: Arc<Shared>, port: u16) -> Self {
        Listener { shared, port }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next stream.
    ///
    /// # Errors
    /// If the node has ended.
    pub fn poll_accept(&self, cx: &Context<'_>) -> Poll<io::Result<Stream>> {
        let mut state = self.shared.hub.state();
        let State { listeners, gone, .. } = &mut *state;
        let Some(backlog) = listeners.get_mut(&self.port) else {
            return Poll::Ready(Err(ErrorKind::NotConnected.into()));
        };
        match (backlog.waiting.pop_front(), gone) {
            (Some((id, peer)), _) => Poll::Ready(Ok(Stream::new(self.shared.clone(), id, peer))),
            (None, Some(why)) => Poll::Ready(Err(io::Error::new(ErrorKind::NotConnected, why.clone()))),
            (None, None) => {
                backlog.acceptors.add(cx);
                Poll::Pending
            }
        }
    }

    /// The next stream. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn accept(&self) -> io::Result<Stream> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.hub.with(|state| {
            for (stream, _) in state.listeners.remove(&self.port).unwrap_or_default().waiting {
                state.close(stream);
            }
            if state.gone.is_none() {
                let _ = state.client.call(&Request::Unbind { port: self.port });
            }
        });
    }
}

/// Datagrams to one port, until it is dropped. They may be lost, doubled or reordered, and are dropped while nobody reads.
#[derive(Debug)]
pub struct Datagrams {
    shared: Arc<Shared>,
    port: u16,
}

impl Datagrams {
    pub(super) fn new(shared: Arc<Shared>, port: u16) -> Self {
        Datagrams { shared, port }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The next datagram and who sent it. The sender's port is one of its own for each, not one to answer to.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn recv(&self) -> io::Result<(Vec<u8>, SockAddr)> {
        poll_fn(|cx| {
            let mut state = self.shared.hub.state();
            let State { datagrams, gone, .. } = &mut *state;
            let Some(mailbag) = datagrams.get_mut(&self.port) else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            match (mailbag.things.pop_front(), gone) {
                (Some((from, data)), _) => Poll::Ready(Ok((data, from))),
                (None, Some(why)) => Poll::Ready(Err(io::Error::new(ErrorKind::NotConnected, why.clone()))),
                (None, None) => {
                    mailbag.readers.add(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.shared.hub.state().datagrams.remove(&self.port);
    }
}

/// What happens on the node.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A node asks for trust; answer with `approve` or `reject`.
    TrustRequested {
        /// Who.
        node: u32,
        /// Its reason, as it says.
        justification: String,
    },
    /// A node and this one trust each other now.
    Trusted {
        /// Who.
        node: u32,
    },
    /// A node and this one do not trust each other any more.
    TrustEnded {
        /// Who.
        node: u32,
    },
    /// Anything else, as webhooks name it.
    Other {
        /// The event's name.
        name: String,
        /// Its details.
        data: Value,
    },
}

impl Event {
    fn of(notice: &Value) -> Self {
        let name = notice.get("event").and_then(Value::as_str).unwrap_or_default();
        let data = notice.get("data").cloned().unwrap_or_default();
        let node = data.get("peer_node_id").and_then(Value::as_u64).and_then(|node| node.try_into().ok());
        match (name, node) {
            ("handshake.pending", Some(node)) => {
                let words = data.get("justification").and_then(Value::as_str).unwrap_or_default();
                Event::TrustRequested { node, justification: words.to_owned() }
            }
            ("handshake.approved" | "handshake.accepted" | "handshake.auto_approved", Some(node)) => {
                Event::Trusted { node }
            }
            ("trust.revoked" | "trust.revoked_by_peer", Some(node)) => Event::TrustEnded { node },
            _ => Event::Other { name: name.to_owned(), data },
        }
    }
}

/// What happens on the node, from the moment this was made. Events are dropped while nobody reads.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
    reader: u64,
    /// Requests that waited already.
    first: VecDeque<Event>,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>, reader: u64) -> Self {
        Events { shared, reader, first: VecDeque::new() }
    }

    pub(super) fn put_first(&mut self, event: Event) {
        self.first.push_back(event);
    }

    /// The next event.
    ///
    /// # Errors
    /// If the node has ended.
    pub fn poll_next(&mut self, cx: &Context<'_>) -> Poll<io::Result<Event>> {
        if let Some(event) = self.first.pop_front() {
            return Poll::Ready(Ok(event));
        }
        let mut state = self.shared.hub.state();
        let State { events, gone, .. } = &mut *state;
        let mailbag = events.entry(self.reader).or_default();
        match (mailbag.things.pop_front(), gone) {
            (Some(notice), _) => Poll::Ready(Ok(Event::of(&notice))),
            (None, Some(why)) => Poll::Ready(Err(io::Error::new(ErrorKind::NotConnected, why.clone()))),
            (None, None) => {
                mailbag.readers.add(cx);
                Poll::Pending
            }
        }
    }

    /// The next event. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn next(&mut self) -> io::Result<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.hub.state().events.remove(&self.reader);
    }
}

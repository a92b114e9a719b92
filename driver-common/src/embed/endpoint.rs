//! A node as its program sees it: names, streams, ports, trust.

use std::{
    fmt,
    fs::File,
    future::poll_fn,
    io::{self, ErrorKind},
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use pilot_proto::{Addr, SockAddr};
use pilot_roles::{
    client::{Answer, CallId},
    ipc::{HandshakeRequest, Request},
    json::Value,
};

use super::{
    hub::{Backlog, Hub, Mailbag},
    stream::{Datagrams, Event, Events, Listener, Stream},
    wakers::Wakers,
};
use crate::Stopper;

/// Where a driver says that its node has ended.
#[derive(Clone, Debug, Default)]
pub struct Exit(Arc<Mutex<(Option<u8>, Wakers)>>);

impl Exit {
    /// The node has ended with this status.
    pub fn set(&self, status: u8) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guard.0 = Some(status);
        let waiting = std::mem::take(&mut guard.1);
        drop(guard);
        waiting.wake();
    }

    async fn status(&self) -> u8 {
        poll_fn(|cx| {
            let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match guard.0 {
                Some(status) => Poll::Ready(status),
                None => {
                    guard.1.add(cx);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

/// A node inside this process.
#[derive(Debug)]
pub struct Node {
    /// Ends it.
    pub stopper: Stopper,
    /// Its end.
    pub exit: Exit,
    /// Nobody else may use its identity meanwhile.
    pub lock: Option<File>,
}

/// What streams, listeners and endpoints of one node share. The node lives as long as one of them.
pub(super) struct Shared {
    pub(super) hub: Arc<Hub>,
    node: Option<Node>,
    addr: Addr,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let node = self.node.take();
        // Its lock goes with it.
        self.hub.leave(node.map(|node| node.stopper));
    }
}

/// A call under way; dropped, it is given up.
struct Call<'a> {
    hub: &'a Hub,
    id: Option<CallId>,
}

impl Call<'_> {
    async fn answer(mut self) -> io::Result<Answer> {
        let Some(id) = self.id else { return Ok(Answer::Sent) };
        let answer = poll_fn(|cx| self.hub.poll_answer(cx, id)).await;
        self.id = None;
        answer.map_err(refusal)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.hub.forget_call(id);
        }
    }
}

fn call<'a>(hub: &'a Hub, request: &Request<'_>) -> Call<'a> {
    Call { hub, id: hub.call(request) }
}

/// The node's words as the kind of error a program can decide by.
fn refusal(words: String) -> io::Error {
    let kind = match words.as_str() {
        w if w.contains("refused") => ErrorKind::ConnectionRefused,
        w if w.contains("timeout") => ErrorKind::TimedOut,
        w if w.contains("already bound") => ErrorKind::AddrInUse,
        w if w.contains("not found") => ErrorKind::NotFound,
        _ => ErrorKind::Other,
    };
    io::Error::new(kind, words)
}

/// A node. Clones are handles of the same; the node ends, or the daemon is left, when the last of them and of the streams
/// and listeners made with them is dropped.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Shared>);

impl Endpoint {
    /// Waits until the node behind `hub` has joined its network. The pump must run.
    ///
    /// # Errors
    /// If the node ends first.
    pub async fn join(hub: Arc<Hub>, node: Option<Node>) -> io::Result<Self> {
        // Dropped on an error, this ends the node.
        let mut shared = Shared { hub, node, addr: Addr::default() };
        // Daemons of other makers refuse, and serve us all the same.
        let extended = call(&shared.hub, &Request::Extend { events: false }).answer().await;
        tracing::debug!(extended = extended.is_ok(), "joined a node");
        let info = match call(&shared.hub, &Request::Info).answer().await {
            Ok(Answer::Json(_, info)) => info,
            Ok(_) => Value::Null,
            Err(error) => {
                let Some(node) = &shared.node else { return Err(error) };
                let status = node.exit.status().await;
                return Err(io::Error::new(
                    ErrorKind::NotConnected,
                    format!("the node could not join the network (status {status}); its log says why"),
                ));
            }
        };
        let addr = info.get("address").and_then(Value::as_str).and_then(|addr| addr.parse().ok());
        shared.addr = addr.ok_or_else(|| io::Error::other("the daemon has no address"))?;
        Ok(Endpoint(Arc::new(shared)))
    }

    /// The node's address.
    pub fn addr(&self) -> Addr {
        self.0.addr
    }

    /// The address of a node: `0:0000.0000.0002`, `2`, or a name, which only trusted nodes may be found by.
    ///
    /// # Errors
    /// `NotFound` for a name nobody has or may tell us.
    pub async fn resolve(&self, target: &str) -> io::Result<Addr> {
        if let Ok(addr) = target.parse() {
            return Ok(addr);
        }
        if !target.is_empty() && target.bytes().all(|byte| byte.is_ascii_digit()) {
            return target.parse().map(Addr::backbone).map_err(|_| unfound(target));
        }
        let answer = self.ask(&Request::ResolveHostname { name: target.into() }).await?;
        let addr = answer.get("address").and_then(Value::as_str).and_then(|addr| addr.parse().ok());
        addr.ok_or_else(|| unfound(target))
    }

    /// `node:port` with a node as in [`Endpoint::resolve`].
    async fn resolve_port(&self, target: &str) -> io::Result<SockAddr> {
        let port = |(node, port): (_, &str)| port.parse().ok().map(|port: u16| (node, port));
        let Some((node, port)) = target.rsplit_once(':').and_then(port) else {
            let words = format!("{target:?} is not <node>:<port>, such as agent-b:1000");
            return Err(io::Error::new(ErrorKind::InvalidInput, words));
        };
        Ok(SockAddr::new(self.resolve(node).await?, port))
    }

    /// Opens a stream to `node:port`. Nothing is left behind if the future is dropped.
    ///
    /// # Errors
    /// `ConnectionRefused`, `TimedOut`, `NotFound`, or the node's words.
    pub async fn connect(&self, target: &str) -> io::Result<Stream> {
        self.connect_to(self.resolve_port(target).await?).await
    }

    /// As [`Endpoint::connect`], to an address.
    ///
    /// # Errors
    /// See there.
    pub async fn connect_to(&self, to: SockAddr) -> io::Result<Stream> {
        match call(&self.0.hub, &Request::Dial { to }).answer().await? {
            Answer::Connected(id) => Ok(Stream::new(self.0.clone(), id, to)),
            other => Err(io::Error::other(format!("{other:?} instead of a stream"))),
        }
    }

    /// Accepts streams to a port.
    ///
    /// # Errors
    /// `AddrInUse` if somebody does already.
    pub async fn listen(&self, port: u16) -> io::Result<Listener> {
        // Before the answer: the first stream may come right behind it.
        let free = self.0.hub.with(|state| match state.listeners.contains_key(&port) {
            true => false,
            false => state.listeners.insert(port, Backlog::default()).is_none(),
        });
        if !free {
            return Err(io::Error::new(ErrorKind::AddrInUse, format!("port {port} already bound")));
        }
        // Dropped before the answer, it gives the port back.
        let listener = Listener::new(self.0.clone(), port);
        call(&self.0.hub, &Request::Bind { port }).answer().await?;
        Ok(listener)
    }

    /// Receives datagrams to a port.
    ///
    /// # Errors
    /// `AddrInUse` if this program does already.
    pub fn datagrams(&self, port: u16) -> io::Result<Datagrams> {
        let mut state = self.0.hub.state();
        if state.datagrams.contains_key(&port) {
            return Err(io::Error::new(
                ErrorKind::AddrInUse,
                format!("datagrams to port {port} are received already"),
            ));
        }
        state.datagrams.insert(port, Mailbag::default());
        drop(state);
        Ok(Datagrams::new(self.0.clone(), port))
    }

    /// Sends a datagram to `node:port`.
    ///
    /// # Errors
    /// If it is too long, or the node knows that it cannot be sent. Success does not mean that it arrives.
    pub async fn send_datagram(&self, target: &str, data: &[u8]) -> io::Result<()> {
        let to = self.resolve_port(target).await?;
        call(&self.0.hub, &Request::SendToConfirmed { to, data }).answer().await.map(drop)
    }

    /// What happens on the node from now on, and before it the requests for trust that wait for an answer.
    ///
    /// # Errors
    /// `Unsupported` by daemons of other makers.
    pub async fn events(&self) -> io::Result<Events> {
        let reader = self.0.hub.with(|state| {
            state.next_reader += 1;
            state.events.insert(state.next_reader, Mailbag::default());
            state.next_reader
        });
        let mut events = Events::new(self.0.clone(), reader);
        if call(&self.0.hub, &Request::Extend { events: true }).answer().await.is_err() {
            return Err(io::Error::new(ErrorKind::Unsupported, "this daemon does not tell what happens"));
        }
        let pending = self.ask(&Request::Handshake(HandshakeRequest::Pending)).await?;
        for request in pending.get("pending").and_then(Value::as_array).into_iter().flatten() {
            let node = request.get("node_id").and_then(Value::as_u64).and_then(|node| node.try_into().ok());
            let words = request.get("justification").and_then(Value::as_str).unwrap_or_default();
            if let Some(node) = node {
                events.put_first(Event::TrustRequested { node, justification: words.to_owned() });
            }
        }
        Ok(events)
    }

    /// Asks a node for trust. If it asks us too, both trust each other; else it has to approve.
    ///
    /// # Errors
    /// The node's words.
    pub async fn request_trust(&self, node: u32, justification: &str) -> io::Result<()> {
        let justification = justification.into();
        self.ask(&Request::Handshake(HandshakeRequest::Request { node, justification })).await.map(drop)
    }

    /// Says yes to a request.
    ///
    /// # Errors
    /// The node's words.
    pub async fn approve(&self, node: u32) -> io::Result<()> {
        self.ask(&Request::Handshake(HandshakeRequest::Approve { node })).await.map(drop)
    }

    /// Says no to a request.
    ///
    /// # Errors
    /// The node's words.
    pub async fn reject(&self, node: u32, reason: &str) -> io::Result<()> {
        self.ask(&Request::Handshake(HandshakeRequest::Reject { node, reason: reason.into() }))
            .await
            .map(drop)
    }

    /// Ends trust.
    ///
    /// # Errors
    /// If there is none.
    pub async fn revoke(&self, node: u32) -> io::Result<()> {
        self.ask(&Request::Handshake(HandshakeRequest::Revoke { node })).await.map(drop)
    }

    /// Waits until a node is trusted; whether it is.
    ///
    /// # Errors
    /// The node's words.
    pub async fn wait_trusted(&self, node: u32, timeout: Duration) -> io::Result<bool> {
        let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        let answer = self.ask(&Request::Handshake(HandshakeRequest::Wait { node, timeout_ms })).await?;
        Ok(answer.get("trusted").and_then(Value::as_bool).unwrap_or(false))
    }

    /// Everything the node knows about itself.
    ///
    /// # Errors
    /// If the node has ended.
    pub async fn info(&self) -> io::Result<Value> {
        self.ask(&Request::Info).await
    }

    /// Any request of the local protocol that is answered with an object.
    ///
    /// # Errors
    /// The node's words.
    pub async fn ask(&self, request: &Request<'_>) -> io::Result<Value> {
        match call(&self.0.hub, request).answer().await? {
            Answer::Json(_, value) => Ok(value),
            _ => Ok(Value::Null),
        }
    }

    /// Ends the node: streams are finished, what was written is delivered as far as peers answer within seconds, the
    /// registry hears goodbye. Of a daemon it only leaves the connection. Everything else of this endpoint fails from then
    /// on.
    pub async fn shutdown(self) {
        // Requests are handled in order: the node has read everything that was written once it answers this one.
        let _ = self.ask(&Request::Health).await;
        match &self.0.node {
            Some(node) => {
                node.stopper.stop();
                node.exit.status().await;
            }
            None => self.0.hub.leave(None),
        }
    }
}

fn unfound(target: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("{target}: no such node, or it does not trust this one"))
}

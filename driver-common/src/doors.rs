//! Accepting: the listeners of a role on the engine, a bounded number of callers a turn, and a pause when the
//! system has no descriptors left.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    net::TcpListener,
    os::unix::net::{UnixListener, UnixStream},
    sync::Arc,
    time::Duration,
};

use pilot_proto::Instant;
use pilot_roles::Listener;

use crate::{
    listen::{self, Place, UnixPlace},
    reactor::{Descriptor, Reactor, Token, Watch},
    socket::Socket,
    tls::ServeTls,
};

/// Connections accepted from one listener in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Pause after accepting failed for want of descriptors, memory or room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

enum Acceptor {
    Tcp(Arc<TcpListener>, Option<ServeTls>),
    Unix(#[expect(dead_code, reason = "removes the socket file when dropped")] UnixPlace, Arc<UnixListener>),
}

impl Acceptor {
    fn accept(&self) -> io::Result<Socket> {
        match self {
            Acceptor::Tcp(listener, tls) => {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                let socket = Arc::new(socket);
                match tls {
                    None => Ok(Socket::Tcp(socket)),
                    Some(tls) => tls.session(socket).map(Socket::Tls),
                }
            }
            Acceptor::Unix(_, listener) => listener.accept().and_then(|(socket, _)| given(socket)),
        }
    }

    fn descriptor(&self) -> Descriptor {
        match self {
            Acceptor::Tcp(listener, _) => listener.clone(),
            Acceptor::Unix(_, listener) => listener.clone(),
        }
    }
}

/// A connection made elsewhere in this process.
pub(crate) fn given(socket: UnixStream) -> io::Result<Socket> {
    socket.set_nonblocking(true)?;
    Ok(Socket::Unix(Arc::new(socket)))
}

struct Door<W> {
    name: Listener,
    /// Before the acceptor, so that it ends first.
    watch: W,
    acceptor: Acceptor,
    ready: bool,
    /// Not before this instant, after a failure.
    paused_until: Option<Instant>,
}

/// All listeners of one role.
pub(crate) struct Doors<W>(BTreeMap<Token, Door<W>>);

impl<W: Watch> Doors<W> {
    /// None.
    pub(crate) const fn new() -> Self {
        Doors(BTreeMap::new())
    }

    /// Binds what is not bound, and listens.
    pub(crate) fn open<X: Reactor<Watch = W>>(
        &mut self,
        name: Listener,
        place: Place,
        reactor: &X,
        token: Token,
    ) -> Result<(), String> {
        let acceptor = match place {
            Place::Unix(path) => {
                let (listener, place) = listen::bind_unix(&path)?;
                listener.set_nonblocking(true).map_err(|e| e.to_string())?;
                Acceptor::Unix(place, Arc::new(listener))
            }
            Place::Tcp(addr) => {
                let listener = listen::bind_tcp(&addr).map_err(|e| e.to_string())?;
                Acceptor::Tcp(Arc::new(listener), None)
            }
            Place::Bound(listener, tls) => {
                listener.set_nonblocking(true).map_err(|e| e.to_string())?;
                Acceptor::Tcp(Arc::new(listener), tls)
            }
        };
        let watch = reactor.watch(acceptor.descriptor(), token).map_err(|e| e.to_string())?;
        self.0.insert(token, Door { name, watch, acceptor, ready: true, paused_until: None });
        Ok(())
    }

    /// Stops listening everywhere.
    pub(crate) fn close(&mut self) {
        self.0.clear();
    }

    /// Somebody knocks; false if the token is no door's.
    pub(crate) fn ready(&mut self, token: Token) -> bool {
        self.0.get_mut(&token).map(|door| door.ready = true).is_some()
    }

    /// Whether [`Doors::accept`] would find work now.
    pub(crate) fn has_work(&self) -> bool {
        self.0.values().any(|door| door.ready && door.paused_until.is_none())
    }

    /// When a pause ends.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.0.values().filter_map(|door| door.paused_until).min()
    }

    /// Accepts who waits, at most `room` connections.
    pub(crate) fn accept(&mut self, now: Instant, mut room: usize) -> Vec<(Listener, Socket)> {
        let mut accepted = Vec::new();
        for door in self.0.values_mut() {
            door.paused_until = door.paused_until.filter(|until| *until > now);
            if !door.ready || door.paused_until.is_some() {
                continue;
            }
            for _ in 0..ACCEPTS_PER_TURN {
                let socket = match room {
                    0 => Err(io::Error::other("the limit of open connections is reached")),
                    _ => door.acceptor.accept(),
                };
                match socket {
                    Ok(socket) => {
                        room -= 1;
                        accepted.push((door.name, socket));
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        door.ready = false;
                        door.watch.arm_read();
                        break;
                    }
                    // The caller has gone already.
                    Err(e) if matches!(e.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                    Err(error) => {
                        door.paused_until = Some(now + ACCEPT_PAUSE);
                        tracing::warn!(listener = ?door.name, %error, "cannot accept a connection");
                        break;
                    }
                }
            }
        }
        accepted
    }
}

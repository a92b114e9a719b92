//! Accepting: the listeners of a role on the event loop, a bounded number of callers a turn, and a pause when the
//! system has no descriptors left.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    time::Duration,
};

use mio::{
    Interest, Registry, Token,
    event::Source,
    net::{TcpListener, UnixListener},
};
use pilot_proto::Instant;
use pilot_roles::Listener;

use crate::{
    listen::{self, Place, UnixPlace},
    socket::Socket,
    tls::ServeTls,
};

/// Connections accepted from one listener in one turn.
const ACCEPTS_PER_TURN: usize = 64;
/// Pause after accepting failed for want of descriptors, memory or room.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

enum Acceptor {
    Tcp(TcpListener, Option<ServeTls>),
    Unix(#[expect(dead_code, reason = "removes the socket file when dropped")] UnixPlace, UnixListener),
}

impl Acceptor {
    fn accept(&self) -> io::Result<Socket> {
        match self {
            Acceptor::Tcp(listener, None) => listener.accept().map(|(socket, _)| Socket::Tcp(socket)),
            Acceptor::Tcp(listener, Some(tls)) => {
                listener.accept().and_then(|(socket, _)| tls.session(socket)).map(Socket::Tls)
            }
            Acceptor::Unix(_, listener) => listener.accept().map(|(socket, _)| Socket::Unix(socket)),
        }
    }
}

struct Door {
    name: Listener,
    acceptor: Acceptor,
    ready: bool,
    /// Not before this instant, after a failure.
    paused_until: Option<Instant>,
}

/// All listeners of one role.
#[derive(Default)]
pub(crate) struct Doors(BTreeMap<Token, Door>);

impl Doors {
    /// Binds what is not bound, and listens.
    pub(crate) fn open(
        &mut self,
        name: Listener,
        place: Place,
        registry: &Registry,
        token: Token,
    ) -> Result<(), String> {
        let mut acceptor = match place {
            Place::Unix(path) => {
                let (listener, place) = listen::bind_unix(&path)?;
                Acceptor::Unix(place, UnixListener::from_std(listener))
            }
            Place::Tcp(addr) => {
                let listener = listen::bind_tcp(&addr).map_err(|e| e.to_string())?;
                Acceptor::Tcp(TcpListener::from_std(listener), None)
            }
            Place::Bound(listener, tls) => Acceptor::Tcp(TcpListener::from_std(listener), tls),
        };
        let source: &mut dyn Source = match &mut acceptor {
            Acceptor::Tcp(listener, _) => listener,
            Acceptor::Unix(_, listener) => listener,
        };
        registry.register(source, token, Interest::READABLE).map_err(|e| e.to_string())?;
        self.0.insert(token, Door { name, acceptor, ready: true, paused_until: None });
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

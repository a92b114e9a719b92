//! The loop: wait, then give the engine a turn.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::Arc,
};

use mio::{Events, Poll};
use pilot_driver::{Clock, Engine, Next, Setup, Stopper};
use pilot_roles::Role;

use crate::reactor::{self, Epoll};

/// Events taken from the operating system at once.
const EVENTS_PER_TURN: usize = 1024;

/// Runs one role.
pub struct Driver<R> {
    engine: Engine<R, Epoll>,
    poll: Poll,
}

impl<R: Role> Driver<R> {
    /// Prepares the loop; nothing is fed to `role` before [`Driver::run`]. `clock` is the one the role's constructor
    /// was given times of, if it was.
    ///
    /// # Errors
    /// If the operating system refuses the loop, the worker thread, or the UDP socket's options.
    pub fn new(role: R, clock: Clock, setup: Setup) -> io::Result<Self> {
        let poll = Poll::new()?;
        let reactor = Epoll::new(poll.registry())?;
        let waker = reactor::waker(poll.registry())?;
        Ok(Driver { engine: Engine::new(role, clock, setup, reactor, Arc::new(waker))?, poll })
    }

    /// A handle that ends [`Driver::run`] from another thread.
    pub fn stopper(&self) -> Stopper {
        self.engine.stopper()
    }

    /// Where the UDP socket is bound.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.engine.udp_addr()
    }

    /// Runs the role until it ends; its exit status. Everything it wrote is then on disk and, as far as the other sides
    /// read it, sent.
    ///
    /// # Errors
    /// If the operating system refuses to wait for events.
    pub fn run(&mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        let mut next = self.engine.start();
        loop {
            let timeout = match next {
                Next::Done(code) => {
                    self.engine.close();
                    return Ok(code);
                }
                Next::Wait(timeout) => timeout,
            };
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => events.clear(),
                Err(e) => return Err(e),
            }
            next = self.engine.turn(events.iter().filter_map(reactor::ready));
        }
    }
}

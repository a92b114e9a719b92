//! Waiting with mio: edges of the operating system as the readiness the engine asks for.
//!
//! An edge comes by itself after "would block", so arming for reading is nothing. Room for writing is asked for when it
//! is missed for the first time: each byte that leaves would otherwise wake the loop for nothing.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    sync::Arc,
};

use mio::{Interest, Registry, event::Event, unix::SourceFd};
use pilot_driver::reactor::{Descriptor, Reactor, Ready, Token, Watch};

/// The waker's, which no engine uses: they count upwards.
const WAKER: mio::Token = mio::Token(usize::MAX);

/// What makes a waiting loop take another turn.
pub(crate) fn waker(registry: &Registry) -> io::Result<impl Fn() + Send + Sync + use<>> {
    let waker = mio::Waker::new(registry, WAKER)?;
    // It fails only when the kernel's counter is full, and then the loop is awake.
    Ok(move || drop(waker.wake()))
}

/// An event as the engine takes it; `None` for the waker's.
pub(crate) fn ready(event: &Event) -> Option<Ready> {
    (event.token() != WAKER).then(|| Ready {
        token: Token(event.token().0),
        readable: event.is_readable() || event.is_read_closed() || event.is_error(),
        writable: event.is_writable() || event.is_write_closed() || event.is_error(),
    })
}

/// A mio poll seen from the engine.
#[derive(Clone)]
pub(crate) struct Epoll(Arc<Registry>);

impl Epoll {
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        registry.try_clone().map(|registry| Epoll(Arc::new(registry)))
    }
}

impl Reactor for Epoll {
    type Watch = Edges;

    fn watch(&self, descriptor: Descriptor, token: Token) -> io::Result<Edges> {
        let raw = descriptor.as_fd().as_raw_fd();
        self.0.register(&mut SourceFd(&raw), mio::Token(token.0), Interest::READABLE)?;
        Ok(Edges { registry: self.0.clone(), descriptor, token: mio::Token(token.0), writing: false })
    }
}

/// One watched descriptor.
pub(crate) struct Edges {
    registry: Arc<Registry>,
    descriptor: Descriptor,
    token: mio::Token,
    writing: bool,
}

impl Edges {
    fn watch_room(&mut self, wanted: bool) {
        if wanted == self.writing {
            return;
        }
        let interest = if wanted { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        let raw = self.descriptor.as_fd().as_raw_fd();
        match self.registry.reregister(&mut SourceFd(&raw), self.token, interest) {
            Ok(()) => self.writing = wanted,
            Err(error) => tracing::warn!(%error, "cannot watch a descriptor for room"),
        }
    }
}

impl Watch for Edges {
    fn arm_read(&mut self) {}

    fn arm_write(&mut self) {
        self.watch_room(true);
    }

    fn disarm_write(&mut self) {
        self.watch_room(false);
    }
}

impl Drop for Edges {
    fn drop(&mut self) {
        let raw = self.descriptor.as_fd().as_raw_fd();
        // It fails only for a descriptor that is not watched, which is what is wanted.
        let _ = self.registry.deregister(&mut SourceFd(&raw));
    }
}

//! The one thing drivers differ in: how they wait until a descriptor is ready.
//!
//! The engine reads and writes descriptors itself, never blocking. When the kernel says "would block" it *arms* the
//! descriptor's watch and goes on with other work; the reactor hands its token back, as a [`Ready`], once it is worth
//! trying again. Reactors of edges (epoll, kqueue), of futures and of completions can all keep that promise.

use std::{io, os::fd::AsFd, sync::Arc};

/// A descriptor shared by who reads and writes it and who watches it; closed when both have dropped it.
pub type Descriptor = Arc<dyn AsFd + Send + Sync>;

/// Names a watched descriptor. Never given twice by one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub usize);

/// A descriptor is worth trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Which.
    pub token: Token,
    /// Reading may bring bytes, a connection, the end, or an error.
    pub readable: bool,
    /// Writing may be possible, or fail.
    pub writable: bool,
}

/// Waits for descriptors.
pub trait Reactor: Send {
    /// A watch of one descriptor; it ends when dropped.
    type Watch: Watch;

    /// Begins to watch `descriptor`, armed for reading.
    ///
    /// # Errors
    /// If the operating system refuses.
    fn watch(&self, descriptor: Descriptor, token: Token) -> io::Result<Self::Watch>;
}

/// A watched descriptor.
pub trait Watch: Send {
    /// A read would have blocked: tell when it may not any more.
    fn arm_read(&mut self);

    /// A write would have blocked, or a connection is on its way: tell when that may be over.
    fn arm_write(&mut self);

    /// Nothing waits to be written any more. A reactor that would go on telling stops here.
    fn disarm_write(&mut self);
}

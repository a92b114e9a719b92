//! Everything this crate knows about an async runtime: where tasks run, and how a descriptor or an instant is awaited.
//!
//! Tasks are async-std's or smol's, by feature. Readiness and timers are async-io's, which both are built on, so that
//! what is handed from one to the other is three functions. Another runtime replaces this file.

use std::{
    future::Future,
    io,
    task::{Context, Poll},
    time::Instant,
};

#[cfg(not(any(feature = "async-std", feature = "smol")))]
compile_error!("pilot-async needs a runtime: feature `async-std` (default) or `smol`");

/// Runs a future on this thread, which serves descriptors and timers meanwhile.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    #[cfg(feature = "smol")]
    return smol::block_on(future);
    #[cfg(not(feature = "smol"))]
    return async_std::task::block_on(future);
}

/// Runs a future beside the caller; nobody waits for it.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    #[cfg(feature = "smol")]
    smol::spawn(future).detach();
    #[cfg(not(feature = "smol"))]
    drop(async_std::task::spawn(future));
}

/// Runs something that blocks, on a thread made for that.
pub(crate) async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    #[cfg(feature = "smol")]
    return smol::unblock(work).await;
    #[cfg(not(feature = "smol"))]
    return async_std::task::spawn_blocking(work).await;
}

/// One instant at a time, awaited.
#[derive(Debug)]
pub(crate) struct Alarm(async_io::Timer);

impl Alarm {
    pub(crate) fn new() -> Self {
        Alarm(async_io::Timer::never())
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.0.set_at(at);
    }

    /// Ready once the instant has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        std::pin::Pin::new(&mut self.0).poll(cx).map(drop)
    }
}

/// A non-blocking descriptor whose readiness can be awaited: `T` reads and writes, this waits.
#[derive(Debug)]
pub(crate) struct Watched<T>(async_io::Async<T>);

impl<T: std::os::fd::AsFd> Watched<T> {
    pub(crate) fn new(descriptor: T) -> io::Result<Self> {
        async_io::Async::new_nonblocking(descriptor).map(Watched)
    }

    pub(crate) fn get(&self) -> &T {
        self.0.get_ref()
    }

    /// After a read that would have blocked: wakes `cx` when it may not any more. Ready if that is so already.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // The first answer may be about bytes that were read since; then the second is about now.
        self.0
            .poll_readable(cx)
            .is_ready()
            .then(|| self.0.poll_readable(cx))
            .map_or(Poll::Pending, |p| p.map(drop))
    }

    /// As [`Watched::poll_readable`], for writing.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0
            .poll_writable(cx)
            .is_ready()
            .then(|| self.0.poll_writable(cx))
            .map_or(Poll::Pending, |p| p.map(drop))
    }
}

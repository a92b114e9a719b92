//! Futures as the readiness the engine asks for: a watch is a pair of wakers that ring a bell with its token.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
};

use pilot_driver::reactor::{Descriptor, Reactor, Ready, Token, Watch};

use crate::runtime::Watched;

/// What happened while the engine's task waited, and who to wake.
#[derive(Debug, Default)]
struct State {
    ready: Vec<Ready>,
    called: bool,
    task: Option<Waker>,
}

/// Where watches and threads call the engine's task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bell(Arc<Mutex<State>>);

impl Bell {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the engine take a turn.
    pub(crate) fn call(&self) {
        let mut state = self.state();
        state.called = true;
        let task = state.task.take();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }

    fn ring(&self, ready: Ready) {
        let mut state = self.state();
        state.ready.push(ready);
        let task = state.task.take();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }

    /// What became ready, without waiting; `ready` must be empty.
    pub(crate) fn take(&self, ready: &mut Vec<Ready>) {
        let mut state = self.state();
        state.called = false;
        std::mem::swap(&mut state.ready, ready);
    }

    /// Ready if something happened; what became ready is swapped into `ready`, which must be empty.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, ready: &mut Vec<Ready>) -> Poll<()> {
        let mut state = self.state();
        if state.ready.is_empty() && !state.called {
            state.task = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.called = false;
        std::mem::swap(&mut state.ready, ready);
        Poll::Ready(())
    }
}

impl Reactor for Bell {
    type Watch = Pair;

    fn watch(&self, descriptor: Descriptor, token: Token) -> io::Result<Pair> {
        let rope = |writes| Waker::from(Arc::new(Rope { bell: self.clone(), token, writes }));
        let mut pair = Pair { watched: Watched::new(descriptor)?, read: rope(false), write: rope(true) };
        pair.arm_read();
        Ok(pair)
    }
}

/// Rings the bell for one direction of one descriptor.
struct Rope {
    bell: Bell,
    token: Token,
    writes: bool,
}

impl Rope {
    fn ready(&self) -> Ready {
        Ready { token: self.token, readable: !self.writes, writable: self.writes }
    }
}

impl Wake for Rope {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.bell.ring(self.ready());
    }
}

/// One watched descriptor.
pub(crate) struct Pair {
    watched: Watched<Descriptor>,
    read: Waker,
    write: Waker,
}

impl Watch for Pair {
    fn arm_read(&mut self) {
        if self.watched.poll_readable(&mut Context::from_waker(&self.read)).is_ready() {
            self.read.wake_by_ref();
        }
    }

    fn arm_write(&mut self) {
        if self.watched.poll_writable(&mut Context::from_waker(&self.write)).is_ready() {
            self.write.wake_by_ref();
        }
    }

    // Told once, so there is nothing to stop.
    fn disarm_write(&mut self) {}
}

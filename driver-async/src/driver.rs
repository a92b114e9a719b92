//! The loop: wait, then give the engine a turn.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use pilot_driver::{Clock, Engine, Next, Setup, Stopper, reactor::Ready};
use pilot_roles::Role;

use crate::{
    reactor::Bell,
    runtime::{self, Alarm},
};

/// Runs one role.
pub struct Driver<R> {
    engine: Engine<R, Bell>,
    wait: Wait,
}

/// What the loop waits for.
struct Wait {
    bell: Bell,
    alarm: Alarm,
    /// What the alarm is set to.
    set: Option<Instant>,
}

impl<R: Role + Send + 'static> Driver<R> {
    /// Prepares the loop; nothing is fed to `role` before [`Driver::run`]. `clock` is the one the role's constructor
    /// was given times of, if it was.
    ///
    /// # Errors
    /// If the operating system refuses a watch, the worker thread, or the UDP socket's options.
    pub fn new(role: R, clock: Clock, setup: Setup) -> io::Result<Self> {
        let bell = Bell::default();
        let waker = Arc::new({
            let bell = bell.clone();
            move || bell.call()
        });
        let engine = Engine::new(role, clock, setup, bell.clone(), waker)?;
        Ok(Driver { engine, wait: Wait { bell, alarm: Alarm::new(), set: None } })
    }

    /// A handle that ends [`Driver::run`] from elsewhere.
    pub fn stopper(&self) -> Stopper {
        self.engine.stopper()
    }

    /// Where the UDP socket is bound.
    pub fn udp_addr(&self) -> Option<SocketAddr> {
        self.engine.udp_addr()
    }

    /// Runs the role until it ends; its exit status. Everything it wrote is then on disk and, as far as the other sides
    /// read it, sent. Dropping the future stops everything where it is, as the end of the process would.
    pub async fn run(mut self) -> u8 {
        let mut ready = Vec::new();
        let mut next = self.engine.start();
        loop {
            match next {
                Next::Done(code) => {
                    let mut engine = self.engine;
                    runtime::unblock(move || engine.close()).await;
                    return code;
                }
                Next::Wait(timeout) => self.wait.wait(timeout, &mut ready).await,
            }
            next = self.engine.turn(ready.drain(..));
        }
    }
}

impl Wait {
    /// Waits until something is ready, which is put into `ready`, or the time is over.
    async fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) {
        if timeout == Some(Duration::ZERO) {
            // Busy: the executor's other tasks, and the descriptors, have their turn all the same.
            yield_once().await;
            self.bell.take(ready);
            return;
        }
        let until = timeout.map(|wait| Instant::now() + wait);
        if let Some(until) = until {
            self.set_alarm(until);
        }
        poll_fn(|cx| {
            if self.bell.poll(cx, ready).is_ready() {
                return Poll::Ready(());
            }
            if until.is_none() || self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.set = None;
            Poll::Ready(())
        })
        .await;
    }

    /// One that is set to an earlier instant stays: a turn too many costs less than an alarm set anew in each.
    fn set_alarm(&mut self, until: Instant) {
        if self.set.is_none_or(|set| set > until || set <= Instant::now()) {
            self.alarm.set(until);
            self.set = Some(until);
        }
    }
}

async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

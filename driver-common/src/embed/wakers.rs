//! Who waits for something, each once.

use std::task::{Context, Waker};

/// Tasks (or parked threads) to wake.
#[derive(Debug, Default)]
pub(super) struct Wakers(Vec<Waker>);

impl Wakers {
    /// The caller waits.
    pub(super) fn add(&mut self, cx: &Context<'_>) {
        if !self.0.iter().any(|waker| waker.will_wake(cx.waker())) {
            self.0.push(cx.waker().clone());
        }
    }

    /// Everybody waits no longer, as soon as `woken` is let go.
    pub(super) fn move_to(&mut self, woken: &mut Wakers) {
        woken.0.append(&mut self.0);
    }

    /// Wakes everybody. Call it without holding the hub.
    pub(super) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

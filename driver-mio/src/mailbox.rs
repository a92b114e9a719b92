//! How worker threads reach the event loop: an owned message and a wake-up.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use mio::{Registry, Token, Waker};

/// What a thread outside the loop has to say.
#[derive(Debug)]
pub(crate) enum Letter {
    /// Something is durable, or failed.
    Stored { ticket: u64, result: Result<(), String> },
    /// A POST was answered.
    Posted { ticket: u64, result: Result<u16, String> },
    /// A host name was resolved for the connection with this token.
    Resolved { conn: Token, result: Result<Vec<SocketAddr>, String> },
    /// Somebody in this process asks the role to end.
    Stop,
}

/// The sending side, one per thread.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    letters: Sender<Letter>,
    waker: Arc<Waker>,
}

impl Mailbox {
    /// The two sides, the loop woken with `token`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<(Mailbox, Receiver<Letter>)> {
        let (letters, receiver) = channel();
        Ok((Mailbox { letters, waker: Arc::new(Waker::new(registry, token)?) }, receiver))
    }

    /// Delivers one letter; after the loop has ended, nowhere.
    pub(crate) fn post(&self, letter: Letter) {
        if self.letters.send(letter).is_ok() {
            self.wake();
        }
    }

    /// Makes the loop take another turn.
    pub(crate) fn wake(&self) {
        // It fails only when the kernel's counter is full, and then the loop is awake.
        let _ = self.waker.wake();
    }
}

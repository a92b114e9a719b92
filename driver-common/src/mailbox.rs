//! How worker threads reach the engine: an owned message and a wake-up.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
};

use crate::reactor::Token;

/// What a thread outside the engine has to say.
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

/// Makes a waiting engine take another turn; called from any thread.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// The sending side, one per thread.
#[derive(Clone)]
pub(crate) struct Mailbox {
    letters: Sender<Letter>,
    waker: Waker,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    /// The two sides.
    pub(crate) fn new(waker: Waker) -> (Mailbox, Receiver<Letter>) {
        let (letters, receiver) = channel();
        (Mailbox { letters, waker }, receiver)
    }

    /// Delivers one letter; after the engine has ended, nowhere.
    pub(crate) fn post(&self, letter: Letter) {
        if self.letters.send(letter).is_ok() {
            self.wake();
        }
    }

    /// Makes the engine take another turn.
    pub(crate) fn wake(&self) {
        (self.waker)();
    }
}

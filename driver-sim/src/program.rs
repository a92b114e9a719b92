//! A local program: a client of its host's daemon, driven by a script or by a test.

use std::{collections::VecDeque, fmt};

use pilot_proto::Instant;
use pilot_roles::client::{self, Client};

use crate::{dice::Dice, ledger::Ledger, net::HostId};

/// A program of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgramId(pub(crate) usize);

/// A script that writes more than so many bytes at once hears when there is room again ([`What::Room`]).
pub(crate) const CROWDED: usize = 64 << 10;

/// What a script is told.
#[derive(Debug)]
pub enum What {
    /// The connection to the daemon is open: nothing of an earlier one counts any more.
    Connected,
    /// The connection is gone; the world opens another when it can.
    Disconnected,
    /// The daemon said something.
    Event(client::Event),
    /// The daemon has taken what was written, so there is room for more; said after more than 64 KiB at once.
    Room,
    /// The instant the script asked for has come.
    Woken,
}

/// What a script works with.
#[derive(Debug)]
pub struct Io<'a> {
    /// The world's time.
    pub now: Instant,
    /// Index of the host.
    pub host: usize,
    /// The local protocol.
    pub client: &'a mut Client,
    /// Whether the connection to the daemon is open.
    pub connected: bool,
    /// The program's own chance.
    pub dice: &'a mut Dice,
    /// What all programs share.
    pub ledger: &'a mut Ledger,
    /// When to be woken next; the earliest of all wishes counts.
    pub wake: &'a mut Option<Instant>,
}

impl Io<'_> {
    /// Asks to be woken at `at` or before.
    pub fn wake_at(&mut self, at: Instant) {
        *self.wake = pilot_proto::time::earliest(*self.wake, Some(at));
    }
}

/// What a program does. A script must bear that anything fails and try again: the world may be broken on purpose.
pub trait Script: fmt::Debug {
    /// Something happened.
    fn handle(&mut self, io: &mut Io<'_>, what: What);

    /// What is left to do; `None` when its work is done.
    fn pending(&self, ledger: &Ledger) -> Option<Pending>;
}

/// Work of a program that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// What work.
    pub work: String,
    /// Index of the host it is with; `None` if it is with the program's own daemon or the registry.
    pub with: Option<usize>,
    /// When it was due to begin.
    pub since: Instant,
    /// How far it is.
    pub state: String,
}

/// A program as it lives.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) host: HostId,
    pub(crate) client: Client,
    pub(crate) script: Option<Box<dyn Script>>,
    /// What nobody has looked at, if there is no script.
    pub(crate) inbox: VecDeque<client::Event>,
    pub(crate) stream: Option<u64>,
    pub(crate) dice: Dice,
    /// When the script wants to be woken.
    pub(crate) wake: Option<Instant>,
    /// What it wrote last was more than [`CROWDED`].
    pub(crate) crowded: bool,
    /// It has left for good.
    pub(crate) gone: bool,
}

impl Program {
    /// Whether it is to hear that its daemon has taken something.
    pub(crate) fn waits_for_room(&self) -> bool {
        self.crowded || !self.client.output().is_empty()
    }
}

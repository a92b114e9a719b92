//! The programs `pilot-daemon` and `rendezvous`, whatever driver runs them: flags, files, and the role they make.

use std::io;

use pilot_roles::Role;

use crate::{Clock, Setup};

pub mod daemon;
mod flags;
mod host;
mod identity;
mod keylog;
pub(crate) mod node;
pub mod rendezvous;

pub use flags::seconds_of_units;

/// A driver, as programs use it.
pub trait Run {
    /// Runs `role` until it ends; its exit status. `clock` is the one the role was made with.
    ///
    /// # Errors
    /// If the operating system refuses what the driver needs.
    fn run<R: Role + Send + 'static>(self, role: R, clock: Clock, setup: Setup) -> io::Result<u8>;
}

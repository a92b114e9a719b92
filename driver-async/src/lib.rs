//! Runs any [`Role`] on real sockets, as one future of an async runtime, and holds the programs
//! `pilot-daemon-async` and `rendezvous-async`.
//!
//! [`Driver`] is the loop, `reactor` how it waits, `runtime` all that is known of the runtime; everything else is shared
//! with other drivers and lives in [`pilot_driver`]. [`Endpoint`] is a node inside a program.
#![forbid(unsafe_code)]

mod driver;
mod endpoint;
mod reactor;
mod runtime;

use std::{ffi::OsString, io, process::ExitCode};

pub use driver::Driver;
pub use endpoint::{Bind, Builder, Datagrams, Endpoint, Events, Incoming, Listener, LocalRendezvous, Stream};
use pilot_driver::programs::{self, Run};
pub use pilot_driver::{
    Clock, DialTls, OsRng, Place, RecordStore, RingCrypto, ServeTls, Setup, Stopper, StoreError,
    StoredRecord, Target, bind_tcp, bind_udp, log, raise_descriptor_limit,
};
use pilot_roles::Role;
pub use runtime::block_on;

pub use pilot_driver::embed;

/// Runs the programs on [`Driver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Async;

impl Run for Async {
    fn run<R: Role + Send + 'static>(self, role: R, clock: Clock, setup: Setup) -> io::Result<u8> {
        Ok(block_on(Driver::new(role, clock, setup)?.run()))
    }
}

/// The program `pilot-daemon-async` with its arguments, without its name: those of `pilot-daemon`.
pub fn daemon(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    programs::daemon::main(args, Async)
}

/// The program `rendezvous-async` with its arguments, without its name: those of `rendezvous`.
pub fn rendezvous(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    programs::rendezvous::main(args, Async)
}

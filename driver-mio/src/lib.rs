//! Runs any [`Role`] on real sockets, on one mio event loop, and holds the programs `pilot-daemon`
//! and `rendezvous`.
//!
//! [`Driver`] is the loop, `reactor` how it waits; everything else is shared with other drivers and lives in
//! [`pilot_driver`]. [`Endpoint`] is a node inside a program, for threads.
#![forbid(unsafe_code)]

mod driver;
mod endpoint;
mod reactor;

use std::{ffi::OsString, io, process::ExitCode};

pub use driver::Driver;
pub use endpoint::{Builder, Datagrams, Endpoint, Events, Incoming, Listener, LocalRendezvous, Stream};
pub use pilot_driver::embed;
use pilot_driver::programs::{self, Run};
pub use pilot_driver::{
    Clock, DialTls, OsRng, Place, RecordStore, RingCrypto, ServeTls, Setup, Stopper, StoreError,
    StoredRecord, Target, bind_tcp, bind_udp, log, programs::seconds_of_units, raise_descriptor_limit,
};
use pilot_roles::Role;

/// Runs the programs on [`Driver`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Mio;

impl Run for Mio {
    fn run<R: Role + Send + 'static>(self, role: R, clock: Clock, setup: Setup) -> io::Result<u8> {
        Driver::new(role, clock, setup)?.run()
    }
}

/// The program `pilot-daemon` with its arguments, without its name.
pub fn daemon(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    programs::daemon::main(args, Mio)
}

/// The program `rendezvous` with its arguments, without its name.
pub fn rendezvous(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    programs::rendezvous::main(args, Mio)
}

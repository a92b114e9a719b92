//! The one test of the suite that measures its whole process, in a process of its own.
#![cfg(target_os = "linux")]

#[path = "../../driver-common/suite/churn.rs"]
mod churn;
#[path = "../../driver-common/suite/mod.rs"]
#[allow(dead_code, reason = "the other tests are in tests/driver.rs")]
mod suite;

use std::{collections::BTreeMap, thread};

use pilot_mio::{Clock, Driver, Place, Setup};
use pilot_roles::Listener;
use suite::{Layout, Probe, Running};

fn start(layout: Layout) -> Running {
    let setup = Setup {
        udp: Some(layout.udp),
        listeners: BTreeMap::from([
            (Listener::Ipc, Place::Unix(layout.unix)),
            (Listener::Registry, Place::Bound(layout.tcp, None)),
        ]),
        ..Setup::default()
    };
    let mut driver = Driver::new(Probe::new(0), Clock::start(), setup).expect("a driver");
    let stopper = driver.stopper();
    let role = thread::spawn(move || driver.run().expect("a loop"));
    Running { stop: Box::new(move || stopper.stop()), role }
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    churn::churn_leaves_nothing_behind(start);
}

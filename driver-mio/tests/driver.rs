//! The suite every driver must pass, on this driver.

mod suite;

use std::{collections::BTreeMap, thread};

use pilot_mio::{Clock, Driver, Place, RecordStore, Setup};
use pilot_roles::{
    Listener,
    role::{Area, Dial},
};
use suite::{Layout, Probe, Running};

fn start(layout: Layout) -> Running {
    let (store, records) = RecordStore::open(&layout.store).expect("a store");
    let setup = Setup {
        udp: Some(layout.udp),
        listeners: BTreeMap::from([
            (Listener::Ipc, Place::Unix(layout.unix)),
            (Listener::Registry, Place::Bound(layout.tcp)),
        ]),
        dials: BTreeMap::from([(Dial::Registry, layout.dial)]),
        store: Some(store),
        areas: BTreeMap::from([(Area::State, layout.state)]),
        signals: false,
    };
    pilot_mio::raise_descriptor_limit();
    let mut driver = Driver::new(Probe::new(records.len()), Clock::start(), setup).expect("a driver");
    let stopper = driver.stopper();
    let role = thread::spawn(move || driver.run().expect("a loop"));
    Running { stop: Box::new(move || stopper.stop()), role }
}

suite::tests!(start);

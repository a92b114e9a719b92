//! The suite every driver must pass, on this driver.

#[path = "../../driver-common/suite/mod.rs"]
mod suite;

use std::{collections::BTreeMap, thread};

use pilot_async::{Clock, DialTls, Driver, Place, RecordStore, ServeTls, Setup, Target};
use pilot_roles::{
    Listener,
    role::{Area, Dial},
};
use suite::{Bench, Layout, Probe, Running};

fn start(layout: Layout) -> Running {
    start_with(layout, None, None)
}

fn start_with(layout: Layout, serve: Option<ServeTls>, dial: Option<DialTls>) -> Running {
    let (store, records) = RecordStore::open(&layout.store).expect("a store");
    let setup = Setup {
        udp: Some(layout.udp),
        listeners: BTreeMap::from([
            (Listener::Ipc, Place::Unix(layout.unix)),
            (Listener::Registry, Place::Bound(layout.tcp, serve)),
        ]),
        dials: BTreeMap::from([(Dial::Registry, Target { addr: layout.dial, tls: dial })]),
        store: Some(store),
        areas: BTreeMap::from([(Area::State, layout.state)]),
        ..Setup::default()
    };
    pilot_async::raise_descriptor_limit();
    let driver = Driver::new(Probe::new(records.len()), Clock::start(), setup).expect("a driver");
    let stopper = driver.stopper();
    let role = thread::spawn(move || pilot_async::block_on(driver.run()));
    Running { stop: Box::new(move || stopper.stop()), role }
}

suite::tests!(start);

#[test]
fn a_dialled_registry_is_reached_over_tls_only_with_the_right_pin() {
    let serve = ServeTls::self_signed(None).unwrap();
    let pin = DialTls::pinned(&serve.fingerprint).unwrap();
    let wrong = DialTls::pinned(&"0".repeat(64)).unwrap();
    let server = Bench::start_with("127.0.0.1:1", |layout| start_with(layout, Some(serve), None));
    let client =
        Bench::start_with(&server.commands().to_string(), |layout| start_with(layout, None, Some(pin)));
    assert_eq!(client.command().ask("dial"), "no command hello");
    let client =
        Bench::start_with(&server.commands().to_string(), |layout| start_with(layout, None, Some(wrong)));
    assert!(client.command().ask("dial").starts_with("failed "));
    assert_eq!(server.stop().0, 0);
}

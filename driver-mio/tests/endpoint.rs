//! The suite of endpoints every driver must pass, on this driver; and what only threads have.

#[path = "../../driver-common/suite/embed.rs"]
mod embed;

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    thread,
    time::Duration,
};

use embed::{Spec, Start};
use pilot_mio::{Endpoint, LocalRendezvous};

const START: Start = Start {
    rendezvous: || {
        let rendezvous = LocalRendezvous::start().unwrap();
        (rendezvous.registry(), rendezvous.beacon(), Box::new(rendezvous))
    },
    node: |Spec { registry, beacon, name, public, socket }| {
        let mut node = Endpoint::builder().registry(registry.to_string()).beacon(beacon.to_string());
        if let Some(socket) = socket {
            node = node.socket(socket);
        }
        Ok(node
            .listen("127.0.0.1:0")
            .hostname(name)
            .public(public)
            .accept_rate(100_000)
            .bind()?
            .futures()
            .clone())
    },
    local: |socket| Ok(Endpoint::local(socket)?.futures().clone()),
};

embed::tests!(START);

#[test]
fn threads_read_and_write_one_stream_with_deadlines() {
    let network = LocalRendezvous::start().unwrap();
    let a = network.node().public(true).bind().unwrap();
    let b = network.node().public(true).hostname("b").bind().unwrap();
    let listener = b.listen(1000).unwrap();
    let late = listener.accept_timeout(Duration::from_millis(20)).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::TimedOut);
    let echo = thread::spawn(move || {
        let mut stream = listener.incoming().next().unwrap().unwrap();
        let mut writer = stream.try_clone().unwrap();
        std::io::copy(&mut stream, &mut writer).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut stream = a.connect_timeout("b:1000", Duration::from_secs(20)).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(stream.read(&mut [0; 9]).unwrap_err().kind(), ErrorKind::TimedOut);
    stream.set_read_timeout(None).unwrap();
    assert_eq!(stream.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(), ErrorKind::InvalidInput);
    let data: Vec<u8> = (0..2_000_000_u32).map(|i| i as u8).collect();
    let writer = thread::spawn({
        let (mut stream, data) = (stream.try_clone().unwrap(), data.clone());
        move || {
            stream.write_all(&data).unwrap();
            stream.flush().unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
    });
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    assert!(echoed == data);
    writer.join().unwrap();
    echo.join().unwrap();
    a.shutdown();
    b.shutdown();
}

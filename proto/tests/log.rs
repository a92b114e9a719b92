//! What a log tells of a node: keys, refusals, ends; never a secret.

mod common;

use std::sync::Mutex;

use common::{Net, SECOND, public, transfer};
use pilot_proto::Addr;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        LINES.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

#[test]
fn a_log_tells_what_happens_seldom() {
    log::set_logger(&Keep).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let mut net = Net::new(70);
    let (a, b, c) = (public(&mut net), public(&mut net), net.add(|_| {}));
    transfer(&mut net, a, b, b"bytes", 5 * SECOND);
    net.connect(b, a, 5);
    let (private, now) = (Addr::backbone(net.hosts[c].id), net.now);
    net.hosts[c].node.listen(9).unwrap();
    net.hosts[a].node.connect(now, private, 9).unwrap();
    net.run_for(3 * SECOND);
    let (from, now) = (net.hosts[a].address, net.now);
    net.hosts[b].node.handle_datagram(now, from, &mut b"what is this".to_vec());
    net.run_for(SECOND);

    let lines = LINES.lock().unwrap();
    for expected in [
        "INFO the beacon sees us at 198.51.100.1:4000",
        "INFO keys agreed with node 2: relay false, new key false",
        "INFO port 9 closed to an untrusted peer: datagram false, from 0:0000.0000.0001:",
        "DEBUG stream 1 over: connection refused",
        "DEBUG datagram from 198.51.100.1:4000 dropped: frame begins with \"what\"",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{expected:?} is not in {lines:#?}");
    }
    // Few lines for many packets, and no key among them.
    assert!(lines.len() < 40, "{lines:#?}");
    for host in &net.hosts {
        assert!(!lines.iter().any(|line| line.contains(&hex::encode(host.seed))));
    }
}

//! How fast one core carries a stream between two nodes: bytes written, sealed, opened, acknowledged, read.
//!
//! `cargo bench -p pilot-proto --bench node`

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant as Clock;

use common::Net;
use pilot_proto::{node::Event, stream::Read};

fn main() {
    for (name, local) in [("internet segments (1152 bytes)", false), ("loopback segments (4096 bytes)", true)]
    {
        println!("{name}: {:.0} MB/s", transfer(local, 200 << 20));
    }
}

/// Megabytes per second of one-way transfer through two nodes on this thread.
fn transfer(local: bool, bytes: usize) -> f64 {
    let mut net = Net::new(1);
    let (a, b) = (net.add(|c| c.public = true), net.add(|c| c.public = true));
    if local {
        for (host, port) in [(a, 4001), (b, 4002)] {
            net.hosts[host].address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        }
    }
    net.hosts[b].node.listen(1000).unwrap();
    let out = net.connect(a, b, 1000);
    let mut incoming = None;
    net.run_until_done(common::MS * 5000, |net| {
        incoming = net.incoming(b, 1000);
        incoming.is_some()
    });
    let incoming = incoming.unwrap();
    let data = vec![7u8; 64 * 1024];
    let mut buffer = vec![0u8; 65_536];
    let mut read = vec![0u8; 65_536];
    let (mut sent, mut got) = (0, 0);
    let start = Clock::now();
    let mut now = net.now;
    while got < bytes {
        now = now + std::time::Duration::from_micros(20);
        while sent < bytes {
            let n = net.hosts[a].node.write(now, out, &data[..data.len().min(bytes - sent)]).unwrap();
            if n == 0 {
                break;
            }
            sent += n;
        }
        for (from, to) in [(a, b), (b, a)] {
            let from_address = net.hosts[from].address;
            while let Some(t) = net.hosts[from].node.poll_transmit(now, &mut buffer) {
                let size = t.segment_size.unwrap_or(t.len);
                for datagram in buffer[..t.len].chunks_mut(size) {
                    net.hosts[to].node.handle_datagram(now, from_address, datagram);
                }
            }
            while let Some(event) = net.hosts[to].node.poll_event(now) {
                assert!(!matches!(event, Event::Closed { .. }), "{event:?}");
            }
            if net.hosts[to].node.poll_timeout().is_some_and(|at| at <= now) {
                net.hosts[to].node.handle_timeout(now);
            }
        }
        while let Ok(Read::Bytes(n)) = net.hosts[b].node.read(now, incoming, &mut read) {
            got += n;
        }
    }
    bytes as f64 / 1e6 / start.elapsed().as_secs_f64()
}

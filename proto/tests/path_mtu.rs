//! Path MTU discovery between whole nodes: links of several sizes, links that shrink, the relay, and silence.

mod common;

use common::{MS, Net, SECOND, is_relayed, pattern, public, read_all, transfer};
use pilot_proto::time::Duration;

/// Bytes of IP and UDP header around a datagram.
const AROUND: usize = 28;
/// What sealing and the packet header add to a segment.
const HEADERS: usize = 70;

fn net(seed: u64, mtu: usize) -> (Net, usize, usize) {
    let mut net = Net::new(seed);
    net.record = true;
    net.link.mtu = mtu - AROUND;
    let (a, b) = (public(&mut net), public(&mut net));
    (net, a, b)
}

/// The largest datagram that arrived from `from`, of those sent since the record was cleared.
fn largest_arrived(net: &Net, from: usize) -> usize {
    let from = net.hosts[from].address;
    let sizes = net.wire.iter().filter(|(source, _, _)| *source == from).map(|(_, _, data)| data.len());
    sizes.filter(|len| *len <= net.link.mtu).max().unwrap()
}

/// Datagrams too large for the link that were sent since the record was cleared.
fn swallowed(net: &Net) -> usize {
    net.wire.iter().filter(|(_, _, data)| data.len() > net.link.mtu).count()
}

/// Proves EXT-10: segments become as large as the link carries, and what is lost for it are probes only.
#[test]
fn segments_grow_to_what_the_link_carries() {
    for (mtu, best) in [(1280, 1280), (1400, 1400), (1500, 1500), (9000, 4096 + HEADERS + AROUND)] {
        let (mut net, a, b) = net(1, mtu);
        let data = pattern(3_000_000);
        let (got, _) = transfer(&mut net, a, b, &data, 60 * SECOND);
        assert!(got == data);
        let probes = net.hosts[a].probes + net.hosts[b].probes;
        assert!(swallowed(&net) <= probes && probes <= 24, "{mtu}: {} of {probes}", swallowed(&net));
        net.run_for(10 * SECOND);
        net.wire.clear();
        let (got, _) = transfer(&mut net, a, b, &data, 60 * SECOND);
        assert!(got == data);
        assert_eq!(largest_arrived(&net, a) + AROUND, best, "{mtu}");
        assert_eq!(swallowed(&net), 0, "{mtu}: what was found is kept");
    }
}

#[test]
fn a_node_without_extensions_gets_segments_of_the_old_size() {
    let mut net = Net::new(2);
    net.record = true;
    let a = public(&mut net);
    let b = net.add(|config| (config.public, config.extensions.enabled) = (true, false));
    transfer(&mut net, a, b, &pattern(1_000_000), 60 * SECOND);
    assert_eq!(largest_arrived(&net, a), 1152 + HEADERS);
}

/// Proves EXT-12: in the middle of a transfer the path stops to carry what it has proved to carry.
#[test]
fn a_link_that_shrinks_in_mid_transfer_costs_seconds_and_no_byte() {
    for seed in 0..6 {
        let (mut net, a, b) = net(seed, 9000);
        if seed >= 3 {
            (net.link.loss, net.link.jitter) = (10, MS * 2);
        }
        transfer(&mut net, a, b, &pattern(1_000_000), 60 * SECOND);
        net.run_for(5 * SECOND);
        net.hosts[b].node.listen(2000).unwrap();
        let out = net.connect(a, b, 2000);
        let data = pattern(6_000_000);
        let (mut sent, mut got, mut narrow) = (0, Vec::new(), false);
        let took = net.run_until_done(60 * SECOND, |net| {
            let now = net.now;
            while sent < data.len() {
                match net.hosts[a].node.write(now, out, &data[sent..]) {
                    Ok(0) | Err(_) => break,
                    Ok(n) => sent += n,
                }
            }
            if let Some(incoming) = net.incoming(b, 2000) {
                read_all(&mut net.hosts[b].node, now, incoming, &mut got);
            }
            if got.len() > 2_000_000 && !narrow {
                narrow = true;
                net.link.mtu = 1280 - AROUND;
                net.wire.clear();
            }
            got.len() == data.len()
        });
        assert!(got == data, "seed {seed}");
        assert!(took < 20 * SECOND, "seed {seed}: {took:?}");
        net.wire.clear();
        net.run_for(20 * SECOND);
        net.wire.clear();
        transfer(&mut net, a, b, &data, 60 * SECOND);
        assert_eq!(swallowed(&net), 0, "seed {seed}: the size is known now");
    }
}

/// Proves EXT-10: through the relay nothing is proved.
#[test]
fn through_the_relay_segments_have_the_old_size() {
    let (mut net, a, b) = net(3, 9000);
    transfer(&mut net, a, b, &pattern(2_000_000), 60 * SECOND);
    net.set_direct(a, b, false);
    transfer(&mut net, a, b, &pattern(100_000), 60 * SECOND);
    assert!(is_relayed(&mut net, a, b));
    net.wire.clear();
    transfer(&mut net, a, b, &pattern(1_000_000), 60 * SECOND);
    let beacon = net.beacon;
    let relayed = net.wire.iter().filter(|(_, to, _)| *to == beacon).map(|(_, _, data)| data.len());
    assert_eq!(relayed.max(), Some(1152 + HEADERS + 9));
}

/// Proves EXT-11: no probe without traffic.
#[test]
fn idle_nodes_probe_nothing() {
    let (mut net, a, b) = net(4, 1500);
    transfer(&mut net, a, b, &pattern(2_000_000), 60 * SECOND);
    net.run_for(20 * SECOND);
    net.wire.clear();
    net.run_for(Duration::from_secs(1500));
    assert!(net.wire.iter().all(|(_, _, data)| data.len() < 100), "keepalives and the beacon only");
    transfer(&mut net, a, b, &pattern(1000), 60 * SECOND);
    assert_eq!(swallowed(&net), 0, "small segments ask nothing");
    transfer(&mut net, a, b, &pattern(1_000_000), 60 * SECOND);
    net.run_for(5 * SECOND);
    assert!((1..=12).contains(&swallowed(&net)), "asked again after so long: {}", swallowed(&net));
}

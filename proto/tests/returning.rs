//! A way to a peer is cut for long and comes back: what waited for timers doubled many times goes on at once.

mod common;

use common::{MS, Net, SECOND, public, read_all};
use pilot_proto::{node::Event, node::StreamId, time::Duration};

/// Cuts every way between two hosts, or heals it: the direct one, and both to the beacon.
fn set_all(net: &mut Net, a: usize, b: usize, open: bool) {
    net.set_direct(a, b, open);
    let beacon = net.beacon;
    for host in [a, b].map(|host| net.hosts[host].address) {
        for pair in [(host, beacon), (beacon, host)] {
            if open {
                net.cut.remove(&pair)
            } else {
                net.cut.insert(pair)
            };
        }
    }
}

/// `count` streams from host 0 to host 1, each with both ends known.
fn streams(net: &mut Net, count: usize) -> Vec<(StreamId, StreamId)> {
    net.hosts[1].node.listen(1000).unwrap();
    let ours: Vec<StreamId> = (0..count).map(|_| net.connect(0, 1, 1000)).collect();
    net.run_for(5 * SECOND);
    let theirs: Vec<StreamId> = net.hosts[1]
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Incoming { stream, .. } => Some(*stream),
            _ => None,
        })
        .collect();
    assert_eq!(theirs.len(), count);
    ours.into_iter().zip(theirs).collect()
}

/// How long after the heal, and after the first frame from the peer, all `count` streams have delivered what was written
/// when the cut began.
fn outage(count: usize, cut: Duration) -> (Duration, Duration) {
    let mut net = Net::new(7);
    let (a, b) = (public(&mut net), public(&mut net));
    let pairs = streams(&mut net, count);
    set_all(&mut net, a, b, false);
    for (ours, _) in &pairs {
        assert_eq!(net.hosts[a].node.write(net.now, *ours, b"waits for the way").unwrap(), 17);
    }
    net.run_for(cut);
    set_all(&mut net, a, b, true);
    let healed = net.now;
    let heard = net.hosts[a].node.counters().packets_received;
    let mut first = None;
    let mut got = vec![Vec::new(); count];
    net.run_until_done(60 * SECOND, |net| {
        let now = net.now;
        if first.is_none() && net.hosts[a].node.counters().packets_received > heard {
            first = Some(now);
        }
        for ((_, theirs), got) in pairs.iter().zip(&mut got) {
            read_all(&mut net.hosts[b].node, now, *theirs, got);
        }
        got.iter().all(|got| got.len() == 17)
    });
    println!("{count} streams, cut {cut:?}: {:?} after the heal", net.now.since(healed));
    (net.now.since(healed), net.now.since(first.unwrap_or(net.now)))
}

/// The round trip is 10 ms. Streams are woken a few at a time. Proves NAT-18.
#[test]
fn what_a_cut_has_stalled_goes_on_a_round_trip_after_the_first_frame_of_the_peer() {
    let mut late = Vec::new();
    for (count, least) in [(1, 20), (8, 20), (30, 40)] {
        for seconds in [3, 8, 20, 40] {
            let (healed, after) = outage(count, seconds * SECOND);
            if after > least * MS || healed > SECOND {
                late.push((count, seconds, healed, after));
            }
        }
    }
    assert!(late.is_empty(), "streams, seconds of cut, after the heal, after the first frame: {late:?}");
}

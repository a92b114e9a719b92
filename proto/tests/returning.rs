//! A way to a peer is cut for long and comes back: what waited for timers doubled many times goes on at once.

mod common;

use std::collections::VecDeque;

use common::{MS, Net, SECOND, public, read_all};
use pilot_proto::{
    node::{Event, StreamId},
    time::{Duration, Instant},
};

/// Of the link that every test here has.
const ROUND_TRIP: Duration = Duration::from_millis(10);

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
    // Beyond the 64th each waits for its turn (STR-5).
    net.run_for(SECOND * 2 + MS * 110 * u32::try_from(count).unwrap());
    let mut ends: Vec<(StreamId, StreamId)> = Vec::new();
    let incoming = |event: &Event| match event {
        Event::Incoming { stream, remote, .. } => Some((remote.port, *stream)),
        _ => None,
    };
    let theirs: Vec<(u16, StreamId)> = net.hosts[1].events.iter().filter_map(incoming).collect();
    for stream in ours {
        let port = net.hosts[0].node.stream_info(stream).unwrap().local_port;
        ends.extend(theirs.iter().find(|(from, _)| *from == port).map(|(_, theirs)| (stream, *theirs)));
    }
    assert_eq!(ends.len(), count);
    ends
}

/// What a cut cost.
#[derive(Debug)]
struct Outage {
    /// From the heal to the first frame of the peer.
    heard: Duration,
    /// From then until the last stream has a byte through, and until all have everything.
    all_under_way: Duration,
    done: Duration,
    /// Datagrams the writer has sent since that frame came: within a round trip, within any 4 ms of it, and in all.
    first_round: usize,
    burst: usize,
    sent: usize,
}

/// `count` streams are written `bytes` to when the way is cut; how they go on after the heal.
fn outage(count: usize, cut: Duration, bytes: usize) -> Outage {
    let mut net = Net::new(7);
    let (a, b) = (public(&mut net), public(&mut net));
    let pairs = streams(&mut net, count);
    set_all(&mut net, a, b, false);
    let text: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
    for (ours, _) in &pairs {
        assert_eq!(net.hosts[a].node.write(net.now, *ours, &text).unwrap(), bytes);
    }
    net.run_for(cut);
    set_all(&mut net, a, b, true);
    let healed = net.now;
    let received = net.hosts[a].node.counters().packets_received;
    let (mut first, mut under_way) = (None, None);
    let mut got = vec![Vec::new(); count];
    let (mut had, mut before, mut first_round, mut burst) = (net.hosts[a].sent, 0, 0, 0);
    let mut lately: VecDeque<(Instant, usize)> = VecDeque::new();
    net.run_until_done(60 * SECOND, |net| {
        let now = net.now;
        let (sent, had) = (net.hosts[a].sent, std::mem::replace(&mut had, net.hosts[a].sent));
        if first.is_none() && net.hosts[a].node.counters().packets_received > received {
            (first, before) = (Some(now), had);
        }
        for ((_, theirs), got) in pairs.iter().zip(&mut got) {
            read_all(&mut net.hosts[b].node, now, *theirs, got);
        }
        if first.is_some_and(|first| now.since(first) < ROUND_TRIP) {
            lately.push_back((now, had));
            while now.since(lately[0].0) >= MS * 4 {
                lately.pop_front();
            }
            burst = burst.max(sent - lately[0].1);
            first_round = sent - before;
        }
        if under_way.is_none() && got.iter().all(|got| !got.is_empty()) {
            under_way = Some(now);
        }
        got.iter().all(|got| got.len() == bytes)
    });
    assert!(got.iter().all(|got| *got == text), "{count} streams, cut {cut:?}");
    let first = first.unwrap();
    let outage = Outage {
        heard: first.since(healed),
        all_under_way: under_way.unwrap().since(first),
        done: net.now.since(first),
        first_round,
        burst,
        sent: net.hosts[a].sent - before,
    };
    println!("{count} streams, cut {cut:?}: {outage:?}");
    outage
}

/// Half a round trip after it has left, each stream's segment is there; they leave 16 at a time, each 4 ms. Proves NAT-18.
#[test]
fn what_a_cut_has_stalled_goes_on_a_round_trip_after_the_first_frame_of_the_peer() {
    let mut bad = Vec::new();
    for count in [1, 8, 30, 200] {
        for tenths in [12, 15, 20, 25, 30, 40, 50, 80, 120, 200, 400] {
            let outage = outage(count, MS * 100 * tenths, 17);
            let turns = MS * 4 * u32::try_from(count.div_ceil(16) - 1).unwrap();
            let late =
                outage.all_under_way > ROUND_TRIP + turns || outage.heard > SECOND * 2 + ROUND_TRIP * 3;
            // A few are pings and keys.
            if late || outage.burst > 24 || outage.sent > count + 8 {
                bad.push((count, tenths, outage));
            }
        }
    }
    assert!(bad.is_empty(), "streams, tenths of a second, and {bad:#?}");
}

/// Slow start has begun anew for each: one segment in the first round trip, then two. Proves NAT-18.
#[test]
fn streams_with_much_to_say_return_with_one_segment_each() {
    for (count, bytes) in [(30, 60_000), (200, 5_000)] {
        for seconds in [3, 20] {
            let outage = outage(count, SECOND * seconds, bytes);
            assert!(outage.first_round <= count + 8 && outage.burst <= 24, "{outage:?}");
            let needed = count * bytes.div_ceil(1152);
            assert!(outage.sent <= needed + count, "{needed} segments: {outage:?}");
            assert!(outage.done < MS * 400, "{outage:?}");
        }
    }
}

/// Whichever of them end while the peer is silent, the others are found. Proves NAT-18.
#[test]
fn streams_that_end_in_a_cut_leave_the_others_in_line() {
    let ends: [fn(usize) -> bool; 4] = [|at| at == 0, |at| at == 59, |at| at % 3 == 1, |at| at % 4 != 2];
    for ends in ends {
        let mut net = Net::new(9);
        let (a, b) = (public(&mut net), public(&mut net));
        let pairs = streams(&mut net, 60);
        set_all(&mut net, a, b, false);
        for (ours, _) in &pairs {
            assert_eq!(net.hosts[a].node.write(net.now, *ours, b"seventeen letters"), Ok(17));
        }
        net.run_for(SECOND * 4);
        let now = net.now;
        for (_, (ours, _)) in pairs.iter().enumerate().filter(|(at, _)| ends(*at)) {
            net.hosts[a].node.reset(now, *ours).unwrap();
            net.hosts[a].node.release(now, *ours);
        }
        net.run_for(SECOND * 2);
        set_all(&mut net, a, b, true);
        let mut got = vec![Vec::new(); 60];
        net.run_until_done(3 * SECOND, |net| {
            let now = net.now;
            for ((_, theirs), got) in pairs.iter().zip(&mut got) {
                read_all(&mut net.hosts[b].node, now, *theirs, got);
            }
            (0..60).all(|at| ends(at) || got[at].len() == 17)
        });
    }
}

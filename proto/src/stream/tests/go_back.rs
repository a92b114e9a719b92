//! A receiver that keeps nothing beyond a gap and reports nothing (go-back-N): every segment of a window with a hole must
//! be sent again, and only bare duplicates tell. Small stacks are like that; so is the judge of the live suite.
//!
//! What is bounded here is the time a repair takes: a round trip a segment at the very most, and no silence longer
//! than one timeout, whatever earlier round trips make the sender believe.

use std::collections::BTreeMap;

use super::*;

const P1: u32 = PEER_ISN.wrapping_add(1);
const MS: Duration = Duration::from_millis(1);
/// What the sender waits for at least before it takes silence for a loss.
const TIMEOUT: Duration = Duration::from_millis(200);

/// What a transfer took.
#[derive(Debug)]
struct Took {
    time: Duration,
    /// The longest wait for progress, and how many were as long as a timeout.
    silence: Duration,
    silences: usize,
    copies: u64,
}

/// Sends `segments` to such a receiver. `round_trip` tells how long a data segment sent after so much time waits for its
/// answer, `lost` whether the nth one gets none.
fn transfer(
    isn: u32,
    segments: usize,
    round_trip: impl Fn(Duration) -> Duration,
    mut lost: impl FnMut(usize) -> bool,
) -> Took {
    let mut end = End::open(isn);
    let data = pattern(0, segments * MSS);
    let (mut written, mut sent, mut expected) = (0, 0, isn.wrapping_add(1));
    let last = expected.wrapping_add(data.len() as u32);
    // By time and order: the number and length of what arrives, or the answer.
    let mut answers: BTreeMap<(Instant, usize), u32> = BTreeMap::new();
    let mut progress = end.now;
    let mut took = Took { time: Duration::ZERO, silence: Duration::ZERO, silences: 0, copies: 0 };
    while end.stream.stats().unacked > 0 || expected != last {
        written += end.write(&data[written..]);
        for (segment, payload) in end.poll_all() {
            sent += 1;
            if payload.is_empty() || lost(sent) {
                continue;
            }
            if segment.seq == expected {
                expected = expected.wrapping_add(payload.len() as u32);
            }
            // The line keeps the order of packets, so that what arrived is known when it is sent.
            let at = end.now + round_trip(end.now.since(START));
            let at = answers.last_key_value().map_or(at, |(key, _)| at.max(key.0));
            answers.insert((at, sent), expected);
        }
        let timer = end.stream.poll_timeout();
        let next = answers.first_key_value().map(|(key, _)| key.0);
        let next = timer.into_iter().chain(next).min().expect("something is due");
        assert!(next.since(START) < Duration::from_secs(600), "not repaired: {took:?} {:?}", end.stream);
        end.now = next;
        if timer.is_some_and(|at| at <= next) {
            end.stream.handle_timeout(next, &mut end.memory.pool());
        }
        while let Some(first) = answers.first_entry().filter(|first| first.key().0 <= next) {
            let before = end.stream.stats().in_flight;
            end.feed(seg(Flags::ACK, P1, first.remove(), 512), b"");
            if end.stream.stats().in_flight < before {
                let silence = next.since(progress);
                took.silence = took.silence.max(silence);
                took.silences += usize::from(silence >= TIMEOUT);
                progress = next;
            }
        }
    }
    assert_eq!(expected, last);
    took.time = end.now.since(START);
    took.copies = end.stream.stats().counters.retransmits.into();
    end.release();
    took
}

/// One segment of a full window is lost, and so all of them. Proves STR-22.
#[test]
fn a_window_thrown_away_is_repaired_in_a_round_trip_a_segment() {
    for isn in ISNS {
        for rtt in [1, 20, 100] {
            let took = transfer(isn, 1000, |_| rtt * MS, |n| n == 500);
            println!("{rtt} ms: {took:?}");
            assert!(took.silences <= 1 && took.time <= 1000 * rtt * MS + 2 * TIMEOUT, "{rtt} ms: {took:?}");
        }
    }
}

/// The path has become faster, as one through a relay does that turns direct: every copy is answered sooner than any
/// segment before. That must not be taken for proof that no copy was needed.
#[test]
fn a_faster_path_does_not_make_repairs_look_needless() {
    for isn in ISNS {
        for (before, after) in [(100, 10), (20, 1), (10, 9)] {
            let moved = 2000 * MS;
            let round_trip = |at| if at < moved { before * MS } else { after * MS };
            let took = transfer(isn, 10_000, round_trip, |n| n == 3000 || n == 3001 || n == 6000);
            println!("{before} to {after} ms: {took:?}");
            assert!(took.silences <= 4 && took.silence <= 5 * TIMEOUT, "{before} to {after} ms: {took:?}");
        }
    }
}

/// Bursts overflow the receiver's socket again and again: three in a row are lost, copies too.
#[test]
fn frequent_losses_do_not_end_in_silence() {
    for isn in ISNS {
        for rtt in [1, 20] {
            for every in [97, 331] {
                let took = transfer(isn, 2000, |_| rtt * MS, |n| n % every < 3);
                println!("{rtt} ms, 3 of {every}: {took:?}");
                assert!(took.silence <= 10 * TIMEOUT, "{rtt} ms, 3 of {every}: {took:?}");
            }
        }
    }
}

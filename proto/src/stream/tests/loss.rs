//! Loss and its repair.

use super::*;
use crate::stream::{CloseReason, Unanswered};
use crate::wire::sack::{Block, Sack};

const P1: u32 = PEER_ISN.wrapping_add(1);

pub(super) fn report(blocks: &[(u32, u32)]) -> Vec<u8> {
    let mut out = [0; 64];
    let sack = Sack::new(blocks.iter().map(|&(left, right)| Block { left, right }));
    let len = sack.emit(&mut out).unwrap();
    out[..len].to_vec()
}

/// Ten full segments sent; returns the number of the `k`th byte.
pub(super) fn ten_sent(isn: u32) -> (End, impl Fn(usize) -> u32) {
    let mut end = End::open(isn);
    end.write(&pattern(0, 10 * MSS));
    assert_eq!(end.poll_all().len(), 10);
    (end, move |k| isn.wrapping_add(1).wrapping_add((k * MSS) as u32))
}

/// Proves STR-13.
#[test]
fn hazard_04_6_reports_repair_every_hole_at_once() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.now = end.now + Duration::from_millis(20);
        end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
        // Lost: 1 and 3.
        for blocks in [
            vec![(at(2), at(3))],
            vec![(at(2), at(3)), (at(4), at(5))],
            vec![(at(2), at(3)), (at(4), at(6))],
            vec![(at(2), at(3)), (at(4), at(7))],
        ] {
            end.feed(seg(Flags::ACK, P1, at(1), 512), &report(&blocks));
        }
        end.sends_data(at(1), &pattern(MSS, MSS));
        // Two segments have arrived since the loss was seen: two may be sent (RFC 9937).
        end.sends_data(at(3), &pattern(3 * MSS, MSS));
        end.quiet();
        let stats = end.stream.stats();
        assert_eq!((stats.counters.fast_retx, stats.counters.retransmits, stats.in_recovery), (1, 2, true));
        end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        assert!(!end.stream.stats().in_recovery);
        assert_eq!(end.stream.stats().unacked, 0);
        end.release();
    }
}

#[test]
fn reordering_is_not_loss() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.now = end.now + Duration::from_millis(20);
        end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
        end.feed(seg(Flags::ACK, P1, at(1), 512), &report(&[(at(2), at(3))]));
        end.feed(seg(Flags::ACK, P1, at(1), 512), &report(&[(at(2), at(4))]));
        end.feed(seg(Flags::ACK, P1, at(4), 512), b"");
        end.quiet();
        assert_eq!(end.stream.stats().counters.retransmits, 0);
    }
}

/// Two segments outstanding can never bring three reports; time decides (RFC 8985).
#[test]
fn a_hole_near_the_end_is_repaired_before_the_timer() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(&pattern(0, 2 * MSS));
        end.poll_all();
        end.now = end.now + Duration::from_millis(20);
        let (middle, all) = (s1.wrapping_add(MSS as u32), s1.wrapping_add(2 * MSS as u32));
        end.feed(seg(Flags::ACK, P1, s1, 512), &report(&[(middle, all)]));
        let sent = end.pass(Duration::from_millis(50));
        assert_eq!((sent[0].0, sent[0].1.seq), (Duration::from_millis(5), s1));
    }
}

#[test]
fn three_bare_duplicates_repair_too() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.feed(seg(Flags::ACK, P1, at(2), 512), b"");
        for _ in 0..3 {
            end.quiet();
            end.feed(seg(Flags::ACK, P1, at(2), 512), b"");
        }
        end.sends_data(at(2), &pattern(2 * MSS, MSS));
        // NewReno: the next hole is named by a partial acknowledgment.
        end.feed(seg(Flags::ACK, P1, at(5), 512), b"");
        end.sends_data(at(5), &pattern(5 * MSS, MSS));
        end.quiet();
    }
}

#[test]
fn hazard_04_15_silence_is_answered_by_patience_not_by_reset() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.now = end.now + Duration::from_millis(20);
        end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
        let sent = end.pass(Duration::from_secs(100));
        let times: Vec<u128> = sent.iter().map(|(after, ..)| after.as_millis()).collect();
        assert_eq!(times, [40, 240, 640, 1440, 3040, 6240, 12640, 22640, 32640, 42640, 52640, 62640]);
        // A probe of the tail comes first, after two round trips.
        assert_eq!((sent[0].1.seq, &sent[0].2), (at(9), &pattern(9 * MSS, MSS)));
        assert!(sent[1..11].iter().all(|(_, s, p)| s.seq == at(1) && *p == pattern(MSS, MSS)));
        assert_eq!(sent[11].1.flags, Flags::RST);
        assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Data)));
        end.release();
    }
}

#[test]
fn hazard_04_16_after_a_timeout_the_rest_follows_as_acknowledgments_come() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        let sent = end.pass(Duration::from_millis(1500));
        assert_eq!(sent.len(), 1);
        end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
        end.sends_data(at(1), &pattern(MSS, MSS));
        end.sends_data(at(2), &pattern(2 * MSS, MSS));
        end.quiet();
        // What was received beyond the hole need not be sent again.
        end.feed(seg(Flags::ACK, P1, at(3), 512), &report(&[(at(4), at(10))]));
        end.sends_data(at(3), &pattern(3 * MSS, MSS));
        end.quiet();
        end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        assert_eq!(end.stream.stats().unacked, 0);
    }
}

/// A receiver that reported the first segment may have thrown it away since.
#[test]
fn a_reported_head_is_sent_again_after_a_timeout() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(&pattern(0, 2 * MSS));
        end.poll_all();
        let (middle, all) = (s1.wrapping_add(MSS as u32), s1.wrapping_add(2 * MSS as u32));
        end.feed(seg(Flags::ACK, P1, s1, 512), &report(&[(middle, all)]));
        end.feed(seg(Flags::ACK, P1, middle, 512), b"");
        assert_eq!(end.stream.stats().unacked, 1);
        let sent = end.pass(Duration::from_secs(2));
        assert_eq!((sent[0].1.seq, sent[0].2.len()), (middle, MSS));
    }
}

#[test]
fn a_duplicate_does_not_push_the_timer_away() {
    let (mut end, at) = ten_sent(0);
    end.pass(Duration::from_millis(900));
    end.feed(seg(Flags::ACK, P1, at(0), 512), b"");
    let sent = end.pass(Duration::from_millis(150));
    assert_eq!(sent.len(), 1, "the initial timeout is 1 s");
}

#[test]
fn hazard_04_41_what_waited_behind_a_hole_is_no_round_trip() {
    let (mut end, at) = ten_sent(0);
    end.now = end.now + Duration::from_millis(20);
    end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
    end.pass(Duration::from_millis(5000));
    end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
    assert_eq!(end.stream.stats().srtt, Duration::from_millis(20));
    assert_eq!(end.stream.stats().rto, Duration::from_millis(200));
}

/// The receiver's side: report at once, and after the third report three bare duplicates, once per gap.
#[test]
fn hazard_01_h8_a_gap_is_reported_so_that_every_release_repairs_it() {
    for isn in ISNS {
        let ack = isn.wrapping_add(1);
        let mut end = End::open(isn);
        let at = |k: u32| P1.wrapping_add(k * 10);
        for k in 1..=5 {
            end.feed(seg(Flags::ACK, at(k), ack, 512), &pattern(k as usize * 10, 10));
            let (segment, payload) = end.poll().unwrap();
            assert_eq!((segment.ack, payload), (P1, report(&[(at(1), at(k + 1))])));
            if k == 3 {
                for _ in 0..3 {
                    end.sends(Flags::ACK, ack, P1);
                }
            }
            end.quiet();
        }
        end.feed(seg(Flags::ACK, P1, ack, 512), &pattern(0, 10));
        end.sends(Flags::ACK, ack, at(6));
        end.quiet();
        assert_eq!(end.read_all(), pattern(0, 60));
        end.release();
    }
}

#[test]
fn only_the_four_lowest_blocks_are_reported() {
    for isn in ISNS {
        let mut end = End::open(isn);
        let at = |k: u32| P1.wrapping_add(k * 10);
        for k in [11, 1, 9, 3, 7, 5] {
            end.feed(seg(Flags::ACK, at(k), isn.wrapping_add(1), 512), &pattern(0, 10));
        }
        let expected: Vec<_> = [1, 3, 5, 7].iter().map(|&k| (at(k), at(k + 1))).collect();
        assert_eq!(end.poll().unwrap().1, report(&expected));
    }
}

/// When the pool is full, what lies furthest ahead gives way to what is nearer.
#[test]
fn a_full_pool_drops_what_is_furthest_ahead() {
    let mut end = End::open(0);
    end.memory = Memory::new(4, 100);
    let data = pattern(0, 600);
    let at = |k: usize| P1.wrapping_add(k as u32 * 100);
    let piece = |k: usize| &data[k * 100..(k + 1) * 100];
    for k in [5, 4, 3, 2, 1, 0] {
        end.feed(seg(Flags::ACK, at(k), 1, 512), piece(k));
    }
    assert_eq!(end.read_all(), &data[..400]);
    assert_eq!(end.poll_all().last().unwrap().0.ack, at(4));
    end.release();
}

/// Data with a place beyond a gap is sent while a report is owed: the report follows, for data cannot carry it.
#[test]
fn data_does_not_swallow_a_report() {
    let mut end = End::open(0);
    end.feed(seg(Flags::ACK, P1.wrapping_add(10), 1, 512), b"later");
    end.write(b"data");
    end.sends_data(1, b"data");
    assert_eq!(end.poll().unwrap().1.len(), 13);
    end.quiet();
}

/// A burst is no larger than what the smallest receiver's socket holds, unless acknowledgments clock it.
/// Proves STR-14.
#[test]
fn bursts_are_short() {
    let mut end = End::open(0);
    let mut sent = 0;
    for _ in 0..40 {
        end.write(&pattern(0, 64 * MSS));
        let burst = end.poll_all().len() as u32;
        assert!(burst <= 64, "burst of {burst}");
        sent += burst;
        end.now = end.now + Duration::from_millis(1);
        end.feed(seg(Flags::ACK, P1, 1 + sent * MSS as u32, 512), b"");
    }
    assert!(sent > 1000, "but the rate is not limited: {sent}");
}

#[test]
fn without_acknowledgments_bursts_are_a_moment_apart() {
    let config = Config { mss: 64, ..Config::DEFAULT };
    let mut end = End::open_with(0, 512, &config);
    // A window of more than 16 segments, earned by one acknowledgment of what one burst of 10 carried.
    end.write(&pattern(0, 10 * 64));
    assert_eq!(end.poll_all().len(), 10);
    end.feed(seg(Flags::ACK, P1, 1 + 10 * 64, 512), b"");
    end.write(&pattern(0, 20 * 64));
    assert_eq!(end.poll_all().len(), 20, "acknowledged segments have left the receiver's socket");
    end.feed(seg(Flags::ACK, P1, 1 + 30 * 64, 512), b"");
    end.stream.sender.spend_all_credit(end.now);
    end.write(&pattern(0, 40 * 64));
    let sent = end.pass(Duration::from_millis(10));
    let at = |n: usize| sent[n].0.as_millis();
    assert_eq!((at(0), at(15), at(16), at(31), at(32)), (1, 1, 2, 2, 3));
}

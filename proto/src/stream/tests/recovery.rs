//! Recovery beyond repair: probes of the tail, cuts that are taken back, loss that is borne, peers that keep more.

use std::collections::VecDeque;

use super::loss::{report, ten_sent};
use super::*;
use crate::stream::Stats;

const P1: u32 = PEER_ISN.wrapping_add(1);
const MS: Duration = Duration::from_millis(1);

fn stats(end: &End) -> Stats {
    end.stream.stats()
}

/// Ten segments sent, the first acknowledged after 20 ms, twenty more written, of which two fit the window.
fn with_more_to_say(isn: u32) -> (End, impl Fn(usize) -> u32) {
    let (mut end, at) = ten_sent(isn);
    end.now = end.now + 20 * MS;
    end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
    end.write(&pattern(10 * MSS, 20 * MSS));
    assert_eq!(end.poll_all().len(), 2);
    (end, at)
}

#[test]
fn a_lost_tail_is_probed_after_two_round_trips() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(8), 512), b"");
        let sent = end.pass(50 * MS);
        assert_eq!((sent.len(), sent[0].0, sent[0].1.seq), (1, 40 * MS, at(9)));
        // It arrives, and shows what was lost before it.
        end.now = end.now + 10 * MS;
        end.feed(seg(Flags::ACK, P1, at(8), 512), &report(&[(at(9), at(10))]));
        let sent = end.pass(10 * MS);
        assert_eq!(sent[0].1.seq, at(8));
        end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        assert!(!stats(&end).in_recovery);
        end.release();
    }
}

#[test]
fn new_data_is_the_better_probe() {
    for isn in ISNS {
        let (mut end, at) = with_more_to_say(isn);
        let sent = end.pass(50 * MS);
        assert_eq!((sent.len(), sent[0].0, sent[0].1.seq), (1, 40 * MS, at(12)));
        assert_eq!(stats(&end).counters.retransmits, 0);
    }
}

#[test]
fn a_probe_that_repaired_a_loss_cuts_the_window_and_a_needless_one_does_not() {
    for (duplicate, cut) in [(true, false), (false, true)] {
        let (mut end, at) = ten_sent(0);
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(9), 512), b"");
        // A lone segment: its acknowledgment may be a delayed one.
        let sent = end.pass(81 * MS);
        assert_eq!((sent.len(), sent[0].0, sent[0].1.seq), (1, 80 * MS, at(9)));
        end.now = end.now + 21 * MS;
        let before = stats(&end).cong_win;
        end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        if duplicate {
            end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        }
        end.write(b"more");
        end.sends_data(at(10), &pattern(0, 0).into_iter().chain(*b"more").collect::<Vec<_>>());
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(10) + 4, 512), b"");
        assert_eq!(stats(&end).cong_win < before, cut);
    }
}

/// The answers were late, not lost: nothing more is sent twice, and the window is what it was (RFC 5682).
#[test]
fn a_timeout_for_nothing_is_taken_back() {
    for isn in ISNS {
        for answer_after in [5, 30] {
            let (mut end, at) = with_more_to_say(isn);
            let before = stats(&end).cong_win;
            let sent = end.pass(241 * MS);
            assert_eq!((sent.len(), sent[1].1.seq), (2, at(1)));
            assert!(stats(&end).in_recovery && stats(&end).cong_win == MSS as u32);
            end.now = end.now + answer_after * MS;
            end.feed(seg(Flags::ACK, P1, at(2), 512), b"");
            // New data goes first; how soon the answer came proves nothing.
            let new: Vec<u32> = end.poll_all().iter().map(|(segment, _)| segment.seq).collect();
            assert!(new.iter().all(|&seq| seq.wrapping_sub(at(13)) < 20 * MSS as u32), "{new:?}");
            assert!(stats(&end).in_recovery);
            end.feed(seg(Flags::ACK, P1, at(4), 512), b"");
            assert!(!stats(&end).in_recovery && stats(&end).cong_win >= before, "{:?}", stats(&end));
            end.poll_all();
            end.feed(seg(Flags::ACK, P1, at(13), 512), b"");
            assert_eq!(stats(&end).counters.retransmits, 1);
            end.release();
        }
    }
}

#[test]
fn a_timeout_for_a_reason_is_not_taken_back() {
    for isn in ISNS {
        let (mut end, at) = with_more_to_say(isn);
        end.pass(241 * MS);
        end.now = end.now + 30 * MS;
        end.feed(seg(Flags::ACK, P1, at(2), 512), b"");
        let new = end.poll_all();
        assert_eq!((new.len(), new[0].0.seq), (2, at(13)));
        // The new data arrived, what was sent before it did not.
        end.feed(seg(Flags::ACK, P1, at(2), 512), &report(&[(at(13), at(14))]));
        assert!(stats(&end).in_recovery);
        end.sends_data(at(2), &pattern(2 * MSS, MSS));
    }
}

/// Ten segments are lost, and then the first `lost` copies; others are answered after 5 ms, a quarter of the
/// smallest round trip. The timeouts that were sat out until all had arrived, and how long it took.
fn repaired(isn: u32, lost: usize) -> (usize, Duration) {
    let (mut end, at) = ten_sent(isn);
    end.now = end.now + 20 * MS;
    end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
    end.write(&pattern(0, 10 * MSS));
    assert_eq!(end.poll_all().len(), 10);
    let (mut arrived, mut answers, mut copies) = ([false; 21], VecDeque::new(), 0);
    arrived[..10].fill(true);
    let (started, mut spoke, mut timeouts) = (end.now, end.now, 0);
    while stats(&end).unacked > 0 {
        for (_, segment, _) in end.pass(MS) {
            timeouts += usize::from(end.now.since(spoke) > 150 * MS);
            (spoke, copies) = (end.now, copies + 1);
            if copies > lost {
                answers.push_back((end.now + 5 * MS, segment.seq.wrapping_sub(at(0)) as usize / MSS));
            }
        }
        while let Some((_, k)) = answers.pop_front_if(|(due, _)| *due <= end.now) {
            arrived[k] = true;
            let next = arrived.iter().position(|arrived| !arrived).unwrap();
            let last = (next..20).rev().take_while(|&k| arrived[k]).last();
            let blocks = last.map(|last| report(&[(at(last), at(20))])).unwrap_or_default();
            end.feed(seg(Flags::ACK, P1, at(next), 512), &blocks);
        }
        assert!(end.now.since(started) < Duration::from_secs(60), "{:?}", stats(&end));
    }
    let took = end.now.since(started);
    end.release();
    (timeouts, took)
}

/// The smallest round trip that was measured is not the smallest there is: packets queued, answers were delayed, or the
/// path became shorter. Repairs do not stop because a copy is answered sooner; after a timeout every one would take the
/// next, and after a probe of the tail the losses before it would not be seen.
#[test]
fn early_answers_do_not_stop_repairs() {
    for isn in ISNS {
        let (timeouts, took) = repaired(isn, 0);
        assert!(timeouts == 0 && took < 100 * MS, "{timeouts}, {took:?}");
        let (timeouts, took) = repaired(isn, 1);
        assert!(timeouts == 1 && took < 300 * MS, "{timeouts}, {took:?}");
    }
}

/// Packets overtook each other by more than three: the repair was needless, which its early answer shows.
#[test]
fn a_cut_for_reordering_is_taken_back_and_not_repeated() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
        let before = stats(&end).cong_win;
        end.feed(seg(Flags::ACK, P1, at(1), 512), &report(&[(at(2), at(6))]));
        end.sends_data(at(1), &pattern(MSS, MSS));
        assert!(stats(&end).cong_win < before);
        end.now = end.now + 2 * MS;
        end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        assert!(!stats(&end).in_recovery && stats(&end).cong_win >= before);
        // From now on only time tells.
        end.write(&pattern(10 * MSS, 8 * MSS));
        end.poll_all();
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(10), 512), &report(&[(at(11), at(16))]));
        end.quiet();
        let sent = end.pass(30 * MS);
        assert_eq!((sent[0].1.seq, stats(&end).counters.fast_retx), (at(10), 2));
    }
}

/// Each copy that was not needed is answered by a bare duplicate. Three of them are no loss, from a peer that reports
/// losses: else copies bring copies, and no round trip is ever measured again. Proves STR-22.
#[test]
fn answers_to_needless_copies_bring_no_more_copies() {
    for isn in ISNS {
        let (mut end, at) = ten_sent(isn);
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(1), 512), b"");
        end.feed(seg(Flags::ACK, P1, at(1), 512), &report(&[(at(2), at(6))]));
        end.sends_data(at(1), &pattern(MSS, MSS));
        end.now = end.now + 2 * MS;
        // What was overtaken arrives after all. The rest is late, not lost.
        end.feed(seg(Flags::ACK, P1, at(6), 512), b"");
        end.quiet();
        end.feed(seg(Flags::ACK, P1, at(10), 512), b"");
        assert!(!stats(&end).in_recovery);
        end.write(&pattern(10 * MSS, 8 * MSS));
        assert_eq!(end.poll_all().len(), 8);
        for k in [10, 11] {
            end.now = end.now + 20 * MS;
            for _ in 0..4 {
                end.feed(seg(Flags::ACK, P1, at(k), 512), b"");
            }
            end.quiet();
            assert_eq!((stats(&end).counters.retransmits, stats(&end).in_recovery), (1, false));
        }
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(11), 512), &report(&[(at(12), at(16))]));
        assert_eq!(end.pass(20 * MS)[0].1.seq, at(11));
    }
}

/// More than 128 segments are under way only to a peer that has shown more room than any release has.
#[test]
fn a_window_beyond_512_is_the_sign_of_a_peer_that_keeps_more() {
    for (window, most) in [(512, 128), (513, 300)] {
        let mut end = End::open_with(0, window, &Config { max_flight: 300, ..Config::DEFAULT });
        end.memory = Memory::new(4096, MSS);
        let (mut sent, mut unacked) = (0u32, 0);
        for _ in 0..12 {
            end.write(&pattern(0, 400 * MSS));
            sent += end.pass(20 * MS).len() as u32;
            unacked = stats(&end).unacked.max(unacked);
            end.feed(seg(Flags::ACK, P1, 1 + sent * MSS as u32, 512), b"");
        }
        assert_eq!(unacked, most);
    }
}

#[test]
fn such_a_peer_gets_longer_reports() {
    for (window, blocks) in [(512, 4), (513, 20)] {
        let mut end = End::open_with(0, window, &Config::DEFAULT);
        for k in 0..20 {
            end.feed(seg(Flags::ACK, P1.wrapping_add(10 + k * 20), 1, window), &pattern(0, 10));
        }
        let (_, payload) = end.poll().unwrap();
        assert_eq!((payload.len(), payload[4]), (5 + 8 * blocks, 4), "the count is what a release expects");
    }
}

/// A single loss without a queue is no congestion, unless the peer may be a release with a small socket buffer, or
/// the owner wants it otherwise. Proves STR-20.
#[test]
fn a_rare_loss_is_borne() {
    let never = Config { bear_random_loss: false, ..Config::DEFAULT };
    for (window, config, cut) in
        [(513, Config::DEFAULT, false), (512, Config::DEFAULT, true), (513, never, true)]
    {
        let mut end = End::open_with(0, window, &config);
        let at = |k: usize| 1 + (k * MSS) as u32;
        end.write(&pattern(0, 10 * MSS));
        end.poll_all();
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(1), window), b"");
        let before = stats(&end).cong_win;
        end.feed(seg(Flags::ACK, P1, at(1), window), &report(&[(at(2), at(6))]));
        end.sends_data(at(1), &pattern(MSS, MSS));
        assert_eq!(stats(&end).cong_win < before, cut);
        end.now = end.now + 20 * MS;
        end.feed(seg(Flags::ACK, P1, at(10), window), b"");
        if cut {
            continue;
        }
        // Half of them is too much for anybody.
        end.write(&pattern(0, 10 * MSS));
        end.pass(20 * MS);
        let before = stats(&end).cong_win;
        end.feed(seg(Flags::ACK, P1, at(10), window), &report(&[(at(15), at(20))]));
        assert!(stats(&end).cong_win < before, "{:?}", stats(&end));
    }
}

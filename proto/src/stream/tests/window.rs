//! Flow control in both directions, and staying alive.

use super::*;
use crate::stream::{CloseReason, State, Unanswered};
use proptest::prelude::*;

const P1: u32 = PEER_ISN.wrapping_add(1);

/// Proves STR-8.
#[test]
fn the_window_counts_segments() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open_with(isn, 2, &Config::DEFAULT);
        end.write(&pattern(0, 5 * MSS));
        assert_eq!(end.poll_all().len(), 2);
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(MSS as u32), 3), b"");
        assert_eq!(end.poll_all().len(), 2);
        // Small ones too: a reference receiver has 512 places, whatever their size.
        let mut end = End::open_with(isn, 2, &Config::DEFAULT);
        for _ in 0..5 {
            end.write(b"x");
            end.pass(Duration::from_millis(50));
        }
        assert_eq!(end.stream.stats().unacked, 2);
    }
}

#[test]
fn no_more_is_sent_than_the_smallest_reorder_buffer_holds() {
    let mut end = End::open(0);
    end.write(&pattern(0, 200 * MSS));
    let mut acked = 0u32;
    for _ in 0..200 {
        acked += end.poll_all().len() as u32 / 2;
        end.feed(seg(Flags::ACK, P1, 1 + acked * MSS as u32, 512), b"");
        end.now = end.now + Duration::from_millis(2);
        assert!(end.stream.stats().unacked <= 128);
    }
}

/// Proves STR-10.
#[test]
fn hazard_04_26_a_closed_window_is_probed_with_an_old_byte() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"first");
        end.sends_data(s1, b"first");
        let una = s1.wrapping_add(5);
        end.feed(seg(Flags::ACK, P1, una, 0), b"");
        end.write(b"second");
        end.quiet();
        let sent = end.pass(Duration::from_secs(20));
        let times: Vec<u128> = sent.iter().map(|(after, ..)| after.as_millis()).collect();
        assert_eq!(times, [200, 600, 1400, 3000, 6200, 11200, 16200]);
        for (_, segment, payload) in &sent {
            assert_eq!((segment.seq, &payload[..]), (una.wrapping_sub(1), &[0][..]));
        }
        // Still closed, then open.
        end.feed(seg(Flags::ACK, P1, una, 0), b"");
        end.quiet();
        end.feed(seg(Flags::ACK, P1, una, 4), b"");
        end.sends_data(una, b"second");
    }
}

#[test]
fn a_peer_with_a_closed_window_lives_as_long_as_it_answers() {
    let mut end = End::open_with(0, 0, &Config::DEFAULT);
    end.write(b"data");
    for _ in 0..100 {
        let sent = end.pass(Duration::from_secs(5));
        assert!(!sent.is_empty());
        end.feed(seg(Flags::ACK, P1, 1, 0), b"");
    }
    assert_eq!(end.stream.state(), State::Established);
    end.pass(Duration::from_secs(70));
    assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Data)));
}

/// An April keepalive is an acknowledgment with window 0.
#[test]
fn hazard_04_25_a_keepalive_does_not_close_the_window() {
    let mut end = End::open(0);
    for _ in 0..5 {
        end.feed(seg(Flags::ACK, P1, 1, 0), b"");
    }
    end.write(b"data");
    end.sends_data(1, b"data");
    let stats = end.stream.stats();
    assert_eq!((stats.cong_win, stats.counters.fast_retx), (10 * MSS as u32, 0));
}

/// Proves STR-9.
#[test]
fn hazard_04_2_a_slow_reader_never_advertises_zero_to_an_unknown_peer() {
    let config = Config { recv_buffer: 16 << 10, ..Config::DEFAULT };
    for isn in ISNS {
        let ack = isn.wrapping_add(1);
        let mut end = End::open_with(isn, 512, &config);
        let data = pattern(0, 4096);
        let mut taken = 0u32;
        for k in 0..8 {
            end.feed(seg(Flags::ACK, P1.wrapping_add(k * 4096), ack, 512), &data);
            for (_, segment, _) in end.pass(Duration::from_millis(200)) {
                assert!(segment.window >= 1, "0 is unlimited to an April sender");
                taken = segment.ack.wrapping_sub(P1);
            }
        }
        assert_eq!(taken, 6 * 4096, "the buffer and the reserve, no more");
        assert_eq!(end.stream.peek_len(), 6 * 4096);
        // The reader wakes: an update, but never three in a row that say nothing else.
        let mut updates = 0;
        while !end.read().unwrap().unwrap().is_empty() {
            updates += end.poll_all().len();
        }
        assert!((1..=2).contains(&updates), "{updates} window updates");
        end.feed(seg(Flags::ACK, P1.wrapping_add(6 * 4096), ack, 512), &data);
        assert_eq!(end.sends(Flags::ACK, ack, P1.wrapping_add(7 * 4096)), 3);
        end.release();
    }
}

/// The acknowledgment is what lets an April sender go on, so it is held back while there is hardly room.
#[test]
fn the_last_acknowledgment_is_held_back() {
    let config = Config { recv_buffer: 16 << 10, ..Config::DEFAULT };
    let mut end = End::open_with(0, 512, &config);
    for k in 0..3u32 {
        end.feed(seg(Flags::ACK, P1.wrapping_add(k * 4096), 1, 512), &pattern(0, 4096));
    }
    end.poll_all();
    end.feed(seg(Flags::ACK, P1.wrapping_add(3 * 4096), 1, 512), &pattern(0, 4096));
    end.quiet();
    // Reading releases it.
    end.read_all();
    assert_eq!(end.sends(Flags::ACK, 1, P1.wrapping_add(4 * 4096)), 4);
}

#[test]
fn a_modern_peer_is_told_of_a_closed_window() {
    let config = Config { recv_buffer: 64 << 10, ..Config::DEFAULT };
    let mut end = End::open_with(0, 512, &config);
    let mut seq = P1;
    let mut last = u16::MAX;
    for _ in 0..70 {
        end.feed(seg(Flags::ACK, seq, 1, 512), &pattern(0, MSS));
        seq = seq.wrapping_add(MSS as u32);
        for (_, segment, _) in end.pass(Duration::from_millis(200)) {
            last = segment.window;
        }
    }
    assert_eq!(last, 0);
    end.read_all();
    assert!(end.sends(Flags::ACK, 1, end.stream.receiver.next.get()) >= 50);
}

/// Proves STR-19.
#[test]
fn idle_peers_exchange_keepalives_and_nothing_else() {
    for isn in ISNS {
        let mut end = End::open(isn);
        // Kept awake by a peer whose keepalives nobody answers.
        let mut sent = Vec::new();
        for _ in 0..40 {
            sent.extend(end.pass(Duration::from_secs(15)));
            end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 0), b"");
        }
        assert_eq!(sent.len(), 20, "every 30 s of 600");
        assert!(sent.iter().all(|(_, s, p)| s.seq == isn && s.window > 0 && p.len() == 1));
        assert_eq!(end.stream.state(), State::Established);
    }
}

#[test]
fn a_silent_peer_is_gone() {
    let mut end = End::open(0);
    let sent = end.pass(Duration::from_secs(200));
    let times: Vec<u64> = sent.iter().map(|(after, ..)| after.as_secs()).collect();
    assert_eq!(times, [30, 45, 60, 75, 90, 105, 120]);
    assert_eq!(sent[6].1.flags, Flags::RST);
    assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Keepalive)));

    let mut end = End::open_with(0, 512, &Config { keepalive: None, ..Config::DEFAULT });
    assert_eq!(end.pass(Duration::from_secs(200)).len(), 1);
    assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Idle)));

    let never = Config { keepalive: None, idle_timeout: None, ..Config::DEFAULT };
    let end = End::open_with(0, 512, &never);
    assert_eq!(end.stream.poll_timeout(), None, "nothing to wait for");
}

proptest! {
    /// A peer that sends all it may, and never more, loses nothing, however slowly it is read.
    #[test]
    fn what_a_window_promises_is_kept(
        isn in prop::sample::select(ISNS.to_vec()),
        rounds in prop::collection::vec((0usize..40, 0usize..40_000), 1..40),
    ) {
        let mut end = End::open(isn);
        let (mut sent, mut promised) = (0, 144);
        for (segments, reads) in rounds {
            for _ in 0..segments.min(promised - sent) {
                let seq = P1.wrapping_add((sent * MSS) as u32);
                end.feed(seg(Flags::ACK, seq, isn.wrapping_add(1), 512), &pattern(sent * MSS, MSS));
                sent += 1;
            }
            let mut room = vec![0; reads];
            let _ = end.stream.read(end.now, &mut room, &mut end.memory.pool());
            for (_, segment, _) in end.pass(Duration::from_millis(200)) {
                let acked = segment.ack.wrapping_sub(P1) as usize;
                prop_assert_eq!(acked % MSS, 0);
                promised = promised.max(acked / MSS + usize::from(segment.window));
            }
            prop_assert_eq!(end.stream.receiver.next.get(), P1.wrapping_add((sent * MSS) as u32));
        }
        prop_assert!(end.read_all().len() <= sent * MSS);
        end.release();
    }

    #[test]
    fn no_more_is_under_way_than_the_peer_has_room_for(
        isn in prop::sample::select(ISNS.to_vec()),
        window in 1u16..=512,
        rounds in prop::collection::vec((0usize..60_000, 0u32..40, 0u64..50), 1..40),
    ) {
        let mut end = End::open_with(isn, window, &Config::DEFAULT);
        let mut acked = 0;
        for (len, segments, wait) in rounds {
            let _ = end.stream.write(end.now, &pattern(0, len), &mut end.memory.pool()).unwrap();
            end.pass(Duration::from_millis(wait));
            let under_way = end.stream.stats().unacked;
            prop_assert!(under_way <= u32::from(window.min(128)), "{} of {}", under_way, window);
            let nxt = end.stream.sender.queue.nxt.get().wrapping_sub(isn.wrapping_add(1));
            acked = nxt.min(acked + segments * MSS as u32);
            end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1).wrapping_add(acked), window), b"");
        }
    }
}

//! Sending and receiving without trouble: boundaries, Nagle, delayed acknowledgments, the SACK ambiguity.

use super::*;
use crate::stream::WriteError;

const P1: u32 = PEER_ISN.wrapping_add(1);

#[test]
fn a_write_leaves_as_one_segment_and_a_long_one_in_full_ones() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        assert_eq!(end.write(b"hello"), 5);
        end.sends_data(s1, b"hello");
        end.quiet();
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(5), 512), b"");
        let data = pattern(0, 3000);
        assert_eq!(end.write(&data), 3000);
        end.sends_data(s1.wrapping_add(5), &data[..MSS]);
        end.sends_data(s1.wrapping_add(5 + MSS as u32), &data[MSS..2 * MSS]);
        // The end of a long write does not wait.
        end.sends_data(s1.wrapping_add(5 + 2 * MSS as u32), &data[2 * MSS..]);
        end.quiet();
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(3005), 512), b"");
        assert_eq!(end.stream.stats().unacked, 0);
        end.quiet();
        end.release();
    }
}

#[test]
fn hazard_04_33_small_writes_merge_and_nobody_waits_for_long() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"a");
        end.sends_data(s1, b"a");
        for byte in [b"b", b"c", b"d"] {
            end.write(byte);
        }
        end.quiet();
        // The acknowledgment lets them go together.
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(1), 512), b"");
        end.sends_data(s1.wrapping_add(1), b"bcd");
        end.write(b"e");
        let sent = end.pass(Duration::from_millis(100));
        assert_eq!((sent[0].0, &sent[0].2[..]), (Duration::from_millis(40), &b"e"[..]));
    }
}

#[test]
fn a_full_segment_does_not_hold_a_short_one_back() {
    let mut end = End::open(0);
    end.write(&pattern(0, MSS));
    end.sends_data(1, &pattern(0, MSS));
    end.write(b"x");
    end.sends_data(1 + MSS as u32, b"x");
    end.write(b"y");
    end.quiet();
}

#[test]
fn a_short_write_is_never_cut() {
    let mut end = End::open_with(0, 1, &Config::DEFAULT);
    end.write(&pattern(0, 1000));
    end.sends_data(1, &pattern(0, 1000));
    end.write(&pattern(0, 600));
    end.write(&pattern(600, 1000));
    end.feed(seg(Flags::ACK, P1, 1001, 512), b"");
    end.sends_data(1001, &pattern(0, 600));
    end.sends_data(1601, &pattern(600, 1000));
    end.write(b"tail");
    end.quiet();
}

#[test]
fn hazard_04_7_data_that_looks_like_a_report_is_cut() {
    let mut looks = b"SACK\x01".to_vec();
    looks.extend([0; 20]);
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(&looks);
        end.sends_data(s1, b"SACK");
        end.sends_data(s1.wrapping_add(4), &looks[4..]);
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(looks.len() as u32), 512), b"");
        // Also if it comes in pieces and is sent again.
        let s1 = s1.wrapping_add(looks.len() as u32);
        end.write(b"q");
        end.sends_data(s1, b"q");
        for piece in looks.chunks(2) {
            end.write(piece);
        }
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(1), 512), b"");
        end.sends_data(s1.wrapping_add(1), b"SACK");
        end.sends_data(s1.wrapping_add(5), &looks[4..]);
        let sent = end.pass(Duration::from_millis(1100));
        assert_eq!(sent[0].2, b"SACK");
    }
}

#[test]
fn hazard_04_7_data_that_only_looks_like_a_report_is_delivered() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"0123456789");
        end.poll_all();
        // Right length, but ranges of bytes that were never sent.
        let mut fake = b"SACK\x01".to_vec();
        fake.extend(s1.wrapping_add(90).to_be_bytes());
        fake.extend(s1.wrapping_add(99).to_be_bytes());
        end.feed(seg(Flags::ACK, P1, s1, 512), &fake);
        assert_eq!(end.read(), Ok(Some(fake)));
        // A genuine one is not.
        let mut report = b"SACK\x01".to_vec();
        report.extend(s1.wrapping_add(4).to_be_bytes());
        report.extend(s1.wrapping_add(9).to_be_bytes());
        end.feed(seg(Flags::ACK, P1.wrapping_add(13), s1, 512), &report);
        assert_eq!(end.stream.peek_len(), 0);
        assert_eq!(end.stream.stats().counters.sack_recv, 1);
    }
}

#[test]
fn boundaries_reach_the_reader() {
    for isn in ISNS {
        let ack = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.feed(seg(Flags::ACK, P1, ack, 512), b"one");
        end.feed(seg(Flags::ACK, P1.wrapping_add(3), ack, 512), b"two");
        // Larger than a chunk; a datagram may hold 60000 bytes.
        let big = pattern(0, 60_000);
        end.feed(seg(Flags::ACK, P1.wrapping_add(6), ack, 512), &big);
        assert_eq!(end.stream.peek_len(), 60_006);
        assert_eq!(end.read(), Ok(Some(b"one".to_vec())));
        let mut small = [0; 2];
        let read = end.stream.read(end.now, &mut small, &mut end.memory.pool());
        assert_eq!((read, &small), (Ok(Read::Bytes(2)), b"tw"));
        assert_eq!(end.read(), Ok(Some(b"o".to_vec())));
        assert_eq!(end.read(), Ok(Some(big)));
        assert_eq!(end.read(), Ok(Some(Vec::new())));
        end.release();
    }
}

#[test]
fn hazard_04_27_many_tiny_segments_share_chunks() {
    let mut end = End::open(0);
    for n in 0..10_000u32 {
        end.feed(seg(Flags::ACK, P1.wrapping_add(n), 1, 512), &[n as u8]);
    }
    let used = end.memory.pool().capacity() - end.memory.pool().free();
    assert!(used < 50, "{used} chunks for 10000 bytes");
    assert_eq!(end.read_all(), (0..10_000u32).map(|n| n as u8).collect::<Vec<_>>());
    end.release();
}

#[test]
fn the_first_segments_are_acknowledged_at_once_and_then_every_second() {
    for isn in ISNS {
        let ack = isn.wrapping_add(1);
        let mut end = End::open(isn);
        let mut seq = P1;
        let mut next = |end: &mut End| {
            end.feed(seg(Flags::ACK, seq, ack, 512), b"x");
            seq = seq.wrapping_add(1);
            assert_eq!(end.read_all(), b"x");
            seq
        };
        for _ in 0..32 {
            let expected = next(&mut end);
            end.sends(Flags::ACK, ack, expected);
        }
        next(&mut end);
        end.quiet();
        let expected = next(&mut end);
        end.sends(Flags::ACK, ack, expected);
        let expected = next(&mut end);
        let sent = end.pass(Duration::from_millis(40));
        assert_eq!(sent, [(Duration::from_millis(5), seg(Flags::ACK, ack, expected, 144), vec![])]);
    }
}

#[test]
fn data_carries_the_acknowledgment() {
    let mut end = End::open(0);
    end.feed(seg(Flags::ACK, P1, 1, 512), b"ping");
    end.write(b"pong");
    let (segment, data) = end.poll().unwrap();
    assert_eq!((segment.ack, &data[..]), (P1.wrapping_add(4), &b"pong"[..]));
    end.quiet();
}

#[test]
fn nobody_answers_a_bare_acknowledgment() {
    for isn in ISNS {
        let mut end = End::open(isn);
        for window in [512, 0, 7] {
            end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), window), b"");
            end.quiet();
        }
    }
}

#[test]
fn an_old_byte_is_answered_at_once() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.feed(seg(Flags::ACK, PEER_ISN, isn.wrapping_add(1), 512), &[0]);
        end.sends(Flags::ACK, isn.wrapping_add(1), P1);
        end.quiet();
        assert_eq!(end.stream.peek_len(), 0);
    }
}

/// Proves STR-7.
#[test]
fn hazard_04_36_a_segment_that_reaches_beyond_old_data_is_trimmed() {
    for isn in ISNS {
        let ack = isn.wrapping_add(1);
        let data = pattern(0, 300);
        let mut end = End::open(isn);
        let at = |n: u32| P1.wrapping_add(n);
        end.feed(seg(Flags::ACK, at(0), ack, 512), &data[..100]);
        end.feed(seg(Flags::ACK, at(50), ack, 512), &data[50..200]);
        end.feed(seg(Flags::ACK, at(250), ack, 512), &data[250..]);
        end.feed(seg(Flags::ACK, at(180), ack, 512), &data[180..280]);
        assert_eq!(end.read_all(), data);
        let sent = end.poll_all();
        assert_eq!(sent.last().map(|(s, p)| (s.ack, p.len())), Some((at(300), 0)));
        end.release();
    }
}

/// Proves STR-11.
#[test]
fn hazard_04_17_an_acknowledgment_of_unsent_data_is_refused() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"hello");
        end.sends_data(s1, b"hello");
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(6), 512), b"evil");
        end.feed(seg(Flags::ACK, P1, s1.wrapping_sub(1 << 25), 512), b"evil");
        assert_eq!((end.stream.stats().unacked, end.stream.peek_len()), (1, 0));
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(5), 512), b"good");
        assert_eq!((end.stream.stats().unacked, end.stream.peek_len()), (0, 4));
    }
}

#[test]
fn a_full_send_buffer_says_when_there_is_room() {
    let config = Config { send_buffer: 16 << 10, ..Config::DEFAULT };
    let mut end = End::open_with(0, 512, &config);
    let data = pattern(0, 20_000);
    assert_eq!(end.write(&data), 16 << 10);
    assert_eq!(end.write(b"more"), 0);
    let sent: u32 = end.poll_all().iter().map(|(_, p)| p.len() as u32).sum();
    assert_eq!(sent, 10 * MSS as u32, "the initial window");
    assert_eq!(end.stream.take_events(), Events::NONE);
    end.feed(seg(Flags::ACK, P1, 1 + sent, 512), b"");
    assert_eq!(end.stream.take_events(), Events::WRITABLE);
    end.stream.finish(end.now);
    assert_eq!(end.stream.write(end.now, b"x", &mut end.memory.pool()), Err(WriteError::Finished));
    end.release();
}

#[test]
fn an_empty_pool_is_waited_for() {
    let mut end = End::open(0);
    end.memory = Memory::new(1, MSS);
    let other = end.memory.pool().take(0).unwrap();
    assert_eq!(end.write(b"data"), 0);
    assert!(end.pass(Duration::from_millis(300)).is_empty());
    assert_eq!(end.stream.take_events(), Events::NONE);
    end.memory.pool().give(other);
    end.pass(Duration::from_millis(50));
    assert_eq!(end.stream.take_events(), Events::WRITABLE);
    assert_eq!(end.write(b"data"), 4);
    assert!(end.stream.poll_timeout().is_some());
}

#[test]
fn an_empty_write_is_nothing() {
    let mut end = End::open(0);
    assert_eq!(end.write(b""), 0);
    end.quiet();
    assert_eq!(end.stream.take_events(), Events::NONE);
}

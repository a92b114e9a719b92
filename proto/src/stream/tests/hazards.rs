//! Defects of older releases that no other test of streams meets (`spec/hazards.md`).

use super::*;

const P1: u32 = PEER_ISN.wrapping_add(1);

/// The acknowledgment number 0 is a number like any other.
#[test]
fn hazard_01_h10_an_acknowledgment_of_zero_counts() {
    let isn = u32::MAX - 10;
    let mut end = End::open(isn);
    end.write(b"0123456789");
    end.sends_data(isn.wrapping_add(1), b"0123456789");
    end.feed(seg(Flags::ACK, P1, 0, 512), b"");
    assert_eq!(end.stream.stats().unacked, 0);
    assert!(end.pass(Duration::from_secs(5)).is_empty());
    end.release();
}

#[test]
fn hazard_04_12_an_acknowledged_segment_is_never_repeated() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.write(b"x");
        end.sends_data(isn.wrapping_add(1), b"x");
        // The answer overtakes everything: it comes at the very instant of sending.
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(2), 512), b"");
        assert!(end.pass(Duration::from_secs(20)).is_empty());
        end.release();
    }
}

/// The operating system refused the datagram: for the stream it is lost like any other.
#[test]
fn hazard_04_13_a_segment_that_never_left_is_sent_again() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.write(&pattern(0, MSS));
        assert_eq!(end.poll_all().len(), 1);
        end.write(&pattern(MSS, MSS));
        assert_eq!(end.poll_all().len(), 1);
        let sent = end.pass(Duration::from_secs(2));
        let (_, first, payload) = &sent[0];
        assert_eq!(first.seq, isn.wrapping_add(1));
        assert!(*payload == pattern(0, MSS));
        end.stream.reset(end.now, &mut end.memory.pool());
        end.poll_all();
        end.release();
    }
}

/// Two subscribers of one stream, say.
#[test]
fn hazard_04_14_writes_of_two_owners_share_no_numbers() {
    for isn in ISNS {
        let mut end = End::open(isn);
        let mut written = Vec::new();
        for at in 0..8 {
            let part = pattern(at * 7, if at % 2 == 0 { MSS } else { 5 });
            assert_eq!(end.write(&part), part.len());
            written.extend(part);
        }
        let (mut next, mut sent) = (isn.wrapping_add(1), Vec::new());
        while sent.len() < written.len() {
            for (segment, payload) in end.poll_all() {
                assert_eq!(segment.seq, next);
                next = next.wrapping_add(payload.len() as u32);
                sent.extend(payload);
            }
            end.feed(seg(Flags::ACK, P1, next, 512), b"");
        }
        assert!(sent == written);
        end.release();
    }
}

/// Reports and acknowledgments across the wrap, where plain comparison of numbers fails.
#[test]
fn hazard_04_37_a_hole_at_the_wrap_is_reported_and_filled() {
    // The peer's first byte is 3 below the wrap: the hole spans it.
    let mut end = End::open(0);
    let data = pattern(0, 12);
    assert!(P1.checked_add(8).is_none());
    end.feed(seg(Flags::ACK, P1.wrapping_add(8), 1, 512), &data[8..]);
    let report = end.poll_all().into_iter().find(|(_, payload)| !payload.is_empty()).expect("a report");
    assert_eq!(report.0.ack, P1);
    let blocks: Vec<_> = crate::wire::sack::Sack::parse_loose(&report.1).unwrap().blocks().to_vec();
    assert_eq!((blocks[0].left, blocks[0].right), (P1.wrapping_add(8), P1.wrapping_add(12)));
    end.feed(seg(Flags::ACK, P1, 1, 512), &data[..8]);
    assert_eq!(end.read_all(), data);
    end.release();
}

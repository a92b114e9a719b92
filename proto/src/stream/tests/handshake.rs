//! Opening connections.

use super::*;
use crate::stream::{CloseReason, State, Unanswered};

const P1: u32 = PEER_ISN.wrapping_add(1);

/// Proves STR-2.
#[test]
fn a_dialer_connects() {
    for isn in ISNS {
        let mut end = End::connect(isn);
        assert_eq!(end.stream.state(), State::SynSent);
        assert_eq!(end.sends(Flags::SYN, isn, 0), 144);
        end.quiet();
        end.feed(seg(Flags::SYN_ACK, PEER_ISN, isn.wrapping_add(1), 512), b"");
        assert_eq!(end.stream.state(), State::Established);
        assert_eq!(end.sends(Flags::ACK, isn.wrapping_add(1), P1), 144);
        end.quiet();
        end.release();
    }
}

#[test]
fn an_acceptor_is_connected_only_by_proof() {
    for isn in ISNS {
        let mut end = End::accept(isn);
        assert_eq!(end.sends(Flags::SYN_ACK, isn, P1), 144);
        // Wrong proof.
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(2), 512), b"data");
        end.feed(seg(Flags::ACK, P1, isn, 512), b"data");
        assert_eq!((end.stream.state(), end.stream.take_events()), (State::SynReceived, Events::NONE));
        // Right proof, in a data segment because the bare ACK was lost.
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"data");
        assert_eq!(end.stream.take_events(), Events::CONNECTED | Events::READABLE);
        assert_eq!(end.read(), Ok(Some(b"data".to_vec())));
        end.release();
    }
}

/// Proves STR-5.
#[test]
fn a_syn_is_repeated_with_growing_waits_and_given_up() {
    for isn in ISNS {
        let mut end = End::connect(isn);
        let sent = end.pass(Duration::from_secs(60));
        let at: Vec<u128> = sent.iter().map(|(at, ..)| at.as_millis()).collect();
        assert_eq!(at, [0, 250, 750, 1750, 3750, 7750, 15750, 23750, 29000]);
        assert!(sent[..8].iter().all(|(_, s, _)| *s == seg(Flags::SYN, isn, 0, 144)));
        assert_eq!(sent[8].1.flags, Flags::RST);
        assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Dial)));
        assert!(end.stream.is_reapable(end.now));
        assert_eq!(end.stream.poll_timeout(), None);
    }
}

#[test]
fn refused() {
    let mut end = End::connect(7);
    end.sends(Flags::SYN, 7, 0);
    end.feed(seg(Flags::RST, 0, 0, 0), b"");
    assert_eq!(end.stream.close_reason(), Some(CloseReason::Refused));
    assert_eq!(end.stream.take_events(), Events::CLOSED | Events::READABLE);
    end.quiet();
}

/// Proves STR-4.
#[test]
fn a_stale_syn_ack_is_reset_and_the_syn_repeated() {
    for isn in ISNS {
        let mut end = End::connect(isn);
        end.sends(Flags::SYN, isn, 0);
        let stale = isn.wrapping_add(777);
        for _ in 0..3 {
            end.feed(seg(Flags::SYN_ACK, PEER_ISN, stale, 512), b"");
            end.sends(Flags::RST, stale, 0);
            end.sends(Flags::SYN, isn, 0);
            end.quiet();
        }
        // Not for ever.
        end.feed(seg(Flags::SYN_ACK, PEER_ISN, stale, 512), b"");
        end.quiet();
        end.feed(seg(Flags::SYN_ACK, PEER_ISN, isn.wrapping_add(1), 512), b"");
        assert_eq!(end.stream.state(), State::Established);
    }
}

/// Data that overtakes, or outlives, the SYN|ACK of a reference acceptor is not lost: its ISN is always 0.
#[test]
fn hazard_04_9_data_before_the_syn_ack_is_not_skipped() {
    for isn in ISNS {
        let mut end = End::connect(isn);
        end.sends(Flags::SYN, isn, 0);
        end.feed(seg(Flags::ACK, 4, isn.wrapping_add(1), 512), b"lo");
        assert_eq!(end.stream.state(), State::SynSent);
        end.feed(seg(Flags::ACK, 1, isn.wrapping_add(1), 512), b"hel");
        end.feed(seg(Flags::ACK, 4, isn.wrapping_add(1), 512), b"lo");
        // The repeated SYN|ACK of the reference: sequence number S-1.
        end.feed(seg(Flags::SYN_ACK, 5, isn.wrapping_add(1), 512), b"");
        assert_eq!(end.read_all(), b"hello");
        end.sends(Flags::ACK, isn.wrapping_add(1), 6);
    }
}

#[test]
fn hazard_04_9_a_repeated_syn_gets_the_original_answer() {
    for isn in ISNS {
        let mut end = End::accept(isn);
        end.sends(Flags::SYN_ACK, isn, P1);
        end.feed(seg(Flags::SYN, PEER_ISN, 0, 512), b"");
        end.sends(Flags::SYN_ACK, isn, P1);
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"");
        // Still nothing said: the answer is right for the old connection and for a new one.
        end.feed(seg(Flags::SYN, PEER_ISN, 0, 512), b"");
        end.sends(Flags::SYN_ACK, isn, P1);
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"x");
        end.sends(Flags::ACK, isn.wrapping_add(1), P1.wrapping_add(1));
        // A copy that was delayed on the way.
        end.feed(seg(Flags::SYN, PEER_ISN, 0, 512), b"");
        end.quiet();
        assert_eq!(end.stream.state(), State::Established);
    }
}

/// A peer that restarted gets a new connection instead of the old one's stream.
#[test]
fn hazard_04_10_a_restarted_peer_supersedes() {
    for isn in ISNS {
        let mut end = End::accept(isn);
        end.sends(Flags::SYN_ACK, isn, P1);
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"x");
        end.poll_all();
        end.stream.take_events();
        end.pass(Duration::from_secs(3));
        assert_eq!(end.try_feed(seg(Flags::SYN, PEER_ISN, 0, 512), b""), Handled::Superseded);
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Superseded));
        assert!(end.stream.take_events().contains(Events::CLOSED));
        end.quiet();
        end.release();
    }
}

#[test]
fn another_initial_number_supersedes_at_once() {
    let mut end = End::accept(5);
    end.sends(Flags::SYN_ACK, 5, P1);
    assert_eq!(end.try_feed(seg(Flags::SYN, PEER_ISN ^ 0x55, 0, 512), b""), Handled::Superseded);
}

/// Packet 3 of the handshake is lost and the server speaks first. A reference dialer ignores a second SYN|ACK, but it
/// answers an old byte.
#[test]
fn a_lost_third_packet_is_fetched() {
    for isn in ISNS {
        let mut end = End::accept(isn);
        end.sends(Flags::SYN_ACK, isn, P1);
        let sent = end.pass(Duration::from_millis(1000));
        assert_eq!(sent[0].1, seg(Flags::SYN_ACK, isn, P1, 144));
        assert_eq!((sent[1].1, &sent[1].2[..]), (seg(Flags::ACK, isn, P1, 144), &[0][..]));
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"");
        assert_eq!(end.stream.take_events(), Events::CONNECTED);
    }
}

#[test]
fn a_dialer_answers_a_second_syn_ack() {
    let mut end = End::open(9);
    end.feed(seg(Flags::SYN_ACK, PEER_ISN, 10, 512), b"");
    end.sends(Flags::ACK, 10, P1);
    end.quiet();
}

#[test]
fn hazard_04_23_an_unproved_handshake_is_forgotten() {
    let mut end = End::accept(9);
    end.pass(Duration::from_secs(40));
    assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Dial)));
    assert!(end.stream.is_reapable(end.now));
    assert!(!end.stream.take_events().contains(Events::CONNECTED));
}

#[test]
fn writes_before_the_handshake_leave_after_it() {
    for isn in ISNS {
        let mut end = End::connect(isn);
        assert_eq!(end.write(b"early"), 5);
        end.sends(Flags::SYN, isn, 0);
        end.quiet();
        end.feed(seg(Flags::SYN_ACK, PEER_ISN, isn.wrapping_add(1), 512), b"");
        end.sends_data(isn.wrapping_add(1), b"early");
        end.quiet();
    }
}

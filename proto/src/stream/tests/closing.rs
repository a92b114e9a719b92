//! Ending.

use super::*;
use crate::stream::{CloseReason, State, Unanswered};

const P1: u32 = PEER_ISN.wrapping_add(1);
const FIN: Flags = Flags::FIN;

/// Proves STR-15.
#[test]
fn hazard_04_8_the_fin_waits_until_all_data_is_acknowledged() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"last words");
        end.stream.finish(end.now);
        end.sends_data(s1, b"last words");
        end.quiet();
        assert_eq!(end.stream.state(), State::FinWait);
        let s = s1.wrapping_add(10);
        end.feed(seg(Flags::ACK, P1, s, 512), b"");
        assert_eq!(end.sends(FIN, s, 0), 0);
        end.quiet();
        end.feed(seg(Flags::FIN_ACK, P1, s.wrapping_add(1), 0), b"");
        end.quiet();
        assert_eq!(
            (end.stream.state(), end.stream.close_reason()),
            (State::TimeWait, Some(CloseReason::Clean))
        );
        assert_eq!(end.read(), Ok(None));
        assert!(end.stream.take_events().contains(Events::CLOSED | Events::PEER_FINISHED));
        assert!(!end.stream.is_reapable(end.now));
        end.pass(Duration::from_secs(10));
        assert!(end.stream.is_reapable(end.now));
        end.release();
    }
}

/// Found by fuzzing: the acceptor counted it as a clean end of both directions, and what it had to say was lost.
#[test]
fn a_fin_before_the_third_packet_of_the_handshake_is_no_end() {
    for isn in ISNS {
        let mut end = End::accept(isn);
        end.sends(Flags::SYN_ACK, isn, P1);
        end.feed(seg(FIN, P1, 0, 0), b"");
        assert_eq!((end.stream.state(), end.stream.close_reason()), (State::SynReceived, None));
        end.sends(Flags::SYN_ACK, isn, P1);
        end.quiet();
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"");
        assert_eq!(end.stream.take_events(), Events::CONNECTED);
        end.feed(seg(FIN, P1, 0, 0), b"");
        assert_eq!(end.stream.state(), State::CloseWait);
        end.sends(Flags::ACK, isn.wrapping_add(1), P1.wrapping_add(1));
        end.write(b"answer");
        end.sends_data(isn.wrapping_add(1), b"answer");
        end.release();
    }
}

/// Proves STR-17.
#[test]
fn hazard_04_1_a_fin_ack_is_never_answered_and_does_not_restart_the_clock() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.stream.finish(end.now);
        end.sends(FIN, isn.wrapping_add(1), 0);
        for _ in 0..9 {
            end.feed(seg(Flags::FIN_ACK, P1, isn.wrapping_add(2), 0), b"");
            assert!(end.pass(Duration::from_secs(1)).is_empty());
        }
        end.pass(Duration::from_secs(1));
        assert_eq!(end.stream.state(), State::Closed);
    }
}

#[test]
fn a_fin_is_repeated_until_answered_and_then_given_up() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.stream.finish(end.now);
        let sent = end.pass(Duration::from_secs(100));
        let times: Vec<u64> = sent.iter().map(|(after, ..)| after.as_secs()).collect();
        assert_eq!(times, [0, 1, 3, 7, 15, 25]);
        assert!(sent.iter().all(|(_, s, _)| *s == seg(FIN, s1, 0, 0)));
        assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Fin)));
    }
}

#[test]
fn the_peer_finishes_first() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.feed(seg(Flags::ACK, P1, s1, 512), b"bye");
        end.feed(seg(FIN, P1.wrapping_add(3), 0, 0), b"");
        assert!(end.stream.take_events().contains(Events::PEER_FINISHED));
        assert_eq!(end.stream.state(), State::CloseWait);
        end.sends(Flags::ACK, s1, P1.wrapping_add(4));
        end.quiet();
        // A repeated FIN is answered each time.
        end.feed(seg(FIN, P1.wrapping_add(3), 0, 0), b"");
        end.sends(Flags::ACK, s1, P1.wrapping_add(4));
        assert_eq!(end.read(), Ok(Some(b"bye".to_vec())));
        assert_eq!(end.read(), Ok(None));
        end.stream.finish(end.now);
        end.sends(FIN, s1, 0);
        end.feed(seg(Flags::FIN_ACK, P1.wrapping_add(3), s1.wrapping_add(1), 0), b"");
        assert_eq!(end.stream.state(), State::TimeWait);
        end.quiet();
        // Late copies of its FIN.
        end.feed(seg(FIN, P1.wrapping_add(3), 0, 0), b"");
        end.sends(Flags::FIN_ACK, s1, P1.wrapping_add(4));
        end.release();
    }
}

#[test]
fn a_fin_that_finds_us_finished_gets_both_ends_in_one_packet() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"x");
        end.sends_data(s1, b"x");
        end.stream.finish(end.now);
        // The acknowledgment and the FIN cross ours.
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(1), 512), b"");
        end.feed(seg(FIN, P1, 0, 0), b"");
        end.sends(Flags::FIN_ACK, s1.wrapping_add(1), P1.wrapping_add(1));
        end.quiet();
        assert_eq!(end.stream.state(), State::TimeWait);
    }
}

#[test]
fn simultaneous_close() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.stream.finish(end.now);
        end.sends(FIN, s1, 0);
        end.feed(seg(FIN, P1, 0, 0), b"");
        end.sends(Flags::FIN_ACK, s1, P1.wrapping_add(1));
        end.quiet();
        end.feed(seg(Flags::FIN_ACK, P1, s1.wrapping_add(1), 0), b"");
        end.quiet();
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Clean));
    }
}

/// Proves STR-16.
#[test]
fn hazard_04_8_a_fin_ahead_of_its_data_waits() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.feed(seg(FIN, P1.wrapping_add(10), 0, 0), b"");
        end.sends(Flags::ACK, s1, P1);
        assert_eq!(end.stream.state(), State::Established);
        end.feed(seg(Flags::ACK, P1, s1, 512), b"first");
        end.feed(seg(Flags::ACK, P1.wrapping_add(5), s1, 512), b"later");
        assert_eq!(end.read_all(), b"firstlater");
        assert_eq!(end.read(), Ok(None));
        end.sends(Flags::ACK, s1, P1.wrapping_add(11));
        end.quiet();
    }
}

#[test]
fn hazard_04_38_a_truncated_stream_is_no_clean_end() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"first");
        end.feed(seg(FIN, P1.wrapping_add(10), 0, 0), b"");
        end.pass(Duration::from_secs(10));
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Truncated));
        assert_eq!(end.read(), Ok(Some(b"first".to_vec())));
        assert_eq!(end.read(), Err(ReadError(CloseReason::Truncated)));
        end.release();
    }
}

#[test]
fn the_other_direction_stays_open_between_two_of_us() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.stream.finish(end.now);
        end.sends(FIN, s1, 0);
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(1), 512), b"");
        assert!(end.pass(Duration::from_secs(5)).is_empty(), "the FIN is acknowledged");
        end.feed(seg(Flags::ACK, P1, s1.wrapping_add(1), 512), b"answer");
        end.sends(Flags::ACK, s1, P1.wrapping_add(6));
        assert_eq!(end.read(), Ok(Some(b"answer".to_vec())));
        end.feed(seg(FIN, P1.wrapping_add(6), 0, 0), b"");
        end.sends(Flags::FIN_ACK, s1, P1.wrapping_add(7));
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Clean));
    }
}

/// A reference peer that has sent FIN reads nothing any more.
#[test]
fn hazard_04_34_data_for_a_peer_that_finished_is_given_up() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.write(b"answer");
        end.sends_data(isn.wrapping_add(1), b"answer");
        end.feed(seg(FIN, P1, 0, 0), b"");
        end.pass(Duration::from_secs(16));
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Truncated));
        end.release();
    }
}

/// Proves STR-18.
#[test]
fn hazard_01_h13_a_reset_ends_the_stream_if_it_can_be_genuine() {
    for isn in ISNS {
        let mut end = End::open(isn);
        end.feed(seg(Flags::ACK, P1, isn.wrapping_add(1), 512), b"kept");
        end.feed(seg(Flags::RST, P1.wrapping_sub(1000), 0, 0), b"");
        assert_eq!(end.stream.state(), State::Established);
        end.feed(seg(Flags::RST, 0, 0, 0), b"");
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Reset));
        end.quiet();
        assert_eq!(end.read(), Ok(Some(b"kept".to_vec())));
        assert_eq!(end.read(), Err(ReadError(CloseReason::Reset)));
        let error = end.stream.write(end.now, b"x", &mut end.memory.pool()).unwrap_err();
        assert_eq!(error.to_string(), "write on a stream that has ended: connection reset by peer");

        let mut end = End::open(isn);
        end.feed(seg(Flags::RST, P1, 0, 0), b"");
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Reset));
    }
}

#[test]
fn we_reset() {
    for isn in ISNS {
        let s1 = isn.wrapping_add(1);
        let mut end = End::open(isn);
        end.write(b"never sent");
        end.stream.reset(end.now, &mut end.memory.pool());
        end.sends(Flags::RST, s1, 0);
        end.quiet();
        assert_eq!(end.stream.close_reason(), Some(CloseReason::Aborted));
        assert!(end.stream.is_reapable(end.now));
        assert_eq!(end.stream.poll_timeout(), None);
        // The peer's answer, if any, changes nothing.
        end.feed(seg(Flags::ACK, P1, s1, 512), b"data");
        end.quiet();
    }
}

/// Proves STR-1.
#[test]
fn flags_without_meaning_are_ignored() {
    let mut end = End::open(0);
    end.feed(seg(Flags::NONE, P1, 1, 0), b"data");
    end.quiet();
    assert_eq!(end.stream.peek_len(), 0);
}

/// A dialer that gives up before its third packet arrived: nobody is told of it, and what is held for it goes.
#[test]
fn a_fin_before_the_proof_opens_nothing() {
    let mut end = End::accept(5);
    end.sends(Flags::SYN_ACK, 5, P1);
    end.feed(seg(FIN, P1, 0, 0), b"");
    end.sends(Flags::SYN_ACK, 5, P1);
    end.quiet();
    let sent = end.pass(Duration::from_secs(60));
    assert_eq!(sent.last().map(|(_, segment, _)| segment.flags), Some(Flags::RST));
    assert!(!end.stream.take_events().contains(Events::CONNECTED));
    assert_eq!(end.stream.close_reason(), Some(CloseReason::TimedOut(Unanswered::Dial)));
    assert!(end.stream.is_reapable(end.now));
}

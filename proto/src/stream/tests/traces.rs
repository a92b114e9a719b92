//! Conversations, packet by packet.

use super::script::{acceptor, dialer, dialer_with};
use super::*;

// --- opening ---------------------------------------------------------------------------------------------------------

#[test]
fn open_by_us() {
    dialer(
        "> SYN seq 0 win 144
         state SYN_SENT
         < SYN ACK seq 0 ack 1
         events CONNECTED
         > ACK seq 1 ack 1 win 144
         state ESTABLISHED",
    );
}

#[test]
fn open_by_the_peer() {
    acceptor(
        "> SYN ACK seq 0 ack 1 win 144
         events
         < ACK seq 1 ack 1
         events CONNECTED
         state ESTABLISHED",
    );
}

#[test]
fn open_with_a_lost_syn() {
    dialer(
        "> SYN seq 0
         +250 > SYN seq 0
         +500 > SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1",
    );
}

#[test]
fn open_with_a_lost_answer() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         +500 < SYN seq 0
         > SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         events CONNECTED",
    );
}

#[test]
fn open_with_a_lost_third_packet_and_data_right_after_it() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1 data 10
         events CONNECTED READABLE
         > ACK seq 1 ack 11
         read 10",
    );
}

/// Each dials the port that the other dials from. Proves STR-21.
#[test]
fn open_from_both_sides_at_once() {
    dialer(
        "> SYN seq 0
         < SYN seq 0
         > SYN ACK seq 0 ack 1
         state SYN_RECV
         < SYN ACK seq 0 ack 1
         events CONNECTED
         > ACK seq 1 ack 1
         < ACK seq 1 ack 1
         write 5
         > ACK seq 1 ack 1 data 5",
    );
}

#[test]
fn open_from_both_sides_with_a_lost_answer() {
    dialer(
        "> SYN seq 0
         < SYN seq 0
         > SYN ACK seq 0 ack 1
         +100 < SYN seq 0
         > SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         events CONNECTED",
    );
}

#[test]
fn open_refused() {
    dialer(
        "> SYN seq 0
         < RST
         events CLOSED READABLE
         closed connection refused
         state CLOSED",
    );
}

#[test]
fn open_of_a_port_where_an_old_connection_lives() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 7000 ack 900
         > RST seq 900
         > SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1",
    );
}

// --- data ------------------------------------------------------------------------------------------------------------

#[test]
fn question_and_answer() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         write 100
         > ACK seq 1 ack 1 data 100
         +20 < ACK seq 1 ack 101 data 50
         > ACK seq 101 ack 51
         read 50
         read nothing",
    );
}

#[test]
fn what_was_received_twice_is_read_once() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1 data 10
         > ACK seq 1 ack 11
         < ACK seq 1 ack 1 data 10
         > ACK seq 1 ack 11
         < ACK seq 6 ack 1 data 10
         > ACK seq 1 ack 16
         read 10
         read 5",
    );
}

#[test]
fn a_hole_is_reported_and_filled() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         < ACK seq 11 ack 1 data 10
         > ACK seq 1 ack 1 sack 11-21
         < ACK seq 31 ack 1 data 10
         > ACK seq 1 ack 1 sack 11-21 31-41
         read nothing
         < ACK seq 1 ack 1 data 10
         > ACK seq 1 ack 21 sack 31-41
         read 10
         read 10
         read nothing
         < ACK seq 21 ack 1 data 10
         > ACK seq 1 ack 41
         read 10
         read 10",
    );
}

/// Three segments above it are enough. Proves STR-13.
#[test]
fn a_reported_hole_is_filled() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         write 5760
         > ACK seq 1 ack 1 data 1152
         > ACK seq 1153 ack 1 data 1152
         > ACK seq 2305 ack 1 data 1152
         > ACK seq 3457 ack 1 data 1152
         > ACK seq 4609 ack 1 data 1152
         +20 < ACK seq 1 ack 1 sack 1153-2305
         < ACK seq 1 ack 1 sack 1153-3457
         < ACK seq 1 ack 1 sack 1153-4609
         > ACK seq 1 ack 1 data 1152
         +20 < ACK seq 1 ack 5761",
    );
}

#[test]
fn a_lost_segment_is_repeated_after_a_while() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         write 10
         > ACK seq 1 ack 1 data 10
         +1000 > ACK seq 1 ack 1 data 10
         +2000 > ACK seq 1 ack 1 data 10
         < ACK seq 1 ack 11",
    );
}

// --- windows ---------------------------------------------------------------------------------------------------------

#[test]
fn a_window_of_one_segment() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1 win 1
         > ACK seq 1 ack 1
         write 3456
         > ACK seq 1 ack 1 data 1152
         +10 < ACK seq 1 ack 1153 win 1
         > ACK seq 1153 ack 1 data 1152
         +10 < ACK seq 1 ack 2305 win 1
         > ACK seq 2305 ack 1 data 1152
         +10 < ACK seq 1 ack 3457 win 1",
    );
}

/// Proves STR-9 and STR-10.
#[test]
fn a_closed_window_is_probed_until_it_opens() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1 win 0
         > ACK seq 1 ack 1
         write 10
         +200 > ACK seq 0 ack 1 old
         < ACK seq 1 ack 1 win 0
         +400 > ACK seq 0 ack 1 old
         < ACK seq 1 ack 1 win 4
         > ACK seq 1 ack 1 data 10
         < ACK seq 1 ack 11",
    );
}

#[test]
fn an_update_of_the_window_needs_no_probe() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1 win 0
         > ACK seq 1 ack 1
         write 10
         +50 < ACK seq 1 ack 1 win 2
         > ACK seq 1 ack 1 data 10
         < ACK seq 1 ack 11",
    );
}

// --- staying alive -----------------------------------------------------------------------------------------------------

/// Proves STR-19.
#[test]
fn a_silent_connection_is_probed() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         +30000 > ACK seq 0 ack 1 old
         +20 < ACK seq 1 ack 1
         +29980 > ACK seq 0 ack 1 old
         +20 < ACK seq 1 ack 1
         state ESTABLISHED",
    );
}

#[test]
fn a_probe_is_answered() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         +25000 < ACK seq 0 ack 1 old
         > ACK seq 1 ack 1
         read nothing",
    );
}

#[test]
fn a_peer_that_answers_no_probe_is_gone() {
    let config = Config { keepalive: Some(Duration::from_secs(50)), ..Config::DEFAULT };
    dialer_with(
        &config,
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         +50000 > ACK seq 0 ack 1 old
         +25000 > ACK seq 0 ack 1 old
         +25000 > ACK seq 0 ack 1 old
         +20000 > RST seq 1
         closed keepalive unanswered
         read error",
    );
}

// --- closing -----------------------------------------------------------------------------------------------------------

#[test]
fn close_by_us() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         write 10
         finish
         > ACK seq 1 ack 1 data 10
         state FIN_WAIT
         +20 < ACK seq 1 ack 11
         > FIN seq 11
         < FIN ACK seq 1 ack 12
         state TIME_WAIT
         closed closed
         read end
         +10000
         state CLOSED",
    );
}

#[test]
fn close_by_the_peer() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1 data 10
         > ACK seq 1 ack 11
         < FIN seq 11
         > ACK seq 1 ack 12
         state CLOSE_WAIT
         read 10
         read end
         finish
         > FIN seq 1
         < FIN ACK seq 11 ack 2
         state TIME_WAIT
         closed closed",
    );
}

#[test]
fn close_from_both_sides_at_once() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         finish
         > FIN seq 1
         < FIN seq 1
         > FIN ACK seq 1 ack 2
         < FIN ACK seq 1 ack 2
         state TIME_WAIT
         closed closed",
    );
}

#[test]
fn half_close_by_the_peer_and_we_go_on() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1 data 10
         > ACK seq 1 ack 11
         < FIN seq 11
         > ACK seq 1 ack 12
         read 10
         read end
         write 100
         > ACK seq 1 ack 12 data 100
         +20 < ACK seq 11 ack 101
         write 100
         > ACK seq 101 ack 12 data 100
         +20 < ACK seq 11 ack 201
         finish
         > FIN seq 201
         < FIN ACK seq 11 ack 202
         state TIME_WAIT",
    );
}

#[test]
fn half_close_by_us_and_the_peer_goes_on() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         finish
         > FIN seq 1
         < ACK seq 1 ack 2
         state FIN_WAIT
         +500 < ACK seq 1 ack 2 data 100
         > ACK seq 1 ack 101
         read 100
         +500 < ACK seq 101 ack 2 data 100
         > ACK seq 1 ack 201
         read 100
         < FIN seq 201
         > FIN ACK seq 1 ack 202
         read end
         state TIME_WAIT",
    );
}

#[test]
fn a_lost_fin_is_repeated() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         finish
         > FIN seq 1
         +1000 > FIN seq 1
         +2000 > FIN seq 1
         < FIN ACK seq 1 ack 2
         closed closed",
    );
}

/// Proves STR-16.
#[test]
fn a_fin_waits_for_the_bytes_before_it() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         events CONNECTED
         < FIN seq 11
         > ACK seq 1 ack 1
         < FIN seq 11
         > ACK seq 1 ack 1
         events
         < ACK seq 1 ack 1 data 10
         events READABLE PEER_FINISHED
         > ACK seq 1 ack 12
         read 10
         read end",
    );
}

#[test]
fn a_fin_whose_bytes_never_come_is_no_end() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         < FIN seq 11
         > ACK seq 1 ack 1
         +10000 > RST seq 1
         closed peer closed with data missing
         read error",
    );
}

/// A FIN far from everything, and one of an older connection, mean nothing.
#[test]
fn a_fin_that_cannot_be_genuine_is_ignored() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1 data 10
         > ACK seq 1 ack 11
         < FIN seq 6
         < FIN seq 100000000
         +3000
         state ESTABLISHED
         read 10
         read nothing",
    );
}

// --- resets ------------------------------------------------------------------------------------------------------------

#[test]
fn reset_by_us() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         write 10
         > ACK seq 1 ack 1 data 10
         reset
         > RST seq 11
         closed connection reset by us",
    );
}

#[test]
fn reset_by_a_release() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         < RST
         closed connection reset by peer
         read error",
    );
}

/// RFC 5961, 3: a number outside the window is a blind guess. Proves STR-18.
#[test]
fn rfc_5961_a_reset_outside_the_window_is_ignored() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         < RST seq 1000000000
         < RST seq 3000000000
         state ESTABLISHED
         < RST seq 1
         closed connection reset by peer",
    );
}

/// RFC 5961, 3: in SYN_SENT a reset counts if it acknowledges the SYN.
#[test]
fn rfc_5961_a_reset_of_another_dial_is_ignored() {
    dialer(
        "> SYN seq 0
         < RST seq 77 ack 500
         state SYN_SENT
         < RST seq 77 ack 1
         closed connection refused",
    );
}

/// RFC 5961, 4: a SYN on a proved connection that we dialled does not end it.
#[test]
fn rfc_5961_a_syn_does_not_end_what_we_dialled() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         +5000 < SYN seq 1000
         state ESTABLISHED",
    );
}

/// RFC 5961, 5: an acknowledgment of what was never sent brings no data with it. Proves STR-11.
#[test]
fn rfc_5961_an_acknowledgment_beyond_what_was_sent_is_discarded() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         write 10
         > ACK seq 1 ack 1 data 10
         < ACK seq 1 ack 500 data 5
         read nothing
         < ACK seq 1 ack 11 data 5
         > ACK seq 11 ack 6
         read 5",
    );
}

/// The peer has forgotten a stream that both were done with.
#[test]
fn a_reset_after_both_ends_is_a_clean_end() {
    acceptor(
        "> SYN ACK seq 0 ack 1
         < ACK seq 1 ack 1
         < FIN seq 1
         > ACK seq 1 ack 2
         finish
         > FIN seq 1
         < RST
         closed closed",
    );
}

#[test]
fn a_reset_shortens_the_memory_of_a_closed_connection() {
    dialer(
        "> SYN seq 0
         < SYN ACK seq 0 ack 1
         > ACK seq 1 ack 1
         finish
         > FIN seq 1
         < FIN ACK seq 1 ack 2
         state TIME_WAIT
         < RST
         state CLOSED
         closed closed",
    );
}

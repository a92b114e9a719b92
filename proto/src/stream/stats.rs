//! Numbers about one stream, as the daemon's connection list shows them.

use super::State;
use crate::time::Duration;

/// Counters of a stream's life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Payload bytes sent for the first time.
    pub bytes_sent: u64,
    /// Payload bytes received, in any order, copies included.
    pub bytes_recv: u64,
    /// Data segments sent for the first time.
    pub segs_sent: u32,
    /// Data segments received, copies and dropped ones included.
    pub segs_recv: u32,
    /// Data segments sent again.
    pub retransmits: u32,
    /// Times that loss recovery began before the timer expired.
    pub fast_retx: u32,
    /// SACK blocks received.
    pub sack_recv: u32,
    /// SACK blocks sent.
    pub sack_sent: u32,
    /// Duplicate acknowledgments received.
    pub dup_acks: u32,
}

/// A snapshot of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Where in its life the stream is.
    pub state: State,
    /// Counters.
    pub counters: Counters,
    /// Congestion window, in bytes.
    pub cong_win: u32,
    /// Slow start threshold, in bytes.
    pub ssthresh: u32,
    /// Bytes sent and not acknowledged.
    pub in_flight: u32,
    /// Segments sent and not acknowledged.
    pub unacked: u32,
    /// Smoothed round trip; zero before the first sample.
    pub srtt: Duration,
    /// Its mean deviation.
    pub rttvar: Duration,
    /// Retransmission timeout.
    pub rto: Duration,
    /// Pieces of data waiting beyond a gap.
    pub ooo_buf: u32,
    /// The peer's window, in segments.
    pub peer_window: u16,
    /// Our own window as last advertised, in segments.
    pub recv_window: u16,
    /// Loss recovery is going on.
    pub in_recovery: bool,
    /// How often the SYN, or the answer to it, was sent.
    pub handshake_tries: u8,
}

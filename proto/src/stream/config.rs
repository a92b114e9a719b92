//! Limits and times of a stream, each with its source.

use super::congestion::Algorithm;
use crate::time::Duration;

/// Payload of a full segment, in bytes: what release 1.18.0 sends, and what never fragments on a path of 1280 bytes
/// even inside a tunnel through a relay.
pub const DEFAULT_MSS: u16 = 1152;
/// Smallest segment size that is honoured, in bytes.
pub const MIN_MSS: u16 = 64;
/// Largest segment any release sends, in bytes; a window unit stands for one of these.
pub const MAX_MSS: u16 = 4096;
/// Most the window field of a release ever says: the segments it can queue. More is a sign: the receiver keeps all of
/// its window beyond a gap, understands long reports, and has a large socket buffer. To a release it is just room.
pub const RELEASE_WINDOW: u16 = 512;
/// Most unacknowledged segments towards a peer that has not given that sign: what a reference receiver keeps beyond a
/// gap (1.18.0 holds to it as a sender).
pub const RELEASE_FLIGHT: u16 = 128;
/// Most unacknowledged segments towards a peer that has, by default.
pub const DEFAULT_MAX_FLIGHT: u16 = 4096;

/// Bytes of in-order data waiting for the reader, by default. With this much an unknown sender can be given the sign
/// at once: it must be told in units of the largest segment.
pub const DEFAULT_RECV_BUFFER: u32 = 4 << 20;
/// Bytes of unsent and unacknowledged data, by default: what may be under way while a loss is repaired, at
/// 100 Mbit/s over 100 ms.
pub const DEFAULT_SEND_BUFFER: u32 = 4 << 20;
/// Smallest buffer that is honoured, in bytes: four segments of the largest kind.
pub const MIN_BUFFER: u32 = 4 * MAX_MSS as u32;
/// Bytes accepted beyond the receive buffer. A reference sender cannot be told that the window is closed (0 means
/// "no limit" to it), so it is told 1, and this is where that one segment goes.
pub const RECV_RESERVE: u32 = 2 * MAX_MSS as u32;

/// First wait for an answer to a SYN (1.9.1 and later), doubled up to [`MAX_SYN_WAIT`].
pub const SYN_WAIT: Duration = Duration::from_millis(250);
/// First wait for the proof of a handshake we accepted. The dialer repeats its SYN sooner than that.
pub const SYN_ACK_WAIT: Duration = Duration::from_secs(1);
/// Longest wait between two SYNs (the reference's).
pub const MAX_SYN_WAIT: Duration = Duration::from_secs(8);
/// A handshake that takes longer has failed: the reference's dial takes 29 s to give up.
pub const DEFAULT_DIAL_TIMEOUT: Duration = Duration::from_secs(29);
/// How often a SYN|ACK of a forgotten connection is answered by RST and a new SYN.
pub const MAX_STALE_ANSWERS: u8 = 3;
/// A repeated SYN this soon after the handshake was proved is a copy delayed on the way, not a restarted peer.
pub const SYN_COPY_TIME: Duration = Duration::from_secs(2);

/// Data unanswered for this long: the peer is gone. The reference counts attempts instead, and so kills connections
/// on a fast path after 3.4 s of outage (its defect 15).
pub const DEFAULT_GIVE_UP: Duration = Duration::from_secs(60);
/// Longest wait of a short write for the ACK of an earlier short segment (the reference's Nagle timer).
pub const NAGLE_WAIT: Duration = Duration::from_millis(40);
/// Longest wait of an ACK (1.18.0; earlier releases 40 ms).
pub const DELAYED_ACK: Duration = Duration::from_millis(5);
/// Segments per ACK (RFC 9293, 3.8.6.3).
pub const ACK_EVERY: u8 = 2;
/// Segments acknowledged one by one at the start and after each delayed ACK (1.18.0).
pub const QUICK_ACKS: u8 = 32;
/// How long the ACK to a sender is held back while all it can be told is "one segment more". Less than the smallest
/// retransmission timeout of any release (200 ms).
pub const HELD_ACK: Duration = Duration::from_millis(150);
/// Pure duplicates that follow the third report of a loss: an April sender counts only those.
pub const LOSS_REPEATS: u8 = 3;
/// Duplicate ACKs, or segments received beyond it, that make a segment lost (RFC 6675).
pub const DUP_THRESHOLD: u32 = 3;
/// Least allowance for reordering: finer timers do not exist.
pub const MIN_REORDERING: Duration = Duration::from_millis(1);
/// Recoveries without a needless retransmission after which the order of packets is trusted again (RFC 8985, 6.2).
pub const REORDERING_MEMORY: u8 = 16;
/// Shortest wait before a lost tail is probed for.
pub const MIN_PROBE_WAIT: Duration = Duration::from_millis(10);
/// How long a lone segment's ACK may be delayed: 40 ms by releases up to 1.12.
pub const PEER_DELAYED_ACK: Duration = Duration::from_millis(40);
/// Window updates between two advances of the acknowledgment: the third would look like a loss.
pub const MAX_UPDATES: u8 = 2;
/// Segments sent at once without an ACK clocking them: an April receiver's socket holds 25 of the largest.
pub const BURST: u16 = 16;
/// Most credit that ACKs can build up: segments they name have left the receiver's socket.
pub const CLOCKED_BURST: u16 = 64;
/// Shortest time between two bursts: finer timers do not exist.
pub const MIN_PACE: Duration = Duration::from_millis(1);
/// Round trip from which on bursts towards a peer with a large socket buffer are paced by time alone.
pub const PACED_FROM: Duration = Duration::from_millis(4);
/// How much of the time that a late timer cost is made up for.
pub const MAX_LATE: Duration = Duration::from_millis(4);
/// Longest time between two bursts.
pub const MAX_PACE: Duration = Duration::from_millis(100);
/// First and longest time between two probes of a closed window.
pub const PERSIST_WAIT: Duration = Duration::from_millis(200);
/// Longest time between two probes of a closed window.
pub const MAX_PERSIST_WAIT: Duration = Duration::from_secs(5);

/// FINs without answer until the peer counts as gone.
pub const FIN_TRIES: u8 = 6;
/// How long the bytes before a FIN may be missing, from the last that came (1.18.0: 15 s).
pub const FIN_HOLE_WAIT: Duration = Duration::from_secs(10);
/// How long a peer that sent FIN may stay silent to our data: a reference peer reads nothing any more. Long enough for
/// six retransmissions.
pub const FIN_LINGER: Duration = Duration::from_secs(15);
/// How long a clean end is remembered to answer a repeated FIN (the reference's).
pub const DEFAULT_TIME_WAIT: Duration = Duration::from_secs(10);
/// Silence in either direction after which the peer is probed (the reference's).
pub const DEFAULT_KEEPALIVE: Duration = Duration::from_secs(30);
/// Silence of the peer after which it is gone (the reference's).
pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(120);
/// How soon a write that found no room is tried again when no ACK will say so.
pub const ROOM_RETRY: Duration = Duration::from_millis(50);

/// What the owner of a stream may choose. Times count in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Payload of a full segment, in bytes; held to [`MIN_MSS`]`..=`[`MAX_MSS`] and to the chunk size of the pool.
    pub mss: u16,
    /// Bytes received in order and not yet read; at least [`MIN_BUFFER`].
    pub recv_buffer: u32,
    /// Bytes written and not yet acknowledged; at least [`MIN_BUFFER`].
    pub send_buffer: u32,
    /// Most unacknowledged segments. No more than [`RELEASE_FLIGHT`] towards a peer not known to keep more.
    pub max_flight: u16,
    /// What decides how much may be under way.
    pub congestion: Algorithm,
    /// Bear a loss of up to 2 % without cutting the window, as long as nothing waits in a queue on the path. Only
    /// towards a peer known to have a large socket buffer: a release's loses packets without any delay.
    pub bear_random_loss: bool,
    /// How long a handshake may take.
    pub dial_timeout: Duration,
    /// How long data may stay unanswered.
    pub give_up: Duration,
    /// Silence after which the peer is probed; `None` is never.
    pub keepalive: Option<Duration>,
    /// Silence of the peer, probed or not, that ends the stream; `None` is never.
    pub idle_timeout: Option<Duration>,
    /// How long a clean end is remembered.
    pub time_wait: Duration,
}

impl Config {
    /// The defaults.
    pub const DEFAULT: Config = Config {
        mss: DEFAULT_MSS,
        recv_buffer: DEFAULT_RECV_BUFFER,
        send_buffer: DEFAULT_SEND_BUFFER,
        max_flight: DEFAULT_MAX_FLIGHT,
        congestion: Algorithm::Cubic,
        bear_random_loss: true,
        dial_timeout: DEFAULT_DIAL_TIMEOUT,
        give_up: DEFAULT_GIVE_UP,
        keepalive: Some(DEFAULT_KEEPALIVE),
        idle_timeout: Some(DEFAULT_IDLE_TIMEOUT),
        time_wait: DEFAULT_TIME_WAIT,
    };
}

impl Default for Config {
    fn default() -> Self {
        Config::DEFAULT
    }
}

/// A duration in four bytes: whole milliseconds, at most 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Millis(u32);

impl Millis {
    /// `duration`, rounded down.
    pub(super) fn new(duration: Duration) -> Self {
        Millis(u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
    }

    pub(super) fn get(self) -> Duration {
        Duration::from_millis(self.0.into())
    }

    /// Twice as long, at most `most`.
    pub(super) fn doubled(self, most: Duration) -> Self {
        Millis::new((self.get() * 2).min(most))
    }
}

/// A [`Config`] with every value inside its range, packed because every stream holds one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) mss: u16,
    pub(super) max_flight: u16,
    pub(super) congestion: Algorithm,
    pub(super) bear_random_loss: bool,
    pub(super) recv_buffer: u32,
    pub(super) send_buffer: u32,
    pub(super) dial_timeout: Millis,
    pub(super) give_up: Millis,
    keepalive: Option<Millis>,
    idle_timeout: Option<Millis>,
    pub(super) time_wait: Millis,
}

impl Limits {
    pub(super) fn new(config: &Config) -> Self {
        Limits {
            mss: config.mss.clamp(MIN_MSS, MAX_MSS),
            max_flight: config.max_flight.max(1),
            congestion: config.congestion,
            bear_random_loss: config.bear_random_loss,
            recv_buffer: config.recv_buffer.max(MIN_BUFFER),
            send_buffer: config.send_buffer.max(MIN_BUFFER),
            dial_timeout: Millis::new(config.dial_timeout),
            give_up: Millis::new(config.give_up),
            keepalive: config.keepalive.map(Millis::new),
            idle_timeout: config.idle_timeout.map(Millis::new),
            time_wait: Millis::new(config.time_wait),
        }
    }

    pub(super) fn keepalive(&self) -> Option<Duration> {
        self.keepalive.map(Millis::get)
    }

    pub(super) fn idle_timeout(&self) -> Option<Duration> {
        self.idle_timeout.map(Millis::get)
    }
}

//! One reliable byte stream between two nodes: the session layer of the protocol (`spec/stream.md`).
//!
//! A [`Stream`] is one end of a connection as a machine without I/O: segments, time and application calls go in,
//! segments and events come out. It knows no addresses and no ports; whoever owns it does. Its data lives in a
//! [`Pool`](crate::pool::Pool) that all streams of a node share.
//!
//! ```text
//! handshake.rs   SYN, SYN|ACK, who is allowed to be believed        machine.rs   the state, and the application's side
//! segments.rs    what arrives                                       transmit.rs  what leaves
//! closing.rs     FIN, RST, TIME_WAIT                                timers.rs    what time does
//! receiver.rs    reassembly and the advertised window               acks.rs      when an acknowledgment is owed
//! sender.rs      windows, Nagle, pacing                             send_queue.rs  segments and the scoreboard
//! recovery.rs    what acknowledgments, reports and silence mean     prr.rs         the rate during recovery
//! rtt.rs         round trip and timeout                             delay.rs       whether there is a queue
//! congestion/    the congestion window                              random_loss.rs loss that is no congestion
//! hold.rs        what keeps it from going on, for whoever asks
//! ```
//!
//! It speaks with every release in the field. Where their habits differ from RFC 9293, this follows them on the wire:
//! a FIN has no sequence number of its own and normally ends both directions, nobody answers a pure ACK, a window
//! counts segments, and a SACK report is told from data only by its looks.

mod acks;
mod closing;
pub mod config;
pub mod congestion;
mod delay;
mod handshake;
mod hold;
mod machine;
mod prr;
mod random_loss;
mod receiver;
mod recovery;
pub mod rtt;
mod segments;
mod send_queue;
mod sender;
mod seq;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod transmit;

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

pub use config::Config;
pub use hold::Hold;
pub use machine::Stream;
pub use seq::Seq;
pub use stats::{Counters, Stats};

use crate::wire::packet::{Flags, Header};

/// The fields of a packet that a stream deals with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Flags.
    pub flags: Flags,
    /// Sequence number of the first payload byte, or the next one.
    pub seq: u32,
    /// Next sequence number expected from the receiver of this segment.
    pub ack: u32,
    /// Segments the sender has room for.
    pub window: u16,
}

impl From<&Header> for Segment {
    fn from(header: &Header) -> Self {
        let Header { flags, seq, ack, window, .. } = *header;
        Segment { flags, seq, ack, window }
    }
}

/// Where a stream is in its life, in the names of RFC 9293 as far as the reference uses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// We asked.
    SynSent,
    /// We were asked and answered; nothing proves yet that the asker got the answer.
    SynReceived,
    /// Both directions are open.
    Established,
    /// We finished, the peer has not.
    FinWait,
    /// The peer finished, we have not (all of it).
    CloseWait,
    /// Ended cleanly; a repeated FIN is still answered.
    TimeWait,
    /// Nothing is sent or expected any more.
    Closed,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::SynSent => "SYN_SENT",
            State::SynReceived => "SYN_RECV",
            State::Established => "ESTABLISHED",
            State::FinWait => "FIN_WAIT",
            State::CloseWait => "CLOSE_WAIT",
            State::TimeWait => "TIME_WAIT",
            State::Closed => "CLOSED",
        })
    }
}

/// What the peer did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The handshake.
    Dial,
    /// Data, or probes of its closed window.
    Data,
    /// Keepalive probes.
    Keepalive,
    /// Nothing was asked: the stream was idle and keepalive is off.
    Idle,
    /// Our FIN; all our data was acknowledged.
    Fin,
}

/// Why a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// Both sides finished and everything arrived.
    Clean,
    /// The peer answered the SYN by RST: nobody listens there, or a limit was reached.
    Refused,
    /// The peer sent RST.
    Reset,
    /// We reset it.
    Aborted,
    /// The peer began a new connection with the same ports, so the old one is gone.
    Superseded,
    /// The peer did not answer.
    TimedOut(Unanswered),
    /// The peer finished, but bytes before its end never came, or it stopped reading before our end.
    Truncated,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CloseReason::Clean => "closed",
            CloseReason::Refused => "connection refused",
            CloseReason::Reset => "connection reset by peer",
            CloseReason::Aborted => "connection reset by us",
            CloseReason::Superseded => "peer restarted the connection",
            CloseReason::TimedOut(Unanswered::Dial) => "dial timeout",
            CloseReason::TimedOut(Unanswered::Data) => "data unanswered",
            CloseReason::TimedOut(Unanswered::Keepalive) => "keepalive unanswered",
            CloseReason::TimedOut(Unanswered::Idle) => "idle timeout",
            CloseReason::TimedOut(Unanswered::Fin) => "close unanswered",
            CloseReason::Truncated => "peer closed with data missing",
        })
    }
}

/// A write was refused; nothing of it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// [`Stream::finish`] was called before.
    Finished,
    /// The stream has ended.
    Closed(CloseReason),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Finished => f.write_str("write after finish"),
            WriteError::Closed(reason) => write!(f, "write on a stream that has ended: {reason}"),
        }
    }
}

impl core::error::Error for WriteError {}

/// All that was received is read, and nothing more will come, but the peer did not finish properly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError(
    /// Why the stream ended; never [`CloseReason::Clean`].
    pub CloseReason,
);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream ended early: {}", self.0)
    }
}

impl core::error::Error for ReadError {}

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes, all of one received segment (small ones may have been joined if the reader was slow).
    Bytes(usize),
    /// Nothing at present.
    Empty,
    /// The peer finished and everything before is read.
    End,
}

/// What became of a segment.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The stream dealt with it.
    Done,
    /// It is the SYN of a new connection in the place of this one, which is closed now. Let it go
    /// ([`Stream::release`]) and judge the SYN as if this stream did not exist.
    Superseded,
}

/// What happened since the last look: a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(u8);

impl Events {
    /// Nothing.
    pub const NONE: Events = Events(0);
    /// The handshake is complete; on the accepting side, proved.
    pub const CONNECTED: Events = Events(1);
    /// There is something to read: data, the end, or an error.
    pub const READABLE: Events = Events(2);
    /// A write that was not taken whole can go on.
    pub const WRITABLE: Events = Events(4);
    /// The peer finished.
    pub const PEER_FINISHED: Events = Events(8);
    /// The stream ended; [`Stream::close_reason`] says why. What was received can still be read.
    pub const CLOSED: Events = Events(16);

    /// Whether all of `other` are in the set.
    pub const fn contains(self, other: Events) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nothing happened.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set without `other`.
    #[must_use]
    pub const fn without(self, other: Events) -> Events {
        Events(self.0 & !other.0)
    }
}

impl BitOr for Events {
    type Output = Events;

    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Events) {
        self.0 |= other.0;
    }
}

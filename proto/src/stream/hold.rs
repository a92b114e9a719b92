//! What keeps a stream from going on, for whoever wants to explain why something does not finish.

use super::machine::{FinIn, FinOut, Phase, Stream};
use crate::time::Instant;

/// What a stream waits for. `next` is when it does something about it by itself; one that is past was forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The peer's half of the handshake; ours was sent so often.
    Handshake {
        /// Times the SYN, or the answer to it, was sent.
        sent: u8,
        /// When it is sent again.
        next: Instant,
    },
    /// The peer's acknowledgment.
    Acknowledgment {
        /// Segments sent and not acknowledged.
        segments: u32,
        /// When one of them is sent again.
        next: Option<Instant>,
    },
    /// The peer's window is closed.
    Window {
        /// Segments that wait.
        segments: u32,
        /// When the window is probed.
        next: Option<Instant>,
    },
    /// Nothing of the peer's: segments could be sent.
    Turn {
        /// How many.
        segments: u32,
        /// When pacing lets the first go.
        next: Option<Instant>,
    },
    /// The peer's answer to our FIN.
    End {
        /// Times it was sent.
        sent: u8,
        /// When it is sent again.
        next: Instant,
    },
    /// Bytes before the end that the peer has told.
    Gap {
        /// When they are given up.
        until: Instant,
    },
    /// The application, which has not read what arrived.
    Reader {
        /// How many bytes.
        bytes: u32,
    },
}

impl Stream {
    /// What the stream waits for to go on sending, and what to go on receiving.
    pub fn holds(&self) -> [Option<Hold>; 2] {
        let receiving = match (self.receiver.readable(), self.fin_in) {
            (0, FinIn::Waiting { until, .. }) => Some(Hold::Gap { until }),
            (0, _) => None,
            (bytes, _) => Some(Hold::Reader { bytes }),
        };
        let sending = match self.phase {
            Phase::SynSent { resend: next, .. } | Phase::SynReceived { resend: next, .. } => {
                Some(Hold::Handshake { sent: self.handshake_tries, next })
            }
            Phase::Open { .. } => self.sending_hold(),
            Phase::TimeWait { .. } | Phase::Closed => None,
        };
        [sending, receiving]
    }

    fn sending_hold(&self) -> Option<Hold> {
        let queue = &self.sender.queue;
        let next = self.sender.deadline();
        match (queue.outstanding, queue.unsent, self.fin_out) {
            (0, 0, FinOut::Sent { resend, tries }) => Some(Hold::End { sent: tries, next: resend }),
            (0, 0, _) => None,
            (0, segments, _) if self.sender.peer_window == 0 => Some(Hold::Window { segments, next }),
            (0, segments, _) => Some(Hold::Turn { segments, next }),
            (segments, ..) => Some(Hold::Acknowledgment { segments, next }),
        }
    }
}

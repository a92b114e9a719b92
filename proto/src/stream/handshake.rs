//! Opening: SYN and SYN|ACK, and telling a copy from a peer that started over.

use super::config::{MAX_STALE_ANSWERS, Millis, SYN_ACK_WAIT, SYN_COPY_TIME};
use super::machine::{FinIn, Phase};
use super::receiver::Receiver;
use super::{CloseReason, Events, Handled, Segment, Seq, Stream};
use crate::pool::Pool;
use crate::time::Instant;

impl Stream {
    /// A SYN without ACK for a connection that exists.
    pub(super) fn on_syn(&mut self, now: Instant, seg: &Segment, pool: &mut Pool) -> Handled {
        let copy = Seq::new(seg.seq) == self.peer_isn;
        match self.phase {
            // The peer dials us from the port we dial it at: simultaneous open (RFC 9293, 3.5).
            Phase::SynSent { .. } => {
                self.peer_isn = Seq::new(seg.seq);
                self.receiver = Receiver::new(self.peer_isn + 1, self.limits.recv_buffer);
                self.sender.set_window(seg.window);
                let wait = Millis::new(SYN_ACK_WAIT);
                self.phase = Phase::SynReceived { resend: now + SYN_ACK_WAIT, wait };
                (self.due.syn, self.due.syn_ack) = (false, true);
            }
            Phase::SynReceived { .. } if copy => self.due.syn_ack = true,
            // A dialer's port takes no new connections.
            _ if !self.accepted => {}
            // Nothing was said yet, so old and new connection cannot be told apart, nor need be.
            Phase::Open { .. } if copy && self.is_untouched() => self.due.syn_ack = true,
            Phase::Open { since } if copy && now.since(since) < SYN_COPY_TIME => {}
            _ => {
                if self.reason.is_none() {
                    self.close(CloseReason::Superseded, pool);
                }
                return Handled::Superseded;
            }
        }
        Handled::Done
    }

    fn is_untouched(&self) -> bool {
        self.receiver.next == self.peer_isn + 1
            && self.receiver.beyond() == 0
            && self.sender.queue.nxt == self.isn + 1
            && self.fin_in == FinIn::Open
    }

    /// A SYN|ACK.
    pub(super) fn on_syn_ack(&mut self, now: Instant, seg: &Segment) {
        match self.phase {
            Phase::SynSent { .. } if Seq::new(seg.ack) == self.isn + 1 => {
                self.peer_isn = Seq::new(seg.seq);
                self.receiver = Receiver::new(self.peer_isn + 1, self.limits.recv_buffer);
                self.open(now, seg.window);
                self.acks.owe();
            }
            // The other half of a simultaneous open.
            Phase::SynReceived { .. }
                if Seq::new(seg.ack) == self.isn + 1 && Seq::new(seg.seq) == self.peer_isn =>
            {
                self.open(now, seg.window);
                self.acks.owe();
            }
            // The peer still holds an old connection on these ports: clear it away and ask again.
            Phase::SynSent { .. } if self.stale_answers < MAX_STALE_ANSWERS => {
                self.stale_answers += 1;
                self.due.rst = Some(Seq::new(seg.ack));
                self.due.syn = true;
            }
            // Our answer to the first one was lost.
            Phase::Open { .. } if !self.accepted => self.acks.owe(),
            _ => {}
        }
    }

    /// Data in SYN_SENT. None of ours is sent before the handshake is proved, so it comes from a reference acceptor
    /// whose SYN|ACK was lost. Its initial sequence number is 0, and the SYN|ACK it would repeat names a later one,
    /// which would skip this data in silence.
    pub(super) fn adopt_reference_acceptor(&mut self, now: Instant, seg: &Segment, payload: &[u8]) -> bool {
        let first_data = seg.seq == 1 && !payload.is_empty();
        if !first_data || Seq::new(seg.ack) != self.isn + 1 {
            return false;
        }
        self.peer_isn = Seq::new(0);
        self.receiver = Receiver::new(self.peer_isn + 1, self.limits.recv_buffer);
        self.open(now, seg.window);
        true
    }

    /// The handshake is complete.
    pub(super) fn open(&mut self, now: Instant, window: u16) {
        self.phase = Phase::Open { since: now };
        (self.heard, self.probed) = (now, None);
        self.sender.set_window(window);
        self.sender.arm(now);
        self.events |= Events::CONNECTED;
        self.due.syn = false;
        self.due.syn_ack = false;
        self.due.probe = false;
    }
}

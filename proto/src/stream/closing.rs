//! Ending: FIN in both directions, RST, TIME_WAIT, and what the application is told.

use super::config::FIN_HOLE_WAIT;
use super::machine::{Due, FinIn, FinOut, Phase};
use super::{CloseReason, Events, Segment, Seq, Stream};
use crate::pool::Pool;
use crate::time::Instant;
use crate::wire::packet::Flags;

/// How far ahead of the data a FIN is believed, in bytes: more than any window.
const MAX_FIN_AHEAD: u32 = 1 << 24;

impl Stream {
    /// A packet with FIN. It occupies no sequence number; its `seq` is the number after the peer's last byte, and its
    /// answer acknowledges one more. A FIN|ACK is an answer itself and is never answered: two reference nodes that do
    /// so keep each other busy for ever.
    pub(super) fn on_fin(&mut self, now: Instant, seg: &Segment, pool: &mut Pool) {
        let (at, answer) = (Seq::new(seg.seq), !seg.flags.contains(Flags::ACK));
        match self.phase {
            Phase::SynSent { .. } | Phase::Closed => {}
            // The third packet of the handshake was lost. The peer may still read, so this is no end yet: asked again, it
            // sends the proof (STR-3), and its FIN comes again after that.
            Phase::SynReceived { .. } if at == self.receiver.next => self.due.syn_ack = true,
            Phase::SynReceived { .. } => {}
            Phase::Open { .. } => {
                if !answer && !self.take_ack(now, seg, None, false, pool) {
                    return;
                }
                self.heard = now;
                self.on_open_fin(now, at, answer, pool);
                self.end_if_both_finished(now, pool);
            }
            // Does not restart the clock: a connection must be forgotten some day.
            Phase::TimeWait { .. } => self.due.fin_ack |= answer,
        }
    }

    fn on_open_fin(&mut self, now: Instant, at: Seq, answer: bool, pool: &mut Pool) {
        match self.fin_in {
            FinIn::Done { .. } if answer => self.answer_fin(),
            FinIn::Done { .. } => {}
            _ if at == self.receiver.next || crate::planted!(FinNotAwaited) => {
                self.peer_finished(at, answer, pool);
            }
            FinIn::Waiting { until, .. } if at.is_after(self.receiver.next) => {
                self.fin_in = FinIn::Waiting { at, until, answer };
                self.acks.owe();
            }
            FinIn::Open if at.in_window(self.receiver.next, MAX_FIN_AHEAD) => {
                self.fin_in = FinIn::Waiting { at, until: now + FIN_HOLE_WAIT, answer };
                self.acks.owe();
            }
            // A FIN before data that was received belongs to another connection.
            FinIn::Open | FinIn::Waiting { .. } => {}
        }
    }

    /// Everything up to the peer's FIN is here.
    pub(super) fn peer_finished(&mut self, at: Seq, answer: bool, pool: &mut Pool) {
        self.fin_in = FinIn::Done { at };
        self.receiver.clear_beyond(pool);
        self.events |= Events::PEER_FINISHED | Events::READABLE;
        if self.fin_out == FinOut::Requested && self.sender.queue.is_empty() {
            // Both ends in one packet, which needs no answer: if it is lost, the peer repeats its FIN.
            self.fin_out = FinOut::Acked;
        }
        if answer {
            self.answer_fin();
        }
    }

    /// Answers a FIN: with our own if we have finished too, else by acknowledging it.
    fn answer_fin(&mut self) {
        match self.fin_out {
            FinOut::Sent { .. } | FinOut::Acked => self.due.fin_ack = true,
            FinOut::Open | FinOut::Requested => self.acks.owe(),
        }
    }

    /// The number to acknowledge: a FIN counts once all before it was received.
    pub(super) fn ack_number(&self) -> Seq {
        match self.fin_in {
            FinIn::Done { at } => at + 1,
            FinIn::Open | FinIn::Waiting { .. } => self.receiver.next,
        }
    }

    pub(super) fn end_if_both_finished(&mut self, now: Instant, pool: &mut Pool) {
        if matches!(self.phase, Phase::Open { .. })
            && matches!(self.fin_in, FinIn::Done { .. })
            && self.fin_out == FinOut::Acked
        {
            self.end_cleanly(now, pool);
        }
    }

    fn end_cleanly(&mut self, now: Instant, pool: &mut Pool) {
        self.phase = Phase::TimeWait { until: now + self.limits.time_wait.get() };
        self.finish_up(CloseReason::Clean, pool);
    }

    /// TIME_WAIT is over.
    pub(super) fn forget(&mut self) {
        self.phase = Phase::Closed;
        self.due = Due::default();
    }

    /// A RST. Believed if its number is one the peer could send now, or 0, which is what every Go release sends; who
    /// sent it the tunnel has checked.
    pub(super) fn on_rst(&mut self, seg: &Segment, pool: &mut Pool) {
        let window = self.limits.recv_buffer.saturating_mul(2);
        let plausible = seg.seq == 0 || Seq::new(seg.seq).in_window(self.receiver.next, window);
        match self.phase {
            Phase::SynSent { .. } if seg.seq == 0 || Seq::new(seg.ack) == self.isn + 1 => {
                self.close(CloseReason::Refused, pool);
            }
            Phase::SynReceived { .. } if plausible => self.close(CloseReason::Reset, pool),
            Phase::Open { .. } if plausible => {
                // A peer that has forgotten a stream which both sides were done with.
                let over = matches!(self.fin_in, FinIn::Done { .. }) && self.sender.queue.is_empty();
                self.close(if over { CloseReason::Clean } else { CloseReason::Reset }, pool);
            }
            Phase::TimeWait { .. } if plausible => self.forget(),
            _ => {}
        }
    }

    /// Ends the stream at once and tells the peer. What was received and not read is gone.
    pub fn reset(&mut self, _now: Instant, pool: &mut Pool) {
        if !matches!(self.phase, Phase::TimeWait { .. } | Phase::Closed) {
            self.abort(CloseReason::Aborted, pool);
        }
        self.receiver.clear(pool);
    }

    /// Ends the stream at once and tells the peer.
    pub(super) fn abort(&mut self, reason: CloseReason, pool: &mut Pool) {
        self.close(reason, pool);
        self.due.rst = Some(self.sender.queue.nxt);
    }

    /// Ends the stream at once. What was received can still be read.
    pub(super) fn close(&mut self, reason: CloseReason, pool: &mut Pool) {
        self.phase = Phase::Closed;
        self.due = Due::default();
        self.finish_up(reason, pool);
    }

    fn finish_up(&mut self, reason: CloseReason, pool: &mut Pool) {
        self.reason = Some(reason);
        self.events |= Events::CLOSED | Events::READABLE;
        self.sender.clear(pool);
        self.receiver.clear_beyond(pool);
        self.acks.clear();
        (self.wants_room, self.room_retry) = (false, None);
    }
}

//! What arrives: the order of tests is the reference's (`spec/stream.md`, received packets).

use super::machine::{FinIn, FinOut, Phase, Stream};
use super::receiver::Arrival;
use super::recovery::Ack;
use super::{Events, Handled, Segment, Seq};
use crate::pool::Pool;
use crate::time::Instant;
use crate::wire::packet::Flags;
use crate::wire::sack::Sack;

/// How old an acknowledgment may be, in bytes, for its packet to be believed: more than any window.
const MAX_OLD_ACK: u32 = 1 << 24;

impl Stream {
    /// Takes a segment from the peer.
    pub fn handle_segment(
        &mut self,
        now: Instant,
        seg: &Segment,
        payload: &[u8],
        pool: &mut Pool,
    ) -> Handled {
        let (syn, ack) = (seg.flags.contains(Flags::SYN), seg.flags.contains(Flags::ACK));
        if syn && !ack {
            return self.on_syn(now, seg, pool);
        }
        if syn {
            self.on_syn_ack(now, seg);
        } else if seg.flags.contains(Flags::FIN) {
            self.on_fin(now, seg, pool);
        } else if seg.flags.contains(Flags::RST) {
            self.on_rst(seg, pool);
        } else if ack {
            self.on_ack_segment(now, seg, payload, pool);
        }
        Handled::Done
    }

    fn on_ack_segment(&mut self, now: Instant, seg: &Segment, payload: &[u8], pool: &mut Pool) {
        match self.phase {
            Phase::Open { .. } => {}
            Phase::SynSent { .. } => {
                if !self.adopt_reference_acceptor(now, seg, payload) {
                    return;
                }
            }
            Phase::SynReceived { .. } if Seq::new(seg.ack) == self.isn + 1 => self.open(now, seg.window),
            Phase::SynReceived { .. } | Phase::TimeWait { .. } | Phase::Closed => return,
        }
        let sack = Sack::parse_strict(payload, seg.ack, self.sender.queue.nxt.get());
        let bare = payload.is_empty();
        if !self.take_ack(now, seg, sack.as_ref(), bare, pool) {
            return;
        }
        self.heard = now;
        if !bare && sack.is_none() {
            self.on_data(now, Seq::new(seg.seq), payload, pool);
        }
        self.announce_room(pool);
        self.end_if_both_finished(now, pool);
    }

    /// Takes the acknowledgment and the window of a packet; false if the packet cannot belong to this connection.
    pub(super) fn take_ack(
        &mut self,
        now: Instant,
        seg: &Segment,
        sack: Option<&Sack>,
        bare: bool,
        pool: &mut Pool,
    ) -> bool {
        let (ack, una, nxt) = (Seq::new(seg.ack), self.sender.queue.una, self.sender.queue.nxt);
        if matches!(self.fin_out, FinOut::Sent { .. } | FinOut::Acked) && ack == nxt + 1 {
            self.fin_out = FinOut::Acked;
            return true;
        }
        if ack.is_after(nxt) && !crate::planted!(AckBeyondSent)
            || una.distance(ack) > MAX_OLD_ACK && ack.is_before(una)
        {
            return false;
        }
        if !ack.is_before(una) {
            // The window of a FIN says nothing.
            let fin = seg.flags.contains(Flags::FIN);
            let window = if fin { self.sender.peer_window } else { seg.window };
            let ack = Ack { number: ack, window, sack, bare };
            self.sender.on_ack(now, &ack, pool, &mut self.counters);
        }
        true
    }

    fn on_data(&mut self, now: Instant, seq: Seq, payload: &[u8], pool: &mut Pool) {
        self.counters.segs_recv = self.counters.segs_recv.saturating_add(1);
        let len = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        self.counters.bytes_recv = self.counters.bytes_recv.saturating_add(len);
        if matches!(self.fin_in, FinIn::Done { .. }) {
            // A copy of what was received before the end, or nonsense.
            if seq.is_before(self.receiver.next) {
                self.acks.owe();
            }
            return;
        }
        match self.receiver.insert(seq, payload, pool) {
            Arrival::InOrder => {
                self.acks.in_order(now, self.receiver.is_tight(pool));
                if self.receiver.beyond() > 0 {
                    self.acks.owe();
                }
                self.events |= Events::READABLE;
                self.on_progress(now, pool);
            }
            Arrival::Beyond => self.acks.beyond_gap(),
            Arrival::Duplicate => self.acks.owe(),
            Arrival::NoRoom => {}
        }
    }

    /// The next byte expected has moved: perhaps up to a FIN that came early.
    fn on_progress(&mut self, now: Instant, pool: &mut Pool) {
        let FinIn::Waiting { at, answer, .. } = self.fin_in else { return };
        if self.receiver.next == at {
            self.peer_finished(at, answer, pool);
        } else if self.receiver.next.is_before(at) {
            self.fin_in = FinIn::Waiting { at, until: now + super::config::FIN_HOLE_WAIT, answer };
        } else {
            self.fin_in = FinIn::Open;
        }
    }

    /// Tells a writer that was turned away when there is room again.
    pub(super) fn announce_room(&mut self, pool: &Pool) {
        let mss = u32::from(self.limits.mss);
        if self.wants_room && self.sender.queue.has_room(mss, self.limits.send_buffer, pool) {
            (self.wants_room, self.room_retry) = (false, None);
            self.events |= Events::WRITABLE;
        }
    }
}

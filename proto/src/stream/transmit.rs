//! What leaves: one decision, asked by `wants_transmit`, carried out by `poll_transmit`, so that they cannot differ.

use super::machine::{FinOut, Phase, Stream};
use super::sender::Gate;
use super::{Segment, Seq};
use crate::pool::Pool;
use crate::time::Instant;
use crate::wire::packet::Flags;

/// The next packet to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Rst(Seq),
    Syn,
    SynAck,
    Lost,
    New,
    FinAck,
    Fin,
    Probe,
    Ack,
    /// A bare duplicate of the last acknowledgment.
    Repeat,
}

impl Stream {
    fn next(&self, now: Instant) -> Option<Next> {
        if let Some(seq) = self.due.rst {
            return Some(Next::Rst(seq));
        }
        let due = &self.due;
        match self.phase {
            Phase::SynSent { .. } => due.syn.then_some(Next::Syn),
            Phase::SynReceived { .. } if due.syn_ack => Some(Next::SynAck),
            Phase::SynReceived { .. } => due.probe.then_some(Next::Probe),
            Phase::Open { .. } => {
                let all_arrived = self.sender.queue.is_empty() || crate::planted!(FinBeforeData);
                Some(match () {
                    () if due.syn_ack => Next::SynAck,
                    () if self.sender.lost_gate().is_open(now) => Next::Lost,
                    () if self.new_gate().is_open(now) => Next::New,
                    () if due.fin_ack => Next::FinAck,
                    () if due.fin || self.fin_out == FinOut::Requested && all_arrived => Next::Fin,
                    () if due.probe || self.sender.probe_due => Next::Probe,
                    () if self.acks.is_due(now) => Next::Ack,
                    () if self.acks.repeats_due() => Next::Repeat,
                    () => return None,
                })
            }
            Phase::TimeWait { .. } => due.fin_ack.then_some(Next::FinAck),
            Phase::Closed => None,
        }
    }

    fn new_gate(&self) -> Gate {
        self.sender.new_gate(self.fin_out != FinOut::Open)
    }

    /// When data may be sent next.
    pub(super) fn data_gate(&self) -> Gate {
        match self.sender.lost_gate() {
            Gate::Shut => self.new_gate(),
            gate => gate,
        }
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) would return something.
    pub fn wants_transmit(&self, now: Instant) -> bool {
        self.next(now).is_some()
    }

    /// Writes the payload of the next segment to the front of `payload` and returns the segment and the length.
    ///
    /// `payload` must have room for [`Config::mss`](super::Config::mss) bytes, and for 37 at least; if it has not, a
    /// segment that does not fit stays queued and `None` is returned.
    pub fn poll_transmit(
        &mut self,
        now: Instant,
        pool: &mut Pool,
        payload: &mut [u8],
    ) -> Option<(Segment, usize)> {
        let next = self.next(now)?;
        let nxt = self.sender.queue.nxt;
        let plain = |flags, seq: Seq| Segment { flags, seq: seq.get(), ack: 0, window: 0 };
        let sent = match next {
            Next::Rst(seq) => {
                self.due.rst = None;
                (plain(Flags::RST, seq), 0)
            }
            Next::Syn => {
                (self.due.syn, self.syn_paced) = (false, false);
                self.handshake_tries = self.handshake_tries.saturating_add(1);
                (Segment { window: self.advertise(pool), ..plain(Flags::SYN, self.isn) }, 0)
            }
            Next::SynAck => {
                self.due.syn_ack = false;
                self.handshake_tries = self.handshake_tries.saturating_add(1);
                (self.acking(Flags::SYN_ACK, self.isn, pool), 0)
            }
            Next::Lost => {
                let (seq, len) = self.sender.send_lost(now, payload, pool, &mut self.counters)?;
                (self.carry(seq, pool), len)
            }
            Next::New => {
                let (seq, len) = self.sender.send_new(now, payload, pool, &mut self.counters)?;
                (self.carry(seq, pool), len)
            }
            Next::FinAck => {
                self.due.fin_ack = false;
                self.acks.sent();
                (Segment { ack: self.ack_number().get(), ..plain(Flags::FIN_ACK, nxt) }, 0)
            }
            Next::Fin => {
                self.due.fin = false;
                let tries = match self.fin_out {
                    FinOut::Sent { tries, .. } => tries.saturating_add(1),
                    _ => 1,
                };
                self.fin_out = FinOut::Sent { resend: now + self.fin_wait(tries - 1), tries };
                (plain(Flags::FIN, nxt), 0)
            }
            Next::Probe => {
                // Not the first byte of "SACK".
                *payload.first_mut()? = 0;
                (self.due.probe, self.sender.probe_due) = (false, false);
                self.acks_sent_with_data();
                (self.acking(Flags::ACK, self.sender.queue.una - 1, pool), 1)
            }
            Next::Ack => {
                let report = match self.sender.peer_is_roomy() {
                    true => self.receiver.long_report(payload.len(), pool),
                    false => self.receiver.report(pool),
                };
                let len = report.emit(payload).ok()?;
                let blocks = u32::try_from(report.blocks().len()).unwrap_or(0);
                self.counters.sack_sent = self.counters.sack_sent.saturating_add(blocks);
                self.acks.sent();
                (self.acking(Flags::ACK, nxt, pool), len)
            }
            Next::Repeat => {
                self.acks.repeat_sent();
                (self.acking(Flags::ACK, nxt, pool), 0)
            }
        };
        self.spoke = now;
        Some(sent)
    }

    /// A data segment, which carries the acknowledgment.
    fn carry(&mut self, seq: Seq, pool: &Pool) -> Segment {
        self.acks_sent_with_data();
        self.acking(Flags::ACK, seq, pool)
    }

    /// Data has no place for a report: then the acknowledgment is still owed.
    fn acks_sent_with_data(&mut self) {
        if self.receiver.beyond() == 0 {
            self.acks.sent();
        }
    }

    fn acking(&mut self, flags: Flags, seq: Seq, pool: &Pool) -> Segment {
        Segment { flags, seq: seq.get(), ack: self.ack_number().get(), window: self.advertise(pool) }
    }

    fn advertise(&mut self, pool: &Pool) -> u16 {
        self.recv_window = self.receiver.advertise(pool);
        self.recv_window
    }
}

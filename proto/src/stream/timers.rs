//! What time does: everything that happens because nothing else did.

use super::config::{FIN_LINGER, FIN_TRIES, MAX_SYN_WAIT, Millis, ROOM_RETRY, SYN_WAIT};
use super::machine::{FinIn, FinOut, Phase, Stream};
use super::rtt::MAX_RTO;
use super::sender::Gate;
use super::{CloseReason, Unanswered};
use crate::pool::Pool;
use crate::time::{Duration, Instant, earliest};

impl Stream {
    /// Does what is due at `now`. Harmless if nothing is.
    pub fn handle_timeout(&mut self, now: Instant, pool: &mut Pool) {
        match self.phase {
            Phase::SynSent { .. } | Phase::SynReceived { .. } => self.handshake_timeout(now, pool),
            Phase::Open { .. } => self.open_timeout(now, pool),
            Phase::TimeWait { until } if until <= now => self.forget(),
            Phase::TimeWait { .. } | Phase::Closed => {}
        }
    }

    fn handshake_timeout(&mut self, now: Instant, pool: &mut Pool) {
        if self.handshake_end() <= now {
            // The dialer may hold a half of it: an acceptor that never got a proof says so.
            return self.abort(CloseReason::TimedOut(Unanswered::Dial), pool);
        }
        match &mut self.phase {
            Phase::SynSent { resend, wait } if *resend <= now => {
                let only_held_back = self.syn_paced && !self.due.syn;
                if !only_held_back {
                    *wait = wait.doubled(MAX_SYN_WAIT);
                }
                *resend = now + wait.get();
                self.due.syn = true;
            }
            Phase::SynReceived { resend, wait } if *resend <= now => {
                *wait = wait.doubled(MAX_SYN_WAIT);
                *resend = now + wait.get();
                self.due.syn_ack = true;
                // A reference dialer that has our first answer ignores the second; an old byte it does answer.
                self.due.probe = true;
            }
            _ => {}
        }
    }

    /// Whether a SYN is due for which nobody has said yet when it may go: see [`pace_syn`](Self::pace_syn).
    pub fn wants_turn(&self) -> bool {
        self.due.syn && !self.syn_paced
    }

    /// The SYN that is due goes at `turn`; if that has not come yet, no sooner. An owner that opens few streams at a time need
    /// not say anything: then SYNs go when they are due.
    pub fn pace_syn(&mut self, now: Instant, turn: Instant) {
        if let Phase::SynSent { resend, .. } = &mut self.phase
            && self.due.syn
        {
            self.syn_paced = true;
            if turn > now {
                (*resend, self.due.syn) = (turn, false);
            }
        }
    }

    /// The SYN that is due is not to go now; at `later` it asks for its turn again.
    pub fn put_syn_off(&mut self, later: Instant) {
        if let Phase::SynSent { resend, .. } = &mut self.phase {
            (*resend, self.due.syn) = (later, false);
        }
    }

    fn handshake_end(&self) -> Instant {
        self.started + self.limits.dial_timeout.get()
    }

    fn open_timeout(&mut self, now: Instant, pool: &mut Pool) {
        let (heard, patience) = (self.heard, self.limits.give_up.get());
        if self.sender.on_timeout(now, heard, patience, pool, &mut self.counters).is_err() {
            return self.abort(CloseReason::TimedOut(Unanswered::Data), pool);
        }
        if self.linger_end().is_some_and(|end| end <= now) {
            return self.abort(CloseReason::Truncated, pool);
        }
        if matches!(self.fin_in, FinIn::Waiting { until, .. } if until <= now) {
            return self.abort(CloseReason::Truncated, pool);
        }
        if let FinOut::Sent { resend, tries } = self.fin_out
            && resend <= now
        {
            if tries >= FIN_TRIES {
                let over = matches!(self.fin_in, FinIn::Done { .. });
                let reason = if over { CloseReason::Clean } else { CloseReason::TimedOut(Unanswered::Fin) };
                return self.close(reason, pool);
            }
            self.due.fin = true;
            self.fin_out = FinOut::Sent { resend: now + self.fin_wait(tries), tries };
        }
        if self.idle_end().is_some_and(|end| end <= now) {
            let probing = self.limits.keepalive().is_some();
            let what = if probing { Unanswered::Keepalive } else { Unanswered::Idle };
            return self.abort(CloseReason::TimedOut(what), pool);
        }
        if self.keepalive_at().is_some_and(|at| at <= now) {
            self.probed = Some(now);
            self.due.probe = true;
        }
        self.acks.on_timeout(now);
        if self.room_retry.is_some_and(|at| at <= now) {
            self.room_retry = Some(now + ROOM_RETRY);
            self.announce_room(pool);
        }
    }

    /// Whether the peer was silent for so long that the stream says nothing for seconds: see
    /// [`handle_return`](Self::handle_return).
    pub fn is_stalled(&self) -> bool {
        match self.phase {
            // One that waits for its turn has it.
            Phase::SynSent { wait, .. } => wait.get() > SYN_WAIT && !self.syn_paced,
            Phase::Open { .. } => {
                self.sender.is_stalled() || matches!(self.fin_out, FinOut::Sent { tries, .. } if tries > 1)
            }
            Phase::SynReceived { .. } | Phase::TimeWait { .. } | Phase::Closed => false,
        }
    }

    /// The peer was heard of again after a silence, or is reached another way: a [stalled](Self::is_stalled) stream says at
    /// once what it would have said when its timer, doubled again and again, had expired. Harmless to any other.
    pub fn handle_return(&mut self, now: Instant, pool: &mut Pool) {
        if !self.is_stalled() {
            return;
        }
        if let Phase::SynSent { resend, wait } = &mut self.phase {
            (*resend, *wait) = (now + SYN_WAIT, Millis::new(SYN_WAIT));
            self.due.syn = true;
        }
        self.sender.retry(now, pool);
        if let FinOut::Sent { .. } = self.fin_out {
            // It counts as the first one.
            self.fin_out = FinOut::Sent { resend: now + self.fin_wait(0), tries: 0 };
            self.due.fin = true;
        }
    }

    /// Packets take another path from now on: round trips and reordering of the old one are no measure for it.
    pub fn handle_path_change(&mut self) {
        self.sender.on_path_change();
    }

    /// How long to wait for an answer to the FIN sent `tries` times so far.
    pub(super) fn fin_wait(&self, tries: u8) -> Duration {
        (self.sender.rtt.rto() * (1 << tries.min(FIN_TRIES))).min(MAX_RTO)
    }

    /// When to probe: after silence in either direction. Both count, because a peer may keep us awake with packets
    /// that nobody answers (every Go keepalive is one) and would still close for want of any from us.
    fn keepalive_at(&self) -> Option<Instant> {
        let waiting = self.sender.queue.outstanding > 0 || matches!(self.fin_out, FinOut::Sent { .. });
        let keepalive = self.limits.keepalive().filter(|_| !waiting)?;
        let silent = self.heard.min(self.spoke) + keepalive;
        // While the peer does not answer, a little faster.
        Some(self.probed.map_or(silent, |probed| silent.max(probed + keepalive / 2)))
    }

    /// When the peer counts as gone.
    fn idle_end(&self) -> Option<Instant> {
        let timeout = self.limits.idle_timeout().filter(|_| self.sender.queue.outstanding == 0)?;
        Some(self.heard + timeout)
    }

    /// When a peer that has finished counts as not reading any more.
    fn linger_end(&self) -> Option<Instant> {
        let waiting = matches!(self.fin_in, FinIn::Done { .. }) && self.sender.queue.outstanding > 0;
        waiting.then(|| self.heard.max(self.sender.waiting_since()) + FIN_LINGER)
    }

    /// The next moment [`handle_timeout`](Self::handle_timeout) or [`poll_transmit`](Self::poll_transmit) has
    /// something to do; `None` is never. Later than `now` once both have been called with `now` and the latter has
    /// returned `None`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::SynSent { resend, .. } | Phase::SynReceived { resend, .. } => {
                Some(resend.min(self.handshake_end()))
            }
            Phase::Open { .. } => {
                let fin_in = match self.fin_in {
                    FinIn::Waiting { until, .. } => Some(until),
                    FinIn::Open | FinIn::Done { .. } => None,
                };
                let fin_out = match self.fin_out {
                    FinOut::Sent { resend, .. } => Some(resend),
                    FinOut::Open | FinOut::Requested | FinOut::Acked => None,
                };
                let gate = match self.data_gate() {
                    Gate::At(at) => Some(at),
                    Gate::Open | Gate::Shut => None,
                };
                [
                    self.sender.deadline().filter(|_| !crate::planted!(LostTimer)),
                    gate,
                    fin_in,
                    fin_out,
                    self.linger_end(),
                    self.acks.deadline(),
                    self.keepalive_at(),
                    self.idle_end(),
                    self.room_retry,
                ]
                .into_iter()
                .fold(None, earliest)
            }
            Phase::TimeWait { until } => Some(until),
            Phase::Closed => None,
        }
    }
}

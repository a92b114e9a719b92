//! Loss recovery: what acknowledgments, reports and silence mean for data that was sent.
//!
//! Losses are seen in the scoreboard (RFC 6675, 8985), after three bare duplicates (RFC 6582), by a probe of the tail
//! (RFC 8985, 7), or by silence (RFC 6298). They cut the window ([`congestion`](super::congestion)) unless they can be
//! [borne](super::random_loss); while it is cut, [`prr`](super::prr) meters what is sent. A cut that proves to have
//! been for nothing is taken back. No release knows timestamps or reports duplicates, so that proof is time: an answer
//! sooner than any round trip was not to the copy (RFC 8985, 6.2); or new data sent instead of more copies after a
//! timeout (F-RTO, RFC 5682).

use super::Seq;
use super::config::{
    DUP_THRESHOLD, MAX_PERSIST_WAIT, MIN_PROBE_WAIT, Millis, PEER_DELAYED_ACK, PERSIST_WAIT,
    REORDERING_MEMORY,
};
use super::congestion::Congestion;
use super::delay::Delay;
use super::prr::Prr;
use super::rtt::MIN_RTO;
use super::send_queue::Delivered;
use super::sender::{Sender, Timer};
use super::stats::Counters;
use crate::pool::Pool;
use crate::time::{Duration, Instant};
use crate::wire::sack::Sack;

/// Loss recovery, up to the data that was sent when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recovery {
    None,
    /// The scoreboard or duplicate ACKs showed a loss. `cut` if the window was cut for it.
    Fast {
        until: Seq,
        cut: bool,
    },
    /// Silence did; the window grows again from one segment.
    Timeout {
        until: Seq,
        check: Check,
    },
}

/// Whether a timeout was needed (RFC 5682, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// Nothing was heard since.
    Waiting,
    /// The acknowledgment advanced; new data was sent. What is heard next decides.
    Probing,
    /// It was, or cannot be told.
    Done,
}

impl Recovery {
    /// Whether new data goes before repairs, to find out whether a timeout was needed.
    pub(super) fn is_probing(self) -> bool {
        matches!(self, Recovery::Timeout { check: Check::Probing, .. })
    }
}

/// A probe of the tail: at most one is under way (RFC 8985, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    None,
    /// To be sent at once.
    Due,
    /// The probe was new data, which ends at `end`.
    Extended {
        end: Seq,
    },
    /// The probe was a copy of the last segment, which ends at `end`.
    Repeated {
        end: Seq,
    },
}

/// What a packet says about our data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ack<'a> {
    /// The next byte expected, in `una..=nxt`.
    pub(super) number: Seq,
    /// Segments there is room for.
    pub(super) window: u16,
    /// What arrived beyond a gap.
    pub(super) sack: Option<&'a Sack>,
    /// The packet carries neither data nor a report, and so may be a duplicate ACK.
    pub(super) bare: bool,
}

/// Data stayed unanswered for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GiveUp;

impl Sender {
    /// Takes what a packet says about our data.
    pub(super) fn on_ack(&mut self, now: Instant, ack: &Ack, pool: &mut Pool, counters: &mut Counters) {
        let Ack { number: ack, window, sack, bare } = *ack;
        let sack = sack.filter(|_| !crate::planted!(SackIgnored));
        let base = self.delay.base();
        let outstanding = self.queue.nxt.distance(self.queue.una);
        let flight = self.queue.flight;
        let limited = flight.saturating_add(self.mss.into()) >= self.congestion.window() / 2;
        let advanced = ack != self.queue.una;
        let mut delivered = Delivered::default();
        if advanced {
            delivered = self.queue.ack(now, ack, base, pool);
            self.rtt.progress();
            self.last_progress = now;
            self.duplicates = 0;
        }
        let window_changed = window != self.peer_window;
        // An April keepalive carries window 0 and acknowledges nothing new while nothing is under way.
        if advanced || window > 0 || outstanding > 0 {
            self.set_window(window);
        }
        if let Some(sack) = sack {
            self.reports = true;
            counters.sack_recv =
                counters.sack_recv.saturating_add(u32::try_from(sack.blocks().len()).unwrap_or(0));
            let seen = self.queue.sack(now, sack, base, pool);
            // After a timeout a report may repeat what an earlier one, now lost, already said.
            let seen_rtt = seen.rtt.filter(|_| !matches!(self.recovery, Recovery::Timeout { .. }));
            delivered = delivered.with(seen, seen_rtt);
        }
        if let Some(rtt) = delivered.rtt {
            self.rtt.sample(rtt);
            self.delay.sample(now, rtt, self.rtt.srtt());
            if self.delay.is_queueing() {
                self.congestion.on_queue();
            }
        }
        self.earn(delivered.segments);
        self.allowance.earn(delivered.segments);
        self.needless = self.needless.saturating_add(u16::try_from(delivered.needless).unwrap_or(u16::MAX));
        let duplicate = !advanced && (bare && !window_changed || sack.is_some());
        self.check_timeout(ack, advanced, duplicate, &delivered, pool);
        self.check_tail(now, ack, duplicate && bare, delivered.needless > 0, outstanding);
        if advanced {
            self.advance_recovery(ack, pool);
        } else if outstanding > 0 && duplicate {
            counters.dup_acks = counters.dup_acks.saturating_add(1);
            // A peer that reports what it keeps says so of every loss (RFC 6675, 2). What it has nothing to say about
            // was a copy that it did not need.
            if bare && !self.reports {
                self.duplicates = self.duplicates.saturating_add(1);
                // Something has left the path, but not what: without this, the new data that was sent to find out whether
                // a timeout was needed would count as under way until the next one (RFC 5682, 2.1 step 3a).
                let searching = matches!(self.recovery, Recovery::Timeout { check: Check::Done, .. });
                self.repair |= searching && self.queue.lost > 0;
            }
        }
        let cut = matches!(self.recovery, Recovery::Fast { cut: true, .. });
        if delivered.bytes > 0 && limited && !cut {
            self.congestion.on_ack(now, delivered.bytes, self.rtt.srtt());
        }
        let mut lost = 0;
        if u32::from(self.duplicates) == DUP_THRESHOLD && !self.in_recovery() {
            lost += u32::from(self.queue.lose_head(pool));
        }
        lost += self.look_for_losses(now, pool);
        if lost > 0 {
            self.on_losses(now, lost, outstanding, flight, counters);
        }
        if matches!(self.recovery, Recovery::Fast { cut: true, .. }) {
            let (target, mss) = (self.congestion.window(), self.mss.into());
            self.prr.on_ack(delivered.bytes, self.queue.flight, target, mss, advanced && lost == 0);
        }
        if advanced || matches!(self.timer, Timer::Tail { .. }) && self.queue.sacked + self.queue.lost > 0 {
            self.timer = Timer::Idle;
        }
        self.arm(now);
    }

    /// Looks whether the last timeout was for nothing.
    fn check_timeout(
        &mut self,
        ack: Seq,
        advanced: bool,
        duplicate: bool,
        delivered: &Delivered,
        pool: &mut Pool,
    ) {
        let Recovery::Timeout { until, check } = self.recovery else { return };
        let needless = match check {
            // An early answer is no proof while anything may be missing: a lone copy does not queue, the answer to it is
            // not delayed, the path may have become shorter. Repairs that stop for it wait for the next timeout.
            Check::Waiting => delivered.needless > 0 && !ack.is_before(until),
            Check::Probing => delivered.late > 0,
            Check::Done => return,
        };
        if needless {
            self.congestion.undo();
            self.queue.revive(pool);
            self.recovery = Recovery::None;
            return;
        }
        let probe = check == Check::Waiting && advanced && ack.is_before(until) && self.window_has_new();
        if probe {
            self.recovery = Recovery::Timeout { until, check: Check::Probing };
        } else if advanced || duplicate {
            if check == Check::Probing {
                // The path is not slower than the timer: it lost something. The next timeout need not be longer.
                self.rtt.forget_doubling();
            }
            self.recovery = Recovery::Timeout { until, check: Check::Done };
            // It answers the new data, though a report of the four lowest ranges may not say so: that would count as under
            // way, and fill the small window, until the next timeout.
            self.repair |= check == Check::Probing && self.queue.lost > 0;
        }
    }

    /// Looks what became of the probe of the tail.
    fn check_tail(&mut self, now: Instant, ack: Seq, bare_duplicate: bool, needless: bool, outstanding: u32) {
        match self.tail {
            Tail::Extended { end } if !ack.is_before(end) => self.tail = Tail::None,
            // The last segment had arrived: the probe brought a duplicate.
            Tail::Repeated { end } if ack == end && (bare_duplicate || needless) => self.tail = Tail::None,
            // It had not: the probe repaired a loss that nobody else will ever see.
            Tail::Repeated { end } if ack.is_after(end) => {
                self.tail = Tail::None;
                if !self.in_recovery() && !self.bears(1) {
                    self.congestion.on_loss(now, outstanding.min(self.congestion.window()));
                }
            }
            _ => {}
        }
    }

    fn advance_recovery(&mut self, ack: Seq, pool: &mut Pool) {
        match self.recovery {
            // All is repaired that was to be; but what was sent meanwhile came before the last copy, and this answer would
            // cover it if it had been kept. The window is paid for already.
            Recovery::Fast { until, .. } | Recovery::Timeout { until, .. }
                if ack == until && !self.reports && self.queue.lose_overtaken_head(pool) =>
            {
                self.repair = true;
                self.prr = Prr::new(self.queue.flight);
                self.recovery = Recovery::Fast { until: self.queue.nxt, cut: true };
                (self.resent, self.needless) = (0, 0);
            }
            Recovery::Fast { until, cut } if !ack.is_before(until) => {
                if cut && self.resent > 0 && self.needless >= self.resent {
                    self.congestion.undo();
                }
                self.orderly = if self.needless > 0 { 0 } else { self.orderly.saturating_add(1) };
                if self.orderly == REORDERING_MEMORY {
                    self.queue.forget_reordering();
                }
                self.recovery = Recovery::None;
            }
            Recovery::Timeout { until, .. } if !ack.is_before(until) => self.recovery = Recovery::None,
            // NewReno (RFC 6582): from a peer without reports, a partial ACK names the next loss.
            Recovery::Fast { .. } if !self.reports => self.repair = self.queue.lose_head(pool),
            _ => {}
        }
    }

    fn look_for_losses(&mut self, now: Instant, pool: &mut Pool) -> u32 {
        self.reorder_at = None;
        // What an answered copy has overtaken is lost too, whether or not anything is reported.
        if self.queue.sacked == 0 && !(self.reports && matches!(self.recovery, Recovery::Fast { .. })) {
            return 0;
        }
        let losses = self.queue.find_losses(now, self.delay.base(), self.rtt.srtt(), pool);
        self.reorder_at = losses.look_again;
        losses.found
    }

    /// Whether `lost` segments say nothing about congestion.
    fn bears(&mut self, lost: u32) -> bool {
        self.bear_random_loss
            && self.peer_is_roomy()
            && !self.delay.is_queueing()
            && self.allowance.bear(lost)
    }

    /// Segments were found lost: begins fast recovery, and cuts the window once in it. `outstanding` bytes were
    /// unacknowledged and `flight` under way before.
    fn on_losses(&mut self, now: Instant, lost: u32, outstanding: u32, flight: u32, counters: &mut Counters) {
        if matches!(self.recovery, Recovery::Timeout { .. } | Recovery::Fast { cut: true, .. }) {
            return;
        }
        let begins = !self.in_recovery();
        let cut = !self.bears(lost);
        if cut {
            self.congestion.on_loss(now, outstanding.min(self.congestion.window()));
            self.prr = Prr::new(flight);
        }
        if begins {
            counters.fast_retx = counters.fast_retx.saturating_add(1);
            (self.repair, self.timer) = (true, Timer::Idle);
        }
        if begins || cut {
            self.recovery = Recovery::Fast { until: self.queue.nxt, cut };
            (self.resent, self.needless) = (0, 0);
        }
    }

    /// The timer for outstanding data: a probe of the tail if nothing is known to be wrong and it comes sooner.
    pub(super) fn data_timer(&self, now: Instant) -> Timer {
        let rto = self.rtt.rto();
        let srtt = self.rtt.srtt();
        let lone = if self.queue.outstanding <= 1 { PEER_DELAYED_ACK } else { Duration::ZERO };
        let wait = (srtt * 2 + lone).max(MIN_PROBE_WAIT);
        let calm = self.recovery == Recovery::None && self.tail == Tail::None;
        if calm && srtt > Duration::ZERO && self.queue.sacked + self.queue.lost == 0 && wait < rto {
            Timer::Tail { at: now + wait }
        } else {
            Timer::Retransmit { at: now + rto }
        }
    }

    /// Starts the timer that the situation calls for, if it does not run.
    pub(super) fn arm(&mut self, now: Instant) {
        let blocked = self.queue.outstanding == 0 && self.queue.unsent > 0 && self.peer_window == 0;
        match self.timer {
            Timer::Retransmit { .. } | Timer::Tail { .. } if self.queue.outstanding > 0 => {}
            Timer::Persist { .. } if blocked => {}
            _ if self.queue.outstanding > 0 => self.timer = self.data_timer(now),
            _ if blocked => {
                self.timer = Timer::Persist { at: now + PERSIST_WAIT, wait: Millis::new(PERSIST_WAIT) }
            }
            _ => self.timer = Timer::Idle,
        }
        if self.queue.outstanding == 0 {
            self.reorder_at = None;
            if self.tail == Tail::Due {
                self.tail = Tail::None;
            }
        }
    }

    /// The next moment [`on_timeout`](Self::on_timeout) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timer = match self.timer {
            Timer::Idle => None,
            Timer::Tail { at } | Timer::Retransmit { at } | Timer::Persist { at, .. } => Some(at),
        };
        crate::time::earliest(timer, self.reorder_at)
    }

    /// Whether a timer has expired, and nothing was heard since.
    pub(super) fn is_stalled(&self) -> bool {
        match self.timer {
            Timer::Retransmit { .. } => {
                matches!(self.recovery, Recovery::Timeout { check: Check::Waiting, .. })
            }
            Timer::Persist { wait, .. } => wait.get() > PERSIST_WAIT,
            Timer::Idle | Timer::Tail { .. } => false,
        }
    }

    /// The peer was heard of again: does what a stalled timer would have done later, and starts it anew. What was sent a
    /// moment ago may have arrived: only its timer is shorter now.
    pub(super) fn retry(&mut self, now: Instant, pool: &mut Pool) {
        match self.timer {
            _ if !self.is_stalled() => {}
            Timer::Retransmit { .. } => {
                self.rtt.forget_doubling();
                let measured = Some(self.rtt.srtt()).filter(|srtt| !srtt.is_zero());
                let sent = self.queue.head_sent(pool);
                if sent + measured.unwrap_or(MIN_RTO) > now {
                    self.timer = Timer::Retransmit { at: now.max(sent + self.rtt.rto()) };
                    return;
                }
                self.queue.expire(now, pool);
                self.credit = self.credit.max(1);
                self.timer = Timer::Retransmit { at: now + self.rtt.rto() };
            }
            Timer::Persist { .. } => {
                self.probe_due = true;
                self.timer = Timer::Persist { at: now + PERSIST_WAIT, wait: Millis::new(PERSIST_WAIT) };
            }
            Timer::Idle | Timer::Tail { .. } => {}
        }
    }

    /// Packets take another path from now on: what the old one showed of itself says nothing of it.
    pub(super) fn on_path_change(&mut self) {
        self.delay = Delay::default();
        self.queue.forget_reordering();
        self.orderly = 0;
    }

    /// Does what is due. `heard` is when the peer was last heard of.
    pub(super) fn on_timeout(
        &mut self,
        now: Instant,
        heard: Instant,
        patience: Duration,
        pool: &mut Pool,
        counters: &mut Counters,
    ) -> Result<(), GiveUp> {
        if self.reorder_at.is_some_and(|at| at <= now) {
            let outstanding = self.queue.nxt.distance(self.queue.una);
            let flight = self.queue.flight;
            let lost = self.look_for_losses(now, pool);
            if lost > 0 {
                self.on_losses(now, lost, outstanding, flight, counters);
                self.arm(now);
            }
        }
        match self.timer {
            Timer::Tail { at } if at <= now => {
                self.tail = Tail::Due;
                self.timer = Timer::Retransmit { at: now + self.rtt.rto() };
            }
            Timer::Retransmit { at } if at <= now => {
                if now.since(self.last_progress) >= patience {
                    return Err(GiveUp);
                }
                // A second expiry without progress says nothing new about the path (RFC 5681, 3.1).
                if !matches!(self.recovery, Recovery::Timeout { check: Check::Waiting, .. }) {
                    self.congestion.on_timeout(now, self.queue.nxt.distance(self.queue.una));
                }
                self.doubt_size(pool);
                self.queue.expire(now, pool);
                self.recovery = Recovery::Timeout { until: self.queue.nxt, check: Check::Waiting };
                (self.duplicates, self.reorder_at, self.tail) = (0, None, Tail::None);
                self.rtt.back_off();
                self.credit = self.credit.max(1);
                self.timer = Timer::Retransmit { at: now + self.rtt.rto() };
            }
            Timer::Persist { at, wait } if at <= now => {
                if now.since(heard) >= patience {
                    return Err(GiveUp);
                }
                self.probe_due = true;
                let wait = wait.doubled(MAX_PERSIST_WAIT);
                self.timer = Timer::Persist { at: now + wait.get(), wait };
            }
            _ => {}
        }
        Ok(())
    }
}

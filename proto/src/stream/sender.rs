//! Sending: when the next data segment may go out, and what acknowledgments, reports and silence mean.

use super::Seq;
use super::config::{
    BURST, CLOCKED_BURST, DUP_THRESHOLD, Limits, MAX_PACE, MAX_PERSIST_WAIT, MIN_PACE, Millis, NAGLE_WAIT,
    PERSIST_WAIT,
};
use super::congestion::{Congestion, Reno};
use super::rtt::RttEstimator;
use super::send_queue::{Delivered, SendQueue};
use super::stats::Counters;
use crate::pool::Pool;
use crate::time::{Duration, Instant};
use crate::wire::sack::Sack;

/// Whether data may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// Now.
    Open,
    /// From then on, whatever else happens.
    At(Instant),
    /// Not before something happens.
    Shut,
}

impl Gate {
    pub(super) fn is_open(self, now: Instant) -> bool {
        match self {
            Gate::Open => true,
            Gate::At(at) => at <= now,
            Gate::Shut => false,
        }
    }
}

/// One clock: what cannot run together cannot be represented together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Idle,
    /// Data is outstanding (RFC 6298).
    Retransmit {
        at: Instant,
    },
    /// Nothing is outstanding and the window is closed (RFC 9293, 3.8.6.1).
    Persist {
        at: Instant,
        wait: Millis,
    },
}

/// Loss recovery, up to the data that was sent when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recovery {
    None,
    /// The scoreboard or duplicate ACKs showed a loss (RFC 6675).
    Fast {
        until: Seq,
    },
    /// Silence did; the window grows again from one segment.
    Timeout {
        until: Seq,
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

#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) queue: SendQueue,
    pub(super) rtt: RttEstimator,
    pub(super) congestion: Reno,
    /// Segments the peer has room for beyond `una`. Every release counts segments, whatever their size.
    pub(super) peer_window: u16,
    mss: u16,
    max_flight: u16,
    recovery: Recovery,
    duplicates: u8,
    /// One lost segment may go at once: the first of a recovery, or the one that a partial acknowledgment named.
    repair: bool,
    timer: Timer,
    /// When a segment overtaken by others counts as lost.
    reorder_at: Option<Instant>,
    /// Segments that may be sent before an ACK or `credit_at`.
    credit: u16,
    credit_at: Instant,
    /// When data was last sent for the first time; `None` before.
    last_sent: Option<Instant>,
    /// When the peer last acknowledged something new, or the data now outstanding began to wait.
    last_progress: Instant,
    /// A probe of the closed window is due.
    pub(super) probe_due: bool,
}

impl Sender {
    /// A sender whose first data byte is `first`.
    pub(super) fn new(now: Instant, first: Seq, limits: &Limits) -> Self {
        Sender {
            queue: SendQueue::new(first),
            rtt: RttEstimator::default(),
            congestion: Reno::new(limits.mss.into()),
            peer_window: 0,
            mss: limits.mss,
            max_flight: limits.max_flight,
            recovery: Recovery::None,
            duplicates: 0,
            repair: false,
            timer: Timer::Idle,
            reorder_at: None,
            credit: BURST,
            credit_at: now,
            last_sent: None,
            last_progress: now,
            probe_due: false,
        }
    }

    /// Size of a full segment with this pool, in bytes.
    pub(super) fn full(&self, pool: &Pool) -> usize {
        usize::from(self.mss).min(pool.chunk_size())
    }

    pub(super) fn in_recovery(&self) -> bool {
        self.recovery != Recovery::None
    }

    /// Whether something lost may be sent again.
    pub(super) fn lost_gate(&self) -> Gate {
        if self.queue.lost == 0 {
            Gate::Shut
        } else if self.repair {
            Gate::Open
        } else if self.congestion_allows(self.mss.into()) {
            self.pace()
        } else {
            Gate::Shut
        }
    }

    /// Whether the first unsent segment may go; `flush` if no more will be written.
    pub(super) fn new_gate(&self, flush: bool) -> Gate {
        let queue = &self.queue;
        let window = u32::from(self.peer_window.min(self.max_flight));
        if queue.unsent == 0
            || queue.lost > 0
            || queue.outstanding >= window
            || !self.congestion_allows(queue.unsent_len)
        {
            return Gate::Shut;
        }
        // Nagle in Minshall's form, as 1.18.0 does it: only the unfilled last segment waits, and only while an
        // earlier unfilled one is outstanding.
        let held = queue.unsent == 1 && !queue.pushed && !flush && queue.short_end.is_after(queue.una);
        match self.pace() {
            Gate::Open if held => Gate::At(queue.tail_since + NAGLE_WAIT),
            Gate::At(at) if held => Gate::At(at.max(queue.tail_since + NAGLE_WAIT)),
            gate => gate,
        }
    }

    fn congestion_allows(&self, len: u32) -> bool {
        let flight = self.queue.flight;
        flight == 0 || flight.saturating_add(len) <= self.congestion.window()
    }

    fn pace(&self) -> Gate {
        if self.credit > 0 { Gate::Open } else { Gate::At(self.credit_at) }
    }

    /// Sends a lost segment again.
    pub(super) fn send_lost(
        &mut self,
        now: Instant,
        out: &mut [u8],
        pool: &mut Pool,
        counters: &mut Counters,
    ) -> Option<(Seq, usize)> {
        let sent = self.queue.send_lost(now, out, pool)?;
        self.repair = false;
        counters.retransmits = counters.retransmits.saturating_add(1);
        self.spend(now);
        Some(sent)
    }

    /// Sends the first unsent segment.
    pub(super) fn send_new(
        &mut self,
        now: Instant,
        out: &mut [u8],
        pool: &mut Pool,
        counters: &mut Counters,
    ) -> Option<(Seq, usize)> {
        if self.queue.outstanding == 0 {
            if self.last_sent.is_some_and(|last| now.since(last) > self.rtt.rto()) {
                self.congestion.on_idle();
            }
            self.last_progress = now;
        }
        let full = u32::try_from(self.full(pool)).unwrap_or(u32::MAX);
        let (seq, len) = self.queue.send_new(now, full, out, pool)?;
        self.last_sent = Some(now);
        self.spend(now);
        if !matches!(self.timer, Timer::Retransmit { .. }) {
            self.timer = Timer::Retransmit { at: now + self.rtt.rto() };
        }
        counters.segs_sent = counters.segs_sent.saturating_add(1);
        counters.bytes_sent = counters.bytes_sent.saturating_add(len.try_into().unwrap_or(u64::MAX));
        Some((seq, len))
    }

    fn spend(&mut self, now: Instant) {
        if self.credit == 0 {
            self.credit = BURST;
        }
        self.credit -= 1;
        if self.credit == 0 {
            // Twice the rate the window stands for: pacing must not be what limits the rate.
            let bursts = self.congestion.window() / (u32::from(self.mss) * u32::from(BURST)).max(1);
            let pace = self.rtt.srtt() / (2 * bursts.max(1));
            self.credit_at = now + pace.clamp(MIN_PACE, MAX_PACE);
        }
    }

    /// Leaves nothing to be sent before the next burst.
    #[cfg(test)]
    pub(super) fn spend_all_credit(&mut self, now: Instant) {
        self.credit = 1;
        self.spend(now);
    }

    fn earn(&mut self, segments: u32) {
        let earned = u16::try_from(segments.saturating_mul(2)).unwrap_or(CLOCKED_BURST);
        self.credit = self.credit.saturating_add(earned).min(CLOCKED_BURST);
    }

    /// Takes what a packet says about our data.
    pub(super) fn on_ack(&mut self, now: Instant, ack: &Ack, pool: &mut Pool, counters: &mut Counters) {
        let Ack { number: ack, window, sack, bare } = *ack;
        let srtt = self.rtt.srtt();
        let outstanding = self.queue.nxt.distance(self.queue.una);
        let limited = self.queue.flight.saturating_add(self.mss.into()) >= self.congestion.window() / 2;
        let advanced = ack != self.queue.una;
        let mut delivered = Delivered::default();
        if advanced {
            delivered = self.queue.ack(now, ack, srtt, pool);
            self.rtt.progress();
            self.last_progress = now;
            self.duplicates = 0;
        }
        let window_changed = window != self.peer_window;
        // An April keepalive carries window 0 and acknowledges nothing new while nothing is under way.
        if advanced || window > 0 || outstanding > 0 {
            self.peer_window = window;
        }
        let mut reported = 0;
        if let Some(sack) = sack {
            counters.sack_recv =
                counters.sack_recv.saturating_add(u32::try_from(sack.blocks().len()).unwrap_or(0));
            let seen = self.queue.sack(now, sack, srtt, pool);
            reported = seen.segments;
            // After a timeout a report may repeat what an earlier one, now lost, already said.
            let seen_rtt = seen.rtt.filter(|_| !matches!(self.recovery, Recovery::Timeout { .. }));
            delivered.rtt = delivered.rtt.or(seen_rtt);
        }
        if let Some(rtt) = delivered.rtt {
            self.rtt.sample(rtt);
        }
        self.earn(delivered.segments + reported);
        if advanced {
            self.advance_recovery(now, ack, delivered.bytes, limited, pool);
        } else if outstanding > 0 && (bare && !window_changed || sack.is_some()) {
            counters.dup_acks = counters.dup_acks.saturating_add(1);
            if bare && self.queue.sacked == 0 {
                self.duplicates = self.duplicates.saturating_add(1);
            }
        }
        let mut lost = 0;
        if u32::from(self.duplicates) == DUP_THRESHOLD && !self.in_recovery() {
            lost += u32::from(self.queue.lose_head(pool));
        }
        lost += self.look_for_losses(now, pool);
        if lost > 0 {
            self.enter_recovery(now, outstanding, counters);
        }
        if advanced {
            self.timer = Timer::Idle;
        }
        self.arm(now);
    }

    fn advance_recovery(&mut self, now: Instant, ack: Seq, bytes: u32, limited: bool, pool: &mut Pool) {
        match self.recovery {
            Recovery::Fast { until } | Recovery::Timeout { until } if !ack.is_before(until) => {
                self.recovery = Recovery::None;
            }
            // NewReno (RFC 6582): without reports, a partial ACK names the next loss.
            Recovery::Fast { .. } if self.queue.sacked == 0 => {
                self.repair = self.queue.lose_head(pool);
            }
            _ => {}
        }
        let growing = !matches!(self.recovery, Recovery::Fast { .. });
        if growing && limited {
            self.congestion.on_ack(now, bytes, self.rtt.srtt());
        }
    }

    fn look_for_losses(&mut self, now: Instant, pool: &mut Pool) -> u32 {
        self.reorder_at = None;
        if self.queue.sacked == 0 {
            return 0;
        }
        let losses = self.queue.find_losses(now, self.rtt.srtt(), pool);
        self.reorder_at = losses.look_again;
        losses.found
    }

    /// Begins fast recovery; `outstanding` bytes were unacknowledged when the loss was seen.
    fn enter_recovery(&mut self, now: Instant, outstanding: u32, counters: &mut Counters) {
        if self.in_recovery() {
            return;
        }
        self.congestion.on_loss(now, outstanding);
        self.recovery = Recovery::Fast { until: self.queue.nxt };
        (self.repair, self.timer) = (true, Timer::Idle);
        counters.fast_retx = counters.fast_retx.saturating_add(1);
    }

    /// Starts the timer that the situation calls for, if it does not run.
    pub(super) fn arm(&mut self, now: Instant) {
        let blocked = self.queue.outstanding == 0 && self.queue.unsent > 0 && self.peer_window == 0;
        match self.timer {
            Timer::Retransmit { .. } if self.queue.outstanding > 0 => {}
            Timer::Persist { .. } if blocked => {}
            _ if self.queue.outstanding > 0 => self.timer = Timer::Retransmit { at: now + self.rtt.rto() },
            _ if blocked => {
                self.timer = Timer::Persist { at: now + PERSIST_WAIT, wait: Millis::new(PERSIST_WAIT) }
            }
            _ => self.timer = Timer::Idle,
        }
        if self.queue.outstanding == 0 {
            self.reorder_at = None;
        }
    }

    /// The next moment [`on_timeout`](Self::on_timeout) has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timer = match self.timer {
            Timer::Idle => None,
            Timer::Retransmit { at } | Timer::Persist { at, .. } => Some(at),
        };
        crate::time::earliest(timer, self.reorder_at)
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
            if self.look_for_losses(now, pool) > 0 {
                self.enter_recovery(now, outstanding, counters);
                self.arm(now);
            }
        }
        match self.timer {
            Timer::Retransmit { at } if at <= now => {
                if now.since(self.last_progress) >= patience {
                    return Err(GiveUp);
                }
                // A second expiry without progress says nothing new about the path (RFC 5681, 3.1).
                if !self.rtt.is_backed_off() {
                    self.congestion.on_timeout(now, self.queue.nxt.distance(self.queue.una));
                }
                self.queue.expire(pool);
                self.recovery = Recovery::Timeout { until: self.queue.nxt };
                (self.duplicates, self.reorder_at) = (0, None);
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

    /// When the peer last acknowledged something new, or the data now outstanding began to wait.
    pub(super) fn waiting_since(&self) -> Instant {
        self.last_progress
    }

    /// Drops everything queued.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        self.queue.clear(pool);
        (self.timer, self.reorder_at, self.probe_due) = (Timer::Idle, None, false);
        (self.recovery, self.repair) = (Recovery::None, false);
    }
}

//! Sending: when the next data segment may go out. What acknowledgments, reports and silence mean is in
//! [`recovery`](super::recovery).

use super::Seq;
use super::config::{
    BURST, CLOCKED_BURST, Limits, MAX_LATE, MAX_MSS, MAX_PACE, MIN_PACE, Millis, NAGLE_WAIT, PACED_FROM,
    RELEASE_FLIGHT, RELEASE_WINDOW,
};
use super::congestion::{Congestion, Controller};
use super::delay::Delay;
use super::prr::Prr;
use super::random_loss::Allowance;
use super::recovery::{Recovery, Tail};
use super::rtt::RttEstimator;
use super::send_queue::SendQueue;
use super::stats::Counters;
use crate::pool::Pool;
use crate::time::{Duration, Instant};

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
pub(super) enum Timer {
    Idle,
    /// Data is outstanding, and nothing shows that any of it is lost: its end may be (RFC 8985, 7).
    Tail {
        at: Instant,
    },
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

#[derive(Clone, Debug)]
pub(super) struct Sender {
    pub(super) queue: SendQueue,
    pub(super) rtt: RttEstimator,
    pub(super) congestion: Controller,
    /// Segments the peer has room for beyond `una`. Every release counts segments, whatever their size.
    pub(super) peer_window: u16,
    /// It once had room for more than any release has.
    roomy: bool,
    /// It once reported what it keeps beyond a gap, or is sure to.
    pub(super) reports: bool,
    pub(super) bear_random_loss: bool,
    /// Payload of a full segment.
    pub(super) mss: u16,
    /// What it is without any proof of the path.
    base: u16,
    /// A segment larger than that was unanswered until the timer expired.
    pub(super) size_in_doubt: bool,
    max_flight: u16,
    pub(super) delay: Delay,
    pub(super) recovery: Recovery,
    pub(super) prr: Prr,
    pub(super) allowance: Allowance,
    pub(super) tail: Tail,
    pub(super) duplicates: u8,
    /// One lost segment may go at once: the first of a recovery, or the one that a partial acknowledgment named.
    pub(super) repair: bool,
    /// Retransmissions of this recovery, and those of them that were needless.
    pub(super) resent: u16,
    pub(super) needless: u16,
    /// Recoveries since the last needless retransmission.
    pub(super) orderly: u8,
    pub(super) timer: Timer,
    /// When a segment overtaken by others counts as lost.
    pub(super) reorder_at: Option<Instant>,
    /// Segments that may be sent before an ACK or `credit_at`.
    pub(super) credit: u16,
    credit_at: Instant,
    /// When data was last sent for the first time; `None` before.
    last_sent: Option<Instant>,
    /// When the peer last acknowledged something new, or the data now outstanding began to wait.
    pub(super) last_progress: Instant,
    /// A probe of the closed window is due.
    pub(super) probe_due: bool,
}

impl Sender {
    /// A sender whose first data byte is `first`.
    pub(super) fn new(now: Instant, first: Seq, limits: &Limits) -> Self {
        Sender {
            queue: SendQueue::new(first),
            rtt: RttEstimator::default(),
            congestion: Controller::new(limits.congestion, limits.mss.into()),
            peer_window: 0,
            roomy: false,
            reports: false,
            bear_random_loss: limits.bear_random_loss,
            mss: limits.mss,
            base: limits.mss,
            size_in_doubt: false,
            max_flight: if crate::planted!(UnfairTurns) && first.get() % 2 == 1 {
                2
            } else {
                limits.max_flight
            },
            delay: Delay::default(),
            recovery: Recovery::None,
            prr: Prr::default(),
            allowance: Allowance::default(),
            tail: Tail::None,
            duplicates: 0,
            repair: false,
            resent: 0,
            needless: 0,
            orderly: 0,
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

    /// The path has proved to carry segments of `size` bytes; what needs no proof it carries anyway.
    pub(super) fn set_segment(&mut self, size: u16) {
        self.mss = size.min(MAX_MSS).max(self.base);
    }

    /// Notes that the timer expired.
    pub(super) fn doubt_size(&mut self, pool: &Pool) {
        self.size_in_doubt |= self.queue.head_exceeds(self.base, pool);
    }

    /// Takes a window the peer advertised, in segments.
    pub(super) fn set_window(&mut self, window: u16) {
        self.peer_window = window;
        self.roomy |= window > RELEASE_WINDOW;
        self.reports |= self.roomy;
    }

    /// Whether the peer has shown that it keeps all of its window beyond a gap, has a large socket buffer and takes
    /// long reports.
    pub(super) fn peer_is_roomy(&self) -> bool {
        self.roomy
    }

    pub(super) fn in_recovery(&self) -> bool {
        self.recovery != Recovery::None
    }

    /// Whether something that was sent may be sent again.
    pub(super) fn lost_gate(&self) -> Gate {
        if self.tail == Tail::Due && !self.window_has_new() {
            Gate::Open
        } else if self.queue.lost == 0 || self.recovery.is_probing() {
            Gate::Shut
        } else if self.repair {
            Gate::Open
        } else if self.congestion_allows(self.mss.into()) {
            self.pace()
        } else {
            Gate::Shut
        }
    }

    /// Whether there is an unsent segment that the peer has room for.
    pub(super) fn window_has_new(&self) -> bool {
        let flight = if self.roomy { self.max_flight } else { self.max_flight.min(RELEASE_FLIGHT) };
        let window = if crate::planted!(WindowIgnored) { flight } else { self.peer_window.min(flight) };
        self.queue.unsent > 0 && self.queue.outstanding < u32::from(window)
    }

    /// Whether the first unsent segment may go; `flush` if no more will be written.
    pub(super) fn new_gate(&self, flush: bool) -> Gate {
        let queue = &self.queue;
        if !self.window_has_new() {
            return Gate::Shut;
        }
        if self.tail == Tail::Due {
            return Gate::Open;
        }
        if queue.lost > 0 && !self.recovery.is_probing() || !self.congestion_allows(queue.unsent_len) {
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
        if flight == 0 {
            return true;
        }
        match self.recovery {
            Recovery::Fast { cut: true, .. } => self.prr.allows(len),
            _ => flight.saturating_add(len) <= self.congestion.window(),
        }
    }

    fn pace(&self) -> Gate {
        if self.credit > 0 { Gate::Open } else { Gate::At(self.credit_at) }
    }

    /// Sends a lost segment again, or the last one as a probe.
    pub(super) fn send_lost(
        &mut self,
        now: Instant,
        out: &mut [u8],
        pool: &mut Pool,
        counters: &mut Counters,
    ) -> Option<(Seq, usize)> {
        let full = u32::try_from(self.full(pool)).unwrap_or(u32::MAX);
        let sent = if self.tail == Tail::Due {
            let sent = self.queue.send_last(now, full, out, pool);
            self.tail = if sent.is_some() { Tail::Repeated { end: self.queue.nxt } } else { Tail::None };
            sent?
        } else {
            let sent = self.queue.send_lost(now, full, out, pool)?;
            self.resent = self.resent.saturating_add(1);
            if sent.0 == self.queue.una {
                // It is the answer to this one that is waited for now.
                self.timer = Timer::Retransmit { at: now + self.rtt.rto() };
            }
            sent
        };
        self.repair = false;
        counters.retransmits = counters.retransmits.saturating_add(1);
        self.spend(now, sent.1);
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
        if self.tail == Tail::Due {
            self.tail = Tail::Extended { end: self.queue.nxt };
        }
        self.last_sent = Some(now);
        self.spend(now, len);
        if !matches!(self.timer, Timer::Retransmit { .. }) {
            self.timer = self.data_timer(now);
        }
        counters.segs_sent = counters.segs_sent.saturating_add(1);
        counters.bytes_sent = counters.bytes_sent.saturating_add(len.try_into().unwrap_or(u64::MAX));
        Some((seq, len))
    }

    fn spend(&mut self, now: Instant, len: usize) {
        self.prr.on_sent(u32::try_from(len).unwrap_or(u32::MAX));
        let paced = self.is_paced();
        if self.credit == 0 {
            self.credit = BURST;
            if paced {
                // Counted from when it was due: what a late timer held up is made up for.
                let due = self.credit_at.max(now.saturating_sub(MAX_LATE)).min(now);
                self.credit_at = due + self.pace_of_burst();
            }
        }
        self.credit -= 1;
        if self.credit == 0 && !paced {
            self.credit_at = now + self.pace_of_burst();
        }
    }

    /// Whether time alone lets bursts go. Else ACKs do as well: on a short path, because timers are too coarse for it.
    /// And towards a release the time between bursts is for its socket, not for the path.
    fn is_paced(&self) -> bool {
        self.roomy && self.rtt.srtt() >= PACED_FROM
    }

    /// Time between two bursts: more than the window a round trip, for pacing must not be what limits the rate.
    fn pace_of_burst(&self) -> Duration {
        let window = self.congestion.window();
        let growing_fast = window < self.congestion.ssthresh();
        let (gain, per) = if growing_fast || !self.is_paced() { (2, 1) } else { (5, 4) };
        let srtt = u64::try_from(self.rtt.srtt().as_micros()).unwrap_or(u64::MAX);
        let burst = u64::from(BURST) * u64::from(self.mss) * per;
        let pace = srtt.saturating_mul(burst) / (u64::from(window) * gain).max(1);
        let least = if self.is_paced() { Duration::ZERO } else { MIN_PACE };
        Duration::from_micros(pace).clamp(least, MAX_PACE)
    }

    /// Leaves nothing to be sent before the next burst.
    #[cfg(test)]
    pub(super) fn spend_all_credit(&mut self, now: Instant) {
        self.credit = 1;
        self.spend(now, 0);
    }

    pub(super) fn earn(&mut self, segments: u32) {
        if self.is_paced() {
            return;
        }
        let earned = u16::try_from(segments.saturating_mul(2)).unwrap_or(CLOCKED_BURST);
        self.credit = self.credit.saturating_add(earned).min(CLOCKED_BURST);
    }

    /// When the peer last acknowledged something new, or the data now outstanding began to wait.
    pub(super) fn waiting_since(&self) -> Instant {
        self.last_progress
    }

    /// Drops everything queued.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        self.queue.clear(pool);
        (self.timer, self.reorder_at, self.probe_due) = (Timer::Idle, None, false);
        (self.recovery, self.repair, self.tail) = (Recovery::None, false, Tail::None);
    }
}

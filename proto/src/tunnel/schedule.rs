//! When a key exchange frame goes to the peer: attempts of our own with back-off, and answers with a limit.

use crate::time::{Duration, Instant, earliest};

/// Time from one attempt to the next; after the last one the attempt is given up. The releases accept five exchange
/// frames a second from one address, for all their peers together.
pub const BACK_OFF: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(8),
];
/// After giving up, wanting a key starts no new attempts for so long.
pub const REST: Duration = Duration::from_secs(5);
/// Least time between two answers, and between a frame of ours and an attempt that only suspicion asks for.
pub const ANSWER_GAP: Duration = Duration::from_secs(1);
/// Answers to a peer that has opened nothing for us meanwhile; then one more each [`CREDIT_EVERY`]. So two
/// implementations that answer each other's answers fall silent.
pub const ANSWER_CREDIT: u8 = 8;
/// See [`ANSWER_CREDIT`].
pub const CREDIT_EVERY: Duration = Duration::from_secs(10);
/// An answer that takes longer than this answers something else.
const ROUND_TRIP_MOST: Duration = Duration::from_secs(10);

#[derive(Clone, Copy)]
enum Attempts {
    Idle,
    /// `sent` so far; the next (or giving up) at `next`.
    Running {
        sent: usize,
        next: Instant,
    },
    GaveUp {
        at: Instant,
    },
}

/// What is due.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A frame with a fresh key.
    Attempt,
    /// A frame with a key that may have been sent before.
    Answer,
}

/// The schedule of our exchange frames to one peer.
pub(super) struct Schedule {
    attempts: Attempts,
    answer: Option<Instant>,
    last_sent: Option<Instant>,
    /// The first frame since the peer last showed that it had one, if that was within [`ROUND_TRIP_MOST`].
    asked: Option<Instant>,
    last_answer: Option<Instant>,
    credit: u8,
    credit_since: Instant,
}

impl Schedule {
    pub(super) const fn new() -> Self {
        Schedule {
            attempts: Attempts::Idle,
            answer: None,
            last_sent: None,
            asked: None,
            last_answer: None,
            credit: ANSWER_CREDIT,
            credit_since: Instant::ORIGIN,
        }
    }

    /// A key is needed: start attempts unless they are running or were given up a moment ago.
    pub(super) fn want(&mut self, now: Instant) {
        match self.attempts {
            Attempts::Running { .. } => {}
            Attempts::GaveUp { at } if now.since(at) < REST => {}
            _ => self.attempts = Attempts::Running { sent: 0, next: now },
        }
    }

    /// The key in use is suspect: start attempts, but not right after another frame of ours.
    pub(super) fn suspect(&mut self, now: Instant) {
        if !self.is_running() {
            let next = self.last_sent.map_or(now, |sent| now.max(sent + ANSWER_GAP));
            self.attempts = Attempts::Running { sent: 0, next };
        }
    }

    /// The peer needs a frame from us.
    pub(super) fn answer(&mut self, now: Instant) {
        let earned = now.since(self.credit_since).as_secs() / CREDIT_EVERY.as_secs();
        if earned > 0 {
            self.credit =
                ANSWER_CREDIT.min(self.credit.saturating_add(u8::try_from(earned).unwrap_or(u8::MAX)));
            self.credit_since = now;
        }
        if self.answer.is_none() && self.credit > 0 {
            self.credit -= 1;
            self.answer = Some(self.last_answer.map_or(now, |last| now.max(last + ANSWER_GAP)));
        }
    }

    /// The peer has answered, or has proved that it has a key.
    pub(super) fn done(&mut self) {
        self.attempts = Attempts::Idle;
    }

    /// The peer has proved that it has a key: its repetitions are welcome again.
    pub(super) fn restore_credit(&mut self) {
        self.credit = ANSWER_CREDIT;
    }

    pub(super) fn due(&self, now: Instant) -> Option<Due> {
        match self.attempts {
            Attempts::Running { sent, next } if next <= now && sent < BACK_OFF.len() => Some(Due::Attempt),
            _ => self.answer.filter(|at| *at <= now).map(|_| Due::Answer),
        }
    }

    /// What was due is being sent. An attempt is an answer as well.
    pub(super) fn sent(&mut self, now: Instant, what: Due) {
        if let (Due::Attempt, Attempts::Running { sent, next }) = (what, &mut self.attempts) {
            *next = now + BACK_OFF.get(*sent).copied().unwrap_or(REST);
            *sent += 1;
        }
        if self.answer.take().is_some() {
            self.last_answer = Some(now);
        }
        self.last_sent = Some(now);
        self.asked = self.asked.filter(|at| now.since(*at) < ROUND_TRIP_MOST).or(Some(now));
    }

    /// The peer has shown that a frame of ours arrived: how long that took at most. Which of several it was nobody
    /// knows, so the first counts: a path taken for slower than it is loses nothing, one taken for faster is suspected.
    pub(super) fn round_trip(&mut self, now: Instant) -> Option<Duration> {
        self.asked.take().map(|at| now.since(at)).filter(|took| *took < ROUND_TRIP_MOST)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Attempts::Running { sent, next } = self.attempts
            && sent >= BACK_OFF.len()
            && next <= now
        {
            self.attempts = Attempts::GaveUp { at: now };
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let next = match self.attempts {
            Attempts::Running { next, .. } => Some(next),
            _ => None,
        };
        earliest(next, self.answer)
    }

    /// Whether attempts are running.
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.attempts, Attempts::Running { .. })
    }

    pub(super) const fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }
}

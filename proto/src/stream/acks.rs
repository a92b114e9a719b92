//! When an acknowledgment is owed. One is only ever sent for a reason, so that two idle peers fall silent.

use super::config::{ACK_EVERY, DELAYED_ACK, DUP_THRESHOLD, HELD_ACK, LOSS_REPEATS, MAX_UPDATES, QUICK_ACKS};
use crate::time::Instant;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owed {
    #[default]
    Nothing,
    By(Instant),
    Now,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    owed: Owed,
    /// Data segments not yet acknowledged.
    segments: u8,
    /// Segments still to be acknowledged one by one.
    quick: u8,
    /// Segments received beyond the present gap.
    beyond: u8,
    /// Bare duplicates still to be sent.
    repeats: u8,
    /// Window updates sent since the acknowledgment last advanced.
    updates: u8,
}

impl Acks {
    pub(super) fn new() -> Self {
        Acks { quick: QUICK_ACKS, ..Acks::default() }
    }

    /// Something needs an answer at once.
    pub(super) fn owe(&mut self) {
        self.owed = Owed::Now;
    }

    /// A segment moved the next byte expected. `tight` if the window has no room to speak of: then the ACK is held
    /// back, because it is the only thing that lets an April sender go on.
    pub(super) fn in_order(&mut self, now: Instant, tight: bool) {
        (self.beyond, self.repeats, self.updates) = (0, 0, 0);
        self.segments = self.segments.saturating_add(1);
        if tight {
            self.by(now + HELD_ACK);
        } else if self.quick > 0 {
            self.quick -= 1;
            self.owe();
        } else if self.segments >= ACK_EVERY {
            self.owe();
        } else {
            self.by(now + DELAYED_ACK);
        }
    }

    fn by(&mut self, at: Instant) {
        if self.owed == Owed::Nothing {
            self.owed = Owed::By(at);
        }
    }

    /// A segment was kept beyond a gap: report it. The third such report is followed by bare duplicates, once per
    /// gap, because an April sender does not count reports as duplicates and would wait for its timer.
    pub(super) fn beyond_gap(&mut self) {
        self.owe();
        self.beyond = self.beyond.saturating_add(1);
        if u32::from(self.beyond) == DUP_THRESHOLD {
            self.repeats = LOSS_REPEATS;
        }
    }

    /// The window opened: say so, unless it would be the third ACK that says nothing else.
    pub(super) fn window_opened(&mut self) {
        if matches!(self.owed, Owed::By(_)) {
            self.owe();
        } else if self.owed == Owed::Nothing && self.updates < MAX_UPDATES {
            self.updates += 1;
            self.owe();
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        match self.owed {
            Owed::Now => true,
            Owed::By(at) => at <= now,
            Owed::Nothing => false,
        }
    }

    pub(super) fn repeats_due(&self) -> bool {
        self.repeats > 0
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.owed {
            Owed::By(at) => Some(at),
            Owed::Now | Owed::Nothing => None,
        }
    }

    /// A delayed ACK that comes due shows a peer that waits for answers: acknowledge the next ones at once.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.owed = Owed::Now;
            self.quick = QUICK_ACKS;
        }
    }

    /// An acknowledgment went out, alone or with data.
    pub(super) fn sent(&mut self) {
        (self.owed, self.segments) = (Owed::Nothing, 0);
    }

    pub(super) fn repeat_sent(&mut self) {
        self.repeats = self.repeats.saturating_sub(1);
    }

    /// Nothing is owed to anybody any more.
    pub(super) fn clear(&mut self) {
        *self = Acks::default();
    }
}

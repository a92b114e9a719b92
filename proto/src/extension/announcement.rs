//! Saying what we can do, once in each session, until the peer says that it has heard it.

use crate::time::{Duration, Instant};
use crate::tunnel::SessionId;

/// Wait before the first repetition of a statement; doubles.
pub const REPEAT_AFTER: Duration = Duration::from_millis(500);
/// Repetitions, after which the session goes on without extensions.
pub const REPEATS: u8 = 4;

/// The statement of the session in use.
#[derive(Clone, Debug)]
pub(super) struct Announcement {
    /// The session it is for.
    session: Option<SessionId>,
    sent: u8,
    /// When it is due (again); `None`: heard, given up, or nothing to say.
    next: Option<Instant>,
}

impl Announcement {
    pub(super) const fn new() -> Self {
        Announcement { session: None, sent: 0, next: None }
    }

    /// Begins in a new session; in one that is known nothing happens.
    pub(super) fn begin(&mut self, now: Instant, session: SessionId) {
        if self.session != Some(session) {
            *self = Announcement { session: Some(session), sent: 0, next: Some(now) };
        }
    }

    pub(super) fn heard(&mut self, session: SessionId) {
        if self.session == Some(session) {
            self.next = None;
        }
    }

    /// Whether it is to be sent now, in the session that seals.
    pub(super) fn poll(&mut self, now: Instant, sealing: Option<SessionId>) -> bool {
        if self.next.is_none_or(|next| next > now) {
            return false;
        }
        self.next = None;
        if self.session != sealing {
            return false;
        }
        if self.sent < REPEATS {
            self.next = Some(now + REPEAT_AFTER.saturating_mul(1 << self.sent));
        }
        self.sent += 1;
        true
    }

    pub(super) const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Proves EXT-5: when a statement is repeated, and for how long.
    #[test]
    fn it_is_repeated_with_back_off_and_then_given_up() {
        let (mut announcement, session) = (Announcement::new(), SessionId::new(3));
        let mut now = Instant::from_millis(1000);
        announcement.begin(now, session);
        let mut sent = std::vec::Vec::new();
        while let Some(next) = announcement.poll_timeout() {
            now = now.max(next);
            assert!(announcement.poll(now, Some(session)));
            sent.push(now.as_micros() / 1000 - 1000);
            announcement.begin(now, session);
        }
        assert_eq!(sent, [0, 500, 1500, 3500, 7500]);
        announcement.begin(now, SessionId::new(4));
        assert_eq!(announcement.poll_timeout(), Some(now), "a new session, a new statement");
        announcement.heard(session);
        assert_eq!(
            announcement.poll_timeout(),
            Some(now),
            "what was heard before counts for its own session"
        );
        announcement.heard(SessionId::new(4));
        assert_eq!(announcement.poll_timeout(), None);
    }

    #[test]
    fn it_dies_with_its_session() {
        let (mut announcement, now) = (Announcement::new(), Instant::from_millis(1));
        announcement.begin(now, SessionId::new(1));
        assert!(!announcement.poll(now, Some(SessionId::new(2))));
        assert_eq!(announcement.poll_timeout(), None);
    }
}

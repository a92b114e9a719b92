//! The two clocks of the operating system as the [`Now`] a role is handed.

use std::time::{SystemTime, UNIX_EPOCH};

use pilot_proto::Instant;
use pilot_roles::Now;

/// Monotonic time since this clock was made, and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose monotonic part starts at [`Instant::ORIGIN`] now.
    pub fn start() -> Self {
        Clock { origin: std::time::Instant::now() }
    }

    /// Both clocks, read now. A wall clock before 1970 reads as 1970.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { instant: self.instant(), unix_micros: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX) }
    }

    /// The monotonic part only.
    pub fn instant(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }
}

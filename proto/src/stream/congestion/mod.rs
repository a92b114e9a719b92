//! How much may be under way: the congestion window, behind a trait so that an algorithm can be exchanged.

mod cubic;
mod reno;

pub use cubic::Cubic;
pub use reno::Reno;

use crate::time::{Duration, Instant};

/// Segments that may be under way at the start (RFC 6928, and the reference).
pub const INITIAL_SEGMENTS: u32 = 10;
/// Largest window, in bytes: 1 Gbit/s over 32 ms. Releases end at 1 MiB, but no more than 128 segments are ever under
/// way to one of them.
pub const MAX_WINDOW: u32 = 4 << 20;
/// Slow start threshold before the first loss, in bytes: none (RFC 5681, 3.1).
pub const INITIAL_SSTHRESH: u32 = MAX_WINDOW;

/// A congestion control algorithm. All sizes are bytes.
///
/// The stream tells it what happened; whether segments are lost, and which, is not its business.
pub trait Congestion {
    /// Most bytes that may be under way.
    fn window(&self) -> u32;
    /// The slow start threshold, for statistics.
    fn ssthresh(&self) -> u32;
    /// `acked` bytes were newly delivered while the window was the limit, and the window was not just cut.
    fn on_ack(&mut self, now: Instant, acked: u32, srtt: Duration);
    /// Packets have begun to wait in a queue on the path: the window fills it, and slow start has found what it looked
    /// for (RFC 9406).
    fn on_queue(&mut self);
    /// A loss was detected with `flight` bytes under way; called once per window of data.
    fn on_loss(&mut self, now: Instant, flight: u32);
    /// The retransmission timer expired with `flight` bytes outstanding.
    fn on_timeout(&mut self, now: Instant, flight: u32);
    /// Nothing was lost after all: takes the last [`on_loss`](Self::on_loss) or [`on_timeout`](Self::on_timeout) back
    /// (RFC 4015). Called at most once for each, before anything else is lost.
    fn undo(&mut self);
    /// Nothing was sent for longer than a retransmission timeout: the window may no longer be true (RFC 5681, 4.1).
    fn on_idle(&mut self);
}

/// Which algorithm a stream uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// [`Reno`].
    NewReno,
    /// [`Cubic`].
    #[default]
    Cubic,
}

/// The algorithm of one stream.
#[derive(Clone, Debug)]
pub(super) enum Controller {
    NewReno(Reno),
    Cubic(Cubic),
}

impl Controller {
    pub(super) fn new(algorithm: Algorithm, mss: u32) -> Self {
        match algorithm {
            Algorithm::NewReno => Controller::NewReno(Reno::new(mss)),
            Algorithm::Cubic => Controller::Cubic(Cubic::new(mss)),
        }
    }

    fn get(&self) -> &dyn Congestion {
        match self {
            Controller::NewReno(reno) => reno,
            Controller::Cubic(cubic) => cubic,
        }
    }

    fn get_mut(&mut self) -> &mut dyn Congestion {
        match self {
            Controller::NewReno(reno) => reno,
            Controller::Cubic(cubic) => cubic,
        }
    }
}

impl Congestion for Controller {
    fn window(&self) -> u32 {
        self.get().window()
    }

    fn ssthresh(&self) -> u32 {
        self.get().ssthresh()
    }

    fn on_ack(&mut self, now: Instant, acked: u32, srtt: Duration) {
        self.get_mut().on_ack(now, acked, srtt);
    }

    fn on_queue(&mut self) {
        self.get_mut().on_queue();
    }

    fn on_loss(&mut self, now: Instant, flight: u32) {
        self.get_mut().on_loss(now, flight);
    }

    fn on_timeout(&mut self, now: Instant, flight: u32) {
        self.get_mut().on_timeout(now, flight);
    }

    fn undo(&mut self) {
        self.get_mut().undo();
    }

    fn on_idle(&mut self) {
        self.get_mut().on_idle();
    }
}

fn initial_window(mss: u32) -> u32 {
    INITIAL_SEGMENTS.saturating_mul(mss).min(MAX_WINDOW)
}

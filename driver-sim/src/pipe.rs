//! Byte streams as TCP and local sockets give them: in order, cut anywhere, with back-pressure, a close that waits for
//! what is queued, and resets. Each direction is a half with a queue at the sender, a window in flight, and an inbox.

use std::collections::VecDeque;

use pilot_proto::{Instant, time::Duration};
use pilot_roles::role::Closed;

/// Bytes the two operating systems hold for one direction.
const WINDOW: usize = 256 * 1024;
/// Bytes that are cut into one segment at most.
const SEGMENT: usize = 64 * 1024;

/// What travels in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// The other side has accepted.
    Opened,
    Data(Vec<u8>),
    /// The end, after everything.
    Fin,
    /// The end, at once.
    Reset,
}

/// What a half tells the two ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Opened,
    Bytes(Vec<u8>),
    Closed(Closed),
}

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Given by the sender, not yet taken by its operating system.
    queue: VecDeque<Vec<u8>>,
    queued: usize,
    /// Taken by the sender's operating system, not yet read by the receiver; the first of them have arrived.
    way: VecDeque<Segment>,
    arrived: usize,
    /// Bytes taken from the sender and not yet read by the receiver.
    held: usize,
    last_arrival: Instant,
    /// The sender closes when the queue is empty.
    closing: bool,
    finished: bool,
    /// The receiver does not read for now.
    pub(crate) paused: bool,
    /// The receiver has heard the end, or wants to hear no more.
    pub(crate) deaf: bool,
    /// Segments that could not arrive because the way was cut.
    pub(crate) stalled: u32,
}

impl Half {
    /// Bytes that wait at the sender.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn send(&mut self, data: Vec<u8>) {
        if !data.is_empty() && !self.closing && !self.finished {
            self.queued += data.len();
            self.queue.push_back(data);
        }
    }

    pub(crate) fn close(&mut self) {
        self.closing = true;
    }

    /// Whether [`Half::pump`] may have something.
    pub(crate) fn has_more(&self) -> bool {
        !self.queue.is_empty() || self.closing && !self.finished
    }

    /// Lets the operating system take a segment, if there is one that fits; its bytes, none for the end.
    pub(crate) fn pump(&mut self) -> Option<usize> {
        if self.held < WINDOW
            && let Some(mut chunk) = self.queue.pop_front()
        {
            let room = SEGMENT.min(WINDOW - self.held);
            if chunk.len() > room {
                let rest = chunk.split_off(room);
                self.queue.push_front(rest);
            }
            let bytes = chunk.len();
            self.queued -= bytes;
            self.held += bytes;
            self.way.push_back(Segment::Data(chunk));
            return Some(bytes);
        }
        if self.closing && self.queue.is_empty() && !self.finished {
            self.finished = true;
            self.way.push_back(Segment::Fin);
            return Some(0);
        }
        None
    }

    /// Puts a segment that is no data on its way.
    pub(crate) fn signal(&mut self, segment: Segment) {
        if segment == Segment::Reset {
            self.queue.clear();
            self.queued = 0;
            self.finished = true;
        }
        self.way.push_back(segment);
    }

    /// When a segment sent at `now` arrives: not before the ones ahead of it.
    pub(crate) fn arrival(&mut self, now: Instant, delay: Duration) -> Instant {
        self.last_arrival = self.last_arrival.max(now + delay);
        self.last_arrival
    }

    /// The first segment in flight has arrived.
    pub(crate) fn arrive(&mut self) {
        self.arrived = self.way.len().min(self.arrived + 1);
    }

    #[cfg(test)]
    fn is_flying(&self) -> bool {
        self.arrived < self.way.len()
    }

    /// The next thing the receiver hears, now. What a deaf one would hear is dropped.
    pub(crate) fn hear(&mut self) -> Option<Heard> {
        loop {
            let left = self.arrived.checked_sub(1)?;
            let data = matches!(self.way.front(), Some(Segment::Data(_) | Segment::Fin));
            if data && self.paused && !self.deaf {
                return None;
            }
            let segment = self.way.pop_front()?;
            self.arrived = left;
            if let Segment::Data(bytes) = &segment {
                self.held -= bytes.len();
            }
            if self.deaf {
                continue;
            }
            return Some(match segment {
                Segment::Opened => Heard::Opened,
                Segment::Data(bytes) => Heard::Bytes(bytes),
                Segment::Fin => {
                    self.deaf = true;
                    Heard::Closed(Closed::Eof)
                }
                Segment::Reset => {
                    self.deaf = true;
                    Heard::Closed(Closed::Failed("connection reset by peer".into()))
                }
            });
        }
    }

    /// The sender has said its last word.
    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Nothing will ever come of this half again.
    pub(crate) fn is_over(&self) -> bool {
        self.finished && self.way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pump(half: &mut Half) -> Vec<usize> {
        std::iter::from_fn(|| half.pump()).collect()
    }

    fn deliver(half: &mut Half) -> Vec<Heard> {
        while half.is_flying() {
            half.arrive();
        }
        std::iter::from_fn(|| half.hear()).collect()
    }

    #[test]
    fn a_close_comes_after_everything_that_was_sent() {
        let mut half = Half::default();
        half.send(vec![1; 100]);
        half.close();
        assert_eq!(pump(&mut half), [100, 0]);
        half.send(vec![2]);
        assert_eq!(half.pump(), None);
        assert_eq!(deliver(&mut half), [Heard::Bytes(vec![1; 100]), Heard::Closed(Closed::Eof)]);
        assert!(half.is_over());
    }

    #[test]
    fn a_reader_that_pauses_stops_the_writer_at_the_window() {
        let mut half = Half { paused: true, ..Half::default() };
        half.send(vec![0; WINDOW + 1000]);
        assert_eq!(pump(&mut half).iter().sum::<usize>(), WINDOW);
        assert!(deliver(&mut half).is_empty());
        assert_eq!(half.pump(), None);
        half.paused = false;
        assert!(!deliver(&mut half).is_empty());
        assert_eq!(pump(&mut half), [1000]);
    }

    #[test]
    fn a_reset_overtakes_what_was_queued() {
        let mut half = Half::default();
        half.send(vec![0; WINDOW + 1]);
        pump(&mut half);
        half.signal(Segment::Reset);
        assert_eq!(half.queued(), 0);
        assert!(matches!(deliver(&mut half).last(), Some(Heard::Closed(Closed::Failed(_)))));
    }
}

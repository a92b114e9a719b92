//! The send queue: bytes cut into segments whose boundaries never change again, and where each segment is.
//!
//! One chunk is one segment. A reference receiver drops a retransmission with other boundaries whole, so what was
//! sent once is only ever sent again exactly so. This is also the scoreboard of RFC 6675. Segments in a row that are
//! reported received are a run, which is stepped over: an acknowledgment costs what is missing, not what is under way.

use super::Seq;
use super::config::{DUP_THRESHOLD, MIN_REORDERING};
use crate::pool::{Chunk, Fate, Handle, Link, Pool, Queue};
use crate::time::{Duration, Instant, earliest};
use crate::wire::sack::{MAX_LEN, SPLIT_AT, Sack, must_split};

#[derive(Clone, Debug, Default)]
pub(super) struct SendQueue {
    queue: Queue,
    /// The first segment never sent.
    unsent_head: Link,
    /// No segment before this one waits to be sent again.
    lost_head: Link,
    /// Segments never sent.
    pub(super) unsent: u32,
    /// Length of the first of them, in bytes.
    pub(super) unsent_len: u32,
    /// Nothing may be appended to the last segment any more.
    sealed: bool,
    /// Nagle does not hold the last segment back: it is full, or the end of a long write.
    pub(super) pushed: bool,
    /// When the last segment got its first byte.
    pub(super) tail_since: Instant,
    /// Segments sent and not yet acknowledged.
    pub(super) outstanding: u32,
    /// Those of them reported received.
    pub(super) sacked: u32,
    /// Those of them believed lost and not yet sent again.
    pub(super) lost: u32,
    /// Bytes believed to be under way (the "pipe" of RFC 6675).
    pub(super) flight: u32,
    /// Bytes of all segments.
    pub(super) bytes: u32,
    /// SND.UNA: the first byte not acknowledged.
    pub(super) una: Seq,
    /// SND.NXT: the first byte never sent.
    pub(super) nxt: Seq,
    /// After the last byte queued.
    end: Seq,
    /// After the last segment sent that was not full for want of data.
    pub(super) short_end: Seq,
    /// What RACK knows.
    rack: Rack,
}

/// Time as evidence of loss: what was sent last among all that was delivered (RFC 8985).
#[derive(Clone, Copy, Debug, Default)]
struct Rack {
    /// When it was sent (RACK.xmit_ts).
    sent: Instant,
    /// How long it took, in microseconds (RACK.rtt).
    rtt: u32,
    /// After the last byte of the furthest segment delivered (RACK.fack); `None` before the first.
    furthest: Option<Seq>,
    /// Something was overtaken and yet arrived: from now on only time tells.
    reordering: bool,
    /// The reordering window is so many quarters of the smallest round trip; 0 is one, too.
    quarters: u8,
}

/// Most quarters of a round trip that the reordering window widens to; it is held to one round trip anyway.
const MAX_QUARTERS: u8 = 8;

/// What an acknowledgment brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    /// Bytes newly known to have arrived, whether acknowledged or reported.
    pub(super) bytes: u32,
    /// Segments newly known to have arrived.
    pub(super) segments: u32,
    /// Those of them that were believed lost and not sent again.
    pub(super) late: u32,
    /// Those of them that were sent again, but arrived the first time: the answer came too soon for the copy.
    pub(super) needless: u32,
    /// A round trip measured on a segment sent once; at most one sample per packet.
    pub(super) rtt: Option<Duration>,
}

impl Delivered {
    /// Both together, with `rtt` for what `other` measured.
    pub(super) fn with(self, other: Delivered, rtt: Option<Duration>) -> Delivered {
        Delivered {
            bytes: self.bytes + other.bytes,
            segments: self.segments + other.segments,
            late: self.late + other.late,
            needless: self.needless + other.needless,
            rtt: self.rtt.or(rtt),
        }
    }
}

/// What looking for losses found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Segments newly believed lost.
    pub(super) found: u32,
    /// When to look again: another segment then counts as lost.
    pub(super) look_again: Option<Instant>,
}

impl SendQueue {
    /// An empty queue whose first byte will be `first`.
    pub(super) fn new(first: Seq) -> Self {
        SendQueue { una: first, nxt: first, end: first, short_end: first, ..SendQueue::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.head.is_none()
    }

    /// Whether a write of one segment could be taken.
    pub(super) fn has_room(&self, mss: u32, limit: u32, pool: &Pool) -> bool {
        limit.saturating_sub(self.bytes) >= mss && pool.allowance(self.queue.count) > 0
    }

    /// Queues as much of `data` as there is room for and returns how much.
    ///
    /// A write of at most one segment is taken whole or not at all and never cut: services read such a message as
    /// one segment. Longer writes are a stream, and fill segments up.
    pub(super) fn write(
        &mut self,
        now: Instant,
        data: &[u8],
        mss: usize,
        limit: u32,
        pool: &mut Pool,
    ) -> usize {
        let mss = mss.min(pool.chunk_size());
        let room = usize::try_from(limit.saturating_sub(self.bytes)).unwrap_or(usize::MAX);
        let short = data.len() <= mss;
        if short && room < data.len() {
            return 0;
        }
        let mut rest = data.get(..room).unwrap_or(data);
        let accepted = rest.len();
        while !rest.is_empty() {
            let Some(tail) = self.tail_for(now, rest.len(), short, mss, pool) else { break };
            let n = self.append(tail, rest, mss, pool);
            rest = rest.get(n..).unwrap_or(&[]);
        }
        let accepted = accepted - rest.len();
        if !short && accepted > 0 {
            self.pushed = true;
        }
        accepted
    }

    /// The segment that takes the next of `len` bytes: the last one, or a new one.
    fn tail_for(&mut self, now: Instant, len: usize, short: bool, mss: usize, pool: &mut Pool) -> Link {
        if let Some(tail) = self.queue.tail.filter(|_| self.unsent > 0 && !self.sealed) {
            let room = mss.saturating_sub(pool.get(tail).len.into());
            if room > 0 && !(short && len > room) {
                return Some(tail);
            }
        }
        let tail = pool.take(self.queue.count)?;
        pool.update(tail, |chunk| chunk.seq = self.end);
        self.queue.push(tail, pool);
        self.unsent += 1;
        self.unsent_head = self.unsent_head.or(Some(tail));
        (self.sealed, self.pushed, self.tail_since) = (false, false, now);
        Some(tail)
    }

    /// Appends to the last segment, which has room, and seals it if it is full or would look like a SACK list.
    fn append(&mut self, tail: Handle, data: &[u8], mss: usize, pool: &mut Pool) -> usize {
        // As if the bytes that would make it a list had followed already.
        let mut as_list = [0; MAX_LEN];
        let head = pool.data(tail).iter().chain(data);
        for (to, from) in as_list.iter_mut().zip(head.take(SPLIT_AT + 1)) {
            *to = *from;
        }
        let used = usize::from(pool.get(tail).len);
        let limit = if used <= SPLIT_AT && must_split(&as_list) { SPLIT_AT.min(mss) } else { mss };
        let n = pool.append(tail, data, limit);
        let len = used + n;
        if len >= limit {
            (self.sealed, self.pushed) = (true, true);
        }
        self.bytes += to_u32(n);
        self.end = self.end + to_u32(n);
        if self.unsent_head == Some(tail) {
            self.unsent_len = to_u32(len);
        }
        n
    }

    /// Sends the first unsent segment: writes it to the front of `out`. `None` if there is none or no room in `out`.
    pub(super) fn send_new(
        &mut self,
        now: Instant,
        mss: u32,
        out: &mut [u8],
        pool: &mut Pool,
    ) -> Option<(Seq, usize)> {
        let head = self.unsent_head?;
        if u32::from(pool.get(head).len) > mss {
            return self.send_oversize(now, mss, head, out, pool);
        }
        let len = copy(pool.data(head), out)?;
        pool.update(head, |chunk| (chunk.sent, chunk.fate) = (now, Fate::Flying));
        let chunk = pool.get(head);
        self.nxt = chunk.end();
        if to_u32(len) < mss && self.unsent == 1 && !self.sealed {
            self.short_end = self.nxt;
        }
        self.outstanding += 1;
        self.flight += to_u32(len);
        self.unsent -= 1;
        self.unsent_head = chunk.next;
        self.unsent_len = chunk.next.map_or(0, |next| u32::from(pool.get(next).len));
        Some((chunk.seq, len))
    }

    /// The first unsent segment is larger than the path carries by now: it counts as sent and lost, and goes in pieces.
    fn send_oversize(
        &mut self,
        now: Instant,
        mss: u32,
        head: Handle,
        out: &mut [u8],
        pool: &mut Pool,
    ) -> Option<(Seq, usize)> {
        pool.update(head, |chunk| chunk.sent = now);
        let chunk = pool.get(head);
        self.nxt = chunk.end();
        self.outstanding += 1;
        self.lose(head, &chunk, pool);
        self.unsent -= 1;
        self.unsent_head = chunk.next;
        self.unsent_len = chunk.next.map_or(0, |next| u32::from(pool.get(next).len));
        self.send_lost(now, mss, out, pool)
    }

    /// Sends the first lost segment again, exactly as it was; one larger than `mss`, which only a peer that takes any
    /// overlap was sent, in pieces.
    pub(super) fn send_lost(
        &mut self,
        now: Instant,
        mss: u32,
        out: &mut [u8],
        pool: &mut Pool,
    ) -> Option<(Seq, usize)> {
        let mut at = self.lost_head.or(self.queue.head);
        while let Some(here) = at.filter(|&here| Some(here) != self.unsent_head) {
            let chunk = pool.get(here);
            if chunk.fate == Fate::Lost {
                self.lost_head = at;
                let too_large = u32::from(chunk.len) > mss;
                let known = u16::try_from(self.una.distance(chunk.seq)).unwrap_or(0);
                let known = if too_large && self.una.is_after(chunk.seq) { known } else { 0 };
                let from = chunk.taken.max(known);
                let rest = pool.data(here).get(from.into()..).unwrap_or_default();
                let piece = rest.get(..usize::try_from(mss).unwrap_or(usize::MAX)).unwrap_or(rest);
                let len = copy(piece, out)?;
                let seq = chunk.seq + u32::from(from);
                if len == rest.len() {
                    pool.set(here, Chunk { sent: now, fate: Fate::Flying, resent: true, taken: 0, ..chunk });
                    self.lost -= 1;
                    self.flight += u32::from(chunk.len);
                } else {
                    // It counts as under way when all of it is.
                    let taken = from.saturating_add(u16::try_from(len).unwrap_or(u16::MAX));
                    pool.set(here, Chunk { sent: now, resent: true, taken, ..chunk });
                }
                return Some((seq, len)).filter(|_| !crate::planted!(LostRetransmission));
            }
            at = after(here, &chunk, pool);
        }
        // The count said there is one. It was wrong, so it must not be believed again.
        (self.lost, self.lost_head) = (0, None);
        None
    }

    /// Takes the cumulative acknowledgment `ack`, in `una..=nxt`.
    ///
    /// It gives no round trip if it covers anything sent twice: what lies behind that waited for it at the receiver.
    /// `base` is the smallest round trip there is.
    pub(super) fn ack(&mut self, now: Instant, ack: Seq, base: Duration, pool: &mut Pool) -> Delivered {
        let mut delivered = Delivered::default();
        self.una = ack;
        let mut repaired = false;
        while let Some(head) = self.queue.head.filter(|&head| Some(head) != self.unsent_head) {
            let chunk = pool.get(head);
            if chunk.end().is_after(ack) || self.queue.pop(pool).is_none() {
                break;
            }
            pool.give(head);
            if self.lost_head == Some(head) {
                self.lost_head = self.queue.head;
            }
            self.outstanding -= 1;
            self.bytes -= u32::from(chunk.len);
            self.leave(&chunk);
            repaired |= chunk.resent;
            if chunk.fate != Fate::Sacked {
                self.note_delivery(now, &chunk, base, &mut delivered);
            } else {
                self.sacked -= 1;
                // What is left of a run has a new first segment.
                if let ((Some(last), count @ 2..), Some(next)) = (chunk.run(), self.queue.head) {
                    pool.set(next, pool.get(next).lead(last, count - 1));
                }
            }
        }
        delivered.rtt = delivered.rtt.filter(|_| !repaired);
        delivered
    }

    /// Takes a report of what arrived beyond a gap.
    pub(super) fn sack(&mut self, now: Instant, sack: &Sack, base: Duration, pool: &mut Pool) -> Delivered {
        let mut delivered = Delivered::default();
        let mut blocks = sack.blocks().iter().map(|block| (Seq::new(block.left), Seq::new(block.right)));
        let Some((mut left, mut right)) = blocks.next() else { return delivered };
        let mut sent_before = Instant::ORIGIN;
        let mut at = self.queue.head;
        // The first segment of the run that ends here.
        let mut run: Link = None;
        while let Some(here) = at.filter(|&here| Some(here) != self.unsent_head) {
            let chunk = pool.get(here);
            if let (Fate::Sacked, (Some(last), count)) = (chunk.fate, chunk.run()) {
                at = pool.get(last).next;
                run = join(run, here, last, count, pool);
                continue;
            }
            // Both are sorted. A list that is not says less than it could.
            if !right.is_after(chunk.seq) {
                let Some(next) = blocks.next() else { break };
                (left, right) = next;
                continue;
            }
            at = chunk.next;
            let reported = !left.is_after(chunk.seq) && !chunk.end().is_after(right);
            if reported {
                self.leave(&chunk);
                self.sacked += 1;
                self.note_delivery(now, &chunk, base, &mut delivered);
                pool.set(here, chunk.lead(here, 1));
                run = join(run, here, here, 1, pool);
                // Whichever of its copies arrived: what precedes it was sent before.
                self.rack.sent = self.rack.sent.max(sent_before);
            } else {
                run = None;
            }
            if !chunk.resent {
                sent_before = sent_before.max(chunk.sent);
            }
        }
        delivered
    }

    /// A segment is no longer under way, nor lost.
    fn leave(&mut self, chunk: &Chunk) {
        match chunk.fate {
            Fate::Flying => self.flight -= u32::from(chunk.len),
            Fate::Lost => self.lost -= 1,
            Fate::Sacked | Fate::Unsent => {}
        }
    }

    fn note_delivery(&mut self, now: Instant, chunk: &Chunk, base: Duration, delivered: &mut Delivered) {
        delivered.segments += 1;
        delivered.bytes += u32::from(chunk.len);
        let took = now.since(chunk.sent);
        if chunk.resent && took < base {
            // Too soon for the second copy: it was the first that arrived (RFC 8985, 6.2 step 2).
            delivered.needless += 1;
            self.rack.quarters = self.rack.quarters.max(1).saturating_add(1).min(MAX_QUARTERS);
            self.rack.reordering = true;
            return;
        }
        if !chunk.resent {
            delivered.rtt = Some(took);
            delivered.late += u32::from(chunk.fate == Fate::Lost);
            self.rack.reordering |=
                self.rack.furthest.is_some_and(|furthest| chunk.end().is_before(furthest));
        }
        if self.rack.furthest.is_none_or(|furthest| chunk.end().is_after(furthest)) {
            self.rack.furthest = Some(chunk.end());
        }
        if chunk.sent >= self.rack.sent {
            self.rack.sent = chunk.sent;
            self.rack.rtt = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        }
    }

    /// The path has kept the order of packets for long: believe it again.
    pub(super) fn forget_reordering(&mut self) {
        (self.rack.reordering, self.rack.quarters) = (false, 0);
    }

    /// Looks for segments that must be lost: enough was received beyond them (RFC 6675), unless packets overtake
    /// each other on this path, or something sent later was delivered and the time that took has passed since they
    /// were sent, and an allowance for reordering (RFC 8985).
    ///
    /// `base` and `srtt` are the smallest and the smoothed round trip.
    pub(super) fn find_losses(
        &mut self,
        now: Instant,
        base: Duration,
        srtt: Duration,
        pool: &mut Pool,
    ) -> Losses {
        let mut losses = Losses::default();
        let allowance = (base / 4 * self.rack.quarters.max(1).into()).min(srtt).max(MIN_REORDERING);
        let patience = Duration::from_micros(self.rack.rtt.into()) + allowance;
        let mut received_beyond = self.sacked;
        let mut at = self.queue.head;
        while let Some(here) = at.filter(|&here| {
            let first = Some(here) == self.queue.head;
            (received_beyond > 0 || first) && Some(here) != self.unsent_head
        }) {
            let chunk = pool.get(here);
            at = after(here, &chunk, pool);
            // What was sent at the same moment went in order.
            let earlier =
                if received_beyond > 0 { chunk.sent <= self.rack.sent } else { chunk.sent < self.rack.sent };
            match chunk.fate {
                Fate::Sacked => received_beyond = received_beyond.saturating_sub(chunk.run().1),
                Fate::Flying => {
                    let overtaken =
                        !chunk.resent && received_beyond >= DUP_THRESHOLD && !self.rack.reordering;
                    let judged_at = chunk.sent + patience;
                    if overtaken || (earlier && judged_at <= now) {
                        self.lose(here, &chunk, pool);
                        losses.found += 1;
                    } else if earlier {
                        losses.look_again = earliest(losses.look_again, Some(judged_at));
                    }
                }
                Fate::Lost | Fate::Unsent => {}
            }
        }
        losses
    }

    /// Sends the last segment that was sent once more, as a probe (RFC 8985, 7.3).
    pub(super) fn send_last(
        &mut self,
        now: Instant,
        mss: u32,
        out: &mut [u8],
        pool: &mut Pool,
    ) -> Option<(Seq, usize)> {
        let (mut last, mut at) = (None, self.queue.head);
        while let Some(here) = at.filter(|&here| Some(here) != self.unsent_head) {
            let chunk = pool.get(here);
            (last, at) = (at, after(here, &chunk, pool));
        }
        // If the last was reported received meanwhile, there is nothing to be found out.
        let last = last.filter(|&last| pool.get(last).fate != Fate::Sacked)?;
        let chunk = pool.get(last);
        if u32::from(chunk.len) > mss {
            // Too large by now: in pieces, like what is lost.
            self.lose(last, &chunk, pool);
            return self.send_lost(now, mss, out, pool);
        }
        let len = copy(pool.data(last), out)?;
        self.leave(&chunk);
        self.flight += to_u32(len);
        pool.set(last, Chunk { sent: now, fate: Fate::Flying, resent: true, taken: 0, ..chunk });
        Some((chunk.seq, len))
    }

    /// What is believed lost and was not sent again is under way after all: the timer expired too soon.
    pub(super) fn revive(&mut self, pool: &mut Pool) {
        let mut at = self.queue.head;
        while let Some(here) = at.filter(|&here| Some(here) != self.unsent_head) {
            let chunk = pool.get(here);
            at = after(here, &chunk, pool);
            if chunk.fate == Fate::Lost && !chunk.resent {
                self.leave(&chunk);
                self.flight += u32::from(chunk.len);
                pool.set(here, Chunk { fate: Fate::Flying, ..chunk });
            }
        }
    }

    /// Believes the first segment lost, whatever is reported; false if it already was.
    pub(super) fn lose_head(&mut self, pool: &mut Pool) -> bool {
        let Some(head) = self.queue.head.filter(|_| self.outstanding > 0) else { return false };
        let chunk = pool.get(head);
        if chunk.fate != Fate::Flying {
            return false;
        }
        self.lose(head, &chunk, pool);
        true
    }

    /// Takes the first segment for lost if it was sent before one that was acknowledged.
    pub(super) fn lose_overtaken_head(&mut self, pool: &mut Pool) -> bool {
        let sent = self.queue.head.filter(|_| self.outstanding > 0).map(|head| pool.get(head).sent);
        sent.is_some_and(|sent| sent < self.rack.sent) && self.lose_head(pool)
    }

    fn lose(&mut self, handle: Handle, chunk: &Chunk, pool: &mut Pool) {
        self.leave(chunk);
        self.lost += 1;
        pool.set(handle, Chunk { fate: Fate::Lost, taken: 0, ..*chunk });
        let first = self.lost_head.is_none_or(|lost| chunk.seq.is_before(pool.get(lost).seq));
        if first {
            self.lost_head = Some(handle);
        }
    }

    /// The retransmission timer expired: the first segment is lost, and all that had time to arrive (RFC 8985, 6.3).
    /// If even the first segment was reported received, the receiver has changed its mind (or parked it), and no
    /// report is believed any longer (RFC 2018, section 8).
    pub(super) fn expire(&mut self, now: Instant, pool: &mut Pool) {
        let patience = Duration::from_micros(self.rack.rtt.into());
        let first = self.queue.head;
        let reneged = self.queue.head.is_some_and(|head| pool.get(head).fate == Fate::Sacked);
        let mut at = self.queue.head;
        while let Some(here) = at.filter(|&here| Some(here) != self.unsent_head) {
            let chunk = pool.get(here);
            at = if reneged { chunk.next } else { after(here, &chunk, pool) };
            match chunk.fate {
                Fate::Flying if chunk.sent + patience <= now || Some(here) == first => {
                    self.lose(here, &chunk, pool);
                }
                Fate::Sacked if reneged => {
                    self.sacked -= 1;
                    // When it was sent is not known any more, so its answer must measure nothing.
                    self.lose(here, &Chunk { sent: Instant::ORIGIN, resent: true, ..chunk }, pool);
                }
                Fate::Lost => pool.set(here, Chunk { taken: 0, ..chunk }),
                _ => {}
            }
        }
    }

    /// When the first segment was last sent; the origin if there is none, or it was reported received.
    pub(super) fn head_sent(&self, pool: &Pool) -> Instant {
        let head = self.queue.head.map(|head| pool.get(head)).filter(|chunk| chunk.fate != Fate::Sacked);
        head.map_or(Instant::ORIGIN, |chunk| chunk.sent)
    }

    /// Whether the first segment outstanding is larger than `size` bytes.
    pub(super) fn head_exceeds(&self, size: u16, pool: &Pool) -> bool {
        self.outstanding > 0 && self.queue.head.is_some_and(|head| pool.get(head).len > size)
    }

    /// Gives all chunks back; what was queued will not be sent.
    pub(super) fn clear(&mut self, pool: &mut Pool) {
        self.queue.clear(pool);
        *self = SendQueue {
            una: self.nxt,
            nxt: self.nxt,
            end: self.nxt,
            short_end: self.nxt,
            ..SendQueue::default()
        };
    }
}

/// What comes after a segment; after the whole run if it is the first that is reported received.
fn after(here: Handle, chunk: &Chunk, pool: &Pool) -> Link {
    match chunk.fate {
        Fate::Sacked => pool.get(chunk.run().0.unwrap_or(here)).next,
        _ => chunk.next,
    }
}

/// Puts the run that begins at `first` behind `run`, which ends directly before it. The first segment of both.
fn join(run: Link, first: Handle, last: Handle, count: u32, pool: &mut Pool) -> Link {
    if let Some(lead) = run {
        let chunk = pool.get(lead);
        pool.set(lead, chunk.lead(last, chunk.run().1.saturating_add(count)));
    }
    run.or(Some(first))
}

fn copy(from: &[u8], to: &mut [u8]) -> Option<usize> {
    to.get_mut(..from.len())?.copy_from_slice(from);
    Some(from.len())
}

fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::PoolState;
    use crate::rng::{Rng, SeededRng};
    use crate::wire::sack::Block;

    const MSS: u32 = 100;

    /// Stepping over runs shows the same segments as walking does, and nothing that is lost lies before where it is looked
    /// for.
    fn check(queue: &SendQueue, pool: &Pool) {
        let (mut walked, mut sacked, mut lost) = (Vec::new(), 0, Vec::new());
        let mut at = queue.queue.head;
        while let Some(here) = at.filter(|&here| Some(here) != queue.unsent_head) {
            let chunk = pool.get(here);
            match chunk.fate {
                Fate::Sacked => sacked += 1,
                fate => walked.push((chunk.seq, fate)),
            }
            if chunk.fate == Fate::Lost {
                lost.push(chunk.seq);
            }
            at = chunk.next;
        }
        assert_eq!((queue.sacked, queue.lost as usize), (sacked, lost.len()));
        let (mut stepped, mut runs) = (Vec::new(), 0);
        let mut at = queue.queue.head;
        while let Some(here) = at.filter(|&here| Some(here) != queue.unsent_head) {
            let chunk = pool.get(here);
            match chunk.fate {
                Fate::Sacked => runs += chunk.run().1,
                fate => stepped.push((chunk.seq, fate)),
            }
            at = after(here, &chunk, pool);
        }
        assert_eq!((stepped, runs), (walked, sacked));
        if let (Some(first), Some(from)) = (lost.first(), queue.lost_head) {
            assert!(!pool.get(from).seq.is_after(*first));
        }
    }

    #[test]
    fn runs_of_reported_segments_are_what_a_walk_finds() {
        let mut rng = SeededRng::new(5);
        for _ in 0..300 {
            let first = Seq::new(rng.u32());
            let (mut state, mut chunks, mut bytes) =
                (PoolState::new(), vec![Chunk::NEW; 200], vec![0; 20_000]);
            let mut pool = Pool::new(&mut state, &mut chunks, &mut bytes);
            let mut queue = SendQueue::new(first);
            let (mut now, mut out) = (Instant::from_millis(1), [0; 100]);
            for _ in 0..200 {
                now = now + Duration::from_millis(u64::from(rng.u32() % 8));
                let (una, sent) = (queue.una, queue.nxt.distance(queue.una) / MSS);
                let within = |rng: &mut SeededRng| una + rng.u32() % (sent + 1) * MSS;
                match rng.u32() % 16 {
                    0..5 => {
                        queue.write(now, &[7; 100], 100, 10_000, &mut pool);
                        queue.send_new(now, MSS, &mut out, &mut pool);
                    }
                    5..11 => {
                        let mut ends: Vec<Seq> =
                            (0..2 + 2 * (rng.u32() % 3)).map(|_| within(&mut rng)).collect();
                        ends.sort_by_key(|end| end.distance(una));
                        let blocks = ends.chunks(2).filter(|ends| ends[0] != ends[1]);
                        let blocks = blocks.map(|ends| Block { left: ends[0].get(), right: ends[1].get() });
                        queue.sack(now, &Sack::new(blocks), Duration::from_millis(3), &mut pool);
                    }
                    11 => {
                        queue.ack(now, within(&mut rng), Duration::from_millis(3), &mut pool);
                    }
                    12 => {
                        let rtt = Duration::from_millis(5);
                        queue.find_losses(now, rtt, rtt, &mut pool);
                    }
                    13 if queue.lost > 0 => {
                        queue.send_lost(now, MSS, &mut out, &mut pool);
                    }
                    14 => {
                        queue.send_last(now, MSS, &mut out, &mut pool);
                    }
                    15 if rng.u32().is_multiple_of(4) => queue.expire(now, &mut pool),
                    15 => queue.revive(&mut pool),
                    _ => {}
                }
                check(&queue, &pool);
            }
        }
    }
}

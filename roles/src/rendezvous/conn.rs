//! One connection to the registry: frames in, answers out in the order of the requests, and how much may pile up.

use alloc::{collections::VecDeque, vec::Vec};
use core::net::SocketAddr;

use pilot_proto::{Instant, planted};

use super::wire::MAX_REQUEST;
use crate::frames::FrameReader;

/// Bytes of answers, waiting or handed to the driver, above which a connection is not read.
const HIGH_WATER: u64 = 256 * 1024;
/// Node ids a connection may have proven at a time; the oldest is forgotten.
const MAX_PROVEN: usize = 16;

/// Handshake messages that stand in an answer. They leave the inbox when the answer has left us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Polled {
    /// Whose inbox.
    pub(super) node: u32,
    /// Senders of the requests.
    pub(super) requests: Vec<u32>,
    /// Senders of the responses.
    pub(super) responses: Vec<u32>,
}

/// One answer on its way out.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) frame: Vec<u8>,
    /// The ticket that must be durable first; 0 is none.
    pub(super) after: u64,
    pub(super) polled: Option<Polled>,
}

/// The nodes that a connection has signed for.
#[derive(Debug, Default)]
pub(super) struct Proven(VecDeque<u32>);

impl Proven {
    pub(super) fn add(&mut self, node: u32) {
        if self.contains(node) {
            return;
        }
        if self.0.len() >= MAX_PROVEN {
            self.0.pop_front();
        }
        self.0.push_back(node);
    }

    pub(super) fn contains(&self, node: u32) -> bool {
        self.0.contains(&node)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) source: SocketAddr,
    pub(super) reader: FrameReader,
    pub(super) proven: Proven,
    /// The driver was told not to read.
    pub(super) paused: bool,
    /// Nothing more is read; closed when the last answer is out.
    pub(super) ending: bool,
    /// When a request was complete or the other side took bytes last.
    pub(super) progress: Instant,
    /// When to look whether it is idle.
    pub(super) check: Instant,
    waiting: VecDeque<Answer>,
    waiting_bytes: u64,
    /// Bytes handed to the driver so far, and of these the bytes that the operating system took.
    handed: u64,
    taken: u64,
    /// What to do when `taken` reaches an offset.
    receipts: VecDeque<(u64, Polled)>,
}

impl Conn {
    pub(super) fn new(source: SocketAddr, now: Instant, check: Instant) -> Self {
        Conn {
            source,
            reader: FrameReader::new(if planted!(HugeRequest) { usize::MAX } else { MAX_REQUEST }),
            proven: Proven::default(),
            paused: false,
            ending: false,
            progress: now,
            check,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            handed: 0,
            taken: 0,
            receipts: VecDeque::new(),
        }
    }

    /// Queues an answer behind the earlier ones.
    pub(super) fn push(&mut self, answer: Answer) {
        self.waiting_bytes += answer.frame.len() as u64;
        self.waiting.push_back(answer);
    }

    /// The next answer that may leave when everything up to ticket `durable` is.
    pub(super) fn release(&mut self, durable: u64) -> Option<Vec<u8>> {
        let answer = pop_if(&mut self.waiting, |answer| answer.after <= durable)?;
        let len = answer.frame.len() as u64;
        self.waiting_bytes -= len;
        self.handed += len;
        if let Some(polled) = answer.polled {
            self.receipts.push_back((self.handed, polled));
        }
        Some(answer.frame)
    }

    /// Counts bytes that the operating system took.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken = self.taken.saturating_add(bytes as u64).min(self.handed);
    }

    /// The next poll whose answer has left us.
    pub(super) fn delivered(&mut self) -> Option<Polled> {
        let taken = self.taken;
        pop_if(&mut self.receipts, |(end, _)| *end <= taken).map(|(_, polled)| polled)
    }

    /// Every poll whose answer will not leave us, when the connection is gone.
    pub(super) fn undelivered(self) -> impl Iterator<Item = Polled> {
        let receipts = self.receipts.into_iter().map(|(_, polled)| polled);
        receipts.chain(self.waiting.into_iter().filter_map(|answer| answer.polled))
    }

    /// Drops the answers that wait; says how many there were.
    pub(super) fn drop_waiting(&mut self) -> usize {
        core::mem::take(&mut self.waiting).len()
    }

    /// Whether every answer was handed to the driver.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the other side must take answers before more requests are read.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_bytes + (self.handed - self.taken) >= HIGH_WATER && !planted!(AnswersPileUp)
    }
}

/// Takes the first element if it is due.
pub(super) fn pop_if<T>(queue: &mut VecDeque<T>, due: impl FnOnce(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(due) { queue.pop_front() } else { None }
}

//! One local client: what it sent and is not handled yet, what it has not read yet, what it waits for.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use pilot_proto::planted;

use crate::{
    frames::{FrameReader, PREFIX},
    ipc::{MAX_MESSAGE, Reply},
};

/// Unread bytes at which a client gets no more stream data until it has read down to [`LOW_WATER`].
pub(super) const HIGH_WATER: usize = 1 << 20;
/// See [`HIGH_WATER`].
pub(super) const LOW_WATER: usize = 512 << 10;
/// Unread bytes at which datagrams for a client are dropped.
pub(super) const DATAGRAM_WATER: usize = 256 << 10;
/// Bytes of stream data of a client that wait for window space; above, nothing more is read from it.
const MAX_HELD: usize = 256 << 10;
/// Requests of a client without an answer; above, nothing more is read from it.
const MAX_WAITING: usize = 256;
/// The same for a client whose streams have windows of their own: one that stands still must not hold up the others.
const MAX_HELD_EXTENDED: usize = 64 << 20;
const MAX_WAITING_EXTENDED: usize = 8192;

/// What requests of a client may cost in one turn of the daemon; the others wait for the next, and nothing more is read
/// from the client until then.
pub(super) const COST_PER_TURN: usize = 64;
/// What a request costs that is answered elsewhere.
pub(super) const COST_OF_ASK: usize = 8;
/// Bytes of an answer that cost as much as a small request: some list all peers and streams.
pub(super) const BYTES_PER_COST: usize = 256;

/// A request without an answer, or whose answer waits for an earlier one of the same kind.
#[derive(Debug)]
struct Waiting {
    ticket: u64,
    kind: u8,
    /// Its answer waits for no other and carries this number.
    tag: Option<u32>,
    reply: Option<Vec<u8>>,
}

/// One client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) reader: FrameReader,
    /// Frames for the driver.
    out: Vec<u8>,
    /// Bytes the driver has and the operating system has not.
    unsent: usize,
    waiting: VecDeque<Waiting>,
    /// Streams with something to read.
    pub(super) readable: VecDeque<u32>,
    /// Streams it owns.
    pub(super) streams: BTreeSet<u32>,
    /// Ports it bound.
    pub(super) ports: BTreeSet<u16>,
    /// Bytes of its streams that wait for window space.
    pub(super) held: usize,
    pub(super) paused: bool,
    /// What its requests have cost in this turn.
    pub(super) cost: usize,
    /// Its last request is an [`Ask`](super::Ask) that nobody took yet. Those behind it wait, so that their answers are
    /// not made before it is known how much of them the client takes.
    pub(super) asking: bool,
    /// The connection is closed; what had been sent is still being handled.
    pub(super) gone: bool,
    /// Listed among those with something for the driver.
    pub(super) listed: bool,
    /// It asked for the messages of IPC-1.
    pub(super) extended: bool,
    /// It asked for events.
    pub(super) watches: bool,
}

impl Client {
    pub(super) const fn new() -> Self {
        Client {
            reader: FrameReader::new(MAX_MESSAGE),
            out: Vec::new(),
            unsent: 0,
            waiting: VecDeque::new(),
            readable: VecDeque::new(),
            streams: BTreeSet::new(),
            ports: BTreeSet::new(),
            held: 0,
            paused: false,
            cost: 0,
            asking: false,
            gone: false,
            listed: false,
            extended: false,
            watches: false,
        }
    }

    /// Bytes the client has not read yet, as far as we can see.
    pub(super) const fn unread(&self) -> usize {
        self.unsent + self.out.len()
    }

    /// It takes no answers.
    fn is_behind(&self) -> bool {
        self.unread() >= 2 * HIGH_WATER && !planted!(RepliesPileUp)
    }

    /// It has used up its turn.
    pub(super) fn rests(&self) -> bool {
        self.cost >= COST_PER_TURN && !planted!(TurnWithoutEnd)
    }

    /// Nothing more may be read from the client for now.
    pub(super) fn is_blocked(&self) -> bool {
        let (max_held, max_waiting) = match self.extended {
            true => (MAX_HELD_EXTENDED, MAX_WAITING_EXTENDED),
            false => (MAX_HELD, MAX_WAITING),
        };
        self.rests()
            || (self.held >= max_held && !planted!(WritesPileUp))
            || (!self.gone && (self.waiting.len() >= max_waiting || self.is_behind()))
    }

    /// Appends a message.
    pub(super) fn push(&mut self, reply: &Reply<'_>) {
        if !self.gone {
            reply.write(&mut self.out);
        }
    }

    /// Appends the answer to a tagged request.
    pub(super) fn push_tagged(&mut self, tag: u32, reply: &Reply<'_>) {
        let mut message = Vec::new();
        reply.write(&mut message);
        self.push(&Reply::Tagged { tag, message: message.get(PREFIX..).unwrap_or_default() });
    }

    /// What waits for the driver.
    pub(super) fn take_out(&mut self) -> Vec<u8> {
        self.unsent += self.out.len();
        core::mem::take(&mut self.out)
    }

    /// Bytes staged for the driver.
    pub(super) const fn staged(&self) -> usize {
        self.out.len()
    }

    /// The operating system took this many bytes.
    pub(super) const fn sent(&mut self, bytes: usize) {
        self.unsent = self.unsent.saturating_sub(bytes);
    }

    /// Remembers a request of `kind`; answers of one kind keep the order of the requests, unless they have a tag.
    pub(super) fn expect(&mut self, ticket: u64, kind: u8, tag: Option<u32>) {
        self.waiting.push_back(Waiting { ticket, kind, tag, reply: None });
    }

    /// Answers a request, and sends what that sets free. Nothing happens if nobody waits for it.
    pub(super) fn reply(&mut self, ticket: u64, reply: &Reply<'_>) {
        let Some(at) = self.waiting.iter().position(|w| w.ticket == ticket && w.reply.is_none()) else {
            return;
        };
        let Some(entry) = self.waiting.get_mut(at) else { return };
        let (kind, tag) = (entry.kind, entry.tag);
        let mut message = Vec::new();
        reply.write(&mut message);
        self.cost += message.len() / BYTES_PER_COST;
        if let Some(tag) = tag {
            self.waiting.remove(at);
            self.push(&Reply::Tagged { tag, message: message.get(PREFIX..).unwrap_or_default() });
            return;
        }
        entry.reply = Some(message);
        while let Some(at) = self.waiting.iter().position(|w| w.kind == kind && w.tag.is_none())
            && let Some(message) = self.waiting.get_mut(at).and_then(|w| w.reply.take())
        {
            self.waiting.remove(at);
            self.out.extend_from_slice(&message);
        }
    }

    /// The connection is closed: nothing more can be sent.
    pub(super) fn leave(&mut self) {
        self.gone = true;
        self.out.clear();
        self.unsent = 0;
        self.waiting.clear();
        self.readable.clear();
    }
}

//! The exchange: node 1 dials node 2, both send 64 KiB at the same time, both check every byte, both say goodbye.

use core::{fmt, net::SocketAddr};

use pilot_proto::{
    Addr, Instant,
    crypto::{Ed25519Seed, Identity, RustCrypto},
    node::{Answer, Config, Event, Node, Question, StreamId},
    rng::SeededRng,
    stream::{CloseReason, Read},
    time::Duration,
};

use crate::room::{LentOnce, Room};

/// Bytes that go each way.
const BYTES: usize = 64 << 10;
/// The port dialled.
const PORT: u16 = 1000;
/// Time that a datagram is under way.
const DELAY: Duration = Duration::from_millis(5);
/// Turns after which the exchange has failed.
const TURNS: u32 = 100_000;

static ROOMS: [LentOnce<Room>; 2] = [const { LentOnce::new(Room::new()) }; 2];
/// Where a node writes what it sends; the nodes take turns.
static WIRE: LentOnce<[u8; WIRE_LEN]> = LentOnce::new([0; WIRE_LEN]);
/// Bytes lent for sending: the least a node takes.
pub(crate) const WIRE_LEN: usize = 2048;

/// A node that works in static memory.
pub(crate) type StaticNode = Node<&'static mut Room, RustCrypto, SeededRng>;

/// One side.
struct Side {
    node: StaticNode,
    id: u32,
    address: SocketAddr,
    key: [u8; 32],
    stream: Option<StreamId>,
    sent: usize,
    received: usize,
    finished: bool,
    closed: bool,
}

/// What happened.
pub(crate) struct Report {
    datagrams: u32,
    wire_bytes: usize,
    time: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { datagrams, wire_bytes, time } = self;
        let millis = time.as_millis();
        write!(
            f,
            "two nodes met, carried {BYTES} bytes each way, checked and closed cleanly: \
             {datagrams} datagrams, {wire_bytes} bytes on the wire, {millis} ms of their time"
        )
    }
}

/// Why the exchange did not come to its end.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The static memory was lent before.
    Lent,
    /// The node would not listen, dial, read or write.
    Refused(&'static str),
    /// A byte is not the one sent.
    Corrupt { node: u32, at: usize },
    /// The stream ended otherwise than cleanly, or early.
    Closed { node: u32, reason: CloseReason, received: usize },
    /// Nothing is due and nothing is under way.
    Stuck { received: [usize; 2] },
    /// It takes too long.
    TooLong { received: [usize; 2] },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Lent => write!(f, "the static memory is in use"),
            Failure::Refused(what) => write!(f, "the node refused to {what}"),
            Failure::Corrupt { node, at } => write!(f, "node {node}: byte {at} is not the one sent"),
            Failure::Closed { node, reason, received } => {
                write!(f, "node {node}: the stream ended ({reason:?}) after {received} of {BYTES} bytes")
            }
            Failure::Stuck { received } => write!(f, "nothing happens any more after {received:?} bytes"),
            Failure::TooLong { received } => write!(f, "not done in {TURNS} turns: {received:?} bytes"),
        }
    }
}

/// Byte `at` of what node `id` sends.
fn byte(id: u32, at: usize) -> u8 {
    let mixed = (at as u64 ^ u64::from(id) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u8::try_from(mixed >> 56).unwrap_or(0)
}

impl Side {
    fn new(id: u32, room: &'static mut Room) -> Self {
        // A firmware has its seed in flash and its randomness from hardware; here every run is the same.
        let identity = Identity::new(id, Ed25519Seed::from_bytes([id as u8; 32]), &RustCrypto);
        let key = *identity.public();
        let config = Config { public: true, ..Config::default() };
        Side {
            node: Node::new(config, identity, room, RustCrypto, SeededRng::new(u64::from(id))),
            id,
            address: SocketAddr::from(([192, 0, 2, id as u8], 4000)),
            key,
            stream: None,
            sent: 0,
            received: 0,
            finished: false,
            closed: false,
        }
    }

    /// Takes what the node reports; answers what it asks with what the other side is.
    fn events(&mut self, now: Instant, other: (u32, SocketAddr, [u8; 32])) -> Result<(), Failure> {
        while let Some(event) = self.node.poll_event(now) {
            match event {
                Event::Ask(question) => {
                    let (node, address, key) = other;
                    let candidates = &[address];
                    self.node.handle_answer(
                        now,
                        match question {
                            Question::Locate { .. } => {
                                Answer::Located { node, candidates, key: Some(key), relay_only: false }
                            }
                            Question::Key { .. } => Answer::Key { node, key: Some(key) },
                            Question::MayTalk { .. } => Answer::MayTalk { node, allowed: true },
                        },
                    );
                }
                Event::Incoming { stream, .. } => self.stream = Some(stream),
                Event::Closed { reason, .. } => {
                    if reason != CloseReason::Clean || self.received < BYTES {
                        return Err(Failure::Closed { node: self.id, reason, received: self.received });
                    }
                    self.closed = true;
                }
                Event::Unreachable { .. } => return Err(Failure::Refused("reach the other")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads and checks what has come, writes what there is room for.
    fn work(&mut self, now: Instant, other: u32) -> Result<(), Failure> {
        let Some(stream) = self.stream else { return Ok(()) };
        let mut piece = [0; 256];
        let mut ended = false;
        loop {
            let n = match self.node.read(now, stream, &mut piece) {
                Ok(Read::Bytes(n)) => n,
                Ok(Read::End) => {
                    ended = true;
                    break;
                }
                Ok(Read::Empty) | Err(_) => break,
            };
            for got in piece.iter().take(n) {
                if *got != byte(other, self.received) {
                    return Err(Failure::Corrupt { node: self.id, at: self.received });
                }
                self.received += 1;
            }
        }
        while self.sent < BYTES {
            let len = piece.len().min(BYTES - self.sent);
            for (at, to) in piece.iter_mut().enumerate() {
                *to = byte(self.id, self.sent + at);
            }
            // Refused until the stream is established.
            let taken = self.node.write(now, stream, piece.get(..len).unwrap_or_default()).unwrap_or(0);
            self.sent += taken;
            if taken < len {
                break;
            }
        }
        // The older releases take a FIN for the end of both directions: the dialler says it when it has everything.
        let first = self.id == 1 && self.sent == BYTES && self.received == BYTES;
        if (first || ended) && !self.finished {
            self.finished = true;
            self.node.finish(now, stream).map_err(|_| Failure::Refused("finish"))?;
        }
        Ok(())
    }
}

/// Runs it.
pub(crate) fn run() -> Result<Report, Failure> {
    let [first, second] = &ROOMS;
    let (first, second) = (first.take().ok_or(Failure::Lent)?, second.take().ok_or(Failure::Lent)?);
    let wire = WIRE.take().ok_or(Failure::Lent)?;
    let mut sides = [Side::new(1, first), Side::new(2, second)];
    let mut now = Instant::from_millis(1);
    let start = now;
    let mut report = Report { datagrams: 0, wire_bytes: 0, time: Duration::ZERO };
    let [a, b] = &mut sides;
    b.node.listen(PORT).map_err(|_| Failure::Refused("listen"))?;
    let to = Addr { network: 0, node: b.id };
    a.stream = Some(a.node.connect(now, to, PORT).map_err(|_| Failure::Refused("dial"))?);

    for _ in 0..TURNS {
        let mut busy = false;
        for sender in 0..2 {
            let [a, b] = &mut sides;
            let (from, to) = if sender == 0 { (a, b) } else { (b, a) };
            from.events(now, (to.id, to.address, to.key))?;
            from.work(now, to.id)?;
            while let Some(sent) = from.node.poll_transmit(now, wire) {
                busy = true;
                let size = sent.segment_size.unwrap_or(sent.len).max(1);
                for datagram in wire.get_mut(..sent.len).unwrap_or_default().chunks_mut(size) {
                    report.datagrams += 1;
                    report.wire_bytes += datagram.len();
                    // The wire carries one batch at a time, so what is under way has arrived before more is sent.
                    to.node.handle_datagram(now + DELAY, from.address, datagram);
                }
            }
        }
        if sides.iter().all(|side| side.closed) {
            report.time = now.since(start);
            return Ok(report);
        }
        let received = [sides[0].received, sides[1].received];
        let due = sides.iter_mut().filter_map(|side| side.node.poll_timeout()).min();
        now = if busy { now + DELAY } else { now.max(due.ok_or(Failure::Stuck { received })?) };
        for side in &mut sides {
            if side.node.poll_timeout().is_some_and(|at| at <= now) {
                side.node.handle_timeout(now);
            }
        }
    }
    Err(Failure::TooLong { received: [sides[0].received, sides[1].received] })
}

//! A mock of the April 2026 release with its habits, good and bad, and conversations with it.

use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::rng::{Rng, SeededRng};
use crate::stream::{CloseReason, State};
use crate::wire::sack::{Block, Sack};

const SEGMENT: usize = 4096;
const QUEUE: usize = 512;
const REORDER: usize = 128;
const DELAYED: Duration = Duration::from_millis(40);
const TICK: Duration = Duration::from_millis(100);
const RTO: Duration = Duration::from_millis(200);
/// Full segments that a default socket buffer holds, and how long its daemon takes for one.
const SOCKET: usize = 25;
const READING: Duration = Duration::from_micros(60);

/// One connection of the reference. Its initial sequence number is 0; it acts on FIN at once, answers FIN|ACK with
/// FIN|ACK, drops overlapping segments whole, takes window 0 for no limit, counts only bare duplicates, never repeats
/// a FIN or a SYN|ACK, and says nothing when its application reads.
struct April {
    established: bool,
    time_wait: bool,
    next: u32,
    queue: VecDeque<Vec<u8>>,
    beyond: BTreeMap<u32, Vec<u8>>,
    unacked_count: u32,
    ack_at: Option<Instant>,
    sent: u32,
    una: u32,
    duplicates: u32,
    outstanding: VecDeque<(u32, Vec<u8>, Instant, u32, bool)>,
    to_send: VecDeque<u8>,
    window: u16,
    cwnd: usize,
    tick_at: Instant,
    out: VecDeque<(Segment, Vec<u8>)>,
    /// It reset the connection after its seventh retransmission.
    reset: bool,
}

impl April {
    fn new(now: Instant) -> Self {
        April {
            established: false,
            time_wait: false,
            next: 0,
            queue: VecDeque::new(),
            beyond: BTreeMap::new(),
            unacked_count: 0,
            ack_at: None,
            sent: 1,
            una: 0,
            duplicates: 0,
            outstanding: VecDeque::new(),
            to_send: VecDeque::new(),
            window: 0,
            cwnd: 10 * SEGMENT,
            tick_at: now + TICK,
            out: VecDeque::new(),
            reset: false,
        }
    }

    fn free(&self) -> u16 {
        (QUEUE - self.queue.len()) as u16
    }

    fn say(&mut self, flags: Flags, seq: u32, ack: u32, window: u16, payload: Vec<u8>) {
        self.out.push_back((seg(flags, seq, ack, window), payload));
    }

    fn handle(&mut self, now: Instant, s: &Segment, payload: &[u8]) {
        let has = |flag| s.flags.contains(flag);
        if has(Flags::SYN) && !has(Flags::ACK) {
            self.next = if self.established { self.next } else { s.seq.wrapping_add(1) };
            self.established = true;
            self.window = s.window;
            self.say(Flags::SYN_ACK, self.sent - 1, self.next, self.free(), vec![]);
        } else if has(Flags::FIN) && self.established {
            self.time_wait = true;
            self.say(Flags::FIN_ACK, self.sent, s.seq.wrapping_add(1), 0, vec![]);
        } else if has(Flags::RST) {
            self.established = false;
        } else if has(Flags::ACK) && self.established {
            self.window = s.window;
            self.take_ack(now, s.ack, payload.is_empty());
            if let Some(sack) = Sack::parse_loose(payload) {
                for segment in &mut self.outstanding {
                    let end = segment.0 + segment.1.len() as u32;
                    segment.4 |= sack.blocks().iter().any(|b| b.left <= segment.0 && end <= b.right);
                }
            } else if !payload.is_empty() && !self.time_wait {
                self.take_data(now, s.seq, payload);
            }
        }
    }

    fn take_ack(&mut self, now: Instant, ack: u32, bare: bool) {
        if ack == 0 || self.una.wrapping_sub(ack) as i32 > 0 {
            return;
        }
        if ack == self.una {
            self.duplicates += u32::from(bare);
            if bare && self.duplicates == 3 {
                self.resend(now);
                self.cwnd = (self.cwnd / 2).max(SEGMENT) + 3 * SEGMENT;
            }
            return;
        }
        self.cwnd = (self.cwnd + ack.wrapping_sub(self.una) as usize).min(1 << 20);
        (self.una, self.duplicates) = (ack, 0);
        let done = |s: &(u32, Vec<u8>, Instant, u32, bool)| {
            ack.wrapping_sub(s.0.wrapping_add(s.1.len() as u32)) as i32 >= 0
        };
        self.outstanding.retain(|segment| !done(segment));
        self.outstanding.iter_mut().for_each(|segment| segment.4 = false);
    }

    fn resend(&mut self, now: Instant) {
        let (next, free) = (self.next, self.free());
        if let Some(segment) = self.outstanding.iter_mut().find(|segment| !segment.4) {
            segment.2 = now;
            segment.3 += 1;
            let (seq, data, tries) = (segment.0, segment.1.clone(), segment.3);
            if tries >= 8 {
                self.reset = true;
                self.say(Flags::RST, 0, 0, 0, vec![]);
            } else {
                self.say(Flags::ACK, seq, next, free, data);
            }
        }
    }

    fn take_data(&mut self, now: Instant, seq: u32, payload: &[u8]) {
        if seq == self.next {
            assert!(self.queue.len() < QUEUE, "its routing task blocks here, and with it the daemon");
            self.queue.push_back(payload.to_vec());
            self.next = seq.wrapping_add(payload.len() as u32);
            while let Some(data) = self.beyond.remove(&self.next) {
                self.next = self.next.wrapping_add(data.len() as u32);
                self.queue.push_back(data);
            }
        } else if seq.wrapping_sub(self.next) as i32 > 0 && self.beyond.len() < REORDER {
            self.beyond.entry(seq).or_insert_with(|| payload.to_vec());
        }
        if !self.beyond.is_empty() {
            let mut blocks: Vec<Block> = Vec::new();
            for (&left, data) in &self.beyond {
                let right = left.wrapping_add(data.len() as u32);
                match blocks.last_mut() {
                    Some(last) if last.right == left => last.right = right,
                    _ => blocks.push(Block { left, right }),
                }
            }
            let mut report = [0; 64];
            let len = Sack::new(blocks).emit(&mut report).unwrap();
            self.ack(report[..len].to_vec());
            return;
        }
        self.unacked_count += 1;
        if self.unacked_count >= 2 {
            self.ack(vec![]);
        } else {
            self.ack_at = self.ack_at.or(Some(now + DELAYED));
        }
    }

    fn ack(&mut self, report: Vec<u8>) {
        (self.unacked_count, self.ack_at) = (0, None);
        self.say(Flags::ACK, self.sent, self.next, self.free(), report);
    }

    fn timers(&mut self, now: Instant) {
        if self.ack_at.is_some_and(|at| at <= now) {
            self.ack(vec![]);
        }
        if self.tick_at <= now {
            self.tick_at = now + TICK;
            let head = self.outstanding.iter().find(|segment| !segment.4);
            if head.is_some_and(|head| now.since(head.2) > RTO) && !self.time_wait && !self.reset {
                self.cwnd = 10 * SEGMENT;
                self.resend(now);
            }
        }
    }

    fn send(&mut self, now: Instant) {
        while !self.to_send.is_empty() && self.established && !self.time_wait && !self.reset {
            let flying: usize = self.outstanding.iter().map(|segment| segment.1.len()).sum();
            let limit = match self.window {
                0 => usize::MAX,
                window => usize::from(window) * SEGMENT,
            };
            if flying >= limit.min(self.cwnd) {
                break;
            }
            let data: Vec<u8> = self.to_send.drain(..SEGMENT.min(self.to_send.len())).collect();
            let seq = self.sent;
            self.sent += data.len() as u32;
            (self.unacked_count, self.ack_at) = (0, None);
            self.outstanding.push_back((seq, data.clone(), now, 1, false));
            self.say(Flags::ACK, seq, self.next, self.free(), data);
        }
    }

    /// The application reads one piece.
    fn read(&mut self) -> Vec<u8> {
        self.queue.pop_front().unwrap_or_default()
    }

    fn close(&mut self) {
        self.time_wait = true;
        self.say(Flags::FIN, self.sent, 0, 0, vec![]);
    }
}

/// Our dialer and an April acceptor, with a constant delay and random loss between them.
struct Talk {
    end: End,
    april: April,
    rng: SeededRng,
    loss: u8,
    delay: Duration,
    flying: VecDeque<(Instant, bool, Segment, Vec<u8>)>,
    /// After so many full segments of its, one is lost.
    lose_full: Option<usize>,
    /// When it reads each packet that waits in its socket, if that is a default one and not bottomless.
    socket: Option<VecDeque<Instant>>,
    /// How long it takes for a packet.
    reading: Duration,
    /// Packets of either side.
    packets: (usize, usize),
}

impl Talk {
    fn new(isn: u32, config: &Config, loss: u8, seed: u64) -> Self {
        let end = End::connect_with(isn, config);
        let april = April::new(end.now);
        let (rng, delay) = (SeededRng::new(seed), Duration::from_millis(2));
        let flying = VecDeque::new();
        Talk {
            end,
            april,
            rng,
            loss,
            delay,
            flying,
            lose_full: None,
            socket: None,
            reading: READING,
            packets: (0, 0),
        }
    }

    /// When it reads a packet that arrives at `at`; `None` if its socket is full by then.
    fn read_at(&mut self, at: Instant) -> Option<Instant> {
        let Some(waiting) = &mut self.socket else { return Some(at) };
        while waiting.pop_front_if(|read| *read <= at).is_some() {}
        let last = waiting.back().copied().unwrap_or(at);
        let read = at.max(last) + self.reading;
        if waiting.len() == SOCKET {
            self.reading = READING / 3;
            return None;
        }
        waiting.push_back(read);
        Some(read)
    }

    fn put(&mut self, to_april: bool, segment: Segment, payload: Vec<u8>) {
        // The handshake and the end of the reference survive no loss; that is not what is tried here.
        let precious = !payload.is_empty() || segment.flags == Flags::ACK;
        if precious && (self.rng.u32() as u8) < self.loss {
            return;
        }
        if payload.len() == SEGMENT && !to_april {
            match self.lose_full {
                Some(0) => {
                    self.lose_full = None;
                    return;
                }
                count => self.lose_full = count.map(|count| count - 1),
            }
        }
        let mut at = self.end.now + self.delay;
        if to_april {
            let Some(read) = self.read_at(at) else { return };
            at = read;
        }
        let behind = self.flying.partition_point(|packet| packet.0 <= at);
        self.flying.insert(behind, (at, to_april, segment, payload));
    }

    fn step(&mut self) {
        for (segment, payload) in self.end.poll_all() {
            self.packets.0 += 1;
            self.put(true, segment, payload);
        }
        self.april.send(self.end.now);
        while let Some((segment, payload)) = self.april.out.pop_front() {
            self.packets.1 += 1;
            self.put(false, segment, payload);
        }
        let next = [
            self.flying.front().map(|packet| packet.0),
            self.end.stream.poll_timeout(),
            self.april.ack_at,
            Some(self.april.tick_at),
        ];
        self.end.now = next.into_iter().flatten().min().unwrap();
        let now = self.end.now;
        self.end.stream.handle_timeout(now, &mut self.end.memory.pool());
        self.april.timers(now);
        while let Some((_, to_april, segment, payload)) = self.flying.pop_front_if(|packet| packet.0 <= now) {
            if to_april {
                self.april.handle(now, &segment, &payload);
            } else {
                self.end.feed(segment, &payload);
            }
        }
    }

    fn run(&mut self, by: Duration) {
        let until = self.end.now + by;
        while self.end.now < until {
            self.step();
        }
    }
}

#[test]
fn everything_reaches_an_april_peer_before_the_fin() {
    for isn in ISNS {
        for loss in [0, 3, 20] {
            let mut talk = Talk::new(isn, &Config::DEFAULT, loss, 1 + u64::from(loss));
            let data = pattern(0, 400_000);
            let (mut written, mut heard) = (0, Vec::new());
            while !talk.april.time_wait {
                if written < data.len() {
                    written += talk.end.write(&data[written..]);
                } else {
                    talk.end.stream.finish(talk.end.now);
                }
                talk.step();
                heard.extend(talk.april.read());
                assert!(talk.end.now.since(START) < Duration::from_secs(120), "{:?}", talk.end.stream);
            }
            while let Some(piece) = talk.april.queue.pop_front() {
                heard.extend(piece);
            }
            assert!(heard == data, "{} of {}", heard.len(), data.len());
            // No endless FIN|ACKs: the loop needs two.
            talk.run(Duration::from_secs(1));
            let packets = talk.packets;
            talk.run(Duration::from_secs(30));
            assert_eq!((talk.packets, talk.end.stream.state()), (packets, State::Closed));
            assert_eq!(talk.end.stream.close_reason(), Some(CloseReason::Clean));
        }
    }
}

/// Its application stops reading for a while: its queue must not overflow, because it would block the whole daemon,
/// and it does not say when it reads again.
#[test]
fn a_slow_april_reader_is_neither_flooded_nor_forgotten() {
    let mut talk = Talk::new(5, &Config::DEFAULT, 0, 1);
    let data = pattern(0, 1_500_000);
    let mut written = 0;
    for _ in 0..60_000 {
        written += talk.end.write(&data[written..]);
        talk.step();
        if talk.april.queue.len() == QUEUE {
            break;
        }
    }
    assert_eq!(talk.april.queue.len(), QUEUE);
    talk.run(Duration::from_secs(200));
    assert_eq!(talk.end.stream.state(), State::Established);
    let mut heard = Vec::new();
    let woke = talk.end.now;
    while heard.len() < data.len() {
        written += talk.end.write(&data[written..]);
        talk.step();
        heard.extend(talk.april.queue.drain(..).flatten());
        assert!(talk.end.now.since(woke) < Duration::from_secs(20), "{} {:?}", heard.len(), talk.end.stream);
    }
    assert!(heard == data);
}

/// Its losses are repaired by three bare duplicates in a round trip, not by its timer.
#[test]
fn an_april_sender_repairs_its_losses_quickly() {
    let mut talk = Talk::new(7, &Config::DEFAULT, 0, 1);
    talk.run(Duration::from_millis(20));
    let data = pattern(0, 40 * SEGMENT);
    talk.april.to_send.extend(&data);
    let started = talk.end.now;
    talk.lose_full = Some(3);
    let mut heard = Vec::new();
    while heard.len() < data.len() {
        talk.step();
        heard.extend(talk.end.read_all());
    }
    assert!(heard == data);
    let took = talk.end.now.since(started);
    assert!(took < Duration::from_millis(60), "{took:?}");
}

/// Window 0 would be "no limit" to it; it is paced by held acknowledgments and the reserve instead, and survives a
/// reader that pauses.
#[test]
fn an_april_sender_survives_a_pausing_reader() {
    let config = Config { recv_buffer: 64 << 10, ..Config::DEFAULT };
    let mut talk = Talk::new(7, &config, 0, 1);
    talk.run(Duration::from_millis(20));
    let data = pattern(0, 200 * SEGMENT);
    talk.april.to_send.extend(&data);
    let mut heard = Vec::new();
    for _ in 0..20 {
        talk.run(Duration::from_secs(2));
        assert!(talk.end.stream.peek_len() <= (64 << 10) + 2 * SEGMENT);
        heard.extend(talk.end.read_all());
    }
    while heard.len() < data.len() && !talk.april.reset {
        talk.step();
        heard.extend(talk.end.read_all());
    }
    assert!(!talk.april.reset, "it lost patience");
    assert!(heard == data);
}

/// It closes while we still have something to say.
#[test]
fn an_april_peer_that_closes_is_believed() {
    let mut talk = Talk::new(7, &Config::DEFAULT, 0, 1);
    talk.run(Duration::from_millis(20));
    talk.april.to_send.extend(b"greeting");
    talk.run(Duration::from_millis(20));
    talk.april.close();
    talk.run(Duration::from_millis(20));
    assert_eq!(talk.end.read_all(), b"greeting");
    assert_eq!(talk.end.read(), Ok(None));
    assert_eq!(talk.end.stream.state(), State::CloseWait);
    talk.end.stream.finish(talk.end.now);
    talk.run(Duration::from_millis(20));
    assert_eq!(talk.end.stream.close_reason(), Some(CloseReason::Clean));
    talk.run(Duration::from_secs(20));
    assert!(talk.packets.0 + talk.packets.1 < 20, "{:?}", talk.packets);
}

/// Its socket overflows, and a copy is then answered sooner than any segment before: it does not queue, and a report is
/// never delayed. Taken for proof that no copy was needed, that left repairs to the timer, one segment each; so did new
/// data sent to find out, as it arrives behind more gaps than a report has room for. Proves STR-13.
#[test]
fn hazard_04_6_a_window_lost_in_its_socket_costs_one_timeout_at_most() {
    for isn in ISNS {
        for delay in [20, 40, 100, 500] {
            for segments in [50, 80, 120, 256] {
                let config = Config { mss: SEGMENT as u16, ..Config::DEFAULT };
                let mut talk = Talk::new(isn, &config, 0, 1);
                (talk.delay, talk.socket) = (Duration::from_micros(delay), Some(VecDeque::new()));
                talk.end.memory = Memory::new(1024, SEGMENT);
                let data = pattern(0, segments * SEGMENT);
                let (mut written, mut heard) = (0, 0);
                while heard < data.len() {
                    written += talk.end.write(&data[written..]);
                    talk.step();
                    heard += talk.april.queue.drain(..).flatten().count();
                    let took = talk.end.now.since(START);
                    assert!(
                        took < Duration::from_millis(400),
                        "{heard} bytes: {:?}",
                        talk.end.stream.stats()
                    );
                }
            }
        }
    }
}

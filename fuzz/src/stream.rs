//! Two streams against the simplest model there is: what one side reads is a prefix of what the other wrote, and all
//! of it when both ended well. The bytes decide what is written, lost, copied, held back, and how time goes.

use arbitrary::Unstructured;
use pilot_proto::{
    Instant,
    pool::{Chunk, Pool, PoolState},
    stream::{CloseReason, Config, Handled, Read, Segment, State, Stream},
    time::{Duration, earliest},
    wire::packet::Flags,
};

const MSS: usize = 128;
const CHUNKS: usize = 256;
/// Of sending and of receiving, in bytes: the least there may be.
const BUFFER: u32 = 16 << 10;
/// Bytes one side may write in a run.
const MOST: usize = 20_000;
/// Datagrams that may be under way at once, each way.
const ROOM: usize = 64;

struct End {
    stream: Option<Stream>,
    state: PoolState,
    chunks: Vec<Chunk>,
    bytes: Vec<u8>,
    written: usize,
    read: usize,
    finished: bool,
    /// The other side's count is spoilt by a SYN that took this connection's place.
    replaced: bool,
}

/// The byte at `at` of what side `side` writes.
fn byte(side: usize, at: usize) -> u8 {
    (at % 251) as u8 ^ (at / 251) as u8 ^ if side == 0 { 0 } else { 0x80 }
}

impl End {
    fn new(stream: Option<Stream>) -> Self {
        let (chunks, bytes) = (vec![Chunk::NEW; CHUNKS], vec![0; CHUNKS * MSS]);
        End {
            stream,
            state: PoolState::new(),
            chunks,
            bytes,
            written: 0,
            read: 0,
            finished: false,
            replaced: false,
        }
    }

    fn with<T>(&mut self, f: impl FnOnce(&mut Stream, &mut Pool<'_>) -> T) -> Option<T> {
        let mut pool = Pool::new(&mut self.state, &mut self.chunks, &mut self.bytes);
        Some(f(self.stream.as_mut()?, &mut pool))
    }

    fn write(&mut self, now: Instant, side: usize, len: usize) {
        let data: Vec<u8> = (self.written..MOST.min(self.written + len)).map(|at| byte(side, at)).collect();
        if self.finished || data.is_empty() {
            return;
        }
        if let Some(Ok(took)) = self.with(|stream, pool| stream.write(now, &data, pool)) {
            assert!(took <= data.len());
            self.written += took;
        }
    }

    /// Reads all there is; it must be what `other` wrote.
    fn read(&mut self, now: Instant, other: usize, written: usize, room: usize) {
        let mut buffer = vec![0; room];
        loop {
            match self.with(|stream, pool| stream.read(now, &mut buffer, pool)) {
                Some(Ok(Read::Bytes(len))) => {
                    for (at, got) in (self.read..).zip(&buffer[..len]) {
                        assert_eq!(*got, byte(other, at), "byte {at}");
                    }
                    self.read += len;
                    assert!(self.read <= written, "more arrives than was written");
                }
                Some(Ok(Read::End)) => {
                    assert_eq!(self.read, written, "the end comes after everything");
                    return;
                }
                _ => return,
            }
        }
    }
}

struct Pair {
    now: Instant,
    ends: [End; 2],
    /// What is under way to each side.
    flying: [Vec<(Segment, Vec<u8>)>; 2],
    isn: u32,
    config: Config,
}

impl Pair {
    fn flush(&mut self) {
        for side in 0..2 {
            let mut buffer = [0; 4096];
            let mut sent = 0;
            while let Some(Some((segment, len))) = {
                let now = self.now;
                self.ends[side].with(|stream, pool| stream.poll_transmit(now, pool, &mut buffer))
            } {
                sent += 1;
                assert!(sent < 10_000, "a stream that never stops sending");
                let to = &mut self.flying[1 - side];
                if to.len() < ROOM {
                    to.push((segment, buffer[..len].to_vec()));
                }
            }
        }
    }

    fn deliver(&mut self, to: usize, segment: Segment, payload: &[u8]) {
        let now = self.now;
        if self.ends[to].stream.is_none() {
            if to == 1 && segment.flags == Flags::SYN {
                self.ends[1].stream = Some(Stream::accept(now, self.isn, &segment, &self.config));
            }
            return;
        }
        let ended = self.ends[to].with(|stream, _| matches!(stream.state(), State::TimeWait | State::Closed));
        // A copy of the SYN after the end would open a new connection, which is the owner's business.
        if segment.flags == Flags::SYN && ended == Some(true) {
            return;
        }
        let handled = self.ends[to].with(|stream, pool| stream.handle_segment(now, &segment, payload, pool));
        if handled == Some(Handled::Superseded) {
            self.ends[to].replaced = true;
        }
    }

    fn timeout(&self) -> Option<Instant> {
        let due = |end: &End| end.stream.as_ref().and_then(Stream::poll_timeout);
        earliest(due(&self.ends[0]), due(&self.ends[1]))
    }

    fn go_to(&mut self, now: Instant) {
        assert!(now >= self.now);
        self.now = now;
        for end in &mut self.ends {
            end.with(|stream, pool| {
                if stream.poll_timeout().is_some_and(|at| at <= now) {
                    stream.handle_timeout(now, pool);
                }
            });
        }
    }
}

/// See the head of this file.
pub fn stream(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    let _ = run(&mut bytes);
}

fn run(bytes: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let isns = [0, (1 << 31) - 1, u32::MAX];
    let config = Config {
        mss: MSS as u16,
        recv_buffer: BUFFER,
        send_buffer: BUFFER,
        bear_random_loss: bytes.arbitrary()?,
        ..Config::DEFAULT
    };
    let start = Instant::from_millis(1000);
    let dialer = Stream::connect(start, *bytes.choose(&isns)?, &config);
    let mut pair = Pair {
        now: start,
        ends: [End::new(Some(dialer)), End::new(None)],
        flying: [Vec::new(), Vec::new()],
        isn: *bytes.choose(&isns)?,
        config,
    };
    while !bytes.is_empty() {
        step(&mut pair, bytes)?;
    }
    settle(&mut pair);
    Ok(())
}

fn step(pair: &mut Pair, bytes: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let action: u8 = bytes.arbitrary()?;
    let side = usize::from(action >> 7);
    let now = pair.now;
    match action & 15 {
        0..=2 => {
            let len = usize::from(bytes.arbitrary::<u16>()?) % 2000;
            pair.ends[side].write(now, side, len);
        }
        3 => {
            let room = 1 + usize::from(bytes.arbitrary::<u8>()?);
            let written = pair.ends[1 - side].written;
            pair.ends[side].read(now, 1 - side, written, room);
        }
        // The oldest arrives, a later one arrives first, one arrives and stays, one is lost.
        4..=8 if !pair.flying[side].is_empty() => {
            let (segment, payload) = pair.flying[side].remove(0);
            pair.deliver(side, segment, &payload);
        }
        9 | 10 if !pair.flying[side].is_empty() => {
            let at = usize::from(action >> 4 & 7) % pair.flying[side].len();
            let (segment, payload) = match action & 1 {
                0 => pair.flying[side][at].clone(),
                _ => pair.flying[side].remove(at),
            };
            pair.deliver(side, segment, &payload);
        }
        11 if !pair.flying[side].is_empty() => {
            let at = usize::from(action >> 4 & 7) % pair.flying[side].len();
            pair.flying[side].remove(at);
        }
        12 => {
            let by = Duration::from_micros(u64::from(bytes.arbitrary::<u16>()?) * 16);
            let until = now + by;
            // As a driver does it: never past a deadline.
            while let Some(due) = pair.timeout().filter(|due| *due <= until) {
                let stands = due <= pair.now;
                pair.go_to(due.max(pair.now));
                pair.flush();
                assert!(!stands || pair.timeout().is_none_or(|at| at > pair.now), "time stands still");
            }
            pair.go_to(until);
        }
        13 => {
            if let Some(due) = pair.timeout() {
                pair.go_to(due.max(now));
            }
        }
        14 if bytes.ratio(1u8, 4u8)? => {
            let done = pair.ends[side].with(|stream, _| stream.finish(now));
            pair.ends[side].finished |= done.is_some();
        }
        _ => {}
    }
    pair.flush();
    Ok(())
}

/// From here on the network is perfect: both sides finish, and whatever did not give up has everything.
fn settle(pair: &mut Pair) {
    for round in 0..20_000 {
        for side in 0..2 {
            let (now, written) = (pair.now, pair.ends[1 - side].written);
            pair.ends[side].read(now, 1 - side, written, 4096);
            let end = &mut pair.ends[side];
            let open = end
                .stream
                .as_ref()
                .is_some_and(|stream| matches!(stream.state(), State::Established | State::CloseWait));
            if open && !end.finished {
                end.finished = true;
                end.with(|stream, _| stream.finish(now));
            }
        }
        pair.flush();
        let mut idle = true;
        for side in 0..2 {
            for (segment, payload) in core::mem::take(&mut pair.flying[side]) {
                idle = false;
                pair.deliver(side, segment, &payload);
            }
        }
        pair.flush();
        if idle && pair.flying.iter().all(Vec::is_empty) {
            match pair.timeout() {
                Some(due) => pair.go_to(due.max(pair.now + Duration::from_micros(1))),
                None => break,
            }
        }
        assert!(round < 19_999, "two streams on a perfect network come to rest");
    }
    let clean = |end: &End| {
        end.stream.as_ref().is_some_and(|s| s.close_reason() == Some(CloseReason::Clean)) && !end.replaced
    };
    let (now, both) = (pair.now, pair.ends.iter().all(clean));
    for side in 0..2 {
        let written = pair.ends[1 - side].written;
        pair.ends[side].read(now, 1 - side, written, 4096);
        if both {
            assert_eq!(pair.ends[side].read, written, "both ended well, so all was read");
        }
        pair.ends[side].with(|stream, pool| {
            stream.release(pool);
            assert_eq!(pool.free(), pool.capacity(), "chunks leaked");
        });
    }
}

//! What each step costs: parsing, sealing, a stream's segment, a whole node's datagram; and whether a node's cost
//! depends on how many peers and streams it has.
//!
//! `cargo bench -p pilot-proto --features prefetch --bench cost`, or of it only what is named after `--`: keys, wire, sealing, stream,
//! recovery, peers, streams.
//!
//! Every figure is the tenth percentile of many short rounds, so that what else the machine does is left out.

#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "cost/crowd.rs"]
mod crowd;
#[path = "cost/recovery.rs"]
mod recovery;

use std::{hint::black_box, time::Instant as Clock};

use pilot_proto::{
    Addr, Instant, SockAddr,
    crypto::{Aead, AeadKey, Crypto, Ed25519Seed, RustCrypto, X25519Secret},
    pool::{Chunk, Pool, PoolState},
    rng::SeededRng,
    stream::{self, Read, Stream},
    tunnel::Tunnel,
    wire::{
        frame::{Datagram, Frame, SEALED_HEAD_LEN, SEALED_OVERHEAD, Sealed},
        packet::{Flags, HEADER_LEN, Header, Protocol},
    },
};

/// Frames handled between two looks at the clock.
const BATCH: usize = 64;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let parts: [(&str, fn()); 7] = [
        ("keys", keys),
        ("wire", wire),
        ("sealing", sealing),
        ("stream", streams),
        ("recovery", recovery::recovery),
        ("peers", crowd::peers),
        ("streams", crowd::streams),
    ];
    for (name, part) in parts {
        if named.is_empty() || named.iter().any(|wanted| wanted == name) {
            part();
        }
    }
}

/// The tenth percentile of `rounds` durations, in nanoseconds for each of `batch` things. `round` measures itself, so
/// that what it prepares does not count.
fn percentile(rounds: usize, batch: usize, mut round: impl FnMut() -> std::time::Duration) -> f64 {
    let mut times: Vec<f64> = (0..rounds).map(|_| round().as_secs_f64() * 1e9 / batch as f64).collect();
    times.sort_by(f64::total_cmp);
    times[rounds / 10]
}

fn timed(work: impl FnOnce()) -> std::time::Duration {
    let start = Clock::now();
    work();
    start.elapsed()
}

fn title(text: &str) {
    println!("\n{text}");
}

fn line(what: &str, nanos: f64, note: &str) {
    println!("  {what:<52} {nanos:>8.0} ns  {note}");
}

/// `cost` beside what it is measured against, in per cent more.
fn over(cost: f64, bare: f64) -> String {
    format!("{:+.1} %", (cost / bare - 1.0) * 100.0)
}

fn header() -> Header {
    let at = |node, port| SockAddr { addr: Addr { network: 0, node }, port };
    Header {
        flags: Flags::ACK,
        seq: 7,
        ack: 9,
        window: 128,
        ..Header::new(Protocol::Stream, at(1, 49_152), at(2, 1000))
    }
}

fn keys() {
    let tables = if cfg!(feature = "precomputed-tables") { "with" } else { "without" };
    title(&format!("keys: one operation, {tables} precomputed tables"));
    let (seed, secret) = (Ed25519Seed::from_bytes([7; 32]), X25519Secret::from_bytes([9; 32]));
    let (public, peer) = (RustCrypto.ed25519_public(&seed), RustCrypto.x25519_public(&secret));
    let message = [0x5a; 100];
    let signature = RustCrypto.ed25519_sign(&seed, &message);
    let operations: [(&str, &dyn Fn()); 4] = [
        ("X25519, public key", &|| _ = black_box(RustCrypto.x25519_public(black_box(&secret)))),
        ("X25519, shared secret", &|| _ = black_box(RustCrypto.x25519(&secret, black_box(&peer)))),
        ("Ed25519, sign", &|| _ = black_box(RustCrypto.ed25519_sign(&seed, black_box(&message)))),
        ("Ed25519, verify", &|| RustCrypto.ed25519_verify(&public, black_box(&message), &signature).unwrap()),
    ];
    for (name, operation) in operations {
        line(name, percentile(300, 4, || timed(|| (0..4).for_each(|_| operation()))), "");
    }
}

fn wire() {
    title("wire: one packet of n payload bytes, checksum included");
    for payload in [0, 1152, 4096] {
        let mut packet = vec![0x5a; HEADER_LEN + payload];
        let header = header();
        let emit = percentile(2000, BATCH, || {
            timed(|| {
                for _ in 0..BATCH {
                    header.emit(black_box(&mut packet)).unwrap();
                }
            })
        });
        line(&format!("emit, {payload} bytes"), emit, "");
        let parse = percentile(2000, BATCH, || {
            timed(|| {
                for _ in 0..BATCH {
                    black_box(Header::parse(black_box(&packet)).unwrap());
                }
            })
        });
        line(&format!("parse, {payload} bytes"), parse, "");
    }
}

/// Two tunnels with a common key.
fn tunnels(rng: &mut SeededRng) -> (Tunnel<RustCrypto>, Tunnel<RustCrypto>) {
    let now = Instant::from_millis(1);
    let (mut a, mut b) = (Tunnel::new(), Tunnel::new());
    a.want(now);
    let key = a.poll_exchange(now, &RustCrypto, rng).unwrap();
    b.handle_key(now, &key, true, &RustCrypto, rng);
    let key = b.poll_exchange(now, &RustCrypto, rng).unwrap();
    a.handle_key(now, &key, true, &RustCrypto, rng);
    (a, b)
}

fn sealing() {
    title("sealing: one frame around a packet of n bytes, against AES-256-GCM alone");
    let now = Instant::from_millis(2);
    let mut rng = SeededRng::new(1);
    let (mut a, mut b) = tunnels(&mut rng);
    let aead = RustCrypto.aead(&AeadKey::from_bytes([7; 32]));
    for len in [1400, 4096] {
        let mut frames = vec![vec![0x5a; len + SEALED_OVERHEAD]; BATCH];
        let mut tags = [[0; 16]; BATCH];
        let nonce = |i: usize| (i as u128).to_be_bytes()[4..].try_into().unwrap();
        let body = SEALED_HEAD_LEN..SEALED_HEAD_LEN + len;
        let (mut seal_bare, mut open_bare, mut seal, mut open, mut emit, mut parse) = Default::default();
        // One after the other within a round, so that all see the same machine.
        let rounds = 2000;
        let mut times = [const { Vec::new() }; 6];
        for _ in 0..rounds {
            let bare = timed(|| {
                for (i, (frame, tag)) in frames.iter_mut().zip(&mut tags).enumerate() {
                    *tag = aead.seal_in_place(&nonce(i), b"self", &mut frame[body.clone()]).unwrap();
                }
            });
            times[0].push(bare);
            let bare = timed(|| {
                for (i, (frame, tag)) in frames.iter_mut().zip(&tags).enumerate() {
                    aead.open_in_place(&nonce(i), b"self", &mut frame[body.clone()], tag).unwrap();
                }
            });
            times[1].push(bare);
            let tunnel = timed(|| {
                for frame in &mut frames {
                    black_box(a.seal(now, 1, frame, len, &RustCrypto).unwrap());
                }
            });
            times[2].push(tunnel);
            let tunnel = timed(|| {
                for frame in &mut frames {
                    let Ok(Datagram::Frame(Frame::Sealed(sealed))) = Datagram::parse(frame) else {
                        panic!("not sealed")
                    };
                    black_box(open_frame(&mut b, now, sealed));
                }
            });
            times[3].push(tunnel);
            let whole = timed(|| {
                for frame in &mut frames {
                    header().emit(&mut frame[body.clone()]).unwrap();
                    black_box(a.seal(now, 1, frame, len, &RustCrypto).unwrap());
                }
            });
            times[4].push(whole);
            let whole = timed(|| {
                for frame in &mut frames {
                    let Ok(Datagram::Frame(Frame::Sealed(sealed))) = Datagram::parse(frame) else {
                        panic!("not sealed")
                    };
                    let packet = open_frame(&mut b, now, sealed);
                    black_box(Header::parse(packet).unwrap());
                }
            });
            times[5].push(whole);
        }
        let results = [&mut seal_bare, &mut open_bare, &mut seal, &mut open, &mut emit, &mut parse];
        for (result, times) in results.into_iter().zip(times) {
            let mut times = times.into_iter();
            *result = percentile(rounds, BATCH, || times.next().unwrap());
        }
        line(&format!("AES-256-GCM alone, seal, {len} bytes"), seal_bare, "");
        line("  frame and key state", seal, &over(seal, seal_bare));
        line("  frame, key state, packet header, checksum", emit, &over(emit, seal_bare));
        line(&format!("AES-256-GCM alone, open, {len} bytes"), open_bare, "");
        line("  frame, replay window and key state", open, &over(open, open_bare));
        line("  the same, packet header, checksum", parse, &over(parse, open_bare));
    }
}

fn open_frame<'a>(tunnel: &mut Tunnel<RustCrypto>, now: Instant, sealed: Sealed<'a>) -> &'a [u8] {
    tunnel.open(now, sealed, &RustCrypto).unwrap().packet
}

/// One end of a stream with a pool of its own.
struct End {
    stream: Stream,
    state: PoolState,
    chunks: Vec<Chunk>,
    bytes: Vec<u8>,
}

impl End {
    fn new(stream: Stream) -> Self {
        End::with_chunks(stream, 256, 4096)
    }

    fn with_chunks(stream: Stream, count: usize, size: usize) -> Self {
        End { stream, state: PoolState::new(), chunks: vec![Chunk::NEW; count], bytes: vec![0; count * size] }
    }

    fn parts(&mut self) -> (&mut Stream, Pool<'_>) {
        (&mut self.stream, Pool::new(&mut self.state, &mut self.chunks, &mut self.bytes))
    }
}

fn streams() {
    title("stream: one segment of n bytes, without packet and tunnel, acknowledgments included");
    for mss in [1152, 4096] {
        let config = stream::Config { mss, ..stream::Config::default() };
        let mut now = Instant::from_millis(1);
        let mut buffer = vec![0; 4200];
        let mut a = End::new(Stream::connect(now, 1, &config));
        let (stream, mut pool) = a.parts();
        let (syn, _) = stream.poll_transmit(now, &mut pool, &mut buffer).unwrap();
        let mut b = End::new(Stream::accept(now, 2, &syn, &config));
        // Segments cross until nobody has anything to say.
        let carry = |from: &mut End, to: &mut End, now, buffer: &mut [u8]| {
            let mut count = 0;
            let (stream, mut pool) = from.parts();
            let (other, mut other_pool) = to.parts();
            while let Some((segment, len)) = stream.poll_transmit(now, &mut pool, buffer) {
                let _ = other.handle_segment(now, &segment, &buffer[..len], &mut other_pool);
                count += 1;
            }
            count
        };
        while carry(&mut b, &mut a, now, &mut buffer) + carry(&mut a, &mut b, now, &mut buffer) > 0 {}
        let data = vec![0x5a; 16 * usize::from(mss)];
        let (mut times, mut segments, mut bytes) = ([const { Vec::new() }; 4], 0, 0);
        for _ in 0..3000 {
            now = now + std::time::Duration::from_millis(20);
            let mut sent = Vec::new();
            let write = timed(|| {
                let (stream, mut pool) = a.parts();
                bytes += stream.write(now, &data, &mut pool).unwrap();
            });
            let out = timed(|| {
                let (stream, mut pool) = a.parts();
                while let Some((segment, len)) = stream.poll_transmit(now, &mut pool, &mut buffer) {
                    sent.push((segment, buffer[..len].to_vec()));
                }
            });
            let arrive = timed(|| {
                let (stream, mut pool) = b.parts();
                for (segment, payload) in &sent {
                    let _ = stream.handle_segment(now, segment, payload, &mut pool);
                    let _ = stream.poll_transmit(now, &mut pool, &mut buffer).map(|(segment, _)| {
                        let (other, mut other_pool) = a.parts();
                        other.handle_segment(now, &segment, &[], &mut other_pool)
                    });
                }
            });
            let read = timed(|| {
                let (stream, mut pool) = b.parts();
                while let Ok(Read::Bytes(n)) = stream.read(now, &mut buffer, &mut pool) {
                    black_box(n);
                }
            });
            segments += sent.len();
            while carry(&mut b, &mut a, now, &mut buffer) + carry(&mut a, &mut b, now, &mut buffer) > 0 {}
            if sent.len() == 16 {
                for (times, time) in times.iter_mut().zip([write, out, arrive, read]) {
                    times.push(time);
                }
            }
            for end in [&mut a, &mut b] {
                if end.stream.poll_timeout().is_some_and(|at| at <= now) {
                    let (stream, mut pool) = end.parts();
                    stream.handle_timeout(now, &mut pool);
                }
            }
        }
        assert!(segments > 0 && bytes > 0);
        let full = times[0].len();
        assert!(full > 1000, "{full} rounds of 16 segments");
        let mut results = times.map(|times| {
            let mut times = times.into_iter();
            percentile(full, 16, || times.next().unwrap())
        });
        let names = ["write", "poll_transmit", "handle_segment, and the ACK there and back", "read"];
        for (name, nanos) in names.iter().zip(&mut results) {
            line(&format!("{name}, {mss} bytes"), *nanos, "");
        }
    }
}

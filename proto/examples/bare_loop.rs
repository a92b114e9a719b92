//! A node in a bare `loop {}` with a UDP socket of the standard library. Two of them, a thread each, echo a line:
//!
//! `cargo run -p pilot-proto --example bare_loop`
//!
//! Where peers are is asked as an event; here both sides simply know. A real program asks a registry.

use std::{io, net::SocketAddr, net::UdpSocket, thread, time::Duration};

use pilot_proto::crypto::{Ed25519Seed, Identity, RustCrypto};
use pilot_proto::trust::{Intent, Pending, Seen, Trusted};
use pilot_proto::{Addr, Instant, node::*, parts_of, pool::Chunk, rng::SeededRng, stream::Read};
use pilot_proto::{table::words_for, timers::TimerSlot};

const PORT: u16 = 1000;

/// What the node works in: four peers, four streams, 64 KiB of stream data.
#[rustfmt::skip]
struct Room {
    peers: [PeerSlot<RustCrypto>; 4], peer_index: [u32; words_for(4)], peer_lists: [u32; PEER_LISTS * 4],
    streams: [StreamSlot; 4], stream_index: [u32; words_for(4)], stream_lists: [u32; STREAM_LISTS * 4],
    timer_heap: [u32; 8], timers: [TimerSlot; 8], chunks: [Chunk; 64], bytes: [u8; 64 * 1024],
    packets: [u8; 1536], datagrams: [u8; 1536], listeners: [Listener; 4], notices: [Notice; 16],
    trusted: [Trusted; 4], pending: [Pending; 2], intents: [Intent; 2], seen: [Seen; 8],
}

impl Memory<RustCrypto> for Box<Room> {
    fn parts(&mut self) -> Parts<'_, RustCrypto> {
        parts_of!(self)
    }
}

#[rustfmt::skip]
fn room() -> Box<Room> {
    Box::new(Room {
        peers: [const { PeerSlot::new() }; 4], peer_index: [0; _], peer_lists: [0; _],
        streams: [const { StreamSlot::new() }; 4], stream_index: [0; _], stream_lists: [0; _],
        timer_heap: [0; _], timers: [TimerSlot::UNSET; _], chunks: [Chunk::NEW; _], bytes: [0; _],
        packets: [0; _], datagrams: [0; _], listeners: [Listener::EMPTY; _], notices: [const { Notice::EMPTY }; 16],
        trusted: [Trusted::EMPTY; _], pending: [const { Pending::EMPTY }; 2],
        intents: [const { Intent::EMPTY }; 2], seen: [Seen::EMPTY; _],
    })
}

fn identity(id: u32) -> Identity {
    Identity::new(id, Ed25519Seed::from_bytes([id as u8; 32]), &RustCrypto)
}

/// Node `id`, whose one peer is `other`. Node 1 dials and says `words`, node 2 sends back what it hears.
#[expect(clippy::disallowed_methods, reason = "a driver reads the clock")]
fn run(id: u32, socket: &UdpSocket, other: (u32, SocketAddr), words: &[u8]) -> io::Result<()> {
    let start = std::time::Instant::now();
    let now = || Instant::from_micros(start.elapsed().as_micros() as u64);
    let config = Config { public: true, ..Config::default() };
    let rng = SeededRng::new(u64::from(std::process::id() ^ id));
    let mut node = Node::new(config, identity(id), room(), RustCrypto, rng);
    let mut stream: Option<StreamId> = None;
    let (mut heard, mut buffer) = (Vec::new(), vec![0; 65_536]);
    match id {
        1 => stream = node.connect(now(), Addr::backbone(other.0), PORT).ok(),
        _ => drop(node.listen(PORT)),
    }
    loop {
        while let Some(event) = node.poll_event(now()) {
            let (node_id, key, candidates) = (other.0, Some(*identity(other.0).public()), &[other.1]);
            let located = Answer::Located { node: node_id, candidates, key, relay_only: false };
            match event {
                Event::Ask(Question::Locate { .. }) => node.handle_answer(now(), located),
                Event::Ask(Question::Key { .. }) => {
                    node.handle_answer(now(), Answer::Key { node: node_id, key })
                }
                Event::Ask(Question::MayTalk { node: who }) => {
                    node.handle_answer(now(), Answer::MayTalk { node: who, allowed: true });
                }
                Event::Incoming { stream: new, .. } => stream = Some(new),
                Event::Connected { stream } => drop(node.write(now(), stream, words)),
                Event::Closed { reason, .. } => {
                    println!("node {id}: heard {:?}, {reason}", String::from_utf8_lossy(&heard));
                    return Ok(());
                }
                _ => {}
            }
        }
        while let Some(open) = stream
            && let Ok(read @ (Read::Bytes(_) | Read::End)) = node.read(now(), open, &mut buffer)
        {
            let Read::Bytes(n) = read else {
                let _ = node.finish(now(), open);
                break;
            };
            heard.extend_from_slice(&buffer[..n]);
            // Node 1 has its answer; node 2 says it again.
            let _ = if id == 1 {
                node.finish(now(), open)
            } else {
                node.write(now(), open, &buffer[..n]).map(drop)
            };
        }
        while let Some(sent) = node.poll_transmit(now(), &mut buffer) {
            for datagram in buffer[..sent.len].chunks(sent.segment_size.unwrap_or(sent.len)) {
                socket.send_to(datagram, sent.to)?;
            }
        }
        let wait = node.poll_timeout().map_or(Duration::from_secs(1), |at| at.since(now()));
        socket.set_read_timeout(Some(wait.max(Duration::from_micros(100))))?;
        if let Ok((len, from)) = socket.recv_from(&mut buffer) {
            node.handle_datagram(now(), from, &mut buffer[..len]);
        }
        node.handle_timeout(now());
    }
}

fn main() -> io::Result<()> {
    let (a, b) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    let (to_a, to_b) = (a.local_addr()?, b.local_addr()?);
    let server = thread::spawn(move || run(2, &b, (1, to_a), b""));
    run(1, &a, (2, to_b), b"hello in a bare loop")?;
    server.join().expect("the server's thread")
}

//! More than a daemon can use: half-open streams, strangers' key exchanges, local programs, datagrams, trust requests.
//! It must hold bounded memory and serve the others.

use super::super::bench::{Bench, DATAGRAMS, ECHO};
use super::super::case::{Case, Cases, Grade, Level, Setup};
use super::super::client::Client;
use super::super::memory;
use super::super::peer::{Conn, Heard, PATIENCE, Peer, secret};
use super::super::rendezvous::Record;
use super::super::trusting::now;
use super::super::wire::{ACK, CONTROL, RST, STREAM, SYN, anonymous, exchange};
use ed25519_dalek::SigningKey;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("load", Setup::Public);
    streams(&mut cases);
    strangers(&mut cases);
    datagrams(&mut cases);
    programs(&mut cases);
    let mut private = Cases::new("load", Setup::Private);
    trust(&mut private);
    cases.all.extend(private.all);
    cases.all
}

/// Runs `flood`, with the control between its rounds; afterwards the target may hold at most `most` KiB more.
fn bounded(
    bench: &mut Bench<'_>,
    most: u64,
    rounds: u32,
    mut flood: impl FnMut(&mut Bench<'_>, u32) -> Result<(), String>,
) -> Result<(), String> {
    bench.control()?;
    let pid = bench.target.pid()?;
    let before = memory::resident(pid);
    for round in 0..rounds {
        flood(bench, round)?;
        bench.control()?;
    }
    memory::grew_at_most(pid, before, most)
}

fn count(peer: &mut Peer, counts: impl Fn(&Heard) -> bool) -> Result<usize, String> {
    Ok(peer.drain()?.iter().filter(|heard| counts(heard)).count())
}

fn streams(cases: &mut Cases) {
    cases.must(
        "syn/half-open",
        "LIM-2",
        "five thousand streams that nobody completes cost bounded memory, and others connect",
        |bench| {
            let mut peer = bench.friend()?;
            bounded(bench, 12 << 10, 10, |_, round| {
                for number in 0..500 {
                    let port = 2000 + (round * 500 + number) as u16;
                    let syn = peer.segment(port, ECHO, SYN).numbers(1, 0, 512);
                    peer.send(&syn)?;
                }
                peer.drain().map(drop)
            })?;
            let mut other = bench.friend()?;
            let mut conn = other.connect(40_000, ECHO, 9)?;
            other.echo(&mut conn, b"room for me")
        },
    );
    cases.must(
        "syn/answers-bounded",
        "LIM-2",
        "a flood of two thousand SYNs is not answered one for one or worse",
        |bench| {
            let mut peer = bench.friend()?;
            let mut answers = 0;
            for number in 0..2000_u16 {
                let syn = peer.segment(2000 + number, ECHO, SYN).numbers(1, 0, 512);
                peer.send(&syn)?;
                // Neither socket may overflow, or answers are lost that were given.
                if number % 50 == 49 {
                    bench.pass(Duration::from_millis(5))?;
                    answers += count(&mut peer, |heard| heard.is(STREAM))?;
                }
            }
            bench.control()?;
            answers += count(&mut peer, |heard| heard.is(STREAM))?;
            if answers <= 1500 { Ok(()) } else { Err(format!("{answers} answers to 2000")) }
        },
    );
    cases.must("syn/closed-port", "LIM-2", "nor is one to a port where nobody listens", |bench| {
        let mut peer = bench.friend()?;
        for number in 0..2000_u16 {
            let syn = peer.segment(2000 + number, 9_999, SYN).numbers(1, 0, 512);
            peer.send(&syn)?;
        }
        bench.control()?;
        let answers = count(&mut peer, |heard| heard.is(STREAM))?;
        if answers <= 2000 { Ok(()) } else { Err(format!("{answers} answers to 2000")) }
    });
    cases.must(
        "stream/data-nobody-reads",
        "LIM-2",
        "data beyond the window is not kept: a program that does not read costs bounded memory",
        |bench| {
            let (_client, _, mut peer, conn) = bench.pair(7)?;
            bounded(bench, 6 << 10, 10, |_, round| {
                for number in 0..400_u32 {
                    let at = conn.next.wrapping_add((round * 400 + number) * 4000);
                    let segment =
                        conn.packet(&peer, ACK).numbers(at, conn.expected, 512).payload(vec![7; 4000]);
                    peer.send(&segment)?;
                }
                peer.drain().map(drop)
            })
        },
    );
    cases.must("stream/islands", "LIM-2", "data with holes in it is kept up to a bound only", |bench| {
        let (_client, _, mut peer, conn) = bench.pair(7)?;
        bounded(bench, 8 << 10, 10, |_, round| {
            for number in 0..400_u32 {
                let at = conn.next.wrapping_add(10 + (round * 400 + number) * 50);
                let segment = conn.packet(&peer, ACK).numbers(at, conn.expected, 512).payload(vec![7; 20]);
                peer.send(&segment)?;
            }
            peer.drain().map(drop)
        })
    });
    cases.must(
        "stream/many",
        "LIM-2",
        "sixty streams of one peer at the same time all carry data",
        |bench| {
            let mut peer = bench.friend()?;
            let mut streams: Vec<Conn> = Vec::new();
            for number in 0..60_u16 {
                streams.push(peer.connect(30_000 + number, ECHO, 11)?);
            }
            for (number, stream) in streams.iter_mut().enumerate() {
                peer.echo(stream, format!("stream {number}").as_bytes())?;
            }
            Ok(())
        },
    );
    cases.must(
        "stream/resets",
        "LIM-2",
        "a thousand streams opened and reset leave room for the next",
        |bench| {
            let mut peer = bench.friend()?;
            bounded(bench, 8 << 10, 10, |_, round| {
                for number in 0..100 {
                    let port = 2000 + (round * 100 + number) as u16;
                    let (syn, rst) = (
                        peer.segment(port, ECHO, SYN).numbers(1, 0, 512),
                        peer.segment(port, ECHO, RST).numbers(2, 0, 0),
                    );
                    peer.send(&syn)?;
                    peer.send(&rst)?;
                }
                peer.drain().map(drop)
            })?;
            let mut other = bench.friend()?;
            let mut conn = other.connect(40_000, ECHO, 9)?;
            other.echo(&mut conn, b"room for me")
        },
    );
}

fn strangers(cases: &mut Cases) {
    cases.must(
        "exchange/unknown-nodes",
        "TUN-9",
        "four thousand key exchanges of nodes nobody knows cost bounded memory; the registry is not asked for each at once",
        |bench| {
            let stranger = bench.stranger()?;
            let since = bench.rendezvous.mark();
            bounded(bench, 16 << 10, 8, |_, round| {
                for number in 0..500 {
                    let node = 3_000_000 + round * 500 + number;
                    let identity = SigningKey::from_bytes(&secret("flood", node, 0));
                    stranger.send_frame(&exchange(node, &secret("flood key", node, 0), &identity))?;
                }
                Ok(())
            })?;
            let asked = bench.rendezvous.count(since, "lookup");
            if asked > 2500 {
                return Err(format!("the registry was asked {asked} times"));
            }
            bench.friend().map(drop)
        },
    );
    cases.must(
        "exchange/anonymous",
        "TUN-10",
        "nor do four thousand anonymous ones, and hardly any is answered",
        |bench| {
            let mut stranger = bench.stranger()?;
            bounded(bench, 16 << 10, 8, |_, round| {
                for number in 0..500 {
                    let node = 4_000_000 + round * 500 + number;
                    stranger.send_frame(&anonymous(node, &secret("flood key", node, 0)))?;
                }
                Ok(())
            })?;
            let answers = count(&mut stranger, |heard| matches!(heard, Heard::Exchange { .. }))?;
            if answers > 400 {
                return Err(format!("{answers} answers to one address"));
            }
            bench.friend().map(drop)
        },
    );
    cases.must(
        "exchange/forged",
        "TUN-9",
        "two thousand forged exchanges in a known node's name do not keep it out",
        |bench| {
            let mut victim = bench.peer()?;
            let forger = bench.stranger()?;
            let node = victim.node;
            bounded(bench, 16 << 10, 4, |_, round| {
                for number in 0..500 {
                    let key = secret("forged key", node, round * 500 + number);
                    forger.send_frame(&exchange(node, &key, &forger.identity))?;
                }
                Ok(())
            })?;
            victim.meet()?;
            victim.ping(1).map(drop)
        },
    );
    cases.must(
        "exchange/fresh-keys",
        "TUN-11",
        "two thousand exchanges of one peer with a fresh key each cost bounded memory and keep its tunnel",
        |bench| {
            let mut peer = bench.friend()?;
            let (node, identity) = (peer.node, peer.identity.clone());
            bounded(bench, 16 << 10, 4, |_, round| {
                for number in 0..500 {
                    let key = secret("fresh", node, round * 500 + number);
                    peer.send_frame(&exchange(node, &key, &identity))?;
                }
                // Its answers are for keys that this peer does not keep.
                Ok(())
            })?;
            peer.drain()?;
            peer.fresh_key();
            peer.meet()?;
            peer.ping(1).map(drop)
        },
    );
    cases.must(
        "sealed/unknown-nodes",
        "TUN-12",
        "four thousand sealed frames of unknown nodes cost bounded memory and few answers",
        |bench| {
            let mut stranger = bench.stranger()?;
            bounded(bench, 16 << 10, 8, |_, round| {
                for number in 0..500_u32 {
                    let node: u32 = 5_000_000 + round * 500 + number;
                    let frame = [&b"PILS"[..], &node.to_be_bytes(), &[3; 12], &[7; 60]].concat();
                    stranger.send_frame(&frame)?;
                }
                Ok(())
            })?;
            let answers = count(&mut stranger, |_| true)?;
            if answers <= 400 { Ok(()) } else { Err(format!("{answers} answers to one address")) }
        },
    );
    cases.must("dial/nobody-answers", "TUN-15", "three hundred dials to nodes that do not answer cost bounded memory and keep no other from being dialled", |bench| {
        let mut client = bench.client()?;
        let mut silent = Vec::new();
        bounded(bench, 8 << 10, 6, |bench, _| {
            for _ in 0..50 {
                let peer = bench.peer()?;
                client.dial(peer.node, 80)?;
                silent.push(peer);
            }
            Ok(())
        })?;
        let mut other = bench.client()?;
        let mut peer = bench.peer()?;
        other.dial(peer.node, 80)?;
        let limit = Duration::from_secs(10);
        let syn = peer.expect_within(limit, "SYN", |p| p.is(SYN) && p.destination_port == 80)?;
        let answer =
            peer.segment(80, syn.source_port, SYN | ACK).numbers(5, syn.sequence.wrapping_add(1), 512);
        peer.send(&answer)?;
        other.dialled(limit).map(drop)
    });
}

fn datagrams(cases: &mut Cases) {
    cases.must(
        "datagram/large-garbage",
        "TUN-1",
        "datagrams of 65507 bytes that are nothing are dropped",
        |bench| {
            let stranger = bench.stranger()?;
            bounded(bench, 4 << 10, 5, |_, round| {
                for number in 0..40 {
                    stranger.send_frame(&vec![(round * 40 + number) as u8; 65_507])?;
                }
                Ok(())
            })
        },
    );
    cases.must(
        "datagram/large",
        "PKT-11",
        "the largest datagram that UDP carries is delivered whole",
        |bench| {
            let mut client = bench.datagram_client()?;
            let mut peer = bench.friend()?;
            // UDP less seal and header.
            let payload: Vec<u8> = (0..65_507 - 36 - 34_usize).map(|i| (i * 13 + i / 256) as u8).collect();
            let packet = Bench::datagram(&peer, &payload);
            peer.send(&packet)?;
            client.datagram(PATIENCE, |got| got == payload).map(drop)
        },
    );
    cases.must(
        "datagram/nobody-reads",
        "LIM-5",
        "a local program that does not take its datagrams costs bounded memory, and others get theirs",
        |bench| {
            let mut lazy = bench.client()?;
            lazy.bind(DATAGRAMS + 1)?;
            let mut peer = bench.friend()?;
            bounded(bench, 3 << 10, 6, |_, _| {
                for _ in 0..25 {
                    let packet = peer
                        .packet(super::super::wire::DATAGRAM)
                        .ports(700, DATAGRAMS + 1)
                        .payload(vec![7; 30_000]);
                    peer.send(&packet)?;
                }
                Ok(())
            })?;
            let mut client = bench.datagram_client()?;
            let mark = Bench::datagram(&peer, b"for who reads");
            peer.send(&mark)?;
            client.datagram(PATIENCE, |got| got == b"for who reads").map(drop)
        },
    );
    cases.must(
        "datagram/ping-flood",
        "LIM-2",
        "three thousand pings cost neither memory nor as many answers",
        |bench| {
            let mut peer = bench.friend()?;
            let mut answers = 0;
            bounded(bench, 2 << 10, 6, |bench, round| {
                for number in 0..500 {
                    let ping = peer
                        .packet(CONTROL)
                        .ports(9, 0)
                        .numbers(round * 500 + number, 0, 0)
                        .payload(vec![1; 1000]);
                    peer.send(&ping)?;
                    // Neither socket may overflow, or answers are lost that were given.
                    if number % 25 == 24 {
                        bench.pass(Duration::from_millis(3))?;
                        answers += count(&mut peer, |heard| heard.is(CONTROL))?;
                    }
                }
                Ok(())
            })?;
            answers += count(&mut peer, |heard| heard.is(CONTROL))?;
            if answers <= 1000 { Ok(()) } else { Err(format!("{answers} answers to 3000")) }
        },
    );
}

/// A request for Info, as it is on the local socket.
const INFO: [u8; 5] = [0, 0, 0, 1, 0x0D];

/// A local program that has just come is answered within a second.
fn soon(bench: &mut Bench<'_>) -> Result<(), String> {
    bench.client()?.ask_within(Duration::from_secs(1), 0x21, &[]).map(drop)
}

fn programs(cases: &mut Cases) {
    cases.must(
        "ipc/two-hundred-programs",
        "LIM-5",
        "two hundred local programs are all answered, and leave nothing behind",
        |bench| {
            bench.control()?;
            let pid = bench.target.pid()?;
            let open = memory::descriptors(pid);
            let mut clients: Vec<Client> = (0..200).map(|_| bench.client()).collect::<Result<_, _>>()?;
            for (number, client) in clients.iter_mut().enumerate() {
                client.ask_ok(0x21, &[]).map_err(|why| format!("program {number}: {why}"))?;
            }
            bench.control()?;
            drop(clients);
            bench.client()?.ask_ok(0x21, &[])?;
            let Some(open) = open else { return Ok(()) };
            bench
                .until(PATIENCE, "descriptors as before", || {
                    memory::descriptors(pid).filter(|now| *now <= open + 4)
                })
                .map(drop)
        },
    );
    cases.must(
        "ipc/come-and-go",
        "LIM-5",
        "twelve hundred programs that connect and leave cost nothing that stays, and the next is answered",
        |bench| {
            bounded(bench, 8 << 10, 12, |bench, round| {
                for number in 0..100_u32 {
                    let mut client = bench.client()?;
                    match (round + number) % 3 {
                        0 => {}
                        1 => client.send_raw(&[0, 0])?,
                        _ => client.send(0x21, &[])?,
                    }
                }
                Ok(())
            })?;
            bench.client()?.ask_ok(0x21, &[]).map(drop)
        },
    );
    cases.must(
        "ipc/half-messages",
        "LIM-5",
        "programs that send almost the longest message and wait hold up nobody, and their memory comes back",
        |bench| {
            bench.control()?;
            let pid = bench.target.pid()?;
            let before = memory::resident(pid);
            let mut half = Vec::new();
            for _ in 0..16 {
                let mut client = bench.client()?;
                client.send_raw(&(1_u32 << 20).to_be_bytes())?;
                client.send_raw(&vec![6; (1 << 20) - 1])?;
                half.push(client);
            }
            bench.control()?;
            bench.client()?.ask_ok(0x21, &[])?;
            // Each may be held twice while it grows.
            memory::grew_at_most(pid, before, 2 * 16 * 1024 + (8 << 10))?;
            drop(half);
            bench.client()?.ask_ok(0x21, &[]).map(drop)
        },
    );
    cases.must(
        "ipc/answers-not-read",
        "IPC-8",
        "a program that asks a hundred thousand times and takes no answer is not read further, costs bounded memory, \
         holds up nobody, and gets its answers when it reads again",
        |bench| {
            let mut silent = bench.client()?;
            bench.control()?;
            let pid = bench.target.pid()?;
            let before = memory::resident(pid);
            let all = INFO.repeat(100_000);
            let taken = silent.send_while_taken(&all, Duration::from_millis(700))?;
            soon(bench)?;
            bench.control()?;
            memory::grew_at_most(pid, before, 8 << 10)?;
            if taken == all.len() {
                return Err(format!("all {taken} bytes were taken though nothing was read"));
            }
            for number in 0..2000 {
                silent.expect(PATIENCE, &format!("answer {number}"), |m| m.0 == 0x0E)?;
            }
            soon(bench)
        },
    );
    cases.must(
        "ipc/asked-by-thirty",
        "IPC-8",
        "thirty programs that ask without end, read nothing, and then leave all at once keep no other waiting for a second",
        |bench| {
            let all = INFO.repeat(100_000);
            let mut programs: Vec<Client> = (0..30).map(|_| bench.client()).collect::<Result<_, _>>()?;
            for program in &mut programs {
                program.send_while_taken(&all, Duration::from_millis(1))?;
            }
            soon(bench)?;
            bench.control()?;
            drop(programs);
            soon(bench)
        },
    );
    cases.graded(
        Level::Should,
        "ipc/write-without-end",
        "LIM-5",
        "a program that writes to a peer that takes nothing is slowed down, not kept in memory",
        |bench| {
            let (mut client, id, _peer, _) = bench.pair(5)?;
            bench.control()?;
            let pid = bench.target.pid()?;
            let before = memory::resident(pid);
            let payload = [&id.to_be_bytes()[..], &[7; 60_000]].concat();
            let message = [&(payload.len() as u32 + 1).to_be_bytes()[..], &[0x06], &payload].concat();
            let all = message.repeat(600);
            let taken = client.send_while_taken(&all, Duration::from_millis(700))?;
            bench.control()?;
            memory::grew_at_most(pid, before, 24 << 10)?;
            Ok(if taken < all.len() {
                Grade::Strict
            } else {
                Grade::Allowed("all 36 MB were taken and dropped or kept elsewhere".into())
            })
        },
    );
}

fn trust(cases: &mut Cases) {
    cases.must(
        "trust/requests-of-many",
        "LIM-4",
        "of four hundred relayed trust requests at most 256 wait, and memory is bounded",
        |bench| {
            bench.control()?;
            let pid = bench.target.pid()?;
            let before = memory::resident(pid);
            let target = bench.target.address(&bench.rendezvous)?;
            for round in 0..4 {
                for number in 0..100_u32 {
                    let node = 6_000_000 + round * 100 + number;
                    let record = Record {
                        key: SigningKey::from_bytes(&secret("asker", node, 0)).verifying_key().to_bytes(),
                        address: "127.0.0.1:9".into(),
                        hostname: String::new(),
                        public: false,
                        relay_only: false,
                    };
                    bench.rendezvous.register(node, record);
                    bench.rendezvous.relay_request(node, &"please ".repeat(60), now());
                }
                bench.rendezvous.beacon_send(target, &[0x0A, 1])?;
                bench.until(Duration::from_secs(10), "the inbox is polled", || {
                    bench.rendezvous.inbox_is_empty().then_some(())
                })?;
                bench.control()?;
            }
            let pending = bench.client()?.ask_json(0x0F, &[4])?;
            let count = pending["pending"].as_array().map_or(0, Vec::len);
            memory::grew_at_most(pid, before, 24 << 10)?;
            match count {
                0 => Err("none waits".into()),
                1..=256 => Ok(()),
                many => Err(format!("{many} wait")),
            }
        },
    );
    cases.must(
        "trust/gate-flood",
        "TRU-5",
        "two thousand SYNs of a node nobody trusts open nothing and cost bounded memory",
        |bench| {
            let mut peer = bench.untrusted()?;
            peer.meet()?;
            bounded(bench, 8 << 10, 4, |_, round| {
                for number in 0..500 {
                    let syn =
                        peer.segment(2000 + (round * 500 + number) as u16, ECHO, SYN).numbers(1, 0, 512);
                    peer.send(&syn)?;
                }
                Ok(())
            })?;
            match count(&mut peer, |heard| {
                heard.packet().is_some_and(|p| p.protocol == STREAM && p.has(SYN | ACK))
            })? {
                0 => Ok(()),
                many => Err(format!("{many} streams opened")),
            }
        },
    );
}

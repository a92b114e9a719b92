//! Streams: each state against each event, then opening, data, loss, windows, SACK, closing, limits.

use super::super::bench::{Bench, ECHO, is_stream};
use super::super::case::{Case, Cases, Grade, Level, Setup};
use super::super::client::Client;
use super::super::peer::{Conn, Heard, PATIENCE, Peer};
use super::super::wire::{ACK, FIN, Packet, RST, STREAM, SYN, sack};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Initial numbers that must not matter.
const ISNS: [u32; 4] = [0, 1, 0x7FFF_FFFF, 0xFFFF_FFFF];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("stream", Setup::Public);
    states(&mut cases);
    opening(&mut cases);
    data(&mut cases);
    loss(&mut cases);
    windows(&mut cases);
    closing(&mut cases);
    cases.all
}

// States against events --------------------------------------------------------------------------------------------

/// A state the target's end is brought into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing: nobody listens on the port.
    Closed,
    /// It listens; the peer has not spoken.
    Listen,
    /// It has answered our SYN.
    SynReceived,
    /// It has dialled; we have not answered.
    SynSent,
    Established,
    /// It has sent FIN; we have not answered.
    FinWait,
    /// We have sent FIN; its program has not closed.
    CloseWait,
    /// Both have closed.
    Closing,
}

const STATES: [(State, &str); 8] = [
    (State::Closed, "closed"),
    (State::Listen, "listen"),
    (State::SynReceived, "syn-received"),
    (State::SynSent, "syn-sent"),
    (State::Established, "established"),
    (State::FinWait, "fin-wait"),
    (State::CloseWait, "close-wait"),
    (State::Closing, "closed-by-both"),
];

/// The two ends of a stream brought into a state.
struct Stage {
    peer: Peer,
    conn: Conn,
    client: Option<(Client, u32)>,
}

fn stage(bench: &mut Bench<'_>, state: State) -> Result<Stage, String> {
    let fresh = |bench: &mut Bench<'_>, port: u16| -> Result<Stage, String> {
        let peer = bench.friend()?;
        let conn = Conn { local: 40_000, remote: port, next: 500, expected: 0, window: 512, peer_isn: 0 };
        Ok(Stage { peer, conn, client: None })
    };
    match state {
        State::Closed => fresh(bench, 9_999),
        State::Listen => fresh(bench, ECHO),
        State::SynReceived => {
            let mut stage = fresh(bench, ECHO)?;
            stage.peer.send(&stage.conn.packet(&stage.peer, SYN))?;
            let conn = stage.conn;
            let answer = stage.peer.expect("SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK))?;
            stage.conn.next += 1;
            stage.conn.peer_isn = answer.sequence;
            stage.conn.expected = answer.sequence.wrapping_add(1);
            Ok(stage)
        }
        State::SynSent => {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            client.dial(peer.node, 80)?;
            let conn = peer.await_syn(80, 500)?;
            Ok(Stage { peer, conn, client: Some((client, 0)) })
        }
        State::Established => {
            let (client, id, peer, conn) = bench.pair(500)?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
        State::FinWait => {
            let (mut client, id, mut peer, conn) = bench.pair(500)?;
            client.close(id)?;
            peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
        State::CloseWait => {
            let (client, id, mut peer, conn) = bench.pair(500)?;
            peer.send(&conn.packet(&peer, FIN))?;
            peer.expect("answer to FIN", |p| conn.is_for(p) && p.has(ACK))?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
        State::Closing => {
            let (mut client, id, mut peer, conn) = bench.pair(500)?;
            client.close(id)?;
            peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
            peer.send(&conn.packet(&peer, FIN | ACK))?;
            peer.send(&conn.packet(&peer, FIN))?;
            bench.control()?;
            peer.drain()?;
            Ok(Stage { peer, conn, client: Some((client, id)) })
        }
    }
}

/// Something that arrives.
type Event = (&'static str, fn(&Stage) -> Packet);

const EVENTS: [Event; 14] = [
    ("no-flag", |s| s.conn.packet(&s.peer, 0)),
    ("no-flag-with-data", |s| s.conn.packet(&s.peer, 0).payload(*b"silent data")),
    ("ack", |s| s.conn.packet(&s.peer, ACK)),
    ("ack-of-the-future", |s| {
        s.conn.packet(&s.peer, ACK).numbers(s.conn.next, s.conn.expected.wrapping_add(100_000), 512)
    }),
    ("ack-of-the-past", |s| {
        s.conn.packet(&s.peer, ACK).numbers(s.conn.next, s.conn.expected.wrapping_sub(100_000), 512)
    }),
    ("data-of-the-past", |s| {
        s.conn
            .packet(&s.peer, ACK)
            .numbers(s.conn.next.wrapping_sub(50), s.conn.expected, 512)
            .payload([b'p'; 50])
    }),
    ("data-far-ahead", |s| {
        s.conn
            .packet(&s.peer, ACK)
            .numbers(s.conn.next.wrapping_add(0x4000_0000), s.conn.expected, 512)
            .payload(*b"far")
    }),
    ("syn-ack-of-nothing", |s| {
        s.conn.packet(&s.peer, SYN | ACK).numbers(77, s.conn.expected.wrapping_add(4711), 512)
    }),
    ("fin-ack", |s| s.conn.packet(&s.peer, FIN | ACK)),
    ("fin-ahead-of-data", |s| {
        s.conn.packet(&s.peer, FIN).numbers(s.conn.next.wrapping_add(10), s.conn.expected, 512)
    }),
    ("all-flags", |s| s.conn.packet(&s.peer, 15)),
    ("sack-lie", |s| {
        s.conn
            .packet(&s.peer, ACK)
            .payload(sack(&[(s.conn.expected.wrapping_add(5000), s.conn.expected.wrapping_add(9000))]))
    }),
    ("sack-malformed", |s| s.conn.packet(&s.peer, ACK).payload(*b"SACK\x09")),
    ("rst", |s| s.conn.packet(&s.peer, RST)),
];

/// Packets in answer to one event must be few, or two such ends would never be silent.
const MOST_ANSWERS: usize = 4;

fn states(cases: &mut Cases) {
    for (state, state_name) in STATES {
        for (event_name, event) in EVENTS {
            cases.must(
                &format!("state/{state_name}/{event_name}"),
                "STR-1",
                "whatever arrives in whatever state, the answer is short, no data is made up, and the target goes on",
                move |bench| one_event(bench, state, event_name, event),
            );
        }
    }
}

fn one_event(
    bench: &mut Bench<'_>,
    state: State,
    name: &str,
    event: fn(&Stage) -> Packet,
) -> Result<(), String> {
    let mut stage = stage(bench, state)?;
    let packet = event(&stage);
    for _ in 0..3 {
        stage.peer.send(&packet)?;
    }
    bench.control()?;
    let conn = stage.conn;
    let answers: Vec<Packet> = stage
        .peer
        .drain()?
        .into_iter()
        .filter_map(|heard| match heard {
            Heard::Packet { packet, .. } if conn.is_for(&packet) => Some(packet),
            _ => None,
        })
        .collect();
    if answers.len() > 3 * MOST_ANSWERS {
        return Err(format!("{} packets in answer to three", answers.len()));
    }
    // What only begins like a SACK list is data (STR-12), and an echo service sends it back.
    let may_be_data = name.starts_with("sack");
    if let Some(data) = answers
        .iter()
        .filter(|_| !may_be_data)
        .find(|p| !p.payload.is_empty() && !p.payload.starts_with(b"SACK") && p.payload.len() > 1)
    {
        return Err(format!("data nobody wrote: {}", data.describe()));
    }
    match state {
        State::Closed | State::Listen => {
            let opens = name == "all-flags";
            match answers.iter().find(|p| p.has(SYN | ACK)) {
                Some(answer) if !opens => Err(format!("a stream opened: {}", answer.describe())),
                _ => Ok(()),
            }
        }
        State::Established if may_be_data => Ok(()),
        State::Established
            if name != "rst" && name != "all-flags" && name != "fin-ack" && name != "fin-ahead-of-data" =>
        {
            // The stream stands: bytes go both ways as if nothing had come.
            let Some((client, id)) = &mut stage.client else { return Ok(()) };
            stage.peer.write(&mut stage.conn, b"inwards")?;
            let got = client.read_bytes(*id, 7)?;
            if got != b"inwards" {
                return Err(format!("the program read {got:?}"));
            }
            client.write(*id, b"outwards")?;
            match stage.peer.read(&mut stage.conn, 8)? {
                bytes if bytes == b"outwards" => Ok(()),
                bytes => Err(format!("the peer read {bytes:?}")),
            }
        }
        State::Established if name == "rst" => {
            let Some((client, id)) = &mut stage.client else { return Ok(()) };
            client.ended(*id, PATIENCE)
        }
        _ => Ok(()),
    }
}

// Opening ----------------------------------------------------------------------------------------------------------

fn opening(cases: &mut Cases) {
    for isn in ISNS {
        cases.must(
            &format!("open/isn-{isn}"),
            "STR-2",
            "a stream opens and carries bytes whatever its first number",
            move |bench| {
                let mut peer = bench.friend()?;
                let mut conn = peer.connect(40_000, ECHO, isn)?;
                for round in 0..5u8 {
                    peer.echo(&mut conn, &vec![round; 700])?;
                }
                Ok(())
            },
        );
        cases.must(
            &format!("dialled/isn-{isn}"),
            "STR-2",
            "a dialled stream carries bytes whatever the peer's first number",
            move |bench| {
                let (mut client, id, mut peer, mut conn) = bench.dialled(isn)?;
                client.write(id, b"hello")?;
                if peer.read(&mut conn, 5)? != b"hello" {
                    return Err("other bytes came".into());
                }
                peer.write(&mut conn, b"and back")?;
                if client.read_bytes(id, 8)? == b"and back" {
                    Ok(())
                } else {
                    Err("other bytes went back".into())
                }
            },
        );
    }
    cases.must(
        "open/syn-fields",
        "STR-2",
        "a SYN has acknowledgment 0, a window above 0 and no payload",
        |bench| {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            client.dial(peer.node, 80)?;
            let syn = peer.expect("SYN", |p| p.protocol == STREAM && p.has(SYN))?;
            let right = syn.is(SYN) && syn.acknowledgment == 0 && syn.window > 0 && syn.payload.is_empty();
            if right { Ok(()) } else { Err(format!("it is {}", syn.describe())) }
        },
    );
    cases.should("open/random-isn", "STR-2", "first numbers are not the same each time", |bench| {
        let mut peer = bench.friend()?;
        let mut seen = std::collections::BTreeSet::new();
        for port in 0..4 {
            seen.insert(peer.connect(41_000 + port, ECHO, 1)?.peer_isn);
        }
        if seen.len() > 1 { Ok(()) } else { Err(format!("always {seen:?}")) }
    });
    cases.must("open/syn-again", "STR-3", "a repeated SYN is answered by the same SYN ACK", |bench| {
        let mut peer = bench.friend()?;
        let conn = Conn { local: 40_000, remote: ECHO, next: 9, expected: 0, window: 512, peer_isn: 0 };
        peer.send(&conn.packet(&peer, SYN))?;
        let first = peer.expect("SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK))?;
        peer.send(&conn.packet(&peer, SYN))?;
        let second = peer.expect("second SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK))?;
        if (first.sequence, first.acknowledgment) == (second.sequence, second.acknowledgment) {
            Ok(())
        } else {
            Err(format!("first {}, then {}", first.describe(), second.describe()))
        }
    });
    cases.must(
        "open/data-without-third-packet",
        "STR-2",
        "data right after the SYN ACK is taken although the third packet is missing",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn =
                Conn { local: 40_000, remote: ECHO, next: 9, expected: 0, window: 512, peer_isn: 0 };
            peer.send(&conn.packet(&peer, SYN))?;
            let answer = peer.expect("SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK))?;
            conn.next += 1;
            conn.expected = answer.sequence.wrapping_add(1);
            peer.echo(&mut conn, b"at once")
        },
    );
    cases.must(
        "open/third-packet-with-zero",
        "STR-2",
        "a third packet with sequence 0 completes the opening",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn =
                Conn { local: 40_000, remote: ECHO, next: 9, expected: 0, window: 512, peer_isn: 0 };
            peer.send(&conn.packet(&peer, SYN))?;
            let answer = peer.expect("SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK))?;
            conn.next += 1;
            conn.expected = answer.sequence.wrapping_add(1);
            peer.send(&conn.packet(&peer, ACK).numbers(0, conn.expected, 512))?;
            peer.echo(&mut conn, b"as releases do")
        },
    );
    cases.must("open/refused", "STR-3", "a SYN to a port nobody has is answered by RST", |bench| {
        let mut peer = bench.friend()?;
        peer.send(&peer.segment(40_000, 9_998, SYN).numbers(3, 0, 512))?;
        peer.expect("RST", |p| p.protocol == STREAM && p.has(RST) && p.destination_port == 40_000).map(drop)
    });
    cases.must("open/no-rst-to-non-syn", "STR-18", "packets of unknown streams are not answered", |bench| {
        let mut peer = bench.friend()?;
        for flags in [0, ACK, FIN, RST, FIN | ACK] {
            peer.send(&peer.segment(40_000, 9_998, flags).numbers(3, 4, 512))?;
        }
        bench.silence(&mut peer, is_stream)
    });
    cases.must("open/dial-refused", "STR-3", "a dial answered by RST fails at once", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.friend()?;
        client.dial(peer.node, 80)?;
        let conn = peer.await_syn(80, 0)?;
        peer.send(&peer.segment(80, conn.remote, RST))?;
        match client.dialled(Duration::from_secs(5)) {
            Ok(_) => Err("it succeeded".into()),
            Err(why) if why.starts_with("Dial") => Ok(()),
            Err(why) => Err(why),
        }
    });
    cases.must("open/dial-syn-repeated", "STR-5", "an unanswered SYN is repeated unchanged", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.friend()?;
        client.dial(peer.node, 80)?;
        let first = peer.expect("SYN", |p| p.is(SYN))?;
        let again = peer.expect("second SYN", |p| p.is(SYN))?;
        let same = first.sequence == again.sequence && first.source_port == again.source_port;
        if same { Ok(()) } else { Err(format!("first {}, then {}", first.describe(), again.describe())) }
    });
    cases.should(
        "open/dial-syn-soon",
        "STR-5",
        "the first repetition of a SYN comes within half a second",
        |bench| {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            client.dial(peer.node, 80)?;
            peer.expect("SYN", |p| p.is(SYN))?;
            peer.expect_within(Duration::from_millis(550), "second SYN", |p| p.is(SYN)).map(drop)
        },
    );
    cases.should(
        "open/half-open",
        "STR-4",
        "a dialer whose SYN is acknowledged with another number resets and tries again",
        |bench| {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            client.dial(peer.node, 80)?;
            let mut conn = peer.await_syn(80, 600)?;
            peer.send(&conn.packet(&peer, SYN | ACK).numbers(600, conn.expected.wrapping_add(5000), 512))?;
            peer.expect("RST", |p| conn.is_for(p) && p.has(RST))?;
            let again = peer.expect("SYN", |p| conn.is_for(p) && p.is(SYN))?;
            conn.expected = again.sequence.wrapping_add(1);
            peer.send(&conn.packet(&peer, SYN | ACK))?;
            client.dialled(PATIENCE).map(drop)
        },
    );
    cases.must(
        "open/restarted-peer",
        "STR-4",
        "a SYN for a standing stream is a restarted peer: the new stream works",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 100)?;
            peer.echo(&mut conn, b"first life")?;
            // The first answer may be the old stream's; then the dialer resets it (STR-4).
            for _ in 0..3 {
                let fresh = Conn {
                    local: 40_000,
                    remote: ECHO,
                    next: 777_000,
                    expected: 0,
                    window: 512,
                    peer_isn: 0,
                };
                peer.send(&fresh.packet(&peer, SYN))?;
                let answer = peer.expect("SYN ACK", |p| fresh.is_for(p) && p.has(ACK))?;
                if answer.is(SYN | ACK) && answer.acknowledgment == 777_001 {
                    conn = Conn { next: 777_001, expected: answer.sequence.wrapping_add(1), ..fresh };
                    peer.send(&conn.packet(&peer, ACK))?;
                    return peer.echo(&mut conn, b"second life");
                }
                peer.send(&peer.segment(40_000, ECHO, RST))?;
            }
            Err("the old stream stays".into())
        },
    );
    cases.must("open/same-port-of-two-peers", "STR-1", "two peers may use the same ports", |bench| {
        let (mut a, mut b) = (bench.friend()?, bench.friend()?);
        let mut of_a = a.connect(40_000, ECHO, 5)?;
        let mut of_b = b.connect(40_000, ECHO, 6)?;
        a.echo(&mut of_a, b"I am a")?;
        b.echo(&mut of_b, b"I am b")?;
        a.echo(&mut of_a, b"still a")
    });
    cases.should("open/simultaneous", "STR-2", "two SYNs that cross open one stream", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.friend()?;
        client.dial(peer.node, 80)?;
        let conn = peer.await_syn(80, 600)?;
        peer.send(&conn.packet(&peer, SYN).numbers(600, 0, 512))?;
        let mut conn = Conn { next: 601, ..conn };
        peer.expect("SYN ACK", |p| conn.is_for(p) && p.is(SYN | ACK) && p.acknowledgment == 601)?;
        peer.send(&conn.packet(&peer, SYN | ACK).numbers(600, conn.expected, 512))?;
        let id = client.dialled(PATIENCE)?;
        client.write(id, b"crossed")?;
        if peer.read(&mut conn, 7)? == b"crossed" { Ok(()) } else { Err("other bytes came".into()) }
    });
    cases.should(
        "open/syn-flood",
        "STR-3",
        "SYNs of one node are rate limited, and others are served meanwhile",
        |bench| {
            let mut peer = bench.friend()?;
            for port in 0..200u16 {
                peer.send(&peer.segment(30_000 + port, ECHO, SYN).numbers(1, 0, 512))?;
            }
            bench.control()?;
            let answered = peer.drain()?.iter().filter(|heard| is_stream(heard)).count();
            if answered < 150 { Ok(()) } else { Err(format!("{answered} of 200 are answered at once")) }
        },
    );
}

// Data -------------------------------------------------------------------------------------------------------------

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

/// Sends `order` (indexes of segments of `size` bytes) and reads what the program got.
fn arrives(bench: &mut Bench<'_>, isn: u32, size: usize, order: &[usize]) -> Result<(), String> {
    let (mut client, id, mut peer, conn) = bench.pair(isn)?;
    let count = order.iter().max().map_or(0, |most| most + 1);
    let whole = pattern(size * count);
    for &index in order {
        let at = conn.next.wrapping_add((index * size) as u32);
        let payload = &whole[index * size..(index + 1) * size];
        peer.send(&conn.packet(&peer, ACK).numbers(at, conn.expected, 512).payload(payload))?;
    }
    let got = client.read_bytes(id, whole.len())?;
    if got == whole { Ok(()) } else { Err("the program read other bytes".into()) }
}

fn data(cases: &mut Cases) {
    let orders: [(&str, &[usize]); 8] = [
        ("in-order", &[0, 1, 2, 3, 4, 5]),
        ("reversed", &[5, 4, 3, 2, 1, 0]),
        ("first-last", &[1, 2, 3, 4, 5, 0]),
        ("every-other", &[0, 2, 4, 1, 3, 5]),
        ("each-twice", &[0, 0, 1, 1, 2, 2, 3, 3]),
        (
            "gap-of-thirty",
            &[
                0, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8,
                7, 6, 5, 4, 3, 2, 1,
            ],
        ),
        ("again-after", &[0, 1, 2, 0, 1, 2, 3]),
        ("scattered", &[3, 0, 5, 1, 4, 2, 6]),
    ];
    for (name, order) in orders {
        for isn in [0, 0xFFFF_FFFF] {
            cases.must(
                &format!("data/{name}/isn-{isn}"),
                "STR-7",
                "segments in any order, and more than once, give the bytes once and in order",
                move |bench| arrives(bench, isn, 600, order),
            );
        }
    }
    for size in [1usize, 4, 5, 1152, 1400, 4096, 16_000] {
        cases.must(
            &format!("data/segment-of-{size}"),
            "STR-6",
            "segments of any size are accepted",
            move |bench| arrives(bench, 0x7FFF_FFF0, size, &[0, 1, 2]),
        );
    }
    cases.must(
        "data/overlap",
        "STR-7",
        "a segment that repeats bytes at its front gives only the new ones",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(50)?;
            let whole = pattern(300);
            for (from, to) in [(0usize, 100usize), (50, 200), (0, 250), (240, 300)] {
                let at = conn.next.wrapping_add(from as u32);
                peer.send(
                    &conn.packet(&peer, ACK).numbers(at, conn.expected, 512).payload(&whole[from..to]),
                )?;
            }
            let got = client.read_bytes(id, 300)?;
            if got == whole { Ok(()) } else { Err("the program read other bytes".into()) }
        },
    );
    cases.must(
        "data/begins-with-sack",
        "STR-12",
        "data that looks like a SACK list arrives when split inside its first four bytes",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(50)?;
            let mut text = sack(&[(1, 2)]);
            text.extend(b" and more");
            peer.write(&mut conn, &text[..2])?;
            peer.write(&mut conn, &text[2..])?;
            if client.read_bytes(id, text.len())? == text {
                Ok(())
            } else {
                Err("the program read other bytes".into())
            }
        },
    );
    cases.must(
        "data/sends-no-sack-lookalike",
        "STR-12",
        "data that begins with SACK is not sent in one segment that a peer would take for a list",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(50)?;
            let mut text = sack(&[(1, 2)]);
            text.extend(b" and more");
            client.write(id, &text)?;
            let mut bytes: Vec<u8> = Vec::new();
            while bytes.len() < text.len() {
                let at = conn;
                let segment = peer.expect("data", |p| at.is_for(p) && !p.payload.is_empty())?;
                if segment.payload.starts_with(b"SACK") && segment.payload.len() >= 13 {
                    return Err("one segment begins like a SACK list".into());
                }
                bytes.extend(&segment.payload);
                conn.expected = conn.expected.wrapping_add(segment.payload.len() as u32);
                peer.send(&conn.packet(&peer, ACK))?;
            }
            if bytes == text { Ok(()) } else { Err("other bytes came".into()) }
        },
    );
    cases.must(
        "data/segment-size",
        "STR-6",
        "segments carry at most 4096 bytes, on a loopback too",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(50)?;
            client.write(id, &pattern(20_000))?;
            let mut most = 0;
            let mut left = 20_000;
            while left > 0 {
                let at = conn;
                let segment = peer.expect("data", |p| at.is_for(p) && !p.payload.is_empty())?;
                most = most.max(segment.payload.len());
                if segment.sequence == conn.expected {
                    conn.expected = conn.expected.wrapping_add(segment.payload.len() as u32);
                    left -= segment.payload.len();
                }
                peer.send(&conn.packet(&peer, ACK))?;
            }
            if most <= 4096 { Ok(()) } else { Err(format!("one has {most}")) }
        },
    );
    cases.must("data/large-both-ways", "STR-6", "a megabyte goes out and comes back", |bench| {
        let mut peer = bench.friend()?;
        let mut conn = peer.connect(40_000, ECHO, 0xFFFF_0000)?;
        let whole = pattern(1 << 20);
        let mut back = Vec::new();
        for chunk in whole.chunks(16 * 1024) {
            for part in chunk.chunks(1024) {
                peer.write(&mut conn, part)?;
            }
            back.extend(peer.read(&mut conn, chunk.len())?);
        }
        if back == whole { Ok(()) } else { Err("other bytes came back".into()) }
    });
    cases.must("data/acknowledged-soon", "STR-11", "a lone segment is acknowledged within 100 ms", |bench| {
        let (_client, _, mut peer, mut conn) = bench.pair(50)?;
        peer.write(&mut conn, b"one")?;
        let at = conn;
        peer.expect_within(Duration::from_millis(100), "acknowledgment", |p| {
            at.is_for(p) && p.acknowledgment == at.next
        })
        .map(drop)
    });
    cases.must("data/two-acknowledged-at-once", "STR-11", "two segments are acknowledged at once", |bench| {
        let (_client, _, mut peer, mut conn) = bench.pair(50)?;
        peer.write(&mut conn, &[1; 1000])?;
        peer.write(&mut conn, &[2; 1000])?;
        let at = conn;
        peer.expect_within(Duration::from_millis(100), "acknowledgment of both", |p| {
            at.is_for(p) && p.acknowledgment == at.next
        })
        .map(drop)
    });
    cases.must(
        "data/gap-is-acknowledged",
        "STR-12",
        "a segment beyond a gap is answered at once with what was received in order",
        |bench| {
            let (_client, _, mut peer, conn) = bench.pair(50)?;
            peer.send(
                &conn
                    .packet(&peer, ACK)
                    .numbers(conn.next.wrapping_add(100), conn.expected, 512)
                    .payload([1; 50]),
            )?;
            peer.expect("acknowledgment", |p| conn.is_for(p) && p.acknowledgment == conn.next).map(drop)
        },
    );
    cases.should(
        "data/gap-is-reported",
        "STR-12",
        "the acknowledgment of a gap carries the range beyond it",
        |bench| {
            let (_client, _, mut peer, conn) = bench.pair(50)?;
            let from = conn.next.wrapping_add(100);
            peer.send(&conn.packet(&peer, ACK).numbers(from, conn.expected, 512).payload([1; 50]))?;
            let report = sack(&[(from, from.wrapping_add(50))]);
            peer.expect("SACK of the range", |p| conn.is_for(p) && p.payload == report).map(drop)
        },
    );
    cases.should(
        "data/two-gaps-are-reported",
        "STR-12",
        "two ranges are reported in ascending order",
        |bench| {
            let (_client, _, mut peer, conn) = bench.pair(0xFFFF_FFF0)?;
            let (one, two) = (conn.next.wrapping_add(100), conn.next.wrapping_add(300));
            for from in [two, one] {
                peer.send(&conn.packet(&peer, ACK).numbers(from, conn.expected, 512).payload([1; 50]))?;
            }
            let report = sack(&[(one, one.wrapping_add(50)), (two, two.wrapping_add(50))]);
            peer.expect("SACK of both", |p| conn.is_for(p) && p.payload == report).map(drop)
        },
    );
}

// Loss -------------------------------------------------------------------------------------------------------------

/// Takes segments until `length` bytes are here, dropping those `lose` picks the first time they come.
fn lossy_read(
    peer: &mut Peer,
    conn: &mut Conn,
    length: usize,
    with_sack: bool,
    lose: impl Fn(usize) -> bool,
) -> Result<(Vec<u8>, usize), String> {
    let mut parts: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let start = conn.expected;
    let (mut lost, mut number) = (std::collections::BTreeSet::new(), 0);
    let end = Instant::now() + Duration::from_secs(20);
    let mut repeats = 0;
    loop {
        if Instant::now() > end {
            return Err(format!(
                "not repaired within 20 s ({} of {length} bytes)",
                conn.expected.wrapping_sub(start)
            ));
        }
        let at = *conn;
        let segment =
            peer.expect("data", |p| at.is_for(p) && !p.payload.is_empty() && p.payload.len() > 1)?;
        let offset = segment.sequence.wrapping_sub(start);
        if !parts.contains_key(&offset) && !lost.contains(&offset) {
            number += 1;
            if lose(number) {
                lost.insert(offset);
                continue;
            }
        } else if lost.remove(&offset) {
            repeats += 1;
        }
        parts.insert(offset, segment.payload);
        let mut got = 0u32;
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for (from, bytes) in &parts {
            let after = from + bytes.len() as u32;
            if *from <= got {
                got = got.max(after);
            } else {
                match ranges.last_mut() {
                    Some(last) if last.1 == *from => last.1 = after,
                    _ => ranges.push((*from, after)),
                }
            }
        }
        conn.expected = start.wrapping_add(got);
        let mut ack = conn.packet(peer, ACK);
        if with_sack && !ranges.is_empty() {
            let absolute: Vec<_> =
                ranges.iter().take(4).map(|r| (start.wrapping_add(r.0), start.wrapping_add(r.1))).collect();
            ack = ack.payload(sack(&absolute));
        }
        peer.send(&ack)?;
        if got as usize >= length {
            let mut whole = Vec::new();
            for (from, bytes) in parts {
                if let Some(news) = bytes.get(whole.len().saturating_sub(from as usize)..) {
                    whole.extend(news);
                }
            }
            return Ok((whole, repeats));
        }
    }
}

/// Which segments are lost, by their number.
type Pattern = (&'static str, fn(usize) -> bool);

fn loss(cases: &mut Cases) {
    let patterns: [Pattern; 6] = [
        ("first", |n| n == 1),
        ("last-of-ten", |n| n == 10),
        ("every-fifth", |n| n.is_multiple_of(5)),
        ("three-in-a-row", |n| (4..7).contains(&n)),
        ("every-other", |n| n.is_multiple_of(2)),
        ("burst-of-eight", |n| (3..11).contains(&n)),
    ];
    for (name, lose) in patterns {
        for with_sack in [true, false] {
            let how = if with_sack { "sack" } else { "no-sack" };
            cases.must(
                &format!("loss/{name}/{how}"),
                "STR-13",
                "what is lost is sent again until it is acknowledged, unchanged",
                move |bench| {
                    let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
                    let whole = pattern(30_000);
                    client.write(id, &whole)?;
                    let (got, _) = lossy_read(&mut peer, &mut conn, whole.len(), with_sack, lose)?;
                    if got == whole { Ok(()) } else { Err("other bytes came".into()) }
                },
            );
        }
    }
    cases.must(
        "loss/retransmission-unchanged",
        "STR-7",
        "a retransmission has the boundaries of the original",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            client.write(id, &pattern(1000))?;
            let first = peer.expect("data", |p| conn.is_for(p) && !p.payload.is_empty())?;
            let again = peer.expect("retransmission", |p| {
                conn.is_for(p) && p.sequence == first.sequence && !p.payload.is_empty()
            })?;
            if again.payload == first.payload {
                Ok(())
            } else {
                Err(format!("{} bytes, then {}", first.payload.len(), again.payload.len()))
            }
        },
    );
    cases.should(
        "loss/lone-segment-soon",
        "STR-13",
        "a lone lost segment is sent again within a second",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            client.write(id, b"lost once")?;
            let first = peer.expect("data", |p| conn.is_for(p) && !p.payload.is_empty())?;
            peer.expect_within(Duration::from_millis(1100), "retransmission", |p| {
                conn.is_for(p) && p.sequence == first.sequence && !p.payload.is_empty()
            })
            .map(drop)
        },
    );
    cases.must(
        "loss/reneging",
        "STR-13",
        "what was reported received and is not acknowledged is sent again in the end",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
            let whole = pattern(5000);
            client.write(id, &whole)?;
            let first = peer.expect("data", |p| conn.is_for(p) && !p.payload.is_empty())?;
            let from = first.sequence.wrapping_add(first.payload.len() as u32);
            // All but the first segment are claimed to be here, and then forgotten.
            bench.control()?;
            peer.drain()?;
            let claim = sack(&[(from, conn.expected.wrapping_add(5000))]);
            peer.send(&conn.packet(&peer, ACK).payload(claim))?;
            let (got, _) = lossy_read(&mut peer, &mut conn, whole.len(), false, |_| false)?;
            if got == whole { Ok(()) } else { Err("other bytes came".into()) }
        },
    );
    cases.must(
        "loss/acks-of-the-future",
        "STR-11",
        "acknowledgments beyond what was sent do not lose data",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
            peer.send(&conn.packet(&peer, ACK).numbers(
                conn.next,
                conn.expected.wrapping_add(1_000_000),
                512,
            ))?;
            let whole = pattern(5000);
            client.write(id, &whole)?;
            let (got, _) = lossy_read(&mut peer, &mut conn, whole.len(), true, |_| false)?;
            if got == whole { Ok(()) } else { Err("other bytes came".into()) }
        },
    );
    cases.should("loss/burst", "STR-14", "no more than 25 segments leave without an acknowledgment at the start", |bench| {
        let (mut client, id, mut peer, conn) = bench.pair(7)?;
        client.write(id, &pattern(200_000))?;
        bench.control()?;
        let burst = peer.drain()?.iter().filter(|h| matches!(h, Heard::Packet { packet, .. } if conn.is_for(packet) && !packet.payload.is_empty())).count();
        if (1..=25).contains(&burst) { Ok(()) } else { Err(format!("{burst} segments at once")) }
    });
}

// Windows ----------------------------------------------------------------------------------------------------------

fn windows(cases: &mut Cases) {
    cases.must("window/small", "STR-8", "a window of two segments is kept", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        conn.window = 2;
        peer.send(&conn.packet(&peer, ACK))?;
        bench.control()?;
        peer.drain()?;
        client.write(id, &pattern(20_000))?;
        bench.control()?;
        let sent: std::collections::BTreeSet<u32> = peer
            .drain()?
            .into_iter()
            .filter_map(|h| match h {
                Heard::Packet { packet, .. } if conn.is_for(&packet) && packet.payload.len() > 1 => {
                    Some(packet.sequence)
                }
                _ => None,
            })
            .collect();
        // April counts a segment as 4096 bytes; two segments are eight of 1152 there at most.
        if sent.len() <= 8 { Ok(()) } else { Err(format!("{} segments are under way", sent.len())) }
    });
    cases.graded(Level::Should, "window/closed", "STR-9", "window 0 stops data, until it opens", |bench| {
        // In a packet that acknowledges nothing new, 0 means nothing: April's keepalives have it.
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        conn.window = 0;
        client.write(id, b"before")?;
        peer.read(&mut conn, 6)?;
        bench.control()?;
        peer.drain()?;
        let whole = pattern(3000);
        client.write(id, &whole)?;
        bench.control()?;
        let sent = peer.drain()?.iter().filter(|h| matches!(h, Heard::Packet { packet, .. } if conn.is_for(packet) && packet.payload.len() > 1)).count();
        conn.window = 512;
        peer.send(&conn.packet(&peer, ACK))?;
        let (got, _) = lossy_read(&mut peer, &mut conn, whole.len(), true, |_| false)?;
        if got != whole {
            return Err("other bytes came".into());
        }
        Ok(if sent == 0 { Grade::Strict } else { Grade::Allowed(format!("{sent} segments were sent into the closed window, as April means it")) })
    });
    cases.should(
        "window/closed-is-probed",
        "STR-10",
        "a closed window is probed, so that a lost opening is found out",
        |bench| {
            // In a packet that acknowledges nothing new, 0 means nothing: April's keepalives have it.
            let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
            conn.window = 0;
            client.write(id, b"before")?;
            peer.read(&mut conn, 6)?;
            bench.control()?;
            peer.drain()?;
            client.write(id, &pattern(3000))?;
            peer.expect_within(Duration::from_secs(4), "probe", |p| conn.is_for(p) && p.has(ACK)).map(drop)
        },
    );
    cases.must("window/never-zero", "STR-9", "a receiver never advertises 0 while the stream is open", |bench| {
        let (_client, _, mut peer, mut conn) = bench.pair(7)?;
        // The program does not read: the window closes as far as it will.
        for _ in 0..700 {
            peer.write(&mut conn, &[b'x'; 1000])?;
            if conn.next.wrapping_sub(8).is_multiple_of(16_000) {
                bench.pass(Duration::from_millis(1))?;
            }
        }
        bench.control()?;
        match peer.drain()?.into_iter().find(|h| matches!(h, Heard::Packet { packet, .. } if conn.is_for(packet) && packet.is(ACK) && packet.window == 0)) {
            Some(_) => Err("it advertises 0, which April takes for no limit".into()),
            None => Ok(()),
        }
    });
    cases.must("window/slow-reader", "STR-8", "a program that reads late gets all bytes", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        let whole = pattern(200_000);
        for part in whole.chunks(1000) {
            peer.write(&mut conn, part)?;
            if conn.next.wrapping_sub(8).is_multiple_of(16_000) {
                let at = conn;
                peer.expect_within(Duration::from_secs(2), "acknowledgment", |p| {
                    at.is_for(p) && at.next.wrapping_sub(p.acknowledgment) < 16_000
                })?;
            }
        }
        bench.pass(Duration::from_millis(300))?;
        let got = client.read_bytes(id, whole.len())?;
        if got == whole { Ok(()) } else { Err("the program read other bytes".into()) }
    });
    cases.must(
        "window/probe-is-answered",
        "STR-10",
        "a byte already acknowledged is answered by acknowledgment and window",
        |bench| {
            let (_client, _, mut peer, mut conn) = bench.pair(7)?;
            peer.write(&mut conn, b"abc")?;
            let at = conn;
            peer.expect("acknowledgment", |p| at.is_for(p) && p.acknowledgment == at.next)?;
            peer.send(
                &conn
                    .packet(&peer, ACK)
                    .numbers(conn.next.wrapping_sub(1), conn.expected, 512)
                    .payload(*b"c"),
            )?;
            peer.expect("acknowledgment", |p| at.is_for(p) && p.acknowledgment == at.next).map(drop)
        },
    );
}

// Closing ----------------------------------------------------------------------------------------------------------

fn closing(cases: &mut Cases) {
    for isn in ISNS {
        cases.must(
            &format!("close/by-peer/isn-{isn}"),
            "STR-15",
            "a FIN is answered with FIN ACK of one more than its number",
            move |bench| {
                let (mut client, id, mut peer, conn) = bench.pair(isn)?;
                peer.send(&conn.packet(&peer, FIN))?;
                let answer = peer.expect("answer to FIN", |p| conn.is_for(p) && p.has(ACK))?;
                if answer.acknowledgment != conn.next.wrapping_add(1) {
                    return Err(format!(
                        "it acknowledges {}, the FIN has {}",
                        answer.acknowledgment, conn.next
                    ));
                }
                client.ended(id, PATIENCE)
            },
        );
        cases.must(
            &format!("close/by-program/isn-{isn}"),
            "STR-15",
            "a close sends FIN with the next number and ends when it is answered",
            move |bench| {
                let (mut client, id, mut peer, mut conn) = bench.pair(isn)?;
                client.write(id, b"last words")?;
                client.close(id)?;
                if peer.read(&mut conn, 10)? != b"last words" {
                    return Err("other bytes came".into());
                }
                let fin = peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
                if fin.sequence != conn.expected {
                    return Err(format!(
                        "its number is {}, the next byte would be {}",
                        fin.sequence, conn.expected
                    ));
                }
                peer.send(&conn.packet(&peer, FIN | ACK).numbers(
                    conn.next,
                    fin.sequence.wrapping_add(1),
                    512,
                ))?;
                bench.no_packet(&mut peer, &conn)
            },
        );
    }
    cases.must("close/fin-repeated", "STR-15", "an unanswered FIN is repeated", |bench| {
        let (mut client, id, mut peer, conn) = bench.pair(7)?;
        client.close(id)?;
        peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
        peer.expect_within(Duration::from_secs(5), "second FIN", |p| conn.is_for(p) && p.has(FIN)).map(drop)
    });
    cases.must(
        "close/fin-ack-is-not-answered",
        "STR-15",
        "a packet with FIN and ACK is not answered with another",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            client.close(id)?;
            let fin = peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
            let answer = conn.packet(&peer, FIN | ACK).numbers(conn.next, fin.sequence.wrapping_add(1), 512);
            peer.send(&answer)?;
            bench.control()?;
            peer.drain()?;
            for _ in 0..5 {
                peer.send(&answer)?;
            }
            bench.silence(
                &mut peer,
                |h| matches!(h, Heard::Packet { packet, .. } if conn.is_for(packet) && packet.is(FIN | ACK)),
            )
        },
    );
    cases.must(
        "close/fin-waits-for-data",
        "STR-16",
        "a FIN that overtakes data does not end the stream before it",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            peer.send(&conn.packet(&peer, FIN).numbers(conn.next.wrapping_add(100), conn.expected, 512))?;
            peer.send(&conn.packet(&peer, ACK).payload([b'd'; 100]))?;
            let got = client.read_bytes(id, 100)?;
            if got != [b'd'; 100] {
                return Err("the program read other bytes".into());
            }
            Ok(())
        },
    );
    cases.must(
        "close/data-before-fin-is-delivered",
        "STR-16",
        "all bytes before a FIN reach the program, then the end",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
            let whole = pattern(50_000);
            for part in whole.chunks(1000) {
                peer.write(&mut conn, part)?;
            }
            let at = conn;
            peer.expect("acknowledgment of all", |p| at.is_for(p) && p.acknowledgment == at.next)?;
            peer.send(&conn.packet(&peer, FIN))?;
            let got = client.read_bytes(id, whole.len())?;
            if got != whole {
                return Err("the program read other bytes".into());
            }
            client.ended(id, PATIENCE)
        },
    );
    cases.must("close/fin-twice", "STR-15", "a FIN that comes again is answered again", |bench| {
        let (_client, _, mut peer, conn) = bench.pair(7)?;
        for _ in 0..3 {
            peer.send(&conn.packet(&peer, FIN))?;
            peer.expect("answer to FIN", |p| conn.is_for(p) && p.has(ACK))?;
            peer.drain()?;
        }
        Ok(())
    });
    cases.must(
        "close/program-sees-the-end-once-at-least",
        "STR-16",
        "the program is told that the peer closed",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            peer.send(&conn.packet(&peer, FIN))?;
            client.ended(id, PATIENCE)
        },
    );
    cases.should("close/half", "STR-16", "after the peer's FIN the program's bytes still go out", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        peer.send(&conn.packet(&peer, FIN))?;
        client.ended(id, PATIENCE)?;
        client.write(id, b"one more thing")?;
        if peer.read(&mut conn, 14)? == b"one more thing" { Ok(()) } else { Err("other bytes came".into()) }
    });
    cases.must("close/rst", "STR-18", "a RST from the peer of the tunnel ends the stream", |bench| {
        let (mut client, id, mut peer, conn) = bench.pair(7)?;
        peer.send(&peer.segment(conn.local, conn.remote, RST))?;
        client.ended(id, PATIENCE)
    });
    cases.must("close/rst-of-another-peer", "STR-18", "a RST of another node changes nothing", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        let mut other = bench.friend()?;
        other.send(&other.segment(conn.local, conn.remote, RST))?;
        let mut forged = other.segment(conn.local, conn.remote, RST);
        forged.source.1 = peer.node;
        other.send(&forged)?;
        bench.control()?;
        peer.write(&mut conn, b"alive")?;
        if client.read_bytes(id, 5)? == b"alive" { Ok(()) } else { Err("other bytes came".into()) }
    });
    cases.must("close/rst-is-not-answered", "STR-18", "a RST is never answered", |bench| {
        let mut peer = bench.friend()?;
        for _ in 0..5 {
            peer.send(&peer.segment(40_000, ECHO, RST))?;
        }
        bench.silence(&mut peer, is_stream)
    });
    cases.must(
        "close/port-again",
        "STR-17",
        "the ports of a closed stream can be used again at once",
        |bench| {
            let mut peer = bench.friend()?;
            for round in 0..5u32 {
                let mut conn = peer.connect(40_000, ECHO, 1000 * round)?;
                peer.echo(&mut conn, b"again")?;
                peer.send(&conn.packet(&peer, FIN))?;
                peer.expect("answer to FIN", |p| conn.is_for(p) && p.has(ACK))?;
                peer.drain()?;
            }
            Ok(())
        },
    );
    cases.must(
        "close/quiet-afterwards",
        "STR-17",
        "a stream closed by both is silent within ten seconds",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            client.close(id)?;
            let fin = peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN))?;
            peer.send(&conn.packet(&peer, FIN | ACK).numbers(conn.next, fin.sequence.wrapping_add(1), 512))?;
            bench.control()?;
            peer.drain()?;
            bench.pass(Duration::from_millis(1500))?;
            let late = peer
                .drain()?
                .iter()
                .filter(|h| matches!(h, Heard::Packet { packet, .. } if conn.is_for(packet)))
                .count();
            if late <= 2 { Ok(()) } else { Err(format!("{late} packets in 1.5 s")) }
        },
    );
}

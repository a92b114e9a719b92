//! How a stream begins: dialled, accepted, refused, crossed, and floods of beginnings.

use super::ISNS;
use crate::live::bench::{ECHO, is_stream};
use crate::live::case::Cases;
use crate::live::peer::{Conn, PATIENCE};
use crate::live::wire::{ACK, FIN, RST, STREAM, SYN};
use std::time::Duration;

pub(super) fn opening(cases: &mut Cases) {
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

//! How a stream ends: FIN from either side or both, RST, and what arrives afterwards.

use super::loss::lossy_read;
use super::{ISNS, pattern};
use crate::live::bench::{ECHO, is_stream};
use crate::live::case::Cases;
use crate::live::peer::{Heard, PATIENCE};
use crate::live::wire::{ACK, FIN, RST};
use std::time::Duration;

pub(super) fn closing(cases: &mut Cases) {
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
    cases.must("close/fin-after-data", "STR-15", "no FIN leaves before all data is acknowledged", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        let whole = pattern(5000);
        client.write(id, &whole)?;
        client.close(id)?;
        let first = peer.expect("data", |p| conn.is_for(p) && !p.payload.is_empty())?;
        bench.control()?;
        bench.pass(Duration::from_millis(300))?;
        let early = peer.drain()?;
        if early.iter().any(|h| h.packet().is_some_and(|p| conn.is_for(p) && p.has(FIN))) {
            return Err(format!("a FIN came while nothing after {} was acknowledged", first.sequence));
        }
        let (got, _) = lossy_read(&mut peer, &mut conn, whole.len(), true, |_| false)?;
        if got != whole {
            return Err("other bytes came".into());
        }
        peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN)).map(drop)
    });
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

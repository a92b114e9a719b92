//! Bytes in order, out of order, twice, overlapping, and what only looks like a SACK list.

use super::pattern;
use crate::live::bench::{Bench, ECHO};
use crate::live::case::Cases;
use crate::live::wire::{ACK, STREAM, sack};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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

pub(super) fn data(cases: &mut Cases) {
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
    cases.should(
        "data/streams-share",
        "STR-14",
        "of streams that have the same to send none gets less than half of what another gets at the start",
        |bench| {
            let mut client = bench.client()?;
            let port = 6000 + (bench.node() % 2000) as u16;
            client.bind(port)?;
            let mut peer = bench.friend()?;
            let mut sent = BTreeMap::new();
            for local in 40_000..40_008 {
                peer.connect(local, port, 7)?;
                let id = client.accepted(port)?;
                sent.insert(local, BTreeSet::new());
                client.write(id, &pattern(30_000))?;
                // One after another, for the socket of this peer is small.
                bench.pass(Duration::from_millis(40))?;
                bench.control()?;
                for heard in peer.drain()? {
                    let Some(packet) = heard.packet().filter(|p| p.protocol == STREAM && p.payload.len() > 1)
                    else {
                        continue;
                    };
                    if let Some(numbers) = sent.get_mut(&packet.destination_port) {
                        numbers.insert(packet.sequence);
                    }
                }
            }
            let counts: Vec<usize> = sent.values().map(BTreeSet::len).collect();
            let (least, most) =
                (counts.iter().min().copied().unwrap_or(0), counts.iter().max().copied().unwrap_or(0));
            if least > 0 && 2 * least >= most { Ok(()) } else { Err(format!("segments of each: {counts:?}")) }
        },
    );
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

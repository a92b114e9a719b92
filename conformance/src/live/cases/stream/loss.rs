//! What the target sends again, when, and how much.

use super::pattern;
use crate::live::case::Cases;
use crate::live::peer::{Conn, Heard, Peer};
use crate::live::wire::{ACK, sack};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Takes segments until `length` bytes are here, dropping those `lose` picks the first time they come.
pub(super) fn lossy_read(
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

pub(super) fn loss(cases: &mut Cases) {
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
    cases.should(
        "loss/several-gaps-at-once",
        "STR-13",
        "gaps that one report names are all filled before any of them is acknowledged, and nothing that it has is sent again",
        |bench| {
            let (mut client, id, mut peer, conn) = bench.pair(7)?;
            client.write(id, &pattern(60_000))?;
            let mut parts = BTreeMap::new();
            while parts.len() < 8 {
                let segment = peer.expect("eight segments", |p| conn.is_for(p) && p.payload.len() > 1)?;
                let from = segment.sequence.wrapping_sub(conn.expected);
                parts.insert(from, from + segment.payload.len() as u32);
            }
            let parts: Vec<(u32, u32)> = parts.into_iter().collect();
            let range = |first: usize, last: usize| (conn.expected.wrapping_add(parts[first].0), conn.expected.wrapping_add(parts[last].1));
            let report = sack(&[range(1, 1), range(3, 3), range(5, 7)]);
            bench.control()?;
            peer.drain()?;
            let ack = conn.packet(&peer, ACK).payload(report);
            for _ in 0..3 {
                peer.send(&ack)?;
            }
            let (gaps, mut filled) = ([parts[0].0, parts[2].0, parts[4].0], Vec::new());
            while filled.len() < gaps.len() {
                let segment = peer.expect(&format!("all three gaps ({filled:?} of {gaps:?} are filled)"), |p| conn.is_for(p) && p.payload.len() > 1)?;
                let from = segment.sequence.wrapping_sub(conn.expected);
                if gaps.contains(&from) && !filled.contains(&from) {
                    filled.push(from);
                } else if parts.iter().any(|part| part.0 == from) && !gaps.contains(&from) {
                    return Err(format!("byte {from} was reported and came again"));
                }
            }
            Ok(())
        },
    );
    cases.must(
        "loss/acks-of-the-future-under-way",
        "STR-11",
        "an acknowledgment beyond what was sent does not acknowledge what was",
        |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
            let whole = pattern(5000);
            client.write(id, &whole)?;
            peer.expect("data", |p| conn.is_for(p) && !p.payload.is_empty())?;
            bench.control()?;
            peer.drain()?;
            let beyond = conn.expected.wrapping_add(5000 + 700);
            peer.send(&conn.packet(&peer, ACK).numbers(conn.next, beyond, 512))?;
            let (got, _) = lossy_read(&mut peer, &mut conn, whole.len(), true, |_| false)?;
            if got == whole { Ok(()) } else { Err("other bytes came".into()) }
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
        peer.expect("data", |p| conn.is_for(p) && !p.payload.is_empty())?;
        bench.control()?;
        let burst = 1 + peer.drain()?.iter().filter(|h| matches!(h, Heard::Packet { packet, .. } if conn.is_for(packet) && !packet.payload.is_empty())).count();
        if burst <= 25 { Ok(()) } else { Err(format!("{burst} segments at once")) }
    });
}

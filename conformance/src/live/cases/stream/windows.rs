//! Windows: small ones, shut ones, and those that open again.

use super::loss::lossy_read;
use super::pattern;
use crate::live::case::{Cases, Grade, Level};
use crate::live::peer::Heard;
use crate::live::wire::ACK;
use std::time::Duration;

pub(super) fn windows(cases: &mut Cases) {
    cases.must("window/small", "STR-8", "a window of two segments is kept", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        conn.window = 2;
        peer.send(&conn.packet(&peer, ACK))?;
        bench.control()?;
        peer.drain()?;
        client.write(id, &pattern(100_000))?;
        bench.control()?;
        let sent: std::collections::BTreeMap<u32, usize> = peer
            .drain()?
            .into_iter()
            .filter_map(|h| match h {
                Heard::Packet { packet, .. } if conn.is_for(&packet) && packet.payload.len() > 1 => {
                    Some((packet.sequence, packet.payload.len()))
                }
                _ => None,
            })
            .collect();
        // April counts a segment as 4096 bytes; two segments are eight of 1152 there at most.
        let bytes: usize = sent.values().sum();
        if bytes <= 8 * 1152 { Ok(()) } else { Err(format!("{bytes} bytes are under way")) }
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

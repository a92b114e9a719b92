//! The services every node has: echo, data exchange, event stream.

use super::super::bench::{Bench, ECHO};
use super::super::case::{Case, Cases, Setup};
use super::super::peer::{Conn, Peer};
use super::super::wire::FIN;
use super::{slug, unhex, vectors};
use std::time::Duration;

const DATA: u16 = 1001;
const EVENTS: u16 = 1002;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("services", Setup::Public);
    echo(&mut cases);
    data(&mut cases);
    events(&mut cases);
    cases.all
}

fn echo(cases: &mut Cases) {
    for size in [1usize, 100, 4096, 100_000] {
        cases.must(&format!("echo/{size}"), "STR-6", "echo gives back every byte", move |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 3)?;
            let whole: Vec<u8> = (0..size).map(|i| (i % 249) as u8).collect();
            let mut back = Vec::new();
            for chunk in whole.chunks(16_000) {
                for part in chunk.chunks(1000) {
                    peer.write(&mut conn, part)?;
                }
                back.extend(peer.read(&mut conn, chunk.len())?);
            }
            if back == whole { Ok(()) } else { Err("other bytes came back".into()) }
        });
    }
    cases.must("echo/ends-when-the-peer-ends", "STR-15", "echo closes when the peer has closed", |bench| {
        let mut peer = bench.friend()?;
        let mut conn = peer.connect(40_000, ECHO, 3)?;
        peer.echo(&mut conn, b"and out")?;
        peer.send(&conn.packet(&peer, FIN))?;
        peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN)).map(drop)
    });
}

fn frame(kind: u32, payload: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &(payload.len() as u32).to_be_bytes(), payload].concat()
}

fn file(name: &[u8], content: &[u8]) -> Vec<u8> {
    frame(4, &[&(name.len() as u16).to_be_bytes()[..], name, content].concat())
}

/// Reads one data exchange frame: its kind and text.
fn answer(peer: &mut Peer, conn: &mut Conn) -> Result<(u32, String), String> {
    let mut bytes = peer.read(conn, 8)?;
    let length = |b: &[u8]| b.get(4..8).map_or(0, |l| u32::from_be_bytes([l[0], l[1], l[2], l[3]]) as usize);
    let needed = 8 + length(&bytes);
    if bytes.len() < needed {
        bytes.extend(peer.read(conn, needed - bytes.len())?);
    }
    let kind = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok((kind, String::from_utf8_lossy(&bytes[8..]).into_owned()))
}

fn send(peer: &mut Peer, conn: &mut Conn, bytes: &[u8]) -> Result<(), String> {
    for part in bytes.chunks(1000) {
        peer.write(conn, part)?;
    }
    Ok(())
}

fn open(bench: &mut Bench<'_>, port: u16) -> Result<(Peer, Conn), String> {
    let mut peer = bench.friend()?;
    let conn = peer.connect(40_000, port, 3)?;
    Ok((peer, conn))
}

fn data(cases: &mut Cases) {
    for (name, kind, payload) in [
        ("text", 1u32, &b"hello"[..]),
        ("text-empty", 1, b""),
        ("text-unicode", 1, "h\u{e9}llo \u{2713}".as_bytes()),
        ("binary", 2, &[0, 0xFF, 0x80, 1]),
        ("json", 3, b"{\"a\":1}"),
    ] {
        cases.must(
            &format!("data/{name}"),
            "DIF-1",
            "a message is acknowledged with ACK, its kind and its length",
            move |bench| {
                let (mut peer, mut conn) = open(bench, DATA)?;
                send(&mut peer, &mut conn, &frame(kind, payload))?;
                let (_, text) = answer(&mut peer, &mut conn)?;
                let wanted = format!("{} bytes", payload.len());
                if text.starts_with("ACK ") && text.contains(&wanted) {
                    Ok(())
                } else {
                    Err(format!("the answer is {text:?}"))
                }
            },
        );
    }
    cases.must("data/file", "DIF-1", "a file is acknowledged and stored with its bytes", |bench| {
        let (mut peer, mut conn) = open(bench, DATA)?;
        let content: Vec<u8> = (0..70_000u32).map(|i| (i % 247) as u8).collect();
        send(&mut peer, &mut conn, &file(b"bench.bin", &content))?;
        let (_, text) = answer(&mut peer, &mut conn)?;
        if !text.starts_with("ACK ") {
            return Err(format!("the answer is {text:?}"));
        }
        let received = bench.target.home().join(".pilot/received");
        let stored = std::fs::read_dir(&received).map_err(|e| format!("{}: {e}", received.display()))?;
        for entry in stored.flatten() {
            if std::fs::read(entry.path()).is_ok_and(|bytes| bytes == content) {
                return Ok(());
            }
        }
        Err("no file with these bytes is there".into())
    });
    for name in ["../escape.txt", "/etc/escape.txt", "a/b.txt", "..", ".", "", "x\0y"] {
        cases.must(
            &format!(
                "data/file-name/{}",
                if name.is_empty() {
                    "empty".into()
                } else {
                    name.bytes().map(|b| format!("{b:02x}")).collect::<String>()
                }
            ),
            "DIF-1",
            "a file name never leads out of the folder for received files",
            move |bench| {
                let (mut peer, mut conn) = open(bench, DATA)?;
                send(&mut peer, &mut conn, &file(name.as_bytes(), b"escape"))?;
                // Whatever it answers: an acknowledgment, a refusal or the end.
                let _ = answer(&mut peer, &mut conn);
                let home = bench.target.home();
                let outside =
                    [home.join("escape.txt"), home.join(".pilot/escape.txt"), "/etc/escape.txt".into()];
                match outside.iter().find(|path| path.exists()) {
                    Some(path) => Err(format!("{} was written", path.display())),
                    None => Ok(()),
                }
            },
        );
    }
    cases.must("data/two-frames", "DIF-1", "two frames in one write are both acknowledged", |bench| {
        let (mut peer, mut conn) = open(bench, DATA)?;
        let both = [frame(1, b"one"), frame(1, b"three")].concat();
        send(&mut peer, &mut conn, &both)?;
        let mut text = String::new();
        while !text.contains("5 bytes") {
            let read = peer.read(&mut conn, 1)?;
            text.push_str(&String::from_utf8_lossy(&read));
        }
        if text.contains("3 bytes") { Ok(()) } else { Err(format!("the answers are {text:?}")) }
    });
    cases.must("data/too-long", "DIF-1", "a frame of more than 16 MiB ends the stream", |bench| {
        let (mut peer, mut conn) = open(bench, DATA)?;
        peer.write(&mut conn, &[0, 0, 0, 1, 1, 0, 0, 1])?;
        peer.expect("FIN or RST", |p| conn.is_for(p) && (p.has(FIN) || p.has(super::super::wire::RST)))
            .map(drop)
    });
    cases.must("data/cut", "DIF-1", "a frame that ends too early is not stored and harms nobody", |bench| {
        let (mut peer, mut conn) = open(bench, DATA)?;
        peer.write(&mut conn, &[0, 0, 0, 1, 0, 0, 0, 50, b'x'])?;
        peer.send(&conn.packet(&peer, FIN))?;
        peer.expect("answer to FIN", |p| conn.is_for(p) && p.has(FIN)).map(drop)
    });
    cases.should(
        "data/unknown-kind",
        "DIF-1",
        "an unknown kind is answered, with an error rather than an acknowledgment",
        |bench| {
            let (mut peer, mut conn) = open(bench, DATA)?;
            send(&mut peer, &mut conn, &frame(99, b"what is it?"))?;
            let (_, text) = answer(&mut peer, &mut conn)?;
            if text.starts_with("ERR") { Ok(()) } else { Err(format!("the answer is {text:?}")) }
        },
    );
    for vector in vectors(include_str!("../../../../spec/vectors/services.json"))["data_exchange"]["decode"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let name = vector["name"].as_str().unwrap_or_default().to_string();
        let bytes = unhex(&vector["wire_hex"]);
        if bytes.is_empty() || vector["ok"] != false {
            continue;
        }
        cases.must(
            &format!("data/vector/{}", slug(&name)),
            "DIF-1",
            "a broken frame followed by the end harms nobody",
            move |bench| {
                let (mut peer, mut conn) = open(bench, DATA)?;
                send(&mut peer, &mut conn, &bytes)?;
                peer.send(&conn.packet(&peer, FIN))?;
                bench.control()
            },
        );
    }
}

fn event(topic: &[u8], payload: &[u8]) -> Vec<u8> {
    [&(topic.len() as u16).to_be_bytes()[..], topic, &(payload.len() as u32).to_be_bytes(), payload].concat()
}

fn subscriber(bench: &mut Bench<'_>, topic: &[u8]) -> Result<(Peer, Conn), String> {
    let (mut peer, mut conn) = open(bench, EVENTS)?;
    peer.write(&mut conn, &event(topic, b""))?;
    let at = conn;
    peer.expect("acknowledgment", |p| at.is_for(p) && p.acknowledgment == at.next)?;
    bench.control()?;
    Ok((peer, conn))
}

fn events(cases: &mut Cases) {
    cases.must(
        "events/topic",
        "DIF-1",
        "a subscriber gets the events of its topic, byte for byte, and no others",
        |bench| {
            let (mut peer, mut conn) = subscriber(bench, b"bench-a")?;
            let (mut publisher, mut out) = open(bench, EVENTS)?;
            let all = [event(b"bench-b", b""), event(b"bench-b", b"not yours"), event(b"bench-a", b"yours")]
                .concat();
            publisher.write(&mut out, &all)?;
            let wanted = event(b"bench-a", b"yours");
            let got = peer.read(&mut conn, wanted.len())?;
            if got == wanted { Ok(()) } else { Err(format!("it got {got:02x?}")) }
        },
    );
    cases.must("events/all", "DIF-1", "a subscriber of * gets every topic", |bench| {
        let (mut peer, mut conn) = subscriber(bench, b"*")?;
        let (mut publisher, mut out) = open(bench, EVENTS)?;
        let wanted = event(b"bench-c", b"for all");
        publisher.write(&mut out, &[event(b"bench-x", b""), wanted.clone()].concat())?;
        let got = peer.read(&mut conn, wanted.len())?;
        if got == wanted { Ok(()) } else { Err(format!("it got {got:02x?}")) }
    });
    cases.must("events/many", "DIF-1", "six hundred events arrive in order", |bench| {
        let (mut peer, mut conn) = subscriber(bench, b"bench-d")?;
        let (mut publisher, mut out) = open(bench, EVENTS)?;
        publisher.write(&mut out, &event(b"bench-y", b""))?;
        for batch in 0..60u32 {
            let mut wanted = Vec::new();
            for number in 0..10u32 {
                wanted.extend(event(b"bench-d", format!("event {}", batch * 10 + number).as_bytes()));
            }
            publisher.write(&mut out, &wanted)?;
            let got = peer.read(&mut conn, wanted.len())?;
            if got != wanted {
                return Err(format!("batch {batch} came otherwise"));
            }
        }
        Ok(())
    });
    cases.must(
        "events/topic-too-long",
        "DIF-1",
        "a topic of more than 1024 bytes ends the stream",
        |bench| {
            let (mut peer, mut conn) = open(bench, EVENTS)?;
            send(&mut peer, &mut conn, &event(&[b't'; 1025], b""))?;
            peer.expect("FIN or RST", |p| conn.is_for(p) && (p.has(FIN) || p.has(super::super::wire::RST)))
                .map(drop)
        },
    );
    cases.must("events/slow-subscriber", "DIF-1", "a subscriber that does not read stops nobody", |bench| {
        let (_slow, _) = subscriber(bench, b"bench-e")?;
        let (mut publisher, mut out) = open(bench, EVENTS)?;
        publisher.write(&mut out, &event(b"bench-z", b""))?;
        for round in 0..300u32 {
            publisher.write(&mut out, &event(b"bench-e", &[b'e'; 900]))?;
            if round % 10 == 9 {
                let at = out;
                publisher.expect_within(Duration::from_secs(5), "acknowledgment", |p| {
                    at.is_for(p) && at.next.wrapping_sub(p.acknowledgment) < 9_000
                })?;
            }
        }
        bench.control()
    });
}

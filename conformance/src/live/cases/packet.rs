//! Packets in a tunnel that stands: what is not one, control packets, datagrams.

use super::super::bench::{Bench, DATAGRAMS};
use super::super::case::{Case, Cases, Grade, Level, Setup};
use super::super::peer::PATIENCE;
use super::super::wire::{ACK, CONTROL, DATAGRAM, FIN, Packet, RST, STREAM, SYN};
use super::{slug, unhex, vectors};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("packet", Setup::Public);
    malformed(&mut cases);
    flags_and_protocols(&mut cases);
    control(&mut cases);
    datagrams(&mut cases);
    cases.all
}

/// The vectors name 1 as source and 2 as destination; a live one must be between this peer and the target.
fn malformed(cases: &mut Cases) {
    for vector in vectors(include_str!("../../../../spec/vectors/wire.json"))["packets_malformed"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let (name, reason) =
            (vector["name"].as_str().unwrap_or_default(), vector["reason"].as_str().unwrap_or_default());
        let fault = match reason {
            "too_short" => "that is too short",
            "truncated" => "that is truncated",
            "checksum_mismatch" => "whose checksum is wrong",
            "bad_version" => "of another version",
            other => other,
        };
        let bytes = unhex(&vector["hex"]);
        cases.must(
            &format!("malformed/{}", slug(name)),
            "PKT-4",
            &format!("a sealed packet {fault} is dropped without an answer"),
            move |bench| {
                let mut peer = bench.friend()?;
                peer.send_inner(&bytes)?;
                bench.silence(&mut peer, |heard| heard.packet().is_some())
            },
        );
    }
    for (name, change) in [
        ("length-one-more", (3, 1)),
        ("checksum-first-bit", (30, 0x80)),
        ("checksum-last-bit", (33, 1)),
        ("payload-bit", (36, 4)),
        ("destination-port-bit", (19, 1)),
    ] {
        cases.must(
            &format!("damaged-echo/{name}"),
            "PKT-3",
            "a segment with one bit changed after its checksum was made is not taken",
            move |bench| {
                let mut peer = bench.friend()?;
                let mut conn = peer.connect(40_001, 7, 7)?;
                let segment = conn.packet(&peer, ACK).payload(*b"damaged");
                let mut bytes = segment.encode();
                bytes[change.0] ^= change.1;
                peer.send_inner(&bytes)?;
                bench.no_packet(&mut peer, &conn)?;
                peer.echo(&mut conn, b"whole")
            },
        );
    }
    for version in [0u8, 2, 3, 15] {
        cases.must(
            &format!("version/{version}"),
            "PKT-4",
            "a segment of another version, otherwise good, is not taken",
            move |bench| {
                let mut peer = bench.friend()?;
                let mut conn = peer.connect(40_001, 7, 7)?;
                let mut segment = conn.packet(&peer, ACK).payload(*b"of another time");
                segment.version = version;
                peer.send(&segment)?;
                bench.no_packet(&mut peer, &conn)?;
                peer.echo(&mut conn, b"of today")
            },
        );
    }
    for extra in [1usize, 100, 1000] {
        cases.must(
            &format!("bytes-after/{extra}"),
            "PKT-4",
            "bytes after the payload are ignored and not covered by the checksum",
            move |bench| {
                let mut client = bench.datagram_client()?;
                let mut peer = bench.friend()?;
                let mut inner = Bench::datagram(&peer, b"with more behind").encode();
                inner.extend(vec![0xA5; extra]);
                peer.send_inner(&inner)?;
                client.datagram(PATIENCE, |payload| payload == b"with more behind").map(drop)
            },
        );
    }
}

fn flags_and_protocols(cases: &mut Cases) {
    for protocol in [0u8, 4, 5, 0x7F, 0xFF] {
        cases.must(
            &format!("protocol/{protocol}"),
            "PKT-2",
            "an unknown protocol is ignored without an answer",
            move |bench| {
                let mut peer = bench.friend()?;
                for flags in [0, SYN, ACK, SYN | ACK, FIN, RST] {
                    peer.send(&peer.packet(protocol).ports(1, 7).flags(flags).payload(*b"?"))?;
                }
                bench.silence(&mut peer, |heard| heard.packet().is_some())
            },
        );
    }
    cases.must(
        "source-of-another-node",
        "PKT-5",
        "a packet whose source is not the node of the tunnel is dropped",
        |bench| {
            let mut client = bench.datagram_client()?;
            let other = bench.friend()?;
            let mut peer = bench.friend()?;
            let mut packet = Bench::datagram(&peer, b"I am somebody else");
            packet.source.1 = other.node;
            peer.send(&packet)?;
            peer.send(&Bench::datagram(&peer, b"I am myself"))?;
            client.datagram(PATIENCE, |payload| payload == b"I am myself")?;
            match client.datagrams()?.iter().any(|payload| payload == b"I am somebody else") {
                true => Err("the datagram of a forged source was delivered".into()),
                false => Ok(()),
            }
        },
    );
    cases.must(
        "syn-from-another-source",
        "PKT-5",
        "a SYN whose source is another node opens nothing, for nobody",
        |bench| {
            let mut other = bench.friend()?;
            let mut peer = bench.friend()?;
            let mut syn = peer.segment(40_000, 7, SYN).numbers(5, 0, 512);
            syn.source.1 = other.node;
            peer.send(&syn)?;
            bench.silence(&mut peer, super::super::bench::is_stream)?;
            match other.drain()?.iter().any(super::super::bench::is_stream) {
                true => Err("the node named as source got an answer".into()),
                false => Ok(()),
            }
        },
    );
    cases.should("destination-of-another-node", "PKT-6", "a packet for another node is dropped", |bench| {
        let mut peer = bench.friend()?;
        let mut syn = peer.segment(40_000, 7, SYN).numbers(5, 0, 512);
        syn.destination.1 = 0x00AB_CDEF;
        peer.send(&syn)?;
        bench.silence(&mut peer, super::super::bench::is_stream)
    });
    cases.must(
        "network-of-source-is-no-matter",
        "ADR-1",
        "nodes are told apart by their node id: a SYN from a network address of the same node is answered",
        |bench| {
            let mut peer = bench.friend()?;
            let mut syn = peer.segment(40_003, 7, SYN).numbers(5, 0, 512);
            syn.source.0 = 3;
            peer.send(&syn)?;
            peer.expect("SYN ACK", |p| p.is(SYN | ACK) && p.destination_port == 40_003).map(drop)
        },
    );
}

fn control(cases: &mut Cases) {
    cases.must("ping", "PKT-7", "a ping is answered by a pong with its number, payload and port", |bench| {
        let mut peer = bench.friend()?;
        let pong = peer.ping(77)?;
        let right = pong.payload == b"ping"
            && pong.source_port == 0
            && pong.destination_port == 9
            && pong.acknowledgment == 78;
        if right { Ok(()) } else { Err(format!("the pong is {}", pong.describe())) }
    });
    for (name, flags) in [("ack", ACK), ("ack-syn", ACK | SYN), ("ack-fin", ACK | FIN), ("all", 15)] {
        cases.must(
            &format!("pong-is-not-answered/{name}"),
            "PKT-7",
            "a control packet with ACK set is never answered",
            move |bench| {
                let mut peer = bench.friend()?;
                peer.send(&peer.packet(CONTROL).ports(0, 0).flags(flags).numbers(1, 1, 0).payload(*b"pong"))?;
                bench.silence(&mut peer, |heard| heard.is(CONTROL))
            },
        );
    }
    cases.must("keepalive", "PKT-8", "an empty control packet without flags is never answered", |bench| {
        let mut peer = bench.friend()?;
        peer.send(&peer.packet(CONTROL))?;
        bench.silence(&mut peer, |heard| heard.is(CONTROL))
    });
    cases.must(
        "path-probe",
        "PKT-7",
        "the probe of 1.18.0 (ports 0, payload pathprobe.v1) is answered",
        |bench| {
            let mut peer = bench.friend()?;
            let probe = peer.packet(CONTROL).numbers(9, 0, 0).payload(*b"pathprobe.v1");
            peer.send(&probe)?;
            peer.expect("pong", |p| p.protocol == CONTROL && p.has(ACK) && p.payload == b"pathprobe.v1")
                .map(drop)
        },
    );
    for port in [1u16, 7, 443, 65535] {
        cases.must(
            &format!("other-port/{port}"),
            "PKT-9",
            "control packets to other ports are ignored",
            move |bench| {
                let mut peer = bench.friend()?;
                peer.send(&peer.packet(CONTROL).ports(5, port).numbers(3, 0, 0).payload(*b"ping"))?;
                bench.silence(&mut peer, |heard| heard.is(CONTROL))
            },
        );
    }
    cases.must(
        "ping-of-1000-bytes",
        "PKT-7",
        "a ping with a long payload is answered with all of it",
        |bench| {
            let mut peer = bench.friend()?;
            let payload = vec![0x5A; 1000];
            peer.send(&peer.packet(CONTROL).ports(9, 0).numbers(4, 0, 0).payload(payload.clone()))?;
            let pong = peer.expect("pong", |p| p.protocol == CONTROL && p.has(ACK))?;
            if pong.payload == payload {
                Ok(())
            } else {
                Err(format!("{} bytes came back", pong.payload.len()))
            }
        },
    );
    cases.graded(
        Level::Should,
        "ping-rate",
        "PKT-9",
        "pings are rate limited: a flood of 400 is not answered one for one",
        |bench| {
            let mut peer = bench.friend()?;
            for number in 0..400 {
                peer.send(&peer.packet(CONTROL).ports(9, 0).numbers(number, 0, 0).payload(*b"ping"))?;
            }
            bench.control()?;
            let pongs = peer.drain()?;
            let pongs = pongs
                .iter()
                .filter(|heard| heard.packet().is_some_and(|p| p.protocol == CONTROL && p.has(ACK)))
                .count();
            match pongs {
                0 => Err("not one is answered".into()),
                400 => Ok(Grade::Allowed("all 400 are answered".into())),
                _ => Ok(Grade::Strict),
            }
        },
    );
}

fn datagrams(cases: &mut Cases) {
    for size in [1usize, 100, 1152, 1400, 4096, 16_000, 60_000] {
        cases.must(
            &format!("datagram/{size}"),
            "PKT-10",
            "a datagram of this many bytes is delivered whole",
            move |bench| {
                let mut client = bench.datagram_client()?;
                let mut peer = bench.friend()?;
                let payload: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
                peer.send(&Bench::datagram(&peer, &payload))?;
                client.datagram(PATIENCE, |got| got == payload).map(drop)
            },
        );
    }
    cases.must("datagram-empty", "PKT-10", "an empty datagram is dropped", |bench| {
        let mut client = bench.datagram_client()?;
        let mut peer = bench.friend()?;
        peer.send(&Bench::datagram(&peer, b""))?;
        peer.send(&Bench::datagram(&peer, b"after it"))?;
        client.datagram(PATIENCE, |payload| payload == b"after it")?;
        match client.datagrams()?.iter().any(Vec::is_empty) {
            true => Err("it was delivered".into()),
            false => Ok(()),
        }
    });
    cases.must(
        "datagram-is-not-answered",
        "PKT-10",
        "a datagram to a port nobody has is not answered",
        |bench| {
            let mut peer = bench.friend()?;
            peer.send(&peer.packet(DATAGRAM).ports(700, 9999).payload(*b"anybody?"))?;
            bench.silence(&mut peer, |heard| heard.is(DATAGRAM) || heard.is(STREAM))
        },
    );
    cases.must(
        "datagram-fields",
        "PKT-10",
        "sequence, acknowledgment, window and flags of a datagram sent are 0",
        |bench| {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            let to = [&[0, 0][..], &peer.node.to_be_bytes(), &DATAGRAMS.to_be_bytes(), b"out"].concat();
            client.send(0x0B, &to)?;
            let packet = peer.expect("datagram", |p| p.protocol == DATAGRAM)?;
            let want = Packet {
                source: packet.source,
                source_port: packet.source_port,
                ..Packet::new(DATAGRAM, 1, peer.node).ports(0, DATAGRAMS).payload(*b"out")
            };
            if packet == want { Ok(()) } else { Err(format!("it is {}", packet.describe())) }
        },
    );
    cases.must("datagram-flags-are-no-matter", "PKT-10", "flags of a datagram change nothing", |bench| {
        let mut client = bench.datagram_client()?;
        let mut peer = bench.friend()?;
        for flags in 0..16u8 {
            let text = format!("flags {flags}");
            peer.send(&Bench::datagram(&peer, text.as_bytes()).flags(flags).numbers(9, 9, 9))?;
            client.datagram(PATIENCE, |payload| payload == text.as_bytes())?;
        }
        bench.silence(&mut peer, |heard| heard.is(STREAM))
    });
}

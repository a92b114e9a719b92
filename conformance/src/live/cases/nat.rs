//! The beacon, punching and the relay, seen from a node.

use super::super::bench::{Bench, ECHO};
use super::super::case::{Case, Cases, Setup};
use super::super::peer::{Heard, PATIENCE, Way};
use super::super::rendezvous::{TARGET, endpoint};
use super::super::wire::{ACK, CONTROL, SYN};
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("nat", Setup::Public);
    beacon(&mut cases);
    relay(&mut cases);
    cases.all
}

fn beacon(cases: &mut Cases) {
    cases.must(
        "registers-at-the-beacon",
        "NAT-5",
        "a node registers at the beacon from its tunnel socket",
        |bench| {
            let seen = bench.rendezvous.seen(TARGET).ok_or("the beacon has not seen it")?;
            let mut peer = bench.friend()?;
            peer.target = seen;
            peer.ping(1).map(drop)
        },
    );
    cases.should("registers-again", "NAT-5", "it registers at the beacon again within 31 s, and an address seen there that is news is registered at the registry", |bench| {
        let since = bench.rendezvous.mark();
        let elsewhere = "203.0.113.9:7777".parse().map_err(|e| format!("{e}"))?;
        let before = bench.rendezvous.beacon_registrations(TARGET);
        bench.rendezvous.say_seen(TARGET, Some(elsewhere));
        let again = bench.until(Duration::from_secs(31), "another registration at the beacon", || {
            (bench.rendezvous.beacon_registrations(TARGET) > before).then_some(())
        });
        let told = bench.rendezvous.asked(since, Duration::from_secs(5), "to register the new address", |q| {
            q["type"] == "register" && q.to_string().contains(":7777")
        });
        bench.rendezvous.say_seen(TARGET, None);
        again?;
        told.map(drop)
    });
    cases.must(
        "punch-command",
        "NAT-8",
        "on a punch command of its beacon a node sends punch frames to the address",
        |bench| {
            let mut peer = bench.peer()?;
            bench.rendezvous.beacon_send(peer.target, &endpoint(4, peer.address()?))?;
            let mut punches = 0;
            while let Some(heard) = peer.receive(Duration::from_millis(300))? {
                punches += usize::from(heard == Heard::Punch);
            }
            match punches {
                1..=5 => Ok(()),
                0 => Err("none came".into()),
                many => Err(format!("{many} came")),
            }
        },
    );
    cases.must(
        "punch-command-of-a-stranger",
        "NAT-2",
        "a punch command from another address than the beacon's is ignored",
        |bench| {
            let mut victim = bench.peer()?;
            let attacker = bench.stranger()?;
            attacker.send_frame(&endpoint(4, victim.address()?))?;
            bench.silence(&mut victim, |_| true)
        },
    );
    cases.must(
        "delivery-of-a-stranger",
        "NAT-2",
        "a relay delivery from another address than the beacon's is ignored",
        |bench| {
            let mut attacker = bench.peer()?;
            let delivery = [&[6][..], &attacker.node.to_be_bytes(), &attacker.exchange_frame()].concat();
            attacker.send_frame(&delivery)?;
            attacker.register_at_beacon()?;
            bench.silence(&mut attacker, |heard| matches!(heard, Heard::Exchange { .. }))
        },
    );
    for (name, bytes) in [
        ("punch-cut", &[4u8, 4, 127, 0, 0][..]),
        ("punch-ip-of-5", &[4, 5, 127, 0, 0, 1, 9, 0, 9]),
        ("punch-ip-of-0", &[4, 0, 9, 9]),
        ("punch-empty", &[4]),
        ("address-cut", &[2, 4, 1]),
        ("delivery-empty", &[6, 0, 0, 0, 9]),
        ("delivery-cut", &[6, 0, 0]),
        ("gossip", &[7, 0, 0, 0, 1, 0, 0]),
        ("unknown-0f", &[0x0F, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("unknown-00", &[0, 1, 2, 3]),
        ("wake-cut", &[0x0A]),
        ("nested-beacon", &[6, 0, 0, 0, 9, 4, 4, 127, 0, 0, 1, 9, 9]),
        ("nested-punch", &[6, 0, 0, 0, 9, b'P', b'I', b'L', b'P']),
    ] {
        cases.must(
            &format!("malformed/{name}"),
            "NAT-1",
            "a beacon message that is malformed or unknown changes nothing",
            move |bench| {
                let target = bench.target.address(&bench.rendezvous)?;
                for _ in 0..5 {
                    bench.rendezvous.beacon_send(target, bytes)?;
                }
                Ok(())
            },
        );
    }
    cases.should(
        "punch-flood",
        "NAT-8",
        "a flood of punch commands does not make it flood the address",
        |bench| {
            let mut peer = bench.peer()?;
            let command = endpoint(4, peer.address()?);
            for _ in 0..100 {
                bench.rendezvous.beacon_send(peer.target, &command)?;
            }
            bench.control()?;
            let sent = peer.drain()?.len();
            if sent <= 30 { Ok(()) } else { Err(format!("{sent} datagrams went there")) }
        },
    );
}

/// A peer that can only be reached by the relay.
fn relayed(bench: &mut Bench<'_>) -> Result<super::super::peer::Peer, String> {
    let mut peer = bench.peer()?;
    peer.way = Way::Relay;
    peer.register_at_beacon()?;
    bench.until(PATIENCE, "the beacon sees the peer", || bench.rendezvous.seen(peer.node))?;
    // Its direct address leads nowhere.
    bench.rendezvous.change(peer.node, |record| record.address = "127.0.0.1:9".into());
    Ok(peer)
}

fn relay(cases: &mut Cases) {
    cases.must(
        "relay/exchange",
        "TUN-2",
        "a key exchange through the relay is answered through the relay",
        |bench| {
            let mut peer = relayed(bench)?;
            peer.meet()?;
            peer.ping(1).map(drop)
        },
    );
    cases.must("relay/stream", "NAT-12", "a stream runs over the relay", |bench| {
        let mut peer = relayed(bench)?;
        peer.meet()?;
        let mut conn = peer.connect(40_000, ECHO, 9)?;
        for round in 0..5u8 {
            peer.echo(&mut conn, &[round; 900])?;
        }
        Ok(())
    });
    cases.must("relay/dial", "NAT-9", "a dial reaches a peer that is behind the relay only", |bench| {
        let mut peer = relayed(bench)?;
        let mut client = bench.client()?;
        client.dial(peer.node, 80)?;
        let limit = Duration::from_secs(12);
        let syn = peer.expect_within(limit, "SYN", |p| p.is(SYN) && p.destination_port == 80)?;
        let answer =
            peer.segment(80, syn.source_port, SYN | ACK).numbers(5, syn.sequence.wrapping_add(1), 512);
        peer.send(&answer)?;
        client.dialled(limit).map(drop)
    });
    cases.should("relay/dial-soon", "NAT-9", "the relay is tried within a second and a half", |bench| {
        let mut peer = relayed(bench)?;
        let mut client = bench.client()?;
        client.dial(peer.node, 80)?;
        peer.expect_within(Duration::from_millis(1500), "SYN", |p| p.is(SYN) && p.destination_port == 80)
            .map(drop)
    });
    cases.must(
        "relay/frame-of-another",
        "PKT-5",
        "a relayed frame that names another sender than its seal is dropped",
        |bench| {
            let mut peer = relayed(bench)?;
            peer.meet()?;
            let inner = peer.packet(CONTROL).ports(9, 0).numbers(1, 0, 0).payload(*b"ping").encode();
            let frame = peer.seal(&inner)?;
            let claimed = bench.node();
            let message = [&[6][..], &claimed.to_be_bytes(), &frame].concat();
            bench.rendezvous.beacon_send(peer.target, &message)?;
            // The seal names its owner: whether it is answered or not, it must be to the owner, and nobody is moved.
            bench.control()?;
            peer.ping(2).map(drop)
        },
    );
    cases.must(
        "relay/path-follows",
        "NAT-10",
        "a peer that moves from direct to the relay is followed",
        |bench| {
            let mut peer = bench.friend()?;
            peer.register_at_beacon()?;
            let mut conn = peer.connect(40_000, ECHO, 9)?;
            peer.echo(&mut conn, b"direct")?;
            peer.way = Way::Relay;
            peer.move_socket()?;
            peer.register_at_beacon()?;
            bench.until(PATIENCE, "the beacon sees the move", || {
                let own = peer.address().ok()?;
                bench.rendezvous.seen(peer.node).filter(|seen| *seen == own)
            })?;
            let segment = conn.packet(&peer, ACK).payload(*b"relayed");
            conn.next = conn.next.wrapping_add(7);
            for _ in 0..8 {
                peer.send(&segment)?;
                let at = conn;
                if peer
                    .expect_within(Duration::from_millis(600), "echo", |p| {
                        at.is_for(p) && !p.payload.is_empty()
                    })
                    .is_ok()
                {
                    return Ok(());
                }
            }
            Err("no echo over the relay within 5 s".into())
        },
    );
    cases.should(
        "relay/back-to-direct",
        "NAT-11",
        "a peer on the relay that answers direct probes is served directly again",
        |bench| {
            let mut peer = bench.peer()?;
            peer.register_at_beacon()?;
            bench.until(PATIENCE, "the beacon sees the peer", || bench.rendezvous.seen(peer.node))?;
            peer.way = Way::Relay;
            peer.meet()?;
            let mut conn = peer.connect(40_000, ECHO, 9)?;
            let end = std::time::Instant::now() + Duration::from_secs(20);
            let mut said = 0u32;
            while std::time::Instant::now() < end {
                said += 1;
                let text = format!("over the relay {said}");
                peer.write(&mut conn, text.as_bytes())?;
                let slice = std::time::Instant::now() + Duration::from_millis(200);
                while let Some(heard) =
                    peer.receive(slice.saturating_duration_since(std::time::Instant::now()))?
                {
                    let Heard::Packet { packet, relayed } = heard else { continue };
                    if conn.is_for(&packet) && !packet.payload.is_empty() {
                        if !relayed {
                            return Ok(());
                        }
                        conn.expected = packet.sequence.wrapping_add(packet.payload.len() as u32);
                        peer.send(&conn.packet(&peer, ACK))?;
                    }
                }
            }
            Err("still relayed after 20 s".into())
        },
    );
    cases.must("beacon-dead", "NAT-12", "direct traffic goes on while the beacon is silent", |bench| {
        bench.rendezvous.mute_beacon(true);
        let result = (|| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 9)?;
            peer.echo(&mut conn, b"without a beacon")
        })();
        bench.rendezvous.mute_beacon(false);
        result
    });
}

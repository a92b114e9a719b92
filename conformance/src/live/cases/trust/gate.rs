//! The gate of a private node: who gets through, what strangers learn, requests that the registry brings.

use super::{asker, command, is_pending, stays_out};
use crate::live::bench::{Bench, ECHO, is_stream};
use crate::live::case::Cases;
use crate::live::peer::{Conn, Peer};
use crate::live::trusting::{TRUST, asked, is_trusted, now};
use crate::live::wire::SYN;
use std::time::Duration;

fn try_syn(peer: &mut Peer, local: u16, port: u16) -> Result<Conn, String> {
    let conn = Conn { local, remote: port, next: 5, expected: 0, window: 512, peer_isn: 0 };
    peer.send(&conn.packet(peer, SYN))?;
    Ok(conn)
}

/// Tells the target that something waits at the registry, and looks whether it was fetched for longer than a target that
/// does not listen to the beacon lets pass between two questions.
fn fetched(
    bench: &mut Bench<'_>,
    probe: impl Fn(&mut Bench<'_>) -> Result<bool, String>,
) -> Result<(), String> {
    let target = bench.target.address(&bench.rendezvous)?;
    bench.rendezvous.beacon_send(target, &[0x0A, 1])?;
    for _ in 0..70 {
        if probe(bench)? {
            return Ok(());
        }
        bench.pass(Duration::from_secs(1))?;
    }
    Err("not within 70 s".into())
}

pub(super) fn gate(cases: &mut Cases) {
    for port in [ECHO, 1001, 1002, 9_999] {
        cases.must(
            &format!("gate/syn-{port}"),
            "TRU-15",
            "a SYN of a node that is not trusted is dropped in silence, before the port is looked at",
            move |bench| {
                let mut peer = asker(bench)?;
                try_syn(&mut peer, 40_000, port)?;
                bench.pass(Duration::from_millis(100))?;
                bench.silence(&mut peer, is_stream)
            },
        );
    }
    cases.must("gate/datagram", "TRU-15", "a datagram of a node that is not trusted is dropped", |bench| {
        let mut client = bench.datagram_client()?;
        let mut peer = asker(bench)?;
        peer.send(&Bench::datagram(&peer, b"let me in"))?;
        let mut friend = bench.friend()?;
        for attempt in 0..5 {
            // The first may be dropped while the registry is asked.
            friend.send(&Bench::datagram(&friend, b"I am trusted"))?;
            match client.datagram(Duration::from_millis(600), |payload| payload == b"I am trusted") {
                Ok(_) => break,
                Err(why) if attempt == 4 => return Err(why),
                Err(_) => {}
            }
        }
        match client.datagrams()?.iter().any(|payload| payload == b"let me in") {
            true => Err("it was delivered".into()),
            false => Ok(()),
        }
    });
    cases.must(
        "gate/registry-pair",
        "TRU-15",
        "a node of a pair that the registry has may connect",
        |bench| {
            // A program's port: the node's own services may want more than the gate does.
            let (mut client, id, mut peer, mut conn) = bench.pair(5)?;
            peer.write(&mut conn, b"a pair")?;
            match client.read_bytes(id, 6)?.as_slice() {
                b"a pair" => Ok(()),
                other => Err(format!("the program got {other:02x?}")),
            }
        },
    );
    cases.must(
        "gate/registry-silent",
        "TRU-15",
        "while the registry does not answer, nobody new gets in and others go on",
        |bench| {
            bench.rendezvous.mute("check_trust", true);
            let result = (|| {
                let mut peer = asker(bench)?;
                try_syn(&mut peer, 40_000, ECHO)?;
                bench.pass(Duration::from_millis(200))?;
                bench.silence(&mut peer, is_stream)
            })();
            bench.rendezvous.mute("check_trust", false);
            bench.rendezvous.cut(false);
            result
        },
    );
    cases.must("gate/syn-444", "TRU-15", "a SYN of a node that was not contacted is dropped on port 444 too: its request goes through the registry", |bench| {
        let mut peer = asker(bench)?;
        try_syn(&mut peer, 40_000, TRUST)?;
        bench.pass(Duration::from_millis(100))?;
        bench.silence(&mut peer, is_stream)
    });
    cases.must(
        "gate/syn-444-when-contacted",
        "TRU-15",
        "for some minutes after it contacted a node, that node may bring its answer",
        |bench| {
            let mut peer = asker(bench)?;
            let (_, _client) = asked(bench, &mut peer)?;
            peer.connect(40_000, TRUST, 5).map(drop)
        },
    );
}

pub(super) fn relayed(cases: &mut Cases) {
    cases.must(
        "relayed/request",
        "TRU-14",
        "a request that waits at the registry is fetched and waits for the operator",
        |bench| {
            let peer = bench.untrusted()?;
            bench.rendezvous.relay_request(peer.node, "by the registry", now());
            fetched(bench, |bench| is_pending(bench, peer.node))
        },
    );
    cases.must(
        "relayed/accept-without-request",
        "TRU-8",
        "a relayed accept that nobody asked for is dropped",
        |bench| {
            let peer = bench.untrusted()?;
            bench.rendezvous.relay_response(peer.node, true, now());
            let target = bench.target.address(&bench.rendezvous)?;
            let since = bench.rendezvous.mark();
            bench.rendezvous.beacon_send(target, &[0x0A, 1])?;
            bench.rendezvous.asked(since, Duration::from_secs(65), "for waiting messages", |q| {
                q["type"] == "poll_handshakes"
            })?;
            stays_out(bench, peer.node)
        },
    );
    cases.must(
        "relayed/offline-target",
        "TRU-13",
        "a request to a node that cannot be reached goes through the registry",
        |bench| {
            let peer = bench.untrusted()?;
            bench.rendezvous.change(peer.node, |record| record.address = "127.0.0.1:9".into());
            let mut client = bench.client()?;
            let since = bench.rendezvous.mark();
            client.send(0x0F, &[&[1][..], &peer.node.to_be_bytes(), b"hello"].concat())?;
            bench
                .rendezvous
                .asked(since, Duration::from_secs(45), "to relay the request", |q| {
                    q["type"] == "request_handshake"
                        && q["to_node_id"] == peer.node
                        && q["signature"].is_string()
                })
                .map(drop)
        },
    );
    cases.must(
        "relayed/accepted",
        "TRU-14",
        "a relayed accept of a node that was asked makes trust",
        |bench| {
            let peer = bench.untrusted()?;
            bench.rendezvous.change(peer.node, |record| record.address = "127.0.0.1:9".into());
            let mut client = bench.client()?;
            let since = bench.rendezvous.mark();
            client.send(0x0F, &[&[1][..], &peer.node.to_be_bytes(), b"hello"].concat())?;
            bench.rendezvous.asked(since, Duration::from_secs(45), "to relay the request", |q| {
                q["type"] == "request_handshake"
            })?;
            bench.rendezvous.relay_response(peer.node, true, now());
            fetched(bench, |bench| is_trusted(bench, peer.node))
        },
    );
}

/// A node whose request came through the registry and was approved.
fn approved(bench: &mut Bench<'_>) -> Result<Peer, String> {
    let peer = bench.untrusted()?;
    let node = peer.node;
    bench.rendezvous.relay_request(node, "please", now());
    let target = bench.target.address(&bench.rendezvous)?;
    bench.rendezvous.beacon_send(target, &[0x0A, 1])?;
    for _ in 0..700 {
        if is_pending(bench, node)? {
            command(bench, 2, node)?;
            return Ok(peer);
        }
        bench.pass(Duration::from_millis(100))?;
    }
    Err("the request did not come through the registry within 70 s".into())
}

pub(super) fn behind_the_gate(cases: &mut Cases) {
    cases.must("gate/approved", "TRU-15", "an approved node gets through the gate", |bench| {
        let mut peer = approved(bench)?;
        peer.meet()?;
        let mut conn = peer.connect(42_000, ECHO, 5)?;
        peer.echo(&mut conn, b"thank you")
    });
    cases.must("gate/rejected", "TRU-15", "a rejected node does not", |bench| {
        let mut peer = bench.untrusted()?;
        let node = peer.node;
        bench.rendezvous.relay_request(node, "please", now());
        let target = bench.target.address(&bench.rendezvous)?;
        bench.rendezvous.beacon_send(target, &[0x0A, 1])?;
        bench.until(Duration::from_secs(70), "the request waits", || {
            is_pending(bench, node).ok().filter(|p| *p)
        })?;
        command(bench, 3, node)?;
        peer.meet()?;
        try_syn(&mut peer, 42_000, ECHO)?;
        bench.pass(Duration::from_millis(100))?;
        bench.silence(&mut peer, |heard| heard.packet().is_some_and(|p| p.destination_port == 42_000))
    });
    cases.must("gate/revoked", "TRU-10", "a revoked node is out at once, its streams too", |bench| {
        let mut peer = approved(bench)?;
        let node = peer.node;
        peer.meet()?;
        let mut conn = peer.connect(42_000, ECHO, 5)?;
        peer.echo(&mut conn, b"before")?;
        command(bench, 6, node)?;
        bench.pass(Duration::from_secs(4))?;
        peer.drain()?;
        peer.write(&mut conn, b"after")?;
        try_syn(&mut peer, 44_000, ECHO)?;
        bench.pass(Duration::from_millis(100))?;
        bench.silence(&mut peer, |heard| {
            is_stream(heard)
                && heard.packet().is_some_and(|p| !p.payload.is_empty() || p.destination_port == 44_000)
        })
    });
    cases.must(
        "gate/trust-survives-restart",
        "TRU-16",
        "an approved node gets through the gate of a restarted node",
        |bench| {
            let mut peer = approved(bench)?;
            bench.restart()?;
            peer.target = bench.target.address(&bench.rendezvous)?;
            peer.meet()?;
            let mut conn = peer.connect(42_000, ECHO, 5)?;
            peer.echo(&mut conn, b"remembered")
        },
    );
}

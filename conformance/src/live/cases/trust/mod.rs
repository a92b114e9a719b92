//! Who comes to be trusted: the messages on port 444, forged ones, answers, revocation; then the gate of a private node.

mod gate;

use super::super::bench::Bench;
use super::super::case::{Case, Cases, Setup};
use super::super::peer::{Conn, Heard, PATIENCE, Peer};
use super::super::rendezvous::TARGET;
use super::super::trusting::{TRUST, asked, deliver, is_trusted, lists, message, now};
use super::super::wire::{ACK, FIN, SYN};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long a node hears what comes after the operator was answered.
const LINGER: Duration = Duration::from_millis(300);

pub(crate) fn cases() -> Vec<Case> {
    // Messages are brought to a node whose gate is open; who gets through the gate is asked of one that is private.
    let mut open = Cases::new("trust", Setup::Public);
    requests(&mut open);
    forged(&mut open);
    answers(&mut open);
    revocation(&mut open);
    let mut private = Cases::new("trust", Setup::Private);
    gate::gate(&mut private);
    gate::relayed(&mut private);
    gate::behind_the_gate(&mut private);
    open.all.extend(private.all);
    open.all
}

/// A node that asks for trust: known to the registry, in a tunnel, trusted by nobody.
fn asker(bench: &mut Bench<'_>) -> Result<Peer, String> {
    let mut peer = bench.untrusted()?;
    peer.meet()?;
    Ok(peer)
}

fn is_pending(bench: &Bench<'_>, node: u32) -> Result<bool, String> {
    lists(bench, 4, "pending", node)
}

/// Looks for a while, since messages are judged after the registry was asked.
fn becomes(
    bench: &mut Bench<'_>,
    what: &str,
    mut probe: impl FnMut(&mut Bench<'_>) -> Result<bool, String>,
) -> Result<(), String> {
    for _ in 0..60 {
        if probe(bench)? {
            return Ok(());
        }
        bench.pass(Duration::from_millis(50))?;
    }
    Err(format!("{what}: not within 3 s"))
}

fn stays_out(bench: &mut Bench<'_>, node: u32) -> Result<(), String> {
    bench.control()?;
    bench.pass(Duration::from_millis(250))?;
    if is_pending(bench, node)? {
        return Err("it waits for approval".into());
    }
    if is_trusted(bench, node)? { Err("it is trusted".into()) } else { Ok(()) }
}

/// What the operator decides about a node. A release answers once the node has taken its message, or not for long.
fn command(bench: &mut Bench<'_>, sub: u8, node: u32) -> Result<(), String> {
    let mut client = bench.client()?;
    match client.ask_within(Duration::from_secs(40), 0x0F, &[&[sub][..], &node.to_be_bytes()].concat())? {
        (0x0A, error) => {
            Err(format!("command 0f: {}", String::from_utf8_lossy(error.get(2..).unwrap_or_default())))
        }
        _ => Ok(()),
    }
}

/// Decides about a node that takes the news: a release answers its operator only when the node has it. What it still has
/// to say then is heard for as long as `linger`.
fn decide(bench: &mut Bench<'_>, sub: u8, peer: &mut Peer, linger: Duration) -> Result<(), String> {
    let mut client = bench.client()?;
    client.send(0x0F, &[&[sub][..], &peer.node.to_be_bytes()].concat())?;
    let mut end = Instant::now() + Duration::from_secs(40);
    let (mut conn, mut answered) = (None::<Conn>, false);
    while Instant::now() < end {
        match client.receive(Duration::from_millis(1))? {
            Some((0x10, _)) if linger.is_zero() => return Ok(()),
            Some((0x10, _)) => (answered, end) = (true, Instant::now() + linger),
            Some((0x0A, error)) => return Err(String::from_utf8_lossy(&error).into_owned()),
            _ => {}
        }
        let heard = peer.receive(Duration::from_millis(5))?;
        let Some(packet) = heard.as_ref().and_then(Heard::packet).filter(|p| p.destination_port == TRUST)
        else {
            continue;
        };
        if packet.is(SYN) {
            let expected = packet.sequence.wrapping_add(1);
            let answer = Conn {
                local: TRUST,
                remote: packet.source_port,
                next: 9,
                expected,
                window: 512,
                peer_isn: 0,
            };
            peer.send(&answer.packet(peer, SYN | ACK))?;
            conn = Some(Conn { next: 10, ..answer });
        } else if let Some(conn) = conn.as_mut().filter(|conn| conn.is_for(packet)) {
            if packet.sequence == conn.expected {
                conn.expected = conn.expected.wrapping_add(packet.payload.len() as u32);
            }
            let fin = packet.has(FIN) && packet.sequence == conn.expected;
            let mut answer = conn.packet(peer, if fin { FIN | ACK } else { ACK });
            answer.acknowledgment = answer.acknowledgment.wrapping_add(u32::from(fin));
            peer.send(&answer)?;
        }
    }
    if answered {
        Ok(())
    } else {
        Err("the operator is not answered within 40 s, although the node took the news".into())
    }
}

fn requests(cases: &mut Cases) {
    cases.must("request/waits", "TRU-7", "a request waits for the operator", |bench| {
        let mut peer = asker(bench)?;
        let text = message(&peer, "handshake_request", "please", now()).to_string();
        deliver(&mut peer, 41_000, text.as_bytes())?;
        let node = peer.node;
        becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
        if is_trusted(bench, node)? { Err("it is trusted without approval".into()) } else { Ok(()) }
    });
    cases.must("request/justification", "TRU-3", "the operator sees why it asks", |bench| {
        let mut peer = asker(bench)?;
        let text = message(&peer, "handshake_request", "because of ünïcode & <tags>", now()).to_string();
        deliver(&mut peer, 41_000, text.as_bytes())?;
        let node = peer.node;
        becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
        let pending = bench.client()?.ask_json(0x0F, &[4])?;
        let entry =
            pending["pending"].as_array().into_iter().flatten().find(|e| e["node_id"] == node).cloned();
        match entry {
            Some(entry) if entry["justification"] == "because of ünïcode & <tags>" => Ok(()),
            other => Err(format!("the list has {other:?}")),
        }
    });
    cases.must(
        "request/approve",
        "TRU-7",
        "an approved node is trusted, and the registry is told",
        |bench| {
            let mut peer = asker(bench)?;
            let text = message(&peer, "handshake_request", "please", now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
            let since = bench.rendezvous.mark();
            decide(bench, 2, &mut peer, LINGER)?;
            becomes(bench, "trusted", |bench| is_trusted(bench, node))?;
            bench
                .rendezvous
                .asked(since, PATIENCE, "to make the pair", |q| {
                    matches!(q["type"].as_str(), Some("report_trust" | "respond_handshake"))
                        && q["peer_id"] == node
                })
                .map(drop)
        },
    );
    cases.should(
        "request/approve-is-answered-soon",
        "TRU-7",
        "an approval is answered within two seconds, although the node does not take the news",
        |bench| {
            let mut peer = asker(bench)?;
            let text = message(&peer, "handshake_request", "please", now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
            let began = Instant::now();
            command(bench, 2, node)?;
            let took = began.elapsed();
            if took < Duration::from_secs(2) {
                Ok(())
            } else {
                Err(format!("it took {:.1} s", took.as_secs_f64()))
            }
        },
    );
    cases.must("request/reject", "TRU-9", "a rejected node stays out", |bench| {
        let mut peer = asker(bench)?;
        let text = message(&peer, "handshake_request", "please", now()).to_string();
        deliver(&mut peer, 41_000, text.as_bytes())?;
        let node = peer.node;
        becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
        decide(bench, 3, &mut peer, LINGER)?;
        becomes(bench, "the request is gone", |bench| is_pending(bench, node).map(|p| !p))?;
        stays_out(bench, node)
    });
    cases.must("request/twice", "TRU-7", "a second request of a node replaces the first", |bench| {
        let mut peer = asker(bench)?;
        let node = peer.node;
        for (local, why) in [(41_000, "first"), (41_001, "second")] {
            let text = message(&peer, "handshake_request", why, now()).to_string();
            deliver(&mut peer, local, text.as_bytes())?;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
        }
        let pending = bench.client()?.ask_json(0x0F, &[4])?;
        let count =
            pending["pending"].as_array().into_iter().flatten().filter(|e| e["node_id"] == node).count();
        if count == 1 { Ok(()) } else { Err(format!("{count} wait")) }
    });
    cases.must(
        "request/pending-survives-restart",
        "TRU-16",
        "a waiting request survives a restart",
        |bench| {
            let mut peer = asker(bench)?;
            let text = message(&peer, "handshake_request", "please", now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
            // Changes that strangers cause may be collected for some seconds.
            bench.pass(Duration::from_secs(6))?;
            bench.restart()?;
            becomes(bench, "the request still waits", |bench| is_pending(bench, node))
        },
    );
    cases.must(
        "request/trust-survives-restart",
        "TRU-16",
        "trust survives a crash right after the approval was answered",
        |bench| {
            let mut peer = asker(bench)?;
            let text = message(&peer, "handshake_request", "please", now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
            decide(bench, 2, &mut peer, Duration::ZERO)?;
            bench.restart()?;
            becomes(bench, "still trusted", |bench| is_trusted(bench, node))
        },
    );
    cases.must(
        "request/in-two-writes",
        "TRU-2",
        "a message in one segment is read whatever follows",
        |bench| {
            let mut peer = asker(bench)?;
            let text = format!("{} \n", message(&peer, "handshake_request", "with white space", now()));
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))
        },
    );
    cases.must("request/unknown-keys", "TRU-3", "unknown members are ignored", |bench| {
        let mut peer = asker(bench)?;
        let mut value = message(&peer, "handshake_request", "please", now());
        value["future"] = json!({ "a": [1, 2] });
        deliver(&mut peer, 41_000, value.to_string().as_bytes())?;
        let node = peer.node;
        becomes(bench, "the request waits", |bench| is_pending(bench, node))
    });
}

fn forged(cases: &mut Cases) {
    type Change = fn(&mut Value, &Peer);
    let changes: [(&str, &'static str, &str, Change); 18] = [
        ("signature-of-another-text", "TRU-6", "whose signature is over another text", |m, p| {
            m["signature"] = BASE64_STANDARD.encode(p.identity.sign(b"handshake:9:9").to_bytes()).into()
        }),
        ("signature-empty", "TRU-6", "without a signature", |m, _| m["signature"] = "".into()),
        ("signature-short", "TRU-6", "with a short signature", |m, _| m["signature"] = "AAAA".into()),
        ("signature-not-base64", "TRU-6", "whose signature is not base64", |m, _| {
            m["signature"] = "***".into()
        }),
        ("key-empty", "TRU-6", "without a key", |m, _| m["public_key"] = "".into()),
        ("key-of-another", "TRU-6", "with a key that the registry does not have", |m, p| {
            let other = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
            m["public_key"] = BASE64_STANDARD.encode(other.verifying_key().as_bytes()).into();
            m["signature"] = BASE64_STANDARD
                .encode(other.sign(format!("handshake:{}:{TARGET}", p.node).as_bytes()).to_bytes())
                .into();
        }),
        ("node-of-another", "TRU-6", "in the name of another node", |m, _| m["node_id"] = 3.into()),
        ("node-of-the-receiver", "TRU-6", "in the name of the receiver", |m, _| m["node_id"] = TARGET.into()),
        ("node-zero", "TRU-6", "of node 0", |m, _| m["node_id"] = 0.into()),
        ("node-as-text", "TRU-3", "whose node id is a text", |m, p| m["node_id"] = p.node.to_string().into()),
        ("node-negative", "TRU-3", "whose node id is negative", |m, _| m["node_id"] = (-1).into()),
        ("old", "TRU-6", "that is 301 seconds old", |m, _| m["timestamp"] = (now() - 301).into()),
        ("future", "TRU-6", "that is 40 seconds ahead", |m, _| m["timestamp"] = (now() + 40).into()),
        ("timestamp-text", "TRU-3", "whose timestamp is a text", |m, _| m["timestamp"] = "now".into()),
        ("timestamp-fraction", "TRU-3", "whose timestamp has a fraction", |m, _| m["timestamp"] = json!(1.5)),
        ("type-unknown", "TRU-3", "of an unknown type", |m, _| m["type"] = "handshake_please".into()),
        ("type-missing", "TRU-3", "without a type", |m, _| m["type"] = Value::Null),
        ("justification-number", "TRU-3", "whose justification is a number", |m, _| {
            m["justification"] = 7.into()
        }),
    ];
    for (name, clause, text, change) in changes {
        cases.must(
            &format!("forged/{name}"),
            clause,
            &format!("a request {text} is dropped"),
            move |bench| {
                let mut peer = asker(bench)?;
                let mut value = message(&peer, "handshake_request", "please", now());
                change(&mut value, &peer);
                deliver(&mut peer, 41_000, value.to_string().as_bytes())?;
                stays_out(bench, peer.node)
            },
        );
    }
    let texts: [(&str, &[u8]); 8] = [
        ("empty", b" "),
        ("not-json", b"hello"),
        ("array", b"[]"),
        ("null", b"null"),
        ("cut", b"{\"type\":\"handshake_request\",\"node_id\":"),
        ("deep", b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["),
        ("bad-utf8", b"{\"type\":\"handshake_request\xff\xfe\"}"),
        ("two-objects", b"{}{}"),
    ];
    for (name, text) in texts {
        cases.must(
            &format!("malformed/{name}"),
            "TRU-3",
            "what is not one JSON object with the right types is dropped",
            move |bench| {
                let mut peer = asker(bench)?;
                deliver(&mut peer, 41_000, text)?;
                stays_out(bench, peer.node)
            },
        );
    }
    cases.must(
        "forged/replayed",
        "TRU-6",
        "a message that was accepted before does nothing when it comes again",
        |bench| {
            let mut peer = asker(bench)?;
            let text = message(&peer, "handshake_request", "please", now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
            decide(bench, 3, &mut peer, LINGER)?;
            becomes(bench, "the request is gone", |bench| is_pending(bench, node).map(|p| !p))?;
            deliver(&mut peer, 41_001, text.as_bytes())?;
            stays_out(bench, node)
        },
    );
    cases.must(
        "forged/accept-without-request",
        "TRU-8",
        "an accept that nobody asked for makes no trust",
        |bench| {
            let mut peer = asker(bench)?;
            let text = message(&peer, "handshake_accept", "", now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            bench.pass(Duration::from_millis(250))?;
            if is_trusted(bench, peer.node)? { Err("it is trusted".into()) } else { Ok(()) }
        },
    );
    cases.must(
        "forged/revoke-of-another",
        "TRU-6",
        "a revoke in the name of a trusted node ends nothing",
        |bench| {
            let friend = trusted(bench)?;
            let mut thief = asker(bench)?;
            let mut value = message(&thief, "handshake_revoke", "", now());
            value["node_id"] = friend.node.into();
            deliver(&mut thief, 41_000, value.to_string().as_bytes())?;
            bench.pass(Duration::from_millis(250))?;
            if is_trusted(bench, friend.node)? { Ok(()) } else { Err("trust ended".into()) }
        },
    );
}

/// A node that the operator has approved.
fn trusted(bench: &mut Bench<'_>) -> Result<Peer, String> {
    let mut peer = asker(bench)?;
    let text = message(&peer, "handshake_request", "please", now()).to_string();
    deliver(&mut peer, 41_000, text.as_bytes())?;
    let node = peer.node;
    becomes(bench, "the request waits", |bench| is_pending(bench, node))?;
    decide(bench, 2, &mut peer, LINGER)?;
    becomes(bench, "trusted", |bench| is_trusted(bench, node))?;
    peer.drain()?;
    Ok(peer)
}

fn answers(cases: &mut Cases) {
    cases.must("ask/message", "TRU-3", "a request has the seven members, signed, in one segment", |bench| {
        let mut peer = asker(bench)?;
        let (value, _client) = asked(bench, &mut peer)?;
        let members = ["type", "node_id", "public_key", "justification", "signature", "reason", "timestamp"];
        if let Some(missing) = members.iter().find(|member| value.get(**member).is_none()) {
            return Err(format!("{missing} is missing in {value}"));
        }
        if value["type"] != "handshake_request"
            || value["node_id"] != TARGET
            || value["justification"] != "be my friend"
        {
            return Err(format!("it is {value}"));
        }
        let decode = |member: &str| {
            BASE64_STANDARD.decode(value[member].as_str().unwrap_or_default()).unwrap_or_default()
        };
        let key: [u8; 32] = decode("public_key").try_into().map_err(|_| "the key has not 32 bytes")?;
        let signature: [u8; 64] =
            decode("signature").try_into().map_err(|_| "the signature has not 64 bytes")?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| "the key is none")?;
        let signed = format!("handshake:{TARGET}:{}", peer.node);
        key.verify_strict(signed.as_bytes(), &ed25519_dalek::Signature::from_bytes(&signature))
            .map_err(|_| "the signature does not match".into())
    });
    for (name, clause, what, kind, words) in [
        ("accepted", "TRU-8", "an accept of a node that was asked makes trust", "handshake_accept", ""),
        (
            "crossed",
            "TRU-7",
            "a request of a node that was asked makes trust",
            "handshake_request",
            "you too",
        ),
    ] {
        cases.must(&format!("ask/{name}"), clause, what, move |bench| {
            let mut peer = asker(bench)?;
            let (_, _client) = asked(bench, &mut peer)?;
            let text = message(&peer, kind, words, now()).to_string();
            deliver(&mut peer, 41_000, text.as_bytes())?;
            let node = peer.node;
            becomes(bench, "trusted", |bench| is_trusted(bench, node))
        });
    }
    cases.must("ask/rejected", "TRU-9", "a reject of a node that was asked makes no trust", |bench| {
        let mut peer = asker(bench)?;
        let (_, _client) = asked(bench, &mut peer)?;
        let text = message(&peer, "handshake_reject", "", now()).to_string();
        deliver(&mut peer, 41_000, text.as_bytes())?;
        stays_out(bench, peer.node)?;
        let text = message(&peer, "handshake_accept", "", now()).to_string();
        deliver(&mut peer, 41_001, text.as_bytes())?;
        bench.pass(Duration::from_millis(250))?;
        if is_trusted(bench, peer.node)? { Err("an accept after it made trust".into()) } else { Ok(()) }
    });
    cases.must(
        "trusted-asks-again",
        "TRU-7",
        "a request of a trusted node is answered with accept",
        |bench| {
            let mut peer = trusted(bench)?;
            let text = message(&peer, "handshake_request", "did you forget me?", now() + 1).to_string();
            let mut conn = peer.connect(43_000, TRUST, 1)?;
            peer.write(&mut conn, text.as_bytes())?;
            let mut back = peer.accept(TRUST, 9)?;
            let at = back;
            let segment = peer.expect("the accept", |p| at.is_for(p) && !p.payload.is_empty())?;
            back.expected = back.expected.wrapping_add(segment.payload.len() as u32);
            peer.send(&back.packet(&peer, ACK))?;
            let value: Value =
                serde_json::from_slice(&segment.payload).map_err(|e| format!("no JSON: {e}"))?;
            if value["type"] == "handshake_accept" { Ok(()) } else { Err(format!("it is {value}")) }
        },
    );
}

fn revocation(cases: &mut Cases) {
    cases.must(
        "revoke/by-operator",
        "TRU-10",
        "a revoked node is not trusted any more, and the registry is told",
        |bench| {
            let peer = trusted(bench)?;
            let node = peer.node;
            let since = bench.rendezvous.mark();
            command(bench, 6, node)?;
            if is_trusted(bench, node)? {
                return Err("it is still listed".into());
            }
            bench
                .rendezvous
                .asked(since, PATIENCE, "to end the pair", |q| {
                    q["type"] == "revoke_trust" && q["peer_id"] == node
                })
                .map(drop)
        },
    );
    cases.must(
        "revoke/by-peer",
        "TRU-10",
        "a revoke of a trusted node ends trust, and the registry is told",
        |bench| {
            let mut peer = trusted(bench)?;
            let node = peer.node;
            let since = bench.rendezvous.mark();
            let text = message(&peer, "handshake_revoke", "", now()).to_string();
            deliver(&mut peer, 44_000, text.as_bytes())?;
            becomes(bench, "trust ends", |bench| is_trusted(bench, node).map(|t| !t))?;
            bench
                .rendezvous
                .asked(since, PATIENCE, "to end the pair", |q| {
                    q["type"] == "revoke_trust" && q["peer_id"] == node
                })
                .map(drop)
        },
    );
    cases.must("revoke/tells-the-peer", "TRU-10", "the revoked node is told on port 444", |bench| {
        let mut peer = trusted(bench)?;
        peer.drain()?;
        // Its answer may wait for the peer's.
        let mut client = bench.client()?;
        client.send(0x0F, &[&[6][..], &peer.node.to_be_bytes()].concat())?;
        let conn = peer.accept(TRUST, 9)?;
        let segment = peer.expect("the revoke", |p| conn.is_for(p) && !p.payload.is_empty())?;
        let value: Value = serde_json::from_slice(&segment.payload).map_err(|e| format!("no JSON: {e}"))?;
        if value["type"] == "handshake_revoke" { Ok(()) } else { Err(format!("it is {value}")) }
    });
    cases.must(
        "revoke/stays-after-restart",
        "TRU-16",
        "a revocation survives a crash right after it was answered",
        |bench| {
            let peer = trusted(bench)?;
            let node = peer.node;
            command(bench, 6, node)?;
            bench.restart()?;
            if is_trusted(bench, node)? { Err("it is trusted again".into()) } else { Ok(()) }
        },
    );
    cases.must(
        "revoke/request-does-not-restore",
        "TRU-12",
        "after a revocation a request of the node waits for the operator",
        |bench| {
            let mut peer = trusted(bench)?;
            let node = peer.node;
            command(bench, 6, node)?;
            // The message about it may take three seconds; then the tunnel goes (TRU-10).
            bench.pass(Duration::from_millis(3500))?;
            peer.sessions.clear();
            peer.fresh_key();
            peer.meet()?;
            let text = message(&peer, "handshake_request", "please again", now() + 2).to_string();
            deliver(&mut peer, 44_001, text.as_bytes())?;
            bench.pass(Duration::from_millis(300))?;
            if is_trusted(bench, node)? { Err("it is trusted again".into()) } else { Ok(()) }
        },
    );
}

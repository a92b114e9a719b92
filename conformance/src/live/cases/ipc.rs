//! The local socket: every command, malformed messages, slow and dying programs.

use super::super::bench::{Bench, DATAGRAMS, ECHO};
use super::super::case::{Case, Cases, Grade, Level, Outcome, Setup};
use super::super::client::{Client, number};
use super::super::peer::PATIENCE;
use super::super::wire::{ACK, DATAGRAM, FIN, RST, STREAM, SYN};
use serde_json::Value;
use std::time::{Duration, Instant};

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("ipc", Setup::Public);
    framing(&mut cases);
    short_payloads(&mut cases);
    json_commands(&mut cases);
    newer_commands(&mut cases);
    ports(&mut cases);
    streams(&mut cases);
    datagrams(&mut cases);
    bad_programs(&mut cases);
    cases.all
}

/// The text of an error answer.
fn error_of(answer: &(u8, Vec<u8>)) -> Result<String, String> {
    match answer {
        (0x0A, payload) => Ok(String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned()),
        (command, _) => Err(format!("the answer is {command:02x}, should be an error")),
    }
}

fn expect_error(client: &mut Client, command: u8, payload: &[u8], fragment: &str) -> Result<(), String> {
    let answer = client.ask(command, payload)?;
    let text = error_of(&answer)?;
    if answer.1.get(..2) != Some(&[0, 1]) {
        return Err(format!("the code of the error is {:02x?}, clients know 0001", answer.1.get(..2)));
    }
    if text.contains(fragment) {
        Ok(())
    } else {
        Err(format!("the error is {text:?}, clients look for {fragment:?}"))
    }
}

/// The connection stands. An error may still be under way: Send and SendTo have no other answer.
fn still_answers(client: &mut Client) -> Result<(), String> {
    client.send(0x21, b"")?;
    client.expect(PATIENCE, "health", |m| m.0 == 0x22).map(drop)
}

fn framing(cases: &mut Cases) {
    cases.must("framing/empty", "LIM-5", "a message of length 0 is ignored", |bench| {
        let mut client = bench.client()?;
        client.send_raw(&[0, 0, 0, 0])?;
        still_answers(&mut client)
    });
    cases.must("framing/byte-by-byte", "LIM-5", "a message may arrive in pieces", |bench| {
        let mut client = bench.client()?;
        for byte in [0, 0, 0, 1, 0x21] {
            client.send_raw(&[byte])?;
            bench.pass(Duration::from_millis(3))?;
        }
        client.expect(PATIENCE, "health", |m| m.0 == 0x22).map(drop)
    });
    cases.must("framing/many-at-once", "LIM-5", "messages in one write are answered in order", |bench| {
        let mut client = bench.client()?;
        let one = [0u8, 0, 0, 1, 0x21, 0, 0, 0, 1, 0x0D];
        client.send_raw(&one.repeat(20))?;
        for _ in 0..20 {
            for answer in [0x22, 0x0E] {
                match client.receive(PATIENCE)? {
                    Some((command, _)) if command == answer => {}
                    other => return Err(format!("expected {answer:02x}, got {other:?}")),
                }
            }
        }
        Ok(())
    });
    cases.must(
        "framing/too-long",
        "LIM-5",
        "a message above 1 MiB ends the connection, and only that",
        |bench| {
            let mut client = bench.client()?;
            client.send_raw(&[0, 0x10, 0, 1])?;
            match client.receive(PATIENCE) {
                Err(_) => Ok(()),
                Ok(other) => Err(format!("it is still open: {other:?}")),
            }
        },
    );
    cases.must("framing/longest", "LIM-5", "a message of exactly 1 MiB is processed", |bench| {
        let mut client = bench.client()?;
        let mut message = vec![0, 0x10, 0, 0, 0x21];
        message.resize(4 + (1 << 20), 0);
        client.send_raw(&message)?;
        client.expect(Duration::from_secs(5), "health", |m| m.0 == 0x22).map(drop)
    });
    cases.must("framing/cut", "LIM-5", "a connection that ends inside a message harms nobody", |bench| {
        let mut client = bench.client()?;
        client.send_raw(&[0, 0, 0, 100, 0x03, 1])?;
        drop(client);
        Ok(())
    });
    for command in [0x00u8, 0x02, 0x04, 0x0E, 0x3F, 0x7F, 0xC0, 0xFF] {
        cases.must(
            &format!("unknown/{command:02x}"),
            "LIM-5",
            "an unknown command is answered by an error that names it",
            move |bench| {
                let mut client = bench.client()?;
                client.send(command, b"what?")?;
                let answer = client.expect(PATIENCE, "error", |m| m.0 == 0x0A)?;
                let text = error_of(&answer)?;
                let wanted = format!("0x{command:02X}");
                if !text.contains("unknown command") || !text.contains(&wanted) {
                    return Err(format!(
                        "the error is {text:?}, clients look for \"unknown command: {wanted}\""
                    ));
                }
                still_answers(&mut client)
            },
        );
    }
}

fn short_payloads(cases: &mut Cases) {
    let short: [(&str, u8, &[u8], &str); 18] = [
        ("bind", 0x01, b"", "bind: missing port"),
        ("bind-1", 0x01, &[9], "bind: missing port"),
        ("dial", 0x03, b"", "dial: missing address/port"),
        ("dial-7", 0x03, &[0; 7], "dial: missing address/port"),
        ("send", 0x06, &[0, 0, 1], "send: missing conn_id"),
        ("close", 0x08, &[0, 0, 1], "close: missing conn_id"),
        ("sendto", 0x0B, &[0; 7], "sendto: missing address/port"),
        ("resolve-hostname", 0x11, b"", "resolve_hostname: missing hostname"),
        ("set-visibility", 0x15, b"", "set_visibility: missing value"),
        ("handshake", 0x0F, b"", "handshake: missing sub-command"),
        ("handshake-unknown", 0x0F, &[0x5A], "handshake: unknown sub-command 0x5A"),
        ("handshake-request", 0x0F, &[1, 0, 0], "handshake request: missing node_id"),
        ("handshake-approve", 0x0F, &[2], "handshake approve: missing node_id"),
        ("handshake-reject", 0x0F, &[3, 1, 2, 3], "handshake reject: missing node_id"),
        ("handshake-revoke", 0x0F, &[6], "handshake revoke: missing node_id"),
        ("network", 0x1F, b"", "network: missing sub-command"),
        ("network-unknown", 0x1F, &[0x5A], "network: unknown sub-command 0x5A"),
        ("network-join", 0x1F, &[2], "network join: missing network_id"),
    ];
    for (name, command, payload, text) in short {
        cases.must(
            &format!("short/{name}"),
            "LIM-5",
            &format!("a payload that is too short is refused with {text:?}"),
            move |bench| {
                let mut client = bench.client()?;
                expect_error(&mut client, command, payload, text)?;
                still_answers(&mut client)
            },
        );
    }
}

/// A member of a JSON object and what it must be.
type Member<'m> = (&'m str, fn(&Value) -> bool);

fn shaped(value: &Value, members: &[Member<'_>]) -> Result<(), String> {
    for (member, fits) in members {
        match value.get(member) {
            Some(found) if fits(found) => {}
            Some(found) => return Err(format!("{member} is {found}")),
            None => return Err(format!("{member} is missing")),
        }
    }
    Ok(())
}

fn json_commands(cases: &mut Cases) {
    cases.must("info", "LIM-5", "Info has the members that clients read", |bench| {
        let info = bench.client()?.ask_json(0x0D, b"")?;
        let text: fn(&Value) -> bool = Value::is_string;
        let count: fn(&Value) -> bool = |v| v.as_u64().is_some();
        let flag: fn(&Value) -> bool = Value::is_boolean;
        let list: fn(&Value) -> bool = Value::is_array;
        shaped(
            &info,
            &[
                ("address", text),
                ("node_id", count),
                ("hostname", text),
                ("public_key", text),
                ("identity", flag),
                ("encrypt", flag),
                ("uptime_secs", Value::is_number),
                ("connections", count),
                ("ports", count),
                ("peers", count),
                ("encrypted_peers", count),
                ("authenticated_peers", count),
                ("bytes_sent", count),
                ("bytes_recv", count),
                ("pkts_sent", count),
                ("pkts_recv", count),
                ("handshake_pending_count", count),
                ("peer_list", list),
                ("conn_list", list),
            ],
        )?;
        if info["node_id"] == 1 && info["address"] == "0:0000.0000.0001" {
            Ok(())
        } else {
            Err(format!("it says it is node {} at {}", info["node_id"], info["address"]))
        }
    });
    cases.must("info/trailing-bytes", "LIM-5", "bytes after a fixed payload are ignored", |bench| {
        bench.client()?.ask_json(0x0D, b"xyz").map(drop)
    });
    cases.must("info/names-a-stream", "LIM-5", "an open stream is in Info's list", |bench| {
        let (mut client, id, peer, conn) = bench.pair(7)?;
        let info = client.ask_json(0x0D, b"")?;
        let listed = info["conn_list"].as_array().into_iter().flatten();
        let address = format!("0:0000.{:04X}.{:04X}", peer.node >> 16, peer.node & 0xFFFF);
        let mut found = listed.filter(|c| {
            c["id"] == id && c["remote_port"] == conn.local && c["remote_addr"] == address.as_str()
        });
        found.next().map(drop).ok_or(format!("no connection {id} from {address} in {}", info["conn_list"]))
    });
    cases.must("health", "LIM-5", "Health has the members that clients read", |bench| {
        let health = bench.client()?.ask_json(0x21, b"")?;
        let count: fn(&Value) -> bool = |v| v.as_u64().is_some();
        shaped(
            &health,
            &[
                ("status", |v| v == "ok"),
                ("bytes_recv", count),
                ("bytes_sent", count),
                ("connections", count),
                ("peers", count),
                ("uptime_seconds", Value::is_number),
            ],
        )
    });
    cases.must("handshake/pending", "LIM-5", "the list of waiting requests is a list", |bench| {
        let pending = bench.client()?.ask_json(0x0F, &[4])?;
        shaped(&pending, &[("pending", Value::is_array)])
    });
    cases.must("handshake/trusted", "LIM-5", "the list of trusted nodes is a list", |bench| {
        let trusted = bench.client()?.ask_json(0x0F, &[5])?;
        shaped(&trusted, &[("trusted", Value::is_array)])
    });
    cases.must(
        "handshake/approve-nobody",
        "LIM-5",
        "approving a node that did not ask is answered, and trusts nobody",
        |bench| {
            let mut client = bench.client()?;
            let node = bench.node();
            client.ask(0x0F, &[&[2][..], &node.to_be_bytes()].concat())?;
            let trusted = client.ask_json(0x0F, &[5])?;
            let found = trusted["trusted"].as_array().into_iter().flatten().any(|t| t["node_id"] == node);
            if found { Err("it is trusted now".into()) } else { Ok(()) }
        },
    );
    cases.must(
        "handshake/revoke-nobody",
        "LIM-5",
        "revoking a node that is not trusted is an error",
        |bench| {
            let mut client = bench.client()?;
            let node = bench.node();
            expect_error(&mut client, 0x0F, &[&[6][..], &node.to_be_bytes()].concat(), "not trusted")
        },
    );
    cases.must("hostname", "LIM-5", "a hostname is set at the registry and shown by Info", |bench| {
        let mut client = bench.client()?;
        let since = bench.rendezvous.mark();
        let answer = client.ask_json(0x13, b"bench-host")?;
        shaped(&answer, &[("hostname", |v| v == "bench-host"), ("node_id", |v| v == 1)])?;
        bench.rendezvous.asked(since, PATIENCE, "to set the hostname", |q| {
            q["type"] == "set_hostname" && q["hostname"] == "bench-host"
        })?;
        let info = client.ask_json(0x0D, b"")?;
        client.ask_json(0x13, b"")?;
        if info["hostname"] == "bench-host" { Ok(()) } else { Err(format!("Info says {}", info["hostname"])) }
    });
    cases.must("hostname/refused", "LIM-5", "what the registry refuses is passed on", |bench| {
        let mut client = bench.client()?;
        let refusal = serde_json::json!({ "type": "error", "error": "hostname \"taken\" already taken" });
        bench.rendezvous.script("set_hostname", Some(refusal));
        let result = expect_error(&mut client, 0x13, b"taken", "already");
        bench.rendezvous.script("set_hostname", None);
        result
    });
    cases.must("resolve-hostname", "LIM-5", "a hostname is resolved at the registry", |bench| {
        let mut client = bench.client()?;
        let peer = bench.peer()?;
        let name = format!("host-{}", peer.node);
        bench.rendezvous.change(peer.node, |record| record.hostname.clone_from(&name));
        let answer = client.ask_json(0x11, name.as_bytes())?;
        shaped(&answer, &[("address", Value::is_string), ("hostname", Value::is_string)])?;
        if answer["node_id"] == peer.node { Ok(()) } else { Err(format!("it is node {}", answer["node_id"])) }
    });
    cases.must(
        "resolve-hostname/unknown",
        "LIM-5",
        "an unknown hostname is an error with \"not found\"",
        |bench| {
            let mut client = bench.client()?;
            expect_error(&mut client, 0x11, b"no-such-host", "not found")
        },
    );
    cases.must("tags", "LIM-5", "tags are set at the registry", |bench| {
        let mut client = bench.client()?;
        let since = bench.rendezvous.mark();
        client.ask_json(0x19, br#"["alpha","beta"]"#)?;
        bench
            .rendezvous
            .asked(since, PATIENCE, "to set tags", |q| {
                q["type"] == "set_tags" && q["tags"] == serde_json::json!(["alpha", "beta"])
            })
            .map(drop)
    });
    cases.must("tags/not-json", "LIM-5", "tags that are not JSON are refused", |bench| {
        let mut client = bench.client()?;
        expect_error(&mut client, 0x19, b"[\"alpha\"", "set_tags: invalid JSON")
    });
    cases.must("visibility", "LIM-5", "visibility is set at the registry", |bench| {
        let mut client = bench.client()?;
        let since = bench.rendezvous.mark();
        let answer = client.ask_json(0x15, &[1])?;
        shaped(&answer, &[("visibility", |v| v == "public")])?;
        bench
            .rendezvous
            .asked(since, PATIENCE, "to set visibility", |q| {
                q["type"] == "set_visibility" && q["public"] == true
            })
            .map(drop)
    });
    cases.must("webhook", "LIM-5", "a webhook can be set and cleared", |bench| {
        let mut client = bench.client()?;
        let answer = client.ask_json(0x1B, b"http://127.0.0.1:9/hook")?;
        shaped(&answer, &[("webhook", |v| v == "http://127.0.0.1:9/hook")])?;
        let answer = client.ask_json(0x1B, b"")?;
        shaped(&answer, &[("webhook", |v| v == "")])
    });
    cases.must("networks", "LIM-5", "the networks of the registry are listed", |bench| {
        let answer = bench.client()?.ask_json(0x1F, &[1])?;
        shaped(&answer, &[("networks", Value::is_array)])
    });
}

/// Commands of later releases: who does not have one says so.
fn newer_commands(cases: &mut Cases) {
    let newer: [(&str, u8, &[u8], &str); 3] = [
        (
            "wait-for-trust",
            0x0F,
            &[7, 0, 0, 0, 99, 0, 0, 0, 1],
            "waits for trust in a node, and says no when the time is over",
        ),
        ("unbind", 0x37, &[0x1F, 0x40], "gives a port back that the program does not own: an error"),
        (
            "sendto-confirmed",
            0x39,
            &[0, 0, 0, 0, 0, 77, 0, 9, 1],
            "sends a datagram to a node that does not exist: an error",
        ),
    ];
    for (name, command, payload, text) in newer {
        cases.graded(Level::Should, &format!("newer/{name}"), "LIM-5", text, move |bench| {
            let mut client = bench.client()?;
            let answer = client.ask_within(Duration::from_secs(10), command, payload)?;
            if answer.0 == 0x0A {
                let text = error_of(&answer)?;
                if text.contains("unknown") {
                    return Ok(Grade::Lacking(text));
                }
            }
            still_answers(&mut client)?;
            Ok(Grade::Strict)
        });
    }
}

fn ports(cases: &mut Cases) {
    cases.must("bind", "LIM-5", "a bound port is answered with its number", |bench| {
        bench.client()?.bind(5_555)
    });
    cases.must("bind/twice", "LIM-5", "a port cannot be bound twice", |bench| {
        let (mut one, mut two) = (bench.client()?, bench.client()?);
        one.bind(5_556)?;
        expect_error(&mut two, 0x01, &5_556u16.to_be_bytes(), "port 5556 already bound")?;
        expect_error(&mut one, 0x01, &5_556u16.to_be_bytes(), "port 5556 already bound")
    });
    cases.must("bind/service", "LIM-5", "the port of a built-in service cannot be bound", |bench| {
        expect_error(&mut bench.client()?, 0x01, &ECHO.to_be_bytes(), "already bound")
    });
    cases.must("bind/released", "LIM-5", "the ports of a program that ended can be bound again", |bench| {
        let mut one = bench.client()?;
        one.bind(5_557)?;
        drop(one);
        let mut two = bench.client()?;
        bench.until(PATIENCE, "the port is free", || two.bind(5_557).ok())
    });
    cases.must(
        "bind/closed-then-refused",
        "STR-3",
        "a SYN to the port of a program that ended is refused",
        |bench| {
            let mut client = bench.client()?;
            client.bind(5_558)?;
            drop(client);
            let mut peer = bench.friend()?;
            bench.pass(Duration::from_millis(50))?;
            peer.send(&peer.segment(40_000, 5_558, SYN).numbers(1, 0, 512))?;
            peer.expect("RST", |p| p.protocol == STREAM && p.has(RST)).map(drop)
        },
    );
}

fn streams(cases: &mut Cases) {
    cases.must("accept", "LIM-5", "Accept tells local port, connection, remote address and port", |bench| {
        let mut client = bench.client()?;
        client.bind(5_600)?;
        let mut peer = bench.friend()?;
        peer.connect(43_210, 5_600, 1)?;
        let (_, payload) = client.expect(PATIENCE, "Accept", |m| m.0 == 0x05)?;
        let wanted = [
            &5_600u16.to_be_bytes()[..],
            payload.get(2..6).unwrap_or_default(),
            &[0, 0],
            &peer.node.to_be_bytes(),
            &43_210u16.to_be_bytes(),
        ]
        .concat();
        if payload == wanted { Ok(()) } else { Err(format!("it is {payload:02x?}, should be {wanted:02x?}")) }
    });
    cases.must("accept/before-data", "LIM-5", "Accept comes before the first bytes", |bench| {
        let mut client = bench.client()?;
        client.bind(5_601)?;
        let mut peer = bench.friend()?;
        let mut conn = peer.connect(40_000, 5_601, 1)?;
        peer.write(&mut conn, b"early")?;
        let mut order = Vec::new();
        while order.len() < 2 {
            match client.receive(PATIENCE)? {
                Some((command @ (0x05 | 0x07), _)) => order.push(command),
                Some(_) => {}
                None => return Err(format!("only {order:02x?} came")),
            }
        }
        if order == [0x05, 0x07] { Ok(()) } else { Err(format!("the order is {order:02x?}")) }
    });
    cases.must("dial/refused", "STR-3", "a dial that is refused is an error soon", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.friend()?;
        client.dial(peer.node, 81)?;
        let conn = peer.await_syn(81, 0)?;
        peer.send(&peer.segment(81, conn.remote, RST))?;
        let answer = client.expect(PATIENCE, "error", |m| m.0 == 0x0A)?;
        let text = error_of(&answer)?;
        if text.contains("refused") { Ok(()) } else { Err(format!("the error is {text:?}")) }
    });
    cases.must(
        "dial/unknown-node",
        "LIM-5",
        "a dial to a node the registry does not know is an error soon",
        |bench| {
            let mut client = bench.client()?;
            let node = bench.node();
            client.dial(node, 81)?;
            let answer = client.expect(Duration::from_secs(8), "error", |m| m.0 == 0x0A)?;
            let text = error_of(&answer)?;
            if text.contains("not found") || text.contains("resolve") {
                Ok(())
            } else {
                Err(format!("the error is {text:?}"))
            }
        },
    );
    cases.should(
        "dial/does-not-block",
        "LIM-5",
        "a dial that waits does not hold up the other requests of the program",
        |bench| {
            let mut client = bench.client()?;
            let peer = bench.friend()?;
            client.dial(peer.node, 81)?;
            client.send(0x21, b"")?;
            client.expect(Duration::from_secs(2), "health", |m| m.0 == 0x22).map(drop)
        },
    );
    cases.must("dial/others-go-on", "LIM-5", "a dial that waits does not hold up other programs", |bench| {
        let mut client = bench.client()?;
        let peer = bench.friend()?;
        client.dial(peer.node, 81)?;
        still_answers(&mut bench.client()?)
    });
    cases.must(
        "dial/ephemeral-port",
        "ADR-1",
        "a dial leaves from a port between 49152 and 65535",
        |bench| {
            let (_client, _, _, conn) = bench.dialled(1)?;
            if conn.remote >= 49_152 { Ok(()) } else { Err(format!("it leaves from {}", conn.remote)) }
        },
    );
    cases.must("dial/itself", "LIM-5", "a dial to the own node neither hangs nor harms", |bench| {
        let mut client = bench.client()?;
        client.dial(1, ECHO)?;
        // A connection or an error, both are answers.
        client.expect(Duration::from_secs(40), "answer to Dial", |m| m.0 == 0x04 || m.0 == 0x0A).map(drop)
    });
    for size in [1usize, 4096, 100_000, 1_000_000] {
        cases.must(&format!("send/{size}"), "STR-6", "what a program sends arrives whole", move |bench| {
            let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
            let whole: Vec<u8> = (0..size).map(|i| (i % 253) as u8).collect();
            client.write(id, &whole)?;
            let got = peer.read(&mut conn, size)?;
            if got == whole { Ok(()) } else { Err("other bytes came".into()) }
        });
    }
    cases.must("send/unknown", "LIM-5", "Send to an unknown connection loses nothing of others", |bench| {
        let mut client = bench.client()?;
        client.write(0x7FFF_0000, b"nobody")?;
        still_answers(&mut client)
    });
    cases.must("send/empty", "LIM-5", "Send without data does nothing", |bench| {
        let (mut client, id, mut peer, conn) = bench.pair(7)?;
        client.write(id, b"")?;
        still_answers(&mut client)?;
        bench.no_packet(&mut peer, &conn)
    });
    cases.must("send/then-close", "STR-15", "what was sent before Close arrives whole", |bench| {
        let (mut client, id, mut peer, mut conn) = bench.pair(7)?;
        let whole: Vec<u8> = (0..300_000).map(|i| (i % 253) as u8).collect();
        client.write(id, &whole)?;
        client.close(id)?;
        let got = peer.read(&mut conn, whole.len())?;
        if got != whole {
            return Err("other bytes came".into());
        }
        peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN)).map(drop)
    });
    cases.should(
        "send/of-another-program",
        "LIM-5",
        "a program cannot write to the stream of another",
        |bench| {
            let (_owner, id, mut peer, conn) = bench.pair(7)?;
            let mut thief = bench.client()?;
            thief.write(id, b"not mine")?;
            still_answers(&mut thief)?;
            bench.control()?;
            let wrote = peer
                .drain()?
                .iter()
                .any(|h| h.packet().is_some_and(|p| conn.is_for(p) && !p.payload.is_empty()));
            if wrote { Err("it did".into()) } else { Ok(()) }
        },
    );
    cases.must("close/unknown", "LIM-5", "Close of an unknown connection is answered", |bench| {
        let mut client = bench.client()?;
        let answer = client.ask_ok(0x08, &0x7FFF_0000u32.to_be_bytes())?;
        if number(&answer) == Some(0x7FFF_0000) { Ok(()) } else { Err(format!("with {answer:02x?}")) }
    });
    cases.must("close/answered", "LIM-5", "Close is answered and the peer is told", |bench| {
        let (mut client, id, mut peer, conn) = bench.pair(7)?;
        client.close(id)?;
        client.ended(id, PATIENCE)?;
        peer.expect("FIN", |p| conn.is_for(p) && p.has(FIN)).map(drop)
    });
    cases.must("program-ends", "STR-15", "the streams of a program that ends are closed", |bench| {
        let (client, _, mut peer, conn) = bench.pair(7)?;
        drop(client);
        peer.expect("FIN or RST", |p| conn.is_for(p) && (p.has(FIN) || p.has(RST))).map(drop)
    });
}

fn datagrams(cases: &mut Cases) {
    cases.must("sendto", "PKT-10", "SendTo sends one datagram and has no answer", |bench| {
        let mut client = bench.client()?;
        let mut peer = bench.friend()?;
        client.send(
            0x0B,
            &[&[0, 0][..], &peer.node.to_be_bytes(), &900u16.to_be_bytes(), b"one way"].concat(),
        )?;
        let packet = peer.expect("datagram", |p| p.protocol == DATAGRAM)?;
        if packet.payload != b"one way" || packet.destination_port != 900 {
            return Err(format!("it is {}", packet.describe()));
        }
        still_answers(&mut client)
    });
    cases.must("sendto/too-long", "PKT-11", "a datagram that fits no packet is refused", |bench| {
        let mut client = bench.client()?;
        let peer = bench.friend()?;
        let payload =
            [&[0, 0][..], &peer.node.to_be_bytes(), &900u16.to_be_bytes(), &vec![0; 70_000]].concat();
        let answer = client.ask(0x0B, &payload)?;
        error_of(&answer).map(drop)
    });
    cases.must("sendto/broadcast-refused", "ADR-1", "a broadcast to everybody is refused", |bench| {
        let mut client = bench.client()?;
        let payload = [&[0, 0][..], &u32::MAX.to_be_bytes(), &900u16.to_be_bytes(), b"all"].concat();
        expect_error(&mut client, 0x0B, &payload, "broadcast")
    });
    cases.must("recvfrom", "PKT-10", "RecvFrom tells source, ports and payload", |bench| {
        let mut client = bench.datagram_client()?;
        let mut peer = bench.friend()?;
        peer.send(&Bench::datagram(&peer, b"hello there"))?;
        let (_, payload) =
            client.expect(PATIENCE, "RecvFrom", |m| m.0 == 0x0C && m.1.ends_with(b"hello there"))?;
        let wanted = [
            &[0, 0][..],
            &peer.node.to_be_bytes(),
            &700u16.to_be_bytes(),
            &DATAGRAMS.to_be_bytes(),
            b"hello there",
        ]
        .concat();
        if payload == wanted { Ok(()) } else { Err(format!("it is {payload:02x?}")) }
    });
}

fn bad_programs(cases: &mut Cases) {
    cases.must(
        "slow/does-not-read-datagrams",
        "LIM-5",
        "a program that does not read 2000 datagrams stops nobody, no other program either",
        |bench| {
            let _client = bench.datagram_client()?;
            let mut peer = bench.friend()?;
            for round in 0..20 {
                for _ in 0..100 {
                    peer.send(&Bench::datagram(&peer, &[b'd'; 1000]))?;
                }
                if round % 5 == 4 {
                    bench.control()?;
                }
            }
            still_answers(&mut bench.client()?)
        },
    );
    cases.must(
        "slow/does-not-read-a-stream",
        "STR-8",
        "a program that does not read its stream stops nobody, no other program either",
        |bench| {
            let (_client, _, mut peer, mut conn) = bench.pair(7)?;
            for round in 0..40 {
                for _ in 0..50 {
                    peer.write(&mut conn, &[b's'; 1000])?;
                }
                if round % 10 == 9 {
                    bench.control()?;
                    peer.drain()?;
                }
            }
            still_answers(&mut bench.client()?)
        },
    );
    cases.must(
        "slow/two-hundred-programs",
        "LIM-5",
        "two hundred programs that do nothing stop nobody",
        |bench| {
            let clients: Vec<Client> = (0..200).map(|_| bench.client()).collect::<Result<_, _>>()?;
            still_answers(&mut bench.client()?)?;
            drop(clients);
            Ok(())
        },
    );
    cases.must(
        "dies/in-the-middle-of-a-dial",
        "LIM-5",
        "a program that dies while its dial waits harms nobody",
        |bench| {
            let mut client = bench.client()?;
            let mut peer = bench.friend()?;
            client.dial(peer.node, 82)?;
            let conn = peer.await_syn(82, 5)?;
            drop(client);
            bench.pass(Duration::from_millis(50))?;
            peer.send(&conn.packet(&peer, SYN | ACK))
        },
    );
    cases.must(
        "dies/hundred-times",
        "LIM-5",
        "programs that come, bind and die a hundred times leave nothing behind",
        |bench| {
            for _ in 0..100 {
                let mut client = bench.client()?;
                client.send(0x01, &5_700u16.to_be_bytes())?;
            }
            let mut client = bench.client()?;
            bench.until(PATIENCE, "the port is free", || client.bind(5_700).ok())
        },
    );
    cases.must("garbage", "LIM-5", "random bytes end at most their own connection", |bench| {
        for seed in 0..50u32 {
            let mut client = bench.client()?;
            let bytes: Vec<u8> = (0..200u32)
                .map(|i| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 13) as u8)
                .collect();
            // It may hang up while we write.
            let _ = client.send_raw(&bytes);
        }
        still_answers(&mut bench.client()?)
    });
    cases.graded(Level::May, "latency", "LIM-5", "how long a hundred requests take", |bench| -> Outcome {
        let mut client = bench.client()?;
        let began = Instant::now();
        for _ in 0..100 {
            still_answers(&mut client)?;
        }
        Ok(Grade::Seen(format!("{:.1} ms", began.elapsed().as_secs_f64() * 1000.0)))
    });
}

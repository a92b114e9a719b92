//! Frames and JSON: cut anywhere, several at once, too long, no JSON, and clients that are slow, greedy or dead.

use crate::live::case::{Cases, OfRendezvous};
use crate::live::link::{ANSWER, Link, framed};
use crate::live::memory;
use crate::live::server::Server;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest request body (REG-1).
const LONGEST: usize = 65_536;

/// A question that anybody may ask at any rate, and that names what it asks for.
fn question(node: u32) -> Value {
    json!({ "type": "check_trust", "node_id": node, "peer_id": node })
}

/// A link of a host of its own, and the question it asks.
fn link(server: &mut Server<'_>) -> Result<(Link, Value), String> {
    let agent = server.agent()?;
    let question = json!({ "type": "get_key_info", "node_id": agent.node });
    Ok((agent.link, question))
}

fn expect_answer(link: &mut Link, kind: &str) -> Result<Value, String> {
    let answer = link.answer()?;
    if answer["type"] == kind { Ok(answer) } else { Err(format!("answered {answer}, expected {kind}")) }
}

pub(super) fn framing(cases: &mut Cases<OfRendezvous>) {
    cut(cases);
    garbage(cases);
    json_rules(cases);
    clients(cases);
}

fn cut(cases: &mut Cases<OfRendezvous>) {
    cases.must("frame/byte-by-byte", "REG-1", "a request may come in any number of pieces", |server| {
        let (mut link, question) = link(server)?;
        for byte in framed(question.to_string().as_bytes()) {
            link.send_raw(&[byte])?;
        }
        expect_answer(&mut link, "get_key_info_ok").map(drop)
    });
    for (name, at) in [("in-the-length", 2), ("behind-the-length", 4), ("in-the-body", 20)] {
        cases.must(
            &format!("frame/cut-{name}"),
            "REG-1",
            "a request that comes in two pieces, others being served between them, is answered",
            move |server| {
                let (mut link, question) = link(server)?;
                let bytes = framed(question.to_string().as_bytes());
                link.send_raw(&bytes[..at])?;
                server.control()?;
                link.send_raw(&bytes[at..])?;
                expect_answer(&mut link, "get_key_info_ok").map(drop)
            },
        );
    }
    cases.must(
        "frame/two-in-one-write",
        "REG-1",
        "two requests in one write are answered in order",
        |server| {
            let (mut link, question) = link(server)?;
            let second = json!({ "type": "check_trust", "node_id": 1, "peer_id": 2 });
            let both = [question, second].map(|q| framed(q.to_string().as_bytes())).concat();
            link.send_raw(&both)?;
            expect_answer(&mut link, "get_key_info_ok")?;
            expect_answer(&mut link, "check_trust_ok").map(drop)
        },
    );
    cases.must(
        "frame/a-thousand-ahead",
        "REG-1",
        "requests may be sent ahead; a thousand of them are answered in order",
        |server| {
            let (mut link, known) = link(server)?;
            let ask = |number: usize| {
                if number.is_multiple_of(3) { known.clone() } else { question(number as u32) }
            };
            let all: Vec<u8> = (0..1000).flat_map(|n| framed(ask(n).to_string().as_bytes())).collect();
            link.send_raw(&all)?;
            for number in 0..1000_usize {
                let kind = if number.is_multiple_of(3) { "get_key_info_ok" } else { "check_trust_ok" };
                expect_answer(&mut link, kind).map_err(|why| format!("answer {number}: {why}"))?;
            }
            Ok(())
        },
    );
    cases.must("frame/longest", "REG-1", "a body of 65536 bytes is answered", |server| {
        let (mut link, question) = link(server)?;
        let mut body = question.to_string().into_bytes();
        body.resize(LONGEST, b' ');
        link.send_body(&body)?;
        expect_answer(&mut link, "get_key_info_ok").map(drop)
    });
    cases.must("frame/longest-by-a-member", "REG-1", "a member nobody asked for may fill a body", |server| {
        let (mut link, mut question) = link(server)?;
        question["padding"] = "p".repeat(LONGEST - question.to_string().len() - 13).into();
        let body = question.to_string();
        if body.len() != LONGEST {
            return Err(format!("a body of {} bytes", body.len()));
        }
        link.send_body(body.as_bytes())?;
        expect_answer(&mut link, "get_key_info_ok").map(drop)
    });
}

fn garbage(cases: &mut Cases<OfRendezvous>) {
    let object = |length: usize| {
        let mut body = b"{\"type\":\"check_trust\"}".to_vec();
        body.resize(length, b' ');
        framed(&body)
    };
    let table: [(&str, Vec<u8>); 21] = [
        ("one-too-long", object(LONGEST + 1)),
        ("length-of-all-ones", vec![0xFF; 64]),
        ("length-of-2-gib", [&[0x80, 0, 0, 0][..], b"{}"].concat()),
        ("length-of-0", vec![0; 4]),
        ("http", b"GET / HTTP/1.1\r\nHost: registry\r\n\r\n".to_vec()),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("ssh", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
        ("no-json", framed(b"register me please")),
        ("array", framed(b"[{\"type\":\"check_trust\"}]")),
        ("string", framed(b"\"check_trust\"")),
        ("number", framed(b"7")),
        ("true", framed(b"true")),
        ("object-cut", framed(b"{\"type\":\"check_trust\"")),
        ("two-objects", framed(b"{\"type\":\"check_trust\"}{}")),
        ("object-and-comma", framed(b"{\"type\":\"check_trust\"},")),
        ("trailing-nul", framed(b"{\"type\":\"check_trust\"}\0")),
        ("key-without-quotes", framed(b"{type:\"check_trust\"}")),
        ("comment", framed(b"/* hello */ {\"type\":\"check_trust\"}")),
        ("white-space-only", framed(b"    ")),
        ("deep-arrays", framed(&[b'['; 60_000])),
        ("deep-objects", framed("{\"a\":".repeat(12_000).as_bytes())),
    ];
    for (name, bytes) in table {
        cases.must(
            &format!("garbage/{name}"),
            "REG-2",
            "what is no request ends the connection without an answer, and nothing behind it is answered",
            move |server| {
                let (mut link, question) = link(server)?;
                let behind = framed(question.to_string().as_bytes());
                // It may hang up before all is written.
                let _ = link.send_raw(&[&bytes[..], &behind].concat());
                link.closed()
            },
        );
    }
    cases.must(
        "garbage/behind-a-request",
        "REG-2",
        "what was asked before the garbage is answered, then the connection ends",
        |server| {
            let (mut link, question) = link(server)?;
            link.send_raw(&[framed(question.to_string().as_bytes()), framed(b"garbage")].concat())?;
            expect_answer(&mut link, "get_key_info_ok")?;
            link.closed()
        },
    );
    cases.must(
        "garbage/length-announced-only",
        "REG-2",
        "a length above the limit ends the connection before any of the body has come",
        |server| {
            let (mut link, _) = link(server)?;
            link.send_raw(&(LONGEST as u32 + 1).to_be_bytes())?;
            link.closed()
        },
    );
    cases.must(
        "garbage/a-hundred-connections",
        "REG-2",
        "a hundred connections that send garbage at the same time are all ended",
        |server| {
            let agent = server.agent()?;
            let mut links = Vec::new();
            for number in 0..100u8 {
                let mut link = agent.another_link()?;
                link.send_raw(&[number; 200])?;
                links.push(link);
            }
            server.control()?;
            links.into_iter().try_for_each(|mut link| link.closed())
        },
    );
}

fn json_rules(cases: &mut Cases<OfRendezvous>) {
    for (name, body) in
        [("null", &b"null"[..]), ("empty-object", b"{}"), ("type-is-a-number", b"{\"type\":5}")]
    {
        cases.must(
            &format!("json/{name}"),
            "REG-3",
            "a request without an operation is refused with `request failed`, and the connection stays",
            move |server| {
                let (mut link, question) = link(server)?;
                link.send_body(body)?;
                let answer = link.answer()?;
                if answer != json!({ "type": "error", "error": "request failed" }) {
                    return Err(format!("answered {answer}"));
                }
                link.send(&question)?;
                expect_answer(&mut link, "get_key_info_ok").map(drop)
            },
        );
    }
    cases.must(
        "json/unknown-operation",
        "REG-3",
        "an unknown operation is refused with `request failed`",
        |server| {
            let mut agent = server.agent()?;
            match agent.refused(&json!({ "type": "make_me_administrator" }))?.as_str() {
                "request failed" => Ok(()),
                words => Err(format!("refused with {words:?}")),
            }
        },
    );
    let variants: [(&str, &str); 6] = [
        ("unknown-members", r#"{"a":[1,{"b":null}],"node_id":NODE,"type":"get_key_info","zz":1e400}"#),
        ("last-of-two-equal-members", r#"{"type":"x","node_id":0,"type":"get_key_info","node_id":NODE}"#),
        ("white-space", "\n{\t\"type\" :\r\n \"get_key_info\" , \"node_id\" : NODE }  \n\n"),
        ("escaped-text", r#"{"\u0074ype":"get\u005fkey_info","node_id":NODE}"#),
        ("fraction", r#"{"type":"get_key_info","node_id":NODE.9}"#),
        ("exponent", r#"{"type":"get_key_info","node_id":NODE00e-2}"#),
    ];
    for (name, text) in variants {
        // 1e400 is no number that JSON readers agree on.
        let text = text.replace("1e400", "1e40");
        cases.must(
            &format!("json/{name}"),
            "REG-2",
            "other members are ignored, the last of two equal ones counts, numbers are cut to integers",
            move |server| {
                let mut agent = server.agent()?;
                let node = agent.node;
                agent.link.send_body(text.replace("NODE", &node.to_string()).as_bytes())?;
                let answer = agent.link.answer()?;
                if answer["type"] == "get_key_info_ok" && answer["node_id"] == node {
                    Ok(())
                } else {
                    Err(format!("answered {answer}"))
                }
            },
        );
    }
    for (name, id) in [
        ("text", "\"1\""),
        ("negative", "-1"),
        ("minus-a-half", "-0.5"),
        ("two-to-the-32", "4294967296"),
        ("huge", "1e300"),
        ("true", "true"),
        ("null", "null"),
        ("list", "[1]"),
        ("object", "{\"node_id\":1}"),
    ] {
        let body = format!("{{\"type\":\"lookup\",\"node_id\":{id}}}");
        cases.must(
            &format!("json/id-{name}"),
            "REG-2",
            "an id that is no number from 0 to 4294967295 is read as 0",
            move |server| {
                // Somebody is node 1, or the case would say nothing.
                let mut agent = server.agent()?;
                let missing = agent.link.ask(&json!({ "type": "lookup" }))?;
                agent.link.send_body(body.as_bytes())?;
                let answer = agent.link.answer()?;
                if answer == missing {
                    Ok(())
                } else {
                    Err(format!("answered {answer}, id 0 gets {missing}"))
                }
            },
        );
    }
    cases.must(
        "json/invalid-utf-8",
        "REG-2",
        "text that is not UTF-8 ends at most the connection; nothing is registered under it",
        |server| {
            let (mut link, _) = link(server)?;
            link.send_body(b"{\"type\":\"resolve_hostname\",\"hostname\":\"\xff\xfe\"}")?;
            match link.receive(ANSWER)? {
                None => Ok(()),
                Some(body) if body.windows(7).any(|w| w == b"\"error\"") => Ok(()),
                Some(body) => Err(format!("answered {}", String::from_utf8_lossy(&body))),
            }
        },
    );
    cases.must(
        "json/answer-is-compact-and-sorted",
        "REG-3",
        "answers are compact, with the members in byte order",
        |server| {
            let (mut link, question) = link(server)?;
            link.send(&question)?;
            let body = link.receive(ANSWER)?.ok_or("the connection ended")?;
            let read: Value = serde_json::from_slice(&body).map_err(|e| format!("{e}"))?;
            // serde_json keeps members sorted by bytes, and prints without spaces.
            if read.to_string().as_bytes() == body {
                Ok(())
            } else {
                Err(format!("{} is not {read}", String::from_utf8_lossy(&body)))
            }
        },
    );
    cases.must("json/answer-escapes", "REG-3", "in answers < > & U+2028 and U+2029 are escaped", |server| {
        let (mut link, _) = link(server)?;
        link.send(&json!({ "type": "resolve_hostname", "hostname": "<&>\u{2028}\u{2029}" }))?;
        let body = link.receive(ANSWER)?.ok_or("the connection ended")?;
        let text = String::from_utf8(body).map_err(|e| format!("{e}"))?;
        let bare = text.chars().find(|c| ['<', '>', '&', '\u{2028}', '\u{2029}'].contains(c));
        match bare {
            Some(c) => Err(format!("{c:?} stands in {text}")),
            None => Ok(()),
        }
    });
}

fn clients(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "client/slow",
        "REG-1",
        "a client that sends slowly holds up nobody and is answered",
        |server| {
            let (mut link, question) = link(server)?;
            for piece in framed(question.to_string().as_bytes()).chunks(8) {
                link.send_raw(piece)?;
                server.control()?;
            }
            expect_answer(&mut link, "get_key_info_ok").map(drop)
        },
    );
    cases.should(
        "client/half-closed",
        "REG-1",
        "who says that nothing more comes still gets the answer",
        |server| {
            let (mut link, question) = link(server)?;
            link.send(&question)?;
            link.finish()?;
            expect_answer(&mut link, "get_key_info_ok")?;
            link.closed()
        },
    );
    cases.must(
        "client/half-closed-in-a-frame",
        "REG-1",
        "half a request and an end is no request",
        |server| {
            let (mut link, question) = link(server)?;
            let bytes = framed(question.to_string().as_bytes());
            link.send_raw(&bytes[..bytes.len() / 2])?;
            link.finish()?;
            link.closed()
        },
    );
    for (name, part) in [("in-a-frame", true), ("before-its-answers", false)] {
        cases.must(
            &format!("client/dies-{name}"),
            "REG-1",
            "clients that die with a reset leave nothing behind that hurts others",
            move |server| {
                let agent = server.agent()?;
                let bytes = framed(question(agent.node).to_string().as_bytes());
                for _ in 0..50 {
                    let mut link = agent.another_link()?;
                    if part {
                        link.send_raw(&bytes[..bytes.len() / 2])?;
                    } else {
                        link.send_raw(&bytes.repeat(50))?;
                    }
                    link.die()?;
                }
                server.control()
            },
        );
    }
    cases.must(
        "client/reads-nothing",
        "REG-1",
        "a client that asks without end and reads nothing is not read further, costs bounded memory, and gets all its \
         answers in order when it reads again",
        |server| {
            let pid = server.program.pid()?;
            let (mut link, _) = link(server)?;
            server.control()?;
            let before = memory::resident(pid);
            // More than two sockets and every sensible queue hold.
            let long = "x".repeat(60_000);
            let echo = framed(json!({ "type": "resolve_hostname", "hostname": long }).to_string().as_bytes());
            let all = echo.repeat(400);
            let taken = link.send_while_taken(&all, Duration::from_millis(700))?;
            server.control()?;
            memory::grew_at_most(pid, before, 16 << 10)?;
            if taken == all.len() {
                return Err(format!("all {taken} bytes were taken though nothing was read"));
            }
            let whole = taken / echo.len();
            for number in 0..whole {
                let body = link.receive(ANSWER)?.ok_or(format!("ended after {number} of {whole} answers"))?;
                if !body.windows(7).any(|w| w == b"\"error\"") {
                    return Err(format!("answer {number} is {}", String::from_utf8_lossy(&body)));
                }
            }
            Ok(())
        },
    );
    cases.must(
        "client/announces-and-waits",
        "REG-1",
        "two hundred connections that announce a long request and send almost all of it cost bounded memory",
        |server| {
            let pid = server.program.pid()?;
            let agent = server.agent()?;
            server.control()?;
            let before = memory::resident(pid);
            let mut bytes = framed(&[b' '; LONGEST]);
            bytes.pop();
            let mut links = Vec::new();
            for _ in 0..200 {
                let mut link = agent.another_link()?;
                link.send_raw(&bytes)?;
                links.push(link);
            }
            server.control()?;
            // Each may hold its frame twice, not more.
            memory::grew_at_most(pid, before, 2 * 200 * 64 + (8 << 10))?;
            drop(links);
            server.control()
        },
    );
    cases.must(
        "client/many-that-say-nothing",
        "REG-1",
        "three hundred connections on which nothing is said hold up nobody",
        |server| {
            let agent = server.agent()?;
            let links: Vec<Link> = (0..300).map(|_| agent.another_link()).collect::<Result<_, _>>()?;
            server.control()?;
            drop(links);
            server.control()
        },
    );
}

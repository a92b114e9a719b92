//! The registry under TLS, if the program offers it.

use crate::live::agent::Agent;
use crate::live::case::{Cases, Grade, Level, OfRendezvous};
use crate::live::link::Link;
use crate::live::server::{Mode, Program, Server};
use serde_json::json;

/// An agent that speaks TLS to the program.
fn agent(server: &mut Server<'_>, program: &Program) -> Result<Agent, String> {
    let mut agent = Agent::new(server.number(), program.place, &server.trace)?;
    agent.link = Link::dial_tls(agent.source, program.place.registry, &server.trace)?;
    Ok(agent)
}

type Body = fn(&mut Server<'_>, &mut Program) -> Result<(), String>;

pub(super) fn tls(cases: &mut Cases<OfRendezvous>) {
    let table: [(&str, &str, Body); 5] = [
        ("register", "a node registers and is found under TLS", |server, program| {
            let mut agent = agent(server, program)?;
            agent.register()?;
            agent.ask_ok(&agent.heartbeat())?;
            agent.lookup(agent.node).map(drop)
        }),
        ("plain-text", "a request in clear is not answered, and others are served", |server, program| {
            let mut plain = Agent::new(server.number(), program.place, &server.trace)?;
            plain.link.send(&json!({ "type": "list_networks" }))?;
            // An alert of TLS, or nothing.
            let answered = plain.link.rest()?;
            if answered.first().is_some_and(|kind| *kind != 0x15) {
                return Err(format!("answered {}", String::from_utf8_lossy(&answered)));
            }
            agent(server, program)?.register()
        }),
        ("stalled-handshake", "handshakes that stall hold up nobody", |server, program| {
            let mut stalled = Vec::new();
            for part in [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
                for _ in 0..20 {
                    let mut agent = Agent::new(server.number(), program.place, &server.trace)?;
                    agent.link.send_raw(part)?;
                    stalled.push(agent);
                }
            }
            agent(server, program)?.register()
        }),
        (
            "same-certificate",
            "the certificate is the same after a restart, so that it can be pinned",
            |server, program| {
                let before = agent(server, program)?.link.certificate();
                program.kill();
                program.start(server.session)?;
                let after = agent(server, program)?.link.certificate();
                if before.is_some() && before == after { Ok(()) } else { Err("it is another".into()) }
            },
        ),
        ("durable", "under TLS too an answer is durable", |server, program| {
            let mut first = agent(server, program)?;
            first.register()?;
            let node = first.node;
            program.kill();
            program.start(server.session)?;
            first.link = Link::dial_tls(first.source, program.place.registry, &server.trace)?;
            first.register()?;
            if first.node == node { Ok(()) } else { Err(format!("node {node} came back as {}", first.node)) }
        }),
    ];
    for (name, text, body) in table {
        cases.graded(Level::Must, &format!("tls/{name}"), "REG-1", text, move |server| {
            match server.started(Mode::Tls)? {
                Some(mut program) => body(server, &mut program).map(|()| Grade::Strict),
                None => Ok(Grade::Lacking("it has no TLS mode".into())),
            }
        });
    }
}

//! Nodes that fall silent: the registry takes them for offline, the beacon forgets them, and both take them back.

use crate::live::agent::{Agent, delivery, discover, punch, relay};
use crate::live::case::{Cases, Grade, Level, OfRendezvous};
use crate::live::rendezvous::endpoint;
use crate::live::server::{Mode, Program, SILENCE, Server};
use serde_json::json;
use std::time::{Duration, Instant};

/// Between two signs of life of a node that is well.
const PULSE: Duration = Duration::from_millis(250);

type Body = fn(&mut Server<'_>, &mut Program) -> Result<(), String>;

fn table(cases: &mut Cases<OfRendezvous>, level: Level, clause: &'static str, rows: &[(&str, &str, Body)]) {
    for &(name, text, body) in rows {
        cases.graded(level, &format!("expiry/{name}"), clause, text, move |server| {
            match server.started(Mode::Impatient)? {
                Some(mut program) => body(server, &mut program).map(|()| Grade::Strict),
                None => Ok(Grade::Lacking("its command line has no place for {silence}".into())),
            }
        });
    }
}

/// An agent at this rendezvous that everybody may find.
fn agent(server: &mut Server<'_>, program: &Program) -> Result<Agent, String> {
    let mut agent = Agent::new(server.number(), program.place, &server.trace)?;
    agent.register()?;
    agent.set_public(true)?;
    Ok(agent)
}

/// Lets the silence pass, while `pulse` is done again and again.
fn fall_silent(server: &Server<'_>, mut pulse: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let end = Instant::now() + SILENCE + PULSE;
    while Instant::now() < end {
        pulse()?;
        server.session.pass(PULSE)?;
    }
    pulse()
}

/// The registry must know where the node is.
fn found(asker: &mut Agent, node: &Agent) -> Result<(), String> {
    let answer = asker.ask_ok(&asker.resolve(node.node))?;
    let expected = node.address()?.to_string();
    if answer["real_addr"] == expected { Ok(()) } else { Err(format!("answered {answer}, not {expected}")) }
}

/// What the registry says of where the node is must be what it says of one that was never there.
fn gone(asker: &mut Agent, node: u32) -> Result<(), String> {
    const NOBODY: u32 = 400_000_000;
    let punch_of = |asker: &Agent, node: u32| {
        let own = asker.node;
        json!({
            "type": "punch", "requester_id": own, "node_a": own, "node_b": node,
            "signature": asker.sign(&format!("punch:{own}:{node}")),
        })
    };
    for ask in [Agent::resolve, punch_of] {
        let words = asker.refused(&ask(asker, node))?;
        let of_nobody = asker.refused(&ask(asker, NOBODY))?;
        if words != of_nobody.replace(&NOBODY.to_string(), &node.to_string()) {
            return Err(format!("refused with {words:?}, and of a node that is not there {of_nobody:?}"));
        }
    }
    Ok(())
}

/// Two agents, the second of which sent no heartbeat for too long.
fn one_silent(server: &mut Server<'_>, program: &Program) -> Result<(Agent, Agent), String> {
    let (mut well, silent) = (agent(server, program)?, agent(server, program)?);
    found(&mut well, &silent)?;
    fall_silent(server, || well.ask_ok(&well.heartbeat()).map(drop))?;
    gone(&mut well, silent.node)?;
    Ok((well, silent))
}

pub(super) fn registry(cases: &mut Cases<OfRendezvous>) {
    let rows: [(&str, &str, Body); 6] = [
        (
            "heartbeats-stop",
            "a node without heartbeats is offline: resolve and punch answer as if it did not exist",
            |server, program| one_silent(server, program).map(drop),
        ),
        ("heartbeats-go-on", "a node that sends heartbeats is found all the time", |server, program| {
            let (mut well, mut asker) = (agent(server, program)?, agent(server, program)?);
            fall_silent(server, || {
                well.ask_ok(&well.heartbeat())?;
                found(&mut asker, &well)
            })
        }),
        ("heartbeat-renews", "the next heartbeat makes it found again", |server, program| {
            let (mut well, mut silent) = one_silent(server, program)?;
            silent.ask_ok(&silent.heartbeat())?;
            found(&mut well, &silent)
        }),
        (
            "registration-renews",
            "so does a registration, under its id and where it is now",
            |server, program| {
                let (mut well, mut silent) = one_silent(server, program)?;
                let node = silent.node;
                silent.socket = std::net::UdpSocket::bind((silent.source, 0))
                    .map_err(|e| format!("{}: {e}", silent.source))?;
                silent.register()?;
                if silent.node != node {
                    return Err(format!("node {node} came back as {}", silent.node));
                }
                found(&mut well, &silent)
            },
        ),
        ("record-stays", "the record stays, with name, tags and visibility", |server, program| {
            let (mut asker, mut silent) = (agent(server, program)?, agent(server, program)?);
            let node = silent.node;
            silent.ask_ok(&silent.set_hostname("expired"))?;
            silent.ask_ok(&json!({
                "type": "set_tags", "node_id": node, "tags": ["old"],
                "signature": silent.sign(&format!("set_tags:{node}")),
            }))?;
            let before = asker.lookup(node)?;
            fall_silent(server, || asker.ask_ok(&asker.heartbeat()).map(drop))?;
            gone(&mut asker, node)?;
            let after = asker.lookup(node)?;
            for member in ["public_key", "hostname", "tags", "public"] {
                if before[member].is_null() || before[member] != after[member] {
                    return Err(format!("{member} was {} and is {}", before[member], after[member]));
                }
            }
            asker.refused(&asker.set_hostname("expired")).map(drop)
        }),
        (
            "after-a-restart",
            "after a restart of the registry a node has the whole time again, and no more",
            |server, program| {
                let (mut well, silent) = (agent(server, program)?, agent(server, program)?);
                server.session.pass(SILENCE / 2)?;
                program.kill();
                server.session.pass(SILENCE / 2)?;
                program.start(server.session)?;
                well.dial_again()?;
                found(&mut well, &silent)?;
                fall_silent(server, || well.ask_ok(&well.heartbeat()).map(drop))?;
                gone(&mut well, silent.node)
            },
        ),
    ];
    table(cases, Level::Must, "REG-9", &rows);
}

/// A frame of `from` must reach `to`.
fn reached(from: &Agent, to: &Agent) -> Result<(), String> {
    to.drain()?;
    from.tell(&relay(from.node, to.node, b"are you there?"))?;
    let (heard, expected) = (to.expect("delivery")?, delivery(from.node, b"are you there?"));
    if heard == expected { Ok(()) } else { Err(format!("heard {heard:02x?}, expected {expected:02x?}")) }
}

/// Neither a frame nor a punch command of `from` may reach `to`. The beacon has dealt with them when `from` is answered.
fn unreached(from: &Agent, to: &Agent) -> Result<(), String> {
    from.drain()?;
    to.drain()?;
    from.tell(&relay(from.node, to.node, b"are you there?"))?;
    from.tell(&punch(from.node, to.node))?;
    from.tell(&discover(from.node))?;
    let (answer, address) = (from.expect("address")?, endpoint(2, from.address()?));
    if answer != address {
        return Err(format!("the other heard {answer:02x?} before its own address"));
    }
    match to.drain()?.first() {
        Some(heard) => Err(format!("it was sent {heard:02x?}")),
        None => Ok(()),
    }
}

/// Two nodes at the beacon, the second of which said nothing for too long.
fn one_forgotten(server: &mut Server<'_>, program: &Program) -> Result<(Agent, Agent), String> {
    let (well, silent) = (agent(server, program)?, agent(server, program)?);
    well.appear()?;
    silent.appear()?;
    reached(&well, &silent)?;
    fall_silent(server, || well.appear())?;
    Ok((well, silent))
}

pub(super) fn beacon(cases: &mut Cases<OfRendezvous>) {
    let rows: [(&str, &str, Body); 4] = [
        (
            "silent",
            "a node that says nothing any more is forgotten: nothing is relayed to it, nobody is told to punch to it",
            |server, program| {
                let (well, silent) = one_forgotten(server, program)?;
                unreached(&well, &silent)
            },
        ),
        ("speaking", "a node that registers again and again is reached all the time", |server, program| {
            let (well, other) = (agent(server, program)?, agent(server, program)?);
            other.appear()?;
            fall_silent(server, || {
                well.drain()?;
                well.appear()?;
                other.appear()?;
                reached(&other, &well)
            })
        }),
        ("comes-back", "a forgotten node is reached again once it speaks", |server, program| {
            let (well, silent) = one_forgotten(server, program)?;
            unreached(&well, &silent)?;
            silent.appear()?;
            reached(&well, &silent)
        }),
        (
            "id-is-free",
            "the id of a forgotten node that the registry does not know may be taken from elsewhere",
            |server, program| {
                let well = agent(server, program)?;
                let mut speakers = Vec::new();
                for _ in 0..2 {
                    let mut speaker = Agent::new(server.number(), program.place, &server.trace)?;
                    speaker.node = 400_000_001;
                    speakers.push(speaker);
                }
                well.appear()?;
                for speaker in &speakers {
                    speaker.tell(&discover(speaker.node))?;
                    speaker.expect("address")?;
                }
                let [first, second] = speakers.as_slice() else { return Err("there are two".into()) };
                reached(&well, first)?;
                fall_silent(server, || well.appear())?;
                second.appear()?;
                reached(&well, second)
            },
        ),
    ];
    table(cases, Level::Should, "NAT-4", &rows);
}

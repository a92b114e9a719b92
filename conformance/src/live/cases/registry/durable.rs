//! What was promised is kept: every answer survives a crash right behind it; a store that cannot be read is not touched.

use crate::live::agent::{Agent, number};
use crate::live::case::{Cases, Grade, Level, OfRendezvous};
use crate::live::server::Mode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Something that is done before the crash, and looked at behind it.
type Promise = (&'static str, fn(&mut Agent, &mut Agent) -> Result<(), String>, Check);
type Check = fn(&mut Agent, &mut Agent) -> Result<bool, String>;

fn signed(agent: &Agent, operation: &str, member: &str, value: Value) -> Value {
    let node = agent.node;
    json!({
        "type": operation, "node_id": node, member: value,
        "signature": agent.sign(&format!("{operation}:{node}")),
    })
}

const PROMISES: [Promise; 14] = [
    (
        "registration",
        |_, _| Ok(()),
        |a, _| {
            let node = a.node;
            let record = a.lookup(node)?;
            a.register()?;
            Ok(a.node == node && record["public_key"] == a.key())
        },
    ),
    (
        "signed-once",
        |_, _| Ok(()),
        |a, _| {
            let request = a.unsigned(":1");
            a.refused(&request).map(|_| true)
        },
    ),
    (
        "endpoint",
        |a, _| a.set_public(true),
        |a, b| {
            let answer = b.ask_ok(&b.resolve(a.node))?;
            Ok(answer["real_addr"] == a.address()?.to_string())
        },
    ),
    (
        "hostname",
        |a, _| a.ask_ok(&a.set_hostname(&format!("durable-{}", a.node))).map(drop),
        |a, b| {
            let name = format!("durable-{}", a.node);
            b.refused(&b.set_hostname(&name))?;
            Ok(a.lookup(a.node)?["hostname"] == name)
        },
    ),
    (
        "hostname-given-up",
        |a, _| {
            a.ask_ok(&a.set_hostname(&format!("durable-{}", a.node)))?;
            a.ask_ok(&a.set_hostname("")).map(drop)
        },
        |a, b| b.ask_ok(&b.set_hostname(&format!("durable-{}", a.node))).map(|_| true),
    ),
    ("visibility", |a, _| a.set_public(true), |a, _| Ok(a.lookup(a.node)?["public"] == true)),
    (
        "tags",
        |a, _| a.ask_ok(&signed(a, "set_tags", "tags", json!(["kept"]))).map(drop),
        |a, _| Ok(a.lookup(a.node)?["tags"] == json!(["kept"])),
    ),
    (
        "task-exec",
        |a, _| a.ask_ok(&signed(a, "set_task_exec", "enabled", true.into())).map(drop),
        |a, _| Ok(a.lookup(a.node)?["task_exec"] == true),
    ),
    (
        "trust",
        |a, b| {
            a.ask_ok(&a.report_trust(b.node))?;
            b.ask_ok(&b.report_trust(a.node)).map(drop)
        },
        |a, b| a.trusted(a.node, b.node),
    ),
    (
        "one-consent",
        |a, b| a.ask_ok(&a.report_trust(b.node)).map(drop),
        |a, b| {
            let before = a.trusted(a.node, b.node)?;
            b.ask_ok(&b.report_trust(a.node))?;
            Ok(!before && a.trusted(a.node, b.node)?)
        },
    ),
    (
        "revocation",
        |a, b| {
            a.ask_ok(&a.report_trust(b.node))?;
            b.ask_ok(&b.report_trust(a.node))?;
            a.ask_ok(&a.revoke_trust(b.node)).map(drop)
        },
        |a, b| a.trusted(a.node, b.node).map(|trusted| !trusted),
    ),
    (
        "request-that-waits",
        |a, b| a.ask_ok(&a.request_handshake(b.node, "kept")).map(drop),
        |_, b| {
            let answer = b.ask_ok(&b.poll_handshakes())?;
            Ok(answer["requests"][0]["justification"] == "kept")
        },
    ),
    (
        "response-that-waits",
        |a, b| {
            a.ask_ok(&a.request_handshake(b.node, ""))?;
            b.ask_ok(&b.respond_handshake(a.node, true)).map(drop)
        },
        |a, b| {
            let answer = a.ask_ok(&a.poll_handshakes())?;
            Ok(answer["responses"][0]["from_node_id"] == b.node && a.trusted(a.node, b.node)?)
        },
    ),
    (
        "farewell",
        |a, _| {
            a.ask_ok(&json!({
            "type": "deregister", "node_id": a.node, "signature": a.sign(&format!("deregister:{}", a.node)),
        })).map(drop)
        },
        |a, b| {
            let node = a.node;
            b.refused(&json!({ "type": "lookup", "node_id": node }))?;
            a.register()?;
            Ok(a.node == node)
        },
    ),
];

pub(super) fn durable(cases: &mut Cases<OfRendezvous>) {
    for (name, before, after) in PROMISES {
        cases.must(
            &format!("durable/{name}"),
            "REG-4",
            "what was answered is still so after a crash right behind the answer",
            move |server| {
                let (mut a, mut b) = (server.agent()?, server.agent()?);
                before(&mut a, &mut b)?;
                server.restart()?;
                a.dial_again()?;
                b.dial_again()?;
                if after(&mut a, &mut b)? { Ok(()) } else { Err("it is no longer so".into()) }
            },
        );
    }
    cases.must("durable/rotation", "REG-4", "a rotated key is the node's key after a crash", |server| {
        let (mut agent, mut next) = (server.agent()?, server.stranger()?);
        let (node, key) = (agent.node, next.key());
        let request = json!({
            "type": "rotate_key", "node_id": node, "new_public_key": key,
            "signature": agent.sign(&format!("rotate:{node}:{key}")),
        });
        agent.ask_ok(&request)?;
        server.restart()?;
        agent.dial_again()?;
        next.dial_again()?;
        agent.refused(&agent.heartbeat())?;
        next.register()?;
        if next.node == node { Ok(()) } else { Err(format!("node {node} came back as {}", next.node)) }
    });
    crashes(cases);
    stores(cases);
}

fn crashes(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "durable/crash-in-a-burst",
        "REG-4",
        "in a burst of registrations that a crash cuts, whoever has an answer keeps the id, and no id is given twice",
        |server| {
            let mut given: BTreeMap<u32, usize> = BTreeMap::new();
            for _ in 0..3 {
                let mut agents: Vec<Agent> = (0..40).map(|_| server.stranger()).collect::<Result<_, _>>()?;
                for agent in &mut agents {
                    let request = agent.registration(":1");
                    agent.link.send(&request)?;
                }
                // Some are answered, some are on their way.
                agents[5].link.answer().and_then(|answer| keep(&mut agents[5], &answer))?;
                server.program.kill();
                for agent in agents.iter_mut().filter(|agent| agent.node == 0) {
                    if let Ok(Some(body)) = agent.link.receive(crate::live::link::ANSWER) {
                        let answer = serde_json::from_slice(&body).map_err(|e| format!("{e}"))?;
                        keep(agent, &answer)?;
                    }
                }
                server.program.start(server.session)?;
                for agent in agents.iter_mut() {
                    let before = agent.node;
                    agent.dial_again()?;
                    agent.register()?;
                    if before != 0 && before != agent.node {
                        return Err(format!("node {before} came back as {}", agent.node));
                    }
                    *given.entry(agent.node).or_default() += 1;
                }
            }
            match given.iter().find(|(_, count)| **count > 1) {
                Some((node, count)) => Err(format!("id {node} was given to {count} keys")),
                None => Ok(()),
            }
        },
    );
    cases.must("durable/ids-are-not-used-again", "REG-6", "after a crash new keys get new ids", |server| {
        let before = server.agent()?;
        server.restart()?;
        let after = server.agent()?;
        if after.node > before.node { Ok(()) } else { Err(format!("{} follows {}", after.node, before.node)) }
    });
    cases.must(
        "durable/polite-end",
        "REG-4",
        "asked to end, it ends with status 0 and keeps what was promised",
        |server| {
            let name = format!("polite-{}", server.number());
            let mut agent = server.agent()?;
            agent.ask_ok(&agent.set_hostname(&name))?;
            let status = server.program.end(server.session)?;
            server.program.start(server.session)?;
            if status != Some(0) {
                return Err(format!("ended with {status:?}"));
            }
            agent.dial_again()?;
            let record = agent.lookup(agent.node)?;
            if record["hostname"] == name { Ok(()) } else { Err(format!("recorded {record}")) }
        },
    );
    cases.must(
        "durable/ten-crashes",
        "REG-4",
        "crashes at any time, ten in a row, lose nothing that was answered",
        |server| {
            let mut agent = server.agent()?;
            let mut kept = Value::Null;
            for round in 0..10 {
                let tags = json!([format!("round-{round}")]);
                for _ in 0..5 {
                    let request = signed(&agent, "set_tags", "tags", tags.clone());
                    agent.link.send(&request)?;
                }
                if round % 2 == 0 {
                    agent.link.answer()?;
                    kept = tags.clone();
                }
                server.restart()?;
                agent.dial_again()?;
                let found = agent.lookup(agent.node)?["tags"].clone();
                if found != kept && found != tags {
                    return Err(format!("after crash {round} the tags are {found}, promised were {kept}"));
                }
                kept = found;
            }
            Ok(())
        },
    );
}

fn keep(agent: &mut Agent, answer: &Value) -> Result<(), String> {
    agent.node = number(&answer["node_id"]).ok_or(format!("registration answered {answer}"))?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    std::fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}

/// How a store is spoilt.
type Spoil = (&'static str, fn(&mut Vec<u8>));

fn stores(cases: &mut Cases<OfRendezvous>) {
    let table: [Spoil; 5] = [
        ("garbage", |bytes| *bytes = b"this is no store\n".repeat(500)),
        ("one-byte", |bytes| bytes.truncate(1)),
        ("cut-in-half", |bytes| bytes.truncate(bytes.len() / 2)),
        ("head-overwritten", |bytes| bytes.iter_mut().take(64).for_each(|byte| *byte = 0xAA)),
        ("json-of-another-program", |bytes| *bytes = b"{\"nodes\":{},\"next_node\":7}".to_vec()),
    ];
    for (name, spoil) in table {
        cases.must(
            &format!("store/{name}"),
            "REG-4",
            "with a store that cannot be read it does not start, says which file it is about, and leaves it as it is",
            move |server| {
                let mut other = server.another(Mode::Usual)?;
                other.start(server.session)?;
                let mut agent = Agent::new(server.number(), other.place, &server.trace)?;
                agent.register()?;
                other.kill();
                let store = other.store.clone();
                let mut bytes = read(&store)?;
                spoil(&mut bytes);
                write(&store, &bytes)?;
                let (status, words) = other.start_in_vain(server.session)?;
                if status == 0 {
                    return Err("it ended with status 0".into());
                }
                if read(&store)? != bytes {
                    return Err("the file was changed".into());
                }
                if words.contains(&store.display().to_string()) {
                    Ok(())
                } else {
                    Err(format!("the words do not name the file: {words}"))
                }
            },
        );
    }
    cases.must("store/in-use", "REG-4", "two rendezvous cannot have one store", |server| {
        let mut other = server.another(Mode::Usual)?;
        let _ = std::fs::remove_file(&other.store);
        std::fs::hard_link(&server.program.store, &other.store).map_err(|e| format!("link: {e}"))?;
        let (status, words) = other.start_in_vain(server.session)?;
        if status != 0 && words.contains("in use") {
            Ok(())
        } else {
            Err(format!("status {status}: {words}"))
        }
    });
    cases.must(
        "store/is-a-directory",
        "REG-4",
        "a store that cannot be made is said at the start",
        |server| {
            let mut other = server.another(Mode::Usual)?;
            std::fs::create_dir_all(&other.store).map_err(|e| format!("{e}"))?;
            let (status, words) = other.start_in_vain(server.session)?;
            if status != 0 && words.contains(&other.store.display().to_string()) {
                Ok(())
            } else {
                Err(format!("status {status}: {words}"))
            }
        },
    );
    cases.graded(
        Level::Should,
        "store/not-for-others",
        "REG-4",
        "nobody else on the host may read the store",
        |server| {
            use std::os::unix::fs::PermissionsExt;
            let data = std::fs::metadata(&server.program.store).map_err(|e| format!("{e}"))?;
            match data.permissions().mode() & 0o077 {
                0 => Ok(Grade::Strict),
                mode => Err(format!("mode {mode:o} for others")),
            }
        },
    );
}

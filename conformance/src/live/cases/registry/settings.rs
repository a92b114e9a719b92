//! What a node says about itself: hostname, visibility, tags, task execution.

use crate::live::agent::Agent;
use crate::live::case::{Cases, OfRendezvous};
use crate::live::server::{ADMIN, Server};
use serde_json::{Value, json};

fn signed(agent: &Agent, operation: &str, member: &str, value: Value) -> Value {
    let node = agent.node;
    json!({
        "type": operation, "node_id": node, member: value,
        "signature": agent.sign(&format!("{operation}:{node}")),
    })
}

/// A name that no other case uses.
fn fresh(server: &mut Server<'_>) -> String {
    format!("name-{}", server.number())
}

pub(super) fn settings(cases: &mut Cases<OfRendezvous>) {
    hostnames(cases);
    tags(cases);
    for public in [true, false] {
        let name = if public { "public" } else { "private" };
        cases.must(
            &format!("visibility/{name}"),
            "REG-10",
            "the endpoint of a public node is told to everybody, that of a private one is not",
            move |server| {
                let (mut agent, mut other) = (server.agent()?, server.agent()?);
                agent.set_public(!public)?;
                agent.set_public(public)?;
                let record = other.lookup(agent.node)?;
                if record["public"] == public && record.get("real_addr").is_some() == public {
                    Ok(())
                } else {
                    Err(format!("recorded {record}"))
                }
            },
        );
    }
    cases.must("visibility/private-at-first", "REG-10", "a new node is private", |server| {
        let (agent, mut other) = (server.agent()?, server.agent()?);
        let record = other.lookup(agent.node)?;
        if record["public"] == false && record.get("real_addr").is_none() {
            Ok(())
        } else {
            Err(format!("recorded {record}"))
        }
    });
    cases.must("task-exec", "REG-10", "task execution is shown while it is on", |server| {
        let mut agent = server.agent()?;
        for enabled in [true, false] {
            agent.ask_ok(&signed(&agent, "set_task_exec", "enabled", enabled.into()))?;
            let record = agent.lookup(agent.node)?;
            if record.get("task_exec").is_some() != enabled {
                return Err(format!("{enabled}: recorded {record}"));
            }
        }
        Ok(())
    });
    cases.must("administrator", "REG-5", "the administrator sets a node's name and visibility", |server| {
        let name = fresh(server);
        let (agent, mut admin) = (server.agent()?, server.agent()?);
        let node = agent.node;
        admin.ask_ok(
            &json!({ "type": "set_hostname", "node_id": node, "hostname": name, "admin_token": ADMIN }),
        )?;
        admin.ask_ok(
            &json!({ "type": "set_visibility", "node_id": node, "public": true, "admin_token": ADMIN }),
        )?;
        let record = admin.lookup(node)?;
        if record["hostname"] == name && record["public"] == true {
            Ok(())
        } else {
            Err(format!("recorded {record}"))
        }
    });
}

fn hostnames(cases: &mut Cases<OfRendezvous>) {
    let longest = "h".repeat(63);
    for (name, hostname) in [
        ("letter", "z".to_string()),
        ("digits", "2026".into()),
        ("hyphens", "a--b-c".into()),
        ("longest", longest.clone()),
    ] {
        cases.must(
            &format!("hostname/{name}"),
            "REG-10",
            "a good name is recorded and found",
            move |server| {
                let mut agent = server.agent()?;
                agent.ask_ok(&agent.set_hostname(&hostname))?;
                let record = agent.lookup(agent.node)?;
                if record["hostname"] != hostname {
                    return Err(format!("recorded {record}"));
                }
                agent.ask_ok(&agent.set_hostname("")).map(drop)
            },
        );
    }
    for (name, hostname) in [
        ("too-long", format!("{longest}h")),
        ("of-60000-bytes", "h".repeat(60_000)),
        ("upper-case", "Agent".into()),
        ("hyphen-first", "-agent".into()),
        ("hyphen-last", "agent-".into()),
        ("underscore", "my_agent".into()),
        ("dot", "my.agent".into()),
        ("space", "my agent".into()),
        ("line-break", "agent\n".into()),
        ("nul", "agent\0".into()),
        ("umlaut", "ägent".into()),
        ("cyrillic-a", "\u{430}gent".into()),
        ("localhost", "localhost".into()),
        ("backbone", "backbone".into()),
        ("broadcast", "broadcast".into()),
    ] {
        cases.must(
            &format!("hostname/refused-{name}"),
            "REG-10",
            "a name that is malformed or reserved is refused with its reason, and the one before stays",
            move |server| {
                let own = fresh(server);
                let mut agent = server.agent()?;
                agent.ask_ok(&agent.set_hostname(&own))?;
                let words = agent.refused(&agent.set_hostname(&hostname))?;
                let record = agent.lookup(agent.node)?;
                if record["hostname"] == own && words.contains("hostname") {
                    Ok(())
                } else {
                    Err(format!("refused with {words:?}, recorded {record}"))
                }
            },
        );
    }
    cases.must(
        "hostname/unique",
        "REG-10",
        "a name has one node; when it is given up, another may have it",
        |server| {
            let name = fresh(server);
            let (mut first, mut second) = (server.agent()?, server.agent()?);
            first.ask_ok(&first.set_hostname(&name))?;
            second.refused(&second.set_hostname(&name))?;
            first.ask_ok(&first.set_hostname(&name))?;
            first.ask_ok(&first.set_hostname(""))?;
            second.ask_ok(&second.set_hostname(&name))?;
            first.refused(&first.set_hostname(&name)).map(drop)
        },
    );
    cases.must(
        "hostname/race",
        "REG-10",
        "of twenty nodes that want a name at the same time one gets it",
        |server| {
            let name = fresh(server);
            let mut agents: Vec<Agent> = (0..20).map(|_| server.agent()).collect::<Result<_, _>>()?;
            for agent in &mut agents {
                let request = agent.set_hostname(&name);
                agent.link.send(&request)?;
            }
            let mut winners = 0;
            for agent in &mut agents {
                winners += usize::from(agent.link.answer()?["type"] == "set_hostname_ok");
            }
            if winners == 1 { Ok(()) } else { Err(format!("{winners} of 20 got it")) }
        },
    );
    cases.must("hostname/admin-cannot-double", "REG-10", "not even the administrator gives a name twice", |server| {
        let name = fresh(server);
        let (mut first, second) = (server.agent()?, server.agent()?);
        first.ask_ok(&first.set_hostname(&name))?;
        let request =
            json!({ "type": "set_hostname", "node_id": second.node, "hostname": name, "admin_token": ADMIN });
        first.refused(&request).map(drop)
    });
}

fn tags(cases: &mut Cases<OfRendezvous>) {
    let many = |count: usize| (0..count).map(|n| Value::from(format!("tag-{n}"))).collect::<Value>();
    for (name, tags, kept) in [
        ("one", json!(["search"]), json!(["search"])),
        ("hash", json!(["#search"]), json!(["search"])),
        ("twice", json!(["a", "a", "#a"]), json!(["a"])),
        ("ten", many(10), many(10)),
        ("longest", json!(["t".repeat(32)]), json!(["t".repeat(32)])),
        ("other-types", json!([1, null, "a", {}]), json!(["a"])),
    ] {
        cases.must(&format!("tags/{name}"), "REG-10", "good tags are recorded", move |server| {
            let mut agent = server.agent()?;
            agent.ask_ok(&signed(&agent, "set_tags", "tags", tags.clone()))?;
            let record = agent.lookup(agent.node)?;
            if record["tags"] == kept { Ok(()) } else { Err(format!("recorded {record}")) }
        });
    }
    for (name, tags) in [
        ("eleven", many(11)),
        ("too-long", json!(["t".repeat(33)])),
        ("empty", json!([""])),
        ("two-hashes", json!(["##a"])),
        ("upper-case", json!(["Search"])),
        ("space", json!(["a b"])),
    ] {
        cases.must(
            &format!("tags/refused-{name}"),
            "REG-10",
            "bad tags are refused, those before stay",
            move |server| {
                let mut agent = server.agent()?;
                agent.ask_ok(&signed(&agent, "set_tags", "tags", json!(["before"])))?;
                agent.refused(&signed(&agent, "set_tags", "tags", tags.clone()))?;
                let record = agent.lookup(agent.node)?;
                if record["tags"] == json!(["before"]) { Ok(()) } else { Err(format!("recorded {record}")) }
            },
        );
    }
    cases.must("tags/cleared", "REG-10", "an empty list of tags clears them", |server| {
        let mut agent = server.agent()?;
        agent.ask_ok(&signed(&agent, "set_tags", "tags", json!(["before"])))?;
        agent.ask_ok(&signed(&agent, "set_tags", "tags", json!([])))?;
        let record = agent.lookup(agent.node)?;
        if record.get("tags").is_none() { Ok(()) } else { Err(format!("recorded {record}")) }
    });
}

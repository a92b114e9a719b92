//! Finding a node: lookup, resolve, punch, resolve_hostname, lists. Private nodes are shown to those they trust.

use crate::live::agent::Agent;
use crate::live::case::{Cases, OfRendezvous};
use crate::live::server::{ADMIN, Server};
use serde_json::{Value, json};

/// How the asker stands to the node in question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    /// The node is public.
    Public,
    /// Both reported trust.
    Trusted,
    Stranger,
    /// The asker reported trust, the other did not.
    AskerOnly,
    /// The other reported trust, the asker did not.
    OtherOnly,
    /// There was trust.
    Revoked,
}

const BONDS: [(Bond, &str, bool); 6] = [
    (Bond::Public, "public", true),
    (Bond::Trusted, "trusted", true),
    (Bond::Stranger, "stranger", false),
    (Bond::AskerOnly, "one-sided-by-the-asker", false),
    (Bond::OtherOnly, "one-sided-by-the-other", false),
    (Bond::Revoked, "revoked", false),
];

/// The asker and the node in question.
fn bonded(server: &mut Server<'_>, bond: Bond) -> Result<(Agent, Agent), String> {
    let (mut asker, mut other) = (server.agent()?, server.agent()?);
    match bond {
        Bond::Public => other.set_public(true)?,
        Bond::Stranger => {}
        Bond::AskerOnly => drop(asker.ask_ok(&asker.report_trust(other.node))?),
        Bond::OtherOnly => drop(other.ask_ok(&other.report_trust(asker.node))?),
        Bond::Trusted | Bond::Revoked => {
            asker.ask_ok(&asker.report_trust(other.node))?;
            other.ask_ok(&other.report_trust(asker.node))?;
        }
    }
    if bond == Bond::Revoked {
        other.ask_ok(&other.revoke_trust(asker.node))?;
    }
    Ok((asker, other))
}

fn punch(agent: &Agent, a: u32, b: u32) -> Value {
    json!({
        "type": "punch", "requester_id": agent.node, "node_a": a, "node_b": b,
        "signature": agent.sign(&format!("punch:{a}:{b}")),
    })
}

fn by_name(name: &str) -> Value {
    json!({ "type": "resolve_hostname", "hostname": name })
}

fn at(agent: &Agent) -> Result<String, String> {
    agent.address().map(|address| address.to_string())
}

pub(super) fn finding(cases: &mut Cases<OfRendezvous>) {
    lookups(cases);
    for (bond, name, may) in BONDS {
        cases.must(
            &format!("resolve/{name}"),
            "REG-10",
            "resolve tells a signing requester the endpoint if the node is public or the two trust each other",
            move |server| {
                let (mut asker, other) = bonded(server, bond)?;
                let request = asker.resolve(other.node);
                if !may {
                    return asker.refused(&request).map(drop);
                }
                let answer = asker.ask_ok(&request)?;
                if answer["real_addr"] == at(&other)? { Ok(()) } else { Err(format!("answered {answer}")) }
            },
        );
        cases.must(
            &format!("punch/{name}"),
            "REG-10",
            "punch tells one of the two both endpoints, under the rule of resolve",
            move |server| {
                let (mut asker, other) = bonded(server, bond)?;
                let request = punch(&asker, asker.node, other.node);
                if !may {
                    return asker.refused(&request).map(drop);
                }
                let answer = asker.ask_ok(&request)?;
                if answer["node_a_addr"] == at(&asker)? && answer["node_b_addr"] == at(&other)? {
                    Ok(())
                } else {
                    Err(format!("answered {answer}"))
                }
            },
        );
        cases.must(
            &format!("by-name/{name}"),
            "REG-10",
            "a private name is told to whom the node trusts; to others it is as good as unknown",
            move |server| {
                let (mut asker, mut other) = bonded(server, bond)?;
                let name = format!("found-{}", other.node);
                other.ask_ok(&other.set_hostname(&name))?;
                // The connection has carried the asker's signature.
                asker.ask_ok(&asker.heartbeat())?;
                let answer = asker.link.ask(&by_name(&name))?;
                if may {
                    if answer["node_id"] == other.node { Ok(()) } else { Err(format!("answered {answer}")) }
                } else {
                    let unknown = asker.link.ask(&by_name("nobody-has-this"))?;
                    let words = unknown["error"].as_str().unwrap_or_default();
                    let expected = words.replace("nobody-has-this", &name);
                    if answer["type"] == "error" && answer["error"] == expected {
                        Ok(())
                    } else {
                        Err(format!("answered {answer}, an unknown name gets {unknown}"))
                    }
                }
            },
        );
    }
    resolving(cases);
    names(cases);
    lists(cases);
}

fn lookups(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "lookup/answer",
        "REG-10",
        "everybody who knows the id may know key, address, and public flag",
        |server| {
            let (agent, mut other) = (server.agent()?, server.stranger()?);
            let answer = other.lookup(agent.node)?;
            let address = format!("0:0000.{:04X}.{:04X}", agent.node >> 16, agent.node & 0xFFFF);
            let good = answer["node_id"] == agent.node
                && answer["address"] == address
                && answer["networks"] == json!([0])
                && answer["public"] == false
                && answer["public_key"] == agent.key();
            if good { Ok(()) } else { Err(format!("answered {answer}")) }
        },
    );
    cases.must("lookup/secrets", "REG-10", "lookup tells neither owner nor LAN addresses", |server| {
        let mut agent = server.stranger()?;
        let mut request = agent.registration(":4001");
        request["owner"] = "owner@example.com".into();
        request["lan_addrs"] = json!(["192.168.7.9:4001"]);
        agent.take_id(&request)?;
        agent.set_public(true)?;
        let text = agent.lookup(agent.node)?.to_string();
        match ["owner@example.com", "192.168.7.9"].into_iter().find(|secret| text.contains(secret)) {
            Some(secret) => Err(format!("{secret} stands in {text}")),
            None => Ok(()),
        }
    });
    for (name, id) in [("zero", 0_u32), ("not-given-yet", 3_000_000_000), ("highest", u32::MAX)] {
        cases.must(
            &format!("lookup/id-{name}"),
            "REG-10",
            "an id that nobody has is refused by name",
            move |server| {
                let mut agent = server.stranger()?;
                let words = agent.refused(&json!({ "type": "lookup", "node_id": id }))?;
                if words.contains("not found") { Ok(()) } else { Err(format!("refused with {words:?}")) }
            },
        );
    }
}

fn resolving(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "resolve/by-nobody",
        "REG-10",
        "a requester that is not registered resolves nothing",
        |server| {
            let (target, mut stranger) = (server.public()?, server.stranger()?);
            stranger.node = 4_000_000_000;
            stranger.refused(&stranger.resolve(target.node))?;
            stranger.node = 0;
            stranger.refused(&stranger.resolve(target.node)).map(drop)
        },
    );
    cases.must("resolve/of-nobody", "REG-10", "an unknown node is not resolved", |server| {
        let mut asker = server.agent()?;
        asker.refused(&asker.resolve(4_000_000_000)).map(drop)
    });
    cases.must(
        "resolve/same-words",
        "REG-3",
        "refusals of private nodes say no more than `request failed`",
        |server| {
            let (target, mut asker) = (server.agent()?, server.agent()?);
            match asker.refused(&asker.resolve(target.node))?.as_str() {
                "request failed" => Ok(()),
                words => Err(format!("refused with {words:?}")),
            }
        },
    );
    cases.must(
        "resolve/follows-a-move",
        "REG-6",
        "a node that registers from elsewhere is resolved there",
        |server| {
            let (target, mut asker) = (server.public()?, server.agent()?);
            let mut moved = server.stranger()?;
            moved.identity = target.identity.clone();
            moved.register()?;
            let answer = asker.ask_ok(&asker.resolve(target.node))?;
            if answer["real_addr"] == at(&moved)? { Ok(()) } else { Err(format!("answered {answer}")) }
        },
    );
    cases.must("punch/of-others", "REG-10", "who is neither of the two learns nothing by punch", |server| {
        let (a, b, mut asker) = (server.public()?, server.public()?, server.agent()?);
        asker.refused(&punch(&asker, a.node, b.node)).map(drop)
    });
    cases.must("punch/of-nobody", "REG-10", "an unknown node is not punched to", |server| {
        let mut asker = server.agent()?;
        asker.refused(&punch(&asker, asker.node, 4_000_000_000)).map(drop)
    });
    cases.must("punch/either-side", "REG-10", "the requester may be either of the two", |server| {
        let (other, mut asker) = (server.public()?, server.agent()?);
        let answer = asker.ask_ok(&punch(&asker, other.node, asker.node))?;
        if answer["node_a_addr"] == at(&other)? { Ok(()) } else { Err(format!("answered {answer}")) }
    });
}

fn names(cases: &mut Cases<OfRendezvous>) {
    /// A private node with a name, and one that it trusts.
    fn named(server: &mut Server<'_>) -> Result<(Agent, Agent, String), String> {
        let (mut node, friend) = server.friends()?;
        let name = format!("private-{}", node.node);
        node.ask_ok(&node.set_hostname(&name))?;
        Ok((node, friend, name))
    }
    cases.must("by-name/empty", "REG-10", "an empty name is refused", |server| {
        let mut agent = server.agent()?;
        agent.refused(&by_name("")).map(drop)
    });
    cases.must("by-name/own", "REG-11", "a node finds its own private name", |server| {
        let (mut node, _, name) = named(server)?;
        let answer = node.ask_ok(&by_name(&name))?;
        if answer["node_id"] == node.node { Ok(()) } else { Err(format!("answered {answer}")) }
    });
    cases.must(
        "by-name/unproven-connection",
        "REG-11",
        "a connection that has carried no signature sees no private name",
        |server| {
            let (_, mut friend, name) = named(server)?;
            friend.dial_again()?;
            friend.refused(&by_name(&name)).map(drop)
        },
    );
    cases.must(
        "by-name/claimed-requester",
        "REG-11",
        "a requester_id that the connection has not signed for opens no private name",
        |server| {
            let (node, friend, name) = named(server)?;
            let mut thief = server.agent()?;
            for id in [node.node, friend.node] {
                let mut request = by_name(&name);
                request["requester_id"] = id.into();
                thief.refused(&request)?;
            }
            Ok(())
        },
    );
    cases.must(
        "by-name/proven-requester",
        "REG-11",
        "a requester_id counts if the connection has carried its signature",
        |server| {
            let (node, mut friend, name) = named(server)?;
            friend.dial_again()?;
            let mut request = by_name(&name);
            request["requester_id"] = friend.node.into();
            friend.refused(&request)?;
            friend.ask_ok(&friend.heartbeat())?;
            let answer = friend.ask_ok(&request)?;
            if answer["node_id"] == node.node { Ok(()) } else { Err(format!("answered {answer}")) }
        },
    );
    cases.must(
        "by-name/proof-of-another-connection",
        "REG-11",
        "a signature counts for its connection only",
        |server| {
            let (_, mut friend, name) = named(server)?;
            friend.ask_ok(&friend.heartbeat())?;
            let mut other = friend.another_link()?;
            let answer = other.ask(&by_name(&name))?;
            if answer["type"] == "error" { Ok(()) } else { Err(format!("answered {answer}")) }
        },
    );
    cases.must(
        "by-name/failed-proof",
        "REG-11",
        "a signature that does not verify proves nothing",
        |server| {
            let (_, friend, name) = named(server)?;
            let mut thief = server.agent()?;
            let mut forged = thief.heartbeat();
            forged["node_id"] = friend.node.into();
            thief.refused(&forged)?;
            thief.refused(&by_name(&name)).map(drop)
        },
    );
    cases.must(
        "by-name/after-a-change",
        "REG-10",
        "a name that was given up leads nowhere, the new one leads there",
        |server| {
            let mut node = server.public()?;
            let (old, new) = (format!("old-{}", node.node), format!("new-{}", node.node));
            node.ask_ok(&node.set_hostname(&old))?;
            node.ask_ok(&node.set_hostname(&new))?;
            node.refused(&by_name(&old))?;
            node.ask_ok(&by_name(&new)).map(drop)
        },
    );
}

fn lists(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "list/all-nodes-for-the-administrator",
        "REG-10",
        "the administrator gets the list of all nodes",
        |server| {
            let mut agent = server.public()?;
            let list =
                agent.ask_ok(&json!({ "type": "list_nodes", "network_id": 0, "admin_token": ADMIN }))?;
            let nodes = list["nodes"].as_array().ok_or(format!("no list in {list}"))?;
            let own = nodes.iter().find(|node| node["node_id"] == agent.node);
            match own {
                Some(own) if own["real_addr"] == at(&agent)? => Ok(()),
                own => Err(format!("of {} nodes, own is {own:?}", nodes.len())),
            }
        },
    );
    for (name, token) in [("without-token", None), ("empty-token", Some("")), ("wrong-token", Some("x"))] {
        cases.must(
            &format!("list/{name}"),
            "REG-10",
            "nobody else gets the list of all nodes",
            move |server| {
                let mut agent = server.agent()?;
                let mut request = json!({ "type": "list_nodes", "network_id": 0 });
                if let Some(token) = token {
                    request["admin_token"] = token.into();
                }
                agent.refused(&request).map(drop)
            },
        );
    }
    cases.must("list/other-network", "REG-10", "a network that is not there has no list", |server| {
        let mut agent = server.agent()?;
        agent.refused(&json!({ "type": "list_nodes", "network_id": 7, "admin_token": ADMIN })).map(drop)
    });
    cases.must("list/networks", "REG-10", "everybody may know of the backbone", |server| {
        let mut agent = server.agent()?;
        let answer = agent.ask_ok(&json!({ "type": "list_networks" }))?;
        let backbone = &answer["networks"][0];
        if backbone["id"] == 0 && backbone["name"] == "backbone" {
            Ok(())
        } else {
            Err(format!("answered {answer}"))
        }
    });
    cases.must(
        "list/policy",
        "REG-10",
        "the backbone has a policy, other networks are not there",
        |server| {
            let mut agent = server.agent()?;
            agent.ask_ok(&json!({ "type": "get_network_policy", "network_id": 0 }))?;
            agent.refused(&json!({ "type": "get_network_policy", "network_id": 9 })).map(drop)
        },
    );
    cases.must(
        "list/beacon-of-a-stranger",
        "REG-16",
        "nobody but the administrator adds to the list of beacons",
        |server| {
            let mut agent = server.agent()?;
            let request = json!({ "type": "beacon_register", "beacon_id": 66, "addr": "203.0.113.66:9001" });
            agent.refused(&request)?;
            let list = agent.ask_ok(&json!({ "type": "beacon_list" }))?;
            if list.to_string().contains("203.0.113.66") { Err(format!("listed: {list}")) } else { Ok(()) }
        },
    );
    cases.must(
        "list/beacon-of-the-administrator",
        "REG-16",
        "the administrator adds to the list of beacons",
        |server| {
            let mut agent = server.agent()?;
            let request = json!({
                "type": "beacon_register", "beacon_id": 5, "addr": "203.0.113.5:9001", "admin_token": ADMIN,
            });
            agent.ask_ok(&request)?;
            let list = agent.ask_ok(&json!({ "type": "beacon_list" }))?;
            let found = list["beacons"]
                .as_array()
                .is_some_and(|all| all.iter().any(|b| b == &json!({ "id": 5, "addr": "203.0.113.5:9001" })));
            if found { Ok(()) } else { Err(format!("listed: {list}")) }
        },
    );
}

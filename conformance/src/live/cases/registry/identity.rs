//! Keys and ids: register, heartbeat, rotate_key, deregister.

use crate::live::agent::{Agent, number};
use crate::live::case::{Cases, OfRendezvous};
use crate::live::server::Server;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

/// The endpoint that the registry gives away for a public node.
fn endpoint(node: u32, asker: &mut Agent) -> Result<String, String> {
    let record = asker.lookup(node)?;
    record["real_addr"].as_str().map(String::from).ok_or(format!("no endpoint in {record}"))
}

fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs())
}

pub(super) fn identity(cases: &mut Cases<OfRendezvous>) {
    registration(cases);
    bad_registrations(cases);
    proof(cases);
    heartbeats(cases);
    rotation(cases);
    leaving(cases);
}

fn registration(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "register/answer",
        "REG-6",
        "a new key gets an id; the answer says id, address, endpoint, key",
        |server| {
            let mut agent = server.stranger()?;
            let answer = agent.ask_ok(&agent.registration(":4001"))?;
            let node = number(&answer["node_id"]).filter(|id| *id > 0).ok_or(format!("no id in {answer}"))?;
            let expected = json!({
                "type": "register_ok", "node_id": node, "network_id": 0, "protocol_version": 1,
                "address": format!("0:0000.{:04X}.{:04X}", node >> 16, node & 0xFFFF),
                "public_key": agent.key(), "observed_addr": format!("{}:4001", agent.source),
            });
            if answer == expected { Ok(()) } else { Err(format!("answered {answer}, expected {expected}")) }
        },
    );
    cases.must("register/next-id", "REG-6", "a new key gets the next id", |server| {
        let (first, second) = (server.agent()?, server.agent()?);
        if second.node == first.node + 1 {
            Ok(())
        } else {
            Err(format!("{} follows {}", second.node, first.node))
        }
    });
    cases.must(
        "register/known-key",
        "REG-6",
        "a known key gets its own id, from wherever it registers",
        |server| {
            let mut agent = server.agent()?;
            let node = agent.node;
            let mut elsewhere = server.stranger()?;
            elsewhere.identity = agent.identity.clone();
            elsewhere.register()?;
            agent.dial_again()?;
            agent.register()?;
            if (elsewhere.node, agent.node) == (node, node) {
                Ok(())
            } else {
                Err(format!("ids {}, {} of node {node}", elsewhere.node, agent.node))
            }
        },
    );
    for (name, listen, port) in [
        ("port-only", ":4001", Some("4001")),
        ("host-and-port", "203.0.113.7:77", Some("77")),
        ("name-and-port", "agent.example:78", Some("78")),
        ("v6-and-port", "[2001:db8::1]:79", Some("79")),
        ("no-port", "203.0.113.7", None),
        ("v6-without-port", "2001:db8::1", None),
        ("empty", "", None),
        ("bracket-open", "[::1:80", None),
    ] {
        cases.must(
            &format!("register/endpoint-{name}"),
            "REG-6",
            "the endpoint is where the connection comes from, with the port of listen_addr, or else its own",
            move |server| {
                let mut agent = server.stranger()?;
                let own = agent.link.address()?.port().to_string();
                let answer = agent.ask_ok(&agent.registration(listen))?;
                let expected = format!("{}:{}", agent.source, port.unwrap_or(&own));
                if answer["observed_addr"] == expected {
                    Ok(())
                } else {
                    Err(format!("observed {}, expected {expected}", answer["observed_addr"]))
                }
            },
        );
    }
    cases.must(
        "register/lan-addresses",
        "REG-6",
        "LAN addresses and relay_only are told to who may resolve",
        |server| {
            let mut agent = server.agent()?;
            let mut request = agent.registration(":4001");
            request["lan_addrs"] = json!(["192.168.7.9:4001", 5, "10.0.0.9:4001"]);
            agent.ask_ok(&request)?;
            agent.set_public(true)?;
            let mut other = server.agent()?;
            let answer = other.ask_ok(&other.resolve(agent.node))?;
            if answer["lan_addrs"] != json!(["192.168.7.9:4001", "10.0.0.9:4001"]) {
                return Err(format!("answered {answer}"));
            }
            request["relay_only"] = true.into();
            agent.ask_ok(&request)?;
            let answer = other.ask_ok(&other.resolve(agent.node))?;
            if answer["relay_only"] == true { Ok(()) } else { Err(format!("answered {answer}")) }
        },
    );
    cases.must(
        "register/many-lan-addresses",
        "REG-6",
        "a thousand LAN addresses are not given away",
        |server| {
            let mut agent = server.agent()?;
            let mut request = agent.registration(":4001");
            request["lan_addrs"] =
                (0..1000).map(|n| Value::from(format!("10.0.{}.{}:1", n >> 8, n & 255))).collect();
            agent.ask_ok(&request)?;
            agent.set_public(true)?;
            let mut other = server.agent()?;
            let answer = other.ask_ok(&other.resolve(agent.node))?;
            match answer["lan_addrs"].as_array().map_or(0, Vec::len) {
                0..=64 => Ok(()),
                many => Err(format!("{many} are told to everybody")),
            }
        },
    );
    cases.must(
        "register/extras-of-releases",
        "REG-2",
        "members that releases send besides change nothing",
        |server| {
            let mut agent = server.stranger()?;
            let mut request = agent.registration(":4001");
            request["version"] = "1.18.0".into();
            request["protocol_version"] = 9.into();
            request["identity_token"] = "token".into();
            agent.ask_ok(&request).map(drop)
        },
    );
    cases.must("register/hostname", "REG-6", "a free hostname is taken with the registration", |server| {
        let mut agent = server.stranger()?;
        let name = format!("registered-{}", server.number());
        let mut request = agent.registration(":4001");
        request["hostname"] = name.clone().into();
        let answer = agent.ask_ok(&request)?;
        let node = number(&answer["node_id"]).unwrap_or_default();
        let record = agent.lookup(node)?;
        if answer["hostname"] == name && record["hostname"] == name {
            Ok(())
        } else {
            Err(format!("answered {answer}, recorded {record}"))
        }
    });
    cases.must(
        "register/hostname-of-another",
        "REG-6",
        "a hostname that another holds is not taken by registering",
        |server| {
            let name = format!("held-{}", server.number());
            let mut holder = server.agent()?;
            holder.ask_ok(&holder.set_hostname(&name))?;
            let mut agent = server.stranger()?;
            let mut request = agent.registration(":4001");
            request["hostname"] = name.clone().into();
            agent.take_id(&request)?;
            let (of_agent, of_holder) = (agent.lookup(agent.node)?, agent.lookup(holder.node)?);
            if of_agent.get("hostname").is_none() && of_holder["hostname"] == name {
                Ok(())
            } else {
                Err(format!("recorded {of_agent} and {of_holder}"))
            }
        },
    );
    cases.must(
        "register/hostname-malformed",
        "REG-6",
        "a malformed hostname is named as such, and the node is registered without",
        |server| {
            let mut agent = server.stranger()?;
            let mut request = agent.registration(":4001");
            request["hostname"] = "Not_A_Name".into();
            let answer = agent.ask_ok(&request)?;
            let record = agent.lookup(number(&answer["node_id"]).unwrap_or_default())?;
            if answer["hostname_error"].is_string() && record.get("hostname").is_none() {
                Ok(())
            } else {
                Err(format!("answered {answer}, recorded {record}"))
            }
        },
    );
    cases.must(
        "register/one-key-one-node",
        "REG-8",
        "one key is one node, whatever its spelling",
        |server| {
            let agent = server.agent()?;
            let mut other = server.stranger()?;
            other.identity = agent.identity.clone();
            let key = agent.key();
            let spelt = format!("{}\n{}", &key[..20], &key[20..]);
            let request = json!({
                "type": "register", "public_key": spelt, "listen_addr": ":1",
                "signature": other.sign(&format!("register::1:{spelt}")),
            });
            let answer = other.ask_ok(&request)?;
            if answer["node_id"] == agent.node {
                Ok(())
            } else {
                Err(format!("node {} answered {answer}", agent.node))
            }
        },
    );
    cases.must("register/email-of-another", "REG-8", "an owner's e-mail opens nobody's node", |server| {
        let email = format!("owner-{}@example.com", server.number());
        let register = |server: &mut Server<'_>| -> Result<Agent, String> {
            let mut agent = server.stranger()?;
            let mut request = agent.registration(":4001");
            request["owner"] = email.clone().into();
            agent.take_id(&request)?;
            Ok(agent)
        };
        let (mut first, second) = (register(server)?, register(server)?);
        if first.node == second.node {
            return Err(format!("both are node {}", first.node));
        }
        first.ask_ok(&first.heartbeat()).map(drop)
    });
}

/// A registration that must be refused, made of a good one.
type Spoil = (&'static str, fn(&Agent, &Agent) -> Value);

fn bad_registrations(cases: &mut Cases<OfRendezvous>) {
    let table: [Spoil; 13] = [
        ("without-key", |_, _| json!({ "type": "register", "listen_addr": ":4001" })),
        ("empty-key", |_, _| json!({ "type": "register", "listen_addr": ":4001", "public_key": "" })),
        (
            "key-no-base64",
            |_, _| json!({ "type": "register", "listen_addr": ":4001", "public_key": "*not base64*" }),
        ),
        (
            "key-of-31-bytes",
            |_, _| json!({ "type": "register", "listen_addr": ":4001", "public_key": BASE64_STANDARD.encode([7; 31]) }),
        ),
        (
            "key-of-33-bytes",
            |_, _| json!({ "type": "register", "listen_addr": ":4001", "public_key": BASE64_STANDARD.encode([7; 33]) }),
        ),
        (
            "key-of-60000-bytes",
            |_, _| json!({ "type": "register", "listen_addr": ":4001", "public_key": "A".repeat(60_000) }),
        ),
        ("key-is-a-list", |_, _| json!({ "type": "register", "listen_addr": ":4001", "public_key": [1, 2] })),
        ("forged", |agent, other| {
            let mut request = agent.registration(":4001");
            request["signature"] = other.sign(&format!("register::4001:{}", agent.key())).into();
            request
        }),
        ("signed-for-another-address", |agent, _| {
            let mut request = agent.registration(":4001");
            request["listen_addr"] = ":4002".into();
            request
        }),
        ("signed-for-another-operation", |agent, _| {
            let mut request = agent.registration(":4001");
            request["signature"] = agent.sign("heartbeat:1").into();
            request
        }),
        ("signature-no-base64", |agent, _| {
            let mut request = agent.registration(":4001");
            request["signature"] = "!!".into();
            request
        }),
        ("signature-of-63-bytes", |agent, _| {
            let mut request = agent.registration(":4001");
            request["signature"] = BASE64_STANDARD.encode([1; 63]).into();
            request
        }),
        ("signature-of-zeros", |agent, _| {
            let mut request = agent.registration(":4001");
            request["signature"] = BASE64_STANDARD.encode([0; 64]).into();
            request
        }),
    ];
    for (name, spoil) in table {
        cases.must(
            &format!("register/refused-{name}"),
            "REG-7",
            "a registration without a key, or whose signature is there and does not verify, is refused and makes no node",
            move |server| {
                let (mut agent, other) = (server.stranger()?, server.agent()?);
                let request = spoil(&agent, &other);
                agent.refused(&request)?;
                // The id that the next new key gets was not used up.
                agent.register()?;
                if agent.node == other.node + 1 {
                    Ok(())
                } else {
                    Err(format!("node {} follows node {}", agent.node, other.node))
                }
            },
        );
    }
    cases.must(
        "register/weak-key",
        "REG-7",
        "a key of small order, under which a signature of anything verifies, signs nothing",
        |server| {
            let mut agent = server.stranger()?;
            let mut point = [0; 32];
            point[0] = 1;
            let mut signature = [0; 64];
            signature[0] = 1;
            let request = json!({
                "type": "register", "listen_addr": ":4001", "public_key": BASE64_STANDARD.encode(point),
                "signature": BASE64_STANDARD.encode(signature),
            });
            agent.refused(&request).map(drop)
        },
    );
}

fn proof(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "register/signed-once-signed-always",
        "REG-7",
        "once a key has registered signed, an unsigned registration is refused and moves nothing",
        |server| {
            let mut agent = server.public()?;
            let before = endpoint(agent.node, &mut agent)?;
            let mut thief = server.stranger()?;
            thief.identity = agent.identity.clone();
            thief.refused(&thief.unsigned(":666"))?;
            agent.refused(&agent.unsigned(":667"))?;
            let after = endpoint(agent.node, &mut agent)?;
            if after == before { Ok(()) } else { Err(format!("moved from {before} to {after}")) }
        },
    );
    cases.must("register/replayed", "REG-7", "a replayed registration gives its sender no right", |server| {
        let mut agent = server.public()?;
        let request = agent.registration(":4001");
        agent.ask_ok(&request)?;
        let mut thief = server.stranger()?;
        // The text that is signed does not name a host, so the replay itself may pass. It must not open private things.
        thief.link.ask(&request)?;
        thief.node = agent.node;
        let forged = thief.heartbeat();
        thief.refused(&forged)?;
        thief.refused(&thief.set_hostname("stolen"))?;
        agent.ask_ok(&request)?;
        let after = endpoint(agent.node, &mut agent)?;
        if after == format!("{}:4001", agent.source) {
            Ok(())
        } else {
            Err(format!("the node is at {after}"))
        }
    });
    /// An agent of April, which signs no registration, public and online.
    fn april(server: &mut Server<'_>) -> Result<Agent, String> {
        let mut agent = server.stranger()?;
        let request = agent.unsigned(":4001");
        agent.take_id(&request)?;
        agent.set_public(true)?;
        Ok(agent)
    }
    cases.must("register/unsigned", "REG-7", "April's daemons register without a signature", |server| {
        let mut agent = april(server)?;
        agent.ask_ok(&agent.heartbeat()).map(drop)
    });
    cases.must(
        "register/unsigned-at-home",
        "REG-7",
        "an unsigned registration from the node's address counts at once",
        |server| {
            let mut agent = april(server)?;
            agent.dial_again()?;
            agent.ask_ok(&agent.unsigned(":4002"))?;
            let at = endpoint(agent.node, &mut agent)?;
            if at == format!("{}:4002", agent.source) { Ok(()) } else { Err(format!("the node is at {at}")) }
        },
    );
    cases.must(
        "register/unsigned-from-elsewhere",
        "REG-7",
        "an unsigned registration of a node that is online does not count from elsewhere, and takes no name",
        |server| {
            let mut agent = april(server)?;
            let before = agent.lookup(agent.node)?;
            let mut thief = server.stranger()?;
            thief.identity = agent.identity.clone();
            let mut request = thief.unsigned(":666");
            request["hostname"] = format!("stolen-{}", server.number()).into();
            let answer = thief.link.ask(&request)?;
            let after = agent.lookup(agent.node)?;
            if after == before { Ok(()) } else { Err(format!("answered {answer}; {before} became {after}")) }
        },
    );
    cases.must(
        "register/unsigned-then-proven",
        "REG-7",
        "an unsigned registration from elsewhere counts when the key has signed anything from there",
        |server| {
            let agent = april(server)?;
            let mut moved = server.stranger()?;
            moved.identity = agent.identity.clone();
            moved.ask_ok(&moved.unsigned(":4002"))?;
            moved.node = agent.node;
            moved.ask_ok(&moved.heartbeat())?;
            let at = endpoint(agent.node, &mut moved)?;
            if at == format!("{}:4002", moved.source) { Ok(()) } else { Err(format!("the node is at {at}")) }
        },
    );
}

fn heartbeats(cases: &mut Cases<OfRendezvous>) {
    cases.must("heartbeat/answer", "REG-9", "a heartbeat is answered with the time", |server| {
        let mut agent = server.agent()?;
        let answer = agent.ask_ok(&agent.heartbeat())?;
        match answer["time"].as_u64() {
            Some(time) if time.abs_diff(unix_now()) <= 5 => Ok(()),
            _ => Err(format!("answered {answer}")),
        }
    });
    for (name, off, good) in [("now", 0, true), ("old", -3600, false), ("of-the-future", 3600, false)] {
        cases.must(
            &format!("heartbeat/ts-{name}"),
            "REG-5",
            "a heartbeat with `ts` is signed over it, and an old or a future one is refused",
            move |server| {
                let mut agent = server.agent()?;
                let (node, at) = (agent.node, unix_now() as i64 + off);
                let request = json!({
                    "type": "heartbeat", "node_id": node, "ts": at,
                    "signature": agent.sign(&format!("heartbeat:{node}:{at}")),
                });
                if good { agent.ask_ok(&request).map(drop) } else { agent.refused(&request).map(drop) }
            },
        );
    }
    cases.must(
        "heartbeat/ts-not-signed",
        "REG-5",
        "with `ts` the signature without it does not count",
        |server| {
            let mut agent = server.agent()?;
            let mut request = agent.heartbeat();
            request["ts"] = unix_now().into();
            agent.refused(&request).map(drop)
        },
    );
    cases.must("heartbeat/of-nobody", "REG-9", "a heartbeat of an unknown node is refused", |server| {
        let mut agent = server.stranger()?;
        agent.node = 4_000_000_000;
        agent.refused(&agent.heartbeat()).map(drop)
    });
}

/// A rotation to the key of `next`, with the signature in April's form or the later one.
fn rotate(agent: &Agent, next: &Agent, april: bool) -> Value {
    let (node, key) = (agent.node, next.key());
    let text = if april { format!("rotate:{node}") } else { format!("rotate:{node}:{key}") };
    json!({ "type": "rotate_key", "node_id": node, "new_public_key": key, "signature": agent.sign(&text) })
}

fn rotation(cases: &mut Cases<OfRendezvous>) {
    for (name, april) in [("april", true), ("later", false)] {
        cases.must(
            &format!("rotate/{name}"),
            "REG-5",
            "a node replaces its key, signing with the old one; then the new one signs and the old one does not",
            move |server| {
                let (mut agent, mut next) = (server.agent()?, server.stranger()?);
                agent.ask_ok(&rotate(&agent, &next, april))?;
                next.node = agent.node;
                next.ask_ok(&next.heartbeat())?;
                agent.refused(&agent.heartbeat())?;
                let record = next.lookup(next.node)?;
                if record["public_key"] == next.key() { Ok(()) } else { Err(format!("recorded {record}")) }
            },
        );
    }
    cases.must(
        "rotate/old-key-registers",
        "REG-16",
        "the old key of a node that has another is a new node",
        |server| {
            let (mut agent, mut next) = (server.agent()?, server.stranger()?);
            let node = agent.node;
            agent.ask_ok(&rotate(&agent, &next, false))?;
            agent.register()?;
            next.register()?;
            if agent.node != node && next.node == node {
                Ok(())
            } else {
                Err(format!("the old key is node {}, the new one {}, before {node}", agent.node, next.node))
            }
        },
    );
    cases.must(
        "rotate/to-the-key-of-another",
        "REG-16",
        "a rotation to another node's key is refused",
        |server| {
            let (mut agent, mut victim) = (server.agent()?, server.agent()?);
            let node = victim.node;
            agent.refused(&rotate(&agent, &victim, false))?;
            victim.register()?;
            agent.ask_ok(&agent.heartbeat())?;
            if victim.node == node { Ok(()) } else { Err(format!("node {node} became {}", victim.node)) }
        },
    );
    cases.must(
        "rotate/signed-by-the-new-key",
        "REG-5",
        "the new key's signature rotates nothing",
        |server| {
            let (mut agent, mut next) = (server.agent()?, server.stranger()?);
            next.node = agent.node;
            let request = rotate(&next, &next, false);
            next.refused(&request)?;
            agent.ask_ok(&agent.heartbeat()).map(drop)
        },
    );
    for (name, key) in [("empty", ""), ("no-base64", "?"), ("short", "AAAA")] {
        cases.must(
            &format!("rotate/to-{name}"),
            "REG-5",
            "a rotation to what is no key is refused",
            move |server| {
                let mut agent = server.agent()?;
                let node = agent.node;
                let request = json!({
                    "type": "rotate_key", "node_id": node, "new_public_key": key,
                    "signature": agent.sign(&format!("rotate:{node}:{key}")),
                });
                agent.refused(&request)?;
                agent.ask_ok(&agent.heartbeat()).map(drop)
            },
        );
    }
    cases.must("rotate/counted", "REG-5", "get_key_info tells how often a key was replaced", |server| {
        let (mut agent, mut next) = (server.agent()?, server.stranger()?);
        let question = json!({ "type": "get_key_info", "node_id": agent.node });
        let before = agent.ask_ok(&question)?;
        agent.ask_ok(&rotate(&agent, &next, false))?;
        let after = next.ask_ok(&question)?;
        match (before["rotate_count"].as_u64(), after["rotate_count"].as_u64()) {
            (Some(0), Some(1)) if after["rotated_at"].is_string() => Ok(()),
            _ => Err(format!("{before} became {after}")),
        }
    });
}

fn leaving(cases: &mut Cases<OfRendezvous>) {
    fn deregister(agent: &Agent) -> Value {
        let node = agent.node;
        json!({ "type": "deregister", "node_id": node, "signature": agent.sign(&format!("deregister:{node}")) })
    }
    cases.must("deregister/gone", "REG-5", "a node that leaves is found no more", |server| {
        let (mut agent, mut other) = (server.public()?, server.agent()?);
        agent.ask_ok(&deregister(&agent))?;
        other.refused(&json!({ "type": "lookup", "node_id": agent.node }))?;
        other.refused(&other.resolve(agent.node)).map(drop)
    });
    cases.must(
        "deregister/id-comes-back",
        "REG-6",
        "the id waits for the key and is given to no other",
        |server| {
            let mut agent = server.agent()?;
            let node = agent.node;
            agent.ask_ok(&deregister(&agent))?;
            let other = server.agent()?;
            agent.register()?;
            if agent.node == node && other.node != node {
                Ok(())
            } else {
                Err(format!("node {node} came back as {}, another is {}", agent.node, other.node))
            }
        },
    );
    cases.must("deregister/name-is-free", "REG-9", "the name of a node that left is free", |server| {
        let name = format!("left-{}", server.number());
        let (mut agent, mut other) = (server.agent()?, server.agent()?);
        agent.ask_ok(&agent.set_hostname(&name))?;
        other.refused(&other.set_hostname(&name))?;
        agent.ask_ok(&deregister(&agent))?;
        other.ask_ok(&other.set_hostname(&name)).map(drop)
    });
}

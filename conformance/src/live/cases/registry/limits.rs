//! Limits by source address and by node: what is refused, and that others are served meanwhile.

use crate::live::agent::Agent;
use crate::live::case::{Cases, Grade, Level, OfRendezvous};
use crate::live::link::{Link, framed};
use crate::live::memory;
use crate::live::server::Server;
use serde_json::{Value, json};

/// Asks all at once; the answers.
fn ask_all(link: &mut Link, requests: &[Value]) -> Result<Vec<Value>, String> {
    for batch in requests.chunks(200) {
        let bytes: Vec<u8> = batch.iter().flat_map(|q| framed(q.to_string().as_bytes())).collect();
        link.send_raw(&bytes)?;
    }
    requests.iter().map(|_| link.answer()).collect()
}

fn is_limited(answer: &Value) -> bool {
    answer["error"].as_str().is_some_and(|words| words.starts_with("rate limited: "))
}

/// Of `requests` sent at once, `least` are performed or refused otherwise, the rest is rate limited with the right words;
/// the connection stays.
fn limited(agent: &mut Agent, requests: &[Value], least: usize, what: &str) -> Result<(), String> {
    let answers = ask_all(&mut agent.link, requests)?;
    let passed = answers.iter().take_while(|answer| !is_limited(answer)).count();
    if passed < least {
        return Err(format!("only {passed} of {least} passed: {}", answers[passed]));
    }
    // Some come back while they are asked.
    let slack = least / 10 + 2;
    if passed > least + slack {
        return Err(format!("{passed} passed, the limit is {least}"));
    }
    let expected = format!("rate limited: too many {what} from {}", agent.source);
    let words = answers[passed]["error"].as_str().unwrap_or_default();
    if words != expected {
        return Err(format!("refused with {words:?}, expected {expected:?}"));
    }
    // Neither limited nor refused for good.
    agent.ask_ok(&json!({ "type": "get_key_info", "node_id": agent.node })).map(drop)
}

pub(super) fn limits(cases: &mut Cases<OfRendezvous>) {
    rates(cases);
    connections(cases);
}

fn rates(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "limit/new-keys",
        "REG-15",
        "ten registrations of unknown keys a minute and address; known keys pass",
        |server| {
            let mut agent = server.agent()?;
            let mut requests = Vec::new();
            for _ in 0..14 {
                let stranger = server.stranger()?;
                requests.push(stranger.registration(":1"));
            }
            // One was its own.
            limited(&mut agent, &requests, 9, "registrations")?;
            agent.register()?;
            // Another address has a limit of its own.
            server.agent().map(drop)
        },
    );
    cases.must("limit/resolve", "REG-15", "a hundred resolve a minute and address", |server| {
        let (mut agent, target) = (server.agent()?, server.public()?);
        let requests = vec![agent.resolve(target.node); 120];
        limited(&mut agent, &requests, 100, "resolves")?;
        let mut other = server.agent()?;
        other.ask_ok(&other.resolve(target.node)).map(drop)
    });
    cases.must(
        "limit/queries",
        "REG-15",
        "five hundred lookup, resolve_hostname and list_nodes together",
        |server| {
            let mut agent = server.agent()?;
            let kinds = [
                json!({ "type": "lookup", "node_id": agent.node }),
                json!({ "type": "resolve_hostname", "hostname": "nobody" }),
                json!({ "type": "list_nodes", "network_id": 0 }),
            ];
            let requests: Vec<Value> = (0..600).map(|n| kinds[n % 3].clone()).collect();
            limited(&mut agent, &requests, 500, "queries")?;
            let mut other = server.agent()?;
            other.lookup(agent.node).map(drop)
        },
    );
    cases.must(
        "limit/heartbeats",
        "REG-15",
        "fifty heartbeats a minute and node; another node at the same address has its own",
        |server| {
            let mut agent = server.agent()?;
            let requests = vec![agent.heartbeat(); 60];
            limited(&mut agent, &requests, 50, "heartbeats")?;
            let mut second = server.stranger()?;
            second.link = agent.another_link()?;
            second.register()?;
            second.ask_ok(&second.heartbeat()).map(drop)
        },
    );
    cases.must(
        "limit/forged-heartbeats",
        "REG-15",
        "forged heartbeats do not use up those of the node",
        |server| {
            let mut agent = server.agent()?;
            let mut thief = server.agent()?;
            let mut forged = agent.heartbeat();
            forged["signature"] = thief.sign("forged").into();
            for answer in ask_all(&mut thief.link, &vec![forged; 200])? {
                if answer["type"] != "error" {
                    return Err(format!("answered {answer}"));
                }
            }
            agent.ask_ok(&agent.heartbeat()).map(drop)
        },
    );
    cases.must(
        "limit/all-requests",
        "REG-15",
        "thirty thousand requests of all kinds a minute and address",
        |server| {
            let mut agent = server.agent()?;
            let request = json!({ "type": "check_trust", "node_id": 1, "peer_id": 2 });
            let mut limited = 0;
            for _ in 0..200 {
                let answers = ask_all(&mut agent.link, &vec![request.clone(); 500])?;
                limited += answers.iter().filter(|answer| is_limited(answer)).count();
                if limited > 0 {
                    break;
                }
            }
            if limited == 0 {
                return Err("100000 were answered".into());
            }
            server.control()?;
            server.agent().map(drop)
        },
    );
    cases.must(
        "limit/refills",
        "REG-15",
        "a limit comes back with time: one new key in six seconds",
        |server| {
            let mut agent = server.agent()?;
            let strangers: Vec<Agent> = (0..10).map(|_| server.stranger()).collect::<Result<_, _>>()?;
            let requests: Vec<Value> = strangers.iter().map(|stranger| stranger.registration(":1")).collect();
            let answers = ask_all(&mut agent.link, &requests)?;
            let last = requests.last().filter(|_| answers.last().is_some_and(is_limited));
            let last = last.ok_or("ten more were registered")?;
            server.session.pass(std::time::Duration::from_millis(6500))?;
            agent.ask_ok(last).map(drop)
        },
    );
}

fn connections(cases: &mut Cases<OfRendezvous>) {
    cases.graded(
        Level::Must,
        "limit/connections",
        "REG-15",
        "one address cannot use up the connections: others are served, and so is it when it let go",
        |server| {
            raise_descriptor_limit()?;
            let agent = server.agent()?;
            let question = json!({ "type": "get_key_info", "node_id": agent.node });
            let mut open = Vec::new();
            let mut refused = 0;
            for _ in 0..1300 {
                let mut link = agent.another_link()?;
                // It may be closed at once.
                match link.send(&question).and_then(|()| link.answer()) {
                    Ok(_) => open.push(link),
                    Err(_) => refused += 1,
                }
            }
            server.control()?;
            server.agent()?;
            let kept = open.len();
            drop(open);
            server.until("a connection after letting go", || {
                let mut link = agent.another_link().ok()?;
                link.ask(&question).ok()
            })?;
            Ok(if refused > 0 { Grade::Strict } else { Grade::Seen(format!("{kept} connections were kept")) })
        },
    );
    cases.must(
        "limit/connections-come-and-go",
        "REG-15",
        "two thousand connections one after another leave nothing behind",
        |server| {
            let pid = server.program.pid()?;
            let agent = server.agent()?;
            server.control()?;
            let (before, open) = (memory::resident(pid), memory::descriptors(pid));
            for number in 0..2000 {
                let link = agent.another_link()?;
                // Who resets before he is accepted has no address any more.
                if number % 4 == 0 {
                    link.die()?;
                }
            }
            let question = json!({ "type": "get_key_info", "node_id": agent.node });
            agent
                .another_link()?
                .ask(&question)
                .map_err(|why| format!("it is not served after them: {why}"))?;
            server.control()?;
            memory::grew_at_most(pid, before, 8 << 10)?;
            let Some(open) = open else { return Ok(()) };
            server
                .until("descriptors as before", || memory::descriptors(pid).filter(|now| *now <= open + 8))
                .map(drop)
        },
    );
    cases.must(
        "limit/unknown-operations",
        "REG-15",
        "names of operations nobody has cost no memory that stays",
        |server: &mut Server<'_>| {
            let pid = server.program.pid()?;
            let mut agent = server.agent()?;
            server.control()?;
            let before = memory::resident(pid);
            for round in 0..10 {
                let requests: Vec<Value> = (0..200)
                    .map(|n| json!({ "type": format!("{round}-{n}-{}", "x".repeat(5000)) }))
                    .collect();
                ask_all(&mut agent.link, &requests)?;
            }
            server.control()?;
            memory::grew_at_most(pid, before, 8 << 10)
        },
    );
}

/// This program holds the other end of every connection.
fn raise_descriptor_limit() -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum.or(Some(4096)), maximum: limit.maximum };
    setrlimit(Resource::Nofile, wanted).map_err(|e| format!("descriptors: {e}"))
}

//! Trust as the registry keeps it: consents, relayed handshakes, inboxes, revocation.

use crate::live::agent::Agent;
use crate::live::case::{Cases, OfRendezvous};
use crate::live::server::Server;
use serde_json::{Value, json};

/// One step towards trust, or away from it.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// report_trust.
    Report,
    /// request_handshake.
    Request,
    /// respond_handshake with accept.
    Accept,
    /// respond_handshake without.
    Reject,
    /// revoke_trust.
    Revoke,
    /// resolve, which works on a public node only.
    Contact,
}

fn perform(by: &mut Agent, about: &Agent, step: Step) -> Result<(), String> {
    let request = match step {
        Step::Report => by.report_trust(about.node),
        Step::Request => by.request_handshake(about.node, "please"),
        Step::Accept => by.respond_handshake(about.node, true),
        Step::Reject => by.respond_handshake(about.node, false),
        Step::Revoke => by.revoke_trust(about.node),
        Step::Contact => by.resolve(about.node),
    };
    by.ask_ok(&request).map(drop)
}

/// Steps of the first (false) and the second node (true), and whether they trust each other then.
type Story = (&'static str, &'static [(bool, Step)], bool);

const STORIES: [Story; 19] = [
    ("nothing", &[], false),
    ("one-report", &[(false, Step::Report)], false),
    ("one-report-twice", &[(false, Step::Report), (false, Step::Report)], false),
    ("two-reports", &[(false, Step::Report), (true, Step::Report)], true),
    ("request-only", &[(false, Step::Request)], false),
    ("request-and-accept", &[(false, Step::Request), (true, Step::Accept)], true),
    ("request-and-report", &[(false, Step::Request), (true, Step::Report)], true),
    ("request-and-request", &[(false, Step::Request), (true, Step::Request)], true),
    ("accept-of-nothing", &[(false, Step::Accept)], false),
    ("accept-of-nothing-then-report", &[(false, Step::Accept), (true, Step::Report)], true),
    ("request-and-reject", &[(false, Step::Request), (true, Step::Reject)], false),
    ("request-reject-accept", &[(false, Step::Request), (true, Step::Reject), (true, Step::Accept)], false),
    ("request-reject-report", &[(false, Step::Request), (true, Step::Reject), (true, Step::Report)], false),
    ("trust-and-revoke", &[(false, Step::Report), (true, Step::Report), (false, Step::Revoke)], false),
    (
        "trust-and-revoke-by-the-other",
        &[(false, Step::Report), (true, Step::Report), (true, Step::Revoke)],
        false,
    ),
    (
        "revoke-and-one-report",
        &[(false, Step::Report), (true, Step::Report), (false, Step::Revoke), (true, Step::Report)],
        false,
    ),
    (
        "revoke-and-two-reports",
        &[
            (false, Step::Report),
            (true, Step::Report),
            (false, Step::Revoke),
            (true, Step::Report),
            (false, Step::Report),
        ],
        true,
    ),
    ("request-and-revoke", &[(false, Step::Request), (false, Step::Revoke), (true, Step::Accept)], false),
    ("trust-and-reject", &[(false, Step::Report), (true, Step::Report), (true, Step::Reject)], false),
];

/// The same with a second node that is public, whom the first may have looked up.
const CONTACTS: [Story; 4] = [
    ("contact-only", &[(false, Step::Contact)], false),
    ("contact-and-report", &[(false, Step::Contact), (true, Step::Report)], true),
    ("contact-and-own-report", &[(false, Step::Contact), (false, Step::Report)], false),
    (
        "contact-report-revoke-report",
        &[(false, Step::Contact), (true, Step::Report), (true, Step::Revoke), (true, Step::Report)],
        false,
    ),
];

fn polled(agent: &mut Agent) -> Result<(Vec<Value>, Vec<Value>), String> {
    let answer = agent.ask_ok(&agent.poll_handshakes())?;
    let list = |member: &str| answer[member].as_array().cloned().ok_or(format!("no {member} in {answer}"));
    Ok((list("requests")?, list("responses")?))
}

/// The one request and the one response that wait, as far as there is one.
fn one(list: &[Value], what: &str) -> Result<Value, String> {
    match list {
        [one] => Ok(one.clone()),
        all => Err(format!("{} {what} instead of one: {all:?}", all.len())),
    }
}

pub(super) fn trust(cases: &mut Cases<OfRendezvous>) {
    for (stories, public) in [(&STORIES[..], false), (&CONTACTS[..], true)] {
        for &(name, steps, trusted) in stories {
            cases.must(
                &format!("trust/{name}"),
                if steps.iter().any(|(_, step)| matches!(step, Step::Revoke | Step::Reject)) {
                    "REG-13"
                } else {
                    "REG-12"
                },
                "two consents make trust, one does not; a rejection or revocation takes all of them back",
                move |server| {
                    let (mut a, mut b) = (server.agent()?, server.agent()?);
                    b.set_public(public)?;
                    for &(second, step) in steps {
                        let (by, about) = if second { (&mut b, &a) } else { (&mut a, &b) };
                        perform(by, about, step).map_err(|why| format!("{step:?}: {why}"))?;
                    }
                    let mut asker = server.stranger()?;
                    let (one, other) = (asker.trusted(a.node, b.node)?, asker.trusted(b.node, a.node)?);
                    if (one, other) == (trusted, trusted) {
                        Ok(())
                    } else {
                        Err(format!("check_trust says {one} and {other}"))
                    }
                },
            );
        }
    }
    cases.must("trust/of-nobody", "REG-12", "a node cannot consent to trust with an unknown one", |server| {
        let mut agent = server.agent()?;
        agent.refused(&agent.report_trust(4_000_000_000))?;
        agent.refused(&agent.request_handshake(4_000_000_000, "please"))?;
        agent.refused(&agent.respond_handshake(4_000_000_000, true)).map(drop)
    });
    cases.must("trust/unknown-ids", "REG-10", "check_trust of unknown nodes says no", |server| {
        let mut agent = server.agent()?;
        if agent.trusted(0, 0)?
            || agent.trusted(4_000_000_000, agent.node)?
            || agent.trusted(agent.node, 0)?
        {
            Err("it says yes".into())
        } else {
            Ok(())
        }
    });
    cases.must(
        "trust/revoke-of-nothing",
        "REG-13",
        "a revocation of what is not there is refused",
        |server| {
            let (mut a, b) = (server.agent()?, server.agent()?);
            a.refused(&a.revoke_trust(b.node)).map(drop)
        },
    );
    inboxes(cases);
}

fn inboxes(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "inbox/request",
        "REG-14",
        "a request waits with sender, justification and time, and is handed out once",
        |server| {
            let (mut a, mut b) = (server.agent()?, server.agent()?);
            a.ask_ok(&a.request_handshake(b.node, "because <&> \u{1F680}"))?;
            let (requests, responses) = polled(&mut b)?;
            let request = one(&requests, "requests")?;
            if !responses.is_empty() {
                return Err(format!("responses {responses:?}"));
            }
            let fits = request["from_node_id"] == a.node
                && request["justification"] == "because <&> \u{1F680}"
                && request["timestamp"].as_u64().is_some_and(|at| at > 1_600_000_000);
            if !fits {
                return Err(format!("polled {request}"));
            }
            match polled(&mut b)? {
                (requests, _) if requests.is_empty() => Ok(()),
                (requests, _) => Err(format!("polled again: {requests:?}")),
            }
        },
    );
    for (name, accept) in [("accept", true), ("reject", false)] {
        cases.must(
            &format!("inbox/response-{name}"),
            "REG-14",
            "an answer waits for who asked",
            move |server| {
                let (mut a, mut b) = (server.agent()?, server.agent()?);
                a.ask_ok(&a.request_handshake(b.node, ""))?;
                b.ask_ok(&b.respond_handshake(a.node, accept))?;
                let (_, responses) = polled(&mut a)?;
                let response = one(&responses, "responses")?;
                if response["from_node_id"] == b.node && response["accept"] == accept {
                    Ok(())
                } else {
                    Err(format!("polled {response}"))
                }
            },
        );
    }
    cases.must(
        "inbox/response-nobody-asked-for",
        "REG-14",
        "a response is kept only for a node that had consented or made contact",
        |server| {
            let (mut a, mut b) = (server.agent()?, server.agent()?);
            b.ask_ok(&b.respond_handshake(a.node, true))?;
            b.ask_ok(&b.respond_handshake(a.node, false))?;
            match polled(&mut a)? {
                (requests, responses) if requests.is_empty() && responses.is_empty() => Ok(()),
                all => Err(format!("polled {all:?}")),
            }
        },
    );
    cases.must("inbox/one-a-sender", "REG-14", "a request waits once a sender", |server| {
        let (mut a, mut b) = (server.agent()?, server.agent()?);
        a.ask_ok(&a.request_handshake(b.node, "first"))?;
        // Whether the second is refused or takes the place of the first is left open.
        a.link.ask(&a.request_handshake(b.node, "second"))?;
        let (requests, _) = polled(&mut b)?;
        one(&requests, "requests").map(drop)
    });
    cases.must("inbox/again-after-a-poll", "REG-14", "who was polled may ask again", |server| {
        let (mut a, mut b) = (server.agent()?, server.agent()?);
        a.ask_ok(&a.request_handshake(b.node, "first"))?;
        polled(&mut b)?;
        a.ask_ok(&a.request_handshake(b.node, "second"))?;
        let (requests, _) = polled(&mut b)?;
        let request = one(&requests, "requests")?;
        if request["justification"] == "second" { Ok(()) } else { Err(format!("polled {request}")) }
    });
    cases.must("inbox/of-another", "REG-14", "nobody reads another's inbox", |server| {
        let (mut a, mut b) = (server.agent()?, server.agent()?);
        a.ask_ok(&a.request_handshake(b.node, "private"))?;
        let mut thief = server.agent()?;
        thief.node = b.node;
        thief.refused(&thief.poll_handshakes())?;
        let (requests, _) = polled(&mut b)?;
        one(&requests, "requests").map(drop)
    });
    for (name, length, good) in
        [("longest", 1024, true), ("too-long", 1025, false), ("of-60000-bytes", 60_000, false)]
    {
        cases.must(
            &format!("inbox/justification-{name}"),
            "REG-14",
            "a justification has up to 1024 bytes",
            move |server| {
                let (mut a, mut b) = (server.agent()?, server.agent()?);
                let request = a.request_handshake(b.node, &"j".repeat(length));
                if good {
                    a.ask_ok(&request)?;
                } else {
                    a.refused(&request)?;
                }
                let (requests, _) = polled(&mut b)?;
                if requests.len() == usize::from(good) {
                    Ok(())
                } else {
                    Err(format!("{} wait", requests.len()))
                }
            },
        );
    }
    cases.must(
        "inbox/full",
        "REG-14",
        "a hundred requests wait for a node, no more, each polled once in answers that old clients read",
        |server| {
            let mut target = server.agent()?;
            let mut senders: Vec<Agent> = (0..101).map(|_| server.agent()).collect::<Result<_, _>>()?;
            let text = "j".repeat(1024);
            let mut accepted = Vec::new();
            for sender in &mut senders {
                let answer = sender.link.ask(&sender.request_handshake(target.node, &text))?;
                if answer["type"] == "request_handshake_ok" {
                    accepted.push(sender.node);
                }
            }
            if accepted.len() != 100 {
                return Err(format!("{} requests of 101 were accepted", accepted.len()));
            }
            let mut seen = Vec::new();
            for _ in 0..20 {
                let request = target.poll_handshakes();
                target.link.send(&request)?;
                let body = target.link.receive(crate::live::link::ANSWER)?.ok_or("the connection ended")?;
                if body.len() > 65_536 {
                    return Err(format!("an answer of {} bytes", body.len()));
                }
                let answer: Value = serde_json::from_slice(&body).map_err(|e| format!("{e}"))?;
                let requests = answer["requests"].as_array().cloned().unwrap_or_default();
                if requests.is_empty() {
                    break;
                }
                seen.extend(
                    requests
                        .iter()
                        .filter_map(|request| crate::live::agent::number(&request["from_node_id"])),
                );
            }
            seen.sort_unstable();
            if seen == accepted { Ok(()) } else { Err(format!("polled were {} of 100 senders", seen.len())) }
        },
    );
    cases.must(
        "inbox/after-a-revocation",
        "REG-13",
        "a revocation takes back what waits between the two, and nothing else",
        |server| {
            let (mut a, mut b, mut c) = (server.agent()?, server.agent()?, server.agent()?);
            a.ask_ok(&a.request_handshake(b.node, "a"))?;
            c.ask_ok(&c.request_handshake(b.node, "c"))?;
            a.ask_ok(&a.revoke_trust(b.node))?;
            let (requests, _) = polled(&mut b)?;
            let request = one(&requests, "requests")?;
            if request["from_node_id"] == c.node { Ok(()) } else { Err(format!("polled {request}")) }
        },
    );
    cases.must(
        "inbox/two-polls-at-once",
        "REG-14",
        "of two polls at the same time one gets the message, not both",
        |server| {
            let (mut a, mut b) = (server.agent()?, server.agent()?);
            a.ask_ok(&a.request_handshake(b.node, "once"))?;
            let mut second = b.another_link()?;
            let poll = b.poll_handshakes();
            b.link.send(&poll)?;
            second.send(&poll)?;
            let answers = [b.link.answer()?, second.answer()?];
            match answers.iter().filter(|answer| answer["requests"] != json!([])).count() {
                1 => Ok(()),
                count => Err(format!("{count} of two got it")),
            }
        },
    );
    cases.must(
        "inbox/wake",
        "REG-14",
        "the receiver of a request, and the one of its answer, are woken by the beacon",
        |server: &mut Server<'_>| {
            let (mut a, mut b) = (server.agent()?, server.agent()?);
            a.appear()?;
            b.appear()?;
            a.ask_ok(&a.request_handshake(b.node, ""))?;
            let wake = b.expect("wake")?;
            if wake != [0x0A, 1] {
                return Err(format!("the beacon sent {wake:02x?}"));
            }
            b.ask_ok(&b.respond_handshake(a.node, true))?;
            let wake = a.expect("wake")?;
            if wake == [0x0A, 1] { Ok(()) } else { Err(format!("the beacon sent {wake:02x?}")) }
        },
    );
    cases.must(
        "inbox/no-wake-of-a-refusal",
        "REG-14",
        "a request that is refused wakes nobody",
        |server: &mut Server<'_>| {
            let (mut a, b) = (server.agent()?, server.agent()?);
            b.appear()?;
            let mut forged = a.request_handshake(b.node, "");
            forged["signature"] = a.sign("something else").into();
            a.refused(&forged)?;
            a.refused(&a.request_handshake(b.node, &"j".repeat(2000)))?;
            server.silence(&b)
        },
    );
}

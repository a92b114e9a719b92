//! The beacon as the program under test: exact bytes, what it believes of whom, and what it never multiplies.

use crate::live::agent::{Agent, delivery, discover, punch, relay};
use crate::live::case::{Case, Cases, Grade, Level, OfRendezvous};
use crate::live::memory;
use crate::live::rendezvous::endpoint;
use crate::live::server::Server;
use std::time::Duration;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::of_rendezvous("beacon");
    addresses(&mut cases);
    ignored(&mut cases);
    punching(&mut cases);
    relaying(&mut cases);
    lies(&mut cases);
    floods(&mut cases);
    super::expiry::beacon(&mut cases);
    cases.all
}

/// Two registered nodes that are at the beacon.
fn two(server: &mut Server<'_>) -> Result<(Agent, Agent), String> {
    let (a, b) = (server.public()?, server.public()?);
    a.appear()?;
    b.appear()?;
    Ok((a, b))
}

/// A node that speaks at the beacon only, as one whose registry is elsewhere.
fn unregistered(server: &mut Server<'_>) -> Result<Agent, String> {
    let mut agent = server.stranger()?;
    agent.node = 500_000_000 + server.number();
    Ok(agent)
}

fn same(what: &str, heard: &[u8], expected: &[u8]) -> Result<(), String> {
    if heard == expected { Ok(()) } else { Err(format!("{what} is {heard:02x?}, expected {expected:02x?}")) }
}

/// What is sent reaches the node, from which sender.
fn arrives(from: &Agent, to: &Agent, frame: &[u8]) -> Result<(), String> {
    from.tell(&relay(from.node, to.node, frame))?;
    same("the delivery", &to.expect("delivery")?, &delivery(from.node, frame))
}

fn addresses(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "address/answer",
        "NAT-3",
        "01 is answered with the source address, byte for byte",
        |server| {
            let agent = server.agent()?;
            agent.appear()
        },
    );
    cases.must(
        "address/unregistered",
        "NAT-3",
        "a node that this registry does not know is told its address too",
        |server| unregistered(server)?.appear(),
    );
    cases.must("address/node-0", "NAT-3", "a daemon without an id is told its address", |server| {
        let mut agent = server.stranger()?;
        agent.node = 0;
        agent.appear()
    });
    cases.must(
        "address/with-a-key",
        "NAT-1",
        "a registration with a key of 32 bytes, as the newest take it, is answered",
        |server| {
            let agent = server.agent()?;
            let message = [&discover(agent.node)[..], agent.identity.verifying_key().as_bytes()].concat();
            agent.tell(&message)?;
            same("the answer", &agent.expect("address")?, &endpoint(2, agent.address()?))
        },
    );
    cases.must("address/trailing-bytes", "NAT-1", "trailing bytes are ignored", |server| {
        let agent = server.agent()?;
        agent.tell(&[&discover(agent.node)[..], &[0xFF; 999]].concat())?;
        same("the answer", &agent.expect("address")?, &endpoint(2, agent.address()?))
    });
    cases.must("address/one-answer", "NAT-3", "one registration gets one answer", |server| {
        let agent = server.agent()?;
        agent.appear()?;
        server.silence(&agent)
    });
    cases.must(
        "address/follows-a-port",
        "NAT-3",
        "a node that speaks from another port of its host is reached there",
        |server| {
            let (a, mut b) = two(server)?;
            b.socket = std::net::UdpSocket::bind((b.source, 0)).map_err(|e| format!("{e}"))?;
            b.appear()?;
            arrives(&a, &b, b"moved")
        },
    );
    cases.must(
        "address/follows-a-host",
        "NAT-3",
        "a node that registered from another host is reached there",
        |server| {
            let (a, b) = two(server)?;
            let mut moved = server.stranger()?;
            moved.identity = b.identity.clone();
            moved.register()?;
            moved.appear()?;
            arrives(&a, &moved, b"moved")
        },
    );
    cases.must(
        "address/after-a-restart",
        "NAT-5",
        "after a crash nodes that register again are served as before",
        |server| {
            let (a, b) = two(server)?;
            server.restart()?;
            a.appear()?;
            b.appear()?;
            arrives(&a, &b, b"again")
        },
    );
}

fn ignored(cases: &mut Cases<OfRendezvous>) {
    let table: [(&str, Vec<u8>); 21] = [
        ("empty", vec![]),
        ("type-00", vec![0, 0, 0, 0, 1]),
        ("discover-cut", vec![1, 0, 0, 0]),
        ("discover-type-only", vec![1]),
        ("punch-cut", vec![3, 0, 0, 0, 1, 0, 0, 0]),
        ("relay-cut", vec![5, 0, 0, 0, 1, 0, 0, 0]),
        ("an-address", endpoint(2, ([203, 0, 113, 9], 9).into())),
        ("a-punch-command", endpoint(4, ([203, 0, 113, 9], 9).into())),
        ("a-delivery", delivery(1, b"PILPhello")),
        ("gossip-of-a-stranger", vec![7, 0, 0, 0, 9, 0, 1, 0, 0, 0, 1]),
        ("gossip-cut", vec![7, 0, 0, 0, 9, 0xFF, 0xFF, 0, 0]),
        ("register-08", vec![8, 0, 0, 0, 1]),
        ("delivery-09", vec![9, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3]),
        ("wake", vec![0x0A, 1]),
        ("type-0f", vec![0x0F; 40]),
        ("type-10", vec![0x10; 40]),
        ("punch-frame", b"PILP".to_vec()),
        ("sealed-frame", [&b"PILS"[..], &[0; 80]].concat()),
        ("text", b"hello beacon".to_vec()),
        ("all-ones", vec![0xFF; 1400]),
        ("largest", vec![0; 65_507]),
    ];
    for (name, message) in table {
        cases.must(
            &format!("ignored/{name}"),
            "NAT-1",
            "wrong lengths, unknown types and what only a beacon says are ignored: no answer, nothing remembered",
            move |server| {
                let (a, b) = two(server)?;
                for _ in 0..3 {
                    a.tell(&message)?;
                }
                server.silence(&a)?;
                server.silence(&b)?;
                arrives(&a, &b, b"as before")
            },
        );
    }
    cases.must("ignored/register-08-is-not-remembered", "NAT-17", "08 does not register", |server| {
        let (a, b) = (server.public()?, server.public()?);
        a.appear()?;
        b.tell(&[&[8][..], &b.node.to_be_bytes()].concat())?;
        server.silence(&b)?;
        a.tell(&relay(a.node, b.node, b"nowhere"))?;
        server.silence(&b)
    });
}

fn punching(cases: &mut Cases<OfRendezvous>) {
    cases.must(
        "punch/both-sides",
        "NAT-3",
        "03 sends each of the two the address of the other, byte for byte, once",
        |server| {
            let (a, b) = two(server)?;
            a.tell(&punch(a.node, b.node))?;
            same("the requester's", &a.expect("punch command")?, &endpoint(4, b.address()?))?;
            same("the target's", &b.expect("punch command")?, &endpoint(4, a.address()?))?;
            server.silence(&a)?;
            server.silence(&b)
        },
    );
    cases.must("punch/trailing-bytes", "NAT-1", "trailing bytes of 03 are ignored", |server| {
        let (a, b) = two(server)?;
        a.tell(&[&punch(a.node, b.node)[..], &[7; 100]].concat())?;
        same("the target's", &b.expect("punch command")?, &endpoint(4, a.address()?))
    });
    cases.must("punch/unknown-target", "NAT-3", "for a target that is not there nothing is sent", |server| {
        let (a, _) = two(server)?;
        a.tell(&punch(a.node, 600_000_000))?;
        server.silence(&a)
    });
    cases.must("punch/learns-the-port", "NAT-3", "03 stores the requester's address", |server| {
        let (a, mut b) = two(server)?;
        b.socket = std::net::UdpSocket::bind((b.source, 0)).map_err(|e| format!("{e}"))?;
        b.tell(&punch(b.node, a.node))?;
        same("the requester's", &b.expect("punch command")?, &endpoint(4, a.address()?))?;
        arrives(&a, &b, b"to the new port")
    });
    cases.must(
        "punch/private-target",
        "REG-10",
        "the beacon does not tell a stranger where a private node is",
        |server| {
            let (a, b) = (server.agent()?, server.agent()?);
            a.appear()?;
            b.appear()?;
            a.tell(&punch(a.node, b.node))?;
            server.silence(&a)?;
            server.silence(&b)
        },
    );
    cases.must("punch/trusted-target", "REG-10", "it tells a node that the private one trusts", |server| {
        let (a, b) = server.friends()?;
        a.appear()?;
        b.appear()?;
        a.tell(&punch(a.node, b.node))?;
        same("the requester's", &a.expect("punch command")?, &endpoint(4, b.address()?))?;
        same("the target's", &b.expect("punch command")?, &endpoint(4, a.address()?))
    });
    cases.must(
        "punch/for-another",
        "NAT-4",
        "a punch request in another's name, from another host, moves nobody",
        |server| {
            let (a, b) = two(server)?;
            let thief = server.agent()?;
            thief.tell(&punch(a.node, b.node))?;
            server.silence(&thief)?;
            server.silence(&b)?;
            arrives(&b, &a, b"still here")
        },
    );
    cases.should(
        "punch/flood",
        "NAT-4",
        "a flood of punch requests does not become a flood at the target",
        |server| {
            let (a, b) = two(server)?;
            for _ in 0..500 {
                a.tell(&punch(a.node, b.node))?;
            }
            server.control()?;
            match b.drain()?.len() {
                0..=100 => Ok(()),
                many => Err(format!("{many} commands of 500 requests reached it")),
            }
        },
    );
}

fn relaying(cases: &mut Cases<OfRendezvous>) {
    for (name, length) in
        [("empty", 0_usize), ("one-byte", 1), ("frame", 1200), ("fragmented", 4171), ("largest", 65_498)]
    {
        cases.must(
            &format!("relay/{name}"),
            "NAT-3",
            "05 becomes 06 with the sender's id and the frame, byte for byte",
            move |server| {
                let (a, b) = two(server)?;
                let frame: Vec<u8> = (0..length).map(|i| (i * 31 + i / 256) as u8).collect();
                arrives(&a, &b, &frame)
            },
        );
    }
    cases.must("relay/both-ways", "NAT-3", "the relay carries both directions", |server| {
        let (a, b) = two(server)?;
        for round in 0..20u8 {
            arrives(&a, &b, &[round; 500])?;
            arrives(&b, &a, &[round; 700])?;
        }
        Ok(())
    });
    cases.must(
        "relay/in-order",
        "NAT-3",
        "a burst of a hundred frames arrives, each once and as it was",
        |server| {
            let (a, b) = two(server)?;
            let frame = |number: u8| vec![number; 300 + usize::from(number)];
            for number in 0..100 {
                a.tell(&relay(a.node, b.node, &frame(number)))?;
            }
            let mut seen = Vec::new();
            for _ in 0..100 {
                seen.push(b.expect("delivery")?);
            }
            seen.sort();
            let mut expected: Vec<Vec<u8>> =
                (0..100).map(|number| delivery(a.node, &frame(number))).collect();
            expected.sort();
            if seen == expected { server.silence(&b) } else { Err("they are not what was sent".into()) }
        },
    );
    cases.must("relay/to-oneself", "NAT-4", "what a node relays to itself comes once", |server| {
        let (a, _) = two(server)?;
        arrives(&a, &a, b"echo")?;
        server.silence(&a)
    });
    for (name, id) in [("unknown", 600_000_000_u32), ("zero", 0), ("broadcast", u32::MAX)] {
        cases.must(
            &format!("relay/to-{name}"),
            "NAT-3",
            "for a node that is not there nothing is sent to anybody",
            move |server| {
                let (a, b) = two(server)?;
                for _ in 0..20 {
                    a.tell(&relay(a.node, id, b"to nobody"))?;
                }
                server.silence(&a)?;
                server.silence(&b)
            },
        );
    }
    cases.should(
        "relay/sender-not-there",
        "NAT-4",
        "a sender that has not registered is not relayed for",
        |server| {
            let (_, b) = two(server)?;
            let sender = unregistered(server)?;
            sender.tell(&relay(sender.node, b.node, b"who am I"))?;
            server.silence(&b)
        },
    );
    cases.should(
        "relay/in-anothers-name",
        "NAT-4",
        "it relays only for senders registered from that source",
        |server| {
            let (a, b) = two(server)?;
            let thief = server.agent()?;
            thief.appear()?;
            thief.tell(&relay(a.node, b.node, b"I am a"))?;
            server.silence(&b)?;
            arrives(&a, &b, b"I am")
        },
    );
    cases.must("relay/does-not-register", "NAT-3", "05 does not make a node known", |server| {
        let (a, _) = two(server)?;
        let silent = server.public()?;
        silent.tell(&relay(silent.node, a.node, b"hello"))?;
        a.tell(&relay(a.node, silent.node, b"back"))?;
        server.silence(&silent)
    });
    cases.must(
        "relay/beacon-message-inside",
        "NAT-3",
        "a beacon message in a relayed frame is delivered, not obeyed",
        |server| {
            let (a, b) = two(server)?;
            let victim = server.agent()?;
            for inner in
                [discover(victim.node), punch(victim.node, a.node), relay(b.node, victim.node, b"nested")]
            {
                arrives(&a, &b, &inner)?;
            }
            server.silence(&victim)?;
            server.silence(&a)
        },
    );
    cases.must(
        "relay/never-more-than-came",
        "NAT-4",
        "whatever is relayed, no more bytes leave than came",
        |server| {
            let (a, b) = two(server)?;
            let (mut sent, mut left) = (0, 0);
            for length in [0, 1, 10, 100, 1000, 1400, 8000] {
                for target in [b.node, a.node, 600_000_000] {
                    let message = relay(a.node, target, &vec![7; length]);
                    sent += message.len();
                    a.tell(&message)?;
                }
            }
            server.control()?;
            for agent in [&a, &b] {
                left += agent.drain()?.iter().map(Vec::len).sum::<usize>();
            }
            if left <= sent { Ok(()) } else { Err(format!("{left} bytes left for {sent}")) }
        },
    );
}

fn lies(cases: &mut Cases<OfRendezvous>) {
    cases.should(
        "lie/id-of-another",
        "NAT-4",
        "a node that speaks keeps its id: another host's 01 does not move it",
        |server| {
            let (a, b) = two(server)?;
            let thief = server.agent()?;
            thief.tell(&discover(b.node))?;
            server.control()?;
            thief.drain()?;
            arrives(&a, &b, b"for b only")?;
            server.silence(&thief)
        },
    );
    cases.should(
        "lie/id-of-an-unregistered-one",
        "NAT-4",
        "so does a node that this registry does not know",
        |server| {
            let (a, _) = two(server)?;
            let node = unregistered(server)?;
            node.appear()?;
            let mut thief = server.agent()?;
            thief.node = node.node;
            thief.tell(&discover(node.node))?;
            server.control()?;
            thief.drain()?;
            arrives(&a, &node, b"for the first")?;
            server.silence(&thief)
        },
    );
    cases.must("lie/gossip", "NAT-3", "gossip of who is no beacon draws no traffic", |server| {
        let (a, b) = two(server)?;
        let thief = server.agent()?;
        let absent = 600_000_001_u32;
        let list = [&[7, 0, 0, 0, 9, 0, 2][..], &absent.to_be_bytes(), &b.node.to_be_bytes()].concat();
        thief.tell(&list)?;
        a.tell(&relay(a.node, absent, b"where to"))?;
        arrives(&a, &b, b"for b")?;
        server.silence(&thief)
    });
    cases.must(
        "lie/relay-from-a-beacon",
        "NAT-3",
        "who is no beacon cannot relay for others as one",
        |server| {
            let (_, b) = two(server)?;
            let thief = server.stranger()?;
            thief.tell(&[7, 0, 0, 0, 9, 0, 0])?;
            thief.tell(&relay(600_000_002, b.node, b"from another beacon"))?;
            server.silence(&b)
        },
    );
    cases.must("lie/wake", "NAT-1", "nobody but the registry has nodes woken", |server| {
        let (a, b) = two(server)?;
        a.tell(&relay(a.node, b.node, &[0x0A, 1]))?;
        same("the delivery", &b.expect("delivery")?, &delivery(a.node, &[0x0A, 1]))?;
        server.silence(&b)
    });
}

fn floods(cases: &mut Cases<OfRendezvous>) {
    cases.should(
        "flood/addresses",
        "NAT-4",
        "a flood of 01 from one source is answered at a bounded rate, others are served",
        |server| {
            let agent = server.agent()?;
            let mut answers = 0;
            for _ in 0..20 {
                for _ in 0..100 {
                    agent.tell(&discover(agent.node))?;
                }
                server.control()?;
                answers += agent.drain()?.len();
            }
            match answers {
                0 => Err("none of 2000 was answered".into()),
                1..=1000 => Ok(()),
                many => Err(format!("{many} of 2000 were answered")),
            }
        },
    );
    cases.must(
        "flood/ids",
        "NAT-4",
        "one source cannot fill the table: others find their place, memory is bounded",
        |server| {
            let pid = server.program.pid()?;
            let agent = server.agent()?;
            server.control()?;
            let before = memory::resident(pid);
            for round in 0..200_u32 {
                for id in 0..100 {
                    agent.tell(&discover(700_000_000 + round * 100 + id))?;
                }
                if round % 10 == 0 {
                    server.control()?;
                    agent.drain()?;
                }
            }
            memory::grew_at_most(pid, before, 8 << 10)?;
            let (a, b) = two(server)?;
            arrives(&a, &b, b"room for us")?;
            agent.drain()?;
            for id in (0..20_000).step_by(100) {
                a.tell(&relay(a.node, 700_000_000 + id, b"have you a place?"))?;
            }
            server.control()?;
            match agent.drain()?.len() {
                0..=100 => Ok(()),
                many => Err(format!("of 200 of its ids {many} have a place")),
            }
        },
    );
    cases.must(
        "flood/relay",
        "NAT-4",
        "a flood of one sender neither stops others nor costs memory without bound",
        |server| {
            let pid = server.program.pid()?;
            let (a, b) = two(server)?;
            let (c, d) = two(server)?;
            let before = memory::resident(pid);
            let message = relay(a.node, b.node, &[9; 1300]);
            for round in 0..20 {
                for _ in 0..500 {
                    a.tell(&message)?;
                }
                // Behind the flood; the socket's own queue may overflow, so it is said until it is heard.
                let frame = [round; 64];
                let mut heard = None;
                for _ in 0..50 {
                    c.tell(&relay(c.node, d.node, &frame))?;
                    heard = d.hear(Duration::from_millis(100))?;
                    if heard.is_some() {
                        break;
                    }
                }
                d.drain()?;
                same("the delivery", &heard.ok_or("nothing came through")?, &delivery(c.node, &frame))?;
            }
            memory::grew_at_most(pid, before, 16 << 10)
        },
    );
    cases.graded(
        Level::Should,
        "flood/relay-rate",
        "NAT-4",
        "frames relayed for one sender are limited to some thousand a second",
        |server| {
            let (a, b) = two(server)?;
            let message = relay(a.node, b.node, b"x");
            let (mut sent, mut heard) = (0, 0);
            let began = std::time::Instant::now();
            while began.elapsed() < Duration::from_millis(600) {
                for _ in 0..50 {
                    a.tell(&message)?;
                }
                sent += 50;
                heard += b.drain()?.len();
            }
            server.control()?;
            heard += b.drain()?.len();
            // A bucket of one second may be full at first.
            let most = 4000 + (4000.0 * began.elapsed().as_secs_f64()) as usize + 100;
            if sent <= most {
                return Ok(Grade::Seen(format!("only {sent} could be sent")));
            }
            if heard <= most { Ok(Grade::Strict) } else { Err(format!("{heard} of {sent} came through")) }
        },
    );
    cases.must("flood/garbage", "NAT-1", "a flood of garbage of every length stops nobody", |server| {
        let agent = server.agent()?;
        for length in 0..1500_usize {
            let message: Vec<u8> = (0..length).map(|i| (i * 167 + length * 13) as u8).collect();
            agent.tell(&message)?;
            if length % 100 == 0 {
                server.control()?;
            }
        }
        server.control()
    });
}

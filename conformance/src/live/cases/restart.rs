//! Crashes and faults around a daemon: killed and started again, a rendezvous that is gone, silent or talks nonsense,
//! files that a crash or a person has damaged.

use super::super::bench::{Bench, ECHO};
use super::super::case::{Case, Cases, Setup};
use super::super::memory;
use super::super::peer::{Heard, PATIENCE, Peer};
use super::super::rendezvous::{Manner, TARGET};
use super::super::wire::{ACK, RST, SYN};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a daemon may take to find back to a registry that is there again.
const BACK: Duration = Duration::from_secs(12);

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("restart", Setup::Public);
    lives(&mut cases);
    registry(&mut cases);
    manners(&mut cases);
    files(&mut cases);
    cases.all
}

/// The key that the target's last registration named.
fn registered_key(bench: &Bench<'_>) -> Result<[u8; 32], String> {
    bench.rendezvous.record(TARGET).map(|record| record.key).ok_or("the target is not registered".into())
}

/// The target's new key for a peer, and that the peer is served under it.
fn meets_again(bench: &mut Bench<'_>, peer: &mut Peer) -> Result<(), String> {
    peer.target = bench.target.address(&bench.rendezvous)?;
    peer.fresh_key();
    peer.meet()?;
    let mut conn = peer.connect(45_000, ECHO, 77)?;
    peer.echo(&mut conn, b"after the restart")
}

fn lives(cases: &mut Cases) {
    cases.must("killed/same-identity", "TUN-9", "after kill -9 it registers with the same key", |bench| {
        let before = registered_key(bench)?;
        bench.restart()?;
        let after = registered_key(bench)?;
        if before == after { Ok(()) } else { Err("another key".into()) }
    });
    cases.must("killed/fresh-tunnel-key", "TUN-6", "after kill -9 it uses another X25519 key", |bench| {
        let mut peer = bench.friend()?;
        let before = peer.session()?.theirs;
        bench.restart()?;
        meets_again(bench, &mut peer)?;
        if peer.session()?.theirs == before { Err("the same key".into()) } else { Ok(()) }
    });
    cases.must(
        "killed/old-frames-open-nothing",
        "TUN-12",
        "frames sealed before a crash are not accepted after it, also when the exchange is replayed with them",
        |bench| {
            let mut peer = bench.friend()?;
            let exchange = peer.exchange_frame();
            let old = (0..10)
                .map(|n| {
                    let datagram = Bench::datagram(&peer, format!("frame {n}").as_bytes()).encode();
                    peer.seal(&datagram)
                })
                .collect::<Result<Vec<_>, _>>()?;
            bench.restart()?;
            let mut client = bench.datagram_client()?;
            peer.target = bench.target.address(&bench.rendezvous)?;
            let mut frames = vec![exchange];
            frames.extend(old);
            match bench.delivered(&mut peer, &frames, &mut client)?.as_slice() {
                [] => Ok(()),
                some => Err(format!("delivered {some:?}")),
            }
        },
    );
    cases.must(
        "killed/old-stream-ends",
        "STR-3",
        "a stream of before the crash is not continued: no data of it reaches a program, and a new one works",
        |bench| {
            let (_, _, mut peer, mut conn) = bench.pair(500)?;
            bench.restart()?;
            let mut client = bench.client()?;
            client.bind(conn.remote)?;
            peer.target = bench.target.address(&bench.rendezvous)?;
            peer.fresh_key();
            peer.meet()?;
            for _ in 0..3 {
                let segment = conn.packet(&peer, ACK).payload(*b"of the old stream");
                peer.send(&segment)?;
            }
            conn = peer.connect(44_000, conn.remote, 900)?;
            let id = client.accepted(conn.remote)?;
            peer.write(&mut conn, b"new")?;
            let read = client.read_bytes(id, 3)?;
            if read == b"new" { Ok(()) } else { Err(format!("the program read {read:?}")) }
        },
    );
    cases.should(
        "killed/old-stream-is-reset",
        "STR-3",
        "what belongs to no stream any more is answered with RST",
        |bench| {
            let (_, _, mut peer, conn) = bench.pair(500)?;
            bench.restart()?;
            peer.target = bench.target.address(&bench.rendezvous)?;
            peer.fresh_key();
            peer.meet()?;
            let segment = conn.packet(&peer, ACK).payload(*b"of the old stream");
            peer.send(&segment)?;
            peer.expect("RST", |p| conn.is_for(p) && p.has(RST)).map(drop)
        },
    );
    cases.must(
        "killed/dials",
        "TUN-11",
        "after a crash it can dial a peer that still has the old key",
        |bench| {
            let mut peer = bench.friend()?;
            bench.restart()?;
            peer.target = bench.target.address(&bench.rendezvous)?;
            let mut client = bench.client()?;
            client.dial(peer.node, 80)?;
            let limit = Duration::from_secs(12);
            let syn = peer.expect_within(limit, "SYN", |p| p.is(SYN) && p.destination_port == 80)?;
            let answer =
                peer.segment(80, syn.source_port, SYN | ACK).numbers(5, syn.sequence.wrapping_add(1), 512);
            peer.send(&answer)?;
            client.dialled(limit).map(drop)
        },
    );
    cases.must(
        "killed/five-times",
        "TUN-12",
        "five crashes in a row, and the same peer is served after each",
        |bench| {
            let mut peer = bench.friend()?;
            for _ in 0..5 {
                bench.restart()?;
                meets_again(bench, &mut peer)?;
            }
            Ok(())
        },
    );
    cases.must(
        "killed/while-it-starts",
        "TUN-9",
        "killed while it starts, it starts again with the same key",
        |bench| {
            let before = registered_key(bench)?;
            bench.kill();
            for delay in [0, 5, 20, 60, 150] {
                bench.target.spawn()?;
                bench.pass(Duration::from_millis(delay))?;
                bench.kill();
            }
            bench.restart()?;
            if registered_key(bench)? == before { Ok(()) } else { Err("another key".into()) }
        },
    );
    cases.should(
        "second-daemon",
        "TUN-9",
        "a second daemon with the same identity ends, and the first goes on",
        |bench| {
            let ended = bench.target.second(bench.session);
            bench.control()?;
            match ended? {
                (0, words) => Err(format!("it ended with status 0: {words}")),
                _ => Ok(()),
            }
        },
    );
    cases.must(
        "asked-to-end",
        "TUN-9",
        "asked to end it ends soon with status 0, and starts again as the same node",
        |bench| {
            let before = registered_key(bench)?;
            let status = bench.target.end(bench.session);
            bench.restart()?;
            match status? {
                Some(0) => {}
                Some(status) => return Err(format!("it ended with status {status}")),
                None => return Err("a signal had to end it".into()),
            }
            if registered_key(bench)? == before { Ok(()) } else { Err("another key".into()) }
        },
    );
}

/// Whether a new peer can meet within the time: its key has to be asked for.
fn newcomer(bench: &mut Bench<'_>, limit: Duration) -> Result<(), String> {
    let end = Instant::now() + limit;
    let mut peer = bench.peer()?;
    loop {
        match peer.meet() {
            Ok(()) => return peer.ping(1).map(drop),
            Err(why) if Instant::now() >= end => return Err(why),
            Err(_) => peer.fresh_key(),
        }
    }
}

fn registry(cases: &mut Cases) {
    cases.must(
        "registry-gone/known-peers",
        "REG-9",
        "while the registry refuses connections peers with a key are served, and it dials again at a bounded rate",
        |bench| {
            let mut peer = bench.friend()?;
            let mut conn = peer.connect(40_000, ECHO, 5)?;
            bench.rendezvous.cut(true);
            let before = bench.rendezvous.dials();
            let began = Instant::now();
            let served = (0..10u8).try_for_each(|round| {
                peer.echo(&mut conn, &[round; 100])?;
                bench.pass(Duration::from_millis(500))
            });
            let dials = bench.rendezvous.dials() - before;
            bench.rendezvous.accept_again();
            served?;
            let most = 8 + 2 * began.elapsed().as_secs() as usize;
            if dials > most {
                return Err(format!("{dials} connections in {:.1} s", began.elapsed().as_secs_f64()));
            }
            newcomer(bench, BACK)
        },
    );
    cases.must(
        "registry-gone/comes-back",
        "REG-9",
        "when the registry is back, newcomers are looked up again",
        |bench| {
            bench.rendezvous.cut(true);
            bench.pass(Duration::from_secs(1))?;
            bench.rendezvous.accept_again();
            newcomer(bench, BACK)
        },
    );
    cases.must(
        "registry-gone/cut-again-and-again",
        "REG-9",
        "a connection that is cut ten times is made again each time",
        |bench| {
            for _ in 0..10 {
                bench.rendezvous.cut(false);
                bench.pass(Duration::from_millis(50))?;
            }
            newcomer(bench, BACK)
        },
    );
    cases.must(
        "registry-gone/says-itself-again",
        "REG-9",
        "to a registry that was started anew and has forgotten it, it registers again and says that it is public",
        |bench| {
            let since = bench.rendezvous.mark();
            let forgotten = format!("node {TARGET}: node not found");
            bench.rendezvous.script("heartbeat", Some(json!({ "type": "error", "error": forgotten })));
            bench.rendezvous.cut(false);
            let registered =
                bench.rendezvous.asked(since, BACK / 2, "to register", |q| q["type"] == "register");
            bench.rendezvous.script("heartbeat", None);
            registered?;
            let public = |q: &Value| q["type"] == "set_visibility" && q["public"] == true;
            bench.rendezvous.asked(since, BACK / 2, "to show it to everybody", public).map(drop)
        },
    );
    cases.must(
        "registry-gone/at-the-start",
        "REG-9",
        "a registry that is there three seconds after the daemon is registered at, and the daemon serves",
        |bench| {
            bench.rendezvous.cut(true);
            bench.kill();
            let since = bench.rendezvous.mark();
            let started = bench.target.spawn();
            let waited = bench.pass(Duration::from_secs(3));
            bench.rendezvous.accept_again();
            let registered = started.and(waited).and_then(|()| bench.registered(since));
            if let Err(why) = registered {
                bench.restart()?;
                return Err(why);
            }
            bench.seen()?;
            newcomer(bench, PATIENCE)
        },
    );
    cases.must(
        "registry-says-no",
        "REG-3",
        "while the registry refuses every registration it asks again at a bounded rate, and is there when it may",
        |bench| {
            let refusal = json!({ "type": "error", "error": "request failed" });
            bench.rendezvous.script("register", Some(refusal));
            let (since, began) = (bench.rendezvous.mark(), Instant::now());
            bench.kill();
            bench.target.spawn()?;
            bench.pass(Duration::from_secs(5))?;
            let count = bench.rendezvous.count(since, "register");
            let most = 2 + 2 * began.elapsed().as_secs() as usize;
            let bounded = match (1..=most).contains(&count) {
                true => Ok(()),
                false => Err(format!("{count} registrations in {:.1} s", began.elapsed().as_secs_f64())),
            };
            bench.rendezvous.script("register", None);
            let since = bench.rendezvous.mark();
            if !bench.target.is_running() {
                // It may take the refusal for an error of the operator and end.
                return bench.restart().and(bounded);
            }
            bench.registered(since)?;
            bench.seen()?;
            bench.until(PATIENCE, "a local socket", || bench.client().ok())?;
            bounded
        },
    );
    cases.must(
        "beacon-silent-at-the-start",
        "NAT-5",
        "with a silent beacon it starts, registers and serves",
        |bench| {
            bench.rendezvous.mute_beacon(true);
            bench.kill();
            let since = bench.rendezvous.mark();
            let started = bench.target.spawn();
            let registers = |q: &Value| q["type"] == "register";
            let asked = started.and_then(|()| bench.rendezvous.asked(since, BACK, "to register", registers));
            let result = match asked {
                Ok(_) => bench.restart().and_then(|()| newcomer(bench, PATIENCE)),
                Err(why) => Err(why),
            };
            bench.rendezvous.mute_beacon(false);
            result
        },
    );
    cases.should("idle-is-quiet", "REG-9", "an idle daemon asks its registry little", |bench| {
        bench.control()?;
        let since = bench.rendezvous.mark();
        bench.pass(Duration::from_secs(4))?;
        match bench.rendezvous.mark() - since {
            0..=12 => Ok(()),
            many => Err(format!("{many} questions in 4 s")),
        }
    });
    cases.must(
        "moved",
        "NAT-5",
        "started on another port it registers that one, and peers reach it there",
        |bench| {
            let before = bench.target.address(&bench.rendezvous)?;
            let mut peer = bench.friend()?;
            bench.restart()?;
            let after = bench.target.address(&bench.rendezvous)?;
            let record = bench.rendezvous.record(TARGET).ok_or("not registered")?;
            if record.address.rsplit(':').next() != Some(&after.port().to_string()) {
                return Err(format!("registered {}, seen at {after}, before {before}", record.address));
            }
            meets_again(bench, &mut peer)
        },
    );
}

fn manners(cases: &mut Cases) {
    for (name, manner, text) in [
        ("bytes-of-no-frame", Manner::Raw(vec![0xA5; 300]), "answers with bytes that are no frame"),
        ("no-json", Manner::Body(b"this is no JSON".to_vec()), "answers with what is no JSON"),
        ("a-list", Manner::Body(b"[1,2,3]".to_vec()), "answers with JSON that is no object"),
        ("empty", Manner::Body(Vec::new()), "answers with an empty body"),
        ("null", Manner::Body(b"null".to_vec()), "answers with null"),
        ("empty-object", Manner::Body(b"{}".to_vec()), "answers with an object that says nothing"),
        (
            "deep",
            Manner::Body([&b"{\"a\":"[..], &[b'['; 100_000]].concat()),
            "answers with JSON nested without end",
        ),
        (
            "other-types",
            Manner::Body(
                br#"{"type":"lookup_ok","node_id":"x","public_key":7,"networks":{},"public":[]}"#.to_vec(),
            ),
            "answers with members of other types",
        ),
        (
            "key-too-short",
            Manner::Body(br#"{"type":"lookup_ok","node_id":7,"public_key":"AAAA","public":true}"#.to_vec()),
            "answers with a key that is none",
        ),
        ("cut", Manner::Cut, "closes the connection inside an answer"),
        ("hung-up", Manner::HangUp, "closes the connection instead of an answer"),
        ("endless", Manner::Endless, "announces two gigabytes and sends without end"),
        ("twice", Manner::Twice, "gives every answer twice"),
    ] {
        cases.must(
            &format!("registry-nonsense/{name}"),
            "REG-3",
            &format!(
                "a registry that {text} costs bounded memory, disturbs no tunnel, and is asked again later"
            ),
            move |bench| {
                bench.control()?;
                let pid = bench.target.pid()?;
                let before = memory::resident(pid);
                bench.rendezvous.answer_lookups(Some(manner.clone()));
                let mut newcomers = Vec::new();
                let told = (0..3).try_for_each(|_| {
                    let peer = bench.peer()?;
                    peer.send_frame(&peer.exchange_frame())?;
                    newcomers.push(peer);
                    bench.pass(Duration::from_millis(150))
                });
                let served = told.and_then(|()| bench.control_standing());
                bench.rendezvous.answer_lookups(None);
                served?;
                memory::grew_at_most(pid, before, 24 << 10)?;
                newcomer(bench, BACK)
            },
        );
    }
    cases.must("registry-nonsense/slow", "REG-3", "an answer that comes byte by byte is taken", |bench| {
        bench.rendezvous.answer_lookups(Some(Manner::Slow));
        let met = newcomer(bench, BACK);
        bench.rendezvous.answer_lookups(None);
        met
    });
    cases.must("registry-nonsense/long", "REG-3", "an answer longer than 65536 bytes is taken", |bench| {
        bench.rendezvous.answer_lookups(Some(Manner::Long));
        let met = newcomer(bench, BACK);
        bench.rendezvous.answer_lookups(None);
        met
    });
    cases.must(
        "registry-nonsense/half",
        "REG-3",
        "an answer of which the half never comes does not stop it for good",
        |bench| {
            bench.rendezvous.answer_lookups(Some(Manner::Half));
            let peer = bench.peer()?;
            let told = peer.send_frame(&peer.exchange_frame());
            let began = Instant::now();
            let served = (|| {
                told?;
                while began.elapsed() < Duration::from_secs(2) {
                    bench.control_standing()?;
                    bench.pass(Duration::from_millis(300))?;
                }
                Ok(())
            })();
            bench.rendezvous.answer_lookups(None);
            served.and_then(|()| newcomer(bench, Duration::from_secs(30)))
        },
    );
    cases.must(
        "registry-nonsense/another-key",
        "TUN-9",
        "a peer whose key at the registry is another's is not met",
        |bench| {
            let mut peer = bench.peer()?;
            bench.rendezvous.change(peer.node, |record| record.key = [9; 32]);
            peer.send_frame(&peer.exchange_frame())?;
            peer.send_frame(&peer.exchange_frame())?;
            bench.pass(Duration::from_millis(300))?;
            bench.control_standing()?;
            let opened = peer.drain()?.into_iter().any(|heard| matches!(heard, Heard::Packet { .. }));
            if opened { Err("it speaks to it".into()) } else { Ok(()) }
        },
    );
}

/// How a file is damaged.
type Damage = (&'static str, fn(&[u8]) -> Vec<u8>);

const DAMAGES: [Damage; 6] = [
    ("empty", |_| Vec::new()),
    ("cut", |bytes| bytes[..bytes.len() / 2].to_vec()),
    ("garbage", |_| vec![0xA5; 500]),
    ("text", |_| b"my notes, do not delete\n".to_vec()),
    ("a-list", |_| b"[]".to_vec()),
    ("nul", |bytes| vec![0; bytes.len()]),
];

/// Starts the target with a damaged file: it must end, name the file and leave it as it is. Then all is put back.
fn damaged(bench: &mut Bench<'_>, path: &PathBuf, bytes: &[u8]) -> Result<(), String> {
    let words = |e: std::io::Error| format!("{}: {e}", path.display());
    bench.kill();
    let before = std::fs::read(path).ok();
    std::fs::write(path, bytes).map_err(words)?;
    let ended = bench.target.start_in_vain(bench.session);
    bench.kill();
    let after = std::fs::read(path).map_err(words)?;
    match before {
        Some(before) => std::fs::write(path, before).map_err(words)?,
        None => std::fs::remove_file(path).map_err(words)?,
    }
    let (status, said) = ended
        .map_err(|why| if after == bytes { why } else { format!("{why}; and the file was replaced") })
        .or_else(|why| bench.restart().and(Err(why)))?;
    bench.restart()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if after != bytes {
        Err("the damaged file was replaced".into())
    } else if status == 0 || !said.contains(&*name) {
        Err(format!("status {status}, and the words do not name {name}: {said}"))
    } else {
        Ok(())
    }
}

fn files(cases: &mut Cases) {
    for (name, damage) in DAMAGES {
        cases.must(
            &format!("file/identity-{name}"),
            "TUN-9",
            "with a damaged identity it does not start, names the file, leaves it as it is, and is itself again with the good one",
            move |bench| {
                let path = bench.target.home().join(".pilot/identity.json");
                let good = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
                let key = registered_key(bench)?;
                damaged(bench, &path, &damage(&good))?;
                if registered_key(bench)? == key { Ok(()) } else { Err("it came back with another key".into()) }
            },
        );
        cases.should(
            &format!("file/trust-{name}"),
            "TRU-16",
            "with damaged trust lists it does not start, names the file and leaves it as it is",
            move |bench| {
                let path = bench.target.home().join(".pilot/trust.json");
                damaged(bench, &path, &damage(b"{\"trusted\":[]}"))
            },
        );
    }
    cases.must(
        "file/identity-of-two-keys",
        "TUN-9",
        "an identity whose public key is not that of its private key is refused",
        |bench| {
            let path = bench.target.home().join(".pilot/identity.json");
            let words = |e: String| format!("{}: {e}", path.display());
            let good = std::fs::read(&path).map_err(|e| words(e.to_string()))?;
            let mut json: Value = serde_json::from_slice(&good).map_err(|e| words(e.to_string()))?;
            json["public_key"] = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=".into();
            damaged(bench, &path, json.to_string().as_bytes())
        },
    );
}

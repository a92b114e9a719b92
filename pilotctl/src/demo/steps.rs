//! The walk: what happens in which order, and what is checked after each step.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use pilot_proto::Addr;
use pilot_roles::ipc::{HandshakeRequest, Request};
use pilot_roles::json::Value;
use pilot_roles::services::data_exchange::{Answer, Frame, kind};
use sha2::{Digest, Sha256};

use super::world::World;
use crate::children::tied;
use crate::format::{duration, flag, list, number, quoted, size, text};
use crate::ipc::Daemon;
use crate::ops::{self, Subscription};

/// How long any one thing may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of the file sent.
const FILE: usize = 10 << 20;
/// Bytes of the benchmark.
const BENCH: u64 = 8 << 20;
/// Probes of the ping.
const PROBES: i64 = 5;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// One agent: its daemon's socket, and who it is.
#[derive(Debug)]
struct Agent {
    name: &'static str,
    socket: PathBuf,
    addr: Addr,
}

impl Agent {
    fn connect(&self) -> Outcome<Daemon> {
        Ok(Daemon::connect(&self.socket)?)
    }

    fn info(&self) -> Outcome<Value> {
        Ok(self.connect()?.object(&Request::Info)?)
    }
}

/// Walks all steps. `done` hears of each when it is over; the error names the step that failed.
pub(super) fn walk(
    world: &mut World,
    daemons: &[PathBuf],
    mut done: impl FnMut(&str, &str, Duration),
) -> Result<(), (&'static str, String)> {
    let mut step = |name: &'static str, act: &mut dyn FnMut() -> Outcome<String>| {
        let start = Instant::now();
        match act() {
            Ok(detail) => {
                done(name, &detail, start.elapsed());
                Ok(())
            }
            Err(error) => Err((name, error.to_string())),
        }
    };
    let world = &*world;
    let mut places = (String::new(), String::new());
    let mut agents = Vec::new();
    step("registry and beacon", &mut || {
        places = start_rendezvous(world)?;
        Ok(format!("registry {}, beacon {}", places.0, places.1))
    })?;
    step("two agents register", &mut || {
        // One that is given is everybody's.
        let mut programs = daemons.iter().chain(daemons.last());
        for name in ["alice", "bob"] {
            start_agent(world, name, &places, programs.next())?;
            agents.push(wait_agent(world, name)?);
        }
        let names: Vec<String> =
            agents.iter().map(|agent| format!("{} is {}", agent.name, agent.addr)).collect();
        Ok(names.join(", "))
    })?;
    let [alice, bob] = agents.as_slice() else { return Err(("two agents register", "not two".into())) };
    step("handshake both ways", &mut || {
        for (from, to) in [(alice, bob), (bob, alice)] {
            let justification = format!("{} would like to talk", from.name).into();
            let request = HandshakeRequest::Request { node: to.addr.node, justification };
            from.connect()?.object(&Request::Handshake(request))?;
        }
        Ok("each asked the other, in signed messages".into())
    })?;
    step("mutual trust", &mut || trust(alice, bob))?;
    step("find bob by name", &mut || {
        let found = alice.connect()?.object(&Request::ResolveHostname { name: bob.name.into() })?;
        if text(&found, "address") != bob.addr.to_string() {
            return Err(format!("the registry says {}", text(&found, "address")).into());
        }
        Ok(format!("{} is at {}; only who is trusted may ask", bob.name, bob.addr))
    })?;
    step("ping", &mut || ping(alice, bob))?;
    step("message", &mut || message(world, alice, bob))?;
    step("file of 10 MB", &mut || file(world, alice, bob))?;
    step("subscribe and publish", &mut || events(alice, bob))?;
    step("throughput", &mut || throughput(alice, bob))?;
    step("what protects it", &mut || protection(alice, bob))?;
    step("clean stop", &mut || match world.end().as_slice() {
        [] => Ok("both daemons and the registry ended by themselves".into()),
        complaints => Err(complaints.join(", ").into()),
    })
}

/// Starts registry and beacon on free ports; returns where they are.
fn start_rendezvous(world: &World) -> Outcome<(String, String)> {
    let arguments =
        ["--registry-addr", "127.0.0.1:0", "--beacon-addr", "127.0.0.1:0", "--log-format", "json"];
    world.spawn("rendezvous", tied("_rendezvous-run")?, &arguments.map(String::from))?;
    let places = world.wait(PATIENCE, "the start of the registry", || {
        let log = world.log("rendezvous");
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let places = |line: Value| Some((line["registry"].as_str()?.into(), line["beacon"].as_str()?.into()));
        lines.filter_map(places).next()
    })?;
    Ok(places)
}

fn start_agent(
    world: &World,
    name: &'static str,
    (registry, beacon): &(String, String),
    program: Option<&PathBuf>,
) -> Outcome<()> {
    let home = world.home(name);
    std::fs::create_dir_all(home.join(".pilot"))?;
    let path = |file: &str| home.join(file).to_string_lossy().into_owned();
    let email = format!("{name}@demo.example");
    let (socket, identity) = (path("pilot.sock"), path(".pilot/identity.json"));
    let arguments = [
        ["--registry", registry],
        ["--beacon", beacon],
        ["--listen", "127.0.0.1:0"],
        ["--socket", &socket],
        ["--identity", &identity],
        ["--email", &email],
        ["--hostname", name],
    ];
    let arguments: Vec<String> = arguments.into_iter().flatten().map(String::from).collect();
    match program {
        Some(program) => world.spawn(name, Command::new(program), &arguments)?,
        None => world.spawn(name, tied("_daemon-run")?, &arguments)?,
    }
    Ok(())
}

/// Waits until the daemon answers, which it does once it is registered.
fn wait_agent(world: &World, name: &'static str) -> Outcome<Agent> {
    let socket = world.home(name).join("pilot.sock");
    let addr = world.wait(PATIENCE, &format!("the registration of {name}"), || {
        let info = Daemon::connect(&socket).ok()?.object(&Request::Info).ok()?;
        text(&info, "address").parse::<Addr>().ok().filter(|addr| addr.node != 0)
    })?;
    Ok(Agent { name, socket, addr })
}

fn trust(alice: &Agent, bob: &Agent) -> Outcome<String> {
    for (from, to) in [(alice, bob), (bob, alice)] {
        let timeout_ms = u32::try_from(PATIENCE.as_millis())?;
        let wait = HandshakeRequest::Wait { node: to.addr.node, timeout_ms };
        let answer = from.connect()?.object(&Request::Handshake(wait))?;
        if !flag(&answer, "trusted") {
            return Err(format!("{} does not trust {}", from.name, to.name).into());
        }
    }
    Ok("asked for by both, so nobody had to approve".into())
}

fn ping(alice: &Agent, bob: &Agent) -> Outcome<String> {
    let mut daemon = alice.connect()?;
    let mut times = Vec::new();
    for probe in 0..PROBES {
        let start = Instant::now();
        ops::ping(&mut daemon, bob.addr, probe, start + PATIENCE)?;
        times.push(start.elapsed());
    }
    let first = times.first().copied().unwrap_or_default();
    let best = times.iter().min().copied().unwrap_or_default();
    Ok(format!(
        "first {} with the tunnel's key exchange, then {} for connect and echo",
        short(first),
        short(best)
    ))
}

/// A duration people can read at a glance.
fn short(time: Duration) -> String {
    duration(Duration::from_micros(u64::try_from(time.as_micros() / 10 * 10).unwrap_or(u64::MAX)))
}

fn message(world: &World, alice: &Agent, bob: &Agent) -> Outcome<String> {
    let words = "hello bob, this is alice";
    let answer = send(alice, bob, &Frame::message(kind::TEXT, words.as_bytes())?)?;
    let inbox = world.home(bob.name).join(".pilot/inbox");
    let stored = single_file(&inbox)?;
    let stored: Value = serde_json::from_slice(&std::fs::read(stored)?)?;
    if text(&stored, "data") != words || text(&stored, "from") != alice.addr.to_string() {
        return Err(format!("bob's inbox holds {stored}").into());
    }
    Ok(format!("{} in bob's inbox; bob answered {}", quoted(words), quoted(&answer)))
}

fn file(world: &World, alice: &Agent, bob: &Agent) -> Outcome<String> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut content = Vec::with_capacity(FILE);
    while content.len() < FILE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    let start = Instant::now();
    send(alice, bob, &Frame::file(b"demo.bin", &content)?)?;
    let rate = rate(FILE as u64, start.elapsed());
    let received = std::fs::read(single_file(&world.home(bob.name).join(".pilot/received"))?)?;
    let (sent, arrived) = (Sha256::digest(&content), Sha256::digest(&received));
    if sent != arrived {
        return Err(format!("{} arrived, and not the same", size(received.len() as u64)).into());
    }
    let start: String = arrived.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("stored by bob, SHA-256 {start}… on both sides, {rate}"))
}

/// Sends one frame; only the receiver's acknowledgement counts.
fn send(from: &Agent, to: &Agent, frame: &Frame) -> Outcome<String> {
    match ops::exchange(&mut from.connect()?, to.addr, frame, PATIENCE, |_| {})? {
        answer @ Answer::Ack { .. } => Ok(answer.to_string()),
        other => Err(other.to_string().into()),
    }
}

/// The only file of a directory.
fn single_file(directory: &std::path::Path) -> Outcome<PathBuf> {
    let files: Vec<PathBuf> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    match files.as_slice() {
        [file] => Ok(file.clone()),
        files => Err(format!("{} files in {} instead of one", files.len(), directory.display()).into()),
    }
}

fn events(alice: &Agent, bob: &Agent) -> Outcome<String> {
    let (topic, payload) = (b"weather", b"sunny");
    let (mut subscriber, mut publisher) = (alice.connect()?, alice.connect()?);
    let deadline = Instant::now() + PATIENCE;
    let mut subscription = Subscription::open(&mut subscriber, bob.addr, topic, deadline)?;
    // A subscription is not confirmed, so the first event may come too early for it.
    let event = loop {
        ops::publish(&mut publisher, bob.addr, topic, payload, PATIENCE)?;
        match subscription.next(&mut subscriber, Some(Instant::now() + Duration::from_millis(500))) {
            Ok(event) => break event,
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            Err(_) => {}
        }
    };
    subscription.close(&mut subscriber);
    if event.topic != topic || event.payload != payload {
        return Err(format!("{event:?} arrived").into());
    }
    Ok("\"sunny\" on topic \"weather\", through bob's event stream".into())
}

fn throughput(alice: &Agent, bob: &Agent) -> Outcome<String> {
    let mut daemon = alice.connect()?;
    let measured = ops::bench(&mut daemon, bob.addr, BENCH, Instant::now() + PATIENCE * 3, |_| {})
        .map_err(|(_, error)| error)?;
    Ok(format!("{} there and back, every byte compared, {}", size(BENCH), rate(BENCH, measured.total_time)))
}

fn rate(bytes: u64, time: Duration) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let megabytes = bytes as f64 / f64::from(1u32 << 20);
    format!("{:.1} MB/s", megabytes / time.as_secs_f64().max(1e-9))
}

fn protection(alice: &Agent, bob: &Agent) -> Outcome<String> {
    for (agent, peer) in [(alice, bob), (bob, alice)] {
        let info = agent.info()?;
        let peers = list(&info, "peer_list");
        let Some(entry) = peers.iter().find(|entry| number(entry, "node_id") == u64::from(peer.addr.node))
        else {
            return Err(format!("{} has no tunnel to {}", agent.name, peer.name).into());
        };
        if !(flag(entry, "encrypted") && flag(entry, "authenticated")) {
            return Err(format!("the tunnel of {} is {entry}", agent.name).into());
        }
    }
    Ok("AES-256-GCM with X25519 keys, each side's Ed25519 signature checked by the other".into())
}

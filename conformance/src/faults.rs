//! Faults with real programs: restarts, a cut path, many dials, first contact, crashes in the middle of work, idle cost.

use crate::dials::at_once;
use crate::isolate;
use crate::node::{Node, World};
use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use crate::report::{Report, Verdict};
use crate::steps::{deliver, lists, noise, received, trust, trusts};
use crate::topology::{Place, Routed, counter};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A peer that restarted, or a path that died or came back: traffic again within this.
const RECOVERY: Duration = Duration::from_secs(2);
/// A first request is visible at the target within this.
const VISIBLE: Duration = Duration::from_secs(1);
/// After the approval the asker can use the target within this.
const USABLE: Duration = Duration::from_secs(3);
/// After a crash everything works again within this.
const CRASH: Duration = Duration::from_secs(10);
/// How long two agents are left alone, and what each may use of a processor meanwhile.
const IDLE: Duration = Duration::from_secs(60);
const IDLE_CPU_SECONDS: f64 = 0.1;
/// Dials at once: as many as 1.18.0 and we let in of one node, and more.
const DIALS: [usize; 2] = [64, 200];
/// How long the last of them may take to be open beyond its turn.
const DIAL_SLACK: Duration = Duration::from_secs(5);
/// After so long a target lets in as many at once as at first.
const REFILL: Duration = Duration::from_secs(8);
/// How much longer than allowed a recovery is watched, to report what it did take.
const PATIENCE: Duration = Duration::from_secs(30);
/// What two releases do not do in time, whoever the other side is. 1.18.0 goes on answering over a dead path until it
/// has been silent for eight seconds or more, and looks for the direct path again every fifteen; 1.7.2 never leaves the
/// relay. Traffic flows over the relay meanwhile.
const SLOW: (Flavour, Duration) = (Flavour::Newest, Duration::from_secs(20));
const NEVER_BACK: Flavour = Flavour::April;
/// Pings without an error after a change of path, that show it does not flap.
const STEADY: u32 = 10;
/// Large enough that a crash finds the transfer under way.
const LARGE_FILE: usize = 12 << 20;
/// Datagrams sent that show a transfer is under way; the kernel counts up to 64 KiB as one.
const UNDER_WAY: u64 = 20;

const PAIRS: [(Flavour, Flavour); 3] =
    [(Flavour::Ours, Flavour::Ours), (Flavour::Ours, Flavour::April), (Flavour::Ours, Flavour::Newest)];

/// Runs all faults, or the one called `only`.
pub(crate) fn run(
    session: &Session,
    catalogue: &Catalogue,
    only: Option<&str>,
    reports: &mut Vec<Report>,
) -> Result<(), String> {
    let known = ["restart", "path", "dials", "contact", "crash", "idle"];
    if let Some(only) = only.filter(|only| !known.contains(only)) {
        return Err(format!("no fault is called {only:?}: expected one of {known:?}"));
    }
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let routed = if isolate::is_isolated() { Some(Routed::build(session)?) } else { None };
    let mut bench = Bench { session, catalogue, routed, report: Report::begin(reports, "faults; seconds") };
    if wanted("contact") {
        bench.part("ours-ours", "contact", Bench::contact)?;
    }
    for (a, b) in PAIRS {
        let row = format!("{}-{}", a.name(), b.name());
        if wanted("restart") {
            bench.part(&row, "restart", |bench, row| bench.restart(row, a, b))?;
        }
        if wanted("path") {
            bench.part(&row, "path", |bench, row| bench.path(row, a, b))?;
        }
        if wanted("dials") {
            bench.part(&row, "dials", |bench, row| bench.dials(row, a, b))?;
        }
    }
    if wanted("crash") {
        for victim in [Victim::Sender, Victim::Receiver, Victim::Rendezvous] {
            bench.part("ours-ours", &format!("{victim:?}"), |bench, row| bench.crash(row, victim))?;
        }
    }
    if wanted("idle") {
        bench.part("ours-ours", "idle", Bench::idle)?;
    }
    Ok(())
}

/// What is killed in the middle of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Sender,
    Receiver,
    Rendezvous,
}

/// The stage of all faults.
struct Bench<'s, 'r> {
    session: &'s Session,
    catalogue: &'s Catalogue,
    /// Absent where there are no namespaces.
    routed: Option<Routed>,
    report: &'r mut Report,
}

impl<'s, 'r> Bench<'s, 'r> {
    /// Runs one part; what stops it is a failed cell of its row.
    fn part(
        &mut self,
        row: &str,
        name: &str,
        part: impl FnOnce(&mut Bench<'s, 'r>, &str) -> Result<(), String>,
    ) -> Result<(), String> {
        let outcome = part(self, row);
        self.session.check()?;
        if let Err(why) = outcome {
            self.report.add(row, &format!("{name} stopped"), 0.0, Verdict::Fail(why));
        }
        Ok(())
    }

    /// A rendezvous and the places of two agents: behind the router where there is one.
    fn world(&self, name: &str) -> Result<(World<'s>, Place, Place), String> {
        let (hub, a, b) = match &self.routed {
            Some(routed) => (routed.router, routed.a, routed.b),
            None => (Place::LOOPBACK, Place::LOOPBACK, Place::LOOPBACK),
        };
        Ok((World::start(self.session, self.catalogue, hub, name)?, a, b))
    }

    /// Measures one thing against its limit.
    fn measure(
        &mut self,
        row: &str,
        column: &str,
        limit: Duration,
        what: impl FnOnce() -> Result<String, String>,
    ) -> Result<(), String> {
        let started = Instant::now();
        let outcome = what();
        let elapsed = started.elapsed();
        self.session.check()?;
        let allowed = limit.as_secs_f64();
        let verdict = match outcome {
            Ok(note) if elapsed <= limit => Verdict::Pass(note),
            Ok(note) => {
                Verdict::Fail(format!("{:.2} s, allowed {allowed:.1} s {note}", elapsed.as_secs_f64()))
            }
            Err(why) => Verdict::Fail(why),
        };
        self.report.add(row, column, elapsed.as_secs_f64(), verdict);
        Ok(())
    }

    /// Either daemon is restarted; the other one's next message arrives.
    fn restart(&mut self, row: &str, a: Flavour, b: Flavour) -> Result<(), String> {
        let (world, place_a, place_b) = self.world(&format!("restart-{row}"))?;
        let mut a = Node::start(&world, a, place_a, "a")?;
        let mut b = Node::start(&world, b, place_b, "b")?;
        friends(&a, &b)?;
        b.terminate();
        b.run()?;
        self.measure(row, "b restarts", RECOVERY, || deliver(&a, &b, "after b").map(|()| String::new()))?;
        self.measure(row, "b answers", RECOVERY, || deliver(&b, &a, "from b").map(|()| String::new()))?;
        a.terminate();
        a.run()?;
        self.measure(row, "a restarts", RECOVERY, || deliver(&b, &a, "after a").map(|()| String::new()))?;
        self.measure(row, "a answers", RECOVERY, || deliver(&a, &b, "from a").map(|()| String::new()))
    }

    /// The direct path dies; the relay takes over; the path comes back and is used again; neither change flaps.
    fn path(&mut self, row: &str, a: Flavour, b: Flavour) -> Result<(), String> {
        if self.routed.is_none() {
            let why = "needs namespaces (unshare and ip)";
            self.report.add(row, "path", 0.0, Verdict::Skipped(why.into()));
            return Ok(());
        }
        let session = self.session;
        let (world, place_a, place_b) = self.world(&format!("path-{row}"))?;
        let a = Node::start(&world, a, place_a, "a")?;
        let b = Node::start(&world, b, place_b, "b")?;
        friends(&a, &b)?;
        self.measure(row, "direct", RECOVERY, || until_direct(&a, &b))?;
        Routed::cut(session)?;
        let relayed = self.over_the_relay(row, &a, &b);
        Routed::restore(session)?;
        relayed?;
        if b.flavour == NEVER_BACK {
            self.measure(row, "restored", RECOVERY, || {
                until_ping(&a, &b).map(|_| "stays on the relay".into())
            })?;
        } else {
            self.measure(row, "restored", move_within(&b), || until_direct(&a, &b))?;
        }
        self.measure(row, "path steady", PATIENCE, || steady(&a, &b))
    }

    fn over_the_relay(&mut self, row: &str, a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
        self.measure(row, "cut", move_within(b), || until_ping(a, b))?;
        self.measure(row, "cut, back", RECOVERY, || until_ping(b, a))?;
        self.measure(row, "relay steady", PATIENCE, || steady(a, b))
    }

    /// Many dials of one agent at once: all must come to be open, as fast as the target lets them in.
    fn dials(&mut self, row: &str, a: Flavour, b: Flavour) -> Result<(), String> {
        let (world, place_a, place_b) = self.world(&format!("dials-{row}"))?;
        let a = Node::start(&world, a, place_a, "a")?;
        let b = Node::start(&world, b, place_b, "b")?;
        friends(&a, &b)?;
        for count in DIALS {
            let limit = turns_of(count, &b) + DIAL_SLACK;
            self.measure(row, &format!("{count} dials"), limit, || {
                at_once(&a, &b, count, limit.max(PATIENCE))
            })?;
            // The target's bucket fills up again.
            self.session.pass(REFILL)?;
        }
        Ok(())
    }

    /// Two private agents that never met.
    fn contact(&mut self, row: &str) -> Result<(), String> {
        let session = self.session;
        let (world, place_a, place_b) = self.world("contact")?;
        let a = Node::start(&world, Flavour::Ours, place_a, "a")?;
        let b = Node::start(&world, Flavour::Ours, place_b, "b")?;
        self.measure(row, "request seen", VISIBLE, || {
            a.ctl(&["handshake", &b.id.to_string(), "first contact"])?;
            let seen = || b.ctl(&["pending"]).is_ok_and(|data| lists(&data["pending"], a.id)).then_some(());
            session.until(PATIENCE, "the request at the target", seen).map(|()| String::new())
        })?;
        b.ctl(&["approve", &a.id.to_string()])?;
        self.measure(row, "usable", USABLE, || until_ping(&a, &b))
    }

    /// A crash in the middle of a transfer; afterwards everyone is who they were and traffic flows.
    fn crash(&mut self, row: &str, victim: Victim) -> Result<(), String> {
        let session = self.session;
        let (world, place_a, place_b) = self.world(&format!("crash-{victim:?}"))?;
        let mut a = Node::start(&world, Flavour::Ours, place_a, "a")?;
        let mut b = Node::start(&world, Flavour::Ours, place_b, "b")?;
        friends(&a, &b)?;
        a.ctl(&["set-hostname", "agent-a"])?;
        b.ctl(&["set-hostname", "agent-b"])?;
        let before = [who(&a, b.id)?, who(&b, a.id)?];

        let content = noise(LARGE_FILE, 11);
        let path = world.home.join("large.bin");
        std::fs::write(&path, &content).map_err(|e| format!("{}: {e}", path.display()))?;
        let start = datagrams(a.pid())?.1;
        let mut sending = a.ctl_start(&["send-file", &b.address, &path.display().to_string()])?;
        session.until(PATIENCE, "the transfer to be under way", || {
            let sent = datagrams(a.pid()).map_or(0, |(_, sent)| sent);
            (sent >= start + UNDER_WAY || !sending.is_running()).then_some(())
        })?;
        if !sending.is_running() {
            let ended = a.ctl_end("send-file", sending, RECOVERY);
            return Err(format!("the transfer ended before the crash: {ended:?}"));
        }
        match victim {
            Victim::Sender => a.kill(),
            Victim::Receiver => b.kill(),
            Victim::Rendezvous => world.kill_rendezvous(),
        }
        let column = format!("kill {victim:?}").to_lowercase();
        self.measure(row, &column, CRASH, || {
            match victim {
                Victim::Sender => a.run()?,
                Victim::Receiver => b.run()?,
                Victim::Rendezvous => world.start_rendezvous()?,
            }
            until_delivered(&a, &b)
        })?;
        self.measure(row, &format!("{column}: same"), CRASH, || {
            let what = format!("being who they were, {before:?}");
            let same =
                || who(&a, b.id).as_ref() == Ok(&before[0]) && who(&b, a.id).as_ref() == Ok(&before[1]);
            session.until(PATIENCE, &what, || same().then(String::new))
        })?;
        if victim == Victim::Rendezvous {
            // A transfer between two agents is none of its business.
            self.measure(row, "transfer survives", PATIENCE, || {
                session.until(PATIENCE, "the file", || received(&b, &content).then(String::new))
            })?;
        }
        Ok(())
    }

    /// Two trusted agents with nothing to say.
    fn idle(&mut self, row: &str) -> Result<(), String> {
        let (world, place_a, place_b) = self.world("idle")?;
        let a = Node::start(&world, Flavour::Ours, place_a, "a")?;
        let b = Node::start(&world, Flavour::Ours, place_b, "b")?;
        friends(&a, &b)?;
        let nodes = [(&a, "idle a"), (&b, "idle b")];
        let look =
            |(node, _): (&Node<'_>, _)| Ok::<_, String>((cpu_seconds(node.pid())?, datagrams(node.pid())?));
        let before = [look(nodes[0])?, look(nodes[1])?];
        self.session.pass(IDLE)?;
        for (node, (cpu_before, (in_before, out_before))) in nodes.into_iter().zip(before) {
            let (cpu, (received, sent)) = look(node)?;
            let cpu = cpu - cpu_before;
            let (received, sent) = (received - in_before, sent - out_before);
            let note = format!(
                "{cpu:.2} s of processor, {sent} datagrams out, {received} in, in {} s",
                IDLE.as_secs()
            );
            let verdict = if cpu < IDLE_CPU_SECONDS { Verdict::Pass(note) } else { Verdict::Fail(note) };
            self.report.add(row, node.1, cpu, verdict);
        }
        Ok(())
    }
}

/// How long it takes until a target has let in so many dials of one node: 1.7.2 ten at once, the others 64, and everybody
/// ten a second afterwards.
fn turns_of(count: usize, target: &Node<'_>) -> Duration {
    let burst = if target.flavour == Flavour::April { 10 } else { 64 };
    Duration::from_millis(110 * count.saturating_sub(burst) as u64)
}

/// Trust both ways, and a message each way so that both have a session.
fn friends(a: &Node<'_>, b: &Node<'_>) -> Result<(), String> {
    trust(a, b)?;
    deliver(a, b, "first")?;
    deliver(b, a, "first")
}

/// Who a node is to others: address and hostname at the registry, and whether it still trusts the peer.
fn who(node: &Node<'_>, peer: u64) -> Result<(String, Value, Value, bool), String> {
    let entry = node.ctl(&["lookup", &node.id.to_string()])?;
    Ok((node.address.clone(), entry["address"].clone(), entry["hostname"].clone(), trusts(node, peer)))
}

/// How long moving to another path may take with this peer.
fn move_within(peer: &Node<'_>) -> Duration {
    let (slow, limit) = SLOW;
    if peer.flavour == slow { limit } else { RECOVERY }
}

/// Pings until one is answered.
fn until_ping(a: &Node<'_>, b: &Node<'_>) -> Result<String, String> {
    let mut tries = 0;
    let mut last = Ok(0.0);
    let answered = a.session().until(PATIENCE, "an answered ping", || {
        tries += 1;
        last = ping(a, b);
        last.is_ok().then_some(())
    });
    answered.map_err(|why| format!("{why}: {last:?}"))?;
    Ok(if tries == 1 { String::new() } else { format!("{tries} tries") })
}

/// Pings until the router forwards what they cause: they go straight from agent to agent.
fn until_direct(a: &Node<'_>, b: &Node<'_>) -> Result<String, String> {
    // SYN, data, FIN and their answers, of which a stray probe is no match. A released peer may stay on the relay
    // for ever, so there only our half is asked for.
    let ours = [a, b].into_iter().filter(|node| node.flavour.is_ours()).count();
    let expected = if ours == 2 { 6 } else { 3 };
    let direct = a.session().until(PATIENCE, "pings over the direct path", || {
        let before = Routed::forwarded().ok()?;
        ping(a, b).ok()?;
        (Routed::forwarded().ok()? >= before + expected).then_some(())
    });
    direct.map(|()| String::new())
}

/// Many pings in a row without an error.
fn steady(a: &Node<'_>, b: &Node<'_>) -> Result<String, String> {
    let mut worst = 0.0_f64;
    for number in 0..STEADY {
        worst = worst.max(ping(a, b).map_err(|why| format!("ping {number}: {why}"))?);
    }
    Ok(format!("worst of {STEADY} pings {worst:.1} ms"))
}

/// One ping, in milliseconds.
fn ping(a: &Node<'_>, b: &Node<'_>) -> Result<f64, String> {
    let data = a.ctl(&["ping", &b.address, "--count", "1", "--timeout", "20s"])?;
    let result = &data["results"][0];
    match (result.get("error"), result["rtt_ms"].as_f64()) {
        (None, Some(time)) => Ok(time),
        _ => Err(data.to_string()),
    }
}

/// Sends messages until one lies in the target's inbox.
fn until_delivered(a: &Node<'_>, b: &Node<'_>) -> Result<String, String> {
    let mut tries = 0;
    let mut last = Ok(());
    let delivered = a.session().until(PATIENCE, "a delivered message", || {
        tries += 1;
        last = deliver(a, b, &format!("message {tries}"));
        last.is_ok().then_some(())
    });
    delivered.map_err(|why| format!("{why}: {last:?}"))?;
    Ok(if tries == 1 { String::new() } else { format!("{tries} tries") })
}

/// Processor time a process used so far. The kernel counts it here in hundredths of a second.
fn cpu_seconds(pid: u32) -> Result<f64, String> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    // The name in parentheses may hold anything; user and system time are the 12th and 13th words after it.
    let words = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
    if ticks.len() == 2 { Ok(ticks.iter().sum::<f64>() / 100.0) } else { Err(format!("{path}: {stat:?}")) }
}

/// UDP datagrams in and out so far, of all sockets in the network namespace of a process.
fn datagrams(pid: u32) -> Result<(u64, u64), String> {
    let table = format!("/proc/{pid}/net/snmp");
    Ok((counter(&table, "Udp", "InDatagrams")?, counter(&table, "Udp", "OutDatagrams")?))
}

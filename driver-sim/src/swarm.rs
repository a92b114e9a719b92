//! The swarm: a seed draws a whole scenario, switching features off at random so that the rest reaches deeper, and what
//! breaks is made as small as it can be.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    bottleneck::RouterSpec,
    dice::Dice,
    link::LinkConfig,
    nat::{Dependence, NatConfig},
    people::CryptoChoice,
    reference::Quirks,
    rogue::Rogue,
    scenario::{Agent, Fault, HOUR, LinkSpec, Report, Scenario, Verb},
    work::{
        ChatSpec, ContestSpec, FanoutSpec, KnockSpec, RenameSpec, ScatterSpec, SettleSpec, TransferSpec,
        TrustSpec,
    },
};

/// Runs a search for a smaller scenario may take.
const SHRINK_RUNS: u32 = 300;

/// UDP payload of the smallest packet that IPv6 promises to carry.
const SMALLEST_MTU: usize = 1_232;
/// Bytes a second of the slowest link.
const SLOWEST: u64 = 100_000;

/// The scenario of a seed.
pub fn draw(seed: u64) -> Scenario {
    let dice = &mut Dice::named(seed, "swarm", &[]);
    if dice.chance(60_000) {
        return contest(seed, dice);
    }
    let on = |dice: &mut Dice| dice.chance(500_000);
    // Many at once: all register in the same instant, and come back together when the rendezvous was away.
    let storm = dice.chance(60_000);
    let count = (if storm { dice.between(10, 20) } else { dice.between(2, 5) }) as usize;
    let (nats, private, trouble) = (on(dice), on(dice), on(dice));
    let mut agents: Vec<Agent> = (1..=count).map(|own| agent(dice, own, nats, private)).collect();
    let span_ms = dice.between(5_000, 60_000);
    let encrypt = dice.chance(900_000);
    // Who breaks rules has no part in the work of the others, unless others can bear it.
    let rogue = (encrypt && count > 2 && dice.chance(250_000)).then(|| {
        let rogue = Rogue::draw(dice);
        agents[count - 1] = Agent { rogue: Some(rogue), ..Agent::default() };
        rogue
    });
    if encrypt {
        for agent in agents.iter_mut().filter(|agent| agent.rogue.is_none()) {
            agent.reference = dice.chance(100_000).then(|| Quirks::draw(dice));
        }
    }
    let workers = count - usize::from(rogue.is_some_and(|rogue| !rogue.is_bearable()));

    let (link, links, routers) = (link(dice), links(dice, count), routers(dice, count));
    // Work that no algorithm could finish in time finds no bug.
    let hard = |link: &LinkConfig| link.loss_ppm > 50_000 || link.rate == SLOWEST;
    let slow = agents.iter().any(|agent| agent.read_rate == SLOWEST);
    let narrow = routers.iter().any(|router| router.rate < SLOWEST * count as u64);
    let hard = hard(&link) || links.iter().any(|spec| hard(&spec.link)) || slow || narrow;
    let largest = if storm || hard { 17 } else { 21 };

    let mut scenario =
        Scenario { seed, encrypt, limit_s: 600, link, links, routers, agents, ..Scenario::default() };
    work(dice, &mut scenario, workers, largest, span_ms);
    if trouble {
        scenario.faults = faults(dice, count, span_ms);
    }
    let real = !storm && dice.chance(800_000);
    scenario.crypto = if real { CryptoChoice::Real } else { CryptoChoice::Null };
    scenario
}

/// Streams that compete for one path, or hosts for one router, and nothing else.
fn contest(seed: u64, dice: &mut Dice) -> Scenario {
    let rate = dice.between(500_000, 4_000_000);
    let queue = rate / dice.pick(&[5, 10, 20]);
    let link = LinkConfig { delay_us: dice.pick(&[1_000, 10_000, 40_000]), ..LinkConfig::default() };
    let many = dice.between(2, 4) as usize;
    let (hosts, streams) = if dice.chance(500_000) { (many, 1) } else { (1, many) };
    let (from, to) = ((1..=hosts).collect::<Vec<_>>(), hosts + 1);
    let (link, routers) = match hosts {
        1 => (LinkConfig { rate, queue, ..link }, Vec::new()),
        // A shorter queue is filled by the first round trips of all of them, and who loses then stays behind for long.
        _ => {
            let queue = queue.max(rate * 4 * link.delay_us / 1_000_000);
            (link, vec![RouterSpec { hosts: from.clone(), rate, queue }])
        }
    };
    let bytes = 5 * rate / many as u64;
    let contests = vec![ContestSpec { from, to, streams, bytes, at_ms: 2_000 }];
    let memory_mib = dice.pick(&[4, 64]);
    let agents = vec![Agent { memory_mib, ..Agent::default() }; to];
    Scenario { seed, limit_s: 600, link, routers, agents, contests, ..Scenario::default() }
}

/// Links that are not like the others.
fn links(dice: &mut Dice, count: usize) -> Vec<LinkSpec> {
    let number = if dice.chance(300_000) { dice.between(1, 2) } else { 0 };
    let one = |dice: &mut Dice| {
        let first = dice.between(0, count as u64) as usize;
        let second = dice.between(0, count as u64) as usize;
        let hosts = if first == second { vec![first] } else { vec![first, second] };
        LinkSpec { hosts, link: link(dice) }
    };
    (0..number).map(|_| one(dice)).collect()
}

/// A router in front of some agents, or none.
fn routers(dice: &mut Dice, count: usize) -> Vec<RouterSpec> {
    if !dice.chance(150_000) {
        return Vec::new();
    }
    let hosts: Vec<usize> = (1..=count).filter(|_| dice.chance(600_000)).collect();
    let rate = dice.pick(&[2 * SLOWEST, 1_000_000, 10_000_000]);
    vec![RouterSpec { hosts, rate, queue: dice.pick(&[30_000, 500_000]) }]
}

/// Everything that agents `1..=workers` do.
fn work(dice: &mut Dice, scenario: &mut Scenario, workers: usize, largest: u64, span_ms: u64) {
    let on = |dice: &mut Dice| dice.chance(500_000);
    let public: Vec<bool> = scenario.agents.iter().map(|agent| agent.public).collect();
    let is_public = |host: usize| public.get(host - 1).copied().unwrap_or(true);
    // Who is not public is reached with trust only, and finds the other only if that one is, or trusts back.
    let mut trusts = Vec::new();
    let reach = |dice: &mut Dice, trusts: &mut Vec<TrustSpec>| {
        let (from, to) = pair(dice, workers);
        if !is_public(to) && !trusts.iter().any(|t| (t.from, t.to) == (from, to)) {
            trusts.push(TrustSpec { from, to, at_ms: 0 });
        }
        (from, to)
    };
    for _ in 0..dice.between(1, 4) {
        let (from, to) = reach(dice, &mut trusts);
        let bytes = 1 << dice.between(4, largest);
        let bytes = dice.between(bytes / 2, bytes);
        scenario.transfers.push(TransferSpec { from, to, bytes, at_ms: dice.below(span_ms) });
    }
    for _ in 0..if on(dice) { dice.between(1, 3) } else { 0 } {
        let (from, to) = reach(dice, &mut trusts);
        let (rounds, length) = (dice.between(2, 20) as u32, dice.between(1, 3000) as usize);
        let think_ms = dice.pick(&[0, 10, 300, 2_000]);
        scenario.chats.push(ChatSpec { from, to, rounds, length, think_ms, at_ms: dice.below(span_ms) });
    }
    for _ in 0..if on(dice) { dice.between(1, 3) } else { 0 } {
        let (from, to) = pair(dice, workers);
        let (count, every_ms) = (dice.between(5, 50) as u32, dice.pick(&[1, 50, 1_000]));
        scenario.scatters.push(ScatterSpec { from, to, count, every_ms, at_ms: dice.below(span_ms) });
    }
    // The graph of trust: some more edges than work needs.
    for _ in 0..if on(dice) { dice.between(1, workers as u64) } else { 0 } {
        let (from, to) = pair(dice, workers);
        trusts.push(TrustSpec { from, to, at_ms: dice.below(span_ms) });
    }
    let brokers: Vec<usize> = (1..=workers).filter(|&host| is_public(host)).collect();
    if workers > 1 && !brokers.is_empty() && dice.chance(300_000) {
        let broker = dice.pick(&brokers);
        let others: Vec<usize> = (1..=workers).filter(|&host| host != broker).collect();
        let publisher = dice.pick(&others);
        let subscribers: Vec<usize> = others.into_iter().filter(|_| dice.chance(700_000)).collect();
        let (events, every_ms) = (dice.between(3, 20), dice.pick(&[50, 500]));
        let at_ms = dice.below(span_ms);
        scenario.fanouts.push(FanoutSpec { broker, publisher, subscribers, events, every_ms, at_ms });
    }
    if on(dice) {
        for host in 1..=workers {
            let names = (0..dice.below(4)).map(|_| format!("name-{}", dice.below(4))).collect();
            scenario.renames.push(RenameSpec { host, names, at_ms: dice.below(span_ms) });
        }
    }
    if on(dice) {
        let host = dice.between(1, workers as u64) as usize;
        scenario.settings.push(SettleSpec {
            host,
            changes: dice.between(1, 5) as u32,
            at_ms: dice.below(span_ms),
        });
    }
    // Strangers at the door: best those that the other side has talked to, so that they have a tunnel.
    let pairs = scenario.transfers.iter().map(|t| (t.to, t.from)).chain([pair(dice, workers)]);
    let strangers = pairs.filter(|&(from, to)| {
        let friends = trusts.iter().any(|t| (t.from, t.to) == (from, to) || (t.to, t.from) == (from, to));
        !is_public(to) && !friends
    });
    scenario.knocks =
        strangers.map(|(from, to)| KnockSpec { from, to, at_ms: dice.below(span_ms) }).collect();
    scenario.trusts = trusts;
}

fn pair(dice: &mut Dice, count: usize) -> (usize, usize) {
    let from = dice.between(1, count as u64) as usize;
    let to = dice.between(1, count as u64 - 1) as usize;
    (from, if to >= from { to + 1 } else { to })
}

fn nat(dice: &mut Dice) -> NatConfig {
    NatConfig {
        mapping: dice.pick(&Dependence::ALL),
        filtering: dice.pick(&Dependence::ALL),
        preserve_ports: dice.chance(500_000),
        hairpin: dice.chance(300_000),
        timeout_s: dice.pick(&[30, 60, 120, 300]),
    }
}

fn agent(dice: &mut Dice, own: usize, nats: bool, private: bool) -> Agent {
    let mut agent = Agent::default();
    if nats && dice.chance(700_000) {
        agent.nat = Some(nat(dice));
        agent.carrier = dice.chance(200_000).then(|| nat(dice));
        if own > 1 && dice.chance(200_000) {
            agent.beside = Some(dice.between(1, own as u64 - 1) as usize);
        }
        if own > 1 && dice.chance(200_000) {
            agent.carrier_of = Some(dice.between(1, own as u64 - 1) as usize);
        }
    }
    agent.public = !(private && dice.chance(500_000));
    agent.auto_approve = dice.chance(500_000);
    agent.relay_only = dice.chance(100_000);
    agent.drift_ppm = if dice.chance(500_000) { dice.between(0, 400) as i32 - 200 } else { 0 };
    agent.memory_mib = dice.pick(&[1, 4, 4, 64]);
    agent.read_rate = if dice.chance(100_000) { dice.pick(&[SLOWEST, 1_000_000]) } else { 0 };
    agent.webhook = dice.chance(300_000);
    agent.extensions = dice.chance(850_000);
    agent
}

fn link(dice: &mut Dice) -> LinkConfig {
    let mut link =
        LinkConfig { delay_us: dice.pick(&[200, 5_000, 20_000, 100_000, 300_000]), ..LinkConfig::default() };
    let on = |dice: &mut Dice| dice.chance(400_000);
    if on(dice) {
        link.jitter_us = dice.below(link.delay_us);
    }
    if on(dice) {
        link.loss_ppm = dice.pick(&[1_000, 10_000, 50_000, 150_000]);
    }
    if on(dice) {
        (link.burst_enter_ppm, link.burst_leave_ppm, link.burst_loss_ppm) = (
            dice.pick(&[1_000, 5_000]),
            // A burst ends after so many datagrams, not after so much time: a long one outlasts every back-off.
            dice.pick(&[200_000, 400_000]),
            dice.pick(&[200_000, 500_000, 900_000]),
        );
    }
    if on(dice) {
        link.duplicate_ppm = dice.pick(&[1_000, 50_000]);
    }
    if on(dice) {
        (link.reorder_ppm, link.reorder_us) = (dice.pick(&[1_000, 50_000]), dice.pick(&[1_000, 50_000]));
    }
    if on(dice) {
        link.corrupt_ppm = dice.pick(&[1_000, 20_000]);
    }
    if on(dice) {
        (link.rate, link.queue) =
            (dice.pick(&[SLOWEST, 1_000_000, 10_000_000]), dice.pick(&[30_000, 500_000]));
    }
    if dice.chance(250_000) {
        (link.mtu, link.fragments) = (dice.pick(&[SMALLEST_MTU, 1_400, 1_472, 4_000]), dice.chance(500_000));
    }
    link
}

fn faults(dice: &mut Dice, count: usize, span_ms: u64) -> Vec<Fault> {
    let verbs = [
        Verb::Crash,
        Verb::Partition,
        Verb::PartitionOneway,
        Verb::Clog,
        Verb::Rebind,
        Verb::RebindCarrier,
        Verb::JumpClock,
        Verb::Stop,
        Verb::FailDisk,
        Verb::FailSink,
    ];
    // Each seed likes some kinds of trouble only.
    let liked: Vec<Verb> = verbs.into_iter().filter(|_| dice.chance(500_000)).collect();
    let mut faults = Vec::new();
    if liked.is_empty() {
        return faults;
    }
    for _ in 0..dice.between(1, 8) {
        let (at_ms, verb) = (dice.below(span_ms), dice.pick(&liked));
        let (first, second) =
            (dice.between(0, count as u64) as usize, dice.between(0, count as u64) as usize);
        let later = at_ms + dice.pick(&[50, 500, 5_000, 15_000]);
        let (hosts, undo) = match verb {
            Verb::Crash | Verb::Stop => (vec![first], Some((Verb::Restart, vec![first]))),
            Verb::FailDisk => (vec![first], Some((Verb::MendDisk, vec![first]))),
            Verb::FailSink => (vec![first], Some((Verb::MendSink, vec![first]))),
            Verb::Rebind | Verb::RebindCarrier | Verb::JumpClock => (vec![first], None),
            _ => (vec![first, second], Some((Verb::Heal, vec![]))),
        };
        let seconds = if verb == Verb::JumpClock { dice.pick(&[HOUR, -HOUR, 30, -86_400]) } else { HOUR };
        faults.push(Fault { seconds, ..Fault::new(at_ms, verb, hosts) });
        faults.extend(undo.map(|(verb, hosts)| Fault::new(later, verb, hosts)));
    }
    if dice.chance(150_000) {
        faults.extend(churn(dice, count, span_ms));
    }
    faults.sort_by_key(|fault| fault.at_ms);
    faults
}

/// Agents leave and come back, in good order or not.
fn churn(dice: &mut Dice, count: usize, span_ms: u64) -> Vec<Fault> {
    let mut faults = Vec::new();
    for _ in 0..dice.between(3, 10) {
        let (at_ms, hosts) = (dice.below(span_ms), vec![dice.between(1, count as u64) as usize]);
        let verb = dice.pick(&[Verb::Stop, Verb::Crash]);
        let back = Fault::new(at_ms + dice.between(100, 3_000), Verb::Restart, hosts.clone());
        faults.extend([Fault::new(at_ms, verb, hosts), back]);
    }
    faults
}

/// What a swarm came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Runs that were good.
    pub good: u64,
    /// Events of all runs.
    pub events: u64,
    /// Datagrams of all runs.
    pub datagrams: u64,
    /// Bytes of streams that were compared.
    pub verified: u64,
    /// The first scenario that was not good, and how it ended.
    pub broken: Option<(Scenario, Report)>,
}

/// Runs scenarios of the seeds from `first` on, on `threads` threads, until `seeds` are done, `time` is over, or a rule is
/// broken. With `twice`, each runs twice and must do the same.
pub fn swarm(
    first: u64,
    seeds: u64,
    time: Option<Duration>,
    threads: usize,
    twice: bool,
    progress: impl Fn(u64, &Report) + Sync,
) -> Outcome {
    let (next, stop, began) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
    let work = || {
        let mut outcome = Outcome::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let late = time.is_some_and(|time| began.elapsed() >= time);
            if number >= seeds || late || stop.load(Ordering::Relaxed) {
                return outcome;
            }
            let scenario = draw(first + number);
            let mut report = scenario.run(None);
            if twice && report.breach.is_none() {
                let again = scenario.run(None);
                if again.hash != report.hash {
                    report.breach = Some(crate::check::Breach {
                        at: pilot_proto::Instant::ORIGIN,
                        rule: "not the same twice",
                        words: format!("{:016x} and {:016x}", report.hash, again.hash),
                    });
                }
            }
            outcome.events += report.counters.events;
            outcome.datagrams += report.counters.datagrams;
            outcome.verified += report.verified;
            progress(scenario.seed, &report);
            if report.breach.is_some() {
                stop.store(true, Ordering::Relaxed);
                outcome.broken = Some((scenario, report));
                return outcome;
            }
            outcome.good += 1;
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut all = Outcome::default();
        for outcome in workers.into_iter().filter_map(|worker| worker.join().ok()) {
            all.good += outcome.good;
            all.events += outcome.events;
            all.datagrams += outcome.datagrams;
            all.verified += outcome.verified;
            // The lowest seed: which thread was first is chance.
            let lower = |other: &(Scenario, Report)| {
                all.broken.as_ref().is_none_or(|(scenario, _)| other.0.seed < scenario.seed)
            };
            if outcome.broken.as_ref().is_some_and(lower) {
                all.broken = outcome.broken;
            }
        }
        all
    })
}

/// Makes a broken scenario smaller as long as it breaks the same rule and could be good.
pub fn shrink(scenario: &Scenario, report: &Report) -> (Scenario, Report) {
    shrink_while(scenario, report, |_| true)
}

/// The same; `keep` says of each smaller scenario whether it will do.
pub(crate) fn shrink_while(
    scenario: &Scenario,
    report: &Report,
    keep: impl Fn(&Scenario) -> bool,
) -> (Scenario, Report) {
    let mut best = (scenario.clone(), report.clone());
    let Some(rule) = report.breach.as_ref().map(|breach| breach.rule) else { return best };
    // Work that cannot be done breaks rules whatever the program does, and says nothing.
    let was_possible = scenario.is_possible();
    let mut runs = 0;
    'smaller: loop {
        for candidate in smaller(&best.0).into_iter().filter(|smaller| !was_possible || smaller.is_possible())
        {
            runs += 1;
            if runs > SHRINK_RUNS {
                return best;
            }
            let report = candidate.run(None);
            if report.breach.as_ref().is_some_and(|breach| breach.rule == rule) && keep(&candidate) {
                best = (candidate, report);
                continue 'smaller;
            }
        }
        return best;
    }
}

/// All scenarios that are one step smaller, the boldest steps first.
fn smaller(from: &Scenario) -> Vec<Scenario> {
    let mut all = Vec::new();
    let mut offer = |change: &dyn Fn(&mut Scenario)| {
        let mut scenario = from.clone();
        change(&mut scenario);
        if scenario != *from {
            all.push(scenario);
        }
    };
    offer(&|s| s.faults.clear());
    let plain = LinkConfig { delay_us: from.link.delay_us, ..LinkConfig::default() };
    offer(&|s| s.link = plain.clone());
    offer(&|s| s.links.clear());
    offer(&|s| s.routers.clear());
    // Each kind of work as a whole, then piece by piece.
    macro_rules! without {
        ($($list:ident),*) => {
            $(offer(&|s| s.$list.clear());)*
            $(for at in 0..from.$list.len() {
                offer(&|s| {
                    s.$list.remove(at);
                });
            })*
        };
    }
    without!(renames, settings, chats, scatters, fanouts, knocks, contests, trusts, transfers);
    for at in 0..from.links.len() {
        offer(&|s| {
            s.links.remove(at);
        });
    }
    for at in (0..from.faults.len()).rev() {
        offer(&|s| {
            s.faults.remove(at);
        });
    }
    let used = from.used_hosts();
    for unused in (1..=from.agents.len()).filter(|host| !used.contains(host) && from.agents.len() > 1) {
        offer(&|s| *s = s.without_agent(unused));
    }
    for at in 0..from.agents.len() {
        offer(&|s| s.agents[at].beside = None);
        offer(&|s| (s.agents[at].carrier, s.agents[at].carrier_of) = (None, None));
        offer(&|s| s.agents[at].nat = None);
        offer(&|s| s.agents[at].drift_ppm = 0);
        offer(&|s| s.agents[at].read_rate = 0);
        offer(&|s| s.agents[at].memory_mib = Agent::default().memory_mib);
        offer(&|s| s.agents[at].webhook = false);
        offer(&|s| s.agents[at].extensions = true);
        offer(&|s| s.agents[at].rogue = None);
        offer(&|s| s.agents[at].reference = None);
        offer(&|s| s.agents[at].relay_only = false);
        offer(&|s| s.agents[at].public = true);
        offer(&|s| s.agents[at].auto_approve = true);
    }
    offer(&|s| s.link.jitter_us = 0);
    offer(&|s| s.link.loss_ppm = 0);
    offer(&|s| s.link.burst_enter_ppm = 0);
    offer(&|s| s.link.duplicate_ppm = 0);
    offer(&|s| s.link.reorder_ppm = 0);
    offer(&|s| s.link.corrupt_ppm = 0);
    offer(&|s| s.link.rate = 0);
    offer(&|s| s.link.mtu = 0);
    offer(&|s| s.encrypt = true);
    offer(&|s| s.faults.iter_mut().for_each(|fault| fault.at_ms /= 2));
    for at in 0..from.transfers.len() {
        offer(&|s| s.transfers[at].bytes = (s.transfers[at].bytes / 4).max(1));
        offer(&|s| s.transfers[at].at_ms = 0);
    }
    all
}

//! A scenario: everything that makes a run what it is, as a file. A regression is kept as one of these, not as a seed,
//! because a seed means something else as soon as the generator changes.

use std::{
    collections::BTreeSet,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use pilot_keylog::KeyLog;
use pilot_proto::{Instant, time::Duration};
use pilot_roles::daemon::DaemonConfig;
use serde::{Deserialize, Serialize};

use crate::{
    bottleneck::RouterSpec,
    check::Breach,
    ledger::Transfer,
    link::LinkConfig,
    nat::NatConfig,
    net::{HostId, RealmId},
    people::{Character, CryptoChoice, default_rendezvous},
    reference::Quirks,
    rogue::Rogue,
    watch::Observer,
    work::{
        ChatSpec, ContestSpec, FanoutSpec, KnockSpec, RenameSpec, ScatterSpec, SettleSpec, TransferSpec,
        TrustSpec,
    },
    workload::Serve,
    world::{Counters, World},
};

/// How long a network may take to become idle when its programs have left.
const COOLING: Duration = Duration::from_secs(400);
/// How often that time may pass again for the last bytes of streams that nobody owns any more.
const LAST_BYTES: u32 = 10;
/// How long idle networks are watched.
const WATCH: Duration = Duration::from_secs(60);
/// Most agents of a scenario file.
const MAX_AGENTS: usize = 10_000;
/// Datagrams a minute an idle agent may cost: registration at the beacon, its answers, and keeping NATs open.
const IDLE_DATAGRAMS: u64 = 40;

/// One agent: a daemon with the programs on its host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// Everybody may find it and connect to it. If not, trust is needed first.
    pub public: bool,
    /// It says yes to trust requests: by itself, or by a program that asks for them.
    pub auto_approve: bool,
    /// It reaches and is reached through the beacon only.
    pub relay_only: bool,
    /// How much faster than the world its clock runs, in parts per million.
    pub drift_ppm: i32,
    /// The NAT in front of it.
    pub nat: Option<NatConfig>,
    /// The provider's NAT in front of that.
    pub carrier: Option<NatConfig>,
    /// It looks like the first implementation.
    pub reference: Option<Quirks>,
    /// It breaks rules on purpose.
    pub rogue: Option<Rogue>,
    /// It shares the NAT of this host, an agent before it.
    pub beside: Option<usize>,
    /// It shares the provider's NAT of this host, an agent before it.
    pub carrier_of: Option<usize>,
    /// Its programs take at most this many bytes a second from their daemon; 0 is as fast as can be.
    pub read_rate: u64,
    /// What its daemon may hold of all streams, in MiB. The program has 64; with 4, windows stay as small as those of the
    /// first implementation.
    pub memory_mib: u32,
    /// It tells a webhook what happens.
    pub webhook: bool,
    /// It does what goes beyond the releases. Who looks like the first implementation never does.
    pub extensions: bool,
    /// There are this many of it; they get consecutive numbers. Read files only have ones with a count of 1.
    pub count: usize,
}

impl Default for Agent {
    fn default() -> Self {
        Agent {
            public: true,
            auto_approve: true,
            relay_only: false,
            drift_ppm: 0,
            nat: None,
            carrier: None,
            reference: None,
            rogue: None,
            beside: None,
            carrier_of: None,
            read_rate: 0,
            memory_mib: 4,
            webhook: false,
            extensions: true,
            count: 1,
        }
    }
}

/// A link between two hosts that is not like the others, in both directions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// The two hosts; with one host, all its links.
    pub hosts: Vec<usize>,
    /// What it is like.
    pub link: LinkConfig,
}

/// What is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Power off: unsynced writes are lost. One host.
    Crash,
    /// Power on. One host.
    Restart,
    /// SIGTERM. One host.
    Stop,
    /// Nothing passes between two hosts.
    Partition,
    /// Nothing passes from the first host to the second.
    PartitionOneway,
    /// What the first host sends to the second waits until it is healed.
    Clog,
    /// Ends all partitions and clogs.
    Heal,
    /// The NAT of the host forgets its mappings.
    Rebind,
    /// The provider's NAT in front of that does.
    RebindCarrier,
    /// The wall clock of the host jumps.
    JumpClock,
    /// Writes of the host fail.
    FailDisk,
    /// They work again.
    MendDisk,
    /// The endpoint of the host's webhook takes nothing.
    FailSink,
    /// It takes events again.
    MendSink,
}

/// One deed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When, in milliseconds.
    pub at_ms: u64,
    /// What.
    pub verb: Verb,
    /// To whom. 0 is the rendezvous, agents count from 1.
    #[serde(default)]
    pub hosts: Vec<usize>,
    /// How far a clock jumps, in seconds; back if negative.
    #[serde(default = "hour", skip_serializing_if = "is_hour")]
    pub seconds: i64,
}

/// How far a clock jumps if nobody says.
pub(crate) const HOUR: i64 = 3600;

fn hour() -> i64 {
    HOUR
}

fn is_hour(seconds: &i64) -> bool {
    *seconds == HOUR
}

impl Fault {
    /// A deed that is told whole by its verb.
    pub const fn new(at_ms: u64, verb: Verb, hosts: Vec<usize>) -> Self {
        Fault { at_ms, verb, hosts, seconds: HOUR }
    }
}

/// A whole run. Hosts are numbers: 0 is the rendezvous, agents count from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// All chance in it.
    pub seed: u64,
    /// Which cryptography to compute with.
    pub crypto: CryptoChoice,
    /// Whether daemons encrypt.
    pub encrypt: bool,
    /// How long after the last fault everything may take to be done, in seconds.
    pub limit_s: u64,
    /// Every link.
    pub link: LinkConfig,
    /// Links that are not like the others.
    pub links: Vec<LinkSpec>,
    /// Routers that hosts share.
    pub routers: Vec<RouterSpec>,
    /// The agents.
    pub agents: Vec<Agent>,
    /// Work: bytes.
    pub transfers: Vec<TransferSpec>,
    /// Work: trust.
    pub trusts: Vec<TrustSpec>,
    /// Work: names.
    pub renames: Vec<RenameSpec>,
    /// Work: tags and tasks.
    pub settings: Vec<SettleSpec>,
    /// Work: messages both ways.
    pub chats: Vec<ChatSpec>,
    /// Work: datagrams.
    pub scatters: Vec<ScatterSpec>,
    /// Work: events for many.
    pub fanouts: Vec<FanoutSpec>,
    /// Work: streams that compete.
    pub contests: Vec<ContestSpec>,
    /// Attempts that must fail.
    pub knocks: Vec<KnockSpec>,
    /// What is done to the world, in order of time. Afterwards everything is mended.
    pub faults: Vec<Fault>,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            seed: 1,
            crypto: CryptoChoice::Real,
            encrypt: true,
            limit_s: 300,
            link: LinkConfig::default(),
            links: Vec::new(),
            routers: Vec::new(),
            agents: Vec::new(),
            transfers: Vec::new(),
            trusts: Vec::new(),
            renames: Vec::new(),
            settings: Vec::new(),
            chats: Vec::new(),
            scatters: Vec::new(),
            fanouts: Vec::new(),
            contests: Vec::new(),
            knocks: Vec::new(),
            faults: Vec::new(),
        }
    }
}

/// A scenario names a host that it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSuchHost {
    /// The number found.
    pub host: usize,
    /// Hosts there are.
    pub hosts: usize,
}

impl fmt::Display for NoSuchHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {} is named, hosts are 0 (rendezvous) to {}", self.host, self.hosts - 1)
    }
}

impl std::error::Error for NoSuchHost {}

/// Who watches a run.
#[derive(Default)]
pub struct Watch {
    /// Is shown everything that happens.
    pub observers: Vec<Box<dyn Observer>>,
    /// Notes the keys of all sessions.
    pub keys: Option<KeyLog>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Report {
    /// The rule that was broken, if one was.
    pub breach: Option<Breach>,
    /// One number for everything that happened.
    pub hash: u64,
    /// What happened, in numbers.
    pub counters: Counters,
    /// Length of the run in the world's time.
    pub time: Duration,
    /// When all work was done.
    pub done: Option<Duration>,
    /// Bytes of streams that were compared with what was sent.
    pub verified: u64,
    /// What became of each transfer, in order.
    pub transfers: Vec<Transfer>,
    /// Jain's index of each contest when its first stream was done, in thousandths.
    pub fairness: Vec<u64>,
    /// The last lines of all logs, if a rule was broken.
    pub log: Vec<String>,
}

impl Scenario {
    /// Reads a scenario from TOML and checks the hosts it names.
    ///
    /// # Errors
    /// What is wrong with the text, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scenario: Scenario = toml::from_str(text).map_err(|e| e.to_string())?;
        scenario.multiply()?;
        scenario.check().map_err(|e| e.to_string())?;
        let mut behind = BTreeSet::new();
        if let Some(host) = scenario.routers.iter().flat_map(|r| &r.hosts).find(|host| !behind.insert(**host))
        {
            return Err(format!("host {host} is behind two routers, at most one is expected"));
        }
        Ok(scenario)
    }

    /// The scenario as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|e| format!("# cannot be written as TOML: {e}\n"))
    }

    /// Writes agents that are many as so many.
    fn multiply(&mut self) -> Result<(), String> {
        let total = self.agents.iter().fold(0_usize, |sum, agent| sum.saturating_add(agent.count));
        if total > MAX_AGENTS {
            return Err(format!("{total} agents, at most {MAX_AGENTS} are expected"));
        }
        let all = std::mem::take(&mut self.agents);
        let copies = |agent: Agent| std::iter::repeat_n(Agent { count: 1, ..agent.clone() }, agent.count);
        self.agents = all.into_iter().flat_map(copies).collect();
        Ok(())
    }

    fn check(&self) -> Result<(), NoSuchHost> {
        let hosts = self.agents.len() + 1;
        let work = self.work().flat_map(|(hosts, _)| hosts);
        let faults = self.faults.iter().flat_map(|f| f.hosts.iter().copied());
        let links = self.links.iter().flat_map(|l| l.hosts.iter().copied());
        let near = |agent: &Agent| [agent.beside, agent.carrier_of].into_iter().flatten();
        let beside = self.agents.iter().zip(1..).flat_map(|(agent, own)| {
            near(agent).map(move |other| if other == 0 || other >= own { hosts } else { other })
        });
        let routers = self.routers.iter().flat_map(|r| r.hosts.iter().copied());
        match work.chain(faults).chain(links).chain(routers).chain(beside).find(|host| *host >= hosts) {
            Some(host) => Err(NoSuchHost { host, hosts }),
            None => Ok(()),
        }
    }

    /// Nothing is broken on purpose that could end a stream: what is lost is sent again.
    fn is_calm(&self) -> bool {
        let mut links = self.links.iter().map(|link| &link.link).chain([&self.link]);
        self.faults.is_empty() && links.all(|link| link.loss_ppm < 60_000 && link.burst_enter_ppm == 0)
    }

    /// Runs it. A panic is a broken rule like any other.
    pub fn run(&self, watch: Option<Watch>) -> Report {
        let mut world = World::new(self.seed, self.link.clone());
        if let Some(Watch { observers, keys }) = watch {
            observers.into_iter().for_each(|observer| world.watch(observer));
            keys.into_iter().for_each(|keys| world.log_keys(keys));
        }
        let mut done = None;
        let result = catch_unwind(AssertUnwindSafe(|| self.live(&mut world, &mut done)));
        let breach = match result {
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                Some(Breach { at: world.now(), rule: "panic", words: text.unwrap_or_default() })
            }
            Ok(outcome) => world.breach().cloned().or(outcome.err()),
        };
        let log = match breach {
            Some(_) => {
                (0..=self.agents.len()).flat_map(|n| world.log(HostId(n)).collect::<Vec<_>>()).collect()
            }
            None => Vec::new(),
        };
        Report {
            breach,
            hash: world.hash(),
            counters: world.counters(),
            time: world.now().since(Instant::ORIGIN),
            done,
            verified: world.ledger.verified,
            transfers: (0..self.transfers.len()).filter_map(|n| world.ledger.transfer(n).copied()).collect(),
            fairness: world.ledger.fairness().to_vec(),
            log,
        }
    }

    fn live(&self, world: &mut World, done: &mut Option<Duration>) -> Result<(), Breach> {
        let breach = |world: &World, rule, words| Err(Breach { at: world.now(), rule, words });
        self.populate(world);
        self.shape(world);
        for fault in &self.faults {
            let at = Instant::from_millis(fault.at_ms);
            world.rest(at.since(world.now()));
            if world.breach().is_some() {
                return Ok(());
            }
            self.inflict(world, fault);
        }
        world.heal();
        for host in (0..=self.agents.len()).map(HostId) {
            world.fail_disk(host, false);
            world.fail_sink(host, false);
            world.restart(host);
        }
        // Work may be due later than the last fault.
        let last = Instant::from_millis(self.work().map(|(_, at_ms)| at_ms).max().unwrap_or(0));
        world.rest(last.since(world.now()));
        if !world.run(Duration::from_secs(self.limit_s), |world| world.is_done()) {
            let stuck = world.stuck();
            return breach(world, "does not finish", stuck.to_string());
        }
        *done = Some(world.now().since(Instant::ORIGIN));
        world.dismiss();
        world.rest(COOLING);
        // What was written before its program left is still on its way, and may be for long over a bad link.
        for _ in 0..LAST_BYTES {
            if world.judge_idle_tables().is_ok() {
                break;
            }
            world.rest(COOLING);
        }
        world.expect_empty_tables();
        let before = world.counters().datagrams;
        world.rest(WATCH);
        let (sent, agents) = (world.counters().datagrams - before, self.agents.len() as u64);
        if sent > agents * IDLE_DATAGRAMS {
            let words = format!("{sent} datagrams a minute among {agents} idle agents");
            return breach(world, "does not fall silent", words);
        }
        Ok(())
    }

    fn populate(&self, world: &mut World) {
        if self.encrypt {
            world.expect_encryption();
        }
        (world.ledger.calm, world.ledger.encrypted) = (self.is_calm(), self.encrypt);
        let rendezvous = world.add_rendezvous(default_rendezvous(), self.crypto);
        let (mut realms, mut carriers) = (vec![RealmId::INTERNET], vec![RealmId::INTERNET]);
        for agent in &self.agents {
            let outside = match (agent.carrier_of, agent.carrier) {
                (Some(other), _) => carriers.get(other).copied().unwrap_or(RealmId::INTERNET),
                (None, Some(nat)) => world.add_nat(RealmId::INTERNET, nat),
                (None, None) => RealmId::INTERNET,
            };
            let realm = match (agent.beside, agent.nat) {
                (Some(other), _) => realms.get(other).copied().unwrap_or(outside),
                (None, Some(nat)) => world.add_nat(outside, nat),
                (None, None) => outside,
            };
            realms.push(realm);
            carriers.push(outside);
            let change = |config: &mut DaemonConfig| {
                config.public = agent.public;
                config.trust_auto_approve = agent.auto_approve;
                config.relay_only = agent.relay_only;
                config.stream_memory = agent.memory_mib.saturating_mul(1 << 20);
                config.encrypt = self.encrypt;
                config.extensions.enabled = agent.extensions;
                if agent.webhook {
                    config.webhook = "http://sink.example/".into();
                }
            };
            let character = match (agent.rogue, agent.reference) {
                (Some(rogue), _) => Character::Rogue(rogue),
                (None, Some(quirks)) => Character::Reference(quirks),
                (None, None) => Character::Honest,
            };
            let host =
                world.add_character(rendezvous, realm, self.crypto, agent.drift_ppm, character, change);
            let serve = if agent.auto_approve { Serve::default() } else { Serve::approving() };
            world.add_program(host, Some(Box::new(serve)));
            if !agent.public {
                world.ledger.shut(host.index());
            }
        }
        self.employ(world);
    }

    fn shape(&self, world: &mut World) {
        let everybody = || (0..=self.agents.len()).map(HostId);
        for LinkSpec { hosts, link } in &self.links {
            match hosts[..] {
                [one] => everybody()
                    .filter(|other| other.0 != one)
                    .for_each(|other| world.shape(HostId(one), other, link)),
                _ => hosts.windows(2).for_each(|pair| world.shape(HostId(pair[0]), HostId(pair[1]), link)),
            }
        }
        for RouterSpec { hosts, rate, queue } in &self.routers {
            world.add_router(hosts.iter().copied().map(HostId), *rate, *queue);
        }
        for (host, agent) in everybody().skip(1).zip(&self.agents) {
            world.slow_programs(host, agent.read_rate);
        }
    }

    fn inflict(&self, world: &mut World, fault: &Fault) {
        let host = |n: usize| HostId(fault.hosts.get(n).copied().unwrap_or(0));
        match fault.verb {
            Verb::Crash => world.crash(host(0)),
            Verb::Restart => world.restart(host(0)),
            Verb::Stop => world.stop(host(0)),
            Verb::Partition => world.partition(host(0), host(1)),
            Verb::PartitionOneway => world.partition_oneway(host(0), host(1)),
            Verb::Clog => world.clog(host(0), host(1)),
            Verb::Heal => world.heal(),
            Verb::Rebind => world.rebind(host(0)),
            Verb::RebindCarrier => world.rebind_carrier(host(0)),
            Verb::JumpClock => world.jump_clock(host(0), fault.seconds.saturating_mul(1_000_000)),
            Verb::FailDisk => world.fail_disk(host(0), true),
            Verb::MendDisk => world.fail_disk(host(0), false),
            Verb::FailSink => world.fail_sink(host(0), true),
            Verb::MendSink => world.fail_sink(host(0), false),
        }
    }

    /// Hosts that any work or fault names.
    pub fn used_hosts(&self) -> BTreeSet<usize> {
        let faults = self.faults.iter().flat_map(|f| f.hosts.iter().copied());
        let beside = self.agents.iter().flat_map(|agent| [agent.beside, agent.carrier_of]).flatten();
        self.work().flat_map(|(hosts, _)| hosts).chain(faults).chain(beside).collect()
    }
}

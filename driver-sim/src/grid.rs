//! Every kind of NAT against every other: how two agents behind them come together, and that their data flows.

use std::fmt;

use pilot_proto::{Instant, time::Duration};
use pilot_roles::{
    client::Answer,
    ipc::{JsonKind, Request},
};

use crate::{
    link::LinkConfig,
    nat::{Dependence, NatConfig},
    net::HostId,
    workload::{Push, Serve},
    world::World,
};

/// Bytes that pass each way.
const BYTES: u64 = 20_000;
/// How long a pair may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a pair has to find a better path once data flows.
const SETTLE: Duration = Duration::from_secs(20);

/// How two agents came together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// Frames passed directly from the first one on.
    Direct,
    /// Frames pass directly, after the first ones had to be relayed: both had to send before one could receive.
    Punched,
    /// Frames pass through the beacon.
    Relayed,
    /// No data came through.
    Failed,
}

impl fmt::Display for Meeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Meeting::Direct => "direct",
            Meeting::Punched => "punched",
            Meeting::Relayed => "relayed",
            Meeting::Failed => "FAILED",
        })
    }
}

/// One kind of place in the network: a name and the NAT in front of it.
pub type Kind = (String, Option<NatConfig>);

/// The table: a row for each kind of the asking side, a column for each kind of the asked one.
#[derive(Clone, Debug)]
pub struct Grid {
    /// What is compared, in the order of rows and columns.
    pub kinds: Vec<Kind>,
    /// Rows of meetings.
    pub rows: Vec<Vec<Meeting>>,
}

impl Grid {
    /// How many came together in this way.
    pub fn count(&self, meeting: Meeting) -> usize {
        self.rows.iter().flatten().filter(|found| **found == meeting).count()
    }

    /// Whether data flowed in all of them.
    pub fn is_good(&self) -> bool {
        self.rows.iter().flatten().all(|meeting| *meeting != Meeting::Failed)
    }
}

/// A table in Markdown that is as well read on a terminal.
impl fmt::Display for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| asks \\ asked |")?;
        for (name, _) in &self.kinds {
            write!(f, " {name:<9} |")?;
        }
        write!(f, "\n| {:-<12} |", "")?;
        for _ in &self.kinds {
            write!(f, " {:-<9} |", "")?;
        }
        for ((name, _), row) in self.kinds.iter().zip(&self.rows) {
            write!(f, "\n| {name:<12} |")?;
            for meeting in row {
                write!(f, " {meeting:<9} |")?;
            }
        }
        writeln!(f)
    }
}

/// No NAT, and all nine kinds of mapping and filtering.
pub fn kinds() -> Vec<Kind> {
    let name = |d: Dependence| match d {
        Dependence::Independent => "any",
        Dependence::Address => "addr",
        Dependence::Port => "port",
    };
    let mut kinds = vec![("open".to_owned(), None)];
    for mapping in Dependence::ALL {
        for filtering in Dependence::ALL {
            let nat = NatConfig { mapping, filtering, ..NatConfig::default() };
            kinds.push((format!("{}/{}", name(mapping), name(filtering)), Some(nat)));
        }
    }
    kinds
}

/// The whole table.
pub fn nat_grid(seed: u64) -> Grid {
    let kinds = kinds();
    let rows = kinds.iter().map(|(_, a)| kinds.iter().map(|(_, b)| meet(seed, *a, *b)).collect()).collect();
    Grid { kinds, rows }
}

/// How an agent behind `a` comes together with one behind `b` that it asks for.
pub fn meet(seed: u64, a: Option<NatConfig>, b: Option<NatConfig>) -> Meeting {
    meet_in(seed, a, b).unwrap_or(Meeting::Failed)
}

fn meet_in(seed: u64, a: Option<NatConfig>, b: Option<NatConfig>) -> Option<Meeting> {
    let mut world = World::new(seed, LinkConfig::default());
    let rendezvous = world.add_default_rendezvous();
    let agents = [a, b].map(|nat| match nat {
        Some(nat) => world.add_daemon_behind(rendezvous, nat),
        None => world.add_public_daemon(rendezvous),
    });
    for agent in agents {
        world.add_program(agent, Some(Box::new(Serve::default())));
    }
    push(&mut world, agents[0], agents[1]);
    if !world.run(LIMIT, |world| world.is_done()) {
        return None;
    }
    world.rest(SETTLE);
    push(&mut world, agents[1], agents[0]);
    if !world.run(LIMIT, |world| world.is_done()) {
        return None;
    }
    let [a, b] = agents.map(|agent| is_relayed(&mut world, agent));
    Some(match (a? || b?, world.counters().relayed) {
        (true, _) => Meeting::Relayed,
        (false, 0) => Meeting::Direct,
        (false, _) => Meeting::Punched,
    })
}

fn push(world: &mut World, from: HostId, to: HostId) {
    let number = world.ledger.add_transfer(BYTES);
    world.add_program(from, Some(Box::new(Push::new(number, to.index(), Instant::ORIGIN))));
}

/// Whether an agent reaches its only peer through the beacon.
fn is_relayed(world: &mut World, agent: HostId) -> Option<bool> {
    let program = world.add_program(agent, None);
    match world.ask(program, &Request::Info, LIMIT) {
        Ok(Answer::Json(JsonKind::Info, info)) => info["peer_list"][0]["relay"].as_bool(),
        _ => None,
    }
}

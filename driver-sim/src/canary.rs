//! The canary: each bug planted on purpose must be found by the swarm, by one of the judges that this bug is for.

use std::fmt;

use pilot_proto::planted::{Bug, plant};

use crate::{
    scenario::{Report, Scenario},
    swarm::{shrink_while, swarm},
};

/// How one bug was found.
#[derive(Clone, Debug)]
pub struct Catch {
    /// The bug.
    pub bug: Bug,
    /// Seeds that were run until one broke a rule; all of them if none did.
    pub seeds: u64,
    /// The scenario that broke a rule, as small as it could be made, and how it ended.
    pub found: Option<(u64, Scenario, Report)>,
}

/// Plants one bug after another and lets the swarm look for it from seed `first` on, on at most `seeds` seeds. What it
/// found is made smaller if `small` is wanted.
pub fn canary(
    bugs: &[Bug],
    first: u64,
    seeds: u64,
    threads: usize,
    small: bool,
    mut each: impl FnMut(&Catch),
) -> Vec<Catch> {
    let mut catches = Vec::new();
    for &bug in bugs {
        let catch = look_for(bug, first, seeds, threads, small);
        plant(None);
        each(&catch);
        catches.push(catch);
    }
    catches
}

fn look_for(bug: Bug, first: u64, seeds: u64, threads: usize, small: bool) -> Catch {
    let (mut next, end) = (first, first + seeds);
    while next < end {
        plant(Some(bug));
        let outcome = swarm(next, end - next, None, threads, false, |_, _| {});
        let Some((scenario, report)) = outcome.broken else { break };
        // What breaks without the bug as well says nothing about it.
        plant(None);
        next = scenario.seed + 1;
        if scenario.run(None).breach.is_none() {
            plant(Some(bug));
            let seed = scenario.seed;
            // The smallest must be good without the bug, too.
            let good = |candidate: &Scenario| {
                plant(None);
                let good = candidate.run(None).breach.is_none();
                plant(Some(bug));
                good
            };
            let (scenario, report) = match small {
                true => shrink_while(&scenario, &report, good),
                false => (scenario, report),
            };
            return Catch { bug, seeds: next - first, found: Some((seed, scenario, report)) };
        }
    }
    Catch { bug, seeds, found: None }
}

/// Head of the table of catches.
pub const CANARY_HEAD: &str =
    "| bug | caught by | seeds | agents | faults | work | replay |\n|---|---|---|---|---|---|---|";

impl fmt::Display for Catch {
    /// A line of the table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((seed, small, report)) = &self.found else {
            return write!(f, "| {} | **NOT CAUGHT** | {} | | | | |", self.bug.name(), self.seeds);
        };
        let rule = report.breach.as_ref().map_or("", |breach| breach.rule);
        let (name, agents, faults, work) =
            (self.bug.name(), small.agents.len(), small.faults.len(), small.work().count());
        let replay = format!("`pilot-sim swarm --first {seed} --seeds 1 --plant {name}`");
        write!(f, "| {name} | {rule} | {} | {agents} | {faults} | {work} | {replay} |", self.seeds)
    }
}

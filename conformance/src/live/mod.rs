//! The live suite: one implementation at a time, every clause it can be asked about, on real sockets.
//!
//! The suite plays the rendezvous, the peers and the local programs around the target, well and ill behaved. A verdict
//! comes from what was on the wire or the local socket. Before the first case, after each and at the end a peer that
//! took no part has to be served: who merely hangs up passes nothing. Around a rendezvous under test there are agents
//! instead ([`server`]), and one that took no part is the control.

mod agent;
mod bench;
pub(crate) mod canary;
pub(crate) mod case;
pub(crate) mod cases;
pub(crate) mod client;
mod defects;
pub(crate) mod grid;
mod link;
mod memory;
mod page;
mod peer;
mod rendezvous;
pub(crate) mod report;
mod run;
mod server;
mod stand;
mod target;
pub(crate) mod trace;
mod trusting;
pub(crate) mod wire;

use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use case::{Case, Setup, Verdict};
use report::{Grid, Outcome};
use stand::{Programs, Stand};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use trace::Trace;

/// What the command line asked of the suite.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Known names (`ours`, `1.7.2`, `1.18.0`) or command lines with holes.
    pub(crate) targets: Vec<String>,
    /// Only cases whose id begins with one of these.
    pub(crate) only: Vec<String>,
    pub(crate) list: bool,
    pub(crate) repeat: u32,
    /// Where captures of each case go.
    pub(crate) captures: Option<PathBuf>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) junit: Option<PathBuf>,
    pub(crate) html: Option<PathBuf>,
    pub(crate) markdown: Option<PathBuf>,
    /// Reports in JSON to be joined.
    pub(crate) reports: Vec<PathBuf>,
    /// Of the canary: only these defects, and the whole sections they are in.
    pub(crate) bugs: Vec<String>,
    pub(crate) wide: bool,
    /// Cases that end otherwise than OK are not told as they end.
    pub(crate) quiet: bool,
}

impl Options {
    /// The known implementations that are asked for.
    pub(crate) fn flavours(&self) -> Vec<Flavour> {
        Flavour::ALL.into_iter().filter(|flavour| self.targets.iter().any(|t| t == flavour.name())).collect()
    }

    fn picks(&self, case: &Case) -> bool {
        self.only.is_empty() || self.only.iter().any(|prefix| case.id.starts_with(prefix.as_str()))
    }
}

/// Prints every case: id, clause, level, requirement.
pub(crate) fn list(options: &Options) {
    let cases = cases::all();
    for case in cases.iter().filter(|case| options.picks(case)) {
        println!("{:<48} {:<7} {:<6} {}", case.id, case.clause, case.level.name(), case.text);
    }
    println!("{} cases", cases.iter().filter(|case| options.picks(case)).count());
}

/// Runs the cases against each target; true when none of the first target's failed.
pub(crate) fn run(session: &Session, catalogue: &Catalogue, options: &Options) -> Result<bool, String> {
    let cases: Vec<Case> = cases::all().into_iter().filter(|case| options.picks(case)).collect();
    if cases.is_empty() {
        return Err(format!("no case begins with {:?}; --list shows all", options.only));
    }
    let mut grid = Grid::new(cases.iter().map(Case::heading));
    let mut passed = true;
    for name in &options.targets {
        let began = Instant::now();
        let flavour = Flavour::ALL.into_iter().find(|flavour| flavour.name() == name);
        let programs =
            flavour.map_or_else(|| Programs::of(name), |flavour| Programs::known(catalogue, flavour));
        let column = grid.column(name);
        for round in 0..options.repeat.max(1) {
            let ended = one_target(session, &cases, options, &mut grid, column, &programs, round);
            grid.seconds[column] = began.elapsed().as_secs_f64();
            report::write(&grid, options)?;
            ended?;
        }
        passed &= grid.failures(column) == 0 && grid.ran(column);
    }
    print!("{}", grid.to_text());
    Ok(passed)
}

fn one_target(
    session: &Session,
    cases: &[Case],
    options: &Options,
    grid: &mut Grid,
    column: usize,
    programs: &Programs,
    round: u32,
) -> Result<(), String> {
    for setup in [Setup::Public, Setup::Private, Setup::Rendezvous] {
        let Some(template) = programs.template(setup) else { continue };
        let wanted: Vec<(usize, &Case)> =
            cases.iter().enumerate().filter(|(_, case)| case.setup == setup).collect();
        if wanted.is_empty() {
            continue;
        }
        let trace = Trace::new();
        let mut node = 1000;
        let mut starts = 0;
        let mut start = |node: u32| {
            starts += 1;
            let home = session.scratch.join(format!("target-{column}-{round}-{setup:?}-{starts}"));
            Stand::start(session, &trace, template, setup, home, node)
        };
        let ready = start(node).and_then(|mut stand| stand.control().map(|()| stand));
        let mut stand = match ready {
            Ok(stand) => stand,
            Err(why) => {
                session.check()?;
                eprintln!("{setup:?}: no case is run: {why}");
                for (row, _) in wanted {
                    let verdict = Verdict::NotRun(why.clone());
                    grid.set(row, column, Outcome { verdict, seconds: 0.0, trace: trace.lines() });
                }
                continue;
            }
        };
        for (row, case) in wanted {
            session.check()?;
            trace.clear();
            let began = Instant::now();
            let mut verdict = case.level.judge(stand.perform(case));
            let seconds = began.elapsed();
            if let Err(why) = stand.control() {
                verdict = match verdict {
                    Verdict::Failed(first) => Verdict::Failed(format!("{first}; {why}")),
                    _ => Verdict::Failed(why),
                };
                let log = stand.log(2);
                trace.note(format!("log of the target: {log}"));
                node = stand.next_node();
                drop(stand);
                stand = start(node)?;
                stand
                    .control()
                    .map_err(|why| format!("the target serves nobody after its restart: {why}"))?;
            }
            if let Some(captures) = &options.captures {
                std::fs::create_dir_all(captures).map_err(|e| format!("{}: {e}", captures.display()))?;
                let name = format!("{}-{}.pcap", case.id.replace('/', "_"), column);
                trace.write_capture(&captures.join(name))?;
            }
            if !options.quiet {
                tell(case, &verdict, seconds);
            }
            grid.set(row, column, Outcome { verdict, seconds: seconds.as_secs_f64(), trace: trace.lines() });
        }
    }
    Ok(())
}

fn tell(case: &Case, verdict: &Verdict, took: Duration) {
    if *verdict != Verdict::Ok {
        eprintln!("{:<48} {:<13} {:5.2} s  {}", case.id, verdict.word(), took.as_secs_f64(), verdict.text());
    }
}

//! Every ordered pair of origins, step by step, through our rendezvous.

use crate::node::{Node, World};
use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use crate::report::{Report, Verdict};
use crate::steps::STEPS;
use crate::topology::Place;
use std::time::Instant;

/// Runs all pairs of `flavours`, or the one called `only`.
pub(crate) fn run(
    session: &Session,
    catalogue: &Catalogue,
    flavours: &[Flavour],
    only: Option<&str>,
    reports: &mut Vec<Report>,
) -> Result<(), String> {
    let report = Report::begin(reports, "client-target, each driven by its own pilotctl; seconds per step");
    let pairs = flavours.iter().flat_map(|&a| flavours.iter().map(move |&b| (a, b)));
    let pairs = pairs.map(|(a, b)| (a, b, format!("{}-{}", a.name(), b.name())));
    let pairs: Vec<_> = pairs.filter(|(_, _, name)| only.is_none_or(|only| only == name)).collect();
    if pairs.is_empty() {
        return Err(format!("no pair is called {:?}; one is ours-1.7.2", only.unwrap_or_default()));
    }
    for (a, b, name) in pairs {
        let failed = |why: String| {
            if a.is_ours() || b.is_ours() { Verdict::Fail(why) } else { Verdict::TheirDefect(why) }
        };
        let started = Instant::now();
        let world = World::start(session, catalogue, Place::LOOPBACK, &name)?;
        let nodes = Node::start(&world, a, Place::LOOPBACK, "a")
            .and_then(|a| Ok((a, Node::start(&world, b, Place::LOOPBACK, "b")?)));
        let (a, b) = match nodes {
            Ok(nodes) => nodes,
            Err(why) => {
                session.check()?;
                report.add(&name, "start", started.elapsed().as_secs_f64(), failed(why));
                continue;
            }
        };
        report.add(&name, "start", started.elapsed().as_secs_f64(), Verdict::Pass(String::new()));
        let mut trusted = true;
        for (column, step) in STEPS {
            if !trusted {
                report.add(&name, column, 0.0, Verdict::Skipped("no trust".into()));
                continue;
            }
            let started = Instant::now();
            let outcome = step(&a, &b);
            session.check()?;
            trusted = column != "trust" || outcome.is_ok();
            let verdict = match outcome {
                Ok(note) => Verdict::Pass(note),
                Err(why) => failed(format!("{why} [a: {}] [b: {}]", a.log(2), b.log(2))),
            };
            report.add(&name, column, started.elapsed().as_secs_f64(), verdict);
        }
    }
    Ok(())
}

//! The vectors, asked of any implementation through an adapter: a program that reads a question a line and writes an
//! answer a line, both JSON. How to write one is in `docs/adapters.md`.
//!
//! What is right comes from `spec/vectors` (captured from releases), from the codec of the live suite, or from a clause
//! spelled out in the case; never from the implementation of this project, which is asked like any other.

mod adapter;
mod case;
mod cases;
#[cfg(test)]
mod tests;

use crate::live::Options;
use crate::live::case::{Heading, Level, Verdict};
use crate::live::report::{self, Grid, Outcome};
use adapter::{Behaviour, Bounds, Told};
use case::Case;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What names our own adapter on the command line.
pub(crate) const OURS: &str = "ours";

/// What is told of an adapter as such, after all questions.
fn manners() -> [Heading; 2] {
    let heading = |id: &str, text: &str| Heading {
        id: format!("adapter/{id}"),
        clause: "ADP-1",
        level: Level::Must,
        text: text.into(),
    };
    [
        heading("one-line-one-answer", "each line of its output answers one open question"),
        heading("ends-with-its-input", "it ends by itself when its input does"),
    ]
}

fn judge(manner: usize, behaviour: &Behaviour) -> Verdict {
    match manner {
        0 if behaviour.strays > 0 => Verdict::Failed(format!(
            "{} lines answer no open question; the first is {:?}",
            behaviour.strays, behaviour.first_stray
        )),
        1 if !behaviour.ended => Verdict::Failed("it had to be killed".into()),
        _ => Verdict::Ok,
    }
}

fn picked(options: &Options, id: &str) -> bool {
    options.only.is_empty() || options.only.iter().any(|prefix| id.starts_with(prefix.as_str()))
}

fn wanted(options: &Options) -> (Vec<Case>, Vec<(usize, Heading)>) {
    let cases = cases::all().into_iter().filter(|case| picked(options, &case.heading.id)).collect();
    let manners = manners().into_iter().enumerate().filter(|(_, heading)| picked(options, &heading.id));
    (cases, manners.collect())
}

/// Prints every case: id, clause, level, requirement.
pub(crate) fn list(options: &Options) {
    let (cases, manners) = wanted(options);
    let headings = cases.iter().map(|case| &case.heading).chain(manners.iter().map(|(_, heading)| heading));
    for heading in headings.clone() {
        println!("{:<48} {:<7} {:<6} {}", heading.id, heading.clause, heading.level.name(), heading.text);
    }
    println!("{} cases", headings.count());
}

/// The command that runs our adapter, which is an example of this crate.
fn our_command() -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let path: PathBuf = own.parent().ok_or("own path has no directory")?.join("examples/pilot_adapter");
    if path.is_file() {
        return Ok(path.display().to_string());
    }
    let build = "cargo build -p pilot-conformance --example pilot_adapter";
    Err(format!("{} is not there; `{build}` makes it", path.display()))
}

/// Asks each adapter all cases; true when none failed and every one was asked.
pub(crate) fn run(options: &Options, patience: Option<Duration>) -> Result<bool, String> {
    let (cases, manners) = wanted(options);
    if cases.is_empty() {
        return Err(format!("no case begins with {:?}; --list shows all", options.only));
    }
    let bounds = Bounds { patience: patience.unwrap_or(Bounds::default().patience), ..Bounds::default() };
    let headings = cases.iter().map(|case| case.heading.clone());
    let mut grid = Grid::new(headings.chain(manners.iter().map(|(_, heading)| heading.clone())));
    let questions: Vec<Value> = cases.iter().map(|case| case.question.clone()).collect();
    let mut passed = true;
    for name in &options.targets {
        let command = if name == OURS { our_command()? } else { name.clone() };
        let column = grid.column(name);
        let began = Instant::now();
        let mut told = vec![false; cases.len()];
        let ended = adapter::ask(&command, &questions, bounds, &mut |number, answer| {
            told[number] = true;
            grid.set(number, column, outcome(&cases[number], answer));
        });
        let not_run =
            |why: &str| Outcome { verdict: Verdict::NotRun(why.into()), seconds: 0.0, trace: Vec::new() };
        if let Err(why) = &ended {
            for number in (0..cases.len()).filter(|number| !told[*number]) {
                grid.set(number, column, not_run(why));
            }
        }
        for (row, (manner, _)) in manners.iter().enumerate() {
            let outcome = match &ended {
                Ok(behaviour) => Outcome { verdict: judge(*manner, behaviour), ..not_run("") },
                Err(why) => not_run(why),
            };
            grid.set(cases.len() + row, column, outcome);
        }
        grid.seconds[column] = began.elapsed().as_secs_f64();
        report::write(&grid, options)?;
        eprintln!("{name}: {} questions in {:.1} s", cases.len(), began.elapsed().as_secs_f64());
        passed &= grid.failures(column) == 0 && grid.ran(column);
    }
    print!("{}", grid.to_text());
    Ok(passed)
}

fn outcome(case: &Case, told: Told) -> Outcome {
    Outcome {
        verdict: case.grade(&told.answer),
        seconds: told.took.as_secs_f64(),
        trace: vec![
            format!("> {}", case::short(&case.question.to_string())),
            format!("< {}", case::short(&told.line)),
        ],
    }
}

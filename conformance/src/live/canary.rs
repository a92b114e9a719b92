//! The canary: a build of ours with one defect switched on after another, each of which a case must catch.
//!
//! A case catches a defect if it is OK without it and not with it. The cases named here are those whose text is the rule
//! that the defect breaks; what else would notice is not asked, unless the whole sections are run.

use super::case::Case;
use super::defects::{DEFECTS, Defect, ELSEWHERE};
use super::report::Grid;
use super::stand::Programs;
use super::{Options, cases, one_target};
use crate::process::Session;
use crate::programs::Catalogue;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// What a defect's run came to.
struct Catch {
    ran: usize,
    by: Vec<String>,
    seconds: f64,
}

/// Runs the suite against one defect after another; true when all are caught.
pub(crate) fn run(session: &Session, catalogue: &Catalogue, options: &Options) -> Result<bool, String> {
    let options = &Options { quiet: true, ..options.clone() };
    let words = known(session, catalogue)?;
    let unknown = |name: &&String| !DEFECTS.iter().any(|defect| defect.name == **name);
    if let Some(name) = options.bugs.iter().find(unknown) {
        return Err(format!("no defect is called {name:?}"));
    }
    let picked: Vec<&Defect> = DEFECTS
        .iter()
        .filter(|d| options.bugs.is_empty() || options.bugs.iter().any(|b| b == d.name))
        .collect();
    let all: Vec<&str> = picked.iter().flat_map(|defect| defect.by).copied().collect();
    let usual = outcomes(session, catalogue, options, "none", &all, 0)?;
    if let Some((id, _)) = usual.iter().find(|(_, verdict)| **verdict == "FAILED") {
        return Err(format!("{id} fails without any defect, so it can catch none"));
    }
    println!("| defect | what is wrong | caught by | cases | s |\n| --- | --- | --- | --- | --- |");
    let mut missed = Vec::new();
    for (number, defect) in picked.iter().enumerate() {
        let began = Instant::now();
        let with = outcomes(session, catalogue, options, defect.name, defect.by, number as u32 + 1)?;
        let differs = |(id, verdict): &(&String, &&str)| usual.get(*id) == Some(&"OK") && **verdict != "OK";
        let by = with.iter().filter(differs).map(|(id, _)| id.clone()).collect();
        let catch = Catch { ran: with.len(), by, seconds: began.elapsed().as_secs_f64() };
        println!("{}", line(defect.name, words.get(defect.name).map_or("", String::as_str), &catch));
        if catch.by.is_empty() {
            missed.push(defect.name);
        }
    }
    println!("\n{} of {} caught", picked.len() - missed.len(), picked.len());
    if !missed.is_empty() {
        println!("not caught: {}", missed.join(", "));
    }
    Ok(missed.is_empty())
}

/// The defects of the planted build with what is wrong in each. Fails when one of them has no place here.
fn known(session: &Session, catalogue: &Catalogue) -> Result<BTreeMap<String, String>, String> {
    let list = session.run(Command::new(catalogue.planted()).arg("list"), Duration::from_secs(10))?;
    let words: BTreeMap<String, String> = list
        .stdout
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, words)| (name.into(), words.into()))
        .collect();
    let here = |name: &str| DEFECTS.iter().any(|d| d.name == name) || ELSEWHERE.contains(&name);
    match (words.keys().find(|name| !here(name)), DEFECTS.iter().find(|d| !words.contains_key(d.name))) {
        (Some(name), _) => Err(format!("no case is named for the defect {name:?}")),
        (_, Some(defect)) => Err(format!("the planted build has no defect {:?}", defect.name)),
        _ => Ok(words),
    }
}

/// How the cases end against the planted build with this defect.
fn outcomes(
    session: &Session,
    catalogue: &Catalogue,
    options: &Options,
    name: &str,
    by: &[&str],
    round: u32,
) -> Result<BTreeMap<String, &'static str>, String> {
    let section = |prefix: &str| prefix.split('/').next().map(|name| format!("{name}/")).unwrap_or_default();
    let wanted = |case: &Case| match options.wide {
        true => by.iter().any(|prefix| case.id.starts_with(&section(prefix))),
        false => by.iter().any(|prefix| case.id.starts_with(prefix)),
    };
    let cases: Vec<Case> = cases::all().into_iter().filter(wanted).collect();
    let mut grid = Grid::new(cases.iter().map(Case::heading));
    let column = grid.column(name);
    let programs = Programs::planted(catalogue, name);
    let ended = one_target(session, &cases, options, &mut grid, column, &programs, round);
    session.check()?;
    // A target that cannot be brought back to serve anybody has been caught by the case before.
    if let (Err(why), "none") = (ended, name) {
        return Err(why);
    }
    Ok(grid.verdicts(column))
}

fn line(name: &str, words: &str, catch: &Catch) -> String {
    let by = match catch.by.as_slice() {
        [] => "**NOT CAUGHT**".into(),
        [some @ .., last] if some.len() < 3 => {
            some.iter().chain([last]).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
        }
        [first, second, rest @ ..] => format!("`{first}`, `{second}` and {} more", rest.len()),
        [one] => format!("`{one}`"),
    };
    format!("| {name} | {words} | {by} | {} | {:.1} |", catch.ran, catch.seconds)
}

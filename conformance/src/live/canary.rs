//! The canary: a build of ours with one defect switched on after another, each of which a case must catch.
//!
//! A case catches a defect if it is OK without it and not with it. The cases named here are those whose text is the rule
//! that the defect breaks; what else would notice is not asked, unless the whole sections are run.

use super::case::Case;
use super::report::Grid;
use super::stand::Programs;
use super::{Options, cases, one_target, target};
use crate::process::Session;
use crate::programs::Catalogue;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// A defect, by its name in the planted build, and the beginnings of the ids of the cases that must catch it.
struct Defect {
    name: &'static str,
    by: &'static [&'static str],
}

const fn defect(name: &'static str, by: &'static [&'static str]) -> Defect {
    Defect { name, by }
}

/// Every defect that a daemon can have, by section.
const DEFECTS: &[Defect] = &[
    defect("checksum-ignored", &["packet/damaged-echo/"]),
    defect("version-ignored", &["packet/version/"]),
    defect("spoofed-source", &["packet/source-of-another-node", "packet/syn-from-another-source"]),
    defect("ping-storm", &["packet/pong-is-not-answered/", "packet/keepalive"]),
    defect("datagram-cut", &["packet/datagram/"]),
    defect("empty-datagram", &["packet/datagram-empty"]),
    defect("replay-accepted", &["tunnel/replay"]),
    defect("forged-key-accepted", &["tunnel/exchange-forged/", "tunnel/exchange-of-another-key"]),
    defect("anonymous-accepted", &["tunnel/anonymous-refused"]),
    defect("plaintext-accepted", &["tunnel/plaintext"]),
    defect("plaintext-fallback", &["tunnel/nothing-in-clear"]),
    defect("wedged-rekey", &["tunnel/exchange-fresh-is-answered", "tunnel/rekey-in-use"]),
    defect("nonce-reuse", &["tunnel/nonces-differ"]),
    defect("roaming-ignored", &["tunnel/roaming"]),
    defect("exchange-moves", &["tunnel/exchange-does-not-move"]),
    defect("ack-beyond-sent", &["stream/loss/acks-of-the-future"]),
    defect("lost-timer", &["stream/loss/lone-segment-soon", "stream/loss/retransmission-unchanged"]),
    defect("lost-retransmission", &["stream/loss/first/", "stream/loss/retransmission-unchanged"]),
    defect("fin-before-data", &["stream/close/fin-after-data"]),
    defect("fin-not-awaited", &["stream/close/fin-waits-for-data"]),
    defect("reset-of-anybody", &["stream/close/rst-of-another-peer"]),
    defect("sack-ignored", &["stream/loss/several-gaps-at-once"]),
    defect("window-ignored", &["stream/window/small", "stream/window/closed"]),
    defect("unfair-turns", &["stream/data/streams-share"]),
    defect("punch-ignored", &["nat/punch-command"]),
    defect("punch-flood", &["nat/punch-flood"]),
    defect("beacon-of-anybody", &["nat/punch-command-of-a-stranger", "nat/delivery-of-a-stranger"]),
    defect("relay-unanswered", &["nat/relay/"]),
    defect("trust-gate-skipped", &["trust/gate/syn-", "trust/gate/datagram"]),
    defect("revoke-leaves-open", &["trust/gate/revoked"]),
    defect(
        "unasked-accept",
        &["trust/forged/accept-without-request", "trust/relayed/accept-without-request"],
    ),
    defect("signature-ignored", &["trust/forged/signature-of-another-text"]),
    defect("old-message-taken", &["trust/forged/old"]),
    defect("trust-not-stored", &["trust/request/trust-survives-restart", "trust/revoke/stays-after-restart"]),
    defect("huge-message", &["ipc/framing/too-long"]),
    defect("slow-program-blocks", &["ipc/slow/"]),
    defect("dead-program-streams", &["ipc/program-ends"]),
    defect("dead-program-ports", &["ipc/bind/released", "ipc/dies/hundred-times"]),
    defect("echo-short", &["services/echo/"]),
    defect("data-unacknowledged", &["services/data/json"]),
    defect("events-to-all", &["services/events/topic"]),
];

/// Defects that a daemon does not show: those of a registry or beacon, and one that only a full table of streams shows,
/// which takes a minute to fill. The simulator finds them (`pilot-sim canary`).
const ELSEWHERE: &[&str] = &[
    "ack-before-sync",
    "lost-update",
    "duplicate-address",
    "name-taken-twice",
    "relay-misdelivered",
    "leaked-stream",
];

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
    let programs = Programs::of(&target::planted(catalogue, name));
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

#[cfg(test)]
mod tests {
    use super::super::case::Setup;
    use super::{DEFECTS, cases};
    use std::collections::BTreeSet;

    #[test]
    fn every_defect_has_cases_and_every_section_of_the_daemon_a_defect() {
        let all = cases::all();
        // What restarts and load ask are rules of the other sections, under stress; a rendezvous has no planted build.
        let stress = ["restart", "load"];
        let of_daemon = all.iter().filter(|case| case.setup != Setup::Rendezvous);
        let mut sections: BTreeSet<&str> = of_daemon
            .map(|case| case.id.split('/').next().unwrap_or_default())
            .filter(|section| !stress.contains(section))
            .collect();
        for defect in DEFECTS {
            for prefix in defect.by {
                assert!(all.iter().any(|case| case.id.starts_with(prefix)), "{}: {prefix}", defect.name);
                sections.remove(prefix.split('/').next().expect("a section"));
            }
        }
        assert!(sections.is_empty(), "no defect in {sections:?}");
    }
}

//! `pilot-conformance`: runs Pilot programs of several origins against each other on this machine.
//!
//! ```text
//! cargo run -p pilot-conformance -- interop    every pair of {ours, 1.7.2, 1.18.0}, and the released
//!                                              pilotctl 1.7.2 against our daemon
//! cargo run -p pilot-conformance -- faults     restarts, cut paths, many dials, crashes and idle cost, in seconds
//! cargo run -p pilot-conformance -- run        one implementation against every clause ([`live`])
//! cargo run -p pilot-conformance -- vectors    an implementation's codec and keys, through an adapter ([`vectors`])
//! cargo run -p pilot-conformance -- grid       reports of several runs joined
//! cargo run -p pilot-conformance -- canary     defects planted on purpose, each of which a case must catch
//! ```
//!
//! The released programs come from their wheels on the package index. Nothing here knows our internals: only
//! programs, flags, sockets, files and JSON. Everything runs in namespaces of its own where the kernel allows it
//! (see [`isolate`]), so no packet leaves the machine and nothing survives the run.

mod ctl_compat;
mod dials;
mod faults;
mod isolate;
mod live;
mod matrix;
mod node;
mod process;
mod programs;
mod report;
mod steps;
mod topology;
mod vectors;
mod wheels;

use process::Session;
use programs::{Catalogue, Flavour};
use report::Report;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
usage: pilot-conformance <interop|faults|run|canary|grid|vectors> [options]

  interop          every ordered pair of {ours, 1.7.2, 1.18.0}; then pilotctl 1.7.2 against our daemon
  faults           restarts, a cut path, many dials, first contact, crashes and idle cost
  run              one implementation against every clause it can be asked about
  canary           one defect planted on purpose after another, each of which a case of run must catch
  grid A.json B.json …
                   joins reports of run
  vectors          codec, keys and rules of any implementation, through an adapter (docs/adapters.md)

  --drivers WHICH  whose daemon is ours in interop: mio (default), async, or both, which meet each other too
  --only NAME      one part only: a pair (ours-1.7.2), 'ctl', or a fault (restart, path, dials,
                   contact, crash, idle)
  --work DIR       scratch directory (default: a new one, removed after a run without failures)
  --wheels DIR     where downloaded wheels are kept (default: target/conformance/wheels)
  --bin DIR        our programs (default: built with cargo, else beside this program)
  --flag FLAG      one more flag for our daemons (-no-extensions, -suite=chacha); may be repeated
  --json           machine-readable report on stdout (interop, faults)

of run:
  --target T       ours (default), async, 1.7.2, 1.18.0, or a command line: of a daemon, with the holes {registry}
                   {beacon} {listen} {socket} {identity} {home} {public}, or of a rendezvous, with the holes
                   {registry_addr} {beacon_addr} {store} {admin} {tls} {silence} {home}; may be given several
                   times
  --case PREFIX    only cases whose id begins so; may be given several times
  --section NAME   only this section
  --list           print the cases and end
  --repeat N       run each case N times and keep the worst outcome
  --pcap DIR       a capture of each case
  --json-file F, --junit F, --html F   reports

of grid:
  --html F, --json-file F, --junit F   as of run
  --markdown F     a document: its table is renewed, and every failure has to be named in it

of canary:
  --bug NAME       only this defect; may be given several times
  --wide           all cases of the sections that a defect belongs to

of vectors:
  --adapter CMD    the adapter's command line, run by sh (default: ours); may be given several times
  --timeout N      seconds an answer may take (default: 5)
  --case, --section, --list, --json-file, --junit, --html   as in run
";

/// What the command line asked for.
#[derive(Debug, Clone, Default)]
struct Options {
    command: String,
    only: Option<String>,
    work: Option<PathBuf>,
    wheels: Option<PathBuf>,
    bin: Option<PathBuf>,
    flags: Vec<String>,
    drivers: Drivers,
    json: bool,
    live: live::Options,
    /// How long an adapter may take for an answer.
    patience: Option<Duration>,
}

/// Which of our daemons take part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Drivers {
    #[default]
    Mio,
    Async,
    Both,
}

impl Drivers {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "mio" => Ok(Drivers::Mio),
            "async" => Ok(Drivers::Async),
            "both" => Ok(Drivers::Both),
            other => Err(format!("no driver is called {other:?}: expected mio, async or both")),
        }
    }

    fn flavours(self) -> Vec<Flavour> {
        let left_out = match self {
            Drivers::Mio => Some(Flavour::Async),
            Drivers::Async => Some(Flavour::Ours),
            Drivers::Both => None,
        };
        Flavour::ALL.into_iter().filter(|flavour| Some(*flavour) != left_out).collect()
    }
}

/// What a run is given; the rest is for its other half, which needs the same.
const COMMANDS: [&str; 6] = ["interop", "faults", "run", "canary", "grid", "vectors"];

fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let expected = COMMANDS.join(", ");
    let command = args.next().ok_or(format!("missing command: expected one of {expected}"))?;
    if !COMMANDS.contains(&command.as_str()) {
        return Err(format!("unknown command {command:?}: expected one of {expected}"));
    }
    let mut options = Options { command, ..Options::default() };
    while let Some(flag) = args.next() {
        let mut value = || args.next().ok_or(format!("{flag} needs a value"));
        match flag.as_str() {
            "--only" => options.only = Some(value()?),
            "--work" => options.work = Some(value()?.into()),
            "--wheels" => options.wheels = Some(value()?.into()),
            "--bin" => options.bin = Some(value()?.into()),
            "--flag" => options.flags.push(value()?),
            "--drivers" => options.drivers = Drivers::parse(&value()?)?,
            "--json" => options.json = true,
            "--target" | "--adapter" if (flag == "--adapter") == (options.command == "vectors") => {
                options.live.targets.push(value()?)
            }
            "--timeout" => {
                let text = value()?;
                let seconds = text.parse().map_err(|e| format!("--timeout {text:?}: {e}"))?;
                options.patience = Some(Duration::from_secs(seconds));
            }
            "--case" => options.live.only.push(value()?),
            "--section" => options.live.only.push(format!("{}/", value()?)),
            "--list" => options.live.list = true,
            "--bug" => options.live.bugs.push(value()?),
            "--wide" => options.live.wide = true,
            "--repeat" => {
                let text = value()?;
                let count = text.parse().map_err(|e| format!("--repeat {text:?}: {e}"))?;
                options.live.repeat = count;
            }
            "--pcap" => options.live.captures = Some(absolute(&value()?)?),
            "--json-file" => options.live.json = Some(absolute(&value()?)?),
            "--junit" => options.live.junit = Some(absolute(&value()?)?),
            "--html" => options.live.html = Some(absolute(&value()?)?),
            "--markdown" => options.live.markdown = Some(absolute(&value()?)?),
            report if options.command == "grid" && !report.starts_with('-') => {
                options.live.reports.push(absolute(report)?);
            }
            _ => return Err(format!("unknown option {flag:?}")),
        }
    }
    if options.live.targets.is_empty() {
        options.live.targets.push(programs::Flavour::Ours.name().into());
    }
    Ok(options)
}

/// The other half of the run may be in another directory.
fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|e| format!("{path:?}: {e}"))
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let vectors = options.command == "vectors";
    if options.live.list {
        if vectors {
            vectors::list(&options.live);
        } else {
            live::list(&options.live);
        }
        return ExitCode::SUCCESS;
    }
    let ended = match options.command.as_str() {
        "grid" => live::grid::run(&options.live),
        "vectors" => vectors::run(&options.live, options.patience),
        _ => run(options),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("pilot-conformance: {why}");
            ExitCode::FAILURE
        }
    }
}

/// True when nothing of ours failed.
fn run(mut options: Options) -> Result<bool, String> {
    if !isolate::is_inside() {
        // Fetching and building need the world outside; running needs to be shut off from it.
        let planted = options.command == "canary";
        let needed = match options.command.as_str() {
            "run" => options.live.flavours(),
            "canary" => Vec::new(),
            _ => Flavour::ALL.to_vec(),
        };
        let catalogue = Catalogue::prepare(options.bin.take(), options.wheels.take(), &needed, planted)?;
        let keep = options.work.is_some();
        let work = options.work.take().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("pilot-conformance-{}", std::process::id()))
        });
        std::fs::create_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
        let work = work.canonicalize().map_err(|e| format!("{}: {e}", work.display()))?;
        let mut args: Vec<String> = std::env::args().skip(1).collect();
        args.extend(["--work".into(), work.display().to_string()]);
        let passed = isolate::run(&args, &catalogue)?;
        if passed && !keep {
            std::fs::remove_dir_all(&work).map_err(|e| format!("{}: {e}", work.display()))?;
        } else {
            eprintln!("logs: {}", work.display());
        }
        return Ok(passed);
    }
    let catalogue = Catalogue::from_environment(options.flags.clone())?;
    let work = options.work.clone().ok_or("--work is missing")?;
    let limit = match options.command.as_str() {
        "run" => 1200 * options.live.targets.len() as u64 * u64::from(options.live.repeat.max(1)),
        "canary" => 1200,
        "faults" => 600,
        _ => 360,
    };
    let session = Session::new(work, Duration::from_secs(limit))?;
    if options.command == "run" {
        return live::run(&session, &catalogue, &options.live);
    }
    if options.command == "canary" {
        return live::canary::run(&session, &catalogue, &options.live);
    }
    let mut reports = Vec::new();
    // What was found before an interruption is reported all the same.
    let ended = fill(&mut reports, &session, &catalogue, &options);
    if options.json {
        println!("{}", report::to_json(&reports));
    } else {
        reports.iter().for_each(|report| print!("{}", report.to_text()));
    }
    ended.map(|()| reports.iter().all(|report| report.failures() == 0))
}

fn fill(
    reports: &mut Vec<Report>,
    session: &Session,
    catalogue: &Catalogue,
    options: &Options,
) -> Result<(), String> {
    let only = options.only.as_deref();
    if options.command == "faults" {
        return faults::run(session, catalogue, only, reports);
    }
    if only != Some("ctl") {
        matrix::run(session, catalogue, &options.drivers.flavours(), only, reports)?;
    }
    if only.is_none_or(|only| only == "ctl") {
        ctl_compat::run(session, catalogue, reports)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn words(text: &str) -> impl Iterator<Item = String> {
        text.split_whitespace().map(String::from)
    }

    #[test]
    fn options_follow_the_command() {
        let options = parse(words("interop --only ours-1.7.2 --flag -suite=aes --json")).expect("valid");
        assert_eq!(options.command, "interop");
        assert_eq!(options.only.as_deref(), Some("ours-1.7.2"));
        assert_eq!(options.flags, ["-suite=aes"]);
        assert!(options.json);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (line, named) in
            [("", "command"), ("test", "test"), ("interop --fast", "--fast"), ("faults --only", "--only")]
        {
            let why = parse(words(line)).expect_err("invalid");
            assert!(why.contains(named), "{why}");
        }
    }
}

//! The program `pilot-sim`: runs scenarios, swarms of them, and the table of NATs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, Parser, Subcommand, value_parser};
use indicatif::{ProgressBar, ProgressStyle};
use pilot_sim::{
    Counters, CryptoChoice, Meeting, Outputs, Report, Scale, Scenario, Transfer, draw, nat_grid, peak_memory,
    processor, processor_time, shrink, swarm,
};

/// What runs, for the first line of every output.
const VERSION: &str = concat!("pilot-sim ", env!("CARGO_PKG_VERSION"), " (", env!("PILOT_SIM_COMMIT"), ")");

#[derive(Debug, Parser)]
#[command(name = "pilot-sim", version, about = "Whole Pilot networks from one seed")]
struct Options {
    /// Plant a bug on purpose
    #[cfg(feature = "planted")]
    #[arg(long, global = true, value_name = "BUG")]
    plant: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Draw scenarios from seeds and run them until one breaks a rule
    Swarm {
        /// How many seeds
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// Stop after this many seconds
        #[arg(long, value_name = "SECONDS")]
        time: Option<u64>,
        /// Threads; one per core if not given
        #[arg(long)]
        threads: Option<usize>,
        /// Run each seed twice and compare
        #[arg(long)]
        twice: bool,
        /// Print a line for each seed
        #[arg(long)]
        verbose: bool,
        /// Do not look for a smaller scenario when one breaks
        #[arg(long)]
        no_shrink: bool,
        /// Where to write the scenario that broke
        #[arg(long, value_name = "FILE", default_value = "broken.toml")]
        save: PathBuf,
    },
    /// Run a scenario file, or the scenario of a seed
    Run {
        /// The file; - is standard input
        #[arg(required_unless_present = "seed")]
        file: Option<PathBuf>,
        /// The scenario that a swarm draws from this seed
        #[arg(long, conflicts_with = "file")]
        seed: Option<u64>,
        /// Write what happens as lines of JSON
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
        /// Write all datagrams as pcapng, for Wireshark
        #[arg(long, value_name = "FILE")]
        pcap: Option<PathBuf>,
        /// Write the keys of all sessions, to read the datagrams with
        #[arg(long, value_name = "FILE")]
        keys: Option<PathBuf>,
        /// Write a report with drawings, as one HTML file
        #[arg(long, value_name = "FILE")]
        report: Option<PathBuf>,
        /// Print the ends of all logs even if all went well
        #[arg(long)]
        log: bool,
    },
    /// Print the scenario of a seed
    Draw {
        /// The seed
        seed: u64,
    },
    /// Plant one bug after another and see which judge finds it, and how soon
    #[cfg(feature = "planted")]
    Canary {
        /// Only these bugs
        bugs: Vec<String>,
        /// How many seeds each may take
        #[arg(long, default_value_t = 1200)]
        seeds: u64,
        /// The first seed
        #[arg(long, default_value_t = 1)]
        first: u64,
        /// Threads; one per core if not given
        #[arg(long)]
        threads: Option<usize>,
        /// Do not look for smaller scenarios
        #[arg(long)]
        no_shrink: bool,
        /// Where to write the scenarios that found them
        #[arg(long, value_name = "DIRECTORY")]
        save: Option<PathBuf>,
    },
    /// Every kind of NAT against every other
    NatGrid,
    /// Thousands of agents in one process: how fast, and in how much memory
    Scale(ScaleOptions),
}

#[derive(Debug, Args)]
struct ScaleOptions {
    /// How many agents
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(2..))]
    agents: u32,
    /// How many pairs of them come to trust each other
    #[arg(long, default_value_t = 20_000)]
    pairs: u32,
    /// How many messages each pair sends there and back
    #[arg(long, default_value_t = 20)]
    messages: u32,
    /// Bytes of a message
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=65_536))]
    bytes: u32,
    /// Which cryptography to compute with
    #[arg(long, default_value = "real")]
    crypto: CryptoChoice,
    /// The seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    // A panic of a role is reported with its scenario; where it was is still worth a line.
    std::panic::set_hook(Box::new(|info| eprintln!("panic: {info}")));
    let options = Options::parse();
    #[cfg(feature = "planted")]
    if let Some(name) = &options.plant {
        match bug(name) {
            Ok(bug) => pilot_proto::planted::plant(Some(bug)),
            Err(words) => {
                eprintln!("{words}");
                return ExitCode::from(2);
            }
        }
    }
    match options.command {
        #[cfg(feature = "planted")]
        Command::Canary { bugs, seeds, first, threads, no_shrink, save } => {
            find_planted(&bugs, first, seeds, threads, !no_shrink, save)
        }
        Command::Swarm { seeds, first, time, threads, twice, verbose, no_shrink, save } => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            let threads = threads.unwrap_or(cores);
            let limit = time.map_or(String::new(), |seconds| format!(", {seconds} s at most"));
            println!(
                "{VERSION}: seeds {first} to {}, {threads} threads, each seed {}{limit}",
                first + seeds.saturating_sub(1),
                if twice { "twice" } else { "once" }
            );
            let bar = bar(seeds);
            let began = Instant::now();
            let progress = |seed: u64, report: &Report| {
                if verbose {
                    bar.suspend(|| println!("seed {seed}: {}", summary(report)));
                }
                bar.inc(1);
            };
            let outcome = swarm(first, seeds, time.map(Duration::from_secs), threads, twice, progress);
            bar.finish_and_clear();
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "{} good in {seconds:.1} s: {} events, {} datagrams, {} stream bytes compared; {:.0} events/s",
                outcome.good,
                outcome.events,
                outcome.datagrams,
                outcome.verified,
                outcome.events as f64 / seconds
            );
            let Some((scenario, report)) = outcome.broken else { return ExitCode::SUCCESS };
            println!("seed {}: {}", scenario.seed, summary(&report));
            println!("replay: pilot-sim run --seed {}", scenario.seed);
            let waiting = spinner("looking for a smaller scenario that breaks the same rule");
            let (scenario, report) = if no_shrink { (scenario, report) } else { shrink(&scenario, &report) };
            waiting.finish_and_clear();
            println!("smallest found: {}", summary(&report));
            print_log(&report);
            match fs::write(&save, scenario.to_toml()) {
                Ok(()) => println!("replay: pilot-sim run {}", save.display()),
                Err(e) => println!("cannot write {}: {e}\n{}", save.display(), scenario.to_toml()),
            }
            ExitCode::FAILURE
        }
        Command::Run { file, seed, trace, pcap, keys, report, log } => {
            let outputs = Outputs { trace, pcap, keys, report };
            let title = title(file.as_deref(), seed);
            println!("{VERSION}: {title}");
            let waiting = spinner("running");
            let report =
                scenario(file, seed).and_then(|s| outputs.run(&title, &s).map_err(|e| e.to_string()));
            waiting.finish_and_clear();
            match report {
                Ok(report) => {
                    println!("{}", summary(&report));
                    report
                        .transfers
                        .iter()
                        .enumerate()
                        .for_each(|(n, transfer)| println!("{}", course(n, transfer)));
                    if report.breach.is_some() || log {
                        print_log(&report);
                    }
                    if report.breach.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
                }
                Err(words) => {
                    eprintln!("{words}");
                    ExitCode::from(2)
                }
            }
        }
        Command::Draw { seed } => {
            print!("{}", draw(seed).to_toml());
            ExitCode::SUCCESS
        }
        Command::Scale(options) => scale(&options),
        Command::NatGrid => {
            let grid = nat_grid(1);
            println!(
                "{VERSION}: rows ask for columns; mapping/filtering by nothing, address, or address and port"
            );
            print!("\n{grid}\n");
            let counts = [Meeting::Direct, Meeting::Punched, Meeting::Relayed, Meeting::Failed]
                .map(|meeting| format!("{} {meeting}", grid.count(meeting)));
            println!("{}", counts.join(", "));
            if grid.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn title(file: Option<&Path>, seed: Option<u64>) -> String {
    match (file.and_then(Path::file_name), seed) {
        (_, Some(seed)) => format!("seed {seed}"),
        (Some(name), None) => name.to_string_lossy().into_owned(),
        (None, None) => "a scenario".into(),
    }
}

fn scenario(file: Option<PathBuf>, seed: Option<u64>) -> Result<Scenario, String> {
    let (name, text) = match (file, seed) {
        (_, Some(seed)) => return Ok(draw(seed)),
        (Some(path), None) if path.as_os_str() != "-" => {
            (path.display().to_string(), fs::read_to_string(path))
        }
        _ => ("standard input".to_owned(), io::read_to_string(io::stdin())),
    };
    let text = text.map_err(|e| format!("{name}: {e}"))?;
    Scenario::parse(&text).map_err(|e| format!("{name}: {e}"))
}

fn scale(options: &ScaleOptions) -> ExitCode {
    let ScaleOptions { agents, pairs, messages, bytes, crypto, seed } = *options;
    if u64::from(pairs) > u64::from(agents) * u64::from(agents - 1) / 2 {
        eprintln!("{agents} agents make no {pairs} different pairs");
        return ExitCode::from(2);
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "machine: {}, {cores} cores; one is used",
        processor().as_deref().unwrap_or("unknown processor")
    );
    println!(
        "{agents} agents, {pairs} pairs, {messages} messages of {bytes} bytes there and back, {crypto:?} crypto"
    );
    println!("datagrams: sent ones and received ones; /s: per second of processor time");
    println!(
        "{:<9} {:>8} {:>8} {:>8} {:>10} {:>10} {:>9} {:>11} {:>8}",
        "phase", "world s", "wall s", "cpu s", "events", "datagrams", "events/s", "datagrams/s", "peak MiB"
    );
    let clock = Instant::now();
    // Where the system does not tell, all time counts as the processor's.
    let both = || {
        let wall = clock.elapsed();
        [wall, processor_time().unwrap_or(wall)].map(|time| time.as_secs_f64())
    };
    let row = |name: &str, world: f64, [wall, cpu]: [f64; 2], c: Counters| {
        let peak = peak_memory().map_or("-".into(), |bytes| (bytes >> 20).to_string());
        let (events, datagrams) = (c.events, c.datagrams + c.delivered);
        let (per, of) = (events as f64 / cpu, datagrams as f64 / cpu);
        println!(
            "{name:<9} {world:>8.2} {wall:>8.2} {cpu:>8.2} {events:>10} {datagrams:>10} {per:>9.0} {of:>11.0} {peak:>8}"
        );
    };
    let began = both();
    let since = |then: [f64; 2]| {
        let now = both();
        [now[0] - then[0], now[1] - then[1]]
    };
    let (mut last, mut world, mut all) = (began, 0.0, Counters::default());
    let scale = Scale {
        seed,
        agents: agents as usize,
        pairs: pairs as usize,
        messages,
        bytes: bytes as usize,
        crypto,
    };
    let scaled = scale.run(|phase| {
        let simulated = phase.simulated.as_secs_f64();
        world += simulated;
        all = phase.total;
        row(phase.name, simulated, since(last), phase.counters);
        last = both();
    });
    row("all", world, since(began), all);
    println!(
        "registered {} of {agents}, trusted {} of {pairs}, messages delivered {} of {}, hash {:016x}",
        scaled.registered,
        scaled.trusted,
        scaled.delivered,
        u64::from(pairs) * u64::from(messages),
        scaled.hash
    );
    scaled.missing.iter().for_each(|line| println!("  {line}"));
    if scaled.missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What became of a transfer.
fn course(number: usize, transfer: &Transfer) -> String {
    let seconds = |at: pilot_proto::Instant| at.as_micros() as f64 / 1e6;
    let Transfer { bytes, received, began_at, done_at, .. } = transfer;
    match (began_at.map(seconds), done_at.map(seconds)) {
        (Some(began), Some(done)) => {
            let rate = *bytes as f64 * 8.0 / 1e6 / (done - began).max(1e-6);
            format!("transfer {number}: {bytes} bytes, from {began:.2} s to {done:.2} s, {rate:.2} Mbit/s")
        }
        (Some(began), None) => {
            format!("transfer {number}: began at {began:.2} s, {received} of {bytes} bytes")
        }
        (None, _) => format!("transfer {number}: {bytes} bytes, never began"),
    }
}

/// How far a swarm is; on a terminal only.
fn bar(seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {elapsed}, {eta} left");
    ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// That something is going on; on a terminal only.
fn spinner(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}, {elapsed}");
    let bar =
        ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.with_message(what)
}

fn summary(report: &Report) -> String {
    let c = report.counters;
    let numbers = format!(
        "{:.1} s simulated, {} events, {} datagrams, {} bytes compared, hash {:016x}",
        report.time.as_secs_f64(),
        c.events,
        c.datagrams,
        report.verified,
        report.hash
    );
    match &report.breach {
        Some(breach) => format!("BROKEN: {breach}\n{numbers}"),
        None => format!(
            "good, done after {:.1} s: {numbers}{}",
            report.done.unwrap_or_default().as_secs_f64(),
            fairness(report)
        ),
    }
}

fn fairness(report: &Report) -> String {
    let indexes: Vec<String> =
        report.fairness.iter().map(|index| format!("{:.3}", *index as f64 / 1000.0)).collect();
    if indexes.is_empty() { String::new() } else { format!(", fairness {}", indexes.join(" ")) }
}

fn print_log(report: &Report) {
    let mut lines = report.log.clone();
    // Each line begins with its time, right-aligned.
    lines.sort();
    for line in lines {
        println!("  {line}");
    }
}

/// The bug of this name.
#[cfg(feature = "planted")]
fn bug(name: &str) -> Result<pilot_proto::planted::Bug, String> {
    let all = pilot_proto::planted::Bug::ALL;
    all.iter().copied().find(|bug| bug.name() == name).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|bug| bug.name()).collect();
        format!("no bug is called {name:?}; there are {}", names.join(", "))
    })
}

#[cfg(feature = "planted")]
fn find_planted(
    names: &[String],
    first: u64,
    seeds: u64,
    threads: Option<usize>,
    small: bool,
    save: Option<PathBuf>,
) -> ExitCode {
    use pilot_sim::{CANARY_HEAD, canary};
    let bugs: Result<Vec<_>, String> = names.iter().map(|name| bug(name)).collect();
    let bugs = match bugs {
        Ok(bugs) if bugs.is_empty() => pilot_proto::planted::Bug::SWARM.to_vec(),
        Ok(bugs) => bugs,
        Err(words) => {
            eprintln!("{words}");
            return ExitCode::from(2);
        }
    };
    // A panic is one of the ways to find a bug.
    std::panic::set_hook(Box::new(|_| ()));
    let threads = threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    println!("{CANARY_HEAD}");
    let catches = canary(&bugs, first, seeds, threads, small, |catch| println!("{catch}"));
    for (catch, directory) in catches.iter().zip(save.iter().cycle()) {
        if let Some((_, small, _)) = &catch.found {
            let file = directory.join(format!("{}.toml", catch.bug.name()));
            if let Err(e) = fs::write(&file, small.to_toml()) {
                println!("cannot write {}: {e}", file.display());
            }
        }
    }
    let missed = catches.iter().filter(|catch| catch.found.is_none()).count();
    println!("{} of {} caught", catches.len() - missed, catches.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

//! The program `pilot-sim`: runs scenarios, swarms of them, and the table of NATs.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, Subcommand};
use pilot_sim::{Report, Scenario, draw, nat_grid, shrink, swarm};

#[derive(Debug, Parser)]
#[command(name = "pilot-sim", version, about = "Whole Pilot networks from one seed")]
struct Options {
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
    /// Run a scenario file
    Run {
        /// The file
        file: PathBuf,
        /// Write what happens as lines of JSON
        #[arg(long, value_name = "FILE")]
        trace: Option<PathBuf>,
        /// Print the ends of all logs even if all went well
        #[arg(long)]
        log: bool,
    },
    /// Print the scenario of a seed
    Draw {
        /// The seed
        seed: u64,
    },
    /// Every kind of NAT against every other
    NatGrid,
}

fn main() -> ExitCode {
    // A panic of a role is reported with its scenario; where it was is still worth a line.
    std::panic::set_hook(Box::new(|info| eprintln!("panic: {info}")));
    match Options::parse().command {
        Command::Swarm { seeds, first, time, threads, twice, verbose, no_shrink, save } => {
            let cores = thread::available_parallelism().map_or(1, usize::from);
            let threads = threads.unwrap_or(cores);
            println!(
                "pilot-sim {}: seeds {first} to {}, {threads} threads",
                env!("CARGO_PKG_VERSION"),
                first + seeds - 1
            );
            let began = Instant::now();
            let progress = |seed: u64, report: &Report| {
                if verbose {
                    println!("seed {seed}: {}", summary(report));
                }
            };
            let outcome = swarm(first, seeds, time.map(Duration::from_secs), threads, twice, progress);
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
            println!("replay: pilot-sim swarm --first {} --seeds 1", scenario.seed);
            let (scenario, report) = if no_shrink { (scenario, report) } else { shrink(&scenario, &report) };
            println!("smallest found: {}", summary(&report));
            print_log(&report);
            match fs::write(&save, scenario.to_toml()) {
                Ok(()) => println!("replay: pilot-sim run {}", save.display()),
                Err(e) => println!("cannot write {}: {e}\n{}", save.display(), scenario.to_toml()),
            }
            ExitCode::FAILURE
        }
        Command::Run { file, trace, log } => match run(&file, trace) {
            Ok(report) => {
                println!("{}", summary(&report));
                if report.breach.is_some() || log {
                    print_log(&report);
                }
                if report.breach.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
            }
            Err(words) => {
                eprintln!("{words}");
                ExitCode::from(2)
            }
        },
        Command::Draw { seed } => {
            print!("{}", draw(seed).to_toml());
            ExitCode::SUCCESS
        }
        Command::NatGrid => {
            let grid = nat_grid(1);
            print!("{grid}");
            if grid.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
    }
}

fn run(file: &PathBuf, trace: Option<PathBuf>) -> Result<Report, String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let scenario = Scenario::parse(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let out = match trace {
        Some(path) => {
            let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            Some(Box::new(BufWriter::new(file)) as Box<dyn Write + Send>)
        }
        None => None,
    };
    Ok(scenario.run(out))
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
        None => format!("good, done after {:.1} s: {numbers}", report.done.unwrap_or_default().as_secs_f64()),
    }
}

fn print_log(report: &Report) {
    let mut lines = report.log.clone();
    // Each line begins with its time, right-aligned.
    lines.sort();
    for line in lines {
        println!("  {line}");
    }
}

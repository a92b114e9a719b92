//! The daemon or the rendezvous with one bug planted on purpose, for `pilot-conformance canary` to find.
//!
//! ```text
//! pilot-planted list                           every bug: name, tab, what is wrong
//! pilot-planted NAME|none daemon|rendezvous …  the program, its flags behind
//! ```

use std::process::ExitCode;

use pilot_proto::planted::{Bug, plant};

const USAGE: &str = "usage: pilot-planted list | pilot-planted BUG|none daemon|rendezvous [flags]";

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let mut word = || args.next().and_then(|word| word.into_string().ok()).unwrap_or_default();
    let name = word();
    if name == "list" {
        Bug::ALL.iter().for_each(|bug| println!("{}\t{}", bug.name(), bug.words()));
        return ExitCode::SUCCESS;
    }
    let bug = Bug::ALL.iter().copied().find(|bug| bug.name() == name);
    let program = word();
    if bug.is_none() && name != "none" {
        eprintln!("no bug is called {name:?}\n{USAGE}");
        return ExitCode::from(2);
    }
    plant(bug);
    match program.as_str() {
        "daemon" => pilot_mio::daemon(args),
        "rendezvous" => pilot_mio::rendezvous(args),
        other => {
            eprintln!("no program is called {other:?}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

//! One agent's node of a Pilot network.

fn main() -> std::process::ExitCode {
    pilot_mio::daemon(std::env::args_os().skip(1))
}

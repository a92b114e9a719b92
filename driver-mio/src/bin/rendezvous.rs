//! Registry and beacon of a Pilot network.

fn main() -> std::process::ExitCode {
    pilot_mio::rendezvous(std::env::args_os().skip(1))
}

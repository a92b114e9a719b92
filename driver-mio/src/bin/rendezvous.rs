//! Registry and beacon of a Pilot network.

fn main() -> std::process::ExitCode {
    pilot_mio::rendezvous::main(std::env::args_os().skip(1))
}

//! Registry and beacon of a Pilot network, on an async executor.

fn main() -> std::process::ExitCode {
    pilot_async::rendezvous(std::env::args_os().skip(1))
}

//! One agent's node of a Pilot network, on an async executor.

fn main() -> std::process::ExitCode {
    pilot_async::daemon(std::env::args_os().skip(1))
}

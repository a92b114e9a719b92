//! Programs that run inside this one, in a process of their own: the daemon, and the demo's registry and beacon.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// What a parent wants of its child, in the environment.
const BOND: &str = "PILOT_CHILD";
/// The child lives on without terminal or parent.
const DETACHED: &str = "detached";

/// This program again, as `name`, in the place of this process or beside it.
pub(crate) fn command(name: &str) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(name);
    for variable in [BOND, "PILOT_SOCKET", "PILOT_REGISTRY", "PILOT_ADMIN_TOKEN"] {
        command.env_remove(variable);
    }
    Ok(command)
}

/// A child that leaves its parent and its terminal behind.
pub(crate) fn detached(name: &str) -> std::io::Result<Command> {
    let mut command = command(name)?;
    command.env(BOND, DETACHED);
    Ok(command)
}

/// A child that must not outlive this process, in a group of its own: keys pressed here do not reach it.
pub(crate) fn tied(name: &str) -> std::io::Result<Command> {
    let mut command = command(name)?;
    command.env(BOND, std::process::id().to_string()).process_group(0);
    Ok(command)
}

/// Runs the daemon here.
pub(crate) fn daemon(arguments: Vec<OsString>) -> ExitCode {
    settle();
    pilot_mio::daemon(arguments)
}

/// Runs registry and beacon here.
pub(crate) fn rendezvous(arguments: Vec<OsString>) -> ExitCode {
    settle();
    pilot_mio::rendezvous(arguments)
}

/// Does what the parent wants.
fn settle() {
    match std::env::var(BOND) {
        // Fails only if we lead a session already.
        Ok(bond) if bond == DETACHED => drop(rustix::process::setsid()),
        Ok(parent) => end_with(&parent),
        Err(_) => {}
    }
}

#[cfg(target_os = "linux")]
fn end_with(parent: &str) {
    use rustix::process::{Signal, getppid, set_parent_process_death_signal};
    let _ = set_parent_process_death_signal(Some(Signal::TERM));
    // The parent may have died before we asked.
    if getppid().map(|pid| pid.as_raw_nonzero().to_string()).as_deref() != Some(parent) {
        std::process::exit(1);
    }
}

/// Other systems have no such signal; the parent ends its children itself whenever it can.
#[cfg(not(target_os = "linux"))]
fn end_with(_parent: &str) {}

//! Namespaces for a run: its own network with a loopback only, its own process numbers, its own mounts.
//!
//! Released daemons call home by default; in here they reach nothing. And when the outer process ends, for
//! whatever reason, the kernel ends every process inside.

use crate::process::stop_flag;
use crate::programs::Catalogue;
use rustix::process::{Pid, Signal, kill_process};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the inner half may take to clear up and report when it is asked to stop.
const GRACE: Duration = Duration::from_secs(15);
/// Set inside to `namespaces` or `none`.
const MARK: &str = "PILOT_CONFORMANCE_INSIDE";

const NAMESPACES: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
const AS_USER: [&str; 2] = ["--user", "--map-root-user"];
/// A private /run lets `ip netns` make further namespaces without touching the machine's.
const SETUP: &str = "ip link set lo up && mount -t tmpfs none /run";

/// Whether this process was started by [`run`].
pub(crate) fn is_inside() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Whether this process has a network of its own.
pub(crate) fn is_isolated() -> bool {
    std::env::var_os(MARK).is_some_and(|mark| mark == "namespaces")
}

/// Runs this program again with `args`, isolated where possible; true when it succeeded.
pub(crate) fn run(args: &[String], catalogue: &Catalogue) -> Result<bool, String> {
    let stop = stop_flag()?;
    let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let mut command = match namespaces() {
        Some(flags) => {
            let mut command = Command::new("unshare");
            let script = format!("{SETUP} && exec \"$0\" \"$@\"");
            command.args(flags).args(["--", "sh", "-c", &script]).arg(own).env(MARK, "namespaces");
            command
        }
        None => {
            eprintln!("no namespaces here (unshare or ip refused): running on this machine's loopback");
            let mut command = Command::new(own);
            command.env(MARK, "none");
            command
        }
    };
    command.args(args).envs(catalogue.to_environment()).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
    let mut asked = None;
    loop {
        if let Some(status) = child.try_wait().map_err(|e| format!("wait: {e}"))? {
            return Ok(status.success());
        }
        if stop.load(Ordering::Relaxed) {
            let since = asked.get_or_insert_with(|| {
                signal(inner(child.id()), Signal::TERM);
                Instant::now()
            });
            if since.elapsed() >= GRACE {
                signal(child.id(), Signal::KILL);
            }
        }
        sleep(Duration::from_millis(20));
    }
}

/// The process that is this program: the one started, or its child where that is `unshare`.
fn inner(started: u32) -> u32 {
    let children = std::fs::read_to_string(format!("/proc/{started}/task/{started}/children"));
    let child = children.ok().and_then(|children| children.split_whitespace().next()?.parse().ok());
    if is_unshare(started) { child.unwrap_or(started) } else { started }
}

fn is_unshare(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/comm")).is_ok_and(|name| name.trim() == "unshare")
}

fn signal(process: u32, signal: Signal) {
    // It may have ended meanwhile, which is what was wanted; until it is waited for, its number is its own.
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(process, signal);
    }
}

/// The `unshare` flags this machine permits, tried without and with a user namespace.
fn namespaces() -> Option<Vec<&'static str>> {
    let candidates = [NAMESPACES.to_vec(), [&AS_USER[..], &NAMESPACES[..]].concat()];
    candidates.into_iter().find(|flags| {
        let mut probe = Command::new("unshare");
        probe.args(flags).args(["--", "sh", "-c", SETUP]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    })
}

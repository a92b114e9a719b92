//! Namespaces for a run: its own network with a loopback only, its own process numbers, its own mounts.
//!
//! Released daemons call home by default; in here they reach nothing. And when the outer process ends, for
//! whatever reason, the kernel ends every process inside.

use crate::process::stop_flag;
use crate::programs::Catalogue;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

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
    loop {
        if let Some(status) = child.try_wait().map_err(|e| format!("wait: {e}"))? {
            return Ok(status.success());
        }
        if stop.load(Ordering::Relaxed) {
            let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                // In namespaces the outer half must go at once, and takes all with it; otherwise the inner half
                // clears up its children itself.
                let isolated = command.get_program() == "unshare";
                let signal =
                    if isolated { rustix::process::Signal::KILL } else { rustix::process::Signal::TERM };
                let _ = rustix::process::kill_process_group(group, signal);
            }
            child.wait().map_err(|e| format!("wait: {e}"))?;
            return Err("interrupted".into());
        }
        sleep(Duration::from_millis(50));
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

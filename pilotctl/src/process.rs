//! Processes of ours: is one alive, and ending it.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

/// Time between looks at a process that should end.
const POLL: Duration = Duration::from_millis(20);

/// The pid in a file; `None` if there is none to read.
pub(crate) fn read_pid(path: &Path) -> Option<i32> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok().filter(|pid| *pid > 0)
}

/// True if `pid` runs and looks like a daemon of ours. A zombie does not run, and a number may have been given to
/// another program since.
pub(crate) fn is_daemon(pid: i32) -> bool {
    let Some(raw) = Pid::from_raw(pid) else { return false };
    if test_kill_process(raw).is_err() {
        return false;
    }
    match std::fs::read(format!("/proc/{pid}/cmdline")) {
        // A zombie's command line is empty.
        Ok(line) => String::from_utf8_lossy(&line).contains("pilot") || contains(&line, b"_daemon-run"),
        // No /proc here: the signal is all we have.
        Err(_) => !Path::new("/proc/self").exists(),
    }
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|window| window == word)
}

/// Asks a process to end, and makes it after `patience`. True if it had to be made.
pub(crate) fn stop(pid: i32, patience: Duration) -> std::io::Result<bool> {
    let Some(raw) = Pid::from_raw(pid) else { return Ok(false) };
    kill_process(raw, Signal::TERM)?;
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if !is_daemon(pid) {
            return Ok(false);
        }
        std::thread::sleep(POLL);
    }
    kill_process(raw, Signal::KILL)?;
    Ok(true)
}

//! Child processes: each in a group of its own, its output in files, its end certain.

use rustix::process::{Pid, Signal, kill_process_group};
use std::cell::Cell;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How soon a condition that did not hold is looked at again; doubled each time, up to the second value. Most looks
/// run a program or ask the registry, which limits the rate of questions.
const POLL: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(64));
/// How long a process may take to end after it was asked politely.
const GRACE: Duration = Duration::from_secs(8);

/// One run: where it writes, when it must be over, and whether somebody asked it to stop.
#[derive(Debug)]
pub(crate) struct Session {
    /// Everything the run writes is under here.
    pub(crate) scratch: PathBuf,
    end: Instant,
    stop: Arc<AtomicBool>,
    commands: Cell<u32>,
}

impl Session {
    /// A run under `scratch` that is over after `limit`. From here on SIGINT and SIGTERM end it in order.
    pub(crate) fn new(scratch: PathBuf, limit: Duration) -> Result<Session, String> {
        let stop = stop_flag()?;
        let commands = scratch.join("commands");
        std::fs::create_dir_all(&commands).map_err(|e| format!("{}: {e}", commands.display()))?;
        Ok(Session { scratch, end: Instant::now() + limit, stop, commands: Cell::new(0) })
    }

    /// Fails when the run was interrupted or is out of time.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.stop.load(Ordering::Relaxed) {
            return Err("interrupted".into());
        }
        if Instant::now() >= self.end {
            return Err("the run is out of time".into());
        }
        Ok(())
    }

    /// Looks at a condition until it holds; fails after `limit`, naming what was awaited.
    pub(crate) fn until<T>(
        &self,
        limit: Duration,
        what: &str,
        mut probe: impl FnMut() -> Option<T>,
    ) -> Result<T, String> {
        let end = Instant::now() + limit;
        let mut pause = POLL.0;
        loop {
            if let Some(found) = probe() {
                return Ok(found);
            }
            self.check()?;
            if Instant::now() >= end {
                return Err(format!("{what}: not within {:.1} s", limit.as_secs_f64()));
            }
            sleep(pause);
            pause = (2 * pause).min(POLL.1);
        }
    }

    /// Lets time pass, because time passing is what is measured.
    pub(crate) fn pass(&self, time: Duration) -> Result<(), String> {
        // Nothing is awaited, so running out of time is how it ends.
        let _ = self.until(time, "nothing", || None::<()>);
        self.check()
    }

    /// Runs a command to its end, or kills it after `limit`.
    pub(crate) fn run(&self, command: &mut Command, limit: Duration) -> Result<Outcome, String> {
        self.spawn(command)?.outcome(self, limit)
    }

    /// Starts a command whose output goes to numbered files.
    pub(crate) fn spawn(&self, command: &mut Command) -> Result<Process, String> {
        self.check()?;
        let number = self.commands.get();
        self.commands.set(number + 1);
        Process::start(command, &self.scratch.join(format!("commands/{number:04}")))
    }
}

/// A flag that SIGINT and SIGTERM raise.
pub(crate) fn stop_flag() -> Result<Arc<AtomicBool>, String> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|e| format!("signal {signal}: {e}"))?;
    }
    Ok(stop)
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status; `None` when a signal ended it or it ran out of time.
    pub(crate) code: Option<i32>,
    pub(crate) timed_out: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

/// A running process in a group of its own. Dropping it kills the group.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    started: Instant,
}

impl Process {
    /// Starts `command`; its output is appended to `<log>.out` and `<log>.err`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Result<Process, String> {
        let (stdout, stderr) = (log.with_extension("out"), log.with_extension("err"));
        let open = |path: &Path| {
            let file = File::options().create(true).append(true).open(path);
            file.map_err(|e| format!("{}: {e}", path.display()))
        };
        command.stdin(Stdio::null()).stdout(open(&stdout)?).stderr(open(&stderr)?).process_group(0);
        let child = command.spawn().map_err(|e| format!("{:?}: {e}", command.get_program()))?;
        Ok(Process { child, stdout, stderr, started: Instant::now() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end, at most `limit`; then kills.
    pub(crate) fn outcome(mut self, session: &Session, limit: Duration) -> Result<Outcome, String> {
        let ended = session.until(limit, "end", || self.child.try_wait().transpose());
        let elapsed = self.started.elapsed();
        session.check()?;
        let code = match &ended {
            Ok(Ok(status)) => status.code(),
            _ => None,
        };
        self.kill();
        let read =
            |path: &Path| String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        let (stdout, stderr) = (read(&self.stdout), read(&self.stderr));
        Ok(Outcome { code, timed_out: ended.is_err(), stdout, stderr, elapsed })
    }

    /// Ends the whole group at once.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        // A group that is gone already is what was wanted.
        let _ = self.child.wait();
    }

    /// Asks the process to end.
    pub(crate) fn ask_to_end(&mut self) {
        self.signal(Signal::TERM);
    }

    /// Asks the process to end, then insists.
    pub(crate) fn terminate(&mut self) {
        self.ask_to_end();
        let end = Instant::now() + GRACE;
        while self.is_running() && Instant::now() < end {
            sleep(POLL.0);
        }
        self.kill();
    }

    fn signal(&mut self, signal: Signal) {
        // Only while it is unreaped does its number still belong to it.
        let ours = self.is_running();
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let (true, Some(group)) = (ours, group) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// The last `count` lines it wrote to stderr, else stdout.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let text =
            |path: &Path| tail(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()), count);
        let errors = text(&self.stderr);
        if errors.is_empty() { text(&self.stdout) } else { errors }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last `count` lines of a text, joined by ` | `.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::tail;

    #[test]
    fn a_tail_skips_blank_lines_and_may_be_shorter() {
        assert_eq!(tail("a\n\nb\nc\n", 2), "b | c");
        assert_eq!(tail("a\n", 3), "a");
        assert_eq!(tail("", 3), "");
    }
}

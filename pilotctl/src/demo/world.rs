//! The demo's processes and files: a temporary directory, children in groups of their own, and the way to end
//! both, whoever asks for it.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How long a child may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same, when somebody pressed Ctrl-C.
const HASTE: Duration = Duration::from_secs(1);
/// Time between looks at something that should happen.
const POLL: Duration = Duration::from_millis(5);
/// Exit status after Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

/// One process of the demo.
#[derive(Debug)]
struct Member {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

/// What has to be cleaned up. Shared with the thread that waits for Ctrl-C.
#[derive(Debug, Default)]
struct Estate {
    members: Vec<Member>,
    directory: Option<tempfile::TempDir>,
}

impl Estate {
    /// Ends every process, those that need another before that other, and removes the directory. Returns who did
    /// not end well within `patience`.
    fn clear(&mut self, patience: Duration) -> Vec<String> {
        let mut complaints = Vec::new();
        let dependents = self.members.split_off(self.members.len().min(1));
        for mut group in [dependents, std::mem::take(&mut self.members)] {
            for member in &group {
                member.signal(Signal::TERM);
            }
            let deadline = Instant::now() + patience;
            complaints.extend(group.iter_mut().filter_map(|member| member.end(deadline)));
        }
        self.directory = None;
        complaints
    }
}

impl Member {
    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Waits until it ended; makes it end at the deadline. A complaint if it had to be made, or failed.
    fn end(&mut self, deadline: Instant) -> Option<String> {
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
                Ok(None) => break,
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("{} ended with {status}", self.name)),
                Err(error) => return Some(format!("{}: {error}", self.name)),
            }
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
        Some(format!("{} had to be killed", self.name))
    }
}

/// The demo's processes and files.
#[derive(Debug)]
pub(super) struct World {
    estate: Arc<Mutex<Estate>>,
    directory: PathBuf,
}

impl World {
    pub(super) fn new() -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pilot-demo-").tempdir()?;
        let path = directory.path().to_path_buf();
        let estate = Arc::new(Mutex::new(Estate { members: Vec::new(), directory: Some(directory) }));
        let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let theirs = Arc::clone(&estate);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            if signals.forever().next().is_some() {
                // Never unlocked again: the walk must not go on in ruins.
                let mut estate = lock(&theirs);
                eprintln!("\ninterrupted, cleaning up");
                estate.clear(HASTE);
                std::process::exit(INTERRUPTED);
            }
        })?;
        Ok(World { estate, directory: path })
    }

    /// A path of a file of the demo.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts a program. Its `$HOME` is `name` inside the directory.
    pub(super) fn spawn(&self, name: &'static str, mut command: Command, arguments: &[String]) -> Result<()> {
        let mut estate = lock(&self.estate);
        let home = self.path(name);
        std::fs::create_dir_all(&home)?;
        let log = home.join("log");
        let file = File::create(&log)?;
        // A group of its own: keys pressed here do not reach it.
        let child = command
            .process_group(0)
            .args(arguments)
            .env("HOME", &home)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        estate.members.push(Member { name, child, log });
        Ok(())
    }

    /// Asks `ready` until it has something, everybody alive meanwhile.
    pub(super) fn wait<T>(
        &self,
        patience: Duration,
        what: &str,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(value) = ready() {
                return Ok(value);
            }
            self.check_alive()?;
            if Instant::now() >= deadline {
                let seconds = patience.as_secs();
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    format!("{what} did not happen within {seconds} s"),
                ));
            }
            std::thread::sleep(POLL);
        }
    }

    fn check_alive(&self) -> Result<()> {
        for member in &mut lock(&self.estate).members {
            if let Some(status) = member.child.try_wait()? {
                return Err(Error::other(format!("{} ended early, {status}", member.name)));
            }
        }
        Ok(())
    }

    /// The log of a process so far.
    pub(super) fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.path(name).join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines everybody logged, for whoever has to find out what went wrong.
    pub(super) fn last_log_lines(&self, count: usize) -> String {
        let mut text = String::from("last log lines:");
        for member in &lock(&self.estate).members {
            let log = self.log(member.name);
            let lines: Vec<&str> = log.lines().filter(|line| !line.is_empty()).collect();
            let from = lines.len().saturating_sub(count);
            for line in lines.get(from..).unwrap_or_default() {
                text += &format!("\n  {}: {line}", member.name);
            }
            if lines.is_empty() {
                text += &format!("\n  {} logged nothing to {}", member.name, member.log.display());
            }
        }
        text
    }

    /// Ends everybody and removes everything. Says who did not end well.
    pub(super) fn end(&self) -> Vec<String> {
        lock(&self.estate).clear(PATIENCE)
    }

    /// The directory of a process.
    pub(super) fn home(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(estate: &Mutex<Estate>) -> MutexGuard<'_, Estate> {
    estate.lock().unwrap_or_else(PoisonError::into_inner)
}

//! A program under test: a command line with its holes filled, started, killed, asked to end, started in vain.

use crate::process::{Process, Session};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a program may take until it is ready, or until it ends if it cannot be.
const READY: Duration = Duration::from_secs(20);

pub(crate) struct Run {
    words: Vec<String>,
    home: PathBuf,
    process: Option<Process>,
}

impl Run {
    /// The template's words with its holes filled; those that are empty then are left out. `home` is made.
    pub(crate) fn new(template: &str, home: PathBuf, holes: &[(&str, String)]) -> Result<Run, String> {
        std::fs::create_dir_all(&home).map_err(|e| format!("{}: {e}", home.display()))?;
        let fill = |word: &str| {
            holes.iter().fold(word.to_string(), |word, (hole, filling)| word.replace(hole, filling))
        };
        let words: Vec<String> =
            template.split_whitespace().map(fill).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err("the command of the target is empty".into());
        }
        Ok(Run { words, home, process: None })
    }

    fn command(&self, words: &[String]) -> Result<Process, String> {
        let (program, arguments) = words.split_first().ok_or("the command of the target is empty")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .current_dir(&self.home);
        Process::start(&mut command, &self.home.join("target"))
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(&mut self) -> Result<(), String> {
        self.process = Some(self.command(&self.words)?);
        Ok(())
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn start_until(
        &mut self,
        session: &Session,
        what: &str,
        ready: impl Fn() -> bool,
    ) -> Result<(), String> {
        let process = self.process.insert(self.command(&self.words)?);
        let started = session.until(READY, what, || {
            if !process.is_running() {
                return Some(false);
            }
            ready().then_some(true)
        });
        match started {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the target ended: {}", process.last_lines(3))),
            Err(why) => Err(format!("{why}: {}", process.last_lines(3))),
        }
    }

    /// Starts it where it cannot work: its status, and its words of this time.
    pub(crate) fn start_in_vain(&mut self, session: &Session) -> Result<(i32, String), String> {
        self.kill();
        let process = self.command(&self.words)?;
        ended_by_itself(process, session)
    }

    /// Starts a second one beside it, with one word replaced: its status and words.
    pub(crate) fn second(
        &self,
        session: &Session,
        word: &str,
        instead: &str,
    ) -> Result<(i32, String), String> {
        let words: Vec<String> = self.words.iter().map(|w| w.replace(word, instead)).collect();
        ended_by_itself(self.command(&words)?, session)
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end; its status, none if a signal had to end it.
    pub(crate) fn end(&mut self, session: &Session) -> Result<Option<i32>, String> {
        let mut process = self.process.take().ok_or("the target does not run")?;
        process.ask_to_end();
        Ok(process.outcome(session, READY)?.code)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    pub(crate) fn pid(&self) -> Result<u32, String> {
        self.process.as_ref().map(Process::pid).ok_or("the target does not run".into())
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn log(&self, lines: usize) -> String {
        self.process.as_ref().map_or_else(String::new, |process| process.last_lines(lines))
    }
}

fn ended_by_itself(process: Process, session: &Session) -> Result<(i32, String), String> {
    let outcome = process.outcome(session, READY / 2)?;
    match outcome.code {
        Some(code) => Ok((code, outcome.stderr)),
        None if outcome.timed_out => Err("it runs all the same".into()),
        None => Err(format!("a signal ended it: {}", outcome.stderr)),
    }
}

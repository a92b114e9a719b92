//! The tests of the programs, whatever driver runs them: child processes started, watched by their log, ended by a
//! signal. A driver's test crate says where its programs are, as `DAEMON` and `RENDEZVOUS`.

mod daemon;
mod rendezvous;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// No step of a test may take longer; it fails then instead of hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running program.
pub(crate) struct Program(Child);

impl Program {
    /// Starts `command` with its log as JSON, and waits for the line with message `ready`.
    pub(crate) fn start(command: &mut Command, ready: &str) -> (Self, Value) {
        let mut child = command.arg("-log-format=json").stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let found = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let value: Option<Value> = serde_json::from_str(&line).ok();
            said.push(line);
            value.filter(|value| value["msg"] == ready)
        });
        // The log goes on; a program must not be stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        (Program(child), found.unwrap_or_else(|| panic!("no line {ready:?} in {said:#?}")))
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Nothing that a failed test started may outlive it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A rendezvous on ports the system chose.
pub(crate) struct Rendezvous {
    pub(crate) program: Program,
    pub(crate) registry: SocketAddr,
    pub(crate) beacon: SocketAddr,
}

impl Rendezvous {
    pub(crate) fn start(store: &Path) -> Self {
        let mut command = Command::new(crate::RENDEZVOUS);
        command.args(["-registry-addr=127.0.0.1:0", "--beacon-addr", "127.0.0.1:0", "-store"]).arg(store);
        let (program, line) = Program::start(&mut command, "rendezvous running");
        let addr = |name: &str| line[name].as_str().unwrap().parse().unwrap();
        Rendezvous { program, registry: addr("registry"), beacon: addr("beacon") }
    }
}

/// Runs a program that ends by itself; its exit status and what it said on stderr.
pub(crate) fn fail<A: Into<OsString>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
) -> (Option<i32>, String) {
    let output = Command::new(program).args(args.into_iter().map(Into::into)).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

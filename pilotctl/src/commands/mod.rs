//! The commands, by family, and what all of them need.

pub(crate) mod context;
pub(crate) mod diagnostics;
pub(crate) mod discovery;
pub(crate) mod exchange;
pub(crate) mod lifecycle;
pub(crate) mod mailbox;
pub(crate) mod network;
pub(crate) mod probes;
pub(crate) mod pubsub;
pub(crate) mod setup;
pub(crate) mod streams;
pub(crate) mod trust;

use std::io::Read;
use std::path::Path;

use pilot_proto::Addr;
use pilot_roles::ipc::Request;
use pilot_roles::json::Value;

use crate::cli::Data;
use crate::config::{Config, Home, socket};
use crate::ipc::Daemon;
use crate::output::{Code, Failure, Output};

/// What a command is run with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) home: Home,
    pub(crate) config: Config,
}

impl Context {
    pub(crate) fn new(json: bool) -> Self {
        let home = Home::from_env();
        let config = Config::load(&home);
        Context { out: Output { json }, home, config }
    }

    /// A connection to the daemon.
    pub(crate) fn daemon(&self) -> Result<Daemon, Failure> {
        Daemon::connect(Path::new(&socket(&self.config))).map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => {
                Failure::failed(format!("the daemon's socket cannot be used: {error}"))
                    .hint("give your own daemon's socket: PILOT_SOCKET=<path>")
            }
            _ => Failure::new(Code::NotRunning, "daemon is not running")
                .hint("start the daemon with: pilotctl daemon start"),
        })
    }
}

/// Asks the daemon; `label` starts the error.
fn ask(daemon: &mut Daemon, label: &str, request: &Request<'_>) -> Result<Value, Failure> {
    daemon.object(request).map_err(|error| Failure::failed(format!("{label}: {error}")))
}

/// A peer that could not be dialled, in the words of the command.
fn unreachable(addr: Addr, message: &str) -> Failure {
    Failure::failed(message).hint(format!("check that {addr} is reachable: pilotctl ping {addr}"))
}

/// The content a command was given: on the command line, from standard input, or from a file.
fn content(data: &Data) -> Result<Vec<u8>, Failure> {
    match (&data.data, &data.data_file) {
        (Some(dash), None) if dash == "-" => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .lock()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::internal(format!("read stdin: {error}")))?;
            Ok(bytes)
        }
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(path)) => read_file(path),
        (None, None) => Err(Failure::invalid("--data is required")),
    }
}

/// A file to send.
fn read_file(path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::new(Code::NotFound, format!("file not found: {path}")),
        std::io::ErrorKind::PermissionDenied => Failure::internal(format!("permission denied: {path}")),
        std::io::ErrorKind::IsADirectory => {
            Failure::internal(format!("read file: read {path}: is a directory"))
        }
        _ => Failure::internal(format!("read file: {error}")),
    })
}

/// Header and rows, or nothing if there are no rows.
fn table(header: String, rows: impl Iterator<Item = String>) -> Option<String> {
    let mut rows = rows.peekable();
    rows.peek()?;
    Some(std::iter::once(header).chain(rows).collect::<Vec<_>>().join("\n"))
}

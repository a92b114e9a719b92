//! The implementation under test, as a command with holes.

use super::rendezvous::{Rendezvous, TARGET};
use crate::process::{Process, Session};
use crate::programs::{Catalogue, Flavour};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long the target may take until its local socket is there.
const READY: Duration = Duration::from_secs(20);

/// The command line of a known implementation; others are given as a text with the same holes.
pub(crate) fn template(catalogue: &Catalogue, flavour: Flavour) -> String {
    let program = catalogue.daemon(flavour);
    let common = "-registry {registry} -beacon {beacon} -listen {listen} -socket {socket} -identity {identity} \
                  -email agent@example.com {public}";
    let own = match flavour {
        Flavour::Ours | Flavour::Async => &catalogue.flags.join(" "),
        Flavour::April => "-keepalive 2s",
        Flavour::Newest => "-keepalive 2s -no-skillinject -telemetry-url= -motd-feed-url= -proxy off",
    };
    format!("{} {common} {own}", program.display())
}

/// Ours with a defect planted on purpose, or with none.
pub(crate) fn planted(catalogue: &Catalogue, defect: &str) -> String {
    let plain = template(catalogue, Flavour::Ours);
    let flags = plain.split_once(' ').map_or("", |(_, flags)| flags);
    format!("{} {defect} daemon {flags}", catalogue.planted().display())
}

pub(crate) struct Target {
    words: Vec<String>,
    home: PathBuf,
    pub(crate) socket: PathBuf,
    process: Option<Process>,
}

impl Target {
    pub(crate) fn new(
        template: &str,
        rendezvous: &Rendezvous,
        home: PathBuf,
        public: bool,
    ) -> Result<Target, String> {
        let pilot = home.join(".pilot");
        std::fs::create_dir_all(&pilot).map_err(|e| format!("{}: {e}", pilot.display()))?;
        let socket = home.join("s");
        let fill = |word: &str| {
            word.replace("{registry}", &rendezvous.registry().to_string())
                .replace("{beacon}", &rendezvous.beacon().to_string())
                .replace("{listen}", "127.0.0.1:0")
                .replace("{socket}", &socket.display().to_string())
                .replace("{identity}", &pilot.join("identity.json").display().to_string())
                .replace("{home}", &home.display().to_string())
                .replace("{public}", if public { "-public" } else { "" })
        };
        let words: Vec<String> =
            template.split_whitespace().map(fill).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err("the command of the target is empty".into());
        }
        Ok(Target { words, home, socket, process: None })
    }

    pub(crate) fn start(&mut self, session: &Session) -> Result<(), String> {
        let mut command = Command::new(&self.words[0]);
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .args(&self.words[1..])
            .env_clear()
            .env("PATH", path)
            .env("HOME", &self.home)
            .current_dir(&self.home);
        let socket = self.socket.clone();
        // A socket that a killed daemon left behind says nothing about the next.
        let _ = std::fs::remove_file(&socket);
        let process = self.process.insert(Process::start(&mut command, &self.home.join("target"))?);
        let ready = session.until(READY, "local socket of the target", || {
            if !process.is_running() {
                return Some(false);
            }
            std::os::unix::net::UnixStream::connect(&socket).is_ok().then_some(true)
        });
        match ready {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the target ended: {}", process.last_lines(3))),
            Err(why) => Err(format!("{why}: {}", process.last_lines(3))),
        }
    }

    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn log(&self, lines: usize) -> String {
        self.process.as_ref().map_or_else(String::new, |process| process.last_lines(lines))
    }

    /// Where its tunnel socket is: where the beacon saw it, or what it registered.
    pub(crate) fn address(&self, rendezvous: &Rendezvous) -> Result<SocketAddr, String> {
        if let Some(seen) = rendezvous.seen(TARGET) {
            return Ok(seen);
        }
        let record = rendezvous.record(TARGET).ok_or("the target has not registered")?;
        record.address.parse().map_err(|e| format!("the target registered {:?}: {e}", record.address))
    }
}

//! The implementation under test, as a command with holes.

use super::rendezvous::{Rendezvous, TARGET};
use super::run::Run;
use crate::process::Session;
use crate::programs::{Catalogue, Flavour};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;

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

pub(crate) struct Target {
    run: Run,
    pub(crate) socket: PathBuf,
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
        let holes = [
            ("{registry}", rendezvous.registry().to_string()),
            ("{beacon}", rendezvous.beacon().to_string()),
            ("{listen}", "127.0.0.1:0".into()),
            ("{socket}", socket.display().to_string()),
            ("{identity}", pilot.join("identity.json").display().to_string()),
            ("{home}", home.display().to_string()),
            ("{public}", if public { "-public".into() } else { String::new() }),
        ];
        Ok(Target { run: Run::new(template, home, &holes)?, socket })
    }

    pub(crate) fn start(&mut self, session: &Session) -> Result<(), String> {
        // A socket that a killed daemon left behind says nothing about the next.
        let _ = std::fs::remove_file(&self.socket);
        let socket = &self.socket;
        self.run.start_until(session, "local socket of the target", || {
            std::os::unix::net::UnixStream::connect(socket).is_ok()
        })
    }

    /// Starts a second daemon with the same identity and another socket: its status and words.
    pub(crate) fn second(&self, session: &Session) -> Result<(i32, String), String> {
        let socket = self.socket.display().to_string();
        self.run.second(session, &socket, &format!("{socket}-2"))
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

impl Deref for Target {
    type Target = Run;

    fn deref(&self) -> &Run {
        &self.run
    }
}

impl DerefMut for Target {
    fn deref_mut(&mut self) -> &mut Run {
        &mut self.run
    }
}

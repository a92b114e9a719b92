//! The programs under test, by origin: ours and the released ones.

use crate::wheels;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// This workspace, on mio.
    Ours,
    /// This workspace, on an async executor.
    Async,
    /// Release 1.7.2: the April 2026 line, the oldest in the field.
    April,
    /// Release 1.18.0: the newest.
    Newest,
}

impl Flavour {
    pub(crate) const ALL: [Flavour; 4] = [Flavour::Ours, Flavour::Async, Flavour::April, Flavour::Newest];

    /// Made here.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Flavour::Ours | Flavour::Async)
    }

    /// The name in reports and in `--only`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Flavour::Ours => "ours",
            Flavour::Async => "async",
            Flavour::April => "1.7.2",
            Flavour::Newest => "1.18.0",
        }
    }
}

/// One directory of programs for each origin.
#[derive(Debug)]
pub(crate) struct Catalogue {
    ours: PathBuf,
    april: PathBuf,
    newest: PathBuf,
    /// What our daemons are told besides.
    pub(crate) flags: Vec<String>,
}

impl Catalogue {
    /// Builds ours, fetches the released ones, as far as they are `needed`.
    pub(crate) fn prepare(
        bin: Option<PathBuf>,
        wheels: Option<PathBuf>,
        needed: &[Flavour],
        planted: bool,
    ) -> Result<Catalogue, String> {
        let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
        let beside = own.parent().ok_or("own path has no directory")?;
        let needs_ours = planted || needed.iter().any(|flavour| flavour.is_ours());
        let ours = match bin {
            Some(bin) => bin,
            None => {
                if needs_ours {
                    build(beside, planted)?;
                }
                beside.to_path_buf()
            }
        };
        let programs: &[&str] = match (needs_ours, planted) {
            (_, true) => &["pilot-planted"],
            (true, _) => {
                &["rendezvous", "rendezvous-async", "pilot-daemon", "pilot-daemon-async", "pilotctl"]
            }
            _ => &[],
        };
        for program in programs {
            if !ours.join(program).is_file() {
                return Err(format!("{program} is not in {}", ours.display()));
            }
        }
        let wheels = wheels.unwrap_or_else(|| beside.parent().unwrap_or(beside).join("conformance/wheels"));
        let released = |flavour: Flavour| {
            if !needed.contains(&flavour) {
                return Ok(PathBuf::new());
            }
            let bin = wheels::programs_of(flavour.name(), &wheels)?;
            bin.canonicalize().map_err(|e| format!("{}: {e}", bin.display()))
        };
        let ours = ours.canonicalize().map_err(|e| format!("{}: {e}", ours.display()))?;
        Ok(Catalogue {
            ours,
            april: released(Flavour::April)?,
            newest: released(Flavour::Newest)?,
            flags: Vec::new(),
        })
    }

    fn directory(&self, flavour: Flavour) -> &Path {
        match flavour {
            Flavour::Ours | Flavour::Async => &self.ours,
            Flavour::April => &self.april,
            Flavour::Newest => &self.newest,
        }
    }

    pub(crate) fn daemon(&self, flavour: Flavour) -> PathBuf {
        let program = if flavour == Flavour::Async { "pilot-daemon-async" } else { "pilot-daemon" };
        self.directory(flavour).join(program)
    }

    pub(crate) fn pilotctl(&self, flavour: Flavour) -> PathBuf {
        self.directory(flavour).join("pilotctl")
    }

    /// Ours with defects planted on purpose.
    pub(crate) fn planted(&self) -> PathBuf {
        self.ours.join("pilot-planted")
    }

    pub(crate) fn rendezvous(&self) -> PathBuf {
        self.ours.join("rendezvous")
    }

    pub(crate) fn rendezvous_async(&self) -> PathBuf {
        self.ours.join("rendezvous-async")
    }

    /// How the isolated half of the run learns the directories.
    pub(crate) fn to_environment(&self) -> Vec<(String, PathBuf)> {
        let pair = |flavour: Flavour| (variable(flavour), self.directory(flavour).to_path_buf());
        Flavour::ALL.map(pair).to_vec()
    }

    pub(crate) fn from_environment(flags: Vec<String>) -> Result<Catalogue, String> {
        let read = |flavour: Flavour| {
            let name = variable(flavour);
            std::env::var_os(&name).map(PathBuf::from).ok_or(format!("{name} is not set"))
        };
        Ok(Catalogue {
            ours: read(Flavour::Ours)?,
            april: read(Flavour::April)?,
            newest: read(Flavour::Newest)?,
            flags,
        })
    }
}

fn variable(flavour: Flavour) -> String {
    format!("PILOT_CONFORMANCE_BIN_{}", flavour.name().replace('.', "_").to_uppercase())
}

/// Builds our programs in the profile this program was built in, when cargo started it.
fn build(beside: &Path, planted: bool) -> Result<(), String> {
    let Some(cargo) = std::env::var_os("CARGO") else { return Ok(()) };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "-p", "pilot-mio"]);
    let which: &[&str] = match planted {
        true => &["--features", "planted", "--bin", "pilot-planted"],
        false => &["-p", "pilot-async", "-p", "pilotctl", "--bins"],
    };
    command.args(which);
    if beside.ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().map_err(|e| format!("cargo build: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo build: {status}")) }
}

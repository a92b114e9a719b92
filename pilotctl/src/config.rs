//! `~/.pilot`: where files live, and the settings kept in `config.json`.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use pilot_roles::json::{Map, Value};

use crate::output::{Failure, indented};

/// The registry of the public network.
pub(crate) const DEFAULT_REGISTRY: &str = "34.71.57.205:9000";
/// The beacon written by `init` when none is named.
pub(crate) const DEFAULT_BEACON: &str = "127.0.0.1:9001";
/// The daemon's socket.
pub(crate) const DEFAULT_SOCKET: &str = "/tmp/pilot.sock";

/// The directory of one user's files.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// `$HOME/.pilot`.
    pub(crate) fn from_env() -> Self {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        Home(PathBuf::from(home.unwrap_or_else(|| "/".into())).join(".pilot"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Creates the directory, for the owner only.
    pub(crate) fn create(&self) -> std::io::Result<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }
}

/// The settings. Keys we do not know are kept.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
    values: Map<String, Value>,
    /// The file is there but cannot be read as an object; it must not be overwritten.
    damaged: Option<String>,
}

impl Config {
    /// Reads `config.json`; a missing or damaged file has no settings.
    pub(crate) fn load(home: &Home) -> Self {
        let path = home.path("config.json");
        let (values, damaged) = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Map::new(), None),
            Err(error) => (Map::new(), Some(error.to_string())),
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(Value::Object(values)) => (values, None),
                Ok(Value::Null) => (Map::new(), None),
                Ok(_) => (Map::new(), Some("not a JSON object".into())),
                Err(error) => (Map::new(), Some(error.to_string())),
            },
        };
        Config { path, values, damaged }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) const fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// A setting. Only strings that are not empty count.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key)?.as_str().filter(|value| !value.is_empty())
    }

    pub(crate) fn set(&mut self, key: &str, value: &str) {
        self.values.insert(key.into(), value.into());
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// Replaces the file at once, or leaves it as it was. Only the owner may read it: it may hold an admin token.
    pub(crate) fn save(&self, home: &Home) -> Result<(), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::internal(format!("save config: {error}"));
        if let Some(why) = &self.damaged {
            return Err(Failure::internal(format!(
                "save config: {} cannot be read: {why}",
                self.path.display()
            ))
            .hint("repair or remove the file; it is not overwritten"));
        }
        home.create().map_err(|e| failed(&e))?;
        let temporary = self.path.with_extension("json.tmp");
        let text = format!("{}\n", indented(&Value::Object(self.values.clone())));
        let write = || {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&temporary, &self.path)
        };
        write().map_err(|e| failed(&e))
    }
}

/// A setting of the environment; empty counts as unset.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The daemon's socket: environment, then file, then default.
pub(crate) fn socket(config: &Config) -> String {
    env("PILOT_SOCKET")
        .or_else(|| config.get("socket").map(Into::into))
        .unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// The registry of direct calls: environment, then file, then default.
pub(crate) fn registry(config: &Config) -> String {
    env("PILOT_REGISTRY")
        .or_else(|| config.get("registry").map(Into::into))
        .unwrap_or_else(|| DEFAULT_REGISTRY.into())
}

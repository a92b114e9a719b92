//! One agent's node made ready to run: what a program or an embedding process was told, turned into a role and a setup.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File, TryLockError},
    io,
    net::{SocketAddr, ToSocketAddrs},
    path::{Path, PathBuf},
};

use pilot_keylog::{Ciphers, Logged};
use pilot_proto::{extension::Cipher, planted};
use pilot_roles::{
    daemon::{Daemon, DaemonConfig, is_trust_file},
    role::{Area, Dial},
};

use super::{host, identity, keylog};
use crate::{Clock, OsRng, RingCrypto, Setup, Target, bind_udp};

/// What must be said about a node.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) registry: Target,
    /// `host:port`; empty for none.
    pub(crate) beacon: String,
    /// UDP address of the tunnels.
    pub(crate) listen: String,
    /// File of the node's key; without one the node is another at every start.
    pub(crate) identity: Option<PathBuf>,
    pub(crate) email: String,
    /// Where messages and files of peers go; without it they are refused.
    pub(crate) home: Option<PathBuf>,
    /// File that the keys of sessions are written into; without one they are told to nobody.
    pub(crate) keylog: Option<PathBuf>,
}

/// A node that was not started yet.
pub(crate) struct Ready {
    pub(crate) role: Daemon<Logged<RingCrypto>, OsRng>,
    pub(crate) clock: Clock,
    /// Without listeners and signals.
    pub(crate) setup: Setup,
    /// Keep it as long as the node runs.
    pub(crate) lock: Option<File>,
}

/// Reads and binds everything; `tune` has the last word on the configuration.
pub(crate) fn prepare(spec: Spec, tune: impl FnOnce(&mut DaemonConfig)) -> Result<Ready, String> {
    let words = |e: io::Error| e.to_string();
    let clock = Clock::start();
    let mut rng = OsRng::new().map_err(words)?;
    let identity = spec.identity.as_deref();
    let state = identity.map(identity::directory);
    let seed = identity::seed(identity, &mut rng)?;
    let lock = identity.map(lock).transpose()?;
    let keys = spec.keylog.as_deref().map(keylog::open).transpose()?;
    let udp = bind_udp(&spec.listen).map_err(words)?;
    let bound = udp.local_addr().map_err(words)?;
    let areas = areas(state.as_deref(), spec.home.as_deref());

    let mut config = DaemonConfig::new(seed, spec.email);
    config.persistent = identity.is_some();
    config.beacon = beacon(&spec.beacon, bound)?;
    config.lan_addrs = host::lan_addrs(bound);
    config.utc_offset = host::utc_offset();
    if let Some(received) = areas.get(&Area::Received) {
        config.received_directory = received.display().to_string();
    }
    config.trust_file = state.as_deref().map(trust_file).transpose()?.flatten();
    if !host::has_aes() {
        config.extensions.cipher = Cipher::ChaCha;
    }
    tune(&mut config);

    let role = Daemon::new(config, Logged::new(RingCrypto::default(), Ciphers::Real, keys), rng);
    let setup = Setup {
        udp: Some(udp),
        dials: BTreeMap::from([(Dial::Registry, spec.registry)]),
        areas,
        ..Setup::default()
    };
    Ok(Ready { role, clock, setup, lock })
}

/// The home directory of who runs this, if there is one.
pub(crate) fn home() -> Option<PathBuf> {
    env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

/// Two nodes with one key would take the registry's entry from each other for ever.
fn lock(identity: &Path) -> Result<File, String> {
    let named = |words: &dyn std::fmt::Display| format!("identity {}: {words}", identity.display());
    let file = File::open(identity).map_err(|e| named(&e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) if planted!(IdentityShared) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(named(&"another daemon uses it")),
        Err(TryLockError::Error(e)) => Err(named(&e)),
    }
}

/// The beacon's address, of the family the socket `bound` can reach.
fn beacon(target: &str, bound: SocketAddr) -> Result<Option<SocketAddr>, String> {
    if target.is_empty() {
        return Ok(None);
    }
    let addrs = target.to_socket_addrs().map_err(|e| format!("beacon {target}: {e}"))?;
    let mut reachable = addrs.filter(|addr| addr.is_ipv4() || bound.is_ipv6());
    reachable.next().map(Some).ok_or_else(|| format!("beacon {target}: no address that {bound} can reach"))
}

/// The directories of a node. Messages and files follow the home directory, as programs that read them expect.
fn areas(state: Option<&Path>, home: Option<&Path>) -> BTreeMap<Area, PathBuf> {
    let mut areas: BTreeMap<Area, PathBuf> =
        state.map(|dir| (Area::State, dir.to_owned())).into_iter().collect();
    if let Some(home) = home {
        areas.insert(Area::Inbox, home.join(".pilot/inbox"));
        areas.insert(Area::Received, home.join(".pilot/received"));
    }
    areas
}

/// The content of `trust.json`; a file that is there but cannot be read must not be mistaken for none: the first change
/// of the lists would replace it.
fn trust_file(state: &Path) -> Result<Option<Vec<u8>>, String> {
    let path = state.join("trust.json");
    match fs::read(&path) {
        Ok(bytes) if is_trust_file(&bytes) => Ok(Some(bytes)),
        Ok(_) => {
            let hint = "hint: put a copy back, or move the file away to start with empty lists";
            Err(format!("{}: these are no trust lists\n{hint}", path.display()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_trust_file_is_named_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trust.json");
        assert_eq!(trust_file(dir.path()), Ok(None));
        for damaged in [&b""[..], b"{\"trusted\": [", b"[]", b"not JSON", b"\xff\xfe"] {
            fs::write(&path, damaged).unwrap();
            let refused = trust_file(dir.path()).unwrap_err();
            assert!(refused.contains("trust.json") && refused.contains("hint"), "{refused}");
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
        fs::write(&path, b"{\"trusted\": []}").unwrap();
        assert!(trust_file(dir.path()).unwrap().is_some());
    }
}

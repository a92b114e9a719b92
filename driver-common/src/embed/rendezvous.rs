//! A rendezvous inside a process, for tests, examples and networks of one host: on loopback, without memory.

use std::{collections::BTreeMap, io, net::SocketAddr};

use pilot_proto::crypto::RustCrypto;
use pilot_roles::{
    Listener,
    rendezvous::{BeaconConfig, Config, RegistryConfig, Rendezvous},
};

use crate::{Clock, Place, Setup, bind_tcp, bind_udp};

/// A rendezvous ready to run: give role, clock and setup to a driver.
pub struct PreparedRendezvous {
    /// The role.
    pub role: Rendezvous<RustCrypto>,
    /// The clock it was made with.
    pub clock: Clock,
    /// Its sockets.
    pub setup: Setup,
    /// Where nodes find the registry.
    pub registry: SocketAddr,
    /// Where nodes find the beacon.
    pub beacon: SocketAddr,
}

impl std::fmt::Debug for PreparedRendezvous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedRendezvous").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// Binds one on ports that the system chooses.
///
/// # Errors
/// If the system has none.
pub fn prepare_rendezvous() -> io::Result<PreparedRendezvous> {
    let clock = Clock::start();
    let (udp, tcp) = (bind_udp("127.0.0.1:0")?, bind_tcp("127.0.0.1:0")?);
    let (beacon, registry) = (udp.local_addr()?, tcp.local_addr()?);
    let config = Config { registry: RegistryConfig::default(), beacon: Some(BeaconConfig::default()) };
    let role = Rendezvous::new(config, RustCrypto, clock.now().unix_secs(), std::iter::empty())
        .map_err(|error| io::Error::other(error.to_string()))?;
    let setup = Setup {
        udp: Some(udp),
        listeners: BTreeMap::from([(Listener::Registry, Place::Bound(tcp, None))]),
        ..Setup::default()
    };
    Ok(PreparedRendezvous { role, clock, setup, registry, beacon })
}

//! A rendezvous inside a process, for tests, examples and networks of one host: on loopback, without memory.

use std::{collections::BTreeMap, io, marker::PhantomData, net::SocketAddr};

use pilot_proto::crypto::RustCrypto;
use pilot_roles::{
    Listener,
    rendezvous::{BeaconConfig, Config, RegistryConfig, Rendezvous},
};

use super::{Builder, Launch};
use crate::{Clock, Place, Setup, Stopper, bind_tcp, bind_udp};

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

/// A registry and a beacon of this process's own, on loopback and without memory, until it is dropped: for tests and
/// examples.
#[derive(Debug)]
pub struct LocalRendezvous<D> {
    registry: SocketAddr,
    beacon: SocketAddr,
    stopper: Stopper,
    driver: PhantomData<fn() -> D>,
}

impl<D: Launch> LocalRendezvous<D> {
    /// Starts one on ports that the system chooses.
    ///
    /// # Errors
    /// If the system has none.
    pub fn start() -> io::Result<Self> {
        let prepared = prepare()?;
        let (registry, beacon) = (prepared.registry, prepared.beacon);
        let stopper = D::serve(prepared)?;
        Ok(LocalRendezvous { registry, beacon, stopper, driver: PhantomData })
    }

    /// A node of this network, private to this host.
    pub fn node(&self) -> Builder<D> {
        let builder = Builder::default().registry(self.registry.to_string()).beacon(self.beacon.to_string());
        builder.listen("127.0.0.1:0")
    }
}

impl<D> LocalRendezvous<D> {
    /// Where nodes find the registry.
    pub fn registry(&self) -> SocketAddr {
        self.registry
    }

    /// Where nodes find the beacon.
    pub fn beacon(&self) -> SocketAddr {
        self.beacon
    }
}

impl<D> Drop for LocalRendezvous<D> {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

fn prepare() -> io::Result<PreparedRendezvous> {
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

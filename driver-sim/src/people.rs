//! Who lives in a world: the rendezvous and daemons, made as the programs make them, with what their disks hold.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use pilot_keylog::{Ciphers, Logged};
use pilot_proto::crypto::{Crypto, Ed25519Seed, RustCrypto};
use pilot_roles::{
    Role,
    daemon::{Daemon, DaemonConfig},
    rendezvous::{BeaconConfig, Config, Rendezvous},
    role::{Area, Dial},
};

use crate::{
    crypto::NullCrypto,
    host::{Birth, HostSpec},
    nat::NatConfig,
    net::{HostId, RealmId},
    reference::{Quirks, dress},
    rogue::{Rogue, corrupt},
    world::World,
};

/// Port of the beacon.
pub const BEACON_PORT: u16 = 9001;
/// UDP port of every daemon.
const DAEMON_PORT: u16 = 4000;

/// Which cryptography all hosts compute with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum CryptoChoice {
    /// The built-in provider.
    #[default]
    Real,
    /// One that computes next to nothing and hides nothing.
    Null,
}

impl World {
    /// A rendezvous on the internet: registry and beacon.
    pub fn add_rendezvous(&mut self, config: Config, crypto: CryptoChoice) -> HostId {
        let place = self.add_place(RealmId::INTERNET);
        let birth: Birth = match crypto {
            CryptoChoice::Real => rendezvous(config, RustCrypto),
            CryptoChoice::Null => rendezvous(config, NullCrypto),
        };
        self.settle(
            place,
            HostSpec {
                name: "rendezvous".into(),
                udp_port: BEACON_PORT,
                birth,
                dials: BTreeMap::new(),
                drift_ppm: 0,
                wall_offset: 0,
                is_daemon: false,
                misbehaves: false,
            },
        );
        place
    }

    /// A rendezvous as its program starts it.
    pub fn add_default_rendezvous(&mut self) -> HostId {
        self.add_rendezvous(default_rendezvous(), CryptoChoice::Real)
    }

    /// A daemon of the rendezvous, in `realm`. `change` adjusts its configuration.
    pub fn add_daemon(
        &mut self,
        rendezvous: HostId,
        realm: RealmId,
        crypto: CryptoChoice,
        drift_ppm: i32,
        change: impl FnOnce(&mut DaemonConfig),
    ) -> HostId {
        self.add_character(rendezvous, realm, crypto, drift_ppm, Character::Honest, change)
    }

    /// The same with another character.
    pub(crate) fn add_character(
        &mut self,
        rendezvous: HostId,
        realm: RealmId,
        crypto: CryptoChoice,
        drift_ppm: i32,
        character: Character,
        change: impl FnOnce(&mut DaemonConfig),
    ) -> HostId {
        let place = self.add_place(realm);
        let number = place.index();
        let lan = self.net.is_inside(place).then(|| self.ip(place));
        let beacon = SocketAddr::new(self.ip(rendezvous), BEACON_PORT);
        let mut config = daemon_config(number, beacon, lan);
        change(&mut config);
        let birth: Birth = match crypto {
            CryptoChoice::Real => {
                daemon(config, Logged::new(RustCrypto, Ciphers::Real, self.keys.clone()), character, number)
            }
            CryptoChoice::Null => {
                daemon(config, Logged::new(NullCrypto, Ciphers::Null, self.keys.clone()), character, number)
            }
        };
        self.settle(
            place,
            HostSpec {
                name: format!("agent {number}"),
                udp_port: DAEMON_PORT,
                birth,
                dials: BTreeMap::from([(Dial::Registry, rendezvous)]),
                drift_ppm,
                wall_offset: 0,
                is_daemon: true,
                misbehaves: matches!(character, Character::Rogue(_)),
            },
        );
        place
    }

    /// A public daemon on the internet.
    pub fn add_public_daemon(&mut self, rendezvous: HostId) -> HostId {
        self.add_daemon(rendezvous, RealmId::INTERNET, CryptoChoice::Real, 0, |config| config.public = true)
    }

    /// A public daemon behind a NAT of its own.
    pub fn add_daemon_behind(&mut self, rendezvous: HostId, nat: NatConfig) -> HostId {
        let realm = self.add_nat(RealmId::INTERNET, nat);
        self.add_daemon(rendezvous, realm, CryptoChoice::Real, 0, |config| config.public = true)
    }
}

/// Registry and beacon with the defaults of the program.
pub fn default_rendezvous() -> Config {
    Config { beacon: Some(BeaconConfig::default()), ..Config::default() }
}

fn rendezvous<C: Crypto + Clone + 'static>(config: Config, crypto: C) -> Birth {
    Box::new(move |disk, now, _| {
        let records = disk.records().collect::<Vec<_>>().into_iter();
        match Rendezvous::new(config.clone(), crypto.clone(), now.unix_secs(), records) {
            Ok(role) => Box::new(role) as Box<dyn Role>,
            // A registry that cannot read its own disk is what the simulator is there to find.
            Err(error) => panic!("the rendezvous cannot read what it stored: {error}"),
        }
    })
}

/// How a daemon behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Character {
    Honest,
    Reference(Quirks),
    Rogue(Rogue),
}

fn daemon<C: Crypto + Clone + Send + 'static>(
    config: DaemonConfig,
    crypto: C,
    character: Character,
    host: usize,
) -> Birth {
    Box::new(move |disk, _, dice| {
        let mut config = config.clone();
        config.trust_file = disk.file(Area::State, "trust.json").map(<[u8]>::to_vec);
        let (seed, crypto) = (*config.seed.expose(), crypto.clone());
        match character {
            Character::Honest => Box::new(Daemon::new(config, crypto, dice)),
            Character::Reference(quirks) => {
                config.extensions.enabled = false;
                dress(quirks, crypto, |crypto| Box::new(Daemon::new(config, crypto, dice)))
            }
            Character::Rogue(rogue) => {
                let own = dice.clone();
                corrupt(rogue, host, seed, own, crypto, |crypto| Box::new(Daemon::new(config, crypto, dice)))
            }
        }
    })
}

/// The program's defaults, with tables for tens of peers: thousands of daemons share this process.
fn daemon_config(number: usize, beacon: SocketAddr, lan: Option<IpAddr>) -> DaemonConfig {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let email = format!("agent{number}@example.com");
    let mut config = DaemonConfig::new(Ed25519Seed::from_bytes(seed), email);
    config.persistent = true;
    config.beacon = Some(beacon);
    config.lan_addrs = lan.into_iter().collect();
    config.stream_memory = 4 << 20;
    config.max_peers = 128;
    config.max_streams = 128;
    config.max_trusted = 128;
    config
}

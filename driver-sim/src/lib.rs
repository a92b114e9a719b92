//! Whole Pilot networks from one seed: agents, a rendezvous, NATs and faults on one thread, reproducible to the byte.
//!
//! The simulator is a driver like any other: it runs every [`Role`](pilot_roles::Role) unchanged and takes no protocol
//! decision. Time is an event queue without ticks, chance is one seed, and judges watch every run.
//!
//! ```
//! use pilot_sim::{LinkConfig, Push, Script, Serve, World};
//! use pilot_proto::{Instant, time::Duration};
//!
//! let mut world = World::new(1, LinkConfig { loss_ppm: 20_000, ..LinkConfig::default() });
//! let rendezvous = world.add_default_rendezvous();
//! let (a, b) = (world.add_public_daemon(rendezvous), world.add_public_daemon(rendezvous));
//! let transfer = world.ledger.add_transfer(100_000);
//! world.add_program(b, Some(Box::new(Serve::default())));
//! world.add_program(a, Some(Box::new(Push::new(transfer, b.index(), Instant::ORIGIN))));
//! assert!(world.run(Duration::from_secs(60), |world| world.is_done()), "{}", world.stuck());
//! ```
//!
//! A whole run is a value, too: a [`Scenario`], read from TOML. [`Outputs`] runs one and writes a report, a capture, a
//! trace; any [`Observer`] sees everything that happens.

mod bottleneck;
#[cfg(feature = "planted")]
mod canary;
mod capture;
mod check;
mod chronicle;
mod clock;
mod crypto;
mod dice;
mod disk;
mod fanout;
mod grid;
mod host;
mod journal;
mod ledger;
mod link;
mod nat;
mod net;
mod outputs;
mod page;
mod people;
mod pipe;
mod program;
mod promise;
mod queue;
mod reference;
mod rogue;
mod scale;
mod scenario;
mod seam;
mod swarm;
mod talk;
mod trace;
mod waits;
mod watch;
mod window;
mod work;
mod workload;
mod world;

pub use bottleneck::RouterSpec;
#[cfg(feature = "planted")]
pub use canary::{CANARY_HEAD, Catch, canary};
pub use capture::Capture;
pub use check::Breach;
pub use chronicle::Chronicle;
pub use crypto::NullCrypto;
pub use dice::{Dice, MILLION};
pub use disk::Disk;
pub use fanout::Follow;
pub use grid::{Grid, Kind, Meeting, kinds, meet, nat_grid};
pub use host::{Birth, HostSpec};
pub use journal::Journal;
pub use ledger::{Ledger, Topic, Transfer, content};
pub use link::LinkConfig;
pub use nat::{Dependence, NatConfig};
pub use net::{HostId, RealmId};
pub use outputs::Outputs;
pub use page::page;
pub use people::{BEACON_PORT, CryptoChoice, default_rendezvous};
pub use program::{Io, Pending, ProgramId, Script, What};
pub use reference::Quirks;
pub use rogue::Rogue;
pub use scale::{Phase, Scale, Scaled, peak_memory, processor, processor_time};
pub use scenario::{Agent, Fault, LinkSpec, NoSuchHost, Report, Scenario, Verb, Watch};
pub use swarm::{Outcome, draw, shrink, swarm};
pub use talk::{Chat, Knock, Scatter};
pub use waits::{Edge, Item, Party, Stuck};
pub use watch::{Loss, Moment, Observer, Sample, Seen};
pub use work::{
    ChatSpec, ContestSpec, FanoutSpec, KnockSpec, RenameSpec, ScatterSpec, SettleSpec, TransferSpec,
    TrustSpec,
};
pub use workload::{Befriend, Push, Rename, Serve, Settle};
pub use world::{Counters, World};

/// The commit this was built from, or `unknown`.
pub const COMMIT: &str = env!("PILOT_SIM_COMMIT");

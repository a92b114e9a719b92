//! What the drivers of a Pilot network share: everything but the way to wait for the operating system.
//!
//! [`Engine`] performs what a [`Role`](pilot_roles::Role) puts out and feeds it what the operating system says. It takes
//! no protocol decision: where it has a choice, the choice is about sockets, files and fairness. A driver (`pilot-mio`,
//! `pilot-async`) adds a [`Reactor`](reactor::Reactor) and the loop around [`Engine::turn`]. The floors, from there down:
//!
//! | file | idea |
//! | --- | --- |
//! | `reactor` | what a driver must offer: to be told when a descriptor is worth trying again |
//! | `engine` | one turn, and the contract with the role |
//! | `udp`, `outbox` | datagrams in and out, in batches |
//! | `streams`, `queue` | byte streams: the life of a connection, its outgoing bytes |
//! | `doors`, `listen`, `dial`, `rlimit` | where connections come from: accepting, binding, dialling |
//! | `socket`, `tls` | what is under a byte stream: TCP, Unix, TLS |
//! | `store`, `http` | worker threads: durable records and files, HTTP posts |
//! | `mailbox` | how a worker thread reaches the engine |
//! | `programs` | the programs: what the operator says, and what is read before the loop |
//! | `embed` | a node inside somebody else's program, or a client of a daemon, as streams and listeners |
//! | `crypto` | a faster provider for packets |
//! | `clock`, `entropy`, `signals`, `log` | the rest of the operating system |
#![forbid(unsafe_code)]

const _: () = assert!(
    !pilot_proto::PLANTED || cfg!(feature = "planted"),
    "programs are not built with bugs planted on purpose, but for the one that says so"
);

mod clock;
mod crypto;
mod dial;
mod doors;
pub mod embed;
mod engine;
mod entropy;
mod http;
mod listen;
pub mod log;
mod mailbox;
mod outbox;
pub mod programs;
mod queue;
pub mod reactor;
mod rlimit;
mod signals;
mod socket;
mod store;
mod store_file;
mod streams;
mod tls;
mod udp;

pub use clock::Clock;
pub use crypto::RingCrypto;
pub use dial::Target;
pub use engine::{Engine, Next, Setup, Stopper};
pub use entropy::OsRng;
pub use listen::{Place, bind_tcp, bind_udp};
pub use mailbox::Waker;
pub use rlimit::raise_descriptor_limit;
pub use store::{RecordStore, StoreError, StoredRecord};
pub use tls::{DialTls, ServeTls};

//! Runs any [`Role`](pilot_roles::Role) on real sockets, on one mio event loop, and holds the programs `pilot-daemon`
//! and `rendezvous`.
//!
//! [`Driver`] performs what a role puts out and feeds it what the operating system says. It takes no protocol
//! decision: where it has a choice, the choice is about sockets, files and fairness. The floors, from the loop down:
//!
//! | file | idea |
//! | --- | --- |
//! | `driver` | the event loop and the contract with the role |
//! | `udp`, `outbox` | datagrams in and out, in batches |
//! | `streams`, `queue` | byte streams: the life of a connection, its outgoing bytes |
//! | `doors`, `listen`, `dial`, `rlimit` | where connections come from: accepting, binding, dialling |
//! | `socket`, `tls` | what is under a byte stream: TCP, Unix, TLS |
//! | `store`, `http` | worker threads: durable records and files, HTTP posts |
//! | `mailbox` | how a worker thread reaches the loop |
//! | `daemon`, `rendezvous`, `flags`, `identity`, `host` | the programs: what the operator says, and what is read before the loop |
//! | `crypto` | a faster provider for packets |
//! | `clock`, `entropy`, `signals`, `log` | the rest of the operating system |
#![forbid(unsafe_code)]

mod clock;
mod crypto;
pub mod daemon;
mod dial;
mod doors;
mod driver;
mod entropy;
mod flags;
mod host;
mod http;
mod identity;
mod listen;
pub mod log;
mod mailbox;
mod outbox;
mod queue;
pub mod rendezvous;
mod rlimit;
mod signals;
mod socket;
mod store;
mod streams;
mod tls;
mod udp;

pub use clock::Clock;
pub use crypto::RingCrypto;
pub use dial::Target;
pub use driver::{Driver, Setup, Stopper};
pub use entropy::OsRng;
pub use flags::seconds_of_units;
pub use listen::{Place, bind_tcp, bind_udp};
pub use rlimit::raise_descriptor_limit;
pub use store::{RecordStore, StoreError, StoredRecord};
pub use tls::{DialTls, ServeTls};

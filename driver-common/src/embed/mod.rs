//! A node for programs: as a part of the program, or as a client of a daemon on this host, with the same types.
//!
//! Both speak the daemon's local protocol: a daemon over its Unix socket, a node of one's own over a pair of connected
//! sockets inside the process. So names, trust, streams and their back-pressure exist once, and a program changes one
//! line between the two. Here is everything but threads and tasks: futures that any executor can run, and [`wait`], which
//! runs one on a plain thread. `pilot-mio` and `pilot-async` add how a node and its [pump](Hub::drive) run.

mod builder;
mod daemon;
mod endpoint;
mod hub;
mod rendezvous;
mod stream;
mod wait;
mod wakers;

pub use builder::{Builder, Launch, Prepared};
pub use daemon::{DEFAULT_SOCKET, open_socket};
pub use endpoint::{Endpoint, Exit, Node};
pub use hub::{Drive, Hub};
pub use pilot_proto::{Addr, SockAddr};
pub use pilot_roles::json::Value;
pub use rendezvous::{LocalRendezvous, PreparedRendezvous};
pub use stream::{Datagrams, Event, Events, Listener, Stream};
pub use wait::wait;

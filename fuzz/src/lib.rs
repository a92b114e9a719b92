//! What fuzzers do to Pilot Protocol. Each target is a function of bytes that panics when a promise is broken; the
//! fuzzer is in `libfuzzer/`, outside of the workspace, one line a target, and the bytes worth keeping are in `corpus/`.
//!
//! Here the targets are ordinary code: they are compiled in every build, and run over the corpus as a test.
#![forbid(unsafe_code)]

mod cut;
mod daemon;
mod described;
mod host;
mod ipc;
mod node;
mod rendezvous;
mod second;
mod stream;
mod text;
mod tunnel;
mod wire;

pub use cut::{data_exchange, event_stream, frames};
pub use daemon::{daemon_ipc, registry_reply};
pub use described::described;
pub use ipc::{ipc_client, ipc_reply, ipc_request};
pub use node::node;
pub use rendezvous::{beacon_role, registry, registry_bytes, registry_request, store_record};
pub use stream::stream;
pub use text::{scenario, trust_file, trust_message};
pub use tunnel::tunnel;
pub use wire::{address, beacon, datagram, extension, packet, sack};

/// A target: its name, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const TARGETS: [Target; 26] = [
    ("address", address),
    ("beacon", beacon),
    ("beacon_role", beacon_role),
    ("daemon_ipc", daemon_ipc),
    ("data_exchange", data_exchange),
    ("datagram", datagram),
    ("described", described),
    ("event_stream", event_stream),
    ("extension", extension),
    ("frames", frames),
    ("ipc_client", ipc_client),
    ("ipc_reply", ipc_reply),
    ("ipc_request", ipc_request),
    ("node", node),
    ("packet", packet),
    ("registry", registry),
    ("registry_bytes", registry_bytes),
    ("registry_reply", registry_reply),
    ("registry_request", registry_request),
    ("sack", sack),
    ("scenario", scenario),
    ("store_record", store_record),
    ("stream", stream),
    ("trust_file", trust_file),
    ("trust_message", trust_message),
    ("tunnel", tunnel),
];

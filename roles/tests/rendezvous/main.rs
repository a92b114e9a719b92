//! The rendezvous from outside: golden vectors, identity, trust, crashes, connections, the beacon.

mod beacon;
mod connections;
mod durability;
mod host;
mod identity;
mod net;
mod trust;
mod vectors;

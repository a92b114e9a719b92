//! The rendezvous from outside: golden vectors, crashes, trust, connections, the beacon, and the reference's defects.

mod beacon;
mod durability;
mod host;
mod vectors;

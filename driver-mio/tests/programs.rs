//! The programs of this driver, as every driver's must be.

#[path = "../../driver-common/program/mod.rs"]
mod program;

const DAEMON: &str = env!("CARGO_BIN_EXE_pilot-daemon");
const RENDEZVOUS: &str = env!("CARGO_BIN_EXE_rendezvous");

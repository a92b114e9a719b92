//! The command line of a Pilot network.

fn main() {}

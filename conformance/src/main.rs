//! Checks Pilot implementations against each other.

fn main() {}

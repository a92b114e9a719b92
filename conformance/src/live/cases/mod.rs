//! The cases, one file a section.

mod beacon;
mod expiry;
mod ipc;
mod load;
mod nat;
mod packet;
mod registry;
mod restart;
mod services;
mod stream;
mod trust;
mod tunnel;

use super::case::{Case, Setup};

/// Every case, sections in the order of the layers. Limits of a rendezvous are by source address: its agents need more
/// hosts than the loopback of other systems has.
pub(crate) fn all() -> Vec<Case> {
    let mut all: Vec<Case> = [
        packet::cases(),
        tunnel::cases(),
        stream::cases(),
        nat::cases(),
        trust::cases(),
        ipc::cases(),
        services::cases(),
        restart::cases(),
        load::cases(),
        registry::cases(),
        beacon::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    all.retain(|case| case.setup != Setup::Rendezvous || cfg!(target_os = "linux"));
    all
}

/// The vectors of one file.
pub(crate) fn vectors(text: &str) -> serde_json::Value {
    // They are part of this program.
    serde_json::from_str(text).unwrap_or_default()
}

/// Bytes written as hexadecimal digits.
pub(crate) fn unhex(value: &serde_json::Value) -> Vec<u8> {
    let text = value.as_str().unwrap_or_default();
    let digit = |at: usize| text.get(2 * at..2 * at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    (0..text.len() / 2).filter_map(digit).collect()
}

/// A name as part of an id.
pub(crate) fn slug(name: &str) -> String {
    let kept = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let mut slug = String::new();
    for c in kept {
        if c != '-' || !slug.ends_with('-') {
            slug.push(c);
        }
    }
    slug.trim_matches('-').to_string()
}

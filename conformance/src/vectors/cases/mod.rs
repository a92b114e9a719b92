//! The cases, one file a layer, and what they have in common.

mod address;
mod beacon;
mod crypto;
mod extension;
mod ipc;
mod limits;
mod packet;
mod registry;
mod replay;
mod services;
mod trust;
mod tunnel;

use super::case::{Case, Cases, Expect};
pub(crate) use crate::live::cases::{slug, unhex, vectors};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Every case, layers from the bottom up.
pub(crate) fn all() -> Vec<Case> {
    let mut adapter = Cases::new("adapter");
    adapter.must(
        "unknown-operation",
        "ADP-2",
        "an operation that does not exist is answered by unsupported",
        json!({"op": "no-such-operation"}),
        Expect::Unknown,
    );
    [
        adapter.all,
        address::cases(),
        packet::cases(),
        tunnel::cases(),
        crypto::cases(),
        replay::cases(),
        beacon::cases(),
        trust::cases(),
        ipc::cases(),
        services::cases(),
        registry::cases(),
        extension::cases(),
        limits::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const WIRE: &str = include_str!("../../../../spec/vectors/wire.json");
const TUNNEL: &str = include_str!("../../../../spec/vectors/tunnel.json");
const BEACON: &str = include_str!("../../../../spec/vectors/beacon.json");
const TRUST: &str = include_str!("../../../../spec/vectors/trust.json");
const IPC: &str = include_str!("../../../../spec/vectors/ipc.json");
const SERVICES: &str = include_str!("../../../../spec/vectors/services.json");
const REGISTRY: &str = include_str!("../../../../spec/vectors/registry.json");
const VERSIONS: &str = include_str!("../../../../spec/vectors/versions.json");
const EXTENSIONS: &str = include_str!("../../../../spec/vectors/extensions.json");
const STREAM: &str = include_str!("../../../../spec/vectors/stream.json");

/// The elements of a list in a vector; none if it is no list.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

/// A question about bytes.
fn about(op: &str, bytes: &[u8]) -> Value {
    json!({"op": op, "hex": hex(bytes)})
}

/// The members of `fields` asked of `op`.
fn with(op: &str, fields: &Value) -> Value {
    let mut question = fields.clone();
    question["op"] = op.into();
    question
}

/// Bytes in which every bit is likely to matter.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + 3) as u8).collect()
}

/// `bytes` with one bit turned; bit 0 is the lowest of the first byte.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[bit / 8] ^= 1 << (bit % 8);
    changed
}

#[cfg(test)]
mod tests {
    use super::super::case::Expect;
    use std::collections::BTreeSet;

    #[test]
    fn every_case_has_an_id_of_its_own_and_a_clause_that_exists() {
        let spec = std::fs::read_dir("../spec").expect("spec").map(|entry| entry.expect("entry").path());
        let docs = std::iter::once("../docs/adapters.md".into());
        let spec: String = spec
            .filter(|path| path.extension().is_some_and(|e| e == "md"))
            .chain(docs)
            .map(|path| std::fs::read_to_string(path).expect("text"))
            .collect();
        let mut ids = BTreeSet::new();
        for case in super::all() {
            let heading = &case.heading;
            assert!(ids.insert(heading.id.clone()), "{} is there twice", heading.id);
            assert!(heading.id.is_ascii() && !heading.id.contains(' '), "{}", heading.id);
            assert!(spec.contains(&format!("**{}**", heading.clause)), "{}: {}", heading.id, heading.clause);
            assert!(!heading.text.is_empty() && case.question["op"].is_string(), "{}", heading.id);
            if let Expect::Result(value) = &case.expect {
                assert!(value.is_object(), "{}", heading.id);
            }
        }
        println!("{} cases", ids.len());
        assert!(ids.len() > 2000, "{}", ids.len());
    }
}

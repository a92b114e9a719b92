//! The frames of the built-in services, for the daemon that answers them and the programs that call them.

pub mod data_exchange;
pub mod event_stream;

/// The captured frames of both services.
#[cfg(test)]
mod vectors {
    use alloc::{format, vec, vec::Vec};

    pub(super) fn vectors() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../spec/vectors/services.json")).unwrap()
    }

    /// The bytes of a case: written out, or one byte many times.
    pub(super) fn bytes(case: &serde_json::Value, name: &str) -> Option<Vec<u8>> {
        if let Some(text) = case[format!("{name}_hex")].as_str() {
            return Some(hex::decode(text).unwrap());
        }
        let repeat = case.get(format!("{name}_repeat"))?;
        let byte = hex::decode(repeat["byte"].as_str()?).unwrap()[0];
        Some(vec![byte; usize::try_from(repeat["count"].as_u64()?).unwrap()])
    }
}

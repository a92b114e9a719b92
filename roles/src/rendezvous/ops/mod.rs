//! The registry's operations, one file a family. Each checks everything before it changes anything.

pub(super) mod beacons;
pub(super) mod find;
pub(super) mod keys;
pub(super) mod network;
pub(super) mod node;
pub(super) mod settings;
pub(super) mod trust;

use alloc::{format, string::String};

use super::wire::{Refusal, quoted};
use pilot_proto::{Addr, planted};

/// Longest hostname in bytes.
const MAX_HOSTNAME: usize = 63;
const RESERVED_HOSTNAMES: [&str; 3] = ["localhost", "backbone", "broadcast"];

/// A node's address text on the backbone.
fn address(node: u32) -> String {
    format!("{}", Addr::backbone(node))
}

/// Lower-case letters, digits and hyphens, with no hyphen at either end.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether `hostname` can be one (REG-17). Empty is none and allowed.
///
/// # Errors
/// Why it cannot, in the words of the answer to who asks for it.
pub fn check_hostname(hostname: &str) -> Result<(), String> {
    if hostname.is_empty() || planted!(AnyHostname) {
        Ok(())
    } else if hostname.len() > MAX_HOSTNAME {
        Err(format!("hostname too long (max {MAX_HOSTNAME} chars)"))
    } else if !is_label(hostname) {
        Err("hostname must be lowercase alphanumeric with hyphens, start/end with alphanumeric".into())
    } else if RESERVED_HOSTNAMES.contains(&hostname) {
        Err(format!("hostname {} is reserved", quoted(hostname)))
    } else {
        Ok(())
    }
}

/// Reads a base64 public key; `what` names it in the refusal.
fn read_key(text: &str, what: &str) -> Result<super::records::PublicKey, Refusal> {
    let bytes = super::base64::decode(text)
        .map_err(|bad| Refusal::Shown(format!("invalid {what}: decode public key: {bad}")))?;
    <[u8; 32]>::try_from(bytes.as_slice())
        .map_err(|_| Refusal::Shown(format!("invalid {what}: invalid public key size: {}", bytes.len())))
}

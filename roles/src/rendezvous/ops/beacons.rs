//! The list of beacons. Daemons believe it, so by default only the administrator adds to it.

use alloc::{borrow::ToOwned, vec::Vec};

use pilot_proto::crypto::Crypto;
use pilot_proto::time::Duration;

use crate::json::{Value, json};
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::wire::{Outcome, Refusal, Request, members};

/// How long an entry is listed after it was told last.
const LIFETIME: Duration = Duration::from_secs(60);
const MAX_BEACONS: usize = 64;
/// Longest address text in bytes.
const MAX_ADDR: usize = 256;

pub(in crate::rendezvous) fn beacon_register<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, addr) = (request.id("beacon_id"), request.text("addr"));
    if !registry.config.open_beacon_list {
        registry.admin_only(request)?;
    }
    if id == 0 {
        return Refusal::shown("beacon_id required");
    }
    if addr.is_empty() {
        return Refusal::shown("addr required");
    }
    if addr.len() > MAX_ADDR {
        return Refusal::shown("addr too long (max 256 bytes)");
    }
    let now = caller.now.instant;
    registry.beacons.retain(|_, (_, told)| now.since(*told) <= LIFETIME);
    if registry.beacons.len() >= MAX_BEACONS && !registry.beacons.contains_key(&id) {
        return Refusal::shown("too many beacons (max 64)");
    }
    registry.beacons.insert(id, (addr.to_owned(), now));
    Ok(members! {"beacon_id": id})
}

pub(in crate::rendezvous) fn beacon_list<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
) -> Outcome {
    let now = caller.now.instant;
    let live = registry.beacons.iter().filter(|(_, (_, told))| now.since(*told) <= LIFETIME);
    let beacons: Vec<Value> = live.map(|(id, (addr, _))| json!({"id": id, "addr": addr})).collect();
    Ok(members! {"beacons": beacons})
}

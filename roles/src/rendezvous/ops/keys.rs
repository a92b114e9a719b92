//! Node keys: rotation and what is known of their age.

use alloc::{borrow::ToOwned, format};

use pilot_proto::{crypto::Crypto, planted};

use super::{address, read_key};
use crate::clock::rfc3339;
use crate::json::json;
use crate::rendezvous::base64;
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::wire::{Outcome, Refusal, Request, members};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Whole days the node's present key has been in use.
pub(super) fn age_days(since: i64, now: i64) -> i64 {
    (now - since).max(0) / DAY
}

/// A node replaces its key, signing with the old one: over its id (up to 1.7.2) or over id and new key (later).
pub(in crate::rendezvous) fn rotate_key<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, new_text) = (request.id("node_id"), request.text("new_public_key"));
    if request.text("signature").is_empty() {
        return Err(Refusal::Hidden("signature missing"));
    }
    if new_text.is_empty() {
        return Err(Refusal::Hidden("new_public_key missing"));
    }
    let new = read_key(new_text, "new_public_key")?;
    let old = if planted!(RotationByNewKey) { new } else { registry.node(id)?.key };
    registry
        .check_signature(request, &old, &format!("rotate:{id}:{new_text}"))
        .or_else(|_| registry.check_signature(request, &old, &format!("rotate:{id}")))?;
    registry.proved(caller, id);
    if registry.state.keys.get(new).is_some_and(|used| used.node != id) {
        return Err(Refusal::Hidden("new key is in use by another node"));
    }
    if new != old {
        registry.state.rotate_key(id, new, caller.now.unix_secs());
    }
    registry.state.hear(id, caller.now.instant, caller.now.unix_secs());
    Ok(members! {"node_id": id, "address": address(id), "public_key": base64::encode(&new)})
}

pub(in crate::rendezvous) fn get_key_info<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
    request: &Request,
) -> Outcome {
    let id = request.id("node_id");
    let node = registry.node(id)?;
    let text = |unix: i64| rfc3339(unix.saturating_mul(1_000_000), 0);
    let mut answer = members! {
        "node_id": id,
        "created_at": text(node.key_created),
        "rotate_count": node.rotations,
        "key_age_days": age_days(node.key_since(), caller.now.unix_secs()),
    };
    if let Some(rotated) = node.key_rotated {
        answer.insert("rotated_at".to_owned(), json!(text(rotated)));
    }
    Ok(answer)
}

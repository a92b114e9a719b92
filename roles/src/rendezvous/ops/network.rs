//! Networks. Only the backbone, of which every node is a member.

use alloc::{borrow::ToOwned, vec::Vec};

use pilot_proto::crypto::Crypto;

use super::find::describe;
use crate::clock::rfc3339;
use crate::json::{Value, json};
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::wire::{Outcome, Refusal, Request, members};

const BACKBONE: u16 = 0;

pub(in crate::rendezvous) fn list_networks<C: Crypto>(registry: &mut Registry<C>) -> Outcome {
    let backbone = json!({
        "id": BACKBONE, "name": "backbone", "members": registry.state.node_count(), "join_rule": "open",
        "enterprise": false, "created": registry.state.created(),
    });
    Ok(members! {"networks": [backbone]})
}

/// All nodes, for the administrator only.
pub(in crate::rendezvous) fn list_nodes<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
    request: &Request,
) -> Outcome {
    Registry::<C>::limit(&mut registry.limits.query, caller, "queries")?;
    let network = request.network("network_id");
    if network != BACKBONE {
        return Err(Refusal::no_network(network));
    }
    if !registry.is_admin(request) {
        return Err(Refusal::Hidden("listing the backbone needs the admin token"));
    }
    let online = registry.state.nodes().filter(|(_, node)| registry.is_online(node, caller.now.instant));
    let nodes: Vec<Value> = online
        .map(|(id, node)| {
            let silent = caller.now.instant.since(node.seen).as_micros();
            let seen = caller.now.unix_micros - i64::try_from(silent).unwrap_or(i64::MAX);
            let mut entry = describe(id, node);
            entry.insert("last_seen".to_owned(), json!(rfc3339(seen, 0)));
            Value::Object(entry)
        })
        .collect();
    Ok(members! {"nodes": nodes})
}

pub(in crate::rendezvous) fn get_network_policy(request: &Request) -> Outcome {
    let network = request.network("network_id");
    if network != BACKBONE {
        return Err(Refusal::no_network(network));
    }
    let ports: [u16; 0] = [];
    Ok(members! {"network_id": network, "max_members": 0, "allowed_ports": ports, "description": ""})
}

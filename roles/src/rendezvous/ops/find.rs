//! Finding a node: lookup, resolve, resolve_hostname, punch. Private nodes are shown to those they trust.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};

use pilot_proto::{crypto::Crypto, planted};

use super::keys::age_days;
use super::{address, trust};
use crate::json::{Map, Value, json};
use crate::rendezvous::base64;
use crate::rendezvous::records::Node;
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::wire::{Outcome, Refusal, Request, members, quoted};

/// What everybody may know of a node: `lookup_ok`, and with other addresses the entries of lists.
pub(super) fn describe(id: u32, node: &Node) -> Map<String, Value> {
    let mut shown = members! {
        "node_id": id,
        "address": address(id),
        "public": node.public,
        "polo_score": 0,
    };
    if !node.hostname.is_empty() {
        shown.insert("hostname".to_owned(), json!(node.hostname));
    }
    if !node.tags.is_empty() {
        shown.insert("tags".to_owned(), json!(node.tags));
    }
    if node.task_exec {
        shown.insert("task_exec".to_owned(), json!(true));
    }
    if node.public || planted!(PrivateShown) {
        shown.insert("real_addr".to_owned(), json!(node.endpoint.addr));
    }
    shown
}

pub(in crate::rendezvous) fn lookup<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
    request: &Request,
) -> Outcome {
    Registry::<C>::limit(&mut registry.limits.query, caller, "queries")?;
    let id = request.id("node_id");
    let node = registry.node(id)?;
    let mut answer = describe(id, node);
    answer.insert("networks".to_owned(), json!([0]));
    if planted!(OwnerTold) {
        answer.insert("owner".to_owned(), json!(node.owner));
    }
    answer.insert("public_key".to_owned(), json!(base64::encode(&node.key)));
    Ok(answer)
}

/// The node if it may be given away and is online. Offline nodes are as good as unknown: no dial could succeed.
fn reachable<'r, C: Crypto>(
    registry: &'r Registry<C>,
    caller: &Caller<'_>,
    requester: u32,
    target: u32,
) -> Result<&'r Node, Refusal> {
    let node = registry.node(target)?;
    if !registry.may_reach(requester, target) {
        return Err(Refusal::Hidden("target is private and does not trust the requester"));
    }
    if registry.is_online(node, caller.now.instant) { Ok(node) } else { Err(Refusal::no_node(target)) }
}

/// Where a node is, for a registered node that signs.
pub(in crate::rendezvous) fn resolve<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    Registry::<C>::limit(&mut registry.limits.resolve, caller, "resolves")?;
    let (target, requester) = (request.id("node_id"), request.id("requester_id"));
    if registry.state.node(requester).is_none() {
        return Err(Refusal::Hidden("requester not registered"));
    }
    registry.verify(caller, request, requester, &format!("resolve:{requester}:{target}"))?;
    let node = reachable(registry, caller, requester, target)?;
    let mut answer = members! {
        "node_id": target,
        "real_addr": node.endpoint.addr,
        "key_age_days": age_days(node.key_since(), caller.now.unix_secs()),
    };
    if node.endpoint.relay_only {
        // Without a relay address of ours, the asker's own beacon has to do.
        answer.insert("relay_only".to_owned(), json!(true));
        if let Some(relay) = registry.config.relay_address {
            answer.insert("real_addr".to_owned(), json!(relay.to_string()));
        }
    } else if !node.endpoint.lan.is_empty() {
        answer.insert("lan_addrs".to_owned(), json!(node.endpoint.lan));
    }
    trust::note_contact(registry, requester, target, caller.now.unix_secs());
    Ok(answer)
}

/// The node of a name. A private name is unknown to whoever its node does not trust.
///
/// `requester_id` counts only if this connection has signed for it; without one, every node that it has signed for
/// asks: programs of the reference never send it.
pub(in crate::rendezvous) fn resolve_hostname<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
    request: &Request,
) -> Outcome {
    Registry::<C>::limit(&mut registry.limits.query, caller, "queries")?;
    let hostname = request.text("hostname");
    if hostname.is_empty() {
        return Refusal::shown("hostname required");
    }
    let claimed = request.id("requester_id");
    let known = registry.state.named(hostname).filter(|&id| {
        let may_know = |asker: u32| asker == id || registry.may_reach(asker, id);
        registry.state.node(id).is_some_and(|node| node.public)
            || caller.proven.iter().any(|asker| (claimed == 0 || asker == claimed) && may_know(asker))
            || planted!(RequesterBelieved) && may_know(claimed)
    });
    match known.and_then(|id| Some((id, registry.state.node(id)?))) {
        Some((id, node)) => Ok(members! {
            "node_id": id,
            "address": address(id),
            "public": node.public,
            "hostname": hostname,
        }),
        None => Refusal::shown(format!("hostname {} not found", quoted(hostname))),
    }
}

/// Both endpoints for one of two nodes, under the same rule as resolve.
pub(in crate::rendezvous) fn punch<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (a, b, requester) = (request.id("node_a"), request.id("node_b"), request.id("requester_id"));
    registry.node(requester)?;
    if requester != a && requester != b {
        return Err(Refusal::Hidden("requester is neither node_a nor node_b"));
    }
    registry.verify(caller, request, requester, &format!("punch:{a}:{b}"))?;
    let (node_a, node_b) = (registry.node(a)?, registry.node(b)?);
    reachable(registry, caller, requester, if requester == a { b } else { a })?;
    Ok(members! {
        "node_a": a,
        "node_a_addr": node_a.endpoint.addr,
        "node_b": b,
        "node_b_addr": node_b.endpoint.addr,
    })
}

//! What a node says about itself: hostname, visibility, tags, task execution.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use pilot_proto::{crypto::Crypto, planted};

use super::{check_hostname, is_label};
use crate::json::Value;
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::store::Promise;
use crate::rendezvous::wire::{Outcome, Refusal, Request, members, quoted};

const MAX_TAGS: usize = 10;
const MAX_TAG: usize = 32;

pub(in crate::rendezvous) fn set_hostname<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, hostname) = (request.id("node_id"), request.text("hostname"));
    check_hostname(hostname).map_err(|problem| Refusal::Shown(format!("invalid hostname: {problem}")))?;
    registry.node(id)?;
    registry.verify_or_admin(caller, request, id, &format!("set_hostname:{id}"))?;
    match registry.state.named(hostname) {
        Some(holder) if holder != id && planted!(NameTakenTwice) => registry.state.set_hostname(id, hostname),
        Some(holder) if holder != id => {
            return Refusal::shown(format!("hostname {} already in use by node {holder}", quoted(hostname)));
        }
        Some(_) => {}
        None if hostname.is_empty() && registry.node(id)?.hostname.is_empty() => {}
        None => registry.state.set_hostname(id, hostname),
    }
    Ok(members! {"node_id": id, "hostname": hostname})
}

pub(in crate::rendezvous) fn set_visibility<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, public) = (request.id("node_id"), request.flag("public"));
    registry.node(id)?;
    registry.verify_or_admin(caller, request, id, &format!("set_visibility:{id}"))?;
    if registry.node(id)?.public != public {
        registry.state.edit_node(Promise::Binding, id, |node| node.public = public);
    }
    Ok(members! {"node_id": id, "visibility": if public { "public" } else { "private" }})
}

pub(in crate::rendezvous) fn set_tags<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let id = request.id("node_id");
    let mut tags: Vec<String> = Vec::new();
    for tag in request.texts("tags").map(|tag| tag.strip_prefix('#').unwrap_or(tag)) {
        if !tags.iter().any(|known| known == tag) {
            if tags.len() == MAX_TAGS {
                return Refusal::shown(format!("too many tags (max {MAX_TAGS})"));
            }
            tags.push(tag.to_owned());
        }
    }
    for tag in &tags {
        if tag.len() > MAX_TAG {
            return Refusal::shown(format!("tag {} too long (max {MAX_TAG} chars)", quoted(tag)));
        }
        if !is_label(tag) {
            return Err(Refusal::Hidden("tag empty or with characters outside a-z 0-9 -"));
        }
    }
    registry.node(id)?;
    registry.verify_or_admin(caller, request, id, &format!("set_tags:{id}"))?;
    let shown = if tags.is_empty() { Value::Null } else { tags.clone().into() };
    if !planted!(LostUpdate) {
        registry.state.edit_node(Promise::Binding, id, |node| node.tags = tags);
    }
    Ok(members! {"node_id": id, "tags": shown})
}

pub(in crate::rendezvous) fn set_task_exec<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let (id, enabled) = (request.id("node_id"), request.flag("enabled"));
    registry.node(id)?;
    registry.verify_or_admin(caller, request, id, &format!("set_task_exec:{id}"))?;
    registry
        .state
        .edit_node(Promise::Binding, id, |node| node.task_exec = enabled && !planted!(TaskExecLost));
    Ok(members! {"node_id": id, "task_exec": enabled})
}

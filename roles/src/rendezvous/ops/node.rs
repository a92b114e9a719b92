//! A node's presence: register, heartbeat, deregister.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use core::net::SocketAddr;

use pilot_proto::{crypto::Crypto, planted};

use super::{address, check_hostname, read_key};
use crate::json::json;
use crate::rendezvous::records::{Endpoint, KeyUse, Node};
use crate::rendezvous::registry::{Caller, Registry};
use crate::rendezvous::store::Promise;
use crate::rendezvous::wire::{Outcome, Refusal, Request, members};

/// LAN addresses kept of a registration, and the longest text kept of one.
const MAX_LAN: usize = 16;
const MAX_LAN_TEXT: usize = 64;
/// Longest account text in bytes: the longest e-mail address.
const MAX_OWNER: usize = 320;
/// Longest port text in bytes.
const MAX_PORT_TEXT: usize = 32;
/// How far the clock of a heartbeat that carries one may be off, in seconds.
const CLOCK_TOLERANCE: f64 = 300.0;

/// A key arrives: it gets its id back, or a new one. Whoever signed once must sign always.
pub(in crate::rendezvous) fn register<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let allowed = Registry::<C>::limit(&mut registry.limits.register, caller, "registrations");
    let key_text = request.text("public_key");
    if key_text.is_empty() {
        allowed?;
        return Err(Refusal::Hidden("public_key missing"));
    }
    let key = match read_key(key_text, "public key") {
        Ok(key) => key,
        Err(bad) => return allowed.and(Err(bad)),
    };
    let used = registry.state.keys.get(key).copied();
    if used.is_none() {
        allowed?;
    }

    let listen = request.text("listen_addr");
    let signs = !request.text("signature").is_empty();
    if signs || used.is_some_and(|used| used.signs && !planted!(UnsignedAgain)) {
        registry.check_signature(request, &key, &format!("register:{listen}:{key_text}"))?;
    }
    let owner = request.text("owner");
    if owner.len() > MAX_OWNER {
        return Refusal::shown(format!("owner too long (max {MAX_OWNER} bytes)"));
    }

    let endpoint = endpoint_of(request, caller.source);
    let observed = endpoint.addr.clone();
    // A key whose id meanwhile belongs to another key starts anew: the id is that key's.
    let own = used.filter(|used| registry.state.node(used.node).is_none_or(|node| node.key == key));
    let (id, trusted) = match own {
        Some(KeyUse { node: id, .. }) if registry.state.node(id).is_some() => {
            let trusted = refresh(registry, caller, id, owner, endpoint, signs);
            (id, trusted)
        }
        returning => {
            let max = registry.config.max_nodes;
            if used.is_none() && registry.state.key_count() >= max {
                return Refusal::shown(format!("too many nodes (max {max})"));
            }
            let id = match returning {
                Some(used) => used.node,
                None => registry.state.take_id().ok_or(Refusal::Hidden("node ids exhausted"))?,
            };
            registry.state.insert_node(id, fresh(key, owner, endpoint, caller));
            (id, true)
        }
    };
    let now_used = KeyUse { node: id, signs: signs || used.is_some_and(|used| used.signs), left: None };
    if used != Some(now_used) {
        registry.state.use_key(key, now_used);
    }
    if signs {
        registry.proved(caller, id);
    }

    let mut answer = members! {
        "node_id": id,
        "address": address(id),
        "network_id": 0,
        "public_key": key_text,
        "observed_addr": observed,
        "protocol_version": 1,
    };
    let hostname = request.text("hostname");
    match check_hostname(hostname) {
        Err(problem) => {
            answer.insert("hostname_error".to_owned(), json!(problem));
        }
        Ok(()) if hostname.is_empty() || !trusted => {}
        Ok(()) => match registry.state.named(hostname) {
            Some(holder) if holder != id => {}
            holder => {
                if holder.is_none() {
                    registry.state.set_hostname(id, hostname);
                }
                answer.insert("hostname".to_owned(), json!(hostname));
            }
        },
    }
    Ok(answer)
}

/// A live node registers again; says whether the caller may be taken for the node.
///
/// Whoever has read the key can send this unsigned. Without a signature an online node therefore moves only within
/// its source address; anything else is kept aside until the key signs something from the new address.
fn refresh<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &Caller<'_>,
    id: u32,
    owner: &str,
    endpoint: Endpoint,
    signed: bool,
) -> bool {
    let now = caller.now.instant;
    let Some(node) = registry.state.node(id) else { return false };
    let trusted = signed
        || node.endpoint.source == endpoint.source
        || caller.proven.contains(id)
        || !registry.is_online(node, now)
        || planted!(UnsignedMoves);
    let names_owner = node.owner.is_empty() && !owner.is_empty();
    let moved = node.endpoint != endpoint && !planted!(EndpointKept);
    if trusted && (moved || names_owner) {
        registry.state.edit_node(Promise::Binding, id, |node| {
            node.endpoint = endpoint;
            node.claim = None;
            if names_owner {
                node.owner = owner.to_owned();
            }
        });
    } else if !trusted && let Some(node) = registry.state.touch_node(id) {
        node.claim = Some(endpoint);
    }
    if trusted {
        registry.state.hear(id, now, caller.now.unix_secs());
    }
    trusted
}

fn fresh(key: [u8; 32], owner: &str, endpoint: Endpoint, caller: &Caller<'_>) -> Node {
    Node {
        key,
        owner: owner.to_owned(),
        endpoint,
        public: false,
        hostname: String::new(),
        tags: alloc::vec::Vec::new(),
        task_exec: false,
        key_created: caller.now.unix_secs(),
        key_rotated: None,
        rotations: 0,
        heard: caller.now.unix_secs(),
        seen: caller.now.instant,
        claim: None,
    }
}

/// The port is the node's word, the host is where the connection comes from.
fn endpoint_of(request: &Request, source: SocketAddr) -> Endpoint {
    let ip = source.ip().to_canonical();
    let addr = match port_of(request.text("listen_addr")) {
        Some(port) if port.len() <= MAX_PORT_TEXT && ip.is_ipv6() => format!("[{ip}]:{port}"),
        Some(port) if port.len() <= MAX_PORT_TEXT => format!("{ip}:{port}"),
        _ => SocketAddr::new(ip, source.port()).to_string(),
    };
    let lan = request.texts("lan_addrs").filter(|text| !text.is_empty() && text.len() <= MAX_LAN_TEXT);
    Endpoint {
        addr,
        source: ip,
        lan: lan.take(MAX_LAN).map(str::to_owned).collect(),
        relay_only: request.flag("relay_only"),
    }
}

/// What stands behind the last colon of `host:port` or `[host]:port`, if it is one of these.
fn port_of(text: &str) -> Option<&str> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    let brackets = |text: &str| text.contains(['[', ']']);
    (!brackets(bare) && !brackets(port)).then_some(port)
}

/// A node is alive. Limited by node once its signature is known, so that many can share an address.
pub(in crate::rendezvous) fn heartbeat<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    Registry::<C>::limit(&mut registry.limits.unverified, caller, "heartbeats")?;
    let id = request.id("node_id");
    let (now, unix) = (caller.now.instant, caller.now.unix_secs());
    registry.node(id)?;
    let text = match request.number("ts") {
        Some(at) if (at - unix as f64).abs() <= CLOCK_TOLERANCE || planted!(OldHeartbeat) => {
            format!("heartbeat:{id}:{}", at as i64)
        }
        Some(_) => {
            return Refusal::shown(format!("invalid ts: must be within {CLOCK_TOLERANCE} s of {unix}"));
        }
        None => format!("heartbeat:{id}"),
    };
    registry.verify(caller, request, id, &text)?;
    if !registry.limits.heartbeat.take(id, now) {
        let ip = caller.source.ip().to_canonical();
        return Refusal::shown(format!("rate limited: too many heartbeats from {ip}"));
    }
    if !planted!(HeartbeatLost) {
        registry.state.hear(id, now, unix);
    }
    Ok(members! {"time": unix})
}

/// A node leaves. Its id, consents and inbox wait for the same key.
pub(in crate::rendezvous) fn deregister<C: Crypto>(
    registry: &mut Registry<C>,
    caller: &mut Caller<'_>,
    request: &Request,
) -> Outcome {
    let id = request.id("node_id");
    if registry.state.node(id).is_some() {
        registry.verify_or_admin(caller, request, id, &format!("deregister:{id}"))?;
        registry.state.remove_node(id, caller.now.unix_secs());
    }
    Ok(members! {})
}

#[cfg(test)]
mod tests {
    use super::port_of;

    #[test]
    fn ports_are_cut_off_but_not_checked() {
        for (text, port) in [
            (":4001", Some("4001")),
            ("x:http", Some("http")),
            ("x:", Some("")),
            ("[2001:db8::1]:4003", Some("4003")),
            ("2001:db8::1", None),
            ("noport", None),
            ("[::1]", None),
            ("[::1]x:1", None),
            ("", None),
        ] {
            assert_eq!(port_of(text), port, "{text}");
        }
    }
}

//! What people may name as a target: a full address, a node id, or a hostname the daemon finds.

use pilot_proto::Addr;
use pilot_roles::ipc::Request;

use crate::format::{number, quoted, text};
use crate::ipc::Daemon;
use crate::output::{Code, Failure, Output};

/// An address or a node id; `None` if it must be a hostname.
pub(crate) fn literal(target: &str) -> Option<Addr> {
    target.parse().ok().or_else(|| node_id(target).map(Addr::backbone))
}

/// A decimal node id.
pub(crate) fn node_id(target: &str) -> Option<u32> {
    (!target.is_empty() && target.bytes().all(|b| b.is_ascii_digit())).then(|| target.parse().ok()).flatten()
}

/// The address of a target.
pub(crate) fn address(out: Output, daemon: &mut Daemon, target: &str) -> Result<Addr, Failure> {
    if let Some(addr) = literal(target) {
        return Ok(addr);
    }
    let found = daemon
        .object(&Request::ResolveHostname { name: target.into() })
        .ok()
        .and_then(|answer| text(&answer, "address").parse::<Addr>().ok());
    let Some(addr) = found else {
        return Err(Failure::new(
            Code::NotFound,
            format!(
                "cannot resolve {} — is the hostname correct and is there mutual trust? (see: pilotctl handshake)",
                quoted(target)
            ),
        ));
    };
    out.note(format!("resolved {} → {addr}", quoted(target)));
    Ok(addr)
}

/// The node a handshake is meant for.
pub(crate) fn node(out: Output, daemon: &mut Daemon, target: &str) -> Result<u32, Failure> {
    if let Some(node) = node_id(target) {
        return Ok(node);
    }
    if let Ok(addr) = target.parse::<Addr>() {
        out.note(format!("parsed address {addr} → node {}", addr.node));
        return Ok(addr.node);
    }
    let answer = daemon.object(&Request::ResolveHostname { name: target.into() }).map_err(|error| {
        Failure::new(Code::NotFound, format!("resolve {}: resolve_hostname: {error}", quoted(target)))
    })?;
    let node = u32::try_from(number(&answer, "node_id")).unwrap_or(0);
    out.note(format!("resolved {target} → node {node}"));
    Ok(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_need_no_daemon() {
        assert_eq!(literal("0:0000.0000.0002"), Some(Addr::backbone(2)));
        assert_eq!(literal("1:0001.0000.000a"), Some(Addr { network: 1, node: 10 }));
        assert_eq!(literal("7"), Some(Addr::backbone(7)));
        for name in ["agent-b", "4294967296", "+7", "", "0:0001.0000.0005"] {
            assert_eq!(literal(name), None, "{name}");
        }
    }
}

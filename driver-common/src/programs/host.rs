//! What this host is to a daemon: its addresses in local networks and its offset from UTC.

use std::net::{IpAddr, SocketAddr};

/// Addresses a peer in the same local network could use for a socket bound to `bound`.
pub(crate) fn lan_addrs(bound: SocketAddr) -> Vec<IpAddr> {
    if !bound.ip().is_unspecified() {
        return Some(bound.ip()).into_iter().filter(is_lan).collect();
    }
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces.iter().map(if_addrs::Interface::ip).filter(is_lan).collect(),
        Err(error) => {
            tracing::warn!(%error, "the addresses of this host are unknown");
            Vec::new()
        }
    }
}

/// Those the field exchanges: private and link-local IPv4.
fn is_lan(ip: &IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.is_private() || v4.is_link_local())
}

/// Minutes that local time is ahead of UTC now.
pub(crate) fn utc_offset() -> i32 {
    jiff::tz::TimeZone::system().to_offset(jiff::Timestamp::now()).seconds() / 60
}

//! What this host is to a daemon: its addresses in local networks, its offset from UTC, what its processor can do.

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

/// Whether the processor has instructions for AES-GCM: without them it is slow, or leaks its key by its timing.
pub(crate) fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
    return std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes")
        && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
    false
}

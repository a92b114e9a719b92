//! The daemon described in JSON: for `info`, `health` and the lists of trust.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use pilot_proto::{
    base64,
    crypto::Crypto,
    node::{PeerInfo, StreamInfo},
    rng::Rng,
    stream::State,
};

use super::Daemon;
use crate::{
    json::{Value, json},
    role::Now,
};

/// Most entries of each list, so that an answer stays below the 1 MiB that clients accept.
const MAX_PEERS: usize = 2500;
const MAX_STREAMS: usize = 1200;
const MAX_TRUSTED: usize = 5000;

/// What newer programs look for before they rely on it.
const FEATURES: [&str; 4] = ["reply_window", "dial_awaits_key", "key_request", "dgram_confirm"];

impl<C: Crypto + Clone + Send + 'static, R: Rng> Daemon<C, R> {
    pub(super) fn info(&mut self, now: Now) -> Value {
        let peers: Vec<PeerInfo> = self.node.peers().collect();
        let streams: Vec<StreamInfo> = self.node.streams().collect();
        let counters = self.node.counters();
        let pending = self.node.with_trust(|trust| trust.pending().len());
        let beacon = self.config.beacon.map(|addr| addr.to_string()).unwrap_or_default();
        let mut info = json!({
            "address": self.addr().to_string(),
            "node_id": self.registry.node(),
            "hostname": self.registry.settings().hostname,
            "email": self.config.email,
            "public_key": self.public_key,
            "identity": self.config.persistent,
            "encrypt": self.config.encrypt,
            "uptime_secs": now.instant.since(self.started).as_secs(),
            "connections": streams.iter().filter(|stream| is_live(stream.state)).count(),
            "ports": self.node.listening(),
            "peers": peers.len(),
            "encrypted_peers": peers.iter().filter(|peer| peer.encrypted).count(),
            "authenticated_peers": peers.iter().filter(|peer| peer.authenticated).count(),
            "relay_peer_count": peers.iter().filter(|peer| peer.relay).count(),
            "bytes_sent": counters.bytes_sent,
            "bytes_recv": counters.bytes_received,
            "pkts_sent": counters.packets_sent,
            "pkts_recv": counters.packets_received,
            "tunnel_encryption_success": counters.sealed,
            "tunnel_encryption_failure": counters.forged,
            "handshake_pending_count": pending,
            "networks": self.config.networks,
            "version": self.config.version,
            "endpoint": self.registry.registration().listen_addr,
            "transport": self.config.transport,
            "features": FEATURES,
            "beacon_addr": beacon,
            "motd": "",
            "accept_queue_drops": counters.overflowed,
            "datagram_drops": self.ipc.dropped_datagrams(),
            "subscribers_cut_off": self.services.cut_off(),
            "webhook_circuit_skips": 0,
            "webhook_queue_dropped": self.webhook.dropped(),
        });
        let peer_list: Vec<Value> = peers.iter().take(MAX_PEERS).map(|peer| peer_entry(now, peer)).collect();
        // A stream that its client has let go has no number any more and only waits out its end.
        let numbered = streams.iter().filter_map(|stream| Some((self.number(stream.id)?, stream)));
        let numbered: Vec<_> = numbered.take(MAX_STREAMS + 1).collect();
        let truncated = (peers.len() > MAX_PEERS, numbered.len() > MAX_STREAMS);
        let conn_list: Vec<Value> =
            numbered.iter().take(MAX_STREAMS).map(|&(number, stream)| conn_entry(number, stream)).collect();
        if let Value::Object(map) = &mut info {
            map.insert("peer_list".into(), peer_list.into());
            map.insert("conn_list".into(), conn_list.into());
            for (key, is_truncated) in
                [("peer_list_truncated", truncated.0), ("conn_list_truncated", truncated.1)]
            {
                if is_truncated {
                    map.insert(key.into(), true.into());
                }
            }
        }
        info
    }

    pub(super) fn health(&mut self, now: Now) -> Value {
        let (mut peers, mut encrypted, mut authenticated, mut relayed) = (0, 0, 0, 0);
        for peer in self.node.peers() {
            peers += 1;
            encrypted += usize::from(peer.encrypted);
            authenticated += usize::from(peer.authenticated);
            relayed += usize::from(peer.relay);
        }
        let counters = self.node.counters();
        json!({
            "status": "ok",
            "uptime_seconds": now.instant.since(self.started).as_secs(),
            "connections": self.node.streams().filter(|stream| is_live(stream.state)).count(),
            "peers": peers,
            "encrypted_peers": encrypted,
            "authenticated_peers": authenticated,
            "relay_peer_count": relayed,
            "bytes_sent": counters.bytes_sent,
            "bytes_recv": counters.bytes_received,
            "handshake_pending_count": self.node.with_trust(|trust| trust.pending().len()),
            "beacon_addr": self.config.beacon.map(|addr| addr.to_string()).unwrap_or_default(),
            "accept_queue_drops": counters.overflowed,
            "webhook_circuit_skips": 0,
            "webhook_queue_dropped": self.webhook.dropped(),
        })
    }

    pub(super) fn pending_list(&mut self) -> Value {
        let list: Vec<Value> = self.node.with_trust(|trust| {
            let entries = trust.pending().iter().map(|request| {
                json!({
                    "node_id": request.node,
                    "public_key": key_text(request.key.as_ref()),
                    "justification": request.justification.as_str(),
                    "received_at": request.received_at,
                })
            });
            entries.collect()
        });
        json!({"pending": list})
    }

    pub(super) fn trusted_list(&mut self) -> Value {
        let (list, count) = self.node.with_trust(|trust| {
            let entries = trust.trusted().iter().take(MAX_TRUSTED).map(|record| {
                json!({
                    "node_id": record.node,
                    "public_key": key_text(record.key.as_ref()),
                    "approved_at": record.approved_at,
                    "mutual": record.mutual,
                    "network": record.network,
                })
            });
            (entries.collect::<Vec<Value>>(), trust.trusted().len())
        });
        if count > MAX_TRUSTED {
            json!({"trusted": list, "trusted_truncated": true, "trusted_total": count})
        } else {
            json!({"trusted": list})
        }
    }
}

/// Opening or open; the others are ending.
fn is_live(state: State) -> bool {
    matches!(state, State::SynSent | State::SynReceived | State::Established)
}

fn key_text(key: Option<&[u8; 32]>) -> String {
    key.map(|key| base64::encode(key).map(char::from).collect()).unwrap_or_default()
}

fn peer_entry(now: Now, peer: &PeerInfo) -> Value {
    let endpoint = peer.endpoint.map_or_else(|| String::from("<nil>"), |addr| format!("{addr}"));
    let mut entry = json!({
        "node_id": peer.node,
        "endpoint": endpoint,
        "encrypted": peer.encrypted,
        "authenticated": peer.authenticated,
        "relay": peer.relay,
    });
    if let Value::Object(entry) = &mut entry {
        if peer.encrypted {
            let cipher = if peer.chacha { "ChaCha20-Poly1305" } else { "AES-256-GCM" };
            entry.insert("cipher".into(), cipher.into());
        }
        if let Some(at) = peer.last_received {
            entry.insert("idle_secs".into(), now.instant.since(at).as_secs().into());
        }
    }
    entry
}

fn conn_entry(number: u32, stream: &StreamInfo) -> Value {
    let stats = &stream.stats;
    let counters = &stats.counters;
    let millis = |time: core::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "id": number,
        "local_port": stream.local_port,
        "remote_addr": stream.remote.addr.to_string(),
        "remote_port": stream.remote.port,
        "state": stream.state.to_string(),
        "bytes_sent": counters.bytes_sent,
        "bytes_recv": counters.bytes_recv,
        "segs_sent": counters.segs_sent,
        "segs_recv": counters.segs_recv,
        "retransmits": counters.retransmits,
        "fast_retx": counters.fast_retx,
        "sack_recv": counters.sack_recv,
        "sack_sent": counters.sack_sent,
        "dup_acks": counters.dup_acks,
        "cong_win": stats.cong_win,
        "ssthresh": stats.ssthresh,
        "in_flight": stats.in_flight,
        "unacked": stats.unacked,
        "srtt_ms": millis(stats.srtt),
        "rttvar_ms": millis(stats.rttvar),
        "ooo_buf": stats.ooo_buf,
        "peer_recv_win": u32::from(stats.peer_window) * 4096,
        "recv_win": u32::from(stats.recv_window) * 4096,
        "in_recovery": stats.in_recovery,
    })
}

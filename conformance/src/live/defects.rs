//! The defects of the planted build and the cases that must catch each.

/// A defect, by its name in the planted build, and the beginnings of the ids of the cases that must catch it.
pub(super) struct Defect {
    pub(super) name: &'static str,
    pub(super) by: &'static [&'static str],
}

const fn defect(name: &'static str, by: &'static [&'static str]) -> Defect {
    Defect { name, by }
}

/// Every defect, by section.
pub(super) const DEFECTS: &[Defect] = &[
    defect("checksum-ignored", &["packet/damaged-echo/"]),
    defect("version-ignored", &["packet/version/"]),
    defect("spoofed-source", &["packet/source-of-another-node", "packet/syn-from-another-source"]),
    defect("ping-storm", &["packet/pong-is-not-answered/", "packet/keepalive"]),
    defect("datagram-cut", &["packet/datagram/1400"]),
    defect("empty-datagram", &["packet/datagram-empty"]),
    defect("replay-accepted", &["tunnel/replay"]),
    defect("forged-key-accepted", &["tunnel/exchange-forged/", "tunnel/exchange-of-another-key"]),
    defect("anonymous-accepted", &["tunnel/anonymous-refused"]),
    defect("plaintext-accepted", &["tunnel/plaintext"]),
    defect("plaintext-fallback", &["tunnel/nothing-in-clear"]),
    defect("wedged-rekey", &["tunnel/exchange-fresh-is-answered", "tunnel/rekey-in-use"]),
    defect("nonce-reuse", &["tunnel/nonces-differ"]),
    defect("roaming-ignored", &["tunnel/roaming"]),
    defect("exchange-moves", &["tunnel/exchange-does-not-move"]),
    defect("ack-beyond-sent", &["stream/loss/acks-of-the-future"]),
    defect("lost-timer", &["stream/loss/lone-segment-soon", "stream/loss/retransmission-unchanged"]),
    defect("lost-retransmission", &["stream/loss/first/no-sack"]),
    defect("fin-before-data", &["stream/close/fin-after-data"]),
    defect("fin-not-awaited", &["stream/close/fin-waits-for-data"]),
    defect("reset-of-anybody", &["stream/close/rst-of-another-peer"]),
    defect("sack-ignored", &["stream/loss/several-gaps-at-once"]),
    defect("window-ignored", &["stream/window/small", "stream/window/closed"]),
    defect("unfair-turns", &["stream/data/streams-share"]),
    defect("punch-ignored", &["nat/punch-command"]),
    defect("punch-flood", &["nat/punch-flood"]),
    defect("beacon-of-anybody", &["nat/punch-command-of-a-stranger", "nat/delivery-of-a-stranger"]),
    defect("relay-unanswered", &["nat/relay/dial-soon", "nat/relay/path-follows"]),
    defect("trust-gate-skipped", &["trust/gate/syn-", "trust/gate/datagram", "load/trust/gate-flood"]),
    defect("revoke-leaves-open", &["trust/gate/revoked"]),
    defect(
        "unasked-accept",
        &["trust/forged/accept-without-request", "trust/relayed/accept-without-request"],
    ),
    defect("signature-ignored", &["trust/forged/signature-of-another-text"]),
    defect("old-message-taken", &["trust/forged/old"]),
    defect("trust-not-stored", &["trust/request/trust-survives-restart", "trust/revoke/stays-after-restart"]),
    defect("huge-message", &["ipc/framing/too-long"]),
    defect("slow-program-blocks", &["ipc/slow/does-not-read-datagrams"]),
    defect("dead-program-streams", &["ipc/program-ends"]),
    defect("dead-program-ports", &["ipc/bind/released"]),
    defect("echo-short", &["services/echo/4096"]),
    defect("data-unacknowledged", &["services/data/json"]),
    defect("events-to-all", &["services/events/topic"]),
    defect("half-request-blocks", &["registry/frame/cut-in-the-body"]),
    defect("garbage-answered", &["registry/garbage/"]),
    defect("huge-request", &["registry/garbage/one-too-long"]),
    defect("answer-unescaped", &["registry/json/answer-escapes"]),
    defect("answers-pile-up", &["registry/client/reads-nothing"]),
    defect("duplicate-address", &["registry/register/next-id", "registry/durable/crash-in-a-burst"]),
    defect("unsigned-moves", &["registry/register/unsigned-"]),
    defect("unsigned-again", &["registry/register/signed-once-signed-always"]),
    defect("endpoint-kept", &["registry/resolve/follows-a-move"]),
    defect("request-forged", &["registry/signed/", "registry/register/refused-"]),
    defect("old-heartbeat", &["registry/heartbeat/ts-"]),
    defect("heartbeat-lost", &["registry/expiry/heartbeats-go-on", "registry/expiry/heartbeat-renews"]),
    defect("never-offline", &["registry/expiry/heartbeats-stop"]),
    defect("rotation-by-new-key", &["registry/rotate/"]),
    defect("name-not-freed", &["registry/deregister/"]),
    defect("name-taken-twice", &["registry/hostname/unique", "registry/hostname/race"]),
    defect("any-hostname", &["registry/hostname/refused-"]),
    defect("lost-update", &["registry/tags/"]),
    defect("task-exec-lost", &["registry/task-exec"]),
    defect("private-shown", &["registry/visibility/"]),
    defect("owner-told", &["registry/lookup/"]),
    defect("private-found", &["registry/resolve/", "registry/punch/", "registry/by-name/stranger"]),
    defect("requester-believed", &["registry/by-name/"]),
    defect("anybody-administers", &["registry/list/"]),
    defect("administrator-ignored", &["registry/administrator"]),
    defect("trust-of-one", &["registry/trust/"]),
    defect("half-revoked", &["registry/trust/"]),
    defect("inbox-kept", &["registry/inbox/request", "registry/inbox/again-after-a-poll"]),
    defect("inbox-twice", &["registry/inbox/two-polls-at-once"]),
    defect("inbox-unbounded", &["registry/inbox/full"]),
    defect("unwoken", &["registry/inbox/wake"]),
    defect("ack-before-sync", &["registry/durable/registration", "registry/durable/hostname"]),
    defect("consent-not-stored", &["registry/durable/trust", "registry/durable/one-consent"]),
    defect("ids-again", &["registry/durable/ids-are-not-used-again"]),
    defect("store-replaced", &["registry/store/garbage"]),
    defect("certificate-remade", &["registry/tls/same-certificate"]),
    defect(
        "rates-unlimited",
        &["registry/limit/new-keys", "registry/limit/resolve", "registry/limit/heartbeats"],
    ),
    defect("connections-unlimited", &["registry/limit/connections"]),
    defect("connections-leak", &["registry/limit/connections-come-and-go"]),
    defect("stale-reflexive", &["beacon/address/"]),
    defect("garbage-reflected", &["beacon/ignored/"]),
    defect("punch-of-strangers", &["beacon/punch/private-target"]),
    defect("punches-unlimited", &["beacon/punch/flood"]),
    defect("relay-misdelivered", &["beacon/relay/frame"]),
    defect("relay-for-unregistered", &["beacon/relay/sender-not-there"]),
    defect("relay-in-any-name", &["beacon/relay/in-anothers-name"]),
    defect("relay-doubled", &["beacon/relay/in-order", "beacon/relay/never-more-than-came"]),
    defect("relay-registers", &["beacon/relay/does-not-register"]),
    defect("id-of-anybody", &["beacon/lie/id-of-another"]),
    defect("never-forgotten", &["beacon/expiry/silent"]),
    defect("gossip-of-anybody", &["beacon/lie/gossip", "beacon/ignored/gossip-"]),
    defect("replies-unlimited", &["beacon/flood/addresses"]),
    defect("places-unlimited", &["beacon/flood/ids"]),
    defect("relays-unlimited", &["beacon/flood/relay-rate"]),
    defect("identity-remade", &["restart/killed/same-identity", "restart/killed/while-it-starts"]),
    defect("tunnel-key-kept", &["restart/killed/fresh-tunnel-key", "restart/killed/old-frames-open-nothing"]),
    defect("stray-unanswered", &["restart/killed/old-stream-is-reset"]),
    defect("identity-shared", &["restart/second-daemon"]),
    defect("end-ignored", &["restart/asked-to-end"]),
    defect("not-dialled-again", &["restart/registry-gone/says-itself-again"]),
    defect("dialled-without-pause", &["restart/registry-gone/known-peers"]),
    defect("not-registered-again", &["restart/registry-gone/says-itself-again"]),
    defect("not-restored", &["restart/registry-gone/says-itself-again"]),
    defect("asks-without-pause", &["restart/registry-says-no"]),
    defect("beacon-awaited", &["restart/beacon-silent-at-the-start"]),
    defect("heartbeat-storm", &["restart/idle-is-quiet"]),
    defect("port-not-told", &["restart/moved"]),
    defect("huge-answer", &["restart/registry-nonsense/endless"]),
    defect("identity-replaced", &["restart/file/identity-garbage"]),
    defect("syns-unlimited", &["load/syn/answers-bounded"]),
    defect("window-overrun", &["load/stream/data-nobody-reads", "load/stream/islands"]),
    defect("exchanges-unlimited", &["load/exchange/unknown-nodes"]),
    defect("strangers-unlimited", &["load/exchange/anonymous", "load/sealed/unknown-nodes"]),
    defect("dials-shared", &["load/dial/nobody-answers"]),
    defect("datagrams-pile-up", &["load/datagram/nobody-reads"]),
    defect("pings-unlimited", &["load/datagram/ping-flood"]),
    defect("programs-leak", &["load/ipc/come-and-go"]),
    defect("writes-pile-up", &["load/ipc/write-without-end"]),
    defect("replies-pile-up", &["load/ipc/answers-not-read"]),
    defect("turn-without-end", &["load/ipc/asked-by-thirty"]),
];

/// A defect that only a full table of streams shows, which takes a minute to fill. The simulator finds it
/// (`pilot-sim canary`).
pub(super) const ELSEWHERE: &[&str] = &["leaked-stream"];

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::DEFECTS;
    use std::collections::BTreeSet;

    /// Sections whose cases stand for so many rules that a defect for the section says little: one for each kind.
    const BY_KIND: [&str; 4] = ["registry", "beacon", "restart", "load"];

    /// The section of an id, with the kind of case in [`BY_KIND`].
    fn group(id: &str) -> String {
        let mut parts = id.split('/');
        match (parts.next(), parts.next()) {
            (Some(section), Some(kind)) if BY_KIND.contains(&section) => format!("{section}/{kind}"),
            (section, _) => section.unwrap_or_default().into(),
        }
    }

    #[test]
    fn every_defect_has_cases_and_every_section_and_kind_a_defect() {
        let all = cases::all();
        let mut groups: BTreeSet<String> = all.iter().map(|case| group(&case.id)).collect();
        for defect in DEFECTS {
            for prefix in defect.by {
                let some = all.iter().find(|case| case.id.starts_with(prefix));
                groups.remove(&group(&some.unwrap_or_else(|| panic!("{}: {prefix}", defect.name)).id));
            }
        }
        assert!(groups.is_empty(), "no defect in {groups:?}");
    }
}

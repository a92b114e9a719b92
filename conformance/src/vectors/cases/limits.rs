//! Numbers that two implementations must agree on (LIM, the rows marked "wire").

use super::super::case::{Case, Cases, Expect};
use serde_json::json;

/// Name, clause, value, and what it is.
const LIMITS: [(&str, &str, u64, &str); 19] = [
    ("packet-header", "LIM-1", 34, "bytes of a packet's header"),
    ("tag", "LIM-1", 16, "bytes of a sealed frame's tag"),
    ("sealed-overhead", "LIM-1", 36, "bytes that sealing adds to a packet"),
    ("relay-overhead", "LIM-1", 9, "bytes that relaying adds to a frame"),
    ("packet-payload", "LIM-1", 65_535, "longest payload by the header, in bytes"),
    ("key-exchange-frame", "LIM-1", 136, "bytes of an authenticated key exchange"),
    ("anonymous-key-exchange-frame", "LIM-1", 40, "bytes of an anonymous key exchange"),
    ("segment-payload", "LIM-2", 1152, "longest payload of a segment that is sent to a release, in bytes"),
    ("unacknowledged-segments", "LIM-2", 128, "most unacknowledged segments towards a release"),
    ("sack-ranges", "LIM-2", 4, "most ranges in a SACK list to a release"),
    ("trust-message-age", "LIM-4", 300, "seconds after which a trust message is too old"),
    ("trust-message-ahead", "LIM-4", 30, "seconds by which a trust message may be ahead"),
    ("trust-message-sent", "LIM-4", 1152, "longest trust message that is sent, in bytes"),
    ("registry-frame", "LIM-5", 65_536, "longest request to the registry, in bytes"),
    ("local-frame", "LIM-5", 1_048_576, "longest message on the local socket, in bytes"),
    ("data-exchange-payload", "SVC-1", 16_777_216, "longest payload of a data exchange frame, in bytes"),
    ("file-name", "SVC-2", 65_535, "longest file name, in bytes"),
    ("topic", "SVC-3", 1024, "longest topic, in bytes"),
    ("event-payload", "SVC-3", 16_777_216, "longest payload of an event, in bytes"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Cases::new("limits");
    for (name, clause, value, what) in LIMITS {
        let question = json!({"op": "limit", "name": name});
        cases.must(name, clause, what, question, Expect::Result(json!({"value": value})));
    }
    cases.all
}

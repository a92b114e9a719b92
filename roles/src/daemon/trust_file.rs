//! `trust.json`: the trust lists as the released daemons write them, and what they do not keep: our own open requests
//! and recent revocations.

use alloc::{string::String, vec::Vec};

use pilot_proto::{
    base64,
    trust::{Decision, Intent, Pending, Text, Trusted},
};

use crate::{
    clock,
    daemon::registry::{entries, number},
    json::{Map, Value, json},
};

/// The lists of a file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TrustFile {
    /// Nodes we trust.
    pub(crate) trusted: Vec<Trusted>,
    /// Requests waiting for the operator: node, key, words, when in Unix seconds.
    pub(crate) pending: Vec<(u32, Option<[u8; 32]>, String, i64)>,
    /// Decisions: node, which, until when in Unix seconds.
    pub(crate) intents: Vec<(u32, Decision, i64)>,
}

/// The key as JSON; nothing for none.
fn key_text(key: Option<[u8; 32]>) -> String {
    key.map(|key| base64::encode(&key).map(char::from).collect()).unwrap_or_default()
}

/// Writes the file.
pub(crate) fn write(
    trusted: &[Trusted],
    pending: &[Pending],
    intents: &[Intent],
    utc_offset: i32,
) -> Vec<u8> {
    let time = |unix: i64| clock::rfc3339(unix.saturating_mul(1_000_000), utc_offset);
    let mut file = Map::new();
    let list = |values: Vec<Value>| Value::Array(values);
    let trusted = trusted.iter().map(|record| {
        let mut entry = json!({
            "node_id": record.node, "public_key": key_text(record.key),
            "approved_at": time(record.approved_at), "mutual": record.mutual,
        });
        if let (Value::Object(entry), true) = (&mut entry, record.network != 0) {
            entry.insert("network".into(), record.network.into());
        }
        entry
    });
    file.insert("trusted".into(), list(trusted.collect()));
    let pending = pending.iter().map(|record| {
        json!({
            "node_id": record.node, "public_key": key_text(record.key),
            "justification": record.justification.as_str(), "received_at": time(record.received_at),
        })
    });
    let pending: Vec<_> = pending.collect();
    if !pending.is_empty() {
        file.insert("pending".into(), list(pending));
    }
    let (mut outgoing, mut revoked) = (Vec::new(), Vec::new());
    for intent in intents {
        let until = time(intent.until_unix);
        match &intent.decision {
            Decision::Asked { justification } => outgoing.push(json!({
                "node_id": intent.node, "justification": justification.as_str(), "until": until,
            })),
            Decision::Revoked { .. } => revoked.push(json!({"node_id": intent.node, "until": until})),
            Decision::Rejected { .. } => {}
        }
    }
    for (key, values) in [("outgoing", outgoing), ("revoked", revoked)] {
        if !values.is_empty() {
            file.insert(key.into(), list(values));
        }
    }
    serde_json::to_vec_pretty(&Value::Object(file)).unwrap_or_default()
}

/// Whether `bytes` are the content of a `trust.json`, of ours or of a release. A host asks before it starts a node: the
/// first change of the lists replaces the file.
pub fn is_trust_file(bytes: &[u8]) -> bool {
    read(bytes).is_some()
}

/// Reads a file; entries that make no sense are left out. `None` if it is not such a file at all.
pub(crate) fn read(bytes: &[u8]) -> Option<TrustFile> {
    let Value::Object(file) = serde_json::from_slice::<Value>(bytes).ok()? else { return None };
    let text =
        |entry: &Map<String, Value>, key: &str| entry.get(key).and_then(Value::as_str).map(String::from);
    let time = |entry: &Map<String, Value>, key: &str| clock::parse_rfc3339(&text(entry, key)?);
    let key = |entry: &Map<String, Value>| base64::decode::<32>(text(entry, "public_key")?.as_bytes());
    let node = |entry: &Map<String, Value>| number(entry, "node_id").filter(|node| *node != 0);
    let words = |entry: &Map<String, Value>| text(entry, "justification").unwrap_or_default();
    let trusted = entries(&file, "trusted").filter_map(|entry| {
        Some(Trusted {
            node: node(entry)?,
            key: key(entry),
            approved_at: time(entry, "approved_at").unwrap_or_default(),
            mutual: entry.get("mutual").and_then(Value::as_bool).unwrap_or_default(),
            network: number(entry, "network").and_then(|n| u16::try_from(n).ok()).unwrap_or_default(),
        })
    });
    let pending = entries(&file, "pending").filter_map(|entry| {
        Some((node(entry)?, key(entry), words(entry), time(entry, "received_at").unwrap_or_default()))
    });
    let asked = entries(&file, "outgoing").filter_map(|entry| {
        let justification = Text::try_from(words(entry).as_str()).ok()?;
        Some((node(entry)?, Decision::Asked { justification }, time(entry, "until")?))
    });
    let revoked = entries(&file, "revoked").filter_map(|entry| {
        Some((node(entry)?, Decision::Revoked { drop_tunnel_at: None }, time(entry, "until")?))
    });
    Some(TrustFile {
        trusted: trusted.collect(),
        pending: pending.collect(),
        intents: asked.chain(revoked).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_released_daemon_is_read() {
        let file = br#"{
          "trusted": [
            {"node_id": 2, "public_key": "gTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=",
             "approved_at": "2026-04-06T09:08:07+02:00", "mutual": true},
            {"node_id": 3, "public_key": "", "approved_at": "x", "mutual": false, "network": 4},
            {"node_id": 0}, {"node_id": "2"}, 7
          ],
          "pending": [{"node_id": 9, "justification": "hi", "received_at": "2026-04-06T07:08:07Z"}],
          "revoked": [{"node_id": 5, "until": "2026-04-06T07:08:07Z"}, {"node_id": 6}]
        }"#;
        let read = read(file).unwrap();
        assert_eq!(read.trusted.len(), 2);
        assert_eq!((read.trusted[0].node, read.trusted[0].approved_at), (2, 1_775_459_287));
        assert!(read.trusted[0].key.is_some() && read.trusted[0].mutual);
        assert_eq!((read.trusted[1].key, read.trusted[1].network), (None, 4));
        assert_eq!(read.pending, [(9, None, "hi".into(), 1_775_459_287)]);
        assert_eq!(read.intents, [(5, Decision::Revoked { drop_tunnel_at: None }, 1_775_459_287)]);
    }

    #[test]
    fn what_is_written_is_read() {
        let trusted =
            [Trusted { node: 2, key: Some([7; 32]), approved_at: 1_775_459_287, mutual: true, network: 3 }];
        let mut asked = Intent::EMPTY;
        (asked.node, asked.until_unix) = (4, 1_775_459_300);
        asked.decision = Decision::Asked { justification: Text::try_from("please").unwrap() };
        let mut revoked = Intent::EMPTY;
        (revoked.node, revoked.until_unix) = (5, 1_775_459_400);
        let intents = [asked, revoked];
        let mut waiting = Pending::EMPTY;
        (waiting.node, waiting.received_at) = (9, 1_775_459_000);
        let pending = [waiting];
        let file = read(&write(&trusted, &pending, &intents, 120)).unwrap();
        assert_eq!(file.trusted, trusted);
        assert_eq!(file.pending, [(9, None, String::new(), 1_775_459_000)]);
        assert_eq!(file.intents, intents.map(|i| (i.node, i.decision, i.until_unix)));
    }

    #[test]
    fn an_unreadable_file_is_none() {
        assert_eq!(read(b"{"), None);
        assert_eq!(read(b"[]"), None);
        assert_eq!(read(b"{}"), Some(TrustFile::default()));
    }
}

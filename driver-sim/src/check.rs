//! The judges: what must hold in every run, whatever is broken. They look at the wire, at the registry's answers and at
//! its disk; the judges of stream content are the programs themselves ([`crate::ledger`]).

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
};

use pilot_proto::{
    Instant,
    wire::{
        beacon::{Beacon, RELAY_HEAD_LEN},
        frame::{Datagram, Frame},
    },
};
use pilot_roles::{
    frames::FrameReader,
    role::{Change, ConnId},
};
use serde_json::Value;

use crate::disk::Disk;

/// Longest answer of a registry.
const MAX_ANSWER: usize = 1 << 20;

/// Something that must never happen has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// When.
    pub at: Instant,
    /// The rule, a word that does not change from run to run.
    pub rule: &'static str,
    /// What exactly.
    pub words: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} us: {}", self.rule, self.at.as_micros(), self.words)
    }
}

impl std::error::Error for Breach {}

/// What a judge found: the rule and the words.
pub(crate) type Verdict = Result<(), (&'static str, String)>;

/// Looks at every datagram a daemon sends.
#[derive(Debug, Default)]
pub(crate) struct WireJudge {
    /// All daemons were told to encrypt.
    pub(crate) encrypted: bool,
    /// The last counter of each sender and prefix.
    counters: BTreeMap<(u32, [u8; 4]), u64>,
}

impl WireJudge {
    pub(crate) fn sent(&mut self, data: &mut [u8]) -> Verdict {
        let frame = match Datagram::parse(data) {
            Ok(Datagram::Frame(frame)) => return self.frame(&frame),
            Ok(Datagram::Beacon(Beacon::Relay { frame, .. })) if !frame.is_empty() => RELAY_HEAD_LEN,
            Ok(Datagram::Beacon(_) | Datagram::Delivered { .. }) => return Ok(()),
            Err(error) => return Err(("malformed datagram sent", error.to_string())),
        };
        match Frame::parse(&mut data[frame..]) {
            Ok(frame) => self.frame(&frame),
            Err(error) => Err(("malformed frame sent through the relay", error.to_string())),
        }
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Verdict {
        match frame {
            Frame::Plain { packet } if self.encrypted => {
                Err(("data in clear", format!("{} bytes in a PILT frame", packet.len())))
            }
            Frame::Sealed(sealed) => {
                let (key, counter) = ((sealed.sender, sealed.nonce.prefix), sealed.nonce.counter);
                match self.counters.entry(key) {
                    Entry::Occupied(last) if counter <= *last.get() => {
                        Err(("nonce used twice", format!("{key:?}: {counter} after {}", last.get())))
                    }
                    Entry::Occupied(mut last) => {
                        last.insert(counter);
                        Ok(())
                    }
                    Entry::Vacant(first) => {
                        first.insert(counter);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

/// Looks at the registry: its durable records and what it promises.
#[derive(Debug, Default)]
pub(crate) struct RegistryJudge {
    /// Durable hostnames and keys, by node and the other way round.
    by_node: BTreeMap<Vec<u8>, (String, String)>,
    hostnames: BTreeMap<String, Vec<u8>>,
    /// The id each key was given first; it keeps it for ever.
    ids: BTreeMap<String, Vec<u8>>,
    answers: BTreeMap<ConnId, FrameReader>,
}

impl RegistryJudge {
    /// A transaction became durable.
    pub(crate) fn stored(&mut self, changes: &[Change]) -> Verdict {
        // All that goes goes first: within a transaction a name may change hands.
        let nodes = || changes.iter().filter(|change| change.table == "nodes");
        for change in nodes() {
            if let Some((hostname, _)) = self.by_node.remove(&change.key) {
                self.hostnames.remove(&hostname);
            }
        }
        let last: BTreeMap<_, _> = nodes().map(|change| (&change.key, &change.value)).collect();
        for (node, value) in last {
            let Some(value) = value else { continue };
            let record: Value = serde_json::from_slice(value).unwrap_or_default();
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            let (hostname, key) = (text("hostname"), text("key"));
            if let Some(other) = self.ids.insert(key.clone(), node.clone())
                && other != *node
            {
                return Err(("a key has two ids", format!("{key}: {other:?} and {node:?}")));
            }
            if !hostname.is_empty()
                && let Some(other) = self.hostnames.insert(hostname.clone(), node.clone())
            {
                return Err(("a hostname has two nodes", format!("{hostname:?}: {other:?} and {node:?}")));
            }
            self.by_node.insert(node.clone(), (hostname, key));
        }
        Ok(())
    }

    /// The registry says something on a connection: what it promises must be on the disk.
    pub(crate) fn said(&mut self, conn: ConnId, data: &[u8], disk: &Disk) -> Verdict {
        let reader = self.answers.entry(conn).or_insert_with(|| FrameReader::new(MAX_ANSWER));
        reader.push(data);
        loop {
            match reader.pop() {
                Ok(None) => return Ok(()),
                Err(_) => return Err(("registry answer too long", format!("{conn:?}"))),
                Ok(Some(body)) => {
                    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
                    if answer["type"] == "register_ok" {
                        let node = answer["node_id"].as_u64().unwrap_or_default() as u32;
                        if disk.record("nodes", &node.to_be_bytes()).is_none() {
                            let words = format!("node {node} was told its id before the disk had it");
                            return Err(("acknowledged before durable", words));
                        }
                    }
                }
            }
        }
    }

    pub(crate) fn closed(&mut self, conn: ConnId) {
        self.answers.remove(&conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pilot_proto::wire::frame::{Nonce, Suite, emit_plain, sealed_head};
    use pilot_roles::{frames::frame, role::Store};

    fn sealed(counter: u64) -> Vec<u8> {
        let mut frame = sealed_head(Suite::Aes256Gcm, 7, Nonce { prefix: [1; 4], counter }).to_vec();
        frame.extend([0; 32]);
        frame
    }

    fn node(id: u32, key: &str, hostname: &str) -> Change {
        let value = serde_json::json!({"key": key, "hostname": hostname}).to_string();
        Change { table: "nodes", key: id.to_be_bytes().to_vec(), value: Some(value.into_bytes()) }
    }

    #[test]
    fn a_nonce_is_used_once_direct_or_relayed() {
        let mut judge = WireJudge::default();
        assert!(judge.sent(&mut sealed(1)).is_ok());
        assert!(judge.sent(&mut sealed(2)).is_ok());
        let mut relayed = pilot_proto::wire::beacon::relay_head(7, 8).to_vec();
        relayed.extend(sealed(2));
        assert_eq!(judge.sent(&mut relayed).map_err(|found| found.0), Err("nonce used twice"));
    }

    #[test]
    fn a_packet_in_clear_is_seen_where_everybody_encrypts() {
        let mut clear = vec![0; 60];
        emit_plain(&mut clear).unwrap();
        assert!(WireJudge::default().sent(&mut clear.clone()).is_ok());
        let mut judge = WireJudge { encrypted: true, ..WireJudge::default() };
        assert_eq!(judge.sent(&mut clear).map_err(|found| found.0), Err("data in clear"));
    }

    #[test]
    fn names_and_keys_belong_to_one_node() {
        let mut judge = RegistryJudge::default();
        assert!(judge.stored(&[node(1, "aa", "alice"), node(2, "bb", "")]).is_ok());
        // A name changes hands within one transaction.
        assert!(judge.stored(&[node(1, "aa", ""), node(2, "bb", "alice")]).is_ok());
        assert_eq!(judge.stored(&[node(1, "aa", "alice")]).map_err(|e| e.0), Err("a hostname has two nodes"));
        assert_eq!(judge.stored(&[node(3, "bb", "")]).map_err(|e| e.0), Err("a key has two ids"));
    }

    #[test]
    fn an_id_is_told_only_when_the_disk_has_it() {
        let (mut judge, mut disk) = (RegistryJudge::default(), Disk::default());
        let answer = frame(br#"{"type":"register_ok","node_id":1}"#);
        let (conn, said) = (ConnId::Accepted(1), "acknowledged before durable");
        assert_eq!(judge.said(conn, &answer, &disk).map_err(|found| found.0), Err(said));
        disk.submit(Instant::ORIGIN, 1, Store::Records(vec![node(1, "aa", "")]));
        assert_eq!(judge.said(conn, &answer, &disk).map_err(|found| found.0), Err(said));
        disk.sync();
        assert!(judge.said(conn, &answer, &disk).is_ok());
    }
}

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

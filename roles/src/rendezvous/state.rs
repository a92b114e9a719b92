//! What the registry knows and must not forget: nodes, keys, consents, handshake inboxes, and their indexes.

use alloc::{
    borrow::ToOwned,
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};
use core::net::IpAddr;
use core::ops::RangeInclusive;

use pilot_proto::Instant;

use super::store::{Journal, Key as _, LoadError, Promise, Record, Table, hex};
use crate::json::{Value, json};

/// An Ed25519 public key.
pub(super) type PublicKey = [u8; 32];

/// Where a node said it can be reached, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// `ip:port`; the port is the node's text, not checked.
    pub(super) addr: String,
    /// Source address of the registration.
    pub(super) source: IpAddr,
    /// `ip:port` texts for peers on the same local network, not checked.
    pub(super) lan: Vec<String>,
    /// The node asks to be reached through the beacon only.
    pub(super) relay_only: bool,
}

/// A registered node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) key: PublicKey,
    /// The account (an e-mail address) it named; may be empty.
    pub(super) owner: String,
    pub(super) endpoint: Endpoint,
    /// Listed with its endpoint for everybody.
    pub(super) public: bool,
    /// Empty: none.
    pub(super) hostname: String,
    pub(super) tags: Vec<String>,
    pub(super) task_exec: bool,
    /// Unix seconds.
    pub(super) key_created: i64,
    /// Unix seconds of the last rotation.
    pub(super) key_rotated: Option<i64>,
    pub(super) rotations: u32,
    /// Last sign of life, not stored: a restart counts as one, so that nobody is offline before it could beat.
    pub(super) seen: Instant,
    /// An unsigned re-registration from elsewhere: it counts once the key has signed something from there. Not stored.
    pub(super) claim: Option<Endpoint>,
}

impl Node {
    /// Unix seconds since when the present key is in use.
    pub(super) fn key_since(&self) -> i64 {
        self.key_rotated.unwrap_or(self.key_created)
    }
}

impl Record for Node {
    const TABLE: &'static str = "nodes";
    type Key = u32;

    fn encode(&self) -> Value {
        json!({
            "key": hex(&self.key), "owner": self.owner, "addr": self.endpoint.addr,
            "source": self.endpoint.source.to_string(), "lan": self.endpoint.lan,
            "relay_only": self.endpoint.relay_only, "public": self.public, "hostname": self.hostname,
            "tags": self.tags, "task_exec": self.task_exec, "key_created": self.key_created,
            "key_rotated": self.key_rotated, "rotations": self.rotations,
        })
    }

    fn decode(value: &Value) -> Option<Self> {
        let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let flag = |name: &str| value.get(name)?.as_bool();
        let texts = |name: &str| {
            value
                .get(name)?
                .as_array()?
                .iter()
                .map(|text| Some(text.as_str()?.to_owned()))
                .collect::<Option<_>>()
        };
        Some(Node {
            key: key_from_hex(&text("key")?)?,
            owner: text("owner")?,
            endpoint: Endpoint {
                addr: text("addr")?,
                source: text("source")?.parse().ok()?,
                lan: texts("lan")?,
                relay_only: flag("relay_only")?,
            },
            public: flag("public")?,
            hostname: text("hostname")?,
            tags: texts("tags")?,
            task_exec: flag("task_exec")?,
            key_created: value.get("key_created")?.as_i64()?,
            key_rotated: match value.get("key_rotated")? {
                Value::Null => None,
                rotated => Some(rotated.as_i64()?),
            },
            rotations: value.get("rotations")?.as_u64()?.try_into().ok()?,
            seen: Instant::ORIGIN,
            claim: None,
        })
    }
}

fn key_from_hex(text: &str) -> Option<PublicKey> {
    let mut key = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

/// What a key was used for; outlives the node's record, so that a returning key gets its id back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyUse {
    pub(super) node: u32,
    /// It has signed a registration: from then on every registration must be signed.
    pub(super) signs: bool,
}

impl Record for KeyUse {
    const TABLE: &'static str = "keys";
    type Key = PublicKey;

    fn encode(&self) -> Value {
        json!({"node": self.node, "signs": self.signs})
    }

    fn decode(value: &Value) -> Option<Self> {
        let node = value.get("node")?.as_u64()?.try_into().ok()?;
        Some(KeyUse { node, signs: value.get("signs")?.as_bool()? })
    }
}

/// What one node has shown to want of another. Key: (who, whom).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consent {
    /// It asked, under its signature, where that public node is: the first step of a handshake that the registry
    /// does not see. Unix seconds.
    Contact(i64),
    /// It asked that node for trust, accepted its request or reported the trust.
    Given,
}

impl Record for Consent {
    const TABLE: &'static str = "consents";
    type Key = (u32, u32);

    fn encode(&self) -> Value {
        match self {
            Consent::Contact(at) => json!({"contact": at}),
            Consent::Given => json!({"given": true}),
        }
    }

    fn decode(value: &Value) -> Option<Self> {
        match value.get("contact") {
            Some(at) => at.as_i64().map(Consent::Contact),
            None => value.get("given")?.as_bool()?.then_some(Consent::Given),
        }
    }
}

/// A handshake request that waits to be polled. Key: (for whom, from whom).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) justification: String,
    /// Unix seconds.
    pub(super) at: i64,
    /// Stands in an answer that the other side has not taken yet. Not stored.
    pub(super) on_its_way: bool,
}

impl Record for Waiting {
    const TABLE: &'static str = "requests";
    type Key = (u32, u32);

    fn encode(&self) -> Value {
        json!({"justification": self.justification, "at": self.at})
    }

    fn decode(value: &Value) -> Option<Self> {
        let justification = value.get("justification")?.as_str()?.to_owned();
        Some(Waiting { justification, at: value.get("at")?.as_i64()?, on_its_way: false })
    }
}

/// A response to a handshake request that waits to be polled. Key: (for whom, from whom).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) accept: bool,
    /// Unix seconds.
    pub(super) at: i64,
    /// Stands in an answer that the other side has not taken yet. Not stored.
    pub(super) on_its_way: bool,
}

impl Record for Response {
    const TABLE: &'static str = "responses";
    type Key = (u32, u32);

    fn encode(&self) -> Value {
        json!({"accept": self.accept, "at": self.at})
    }

    fn decode(value: &Value) -> Option<Self> {
        let accept = value.get("accept")?.as_bool()?;
        Some(Response { accept, at: value.get("at")?.as_i64()?, on_its_way: false })
    }
}

/// The registry itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Unix seconds of its first start: the age of the backbone.
    pub(super) created: i64,
    /// The id the next node gets; 0 when all are used up.
    pub(super) next_node: u32,
}

impl Record for Origin {
    const TABLE: &'static str = "registry";
    type Key = ();

    fn encode(&self) -> Value {
        json!({"created": self.created, "next_node": self.next_node})
    }

    fn decode(value: &Value) -> Option<Self> {
        let next_node = value.get("next_node")?.as_u64()?.try_into().ok()?;
        Some(Origin { created: value.get("created")?.as_i64()?, next_node })
    }
}

/// Everything that is stored.
#[derive(Debug)]
pub(super) struct State {
    pub(super) journal: Journal,
    origin: Origin,
    origins: Table<Origin>,
    nodes: Table<Node>,
    hostnames: BTreeMap<String, u32>,
    pub(super) keys: Table<KeyUse>,
    pub(super) consents: Table<Consent>,
    pub(super) requests: Table<Waiting>,
    pub(super) responses: Table<Response>,
}

/// All keys of a table of pairs that start with `node`.
pub(super) const fn all_of(node: u32) -> RangeInclusive<(u32, u32)> {
    (node, 0)..=(node, u32::MAX)
}

impl State {
    /// The state that `records` (table, key, value) describe; the first start of all if there are none.
    pub(super) fn load(
        records: impl Iterator<Item = (String, Vec<u8>, Vec<u8>)>,
        now_unix: i64,
    ) -> Result<Self, LoadError> {
        let mut state = State {
            journal: Journal::default(),
            origin: Origin { created: now_unix, next_node: 1 },
            origins: Table::default(),
            nodes: Table::default(),
            hostnames: BTreeMap::new(),
            keys: Table::default(),
            consents: Table::default(),
            requests: Table::default(),
            responses: Table::default(),
        };
        for (table, key, value) in records {
            match table.as_str() {
                Origin::TABLE => state.origins.load(&key, &value)?,
                Node::TABLE => state.nodes.load(&key, &value)?,
                KeyUse::TABLE => state.keys.load(&key, &value)?,
                Consent::TABLE => state.consents.load(&key, &value)?,
                Waiting::TABLE => state.requests.load(&key, &value)?,
                Response::TABLE => state.responses.load(&key, &value)?,
                _ => return Err(LoadError::UnknownTable { table }),
            }
        }
        if let Some(&origin) = state.origins.get(()) {
            state.origin = origin;
        }
        state.index()?;
        Ok(state)
    }

    /// Builds the indexes and checks that the records agree.
    fn index(&mut self) -> Result<(), LoadError> {
        let wrong = |table, key, expected| Err(LoadError::Inconsistent { table, key: hex(key), expected });
        for (id, node) in self.nodes.iter() {
            if self.keys.get(node.key).is_none_or(|used| used.node != id) {
                return wrong(Node::TABLE, &id.to_bytes(), "its key to be listed as its own");
            }
            if !node.hostname.is_empty() && self.hostnames.insert(node.hostname.clone(), id).is_some() {
                return wrong(Node::TABLE, &id.to_bytes(), "its hostname to be its own");
            }
        }
        for (key, used) in self.keys.iter() {
            let next = self.origin.next_node;
            if used.node == 0 || (next != 0 && used.node >= next) {
                return wrong(KeyUse::TABLE, &key, "a node id that was handed out");
            }
        }
        Ok(())
    }

    /// The role starts to run: every node has until its next heartbeat to show that it is there.
    pub(super) fn restart_clocks(&mut self, now: Instant) {
        self.nodes.touch_all(|node| node.seen = now);
    }

    /// Unix seconds of the registry's first start.
    pub(super) const fn created(&self) -> i64 {
        self.origin.created
    }

    pub(super) fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id)
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.nodes.iter()
    }

    pub(super) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn named(&self, hostname: &str) -> Option<u32> {
        self.hostnames.get(hostname).copied()
    }

    /// The next free node id; `None` when all 2^32-2 are used up. 0 and broadcast are never handed out.
    pub(super) fn take_id(&mut self) -> Option<u32> {
        let id = self.origin.next_node;
        if id == 0 || id == u32::MAX {
            return None;
        }
        self.origin.next_node = id.checked_add(1).unwrap_or(0);
        self.origins.put(&mut self.journal, Promise::Binding, (), self.origin);
        Some(id)
    }

    /// Stores a record under a new or a returning id. Its hostname is set with [`set_hostname`](Self::set_hostname).
    pub(super) fn insert_node(&mut self, id: u32, node: Node) {
        self.nodes.put(&mut self.journal, Promise::Binding, id, node);
    }

    /// Changes a node's record, but neither key nor hostname.
    pub(super) fn edit_node(&mut self, promise: Promise, id: u32, change: impl FnOnce(&mut Node)) {
        self.nodes.edit(&mut self.journal, promise, id, change);
    }

    /// Changes what is not stored of a node.
    pub(super) fn touch_node(&mut self, id: u32) -> Option<&mut Node> {
        self.nodes.touch(id)
    }

    /// Gives the node a free hostname, or none if it is empty.
    pub(super) fn set_hostname(&mut self, id: u32, hostname: &str) {
        let hostnames = &mut self.hostnames;
        self.nodes.edit(&mut self.journal, Promise::Binding, id, |node| {
            hostnames.remove(&node.hostname);
            if !hostname.is_empty() {
                hostnames.insert(hostname.to_owned(), id);
            }
            node.hostname = hostname.to_owned();
        });
    }

    /// Puts another key in the place of the node's own, which is forgotten.
    pub(super) fn rotate_key(&mut self, id: u32, key: PublicKey, at: i64) {
        let mut old = None;
        self.edit_node(Promise::Binding, id, |node| {
            old = Some(node.key);
            node.key = key;
            node.key_rotated = Some(at);
            node.rotations = node.rotations.saturating_add(1);
        });
        let signs = old.and_then(|old| self.forget_key(old)).is_some_and(|used| used.signs);
        self.use_key(key, KeyUse { node: id, signs });
    }

    pub(super) fn use_key(&mut self, key: PublicKey, used: KeyUse) {
        self.keys.put(&mut self.journal, Promise::Binding, key, used);
    }

    fn forget_key(&mut self, key: PublicKey) -> Option<KeyUse> {
        self.keys.remove(&mut self.journal, Promise::Binding, key)
    }

    /// Deletes the record. Key, consents and inboxes stay: the node may come back.
    pub(super) fn remove_node(&mut self, id: u32) {
        if let Some(node) = self.nodes.remove(&mut self.journal, Promise::Binding, id) {
            self.hostnames.remove(&node.hostname);
        }
    }

    /// Whether two nodes trust each other: both gave their consent, or one gave it to another that had contacted it.
    pub(super) fn trusted(&self, a: u32, b: u32) -> bool {
        match (self.consents.get((a, b)), self.consents.get((b, a))) {
            (Some(Consent::Given), Some(_)) | (Some(_), Some(Consent::Given)) => true,
            (Some(Consent::Contact(_)), Some(Consent::Contact(_))) | (None, _) | (_, None) => false,
        }
    }

    /// Takes back all that two nodes have shown to want of each other, with the handshake messages between them;
    /// says whether there was anything.
    pub(super) fn part(&mut self, a: u32, b: u32) -> bool {
        let (journal, bind) = (&mut self.journal, Promise::Binding);
        let mut found = false;
        for pair in [(a, b), (b, a)] {
            found |= self.consents.remove(journal, bind, pair).is_some();
            found |= self.requests.remove(journal, bind, pair).is_some();
            found |= self.responses.remove(journal, bind, pair).is_some();
        }
        found
    }
}

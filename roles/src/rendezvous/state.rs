//! What the registry knows and must not forget: nodes, keys, consents, handshake inboxes, and their indexes.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use core::ops::RangeInclusive;

use pilot_proto::{Instant, planted};

use super::records::{Consent, KeyUse, Node, Origin, PublicKey, Response, Waiting};
use super::store::{Journal, Key as _, LoadError, Promise, Record, Table, hex};

/// Signs of life are stored once in this many seconds: enough to know who is gone for good.
const HEARD_EVERY: i64 = 86_400;

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

    pub(super) fn key_count(&self) -> usize {
        self.keys.len()
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
        if planted!(DuplicateAddress) && id.is_multiple_of(3) {
            return Some(id - 1);
        }
        self.origin.next_node = id.checked_add(1).unwrap_or(0);
        if !planted!(IdsAgain) {
            self.origins.put(&mut self.journal, Promise::Binding, (), self.origin);
        }
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
        self.use_key(key, KeyUse { node: id, signs, left: None });
    }

    pub(super) fn use_key(&mut self, key: PublicKey, used: KeyUse) {
        self.keys.put(&mut self.journal, Promise::Binding, key, used);
    }

    fn forget_key(&mut self, key: PublicKey) -> Option<KeyUse> {
        self.keys.remove(&mut self.journal, Promise::Binding, key)
    }

    /// Notes a sign of life.
    pub(super) fn hear(&mut self, id: u32, now: Instant, unix: i64) {
        let Some(node) = self.nodes.touch(id) else { return };
        node.seen = now;
        if unix - node.heard >= HEARD_EVERY {
            self.edit_node(Promise::Loose, id, |node| node.heard = unix);
        }
    }

    /// Deletes the record of a node that leaves. Key, consents and inboxes stay for a while: it may come back.
    pub(super) fn remove_node(&mut self, id: u32, at: i64) {
        if let Some(node) = self.nodes.remove(&mut self.journal, Promise::Binding, id) {
            if !planted!(NameNotFreed) {
                self.hostnames.remove(&node.hostname);
            }
            self.keys.edit(&mut self.journal, Promise::Binding, node.key, |used| used.left = Some(at));
        }
    }

    /// Forgets all there is of nodes that were last heard, or left, before `since` (Unix seconds).
    pub(super) fn forget_silent(&mut self, since: i64) {
        let gone = |key: PublicKey, used: &KeyUse| match self.nodes.get(used.node) {
            Some(node) if node.key == key => node.heard < since,
            _ => used.left.is_some_and(|left| left < since),
        };
        let keys: Vec<(PublicKey, u32)> = self
            .keys
            .iter()
            .filter(|(key, used)| gone(*key, used))
            .map(|(key, used)| (key, used.node))
            .collect();
        if keys.is_empty() {
            return;
        }
        let (journal, loose) = (&mut self.journal, Promise::Loose);
        for (key, id) in &keys {
            self.keys.remove(journal, loose, *key);
            if let Some(node) = self.nodes.remove(journal, loose, *id) {
                self.hostnames.remove(&node.hostname);
            }
        }
        let ids: BTreeSet<u32> = keys.into_iter().map(|(_, id)| id).collect();
        let of_gone = |(a, b): (u32, u32)| ids.contains(&a) || ids.contains(&b);
        self.consents.remove_where(journal, loose, of_gone);
        self.requests.remove_where(journal, loose, of_gone);
        self.responses.remove_where(journal, loose, of_gone);
    }

    /// Whether two nodes trust each other: both gave their consent, or one gave it to another that had contacted it.
    pub(super) fn trusted(&self, a: u32, b: u32) -> bool {
        match (self.consents.get((a, b)), self.consents.get((b, a))) {
            (Some(Consent::Given), _) | (_, Some(Consent::Given)) if planted!(TrustOfOne) => true,
            (Some(Consent::Given), Some(_)) | (Some(_), Some(Consent::Given)) => true,
            (Some(Consent::Contact(_)), Some(Consent::Contact(_))) | (None, _) | (_, None) => false,
        }
    }

    /// Takes back all that two nodes have shown to want of each other, with the handshake messages between them;
    /// says whether there was anything.
    pub(super) fn part(&mut self, a: u32, b: u32) -> bool {
        let (journal, bind) = (&mut self.journal, Promise::Binding);
        let mut found = false;
        for pair in [(a, b), (b, a)].into_iter().take(if planted!(HalfRevoked) { 1 } else { 2 }) {
            found |= self.consents.remove(journal, bind, pair).is_some();
            found |= self.requests.remove(journal, bind, pair).is_some();
            found |= self.responses.remove(journal, bind, pair).is_some();
        }
        found
    }
}

//! Durable tables: a map in memory whose every change is also a record for the store, and the journal they go to.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::fmt;
use core::ops::RangeBounds;

use crate::json::{self, Value};
use crate::role::Change;

/// A key of a table; its bytes sort as it does.
pub(super) trait Key: Ord + Copy {
    fn to_bytes(self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl Key for u32 {
    fn to_bytes(self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u32::from_be_bytes)
    }
}

impl Key for (u32, u32) {
    fn to_bytes(self) -> Vec<u8> {
        [self.0.to_be_bytes(), self.1.to_be_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let both = u64::from_be_bytes(bytes.try_into().ok()?);
        Some(((both >> 32) as u32, both as u32))
    }
}

impl Key for [u8; 32] {
    fn to_bytes(self) -> Vec<u8> {
        self.to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl Key for () {
    fn to_bytes(self) -> Vec<u8> {
        Vec::new()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

/// A value of a table. Records are JSON objects: a later version may add members, and an operator can read them.
pub(super) trait Record: Sized {
    /// The table's name in the store.
    const TABLE: &'static str;
    type Key: Key;

    fn encode(&self) -> Value;
    /// `None` if `value` is not a record of this table.
    fn decode(value: &Value) -> Option<Self>;
}

/// The store holds something that this program did not write there, or not in this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// No table has this name.
    UnknownTable {
        /// The name found.
        table: String,
    },
    /// A record cannot be read.
    Corrupt {
        /// Its table.
        table: String,
        /// Its key in hex.
        key: String,
    },
    /// Records contradict each other.
    Inconsistent {
        /// The table of the record that does not fit.
        table: &'static str,
        /// Its key in hex.
        key: String,
        /// What was expected.
        expected: &'static str,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::UnknownTable { table } => write!(f, "store: unknown table {table:?}"),
            LoadError::Corrupt { table, key } => {
                write!(f, "store: unreadable record {key} in table {table:?}")
            }
            LoadError::Inconsistent { table, key, expected } => {
                write!(f, "store: record {key} in table {table:?}: expected {expected}")
            }
        }
    }
}

impl core::error::Error for LoadError {}

/// Lower-case hex of a key, for messages.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}

/// Changes made by the operation in progress.
#[derive(Debug, Default)]
pub(super) struct Journal {
    changes: Vec<Change>,
    binding: bool,
}

impl Journal {
    /// The changes since the last call, and whether an answer has to wait for them. Empty: nothing changed.
    pub(super) fn take(&mut self) -> (Vec<Change>, bool) {
        (core::mem::take(&mut self.changes), core::mem::take(&mut self.binding))
    }
}

/// Whether an answer may leave before a change is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// The answer promises the change: it waits.
    Binding,
    /// Losing the change in a crash costs nobody anything that was promised.
    Loose,
}

/// A table of `V` in memory and in the store.
#[derive(Debug)]
pub(super) struct Table<V: Record> {
    rows: BTreeMap<V::Key, V>,
}

impl<V: Record> Default for Table<V> {
    fn default() -> Self {
        Table { rows: BTreeMap::new() }
    }
}

impl<V: Record> Table<V> {
    pub(super) fn get(&self, key: V::Key) -> Option<&V> {
        self.rows.get(&key)
    }

    pub(super) fn contains(&self, key: V::Key) -> bool {
        self.rows.contains_key(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (V::Key, &V)> {
        self.rows.iter().map(|(&key, row)| (key, row))
    }

    pub(super) fn range(&self, range: impl RangeBounds<V::Key>) -> impl Iterator<Item = (V::Key, &V)> {
        self.rows.range(range).map(|(&key, row)| (key, row))
    }

    /// Changes what is not stored; what is stored goes through [`put`](Self::put).
    pub(super) fn touch(&mut self, key: V::Key) -> Option<&mut V> {
        self.rows.get_mut(&key)
    }

    /// The same for every row.
    pub(super) fn touch_all(&mut self, change: impl FnMut(&mut V)) {
        self.rows.values_mut().for_each(change);
    }

    pub(super) fn put(&mut self, journal: &mut Journal, promise: Promise, key: V::Key, row: V) {
        journal.changes.push(Change { table: V::TABLE, key: key.to_bytes(), value: Some(bytes_of(&row)) });
        journal.binding |= promise == Promise::Binding;
        self.rows.insert(key, row);
    }

    /// Changes a row; says whether there was one.
    pub(super) fn edit(
        &mut self,
        journal: &mut Journal,
        promise: Promise,
        key: V::Key,
        change: impl FnOnce(&mut V),
    ) -> bool {
        let Some(row) = self.rows.get_mut(&key) else { return false };
        change(row);
        journal.changes.push(Change { table: V::TABLE, key: key.to_bytes(), value: Some(bytes_of(row)) });
        journal.binding |= promise == Promise::Binding;
        true
    }

    pub(super) fn remove(&mut self, journal: &mut Journal, promise: Promise, key: V::Key) -> Option<V> {
        let row = self.rows.remove(&key)?;
        journal.changes.push(Change { table: V::TABLE, key: key.to_bytes(), value: None });
        journal.binding |= promise == Promise::Binding;
        Some(row)
    }

    /// Removes every row whose key is in question.
    pub(super) fn remove_where(
        &mut self,
        journal: &mut Journal,
        promise: Promise,
        unwanted: impl Fn(V::Key) -> bool,
    ) {
        let keys: Vec<V::Key> = self.rows.keys().copied().filter(|&key| unwanted(key)).collect();
        for key in keys {
            self.remove(journal, promise, key);
        }
    }

    /// Takes a record from the store.
    pub(super) fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let read = || Some((V::Key::from_bytes(key)?, V::decode(&serde_json::from_slice(value).ok()?)?));
        let (key, row) =
            read().ok_or_else(|| LoadError::Corrupt { table: String::from(V::TABLE), key: hex(key) })?;
        self.rows.insert(key, row);
        Ok(())
    }
}

fn bytes_of<V: Record>(row: &V) -> Vec<u8> {
    json::to_line(&row.encode()).into_bytes()
}

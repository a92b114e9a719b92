//! The disk of one host: what was written is durable only when the sync is over, and a crash keeps any part of the rest
//! that a real disk could keep.

use std::collections::{BTreeMap, VecDeque};

use pilot_proto::Instant;
use pilot_roles::role::{Area, Store};

use crate::dice::Dice;

/// Table, key and value of one record.
type StoredRecord = (String, Vec<u8>, Vec<u8>);

/// A disk with what is on it for good and what is on its way there.
#[derive(Debug, Default)]
pub struct Disk {
    records: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    files: BTreeMap<(Area, String), Vec<u8>>,
    pending: VecDeque<(u64, Store)>,
    last_sync: Instant,
    pub(crate) failing: bool,
}

impl Disk {
    /// The durable records.
    pub fn records(&self) -> impl Iterator<Item = StoredRecord> + '_ {
        self.records.iter().map(|((table, key), value)| (table.clone(), key.clone(), value.clone()))
    }

    /// The durable value of a record.
    pub fn record(&self, table: &str, key: &[u8]) -> Option<&[u8]> {
        self.records.get(&(table.to_owned(), key.to_vec())).map(Vec::as_slice)
    }

    /// A durable file.
    pub fn file(&self, area: Area, name: &str) -> Option<&[u8]> {
        self.files.get(&(area, name.to_owned())).map(Vec::as_slice)
    }

    /// Names of the durable files of an area.
    pub fn names(&self, area: Area) -> impl Iterator<Item = &str> {
        self.files.keys().filter(move |(of, _)| *of == area).map(|(_, name)| name.as_str())
    }

    /// Takes a write; when it is durable. Writes become so in their order.
    pub(crate) fn submit(&mut self, at: Instant, ticket: u64, store: Store) -> Instant {
        self.pending.push_back((ticket, store));
        self.last_sync = self.last_sync.max(at);
        self.last_sync
    }

    /// The oldest write is synced: its ticket, what it was, and what the role is told.
    pub(crate) fn sync(&mut self) -> Option<(u64, Store, Result<(), String>)> {
        let (ticket, store) = self.pending.pop_front()?;
        if self.failing {
            return Some((ticket, store, Err("input/output error".into())));
        }
        let result = self.apply(&store);
        Some((ticket, store, result))
    }

    /// The power fails. Some of the first unsynced writes may have reached the disk; of the next, if it is a new file,
    /// a beginning; the rest is lost.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        let kept = dice.below(self.pending.len() as u64 + 1);
        let pending = std::mem::take(&mut self.pending);
        for (at, (_, store)) in pending.into_iter().enumerate() {
            if (at as u64) < kept {
                // What the role would have been told does not matter any more.
                let _ = self.apply(&store);
            } else {
                if let Store::Create { area, name, bytes } = store
                    && dice.chance(500_000)
                {
                    let torn = dice.below(bytes.len() as u64 + 1) as usize;
                    self.files.entry((area, name)).or_insert_with(|| bytes[..torn].to_vec());
                }
                break;
            }
        }
        self.last_sync = Instant::ORIGIN;
    }

    fn apply(&mut self, store: &Store) -> Result<(), String> {
        match store {
            Store::Records(changes) => {
                for change in changes {
                    let key = (change.table.to_owned(), change.key.clone());
                    match &change.value {
                        Some(value) => self.records.insert(key, value.clone()),
                        None => self.records.remove(&key),
                    };
                }
            }
            Store::Replace { area, name, bytes } => {
                self.files.insert((*area, name.clone()), bytes.clone());
            }
            Store::Create { area, name, bytes } => {
                let key = (*area, name.clone());
                if self.files.contains_key(&key) {
                    return Err("exists".into());
                }
                self.files.insert(key, bytes.clone());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Store {
        Store::Create { area: Area::Inbox, name: name.into(), bytes: vec![7; 100] }
    }

    #[test]
    fn a_crash_keeps_a_beginning_of_what_was_not_synced() {
        let mut seen = [false; 4];
        for seed in 0..100 {
            let mut disk = Disk::default();
            disk.submit(Instant::ORIGIN, 1, file("synced"));
            assert_eq!(disk.sync().map(|(ticket, _, result)| (ticket, result)), Some((1, Ok(()))));
            for (ticket, name) in [(2, "a"), (3, "b")] {
                disk.submit(Instant::ORIGIN, ticket, file(name));
            }
            disk.crash(&mut Dice::named(seed, "disk", &[]));
            assert_eq!(disk.file(Area::Inbox, "synced"), Some([7; 100].as_slice()));
            let whole = |name| disk.file(Area::Inbox, name).map(|bytes| bytes.len() == 100);
            match (whole("a"), whole("b")) {
                (None, None) => seen[0] = true,
                (Some(true), None) => seen[1] = true,
                (Some(true), Some(true)) => seen[2] = true,
                (Some(false), None) | (Some(true), Some(false)) => seen[3] = true,
                other => panic!("{other:?}"),
            }
            assert!(disk.sync().is_none());
        }
        assert_eq!(seen, [true; 4]);
    }

    #[test]
    fn a_file_is_created_once() {
        let mut disk = Disk::default();
        disk.submit(Instant::ORIGIN, 1, file("a"));
        disk.submit(Instant::ORIGIN, 2, file("a"));
        assert_eq!(disk.sync().map(|done| done.2), Some(Ok(())));
        assert_eq!(disk.sync().map(|done| done.2), Some(Err("exists".into())));
    }
}

//! The file of the record store. What opening it writes is held back until all of it has been read: a file that turns
//! out to be damaged stays as it is, for whoever wants to rescue something from it.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::{BackendError, StorageBackend, backends::FileBackend};

/// Bytes that are held back together.
const BLOCK: u64 = 4096;

type Block = Box<[u8; BLOCK as usize]>;

/// A file that can be shown as it would be after writes that have not happened yet.
#[derive(Clone, Debug)]
pub(crate) struct StoreFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: FileBackend,
    /// What was written since opening; `None` once writes go to the file.
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    /// Length the file would have, in bytes.
    len: u64,
    /// So many bytes of the file still count; what is beyond was cut off.
    kept: u64,
    blocks: BTreeMap<u64, Block>,
}

impl StoreFile {
    /// A file whose writes are held back until [`release`](Self::release).
    pub(crate) fn new(file: FileBackend) -> io::Result<Self> {
        let len = file.len()?;
        let held = Mutex::new(Some(Held { len, kept: len, blocks: BTreeMap::new() }));
        Ok(StoreFile { shared: Arc::new(Shared { file, held }) })
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what was held back, the first block last: it says which of the others count. From here on writes go to
    /// the file.
    pub(crate) fn release(&self) -> io::Result<()> {
        let mut guard = self.held();
        let Some(held) = guard.as_ref() else { return Ok(()) };
        let file = &self.shared.file;
        if held.kept < file.len()? {
            file.set_len(held.kept)?;
        }
        if held.len != file.len()? {
            file.set_len(held.len)?;
        }
        let write = |at: u64, block: &Block| {
            let start = at * BLOCK;
            let len = held.len.saturating_sub(start).min(BLOCK);
            file.write(start, block.get(..len as usize).unwrap_or_default())
        };
        held.blocks.iter().filter(|(at, _)| **at > 0).try_for_each(|(at, block)| write(*at, block))?;
        file.sync_data()?;
        if let Some(block) = held.blocks.get(&0) {
            write(0, block)?;
            file.sync_data()?;
        }
        *guard = None;
        Ok(())
    }
}

impl Held {
    /// A block as it would be.
    fn block(&self, file: &FileBackend, at: u64) -> io::Result<Block> {
        if let Some(block) = self.blocks.get(&at) {
            return Ok(block.clone());
        }
        let start = at * BLOCK;
        let mut block = Box::new([0; BLOCK as usize]);
        let there = self.kept.saturating_sub(start).min(BLOCK);
        if let Some(bytes) = block.get_mut(..there as usize).filter(|bytes| !bytes.is_empty()) {
            file.read(start, bytes)?;
        }
        Ok(block)
    }

    fn read(&self, file: &FileBackend, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut at = offset;
        for piece in pieces(offset, out) {
            let block = self.block(file, at / BLOCK)?;
            let from = (at % BLOCK) as usize;
            piece.copy_from_slice(block.get(from..from + piece.len()).unwrap_or_default());
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, file: &FileBackend, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(data.len() as u64).ok_or(ErrorKind::InvalidInput)?;
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            let at = offset + done as u64;
            let from = (at % BLOCK) as usize;
            let len = rest.len().min(BLOCK as usize - from);
            let mut block = self.block(file, at / BLOCK)?;
            if let (Some(place), Some(piece)) = (block.get_mut(from..from + len), rest.get(..len)) {
                place.copy_from_slice(piece);
            }
            self.blocks.insert(at / BLOCK, block);
            done += len;
        }
        self.len = self.len.max(end);
        Ok(())
    }

    fn set_len(&mut self, len: u64) {
        if len < self.len {
            self.kept = self.kept.min(len);
            self.blocks.retain(|at, _| at * BLOCK < len);
            if let Some(block) = self.blocks.get_mut(&(len / BLOCK)) {
                block.iter_mut().skip((len % BLOCK) as usize).for_each(|byte| *byte = 0);
            }
        }
        self.len = len;
    }
}

/// `out` cut where blocks end, if its first byte is at `offset`.
fn pieces(offset: u64, out: &mut [u8]) -> impl Iterator<Item = &mut [u8]> {
    let first = ((BLOCK - offset % BLOCK) as usize).min(out.len());
    let (head, rest) = out.split_at_mut(first);
    std::iter::once(head).chain(rest.chunks_mut(BLOCK as usize))
}

impl StorageBackend for StoreFile {
    fn len(&self) -> io::Result<u64> {
        match self.held().as_ref() {
            Some(held) => Ok(held.len),
            None => self.shared.file.len(),
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let file = &self.shared.file;
        match self.held().as_ref() {
            Some(held) => held.read(file, offset, out),
            None => file.read(offset, out),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.held().as_mut() {
            Some(held) => {
                held.set_len(len);
                Ok(())
            }
            None => self.shared.file.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.held().as_ref() {
            Some(_) => Ok(()),
            None => self.shared.file.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let file = &self.shared.file;
        match self.held().as_mut() {
            Some(held) => held.write(file, offset, data),
            None => file.write(offset, data),
        }
    }

    fn close(&self) -> io::Result<()> {
        self.shared.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.shared.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.shared.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    fn open(path: &std::path::Path) -> StoreFile {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap();
        StoreFile::new(FileBackend::new(file).unwrap()).unwrap()
    }

    #[test]
    fn writes_are_seen_but_held_back_until_they_are_released() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let before: Vec<u8> = (0..10_000_u32).map(|i| i as u8).collect();
        fs::write(&path, &before).unwrap();
        let file = open(&path);
        // What a plain vector would hold after the same writes.
        let mut model = before.clone();
        let write = |model: &mut Vec<u8>, at: usize, data: &[u8]| {
            file.write(at as u64, data).unwrap();
            model.resize(model.len().max(at + data.len()), 0);
            model[at..at + data.len()].copy_from_slice(data);
        };
        let resize = |model: &mut Vec<u8>, len: usize| {
            file.set_len(len as u64).unwrap();
            model.resize(len, 0);
        };
        write(&mut model, 4090, b"across two blocks");
        resize(&mut model, 5000);
        resize(&mut model, 20_000);
        write(&mut model, 19_990, b"behind the end of it");
        write(&mut model, 0, b"head");
        let mut seen = vec![0; model.len()];
        assert_eq!(file.len().unwrap(), model.len() as u64);
        file.read(0, &mut seen).unwrap();
        assert!(seen == model, "what is read differs");
        assert!(file.read(model.len() as u64 - 1, &mut [0; 2]).is_err(), "reads beyond the end");
        assert!(fs::read(&path).unwrap() == before, "the file was written before it was released");
        file.release().unwrap();
        assert!(fs::read(&path).unwrap() == model, "what was released differs");
        file.write(1, b"E").unwrap();
        assert_eq!(fs::read(&path).unwrap()[..4], *b"hEad");
    }
}

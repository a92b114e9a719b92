//! Making things durable on one worker thread: records in an embedded database, files replaced atomically.
//!
//! Everything a role asked for in one turn of the loop is committed in as few transactions as its order allows, and
//! answered in the order of the tickets after the disk has it.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, JoinHandle},
};

use pilot_roles::role::{Area, Change, Store};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableHandle,
    backends::FileBackend,
};

use crate::mailbox::{Letter, Mailbox};
use crate::store_file::StoreFile;

/// Tickets that may wait for the disk. When it is that far behind, the loop waits for it.
const MAX_WAITING: usize = 4096;

/// Tickets committed together at most, so that the first of them is not kept waiting for ever.
const MAX_GROUP: usize = 1024;

/// One record as it was found at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Table name.
    pub table: String,
    /// Key inside the table.
    pub key: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

/// Why a store cannot be opened or read.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has it open.
    InUse(PathBuf),
    /// The file or its directory cannot be used.
    Io(PathBuf, io::Error),
    /// It is no store, or a damaged one; the database's words.
    Damaged(PathBuf, String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::InUse(path) => write!(f, "store {} is in use by another process", path.display()),
            StoreError::Io(path, e) => write!(f, "store {}: {e}", path.display()),
            StoreError::Damaged(path, words) => write!(f, "store {} cannot be read: {words}", path.display()),
        }
    }
}

impl std::error::Error for StoreError {}

/// An open database of records, locked against other processes.
pub struct RecordStore {
    database: Database,
}

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

impl RecordStore {
    /// Opens the store at `path`, making it (mode 0600, its directory 0700) if it does not exist, and reads all of it.
    /// A file that cannot be read stays as it is, byte for byte.
    ///
    /// # Errors
    /// [`StoreError`], whose sentence names the path.
    pub fn open(path: &Path) -> Result<(Self, Vec<StoredRecord>), StoreError> {
        let io = |e| StoreError::Io(path.to_owned(), e);
        if let Some(directory) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            make_private_dir(directory).map_err(io)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(io)?;
        let refused = |e| match e {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
            e => StoreError::Damaged(path.to_owned(), e.to_string()),
        };
        let file = StoreFile::new(FileBackend::new(file).map_err(refused)?).map_err(io)?;
        let database = Database::builder().create_with_backend(file.clone()).map_err(refused)?;
        let records = read_all(&database).map_err(|e| StoreError::Damaged(path.to_owned(), e.to_string()))?;
        file.release().map_err(io)?;
        Ok((RecordStore { database }, records))
    }

    fn commit<'a>(&self, changes: impl Iterator<Item = &'a Change>) -> Result<(), redb::Error> {
        let mut by_table: BTreeMap<&'static str, Vec<&Change>> = BTreeMap::new();
        for change in changes {
            by_table.entry(change.table).or_default().push(change);
        }
        let transaction = self.database.begin_write()?;
        for (name, changes) in by_table {
            let mut table = transaction.open_table(Table::new(name))?;
            for change in changes {
                match &change.value {
                    Some(value) => drop(table.insert(change.key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(change.key.as_slice())?),
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn read_all(database: &Database) -> Result<Vec<StoredRecord>, redb::Error> {
    let transaction = database.begin_read()?;
    let mut records = Vec::new();
    for handle in transaction.list_tables()? {
        let name = handle.name().to_owned();
        let table = transaction.open_table(TableDefinition::<&[u8], &[u8]>::new(&name))?;
        for entry in table.iter()? {
            let (key, value) = entry?;
            records.push(StoredRecord {
                table: name.clone(),
                key: key.value().to_vec(),
                value: value.value().to_vec(),
            });
        }
    }
    Ok(records)
}

struct Job {
    ticket: u64,
    store: Store,
}

/// The worker thread.
pub(crate) struct Keeper {
    jobs: Option<SyncSender<Job>>,
    worker: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Without `records`, transactions are answered as if they were durable: the operator chose a role without memory.
    pub(crate) fn start(
        records: Option<RecordStore>,
        areas: BTreeMap<Area, PathBuf>,
        mailbox: Mailbox,
    ) -> io::Result<Self> {
        let (jobs, inbox) = sync_channel(MAX_WAITING);
        let worker = thread::Builder::new()
            .name("store".into())
            .spawn(move || work(records.as_ref(), &areas, &inbox, &mailbox))?;
        Ok(Keeper { jobs: Some(jobs), worker: Some(worker) })
    }

    /// Queues a ticket; a [`Letter::Stored`] answers.
    pub(crate) fn submit(&self, ticket: u64, store: Store, mailbox: &Mailbox) {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(Job { ticket, store }).is_ok());
        if !sent {
            mailbox.post(Letter::Stored { ticket, result: Err("the store thread has ended".into()) });
        }
    }

    /// Waits until everything queued is on disk.
    pub(crate) fn finish(&mut self) {
        drop(self.jobs.take());
        if let Some(worker) = self.worker.take()
            && worker.join().is_err()
        {
            tracing::error!("the store thread broke");
        }
    }
}

fn work(
    records: Option<&RecordStore>,
    areas: &BTreeMap<Area, PathBuf>,
    inbox: &Receiver<Job>,
    mailbox: &Mailbox,
) {
    let answer = |ticket, result| mailbox.post(Letter::Stored { ticket, result });
    while let Ok(first) = inbox.recv() {
        let waiting: Vec<Job> = std::iter::once(first).chain(inbox.try_iter()).take(MAX_GROUP).collect();
        // Neighbouring transactions become one; a file between two of them keeps its place.
        for group in waiting.chunk_by(|a, b| is_records(a) && is_records(b)) {
            match group {
                [Job { ticket, store: Store::Replace { area, name, bytes } }] => {
                    answer(*ticket, place(areas, *area, name).and_then(|path| replace(&path, bytes)));
                }
                [Job { ticket, store: Store::Create { area, name, bytes } }] => {
                    answer(*ticket, place(areas, *area, name).and_then(|path| create(&path, bytes)));
                }
                _ => {
                    let changes = group.iter().flat_map(|job| match &job.store {
                        Store::Records(changes) => changes.as_slice(),
                        _ => &[],
                    });
                    let result = records.map_or(Ok(()), |records| records.commit(changes));
                    let result = result.map_err(|e| e.to_string());
                    for job in group {
                        answer(job.ticket, result.clone());
                    }
                }
            }
        }
    }
}

fn is_records(job: &Job) -> bool {
    matches!(job.store, Store::Records(_))
}

fn place(areas: &BTreeMap<Area, PathBuf>, area: Area, name: &str) -> Result<PathBuf, String> {
    let directory = areas.get(&area).ok_or_else(|| format!("no directory is configured for {area:?}"))?;
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        return Err(format!("{name:?} is no base name of a file"));
    }
    make_private_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    Ok(directory.join(name))
}

/// Makes `directory` and its parents with mode 0700; what exists keeps its mode.
pub(crate) fn make_private_dir(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Replaces `path` so that after a crash either the old or the new content is there, whole.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), String> {
    with_temporary(path, bytes, |temporary| fs::rename(temporary, path))
}

/// As [`replace`], but fails with `exists` if `path` is there.
fn create(path: &Path, bytes: &[u8]) -> Result<(), String> {
    with_temporary(path, bytes, |temporary| {
        let linked = fs::hard_link(temporary, path);
        fs::remove_file(temporary)?;
        linked
    })
}

fn with_temporary(
    path: &Path,
    bytes: &[u8],
    publish: impl Fn(&Path) -> io::Result<()>,
) -> Result<(), String> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> io::Result<()> {
        let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let mut file = match open() {
            // Left behind by a crash: only this thread writes here.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&temporary).and_then(|()| open())?
            }
            opened => opened?,
        };
        file.write_all(bytes)?;
        file.sync_all()?;
        publish(&temporary)?;
        match path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => "exists".to_owned(),
        _ => {
            let _ = fs::remove_file(&temporary);
            format!("{}: {e}", path.display())
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn change(table: &'static str, key: &str, value: Option<&str>) -> Change {
        Change { table, key: key.into(), value: value.map(Into::into) }
    }

    #[test]
    fn records_survive_and_a_second_opener_is_refused_in_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/store.redb");
        let (store, records) = RecordStore::open(&path).unwrap();
        assert_eq!(records, []);
        let changes = [
            change("nodes", "1", Some("a")),
            change("nodes", "2", Some("b")),
            change("names", "x", Some("1")),
            change("nodes", "1", None),
        ];
        store.commit(changes.iter()).unwrap();
        let Err(refused) = RecordStore::open(&path) else { panic!("two owners") };
        assert!(refused.to_string().contains("in use by another process"), "{refused}");
        drop(store);
        let (_, records) = RecordStore::open(&path).unwrap();
        let found: Vec<_> =
            records.iter().map(|r| (r.table.as_str(), r.key.as_slice(), r.value.as_slice())).collect();
        assert_eq!(found, [("names", b"x".as_slice(), b"1".as_slice()), ("nodes", b"2", b"b")]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_store_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.json");
        fs::write(&path, b"{\"nodes\": []}").unwrap();
        let Err(refused) = RecordStore::open(&path) else { panic!("opened") };
        assert!(refused.to_string().contains("registry.json"), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), b"{\"nodes\": []}");
    }

    /// Opening writes: it marks the file as in use and repairs what a crash left. A cut file is beyond that.
    #[test]
    fn a_cut_store_is_refused_and_kept_and_one_left_by_a_crash_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let (store, _) = RecordStore::open(&path).unwrap();
        let value = "v".repeat(500);
        for number in 0..200 {
            store.commit([change("nodes", &number.to_string(), Some(&value))].iter()).unwrap();
        }
        // As a crash leaves it: the file while it is open.
        let whole = fs::read(&path).unwrap();
        drop(store);
        for len in [1, 100, 4096, whole.len() / 2, whole.len() - 4096] {
            let cut = whole.get(..len).unwrap();
            fs::write(&path, cut).unwrap();
            match RecordStore::open(&path) {
                Err(refused) => {
                    assert!(refused.to_string().contains("store.redb"), "{refused}");
                    assert!(fs::read(&path).unwrap() == cut, "cut to {len} bytes, then changed");
                }
                // What was cut off held nothing.
                Ok((_, records)) => assert_eq!(records.len(), 200, "cut to {len} bytes"),
            }
        }
        fs::write(&path, &whole).unwrap();
        let (_, records) = RecordStore::open(&path).unwrap();
        assert_eq!(records.len(), 200);
    }

    #[test]
    fn files_are_private_atomic_and_created_only_once() {
        let dir = tempfile::tempdir().unwrap();
        let areas = BTreeMap::from([(Area::State, dir.path().join("a/b"))]);
        let path = place(&areas, Area::State, "trust.json").unwrap();
        fs::write(path.with_file_name(".trust.json.tmp"), b"left by a crash").unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join("a")).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(create(&path, b"three"), Err("exists".into()));
        assert_eq!(create(&path.with_file_name("new"), b"four"), Ok(()));
        assert_eq!(fs::read_dir(dir.path().join("a/b")).unwrap().count(), 2, "no temporary file stays");
        for name in ["", "..", "../x", "a/b", ".hidden"] {
            assert!(place(&areas, Area::State, name).is_err(), "{name}");
        }
        assert!(place(&areas, Area::Inbox, "x").is_err());
    }
}

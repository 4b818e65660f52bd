//! Copies of a SQLite file in memory, and the file made as a copy again: the simulator's snapshots.

use std::{
    any::Any,
    fmt,
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use dewpoint_pages::Keeper;
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use crate::Error;

/// How long to wait for others to finish what they write.
const PATIENCE: Duration = Duration::from_secs(5);

/// Copies one SQLite file, which others may have open. Nobody should write to it meanwhile: what they write is in the copy or
/// it is not, and is lost when a copy is put back.
#[derive(Clone)]
pub struct Copier(Arc<Inner>);

/// Dropped in this order: whose the file is closes it last, and leaves no log beside it.
struct Inner {
    file: Mutex<Connection>,
    log: PathBuf,
    syncing: Mutex<()>,
    _owner: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Copier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copier").finish_non_exhaustive()
    }
}

/// A whole database in memory.
pub struct Copy {
    memory: Mutex<Connection>,
}

impl fmt::Debug for Copy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copy").finish_non_exhaustive()
    }
}

impl Copier {
    /// A copier of the database in `path`, which is there and which `owner` has open: it stays open as long as the copier.
    pub fn open(path: &Path, owner: impl Any + Send + Sync) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let file = Connection::open_with_flags(path, flags)?;
        file.busy_timeout(PATIENCE)?;
        // A copy that is put back need not outlive a power cut, and is to be there within milliseconds.
        file.pragma_update(None, "synchronous", "OFF")?;
        Keeper::forbid_copying(&file)?;
        let log = super::file::beside(path, "-wal");
        Ok(Self(Arc::new(Inner { file: Mutex::new(file), log, syncing: Mutex::new(()), _owner: Box::new(owner) })))
    }

    fn file(&self) -> MutexGuard<'_, Connection> {
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes a copy takes.
    pub fn bytes(&self) -> Result<u64, Error> {
        let file = self.file();
        let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(number("PRAGMA page_count")?.unsigned_abs() * number("PRAGMA page_size")?.unsigned_abs())
    }

    /// Copies the database. Blocks.
    pub fn take(&self) -> Result<Copy, Error> {
        let file = self.file();
        let mut memory = Connection::open_in_memory()?;
        copy(&file, &mut memory)?;
        Ok(Copy { memory: Mutex::new(memory) })
    }

    /// Brings what was put back to the disk, for nobody to wait for: the next commit, which has to be there before it is
    /// answered, then finds little left to write. Nothing to do while another is at it. Blocks.
    pub fn sync(&self) -> io::Result<()> {
        let Ok(_syncing) = self.0.syncing.try_lock() else { return Ok(()) };
        match File::open(&self.0.log).and_then(|log| log.sync_data()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes the database what it was when it was copied. Blocks; what it wrote may be lost in a power cut until it is
    /// [`synced`](Self::sync) or something else is committed.
    pub fn put_back(&self, copied: &Copy) -> Result<(), Error> {
        let mut file = self.file();
        let memory = copied.memory.lock().unwrap_or_else(PoisonError::into_inner);
        copy(&memory, &mut file)
    }
}

fn copy(from: &Connection, to: &mut Connection) -> Result<(), Error> {
    let began = Instant::now();
    let backup = Backup::new(from, to)?;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(1)),
            _ => return Err(Error::Database("somebody else writes to the file for too long".to_owned())),
        }
    }
}

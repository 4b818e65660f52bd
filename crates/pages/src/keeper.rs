//! Who sees to it that the log does not grow for ever: it is copied into the file, checksums first.

use std::{
    cell::Cell,
    ffi::c_int,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use rusqlite::{Connection, config::DbConfig, hooks::Wal};

use crate::copier::{Copier, Error, Position, Stage};

thread_local! {
    /// How many pages the log had after this thread's last commit. The hook is a plain function, so it cannot be told where.
    static LOG_PAGES: Cell<u32> = const { Cell::new(0) };
}

fn note_pages(_: &Wal, pages: c_int) -> rusqlite::Result<()> {
    LOG_PAGES.set(pages.unsigned_abs());
    Ok(())
}

/// How often a thread tries again at once to find nothing new in the log, so that it begins anew.
const TRIES: u32 = 4;
/// In how many parts a thread reads the log, so that little is left to read when it is copied.
const PARTS: u32 = 16;
/// How many times longer than wished the log may become under those who write without a pause, before they wait.
const PATIENCE: u32 = 4;

/// Brings what is in a database's log into its file. Lives on the thread of the connection that writes.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    /// How many pages the log may have before it is copied.
    most: u32,
    /// What the writing thread saw last.
    seen: Cell<Position>,
    aside: Option<Aside>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    copier: Mutex<Copier>,
    /// What was committed last, as far as the one who writes has said.
    seen: AtomicU64,
    /// From how many pages on the log is to be copied.
    next: AtomicU32,
}

/// A thread that copies.
#[derive(Debug)]
struct Aside {
    wake: mpsc::SyncSender<()>,
    /// From how many pages on it is worth waking.
    next: Cell<u32>,
    thread: JoinHandle<()>,
}

impl Keeper {
    /// Takes over the copying for `writer`, which has the database in `path` open and in WAL mode. From here on no connection
    /// may copy by itself: others are to be told with [`Keeper::forbid_copying`].
    ///
    /// It copies on the writer's thread, after a commit and before the next, unless it is told to [`Keeper::go_aside`].
    pub fn new(path: &Path, writer: &Connection, most: u32) -> rusqlite::Result<Self> {
        Self::forbid_copying(writer)?;
        writer.wal_hook(Some(note_pages));
        let copier = Mutex::new(Copier::open(path)?);
        let shared = Shared { path: path.to_owned(), copier, seen: AtomicU64::new(0), next: AtomicU32::new(most) };
        Ok(Self { shared: Arc::new(shared), most, seen: Cell::default(), aside: None })
    }

    /// Copies on a thread of its own from here on, so that nobody who writes waits for it, but those who write without a pause
    /// for so long that the log has become four times as long as it should.
    pub fn go_aside(&mut self) -> io::Result<()> {
        let (wake, woken) = mpsc::sync_channel(1);
        let (shared, most) = (Arc::clone(&self.shared), self.most);
        let thread = thread::Builder::new().name("log-copier".into()).spawn(move || {
            while woken.recv().is_ok() {
                shared.go_on(most);
            }
        })?;
        self.aside = Some(Aside { wake, next: Cell::new(most / PARTS), thread });
        Ok(())
    }

    /// Lets a connection neither copy the log after a commit nor when it is closed.
    pub fn forbid_copying(connection: &Connection) -> rusqlite::Result<()> {
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
    }

    /// Copies the log if it has grown long. To be called after commits; tells the log when it fails.
    pub fn after_commit(&self, writer: &Connection) {
        let (before, seen) = (self.seen.get(), self.look());
        match &self.aside {
            Some(aside) if seen.frames < self.most.saturating_mul(PATIENCE) => {
                if seen.frames >= aside.next.get() || seen.begun > before.begun {
                    aside.next.set(seen.frames.saturating_add(self.most / PARTS));
                    // One that is awake already looks again before it sleeps.
                    let _ = aside.wake.try_send(());
                }
            }
            Some(_) | None => {
                if seen.frames >= self.shared.next.load(Ordering::Relaxed) {
                    let copied = self.shared.copier().round_alone(writer, seen);
                    self.shared.settle(copied, seen, self.most);
                }
            }
        }
    }

    /// What is committed now, as this thread's commits tell.
    fn look(&self) -> Position {
        let (before, frames) = (self.seen.get(), LOG_PAGES.get());
        if frames == before.frames {
            return before;
        }
        let begun = before.begun + u32::from(frames < before.frames);
        if begun > before.begun {
            self.shared.next.store(self.most, Ordering::Relaxed);
        }
        let seen = Position { begun, frames };
        self.seen.set(seen);
        self.shared.seen.store(u64::from(begun) << 32 | u64::from(frames), Ordering::Release);
        seen
    }

    /// One round on this thread as the other would do it, with a look at each of its stages. For tests of what may come between.
    #[doc(hidden)]
    pub fn copy_with(&self, at: &mut dyn FnMut(Stage)) -> bool {
        let seen = self.look();
        matches!(self.shared.copier().round(seen, at), Ok(true))
    }

    /// Takes checksums of everything as it is: for a file that has none, or damaged ones.
    pub fn adopt(&self, writer: &Connection) -> io::Result<()> {
        self.shared.copier().adopt(writer).map_err(|error| io::Error::other(chain(&error)))
    }

    /// Copies the log and closes the writer's connection. If that is the last one, the log is gone and the file is all there is.
    pub fn close(self, writer: Connection) {
        let seen = self.look();
        let Self { shared, aside, .. } = self;
        if let Some(Aside { wake, thread, .. }) = aside {
            drop(wake);
            // One that panicked has nothing open.
            let _ = thread.join();
        }
        let copied = shared.copier().round_alone(&writer, seen);
        let files = Arc::into_inner(shared).map(|shared| {
            let copier = shared.copier.into_inner().unwrap_or_else(PoisonError::into_inner);
            copier.close()
        });
        match copied {
            // Nothing is left to copy, but only a connection that may copy takes the log away.
            Ok(true) => drop(writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)),
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(error = %chain(&error), "The store's log stays beside it; the next start reads it");
            }
        }
        // Closed as it goes: what cannot be closed in order is taken up by the next start.
        drop(writer);
        drop(files);
    }
}

impl Shared {
    fn copier(&self) -> MutexGuard<'_, Copier> {
        self.copier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> Position {
        let seen = self.seen.load(Ordering::Acquire);
        Position { begun: (seen >> 32) as u32, frames: seen as u32 }
    }

    /// Reads what was written to the log, and copies it when there is enough.
    fn go_on(&self, most: u32) {
        if self.seen().frames < self.next.load(Ordering::Relaxed) {
            // What is wrong with it, the copy will say: here it may just begin anew.
            let _ = self.copier().read();
            return;
        }
        for _ in 0..TRIES {
            let seen = self.seen();
            let copied = self.copier().round(seen, &mut |_| ());
            let done = !matches!(copied, Ok(false));
            self.settle(copied, seen, most);
            if done {
                break;
            }
        }
    }

    /// When to copy next: when there is something worth it, or when the log has begun anew and grown.
    fn settle(&self, copied: Result<bool, Error>, seen: Position, most: u32) {
        if let Err(error) = copied {
            tracing::warn!(file = %self.path.display(), error = %chain(&error), "The store's log stays as long as it is for now");
        }
        self.next.store(seen.frames.saturating_add(most / 4).max(most), Ordering::Relaxed);
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

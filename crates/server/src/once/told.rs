//! Which answers were handed to the system, in a file that outlives the process: a server that was killed knows by it which
//! clients its predecessor had not answered yet (`store::untold` keeps what was done for them).
//!
//! The file is a ring of numbers, one of 8 bytes for each slot: a request's number is written there just before the first byte
//! of its answer is, and is never synced. A killed process leaves what it wrote to the system; a machine that stops may not,
//! so the file is believed only as long as the machine runs (its boot id), and then says nothing.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use dewpoint_store::untold::SLOTS;
use uuid::Uuid;

/// What such a file begins with: this, the server's number, the boot id, zeros.
const MAGIC: [u8; 8] = *b"dewtold1";
/// Bytes before the first slot.
const HEAD: u64 = 64;
/// Where the server's number is.
const SERVER_AT: u64 = 8;
/// Bytes of a slot.
const SLOT: u64 = 8;
/// Where Linux names the time since which the machine runs without a break.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The file, open.
#[derive(Debug)]
pub(super) struct Told {
    path: PathBuf,
    file: File,
    /// The number this server has in the store. Another one is another server, which knows nothing of earlier rows.
    server: Mutex<u64>,
    /// The number of the next request.
    next: AtomicU64,
}

/// What the system's boot is called; `None` where nobody says.
pub(super) fn boot_id() -> Option<String> {
    let id = fs::read_to_string(BOOT_ID).ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// A number for a server that has none: random, above 0 and below 2^63.
fn new_server() -> u64 {
    Uuid::new_v4().as_u64_pair().0 >> 1 | 1
}

fn head(server: u64, boot: &str) -> [u8; HEAD as usize] {
    let mut head = [0; HEAD as usize];
    head[..8].copy_from_slice(&MAGIC);
    head[8..16].copy_from_slice(&server.to_le_bytes());
    head.iter_mut().skip(16).zip(boot.bytes()).for_each(|(to, from)| *to = from);
    head
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_le_bytes)
}

impl Told {
    /// Opens the file in `path` for a machine that runs since `boot`, making it anew when it is none or from another boot.
    pub(super) fn open(path: &Path, boot: &str) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut whole = vec![0; (HEAD + SLOTS * SLOT) as usize];
        let mut server = 0;
        if file.metadata()?.len() == whole.len() as u64 {
            file.read_exact_at(&mut whole, 0)?;
            server = number(&whole[8..16]);
        }
        if server == 0 || whole[..HEAD as usize] != head(server, boot) {
            server = new_server();
            whole.fill(0);
            whole[..HEAD as usize].copy_from_slice(&head(server, boot));
            // All of it is written, so that later no write needs room on the disk.
            file.set_len(0)?;
            file.write_all_at(&whole, 0)?;
        }
        let last = whole[HEAD as usize..].chunks_exact(SLOT as usize).map(number).max().unwrap_or(0);
        Ok(Self { path: path.to_owned(), file, server: Mutex::new(server), next: AtomicU64::new(last + 1) })
    }

    /// The number this server has in the store.
    pub(super) fn server(&self) -> u64 {
        *self.lock()
    }

    /// Gives out no number up to this one, which a row has.
    pub(super) fn start_after(&self, number: u64) {
        self.next.fetch_max(number + 1, Ordering::Relaxed);
    }

    /// A request that has come: this server's number, and its own.
    pub(super) fn next(&self) -> (u64, u64) {
        (self.server(), self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the answer to request `number` was handed over, or that is no longer known.
    pub(super) fn was_handed_over(&self, number: u64) -> bool {
        let mut slot = [0; SLOT as usize];
        // A later one in the slot: the row is from a copy of the store that is older than this file.
        self.file.read_exact_at(&mut slot, at(number)).is_err() || u64::from_le_bytes(slot) >= number
    }

    /// The answer to request `number` is about to be handed over.
    pub(super) fn hand_over(&self, number: u64) {
        self.write(number, number);
    }

    /// It was not, or not all of it: the connection broke.
    pub(super) fn take_back(&self, number: u64) {
        self.write(number, 0);
    }

    fn write(&self, number: u64, value: u64) {
        if number + SLOTS <= self.next.load(Ordering::Relaxed) {
            // Its slot has been given to another.
            return;
        }
        if let Err(error) = self.file.write_all_at(&value.to_le_bytes(), at(number)) {
            self.forget_for(&error);
        }
    }

    /// The state that earlier rows are about is no more: they count for nothing from now on.
    pub(super) fn forget(&self) {
        let mut server = self.lock();
        *server = new_server();
        if let Err(error) = self.file.write_all_at(&server.to_le_bytes(), SERVER_AT) {
            self.forget_for(&error);
        }
    }

    /// Rather none of it is known than something wrong.
    fn forget_for(&self, error: &io::Error) {
        let path = self.path.display();
        tracing::warn!(%error, "{path} cannot be written: after a crash, answers that were not given are not known");
        if let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "{path} cannot be removed either: remove it before the next start");
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the slot of request `number` begins.
fn at(number: u64) -> u64 {
    HEAD + number % SLOTS * SLOT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(directory: &tempfile::TempDir, boot: &str) -> Told {
        Told::open(&directory.path().join("told"), boot).expect("a file")
    }

    #[test]
    fn what_was_handed_over_is_known_to_the_next_process_and_to_no_next_boot() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = opened(&directory, "boot a");
        let (server, one) = first.next();
        let (_, two) = first.next();
        first.hand_over(one);
        first.hand_over(two);
        first.take_back(two);
        let second = opened(&directory, "boot a");
        assert_eq!(second.server(), server);
        assert!(second.was_handed_over(one) && !second.was_handed_over(two));
        assert!(second.next().1 > one, "numbers go on");
        let third = opened(&directory, "boot b");
        assert_ne!(third.server(), server, "a machine that was off is another server: its rows are not looked at");
        assert!(!third.was_handed_over(one));
    }

    #[test]
    fn a_file_that_is_none_is_made_anew() {
        let directory = tempfile::tempdir().expect("a directory");
        let whole = (HEAD + SLOTS * SLOT) as usize;
        for found in [vec![], b"something else".to_vec(), vec![0; whole], vec![0xFF; whole], vec![7; 2 * whole]] {
            fs::write(directory.path().join("told"), &found).expect("a file");
            let told = opened(&directory, "boot");
            let (server, number) = told.next();
            assert!(server > 0 && i64::try_from(server).is_ok());
            assert_eq!((number, told.was_handed_over(number)), (1, false));
            assert_eq!(opened(&directory, "boot").server(), server);
        }
    }

    #[test]
    fn a_row_older_than_the_file_was_told_and_a_late_answer_touches_nobody_elses_slot() {
        let directory = tempfile::tempdir().expect("a directory");
        let told = opened(&directory, "boot");
        let late = told.next().1;
        told.start_after(late + SLOTS - 1);
        let (_, number) = told.next();
        assert_eq!(number, late + SLOTS, "they share a slot");
        told.hand_over(number);
        told.hand_over(late);
        told.take_back(late);
        assert!(told.was_handed_over(number) && told.was_handed_over(late));
    }

    #[test]
    fn when_the_state_is_put_back_the_server_is_another_one() {
        let directory = tempfile::tempdir().expect("a directory");
        let told = opened(&directory, "boot");
        let before = told.server();
        told.forget();
        assert_ne!(told.server(), before);
        assert_eq!(opened(&directory, "boot").server(), told.server());
    }
}

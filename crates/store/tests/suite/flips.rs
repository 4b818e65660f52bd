//! A bit that flips, a file that is cut off: each start says so and changes nothing, or nothing is lost by it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use dewpoint_api::SshKeyId;
use dewpoint_store::{Error, SshKeyRecord, Store, sqlite, ssh_keys::*};
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::fixtures::{ALICE, ssh_key};

/// Bits flipped and lengths tried, for each of the three states a store can be found in.
const FLIPS: usize = 200;
const CUTS: usize = 40;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// What a directory holds, by name.
fn files(directory: &Path) -> Files {
    let entries =
        fs::read_dir(directory).expect("the directory is there").map(|entry| entry.expect("is readable").path());
    entries.map(|path| (path.file_name().expect("a name").into(), fs::read(&path).expect("is readable"))).collect()
}

fn put(directory: &Path, files: &Files) {
    for entry in fs::read_dir(directory).expect("the directory is there") {
        fs::remove_file(entry.expect("is readable").path()).expect("can be removed");
    }
    files.iter().for_each(|(name, bytes)| fs::write(directory.join(name), bytes).expect("is written"));
}

/// All rows of all tables.
fn rows(path: &Path) -> BTreeMap<String, Vec<Vec<Value>>> {
    let db = rusqlite::Connection::open(path).expect("opens");
    let mut names = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("is read");
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).expect("is read").map(|name| name.expect("is text")).collect();
    let all = names.into_iter().map(|name| {
        let mut all = db.prepare(&format!("SELECT * FROM {name}")).expect("is read");
        let columns = all.column_count();
        let rows = all.query_map([], |row| (0..columns).map(|column| row.get(column)).collect());
        let rows = rows.expect("is read").map(|row| row.expect("is readable")).collect();
        (name, rows)
    });
    all.collect()
}

async fn add(store: &Store, ids: std::ops::Range<u64>) {
    for id in ids {
        store.write::<_, Error, _>(move |tx| ssh_key_insert(tx, ALICE, &ssh_key(id))).await.expect("is kept");
    }
}

fn close(store: Store) {
    let closing = store.closing();
    drop(store);
    assert!(closing.wait(Duration::from_secs(60)), "the store was not closed");
}

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).expect("it fits") % limit
    }
}

/// The three states: closed in order, killed before anything was in the file, killed with a part in the file and a part in the log.
async fn states() -> Vec<(&'static str, Files)> {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("dew.db");
    let store = sqlite::open(&path).expect("a new store opens");
    add(&store, 1..120).await;
    // Pages of a value that does not fit on one, and free ones.
    store
        .write::<_, Error, _>(|tx| {
            let long = SshKeyRecord { public_key: "ssh-ed25519 AAAA".repeat(2000), ..ssh_key(500) };
            ssh_key_insert(tx, ALICE, &long)?;
            (60..120).try_for_each(|id| ssh_key_delete(tx, ALICE, SshKeyId(id)).map(drop))
        })
        .await
        .expect("is kept");
    let new = files(directory.path());
    close(store);
    let closed = files(directory.path());
    let store = sqlite::open(&path).expect("it opens again");
    add(&store, 200..260).await;
    let killed = files(directory.path());
    close(store);
    assert!(new.contains_key(Path::new("dew.db-wal")) && killed.contains_key(Path::new("dew.db-wal")));
    assert!(!closed.contains_key(Path::new("dew.db-wal")));
    assert!(closed[Path::new("dew.db")][36..40] != [0; 4], "there are free pages");
    vec![("closed in order", closed), ("killed when new", new), ("killed later", killed)]
}

/// Which file is meddled with in turn: store and log four times as often as what is made anew from them.
fn in_turn(whole: &Files) -> Vec<PathBuf> {
    let there = whole.iter().filter(|(_, bytes)| !bytes.is_empty()).map(|(name, _)| name.clone());
    let (first, second): (Vec<_>, Vec<_>) =
        there.partition(|name| ["dew.db", "dew.db-wal"].map(Path::new).contains(&name.as_path()));
    first.iter().cycle().take(4 * first.len()).chain(&second).cloned().collect()
}

struct Trial {
    directory: TempDir,
    whole: Files,
    rows: BTreeMap<String, Vec<Vec<Value>>>,
    found: usize,
    harmless: usize,
}

impl Trial {
    fn of(whole: Files) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        put(directory.path(), &whole);
        let rows = rows(&directory.path().join("dew.db"));
        Self { directory, whole, rows, found: 0, harmless: 0 }
    }

    /// Opens the store with one file of it changed.
    fn open_with(&mut self, name: &Path, bytes: Vec<u8>, what: &str) {
        let mut changed = self.whole.clone();
        changed.insert(name.to_owned(), bytes);
        put(self.directory.path(), &changed);
        let path = self.directory.path().join("dew.db");
        match sqlite::open(&path) {
            Err(Error::Damaged { path, problem }) => {
                assert!(!problem.is_empty());
                assert!(path.starts_with(self.directory.path()), "{what}: {} is named", path.display());
                assert!(files(self.directory.path()) == changed, "{what}: a refused start changed a file");
                self.found += 1;
            }
            Err(other) => panic!("{what}: not called damaged: {other:?}"),
            Ok(store) => {
                close(store);
                assert!(rows(&path) == self.rows, "{what}: the store opens, and holds something else");
                self.harmless += 1;
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_at_the_start_or_does_no_harm() {
    let mut random = Random(4);
    for (state, whole) in states().await {
        let turn = in_turn(&whole);
        let mut trial = Trial::of(whole);
        let (mut in_file, mut in_log) = (0, 0);
        for flip in 0..FLIPS {
            let name = turn[flip % turn.len()].clone();
            let mut bytes = trial.whole[&name].clone();
            let (byte, bit) = (random.below(bytes.len()), random.below(8));
            bytes[byte] ^= 1 << bit;
            let found = trial.found;
            trial.open_with(&name, bytes, &format!("{state}: bit {bit} of byte {byte} of {}", name.display()));
            in_file += usize::from(trial.found > found && name == Path::new("dew.db"));
            in_log += usize::from(trial.found > found && name == Path::new("dew.db-wal"));
        }
        eprintln!("{state}: {FLIPS} bits flipped, {} found, {} without effect", trial.found, trial.harmless);
        let tried = |name: &str| (0..FLIPS).filter(|flip| turn[flip % turn.len()] == Path::new(name)).count();
        match state {
            "closed in order" => assert_eq!(in_file, tried("dew.db"), "every bit of the file"),
            // The file's one page is in the log too.
            "killed when new" => assert_eq!((in_file, in_log), (0, tried("dew.db-wal")), "every bit of the log"),
            _ => assert!(in_log == tried("dew.db-wal") && in_file > 0, "{in_file} and {in_log}"),
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_found_at_the_start_or_does_no_harm() {
    let mut random = Random(44);
    for (state, whole) in states().await {
        let turn = in_turn(&whole);
        let mut trial = Trial::of(whole);
        for cut in 0..CUTS {
            let name = turn[cut % turn.len()].clone();
            let length = random.below(trial.whole[&name].len());
            let bytes = trial.whole[&name][..length].to_vec();
            trial.open_with(&name, bytes, &format!("{state}: {} cut off after {length} bytes", name.display()));
        }
        eprintln!("{state}: {CUTS} times cut off, {} found, {} without effect", trial.found, trial.harmless);
        assert!(trial.found > 0, "{state}");
    }
}

/// Every page, so every kind of page: the first, inner ones and leaves of tables and of indexes, overflow, free ones.
#[tokio::test]
async fn a_flipped_bit_is_found_on_every_page_and_the_page_is_named() {
    let (_, whole) = states().await.swap_remove(0);
    let (name, pages) = (PathBuf::from("dew.db"), whole[Path::new("dew.db")].len() / 4096);
    let mut trial = Trial::of(whole);
    let mut random = Random(444);
    for page in 0..pages {
        let mut bytes = trial.whole[&name].clone();
        bytes[page * 4096 + random.below(4096)] ^= 1 << random.below(8);
        put(trial.directory.path(), &trial.whole);
        fs::write(trial.directory.path().join(&name), bytes).expect("is written");
        let error = sqlite::open(&trial.directory.path().join(&name)).expect_err("damaged").to_string();
        assert!(error.contains(&format!("page {} of {pages} ", page + 1)), "{error}");
        trial.found += 1;
    }
    assert_eq!(trial.found, pages);
}

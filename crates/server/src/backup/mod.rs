//! A backup of everything, as it is at one moment.
//!
//! The world is held while the files are copied: actions let go of what they do, as when the server is killed, so store and
//! engine agree and whatever was on its way is resumed by whoever serves the copy, as after a crash. The copies lie in a
//! directory of the data directory until they are sent.

mod send;

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::body::Body;
use dewpoint_api::{BACKUP_FORMAT, BackupFacts};
use dewpoint_control::{Control, Error};
use dewpoint_engine::{qemu, sim};
use dewpoint_store::{Dialect, Error as StoreError, Tx, sqlite};

/// Where the copies lie, in the data directory.
const SCRATCH: &str = "backup.part";
/// The store's file in the data directory.
const STORE: &str = "dewpoint.db";
/// The simulator's.
const SIMULATOR: &str = "sim.db";
/// The admin's token, where it is kept.
const TOKEN: &str = "admin-token";

/// One backup at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backups(Arc<tokio::sync::Mutex<()>>);

/// The directory of the copies; gone when this goes.
#[derive(Debug)]
struct Scratch {
    path: PathBuf,
    _alone: tokio::sync::OwnedMutexGuard<()>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next backup.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies that are whole, with what is said of them.
#[derive(Debug)]
struct Copies {
    scratch: Scratch,
    /// Names below the data directory, and below the scratch directory.
    files: Vec<String>,
    facts: BackupFacts,
}

/// Takes a backup of what is served from `data_dir`, and sends it as frames.
///
/// Fails with [`Error::Conflict`] when one is being taken, or the store is not a file of this host.
pub(crate) async fn take(control: &Control, backups: &Backups, data_dir: Option<&Path>) -> Result<Body, Error> {
    let refused = |text: &str| Error::Conflict(text.to_owned());
    if control.store().dialect() != Dialect::Sqlite {
        return Err(refused("The store is PostgreSQL: back it up with PostgreSQL's own tools."));
    }
    let data_dir = data_dir.ok_or_else(|| refused("This server keeps nothing that could be backed up."))?.to_owned();
    let alone = Arc::clone(&backups.0).try_lock_owned().map_err(|_| refused("A backup is being taken already."))?;
    let scratch = Scratch { path: data_dir.join(SCRATCH), _alone: alone };
    let (engine, taken_at) = (control.engine().name(), control.clock().now());

    let held = control.hold().await?;
    let copying = tokio::task::spawn_blocking(move || {
        let copied = copy(&data_dir, &scratch.path, engine);
        (copied, scratch, data_dir)
    });
    let copied = copying.await.map_err(|error| failed(&error));
    control.go_on(held).await?;

    let (copied, scratch, data_dir) = copied?;
    let files = copied.map_err(|error| failed(&error))?;
    let looked = tokio::task::spawn_blocking(move || -> Result<Copies, StoreError> {
        let (schema, counts) = look(&scratch.path.join(STORE))?;
        let facts = BackupFacts {
            format: BACKUP_FORMAT,
            dewpoint: env!("CARGO_PKG_VERSION").to_owned(),
            schema,
            engine: engine.to_owned(),
            taken_at: taken_at.to_string(),
            data_dir: data_dir.display().to_string(),
            counts,
            left_out: left_out(engine),
        };
        Ok(Copies { scratch, files, facts })
    });
    let copies = looked.await.map_err(|error| failed(&error))??;
    Ok(send::body(copies))
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    StoreError::Database(format!("the backup could not be made: {error}")).into()
}

fn left_out(engine: &str) -> Vec<String> {
    let mut all =
        vec!["the configuration file, certificates and base images (dew image builds or adds them)".to_owned()];
    if engine != "sim" {
        all.push(
            "the disks of machines, of volumes and of images: a Droplet comes back by a rebuild, with its address and a new disk"
                .to_owned(),
        );
    }
    all
}

/// Copies everything there is into `scratch`, which is made anew. Blocks. Returns the names of the copies.
fn copy(data_dir: &Path, scratch: &Path, engine: &str) -> io::Result<Vec<String>> {
    match fs::remove_dir_all(scratch) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(scratch)?;
    let mut files = vec![STORE.to_owned()];
    sqlite::copy(&data_dir.join(STORE), &scratch.join(STORE)).map_err(io::Error::other)?;
    if engine == "sim" {
        sim::copy(&data_dir.join(SIMULATOR), &scratch.join(SIMULATOR)).map_err(io::Error::other)?;
        files.push(SIMULATOR.to_owned());
    } else {
        for name in qemu::records(data_dir).map_err(io::Error::other)? {
            let target = scratch.join(&name);
            if let Some(parent) = target.parent() {
                DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
            }
            fs::copy(data_dir.join(&name), &target)?;
            files.push(name);
        }
    }
    if data_dir.join(TOKEN).exists() {
        fs::copy(data_dir.join(TOKEN), scratch.join(TOKEN))?;
        files.push(TOKEN.to_owned());
    }
    Ok(files)
}

/// Looks over a copy of the store: that it is whole, its schema, and how much is in it.
fn look(path: &Path) -> Result<(i64, BTreeMap<String, u64>), StoreError> {
    if let Some(problem) = sqlite::Inspection::damage(path)?.into_iter().next() {
        return Err(StoreError::Damaged { path: path.to_owned(), problem });
    }
    sqlite::Inspection::open(path)?.read(|tx: &mut dyn Tx| {
        let mut counts = BTreeMap::new();
        for table in ["accounts", "droplets", "volumes", "images", "volume_snapshots", "actions"] {
            let count = tx.query_one(&format!("SELECT COUNT(*) FROM {table}"), &[], |row| row.next())?;
            counts.insert(table.to_owned(), count);
        }
        Ok((tx.query_one("SELECT MAX(number) FROM migrations", &[], |row| row.next())?, counts))
    })
}

//! Images brought in from an address somebody gave. What is at the other end is hostile until it is a qcow2 file of our own.
//!
//! ```text
//! address ──addresses──> download ──unpack──┬─ raw ──────────────────────────────────> raw: written as qcow2 at once ─┐
//!  (policy)              (mends itself)     └─ others ─> kept ─> headers ─> qemu-img, in a sandbox ─> qcow2, checked ─┴─> adopted
//! ```
//!
//! Everything happens in `DATA/import/NAME`, and nothing there outlives the call: a call that begins, fails or was cut off
//! starts with an empty directory, and the engine empties all of them when it opens, since the control plane asks again for
//! what it still wants. So a download is taken up again only within one call.

mod addresses;
mod convert;
mod download;
pub(super) mod headers;
mod limits;
pub(super) mod problem;
mod raw;
mod sandbox;
mod space;
pub(super) mod unpack;

pub use limits::ImportLimits;

use std::{
    collections::HashMap,
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use dewpoint_clock::Timestamp;
use tokio::{
    runtime::Handle,
    sync::{Mutex as AsyncMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore, watch},
};
use tracing::info;

use self::{
    addresses::Policy,
    download::{Download, HangUp, Line},
    problem::Problem,
    sandbox::Sandbox,
    space::{Promises, Space},
    unpack::Format,
};
use super::{QemuConfig, layout::io_error, user::QemuUser};
use crate::{Error, ImageName};

/// How many images are brought in at once, so that they leave room for everything else; further ones wait.
const AT_ONCE: usize = 4;

/// Brings images in.
pub(super) struct Importer {
    directory: PathBuf,
    config: QemuConfig,
    sandbox: Sandbox,
    rows: Mutex<HashMap<ImageName, Arc<Row>>>,
    places: Arc<Semaphore>,
    promises: Promises,
}

/// Where the calls for one image wait for each other.
struct Row {
    turn: Arc<AsyncMutex<()>>,
    /// Told when the image is to go, so that nobody works on for it.
    removals: watch::Sender<()>,
}

/// The right to work on one image. Others wait until this, and every thread that still works for it, is gone.
pub(super) struct Turn {
    held: Arc<Held>,
    removals: watch::Receiver<()>,
}

/// What a turn has, shared with the threads that work for it.
struct Held {
    _turn: OwnedMutexGuard<()>,
    /// Keeps the row known to those who come.
    _row: Arc<Row>,
}

impl Importer {
    /// Takes `DATA/import`, and removes what an earlier server left there.
    pub(super) fn open(config: &QemuConfig, user: Option<QemuUser>) -> Result<Self, Error> {
        let directory = config.data_dir.join("import");
        let failed = |error: io::Error| io_error("make the directory of imports", &directory, &error);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let directory = directory.canonicalize().map_err(failed)?;
        for entry in fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            info!("Removing {}, which an import left that did not end", path.display());
            remove(&path)?;
        }
        let sandbox = Sandbox::new(user, config.import_limits.clone(), config.clock.clone());
        Ok(Self {
            directory,
            config: config.clone(),
            sandbox,
            rows: Mutex::default(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            promises: Promises::default(),
        })
    }

    /// Every image that something is being brought in for, in no order.
    pub(super) fn names(&self) -> Result<Vec<ImageName>, Error> {
        let failed = |error: io::Error| io_error("list imports", &self.directory, &error);
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            found.extend(name.to_str().and_then(ImageName::new));
        }
        Ok(found)
    }

    /// Waits until nobody else works on `image`.
    pub(super) async fn turn(&self, image: &ImageName) -> Turn {
        let row = {
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            rows.retain(|name, row| name == image || Arc::strong_count(row) > 1);
            rows.entry(image.clone()).or_insert_with(Row::new).clone()
        };
        // From before the wait: a removal that is asked for meanwhile is meant for this call as well.
        let removals = row.removals.subscribe();
        let turn = row.turn.clone().lock_owned().await;
        Turn { held: Arc::new(Held { _turn: turn, _row: row }), removals }
    }

    /// Fetches `url` and returns a qcow2 file that stands alone, durable and the server's own, for the caller to move away.
    ///
    /// Fails with [`Error::ImportRefused`], with [`Error::DiskFull`], or with a transient error when the network or the other
    /// end is at fault. Dropping it ends all work, the threads' within moments.
    pub(super) async fn fetch(&self, turn: &mut Turn, image: &ImageName, url: &str) -> Result<PathBuf, Error> {
        let directory = self.directory.join(image.as_str());
        remove(&directory)?;
        let failed = |error: io::Error| io_error("make an import's directory", &directory, &error);
        DirBuilder::new().mode(0o700).create(&directory).map_err(failed)?;
        let held = turn.held.clone();
        let result = tokio::select! {
            result = self.fetch_into(&directory, held, url) => result,
            _ = turn.removals.changed() => Err(Problem::Stopped),
        };
        match result {
            Ok(()) => Ok(directory.join(convert::MADE)),
            Err(problem) => {
                // A thread may still be at its last write; it has the turn, and whoever comes next removes what it leaves.
                let _ = remove(&directory);
                Err(problem.into())
            }
        }
    }

    /// Removes what was left of bringing `image` in.
    pub(super) fn clear(&self, _turn: &Turn, image: &ImageName) -> Result<(), Error> {
        remove(&self.directory.join(image.as_str()))
    }

    /// Stops bringing `image` in, if somebody does, and removes what there is of it. Nobody begins again while the returned
    /// turn is held.
    pub(super) async fn stop(&self, image: &ImageName) -> Result<Turn, Error> {
        {
            let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(row) = rows.get(image) {
                row.removals.send_replace(());
            }
        }
        let turn = self.turn(image).await;
        self.clear(&turn, image)?;
        Ok(turn)
    }

    async fn fetch_into(&self, directory: &Path, held: Arc<Held>, url: &str) -> Result<(), Problem> {
        let limits = self.config.import_limits.clone();
        let uri = download::parse(url)?;
        let host = uri.host().unwrap_or_default().to_owned();
        // The thread has it as well: one that nobody waits for any more still takes its place until it ends.
        let place: OwnedSemaphorePermit =
            self.places.clone().acquire_owned().await.map_err(|error| Error::host("fetch an image", error))?;
        let place = Arc::new(place);
        let agent = Line::agent(&limits, Policy { allow_from: self.config.import_allow_from.clone() });
        let _hang_up = HangUp(Some(agent.clone()));
        let (_waiting, waiting) = watch::channel(());
        let space = Space::new(directory, limits.keep_free, &self.promises);
        let line =
            Arc::new(Line { agent, limits, clock: self.config.clock.clone(), runtime: Handle::current(), waiting });
        let (to, room, places) = (directory.to_path_buf(), space.clone(), place.clone());
        let receiving = tokio::task::spawn_blocking(move || {
            let _held = (held, places);
            receive(&line, &uri, &to, &room)
        });
        let format = receiving.await.map_err(|error| Error::host("fetch an image", error))??;
        if format != Format::Raw {
            convert::convert(directory, format, &self.sandbox, &space).await?;
        }
        info!("Fetched a {} image from {host}", format.name());
        Ok(())
    }
}

impl Row {
    fn new() -> Arc<Self> {
        Arc::new(Self { turn: Arc::default(), removals: watch::Sender::new(()) })
    }
}

/// Downloads until it is whole, from the start where it must be.
fn receive(line: &Arc<Line>, uri: &ureq::http::Uri, directory: &Path, space: &Space) -> Result<Format, Problem> {
    let mut failures = 0;
    let deadline = line.clock.now() + line.limits.download;
    loop {
        match receive_once(line, uri, directory, space, deadline) {
            Err(Problem::Restart(why)) => {
                failures += 1;
                if failures > line.limits.retries {
                    return Err(Problem::Transient(format!("the download broke off: {why}")));
                }
                line.pause(failures)?;
                info!("A download broke ({why}) and starts anew");
            }
            other => return other,
        }
    }
}

fn receive_once(
    line: &Arc<Line>,
    uri: &ureq::http::Uri,
    directory: &Path,
    space: &Space,
    deadline: Timestamp,
) -> Result<Format, Problem> {
    let most = line.limits.max_bytes;
    let download = Download::start(line.clone(), uri.clone(), deadline)?;
    space.promise(download.total().unwrap_or(0))?;
    let (format, mut source) = unpack::open(download)?;
    match format {
        Format::Raw => raw::write(&mut source, &directory.join(convert::MADE), space, most)?,
        _ => convert::keep(&mut source, directory, space, most)?,
    }
    Ok(format)
}

/// Removes a file, or a directory with what is in it; success when there is none.
fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove an import", path, &error)),
        _ => Ok(()),
    }
}

fn too_large(most: u64) -> String {
    format!("it is larger than {} GB", most as f64 / 1e9)
}

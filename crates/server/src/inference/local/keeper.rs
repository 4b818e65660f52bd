//! What all models of files on this host share: their directory, its name among servers, and how their children are run.

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use dewpoint_store::ModelRecord;
use uuid::Uuid;

use super::files::Files;
use crate::LlamaConfig;

/// Most bytes of a socket's path: what the kernel takes, with the zero behind it.
const SOCKET_MOST: usize = 107;

/// Keeps models' files of one server.
#[derive(Debug)]
pub(crate) struct Keeper {
    files: Files,
    id: String,
    sockets: Sockets,
    config: LlamaConfig,
}

/// Where children are asked.
#[derive(Debug)]
struct Sockets {
    dir: PathBuf,
    /// Whether it is a directory of its own that goes with this.
    is_temporary: bool,
    next: AtomicU64,
}

impl Keeper {
    /// Opens the directory of models below this data directory, and removes what an earlier server left in it that is no model's.
    pub(crate) fn open(data_dir: &Path, config: LlamaConfig) -> io::Result<Self> {
        let files = Files::open(data_dir)?;
        let dir = data_dir.join("models");
        let id = id_of(&dir.join("keeper"))?;
        let sockets = Sockets::open(&dir)?;
        Ok(Self { files, id, sockets, config })
    }

    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// What rows name this server by.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// A path for one more socket, of no file that is there.
    pub(super) fn socket(&self) -> PathBuf {
        self.sockets.path(self.sockets.next.fetch_add(1, Relaxed))
    }

    /// Removes files of no model in `records`.
    pub(crate) fn keep_only(&self, records: &[ModelRecord]) {
        self.files.keep_only(records);
    }
}

impl Sockets {
    /// Below the models' directory, where paths there are short enough; else in a directory of its own.
    fn open(models: &Path) -> io::Result<Self> {
        let dir = models.join("run");
        // As long as they get.
        let is_temporary = socket_in(&dir, u64::from(u32::MAX)).as_os_str().as_bytes().len() > SOCKET_MOST;
        let dir =
            if is_temporary { std::env::temp_dir().join(format!("dew-{}", Uuid::new_v4().simple())) } else { dir };
        let sockets = Self { dir, is_temporary, next: AtomicU64::new(1) };
        // What is left of a server that was killed answers nobody.
        match fs::remove_dir_all(&sockets.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::DirBuilder::new().mode(0o700).create(&sockets.dir)?;
        Ok(sockets)
    }

    fn path(&self, number: u64) -> PathBuf {
        socket_in(&self.dir, number)
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        if self.is_temporary {
            // Nobody needs it, and nobody is told when it stays.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn socket_in(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.sock"))
}

/// The name in this file, which is made when there is none.
fn id_of(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let id = Uuid::new_v4().to_string();
    let part = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    io::Write::write_all(&mut file, id.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    if let Some(dir) = path.parent() {
        fs::File::open(dir)?.sync_all()?;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_the_same_name_after_a_restart() {
        let root = tempfile::tempdir().expect("a directory");
        let open = || Keeper::open(root.path(), LlamaConfig::default()).expect("it opens").id().to_owned();
        let first = open();
        assert_eq!((first.len(), open()), (36, first));
    }

    #[test]
    fn sockets_are_where_the_kernel_takes_their_paths() {
        let root = tempfile::tempdir().expect("a directory");
        let keeper = Keeper::open(root.path(), LlamaConfig::default()).expect("it opens");
        assert!(keeper.socket().starts_with(root.path()));
        assert_ne!(keeper.socket(), keeper.socket());
        let deep = root.path().join("d".repeat(100));
        let keeper = Keeper::open(&deep, LlamaConfig::default()).expect("it opens");
        let socket = keeper.socket();
        assert!(socket.as_os_str().len() <= SOCKET_MOST && !socket.starts_with(&deep), "{}", socket.display());
        std::os::unix::net::UnixListener::bind(&socket).expect("the kernel takes it");
        drop(keeper);
        assert!(!socket.exists());
    }
}

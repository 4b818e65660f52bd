//! Files of models in the data directory: copied whole or not at all.
//!
//! A copy is written beside its name, brought to the disk and renamed; what a crash leaves of one is removed at the next start,
//! and the copying begins anew. The header is checked before (so that a file that is no model is refused at once) and after,
//! on the copy (so that one that was changed meanwhile is never loaded).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::SystemTime,
};

use dewpoint_api::ModelFacts;
use dewpoint_store::{ModelRecord, ModelSource, ModelState};
use sha2::{Digest, Sha256};

/// How much is copied at a time.
const PIECE: usize = 1 << 20;
/// What the name of a copy on its way ends with.
const PART: &str = ".part";
/// After how many bytes a copy is brought to the disk, so that the end of a large one takes no minutes.
const SYNC_EVERY: u64 = 256 << 20;

/// A file that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) bytes: u64,
    pub(crate) facts: ModelFacts,
}

/// What came of copying.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// All of it is there, with this SHA-256.
    Whole(String),
    /// It was told to stop, and nothing is left.
    Stopped,
}

/// Opens a file that somebody names. Fails with a sentence that says what to do.
fn open(path: &Path) -> Result<File, String> {
    // What waits for a writer, as a pipe does, is not waited for.
    let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC).open(path);
    let shown = path.display();
    let file = opened.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            format!("There is no file {shown} on the server's host. The server reads it itself: name it as that host does.")
        }
        ErrorKind::PermissionDenied => format!(
            "The server may not read {shown}: it runs as the user {}. Let that user read the file and the directories above it.",
            nix::unistd::geteuid()
        ),
        _ => format!("{shown} cannot be read: {error}."),
    })?;
    match file.metadata() {
        Ok(about) if about.is_file() => Ok(file),
        Ok(_) => Err(format!("{shown} is no file. Name the GGUF file itself.")),
        Err(error) => Err(format!("{shown} cannot be read: {error}.")),
    }
}

/// Checks that a file is a model that can be served. Fails with a sentence that says why not.
pub(crate) fn check(path: &Path) -> Result<Checked, String> {
    check_open(&open(path)?, path)
}

fn check_open(file: &File, path: &Path) -> Result<Checked, String> {
    let shown = path.display();
    let bytes = file.metadata().map_err(|error| format!("{shown} cannot be read: {error}."))?.len();
    let header =
        dewpoint_gguf::read(io::BufReader::with_capacity(1 << 16, file), bytes).map_err(|error| match error {
            dewpoint_gguf::Error::Io(error) => format!("{shown} cannot be read: {error}."),
            error => format!("{shown} is no model that can be served: {error}."),
        })?;
    if header.parts > 1 {
        return Err(format!(
            "{shown} is one of {} files of a model. Join them first, as llama-gguf-split --merge does.",
            header.parts
        ));
    }
    if header.tensors.is_empty() {
        return Err(format!("{shown} has no weights."));
    }
    let facts = ModelFacts {
        architecture: Some(header.architecture),
        quantization: header.quantization,
        context: header.context_length,
        embedding_length: header.embedding_length,
        parameters: Some(header.parameters),
    };
    Ok(Checked { bytes, facts })
}

/// Where a model's file is, in the directory of models.
fn file_in(dir: &Path, record: &ModelRecord) -> PathBuf {
    // A plus is in no name.
    let name = record.name.replace('/', "+");
    dir.join(format!("{name}-{}.gguf", record.created_at.as_millis()))
}

/// Which of these models have no file below this data directory, although theirs was copied; by name. Changes nothing.
pub fn models_without_file(data_dir: &Path, records: &[ModelRecord]) -> Vec<String> {
    let is_missing = |record: &&ModelRecord| {
        let is_file = matches!(record.source, ModelSource::File(_)) && record.state == ModelState::Kept;
        is_file && !file_in(&data_dir.join("models"), record).exists()
    };
    records.iter().filter(is_missing).map(|record| record.name.clone()).collect()
}

/// The directory of models' files, which is the server's alone.
#[derive(Debug)]
pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    /// Those below this data directory.
    pub(super) fn open(data_dir: &Path) -> io::Result<Self> {
        let dir = data_dir.join("models");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(Self { dir })
    }

    /// Where a model's file is. One of the same name that is added later has another.
    pub(super) fn path(&self, record: &ModelRecord) -> PathBuf {
        file_in(&self.dir, record)
    }

    /// Removes a model's file and what there may be of a copy.
    pub(super) fn remove(&self, record: &ModelRecord) {
        let path = self.path(record);
        for path in [part(&path), path] {
            match fs::remove_file(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => tracing::warn!(%error, "{} cannot be removed: {error}", path.display()),
            }
        }
    }

    /// Removes what belongs to none of these: what a crash left.
    pub(super) fn keep_only(&self, records: &[ModelRecord]) {
        // A copy on its way begins by removing what there was of it.
        let copies = records.iter().filter(|record| record.state == ModelState::Copying);
        let copies = copies.map(|record| part(&self.path(record)));
        let kept: Vec<PathBuf> = records.iter().map(|record| self.path(record)).chain(copies).collect();
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_ours = path.extension().is_some_and(|end| end == "gguf" || end == "part");
            if is_ours && !kept.contains(&path) {
                tracing::info!("Removing {}, which belongs to no model", path.display());
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!(%error, "{} cannot be removed: {error}", path.display());
                }
            }
        }
    }

    /// Whether there is room for a file of this length; a sentence that says how much when not.
    pub(crate) fn has_room(&self, bytes: u64) -> Result<(), String> {
        let Ok(about) = nix::sys::statvfs::statvfs(&self.dir) else { return Ok(()) };
        // Of types that differ between systems.
        #[expect(clippy::useless_conversion, reason = "they differ between systems")]
        let free = u64::from(about.blocks_available()).saturating_mul(u64::from(about.fragment_size()));
        match bytes <= free {
            true => Ok(()),
            false => Err(format!(
                "The file has {bytes} bytes, and {} has room for {free}. Make room there, or move the data directory.",
                self.dir.display()
            )),
        }
    }

    /// Copies `from` as the file of this model, counting bytes in `done`, until `stop` turns true. Blocks for as long as that takes.
    ///
    /// Fails with a sentence that says why; nothing is left of the copy then.
    pub(super) fn copy(&self, from: &Path, record: &ModelRecord, counts: &Counts) -> Result<Copied, String> {
        let to = self.path(record);
        let part = part(&to);
        let copied = self.copy_into(from, &part, &to, counts);
        if !matches!(copied, Ok(Copied::Whole(_))) {
            self.remove(record);
        }
        copied
    }

    fn copy_into(&self, from: &Path, part: &Path, to: &Path, counts: &Counts) -> Result<Copied, String> {
        let shown = from.display();
        let mut source = open(from)?;
        let before = check_open(&source, from)?;
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                format!(
                    "The copy of {shown} found no room for its {} bytes: {error}. Make room and add it again.",
                    before.bytes
                )
            }
            _ => format!("{shown} cannot be copied: {error}."),
        };
        let changed = || format!("{shown} was changed while it was copied. Add it again once nobody writes to it.");
        let stamp = Stamp::of(&source).map_err(failed)?;
        match fs::remove_file(part) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        // Its header was read.
        source.rewind().map_err(failed)?;
        let mut copy =
            OpenOptions::new().write(true).read(true).create_new(true).mode(0o600).open(part).map_err(failed)?;
        let mut sum = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut done: u64 = 0;
        loop {
            if counts.stop.load(Relaxed) {
                return Ok(Copied::Stopped);
            }
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            let piece = &piece[..read];
            sum.update(piece);
            copy.write_all(piece).map_err(failed)?;
            let synced = done / SYNC_EVERY;
            done += read as u64;
            if done > before.bytes {
                // It may grow for as long as there is room.
                return Err(changed());
            }
            #[cfg(test)]
            counts.meanwhile.inspect(|act| act(from));
            counts.done.store(done, Relaxed);
            if done / SYNC_EVERY > synced {
                copy.sync_data().map_err(failed)?;
            }
        }
        copy.sync_all().map_err(failed)?;
        if Stamp::of(&source).map_err(failed)? != stamp || check(part).as_ref() != Ok(&before) {
            return Err(changed());
        }
        fs::rename(part, to).map_err(failed)?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(Copied::Whole(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }
}

/// What changes when somebody writes to a file.
#[derive(PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    written: SystemTime,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let about = file.metadata()?;
        Ok(Self { bytes: about.len(), written: about.modified()? })
    }
}

/// How far a copy is, and whether it is to stop.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) done: AtomicU64,
    pub(super) stop: AtomicBool,
    /// What happens to the file meanwhile.
    #[cfg(test)]
    meanwhile: Option<fn(&Path)>,
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(PART);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Copies a model's file to which `meanwhile` happens, which was last written long ago; what is left in the directory.
    fn copied(meanwhile: Option<fn(&Path)>) -> (Result<Copied, String>, usize) {
        let root = tempfile::tempdir().expect("a directory");
        let from = root.path().join("model.gguf");
        fs::write(&from, dewpoint_gguf::tiny::model(1)).expect("it is written");
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::options().append(true).open(&from).and_then(|file| file.set_modified(long_ago)).expect("its time is set");
        let files = Files::open(root.path()).expect("it opens");
        let (part, to) = (files.dir.join("a.gguf.part"), files.dir.join("a.gguf"));
        let copied = files.copy_into(&from, &part, &to, &Counts { meanwhile, ..Counts::default() });
        (copied, usize::from(to.exists()))
    }

    #[test]
    fn what_is_written_to_while_it_is_copied_is_no_whole_copy() {
        let weights: fn(&Path) = |path| {
            let mut file = File::options().write(true).open(path).expect("it opens");
            file.seek(io::SeekFrom::End(-8)).and_then(|_| file.write_all(&[0xff; 8])).expect("it is written");
        };
        let grows: fn(&Path) = |path| {
            let mut file = File::options().append(true).open(path).expect("it opens");
            file.write_all(&[0; 8]).expect("it is written");
        };
        for meanwhile in [weights, grows] {
            let (copied, left) = copied(Some(meanwhile));
            assert!(copied.as_ref().is_err_and(|why| why.contains("was changed")) && left == 0, "{copied:?}");
        }
        assert!(matches!(copied(None), (Ok(Copied::Whole(_)), 1)));
    }
}

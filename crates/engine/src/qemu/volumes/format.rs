//! File systems for new volumes: made in a file of holes by the file system's own program, without mounting anything.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use crate::{
    Error, Filesystem, FilesystemKind,
    qemu::{disk, layout::io_error, user::QemuUser},
};

/// Where the programs are; a server's own search path may leave the second out.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What ext4, which the data directory is likely on, holds in one file, less some: the largest volume is as large as that and
/// a block more. Its file system then ends a MiB before the volume does.
const LARGEST_FILE: u64 = (16 << 40) - (1 << 20);

/// Makes `target`, a disk of `bytes` with the file system on it, QEMU's to write.
pub(super) async fn create(
    filesystem: &Filesystem,
    bytes: u64,
    target: &Path,
    user: Option<&QemuUser>,
) -> Result<(), Error> {
    let raw = RawFile(target.with_extension("raw"));
    File::create(&raw.0)
        .and_then(|file| file.set_len(bytes.min(LARGEST_FILE)))
        .map_err(|error| io_error("make a volume", &raw.0, &error))?;
    let Maker { program, package, words } = Maker::of(filesystem);
    let mut command = Command::new(program);
    command.args(words).arg(&raw.0).env_clear().env("PATH", SEARCH_PATH).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let problem = format!("{program} is not installed on this host (Debian package {package})");
            Error::host("make a file system", problem)
        }
        _ => Error::host("make a file system", format_args!("{program}: {error}")),
    })?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(match words.contains("No space left on device") {
            true => Error::DiskFull { path: target.display().to_string() },
            false => Error::host("make a file system", format_args!("{program}: {}", words.trim())),
        });
    }
    disk::create_from_raw(&raw.0, bytes, target, user).await
}

/// A raw file on its way to a better format; gone when this is.
struct RawFile(PathBuf);

impl Drop for RawFile {
    fn drop(&mut self) {
        // What is left of it is in a directory without a record, which the next start removes.
        let _ = fs::remove_file(&self.0);
    }
}

/// What makes a kind of file system.
struct Maker<'a> {
    program: &'static str,
    package: &'static str,
    words: Vec<&'a str>,
}

impl<'a> Maker<'a> {
    /// Nothing is discarded, since the file is all holes; what can be left to the first mount is.
    fn of(filesystem: &'a Filesystem) -> Self {
        let Filesystem { kind, label } = filesystem;
        let mut maker = match kind {
            FilesystemKind::Ext4 => Self {
                program: "mkfs.ext4",
                package: "e2fsprogs",
                words: vec!["-q", "-F", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1"],
            },
            FilesystemKind::Xfs => Self { program: "mkfs.xfs", package: "xfsprogs", words: vec!["-q", "-f", "-K"] },
        };
        if !label.is_empty() {
            maker.words.extend(["-L", label]);
        }
        maker
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_word_whatever_it_is() {
        let filesystem = Filesystem { kind: FilesystemKind::Ext4, label: "-n; two words".to_owned() };
        assert_eq!(Maker::of(&filesystem).words.last(), Some(&"-n; two words"));
        let filesystem = Filesystem { kind: FilesystemKind::Xfs, label: String::new() };
        assert!(!Maker::of(&filesystem).words.contains(&"-L"));
    }
}

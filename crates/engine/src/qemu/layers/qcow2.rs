//! What the head of a qcow2 file says: which file lies beneath it, and how large its disk is.
//!
//! Source: QEMU's documentation, "Qcow2 Image File Format", header. Big-endian: magic at 0, the offset and the length of the
//! backing file's name at 8 and 16, the disk's size in bytes at 24.
//!
//! A head can be rewritten by the QEMU that has the file open, and by a guest that broke out of that, for as long as that lives.
//! So where a file leads is also written beside it where only root writes (an extended attribute), and that is believed.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use nix::{errno::Errno, fcntl::OFlag};
use rustix::fs::{XattrFlags, lgetxattr, setxattr};

const MAGIC: [u8; 4] = *b"QFI\xfb";

/// The longest name of a backing file that the format allows.
const LONGEST_NAME: u32 = 1023;

/// Where it is written what lies beneath a file; of no effect on a server that is not root.
const BENEATH: &str = "trusted.dewpoint.beneath";

/// The head of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::qemu) struct Head {
    /// The file beneath, as it is written there; none for one that stands alone.
    pub(in crate::qemu) backing: Option<PathBuf>,
    /// Size of the disk in bytes.
    pub(in crate::qemu) disk_bytes: u64,
}

/// Reads a file's head. Fails with [`io::ErrorKind::InvalidData`] when it is not qcow2, a device or a link included.
pub(in crate::qemu) fn head(path: &Path) -> io::Result<Head> {
    let strange = |problem: &str| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {problem}", path.display()));
    let file = open(path)?.ok_or_else(|| strange("it is no plain file"))?;
    let mut bytes = [0; 32];
    file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => strange("it is too short for a qcow2 file"),
        _ => error,
    })?;
    if bytes[..4] != MAGIC {
        return Err(strange("it is not a qcow2 file"));
    }
    let (offset, length) = (u64_at(&bytes, 8), u64_at(&bytes, 16) >> 32);
    let backing = match u32::try_from(length) {
        _ if offset == 0 => None,
        Ok(length) if length > 0 && length <= LONGEST_NAME => {
            let mut name = vec![0; length as usize];
            file.read_exact_at(&mut name, offset).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => strange("its backing file's name lies behind its end"),
                _ => error,
            })?;
            Some(PathBuf::from(OsString::from_vec(name)))
        }
        _ => return Err(strange("its backing file's name is too long")),
    };
    Ok(Head { backing, disk_bytes: u64_at(&bytes, 24) })
}

/// Writes down for good what lies beneath a file that was just made. Where that cannot be kept, the head alone says it.
pub(in crate::qemu) fn mark(path: &Path, beneath: Option<&Path>) {
    let name = beneath.map(|path| path.as_os_str().as_bytes()).unwrap_or_default();
    if let Err(error) = setxattr(path, BENEATH, name, XattrFlags::empty()) {
        tracing::debug!(error = %error, "What lies beneath {} is only in its head", path.display());
    }
}

/// The file that was beneath this one when it was made. Fails as [`head`] does.
pub(in crate::qemu) fn beneath(path: &Path) -> io::Result<Option<PathBuf>> {
    Ok(match marked(path) {
        Some(beneath) => beneath,
        None => head(path)?.backing,
    })
}

/// Whether the file, and each beneath it, leads where it did when it was made.
pub(in crate::qemu) fn is_as_made(path: &Path) -> io::Result<bool> {
    let mut next = Some(path.to_path_buf());
    while let Some(file) = next {
        let Some(marked) = marked(&file) else { return Ok(true) };
        if head(&file)?.backing != marked {
            return Ok(false);
        }
        next = marked;
    }
    Ok(true)
}

/// What was written down; `None` for a file without, as older versions and other programs make them.
fn marked(path: &Path) -> Option<Option<PathBuf>> {
    let mut name = vec![0; LONGEST_NAME as usize];
    let length = lgetxattr(path, BENEATH, &mut name[..]).ok()?;
    name.truncate(length);
    Some((!name.is_empty()).then(|| PathBuf::from(OsString::from_vec(name))))
}

/// Opens a plain file; `None` when it is something else. Another file's head may have led here, so nothing is waited for.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            // A symbolic link; a socket or a device that is not there.
            Some(Errno::ELOOP | Errno::ENXIO | Errno::ENODEV) => Ok(None),
            _ => Err(error),
        },
    }
}

fn u64_at(bytes: &[u8; 32], at: usize) -> u64 {
    bytes[at..at + 8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use super::*;

    #[test]
    fn a_head_is_read_as_qemu_writes_it() {
        let top = tempfile::tempdir().expect("a directory");
        let (base, overlay) = (top.path().join("base"), top.path().join("overlay"));
        let run = |words: &[&str], file: &Path, size: &str| {
            let made = Command::new("qemu-img").args(words).arg(file).arg(size).status();
            assert!(made.expect("qemu-img runs").success());
        };
        run(&["create", "-q", "-f", "qcow2"], &base, "5M");
        assert_eq!(head(&base).expect("a head"), Head { backing: None, disk_bytes: 5 << 20 });
        let beneath = base.to_str().expect("UTF-8");
        run(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", beneath], &overlay, "3G");
        assert_eq!(head(&overlay).expect("a head"), Head { backing: Some(base), disk_bytes: 3 << 30 });
    }

    #[test]
    fn what_a_file_was_made_above_stays_true_when_its_head_says_something_else() {
        let top = tempfile::tempdir().expect("a directory");
        let (base, disk) = (top.path().join("base"), top.path().join("disk"));
        let qemu_img = |words: &[&str]| {
            let made = Command::new("qemu-img").current_dir(top.path()).args(words).status();
            assert!(made.expect("qemu-img runs").success());
        };
        qemu_img(&["create", "-q", "-f", "qcow2", "base", "5M"]);
        qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.to_str().expect("UTF-8"), "disk"]);
        assert_eq!(beneath(&disk).expect("a head"), Some(base.clone()));
        mark(&disk, Some(&base));
        mark(&base, None);
        if marked(&disk).is_none() {
            let _ = std::io::Write::write_all(&mut io::stderr(), b"SKIPPED what_a_file_was_made_above: not root\n");
            return;
        }
        assert!(is_as_made(&disk).expect("heads"));
        qemu_img(&["rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", "/elsewhere", "disk"]);
        assert_eq!(head(&disk).expect("a head").backing, Some("/elsewhere".into()));
        assert_eq!(beneath(&disk).expect("a mark"), Some(base));
        assert!(!is_as_made(&disk).expect("heads"));
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let top = tempfile::tempdir().expect("a directory");
        let (pipe, link) = (top.path().join("pipe"), top.path().join("link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        std::os::unix::fs::symlink(&pipe, &link).expect("a link");
        let socket = top.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        for path in [pipe.as_path(), &link, &socket, top.path()] {
            assert_eq!(head(path).expect_err("no qcow2").kind(), io::ErrorKind::InvalidData, "{}", path.display());
        }
    }

    #[test]
    fn what_is_not_qcow2_is_told_apart() {
        let top = tempfile::tempdir().expect("a directory");
        for content in [b"QFI".to_vec(), vec![0; 4096]] {
            let path = top.path().join("f");
            fs::write(&path, content).expect("written");
            assert_eq!(head(&path).expect_err("no qcow2").kind(), io::ErrorKind::InvalidData);
        }
    }
}

//! The guest's serial console on disk, with a cap: the newest megabyte or two, however much a guest writes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// How large the newest part may grow before it becomes the older part.
const CAP_BYTES: u64 = 1 << 20;

/// A log in two files of at most `CAP_BYTES` each: `NAME` and, when that was full once, `NAME.1`.
#[derive(Debug)]
pub(super) struct CappedLog {
    path: PathBuf,
    file: File,
    size: u64,
    cap: u64,
}

impl CappedLog {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::with_cap(path, CAP_BYTES)
    }

    fn with_cap(path: &Path, cap: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { path: path.to_path_buf(), file, size, cap })
    }

    /// Adds to the log, turning to a fresh file first where this would pass the cap.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let added = bytes.len() as u64;
        if self.size > 0 && self.size + added > self.cap {
            fs::rename(&self.path, older_than(&self.path))?;
            *self = Self::with_cap(&self.path, self.cap)?;
        }
        self.file.write_all(bytes)?;
        self.size += added;
        Ok(())
    }
}

/// The last `most` bytes of the log at `path`.
pub(super) fn end_of(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = tail(path, most)?;
    if bytes.len() < most {
        let mut older = tail(&older_than(path), most - bytes.len())?;
        older.append(&mut bytes);
        bytes = older;
    }
    Ok(bytes)
}

fn older_than(path: &Path) -> PathBuf {
    let mut older = path.as_os_str().to_owned();
    older.push(".1");
    older.into()
}

/// The last bytes of one file; none when it is not there.
fn tail(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let most = most as u64;
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_keeps_the_newest_and_never_passes_twice_its_cap() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("console.log");
        let mut log = CappedLog::with_cap(&path, 100).expect("a log");
        for number in 0..1000 {
            log.write(format!("line {number}\n").as_bytes()).expect("written");
        }
        let newest = fs::read_to_string(&path).expect("a log");
        let older = fs::read_to_string(directory.path().join("console.log.1")).expect("a log");
        assert!(newest.len() <= 100 && older.len() <= 100);
        assert!(newest.ends_with("line 999\n"));
        let both = older + &newest;
        for most in [0, 5, newest.len(), newest.len() + 7, both.len()] {
            let end = end_of(&path, most).expect("its end");
            assert_eq!(String::from_utf8(end).expect("text"), both[both.len() - most..]);
        }
        assert_eq!(end_of(&path, 1 << 20).expect("all of it"), both.as_bytes());
        assert_eq!(fs::read_dir(directory.path()).expect("a list").count(), 2);
    }
}

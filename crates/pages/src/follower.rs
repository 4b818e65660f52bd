//! The log of a database that this process has open, read on and on.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
};

use crate::{
    Damage, beside_it,
    wal::{self, Frames, HEADER, Index, Log, Running, Start},
};

/// How often the index is looked at while somebody writes it, which takes him a microsecond.
const LOOKS: u32 = 10_000;

/// Reads a log, each time on from where it came to, and never further than its index says it is committed: what lies there
/// after a commit that failed, or before one that is under way, is not taken for something.
#[derive(Debug)]
pub(crate) struct Follower {
    name: PathBuf,
    /// Opened once and closed after every connection: SQLite's locks are on it, and a process that closes it loses them all
    /// (POSIX locks). Another program that then opened the database would take it for abandoned and make the index anew.
    index: File,
    header: [u8; HEADER],
    /// The running checksum where it came to.
    running: Running,
    log: Log,
}

impl Follower {
    /// Of the database in `path`, which a connection has open; nothing is read yet.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let (name, index) = (beside_it(path, "-wal"), File::open(beside_it(path, "-shm"))?);
        Ok(Self { name, index, header: [0; HEADER], running: Running::default(), log: Log::default() })
    }

    /// Reads on: all that was committed when this began is in the answer, and perhaps some that was committed since.
    ///
    /// Fails when it does not find that, which is damage; or, where nothing keeps the log from beginning anew, that it just did.
    pub(crate) fn read_on(&mut self) -> Result<&Log, Damage> {
        let index = self.index()?;
        if index.frames == 0 {
            self.forget();
            return Ok(&self.log);
        }
        let (file, header) = match wal::open(&self.name).map_err(|error| Damage::unreadable(&self.name, &error))? {
            Some((file, Some(header))) => (file, header),
            Some((_, None)) | None => return Err(Damage::new(&self.name, "what was committed last is gone from it")),
        };
        let start = Start::parse(&self.name, &header)?;
        if start.salts != index.salts {
            return Err(Damage::new(&self.name, "it is not the log that its index speaks of"));
        }
        if self.header != header || self.log.frames > index.frames {
            self.forget();
        }
        if self.log.frames == 0 {
            (self.header, self.running) = (header, start.checksum);
        }
        let read = self.read_to(index, &start, file);
        if read.is_err() {
            self.forget();
        }
        read?;
        Ok(&self.log)
    }

    /// Closes nothing but what it has for itself; the index is for the caller to close, after every connection.
    pub(crate) fn into_index(self) -> File {
        self.index
    }

    fn forget(&mut self) {
        (self.header, self.running, self.log) = ([0; HEADER], Running::default(), Log::default());
    }

    fn index(&self) -> Result<Index, Damage> {
        for _ in 0..LOOKS {
            let mut bytes = [0; Index::LENGTH];
            self.index.read_exact_at(&mut bytes, 0).map_err(|error| Damage::unreadable(&self.name, &error))?;
            match Index::parse(&bytes) {
                Some(index) => return Ok(index),
                None => thread::yield_now(),
            }
        }
        Err(Damage::new(&self.name, "its index cannot be read"))
    }

    fn read_to(&mut self, index: Index, start: &Start, mut file: File) -> Result<(), Damage> {
        let name = self.name.clone();
        let unreadable = |error: io::Error| Damage::unreadable(&name, &error);
        let at = HEADER as u64 + u64::from(self.log.frames) * start.frame_length() as u64;
        file.seek(SeekFrom::Start(at)).map_err(unreadable)?;
        let mut reader = Frames::new(file, start);
        let (mut running, mut pending) = (self.running, Vec::new());
        for number in self.log.frames + 1..=index.frames {
            let frame = reader.next().map_err(unreadable)?;
            let counted = frame.and_then(|frame| Some((frame, start.after(running, frame)?)));
            let Some((frame, sum)) = counted else {
                return Err(Damage::new(&name, format!("entry {number} does not fit its checksum")));
            };
            running = sum;
            if self.log.take(frame, &mut pending, number) {
                self.running = running;
            }
        }
        match self.log.frames == index.frames && self.running == index.checksum {
            true => Ok(()),
            false => Err(Damage::new(&name, "it does not end as its index says")),
        }
    }
}

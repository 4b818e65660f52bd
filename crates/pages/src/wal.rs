//! The write-ahead log as it lies on the disk: how far it is whole, and whether something after that was committed.
//!
//! Source: SQLite's documentation, "Database File Format", section 4 (the write-ahead log) and "WAL-mode File Format", section
//! 2.1 (the header of the index). A frame counts only if its salts are the log's and the running checksum fits; the log ends at
//! the first that does not. The index in `-shm` is in the memory of the host and outlives a killed process, so it says how many
//! frames were committed; after a power cut it may be older than the log, never newer, where every commit is synced.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, ErrorKind, Read as _},
    path::Path,
};

use crate::{Damage, beside_it};

pub(crate) const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// A log that is whole up to its last commit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Log {
    /// The newest checksum (CRC-32) of every page that is in it.
    pub(crate) pages: BTreeMap<u32, u32>,
    /// How many pages the database has after the last commit; `None` when nothing is committed in it.
    pub(crate) database_pages: Option<u32>,
    /// How many frames are committed.
    pub(crate) frames: u32,
}

/// What was found in a log.
#[derive(Debug)]
pub(crate) enum Found {
    /// Everything that was committed is there.
    Whole(Log),
    /// The last change is not whole, and nothing says whether it had been committed.
    Doubtful(Log, String),
}

/// The running checksum of log and index: over 32-bit words, in pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Running(u32, u32);

impl Running {
    fn over(self, bytes: &[u8], big_endian: bool) -> Self {
        let (pairs, _) = bytes.as_chunks::<8>();
        pairs.iter().fold(self, |Self(first, second), [a, b, c, d, e, f, g, h]| {
            let word = |bytes| if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
            let first = first.wrapping_add(word([*a, *b, *c, *d])).wrapping_add(second);
            let second = second.wrapping_add(word([*e, *f, *g, *h])).wrapping_add(first);
            Self(first, second)
        })
    }
}

fn be(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_be_bytes(*word))
}

fn ne(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_ne_bytes(*word))
}

/// How far the index says the log is committed: how many frames, and the running checksum there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) frames: u32,
    pub(crate) checksum: Running,
    /// The log it speaks of.
    pub(crate) salts: [u8; 8],
}

impl Index {
    /// How long its header is, which is there twice.
    pub(crate) const LENGTH: usize = 96;

    /// Reads the header; `None` where it is just being written, or was when that was cut off.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (first, second) = bytes.get(..Self::LENGTH)?.split_at_checked(48)?;
        let sum = Running::default().over(&first[..40], cfg!(target_endian = "big"));
        let whole = first == second && sum == Running(ne(first, 40), ne(first, 44)) && first[12] == 1;
        let salts = *first[32..].first_chunk()?;
        let index = Self { frames: ne(first, 16), checksum: Running(ne(first, 24), ne(first, 28)), salts };
        whole.then_some(index)
    }
}

/// The index's word on the log with these salts; `None` when it has none, or was cut off while it was written.
fn index(path: &Path, salts: [u8; 8]) -> Option<Index> {
    let bytes = read_start(&beside_it(path, "-shm"), Index::LENGTH as u64).ok()?;
    Index::parse(&bytes).filter(|index| index.salts == salts)
}

fn read_start(path: &Path, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a log's first bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    big_endian: bool,
    page_size: usize,
    pub(crate) salts: [u8; 8],
    pub(crate) checksum: Running,
}

impl Start {
    /// Reads the header of the log called `name`.
    pub(crate) fn parse(name: &Path, header: &[u8; HEADER]) -> Result<Self, Damage> {
        let big_endian = match be(header, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return Err(Damage::new(name, "it does not begin as a log does")),
        };
        let checksum = Running::default().over(&header[..24], big_endian);
        if checksum != Running(be(header, 24), be(header, 28)) {
            return Err(Damage::new(name, "its first 32 bytes do not fit their checksum"));
        }
        let mut salts = [0; 8];
        salts.copy_from_slice(&header[16..24]);
        Ok(Self { big_endian, page_size: be(header, 8) as usize, salts, checksum })
    }

    pub(crate) fn frame_length(&self) -> usize {
        FRAME_HEADER + self.page_size
    }

    /// The running checksum after this frame, if it counts.
    pub(crate) fn after(&self, running: Running, frame: &[u8]) -> Option<Running> {
        let (head, page) = frame.split_at(FRAME_HEADER);
        let sum = running.over(&head[..8], self.big_endian).over(page, self.big_endian);
        let counts = head[8..16] == self.salts && sum == Running(be(head, 16), be(head, 20)) && be(head, 0) > 0;
        counts.then_some(sum)
    }
}

/// Opens the log called `name` and reads its header: `None` when nothing was ever written to it.
pub(crate) fn open(name: &Path) -> io::Result<Option<(File, Option<[u8; HEADER]>)>> {
    let mut file = match File::open(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut header = [0; HEADER];
    match file.read_exact(&mut header) {
        Ok(()) if header.iter().any(|byte| *byte != 0) => Ok(Some((file, Some(header)))),
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        Ok(()) | Err(_) => Ok(Some((file, None))),
    }
}

/// Reads the log of the database in `path`, which nobody in this process has open. No log is an empty one.
pub(crate) fn scan(path: &Path) -> Result<Found, Damage> {
    let name = beside_it(path, "-wal");
    let unreadable = |error: io::Error| Damage::unreadable(&name, &error);
    let (file, header) = match open(&name).map_err(unreadable)? {
        None => return Ok(Found::Whole(Log::default())),
        Some((file, Some(header))) => (file, header),
        Some((_, None)) => {
            // Nothing is written after a header that is not there; a killed program may have got no further.
            let rest = fs::read(&name).map_err(unreadable)?;
            return match rest.iter().all(|byte| *byte == 0) || rest.len() < HEADER {
                true => Ok(Found::Whole(Log::default())),
                false => Err(Damage::new(&name, "its first 32 bytes are gone, and with them what was committed last")),
            };
        }
    };
    let start = Start::parse(&name, &header)?;
    let index = index(path, start.salts);
    let frames = (file.metadata().map_err(unreadable)?.len() - HEADER as u64) / start.frame_length() as u64;
    let mut reader = Frames::new(file, &start);

    let (mut log, mut running, mut at_index) = (Log::default(), start.checksum, None);
    let (mut pending, mut valid) = (Vec::new(), 0_u32);
    // After the first frame that does not count: whether a later commit is of this log, and whether anything is after that.
    let (mut broken, mut commit_after, mut more_after) = (false, false, false);
    for _ in 0..frames {
        let Some(frame) = reader.next().map_err(unreadable)? else { break };
        let sum = if broken { None } else { start.after(running, frame) };
        let Some(sum) = sum else {
            let of_this_log = frame[8..12] == start.salts[..4] || frame[12..16] == start.salts[4..];
            broken = true;
            more_after |= commit_after && of_this_log;
            commit_after |= of_this_log && be(frame, 4) > 0;
            continue;
        };
        (running, valid) = (sum, valid + 1);
        log.take(frame, &mut pending, valid);
        if index.as_ref().is_some_and(|index| index.frames == valid) {
            at_index = Some(sum);
        }
    }
    let damaged = |what: String| Damage::new(&name, format!("{what}. What was committed after that would be lost"));
    match index {
        Some(index) if index.frames > 0 && at_index != Some(index.checksum) => {
            let frames = index.frames;
            Err(damaged(format!(
                "{frames} of its entries were committed, and entry {} does not fit its checksum",
                valid + 1
            )))
        }
        None if more_after => Err(damaged(format!("entry {} does not fit its checksum", valid + 1))),
        None if commit_after => {
            let last = format!("entry {} of {} is not whole", valid + 1, name.display());
            Ok(Found::Doubtful(log, last))
        }
        Some(_) | None => Ok(Found::Whole(log)),
    }
}

impl Log {
    /// Adds a frame that counts, the `number`th; frames wait in `pending` for their commit.
    pub(crate) fn take(&mut self, frame: &[u8], pending: &mut Vec<(u32, u32)>, number: u32) -> bool {
        let (head, page) = frame.split_at(FRAME_HEADER);
        pending.push((be(head, 0), crc32fast::hash(page)));
        let commit = be(head, 4) > 0;
        if commit {
            self.pages.extend(pending.drain(..));
            self.database_pages = Some(be(head, 4));
            self.frames = number;
        }
        commit
    }
}

pub(crate) struct Frames {
    file: io::BufReader<File>,
    buffer: Vec<u8>,
}

impl Frames {
    /// Frames from where `file` is.
    pub(crate) fn new(file: File, start: &Start) -> Self {
        let buffer = vec![0; start.frame_length()];
        Self { file: io::BufReader::with_capacity(1 << 18, file), buffer }
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        match self.file.read_exact(&mut self.buffer) {
            Ok(()) => Ok(Some(&self.buffer)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }
}

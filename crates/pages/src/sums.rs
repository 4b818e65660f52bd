//! The file of checksums: a head, a CRC-32 for each page, and one over all of that.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::beside_it;

const MAGIC: &[u8; 8] = b"DEWSUMS1";
const HEAD: usize = 16;

/// The checksums of a file's pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) page_size: u32,
    /// Of page 1, page 2, …
    pub(crate) pages: Vec<u32>,
}

/// Where the checksums of the database in `path` are.
pub fn sums_beside(path: &Path) -> PathBuf {
    beside_it(path, "-sums")
}

impl Sums {
    /// Reads the checksums of the database in `path`: `None` when there are none.
    ///
    /// Fails with [`ErrorKind::InvalidData`] when they are damaged themselves.
    pub(crate) fn read(path: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(sums_beside(path)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        Self::parse(&bytes).map(Some).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (content, own) = bytes.split_last_chunk::<4>()?;
        if crc32fast::hash(content) != u32::from_le_bytes(*own) || content.get(..8)? != MAGIC {
            return None;
        }
        let word = |at: usize| content.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word));
        let (page_size, count) = (word(8)?, word(12)?);
        let (pages, rest) = content.get(HEAD..)?.as_chunks::<4>();
        let fits = rest.is_empty() && pages.len() == count as usize && page_size.is_power_of_two() && page_size >= 512;
        fits.then(|| Self { page_size, pages: pages.iter().map(|page| u32::from_le_bytes(*page)).collect() })
    }

    /// Writes them in place of what is there, durably: the old or the new are there, never a half.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEAD + 4 * self.pages.len() + 4);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.page_size.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.pages.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.pages.iter().for_each(|page| bytes.extend_from_slice(&page.to_le_bytes()));
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        let (name, fresh) = (sums_beside(path), beside_it(path, "-sums.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, &name)?;
        match name.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }

    /// Takes them of the file as it is.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let mut head = [0; 100];
        file.read_exact_at(&mut head, 0)?;
        let page_size = match u16::from_be_bytes([head[16], head[17]]) {
            1 => 65_536,
            size => u32::from(size),
        };
        if !page_size.is_power_of_two() || page_size < 512 {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut pages = Vec::new();
        each_page(file, page_size, |_, page| pages.push(crc32fast::hash(page)))?;
        Ok(Self { page_size, pages })
    }
}

/// Takes the checksums of the file in `path` as it is, which nobody has open and which has no log.
pub fn seal(path: &Path) -> io::Result<()> {
    Sums::of(&File::open(path)?)?.write(path)
}

/// Hands every whole page of a file to `each`, with its number; returns how many bytes follow the last whole one.
///
/// Of an open file: to open and close it here would take SQLite's locks on it from this whole process (POSIX locks).
pub(crate) fn each_page(file: &File, page_size: u32, mut each: impl FnMut(u32, &[u8])) -> io::Result<usize> {
    let page_size = page_size as usize;
    let mut buffer = vec![0; page_size.max(1 << 18)];
    let (mut filled, mut number, mut at) = (0, 0, 0_u64);
    loop {
        match file.read_at(&mut buffer[filled..], at) {
            Ok(0) => return Ok(filled),
            Ok(read) => {
                filled += read;
                at += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        let whole = filled - filled % page_size;
        for page in buffer[..whole].chunks_exact(page_size) {
            number += 1;
            each(number, page);
        }
        buffer.copy_within(whole..filled, 0);
        filled -= whole;
    }
}

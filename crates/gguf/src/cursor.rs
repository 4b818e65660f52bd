//! Bytes in order, counted, with what is wrong told by its place.

use std::io::{self, Read};

use crate::header::bounds;

/// Why a file is no model that can be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read, which says nothing about what is in it.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    /// It is no GGUF file, or a broken or hostile one.
    #[error("{problem} (at byte {at})")]
    Malformed {
        /// How far it was read.
        at: u64,
        /// What is wrong, as the rest of a sentence about the file.
        problem: String,
    },
}

/// The file, from its first byte on.
#[derive(Debug)]
pub(crate) struct Cursor<R> {
    source: R,
    at: u64,
    length: u64,
}

impl<R: Read> Cursor<R> {
    pub(crate) fn new(source: R, length: u64) -> Self {
        Self { source, at: 0, length }
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    pub(crate) fn malformed(&self, problem: impl Into<String>) -> Error {
        Error::Malformed { at: self.at, problem: problem.into() }
    }

    /// That `bytes` more are there, as far as the file's length tells; before any of them is read or room is made for them.
    pub(crate) fn expect(&self, bytes: u64) -> Result<(), Error> {
        match self.at.checked_add(bytes) {
            Some(end) if end <= self.length.min(bounds::HEADER) => Ok(()),
            Some(end) if end <= self.length => {
                Err(self.malformed(format!("its header is longer than {} bytes", bounds::HEADER)))
            }
            _ => Err(self.malformed(format!(
                "it is cut off: {bytes} more bytes are told of, and the file ends after {}",
                self.length.saturating_sub(self.at)
            ))),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.expect(bytes.len() as u64)?;
        self.source.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => self.malformed("it is shorter than it was when it was opened"),
            _ => Error::Io(error),
        })?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A text with its length before it, of at most `most` bytes.
    pub(crate) fn text(&mut self, what: &str, most: u64) -> Result<String, Error> {
        let length = self.u64()?;
        if length > most {
            return Err(self.malformed(format!("{what} has {length} bytes; at most {most} are read")));
        }
        self.expect(length)?;
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_| self.malformed(format!("{what} is no UTF-8")))
    }

    /// Passes over as many bytes.
    pub(crate) fn skip(&mut self, mut bytes: u64) -> Result<(), Error> {
        self.expect(bytes)?;
        let mut passed = [0; 8192];
        while bytes > 0 {
            let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(passed.len());
            self.fill(&mut passed[..piece])?;
            bytes -= piece as u64;
        }
        Ok(())
    }
}

//! What happened, line by line, and a digest of all of it: two runs that were the same have the same.

use std::hash::{DefaultHasher, Hasher as _};

/// How many of the last lines are told when something broke.
const TOLD: usize = 60;
/// How many characters of a line are told.
const WIDE: usize = 400;

#[derive(Debug)]
pub(crate) struct Trace {
    lines: Vec<String>,
    /// Its keys are fixed, so it is the same in every process.
    digest: DefaultHasher,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { lines: Vec::new(), digest: DefaultHasher::new() }
    }

    pub(crate) fn line(&mut self, line: String) {
        self.digest.write(line.as_bytes());
        self.digest.write_u8(b'\n');
        self.lines.push(line);
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest.finish()
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Its end, or all of it.
    pub(crate) fn told(&self, all: bool) -> String {
        let from = if all { 0 } else { self.lines.len().saturating_sub(TOLD) };
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate().skip(from) {
            let cut: String = if all { line.clone() } else { line.chars().take(WIDE).collect() };
            text.push_str(&format!("{number:6} {cut}\n"));
        }
        text
    }

    /// The first line in which two runs differ.
    pub(crate) fn difference(&self, other: &Self) -> Option<(usize, String, String)> {
        let line = |trace: &Self, at: usize| trace.lines.get(at).cloned().unwrap_or_else(|| "(its end)".to_owned());
        let longest = self.lines.len().max(other.lines.len());
        let at = (0..longest).find(|at| line(self, *at) != line(other, *at))?;
        Some((at, line(self, at), line(other, at)))
    }
}

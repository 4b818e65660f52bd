//! Whether file, log and checksums agree.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    Damage, beside_it,
    sums::{self, Sums, sums_beside},
    wal::{self, Found, Log},
};

/// How many damaged pages are named.
const NAMED: usize = 8;

/// Whether each commit is on the disk before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Yes: the end of a log is never missing.
    EveryCommit,
    /// Only while the host runs: a power cut may take the last commits.
    WhileTheHostRuns,
}

/// What is known of a file that is not damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every page is as it was written.
    Whole {
        /// How many pages were compared.
        pages: u32,
        /// What a person should know all the same.
        remark: Option<String>,
    },
    /// It is new: at most its first page is in the file, and all else in the log.
    New,
    /// There are no checksums to compare with, or they are damaged themselves (`remark`).
    NoSums {
        /// What a person should know.
        remark: Option<String>,
    },
}

/// Compares the database in `path`, its log and its checksums. Reads all of it and changes nothing.
///
/// Nobody may write to it meanwhile: what is written then may look like damage. And nobody in this process may have it open:
/// closing the files here would end the locks of the whole process on them, which is how POSIX locks are.
pub fn verify(path: &Path, durability: Durability) -> Result<Verdict, Damage> {
    let (log, doubt) = match wal::scan(path) {
        Ok(Found::Whole(log)) => (log, None),
        Ok(Found::Doubtful(log, doubt)) => {
            (log, Some(format!("{doubt}; a change that was not finished, if power was lost")))
        }
        Err(damage) if durability == Durability::WhileTheHostRuns && is_from_before_the_boot(path) => {
            // What such a log lost is not known; its pages neither.
            return Ok(Verdict::NoSums { remark: Some(format!("{damage} (the host was restarted since)")) });
        }
        Err(damage) => return Err(damage),
    };
    let sums = match Sums::read(path) {
        Ok(Some(sums)) => sums,
        Ok(None) if is_new(path) => return Ok(Verdict::New),
        Ok(None) => return Ok(Verdict::NoSums { remark: doubt }),
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            let remark = format!("the checksums in {} are damaged", sums_beside(path).display());
            return Ok(Verdict::NoSums { remark: Some(remark) });
        }
        Err(error) => return Err(Damage::unreadable(&sums_beside(path), &error)),
    };
    compare(path, &sums, &log)?;
    Ok(Verdict::Whole { pages: u32::try_from(sums.pages.len()).unwrap_or(u32::MAX), remark: doubt })
}

/// Whether the file is no longer than one page, or is not there.
fn is_new(path: &Path) -> bool {
    match (fs::metadata(path), fs::File::open(path).and_then(|file| Sums::of(&file))) {
        (Ok(file), _) if file.len() < 100 => true,
        (Ok(_), Ok(sums)) => sums.pages.len() <= 1,
        (Ok(_), Err(_)) => false,
        (Err(error), _) => error.kind() == ErrorKind::NotFound,
    }
}

fn compare(path: &Path, sums: &Sums, log: &Log) -> Result<(), Damage> {
    let expected = log.database_pages.unwrap_or(u32::try_from(sums.pages.len()).unwrap_or(u32::MAX));
    let (mut damaged, mut last) = (Vec::new(), 0);
    let unreadable = |error: io::Error| Damage::unreadable(path, &error);
    let file = fs::File::open(path).map_err(unreadable)?;
    let rest = sums::each_page(&file, sums.page_size, |number, page| {
        last = number;
        let known = sums.pages.get(number as usize - 1);
        if number <= expected && !log.pages.contains_key(&number) && known != Some(&crc32fast::hash(page)) {
            damaged.push(number);
        }
    });
    let rest = rest.map_err(unreadable)?;
    let missing = (last + 1..=expected).find(|number| !log.pages.contains_key(number));
    if let Some(missing) = missing {
        let problem = format!("the file ends before page {missing} of {expected}: its end is cut off");
        return Err(Damage::new(path, problem));
    }
    if log.database_pages.is_none() && (last > expected || rest > 0) {
        return Err(Damage::new(path, format!("the file goes on after its last page, {expected}")));
    }
    if damaged.is_empty() { Ok(()) } else { Err(Damage::new(path, say(&damaged, expected))) }
}

fn say(damaged: &[u32], of: u32) -> String {
    let named: Vec<String> = damaged.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if damaged.len() > NAMED { ", …" } else { "" };
    let (pages, are) = if damaged.len() == 1 { ("page", "is") } else { ("pages", "are") };
    format!("{pages} {}{more} of {of} {are} not what was written there", named.join(", "))
}

/// Whether the log was last written before the host was started.
fn is_from_before_the_boot(path: &Path) -> bool {
    let written = fs::metadata(beside_it(path, "-wal")).and_then(|file| file.modified()).ok();
    // Source: proc(5), `/proc/stat`, line `btime`: seconds since the Unix epoch.
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let booted = text.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
    let booted = booted.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
    matches!((written, booted), (Some(written), Some(booted)) if written < booted)
}

//! A foreign image becomes a plain qcow2 file, by `qemu-img` in its sandbox.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use serde::Deserialize;

use super::{
    headers,
    problem::Problem,
    sandbox::{Ended, Sandbox},
    space::Space,
    unpack::{Format, fill, is_zero},
};
use crate::{
    Error,
    qemu::{layout::io_error, user::QemuUser},
};

/// An import's files. `qemu-img` knows them by these names.
const FOREIGN: &str = "foreign";
pub(super) const MADE: &str = "disk.qcow2";

/// How much is copied at once, and how large a hole is at least.
const PIECE: usize = 1 << 20;
const HOLE: usize = 64 * 1024;

/// Copies what was unpacked to a file, leaving holes for zeros.
pub(super) fn keep(source: &mut dyn Read, directory: &Path, space: &Space, most: u64) -> Result<(), Problem> {
    const LOOK: u64 = 64 << 20;
    let path = directory.join(FOREIGN);
    let failed = Problem::of_writing(&path);
    let mut file = File::create(&path).map_err(&failed)?;
    let mut buffer = vec![0; PIECE];
    let (mut at, mut looked) = (0_u64, 0_u64);
    loop {
        let count = fill(source, &mut buffer)?;
        at += count as u64;
        if at > most {
            return Err(Problem::Refused(super::too_large(most)));
        }
        if at >= looked + LOOK {
            space.check(LOOK)?;
            looked = at;
        }
        for piece in buffer[..count].chunks(HOLE) {
            let written = match is_zero(piece) {
                true => file.seek(SeekFrom::Current(piece.len() as i64)).map(drop),
                false => file.write_all(piece),
            };
            written.map_err(&failed)?;
        }
        if count < PIECE {
            return file.set_len(at).map_err(&failed);
        }
    }
}

/// What `qemu-img info` says, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    format: String,
    backing_filename: Option<String>,
    #[serde(default)]
    format_specific: Specific,
}

#[derive(Default, Deserialize)]
struct Specific {
    #[serde(default)]
    data: Data,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Data {
    data_file: Option<String>,
    #[serde(default)]
    extents: Vec<Extent>,
}

#[derive(Deserialize)]
struct Extent {
    filename: String,
}

#[derive(Deserialize)]
struct Measure {
    required: u64,
}

/// Turns the kept file into [`MADE`], and checks at each step that it may.
pub(super) async fn convert(directory: &Path, format: Format, sandbox: &Sandbox, space: &Space) -> Result<(), Problem> {
    let most = sandbox.limits.max_bytes;
    let size = checked(directory.join(FOREIGN), format, most).await?;
    prepare(directory, sandbox.user.as_ref())?;
    let run = |arguments: Vec<&'static str>| async move { sandbox.qemu_img(directory, &arguments).await };

    let info: Info = json(&run(vec!["info", "--output=json", "-f", format.name(), FOREIGN]).await?)?;
    judge(&info, format, size)?;
    // An image that ends too early would read as zeros; here that shows.
    let check = run(vec!["check", "--output=json", "-f", format.name(), FOREIGN]).await?;
    // 3: clusters that nobody uses, which harms nobody. 63: this kind has no check.
    if !matches!(check.code, Some(0 | 3 | 63)) {
        return Err(refused("it is damaged or ends too early"));
    }
    let measured: Measure =
        json(&run(vec!["measure", "--output=json", "-f", format.name(), "-O", "qcow2", FOREIGN]).await?)?;
    space.promise(measured.required)?;

    // Past the page cache where the file system allows: that is twice as fast.
    let made = directory.join(MADE);
    let direct = OpenOptions::new().write(true).custom_flags(OFlag::O_DIRECT.bits()).open(&made).is_ok();
    let cache = if direct { "none" } else { "writeback" };
    let ended = run(vec!["convert", "-f", format.name(), "-O", "qcow2", "-t", cache, FOREIGN, MADE]).await?;
    if ended.code != Some(0) {
        return Err(match ended.words.contains("No space left on device") {
            true => Error::DiskFull { path: directory.display().to_string() }.into(),
            false => refused(&ended.words),
        });
    }
    // Whoever misled qemu-img still wrote a file that stands alone and is as large as it should be.
    let taken = made.clone();
    let taking = tokio::task::spawn_blocking(move || take_back(&taken));
    taking.await.map_err(|error| Error::host("take an image", error))??;
    let found = checked(made, Format::Qcow2, most).await?;
    if found != size.next_multiple_of(512) {
        return Err(refused("it changed its size when it was read"));
    }
    fs::remove_file(directory.join(FOREIGN)).map_err(Problem::of_writing(directory))
}

fn refused(why: &str) -> Problem {
    Problem::Refused(format!("it cannot be read: {why}"))
}

fn json<T: serde::de::DeserializeOwned>(ended: &Ended) -> Result<T, Problem> {
    if ended.code != Some(0) {
        return Err(refused(&ended.words));
    }
    serde_json::from_slice(&ended.output).map_err(|error| refused(&error.to_string()))
}

fn judge(info: &Info, format: Format, size: u64) -> Result<(), Problem> {
    let leads = info.backing_filename.as_ref().or(info.format_specific.data.data_file.as_ref());
    let extents = &info.format_specific.data.extents;
    if leads.is_some() || extents.iter().any(|extent| extent.filename != FOREIGN) {
        return Err(refused("it leads to other files"));
    }
    if info.format != format.name() || info.virtual_size.abs_diff(size) >= 512 {
        return Err(refused("it does not agree with itself about its kind or size"));
    }
    Ok(())
}

async fn checked(path: PathBuf, format: Format, most: u64) -> Result<u64, Problem> {
    let check = move || {
        let failed = |error: io::Error| Problem::Host(io_error("read an image", &path, &error));
        let mut file = io::BufReader::new(File::open(&path).map_err(failed)?);
        headers::check(format, &mut file, most)
    };
    tokio::task::spawn_blocking(check).await.map_err(|error| Error::host("read an image", error))?
}

/// Lets the sandbox's user read the one file and write the other, and nothing beside them.
fn prepare(directory: &Path, user: Option<&QemuUser>) -> Result<(), Problem> {
    let (foreign, made) = (directory.join(FOREIGN), directory.join(MADE));
    let all = || -> io::Result<()> {
        File::create(&made)?;
        fs::set_permissions(&made, Permissions::from_mode(0o600))?;
        let Some(user) = user else { return Ok(()) };
        chown(directory, None, Some(user.gid))?;
        fs::set_permissions(directory, Permissions::from_mode(0o710))?;
        chown(&foreign, None, Some(user.gid))?;
        fs::set_permissions(&foreign, Permissions::from_mode(0o640))?;
        chown(&made, Some(user.uid), Some(user.gid))
    };
    all().map_err(Problem::of_writing(directory))
}

/// Makes the result the server's own, and durable.
fn take_back(made: &Path) -> Result<(), Problem> {
    let all = || -> io::Result<()> {
        let file = File::open(made)?;
        std::os::unix::fs::fchown(&file, Some(nix::unistd::geteuid().as_raw()), Some(nix::unistd::getegid().as_raw()))?;
        file.sync_all()
    };
    all().map_err(Problem::of_writing(made))
}

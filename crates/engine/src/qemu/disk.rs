//! Disks' files, made and judged by `qemu-img`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokio::process::Command;

use super::{
    images::DiskFormat,
    layers::qcow2,
    layout::io_error,
    record::BaseFiles,
    user::{self, QemuUser},
};
use crate::{Error, ImageName};

/// The program that makes and reads disk images.
pub(super) const QEMU_IMG: &str = "qemu-img";

pub(super) const GIB: u64 = 1 << 30;

/// What `qemu-img info --output=json` says, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    virtual_size: u64,
    format: String,
    backing_filename: Option<String>,
    #[serde(default)]
    format_specific: FormatSpecific,
}

#[derive(Debug, Default, Deserialize)]
struct FormatSpecific {
    #[serde(default)]
    data: FormatData,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct FormatData {
    data_file: Option<String>,
}

/// Why a file is no base image.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotAnImage(pub(super) String);

/// Looks at a base image and returns its virtual size in bytes.
///
/// An image that leads to other files (a backing file, an external data file) is refused: it could show a guest any file
/// of the host. A raw one must look like a disk, since any file at all could pass for one.
pub(super) async fn inspect(path: &Path, format: DiskFormat) -> Result<u64, NotAnImage> {
    let output = qemu_img(["info", "--output=json", "-f", format.name()], &[path])
        .await
        .map_err(|error| NotAnImage(error.to_string()))?;
    if !output.status.success() {
        return Err(NotAnImage(words(&output.stderr)));
    }
    let size = judge(&output.stdout, format)?;
    if format == DiskFormat::Raw && !looks_like_a_disk(path).map_err(|error| NotAnImage(error.to_string()))? {
        return Err(NotAnImage("it has neither a partition table nor a boot sector".to_owned()));
    }
    Ok(size)
}

/// The format that `qemu-img info` found, where it is one of ours; else its name.
pub(super) fn detect(json: &[u8]) -> Result<DiskFormat, NotAnImage> {
    let info: Info = serde_json::from_slice(json).map_err(|error| NotAnImage(error.to_string()))?;
    match info.format.as_str() {
        "qcow2" => Ok(DiskFormat::Qcow2),
        "raw" => Ok(DiskFormat::Raw),
        other => Err(NotAnImage(format!("it is {other}; turn it into qcow2 first (qemu-img convert -O qcow2)"))),
    }
}

/// The virtual size that `qemu-img info` found, if the image is of `format` and stands alone.
pub(super) fn judge(json: &[u8], format: DiskFormat) -> Result<u64, NotAnImage> {
    let info: Info = serde_json::from_slice(json).map_err(|error| NotAnImage(error.to_string()))?;
    if info.format != format.name() {
        return Err(NotAnImage(format!("it is {} and not {}", info.format, format.name())));
    }
    if let Some(other) = info.backing_filename.or(info.format_specific.data.data_file) {
        return Err(NotAnImage(format!("it leads to another file, {other}")));
    }
    Ok(info.virtual_size)
}

/// Whether the first sector ends in 55 AA, as a boot sector, an MBR and a GPT's protective MBR do.
pub(super) fn looks_like_a_disk(path: &Path) -> io::Result<bool> {
    use std::io::Read;
    let mut sector = [0; 512];
    match fs::File::open(path)?.read_exact(&mut sector) {
        Ok(()) => Ok(sector[510..] == [0x55, 0xaa]),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// An overlay to make.
pub(super) struct Overlay<'a> {
    pub(super) image: &'a ImageName,
    pub(super) base: &'a BaseFiles,
    pub(super) disk_gib: u64,
    pub(super) target: &'a Path,
}

/// Makes an overlay on an image, QEMU's to write. A base image is looked at first, an own one was when it was made.
pub(super) async fn create_overlay(overlay: Overlay<'_>, user: Option<&QemuUser>) -> Result<(), Error> {
    let Overlay { image, base, disk_gib, target } = overlay;
    let invalid = |problem: String| Error::ImageInvalid { image: image.clone(), problem };
    let size = if image.is_own() {
        qcow2::head(&base.disk).map_err(|error| invalid(error.to_string()))?.disk_bytes
    } else {
        inspect(&base.disk, base.format).await.map_err(|error| invalid(error.0))?
    };
    if size > disk_gib * GIB {
        return Err(invalid(format!("it needs a disk of {} GiB and this one has {disk_gib}", size.div_ceil(GIB))));
    }
    create(Some((&base.disk, base.format)), disk_gib * GIB, target, user).await
}

/// Makes the file above a layer, QEMU's to write.
pub(super) async fn create_above(
    layer: &Path,
    bytes: u64,
    target: &Path,
    user: Option<&QemuUser>,
) -> Result<(), Error> {
    create(Some((layer, DiskFormat::Qcow2)), bytes, target, user).await
}

/// Makes an empty disk, in one step as seen from outside. What lies beneath is named and not opened.
pub(super) async fn create(
    beneath: Option<(&Path, DiskFormat)>,
    bytes: u64,
    target: &Path,
    user: Option<&QemuUser>,
) -> Result<(), Error> {
    let fresh = beside(target);
    let mut command = Command::new(QEMU_IMG);
    command.args(["create", "-q", "-f", "qcow2"]);
    if let Some((path, format)) = beneath {
        command.args(["-u", "-F", format.name(), "-b"]).arg(path);
    }
    command.arg(&fresh).arg(bytes.to_string());
    run("make a disk", target, command).await?;
    place(&fresh, target, beneath.map(|(path, _)| path), user)
}

/// Makes a disk of `bytes` that begins with what the raw file holds, in one step as seen from outside. Holes stay holes.
pub(super) async fn create_from_raw(
    raw: &Path,
    bytes: u64,
    target: &Path,
    user: Option<&QemuUser>,
) -> Result<(), Error> {
    let fresh = beside(target);
    let mut command = Command::new(QEMU_IMG);
    command.args(["convert", "-q", "-f", "raw", "-O", "qcow2"]).arg(raw).arg(&fresh);
    run("make a disk", target, command).await?;
    let mut command = Command::new(QEMU_IMG);
    command.args(["resize", "-q", "-f", "qcow2"]).arg(&fresh).arg(bytes.to_string());
    run("make a disk", target, command).await?;
    place(&fresh, target, None, user)
}

/// Makes `target` a disk with the content of another that nothing has open, and with nothing beneath it.
pub(super) async fn copy(source: &Path, bytes: u64, target: &Path, user: Option<&QemuUser>) -> Result<(), Error> {
    check_as_made(source)?;
    let user = user.map(|user| user.owning(source));
    // The file first, since QEMU's user could not make one here.
    create(None, bytes, target, user.as_ref()).await?;
    let mut command = as_qemu(user.as_ref());
    command.args(["convert", "-q", "-n", "--target-is-zero", "-f", "qcow2", "-O", "qcow2"]).arg(source).arg(target);
    run("copy a disk", target, command).await
}

/// Makes a disk that nothing has open at least this large. `qemu-img` opens what is beneath it too, and so runs as QEMU does.
pub(super) async fn grow(path: &Path, bytes: u64, user: Option<&QemuUser>) -> Result<(), Error> {
    let failed = |error: io::Error| io_error("make a disk larger", path, &error);
    if qcow2::head(path).map_err(failed)?.disk_bytes >= bytes {
        return Ok(());
    }
    check_as_made(path)?;
    let user = user.map(|user| user.owning(path));
    let mut command = as_qemu(user.as_ref());
    command.args(["resize", "-q", "-f", "qcow2"]).arg(path).arg(bytes.to_string());
    run("make a disk larger", path, command).await?;
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(failed)
}

/// Fails when the head of a disk, or of a file beneath, was rewritten to lead elsewhere: `qemu-img` would go there.
fn check_as_made(path: &Path) -> Result<(), Error> {
    match qcow2::is_as_made(path) {
        Ok(true) => Ok(()),
        Ok(false) => {
            let problem = format!("{}, or a file beneath it, does not lead to where it was made to", path.display());
            Err(Error::host("read a disk", problem))
        }
        Err(error) => Err(io_error("read a disk's head", path, &error)),
    }
}

/// `qemu-img` as the user of a machine's QEMU, which reads what QEMU may read and no more.
fn as_qemu(user: Option<&QemuUser>) -> Command {
    let mut words = user.map(|user| user.prefix(false)).unwrap_or_default();
    words.push(QEMU_IMG.to_owned());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// Where the file that will be `target` is made.
fn beside(target: &Path) -> PathBuf {
    let mut fresh = target.as_os_str().to_owned();
    fresh.push(".new");
    PathBuf::from(fresh)
}

/// Runs `qemu-img` about `path` to its end. What it has half made is removed when it fails.
async fn run(operation: &'static str, path: &Path, mut command: Command) -> Result<(), Error> {
    let output = command.kill_on_drop(true).output().await.map_err(|error| Error::host("run qemu-img", error))?;
    if output.status.success() {
        return Ok(());
    }
    let words = words(&output.stderr);
    let _ = fs::remove_file(beside(path));
    Err(match words.contains("No space left on device") {
        true => Error::DiskFull { path: path.display().to_string() },
        false => Error::host(operation, words),
    })
}

fn place(fresh: &Path, target: &Path, beneath: Option<&Path>, user: Option<&QemuUser>) -> Result<(), Error> {
    let placed = || {
        qcow2::mark(fresh, beneath);
        user::give_to_qemu(user, fresh)?;
        fs::File::open(fresh)?.sync_all()?;
        fs::rename(fresh, target)?;
        target.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
    };
    placed().map_err(|error| io_error("make a disk", target, &error))
}

async fn qemu_img<const N: usize>(arguments: [&str; N], paths: &[&Path]) -> io::Result<std::process::Output> {
    Command::new(QEMU_IMG).args(arguments).args(paths).kill_on_drop(true).output().await
}

fn words(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let words: Vec<&str> = text.lines().map(|line| line.trim_start_matches("qemu-img: ")).collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_leads_elsewhere_is_refused() {
        let plain =
            br#"{"virtual-size": 67108864, "format": "qcow2", "format-specific": {"type": "qcow2", "data": {}}}"#;
        assert_eq!(judge(plain, DiskFormat::Qcow2).expect("an image"), 64 << 20);
        let backed = br#"{"virtual-size": 1, "format": "qcow2", "backing-filename": "/etc/shadow"}"#;
        assert!(judge(backed, DiskFormat::Qcow2).is_err());
        let external = br#"{"virtual-size": 1, "format": "qcow2", "format-specific": {"data": {"data-file": "/x"}}}"#;
        assert!(judge(external, DiskFormat::Qcow2).is_err());
        assert!(judge(plain, DiskFormat::Raw).is_err());
    }

    #[test]
    fn a_raw_disk_has_a_boot_sector() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "no disk").expect("written");
        assert!(!looks_like_a_disk(file.path()).expect("read"));
        let mut sector = vec![0; 1024];
        sector[510..512].copy_from_slice(&[0x55, 0xaa]);
        fs::write(file.path(), sector).expect("written");
        assert!(looks_like_a_disk(file.path()).expect("read"));
    }
}

//! Base images on this host: what is there, how it is described, and how it is brought here.
//!
//! ```text
//! IMAGES/micro-x64/
//!   manifest.json            says which of the files below are the image; replaced as a whole
//!   disk-4f0c….qcow2         named by content, so that a rebuilt image never changes a machine's base
//!   kernel-…, initrd-…       for an image that QEMU boots without a boot loader
//! ```

mod add;
mod apt;
mod cpio;
mod debian;
mod elf;
mod micro;
mod store;

pub use add::add;
pub use debian::{DEBIAN, build_debian};
pub use micro::{MICRO, build_micro, has_current_micro};
pub use store::{DiskFormat, ImageManifest, list};

pub(super) use store::ImageStore;

use std::{io, path::Path};

use crate::ImageName;

/// Debian packages that running guests needs on this host; the last two make file systems for volumes.
pub const PACKAGES_TO_RUN: &[&str] = &["qemu-system-x86", "qemu-utils", "util-linux", "e2fsprogs", "xfsprogs"];

/// Debian packages that building micro-x64 needs on this host.
pub const PACKAGES_FOR_MICRO: &[&str] = &["qemu-utils", "e2fsprogs", "dpkg", "apt"];

/// Debian packages that building debian-12-x64 needs on this host.
pub const PACKAGES_FOR_DEBIAN: &[&str] = &["qemu-utils", "e2fsprogs", "mmdebstrap", "apt"];

/// The command that brings `image` to this host.
pub fn hint(image: &ImageName) -> String {
    match image.as_str() {
        name @ (MICRO | DEBIAN) => format!("dew image build {name}"),
        name => format!("dew image add {name} --file IMAGE"),
    }
}

/// Why an image could not be built or added.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A program that does part of the work is missing or failed.
    #[error("{program}: {problem}")]
    Program {
        /// Which program.
        program: String,
        /// What it said, or how to get it.
        problem: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// What was given or found is no image, or not the one that was promised.
    #[error("{0}")]
    Invalid(String),
}

impl ImageError {
    fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { path, source }
    }
}

/// Runs a program to its end; its error output becomes the error.
fn run(command: &mut std::process::Command) -> Result<Vec<u8>, ImageError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(std::process::Stdio::null()).output().map_err(|error| {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => "it is not installed".to_owned(),
            _ => error.to_string(),
        };
        ImageError::Program { program: program.clone(), problem }
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
    let problem = lines[lines.len().saturating_sub(5)..].join("; ");
    Err(ImageError::Program { program, problem: format!("{}: {problem}", output.status) })
}

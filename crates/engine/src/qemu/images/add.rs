//! Taking a ready-made disk image, such as a distribution's cloud image, as a base image.

use std::{fs, path::Path, process::Command};

use super::{
    ImageError, ImageManifest, run,
    store::{Draft, sha256},
};
use crate::qemu::disk::{self, GIB, NotAnImage, QEMU_IMG};

impl From<NotAnImage> for ImageError {
    fn from(error: NotAnImage) -> Self {
        Self::Invalid(error.0)
    }
}

/// Copies `file` (qcow2 or raw) into the image directory as the image `slug`, in the place of an older one.
///
/// `expected` is the SHA-256 its publisher gives, in hexadecimal. `origin` is kept in the manifest: the file's path, or the
/// address it was fetched from. Fails with [`ImageError::Invalid`] when the file is no disk image, leads to other files, or
/// is not the one that was promised.
pub fn add(
    image_dir: &Path,
    slug: &str,
    file: &Path,
    expected: Option<&str>,
    origin: &str,
) -> Result<ImageManifest, ImageError> {
    let draft = Draft::start(image_dir, slug)?;
    // Judged as a copy, so that nobody changes it between the look and the move.
    let copy = draft.work().join("disk");
    fs::copy(file, &copy).map_err(ImageError::file(file))?;
    if let Some(expected) = expected {
        let (found, _) = sha256(&copy)?;
        if !found.eq_ignore_ascii_case(expected.trim()) {
            return Err(ImageError::Invalid(format!("its SHA-256 is {found} and not {expected}")));
        }
    }
    let info = run(Command::new(QEMU_IMG).args(["info", "--output=json"]).arg(&copy))?;
    let format = disk::detect(&info)?;
    if format == super::DiskFormat::Raw && !disk::looks_like_a_disk(&copy).map_err(ImageError::file(file))? {
        return Err(ImageError::Invalid(format!("{} is not a disk image", file.display())));
    }
    let size = disk::judge(&info, format)?;
    let kept = draft.keep("disk", "disk", &format!(".{}", format.name()))?;
    let manifest = ImageManifest {
        slug: draft.slug().clone(),
        disk: kept.name,
        format,
        sha256: kept.sha256,
        file_bytes: kept.file_bytes,
        min_disk_gib: size.div_ceil(GIB),
        distribution: distribution_of(slug).to_owned(),
        built_from: vec![origin.to_owned()],
        recipe: None,
        direct_boot: None,
    };
    draft.publish(&manifest)?;
    Ok(manifest)
}

/// The distribution that a slug's first word names, as the public API writes it.
fn distribution_of(slug: &str) -> &'static str {
    match slug.split('-').next().unwrap_or_default() {
        "ubuntu" => "Ubuntu",
        "debian" => "Debian",
        "fedora" => "Fedora",
        "centos" => "CentOS",
        "rockylinux" => "Rocky Linux",
        "almalinux" => "AlmaLinux",
        _ => "Custom",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_the_promised_one_is_refused_and_leaves_nothing() {
        let top = tempfile::tempdir().expect("a directory");
        let (images, file) = (top.path().join("images"), top.path().join("f"));
        fs::write(&file, "x").expect("written");
        let refused = add(&images, "ubuntu-24-04-x64", &file, Some(&"0".repeat(64)), "f");
        assert!(matches!(refused, Err(ImageError::Invalid(_))));
        assert_eq!(fs::read_dir(&images).expect("a list").count(), 0);
    }

    #[test]
    fn a_name_that_would_leave_the_directory_is_refused() {
        let top = tempfile::tempdir().expect("a directory");
        assert!(matches!(add(top.path(), "../x", Path::new("/dev/null"), None, "f"), Err(ImageError::Invalid(_))));
    }
}

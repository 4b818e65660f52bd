//! The image directory: reading what is there, and putting an image in its place in one step.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::ImageError;
use crate::{
    Error, ImageName,
    qemu::{
        layout::write_atomically,
        record::{BaseFiles, DirectBoot},
    },
};

const MANIFEST: &str = "manifest.json";

/// How a disk image is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFormat {
    /// QEMU's own format.
    Qcow2,
    /// The disk's bytes as they are.
    Raw,
}

impl DiskFormat {
    /// Its name to QEMU.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
        }
    }
}

/// What is known about a base image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// The image's name, also that of its directory.
    pub slug: ImageName,
    /// The disk's file name, beside the manifest.
    pub disk: String,
    /// How the disk is stored.
    pub format: DiskFormat,
    /// SHA-256 of the disk's file, in hexadecimal.
    pub sha256: String,
    /// Size of the disk's file in bytes.
    pub file_bytes: u64,
    /// The smallest root disk it fits on, in GiB.
    pub min_disk_gib: u64,
    /// Whose system it is: `Debian`, for example.
    pub distribution: String,
    /// What it was made from: packages with their versions, a file, an address.
    pub built_from: Vec<String>,
    /// Which recipe it was built by, where dew has built it: another text is another recipe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub recipe: Option<String>,
    /// Kernel, initramfs and command line, where QEMU boots it without a boot loader.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub direct_boot: Option<DirectBootFiles>,
}

/// The files of an image that is booted without a boot loader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectBootFiles {
    /// The kernel's file name, beside the manifest.
    pub kernel: String,
    /// The initramfs's file name, beside the manifest.
    pub initrd: String,
    /// The kernel's command line.
    pub command_line: String,
}

/// The images of a host, as the engine reads them.
#[derive(Clone, Debug)]
pub(in crate::qemu) struct ImageStore {
    directory: PathBuf,
}

impl ImageStore {
    pub(in crate::qemu) fn new(directory: &Path) -> Self {
        // Overlays name their base by an absolute path.
        Self { directory: std::path::absolute(directory).unwrap_or_else(|_| directory.to_path_buf()) }
    }

    pub(in crate::qemu) fn has(&self, image: &ImageName) -> bool {
        self.directory.join(image.as_str()).join(MANIFEST).exists()
    }

    /// Where the image's files are. Fails with [`Error::ImageMissing`] or [`Error::ImageInvalid`].
    pub(in crate::qemu) fn base_files(&self, image: &ImageName) -> Result<BaseFiles, Error> {
        let directory = self.directory.join(image.as_str());
        let manifest = match read_manifest(&directory) {
            Ok(Some(manifest)) => manifest,
            Ok(None) => return Err(Error::ImageMissing(image.clone())),
            Err(problem) => return Err(Error::ImageInvalid { image: image.clone(), problem: problem.to_string() }),
        };
        let present = |name: &str| {
            let path = directory.join(name);
            let problem = format!("its file {name} is missing");
            if path.is_file() { Ok(path) } else { Err(Error::ImageInvalid { image: image.clone(), problem }) }
        };
        let direct = match &manifest.direct_boot {
            Some(files) => Some(DirectBoot {
                kernel: present(&files.kernel)?,
                initrd: present(&files.initrd)?,
                command_line: files.command_line.clone(),
            }),
            None => None,
        };
        Ok(BaseFiles { disk: present(&manifest.disk)?, format: manifest.format, direct })
    }
}

fn read_manifest(directory: &Path) -> io::Result<Option<ImageManifest>> {
    match fs::read(directory.join(MANIFEST)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every image of a host, by name; one whose manifest cannot be read is left out. No directory is no images.
pub fn list(image_dir: &Path) -> Result<Vec<ImageManifest>, ImageError> {
    let entries = match fs::read_dir(image_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(ImageError::file(image_dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(ImageError::file(image_dir))?.path();
        if let Ok(Some(manifest)) = read_manifest(&path) {
            found.push(manifest);
        }
    }
    found.sort_by(|a, b| a.slug.cmp(&b.slug));
    Ok(found)
}

/// An image that is being made: files in a directory of their own, invisible until [`Draft::publish`].
pub(super) struct Draft {
    image_dir: PathBuf,
    slug: ImageName,
    work: tempfile::TempDir,
}

impl Draft {
    /// Starts an image. What is left of it when this is dropped is removed.
    pub(super) fn start(image_dir: &Path, slug: &str) -> Result<Self, ImageError> {
        let slug = ImageName::new(slug).ok_or_else(|| ImageError::Invalid(format!("{slug} cannot name an image")))?;
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
        builder.recursive(true).create(image_dir).map_err(ImageError::file(image_dir))?;
        let image_dir = image_dir.canonicalize().map_err(ImageError::file(image_dir))?;
        // In the image directory, so that files are moved and not copied into place.
        let work =
            tempfile::Builder::new().prefix(".making-").tempdir_in(&image_dir).map_err(ImageError::file(&image_dir))?;
        Ok(Self { image_dir, slug, work })
    }

    pub(super) fn slug(&self) -> &ImageName {
        &self.slug
    }

    /// The directory to work in.
    pub(super) fn work(&self) -> &Path {
        self.work.path()
    }

    /// Moves a finished file of the work directory beside the manifest, named `PREFIX-SHA256.SUFFIX` (cut to 16 digits).
    pub(super) fn keep(&self, file: &str, prefix: &str, suffix: &str) -> Result<Kept, ImageError> {
        let from = self.work().join(file);
        let (sha256, file_bytes) = sha256(&from)?;
        let name = format!("{prefix}-{}{suffix}", &sha256[..16]);
        let directory = self.image_dir.join(self.slug.as_str());
        let moved = || {
            fs::create_dir_all(&directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
            fs::set_permissions(&from, fs::Permissions::from_mode(0o644))?;
            File::open(&from)?.sync_all()?;
            fs::rename(&from, directory.join(&name))
        };
        moved().map_err(ImageError::file(&from))?;
        Ok(Kept { name, sha256, file_bytes })
    }

    /// Makes the image the one of its name. The files it names were kept before.
    pub(super) fn publish(self, manifest: &ImageManifest) -> Result<(), ImageError> {
        let path = self.image_dir.join(self.slug.as_str()).join(MANIFEST);
        let bytes = serde_json::to_vec_pretty(manifest).map_err(|error| ImageError::Invalid(error.to_string()))?;
        write_atomically(&path, &bytes, 0o644).map_err(ImageError::file(&path))
    }
}

/// A file that has its final name.
pub(super) struct Kept {
    pub(super) name: String,
    pub(super) sha256: String,
    pub(super) file_bytes: u64,
}

/// A file's SHA-256 in hexadecimal, and its size.
pub(super) fn sha256(path: &Path) -> Result<(String, u64), ImageError> {
    let mut file = File::open(path).map_err(ImageError::file(path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let read = file.read(&mut buffer).map_err(ImageError::file(path))?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
    }
    let digest = hasher.finalize();
    Ok((digest.iter().map(|byte| format!("{byte:02x}")).collect(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(slug: &ImageName, kept: &Kept) -> ImageManifest {
        ImageManifest {
            slug: slug.clone(),
            disk: kept.name.clone(),
            format: DiskFormat::Raw,
            sha256: kept.sha256.clone(),
            file_bytes: kept.file_bytes,
            min_disk_gib: 1,
            distribution: "Debian".to_owned(),
            built_from: Vec::new(),
            recipe: None,
            direct_boot: None,
        }
    }

    #[test]
    fn a_half_made_image_is_never_seen() {
        let top = tempfile::tempdir().expect("a directory");
        let images = top.path().join("images");
        let draft = Draft::start(&images, "micro-x64").expect("a draft");
        fs::write(draft.work().join("d"), "disk").expect("written");
        let slug = draft.slug().clone();
        let kept = draft.keep("d", "disk", ".raw").expect("kept");
        let store = ImageStore::new(&images);
        assert!(!store.has(&slug));
        assert!(matches!(store.base_files(&slug), Err(Error::ImageMissing(_))));
        assert_eq!(list(&images).expect("a list"), []);

        draft.publish(&manifest(&slug, &kept)).expect("published");
        assert!(store.has(&slug));
        assert_eq!(list(&images).expect("a list"), [manifest(&slug, &kept)]);
        let names: Vec<_> = fs::read_dir(&images).expect("a list").map(|e| e.expect("an entry").file_name()).collect();
        assert_eq!(names, ["micro-x64"]);
    }

    #[test]
    fn a_rebuilt_image_leaves_the_old_files_to_the_machines_that_use_them() {
        let top = tempfile::tempdir().expect("a directory");
        for content in ["one", "two"] {
            let draft = Draft::start(top.path(), "a").expect("a draft");
            fs::write(draft.work().join("d"), content).expect("written");
            let kept = draft.keep("d", "disk", ".raw").expect("kept");
            let slug = draft.slug().clone();
            draft.publish(&manifest(&slug, &kept)).expect("published");
        }
        assert_eq!(fs::read_dir(top.path().join("a")).expect("a list").count(), 3);
    }

    #[test]
    fn an_image_without_its_files_is_invalid() {
        let top = tempfile::tempdir().expect("a directory");
        let draft = Draft::start(top.path(), "a").expect("a draft");
        fs::write(draft.work().join("d"), "x").expect("written");
        let kept = draft.keep("d", "disk", ".raw").expect("kept");
        let slug = draft.slug().clone();
        draft.publish(&manifest(&slug, &kept)).expect("published");
        fs::remove_file(top.path().join("a").join(&kept.name)).expect("removed");
        assert!(matches!(ImageStore::new(top.path()).base_files(&slug), Err(Error::ImageInvalid { .. })));
    }
}

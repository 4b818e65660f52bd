//! `dew image`: base images of this host. Works on the image directory, beside a running server or without one.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use dewpoint_engine::qemu::images::{self, ImageManifest};

use crate::{
    config::image_dir,
    output::{out, tell},
};

/// Flags every host command on images has.
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    /// Where everything is kept [default: /var/lib/dewpoint for root, ~/.local/share/dewpoint otherwise]
    #[arg(long, env = "DEW_DATA_DIR", value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Where base images are [default: DATA_DIR/images]
    #[arg(long, env = "DEW_IMAGE_DIR", value_name = "DIR", global = true)]
    image_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Build an image from Debian's packages.
    Build {
        /// Which image
        #[arg(value_enum)]
        image: Buildable,
        /// Do nothing when micro-x64 is there and this version of dew would build the same
        #[arg(long)]
        if_outdated: bool,
    },
    /// Take a distribution's cloud image (qcow2 or raw) as the image SLUG.
    Add {
        /// The name Droplets are created with, such as ubuntu-24-04-x64
        slug: String,
        /// The image file
        #[arg(long, value_name = "FILE", required_unless_present = "url", conflicts_with = "url")]
        file: Option<PathBuf>,
        /// Where to fetch the image from (http or https)
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// The SHA-256 its publisher gives, in hexadecimal; anything else is refused
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
    },
    /// List the images on this host.
    List,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Buildable {
    /// A tiny system that reaches SSH in seconds: Debian's cloud kernel, busybox, dropbear
    #[value(name = "micro-x64")]
    Micro,
    /// A full Debian 12 with cloud-init
    #[value(name = "debian-12-x64")]
    Debian,
}

/// Runs `dew image …`. Progress goes to standard error, what was asked for to standard output.
pub(crate) fn run(args: ImageArgs) -> Result<()> {
    let dir = image_dir(args.data_dir, args.image_dir)?;
    match args.command {
        ImageCommand::Build { image: Buildable::Micro, if_outdated: true } if images::has_current_micro(&dir)? => {
            Ok(())
        }
        ImageCommand::Build { image, .. } => {
            let mut progress = |line: &str| tell!("{line}");
            let built = match image {
                Buildable::Micro => images::build_micro(&dir, &mut progress),
                Buildable::Debian => images::build_debian(&dir, &mut progress),
            };
            added(&dir, &built?)
        }
        ImageCommand::Add { slug, file: Some(file), url: _, sha256 } => {
            let origin = file.display().to_string();
            added(&dir, &images::add(&dir, &slug, &file, sha256.as_deref(), &origin)?)
        }
        ImageCommand::Add { slug, file: None, url: Some(url), sha256 } => {
            // Beside the images, so that the disk that must hold it is the one that is filled; gone when this returns.
            std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            let mut half = tempfile::Builder::new().prefix(".fetch-").tempfile_in(&dir)?;
            fetch(&url, half.as_file_mut()).with_context(|| format!("cannot fetch {url}"))?;
            added(&dir, &images::add(&dir, &slug, half.path(), sha256.as_deref(), &url)?)
        }
        ImageCommand::Add { file: None, url: None, .. } => bail!("give --file or --url"),
        ImageCommand::List => list(&dir),
    }
}

/// The command that brings a small image to `dir`; names the directory unless it is the one taken anyway.
pub(super) fn build_command(dir: &Path) -> String {
    let usual = image_dir(None, None).is_ok_and(|usual| usual == dir);
    let place = if usual { String::new() } else { format!(" --image-dir {}", dir.display()) };
    format!("dew image build micro-x64{place}")
}

fn added(dir: &Path, image: &ImageManifest) -> Result<()> {
    let (slug, mib) = (&image.slug, image.file_bytes / (1024 * 1024));
    writeln!(out(), "{slug}: {mib} MiB in {}", dir.join(slug.as_str()).display())?;
    Ok(())
}

fn list(dir: &Path) -> Result<()> {
    let found = images::list(dir)?;
    if found.is_empty() {
        tell!("No images in {}. `{}` makes a small one.", dir.display(), build_command(dir));
        return Ok(());
    }
    let mut out = out();
    writeln!(out, "{:<24} {:<14} {:>8} {:>9}  BUILT FROM", "SLUG", "DISTRIBUTION", "MIB", "MIN. GIB")?;
    for image in found {
        let (mib, from) = (image.file_bytes / (1024 * 1024), image.built_from.join(", "));
        writeln!(
            out,
            "{:<24} {:<14} {mib:>8} {:>9}  {from}",
            image.slug.as_str(),
            image.distribution,
            image.min_disk_gib
        )?;
    }
    Ok(())
}

/// Largest image that is fetched: what the public service takes too (IMG-4).
const LARGEST: u64 = 100 * 1024 * 1024 * 1024;

/// Fetches `url` into `file`, telling how far it is.
fn fetch(url: &str, file: &mut File) -> Result<()> {
    let mut answer = ureq::get(url).call()?;
    let total: Option<u64> = answer.headers().get("content-length").and_then(|value| value.to_str().ok()?.parse().ok());
    if total.is_some_and(|total| total > LARGEST) {
        bail!("it is larger than 100 GiB");
    }
    let mut body = answer.body_mut().with_config().limit(LARGEST).reader();
    let (mut buffer, mut done, mut told) = (vec![0_u8; 1 << 20], 0_u64, 0_u64);
    loop {
        let count = body.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count])?;
        done += count as u64;
        let mib = done >> 20;
        if mib >= told + 64 {
            told = mib;
            let of = total.map(|total| format!(" of {}", total >> 20)).unwrap_or_default();
            tell!("fetched {mib}{of} MiB");
        }
    }
    if let Some(total) = total.filter(|total| *total != done) {
        bail!("it ended after {done} of {total} bytes");
    }
    Ok(file.sync_all()?)
}

//! The text of a catalogue as written, before its references are resolved.

use std::{collections::HashSet, fmt, hash::Hash};

use dewpoint_api::{ImageId, ImageSlug, PartitionMode, PublicImageSort, RegionSlug, SizeSlug};
use dewpoint_clock::Timestamp;
use serde::Deserialize;

use super::CatalogueError;

/// A catalogue's text, taken apart; each list may be missing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CatalogueFile {
    /// `[[regions]]`.
    pub regions: Vec<RegionSpec>,
    /// `[[sizes]]`.
    pub sizes: Vec<SizeSpec>,
    /// `[[images]]`.
    pub images: Vec<ImageSpec>,
}

/// A region as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionSpec {
    /// Its name for programs.
    pub slug: RegionSlug,
    /// Its name for people.
    pub name: String,
    /// Whether Droplets can be made there.
    #[serde(default = "yes")]
    pub available: bool,
    /// What Droplets there can have.
    #[serde(default)]
    pub features: Vec<String>,
    /// True to leave it out of the `regions` that public images show: the Python SDK, told to be strict, refuses an image
    /// with a region newer than itself. The images work there all the same.
    #[serde(default)]
    pub unlisted_in_images: bool,
}

/// A size as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeSpec {
    /// Its name.
    pub slug: SizeSlug,
    /// The family it belongs to.
    pub description: String,
    /// Memory in MiB; a multiple of 8.
    pub memory_mib: u64,
    /// Virtual processors.
    pub vcpus: u32,
    /// Root disk in GiB.
    pub disk_gib: u64,
    /// Traffic a month in TiB.
    pub transfer_tib: f64,
    /// US dollars a month.
    pub price_monthly: f64,
    /// US dollars an hour.
    pub price_hourly: f64,
    /// Mbit/s.
    pub networking_throughput: Option<u64>,
    /// Where it is offered; none means every available region.
    pub regions: Option<Vec<RegionSlug>>,
    /// Whether Droplets of it can be made.
    #[serde(default = "yes")]
    pub available: bool,
    /// Its GPUs.
    pub gpu: Option<GpuSpec>,
    /// Scratch disk in GiB.
    pub scratch_gib: Option<u64>,
    /// Ways its GPU can be shared out.
    #[serde(default)]
    pub supported_partition_modes: Vec<PartitionMode>,
}

/// The GPUs of a size as written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GpuSpec {
    /// How many.
    pub count: u32,
    /// Which, such as `nvidia_h100`.
    pub model: String,
    /// Memory of all of them together, in GiB.
    pub vram_gib: u64,
}

/// A public image as written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageSpec {
    /// Its number.
    pub id: ImageId,
    /// Its name for programs.
    pub slug: ImageSlug,
    /// Its name for people.
    pub name: String,
    /// The operating system in it. One that the public description does not list shows as `Unknown`.
    pub distribution: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// The smallest disk it fits on, in GiB.
    pub min_disk_gib: u64,
    /// What it takes to keep, in GiB.
    pub size_gigabytes: f64,
    /// Which sort of public image it is.
    pub kind: PublicImageSort,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where it can be used; none means every available region.
    pub regions: Option<Vec<RegionSlug>>,
    /// Whether the agent for the web console can be in it (behaviour rule CRE-18).
    #[serde(default = "yes")]
    pub droplet_agent: bool,
    /// Whether what is in it manages root's password itself, so that a reset from outside is refused (behaviour rule DAC-9).
    #[serde(default)]
    pub manages_passwords: bool,
}

fn yes() -> bool {
    true
}

impl CatalogueFile {
    /// Takes a text apart. Fails when it is not of the form; whether its entries fit is not looked at here.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        toml::from_str(text).map_err(|error| CatalogueError::Syntax(error.to_string().trim_end().to_owned()))
    }

    /// Both together; an entry of `other` replaces the one of the same slug.
    pub(super) fn with(mut self, other: Self) -> Self {
        merge(&mut self.regions, other.regions, |region| region.slug.clone());
        merge(&mut self.sizes, other.sizes, |size| size.slug.clone());
        merge(&mut self.images, other.images, |image| image.slug.clone());
        self
    }

    /// Whether each entry is right in itself and there once.
    pub(super) fn check(&self) -> Result<(), CatalogueError> {
        once("region", self.regions.iter().map(|region| &region.slug))?;
        once("size", self.sizes.iter().map(|size| &size.slug))?;
        once("image", self.images.iter().map(|image| &image.slug))?;
        for size in &self.sizes {
            check_size(size)?;
        }
        for image in &self.images {
            let refuse = |problem: &str| Err(entry_error("image", &image.slug, problem));
            if image.id.0 == 0 {
                return refuse("has the id 0; ids begin at 1");
            }
            if image.slug.as_str().bytes().all(|byte| byte.is_ascii_digit()) {
                return refuse("has a slug of digits alone, which requests would take for an id");
            }
            if !image.size_gigabytes.is_finite() || image.size_gigabytes < 0.0 {
                return refuse("has a size_gigabytes that is no amount");
            }
        }
        Ok(())
    }
}

pub(super) fn entry_error(kind: &'static str, name: &impl fmt::Display, problem: impl Into<String>) -> CatalogueError {
    CatalogueError::Entry { kind, name: name.to_string(), problem: problem.into() }
}

fn merge<T, K: Eq>(base: &mut Vec<T>, other: Vec<T>, key: impl Fn(&T) -> K) {
    for entry in other {
        match base.iter_mut().find(|old| key(old) == key(&entry)) {
            Some(old) => *old = entry,
            None => base.push(entry),
        }
    }
}

fn once<'a, S>(kind: &'static str, slugs: impl Iterator<Item = &'a S>) -> Result<(), CatalogueError>
where
    S: AsRef<str> + fmt::Display + Eq + Hash + 'a,
{
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    let mut seen = HashSet::new();
    for slug in slugs {
        let text = slug.as_ref();
        if text.is_empty() || !text.chars().all(fits) {
            return Err(entry_error(kind, slug, "has a slug with other than letters, digits, `-`, `_` and `.`"));
        }
        if !seen.insert(slug) {
            return Err(entry_error(kind, slug, "is there twice"));
        }
    }
    Ok(())
}

fn check_size(size: &SizeSpec) -> Result<(), CatalogueError> {
    let refuse = |problem: &str| Err(entry_error("size", &size.slug, problem));
    if size.memory_mib == 0 || !size.memory_mib.is_multiple_of(8) {
        return refuse("has a memory_mib that is not a multiple of 8");
    }
    if size.vcpus == 0 || size.disk_gib == 0 {
        return refuse("needs at least one vcpu and one GiB of disk");
    }
    let amounts = [size.transfer_tib, size.price_monthly, size.price_hourly];
    if amounts.iter().any(|amount| !amount.is_finite() || *amount < 0.0) {
        return refuse("has a transfer or a price that is no amount");
    }
    match &size.gpu {
        Some(gpu) if gpu.count == 0 || gpu.model.is_empty() => refuse("has a gpu without count or model"),
        None if !size.supported_partition_modes.is_empty() => refuse("has partition modes and no gpu"),
        Some(_) | None => Ok(()),
    }
}

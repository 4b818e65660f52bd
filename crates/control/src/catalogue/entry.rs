//! Entries of a catalogue with their references resolved, and what the API shows of them.

use std::{collections::HashSet, sync::OnceLock};

use dewpoint_api::{
    Amount, DiskInfo, DiskKind, Distribution, Embedded, GpuInfo, Image, ImageKind, ImageStatus, Region, RegionSlug,
    Size, SizeSlug,
};

use super::{
    CatalogueError,
    file::{CatalogueFile, GpuSpec, ImageSpec, RegionSpec, SizeSpec, entry_error},
};

/// A region and what is offered there.
#[derive(Clone, Debug)]
pub struct RegionEntry {
    /// As written.
    pub spec: RegionSpec,
    /// The sizes offered there, in the catalogue's order.
    pub sizes: Vec<SizeSlug>,
    wire: OnceLock<Embedded<Region>>,
    without_sizes: OnceLock<Embedded<Region>>,
}

impl RegionEntry {
    /// As the API shows it.
    pub fn to_wire(&self) -> Region {
        Region {
            name: self.spec.name.clone(),
            slug: self.spec.slug.clone(),
            features: self.spec.features.clone(),
            available: self.spec.available,
            sizes: self.sizes.clone(),
        }
    }

    /// As the API shows it, serialised the first time it is asked for.
    pub fn embedded(&self) -> &Embedded<Region> {
        self.wire.get_or_init(|| raw(self.to_wire()))
    }

    /// The same for those who may not see sizes (AUTH-6).
    pub fn without_sizes(&self) -> &Embedded<Region> {
        self.without_sizes.get_or_init(|| raw(Region { sizes: Vec::new(), ..self.to_wire() }))
    }
}

/// A size and where it is offered.
#[derive(Clone, Debug)]
pub struct SizeEntry {
    /// As written.
    pub spec: SizeSpec,
    /// Where it is offered, in the catalogue's order of regions or as written.
    pub regions: Vec<RegionSlug>,
    wire: OnceLock<Embedded<Size>>,
    without_regions: OnceLock<Embedded<Size>>,
}

impl SizeEntry {
    /// Its GPUs, if any.
    pub fn gpu(&self) -> Option<&GpuSpec> {
        self.spec.gpu.as_ref()
    }

    /// Whether Droplets of it are GPU Droplets (behaviour rule DRO-6).
    pub fn is_gpu(&self) -> bool {
        self.spec.gpu.is_some()
    }

    /// Whether Droplets of it can be made at all now.
    pub fn available(&self) -> bool {
        self.spec.available
    }

    /// Whether it is offered in `region`.
    pub fn offered_in(&self, region: &RegionSlug) -> bool {
        self.regions.contains(region)
    }

    /// Its GPUs as the API shows them.
    pub fn gpu_info(&self) -> Option<GpuInfo> {
        self.spec.gpu.as_ref().map(|gpu| GpuInfo {
            count: gpu.count,
            model: gpu.model.clone(),
            vram: Amount::gib(gpu.vram_gib),
            supported_partition_modes: self.spec.supported_partition_modes.iter().map(|mode| (*mode).into()).collect(),
        })
    }

    /// Its disks as the API shows them, with a root disk of `disk_gib`: a Droplet keeps its own through some resizes.
    pub fn disk_info(&self, disk_gib: u64) -> Vec<DiskInfo> {
        let scratch = self.spec.scratch_gib.map(|gib| DiskInfo::new(DiskKind::Scratch, gib));
        std::iter::once(DiskInfo::new(DiskKind::Local, disk_gib)).chain(scratch).collect()
    }

    /// As the API shows it.
    pub fn to_wire(&self) -> Size {
        Size {
            slug: self.spec.slug.clone(),
            memory: self.spec.memory_mib,
            vcpus: self.spec.vcpus,
            disk: self.spec.disk_gib,
            transfer: self.spec.transfer_tib,
            price_monthly: self.spec.price_monthly.into(),
            price_hourly: self.spec.price_hourly.into(),
            regions: self.regions.clone(),
            available: self.spec.available,
            description: self.spec.description.clone(),
            networking_throughput: self.spec.networking_throughput,
            disk_info: self.disk_info(self.spec.disk_gib),
            gpu_info: self.gpu_info(),
        }
    }

    /// As the API shows it, serialised the first time it is asked for.
    pub fn embedded(&self) -> &Embedded<Size> {
        self.wire.get_or_init(|| raw(self.to_wire()))
    }

    /// The same for those who may not see regions (AUTH-6).
    pub fn without_regions(&self) -> &Embedded<Size> {
        self.without_regions.get_or_init(|| raw(Size { regions: Vec::new(), ..self.to_wire() }))
    }

    pub(super) fn make_unavailable(&mut self) {
        self.spec.available = false;
        (self.wire, self.without_regions) = (OnceLock::new(), OnceLock::new());
    }
}

/// A public image and where it can be used.
#[derive(Clone, Debug)]
pub struct ImageEntry {
    /// As written.
    pub spec: ImageSpec,
    /// Where it can be used.
    pub regions: Vec<RegionSlug>,
    shown_regions: Vec<RegionSlug>,
    wire: OnceLock<Embedded<Image>>,
}

impl ImageEntry {
    /// Whether it can be used in `region`.
    pub fn offered_in(&self, region: &RegionSlug) -> bool {
        self.regions.contains(region)
    }

    /// The word the API shows for its operating system.
    pub fn distribution(&self) -> Distribution {
        Distribution::of(&self.spec.distribution)
    }

    /// As the API shows it: its `regions` without those that are [`RegionSpec::unlisted_in_images`].
    pub fn to_wire(&self) -> Image {
        Image {
            id: self.spec.id,
            name: self.spec.name.clone(),
            kind: ImageKind::Base.into(),
            distribution: self.distribution().as_str().to_owned(),
            slug: Some(self.spec.slug.clone()),
            public: true,
            regions: self.shown_regions.clone(),
            created_at: self.spec.created_at,
            min_disk_size: Some(self.spec.min_disk_gib),
            size_gigabytes: Some(self.spec.size_gigabytes),
            description: self.spec.description.clone(),
            tags: Vec::new(),
            status: ImageStatus::Available.into(),
            error_message: String::new(),
        }
    }

    /// As the API shows it, serialised the first time it is asked for.
    pub fn embedded(&self) -> &Embedded<Image> {
        self.wire.get_or_init(|| raw(self.to_wire()))
    }
}

fn raw<T: serde::Serialize>(value: T) -> Embedded<T> {
    // The models are texts, whole numbers and finite decimals, which JSON can write; the value itself would do as well.
    Embedded::raw(&value).unwrap_or_else(|_| value.into())
}

/// Everything resolved, in the order of the text.
pub(super) struct Resolved {
    pub(super) regions: Vec<RegionEntry>,
    pub(super) sizes: Vec<SizeEntry>,
    pub(super) images: Vec<ImageEntry>,
}

/// Gives every size and image its regions and every region its sizes. Fails when one names a region that is not there.
pub(super) fn resolve(file: &CatalogueFile) -> Result<Resolved, CatalogueError> {
    let known: HashSet<&RegionSlug> = file.regions.iter().map(|region| &region.slug).collect();
    let open: Vec<RegionSlug> =
        file.regions.iter().filter(|region| region.available).map(|region| region.slug.clone()).collect();
    let unlisted: HashSet<&RegionSlug> =
        file.regions.iter().filter(|region| region.unlisted_in_images).map(|region| &region.slug).collect();
    let regions_of = |kind, entry: &str, given: &Option<Vec<RegionSlug>>| {
        let given = given.as_ref().unwrap_or(&open);
        match given.iter().find(|region| !known.contains(region)) {
            None => Ok(given.clone()),
            Some(region) => {
                let problem = format!("names the region {:?}, which is not in the catalogue", region.as_str());
                Err(entry_error(kind, &entry, problem))
            }
        }
    };

    let mut sizes = Vec::with_capacity(file.sizes.len());
    for spec in &file.sizes {
        let regions = regions_of("size", spec.slug.as_str(), &spec.regions)?;
        let (wire, without_regions) = (OnceLock::new(), OnceLock::new());
        sizes.push(SizeEntry { spec: spec.clone(), regions, wire, without_regions });
    }
    let mut images = Vec::with_capacity(file.images.len());
    for spec in &file.images {
        let regions = regions_of("image", spec.slug.as_str(), &spec.regions)?;
        let shown_regions = regions.iter().filter(|region| !unlisted.contains(region)).cloned().collect();
        images.push(ImageEntry { spec: spec.clone(), regions, shown_regions, wire: OnceLock::new() });
    }
    let regions = file.regions.iter().map(|spec| {
        let offered = sizes.iter().filter(|size| size.offered_in(&spec.slug)).map(|size| size.spec.slug.clone());
        RegionEntry {
            spec: spec.clone(),
            sizes: offered.collect(),
            wire: OnceLock::new(),
            without_sizes: OnceLock::new(),
        }
    });
    Ok(Resolved { regions: regions.collect(), sizes, images })
}

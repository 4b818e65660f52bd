//! What there is to choose from: regions, sizes and images, read from a text of the form of `catalogue.toml`.
//!
//! The built-in text holds what clients of the public service expect; an operator's text extends or replaces it. Nothing
//! here reads a file or asks an engine: texts come in as `&str`, and what a host can run comes in by
//! [`Catalogue::restrict_sizes`].

mod entry;
mod file;

use std::collections::HashMap;

use dewpoint_api::{ImageId, ImageIdOrSlug, ImageSlug, RegionSlug, SizeSlug};

pub use entry::{ImageEntry, RegionEntry, SizeEntry};
pub use file::{CatalogueFile, GpuSpec, ImageSpec, RegionSpec, SizeSpec};

const BUILT_IN: &str = include_str!("../catalogue.toml");

/// Why a catalogue cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The text is not of the form; says where.
    #[error("the catalogue cannot be read: {0}")]
    Syntax(String),
    /// An entry is wrong in itself, names another that does not exist, or is there twice.
    #[error("the catalogue's {kind} {name:?} {problem}")]
    Entry {
        /// `region`, `size` or `image`.
        kind: &'static str,
        /// Its slug.
        name: String,
        /// What is wrong.
        problem: String,
    },
}

/// Regions, sizes and images, checked and indexed. Cheap to look things up in; shared as an `Arc`.
#[derive(Clone, Debug)]
pub struct Catalogue {
    file: CatalogueFile,
    regions: Vec<RegionEntry>,
    sizes: Vec<SizeEntry>,
    images: Vec<ImageEntry>,
    region_at: HashMap<RegionSlug, usize>,
    size_at: HashMap<SizeSlug, usize>,
    image_at: HashMap<ImageSlug, usize>,
    image_by_id: HashMap<ImageId, usize>,
}

impl Catalogue {
    /// What clients of the public service expect to find.
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("a test reads the built-in catalogue")
    }

    /// Reads a catalogue that stands alone. Fails when the text is not of the form or an entry does not fit.
    pub fn parse(text: &str) -> Result<Self, CatalogueError> {
        Self::of(CatalogueFile::parse(text)?)
    }

    /// This catalogue with `other` on top: an entry with a slug that is here already replaces it, any other is added.
    ///
    /// A size or image without `regions` is then offered in the added regions as well.
    pub fn extend(self, other: CatalogueFile) -> Result<Self, CatalogueError> {
        other.check()?;
        Self::of(self.file.with(other))
    }

    fn of(file: CatalogueFile) -> Result<Self, CatalogueError> {
        file.check()?;
        let entry::Resolved { regions, sizes, images } = entry::resolve(&file)?;
        let mut catalogue = Self {
            region_at: regions.iter().enumerate().map(|(at, region)| (region.spec.slug.clone(), at)).collect(),
            size_at: sizes.iter().enumerate().map(|(at, size)| (size.spec.slug.clone(), at)).collect(),
            image_at: images.iter().enumerate().map(|(at, image)| (image.spec.slug.clone(), at)).collect(),
            image_by_id: HashMap::with_capacity(images.len()),
            file,
            regions,
            sizes,
            images,
        };
        for (at, image) in catalogue.images.iter().enumerate() {
            if let Some(first) = catalogue.image_by_id.insert(image.spec.id, at) {
                let problem =
                    format!("has the id {} of {:?}", image.spec.id, catalogue.images[first].spec.slug.as_str());
                return Err(CatalogueError::Entry { kind: "image", name: image.spec.slug.to_string(), problem });
            }
        }
        Ok(catalogue)
    }

    /// Marks sizes unavailable that `fits` says no to, such as those larger than the host. It never marks one available.
    pub fn restrict_sizes(&mut self, fits: impl Fn(&SizeEntry) -> bool) {
        for size in &mut self.sizes {
            if size.available() && !fits(size) {
                size.make_unavailable();
            }
        }
    }

    /// All regions, in the order of the text.
    pub fn regions(&self) -> &[RegionEntry] {
        &self.regions
    }

    /// All sizes, in the order of the text.
    pub fn sizes(&self) -> &[SizeEntry] {
        &self.sizes
    }

    /// All public images, in the order of the text.
    pub fn images(&self) -> &[ImageEntry] {
        &self.images
    }

    /// The region of that slug.
    pub fn region(&self, slug: &RegionSlug) -> Option<&RegionEntry> {
        self.region_at.get(slug).map(|at| &self.regions[*at])
    }

    /// The regions that `wanted` could mean: the one of that slug, or all that begin with it and go on with a number, as
    /// `nyc` does for `nyc1` (behaviour rule CRE-7). In the order of the text; none when it means nothing.
    pub fn regions_matching(&self, wanted: &RegionSlug) -> Vec<&RegionEntry> {
        if let Some(region) = self.region(wanted) {
            return vec![region];
        }
        let goes_on = |region: &&RegionEntry| {
            let rest = region.spec.slug.as_str().strip_prefix(wanted.as_str());
            rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
        };
        if wanted.as_str().is_empty() { Vec::new() } else { self.regions.iter().filter(goes_on).collect() }
    }

    /// The size of that slug.
    pub fn size(&self, slug: &SizeSlug) -> Option<&SizeEntry> {
        self.size_at.get(slug).map(|at| &self.sizes[*at])
    }

    /// The public image of that slug.
    pub fn image_by_slug(&self, slug: &ImageSlug) -> Option<&ImageEntry> {
        self.image_at.get(slug).map(|at| &self.images[*at])
    }

    /// The public image of that number.
    pub fn image(&self, id: ImageId) -> Option<&ImageEntry> {
        self.image_by_id.get(&id).map(|at| &self.images[*at])
    }

    /// The public image that a request names.
    pub fn image_named(&self, named: &ImageIdOrSlug) -> Option<&ImageEntry> {
        match named {
            ImageIdOrSlug::Id(id) => self.image(*id),
            ImageIdOrSlug::Slug(slug) => self.image_by_slug(slug),
        }
    }
}

#[cfg(test)]
mod tests;

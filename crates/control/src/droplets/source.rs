//! What a disk starts as: a public image, or one of the account's own (CRE-5).

use dewpoint_api::{AccountId, ImageId, ImageIdOrSlug, ImageStatus, RegionSlug};
use dewpoint_engine::ImageName;
use dewpoint_store::{ImageRecord, Tx, images};

use crate::{Catalogue, Control, Error, catalogue::ImageEntry};

/// The answer to an image that is none, or another account's.
pub(super) const INVALID_IMAGE: &str = "You specified an invalid image for Droplet creation.";
/// The answer to an image that is not offered in the Droplet's region.
pub(super) const NOT_IN_REGION: &str = "Image is not available in this region.";

/// An image that a request names.
#[derive(Debug)]
pub(super) enum Source<'c> {
    /// One of the catalogue's.
    Public(&'c ImageEntry),
    /// One of the account's own, which is available.
    Own(Box<ImageRecord>),
}

impl<'c> Source<'c> {
    /// The image named; looked for among the account's own when the catalogue has none of that name.
    pub(super) fn find(
        tx: &mut dyn Tx,
        catalogue: &'c Catalogue,
        account: AccountId,
        named: &ImageIdOrSlug,
    ) -> Result<Self, Error> {
        match (catalogue.image_named(named), named) {
            (Some(entry), _) => Ok(Self::Public(entry)),
            (None, ImageIdOrSlug::Id(id)) => Ok(Self::Own(Box::new(own(tx, account, *id)?))),
            (None, ImageIdOrSlug::Slug(_)) => Err(Error::invalid(INVALID_IMAGE)),
        }
    }

    pub(super) fn id(&self) -> ImageId {
        match self {
            Self::Public(entry) => entry.spec.id,
            Self::Own(record) => record.id,
        }
    }

    pub(super) fn slug(&self) -> Option<String> {
        match self {
            Self::Public(entry) => Some(entry.spec.slug.as_str().to_owned()),
            Self::Own(_) => None,
        }
    }

    /// The row of one that is the account's own.
    pub(super) fn into_own(self) -> Option<ImageRecord> {
        match self {
            Self::Public(_) => None,
            Self::Own(record) => Some(*record),
        }
    }

    /// What a person calls it.
    pub(super) fn label(&self) -> String {
        self.slug().unwrap_or_else(|| self.id().to_string())
    }

    pub(super) fn offered_in(&self, region: &RegionSlug) -> bool {
        match self {
            Self::Public(entry) => entry.offered_in(region),
            Self::Own(record) => record.regions.contains(region),
        }
    }

    /// Whether the agent for the web console can be in it. Of an own image nobody but its engine can tell.
    pub(super) fn may_have_agent(&self) -> bool {
        match self {
            Self::Public(entry) => entry.spec.droplet_agent,
            Self::Own(_) => true,
        }
    }

    /// Refuses a disk it does not fit on; `disk` says whose that is.
    pub(super) fn check_fits(&self, disk_gib: u64, disk: &str) -> Result<(), Error> {
        let least = match self {
            Self::Public(entry) => entry.spec.min_disk_gib,
            Self::Own(record) => record.min_disk_gib.unwrap_or_default(),
        };
        if least > disk_gib {
            let label = self.label();
            return Err(Error::invalid(format!(
                "Image {label} needs a disk of at least {least} GB; {disk} has {disk_gib} GB."
            )));
        }
        Ok(())
    }
}

/// The account's own image of this number, when Droplets can be made from it.
pub(super) fn own(tx: &mut dyn Tx, account: AccountId, id: ImageId) -> Result<ImageRecord, Error> {
    let image = images::image_get(tx, account, id)?.ok_or_else(|| Error::invalid(INVALID_IMAGE))?;
    match image.status {
        ImageStatus::Available => Ok(image),
        ImageStatus::New | ImageStatus::Pending => {
            Err(Error::invalid(format!("Image {id} is not available yet: it is still being fetched.")))
        }
        ImageStatus::Deleted | ImageStatus::Retired => Err(Error::invalid(INVALID_IMAGE)),
    }
}

impl Control {
    /// Refuses a catalogue image whose file is not on this host, with the command that would bring it.
    pub(super) fn check_image_is_here(&self, source: &Source<'_>) -> Result<(), Error> {
        let Some(slug) = source.slug() else { return Ok(()) };
        let engine = &self.inner.engine;
        let name = ImageName::new(slug.clone()).ok_or_else(|| Error::invalid(INVALID_IMAGE))?;
        if engine.has_image(&name) {
            return Ok(());
        }
        let hint = engine.image_hint(&name).map(|command| format!(" Bring it with: {command}")).unwrap_or_default();
        Err(Error::invalid(format!("Image {slug} is not on this host.{hint}")))
    }
}

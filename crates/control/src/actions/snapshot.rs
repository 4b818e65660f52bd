//! `snapshot` and `backup`: take a Droplet's disk as an image (DAC-5). The image is there for clients when it is whole.

use dewpoint_api::{ActionKind, Distribution, ImageId, ImageKind, ImageStatus};
use dewpoint_clock::Timestamp;
use dewpoint_engine::ImageFacts;
use dewpoint_store::{ImageRecord, Tx, droplets, images};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named, own_image},
};
use crate::Error;

/// What is to be taken, as it was settled when the action was accepted: doing a step twice makes one image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Taking {
    /// The number of the image; by this name the start of a server knows that it is no orphan.
    pub(crate) image_in_the_making: ImageId,
    /// Its name.
    pub(crate) name: String,
    /// How long it is kept, in days; for ever when there is no such number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) days: Option<u32>,
}

const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

impl Taking {
    fn expires_at(&self, taken_at: Timestamp) -> Option<Timestamp> {
        self.days.map(|days| taken_at + DAY * days)
    }
}

/// The steps of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SnapshotStep {
    Take,
    /// Compensation: nothing half-made stays.
    Discard,
}

impl Flow for SnapshotStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Take, "take")];
    const BACK: Option<Named<Self>> = Some((Self::Discard, "discard"));

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let taking: Taking = cx.request()?;
        let image = own_image(taking.image_in_the_making)
            .ok_or_else(|| Error::invalid("the image has no name an engine takes"))?;
        match self {
            Self::Take => {
                let facts = cx.engine().snapshot(cx.machine(), &image).await?;
                Ok(Also::AddImage(Box::new(row(cx, taking, facts).await?)).into())
            }
            Self::Discard => {
                cx.engine().remove_image(&image).await?;
                Ok(Effect::default())
            }
        }
    }
}

/// The row of the image that was taken. The Droplet is locked: it is as it was when the image was taken.
async fn row(cx: &Context, taking: Taking, facts: ImageFacts) -> Result<ImageRecord, Error> {
    let id = cx.droplet;
    let catalogue = cx.control.clone();
    let store = &cx.control.inner.store;
    let (droplet, distribution) = store
        .read(move |tx: &mut dyn Tx| {
            let droplet = droplets::droplet_of_machine(tx, id)?.ok_or(Error::NotFound)?;
            let distribution = match catalogue.catalogue().image(droplet.image_id) {
                Some(public) => Distribution::of(&public.spec.distribution).as_str().to_owned(),
                None => images::image_any(tx, droplet.image_id)?.map_or_else(unknown, |image| image.distribution),
            };
            Ok::<_, Error>((droplet, distribution))
        })
        .await?;
    let taken_at = cx.action.started_at;
    let backup = cx.action.kind == ActionKind::Backup.as_str();
    Ok(ImageRecord {
        id: taking.image_in_the_making,
        account: droplet.account,
        kind: if backup { ImageKind::Backup } else { ImageKind::Snapshot },
        status: ImageStatus::Available,
        distribution,
        description: String::new(),
        regions: vec![droplet.region],
        droplet: Some(droplet.id),
        min_disk_gib: Some(droplet.disk_gib),
        size_bytes: Some(facts.stored_bytes),
        url: None,
        error_message: String::new(),
        created_at: taken_at,
        expires_at: taking.expires_at(taken_at),
        deleted_at: None,
        name: taking.name,
    })
}

fn unknown() -> String {
    Distribution::Unknown.as_str().to_owned()
}

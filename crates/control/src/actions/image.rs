//! Actions on images of accounts: `create` of a custom one, `destroy`, `transfer`, `convert`.

use dewpoint_api::{ImageActionRequest, ImageId, ImageStatus};
use dewpoint_engine::{Error as EngineError, ImageName};
use dewpoint_store::{ImageRecord, Tx, images, images::ImageChange};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named, own_image},
};
use crate::Error;

const GIB: u64 = 1 << 30;

fn image_of(cx: &Context) -> ImageId {
    ImageId(cx.action.resource_id.unwrap_or_default())
}

fn name_of(cx: &Context) -> Result<ImageName, Error> {
    own_image(image_of(cx)).ok_or_else(|| Error::invalid("the image has no name an engine could keep it by"))
}

/// The image's row; `None` when it was deleted meanwhile.
async fn row_of(cx: &Context) -> Result<Option<ImageRecord>, Error> {
    let id = image_of(cx);
    let store = &cx.control.inner.store;
    let row: Option<ImageRecord> =
        store.read(move |tx: &mut dyn Tx| images::image_any(tx, id).map_err(Error::from)).await?;
    Ok(row.filter(|row| row.deleted_at.is_none()))
}

fn change(cx: &Context, change: ImageChange) -> Effect {
    Also::Image(image_of(cx), change).into()
}

fn status(cx: &Context, status: ImageStatus) -> Effect {
    change(cx, ImageChange { status: Some(status), ..ImageChange::default() })
}

/// The steps of fetching a custom image (IMG-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ImportStep {
    Begin,
    Fetch,
    /// Compensation: nothing half-fetched stays.
    Discard,
}

impl Flow for ImportStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Begin, "begin"), (Self::Fetch, "fetch")];
    const BACK: Option<Named<Self>> = Some((Self::Discard, "discard"));

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Begin => Ok(status(cx, ImageStatus::Pending)),
            Self::Fetch => fetch(cx).await,
            Self::Discard => {
                cx.engine().remove_image(&name_of(cx)?).await?;
                Ok(status(cx, ImageStatus::Deleted))
            }
        }
    }

    fn told(self, cx: &Context, error: &Error) -> Effect {
        let error_message = match error {
            Error::Engine(EngineError::ImportRefused(why)) => why.clone(),
            // What failed on the host is for its operator, who finds it in the action and in the log.
            _ => format!("The image could not be fetched here; action {} says why.", cx.action.id),
        };
        change(cx, ImageChange { error_message: Some(error_message), ..ImageChange::default() })
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        // What could not be discarded belongs to no image any more: the next start removes it.
        status(cx, ImageStatus::Deleted)
    }
}

async fn fetch(cx: &Context) -> Result<Effect, Error> {
    let name = name_of(cx)?;
    if let Some(url) = row_of(cx).await?.and_then(|row| row.url) {
        let facts = cx.engine().import(&name, &url).await?;
        if row_of(cx).await?.is_some() {
            let sizes = Some((facts.disk_bytes.div_ceil(GIB), facts.stored_bytes));
            let available = Some(ImageStatus::Available);
            return Ok(change(cx, ImageChange { status: available, sizes, ..ImageChange::default() }));
        }
    }
    // Deleted meanwhile. Its removal may have come before the last byte did.
    cx.engine().remove_image(&name).await?;
    Ok(Effect::default())
}

/// `destroy`: removes what the engine has of an image whose row is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DestroyStep;

impl Flow for DestroyStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "remove")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        cx.engine().remove_image(&name_of(cx)?).await?;
        Ok(Effect::default())
    }
}

/// `transfer`: the image can be used in another region. All regions are on this host: nothing is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TransferStep;

impl Flow for TransferStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "transfer")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let request: ImageActionRequest = cx.request()?;
        let region = request.region.ok_or_else(|| Error::invalid("the stored request names no region"))?;
        Ok(Also::ImageRegion(image_of(cx), region).into())
    }
}

/// `convert`: a backup becomes a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ConvertStep;

impl Flow for ConvertStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "convert")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        Ok(Also::ConvertImage(image_of(cx)).into())
    }
}

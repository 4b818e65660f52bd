//! Actions on images of accounts: `create` of a custom one, `destroy`, `transfer`, `convert`.

use dewpoint_api::{ImageActionRequest, ImageId, ImageStatus};
use dewpoint_engine::{Error as EngineError, ImageName};
use dewpoint_store::{ImageRecord, Tx, images, images::ImageChange};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, own_image},
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
    const STEPS: &'static [Self] = &[Self::Begin, Self::Fetch, Self::Discard];

    fn name(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Fetch => "fetch",
            Self::Discard => "discard",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Begin => Some(Self::Fetch),
            Self::Fetch | Self::Discard => None,
        }
    }

    fn compensation(self) -> Option<Self> {
        match self {
            Self::Begin | Self::Fetch => Some(Self::Discard),
            Self::Discard => None,
        }
    }

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

/// Declares a flow of one step.
macro_rules! one_step {
    ($(#[$meta:meta])* $name:ident, $step:ident = $word:literal, $run:expr) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $step,
        }

        impl Flow for $name {
            const STEPS: &'static [Self] = &[Self::$step];

            fn name(self) -> &'static str {
                match self {
                    Self::$step => $word,
                }
            }

            fn next(self) -> Option<Self> {
                match self {
                    Self::$step => None,
                }
            }

            async fn run(self, cx: &Context) -> Result<Effect, Error> {
                match self {
                    Self::$step => $run(cx).await,
                }
            }
        }
    };
}

one_step! {
    /// `destroy`: removes what the engine has of an image whose row is deleted.
    DestroyStep, Remove = "remove", async |cx: &Context| {
        cx.engine().remove_image(&name_of(cx)?).await?;
        Ok(Effect::default())
    }
}

one_step! {
    /// `transfer`: the image can be used in another region. All regions are on this host: nothing is copied.
    TransferStep, Transfer = "transfer", async |cx: &Context| {
        let request: ImageActionRequest = cx.request()?;
        let region = request.region.ok_or_else(|| Error::invalid("the stored request names no region"))?;
        Ok(Also::ImageRegion(image_of(cx), region).into())
    }
}

one_step! {
    /// `convert`: a backup becomes a snapshot.
    ConvertStep, Convert = "convert", async |cx: &Context| Ok(Also::ConvertImage(image_of(cx)).into())
}

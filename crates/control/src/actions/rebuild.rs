//! `rebuild` and `restore`: start a Droplet's disk anew from an image (DAC-6). Number, addresses and name stay.
//!
//! The image is kept with the action until the engine has used it: a step done twice starts the disk anew twice, from the same.

use dewpoint_api::{DropletStatus, ImageId};
use dewpoint_engine::{Error as EngineError, Power, PowerState};
use dewpoint_store::{DropletRecord, droplets::DropletChange};
use serde::{Deserialize, Serialize};

use super::{
    effect::Effect,
    flow::{Context, Flow, Named},
    gpus::{self, GPUS},
};
use crate::{Error, readiness};

/// What the disk is to start as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) image_id: ImageId,
    /// Of a public one.
    pub(crate) image_slug: Option<String>,
}

impl Target {
    fn put(&self, record: &mut DropletRecord) {
        record.image_id = self.image_id;
        record.image_slug.clone_from(&self.image_slug);
    }
}

/// The steps of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RebuildStep {
    Off,
    /// Hands the machine its GPUs; of a Droplet that has some.
    Gpus,
    Rebuild,
    On,
}

impl Flow for RebuildStep {
    const STEPS: &'static [Named<Self>] =
        &[(Self::Off, "off"), (Self::Gpus, GPUS), (Self::Rebuild, "rebuild"), (Self::On, "on")];

    fn is_for(self, cx: &Context) -> bool {
        self != Self::Gpus || cx.gpu_work().is_some()
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Off => {
                cx.engine().power(cx.machine(), Power::Off).await?;
                Ok(DropletChange { status: Some(DropletStatus::Off), ..DropletChange::default() }.into())
            }
            Self::Gpus => gpus::take_before_start(cx).await,
            Self::Rebuild => {
                let target: Target = cx.request()?;
                cx.engine().rebuild(cx.machine(), &cx.spec_with(|record| target.put(record)).await?).await?;
                let mut change = done(target);
                change.unready_since = Some(cx.control.now());
                Ok(change.into())
            }
            Self::On => {
                cx.engine().power(cx.machine(), Power::On).await?;
                let now = cx.control.now();
                let mut change =
                    DropletChange { status: Some(DropletStatus::Active), active_at: Some(now), ..Default::default() };
                readiness::first_look(&cx.control, cx.droplet, &mut change).await;
                Ok(change.into())
            }
        }
    }

    /// It stays off when its disk could not be made: what is on that disk is not known.
    async fn aftermath(self, cx: &Context) -> Effect {
        let mut change = DropletChange { next_image: Some(None), ..DropletChange::default() };
        if self == Self::Rebuild
            && let Ok(target) = cx.request::<Target>()
            && has_image(cx, &target).await
        {
            change = done(target);
        }
        change.status = match cx.engine().observe(cx.machine()).await {
            Ok(Some(observed)) => Some(match observed.power {
                PowerState::On => DropletStatus::Active,
                PowerState::Off => DropletStatus::Off,
            }),
            Ok(None) | Err(_) => None,
        };
        Effect { change, also: gpus::aftermath(cx).await }
    }
}

fn done(target: Target) -> DropletChange {
    let image = Some((target.image_id, target.image_slug));
    DropletChange { image, next_image: Some(None), ..DropletChange::default() }
}

/// Whether the engine has the machine as made from `target` in spite of its refusal: a change to what is so already succeeds,
/// one that would be to another image is a conflict.
async fn has_image(cx: &Context, target: &Target) -> bool {
    let Ok(spec) = cx.spec_with(|record| target.put(record)).await else { return false };
    match cx.engine().change(cx.machine(), &spec).await {
        Ok(()) => true,
        Err(EngineError::SpecConflict(_)) => false,
        Err(error) => {
            tracing::warn!(droplet.id = %cx.droplet, %error, "Cannot tell which image Droplet {} has", cx.droplet);
            false
        }
    }
}

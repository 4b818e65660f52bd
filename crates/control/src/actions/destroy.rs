//! `destroy`: remove the machine of a Droplet whose row is gone, then give its addresses back. Or, asked for so, destroy a
//! Droplet that is still there together with what belongs to it.

use dewpoint_api::DropletStatus;
use dewpoint_engine::PowerState;
use dewpoint_store::droplets::DropletChange;

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named},
    gpus::{self, GPUS},
    teardown,
};
use crate::Error;

/// The step a destroy with associated resources begins and ends with.
pub(crate) const TEARDOWN: &str = "parts";

/// The one step of a destroy: which one is decided when it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DestroyStep {
    /// The machine alone.
    Remove,
    /// After that, of a Droplet that has GPUs: takes them back.
    Gpus,
    /// The Droplet and what belongs to it.
    Parts,
}

impl Flow for DestroyStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Remove, "remove"), (Self::Gpus, GPUS), (Self::Parts, TEARDOWN)];

    fn next(self) -> Option<Self> {
        match self {
            Self::Remove => Some(Self::Gpus),
            // Each is the end of a destroy.
            Self::Gpus | Self::Parts => None,
        }
    }

    fn is_for(self, cx: &Context) -> bool {
        self != Self::Gpus || cx.gpu_work().is_some()
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Remove => {
                cx.engine().destroy(cx.machine()).await?;
                // Who has GPUs has its room until those are back.
                Ok(if cx.gpu_work().is_some() { Effect::default() } else { Also::ReleaseAddresses.into() })
            }
            Self::Gpus => {
                let mut also = gpus::give_back(cx).await?;
                also.push(Also::ReleaseAddresses);
                Ok(Effect { also, ..Effect::default() })
            }
            Self::Parts => {
                teardown::destroy_parts(cx).await?;
                Ok(Also::EndTeardown.into())
            }
        }
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        match self {
            // A machine that is still there keeps its addresses until the next start removes it.
            Self::Remove | Self::Gpus if cx.machine_is_gone().await => {
                let mut also = gpus::give_back_or_park(cx).await;
                also.push(Also::ReleaseAddresses);
                Effect { also, ..Effect::default() }
            }
            Self::Remove | Self::Gpus => Effect::default(),
            // The Droplet may be what could not be destroyed.
            Self::Parts => {
                let status = match cx.engine().observe(cx.machine()).await {
                    Ok(Some(seen)) if seen.power == PowerState::On => Some(DropletStatus::Active),
                    Ok(Some(_)) => Some(DropletStatus::Off),
                    Ok(None) | Err(_) => None,
                };
                let change = DropletChange { status, ..DropletChange::default() };
                Effect { change, also: vec![Also::EndTeardown] }
            }
        }
    }
}

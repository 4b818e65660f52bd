//! `destroy`: remove the machine of a Droplet whose row is gone, then give its addresses back. Or, asked for so, destroy a
//! Droplet that is still there together with what belongs to it.

use dewpoint_api::DropletStatus;
use dewpoint_engine::PowerState;
use dewpoint_store::droplets::DropletChange;

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named},
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
    /// The Droplet and what belongs to it.
    Parts,
}

impl Flow for DestroyStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Remove, "remove"), (Self::Parts, TEARDOWN)];

    fn next(self) -> Option<Self> {
        // Each is the whole of a destroy.
        None
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Remove => {
                cx.engine().destroy(cx.machine()).await?;
                Ok(Also::ReleaseAddresses.into())
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
            Self::Remove if cx.machine_is_gone().await => Also::ReleaseAddresses.into(),
            Self::Remove => Effect::default(),
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

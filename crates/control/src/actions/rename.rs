//! Actions that change only the record: `rename` (DAC-4), and the accepted but empty `enable_private_networking`.

use dewpoint_api::DropletActionRequest;
use dewpoint_store::droplets::DropletChange;

use super::{
    effect::Effect,
    flow::{Context, Flow, Named},
};
use crate::Error;

/// The one step of a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RenameStep;

impl Flow for RenameStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "rename")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let request: DropletActionRequest = cx.request()?;
        Ok(DropletChange { name: request.name, ..DropletChange::default() }.into())
    }
}

/// The one step of an action that has nothing to do: every Droplet has private networking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NothingStep;

impl Flow for NothingStep {
    const STEPS: &'static [Named<Self>] = &[(Self, super::flow::NOTHING)];

    async fn run(self, _: &Context) -> Result<Effect, Error> {
        Ok(Effect::default())
    }
}

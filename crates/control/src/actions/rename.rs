//! Actions that change only the record: `rename` (DAC-4), and the accepted but empty `enable_private_networking`.

use dewpoint_api::DropletActionRequest;
use dewpoint_store::droplets::DropletChange;

use super::{
    effect::Effect,
    flow::{Context, Flow},
};
use crate::Error;

/// The one step of a rename.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RenameStep {
    Rename,
}

impl Flow for RenameStep {
    const STEPS: &'static [Self] = &[Self::Rename];

    fn name(self) -> &'static str {
        match self {
            Self::Rename => "rename",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Rename => None,
        }
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Rename => {
                let request: DropletActionRequest = cx.request()?;
                Ok(DropletChange { name: request.name, ..DropletChange::default() }.into())
            }
        }
    }
}

/// The one step of an action that has nothing to do: every Droplet has private networking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NothingStep {
    Nothing,
}

impl Flow for NothingStep {
    const STEPS: &'static [Self] = &[Self::Nothing];

    fn name(self) -> &'static str {
        match self {
            Self::Nothing => super::flow::NOTHING,
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Nothing => None,
        }
    }

    async fn run(self, _: &Context) -> Result<Effect, Error> {
        match self {
            Self::Nothing => Ok(Effect::default()),
        }
    }
}

//! `destroy`: remove the machine of a Droplet whose row is gone, then give its addresses back.

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow},
};
use crate::Error;

/// The one step of a destroy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DestroyStep {
    Remove,
}

impl Flow for DestroyStep {
    const STEPS: &'static [Self] = &[Self::Remove];

    fn name(self) -> &'static str {
        match self {
            Self::Remove => "remove",
        }
    }

    fn next(self) -> Option<Self> {
        match self {
            Self::Remove => None,
        }
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Remove => cx.engine().destroy(cx.machine()).await?,
        }
        Ok(Also::ReleaseAddresses.into())
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        // A machine that is still there keeps its addresses until the next start removes it.
        if cx.machine_is_gone().await { Also::ReleaseAddresses.into() } else { Effect::default() }
    }
}

//! `destroy`: remove the machine of a Droplet whose row is gone, then give its addresses back.

use dewpoint_store::droplets::DropletChange;

use super::flow::{Also, Context, Effect, Flow};
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
        Ok(Effect { change: DropletChange::default(), also: Also::ReleaseAddresses })
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        // A machine that is still there keeps its addresses until the next start removes it.
        let also = if cx.machine_is_gone().await { Also::ReleaseAddresses } else { Also::Nothing };
        Effect { change: DropletChange::default(), also }
    }
}

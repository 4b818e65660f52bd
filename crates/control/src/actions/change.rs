//! Actions that change a machine without touching what is on its disk: `resize` (DAC-3), `enable_ipv6` (DAC-8).

use dewpoint_api::DropletId;
use dewpoint_engine::Error as EngineError;
use dewpoint_store::{DropletRecord, Sizing, droplets::DropletChange};

use super::{
    effect::Effect,
    flow::{Context, Flow, Named},
};
use crate::{Error, network};

/// What a machine that is resized is to have.
fn put_sizing(sizing: &Sizing, record: &mut DropletRecord) {
    record.size = sizing.size.clone();
    record.vcpus = sizing.vcpus;
    record.memory_mib = sizing.memory_mib;
    record.disk_gib = sizing.disk_gib;
}

/// The one step of a resize; its request is the [`Sizing`] that was settled when it was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResizeStep;

impl Flow for ResizeStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "resize")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let sizing: Sizing = cx.request()?;
        cx.engine().change(cx.machine(), &cx.spec_with(|record| put_sizing(&sizing, record)).await?).await?;
        Ok(DropletChange { sizing: Some(sizing), ..DropletChange::default() }.into())
    }

    /// The machine is brought back to what the Droplet's row says. One whose disk has grown already cannot go back: it then
    /// is what it was to be, and the row says so.
    async fn aftermath(self, cx: &Context) -> Effect {
        match back(cx).await {
            Ok(()) => Effect::default(),
            Err(Error::Engine(EngineError::SpecConflict(_))) => match self.run(cx).await {
                Ok(effect) => effect,
                Err(error) => unclear(cx.droplet, &error),
            },
            Err(error) => unclear(cx.droplet, &error),
        }
    }
}

/// The one step of `enable_ipv6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipv6Step;

impl Flow for Ipv6Step {
    const STEPS: &'static [Named<Self>] = &[(Self, "address")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let address = network::v6_address(cx.control.config().public_v6_pool, cx.droplet);
        let spec = cx.spec_with(|record| record.public_v6 = Some(address)).await?;
        cx.engine().change(cx.machine(), &spec).await?;
        Ok(DropletChange { public_v6: Some(address), ..DropletChange::default() }.into())
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        match back(cx).await {
            Ok(()) => Effect::default(),
            Err(error) => unclear(cx.droplet, &error),
        }
    }
}

/// Makes the machine what the Droplet's row says.
async fn back(cx: &Context) -> Result<(), Error> {
    Ok(cx.engine().change(cx.machine(), &cx.spec_with(|_| {}).await?).await?)
}

fn unclear(droplet: DropletId, error: &Error) -> Effect {
    let error = super::chain(error);
    tracing::error!(droplet.id = %droplet, error, "Cannot bring the machine of Droplet {droplet} back to what it was");
    Effect::default()
}

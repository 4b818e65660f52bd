//! A create that is not to be made: what it would do.

use std::sync::Arc;

use dewpoint_api::{AccountId, DropletCreateRequest, DryRun, DryRunPlacement};
use dewpoint_store::{DropletRecord, Retry, Tx, droplets};

use super::{Created, Plan, commit::commit};
use crate::{Control, Error};

impl Control {
    /// What [`Control::droplet_create`] would do with this request; it makes nothing. Fails as that would, but for a lack of
    /// room, which is an answer.
    pub async fn droplet_create_dry(&self, account: AccountId, request: DropletCreateRequest) -> Result<DryRun, Error> {
        let source = self.source(account, request.image.as_ref()).await?;
        let plan = Arc::new(self.plan(account, request, source)?);
        let control = self.clone();
        // Its changes are not kept: the transaction ends with its answer as a failure.
        let tried = move |tx: &mut dyn Tx| Err(try_out(tx, &control, &plan).map_or_else(Undone::Failed, Undone::Would));
        let Err(undone) = self.inner.store.write::<(), _, _>(tried).await else {
            return Err(Error::invalid("The create was not tried."));
        };
        match undone {
            Undone::Would(dry) => Ok(dry),
            Undone::Failed(error) => Err(error),
        }
    }
}

/// How a create that is not to be made ends.
enum Undone {
    Would(DryRun),
    Failed(Error),
}

impl From<dewpoint_store::Error> for Undone {
    fn from(error: dewpoint_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Retry for Undone {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Failed(error) if error.is_conflict())
    }
}

fn try_out(tx: &mut dyn Tx, control: &Control, plan: &Plan) -> Result<DryRun, Error> {
    let (made, reasons) = match commit(tx, control, plan) {
        Ok(Created { droplets, reasons, .. }) => (droplets, reasons),
        Err(Error::OutOfStock { message, .. }) => (Vec::new(), vec![message]),
        Err(other) => return Err(other),
    };
    let placements = made.into_iter().filter_map(|view| {
        let DropletRecord { name, region, host, .. } = view.record;
        host.map(|host| DryRunPlacement { name, region, host })
    });
    let size = control.catalogue().size(&plan.size).ok_or(Error::NotFound)?;
    Ok(DryRun {
        price_hourly: size.spec.price_hourly.into(),
        price_monthly: size.spec.price_monthly.into(),
        placements: placements.collect(),
        reasons,
        droplets_left: plan.droplet_limit.saturating_sub(droplets::droplet_count(tx, plan.account)?),
    })
}

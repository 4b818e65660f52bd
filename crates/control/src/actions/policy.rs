//! Actions about when backups are made: `enable_backups`, `disable_backups`, `change_backup_policy` (DAC-7). Only the record
//! changes: backups there are stay.

use dewpoint_api::BackupPolicy;
use dewpoint_store::droplets::DropletChange;
use serde::{Deserialize, Serialize};

use super::{
    effect::Effect,
    flow::{Context, Flow, Named},
};
use crate::{Error, backups};

/// The policy from now on; none when backups end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) policy: Option<BackupPolicy>,
}

/// The one step of a change of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PolicyStep;

impl Flow for PolicyStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "write")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let Wanted { policy } = cx.request()?;
        let kept = policy.map(|policy| {
            Ok::<_, Error>((backups::text(&policy)?, backups::next_due(&policy, cx.droplet, cx.control.now())))
        });
        Ok(DropletChange { backups: Some(kept.transpose()?), ..DropletChange::default() }.into())
    }
}

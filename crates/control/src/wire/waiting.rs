//! Rows that say of themselves that they are not in force yet.

use dewpoint_api::VpcPeeringId;
use dewpoint_clock::Timestamp;
use dewpoint_store::{Tx, firewalls::force, vpc_peerings};
use uuid::Uuid;

use crate::Error;

/// One row and which of its states was read. One that was changed since stays waiting: the change rang again.
pub(crate) type Revision = (Uuid, u64);

/// What waited when the plan was read. A field for each kind of row that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    /// The newest change of a firewall; 0 when none waits.
    pub(crate) firewalls: u64,
    /// Peerings that are `PROVISIONING` (and become `ACTIVE`) or `DELETING` (and go).
    pub(crate) peerings: Vec<Revision>,
}

impl Waiting {
    /// Reads all of it, in the transaction that reads the plan.
    pub(super) fn read(tx: &mut dyn Tx) -> Result<Self, Error> {
        Ok(Self { firewalls: force::firewall_changes_newest(tx)?, peerings: vpc_peerings::vpc_peerings_waiting(tx)? })
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { firewalls, peerings } = self;
        *firewalls == 0 && peerings.is_empty()
    }

    /// Tells the rows that they are in force, those that did not change meanwhile.
    pub(super) fn is_in_force(&self, tx: &mut dyn Tx, _now: Timestamp) -> Result<(), Error> {
        for (id, revision) in &self.peerings {
            vpc_peerings::vpc_peering_settled(tx, VpcPeeringId(*id), *revision)?;
        }
        Ok(force::firewall_changes_done(tx, self.firewalls)?)
    }

    /// Tells the rows that say so of themselves that they could not be put in force. They are tried again.
    pub(super) fn has_failed(&self, tx: &mut dyn Tx) -> Result<(), Error> {
        Ok(force::firewall_changes_failed(tx, self.firewalls)?)
    }
}

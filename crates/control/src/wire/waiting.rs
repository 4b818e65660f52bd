//! Rows that say of themselves that they are not in force yet.

use dewpoint_clock::Timestamp;
use dewpoint_store::Tx;
use uuid::Uuid;

use crate::Error;

/// One row and which of its states was read. One that was changed since stays waiting: the change rang again.
pub(crate) type Revision = (Uuid, u64);

/// What waited when the plan was read. A field for each kind of row that waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting {
    /// Firewalls whose `status` is `waiting`.
    pub(crate) firewalls: Vec<Revision>,
    /// Peerings that are `PROVISIONING` (and become `ACTIVE`) or `DELETING` (and go).
    pub(crate) peerings: Vec<Revision>,
}

impl Waiting {
    /// Reads all of it, in the transaction that reads the plan.
    pub(super) fn read(_tx: &mut dyn Tx) -> Result<Self, Error> {
        Ok(Self::default())
    }

    pub(super) fn is_empty(&self) -> bool {
        let Self { firewalls, peerings } = self;
        firewalls.is_empty() && peerings.is_empty()
    }

    /// Tells the rows that they are in force, those that did not change meanwhile.
    pub(super) fn is_in_force(&self, _tx: &mut dyn Tx, _now: Timestamp) -> Result<(), Error> {
        Ok(())
    }
}

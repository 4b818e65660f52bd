//! Snapshots of Droplets and of volumes together.

use std::fmt::Display;

use dewpoint_api::{ResourceType, Snapshot};

use crate::{Call, Kept, List, operations as op};

groups! {
    /// Snapshots of Droplets and of volumes.
    Snapshots;
}

impl Snapshots {
    /// `GET /v2/snapshots`.
    pub fn list(&self) -> List<Snapshot> {
        self.0.list(&op::SNAPSHOTS_LIST, &[])
    }

    /// `GET /v2/snapshots/{id}`: an image's number, or a volume snapshot's UUID.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Display) -> Call<Kept<Snapshot>> {
        self.0.one(&op::SNAPSHOTS_GET, &[&id])
    }

    /// `DELETE /v2/snapshots/{id}`.
    pub fn delete(&self, id: impl Display) -> Call<()> {
        self.0.done(&op::SNAPSHOTS_DELETE, &[&id])
    }
}

impl List<Snapshot> {
    /// Only those of Droplets, or only those of volumes.
    pub fn of(self, kind: ResourceType) -> Self {
        self.query("resource_type", kind)
    }
}

//! Volumes, their actions and their snapshots.

use std::borrow::Borrow;

use std::fmt::Display;

use dewpoint_api::{
    Action, ActionId, RegionSlug, Snapshot, Volume, VolumeActionRequest, VolumeId, VolumeSnapshotCreateRequest,
};

use crate::{Call, CreateVolume, Kept, List, NamesDroplet, operations as op};

groups! {
    /// Volumes: disks that outlive the Droplet they are attached to.
    Volumes;
    /// Actions of volumes.
    VolumeActions;
    /// Snapshots of volumes.
    VolumeSnapshots;
}

leads! { Volumes {
    /// Actions of volumes.
    actions -> VolumeActions;
    /// Snapshots of volumes.
    snapshots -> VolumeSnapshots;
} }

impl Volumes {
    /// `GET /v2/volumes`.
    pub fn list(&self) -> List<Volume> {
        self.0.list(&op::VOLUMES_LIST, &[])
    }

    /// `POST /v2/volumes`.
    pub fn create(&self, wanted: impl Borrow<CreateVolume>) -> Call<Kept<Volume>> {
        self.0.one_from(&op::VOLUMES_CREATE, &[], wanted.borrow())
    }

    /// `GET /v2/volumes/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<VolumeId>) -> Call<Kept<Volume>> {
        self.0.one(&op::VOLUMES_GET, &[&id.into()])
    }

    /// `DELETE /v2/volumes/{id}`: 409 while it is attached.
    pub fn delete(&self, id: impl Into<VolumeId>) -> Call<()> {
        self.0.done(&op::VOLUMES_DELETE, &[&id.into()])
    }

    /// `DELETE /v2/volumes?name=…&region=…`.
    pub fn delete_by_name(&self, name: &str, region: impl Into<RegionSlug>) -> Call<()> {
        self.0.done(&op::VOLUMES_DELETE_BY_NAME, &[]).query("name", name).query("region", region.into())
    }
}

impl List<Volume> {
    /// Only those of a name.
    pub fn name(self, name: &str) -> Self {
        self.query("name", name)
    }

    /// Only those in a region.
    pub fn region(self, region: impl Into<RegionSlug>) -> Self {
        self.query("region", region.into())
    }
}

impl VolumeActions {
    /// `GET /v2/volumes/{id}/actions`.
    pub fn list(&self, id: impl Into<VolumeId>) -> List<Action> {
        self.0.list(&op::VOLUME_ACTIONS_LIST, &[&id.into()])
    }

    /// `GET /v2/volumes/{id}/actions/{action}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<VolumeId>, action: impl Into<ActionId>) -> Call<Kept<Action>> {
        self.0.one(&op::VOLUME_ACTIONS_GET, &[&id.into(), &action.into()])
    }

    /// `POST /v2/volumes/{id}/actions`: an action of any kind.
    pub fn initiate(&self, id: impl Into<VolumeId>, wanted: &VolumeActionRequest) -> Call<Kept<Action>> {
        self.0.one_from(&op::VOLUME_ACTIONS_POST_BY_ID, &[&id.into()], wanted)
    }

    /// `POST /v2/volumes/actions`: an action of any kind, on the volume that the request names.
    pub fn initiate_by_name(&self, wanted: &VolumeActionRequest) -> Call<Kept<Action>> {
        self.0.one_from(&op::VOLUME_ACTIONS_POST, &[], wanted)
    }

    /// Gives a volume to a Droplet.
    pub fn attach(&self, id: impl Into<VolumeId>, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.initiate(id, &of("attach", Some(&droplet), None))
    }

    /// Takes a volume from a Droplet.
    pub fn detach(&self, id: impl Into<VolumeId>, droplet: impl NamesDroplet) -> Call<Kept<Action>> {
        self.initiate(id, &of("detach", Some(&droplet), None))
    }

    /// Makes a volume larger, to `size_gib` GiB. It never becomes smaller.
    pub fn resize(&self, id: impl Into<VolumeId>, size_gib: u32) -> Call<Kept<Action>> {
        self.initiate(id, &of("resize", None, Some(size_gib)))
    }
}

fn of(kind: &str, droplet: Option<&dyn NamesDroplet>, size_gib: Option<u32>) -> VolumeActionRequest {
    VolumeActionRequest {
        kind: kind.to_owned(),
        droplet_id: droplet.map(NamesDroplet::droplet_id),
        size_gigabytes: size_gib.map(i64::from),
        ..VolumeActionRequest::default()
    }
}

impl VolumeSnapshots {
    /// `GET /v2/volumes/{id}/snapshots`: those of one volume.
    pub fn list(&self, id: impl Into<VolumeId>) -> List<Snapshot> {
        self.0.list(&op::VOLUME_SNAPSHOTS_LIST, &[&id.into()])
    }

    /// `POST /v2/volumes/{id}/snapshots`.
    pub fn create(&self, id: impl Into<VolumeId>, wanted: &VolumeSnapshotCreateRequest) -> Call<Kept<Snapshot>> {
        self.0.one_from(&op::VOLUME_SNAPSHOTS_CREATE, &[&id.into()], wanted)
    }

    /// `GET /v2/volumes/snapshots/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Display) -> Call<Kept<Snapshot>> {
        self.0.one(&op::VOLUME_SNAPSHOTS_GET_BY_ID, &[&id])
    }

    /// `DELETE /v2/volumes/snapshots/{id}`.
    pub fn delete(&self, id: impl Display) -> Call<()> {
        self.0.done(&op::VOLUME_SNAPSHOTS_DELETE_BY_ID, &[&id])
    }
}

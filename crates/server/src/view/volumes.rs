//! Volumes and their snapshots as the API shows them.

use dewpoint_api as api;
use dewpoint_api::{ResourceType, Scope};
use dewpoint_control::{
    Control,
    volumes::{VolumeSnapshotView, VolumeView},
};

use super::{gigabytes, region};
use crate::Caller;

/// A volume (VOL-4).
pub(crate) fn volume(control: &Control, caller: &Caller, view: VolumeView) -> api::Volume {
    let VolumeView { record, tags } = view;
    api::Volume {
        id: record.id,
        region: region(control, caller, &record.region),
        droplet_ids: record.droplet.into_iter().filter(|_| caller.has(Scope::DropletRead)).collect(),
        name: record.name,
        description: record.description,
        size_gigabytes: record.size_gib,
        created_at: record.created_at,
        filesystem_type: record.filesystem_type,
        filesystem_label: record.filesystem_label,
        tags: if caller.has(Scope::TagRead) { tags } else { Vec::new() },
    }
}

/// A snapshot of a volume (SNP-1). Its size is 0 until it is taken.
pub(crate) fn volume_snapshot(caller: &Caller, view: VolumeSnapshotView) -> api::Snapshot {
    let VolumeSnapshotView { record, tags } = view;
    api::Snapshot {
        id: record.id.to_string(),
        name: record.name,
        created_at: record.created_at,
        regions: vec![record.region],
        resource_id: record.volume.to_string(),
        resource_type: ResourceType::Volume.into(),
        min_disk_size: record.size_gib,
        size_gigabytes: gigabytes(record.size_bytes),
        tags: if caller.has(Scope::TagRead) { tags } else { Vec::new() },
    }
}

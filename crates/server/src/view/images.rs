//! Images of accounts as the API shows them: whole, and as their Droplet lists them.

use dewpoint_api as api;
use dewpoint_api::{Embedded, Scope};
use dewpoint_control::images::ImageView;
use dewpoint_store::ImageRecord;

use crate::Caller;

const GIB: f64 = (1_u64 << 30) as f64;

/// An account's own image (IMG-3, IMG-4).
pub(crate) fn image(caller: &Caller, view: ImageView) -> Embedded<api::Image> {
    let ImageView { record, tags } = view;
    let tags = if caller.has(Scope::TagRead) { tags } else { Vec::new() };
    api::Image { tags, ..bare_image(record) }.into()
}

/// An account's own image without its tags, as a Droplet made from it shows it.
pub(crate) fn bare_image(record: ImageRecord) -> api::Image {
    api::Image {
        id: record.id,
        name: record.name,
        kind: record.kind.into(),
        distribution: record.distribution,
        slug: None,
        public: false,
        regions: record.regions,
        created_at: record.created_at,
        min_disk_size: record.min_disk_gib,
        size_gigabytes: record.size_bytes.map(gigabytes),
        description: record.description,
        tags: Vec::new(),
        status: record.status.into(),
        error_message: record.error_message,
    }
}

/// A snapshot or backup as its Droplet lists it.
pub(crate) fn droplet_snapshot(record: ImageRecord) -> api::DropletSnapshot {
    use api::DropletSnapshotKind::{Backup, Snapshot};
    api::DropletSnapshot {
        id: record.id,
        name: record.name,
        kind: if record.kind == api::ImageKind::Backup { Backup.into() } else { Snapshot.into() },
        distribution: Some(record.distribution),
        slug: None,
        public: false,
        regions: record.regions,
        created_at: record.created_at,
        min_disk_size: record.min_disk_gib.unwrap_or_default(),
        size_gigabytes: record.size_bytes.map(gigabytes).unwrap_or_default(),
    }
}

/// A snapshot of a Droplet among all snapshots (SNP-1).
pub(crate) fn snapshot_of_droplet(caller: &Caller, view: ImageView) -> api::Snapshot {
    let ImageView { record, tags } = view;
    api::Snapshot {
        id: record.id.to_string(),
        name: record.name,
        created_at: record.created_at,
        regions: record.regions,
        resource_id: record.droplet.map(|id| id.to_string()).unwrap_or_default(),
        resource_type: api::ResourceType::Droplet.into(),
        min_disk_size: record.min_disk_gib.unwrap_or_default(),
        size_gigabytes: record.size_bytes.map(gigabytes).unwrap_or_default(),
        tags: if caller.has(Scope::TagRead) { tags } else { Vec::new() },
    }
}

/// Bytes as the API counts them: in GiB, with two decimals.
pub(crate) fn gigabytes(bytes: u64) -> f64 {
    // Sizes are far below 2^53 bytes.
    #[allow(clippy::cast_precision_loss)]
    let bytes = bytes as f64;
    (bytes / GIB * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_gib_with_two_decimals() {
        assert_eq!(gigabytes(0).to_string(), "0");
        assert_eq!(gigabytes(2_534_030_213).to_string(), "2.36");
        assert_eq!(gigabytes(100 << 30).to_string(), "100");
    }
}

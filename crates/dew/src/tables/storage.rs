//! Images, volumes and snapshots.

use crate::output::{Column, Json, Table, by, col};

fn gib(value: &Json) -> String {
    match value.cell() {
        empty if empty.is_empty() => empty,
        amount => format!("{amount} GiB"),
    }
}

const IMAGE_COLUMNS: &[Column] = &[
    col("ID", "ID", "id"),
    col("Name", "Name", "name"),
    col("Type", "Type", "type"),
    col("Distribution", "Distribution", "distribution"),
    col("Slug", "Slug", "slug"),
    col("Public", "Public", "public"),
    col("MinDisk", "Min Disk", "min_disk_size"),
    col("Status", "Status", "status").on_demand(),
    col("Regions", "Regions", "regions").on_demand(),
    col("Created", "Created At", "created_at").on_demand(),
    col("Error", "Error", "error_message").on_demand(),
];

pub(crate) static VOLUME: Table = Table {
    one: "volume",
    many: "volumes",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        by("Size", "Size", |volume| gib(volume.at("size_gigabytes"))),
        col("Region", "Region", "region.slug"),
        col("FilesystemType", "Filesystem Type", "filesystem_type"),
        col("FilesystemLabel", "Filesystem Label", "filesystem_label"),
        col("DropletIDs", "Droplet IDs", "droplet_ids"),
        col("Tags", "Tags", "tags"),
        col("Created", "Created At", "created_at").on_demand(),
        col("Description", "Description", "description").on_demand(),
    ],
};

pub(crate) static SNAPSHOT: Table = Table {
    one: "snapshot",
    many: "snapshots",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("CreatedAt", "Created at", "created_at"),
        col("Regions", "Regions", "regions"),
        col("ResourceId", "Resource ID", "resource_id"),
        col("ResourceType", "Resource Type", "resource_type"),
        col("MinDiskSize", "Min Disk Size", "min_disk_size"),
        by("Size", "Size", |snapshot| gib(snapshot.at("size_gigabytes"))),
        col("Tags", "Tags", "tags"),
    ],
};

pub(crate) static IMAGE: Table = Table { one: "image", many: "images", columns: IMAGE_COLUMNS };
pub(crate) static BACKUP_OF_DROPLET: Table = Table { one: "backup", many: "backups", columns: IMAGE_COLUMNS };
pub(crate) static SNAPSHOT_OF_DROPLET: Table = Table { one: "snapshot", many: "snapshots", columns: IMAGE_COLUMNS };

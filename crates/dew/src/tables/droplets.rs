//! Droplets, what is done to them, and what they are made of.

use crate::output::{Json, Table, by, col};

/// The first address of a Droplet of this family and type; nothing when it has none.
pub(crate) fn address(droplet: &Json, family: &str, kind: &str) -> String {
    let addresses = droplet.at("networks").at(family).list();
    let found = addresses.iter().find(|address| address.at("type").cell() == kind);
    found.map(|address| address.at("ip_address").cell()).unwrap_or_default()
}

fn sorted(value: &Json) -> String {
    let mut words: Vec<String> = value.list().iter().map(Json::cell).collect();
    words.sort();
    words.join(",")
}

pub(crate) static DROPLET: Table = Table {
    one: "droplet",
    many: "droplets",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        by("PublicIPv4", "Public IPv4", |droplet| address(droplet, "v4", "public")),
        by("PrivateIPv4", "Private IPv4", |droplet| address(droplet, "v4", "private")),
        by("PublicIPv6", "Public IPv6", |droplet| address(droplet, "v6", "public")),
        col("Memory", "Memory", "memory"),
        col("VCPUs", "VCPUs", "vcpus"),
        col("Disk", "Disk", "disk"),
        col("Region", "Region", "region.slug"),
        by("Image", "Image", |droplet| {
            format!("{} {}", droplet.at("image.distribution").cell(), droplet.at("image.name").cell())
        }),
        col("VPCUUID", "VPC UUID", "vpc_uuid"),
        col("Status", "Status", "status"),
        by("Tags", "Tags", |droplet| sorted(droplet.at("tags"))),
        col("Features", "Features", "features"),
        col("Volumes", "Volumes", "volume_ids"),
        col("SizeSlug", "Size Slug", "size_slug").on_demand(),
        col("Created", "Created At", "created_at").on_demand(),
        col("Locked", "Locked", "locked").on_demand(),
        col("GPUs", "GPUs", "gpu_info.count").on_demand(),
        col("GPUModel", "GPU Model", "gpu_info.model").on_demand(),
    ],
};

pub(crate) static ACTION: Table = Table {
    one: "action",
    many: "actions",
    columns: &[
        col("ID", "ID", "id"),
        col("Status", "Status", "status"),
        col("Type", "Type", "type"),
        col("StartedAt", "Started At", "started_at"),
        col("CompletedAt", "Completed At", "completed_at"),
        col("ResourceID", "Resource ID", "resource_id"),
        col("ResourceType", "Resource Type", "resource_type"),
        col("Region", "Region", "region_slug"),
    ],
};

pub(crate) static KERNEL: Table = Table {
    one: "kernel",
    many: "kernels",
    columns: &[col("ID", "ID", "id"), col("Name", "Name", "name"), col("Version", "Version", "version")],
};

pub(crate) static POLICY: Table = Table {
    one: "policy",
    many: "policies",
    columns: &[
        col("DropletID", "Droplet ID", "droplet_id"),
        col("BackupEnabled", "Enabled", "backup_enabled"),
        col("BackupPolicyPlan", "Plan", "backup_policy.plan"),
        col("BackupPolicyWeekday", "Weekday", "backup_policy.weekday"),
        col("BackupPolicyHour", "Hour", "backup_policy.hour"),
        col("BackupPolicyWindowLengthHours", "Window Length Hours", "backup_policy.window_length_hours"),
        col("BackupPolicyRetentionPeriodDays", "Retention Period Days", "backup_policy.retention_period_days"),
        col("NextBackupWindowStart", "Next Window Start", "next_backup_window.start"),
        col("NextBackupWindowEnd", "Next Window End", "next_backup_window.end"),
    ],
};

pub(crate) static SUPPORTED_POLICY: Table = Table {
    one: "supported_policy",
    many: "supported_policies",
    columns: &[
        col("Name", "Name", "name"),
        col("PossibleWindowStarts", "Possible Window Starts", "possible_window_starts"),
        col("WindowLengthHours", "Window Length Hours", "window_length_hours"),
        col("RetentionPeriodDays", "Retention Period Days", "retention_period_days"),
        col("PossibleDays", "Possible Days", "possible_days"),
    ],
};

pub(crate) static DRY_RUN: Table = Table {
    one: "dry_run",
    many: "dry_runs",
    columns: &[
        col("PriceHourly", "Price Hourly", "price_hourly"),
        col("PriceMonthly", "Price Monthly", "price_monthly"),
        by("Placements", "Placements", |run| {
            let place = |place: &Json| {
                format!("{} on {} in {}", place.at("name").cell(), place.at("host").cell(), place.at("region").cell())
            };
            run.at("placements").list().iter().map(place).collect::<Vec<_>>().join("; ")
        }),
        col("Reasons", "Reasons", "reasons"),
        col("DropletsLeft", "Droplets Left", "droplets_left"),
    ],
};

pub(crate) static ASSOCIATED: Table = Table {
    one: "resource",
    many: "resources",
    columns: &[
        col("Kind", "Kind", "kind"),
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("Cost", "Monthly Cost", "cost"),
        col("DestroyedAt", "Destroyed At", "destroyed_at").on_demand(),
        col("Error", "Error", "error_message").on_demand(),
    ],
};

pub(crate) static NEIGHBORS: Table =
    Table { one: "group", many: "neighbor_ids", columns: &[by("DropletIDs", "Droplet IDs", Json::cell)] };

/// A root password, shown once.
pub(crate) static PASSWORD: Table = Table {
    one: "password",
    many: "passwords",
    columns: &[col("Password", "Password", "password"), col("SetAt", "Set At", "set_at")],
};

pub(crate) static REGION: Table = Table {
    one: "region",
    many: "regions",
    columns: &[
        col("Slug", "Slug", "slug"),
        col("Name", "Name", "name"),
        col("Available", "Available", "available"),
        col("Features", "Features", "features").on_demand(),
        col("Sizes", "Sizes", "sizes").on_demand(),
    ],
};

pub(crate) static SIZE: Table = Table {
    one: "size",
    many: "sizes",
    columns: &[
        col("Slug", "Slug", "slug"),
        col("Memory", "Memory", "memory"),
        col("VCPUs", "VCPUs", "vcpus"),
        col("Disk", "Disk", "disk"),
        col("PriceMonthly", "Price Monthly", "price_monthly"),
        col("PriceHourly", "Price Hourly", "price_hourly"),
        col("Available", "Available", "available").on_demand(),
        col("Regions", "Regions", "regions").on_demand(),
        col("GPUs", "GPUs", "gpu_info.count").on_demand(),
        col("GPUModel", "GPU Model", "gpu_info.model").on_demand(),
        col("Description", "Description", "description").on_demand(),
    ],
};

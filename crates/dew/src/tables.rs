//! The columns of each kind of object, named as doctl names them.

use crate::output::{Column, Json, Table, by, col};

/// The first address of a Droplet of this family and type; nothing when it has none.
pub(crate) fn address(droplet: &Json, family: &str, kind: &str) -> String {
    let addresses = droplet.at("networks").at(family).list();
    let found = addresses.iter().find(|address| address.at("type").cell() == kind);
    found.map(|address| address.at("ip_address").cell()).unwrap_or_default()
}

fn gib(value: &Json) -> String {
    match value.cell() {
        empty if empty.is_empty() => empty,
        amount => format!("{amount} GiB"),
    }
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

pub(crate) static IMAGE: Table = Table { one: "image", many: "images", columns: IMAGE_COLUMNS };
pub(crate) static BACKUP_OF_DROPLET: Table = Table { one: "backup", many: "backups", columns: IMAGE_COLUMNS };
pub(crate) static SNAPSHOT_OF_DROPLET: Table = Table { one: "snapshot", many: "snapshots", columns: IMAGE_COLUMNS };

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

pub(crate) static SSH_KEY: Table = Table {
    one: "ssh_key",
    many: "ssh_keys",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("FingerPrint", "FingerPrint", "fingerprint"),
        col("PublicKey", "Public Key", "public_key").on_demand(),
    ],
};

pub(crate) static TAG: Table = Table {
    one: "tag",
    many: "tags",
    columns: &[
        col("Name", "Name", "name"),
        col("DropletCount", "Droplet Count", "resources.droplets.count"),
        col("ImageCount", "Image Count", "resources.images.count").on_demand(),
        col("VolumeCount", "Volume Count", "resources.volumes.count").on_demand(),
        col("Count", "Count", "resources.count").on_demand(),
    ],
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

pub(crate) static DOMAIN: Table = Table {
    one: "domain",
    many: "domains",
    columns: &[
        col("Domain", "Domain", "name"),
        col("TTL", "TTL", "ttl"),
        col("ZoneFile", "Zone File", "zone_file").on_demand(),
    ],
};

pub(crate) static RECORD: Table = Table {
    one: "domain_record",
    many: "domain_records",
    columns: &[
        col("ID", "ID", "id"),
        col("Type", "Type", "type"),
        col("Name", "Name", "name"),
        col("Data", "Data", "data"),
        col("Priority", "Priority", "priority"),
        col("Port", "Port", "port"),
        col("TTL", "TTL", "ttl"),
        col("Weight", "Weight", "weight"),
        col("Flags", "Flags", "flags").on_demand(),
        col("Tag", "Tag", "tag").on_demand(),
    ],
};

/// Rules as the flags of `dew firewall create` take them.
fn rules(rules: &Json, side: &str) -> String {
    let rule = |rule: &Json| {
        let mut parts = vec![format!("protocol:{}", rule.at("protocol").cell())];
        if rule.at("protocol").cell() != "icmp" {
            parts.push(format!("ports:{}", rule.at("ports").cell()));
        }
        for (member, word) in [
            ("addresses", "address"),
            ("tags", "tag"),
            ("droplet_ids", "droplet_id"),
            ("load_balancer_uids", "load_balancer_uid"),
        ] {
            parts.extend(rule.at(side).at(member).list().iter().map(|one| format!("{word}:{}", one.cell())));
        }
        parts.join(",")
    };
    rules.list().iter().map(rule).collect::<Vec<_>>().join(" ")
}

fn pending(changes: &Json) -> String {
    let change = |one: &Json| {
        format!(
            "droplet_id:{},removing:{},status:{}",
            one.at("droplet_id").cell(),
            one.at("removing").cell(),
            one.at("status").cell()
        )
    };
    changes.list().iter().map(change).collect::<Vec<_>>().join(" ")
}

pub(crate) static FIREWALL: Table = Table {
    one: "firewall",
    many: "firewalls",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("Status", "Status", "status"),
        col("Created", "Created At", "created_at"),
        by("InboundRules", "Inbound Rules", |firewall| rules(firewall.at("inbound_rules"), "sources")),
        by("OutboundRules", "Outbound Rules", |firewall| rules(firewall.at("outbound_rules"), "destinations")),
        col("DropletIDs", "Droplet IDs", "droplet_ids"),
        col("Tags", "Tags", "tags"),
        by("PendingChanges", "Pending Changes", |firewall| pending(firewall.at("pending_changes"))),
    ],
};

const RESERVED_COLUMNS: &[Column] = &[
    col("IP", "IP", "ip"),
    col("Region", "Region", "region.slug"),
    col("DropletID", "Droplet ID", "droplet.id"),
    col("DropletName", "Droplet Name", "droplet.name"),
    col("ProjectID", "Project ID", "project_id").on_demand(),
];

pub(crate) static RESERVED_IP: Table = Table { one: "reserved_ip", many: "reserved_ips", columns: RESERVED_COLUMNS };
pub(crate) static FLOATING_IP: Table = Table { one: "floating_ip", many: "floating_ips", columns: RESERVED_COLUMNS };

pub(crate) static RESERVED_IPV6: Table = Table {
    one: "reserved_ipv6",
    many: "reserved_ipv6s",
    columns: &[
        col("IP", "IP", "ip"),
        col("Region", "Region", "region_slug"),
        col("DropletID", "Droplet ID", "droplet.id"),
        col("DropletName", "Droplet Name", "droplet.name"),
    ],
};

pub(crate) static VPC: Table = Table {
    one: "vpc",
    many: "vpcs",
    columns: &[
        col("ID", "ID", "id"),
        col("URN", "URN", "urn"),
        col("Name", "Name", "name"),
        col("Description", "Description", "description"),
        col("IPRange", "IP Range", "ip_range"),
        col("Region", "Region", "region"),
        col("Created", "Created At", "created_at"),
        col("Default", "Default", "default"),
    ],
};

pub(crate) static MEMBER: Table = Table {
    one: "member",
    many: "members",
    columns: &[col("URN", "URN", "urn"), col("Name", "Name", "name"), col("Created", "Created At", "created_at")],
};

const PEERING_COLUMNS: &[Column] = &[
    col("ID", "ID", "id"),
    col("Name", "Name", "name"),
    col("VPCIDs", "VPC IDs", "vpc_ids"),
    col("Status", "Status", "status"),
    col("Created", "Created At", "created_at"),
];

pub(crate) static PEERING: Table = Table { one: "vpc_peering", many: "vpc_peerings", columns: PEERING_COLUMNS };
pub(crate) static PEERING_OF_VPC: Table = Table { one: "peering", many: "peerings", columns: PEERING_COLUMNS };

pub(crate) static PROJECT: Table = Table {
    one: "project",
    many: "projects",
    columns: &[
        col("ID", "ID", "id"),
        col("OwnerUUID", "Owner UUID", "owner_uuid"),
        col("OwnerID", "Owner ID", "owner_id"),
        col("Name", "Name", "name"),
        col("Description", "Description", "description"),
        col("Purpose", "Purpose", "purpose"),
        col("Environment", "Environment", "environment"),
        col("IsDefault", "Is Default?", "is_default"),
        col("CreatedAt", "Created At", "created_at"),
        col("UpdatedAt", "Updated At", "updated_at"),
    ],
};

pub(crate) static RESOURCE: Table = Table {
    one: "resource",
    many: "resources",
    columns: &[
        col("URN", "URN", "urn"),
        col("AssignedAt", "Assigned At", "assigned_at"),
        col("Status", "Status", "status"),
    ],
};

pub(crate) static ACCOUNT: Table = Table {
    one: "account",
    many: "accounts",
    columns: &[
        col("Email", "User Email", "email"),
        col("Team", "Team", "team.name"),
        col("DropletLimit", "Droplet Limit", "droplet_limit"),
        col("EmailVerified", "Email Verified", "email_verified"),
        col("UUID", "User UUID", "uuid"),
        col("Status", "Status", "status"),
        col("VolumeLimit", "Volume Limit", "volume_limit").on_demand(),
    ],
};

pub(crate) static RATE_LIMIT: Table = Table {
    one: "ratelimit",
    many: "ratelimits",
    columns: &[
        col("Limit", "Limit", "limit"),
        col("Remaining", "Remaining", "remaining"),
        col("Reset", "Reset", "reset"),
    ],
};

/// Accounts as a server's operator sees them.
pub(crate) static ENTRY: Table = Table {
    one: "account",
    many: "accounts",
    columns: &[
        col("UUID", "UUID", "uuid"),
        col("Name", "Name", "name"),
        col("Email", "Email", "email"),
        col("Team", "Team", "team_name"),
        col("Created", "Created At", "created_at"),
    ],
};

pub(crate) static NEW_ENTRY: Table = Table {
    one: "account",
    many: "accounts",
    columns: &[
        col("UUID", "UUID", "uuid"),
        col("Name", "Name", "name"),
        col("Email", "Email", "email"),
        col("Token", "Token", "token"),
    ],
};

fn or_never(value: &Json) -> String {
    if *value == Json::Null { "never".to_owned() } else { value.cell() }
}

pub(crate) static TOKEN: Table = Table {
    one: "token",
    many: "tokens",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("Scopes", "Scopes", "scopes"),
        col("Created", "Created At", "created_at"),
        by("Expires", "Expires At", |token| or_never(token.at("expires_at"))),
        by("LastUsed", "Last Used At", |token| or_never(token.at("last_used_at"))),
    ],
};

pub(crate) static NEW_TOKEN: Table = Table {
    one: "token",
    many: "tokens",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("Scopes", "Scopes", "scopes"),
        by("Expires", "Expires At", |token| or_never(token.at("expires_at"))),
        col("Token", "Token", "token"),
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

pub(crate) static CONTEXT: Table = Table {
    one: "context",
    many: "contexts",
    columns: &[col("Name", "Name", "name"), col("URL", "URL", "url"), col("Current", "Current", "current")],
};

pub(crate) static LISTED_MODEL: Table = Table {
    one: "model",
    many: "models",
    columns: &[col("ID", "ID", "id"), col("Name", "Name", "name"), col("Created", "Created At", "created_at")],
};

pub(crate) static MODEL_KEY: Table = Table {
    one: "api_key_info",
    many: "api_key_infos",
    columns: &[col("ID", "ID", "uuid"), col("Name", "Name", "name"), col("Created", "Created At", "created_at")],
};

pub(crate) static NEW_MODEL_KEY: Table = Table {
    one: "api_key_info",
    many: "api_key_infos",
    columns: &[col("ID", "ID", "uuid"), col("Name", "Name", "name"), col("Key", "Key", "secret_key")],
};

/// What a key may have.
pub(crate) static KEY_LIMITS: Table = Table {
    one: "in_force",
    // Never several; the same word would take each member for an object.
    many: "keys",
    columns: &[
        col("RequestsPerMinute", "Requests/Minute", "requests_per_minute"),
        col("TokensPerMinute", "Tokens/Minute", "tokens_per_minute"),
        col("TokensPerDay", "Tokens/Day", "tokens_per_day"),
    ],
};

/// What keys used of models.
pub(crate) static USAGE: Table = Table {
    one: "usage",
    many: "usage",
    columns: &[
        col("Minute", "Minute", "minute"),
        col("Key", "Key", "key_id"),
        col("Model", "Model", "model"),
        col("Requests", "Requests", "requests"),
        col("Errors", "Errors", "errors"),
        col("TokensIn", "Tokens In", "tokens_in"),
        col("TokensOut", "Tokens Out", "tokens_out"),
        col("Estimated", "Estimated", "estimated"),
    ],
};

/// An answer of a model, which is shown as it comes and is a table for `-o json` alone.
pub(crate) static COMPLETION: Table =
    Table { one: "completion", many: "completions", columns: &[col("ID", "ID", "id"), col("Model", "Model", "model")] };

/// A root password, shown once.
pub(crate) static PASSWORD: Table = Table {
    one: "password",
    many: "passwords",
    columns: &[col("Password", "Password", "password"), col("SetAt", "Set At", "set_at")],
};

pub(crate) static SERVED_MODEL: Table = Table {
    one: "model",
    many: "models",
    columns: &[
        col("Name", "Name", "name"),
        col("State", "State", "state"),
        by("ServedBy", "Served By", |model| match model.at("droplets").has("tag") {
            true => format!("droplets {}:{}", model.at("droplets.tag").cell(), model.at("droplets.port").cell()),
            false => "file".to_owned(),
        }),
        col("Bytes", "Bytes", "file.bytes"),
        col("Quantization", "Quantization", "file.quantization"),
        col("Context", "Context", "file.context"),
        col("Why", "Why", "why"),
        col("Architecture", "Architecture", "file.architecture").on_demand(),
        col("Parameters", "Parameters", "file.parameters").on_demand(),
        col("SHA256", "SHA-256", "file.sha256").on_demand(),
        col("PID", "PID", "file.pid").on_demand(),
        col("Created", "Created At", "created_at").on_demand(),
    ],
};

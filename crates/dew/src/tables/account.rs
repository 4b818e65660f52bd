//! Accounts, their keys and tokens, and how they order what they have.

use crate::output::{Json, Table, by, col};

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

pub(crate) static CONTEXT: Table = Table {
    one: "context",
    many: "contexts",
    columns: &[col("Name", "Name", "name"), col("URL", "URL", "url"), col("Current", "Current", "current")],
};

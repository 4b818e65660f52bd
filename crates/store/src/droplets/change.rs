//! What changes about a Droplet that is there.

use std::net::{Ipv4Addr, Ipv6Addr};

use dewpoint_api::{ActionId, DropletId, DropletStatus, ImageId, SizeSlug};
use dewpoint_clock::Timestamp;

use super::ReadinessState;
use crate::{Error, Tx, Value};

/// A change to a Droplet; only what is `Some` is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropletChange {
    /// A new state.
    pub status: Option<DropletStatus>,
    /// A new name.
    pub name: Option<String>,
    /// The host it was placed on, and when.
    pub placed: Option<(String, Timestamp)>,
    /// When its machine first started.
    pub started_at: Option<Timestamp>,
    /// When its create completed.
    pub active_at: Option<Timestamp>,
    /// Another public address.
    pub public_v4: Option<Ipv4Addr>,
    /// When SSH first answered.
    pub ssh_at: Option<Timestamp>,
    /// How it went with readiness, in whose words, and when.
    pub readiness: Option<(ReadinessState, Option<String>, Timestamp)>,
    /// Another size, with what its machine has now.
    pub sizing: Option<Sizing>,
    /// Another image its disk was started from: its number, and its slug if it has one.
    pub image: Option<(ImageId, Option<String>)>,
    /// The image that its disk is about to be started from, `None` in it when that is over: kept from deletion meanwhile.
    pub next_image: Option<Option<ImageId>>,
    /// Its guest begins anew, as of then: readiness is awaited again.
    pub unready_since: Option<Timestamp>,
    /// Its backups from now on: policy as JSON and when the next one is due, or off.
    pub backups: Option<Option<(String, Timestamp)>>,
    /// An IPv6 address, which it did not have.
    pub public_v6: Option<Ipv6Addr>,
    /// The action that ended: the Droplet is free again.
    pub unlock: Option<ActionId>,
}

/// A size and what a Droplet of it has.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Sizing {
    /// Its plan.
    pub size: SizeSlug,
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Root disk in GiB.
    pub disk_gib: u64,
}

/// Writes `change`; whether the Droplet is still there.
pub fn droplet_change(tx: &mut dyn Tx, id: DropletId, change: &DropletChange) -> Result<bool, Error> {
    let mut columns: Vec<&str> = Vec::new();
    let mut values: Vec<Value<'_>> = vec![id.into()];
    let mut set = |column: &'static str, value: Value<'_>| {
        columns.push(column);
        values.push(own(value));
    };
    if let Some(status) = change.status {
        set("status", status.as_str().into());
    }
    if let Some(name) = &change.name {
        set("name", name.into());
        set("name_folded", name.to_lowercase().into());
    }
    if let Some((host, at)) = &change.placed {
        set("host", host.into());
        set("placed_at", (*at).into());
    }
    if let Some(at) = change.started_at {
        set("started_at", at.into());
    }
    if let Some(at) = change.active_at {
        set("active_at", at.into());
    }
    if let Some(address) = change.public_v4 {
        set("public_v4", u32::from(address).into());
    }
    if let Some(at) = change.ssh_at {
        set("ssh_at", at.into());
    }
    if let Some((state, detail, at)) = &change.readiness {
        set("readiness", state.as_str().into());
        set("readiness_detail", detail.as_ref().into());
        set("ready_at", (*at).into());
    }
    if let Some(sizing) = &change.sizing {
        set("size", (&sizing.size).into());
        set("vcpus", sizing.vcpus.into());
        set("memory_mib", sizing.memory_mib.into());
        set("disk_gib", sizing.disk_gib.into());
    }
    if let Some((image, slug)) = &change.image {
        set("image_id", (*image).into());
        set("image_slug", slug.as_ref().into());
    }
    if let Some(image) = change.next_image {
        set("next_image_id", image.into());
    }
    if let Some(since) = change.unready_since {
        set("active_at", since.into());
        set("readiness", ReadinessState::Pending.as_str().into());
        set("readiness_detail", Value::Null);
        set("ssh_at", Value::Null);
        set("ready_at", Value::Null);
    }
    if let Some(backups) = &change.backups {
        set("backups", backups.as_ref().map(|(policy, _)| policy).into());
        set("backup_due_at", backups.as_ref().map(|(_, due)| *due).into());
    }
    if let Some(address) = change.public_v6 {
        set("ipv6", true.into());
        set("public_v6", address.to_string().into());
    }
    if change.unlock.is_some() {
        set("running_action", Value::Null);
    }
    if columns.is_empty() {
        return Ok(true);
    }
    let assignments: Vec<String> =
        columns.iter().enumerate().map(|(index, column)| format!("{column} = ${}", index + 2)).collect();
    let mut sql = format!("UPDATE droplets SET {} WHERE id = $1", assignments.join(", "));
    if let Some(action) = change.unlock {
        values.push(action.into());
        sql.push_str(&format!(" AND running_action = ${}", values.len()));
    }
    tx.change_one(&sql, &values, id)
}

fn own<'a>(value: Value<'_>) -> Value<'a> {
    match value {
        Value::Null => Value::Null,
        Value::Int(value) => Value::Int(value),
        Value::Real(value) => Value::Real(value),
        Value::Bool(value) => Value::Bool(value),
        Value::Text(text) => Value::Owned(text.to_owned()),
        Value::Owned(text) => Value::Owned(text),
    }
}

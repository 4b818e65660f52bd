//! What belongs to a Droplet, and how its destruction goes.

use dewpoint_api as api;
use dewpoint_api::Scope;
use dewpoint_clock::Timestamp;
use dewpoint_control::droplets::Associated;
use dewpoint_store::{PartKind, TeardownPart, TeardownRecord};

use super::gigabytes;
use crate::Caller;

/// The public list prices in cents: a GiB of a volume, and of a snapshot, for a month.
const VOLUME_CENTS: f64 = 10.0;
const SNAPSHOT_CENTS: f64 = 6.0;
/// And of a reserved IP that is assigned to nothing.
const RESERVED_IP_CENTS: f64 = 500.0;

/// So many GiB at so many cents each, in USD with two decimals.
fn cost(gib: f64, cents: f64) -> String {
    format!("{:.2}", gib * cents / 100.0)
}

/// What belongs to a Droplet, as far as the token may see it (DEL-5).
pub(crate) fn associated(caller: &Caller, found: Associated) -> api::AssociatedResourcesResponse {
    let resource = |id: String, name: String, cost: String| api::AssociatedResource { id, name, cost };
    let snapshots = found.snapshots.into_iter().filter(|_| caller.has(Scope::ImageRead));
    let volumes = found.volumes.into_iter().filter(|_| caller.has(Scope::BlockStorageRead));
    let of_volumes = found.volume_snapshots.into_iter().filter(|_| caller.has(Scope::BlockStorageSnapshotRead));
    let reserved_ips = found.reserved_ips.iter().filter(|_| caller.has(Scope::ReservedIpRead));
    let reserved_ips: Vec<api::AssociatedResource> = reserved_ips
        .map(|ip| resource(ip.address.to_string(), ip.address.to_string(), cost(1.0, RESERVED_IP_CENTS)))
        .collect();
    api::AssociatedResourcesResponse {
        floating_ips: reserved_ips.clone(),
        reserved_ips,
        snapshots: snapshots
            .map(|image| {
                let gib = gigabytes(image.size_bytes.unwrap_or_default());
                resource(image.id.to_string(), image.name, cost(gib, SNAPSHOT_CENTS))
            })
            .collect(),
        volumes: volumes
            .map(|volume| {
                // At most 16384.
                let gib = u32::try_from(volume.size_gib).unwrap_or(u32::MAX);
                resource(volume.id.to_string(), volume.name, cost(gib.into(), VOLUME_CENTS))
            })
            .collect(),
        volume_snapshots: of_volumes
            .map(|one| resource(one.id.to_string(), one.name, cost(gigabytes(one.size_bytes), SNAPSHOT_CENTS)))
            .collect(),
    }
}

fn destroyed(part: &TeardownPart) -> api::DestroyedResource {
    api::DestroyedResource {
        id: part.id.clone(),
        name: part.name.clone(),
        destroyed_at: part.destroyed_at_ms.map(Timestamp::from_millis),
        error_message: part.error.clone(),
    }
}

/// How a destroy with associated resources goes (DEL-7).
pub(crate) fn destroy_status(record: &TeardownRecord) -> api::DestroyStatusResponse {
    let of = |kind: PartKind| record.parts.iter().filter(move |part| part.kind == kind).map(destroyed);
    let droplet = of(PartKind::Droplet).next().unwrap_or_else(|| api::DestroyedResource {
        id: record.droplet.to_string(),
        name: record.droplet_name.clone(),
        destroyed_at: None,
        error_message: None,
    });
    let failures = record.parts.iter().filter(|part| part.error.is_some()).count() as u64;
    api::DestroyStatusResponse {
        droplet,
        resources: api::DestroyedResources {
            snapshots: of(PartKind::Snapshot).collect(),
            volumes: of(PartKind::Volume).collect(),
            volume_snapshots: of(PartKind::VolumeSnapshot).collect(),
            reserved_ips: of(PartKind::ReservedIp).collect(),
            floating_ips: of(PartKind::ReservedIp).collect(),
        },
        completed_at: record.completed_at,
        failures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_dollars_a_month_with_two_decimals_del_5() {
        assert_eq!(cost(100.0, VOLUME_CENTS), "10.00");
        assert_eq!(cost(2.36, SNAPSHOT_CENTS), "0.14");
        assert_eq!(cost(0.0, SNAPSHOT_CENTS), "0.00");
    }
}

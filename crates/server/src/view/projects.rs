//! Projects and what is in them, as the API shows them.

use dewpoint_api as api;
use dewpoint_api::ProjectResourceStatus as Status;
use dewpoint_control::projects::{Assigned, ProjectView};
use dewpoint_store::ProjectEntry;

use crate::BaseUrl;

/// A project (PRJ-1).
pub(crate) fn project(view: ProjectView) -> api::Project {
    let ProjectView { record, owner_uuid, owner_id } = view;
    api::Project {
        id: record.id,
        owner_uuid,
        owner_id,
        name: record.name,
        description: record.description,
        purpose: record.purpose,
        environment: record.environment,
        is_default: record.is_default,
        created_at: record.created_at,
        updated_at: record.updated_at,
    }
}

/// Something in a project.
pub(crate) fn project_resource(base: &BaseUrl, entry: ProjectEntry) -> api::ProjectResource {
    assigned(base, Assigned { entry, status: Status::Ok })
}

/// Something that was to be put into a project, and how it came out.
pub(crate) fn assigned(base: &BaseUrl, came_out: Assigned) -> api::ProjectResource {
    let Assigned { entry, status } = came_out;
    // Kept under the older name of its kind (RIP-7), which is no path for an underscore.
    let path = |kind: &str| if kind == "floatingip" { "reserved_ips".to_owned() } else { format!("{kind}s") };
    let own = match entry.urn.strip_prefix("do:").and_then(|name| name.split_once(':')) {
        Some((kind, id)) if status != Status::NotFound => Some(base.address(&format!("/v2/{}/{id}", path(kind)))),
        Some(_) | None => None,
    };
    let links = api::ProjectResourceLinks { own };
    api::ProjectResource { urn: entry.urn, assigned_at: entry.assigned_at, links, status: status.into() }
}

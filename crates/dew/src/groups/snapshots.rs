//! `dew snapshot`: disks as they were, of Droplets and of volumes.

use crate::{
    commands::snapshot,
    tables::SNAPSHOT,
    tree::{
        kind::Kind,
        spec::{Group, Place, delete, flag, get, group, id, list},
    },
};

pub(super) fn group_of_snapshots() -> Group {
    group("snapshot", &["s"], "Snapshots: disks of Droplets and volumes as they were").verbs([
        list("list", "List snapshots", "/v2/snapshots")
            .aliases(&["ls"])
            .with([
                flag(
                    "resource",
                    Kind::Word(&["droplet", "volume"]),
                    Place::Query("resource_type"),
                    "Those of this kind",
                ),
                flag("region", Kind::Region, Place::Code, "Those in this region"),
            ])
            .shows(&SNAPSHOT)
            .run(|session, verb, given| Box::pin(snapshot::list(session, verb, given))),
        get("get", "Show a snapshot", "/v2/snapshots/{snapshot}")
            .aliases(&["g"])
            .with([id("snapshot", Kind::Snapshot).many()])
            .shows(&SNAPSHOT),
        delete("delete", "Delete snapshots", "/v2/snapshots/{snapshot}")
            .aliases(&["d", "rm"])
            .with([id("snapshot", Kind::Snapshot).many()])
            .destroys("delete for good snapshot"),
    ])
}

//! `dew volume` and `dew volume-action`: disks that outlive the Droplet they are attached to.

use crate::{
    tables::{ACTION, SNAPSHOT, VOLUME},
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, Waits, arg, delete, flag, get, group, id, list, post},
    },
};

pub(super) fn group_of_volumes() -> Group {
    let one = || [id("volume", Kind::Volume)];
    group("volume", &[], "Volumes: disks that outlive the Droplet they are attached to").verbs([
        post("create", "Make a volume", "/v2/volumes")
            .aliases(&["c"])
            .examples("  dew volume create data --region nyc3 --size 5GiB --fs-type ext4")
            .with([
                arg("name", Kind::Text("NAME"), Place::Body("name"), "What it is called"),
                flag(
                    "size",
                    Kind::Gib,
                    Place::Body("size_gigabytes"),
                    "How large, in GiB: 5, 5GiB, 1TiB; of a snapshot's size unless said",
                ),
                flag("region", Kind::Region, Place::Body("region"), "Where it is; a snapshot's region unless said"),
                flag("desc", Kind::Text("TEXT"), Place::Body("description"), "What it is for"),
                flag("snapshot", Kind::Snapshot, Place::Body("snapshot_id"), "The snapshot it starts as"),
                flag(
                    "fs-type",
                    Kind::Word(&["ext4", "xfs"]),
                    Place::Body("filesystem_type"),
                    "The file system to make on it",
                ),
                flag("fs-label", Kind::Text("LABEL"), Place::Body("filesystem_label"), "The file system's label"),
                flag("tag", Kind::Tag, Place::Body("tags"), "Tags to put on it").many(),
            ])
            .shows(&VOLUME),
        get("get", "Show a volume", "/v2/volumes/{volume}").aliases(&["g"]).with(one()).shows(&VOLUME),
        list("list", "List volumes", "/v2/volumes")
            .aliases(&["ls"])
            .with([
                flag("region", Kind::Region, Place::Query("region"), "Those in this region"),
                flag("name", Kind::Text("NAME"), Place::Query("name"), "Those of this name"),
            ])
            .shows(&VOLUME),
        delete("delete", "Delete volumes and what is on them", "/v2/volumes/{volume}")
            .aliases(&["d", "rm"])
            .with([id("volume", Kind::Volume).many()])
            .destroys("delete for good volume"),
        delete("delete-by-name", "Delete the volume of a name in a region", "/v2/volumes")
            .with([
                arg("name", Kind::Text("NAME"), Place::Query("name"), "What it is called"),
                flag("region", Kind::Region, Place::Query("region"), "Where it is").required(),
            ])
            .destroys("delete for good volume"),
        post("snapshot", "Make a snapshot of a volume", "/v2/volumes/{volume}/snapshots")
            .with(one())
            .with([
                flag("snapshot-name", Kind::Text("NAME"), Place::Body("name"), "What it is called").required(),
                flag("tag", Kind::Tag, Place::Body("tags"), "Tags to put on it").many(),
            ])
            .shows(&SNAPSHOT),
        get("get-snapshot", "Show a volume's snapshot", "/v2/volumes/snapshots/{snapshot}")
            .with([id("snapshot", Kind::Snapshot)])
            .shows(&SNAPSHOT),
        delete("delete-snapshot", "Delete volumes' snapshots", "/v2/volumes/snapshots/{snapshot}")
            .with([id("snapshot", Kind::Snapshot).many()])
            .destroys("delete for good snapshot"),
        list("snapshots", "List a volume's snapshots", "/v2/volumes/{volume}/snapshots").with(one()).shows(&SNAPSHOT),
    ])
}

pub(super) fn group_of_volume_actions() -> Group {
    let one = || [id("volume", Kind::Volume)];
    let at = |name, about, kind| {
        post(name, about, "/v2/volumes/{volume}/actions")
            .with(one())
            .with([arg("droplet", Kind::Droplet, Place::Body("droplet_id"), Kind::Droplet.described())])
            .fixed("type", kind)
            .shows(&ACTION)
            .waits(Waits::Actions)
    };
    group("volume-action", &["va"], "What is done to volumes: attach, detach, resize").verbs([
        get("get", "Show an action of a volume", "/v2/volumes/{volume}/actions/{action-id}")
            .with(one())
            .with([Param { is_flag: true, help: "The action", ..id("action-id", Kind::Action) }])
            .shows(&ACTION),
        list("list", "List what was done to a volume", "/v2/volumes/{volume}/actions").with(one()).shows(&ACTION),
        at("attach", "Attach a volume to a Droplet", "attach"),
        at("detach", "Detach a volume from a Droplet", "detach"),
        post("resize", "Make a volume larger", "/v2/volumes/{volume}/actions")
            .with(one())
            .with([
                flag("size", Kind::Gib, Place::Body("size_gigabytes"), "How large, in GiB: 10, 10GiB, 1TiB").required(),
                flag("region", Kind::Region, Place::Body("region"), "Where it is"),
            ])
            .fixed("type", "resize")
            .shows(&ACTION)
            .waits(Waits::Actions),
        post("by-name", "Attach or detach the volume of a name", "/v2/volumes/actions")
            .with([
                arg("name", Kind::Text("NAME"), Place::Body("volume_name"), "What it is called"),
                arg("droplet", Kind::Droplet, Place::Body("droplet_id"), Kind::Droplet.described()),
                flag("type", Kind::Word(&["attach", "detach"]), Place::Body("type"), "What to do").required(),
                flag("region", Kind::Region, Place::Body("region"), "Where it is").required(),
            ])
            .shows(&ACTION)
            .waits(Waits::Actions),
    ])
}

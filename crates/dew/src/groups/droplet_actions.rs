//! `dew droplet-action`: what is done to Droplets.

use super::droplets::policy;
use crate::{
    tables::{ACTION, PASSWORD},
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, Verb, Waits, flag, get, group, id, post, switch},
    },
};

/// An action on Droplets, one request for each.
fn act(name: &'static str, kind: &'static str, about: &'static str) -> Verb {
    let droplets = id("droplet", Kind::Droplet).many();
    post(name, about, "/v2/droplets/{droplet}/actions")
        .with([droplets])
        .fixed("type", kind)
        .shows(&ACTION)
        .waits(Waits::Actions)
}

pub(super) fn group_of_droplet_actions() -> Group {
    let named = |name, member, help| flag(name, Kind::Text("NAME"), Place::Body(member), help).required();
    group("droplet-action", &["da"], "What is done to Droplets: power, resize, snapshot, rebuild and more").verbs([
        get("get", "Show an action of a Droplet", "/v2/droplets/{droplet}/actions/{action-id}")
            .aliases(&["g"])
            .with([
                id("droplet", Kind::Droplet),
                Param { is_flag: true, help: "The action", ..id("action-id", Kind::Action) },
            ])
            .shows(&ACTION),
        act("power-on", "power_on", "Start Droplets"),
        act("power-off", "power_off", "Cut the power of Droplets"),
        act("power-cycle", "power_cycle", "Cut the power of Droplets and start them again"),
        act("shutdown", "shutdown", "Ask Droplets to shut down"),
        act("reboot", "reboot", "Ask Droplets to boot again"),
        act(
            "password-reset",
            "password_reset",
            "Give Droplets a new root password; `dew droplet-action password` shows it once",
        ),
        get("password", "Show a Droplet's root password, once", "/dew/v1/droplets/{droplet}/password")
            .with([id("droplet", Kind::Droplet)])
            .shows(&PASSWORD)
            .run(|session, verb, given| Box::pin(crate::commands::droplet::password(session, verb, given))),
        act("snapshot", "snapshot", "Make a snapshot").with([named("snapshot-name", "name", "What it is called")]),
        act("resize", "resize", "Change the size of Droplets that are off").with([
            flag("size", Kind::Size, Place::Body("size"), "The new size").required(),
            switch("resize-disk", Place::Body("disk"), "Make the disk larger too, which cannot be undone"),
        ]),
        act("rename", "rename", "Change a Droplet's name").with([named("droplet-name", "name", "The new name")]),
        act("rebuild", "rebuild", "Begin a Droplet again from an image; what is on its disk is lost")
            .with([flag("image", Kind::Image, Place::Body("image"), "The image").required()])
            .destroys("lose what is on the disk of Droplet"),
        act("restore", "restore", "Go back to a backup; what is on the disk is lost")
            .with([flag("image-id", Kind::Image, Place::Body("image"), "A backup of this Droplet").required()])
            .destroys("lose what is on the disk of Droplet"),
        act("enable-backups", "enable_backups", "Make backups from now on").with(policy()),
        act("change-backup-policy", "change_backup_policy", "Change when backups are made").with(policy()),
        act("disable-backups", "disable_backups", "Make no more backups"),
        act("enable-ipv6", "enable_ipv6", "Give Droplets a public IPv6 address"),
        act(
            "enable-private-networking",
            "enable_private_networking",
            "Taken for the sake of old scripts: every Droplet is in a VPC",
        ),
        act("change-kernel", "change_kernel", "Change the kernel; refused, since every Droplet boots its own")
            .with([flag("kernel-id", Kind::Whole("ID"), Place::Body("kernel"), "The kernel").required()]),
        post("by-tag", "Do something to all Droplets with a tag", "/v2/droplets/actions")
            .with([
                flag("tag-name", Kind::Tag, Place::Query("tag_name"), "The tag").required(),
                flag("type", Kind::Word(BY_TAG), Place::Body("type"), "What to do").required(),
                flag("snapshot-name", Kind::Text("NAME"), Place::Body("name"), "What snapshots are called"),
            ])
            .shows(&ACTION)
            .waits(Waits::Actions),
    ])
}

/// What can be done to all Droplets of a tag.
const BY_TAG: &[&str] = &[
    "power_on",
    "power_off",
    "power_cycle",
    "shutdown",
    "enable_private_networking",
    "enable_ipv6",
    "enable_backups",
    "disable_backups",
    "snapshot",
];

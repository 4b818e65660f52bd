//! `dew droplet`: virtual machines.

use crate::{
    commands::droplet,
    tables::{
        ACTION, ASSOCIATED, BACKUP_OF_DROPLET, DROPLET, FIREWALL, KERNEL, NEIGHBORS, POLICY, SNAPSHOT_OF_DROPLET,
        SUPPORTED_POLICY,
    },
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, Waits, arg, delete, flag, get, group, id, list, post, switch},
    },
};

pub(super) const PLANS: Kind = Kind::Word(&["daily", "weekly"]);
pub(super) const WEEKDAYS: Kind = Kind::Word(&["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]);

const CREATE: &str = "  dew droplet create web-1 --size s-1vcpu-1gb --image ubuntu-24-04-x64 --ssh-keys me --wait
  dew droplet create a b --size s-1vcpu-1gb --image micro-x64 --user-data-file init.sh --wait=ready
  dew droplet create gpu --size gpu-h100x1-80gb --image gpu-h100x1-base --region nyc2 --dry-run";

/// The flags of a backup policy.
pub(super) fn policy() -> [Param; 3] {
    [
        flag("backup-policy-plan", PLANS, Place::Body("backup_policy.plan"), "How often backups are made"),
        flag("backup-policy-weekday", WEEKDAYS, Place::Body("backup_policy.weekday"), "On which day, of a weekly plan"),
        flag(
            "backup-policy-hour",
            Kind::Whole("HOUR"),
            Place::Body("backup_policy.hour"),
            "From which hour on: 0, 4, 8, 12, 16, 20",
        ),
    ]
}

fn create() -> crate::tree::spec::Verb {
    post("create", "Make Droplets", "/v2/droplets")
        .aliases(&["c"])
        .examples(CREATE)
        .with([
            arg("names", Kind::Text("NAME"), Place::Code, "What they are called, and their first host names").many(),
            flag("size", Kind::Size, Place::Body("size"), "What they are made of; `dew size list` has them").required(),
            flag("image", Kind::Image, Place::Body("image"), "What their disks start as: an image's id or slug")
                .required(),
            flag("region", Kind::Region, Place::Body("region"), "Where they are [default: the server chooses]"),
            flag("ssh-keys", Kind::SshKey, Place::Body("ssh_keys"), "Keys to let in: ids, fingerprints or names")
                .many(),
            flag(
                "user-data",
                Kind::Text("TEXT"),
                Place::Body("user_data"),
                "What they do at their first boot: a script or cloud-config",
            ),
            flag("user-data-file", Kind::File, Place::Body("user_data"), "The same from a file; - is standard input"),
            flag("tag-name", Kind::Tag, Place::Body("tags"), "A tag to put on them").many(),
            flag("tag-names", Kind::Tag, Place::Body("tags"), "Tags to put on them, with commas between").many(),
            flag("vpc-uuid", Kind::Vpc, Place::Body("vpc_uuid"), "Their private network [default: the region's own]"),
            flag("volumes", Kind::Volume, Place::Body("volumes"), "Volumes to attach: ids or names").many(),
            flag("project-id", Kind::Project, Place::Code, "The project they belong to [default: the default one]"),
            switch("enable-ipv6", Place::Body("ipv6"), "Give them a public IPv6 address"),
            switch("enable-backups", Place::Body("backups"), "Make backups of them"),
            switch("enable-monitoring", Place::Body("monitoring"), "Keep the flag that monitoring is wanted"),
            switch(
                "enable-private-networking",
                Place::Body("private_networking"),
                "Taken for the sake of old scripts: every Droplet is in a VPC",
            ),
            flag("droplet-agent", Kind::Bool, Place::Body("with_droplet_agent"), "Whether the droplet agent is wanted"),
            flag(
                "public-networking",
                Kind::Bool,
                Place::Body("public_networking"),
                "Whether they have public addresses",
            ),
            flag(
                "gpu-partition-mode",
                Kind::Text("MODE"),
                Place::Body("gpu_partition_mode"),
                "How a GPU is shared out",
            ),
            flag(
                "serve",
                Kind::Text("MODEL"),
                Place::Code,
                "Serve this model on them, such as Qwen/Qwen2.5-7B-Instruct, and ask them for it",
            ),
            flag(
                "serve-recipe",
                Kind::Text("FILE"),
                Place::Code,
                "How, instead of vLLM: user data in which {model} and {port} are put",
            ),
            flag("serve-port", Kind::Whole("PORT"), Place::Code, "Where it answers [default: 8000]"),
            switch("dry-run", Place::Code, "Make nothing: say what it would cost and where it would be"),
        ])
        .with(policy())
        .shows(&DROPLET)
        .waits(Waits::Droplets)
        .run(|session, verb, given| Box::pin(droplet::create(session, verb, given)))
}

fn policies() -> Group {
    group("backup-policies", &[], "When backups of Droplets are made").verbs([
        get("get", "Show a Droplet's policy", "/v2/droplets/{droplet}/backups/policy")
            .with([id("droplet", Kind::Droplet)])
            .shows(&POLICY),
        list("list", "List the policies of all Droplets", "/v2/droplets/backups/policies")
            .aliases(&["ls"])
            .shows(&POLICY),
        get("list-supported", "List the policies there can be", "/v2/droplets/backups/supported_policies")
            .shows(&SUPPORTED_POLICY),
    ])
}

fn associated() -> Group {
    use crate::commands::associated;
    let one = || [id("droplet", Kind::Droplet)];
    let choose = |name, kind, help| flag(name, kind, Place::Code, help).many();
    group("associated", &[], "Droplets together with what belongs to them").verbs([
        get(
            "list",
            "List what would be destroyed with a Droplet",
            "/v2/droplets/{droplet}/destroy_with_associated_resources",
        )
        .with(one())
        .shows(&ASSOCIATED)
        .run(|session, verb, given| Box::pin(associated::list(session, verb, given))),
        delete(
            "destroy",
            "Destroy a Droplet and what is named with it",
            "/v2/droplets/{droplet}/destroy_with_associated_resources/selective",
        )
        .with(one())
        .with([
            choose("snapshots", Kind::Snapshot, "Snapshots of it"),
            choose("volumes", Kind::Volume, "Volumes attached to it"),
            choose("volume-snapshots", Kind::Snapshot, "Snapshots of those volumes"),
            choose("reserved-ips", Kind::ReservedIp, "Addresses that lead to it"),
            switch("all", Place::Code, "Everything that belongs to it"),
        ])
        .destroys("destroy with what belongs to it the Droplet")
        .run(|session, verb, given| Box::pin(associated::destroy(session, verb, given))),
        get("status", "Show how far that is", "/v2/droplets/{droplet}/destroy_with_associated_resources/status")
            .with(one())
            .shows(&ASSOCIATED)
            .run(|session, verb, given| Box::pin(associated::status(session, verb, given))),
        post("retry", "Try again what failed", "/v2/droplets/{droplet}/destroy_with_associated_resources/retry")
            .with(one()),
    ])
}

pub(super) fn group_of_droplets() -> Group {
    let one = || [id("droplet", Kind::Droplet)];
    let below = |name, about, path| list(name, about, path).with(one());
    let tag = |help| flag("tag-name", Kind::Tag, Place::Code, help).required();
    group("droplet", &["d"], "Droplets: virtual machines")
        .verbs([
            create(),
            get("get", "Show a Droplet", "/v2/droplets/{droplet}").aliases(&["g"]).with(one()).shows(&DROPLET),
            list("list", "List Droplets", "/v2/droplets")
                .aliases(&["ls"])
                .with([
                    arg("names", Kind::Text("NAME"), Place::Code, "Names to show; * stands for any text")
                        .many()
                        .optional(),
                    flag("region", Kind::Region, Place::Code, "Those in this region"),
                    flag("tag-name", Kind::Tag, Place::Query("tag_name"), "Those with this tag"),
                    switch("gpus", Place::Code, "GPU Droplets, which are left out otherwise"),
                ])
                .shows(&DROPLET)
                .run(|session, verb, given| Box::pin(droplet::list(session, verb, given))),
            delete("delete", "Delete Droplets and their disks", "/v2/droplets/{droplet}")
                .aliases(&["d", "rm"])
                .with([
                    Param { is_required: false, ..id("droplet", Kind::Droplet).many() },
                    flag("tag-name", Kind::Tag, Place::Code, "All Droplets with this tag").instead_of("droplet"),
                ])
                .destroys("delete for good Droplet")
                .run(|session, verb, given| Box::pin(droplet::delete(session, verb, given))),
            below("actions", "List what was done to a Droplet", "/v2/droplets/{droplet}/actions")
                .aliases(&["a"])
                .shows(&ACTION),
            below("backups", "List a Droplet's backups", "/v2/droplets/{droplet}/backups")
                .aliases(&["b"])
                .shows(&BACKUP_OF_DROPLET),
            below("snapshots", "List a Droplet's snapshots", "/v2/droplets/{droplet}/snapshots")
                .aliases(&["s"])
                .shows(&SNAPSHOT_OF_DROPLET),
            below("kernels", "List the kernels a Droplet can boot", "/v2/droplets/{droplet}/kernels")
                .aliases(&["k"])
                .shows(&KERNEL),
            get("neighbors", "List Droplets on the same host", "/v2/droplets/{droplet}/neighbors")
                .aliases(&["n"])
                .with(one())
                .shows(&DROPLET),
            get("neighbor-ids", "List the groups of Droplets that share a host", "/v2/reports/droplet_neighbors_ids")
                .shows(&NEIGHBORS),
            below("firewalls", "List the firewalls in force for a Droplet", "/v2/droplets/{droplet}/firewalls")
                .shows(&FIREWALL),
            post("tag", "Put a tag on a Droplet", "/v2/tags/{tag-name}/resources")
                .with([
                    Param { place: Place::Code, ..id("droplet", Kind::Droplet) },
                    tag("The tag; made if there is none"),
                ])
                .run(|session, verb, given| Box::pin(droplet::tag(session, verb, given))),
            delete("untag", "Take a tag off a Droplet", "/v2/tags/{tag-name}/resources")
                .with([Param { place: Place::Code, ..id("droplet", Kind::Droplet) }, tag("The tag")])
                .run(|session, verb, given| Box::pin(droplet::untag(session, verb, given))),
        ])
        .groups([policies(), associated()])
}

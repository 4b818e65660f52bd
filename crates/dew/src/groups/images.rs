//! `dew compute image` and `dew image-action`: what disks start as.

use crate::{
    tables::{ACTION, IMAGE},
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, Verb, Waits, arg, delete, flag, get, group, id, list, post, put},
    },
};

fn listed(name: &'static str, about: &'static str, query: &'static [(&'static str, &'static str)]) -> Verb {
    let tag = flag("tag-name", Kind::Tag, Place::Query("tag_name"), "Those with this tag");
    list(name, about, "/v2/images").query(query).with([tag]).shows(&IMAGE)
}

pub(super) fn group_of_images() -> Group {
    let one = || [id("image", Kind::Image)];
    group("image", &["i"], "Images of the server and of the account")
        .verbs([
            listed("list", "List images, own ones too", &[]).aliases(&["ls"]).with([flag(
                "public",
                Kind::Switch,
                Place::Code,
                "Taken for the sake of old scripts: public images are listed anyway",
            )]),
            listed("list-distribution", "List images of distributions", &[("type", "distribution")]),
            listed("list-application", "List images with applications", &[("type", "application")]),
            listed("list-user", "List the account's own images", &[("private", "true")]),
            get("get", "Show an image", "/v2/images/{image}").aliases(&["g"]).with(one()).shows(&IMAGE),
            post("create", "Fetch an image from an address", "/v2/images")
                .examples("  dew compute image create mine --image-url https://example.com/disk.qcow2 --region nyc3")
                .with([
                    arg("name", Kind::Text("NAME"), Place::Body("name"), "What it is called"),
                    flag("image-url", Kind::Text("URL"), Place::Body("url"), "Where it is fetched from").required(),
                    flag("region", Kind::Region, Place::Body("region"), "Where it is kept").required(),
                    flag("image-description", Kind::Text("TEXT"), Place::Body("description"), "What it is for"),
                    flag(
                        "image-distribution",
                        Kind::Text("NAME"),
                        Place::Body("distribution"),
                        "What it is, such as Debian",
                    ),
                    flag("tag-names", Kind::Tag, Place::Body("tags"), "Tags to put on it").many(),
                ])
                .shows(&IMAGE),
            put("update", "Change an own image", "/v2/images/{image}")
                .with(one())
                .with([
                    flag("image-name", Kind::Text("NAME"), Place::Body("name"), "The new name"),
                    flag("image-description", Kind::Text("TEXT"), Place::Body("description"), "The new description"),
                    flag("image-distribution", Kind::Text("NAME"), Place::Body("distribution"), "The new distribution"),
                ])
                .shows(&IMAGE),
            delete("delete", "Delete own images", "/v2/images/{image}")
                .aliases(&["d", "rm"])
                .with([id("image", Kind::Image).many()])
                .destroys("delete for good image"),
        ])
        .groups([])
}

pub(super) fn group_of_image_actions() -> Group {
    let one = || [id("image", Kind::Image)];
    group("image-action", &["ia"], "What is done to own images").verbs([
        get("get", "Show an action of an image", "/v2/images/{image}/actions/{action-id}")
            .with(one())
            .with([Param { is_flag: true, help: "The action", ..id("action-id", Kind::Action) }])
            .shows(&ACTION),
        list("list", "List what was done to an image", "/v2/images/{image}/actions").with(one()).shows(&ACTION),
        post("transfer", "Keep an image in another region too", "/v2/images/{image}/actions")
            .with(one())
            .with([flag("region", Kind::Region, Place::Body("region"), "The region").required()])
            .fixed("type", "transfer")
            .shows(&ACTION)
            .waits(Waits::Actions),
        post("convert", "Make a snapshot of a backup", "/v2/images/{image}/actions")
            .with(one())
            .fixed("type", "convert")
            .shows(&ACTION)
            .waits(Waits::Actions),
    ])
}

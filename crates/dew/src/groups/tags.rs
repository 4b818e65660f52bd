//! `dew tag`: words put on resources to find or change them together.

use crate::{
    commands::tag,
    tables::TAG,
    tree::{
        kind::Kind,
        spec::{Group, Place, arg, delete, flag, get, group, id, list, post},
    },
};

pub(super) fn group_of_tags() -> Group {
    let one = || [id("tag", Kind::Tag)];
    let urns = || {
        flag("resource", Kind::Text("URN"), Place::Code, "Resources, such as do:droplet:3164494 or do:volume:ID")
            .many()
            .required()
    };
    group("tag", &[], "Tags: words to find or change resources together").verbs([
        post("create", "Make a tag", "/v2/tags")
            .aliases(&["c"])
            .with([arg("name", Kind::Text("NAME"), Place::Body("name"), "The tag")])
            .shows(&TAG),
        get("get", "Show a tag", "/v2/tags/{tag}").aliases(&["g"]).with(one()).shows(&TAG),
        list("list", "List tags", "/v2/tags").aliases(&["ls"]).shows(&TAG),
        delete("delete", "Delete tags; what they are on stays", "/v2/tags/{tag}")
            .aliases(&["d", "rm"])
            .with([id("tag", Kind::Tag).many()])
            .destroys("delete tag"),
        post("apply", "Put a tag on resources", "/v2/tags/{tag}/resources")
            .with(one())
            .with([urns()])
            .run(|session, verb, given| Box::pin(tag::apply(session, verb, given))),
        delete("remove", "Take a tag off resources", "/v2/tags/{tag}/resources")
            .with(one())
            .with([urns()])
            .run(|session, verb, given| Box::pin(tag::remove(session, verb, given))),
    ])
}

//! `dew action`: everything that was done, whatever it was done to.

use crate::{
    commands::action,
    tables::ACTION,
    tree::{
        kind::Kind,
        spec::{Group, Place, arg, flag, get, group, id, list},
    },
};

pub(super) fn group_of_actions() -> Group {
    let only = |name, kind, help| flag(name, kind, Place::Code, help);
    group("action", &[], "Actions: what was done, and how it went").verbs([
        get("get", "Show an action", "/v2/actions/{action}")
            .aliases(&["g"])
            .with([id("action", Kind::Action)])
            .shows(&ACTION),
        list("list", "List actions, newest first", "/v2/actions")
            .aliases(&["ls"])
            .with([
                only("resource-type", Kind::Text("TYPE"), "On this type of resource, such as droplet"),
                only("action-type", Kind::Text("TYPE"), "Of this type, such as create"),
                only("status", Kind::Word(&["in-progress", "completed", "errored"]), "With this status"),
                only("region", Kind::Region, "In this region"),
                only("after", Kind::Text("TIME"), "Begun after this time (RFC 3339)"),
                only("before", Kind::Text("TIME"), "Begun before this time (RFC 3339)"),
            ])
            .shows(&ACTION)
            .run(|session, verb, given| Box::pin(action::list(session, verb, given))),
        get("wait", "Wait until actions have ended", "/v2/actions/{action}")
            .with([
                arg("action", Kind::Action, Place::Code, "Actions, by id").many(),
                flag("poll-timeout", Kind::Whole("SECONDS"), Place::Code, "How long to wait at most [default: 600]"),
            ])
            .shows(&ACTION)
            .run(|session, verb, given| Box::pin(action::wait(session, verb, given))),
    ])
}

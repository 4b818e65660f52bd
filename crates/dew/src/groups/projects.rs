//! `dew projects`: groups of resources, for people.

use crate::{
    tables::{PROJECT, RESOURCE},
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, delete, flag, get, group, id, list, patch, post, put},
    },
};

const ENVIRONMENTS: Kind = Kind::Word(&["Development", "Staging", "Production"]);

fn members() -> [Param; 4] {
    [
        flag("name", Kind::Text("NAME"), Place::Body("name"), "What it is called"),
        flag("purpose", Kind::Text("TEXT"), Place::Body("purpose"), "What it is for"),
        flag("description", Kind::Text("TEXT"), Place::Body("description"), "More about it"),
        flag("environment", ENVIRONMENTS, Place::Body("environment"), "Where in its life it is"),
    ]
}

pub(super) fn group_of_projects() -> Group {
    const ONE: &str = "/v2/projects/{project}";
    let one = || [id("project", Kind::Project)];
    let is_default =
        || flag("is_default", Kind::Bool, Place::Body("is_default"), "Make it the default one").also(&["is-default"]);
    let needed = |param: Param| if ["name", "purpose"].contains(&param.name) { param.required() } else { param };
    let resources = group("resources", &[], "What is in a project").verbs([
        list("list", "List what is in a project", "/v2/projects/{project}/resources")
            .aliases(&["ls"])
            .with(one())
            .shows(&RESOURCE),
        post("assign", "Put resources into a project", "/v2/projects/{project}/resources")
            .with(one())
            .with([flag(
                "resource",
                Kind::Text("URN"),
                Place::Body("resources"),
                "Resources, such as do:droplet:3164494",
            )
            .many()
            .required()])
            .shows(&RESOURCE),
    ]);
    group("projects", &["project"], "Projects: groups of resources. `default` names the default one")
        .verbs([
            list("list", "List projects", "/v2/projects").aliases(&["ls"]).shows(&PROJECT),
            get("get", "Show a project", ONE).aliases(&["g"]).with(one()).shows(&PROJECT),
            post("create", "Make a project", "/v2/projects")
                .aliases(&["c"])
                .with(members().map(needed))
                .shows(&PROJECT),
            patch("update", "Change parts of a project", ONE)
                .aliases(&["u"])
                .with(one())
                .with(members())
                .with([is_default()])
                .shows(&PROJECT),
            put("replace", "Put all of a project in place of what it was", ONE)
                .with(one())
                .with(members().map(Param::required))
                .with([is_default().required()])
                .shows(&PROJECT),
            delete("delete", "Delete projects that are empty", ONE)
                .aliases(&["d", "rm"])
                .with([id("project", Kind::Project).many()])
                .destroys("delete project"),
        ])
        .groups([resources])
}

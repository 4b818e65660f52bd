//! `dew vpcs`: private networks, who is in them, and which reach each other.

use crate::{
    tables::{MEMBER, PEERING, PEERING_OF_VPC, VPC},
    tree::{
        kind::Kind,
        spec::{Group, Place, arg, delete, flag, get, group, id, list, patch, post, put},
    },
};

fn peerings() -> Group {
    const ONE: &str = "/v2/vpc_peerings/{peering}";
    let one = || [id("peering", Kind::Peering)];
    let name = |help| flag("name", Kind::Text("NAME"), Place::Body("name"), help).required();
    group("peerings", &[], "VPCs that reach each other").verbs([
        post("create", "Let two VPCs reach each other", "/v2/vpc_peerings")
            .aliases(&["c"])
            .with([
                arg("name", Kind::Text("NAME"), Place::Body("name"), "What it is called"),
                flag("vpc-ids", Kind::Vpc, Place::Body("vpc_ids"), "The two VPCs, with a comma between")
                    .many()
                    .required(),
            ])
            .shows(&PEERING),
        get("get", "Show a peering", ONE).aliases(&["g"]).with(one()).shows(&PEERING),
        list("list", "List peerings", "/v2/vpc_peerings").aliases(&["ls"]).shows(&PEERING),
        patch("update", "Rename a peering", ONE)
            .aliases(&["u"])
            .with(one())
            .with([name("The new name")])
            .shows(&PEERING),
        delete("delete", "End peerings", ONE)
            .aliases(&["d", "rm"])
            .with([id("peering", Kind::Peering).many()])
            .destroys("end peering"),
        list("list-of-vpc", "List a VPC's peerings", "/v2/vpcs/{vpc}/peerings")
            .with([id("vpc", Kind::Vpc)])
            .shows(&PEERING_OF_VPC),
        post("create-from-vpc", "Let a VPC and another reach each other", "/v2/vpcs/{vpc}/peerings")
            .with([
                id("vpc", Kind::Vpc),
                name("What it is called"),
                flag("vpc-id", Kind::Vpc, Place::Body("vpc_id"), "The other VPC").required(),
            ])
            .shows(&PEERING_OF_VPC),
        patch("update-of-vpc", "Rename a VPC's peering", "/v2/vpcs/{vpc}/peerings/{peering}")
            .with([id("vpc", Kind::Vpc), id("peering", Kind::Peering), name("The new name")])
            .shows(&PEERING_OF_VPC),
    ])
}

pub(super) fn group_of_vpcs() -> Group {
    const ONE: &str = "/v2/vpcs/{vpc}";
    let one = || [id("vpc", Kind::Vpc)];
    let changes = || {
        [
            flag("name", Kind::Text("NAME"), Place::Body("name"), "What it is called"),
            flag("description", Kind::Text("TEXT"), Place::Body("description"), "What it is for"),
            flag("default", Kind::Bool, Place::Body("default"), "Make it its region's default"),
        ]
    };
    group("vpcs", &["vpc"], "VPCs: private networks")
        .verbs([
            post("create", "Make a VPC", "/v2/vpcs")
                .aliases(&["c"])
                .with([
                    flag("name", Kind::Text("NAME"), Place::Body("name"), "What it is called").required(),
                    flag("region", Kind::Region, Place::Body("region"), "Where it is").required(),
                    flag(
                        "ip-range",
                        Kind::Text("CIDR"),
                        Place::Body("ip_range"),
                        "Its addresses, such as 10.10.0.0/20 [default: a free range]",
                    ),
                    flag("description", Kind::Text("TEXT"), Place::Body("description"), "What it is for"),
                ])
                .shows(&VPC),
            get("get", "Show a VPC", ONE).aliases(&["g"]).with(one()).shows(&VPC),
            list("list", "List VPCs", "/v2/vpcs").aliases(&["ls"]).shows(&VPC),
            patch("update", "Change parts of a VPC", ONE).aliases(&["u"]).with(one()).with(changes()).shows(&VPC),
            put("replace", "Put a VPC's name and description in place of what they were", ONE)
                .with(one())
                .with(changes())
                .shows(&VPC),
            delete("delete", "Delete VPCs that are empty", ONE)
                .aliases(&["d", "rm"])
                .with([id("vpc", Kind::Vpc).many()])
                .destroys("delete VPC"),
            list("members", "List what is in a VPC", "/v2/vpcs/{vpc}/members")
                .with(one())
                .with([flag(
                    "resource-type",
                    Kind::Text("TYPE"),
                    Place::Query("resource_type"),
                    "Those of this type, such as droplet",
                )])
                .shows(&MEMBER),
        ])
        .groups([peerings()])
}

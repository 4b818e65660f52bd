//! `dew domain`: domains and their records, which the name server answers from.

use crate::{
    tables::{DOMAIN, RECORD},
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, arg, delete, flag, get, group, id, list, patch, post, put},
    },
};

const TYPES: Kind = Kind::Text("TYPE");

fn record() -> [Param; 9] {
    let whole = |name, path, help| flag(name, Kind::Whole("NUMBER"), Place::Body(path), help);
    [
        flag("record-type", TYPES, Place::Body("type"), "A, AAAA, CAA, CNAME, MX, NS, SRV or TXT"),
        flag(
            "record-name",
            Kind::Text("NAME"),
            Place::Body("name"),
            "The host, below the domain; @ is the domain itself",
        ),
        flag("record-data", Kind::Text("DATA"), Place::Body("data"), "What it says: an address, a host, a text"),
        whole("record-priority", "priority", "Of MX and SRV"),
        whole("record-port", "port", "Of SRV"),
        whole("record-ttl", "ttl", "Seconds it may be kept"),
        whole("record-weight", "weight", "Of SRV"),
        whole("record-flags", "flags", "Of CAA"),
        flag("record-tag", Kind::Text("TAG"), Place::Body("tag"), "Of CAA: issue, issuewild or iodef"),
    ]
}

fn records() -> Group {
    let one = || [id("domain", Kind::Domain)];
    let which = || Param { is_flag: true, help: "The record, by id", ..id("record-id", Kind::Whole("ID")) };
    const PATH: &str = "/v2/domains/{domain}/records/{record-id}";
    let needed =
        |param: Param| if ["record-type", "record-data"].contains(&param.name) { param.required() } else { param };
    group("records", &[], "Records of a domain").verbs([
        list("list", "List a domain's records", "/v2/domains/{domain}/records")
            .aliases(&["ls"])
            .with(one())
            .with([
                flag("record-type", TYPES, Place::Query("type"), "Those of this type"),
                flag("record-name", Kind::Text("NAME"), Place::Query("name"), "Those of this whole name"),
            ])
            .shows(&RECORD),
        get("get", "Show a record", PATH).with(one()).with([which()]).shows(&RECORD),
        post("create", "Add a record", "/v2/domains/{domain}/records")
            .aliases(&["c"])
            .examples(
                "  dew domain records create example.com --record-type A --record-name www --record-data 192.0.2.7",
            )
            .with(one())
            .with(record().map(needed))
            .shows(&RECORD),
        patch("update", "Change parts of a record", PATH)
            .aliases(&["u"])
            .with(one())
            .with([which()])
            .with(record())
            .shows(&RECORD),
        put("replace", "Put another record in the place of one", PATH)
            .with(one())
            .with([which()])
            .with(record())
            .shows(&RECORD),
        delete("delete", "Delete records", "/v2/domains/{domain}/records/{record}")
            .aliases(&["d", "rm"])
            .with(one())
            .with([Param { help: "Records, by id", ..id("record", Kind::Whole("ID")).many() }])
            .destroys("delete record"),
    ])
}

pub(super) fn group_of_domains() -> Group {
    let one = || [id("domain", Kind::Domain)];
    group("domain", &[], "Domains and their records")
        .verbs([
            post("create", "Add a domain", "/v2/domains")
                .aliases(&["c"])
                .with([
                    arg("name", Kind::Text("DOMAIN"), Place::Body("name"), "The domain"),
                    flag(
                        "ip-address",
                        Kind::Text("ADDRESS"),
                        Place::Body("ip_address"),
                        "The address of an A record to begin with",
                    ),
                ])
                .shows(&DOMAIN),
            list("list", "List domains", "/v2/domains").aliases(&["ls"]).shows(&DOMAIN),
            get("get", "Show a domain", "/v2/domains/{domain}").aliases(&["g"]).with(one()).shows(&DOMAIN),
            delete("delete", "Delete domains and their records", "/v2/domains/{domain}")
                .aliases(&["d", "rm"])
                .with([id("domain", Kind::Domain).many()])
                .destroys("delete with all its records domain"),
        ])
        .groups([records()])
}

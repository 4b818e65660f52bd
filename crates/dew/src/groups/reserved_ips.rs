//! `dew reserved-ip`, its older name `floating-ip`, and `reserved-ipv6`: addresses that lead to a Droplet of one's choice.

use crate::{
    output::Table,
    tables::{ACTION, FLOATING_IP, RESERVED_IP, RESERVED_IPV6},
    tree::{
        kind::Kind,
        spec::{Group, Param, Place, Verb, Waits, arg, delete, flag, get, group, id, list, post},
    },
};

fn create(path: &'static str, table: &'static Table) -> Verb {
    post("create", "Reserve an address", path)
        .aliases(&["c"])
        .with([
            flag("droplet-id", Kind::Droplet, Place::Body("droplet_id"), "The Droplet it leads to"),
            flag("region", Kind::Region, Place::Body("region"), "Or the region it is in"),
            flag("project-id", Kind::Project, Place::Body("project_id"), "The project it belongs to"),
        ])
        .shows(table)
}

fn assign(path: &'static str, kind: Kind) -> Verb {
    post("assign", "Lead an address to a Droplet", path)
        .with([
            id("address", kind),
            arg("droplet", Kind::Droplet, Place::Body("droplet_id"), Kind::Droplet.described()),
        ])
        .fixed("type", "assign")
        .shows(&ACTION)
        .waits(Waits::Actions)
}

fn unassign(path: &'static str, kind: Kind) -> Verb {
    let verb = post("unassign", "Lead an address nowhere", path).with([id("address", kind)]);
    verb.fixed("type", "unassign").shows(&ACTION).waits(Waits::Actions)
}

fn action() -> Param {
    Param { is_flag: true, help: "The action", ..id("action-id", Kind::Action) }
}

fn remove(path: &'static str, kind: Kind) -> Verb {
    delete("delete", "Give addresses back", path)
        .aliases(&["d", "rm"])
        .with([id("address", kind).many()])
        .destroys("give back address")
}

pub(super) fn group_of_reserved_ips() -> Group {
    const ONE: &str = "/v2/reserved_ips/{address}";
    let kind = Kind::ReservedIp;
    group("reserved-ip", &["rip"], "Reserved IPv4 addresses").verbs([
        create("/v2/reserved_ips", &RESERVED_IP),
        get("get", "Show an address", ONE).aliases(&["g"]).with([id("address", kind)]).shows(&RESERVED_IP),
        list("list", "List addresses", "/v2/reserved_ips").aliases(&["ls"]).shows(&RESERVED_IP),
        remove(ONE, kind),
    ])
}

pub(super) fn group_of_reserved_ip_actions() -> Group {
    const ACTIONS: &str = "/v2/reserved_ips/{address}/actions";
    let kind = Kind::ReservedIp;
    group("reserved-ip-action", &["ripa"], "Where reserved IPv4 addresses lead").verbs([
        assign(ACTIONS, kind),
        unassign(ACTIONS, kind),
        get("get", "Show an action of an address", "/v2/reserved_ips/{address}/actions/{action-id}")
            .with([id("address", kind), action()])
            .shows(&ACTION),
        list("list", "List what was done to an address", ACTIONS).with([id("address", kind)]).shows(&ACTION),
    ])
}

pub(super) fn group_of_reserved_ipv6() -> Group {
    const ONE: &str = "/v2/reserved_ipv6/{address}";
    let kind = Kind::ReservedIpv6;
    let region = flag("region", Kind::Region, Place::Body("region_slug"), "The region it is in").required();
    group("reserved-ipv6", &["rip6"], "Reserved IPv6 addresses").verbs([
        post("create", "Reserve an address", "/v2/reserved_ipv6").aliases(&["c"]).with([region]).shows(&RESERVED_IPV6),
        get("get", "Show an address", ONE).aliases(&["g"]).with([id("address", kind)]).shows(&RESERVED_IPV6),
        list("list", "List addresses", "/v2/reserved_ipv6").aliases(&["ls"]).shows(&RESERVED_IPV6),
        remove(ONE, kind),
    ])
}

pub(super) fn group_of_reserved_ipv6_actions() -> Group {
    const ACTIONS: &str = "/v2/reserved_ipv6/{address}/actions";
    let kind = Kind::ReservedIpv6;
    group("reserved-ipv6-action", &["ripa6"], "Where reserved IPv6 addresses lead")
        .verbs([assign(ACTIONS, kind), unassign(ACTIONS, kind)])
}

pub(super) fn group_of_floating_ips() -> Group {
    const ONE: &str = "/v2/floating_ips/{address}";
    let kind = Kind::ReservedIp;
    group("floating-ip", &["fip"], "Reserved IPv4 addresses by their older name").verbs([
        create("/v2/floating_ips", &FLOATING_IP),
        get("get", "Show an address", ONE).aliases(&["g"]).with([id("address", kind)]).shows(&FLOATING_IP),
        list("list", "List addresses", "/v2/floating_ips").aliases(&["ls"]).shows(&FLOATING_IP),
        remove(ONE, kind),
    ])
}

pub(super) fn group_of_floating_ip_actions() -> Group {
    const ACTIONS: &str = "/v2/floating_ips/{address}/actions";
    let kind = Kind::ReservedIp;
    group("floating-ip-action", &["fipa"], "Where reserved IPv4 addresses lead, by their older name").verbs([
        assign(ACTIONS, kind),
        unassign(ACTIONS, kind),
        get("get", "Show an action of an address", "/v2/floating_ips/{address}/actions/{action-id}")
            .with([id("address", kind), action()])
            .shows(&ACTION),
        list("list", "List what was done to an address", ACTIONS).with([id("address", kind)]).shows(&ACTION),
    ])
}

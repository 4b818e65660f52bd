//! Names, addresses, networks and who may pass.

use crate::output::{Column, Json, Table, by, col};

pub(crate) static DOMAIN: Table = Table {
    one: "domain",
    many: "domains",
    columns: &[
        col("Domain", "Domain", "name"),
        col("TTL", "TTL", "ttl"),
        col("ZoneFile", "Zone File", "zone_file").on_demand(),
    ],
};

pub(crate) static RECORD: Table = Table {
    one: "domain_record",
    many: "domain_records",
    columns: &[
        col("ID", "ID", "id"),
        col("Type", "Type", "type"),
        col("Name", "Name", "name"),
        col("Data", "Data", "data"),
        col("Priority", "Priority", "priority"),
        col("Port", "Port", "port"),
        col("TTL", "TTL", "ttl"),
        col("Weight", "Weight", "weight"),
        col("Flags", "Flags", "flags").on_demand(),
        col("Tag", "Tag", "tag").on_demand(),
    ],
};

/// Rules as the flags of `dew firewall create` take them.
fn rules(rules: &Json, side: &str) -> String {
    let rule = |rule: &Json| {
        let mut parts = vec![format!("protocol:{}", rule.at("protocol").cell())];
        if rule.at("protocol").cell() != "icmp" {
            parts.push(format!("ports:{}", rule.at("ports").cell()));
        }
        for (member, word) in [
            ("addresses", "address"),
            ("tags", "tag"),
            ("droplet_ids", "droplet_id"),
            ("load_balancer_uids", "load_balancer_uid"),
        ] {
            parts.extend(rule.at(side).at(member).list().iter().map(|one| format!("{word}:{}", one.cell())));
        }
        parts.join(",")
    };
    rules.list().iter().map(rule).collect::<Vec<_>>().join(" ")
}

fn pending(changes: &Json) -> String {
    let change = |one: &Json| {
        format!(
            "droplet_id:{},removing:{},status:{}",
            one.at("droplet_id").cell(),
            one.at("removing").cell(),
            one.at("status").cell()
        )
    };
    changes.list().iter().map(change).collect::<Vec<_>>().join(" ")
}

pub(crate) static FIREWALL: Table = Table {
    one: "firewall",
    many: "firewalls",
    columns: &[
        col("ID", "ID", "id"),
        col("Name", "Name", "name"),
        col("Status", "Status", "status"),
        col("Created", "Created At", "created_at"),
        by("InboundRules", "Inbound Rules", |firewall| rules(firewall.at("inbound_rules"), "sources")),
        by("OutboundRules", "Outbound Rules", |firewall| rules(firewall.at("outbound_rules"), "destinations")),
        col("DropletIDs", "Droplet IDs", "droplet_ids"),
        col("Tags", "Tags", "tags"),
        by("PendingChanges", "Pending Changes", |firewall| pending(firewall.at("pending_changes"))),
    ],
};

const RESERVED_COLUMNS: &[Column] = &[
    col("IP", "IP", "ip"),
    col("Region", "Region", "region.slug"),
    col("DropletID", "Droplet ID", "droplet.id"),
    col("DropletName", "Droplet Name", "droplet.name"),
    col("ProjectID", "Project ID", "project_id").on_demand(),
];

pub(crate) static RESERVED_IPV6: Table = Table {
    one: "reserved_ipv6",
    many: "reserved_ipv6s",
    columns: &[
        col("IP", "IP", "ip"),
        col("Region", "Region", "region_slug"),
        col("DropletID", "Droplet ID", "droplet.id"),
        col("DropletName", "Droplet Name", "droplet.name"),
    ],
};

pub(crate) static VPC: Table = Table {
    one: "vpc",
    many: "vpcs",
    columns: &[
        col("ID", "ID", "id"),
        col("URN", "URN", "urn"),
        col("Name", "Name", "name"),
        col("Description", "Description", "description"),
        col("IPRange", "IP Range", "ip_range"),
        col("Region", "Region", "region"),
        col("Created", "Created At", "created_at"),
        col("Default", "Default", "default"),
    ],
};

pub(crate) static MEMBER: Table = Table {
    one: "member",
    many: "members",
    columns: &[col("URN", "URN", "urn"), col("Name", "Name", "name"), col("Created", "Created At", "created_at")],
};

const PEERING_COLUMNS: &[Column] = &[
    col("ID", "ID", "id"),
    col("Name", "Name", "name"),
    col("VPCIDs", "VPC IDs", "vpc_ids"),
    col("Status", "Status", "status"),
    col("Created", "Created At", "created_at"),
];

pub(crate) static RESERVED_IP: Table = Table { one: "reserved_ip", many: "reserved_ips", columns: RESERVED_COLUMNS };
pub(crate) static FLOATING_IP: Table = Table { one: "floating_ip", many: "floating_ips", columns: RESERVED_COLUMNS };

pub(crate) static PEERING: Table = Table { one: "vpc_peering", many: "vpc_peerings", columns: PEERING_COLUMNS };
pub(crate) static PEERING_OF_VPC: Table = Table { one: "peering", many: "peerings", columns: PEERING_COLUMNS };

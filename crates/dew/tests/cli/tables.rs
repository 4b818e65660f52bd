//! The table of every group, as it was agreed: a snapshot each of what a small cloud looks like.

use std::process::Output;

use super::{Scene, printed, support::eventually};

/// What is made first, in order; ids are then the same each time.
const MADE: [&[&str]; 13] = [
    &[
        "ssh-key",
        "create",
        "me",
        "--public-key",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me",
    ],
    &["vpcs", "create", "--name", "left", "--region", "nyc3", "--ip-range", "10.10.0.0/20"],
    &["vpcs", "create", "--name", "right", "--region", "nyc3", "--ip-range", "10.20.0.0/20"],
    &["vpcs", "peerings", "create", "both", "--vpc-ids", "left,right"],
    &[
        "droplet",
        "create",
        "web-1",
        "--size",
        "s-1vcpu-1gb",
        "--image",
        "ubuntu-24-04-x64",
        "--region",
        "nyc3",
        "--ssh-keys",
        "me",
        "--tag-names",
        "web,prod",
        "--enable-ipv6",
        "--enable-backups",
        "--backup-policy-plan",
        "daily",
        "--backup-policy-hour",
        "4",
        "--vpc-uuid",
        "left",
        "--wait",
    ],
    &["droplet-action", "snapshot", "web-1", "--snapshot-name", "before", "--wait"],
    &["volume", "create", "data", "--region", "nyc3", "--size", "5GiB", "--fs-type", "ext4", "--tag", "web"],
    &["volume-action", "attach", "data", "web-1", "--wait"],
    &["volume", "snapshot", "data", "--snapshot-name", "data-before"],
    &["domain", "create", "example.com"],
    &[
        "domain",
        "records",
        "create",
        "example.com",
        "--record-type",
        "MX",
        "--record-name",
        "@",
        "--record-data",
        "mail.example.com.",
        "--record-priority",
        "10",
    ],
    &[
        "firewall",
        "create",
        "web",
        "--tag-names",
        "web",
        "--inbound-rules",
        "protocol:tcp,ports:22,address:10.0.0.0/8 protocol:icmp,address:::/0",
    ],
    &["projects", "create", "--name", "shop", "--purpose", "Web Application", "--environment", "Production"],
];

/// What is shown, by the file it is compared with.
const SHOWN: [(&str, &[&[&str]]); 12] = [
    (
        "droplets",
        &[
            &["droplet", "list"],
            &["droplet", "get", "web-1", "--format", "ID,Name,SizeSlug,Created,Locked"],
            &["droplet", "snapshots", "web-1"],
            &["droplet", "actions", "web-1"],
            &["droplet", "backup-policies", "get", "web-1"],
            &["droplet", "backup-policies", "list-supported"],
            &["droplet", "firewalls", "web-1"],
            &["droplet", "associated", "list", "web-1"],
        ],
    ),
    ("actions", &[&["action", "list"], &["action", "list", "--action-type", "create", "--resource-type", "droplet"]]),
    (
        "images",
        &[
            &["compute", "image", "list-user"],
            &["compute", "image", "get", "ubuntu-24-04-x64", "--format", "Slug,Distribution,Public,Status"],
        ],
    ),
    ("volumes", &[&["volume", "list"], &["volume", "snapshots", "data"], &["volume-action", "list", "data"]]),
    ("snapshots", &[&["snapshot", "list", "--resource", "droplet"], &["snapshot", "list", "--resource", "volume"]]),
    ("ssh-keys", &[&["ssh-key", "list"], &["ssh-key", "get", "me", "--format", "Name,PublicKey"]]),
    ("tags", &[&["tag", "list", "--format", "Name,DropletCount,VolumeCount,Count"], &["tag", "get", "prod"]]),
    ("catalogue", &[&["region", "list"], &["-o", "csv", "size", "list", "--format", "Slug,Memory,PriceMonthly,GPUs"]]),
    ("domains", &[&["domain", "list"], &["domain", "records", "list", "example.com"]]),
    (
        "firewalls",
        &[&["firewall", "list"], &["firewall", "list-by-droplet", "web-1", "--format", "Name,DropletIDs,Tags"]],
    ),
    (
        "networks",
        &[
            &["vpcs", "get", "left", "--format", "Name,IPRange,Region,Default"],
            &["vpcs", "get", "right"],
            &["vpcs", "members", "left"],
            &["vpcs", "peerings", "list"],
        ],
    ),
    (
        "account",
        &[
            &["account", "get"],
            &["projects", "get", "default"],
            &["projects", "get", "shop"],
            &["projects", "resources", "list", "default"],
            &["account", "list"],
            &["token", "list", "--format", "Name,Scopes,Expires"],
        ],
    ),
];

/// Times, uuids and hashes are other ones each time, and as long.
fn steady(text: &str) -> String {
    let word = |word: &str| {
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        let is_time = word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
        match word.rsplit_once(':') {
            _ if is_time => "2026-01-01T00:00:00Z".to_owned(),
            _ if (word.len() == 36 || word.len() == 32) && is_hex(word) => blank(word),
            Some((before, id)) if id.len() == 36 && is_hex(id) => format!("{before}:{}", blank(id)),
            _ => word
                .split(',')
                .map(|one| if one.len() == 36 && is_hex(one) { blank(one) } else { one.to_owned() })
                .collect::<Vec<_>>()
                .join(","),
        }
    };
    text.split('\n').map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n")
}

fn blank(id: &str) -> String {
    id.chars().map(|char| if char == '-' { '-' } else { '0' }).collect()
}

#[test]
fn every_groups_table_is_as_it_was_agreed() {
    let scene = Scene::start();
    let run = |arguments: &[&str]| -> Output { scene.dew(arguments) };
    for made in MADE {
        printed(made, &run(made));
    }
    eventually("peering", || scene.prints(&["vpcs", "peerings", "get", "both"]).contains("ACTIVE"));
    eventually("firewall", || scene.prints(&["firewall", "list"]).contains("succeeded"));
    for (name, commands) in SHOWN {
        let shown = commands.iter().map(|arguments| {
            format!("$ dew {}\n{}\n", arguments.join(" "), steady(&printed(arguments, &run(arguments))))
        });
        insta::assert_snapshot!(name, shown.collect::<String>());
    }
}

//! Every group of commands that asks a server, a file a resource. `tests/cli/reach.rs` compares them with the list of operations.

mod account;
mod actions;
mod domains;
mod droplet_actions;
mod droplets;
mod firewalls;
mod images;
mod projects;
mod reserved_ips;
mod singles;
mod snapshots;
mod ssh_keys;
mod tags;
mod volumes;
mod vpcs;

use crate::tree::spec::{Group, Verb};

/// The group that `dew` has below `compute` alone: `dew image` is this host's base images.
pub(crate) const ONLY_COMPUTE: &str = "image";

/// What doctl keeps below `compute`.
pub(crate) fn compute() -> Vec<Group> {
    vec![
        droplets::group_of_droplets(),
        droplet_actions::group_of_droplet_actions(),
        actions::group_of_actions(),
        images::group_of_images(),
        images::group_of_image_actions(),
        volumes::group_of_volumes(),
        volumes::group_of_volume_actions(),
        snapshots::group_of_snapshots(),
        ssh_keys::group_of_ssh_keys(),
        tags::group_of_tags(),
        singles::group_of_regions(),
        singles::group_of_sizes(),
        domains::group_of_domains(),
        firewalls::group_of_firewalls(),
        reserved_ips::group_of_reserved_ips(),
        reserved_ips::group_of_reserved_ip_actions(),
        reserved_ips::group_of_reserved_ipv6(),
        reserved_ips::group_of_reserved_ipv6_actions(),
        reserved_ips::group_of_floating_ips(),
        reserved_ips::group_of_floating_ip_actions(),
    ]
}

/// Groups beside `compute`.
pub(crate) fn others() -> Vec<Group> {
    vec![vpcs::group_of_vpcs(), projects::group_of_projects(), account::group_of_accounts()]
}

/// Commands of one word.
pub(crate) fn single() -> Vec<Verb> {
    singles::verbs()
}

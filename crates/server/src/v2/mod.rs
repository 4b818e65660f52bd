//! The public API, a file a resource. Each gives its operations; their order is that of the document.

mod account;
mod actions;
mod associated;
mod backups;
mod domain_records;
mod domains;
mod droplet_actions;
mod droplet_firewalls;
mod droplet_images;
mod droplets;
mod firewall_parts;
mod firewalls;
mod image_actions;
mod images;
mod models;
mod neighbors;
mod projects;
mod regions;
mod reserved_ips;
mod reserved_ipv6;
mod sizes;
mod snapshots;
mod ssh_keys;
mod tags;
mod volume_actions;
mod volume_snapshots;
mod volumes;
mod vpc_peerings;
mod vpcs;

use crate::Operation;

/// Every operation of the public API that is served.
pub(crate) fn operations() -> Vec<Operation> {
    [
        account::operations(),
        ssh_keys::operations(),
        actions::operations(),
        droplets::operations(),
        backups::operations(),
        domains::operations(),
        domain_records::operations(),
        droplet_images::operations(),
        droplet_firewalls::operations(),
        neighbors::operations(),
        droplet_actions::operations(),
        associated::operations(),
        firewalls::operations(),
        firewall_parts::operations(),
        images::operations(),
        image_actions::operations(),
        models::operations(),
        projects::operations(),
        regions::operations(),
        reserved_ips::operations(),
        reserved_ipv6::operations(),
        sizes::operations(),
        snapshots::operations(),
        tags::operations(),
        volumes::operations(),
        volume_actions::operations(),
        volume_snapshots::operations(),
        vpcs::operations(),
        vpc_peerings::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

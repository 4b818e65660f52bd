//! Stored records as the API shows them: one function a model. What a token may not read is left out (behaviour rule AUTH-6).

mod associated;
mod domains;
mod firewalls;
mod images;
mod projects;
mod reserved_ips;
mod volumes;

pub(crate) use associated::{associated, destroy_status};
pub(crate) use domains::{domain, domain_record};
pub(crate) use firewalls::firewall;
pub(crate) use images::{bare_image, droplet_snapshot, gigabytes, image, snapshot_of_droplet};
pub(crate) use projects::{assigned, project, project_resource};
pub(crate) use reserved_ips::{reserved_ip, reserved_ip_links, reserved_ipv6};
pub(crate) use volumes::{volume, volume_snapshot};

use std::net::IpAddr;

use dewpoint_api as api;
use dewpoint_api::{Embedded, Scope};
use dewpoint_control::{
    Control, backups,
    droplets::{DropletView, backup_policy},
    tags::TagView,
};
use dewpoint_store::{
    AccountRecord, ActionRecord, AuditView, DropletRecord, ImageRecord, SshKeyRecord, TokenRecord, VpcMemberRecord,
    VpcPeeringRecord, VpcRecord,
};

use crate::{BaseUrl, Caller};

/// A Droplet (DRO-*). Its `networks` are empty until it has been active (CRE-21, DRO-2).
pub(crate) fn droplet(control: &Control, caller: &Caller, view: DropletView) -> api::Droplet {
    let DropletView { record, tags, volumes, reserved_ips, snapshots, backups: backup_ids, image } = view;
    let sees_images = caller.has(Scope::ImageRead);
    let catalogue = control.catalogue();
    let size = catalogue.size(&record.size);
    let policy = backup_policy(&record);
    api::Droplet {
        id: record.id,
        memory: record.memory_mib,
        vcpus: record.vcpus,
        disk: record.disk_gib,
        disk_info: size.map(|size| size.disk_info(record.disk_gib)).unwrap_or_default(),
        locked: record.running_action.is_some(),
        status: record.status.into(),
        kernel: None,
        created_at: record.created_at,
        features: features(&record),
        backup_ids: if sees_images { backup_ids } else { Vec::new() },
        next_backup_window: policy.map(|policy| backups::next_window(&policy, control.clock().now())),
        snapshot_ids: if sees_images { snapshots } else { Vec::new() },
        image: if sees_images { image_of(control, &record, image) } else { None },
        volume_ids: if caller.has(Scope::BlockStorageRead) { volumes } else { Vec::new() },
        size: match size {
            Some(size) if caller.has(Scope::RegionsRead) => size.embedded().clone(),
            Some(size) => size.without_regions().clone(),
            None => bygone_size(&record).into(),
        },
        size_slug: record.size.clone(),
        networks: networks(control, &record, &reserved_ips),
        region: region(control, caller, &record.region),
        tags: if caller.has(Scope::TagRead) { tags } else { Vec::new() },
        vpc_uuid: caller.has(Scope::VpcRead).then_some(record.vpc),
        gpu_info: size.and_then(|size| size.gpu_info()),
        gpu_partition_mode: None,
        name: record.name,
    }
}

fn features(record: &DropletRecord) -> Vec<api::Word<api::DropletFeature>> {
    use api::DropletFeature as F;
    let on = [
        (record.backups.is_some(), F::Backups),
        (record.ipv6, F::Ipv6),
        (record.monitoring, F::Monitoring),
        (true, F::PrivateNetworking),
        (record.agent, F::DropletAgent),
    ];
    on.into_iter().filter_map(|(on, feature)| on.then_some(feature.into())).collect()
}

/// The image it was made from: the account's own if it is one, deleted or not; otherwise the catalogue's.
fn image_of(control: &Control, record: &DropletRecord, own: Option<ImageRecord>) -> Option<Embedded<api::Image>> {
    match own {
        Some(own) => Some(bare_image(own).into()),
        None => control.catalogue().image(record.image_id).map(|image| image.embedded().clone()),
    }
}

/// A size the operator has since taken out of the catalogue: what the Droplet itself still knows of it.
fn bygone_size(record: &DropletRecord) -> api::Size {
    api::Size {
        slug: record.size.clone(),
        memory: record.memory_mib,
        vcpus: record.vcpus,
        disk: record.disk_gib,
        transfer: 0.0,
        price_monthly: api::Decimal::default(),
        price_hourly: api::Decimal::default(),
        regions: Vec::new(),
        available: false,
        description: "No longer offered".to_owned(),
        networking_throughput: None,
        disk_info: Vec::new(),
        gpu_info: None,
    }
}

fn networks(control: &Control, record: &DropletRecord, reserved: &[IpAddr]) -> api::Networks {
    use api::NetworkKind::{Private, Public};
    if record.active_at.is_none() {
        return api::Networks::default();
    }
    let (netmask, gateway) = control.public_network();
    let public = record.public_v4.map(|address| api::NetworkV4 {
        ip_address: address,
        netmask,
        gateway: Some(gateway),
        kind: Public.into(),
    });
    let private = api::NetworkV4 {
        ip_address: record.private_v4,
        netmask: record.private_netmask,
        gateway: None,
        kind: Private.into(),
    };
    let v6 = record.public_v6.map(|address| api::NetworkV6 {
        ip_address: address,
        netmask: 64,
        gateway: Some(dewpoint_control::network::v6_gateway(control.config().public_v6_pool)),
        kind: Public.into(),
    });
    // Behind the own one, since clients take the first (RIP-6).
    let (netmask, gateway) = control.reserved_network();
    let reserved = reserved.iter().filter_map(|address| match address {
        IpAddr::V4(ip_address) => {
            Some(api::NetworkV4 { ip_address: *ip_address, netmask, gateway: Some(gateway), kind: Public.into() })
        }
        IpAddr::V6(_) => None,
    });
    api::Networks { v4: public.into_iter().chain(reserved).chain([private]).collect(), v6: v6.into_iter().collect() }
}

/// A region by its slug. One that the operator has since taken out of the catalogue shows its slug alone.
pub(crate) fn region(control: &Control, caller: &Caller, slug: &api::RegionSlug) -> Embedded<api::Region> {
    match control.catalogue().region(slug) {
        Some(region) if caller.has(Scope::SizesRead) => region.embedded().clone(),
        Some(region) => region.without_sizes().clone(),
        None => Embedded::from(api::Region {
            name: slug.to_string(),
            slug: slug.clone(),
            features: Vec::new(),
            available: false,
            sizes: Vec::new(),
        }),
    }
}

/// An action (ACT-2).
pub(crate) fn action(control: &Control, caller: &Caller, record: ActionRecord) -> api::Action {
    api::Action {
        id: record.id,
        status: record.status.into(),
        // A kind that only a newer version knows cannot be in a store this version opens.
        kind: record.kind.parse().unwrap_or(api::ActionKind::Create).into(),
        started_at: record.started_at,
        completed_at: record.completed_at,
        resource_id: record.resource_id,
        resource_type: record.resource_type.into(),
        region: record.region.as_ref().map(|slug| region(control, caller, slug)),
        region_slug: record.region,
    }
}

/// The link to an action in the answer that began it (ACT-1, ACT-5).
pub(crate) fn action_link(base: &BaseUrl, record: &ActionRecord, rel: &str) -> api::ActionLink {
    let href = base.address(&format!("/v2/actions/{}", record.id));
    api::ActionLink { id: record.id, rel: rel.to_owned(), href }
}

/// An account (ACC-1).
pub(crate) fn account(control: &Control, record: AccountRecord) -> api::Account {
    let config = control.config();
    api::Account {
        droplet_limit: config.droplet_limit,
        floating_ip_limit: config.reserved_ip_limit,
        reserved_ip_limit: config.reserved_ip_limit,
        volume_limit: config.volume_limit,
        email: record.email,
        name: record.name,
        uuid: record.uuid,
        email_verified: true,
        status: record.status.parse().unwrap_or(api::AccountStatus::Active).into(),
        status_message: record.status_message,
        team: Some(api::Team { uuid: record.team_uuid, name: record.team_name }),
    }
}

/// An SSH key.
pub(crate) fn ssh_key(record: SshKeyRecord) -> api::SshKey {
    api::SshKey { id: record.id, fingerprint: record.fingerprint, public_key: record.public_key, name: record.name }
}

/// What a token must have to see resources of a kind that tags are put on.
fn scope_of_tagged(kind: &str) -> Option<Scope> {
    match kind {
        "droplet" => Some(Scope::DropletRead),
        "image" => Some(Scope::ImageRead),
        "volume" => Some(Scope::BlockStorageRead),
        "volume_snapshot" => Some(Scope::BlockStorageSnapshotRead),
        _ => None,
    }
}

/// A tag with what carries it (TAG-4), of what the token may see.
pub(crate) fn tag(base: &BaseUrl, caller: &Caller, view: TagView) -> api::Tag {
    let mut resources = api::TagResources::default();
    let mut uses = view.uses;
    uses.retain(|one| scope_of_tagged(&one.kind).is_some_and(|scope| caller.has(scope)));
    let latest = uses.iter().max_by_key(|one| one.tagged_at).map(|one| one.kind.clone());
    for one in uses {
        let uri = match one.kind.as_str() {
            "volume_snapshot" => base.address(&format!("/v2/volumes/snapshots/{}", one.last)),
            kind => base.address(&format!("/v2/{kind}s/{}", one.last)),
        };
        resources.count += one.count;
        if latest.as_deref() == Some(one.kind.as_str()) {
            resources.last_tagged_uri = Some(uri.clone());
        }
        let count = api::TagCount { count: one.count, last_tagged_uri: Some(uri) };
        match one.kind.as_str() {
            "droplet" => resources.droplets = count,
            "image" => resources.images = count,
            "volume" => resources.volumes = count,
            "volume_snapshot" => resources.volume_snapshots = count,
            "database" => resources.databases = count,
            _ => {}
        }
    }
    api::Tag { name: view.name, resources }
}

/// A VPC.
pub(crate) fn vpc(record: VpcRecord) -> api::Vpc {
    api::Vpc {
        urn: format!("do:vpc:{}", record.id),
        id: record.id,
        name: record.name,
        description: record.description,
        region: record.region,
        ip_range: record.ip_range,
        default: record.is_default,
        created_at: record.created_at,
    }
}

/// A VPC peering (PEE-1).
pub(crate) fn vpc_peering(record: VpcPeeringRecord) -> api::VpcPeering {
    api::VpcPeering {
        id: record.id,
        name: record.name,
        vpc_ids: vec![record.between.0, record.between.1],
        created_at: record.created_at,
        status: record.status.into(),
    }
}

/// A Droplet as a member of its VPC.
pub(crate) fn vpc_member(record: VpcMemberRecord) -> api::VpcMember {
    api::VpcMember { urn: format!("do:droplet:{}", record.droplet), name: record.name, created_at: record.created_at }
}

/// What a Droplet has of backups (DRO-8).
pub(crate) fn backup_record(control: &Control, record: &DropletRecord) -> api::BackupPolicyRecord {
    let policy = backup_policy(record);
    api::BackupPolicyRecord {
        droplet_id: record.id,
        backup_enabled: policy.is_some(),
        next_backup_window: policy.as_ref().map(|policy| backups::next_window(policy, control.clock().now())),
        backup_policy: policy,
    }
}

/// A token, without its secret.
pub(crate) fn token(record: TokenRecord) -> api::Token {
    api::Token {
        id: record.id,
        name: record.name,
        scopes: record.scopes.parse().unwrap_or(api::Scopes::Custom(api::ScopeSet::default())),
        created_at: record.created_at,
        expires_at: record.expires_at,
        last_used_at: record.last_used_at,
    }
}

/// An account as the operator sees it.
pub(crate) fn account_entry(record: AccountRecord) -> api::AccountEntry {
    api::AccountEntry {
        uuid: record.uuid,
        name: record.name,
        email: record.email,
        team_name: record.team_name,
        created_at: record.created_at,
    }
}

/// An entry of the audit log.
pub(crate) fn audit_entry(entry: AuditView) -> api::AuditEntry {
    let AuditView { id, record, account_uuid, token_name } = entry;
    api::AuditEntry {
        id,
        at: record.at,
        account_uuid,
        token_id: record.token,
        token_name,
        operation: record.operation,
        method: record.method,
        path: record.path,
        status: record.status,
        address: record.address,
        request_id: record.request_id,
        left_out: record.left_out,
    }
}

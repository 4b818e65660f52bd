//! The transaction of a create: what depends on the store, then all rows.

use dewpoint_api::{AccountId, ActionId, ActionKind, DropletId, DropletStatus, RegionSlug, VolumeId, VolumeReference};
use dewpoint_store::{
    DropletRecord, DropletSeed, ReadinessState, Sequence, Tx, VpcRecord, actions, counters, droplets, tags,
    tags::Tagged, volumes, vpcs,
};
use ipnet::Ipv4Net;

use super::{Created, INVALID_VOLUMES, Plan};
use crate::{
    Control, Error, PUBLIC_POOL,
    actions::{CreateWish, NewAction, PLACED, Resource, new_action},
    addresses::take,
    backups,
    droplets::{DropletView, source::own},
    network::{self, Pool},
    ssh_keys, stock,
    stock::{GpuWork, Room},
    vpcs::{default_of, vpc_pool},
};

/// The transaction: what depends on the store is checked, then all rows are written. Runs again from the start if need be.
pub(super) fn commit(tx: &mut dyn Tx, control: &Control, plan: &Plan) -> Result<Created, Error> {
    let count = plan.names.len() as u64;
    if droplets::droplet_count(tx, plan.account)? + count > plan.droplet_limit {
        return Err(Error::invalid("creating this/these droplet(s) will exceed your droplet limit"));
    }
    if plan.own_image.is_some() {
        // It may have been deleted since.
        own(tx, plan.account, plan.image_id)?;
    }
    let ssh_keys = resolve_keys(tx, plan)?;
    let (regions, vpc, volumes) = resolve_regions(tx, plan)?;
    let size = control.catalogue().size(&plan.size).ok_or(Error::NotFound)?;
    let room = Room { size, regions: &regions, count: plan.names.len(), plenty: &plan.host };
    let chosen = stock::choose(tx, control, &room)?;
    let region = chosen.region.clone();
    let vpc = match vpc {
        Some(vpc) => vpc,
        None => default_of(tx, plan.account, &region, plan.default_vpc)?,
    };
    let seed = DropletSeed { ssh_keys, user_data: plan.user_data.clone(), password_hash: None };
    let mut tags = Vec::with_capacity(plan.tags.len());
    for tag in &plan.tags {
        tags.push(tags::tag_ensure(tx, plan.account, tag)?);
    }
    tags.sort();

    let first_droplet = counters::draw(tx, Sequence::Droplet, count)?;
    let first_action = counters::draw(tx, Sequence::Action, count)?;
    let (many, partition_mode, reasons) = (plan.many, plan.partition_mode, chosen.reasons.clone());
    let mut created = Created { droplets: vec![], actions: vec![], many, partition_mode, reasons };
    let gpus = (chosen.counts && size.is_gpu()).then_some(GpuWork::Take);
    let request = CreateWish { volumes: volumes.clone(), unplaced: chosen.unplaced.clone(), gpus }.text()?;
    for (index, name) in (0..).zip(&plan.names) {
        let (id, action) = (DropletId(first_droplet + index), ActionId(first_action + index));
        let seat = chosen.seats.get(created.droplets.len());
        let host = seat.map(|seat| seat.host.clone());
        let record = DropletRecord {
            placed_at: host.is_some().then_some(plan.now),
            host,
            ..droplet_row(tx, plan, id, action, name, &region, &vpc)?
        };
        droplets::droplet_insert(tx, &record, &seed)?;
        if let Some(seat) = seat.filter(|_| chosen.counts) {
            stock::hold(tx, &record, seat.clone(), control)?;
        }
        for tag in &tags {
            tags::tag_resource(tx, plan.account, tag, &Tagged::droplet(id), plan.now)?;
        }
        for volume in &volumes {
            if !volumes::volume_attach(tx, plan.account, *volume, id)? {
                return Err(Error::invalid(INVALID_VOLUMES));
            }
        }
        let mut action = new_action(&NewAction {
            id: action,
            account: plan.account,
            kind: ActionKind::Create,
            resource: Resource::Droplet(id),
            region: Some(&region),
            request: &request,
            now: plan.now,
        });
        if record.host.is_some() {
            action.step = PLACED.to_owned();
        }
        actions::action_insert(tx, &action)?;
        created.droplets.push(DropletView {
            record,
            tags: tags.clone(),
            volumes: volumes.clone(),
            reserved_ips: Vec::new(),
            snapshots: Vec::new(),
            backups: Vec::new(),
            image: plan.own_image.clone(),
        });
        created.actions.push(action);
    }
    Ok(created)
}

/// All keys, or a refusal that names every unknown one (CRE-9).
fn resolve_keys(tx: &mut dyn Tx, plan: &Plan) -> Result<Vec<String>, Error> {
    let (mut keys, mut unknown) = (Vec::new(), Vec::new());
    for wanted in &plan.ssh_keys {
        match ssh_keys::find(tx, plan.account, wanted)? {
            // One key named by number and by fingerprint is one key.
            Some(key) if keys.contains(&key.public_key) => {}
            Some(key) => keys.push(key.public_key),
            None => unknown.push(wanted.to_string()),
        }
    }
    if unknown.is_empty() {
        return Ok(keys);
    }
    Err(Error::invalid(format!("{} are invalid key identifiers for Droplet creation.", unknown.join(", "))))
}

/// Regions, the VPC that was named, and volumes.
type Places = (Vec<RegionSlug>, Option<VpcRecord>, Vec<VolumeId>);

/// Where it can be, best first: the one region where VPC and volumes are, if it names any; the VPC it names; the volumes
/// (CRE-8, CRE-13, CRE-14).
fn resolve_regions(tx: &mut dyn Tx, plan: &Plan) -> Result<Places, Error> {
    let named = match plan.vpc {
        Some(id) => {
            let vpc = vpcs::vpc_get(tx, plan.account, id)?;
            Some(vpc.ok_or_else(|| Error::invalid(format!("vpc_uuid {id} is no VPC of your account.")))?)
        }
        None => None,
    };
    let mut regions = plan.regions.clone();
    if let Some(vpc) = &named {
        if !regions.contains(&vpc.region) {
            return Err(Error::invalid(format!("The VPC is in region {}; the Droplet cannot be there.", vpc.region)));
        }
        regions = vec![vpc.region.clone()];
    }
    let mut volumes = Vec::new();
    for reference in &plan.volumes {
        let volume = find_volume(tx, plan.account, reference, &regions)?
            .filter(|volume| volume.droplet.is_none() && regions.contains(&volume.region))
            .ok_or_else(|| Error::invalid(INVALID_VOLUMES))?;
        if volume.running_action.is_some() {
            return Err(Error::Busy);
        }
        if volumes.contains(&volume.id) {
            return Err(Error::invalid(INVALID_VOLUMES));
        }
        regions = vec![volume.region];
        volumes.push(volume.id);
    }
    Ok((regions, named, volumes))
}

fn find_volume(
    tx: &mut dyn Tx,
    account: AccountId,
    reference: &VolumeReference,
    regions: &[RegionSlug],
) -> Result<Option<dewpoint_store::VolumeRecord>, Error> {
    Ok(match reference {
        VolumeReference::Bare(id) | VolumeReference::Id { id } => match id.parse() {
            Ok(id) => volumes::volume_get(tx, account, id)?,
            Err(_) => None,
        },
        // Names are unique in a region alone: the first region where the one of that name is free.
        VolumeReference::Name { name } => {
            let mut free = None;
            for region in regions {
                if free.is_none() {
                    free =
                        volumes::volume_by_name(tx, account, region, name)?.filter(|volume| volume.droplet.is_none());
                }
            }
            free
        }
    })
}

fn droplet_row(
    tx: &mut dyn Tx,
    plan: &Plan,
    id: DropletId,
    action: ActionId,
    name: &str,
    region: &RegionSlug,
    vpc: &VpcRecord,
) -> Result<DropletRecord, Error> {
    let public_v4 = match plan.public_networking {
        true => {
            let pool = plan.public_v4.pool;
            let full = "No public IPv4 address is left: the configured pool is exhausted.";
            Some(pool.address(take(tx, &pool.positions(PUBLIC_POOL, plan.rested), Some(id), full)?))
        }
        false => None,
    };
    let range: Ipv4Net = vpc.ip_range.parse().map_err(|_| Error::invalid("The VPC has no readable address range."))?;
    let pool = Pool::new(range);
    let full = format!("No private address is left in VPC {} ({}).", vpc.name, vpc.ip_range);
    let private = take(tx, &pool.positions(&vpc_pool(vpc.id), plan.rested), Some(id), &full)?;
    let backups = match plan.backups {
        true => {
            let policy = backups::choose(plan.backup_policy.as_ref(), id)?;
            Some((backups::text(&policy)?, backups::next_due(&policy, id, plan.now)))
        }
        false => None,
    };
    let (backups, backup_due_at) = backups.unzip();
    Ok(DropletRecord {
        id,
        account: plan.account,
        name: name.to_owned(),
        gpu: plan.gpu,
        status: DropletStatus::New,
        region: region.clone(),
        size: plan.size.clone(),
        image_id: plan.image_id,
        image_slug: plan.image_slug.clone(),
        vcpus: plan.vcpus,
        memory_mib: plan.memory_mib,
        disk_gib: plan.disk_gib,
        vpc: vpc.id,
        host: None,
        running_action: Some(action),
        backups,
        backup_due_at,
        ipv6: plan.ipv6,
        monitoring: plan.monitoring,
        agent: plan.agent,
        public_networking: plan.public_networking,
        public_v4,
        private_v4: pool.address(private),
        private_netmask: pool.netmask(),
        public_v6: plan.ipv6.then(|| network::v6_address(plan.v6_pool, id)),
        created_at: plan.now,
        placed_at: None,
        started_at: None,
        active_at: None,
        ssh_at: None,
        ready_at: None,
        readiness: ReadinessState::Pending,
        readiness_detail: None,
    })
}

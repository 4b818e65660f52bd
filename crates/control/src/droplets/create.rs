//! Creating Droplets: the whole request is checked before any effect (ERR-8), then rows and actions in one transaction.

use std::sync::Arc;

use dewpoint_api::{
    AccountId, ActionId, ActionKind, BackupPolicyRequest, DropletCreateRequest, DropletId, DropletStatus, DryRun,
    DryRunPlacement, ImageId, ImageIdOrSlug, PartitionMode, RegionSlug, SizeSlug, SshKeyIdOrFingerprint, TagName,
    VolumeId, VolumeReference, VpcId, rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    ActionRecord, DropletRecord, DropletSeed, ImageRecord, ReadinessState, Sequence, Tx, VpcRecord, actions, counters,
    droplets, tags, tags::Tagged, volumes, vpcs,
};
use ipnet::Ipv4Net;

use super::{
    DropletView,
    source::{INVALID_IMAGE, NOT_IN_REGION, Source, own},
};
use crate::{
    Control, Error, PUBLIC_POOL, PublicNetwork,
    actions::{CreateWish, NewAction, PLACED, Resource, new_action},
    addresses::take,
    backups,
    catalogue::{Catalogue, RegionEntry, SizeEntry},
    network::{self, Pool},
    scheduler, ssh_keys, stock,
    stock::Room,
    vpcs::{DefaultVpc, default_of, vpc_pool},
};

/// What a create made.
#[derive(Clone, Debug)]
pub struct Created {
    /// The Droplets, in the order of their names.
    pub droplets: Vec<DropletView>,
    /// Their create actions, in the same order.
    pub actions: Vec<ActionRecord>,
    /// Whether `names` was used: the answer then has `droplets`, otherwise `droplet` (CRE-1).
    pub many: bool,
    /// Echoed in this answer only (CRE-19).
    pub partition_mode: Option<PartitionMode>,
    /// Why they have no place yet, when they have none.
    pub reasons: Vec<String>,
}

/// A request checked as far as that goes without the store.
#[derive(Debug)]
struct Plan {
    account: AccountId,
    now: Timestamp,
    names: Vec<String>,
    many: bool,
    size: SizeSlug,
    vcpus: u32,
    memory_mib: u64,
    disk_gib: u64,
    gpu: bool,
    partition_mode: Option<PartitionMode>,
    image_id: ImageId,
    image_slug: Option<String>,
    /// The row of that image when it is the account's own.
    own_image: Option<ImageRecord>,
    /// Where it could be, best first; never empty.
    regions: Vec<RegionSlug>,
    vpc: Option<VpcId>,
    volumes: Vec<VolumeReference>,
    ssh_keys: Vec<SshKeyIdOrFingerprint>,
    tags: Vec<TagName>,
    backups: bool,
    backup_policy: Option<BackupPolicyRequest>,
    ipv6: bool,
    monitoring: bool,
    agent: bool,
    public_networking: bool,
    user_data: Option<String>,
    /// Where it goes while no hosts are declared.
    host: String,
    droplet_limit: u64,
    public_v4: PublicNetwork,
    /// What was given back then or before may be given again.
    rested: Timestamp,
    v6_pool: std::net::Ipv6Addr,
    default_vpc: DefaultVpc,
}

const INVALID_REGION: &str = "You specified an invalid region for Droplet creation.";
const INVALID_VOLUMES: &str = "Invalid volume allocations";

fn unavailable(size: &SizeSlug) -> Error {
    Error::invalid(format!("Size {size} is not available: no host here can serve it."))
}

fn names_of(request: &DropletCreateRequest) -> Result<(Vec<String>, bool), Error> {
    let (names, many) = match (&request.name, &request.names) {
        (Some(_), Some(_)) => return Err(Error::invalid("Give either name or names, not both.")),
        (None, None) => return Err(Error::invalid("name is required and cannot be empty.")),
        (Some(name), None) => (vec![name.clone()], false),
        (None, Some(names)) => (names.clone(), true),
    };
    if names.is_empty() {
        return Err(Error::invalid("names is required and cannot be empty."));
    }
    if names.len() > rules::NAMES_MAX {
        return Err(Error::invalid(format!(
            "names has {} entries: at most {} are allowed.",
            names.len(),
            rules::NAMES_MAX
        )));
    }
    names.iter().try_for_each(|name| rules::droplet_name(name))?;
    Ok((names, many))
}

fn narrow<'c>(refusal: &str, regions: Vec<&'c RegionEntry>) -> Result<Vec<&'c RegionEntry>, Error> {
    if regions.is_empty() { Err(Error::invalid(refusal)) } else { Ok(regions) }
}

/// The regions a request without, with a whole or with a partial region may go to (CRE-7), best first; never empty.
fn regions_for(
    catalogue: &Catalogue,
    size: &SizeEntry,
    image: &Source<'_>,
    wish: Option<&RegionSlug>,
) -> Result<Vec<RegionSlug>, Error> {
    let named: Vec<&RegionEntry> = match wish {
        Some(wish) => catalogue.regions_matching(wish),
        None => catalogue.regions().iter().collect(),
    };
    let known = narrow(INVALID_REGION, named)?;
    let open = narrow("Region is not available", known.into_iter().filter(|region| region.spec.available).collect())?;
    let sold = open.into_iter().filter(|region| size.offered_in(&region.spec.slug)).collect();
    let sold = narrow("Size is not available in this region.", sold)?;
    let has_image = sold.into_iter().filter(|region| image.offered_in(&region.spec.slug)).collect();
    let fit = narrow(NOT_IN_REGION, has_image)?;
    Ok(fit.into_iter().map(|region| region.spec.slug.clone()).collect())
}

impl Control {
    /// Makes one Droplet or up to ten (CRE-*): all of them, or none and no trace.
    pub async fn droplet_create(&self, account: AccountId, request: DropletCreateRequest) -> Result<Created, Error> {
        let source = self.source(account, request.image.as_ref()).await?;
        let plan = Arc::new(self.plan(account, request, source)?);
        let is_tagged = !plan.tags.is_empty();
        let control = self.clone();
        let created = self.inner.store.write(move |tx: &mut dyn Tx| commit(tx, &control, &plan)).await?;
        if is_tagged {
            // Firewalls may go by its tags.
            self.network_changed();
        }
        self.inner.bell.notify_one();
        Ok(created)
    }

    /// What [`Control::droplet_create`] would do with this request; it makes nothing. Fails as that would, but for a lack of
    /// room, which is an answer.
    pub async fn droplet_create_dry(&self, account: AccountId, request: DropletCreateRequest) -> Result<DryRun, Error> {
        let source = self.source(account, request.image.as_ref()).await?;
        let plan = Arc::new(self.plan(account, request, source)?);
        let control = self.clone();
        // Its changes are not kept: the transaction ends with its answer as a failure.
        let undone = self.inner.store.write(move |tx: &mut dyn Tx| Err::<(), _>(dry(tx, &control, &plan))).await;
        match undone {
            Ok(()) => Err(Error::invalid("The create was not tried.")),
            Err(Undone::Would(dry)) => Ok(*dry),
            Err(Undone::Failed(error)) => Err(error),
        }
    }

    /// The image a create names; `None` when it names none. Only for an image that is not public the store is asked.
    async fn source(&self, account: AccountId, named: Option<&ImageIdOrSlug>) -> Result<Option<Source<'_>>, Error> {
        let Some(named) = named else { return Ok(None) };
        if let Some(entry) = self.catalogue().image_named(named) {
            return Ok(Some(Source::Public(entry)));
        }
        let ImageIdOrSlug::Id(id) = *named else { return Err(Error::invalid(INVALID_IMAGE)) };
        let record = self.inner.store.read(move |tx: &mut dyn Tx| own(tx, account, id)).await?;
        Ok(Some(Source::Own(Box::new(record))))
    }

    /// Checks everything that needs no store.
    fn plan(
        &self,
        account: AccountId,
        request: DropletCreateRequest,
        source: Option<Source<'_>>,
    ) -> Result<Plan, Error> {
        let (names, many) = names_of(&request)?;
        let wanted = request.size.as_ref().ok_or_else(|| Error::invalid("size is required and cannot be empty."))?;
        let size = self
            .catalogue()
            .size(wanted)
            .ok_or_else(|| Error::invalid("You specified an invalid size for Droplet creation."))?;
        if !size.available() {
            return Err(unavailable(&size.spec.slug));
        }
        let image = source.ok_or_else(|| Error::invalid("image is required and cannot be empty."))?;
        let size_spec = &size.spec;
        image.check_fits(size_spec.disk_gib, &format!("size {}", size_spec.slug))?;
        self.check_image_is_here(&image)?;
        let regions = regions_for(self.catalogue(), size, &image, request.region.as_ref())?;
        let host = scheduler::place(&self.inner.hosts, scheduler::Needs::of(size))
            .ok_or_else(|| unavailable(&size_spec.slug))?;

        let agent = request.with_droplet_agent == Some(true);
        if agent && !(self.inner.engine.has_droplet_agent() && image.may_have_agent()) {
            let label = image.label();
            return Err(Error::invalid(format!("with_droplet_agent is not supported on image {label}.")));
        }
        let public_networking = request.public_networking.unwrap_or(true);
        if !public_networking && request.ipv6 {
            return Err(Error::invalid("ipv6 needs public_networking: leave ipv6 out, or public_networking on."));
        }
        if request.user_data.as_ref().is_some_and(|text| text.len() > rules::USER_DATA_MAX) {
            return Err(Error::invalid(format!("user_data is too long (maximum is {} bytes).", rules::USER_DATA_MAX)));
        }
        if request.backup_policy.is_some() && !request.backups {
            return Err(Error::invalid("backup_policy needs backups: true."));
        }
        // Also refuses a bad policy now, before any effect; the choice itself depends on the Droplet's number.
        backups::choose(request.backup_policy.as_ref(), DropletId(0))?;
        if many && !request.volumes.is_empty() || request.volumes.len() > rules::VOLUMES_MAX {
            return Err(Error::invalid(INVALID_VOLUMES));
        }
        let vpc = match &request.vpc_uuid {
            Some(text) => Some(text.parse().map_err(|_| Error::invalid("vpc_uuid is no UUID of a VPC."))?),
            None => None,
        };
        let partition_mode = match &request.gpu_partition_mode {
            Some(text) => {
                let mode = text.parse().ok().filter(|mode| size_spec.supported_partition_modes.contains(mode));
                Some(mode.ok_or_else(|| {
                    Error::invalid(format!("gpu_partition_mode is not supported by size {}.", size_spec.slug))
                })?)
            }
            None => None,
        };
        let tags = rules::tag_names(&request.tags)?;
        rules::listed("ssh_keys", request.ssh_keys.len())?;
        let now = self.now();
        Ok(Plan {
            account,
            now,
            names,
            many,
            size: size_spec.slug.clone(),
            vcpus: size_spec.vcpus,
            memory_mib: size_spec.memory_mib,
            disk_gib: size_spec.disk_gib,
            gpu: size.is_gpu(),
            partition_mode,
            image_id: image.id(),
            image_slug: image.slug(),
            own_image: image.into_own(),
            regions,
            vpc,
            volumes: request.volumes,
            ssh_keys: request.ssh_keys,
            tags,
            backups: request.backups,
            backup_policy: request.backup_policy,
            ipv6: request.ipv6,
            monitoring: request.monitoring,
            agent,
            public_networking,
            user_data: request.user_data,
            host: host.name.clone(),
            droplet_limit: self.inner.config.droplet_limit,
            public_v4: self.inner.public_v4,
            rested: self.rested(),
            v6_pool: self.inner.config.public_v6_pool,
            default_vpc: DefaultVpc {
                id: VpcId(self.inner.random.uuid()),
                prefix: self.inner.config.default_vpc_prefix,
                now,
            },
        })
    }
}

/// How a create that is not to be made ends.
enum Undone {
    Would(Box<DryRun>),
    Failed(Error),
}

impl From<dewpoint_store::Error> for Undone {
    fn from(error: dewpoint_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl dewpoint_store::Retry for Undone {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Failed(error) if dewpoint_store::Retry::is_conflict(error))
    }
}

fn dry(tx: &mut dyn Tx, control: &Control, plan: &Plan) -> Undone {
    let would = |created: Option<Created>, reasons: Vec<String>| -> Result<DryRun, Error> {
        let size = control.catalogue().size(&plan.size).ok_or(Error::NotFound)?;
        let placements = created.into_iter().flat_map(|created| created.droplets).filter_map(|view| {
            let DropletRecord { name, region, host, .. } = view.record;
            host.map(|host| DryRunPlacement { name, region, host })
        });
        Ok(DryRun {
            price_hourly: size.spec.price_hourly,
            price_monthly: size.spec.price_monthly,
            placements: placements.collect(),
            reasons,
            droplets_left: 0,
        })
    };
    let left = |tx: &mut dyn Tx, dry: DryRun| -> Result<DryRun, Error> {
        let droplets_left = plan.droplet_limit.saturating_sub(droplets::droplet_count(tx, plan.account)?);
        Ok(DryRun { droplets_left, ..dry })
    };
    let tried = match commit(tx, control, plan) {
        Ok(created) => {
            let reasons = created.reasons.clone();
            would(Some(created), reasons)
        }
        Err(Error::OutOfStock { message, .. }) => would(None, vec![message]),
        Err(other) => Err(other),
    };
    match tried.and_then(|dry| left(tx, dry)) {
        Ok(dry) => Undone::Would(Box::new(dry)),
        Err(error) => Undone::Failed(error),
    }
}

/// The transaction: what depends on the store is checked, then all rows are written. Runs again from the start if need be.
fn commit(tx: &mut dyn Tx, control: &Control, plan: &Plan) -> Result<Created, Error> {
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
    let chosen = stock::choose(tx, control.catalogue(), &room)?;
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
    let request = CreateWish { volumes: volumes.clone(), unplaced: chosen.unplaced.clone() }.text()?;
    for (index, name) in (0..).zip(&plan.names) {
        let (id, action) = (DropletId(first_droplet + index), ActionId(first_action + index));
        let place = chosen.hosts.get(created.droplets.len());
        let host = place.map(|(host, _)| host.clone());
        let record = DropletRecord {
            placed_at: host.is_some().then_some(plan.now),
            host,
            ..droplet_row(tx, plan, id, action, name, &region, &vpc)?
        };
        droplets::droplet_insert(tx, &record, &seed)?;
        if let Some((host, gpus)) = place.filter(|_| chosen.counts) {
            stock::hold(tx, &record, host, gpus.clone(), control)?;
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

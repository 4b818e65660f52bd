//! Creating Droplets: the whole request is checked before any effect (ERR-8), then rows and actions in one transaction.

mod commit;
mod dry;

use std::sync::Arc;

use dewpoint_api::{
    AccountId, BackupPolicyRequest, DropletCreateRequest, DropletId, ImageId, ImageIdOrSlug, PartitionMode, RegionSlug,
    SizeSlug, SshKeyIdOrFingerprint, TagName, VolumeReference, VpcId, rules,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::{ActionRecord, ImageRecord, Tx};

use self::commit::commit;
use super::{
    DropletView,
    source::{INVALID_IMAGE, NOT_IN_REGION, Source, own},
};
use crate::{
    Control, Error, PublicNetwork, backups,
    catalogue::{Catalogue, RegionEntry, SizeEntry},
    scheduler,
    vpcs::DefaultVpc,
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

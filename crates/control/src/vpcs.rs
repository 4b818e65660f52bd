//! VPCs: made by people, or by themselves as the default one of a region on its first use (CRE-14, VPC-2).

use dewpoint_api::{AccountId, PageRequest, RegionSlug, VpcCreateRequest, VpcId, VpcUpdateRequest, rules};
use dewpoint_clock::Timestamp;
use dewpoint_store::{
    Error as StoreError, Page, Tx, VpcMemberRecord, VpcRecord, addresses, vpc_peerings, vpc_peerings::PeeringFilter,
    vpcs,
};
use ipnet::Ipv4Net;

use crate::{Control, Error, network, window};

/// The length of a range the server chooses for a VPC that somebody makes (VPC-1).
const CHOSEN_PREFIX: u8 = 20;

/// The pool of a VPC's addresses.
pub(crate) fn vpc_pool(vpc: VpcId) -> String {
    format!("vpc:{vpc}")
}

/// What a default VPC is made of if the region has none yet. Drawn before the transaction, which may run twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DefaultVpc {
    pub(crate) id: VpcId,
    pub(crate) prefix: u8,
    pub(crate) now: Timestamp,
}

/// The region's default VPC, made here if there is none.
///
/// Fails when no range of the configured length is free in the account's 10.0.0.0/8.
pub(crate) fn default_of(
    tx: &mut dyn Tx,
    account: AccountId,
    region: &RegionSlug,
    new: DefaultVpc,
) -> Result<VpcRecord, Error> {
    if let Some(found) = vpcs::vpc_default(tx, account, region)? {
        return Ok(found);
    }
    let taken: Vec<Ipv4Net> = ranges(tx, account)?.into_iter().map(|(_, range)| range).collect();
    let range = network::free_range(&taken, new.prefix)
        .ok_or_else(|| Error::invalid("No free private address range is left for this region's default VPC."))?;
    let name = format!("default-{region}");
    let vpc = VpcRecord {
        id: new.id,
        region: region.clone(),
        // Somebody may have given that name to a VPC elsewhere.
        name: if vpcs::vpc_name_is_taken(tx, account, &name)? { format!("{name}-{}", new.id) } else { name },
        description: String::new(),
        ip_range: range.to_string(),
        is_default: true,
        created_at: new.now,
    };
    vpcs::vpc_insert(tx, account, &vpc)?;
    Ok(vpc)
}

/// Every VPC of the account, with its range.
fn ranges(tx: &mut dyn Tx, account: AccountId) -> Result<Vec<(VpcRecord, Ipv4Net)>, Error> {
    let every = dewpoint_store::Window { skip: 0, take: u32::MAX };
    let all = vpcs::vpc_list(tx, account, every)?.rows;
    Ok(all.into_iter().filter_map(|vpc| vpc.ip_range.parse().ok().map(|range| (vpc, range))).collect())
}

/// The range of a new VPC: the one that is wanted, if it overlaps none of the account's, or a free one (VPC-1).
fn new_range(tx: &mut dyn Tx, account: AccountId, wanted: Option<Ipv4Net>) -> Result<Ipv4Net, Error> {
    let taken = ranges(tx, account)?;
    let Some(wanted) = wanted else {
        let taken: Vec<Ipv4Net> = taken.into_iter().map(|(_, range)| range).collect();
        let free = network::free_range(&taken, CHOSEN_PREFIX);
        return free.ok_or_else(|| Error::invalid("No free private address range is left: name one as ip_range."));
    };
    match taken.iter().find(|(_, range)| network::overlap(range, &wanted)) {
        None => Ok(wanted),
        Some((other, _)) => Err(Error::invalid(format!(
            "This range/size overlaps with another VPC network in your account: {} {}.",
            other.name, other.ip_range
        ))),
    }
}

fn name_is_taken(error: StoreError) -> Error {
    match error {
        StoreError::Duplicate => Error::invalid("a VPC with the same name already exists in your account."),
        other => other.into(),
    }
}

impl Control {
    /// Makes a VPC; the first one of its region becomes the region's default (VPC-1, VPC-2).
    pub async fn vpc_create(&self, account: AccountId, request: VpcCreateRequest) -> Result<VpcRecord, Error> {
        rules::vpc_name(&request.name)?;
        rules::vpc_description(&request.description)?;
        let region = request.region.ok_or_else(|| Error::invalid("region is required and cannot be empty."))?;
        if !self.catalogue().regions().iter().any(|one| one.spec.slug == region && one.spec.available) {
            return Err(Error::invalid(format!("region {region} is no region where a VPC can be made.")));
        }
        let wanted = request.ip_range.as_deref().map(network::vpc_range).transpose().map_err(Error::Invalid)?;
        let new = VpcRecord {
            id: VpcId(self.inner.random.uuid()),
            region,
            name: request.name,
            description: request.description,
            ip_range: String::new(),
            is_default: false,
            created_at: self.clock().now(),
        };
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let vpc = VpcRecord {
                    ip_range: new_range(tx, account, wanted)?.to_string(),
                    is_default: vpcs::vpc_default(tx, account, &new.region)?.is_none(),
                    ..new.clone()
                };
                vpcs::vpc_insert(tx, account, &vpc).map_err(name_is_taken)?;
                Ok::<_, Error>(vpc)
            })
            .await
    }

    /// The account's VPCs, oldest first.
    pub async fn vpc_list(&self, account: AccountId, page: PageRequest) -> Result<Page<VpcRecord>, Error> {
        self.inner.store.read(move |tx| vpcs::vpc_list(tx, account, window(page)).map_err(Error::from)).await
    }

    /// One VPC.
    pub async fn vpc_get(&self, account: AccountId, id: VpcId) -> Result<VpcRecord, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| vpcs::vpc_get(tx, account, id)?.ok_or(Error::NotFound)).await
    }

    /// Changes what the request names; of a VPC that is the default, `default: false` changes nothing (VPC-2, VPC-5).
    pub async fn vpc_update(
        &self,
        account: AccountId,
        id: VpcId,
        request: VpcUpdateRequest,
    ) -> Result<VpcRecord, Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let mut vpc = vpcs::vpc_get(tx, account, id)?.ok_or(Error::NotFound)?;
                if let Some(name) = &request.name {
                    rules::vpc_name(name)?;
                    vpc.name.clone_from(name);
                }
                if let Some(description) = &request.description {
                    rules::vpc_description(description)?;
                    vpc.description.clone_from(description);
                }
                vpcs::vpc_describe(tx, account, id, &vpc.name, &vpc.description).map_err(name_is_taken)?;
                if request.default == Some(true) && !vpc.is_default {
                    vpcs::vpc_make_default(tx, account, &vpc.region, id)?;
                    vpc.is_default = true;
                }
                Ok::<_, Error>(vpc)
            })
            .await
    }

    /// Removes a VPC that nothing is in and that is not its region's default (VPC-3).
    pub async fn vpc_delete(&self, account: AccountId, id: VpcId) -> Result<(), Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let vpc = vpcs::vpc_get(tx, account, id)?.ok_or(Error::NotFound)?;
                if vpc.is_default {
                    let why = "is its region's default and cannot be deleted: make another one the default first";
                    return Err(Error::Forbidden(format!("VPC {} {why}.", vpc.name)));
                }
                let first = dewpoint_store::Window { skip: 0, take: 1 };
                let members = vpcs::vpc_members(tx, account, id, first)?;
                if let Some(member) = members.rows.first() {
                    let (count, droplet) = (members.total, member.droplet);
                    return Err(Error::Conflict(format!(
                        "Can not delete VPC with members: Droplet {droplet} is one of {count}."
                    )));
                }
                let peerings = vpc_peerings::vpc_peering_list(tx, account, &PeeringFilter::Of(id), first)?;
                if let Some(peering) = peerings.rows.first() {
                    return Err(Error::Conflict(format!(
                        "Can not delete VPC with peerings: peering {} is one of {}.",
                        peering.name, peerings.total
                    )));
                }
                vpcs::vpc_delete(tx, account, id)?;
                addresses::address_pool_drop(tx, &vpc_pool(id))?;
                Ok(())
            })
            .await?;
        self.links_changed();
        Ok(())
    }

    /// What is in a VPC: its Droplets, oldest first (VPC-4).
    pub async fn vpc_members(
        &self,
        account: AccountId,
        id: VpcId,
        page: PageRequest,
    ) -> Result<Page<VpcMemberRecord>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                vpcs::vpc_get(tx, account, id)?.ok_or(Error::NotFound)?;
                Ok::<_, Error>(vpcs::vpc_members(tx, account, id, window(page))?)
            })
            .await
    }
}

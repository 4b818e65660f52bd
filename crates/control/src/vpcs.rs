//! VPCs. For now those that exist by themselves: one default per region, made on first use (CRE-14, VPC-2).

use dewpoint_api::{AccountId, PageRequest, RegionSlug, VpcId};
use dewpoint_clock::Timestamp;
use dewpoint_store::{Page, Tx, VpcRecord, vpcs};
use ipnet::Ipv4Net;

use crate::{Control, Error, network, window};

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
    let every = dewpoint_store::Window { skip: 0, take: u32::MAX };
    let taken: Vec<Ipv4Net> =
        vpcs::vpc_list(tx, account, every)?.rows.iter().filter_map(|vpc| vpc.ip_range.parse().ok()).collect();
    let range = network::free_range(&taken, new.prefix)
        .ok_or_else(|| Error::invalid("No free private address range is left for this region's default VPC."))?;
    let vpc = VpcRecord {
        id: new.id,
        region: region.clone(),
        name: format!("default-{region}"),
        description: String::new(),
        ip_range: range.to_string(),
        is_default: true,
        created_at: new.now,
    };
    vpcs::vpc_insert(tx, account, &vpc)?;
    Ok(vpc)
}

impl Control {
    /// The account's VPCs, oldest first.
    pub async fn vpc_list(&self, account: AccountId, page: PageRequest) -> Result<Page<VpcRecord>, Error> {
        self.inner.store.read(move |tx| vpcs::vpc_list(tx, account, window(page)).map_err(Error::from)).await
    }

    /// One VPC.
    pub async fn vpc_get(&self, account: AccountId, id: VpcId) -> Result<VpcRecord, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| vpcs::vpc_get(tx, account, id)?.ok_or(Error::NotFound)).await
    }
}

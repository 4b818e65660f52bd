//! VPC peerings (PEE-1 to PEE-3).
//!
//! ```text
//! (none) ──create──> PROVISIONING ──in force──> ACTIVE ──delete──> DELETING ──out of force──> (none)
//!                         └───────────delete──────────────────────────┘
//! ```
//! The rows say what is wanted, and the wire follows and tells them (`wire/waiting.rs`).

use dewpoint_api::{
    AccountId, PageRequest, VpcId, VpcPeeringCreateRequest, VpcPeeringId, VpcPeeringStatus, VpcPeeringUpdateRequest,
    rules,
};
use dewpoint_store::{Error as StoreError, Page, Tx, VpcPeeringRecord, VpcRecord, vpc_peerings, vpcs};
use ipnet::Ipv4Net;

pub use dewpoint_store::vpc_peerings::PeeringFilter;

use crate::{Control, Error, network, window};

const NAME_IS_TAKEN: &str = "a VPC peering with the same name already exists in your account.";

fn own_vpc(tx: &mut dyn Tx, account: AccountId, id: VpcId) -> Result<VpcRecord, Error> {
    vpcs::vpc_get(tx, account, id)?.ok_or_else(|| Error::invalid(format!("{id} is no VPC of your account.")))
}

/// Whether two VPCs may be peered (PEE-1).
fn check_pair(tx: &mut dyn Tx, account: AccountId, between: (VpcId, VpcId)) -> Result<(), Error> {
    if between.0 == between.1 {
        return Err(Error::invalid("A VPC cannot be peered with itself."));
    }
    let (one, other) = (own_vpc(tx, account, between.0)?, own_vpc(tx, account, between.1)?);
    if vpc_peerings::vpcs_are_peered(tx, between)? {
        return Err(Error::invalid(format!("VPCs {} and {} are peered already.", one.name, other.name)));
    }
    let ranges = (one.ip_range.parse::<Ipv4Net>(), other.ip_range.parse::<Ipv4Net>());
    match ranges {
        (Ok(first), Ok(second)) if !network::overlap(&first, &second) => Ok(()),
        _ => Err(Error::invalid(format!(
            "The ranges of VPCs {} ({}) and {} ({}) overlap: neither would know where an address is.",
            one.name, one.ip_range, other.name, other.ip_range
        ))),
    }
}

fn get(tx: &mut dyn Tx, account: AccountId, id: VpcPeeringId, of: Option<VpcId>) -> Result<VpcPeeringRecord, Error> {
    let found = vpc_peerings::vpc_peering_get(tx, account, id)?.ok_or(Error::NotFound)?;
    let belongs = of.is_none_or(|vpc| found.between.0 == vpc || found.between.1 == vpc);
    belongs.then_some(found).ok_or(Error::NotFound)
}

impl Control {
    /// Peers two VPCs of the account (PEE-1). `of`: the VPC whose operation asks for it, 404 when there is none.
    pub async fn vpc_peering_create(
        &self,
        account: AccountId,
        of: Option<VpcId>,
        request: VpcPeeringCreateRequest,
    ) -> Result<VpcPeeringRecord, Error> {
        let (id, now) = (VpcPeeringId(self.inner.random.uuid()), self.now());
        let made = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                // Existence comes before validation (ERR-9).
                if let Some(vpc) = of {
                    vpcs::vpc_get(tx, account, vpc)?.ok_or(Error::NotFound)?;
                }
                rules::vpc_peering_name(&request.name)?;
                let [one, other] = request.vpc_ids[..] else {
                    return Err(Error::invalid("vpc_ids must name exactly two VPCs."));
                };
                let between = if one < other { (one, other) } else { (other, one) };
                check_pair(tx, account, between)?;
                let peering = VpcPeeringRecord {
                    id,
                    account,
                    name: request.name.clone(),
                    between,
                    status: VpcPeeringStatus::Provisioning,
                    revision: 0,
                    created_at: now,
                };
                match vpc_peerings::vpc_peering_insert(tx, &peering) {
                    Err(StoreError::Duplicate) => Err(Error::invalid(NAME_IS_TAKEN)),
                    other => Ok(other.map(|()| peering)?),
                }
            })
            .await?;
        self.network_changed();
        Ok(made)
    }

    /// The account's peerings, oldest first; 404 for those of a VPC that is not there.
    pub async fn vpc_peering_list(
        &self,
        account: AccountId,
        filter: PeeringFilter,
        page: PageRequest,
    ) -> Result<Page<VpcPeeringRecord>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                if let PeeringFilter::Of(vpc) = filter {
                    vpcs::vpc_get(tx, account, vpc)?.ok_or(Error::NotFound)?;
                }
                Ok::<_, Error>(vpc_peerings::vpc_peering_list(tx, account, &filter, window(page))?)
            })
            .await
    }

    /// One peering.
    pub async fn vpc_peering_get(&self, account: AccountId, id: VpcPeeringId) -> Result<VpcPeeringRecord, Error> {
        self.inner.store.read(move |tx: &mut dyn Tx| get(tx, account, id, None)).await
    }

    /// Gives a peering another name. `of`: the VPC it must be of.
    pub async fn vpc_peering_update(
        &self,
        account: AccountId,
        of: Option<VpcId>,
        id: VpcPeeringId,
        request: VpcPeeringUpdateRequest,
    ) -> Result<VpcPeeringRecord, Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let peering = get(tx, account, id, of)?;
                rules::vpc_peering_name(&request.name)?;
                if vpc_peerings::vpc_peering_name_is_taken(tx, account, &request.name, id)? {
                    return Err(Error::invalid(NAME_IS_TAKEN));
                }
                vpc_peerings::vpc_peering_rename(tx, id, &request.name)?;
                Ok(VpcPeeringRecord { name: request.name.clone(), ..peering })
            })
            .await
    }

    /// Begins to delete a peering and answers it as it is then (PEE-2). It is gone when nothing passes between the two any more.
    pub async fn vpc_peering_delete(&self, account: AccountId, id: VpcPeeringId) -> Result<VpcPeeringRecord, Error> {
        let deleting = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let peering = get(tx, account, id, None)?;
                vpc_peerings::vpc_peering_begin_delete(tx, id)?;
                Ok::<_, Error>(VpcPeeringRecord { status: VpcPeeringStatus::Deleting, ..peering })
            })
            .await?;
        self.network_changed();
        Ok(deleting)
    }
}

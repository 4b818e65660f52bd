//! VPC peerings: two private networks that reach each other (behaviour rules PEE-1 to PEE-3).

use dewpoint_clock::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Resource, VpcId, VpcPeeringId,
    lenient::null_is_default,
    page::{Collection, Single},
    word::{Word, words},
};

words! {
    /// How far a peering is.
    pub enum VpcPeeringStatus {
        /// It is being put in force.
        Provisioning = "PROVISIONING",
        /// It is in force.
        Active = "ACTIVE",
        /// It is being taken out of force, and gone then.
        Deleting = "DELETING",
    }
}

/// Two VPCs that reach each other. Source: public OpenAPI, model `vpc_peering`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VpcPeering {
    /// Its id.
    pub id: VpcPeeringId,
    /// Its name, unique in the account.
    pub name: String,
    /// The two VPCs, the smaller id first.
    pub vpc_ids: Vec<VpcId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// How far it is.
    pub status: Word<VpcPeeringStatus>,
}

impl Resource for VpcPeering {
    const ONE: &'static str = "vpc_peering";
    const MANY: &'static str = "vpc_peerings";
}

/// A peering as the operations of one VPC show it (behaviour rule PEE-3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PeeringOfVpc(pub VpcPeering);

impl Resource for PeeringOfVpc {
    const ONE: &'static str = "peering";
    const MANY: &'static str = "peerings";
}

/// The answer that holds one peering.
pub type VpcPeeringResponse = Single<VpcPeering>;
/// A page of peerings.
pub type VpcPeeringsResponse = Collection<VpcPeering>;
/// The answer that holds one peering of a VPC.
pub type PeeringOfVpcResponse = Single<PeeringOfVpc>;
/// A page of a VPC's peerings.
pub type PeeringsOfVpcResponse = Collection<PeeringOfVpc>;

/// The body of `POST /v2/vpc_peerings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VpcPeeringCreateRequest {
    /// Its name. Required; see [`crate::rules::vpc_peering_name`].
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Exactly two VPCs.
    #[serde(deserialize_with = "null_is_default")]
    pub vpc_ids: Vec<VpcId>,
}

/// The body of `POST /v2/vpcs/{id}/peerings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PeeringOfVpcCreateRequest {
    /// Its name. Required; see [`crate::rules::vpc_peering_name`].
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The VPC to peer with. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_id: Option<VpcId>,
}

/// The body of `PATCH /v2/vpc_peerings/{id}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct VpcPeeringUpdateRequest {
    /// A new name. Required.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

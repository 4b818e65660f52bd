//! VPCs, their members, and peerings between them.

use dewpoint_api::{
    PeeringOfVpc, PeeringOfVpcCreateRequest, RegionSlug, Vpc, VpcCreateRequest, VpcId, VpcMember, VpcPeering,
    VpcPeeringCreateRequest, VpcPeeringId, VpcPeeringUpdateRequest, VpcUpdateRequest,
};

use crate::{Call, Kept, List, operations as op};

groups! {
    /// VPCs: private networks, each in one region.
    Vpcs;
    /// Peerings of one VPC.
    PeeringsOfVpc;
    /// Peerings: two VPCs that reach each other.
    VpcPeerings;
}

leads! { Vpcs {
    /// Peerings of one VPC.
    peerings -> PeeringsOfVpc;
} }

impl Vpcs {
    /// `GET /v2/vpcs`.
    pub fn list(&self) -> List<Vpc> {
        self.0.list(&op::VPCS_LIST, &[])
    }

    /// `POST /v2/vpcs`.
    pub fn create(&self, wanted: &VpcCreateRequest) -> Call<Kept<Vpc>> {
        self.0.one_from(&op::VPCS_CREATE, &[], wanted)
    }

    /// Makes a VPC in a region, with addresses of the server's choice.
    pub fn create_in(&self, name: &str, region: impl Into<RegionSlug>) -> Call<Kept<Vpc>> {
        let region = Some(region.into());
        self.create(&VpcCreateRequest { name: name.to_owned(), region, ..VpcCreateRequest::default() })
    }

    /// `GET /v2/vpcs/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<VpcId>) -> Call<Kept<Vpc>> {
        self.0.one(&op::VPCS_GET, &[&id.into()])
    }

    /// `PUT /v2/vpcs/{id}`: the name is required, and a description that is not named is emptied.
    pub fn update(&self, id: impl Into<VpcId>, wanted: &VpcUpdateRequest) -> Call<Kept<Vpc>> {
        self.0.one_from(&op::VPCS_UPDATE, &[&id.into()], wanted)
    }

    /// `PATCH /v2/vpcs/{id}`: what the request does not name stays.
    pub fn patch(&self, id: impl Into<VpcId>, wanted: &VpcUpdateRequest) -> Call<Kept<Vpc>> {
        self.0.one_from(&op::VPCS_PATCH, &[&id.into()], wanted)
    }

    /// `DELETE /v2/vpcs/{id}`: 409 while it has members.
    pub fn delete(&self, id: impl Into<VpcId>) -> Call<()> {
        self.0.done(&op::VPCS_DELETE, &[&id.into()])
    }

    /// `GET /v2/vpcs/{id}/members`.
    pub fn list_members(&self, id: impl Into<VpcId>) -> List<VpcMember> {
        self.0.list(&op::VPCS_LIST_MEMBERS, &[&id.into()])
    }
}

impl List<VpcMember> {
    /// Only members of a kind, such as `droplet`.
    pub fn of(self, kind: &str) -> Self {
        self.query("resource_type", kind)
    }
}

impl PeeringsOfVpc {
    /// `GET /v2/vpcs/{id}/peerings`.
    pub fn list(&self, id: impl Into<VpcId>) -> List<PeeringOfVpc> {
        self.0.list(&op::VPCS_LIST_PEERINGS, &[&id.into()])
    }

    /// `POST /v2/vpcs/{id}/peerings`: with another VPC.
    pub fn create(&self, id: impl Into<VpcId>, name: &str, with: impl Into<VpcId>) -> Call<Kept<PeeringOfVpc>> {
        let body = PeeringOfVpcCreateRequest { name: name.to_owned(), vpc_id: Some(with.into()) };
        self.0.one_from(&op::VPCS_CREATE_PEERINGS, &[&id.into()], &body)
    }

    /// `PATCH /v2/vpcs/{id}/peerings/{peering}`: another name.
    pub fn rename(
        &self,
        id: impl Into<VpcId>,
        peering: impl Into<VpcPeeringId>,
        name: &str,
    ) -> Call<Kept<PeeringOfVpc>> {
        let body = VpcPeeringUpdateRequest { name: name.to_owned() };
        self.0.one_from(&op::VPCS_PATCH_PEERINGS, &[&id.into(), &peering.into()], &body)
    }
}

impl VpcPeerings {
    /// `GET /v2/vpc_peerings`.
    pub fn list(&self) -> List<VpcPeering> {
        self.0.list(&op::VPC_PEERINGS_LIST, &[])
    }

    /// `POST /v2/vpc_peerings`: of two VPCs. It is `PROVISIONING` until it is in force.
    pub fn create(&self, name: &str, vpcs: [VpcId; 2]) -> Call<Kept<VpcPeering>> {
        let body = VpcPeeringCreateRequest { name: name.to_owned(), vpc_ids: vpcs.to_vec() };
        self.0.one_from(&op::VPC_PEERINGS_CREATE, &[], &body)
    }

    /// `GET /v2/vpc_peerings/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<VpcPeeringId>) -> Call<Kept<VpcPeering>> {
        self.0.one(&op::VPC_PEERINGS_GET, &[&id.into()])
    }

    /// `PATCH /v2/vpc_peerings/{id}`: another name.
    pub fn rename(&self, id: impl Into<VpcPeeringId>, name: &str) -> Call<Kept<VpcPeering>> {
        let body = VpcPeeringUpdateRequest { name: name.to_owned() };
        self.0.one_from(&op::VPC_PEERINGS_PATCH, &[&id.into()], &body)
    }

    /// `DELETE /v2/vpc_peerings/{id}`: gives it as it is ended.
    pub fn delete(&self, id: impl Into<VpcPeeringId>) -> Call<Kept<VpcPeering>> {
        self.0.one(&op::VPC_PEERINGS_DELETE, &[&id.into()])
    }
}

//! Droplets, and what is asked of one beside its actions.

use std::borrow::Borrow;

use dewpoint_api::{
    AssociatedResourcesResponse, BackupPolicyRecord, DestroyStatusResponse, Droplet, DropletBackup, DropletSnapshot,
    Firewall, Kernel, NeighborIdsResponse, SelectiveDestroyRequest, SupportedBackupPoliciesResponse,
};

use crate::{
    Call, CreateDroplet, CreateDroplets, Created, Kept, List, NamesDroplet, created, envelope::Envelope,
    operations as op, page::Parts,
};

groups! {
    /// Droplets.
    Droplets;
    /// Backups of Droplets, and the policies by which they are made.
    DropletBackups;
    /// What belongs to a Droplet and may be destroyed with it.
    AssociatedResources;
}

leads! { Droplets {
    /// The account of the token, and its SSH keys.
    account -> Account;
    /// Actions of Droplets.
    actions -> DropletActions;
    /// Backups of Droplets.
    backups -> DropletBackups;
    /// Destroying a Droplet with what belongs to it.
    destroy_with_associated_resources -> AssociatedResources;
    /// Firewalls.
    firewalls -> Firewalls;
    /// Reserved IPv4 addresses by their older name, which the documented SDK has here.
    floating_ips -> FloatingIps;
    /// Images.
    images -> Images;
    /// Sizes.
    sizes -> Sizes;
    /// Snapshots.
    snapshots -> Snapshots;
    /// Volumes.
    volumes -> Volumes;
} }

impl Droplets {
    /// `GET /v2/droplets`.
    pub fn list(&self) -> List<Droplet> {
        self.0.list(&op::DROPLETS_LIST, &[])
    }

    /// `POST /v2/droplets`: one Droplet. It is `new` in the answer; see [`Created::wait_ready`].
    pub fn create(&self, wanted: impl Borrow<CreateDroplet>) -> Call<Created> {
        self.0.call(&op::DROPLETS_CREATE, &[], Some(wanted.borrow()), created::one)
    }

    /// `POST /v2/droplets` with several names: as many Droplets, all or none.
    pub fn create_many(&self, wanted: impl Borrow<CreateDroplets>) -> Call<Vec<Created>> {
        self.0.call(&op::DROPLETS_CREATE, &[], Some(wanted.borrow()), created::many)
    }

    /// `GET /v2/droplets/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, droplet: impl NamesDroplet) -> Call<Kept<Droplet>> {
        self.0.one(&op::DROPLETS_GET, &[&droplet.droplet_id()])
    }

    /// `DELETE /v2/droplets/{id}`. Volumes and snapshots stay.
    #[doc(alias = "destroy")]
    pub fn delete(&self, droplet: impl NamesDroplet) -> Call<()> {
        self.0.done(&op::DROPLETS_DESTROY, &[&droplet.droplet_id()])
    }

    /// `DELETE /v2/droplets?tag_name=…`: every Droplet with a tag.
    pub fn delete_by_tag(&self, tag: &str) -> Call<()> {
        self.0.done(&op::DROPLETS_DESTROY_BY_TAG, &[]).query("tag_name", tag)
    }

    /// `GET /v2/droplets/{id}/snapshots`.
    pub fn list_snapshots(&self, droplet: impl NamesDroplet) -> List<DropletSnapshot> {
        self.0.list(&op::DROPLETS_LIST_SNAPSHOTS, &[&droplet.droplet_id()])
    }

    /// `GET /v2/droplets/{id}/kernels`: the kernels it could boot; none for Droplets that boot their own.
    pub fn list_kernels(&self, droplet: impl NamesDroplet) -> List<Kernel> {
        self.0.list(&op::DROPLETS_LIST_KERNELS, &[&droplet.droplet_id()])
    }

    /// `GET /v2/droplets/{id}/firewalls`: the firewalls that guard it.
    pub fn list_firewalls(&self, droplet: impl NamesDroplet) -> List<Firewall> {
        self.0.list(&op::DROPLETS_LIST_FIREWALLS, &[&droplet.droplet_id()])
    }

    /// `GET /v2/droplets/{id}/neighbors`: the account's other Droplets on the same host.
    pub fn list_neighbors(&self, droplet: impl NamesDroplet) -> Call<Vec<Kept<Droplet>>> {
        self.0.many(&op::DROPLETS_LIST_NEIGHBORS, &[&droplet.droplet_id()])
    }

    /// `GET /v2/reports/droplet_neighbors_ids`: the account's Droplets that share a host, by host.
    pub fn list_neighbor_ids(&self) -> Call<Kept<NeighborIdsResponse>> {
        self.0.whole(&op::DROPLETS_LIST_NEIGHBORS_IDS, &[])
    }
}

impl List<Droplet> {
    /// Only those with a tag.
    pub fn tag(self, tag: &str) -> Self {
        self.query("tag_name", tag)
    }

    /// Only those of a name.
    pub fn name(self, name: &str) -> Self {
        self.query("name", name)
    }

    /// Only those with GPUs.
    pub fn with_gpus(self) -> Self {
        self.query("type", "gpus")
    }
}

impl DropletBackups {
    /// `GET /v2/droplets/{id}/backups`.
    pub fn list(&self, droplet: impl NamesDroplet) -> List<DropletBackup> {
        self.0.list(&op::DROPLETS_LIST_BACKUPS, &[&droplet.droplet_id()])
    }

    /// `GET /v2/droplets/{id}/backups/policy`.
    #[doc(alias = "retrieve_policy")]
    pub fn get_policy(&self, droplet: impl NamesDroplet) -> Call<Kept<BackupPolicyRecord>> {
        self.0.one(&op::DROPLETS_GET_BACKUP_POLICY, &[&droplet.droplet_id()])
    }

    /// `GET /v2/droplets/backups/policies`: what each Droplet has.
    pub fn list_policies(&self) -> List<BackupPolicyRecord> {
        self.0.list_by(&op::DROPLETS_LIST_BACKUP_POLICIES, &[], policies)
    }

    /// `GET /v2/droplets/backups/supported_policies`: what one can ask for.
    pub fn list_supported_policies(&self) -> Call<Kept<SupportedBackupPoliciesResponse>> {
        self.0.whole(&op::DROPLETS_LIST_SUPPORTED_BACKUP_POLICIES, &[])
    }
}

/// The policies of a page are an object by Droplet (behaviour rule DRO-8).
fn policies(body: &[u8]) -> Result<Parts<BackupPolicyRecord>, String> {
    let envelope = Envelope::open(body)?;
    let (links, meta): (_, Option<dewpoint_api::Meta>) = (envelope.maybe("links"), envelope.maybe("meta"));
    let items = envelope.by_name("policies")?;
    let total = u64::try_from(items.len()).unwrap_or(u64::MAX);
    let mut items: Vec<Kept<BackupPolicyRecord>> = items.into_iter().map(|(_, record)| record).collect();
    items.sort_by_key(|record| record.droplet_id);
    Ok((items, links, meta.unwrap_or(dewpoint_api::Meta { total })))
}

impl AssociatedResources {
    /// `GET /v2/droplets/{id}/destroy_with_associated_resources`: what would cost on after the Droplet is gone.
    pub fn list(&self, droplet: impl NamesDroplet) -> Call<Kept<AssociatedResourcesResponse>> {
        self.0.whole(&op::DROPLETS_LIST_ASSOCIATED_RESOURCES, &[&droplet.droplet_id()])
    }

    /// `DELETE …/selective`: the Droplet and what is named with it.
    pub fn delete_selective(&self, droplet: impl NamesDroplet, with: &SelectiveDestroyRequest) -> Call<()> {
        self.0.done_from(&op::DROPLETS_DESTROY_WITH_ASSOCIATED_RESOURCES_SELECTIVE, &[&droplet.droplet_id()], &with)
    }

    /// `DELETE …/dangerous`: the Droplet and everything that belongs to it. Sends the header that says one means it.
    pub fn delete_dangerous(&self, droplet: impl NamesDroplet) -> Call<()> {
        self.0
            .done(&op::DROPLETS_DESTROY_WITH_ASSOCIATED_RESOURCES_DANGEROUS, &[&droplet.droplet_id()])
            .header("x-dangerous", "true")
    }

    /// `GET …/status`: how far it has come.
    pub fn check_status(&self, droplet: impl NamesDroplet) -> Call<Kept<DestroyStatusResponse>> {
        self.0.whole(&op::DROPLETS_GET_DESTROY_ASSOCIATED_RESOURCES_STATUS, &[&droplet.droplet_id()])
    }

    /// `POST …/retry`: tries again what failed.
    pub fn retry(&self, droplet: impl NamesDroplet) -> Call<()> {
        self.0.done(&op::DROPLETS_DESTROY_RETRY_WITH_ASSOCIATED_RESOURCES, &[&droplet.droplet_id()])
    }
}

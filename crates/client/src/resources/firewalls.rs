//! Firewalls, and their Droplets, tags and rules.

use dewpoint_api::{
    DropletId, Firewall, FirewallDropletsRequest, FirewallId, FirewallRequest, FirewallRulesRequest,
    FirewallTagsRequest,
};

use crate::{Call, Kept, List, operations as op};

groups! {
    /// Firewalls: what may reach Droplets, and what they may reach.
    Firewalls;
    /// Droplets of firewalls.
    FirewallDroplets;
    /// Tags of firewalls, which stand for the Droplets that have them.
    FirewallTags;
    /// Rules of firewalls.
    FirewallRules;
}

leads! { Firewalls {
    /// Droplets of firewalls.
    droplets -> FirewallDroplets;
    /// Tags of firewalls.
    tags -> FirewallTags;
    /// Rules of firewalls.
    rules -> FirewallRules;
} }

impl Firewalls {
    /// `GET /v2/firewalls`.
    pub fn list(&self) -> List<Firewall> {
        self.0.list(&op::FIREWALLS_LIST, &[])
    }

    /// `POST /v2/firewalls`. It is `waiting` until it is in force.
    pub fn create(&self, wanted: &FirewallRequest) -> Call<Kept<Firewall>> {
        self.0.one_from(&op::FIREWALLS_CREATE, &[], wanted)
    }

    /// `GET /v2/firewalls/{id}`.
    #[doc(alias = "retrieve")]
    pub fn get(&self, id: impl Into<FirewallId>) -> Call<Kept<Firewall>> {
        self.0.one(&op::FIREWALLS_GET, &[&id.into()])
    }

    /// `PUT /v2/firewalls/{id}`: replaces everything; what the request does not name is gone.
    pub fn update(&self, id: impl Into<FirewallId>, wanted: &FirewallRequest) -> Call<Kept<Firewall>> {
        self.0.one_from(&op::FIREWALLS_UPDATE, &[&id.into()], wanted)
    }

    /// `DELETE /v2/firewalls/{id}`.
    pub fn delete(&self, id: impl Into<FirewallId>) -> Call<()> {
        self.0.done(&op::FIREWALLS_DELETE, &[&id.into()])
    }
}

impl FirewallDroplets {
    /// `POST /v2/firewalls/{id}/droplets`.
    pub fn add(&self, id: impl Into<FirewallId>, droplets: impl IntoIterator<Item = impl Into<DropletId>>) -> Call<()> {
        self.0.done_from(&op::FIREWALLS_ASSIGN_DROPLETS, &[&id.into()], &these(droplets))
    }

    /// `DELETE /v2/firewalls/{id}/droplets`.
    pub fn remove(
        &self,
        id: impl Into<FirewallId>,
        droplets: impl IntoIterator<Item = impl Into<DropletId>>,
    ) -> Call<()> {
        self.0.done_from(&op::FIREWALLS_DELETE_DROPLETS, &[&id.into()], &these(droplets))
    }
}

fn these(droplets: impl IntoIterator<Item = impl Into<DropletId>>) -> FirewallDropletsRequest {
    FirewallDropletsRequest { droplet_ids: droplets.into_iter().map(Into::into).collect() }
}

impl FirewallTags {
    /// `POST /v2/firewalls/{id}/tags`.
    pub fn add(&self, id: impl Into<FirewallId>, tags: impl IntoIterator<Item = impl Into<String>>) -> Call<()> {
        let body = FirewallTagsRequest { tags: tags.into_iter().map(Into::into).collect() };
        self.0.done_from(&op::FIREWALLS_ADD_TAGS, &[&id.into()], &body)
    }

    /// `DELETE /v2/firewalls/{id}/tags`.
    pub fn remove(&self, id: impl Into<FirewallId>, tags: impl IntoIterator<Item = impl Into<String>>) -> Call<()> {
        let body = FirewallTagsRequest { tags: tags.into_iter().map(Into::into).collect() };
        self.0.done_from(&op::FIREWALLS_DELETE_TAGS, &[&id.into()], &body)
    }
}

impl FirewallRules {
    /// `POST /v2/firewalls/{id}/rules`.
    pub fn add(&self, id: impl Into<FirewallId>, rules: &FirewallRulesRequest) -> Call<()> {
        self.0.done_from(&op::FIREWALLS_ADD_RULES, &[&id.into()], rules)
    }

    /// `DELETE /v2/firewalls/{id}/rules`.
    pub fn remove(&self, id: impl Into<FirewallId>, rules: &FirewallRulesRequest) -> Call<()> {
        self.0.done_from(&op::FIREWALLS_DELETE_RULES, &[&id.into()], rules)
    }
}

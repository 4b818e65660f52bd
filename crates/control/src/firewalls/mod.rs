//! Firewalls: what may reach Droplets and what they may reach (FW-1 to FW-7). What rules may be is in `rules.rs`.
//!
//! A change is written down at once and in force soon: the network is made from all rows anew (`wire`), and until then the
//! firewall says `waiting` and names the Droplets.

mod parts;
pub mod rules;

use std::collections::BTreeSet;

use dewpoint_api::{
    AccountId, DropletId, FirewallId, FirewallRequest, FirewallStatus, PageRequest, Scope, TagName, rules as shapes,
};
use dewpoint_store::{
    Error as StoreError, FirewallPending, FirewallPolicy, FirewallRecord, Page, Tx, droplets,
    firewalls::{self, force},
    tags,
};
pub use parts::{FirewallPart, PartChange};

use crate::{Control, Error, Grant, window};

/// A firewall as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirewallView {
    /// What it is.
    pub record: FirewallRecord,
    /// What of it is not yet in force; `None` when all is.
    pub pending: Option<FirewallPending>,
}

impl FirewallView {
    /// Whether it is in force (FW-2).
    pub fn status(&self) -> FirewallStatus {
        match &self.pending {
            None => FirewallStatus::Succeeded,
            Some(pending) if pending.failed => FirewallStatus::Failed,
            Some(_) => FirewallStatus::Waiting,
        }
    }
}

fn views(tx: &mut dyn Tx, records: Vec<FirewallRecord>) -> Result<Vec<FirewallView>, Error> {
    let ids: Vec<FirewallId> = records.iter().map(|record| record.id).collect();
    let mut pending = force::firewall_pending(tx, &ids)?;
    Ok(records.into_iter().map(|record| FirewallView { pending: pending.remove(&record.id), record }).collect())
}

fn view(tx: &mut dyn Tx, record: FirewallRecord) -> Result<FirewallView, Error> {
    let pending = force::firewall_pending(tx, &[record.id])?.remove(&record.id);
    Ok(FirewallView { record, pending })
}

fn page_of_views(tx: &mut dyn Tx, page: Page<FirewallRecord>) -> Result<Page<FirewallView>, Error> {
    Ok(Page { rows: views(tx, page.rows)?, total: page.total })
}

fn find(tx: &mut dyn Tx, account: AccountId, id: FirewallId) -> Result<FirewallRecord, Error> {
    firewalls::firewall_get(tx, account, id)?.ok_or(Error::NotFound)
}

/// What a request makes of a firewall: everything but its id, account and time.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    policy: FirewallPolicy,
    droplets: BTreeSet<DropletId>,
    tags: BTreeSet<TagName>,
}

/// Reads a whole firewall. Fails with a sentence for whatever no firewall could be.
fn wanted(request: &FirewallRequest) -> Result<Wanted, String> {
    shapes::firewall_name(&request.name).map_err(|problem| problem.to_string())?;
    if request.inbound_rules.is_empty() && request.outbound_rules.is_empty() {
        return Err("A firewall needs at least one rule in inbound_rules or outbound_rules.".to_owned());
    }
    Ok(Wanted {
        name: request.name.clone(),
        policy: rules::policy(&request.inbound_rules, &request.outbound_rules)?,
        droplets: droplet_ids(&request.droplet_ids)?,
        tags: tag_names(&request.tags)?,
    })
}

fn droplet_ids(ids: &[DropletId]) -> Result<BTreeSet<DropletId>, String> {
    shapes::listed("droplet_ids", ids.len()).map_err(|problem| problem.to_string())?;
    Ok(ids.iter().copied().collect())
}

fn tag_names(texts: &[String]) -> Result<BTreeSet<TagName>, String> {
    shapes::listed("tags", texts.len()).map_err(|problem| problem.to_string())?;
    texts.iter().map(|text| text.parse().map_err(|problem: dewpoint_api::Invalid| problem.to_string())).collect()
}

impl Wanted {
    fn into_record(self, id: FirewallId, account: AccountId, created_at: dewpoint_clock::Timestamp) -> FirewallRecord {
        let Self { name, policy, droplets, tags } = self;
        FirewallRecord { id, account, name, policy, droplets, tags, created_at }
    }
}

/// The Droplets and tags that rules name.
fn named(policy: &FirewallPolicy) -> (BTreeSet<DropletId>, BTreeSet<TagName>) {
    let droplets = policy.rules().flat_map(|rule| &rule.peers.droplets);
    let tags = policy.rules().flat_map(|rule| &rule.peers.tags);
    (droplets.copied().collect(), tags.cloned().collect())
}

/// Refuses Droplets and tags that are not the account's (FW-4).
fn check_known(
    tx: &mut dyn Tx,
    account: AccountId,
    droplets: &BTreeSet<DropletId>,
    tags: &BTreeSet<TagName>,
) -> Result<(), Error> {
    let ids: Vec<DropletId> = droplets.iter().copied().collect();
    let known = droplets::droplets_known(tx, account, &ids)?;
    if let Some(id) = ids.iter().find(|id| !known.contains(id)) {
        return Err(Error::invalid(format!("droplet_ids: there is no Droplet {id}.")));
    }
    let names: Vec<TagName> = tags.iter().cloned().collect();
    let known = tags::tags_known(tx, account, &names)?;
    if let Some(name) = names.iter().find(|name| !known.contains(name)) {
        return Err(Error::invalid(format!("tags: there is no tag {name}. Make it first, with POST /v2/tags.")));
    }
    Ok(())
}

/// Checks of a firewall what only the account's other rows tell. What `before` had already is not looked at again.
fn check(tx: &mut dyn Tx, before: Option<&FirewallRecord>, after: &FirewallRecord) -> Result<(), Error> {
    let (mut droplets, mut tags) = named(&after.policy);
    droplets.extend(&after.droplets);
    tags.extend(after.tags.iter().cloned());
    if let Some(before) = before {
        let (known, known_tags) = named(&before.policy);
        droplets.retain(|id| !known.contains(id) && !before.droplets.contains(id));
        tags.retain(|tag| !known_tags.contains(tag) && !before.tags.contains(tag));
    }
    check_known(tx, after.account, &droplets, &tags)
}

/// Refuses who may not see what a firewall or a request names (AUTH-5).
fn check_sight(grant: &Grant, droplets: bool, tags: bool) -> Result<(), Error> {
    let needed = [(droplets, Scope::DropletRead), (tags, Scope::TagRead)];
    if needed.into_iter().any(|(named, scope)| named && !grant.scopes.allows(scope)) {
        return Err(Error::Forbidden("You are not authorized to perform this operation.".to_owned()));
    }
    Ok(())
}

/// The same for all that a firewall names.
fn check_sight_of(grant: &Grant, policy: &FirewallPolicy, droplets: bool, tags: bool) -> Result<(), Error> {
    let (named_droplets, named_tags) = named(policy);
    check_sight(grant, droplets || !named_droplets.is_empty(), tags || !named_tags.is_empty())
}

fn name_is_taken(error: StoreError) -> Error {
    match error {
        StoreError::Duplicate => Error::Conflict("duplicate name".to_owned()),
        other => other.into(),
    }
}

impl Control {
    /// Makes a firewall (FW-1).
    pub async fn firewall_create(&self, grant: &Grant, request: &FirewallRequest) -> Result<FirewallView, Error> {
        let wanted = wanted(request).map_err(Error::Invalid)?;
        check_sight_of(grant, &wanted.policy, !wanted.droplets.is_empty(), !wanted.tags.is_empty())?;
        let new = wanted.into_record(FirewallId(self.inner.random.uuid()), grant.account, self.now());
        let made = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                check(tx, None, &new)?;
                firewalls::firewall_insert(tx, &new).map_err(name_is_taken)?;
                view(tx, new.clone())
            })
            .await?;
        self.network_changed();
        Ok(made)
    }

    /// The account's firewalls, oldest first.
    pub async fn firewall_list(&self, account: AccountId, page: PageRequest) -> Result<Page<FirewallView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let page = firewalls::firewall_list(tx, account, window(page))?;
                page_of_views(tx, page)
            })
            .await
    }

    /// One firewall.
    pub async fn firewall_get(&self, account: AccountId, id: FirewallId) -> Result<FirewallView, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                let record = find(tx, account, id)?;
                view(tx, record)
            })
            .await
    }

    /// The firewalls that guard a Droplet, also those that do by a tag (FW-7).
    pub async fn firewalls_of_droplet(
        &self,
        account: AccountId,
        droplet: DropletId,
        page: PageRequest,
    ) -> Result<Page<FirewallView>, Error> {
        self.inner
            .store
            .read(move |tx: &mut dyn Tx| {
                droplets::droplet_get(tx, account, droplet)?.ok_or(Error::NotFound)?;
                let page = firewalls::firewalls_of_droplet(tx, account, droplet, window(page))?;
                page_of_views(tx, page)
            })
            .await
    }

    /// Replaces all of a firewall: what is left out is reset (FW-6). Who may not see all that it names may not replace it.
    pub async fn firewall_replace(
        &self,
        grant: &Grant,
        id: FirewallId,
        request: &FirewallRequest,
    ) -> Result<FirewallView, Error> {
        let (grant, wanted) = (grant.clone(), wanted(request));
        let replaced = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let before = find(tx, grant.account, id)?;
                check_sight_of(&grant, &before.policy, !before.droplets.is_empty(), !before.tags.is_empty())?;
                let wanted = wanted.clone().map_err(Error::Invalid)?;
                check_sight_of(&grant, &wanted.policy, !wanted.droplets.is_empty(), !wanted.tags.is_empty())?;
                let after = wanted.into_record(id, before.account, before.created_at);
                check(tx, Some(&before), &after)?;
                firewalls::firewall_update(tx, &before, &after).map_err(name_is_taken)?;
                view(tx, after)
            })
            .await?;
        self.network_changed();
        Ok(replaced)
    }

    /// Removes a firewall: whom it alone guarded is open from then on (FW-5).
    pub async fn firewall_delete(&self, account: AccountId, id: FirewallId) -> Result<(), Error> {
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                firewalls::firewall_delete(tx, account, id)?.then_some(()).ok_or(Error::NotFound)
            })
            .await?;
        self.network_changed();
        Ok(())
    }
}

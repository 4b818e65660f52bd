//! Changes of a part of a firewall: its Droplets, its tags, its rules (FW-6).

use std::collections::BTreeSet;

use dewpoint_api::{
    DropletId, FirewallDropletsRequest, FirewallId, FirewallRulesRequest, FirewallTagsRequest, TagName,
};
use dewpoint_store::{FirewallPolicy, FirewallRecord, Tx, firewalls};

use super::{check, check_sight, check_sight_of, droplet_ids, find, rules, tag_names};
use crate::{Control, Error, Grant};

/// A part of a firewall, as a request names it.
#[derive(Clone, Debug)]
pub enum FirewallPart {
    /// Droplets that it guards.
    Droplets(FirewallDropletsRequest),
    /// Tags whose Droplets it guards.
    Tags(FirewallTagsRequest),
    /// Rules.
    Rules(FirewallRulesRequest),
}

/// What to do with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartChange {
    /// Add it; what is there already is fine.
    Add,
    /// Take it away. A rule has to be there; Droplets and tags that are not there are fine.
    Remove,
}

/// A part that was read.
#[derive(Clone, Debug)]
enum Part {
    Droplets(BTreeSet<DropletId>),
    Tags(BTreeSet<TagName>),
    Rules(FirewallPolicy),
}

impl Part {
    fn read(part: &FirewallPart) -> Result<Self, String> {
        match part {
            FirewallPart::Droplets(request) if request.droplet_ids.is_empty() => {
                Err("droplet_ids is required and cannot be empty.".to_owned())
            }
            FirewallPart::Droplets(request) => droplet_ids(&request.droplet_ids).map(Self::Droplets),
            FirewallPart::Tags(request) if request.tags.is_empty() => {
                Err("tags is required and cannot be empty.".to_owned())
            }
            FirewallPart::Tags(request) => tag_names(&request.tags).map(Self::Tags),
            FirewallPart::Rules(request) if request.inbound_rules.is_empty() && request.outbound_rules.is_empty() => {
                Err("inbound_rules or outbound_rules is required and cannot be empty.".to_owned())
            }
            FirewallPart::Rules(request) => {
                rules::policy(&request.inbound_rules, &request.outbound_rules).map(Self::Rules)
            }
        }
    }

    fn check_sight(&self, grant: &Grant) -> Result<(), Error> {
        match self {
            Self::Droplets(_) => check_sight(grant, true, false),
            Self::Tags(_) => check_sight(grant, false, true),
            Self::Rules(policy) => check_sight_of(grant, policy, false, false),
        }
    }

    /// The firewall with this part added or taken away.
    fn apply(self, firewall: &FirewallRecord, change: PartChange) -> Result<FirewallRecord, Error> {
        let mut after = firewall.clone();
        match (self, change) {
            (Self::Droplets(ids), PartChange::Add) => after.droplets.extend(ids),
            (Self::Droplets(ids), PartChange::Remove) => after.droplets.retain(|id| !ids.contains(id)),
            (Self::Tags(names), PartChange::Add) => after.tags.extend(names),
            (Self::Tags(names), PartChange::Remove) => after.tags.retain(|name| !names.contains(name)),
            (Self::Rules(more), PartChange::Add) => {
                rules::add(&mut after.policy, more);
                rules::fits(&after.policy).map_err(Error::Invalid)?;
            }
            (Self::Rules(less), PartChange::Remove) => {
                rules::remove(&mut after.policy, &less).map_err(Error::Invalid)?;
            }
        }
        for (field, count) in [("droplet_ids", after.droplets.len()), ("tags", after.tags.len())] {
            dewpoint_api::rules::listed(field, count)?;
        }
        Ok(after)
    }
}

impl Control {
    /// Adds a part to a firewall or takes it away: all of it or nothing.
    pub async fn firewall_change_part(
        &self,
        grant: &Grant,
        id: FirewallId,
        part: &FirewallPart,
        change: PartChange,
    ) -> Result<(), Error> {
        let (grant, part) = (grant.clone(), Part::read(part));
        if let Ok(part) = &part {
            part.check_sight(&grant)?;
        }
        self.inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let before = find(tx, grant.account, id)?;
                let part = part.clone().map_err(Error::Invalid)?;
                let after = part.apply(&before, change)?;
                check(tx, Some(&before), &after)?;
                firewalls::firewall_update(tx, &before, &after)?;
                Ok::<_, Error>(())
            })
            .await?;
        self.network_changed();
        Ok(())
    }
}

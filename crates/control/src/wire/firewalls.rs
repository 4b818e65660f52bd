//! Firewalls on the wire: tags become the machines that bear them, and what is nobody here is left out.

use std::collections::{BTreeSet, HashMap};

use dewpoint_api::{AccountId, DropletId, FirewallProtocol, TagName};
use dewpoint_network::{Firewall, Peers, Protocol, Rule};
use dewpoint_store::{FirewallRecord, FirewallRule, Tx, firewalls};

use crate::{
    Error,
    firewalls::rules::{network_of, ports_of},
};

/// Who bears which tag.
type Members = HashMap<(AccountId, TagName), BTreeSet<DropletId>>;

/// Every firewall that guards anybody, by id.
pub(super) fn read(tx: &mut dyn Tx) -> Result<Vec<Firewall>, Error> {
    let all = firewalls::firewall_all(tx)?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let members = firewalls::firewall_tag_members(tx)?;
    let planned = all.into_iter().map(|record| firewall(&members, record));
    Ok(planned.filter(|firewall| !firewall.machines.is_empty()).collect())
}

fn firewall(members: &Members, record: FirewallRecord) -> Firewall {
    let account = record.account;
    let rules = |rules: &[FirewallRule]| rules.iter().map(|one| rule(members, account, one)).collect();
    Firewall {
        id: record.id.0,
        machines: machines(members, account, &record.droplets, &record.tags),
        inbound: rules(&record.policy.inbound),
        outbound: rules(&record.policy.outbound),
        name: record.name,
    }
}

/// The numbers of these Droplets, and of those that bear these tags.
fn machines<'a>(
    members: &'a Members,
    account: AccountId,
    droplets: impl IntoIterator<Item = &'a DropletId>,
    tags: impl IntoIterator<Item = &'a TagName>,
) -> BTreeSet<u64> {
    let tagged = tags.into_iter().filter_map(|tag| members.get(&(account, tag.clone()))).flatten();
    droplets.into_iter().chain(tagged).map(|id| id.0).collect()
}

fn rule(members: &Members, account: AccountId, rule: &FirewallRule) -> Rule {
    let peers = &rule.peers;
    Rule {
        protocol: match rule.protocol {
            FirewallProtocol::Tcp => Protocol::Tcp,
            FirewallProtocol::Udp => Protocol::Udp,
            FirewallProtocol::Icmp => Protocol::Icmp,
        },
        ports: ports_of(rule),
        peers: Peers {
            networks: peers.addresses.iter().filter_map(|text| network_of(text)).collect(),
            machines: machines(members, account, &peers.droplets, &peers.tags),
        },
    }
}

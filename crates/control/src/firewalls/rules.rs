//! What a firewall's rules may be, and what they then are (FW-1, FW-3, FW-4). Pure.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    ops::RangeInclusive,
};

use dewpoint_api::{
    FirewallProtocol, FirewallRuleTarget, InboundRuleRequest, OutboundRuleRequest, TagName, rules::LISTED_MAX,
};
use dewpoint_store::{FirewallPeers, FirewallPolicy, FirewallRule};
use ipnet::IpNet;

/// Most rules of one firewall, of both sorts together.
pub const RULES_MAX: usize = 1000;
/// Most addresses, Droplets, tags and so on in all rules of one firewall together.
pub const PEERS_MAX: usize = 5000;
/// Most characters of the id of a load balancer or cluster.
const ID_MAX: usize = 255;
/// How all ports are written.
const ALL_PORTS: &str = "0";

/// Reads the rules of a request. Fails with a sentence that names the rule and the member.
///
/// A rule that is there twice is there once.
pub fn policy(inbound: &[InboundRuleRequest], outbound: &[OutboundRuleRequest]) -> Result<FirewallPolicy, String> {
    for (name, count) in [("inbound_rules", inbound.len()), ("outbound_rules", outbound.len())] {
        if count > RULES_MAX {
            return Err(format!("{name} has {count} rules; a firewall has at most {RULES_MAX}."));
        }
    }
    let inbound = inbound.iter().enumerate().map(|(index, one)| {
        let at = Place { list: "inbound_rules", index, side: "sources" };
        rule(&at, &one.protocol, &one.ports, &one.sources)
    });
    let outbound = outbound.iter().enumerate().map(|(index, one)| {
        let at = Place { list: "outbound_rules", index, side: "destinations" };
        rule(&at, &one.protocol, &one.ports, &one.destinations)
    });
    let mut policy = FirewallPolicy::default();
    add(
        &mut policy,
        FirewallPolicy { inbound: inbound.collect::<Result<_, _>>()?, outbound: outbound.collect::<Result<_, _>>()? },
    );
    fits(&policy)?;
    Ok(policy)
}

/// Whether a firewall may have so many rules.
pub fn fits(policy: &FirewallPolicy) -> Result<(), String> {
    let count = policy.rules().count();
    if count > RULES_MAX {
        return Err(format!("A firewall has at most {RULES_MAX} rules, and this would be {count}."));
    }
    let peers: usize = policy.rules().map(|rule| rule.peers.count()).sum();
    if peers > PEERS_MAX {
        return Err(format!(
            "The rules of a firewall name at most {PEERS_MAX} addresses, Droplets and tags, and this would be {peers}."
        ));
    }
    Ok(())
}

/// Adds rules; those that are there already stay as they are.
pub fn add(policy: &mut FirewallPolicy, more: FirewallPolicy) {
    for (list, more) in [(&mut policy.inbound, more.inbound), (&mut policy.outbound, more.outbound)] {
        let mut known: HashSet<Meaning> = list.iter().map(meaning).collect();
        list.extend(more.into_iter().filter(|rule| known.insert(meaning(rule))));
    }
}

/// Takes rules away. Fails, with a sentence, when there is no rule that means the same as one of them (FW-6).
pub fn remove(policy: &mut FirewallPolicy, less: &FirewallPolicy) -> Result<(), String> {
    let lists = [
        ("inbound_rules", &mut policy.inbound, &less.inbound),
        ("outbound_rules", &mut policy.outbound, &less.outbound),
    ];
    for (name, list, less) in lists {
        let known: HashSet<Meaning> = list.iter().map(meaning).collect();
        let gone: HashSet<Meaning> = less.iter().map(meaning).collect();
        if let Some(index) = less.iter().position(|rule| !known.contains(&meaning(rule))) {
            return Err(format!(
                "{name}[{index}] is no rule of this firewall: one that is removed has to be named with its protocol, ports and \
                 everybody it allows."
            ));
        }
        list.retain(|rule| !gone.contains(&meaning(rule)));
    }
    Ok(())
}

/// The ports a rule is about; `None` for all.
pub fn ports_of(rule: &FirewallRule) -> Option<RangeInclusive<u16>> {
    if rule.ports == ALL_PORTS {
        return None;
    }
    let (low, high) = rule.ports.split_once('-').unwrap_or((&rule.ports, &rule.ports));
    Some(low.parse().ok()?..=high.parse().ok()?)
}

/// Reads an address or a network; an address is a network of one. Bits beyond the prefix are passed over.
pub fn network_of(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        Ok(address) => Some(IpNet::from(address)),
        Err(_) => Some(text.parse::<IpNet>().ok()?.trunc()),
    }
}

/// What a rule comes to, however it is written.
type Meaning = (FirewallProtocol, RangeInclusive<u16>, BTreeSet<String>);

fn meaning(rule: &FirewallRule) -> Meaning {
    let peers = &rule.peers;
    let addresses = peers.addresses.iter().map(|text| network_of(text).map_or(text.clone(), |net| net.to_string()));
    let droplets = peers.droplets.iter().map(|id| format!("droplet {id}"));
    let tags = peers.tags.iter().map(|tag| format!("tag {tag}"));
    let balancers = peers.load_balancers.iter().map(|id| format!("load balancer {id}"));
    let clusters = peers.clusters.iter().map(|id| format!("cluster {id}"));
    let all = addresses.chain(droplets).chain(tags).chain(balancers).chain(clusters).collect();
    (rule.protocol, ports_of(rule).unwrap_or(1..=u16::MAX), all)
}

/// Where in a request a rule is.
struct Place {
    list: &'static str,
    index: usize,
    side: &'static str,
}

impl Place {
    fn says(&self, member: &str, problem: impl std::fmt::Display) -> String {
        format!("{}[{}].{member} {problem}", self.list, self.index)
    }
}

fn rule(at: &Place, protocol: &str, ports: &str, target: &FirewallRuleTarget) -> Result<FirewallRule, String> {
    let protocol: FirewallProtocol =
        protocol.parse().map_err(|_| at.says("protocol", format!("is {protocol:?}; it must be tcp, udp or icmp.")))?;
    let ports = match protocol {
        // It has none, whatever clients send along.
        FirewallProtocol::Icmp => ALL_PORTS.to_owned(),
        FirewallProtocol::Tcp | FirewallProtocol::Udp => {
            self::ports(ports).map_err(|problem| at.says("ports", problem))?
        }
    };
    Ok(FirewallRule { protocol, ports, peers: peers(at, target)? })
}

/// Reads ports as they are kept (FW-3).
fn ports(text: &str) -> Result<String, String> {
    if matches!(text, ALL_PORTS | "all") {
        return Ok(ALL_PORTS.to_owned());
    }
    if text.is_empty() {
        return Err("is required: one port, a range such as 8000-9000, or all.".to_owned());
    }
    let port = |part: &str| match part.parse::<u16>() {
        Ok(port) if port > 0 && part.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(format!("is {text:?}; it must be one port from 1 to 65535, a range such as 8000-9000, or all.")),
    };
    match text.split_once('-') {
        None => port(text).map(|port| port.to_string()),
        Some((low, high)) => match (port(low)?, port(high)?) {
            (low, high) if low <= high => Ok(format!("{low}-{high}")),
            (low, high) => Err(format!("is {text:?}, which is backwards: write {high}-{low}.")),
        },
    }
}

/// Reads the other side of a rule, each of it once.
fn peers(at: &Place, target: &FirewallRuleTarget) -> Result<FirewallPeers, String> {
    let FirewallRuleTarget { addresses, droplet_ids, load_balancer_uids, kubernetes_ids, tags } = target;
    let in_side = |member: &str, problem: String| at.says(&format!("{}.{member}", at.side), problem);
    for (member, count) in [
        ("addresses", addresses.len()),
        ("droplet_ids", droplet_ids.len()),
        ("load_balancer_uids", load_balancer_uids.len()),
        ("kubernetes_ids", kubernetes_ids.len()),
        ("tags", tags.len()),
    ] {
        if count > LISTED_MAX {
            return Err(in_side(member, format!("has too many entries (maximum is {LISTED_MAX}).")));
        }
    }
    let mut peers = FirewallPeers::default();
    let mut known = HashSet::new();
    for text in addresses {
        let network = network_of(text).ok_or_else(|| {
            in_side(
                "addresses",
                format!(
                    "has {text:?}, which is no address and no network, such as 192.0.2.7, 10.0.0.0/8 or 2001:db8::/32."
                ),
            )
        })?;
        if known.insert(network) {
            peers.addresses.push(text.clone());
        }
    }
    peers.droplets = once(droplet_ids);
    for (member, ids, kept) in [
        ("load_balancer_uids", load_balancer_uids, &mut peers.load_balancers),
        ("kubernetes_ids", kubernetes_ids, &mut peers.clusters),
    ] {
        if ids.iter().any(|id| id.is_empty() || id.chars().count() > ID_MAX) {
            return Err(in_side(member, format!("has an id that is empty or longer than {ID_MAX} characters.")));
        }
        *kept = once(ids);
    }
    let tags: Result<Vec<TagName>, _> = tags.iter().map(|tag| tag.parse()).collect();
    peers.tags =
        once(&tags.map_err(|problem: dewpoint_api::Invalid| in_side("tags", format!("has {}", problem.problem)))?);
    if peers.count() == 0 {
        let problem = "names nobody: it needs addresses, droplet_ids, tags, load_balancer_uids or kubernetes_ids.";
        return Err(at.says(at.side, problem));
    }
    Ok(peers)
}

/// The entries in their order, each once.
fn once<T: Clone + Eq + std::hash::Hash>(entries: &[T]) -> Vec<T> {
    let mut known = HashSet::new();
    entries.iter().filter(|entry| known.insert((*entry).clone())).cloned().collect()
}

#[cfg(test)]
mod tests;

//! The way from A to B: which link A uses, what the network does with it, and whose link it comes to.

use std::net::{IpAddr, Ipv4Addr};

use super::{METADATA, METADATA_PORT, Obstacle, Question, Way, is_of, own_address, vpc_of};
use crate::{Link, LinkKind, Plan, Protocol, Vpc};

/// A way that there is, firewalls aside.
pub(super) struct Route<'a> {
    pub(super) way: Way,
    /// Whose outbound rules it passes.
    pub(super) sender: Option<u64>,
    /// By which link it comes to whom, and so whose inbound rules it passes.
    pub(super) receiver: Option<&'a Link>,
    /// The sender's address, as the receiver sees it.
    pub(super) source: IpAddr,
    /// The reserved address it was sent to, whom that leads to, and as what.
    pub(super) leads: Option<(IpAddr, u64, IpAddr)>,
}

impl Route<'_> {
    /// One on which nobody's firewalls are.
    fn unjudged(way: Way, source: IpAddr) -> Self {
        Self { way, sender: None, receiver: None, source, leads: None }
    }
}

/// The machine that has this address, or to which it leads.
pub(super) fn owner_of(plan: &Plan, address: IpAddr) -> Option<u64> {
    let link = plan.links.iter().find(|link| is_of(link, address)).map(|link| link.machine);
    let reserved = || plan.reserved.iter().find(|one| one.address == address).map(|one| one.machine);
    link.or_else(reserved)
}

/// The link by which a machine sends to an address: the one whose network that is in, its private one for what is private,
/// its public one for everything else.
pub(super) fn towards(plan: &Plan, machine: u64, to: IpAddr) -> Option<&Link> {
    let links = || plan.links.iter().filter(|link| link.machine == machine);
    let prefix = |link: &Link| match to {
        IpAddr::V4(to) => link.ipv4.filter(|net| net.contains(&to)).map(|net| net.prefix_len()),
        IpAddr::V6(to) => link.ipv6.filter(|net| net.contains(&to)).map(|net| net.prefix_len()),
    };
    let near = links().filter_map(|link| Some((prefix(link)?, link))).max_by_key(|(prefix, _)| *prefix);
    near.map(|(_, link)| link).or_else(|| {
        let is_private = matches!(to, IpAddr::V4(to) if to.is_private());
        links().find(|link| (link.kind == LinkKind::Public) != is_private)
    })
}

/// Whether the network forwards packets to or from it at all.
fn is_forwarded(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let never = v4.is_unspecified() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast();
            !never && v4 != Ipv4Addr::BROADCAST
        }
        IpAddr::V6(v6) => {
            let never = v6.is_unspecified() || v6.is_loopback() || v6.is_unicast_link_local() || v6.is_multicast();
            !never && v6.to_ipv4_mapped().is_none()
        }
    }
}

/// The way from a machine, with this source address if one is asked for.
pub(super) fn from_machine<'a>(
    plan: &'a Plan,
    machine: u64,
    asked: Option<IpAddr>,
    question: &Question,
) -> Result<Route<'a>, Obstacle> {
    let to = question.to;
    if !plan.links.iter().any(|link| link.machine == machine) {
        return Err(Obstacle::NoSuchMachine(machine));
    }
    if asked.is_some_and(|asked| asked.is_ipv4() != to.is_ipv4()) {
        return Err(Obstacle::FamiliesDiffer);
    }
    if plan.links.iter().any(|link| link.machine == machine && is_of(link, to)) {
        return Ok(Route::unjudged(Way::Itself, to));
    }
    if to == IpAddr::V4(METADATA) && is_served(question) {
        return Ok(Route::unjudged(Way::Metadata, to));
    }
    if !is_forwarded(to) {
        return Err(Obstacle::NotForwarded(to));
    }
    let lacking = || match to {
        IpAddr::V4(v4) if v4.is_private() => Obstacle::NoLink { machine, to },
        _ => Obstacle::NoPublicAddress { machine, v6: to.is_ipv6() },
    };
    let link = towards(plan, machine, to).ok_or_else(lacking)?;
    let source = own_address(link, to).ok_or_else(lacking)?;
    if let Some(asked) = asked.filter(|asked| *asked != source) {
        return Err(Obstacle::Spoofed { machine, source: asked, own: source });
    }
    match vpc_of(plan, link) {
        Some(vpc) => in_private(plan, &vpc, machine, source, question),
        None => in_public(plan, machine, source, to),
    }
}

/// Whether the metadata service answers that: its own port, and pings.
fn is_served(question: &Question) -> bool {
    match question.protocol {
        Protocol::Tcp => question.port == METADATA_PORT,
        Protocol::Udp => false,
        Protocol::Icmp => true,
    }
}

/// From a machine's private link: to its own VPC, or to one that is peered with it.
fn in_private<'a>(
    plan: &'a Plan,
    own: &Vpc,
    machine: u64,
    source: IpAddr,
    question: &Question,
) -> Result<Route<'a>, Obstacle> {
    let to = question.to;
    let holds = |vpc: &&Vpc| matches!(to, IpAddr::V4(to) if vpc.range.contains(&to));
    let peered = plan.peerings.iter().filter_map(|peering| {
        let other = match peering.between {
            (one, other) if one == own.id => other,
            (other, one) if one == own.id => other,
            _ => return None,
        };
        plan.vpcs.iter().find(|vpc| vpc.id == other).filter(holds).map(|vpc| (vpc, Way::Peering(peering.id)))
    });
    let near = Some((own, Way::Vpc(own.id))).filter(|(vpc, _)| holds(vpc));
    let Some((vpc, way)) = near.or_else(|| peered.into_iter().next()) else {
        return Err(match plan.vpcs.iter().find(holds) {
            Some(other) => Obstacle::NotPeered { from: own.id, to: other.id },
            None => Obstacle::NoVpc { from: own.id, to },
        });
    };
    if to == IpAddr::V4(vpc.gateway) {
        return match question.protocol {
            Protocol::Icmp => Ok(Route::unjudged(Way::Gateway(vpc.id), source)),
            Protocol::Tcp | Protocol::Udp => Err(Obstacle::GatewayPingsOnly(vpc.id)),
        };
    }
    let there = plan.links.iter().find(|link| link.kind == LinkKind::Private(vpc.id) && is_of(link, to));
    let receiver = there.ok_or(Obstacle::NobodyThere { vpc: vpc.id, to })?;
    Ok(Route { way, sender: Some(machine), receiver: Some(receiver), source, leads: None })
}

/// From a machine's public link: to another one, by its own address or by one that leads to it, or to the world.
fn in_public(plan: &Plan, machine: u64, source: IpAddr, to: IpAddr) -> Result<Route<'_>, Obstacle> {
    let (receiver, leads) = public_receiver(plan, to)?;
    if leads.is_some_and(|(_, leads_to, _)| leads_to == machine) {
        return Err(Obstacle::LeadsBack(machine));
    }
    let way = if receiver.is_some() { Way::Public } else { Way::ToWorld };
    Ok(Route { way, sender: Some(machine), receiver, source, leads })
}

type Receiver<'a> = (Option<&'a Link>, Option<(IpAddr, u64, IpAddr)>);

/// The public link that has this address, or to which it leads.
fn public_receiver(plan: &Plan, to: IpAddr) -> Result<Receiver<'_>, Obstacle> {
    let public = || plan.links.iter().filter(|link| link.kind == LinkKind::Public);
    let Some(reserved) = plan.reserved.iter().find(|one| one.address == to) else {
        return Ok((public().find(|link| is_of(link, to)), None));
    };
    let machine = reserved.machine;
    let link = public().find(|link| link.machine == machine);
    let found = link.and_then(|link| Some((link, own_address(link, to)?)));
    let (link, own) = found.ok_or(Obstacle::NoPublicAddress { machine, v6: to.is_ipv6() })?;
    Ok((Some(link), Some((to, machine, own))))
}

/// The way from outside.
pub(super) fn from_world<'a>(plan: &'a Plan, source: IpAddr, question: &Question) -> Result<Route<'a>, Obstacle> {
    let to = question.to;
    if let Some(never) = [source, to].into_iter().find(|address| !is_forwarded(*address)) {
        return Err(Obstacle::NotForwarded(never));
    }
    if source.is_ipv4() != to.is_ipv4() {
        return Err(Obstacle::FamiliesDiffer);
    }
    let (Some(receiver), leads) = public_receiver(plan, to)? else {
        let private = plan.links.iter().find(|link| is_of(link, to)).and_then(|link| vpc_of(plan, link));
        let range = plan.vpcs.iter().find(|vpc| matches!(to, IpAddr::V4(to) if vpc.range.contains(&to))).cloned();
        return Err(match private.or(range) {
            Some(vpc) => Obstacle::PrivateFromOutside { vpc: vpc.id, to },
            None => Obstacle::NobodyHere(to),
        });
    };
    Ok(Route { way: Way::FromWorld, sender: None, receiver: Some(receiver), source, leads })
}

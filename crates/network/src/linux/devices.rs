//! Bridges, taps, rules and routes: what is wanted, as a value, and the commands that lead there from what is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use uuid::Uuid;

use super::{
    Error, WireConfig,
    names::{PUBLIC, UPLINK, VPC_MARK, bridge, bridge_mac, numbers, tap_name, vpc_bridge},
    observed::{Observed, Route},
    ruleset::tracked_bridges,
};
use crate::{LinkKind, Plan, Vpc};

/// The rule by which packets of no VPC skip the rules of all VPCs.
const SKIP: u32 = 10;
/// The rules of VPCs.
const VPCS: u32 = 100;
/// The rule of the kernel's own table, which stood before all others: an address of one VPC's gateway may be a machine's in
/// another VPC.
const LOCAL: u32 = 30_000;

/// The bridges, taps and tables there should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    bridges: BTreeMap<String, Bridge>,
    /// The bridge of each tap, by its name; those of machines that do not run are not there.
    taps: BTreeMap<String, String>,
    /// The marks that have a table, each of the same number.
    marks: BTreeSet<u32>,
    routes: BTreeSet<Route>,
}

#[derive(Debug, PartialEq, Eq)]
struct Bridge {
    mac: String,
    addresses: Vec<IpNet>,
    is_guarded: bool,
}

/// Commands of iproute2, in two parts: the ruleset is changed between them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    /// What is missing is added: nothing that is allowed gets lost, and what is not allowed has no tap yet that may send.
    pub(super) before: Vec<String>,
    /// What is not wanted is removed.
    pub(super) after: Vec<String>,
}

impl Wanted {
    /// [`Error::Plan`] for a plan that names a device twice or a VPC that it does not have.
    pub(super) fn new(config: &WireConfig, plan: &Plan) -> Result<Self, Error> {
        let tracked = tracked_bridges(plan);
        let services = config.service_addresses();
        let mut bridges = BTreeMap::new();
        let public = Bridge {
            mac: bridge_mac(LinkKind::Public),
            addresses: config.gateways().chain(services.iter().map(|address| IpNet::from(*address))).collect(),
            is_guarded: tracked.contains(PUBLIC),
        };
        bridges.insert(PUBLIC.to_owned(), public);
        for vpc in &plan.vpcs {
            let name = vpc_bridge(vpc.id);
            let gateway = IpNet::new(vpc.gateway.into(), vpc.range.prefix_len());
            let gateway = gateway.map_err(|error| Error::Plan(error.to_string()))?;
            let addresses =
                std::iter::once(gateway).chain(services.iter().map(|address| IpNet::from(*address))).collect();
            let is_guarded = tracked.contains(&name);
            let bridge = Bridge { mac: bridge_mac(LinkKind::Private(vpc.id)), addresses, is_guarded };
            if bridges.insert(name.clone(), bridge).is_some() {
                return Err(Error::Plan(format!("two VPCs would be {name}")));
            }
        }
        let mut taps = BTreeMap::new();
        for link in &plan.links {
            let (tap, bridge) = (tap_name(link.machine, link.kind), bridge(link.kind));
            if !bridges.contains_key(&bridge) {
                return Err(Error::Plan(format!("machine {} has a link to {bridge}, which is no VPC's", link.machine)));
            }
            if let Some(other) = taps.insert(tap.clone(), bridge.clone()) {
                return Err(Error::Plan(format!("{tap} would be on {other} and on {bridge}")));
            }
        }
        let (marks, routes) = tables(plan, &services)?;
        Ok(Self { bridges, taps, marks, routes })
    }

    /// How a bridge is made.
    pub(super) fn bridge(&self, name: &str) -> Vec<String> {
        let line = |bridge: &Bridge| {
            let mac = &bridge.mac;
            format!("link add name {name} address {mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
        };
        self.bridges.get(name).map(line).into_iter().collect()
    }

    /// What to do where `there` is.
    pub(super) fn steps(&self, there: &Observed) -> Steps {
        let mut steps = Steps::default();
        self.bridge_steps(there, &mut steps);
        self.tap_steps(there, &mut steps);
        self.rule_steps(there, &mut steps);
        self.route_steps(there, &mut steps);
        // Last: routes and taps go with them.
        let gone =
            there.devices.iter().filter(|(name, device)| device.kind == "bridge" && !self.bridges.contains_key(*name));
        steps.after.extend(gone.map(|(name, _)| format!("link del dev {name}")));
        steps
    }

    fn bridge_steps(&self, there: &Observed, steps: &mut Steps) {
        for (name, wanted) in &self.bridges {
            let device = there.devices.get(name);
            if device.is_none() {
                steps.before.extend(self.bridge(name));
            }
            let had = device.map_or(&[][..], |device| &device.addresses[..]);
            let add = wanted.addresses.iter().filter(|address| !had.contains(address));
            // The route to a VPC's range is in its own table, the public one's in the main one.
            let routed = if name == PUBLIC { "" } else { " noprefixroute" };
            steps.before.extend(add.map(|address| {
                let nodad = if matches!(address, IpNet::V6(_)) { " nodad" } else { "" };
                format!("address add {address} dev {name}{routed}{nodad}")
            }));
            let remove = had.iter().filter(|address| !wanted.addresses.contains(address));
            steps.after.extend(remove.map(|address| format!("address del {address} dev {name}")));
            if !device.is_some_and(|device| device.is_up) {
                steps.before.push(format!("link set dev {name} up"));
            }
            let shown =
                |is: u8| format!("link set dev {name} type bridge nf_call_iptables {is} nf_call_ip6tables {is}");
            match (wanted.is_guarded, device.is_some_and(|device| device.is_guarded)) {
                (true, false) => steps.before.push(shown(1)),
                (false, true) => steps.after.push(shown(0)),
                (true, true) | (false, false) => {}
            }
        }
    }

    fn tap_steps(&self, there: &Observed, steps: &mut Steps) {
        for (name, device) in &there.devices {
            let wanted = self.taps.get(name);
            match wanted {
                Some(bridge) if device.master.as_ref() != Some(bridge) => {
                    steps.before.push(format!("link set dev {name} master {bridge} up"));
                }
                Some(_) if !device.is_up => steps.before.push(format!("link set dev {name} up")),
                Some(_) => {}
                None if device.master.is_some() => steps.after.push(format!("link set dev {name} nomaster")),
                None => {}
            }
        }
    }

    fn rule_steps(&self, there: &Observed, steps: &mut Steps) {
        let at = |priority| there.rules.iter().filter(move |rule| rule.priority == priority);
        if at(LOCAL).next().is_none() {
            steps.before.push(format!("rule add priority {LOCAL} lookup local"));
        }
        if at(0).next().is_some() {
            steps.before.push("rule del priority 0".to_owned());
        }
        if at(SKIP).next().is_none() {
            steps.before.push(format!("rule add priority {SKIP} fwmark 0/{VPC_MARK:#x} goto {LOCAL}"));
        }
        let had: BTreeSet<u32> = at(VPCS).filter_map(|rule| hexadecimal(rule.fwmark.as_deref()?)).collect();
        let rule = |what: &str, mark: &u32| format!("rule {what} priority {VPCS} fwmark {mark:#x} lookup {mark}");
        steps.before.extend(self.marks.difference(&had).map(|mark| rule("add", mark)));
        steps.after.extend(had.difference(&self.marks).map(|mark| rule("del", mark)));
    }

    fn route_steps(&self, there: &Observed, steps: &mut Steps) {
        let ours = |route: &&Route| route.table.parse().is_ok_and(|table: u32| table & VPC_MARK != 0);
        let had: BTreeSet<&Route> = there.routes.iter().filter(ours).collect();
        let command = |what: &str, route: &Route| {
            let dev = route.dev.as_ref().map(|dev| format!(" dev {dev}")).unwrap_or_default();
            format!("route {what} {} {}{dev} table {}", route.kind, route.dst, route.table)
        };
        let missing = self.routes.iter().filter(|route| !had.contains(route));
        steps.before.extend(missing.map(|route| command("replace", route)));
        // A replaced one is gone already, so only what leads where nothing should lead is removed.
        let places: BTreeSet<(&str, &str)> = self.routes.iter().map(|route| (&*route.table, &*route.dst)).collect();
        let unwanted = had.iter().filter(|route| !places.contains(&(&*route.table, &*route.dst)));
        steps.after.extend(unwanted.map(|route| command("del", route)));
    }
}

/// Whether a command is about a device that may go by itself before it is run: a tap, or what is to go anyway.
pub(super) fn may_be_gone(line: &str) -> bool {
    line.starts_with("link del dev ") || line.starts_with("link set dev t")
}

/// Each VPC's own table: its machines, itself, the services, the VPCs it is peered with, and nothing else.
fn tables(plan: &Plan, services: &[IpAddr]) -> Result<(BTreeSet<u32>, BTreeSet<Route>), Error> {
    let numbers = numbers(plan);
    let find = |id: Uuid| plan.vpcs.iter().find(|vpc| vpc.id == id);
    let mut marks = BTreeSet::new();
    let mut routes = BTreeSet::new();
    let route = |kind: &str, dst: String, dev: Option<String>, mark: u32| Route {
        kind: kind.to_owned(),
        dst,
        dev,
        table: mark.to_string(),
    };
    let to = |vpc: &Vpc, mark: u32| route("unicast", vpc.range.trunc().to_string(), Some(vpc_bridge(vpc.id)), mark);
    for vpc in &plan.vpcs {
        let mark = mark_of(&numbers, vpc.id)?;
        marks.insert(mark);
        routes.insert(to(vpc, mark));
        routes.insert(route("local", vpc.gateway.to_string(), Some(vpc_bridge(vpc.id)), mark));
        routes.extend(services.iter().map(|address| route("local", address.to_string(), Some("lo".to_owned()), mark)));
        routes.insert(route("unreachable", "default".to_owned(), None, mark));
    }
    for peering in &plan.peerings {
        let (Some(one), Some(other)) = (find(peering.between.0), find(peering.between.1)) else {
            return Err(Error::Plan(format!("peering {} is with a VPC that is not there", peering.id)));
        };
        if one.range.contains(&other.range) || other.range.contains(&one.range) {
            return Err(Error::Plan(format!(
                "peering {} is of {} and {}, which overlap",
                peering.id, one.range, other.range
            )));
        }
        for (here, there) in [(one, other), (other, one)] {
            let mark = mark_of(&numbers, here.id)?;
            routes.insert(to(there, mark));
            // The peer's gateway is the namespace itself, from here as well.
            routes.insert(route("local", there.gateway.to_string(), Some(vpc_bridge(there.id)), mark));
        }
    }
    Ok((marks, routes))
}

/// The mark of a VPC's packets, and its table.
pub(super) fn mark_of(numbers: &BTreeMap<Uuid, u16>, vpc: Uuid) -> Result<u32, Error> {
    let number =
        numbers.get(&vpc).ok_or_else(|| Error::Plan("there are more than 65535 VPCs and peerings".to_owned()))?;
    Ok(VPC_MARK | u32::from(*number))
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

impl WireConfig {
    /// The gateways of the public network, with its prefixes.
    fn gateways(&self) -> impl Iterator<Item = IpNet> {
        let v4 = IpNet::new(self.public_v4.1.into(), self.public_v4.0.prefix_len());
        let v6 = self.public_v6.map(|(net, gateway)| IpNet::new(gateway.into(), net.prefix_len()));
        std::iter::once(v4).chain(v6).flatten()
    }

    /// The way out of the namespace; done again, it changes nothing.
    pub(super) fn way_out(&self) -> Vec<String> {
        let (host, inside) = self.uplink.pair_v4();
        let mut lines = vec![
            "link set dev lo up".to_owned(),
            format!("address replace {inside}/{} dev {UPLINK}", self.uplink.v4.prefix_len()),
        ];
        let v6 = self.uplink.pair_v6().zip(self.uplink.v6);
        lines.extend(
            v6.map(|((_, inside), net)| format!("address replace {inside}/{} dev {UPLINK} nodad", net.prefix_len())),
        );
        lines.extend(self.service_addresses().iter().map(|address| format!("address replace {address} dev lo")));
        lines.push(format!("link set dev {UPLINK} up"));
        lines.push(format!("route replace default via {host} dev {UPLINK}"));
        lines.extend(v6.map(|((host, _), _)| format!("route replace default via {host} dev {UPLINK}")));
        // Or what nobody has would go back to the host, and round until it is too old.
        lines.extend(
            self.reserved.iter().map(|net| format!("route replace unreachable {} metric 4000000000", net.trunc())),
        );
        lines
    }
}

#[cfg(test)]
mod tests;

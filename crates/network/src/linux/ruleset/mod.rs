//! A plan as one nftables script, which the kernel takes whole or not at all.
//!
//! - `table bridge dewpoint`: what a guest may send at all, by its tap ([`spoof`]). Every frame passes it.
//! - `table inet dewpoint`: who may reach whom ([`guard`]), what is reserved ([`reserved`]), what is forwarded and what the
//!   namespace itself answers ([`forward`]). A frame between two taps of one bridge passes it only where the bridge is
//!   shown to it (`nf_call_iptables`), which is so where a firewall or a reserved address needs it: [`tracked_bridges`].
//!
//! Sets and maps carry the numbers, so a packet costs a few look-ups however many machines, addresses and rules there are.
//!
//! Both tables are replaced in one transaction. Their chains accept by policy and drop by their last rule: chains of the new
//! table are hooked in before the transaction is in force, and those of the old one a moment longer, empty. A packet that is in
//! the old chains at that very moment finds the old sets empty: so nothing is let through because it is not found in a set.

mod boxes;
mod forward;
mod guard;
mod reserved;
mod spoof;

use std::{collections::BTreeSet, fmt::Display};

use super::{
    Error, WireConfig,
    names::{PUBLIC, bridge},
};
use crate::Plan;

/// Whether connections have to be tracked at all.
fn is_tracked(plan: &Plan) -> bool {
    !plan.reserved.is_empty() || plan.firewalls.iter().any(|firewall| !firewall.machines.is_empty())
}

/// The bridges whose frames have to pass the firewall: those of guarded machines, and the public one where an address is
/// reserved, because the answer of one machine to another has to be translated, too.
pub(super) fn tracked_bridges(plan: &Plan) -> BTreeSet<String> {
    let guarded: BTreeSet<u64> = plan.firewalls.iter().flat_map(|firewall| firewall.machines.iter().copied()).collect();
    let links = plan.links.iter().filter(|link| guarded.contains(&link.machine));
    let mut bridges: BTreeSet<String> = links.map(|link| bridge(link.kind)).collect();
    if !plan.reserved.is_empty() {
        bridges.insert(PUBLIC.to_owned());
    }
    bridges
}

/// The script that puts `plan` in force, in place of what was.
pub(super) fn script(config: &WireConfig, plan: &Plan) -> Result<String, Error> {
    let mut out = String::new();
    for table in ["bridge", "inet"] {
        out += &format!("add table {table} dewpoint\ndelete table {table} dewpoint\n");
    }
    out += "table bridge dewpoint {\n";
    spoof::write(&mut out, plan);
    guard::write_frames(&mut out, plan);
    out += "}\ntable inet dewpoint {\n";
    forward::write(&mut out, config, plan)?;
    reserved::write(&mut out, plan);
    guard::write(&mut out, plan);
    out += "}\n";
    Ok(out)
}

/// A set or map; one without elements has no such line, as nft wants it.
fn write_set(out: &mut String, head: &str, description: &str, elements: impl IntoIterator<Item = impl Display>) {
    out.push_str(&format!("\t{head} {{\n\t\t{description}\n"));
    let mut first = true;
    for element in elements {
        out.push_str(if first { "\t\telements = { " } else { ",\n\t\t\t" });
        out.push_str(&element.to_string());
        first = false;
    }
    out.push_str(if first { "\t}\n" } else { " }\n\t}\n" });
}

/// A chain of these lines.
fn write_chain(out: &mut String, name: &str, lines: &[&str]) {
    out.push_str(&format!("\tchain {name} {{\n"));
    for line in lines {
        out.push_str(&format!("\t\t{line}\n"));
    }
    out.push_str("\t}\n");
}

#[cfg(test)]
mod tests;

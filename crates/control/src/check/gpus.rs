//! GPUs: what Droplets have by the store's books against what there is, and what machines have at the engine.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use dewpoint_api::{DropletId, DropletStatus};
use dewpoint_engine::{MachineId, survey::Survey};
use dewpoint_store::{check::Books, hosts::GpuCondition, stock::Holding};

use super::{Finding, Mend, rules::by_hand};

/// What the engine calls the GPUs that a Droplet has.
pub(super) fn addresses(books: &Books, id: DropletId) -> &[String] {
    books.holdings.iter().find(|holding| holding.droplet == id).map(|holding| &*holding.addresses).unwrap_or_default()
}

/// Everything that is wrong with GPUs; `busy` are Droplets that actions are at.
pub(super) fn gpus(books: &Books, seen: &Survey, busy: &HashSet<DropletId>, all: &mut Vec<Finding>) {
    missing(books, all);
    double(books, all);
    if let Some(taken) = &seen.gpus {
        at_the_engine(books, taken, busy, all);
    }
}

/// GPUs that Droplets have and their hosts have not.
fn missing(books: &Books, all: &mut Vec<Finding>) {
    for host in &books.hosts {
        for holding in books.holdings.iter().filter(|holding| holding.host == host.name) {
            for gpu in holding.gpus.iter().filter_map(|place| host.gpus.get(*place)) {
                let how = match &gpu.condition {
                    GpuCondition::Missing => "is missing from its host".to_owned(),
                    GpuCondition::Unusable(why) => format!("cannot be given to a guest: {why}"),
                    GpuCondition::Ready | GpuCondition::Parked(_) => continue,
                };
                let what = format!(
                    "GPU {} ({}) of host {}, which Droplet {} has, {how}",
                    gpu.address, gpu.model, host.name, holding.droplet
                );
                let remedy =
                    "put the GPU right; or take a snapshot of the Droplet, delete it and create it again from that";
                all.push(by_hand("gpu-missing", &holding.droplet, what, "the Droplet cannot be started", remedy));
            }
        }
    }
}

/// GPUs that two Droplets have.
fn double(books: &Books, all: &mut Vec<Finding>) {
    let mut holders: BTreeMap<(&str, &str), &Holding> = BTreeMap::new();
    for holding in &books.holdings {
        for address in &holding.addresses {
            let Some(first) = holders.insert((&holding.host, address), holding) else { continue };
            let what = format!(
                "Droplets {} and {} both have GPU {address} of host {}",
                first.droplet, holding.droplet, holding.host
            );
            let remedy = "delete one of them, and create it again";
            all.push(by_hand("gpu-double", &holding.droplet, what, "only one of them can be started", remedy));
        }
    }
}

/// What machines have at the engine against what their Droplets have.
fn at_the_engine(
    books: &Books,
    taken: &BTreeMap<MachineId, BTreeSet<(String, String)>>,
    busy: &HashSet<DropletId>,
    all: &mut Vec<Finding>,
) {
    let none = BTreeSet::new();
    for record in books.droplets.iter().filter(|record| !busy.contains(&record.id)) {
        let has = taken.get(&MachineId(record.id.0)).unwrap_or(&none);
        for address in addresses(books, record.id) {
            let there = has.iter().any(|(_, own)| own == address);
            if record.status == DropletStatus::Active && !there {
                let what = format!("Droplet {} runs, and its machine does not have GPU {address}", record.id);
                let why = "its guest does not see what it pays for";
                all.push(by_hand("gpu-not-taken", &record.id, what, why, "power it off and on"));
            }
        }
    }
    let rows: HashSet<u64> = books.droplets.iter().map(|record| record.id.0).collect();
    for (machine, has) in taken.iter().filter(|(machine, _)| !busy.contains(&DropletId(machine.0))) {
        let own = addresses(books, DropletId(machine.0));
        for (host, address) in has.iter().filter(|(_, address)| !own.contains(address)) {
            let what = format!("machine {machine} has GPU {address} of host {host}, and no Droplet has it");
            let why = "nobody else can be given it";
            let finding = by_hand("gpu-leaked", machine, what, why, "takes it back from the machine");
            all.push(match rows.contains(&machine.0) {
                true => Finding { remedy: "power the Droplet off, and on if it is to run".to_owned(), ..finding },
                false => finding.mended(Mend::Gpus(*machine)),
            });
        }
    }
}

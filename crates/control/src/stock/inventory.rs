//! Which GPUs a host has, from what was known and what is told now. Pure: a GPU keeps its place for as long as it is told of,
//! or anybody has it, or the operator has it parked.
//!
//! ```text
//!         told of                not told of any more
//!  new ──────────> there <──────────────────────────> missing ──> (nobody has it, the operator forgets it) gone
//!                    │ its reset failed                                     ^
//!                    └──> parked ──> (the operator puts it back) there ─────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use dewpoint_api::StockHost;
use dewpoint_store::{hosts::GpuCondition, hosts::GpuRecord, stock::Holding};

/// A place that nobody needs any more, until another GPU takes it.
fn empty_place() -> GpuRecord {
    GpuRecord {
        address: String::new(),
        model: String::new(),
        memory_mib: 0,
        node: None,
        condition: GpuCondition::Missing,
        parked: None,
        seen: 0,
    }
}

/// Whether no GPU is at this place.
pub(super) fn is_empty(gpu: &GpuRecord) -> bool {
    gpu.address.is_empty()
}

/// What a declared GPU is called: nobody said, so it is made from its place.
fn declared_address(place: usize) -> String {
    format!("0000:{:02x}:00.0", place + 1)
}

/// The places of a host that Droplets have.
pub(super) fn held(holdings: &[Holding], host: &str) -> BTreeSet<usize> {
    holdings.iter().filter(|holding| holding.host == host).flat_map(|holding| holding.gpus.iter().copied()).collect()
}

/// What was known of a host's GPUs, with those that Droplets have and nothing was written of: their host was not there for a
/// while, or they are from before GPUs were written down.
pub(super) fn with_held(mut known: Vec<GpuRecord>, holdings: &[Holding], host: &str) -> Vec<GpuRecord> {
    for holding in holdings.iter().filter(|holding| holding.host == host) {
        for (index, &place) in holding.gpus.iter().enumerate() {
            if known.len() <= place {
                known.resize_with(place + 1, empty_place);
            }
            if is_empty(&known[place]) {
                let address = holding.addresses.get(index).cloned();
                known[place].address = address.unwrap_or_else(|| declared_address(place));
                known[place].model = holding.gpu_model.clone().unwrap_or_default();
            }
        }
    }
    known
}

/// The GPUs of a declared host. Of a model there are fewer of than before, those stay that Droplets have, then the parked ones.
pub(super) fn declared(
    host: &StockHost,
    mut known: Vec<GpuRecord>,
    held: &BTreeSet<usize>,
    generation: u64,
) -> Vec<GpuRecord> {
    let mut wanted: BTreeMap<&str, usize> = BTreeMap::new();
    for gpus in &host.gpus {
        *wanted.entry(&gpus.model).or_default() += gpus.count as usize;
    }
    let mut order: Vec<usize> = (0..known.len()).collect();
    order.sort_by_key(|place| (!held.contains(place), known[*place].parked.is_none(), *place));
    for place in order {
        let gpu = &mut known[place];
        match wanted.get_mut(gpu.model.as_str()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                (gpu.condition, gpu.seen) = (GpuCondition::Ready, generation);
            }
            _ if held.contains(&place) => gpu.condition = GpuCondition::Missing,
            _ => *gpu = empty_place(),
        }
    }
    // New ones in the order in which they were declared.
    for gpus in &host.gpus {
        let left = wanted.insert(&gpus.model, 0).unwrap_or(0);
        for _ in 0..left {
            put(&mut known, |place| GpuRecord {
                address: declared_address(place),
                model: gpus.model.clone(),
                condition: GpuCondition::Ready,
                seen: generation,
                ..empty_place()
            });
        }
    }
    trimmed(known)
}

/// The GPUs of a host that its engine tells of. One that it tells of no more is missing, whoever has it.
pub(super) fn told(
    told: &[GpuRecord],
    mut known: Vec<GpuRecord>,
    held: &BTreeSet<usize>,
    generation: u64,
) -> Vec<GpuRecord> {
    for (place, gpu) in known.iter_mut().enumerate().filter(|(_, gpu)| !is_empty(gpu)) {
        match told.iter().find(|told| told.address == gpu.address) {
            None => gpu.condition = GpuCondition::Missing,
            Some(now) if now.model != gpu.model && held.contains(&place) => {
                let other = format!("there is a GPU of another model at its address: {}", now.model);
                (gpu.condition, gpu.seen) = (GpuCondition::Unusable(other), generation);
            }
            Some(now) => *gpu = GpuRecord { parked: gpu.parked.take(), seen: generation, ..now.clone() },
        }
    }
    for new in told {
        if known.iter().all(|gpu| gpu.address != new.address) {
            put(&mut known, |_| GpuRecord { seen: generation, ..new.clone() });
        }
    }
    trimmed(known)
}

/// The same without the GPU at `place`, which nobody has.
pub(super) fn without(mut known: Vec<GpuRecord>, place: usize) -> Vec<GpuRecord> {
    if let Some(gpu) = known.get_mut(place) {
        *gpu = empty_place();
    }
    trimmed(known)
}

/// Puts a GPU to the first empty place, or behind the last.
fn put(known: &mut Vec<GpuRecord>, make: impl FnOnce(usize) -> GpuRecord) {
    match known.iter().position(is_empty) {
        Some(place) => known[place] = make(place),
        None => known.push(make(known.len())),
    }
}

fn trimmed(mut known: Vec<GpuRecord>) -> Vec<GpuRecord> {
    let end = known.iter().rposition(|gpu| !is_empty(gpu)).map_or(0, |last| last + 1);
    known.truncate(end);
    known
}

#[cfg(test)]
mod tests {
    use dewpoint_api::StockGpus;
    use proptest::prelude::*;

    use super::*;

    fn host(gpus: &[(&str, u32)]) -> StockHost {
        let gpus = gpus.iter().map(|(model, count)| StockGpus { model: (*model).to_owned(), count: *count }).collect();
        StockHost { name: "h1".to_owned(), region: "nyc2".into(), vcpus: 1, memory_mib: 1, gpus }
    }

    fn models(gpus: &[GpuRecord]) -> Vec<&str> {
        let word = |gpu: &GpuRecord| gpu.condition == GpuCondition::Missing;
        gpus.iter().map(|gpu| if word(gpu) { "-" } else { gpu.model.as_str() }).collect()
    }

    fn gpu(address: &str, model: &str) -> GpuRecord {
        let (address, model) = (address.to_owned(), model.to_owned());
        GpuRecord { address, model, condition: GpuCondition::Ready, ..empty_place() }
    }

    #[test]
    fn declared_gpus_have_their_places_in_the_order_they_were_declared_in() {
        let gpus = declared(&host(&[("b", 2), ("a", 1)]), Vec::new(), &BTreeSet::new(), 1);
        assert_eq!(models(&gpus), ["b", "b", "a"]);
        assert_eq!(gpus[2].address, "0000:03:00.0");
    }

    #[test]
    fn those_that_droplets_have_stay_where_they_are_when_there_are_fewer() {
        let gpus = declared(&host(&[("a", 4)]), Vec::new(), &BTreeSet::new(), 1);
        let fewer = declared(&host(&[("a", 1), ("b", 1)]), gpus, &[2, 3].into(), 2);
        // The third is its Droplet's still; the fourth is missing, and its Droplet has it until it is gone.
        assert_eq!(models(&fewer), ["b", "-", "a", "-"]);
        assert_eq!((fewer[3].model.as_str(), fewer[3].seen), ("a", 1));
        let none = declared(&host(&[]), fewer, &BTreeSet::new(), 3);
        assert_eq!(none, [], "nobody has one");
    }

    #[test]
    fn a_gpu_that_is_told_of_no_more_is_missing_at_its_place_and_there_again_when_it_comes_back() {
        let (one, two) = (gpu("0000:17:00.0", "a"), gpu("0000:65:00.0", "a"));
        let both = told(&[one.clone(), two.clone()], Vec::new(), &BTreeSet::new(), 1);
        let left = told(std::slice::from_ref(&two), both.clone(), &[0].into(), 2);
        assert_eq!((models(&left), left[0].seen, left[1].seen), (vec!["-", "a"], 1, 2));
        let again = told(&[two, one], left, &[0].into(), 3);
        assert_eq!(again.iter().map(|gpu| &gpu.address).collect::<Vec<_>>(), ["0000:17:00.0", "0000:65:00.0"]);
        assert!(again.iter().all(GpuRecord::is_healthy));
    }

    #[test]
    fn another_card_in_the_same_slot_is_not_what_the_droplet_has() {
        let known = told(&[gpu("0000:17:00.0", "a")], Vec::new(), &BTreeSet::new(), 1);
        let other = [gpu("0000:17:00.0", "b")];
        let held = told(&other, known.clone(), &[0].into(), 2);
        assert!(matches!(&held[0].condition, GpuCondition::Unusable(why) if why.contains(": b")), "{held:?}");
        let free = told(&other, known, &BTreeSet::new(), 2);
        assert_eq!((models(&free), free[0].is_healthy()), (vec!["b"], true));
    }

    #[test]
    fn what_we_parked_stays_parked_whatever_is_told() {
        let mut known = told(&[gpu("0000:17:00.0", "a")], Vec::new(), &BTreeSet::new(), 1);
        known[0].parked = Some("its reset failed".to_owned());
        let again = told(&[gpu("0000:17:00.0", "a")], known, &BTreeSet::new(), 2);
        assert!(!again[0].is_healthy());
    }

    proptest! {
        #[test]
        fn as_many_are_there_as_were_declared_and_what_is_held_keeps_its_place_and_name(
            rounds in prop::collection::vec((prop::collection::vec((0_usize..3, 0_u32..5), 0..4), prop::collection::btree_set(0_usize..12, 0..6)), 1..6)
        ) {
            let names = ["a", "b", "c"];
            let mut known: Vec<GpuRecord> = Vec::new();
            for (generation, (gpus, held)) in (1..).zip(rounds) {
                let host = host(&gpus.iter().map(|(model, count)| (names[*model], *count)).collect::<Vec<_>>());
                let held: BTreeSet<usize> = held.into_iter().filter(|place| known.get(*place).is_some_and(|gpu| !is_empty(gpu))).collect();
                let before = known.clone();
                known = declared(&host, known, &held, generation);
                for place in &held {
                    prop_assert_eq!((&known[*place].address, &known[*place].model), (&before[*place].address, &before[*place].model));
                }
                for name in names {
                    let there = known.iter().filter(|gpu| gpu.model == name && gpu.condition == GpuCondition::Ready).count();
                    let wanted: u32 = host.gpus.iter().filter(|gpus| gpus.model == name).map(|gpus| gpus.count).sum();
                    prop_assert_eq!(there, wanted as usize);
                }
                let mut addresses: Vec<&String> = known.iter().filter(|gpu| !is_empty(gpu)).map(|gpu| &gpu.address).collect();
                addresses.sort();
                let count = addresses.len();
                addresses.dedup();
                prop_assert_eq!(addresses.len(), count, "no address twice");
            }
        }
    }
}

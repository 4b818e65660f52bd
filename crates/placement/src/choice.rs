//! How good a host is for a machine: compared member by member, the smaller the better.

use std::collections::BTreeMap;

use crate::{
    reason::Short,
    stock::{HostState, Overcommit, Wish},
};

/// A host's worth for one machine, and the GPUs it would have there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Choice {
    /// It would have GPUs that it does not need on its host: a machine without GPUs had better be elsewhere.
    wastes_gpus: bool,
    /// It would be the first on a host whose GPUs are all free, which a size for whole hosts could have had.
    breaks_whole: bool,
    /// Siblings that are there already.
    siblings: usize,
    /// NUMA nodes its GPUs are on.
    nodes: usize,
    /// GPUs of its model that would be left there: the fullest host first.
    gpus_left: usize,
    /// Memory that would be left there, in MiB: the fullest host first.
    memory_left: u64,
    /// The GPUs' places.
    gpus: Vec<usize>,
}

impl Choice {
    pub(crate) fn into_gpus(self) -> Vec<usize> {
        self.gpus
    }
}

/// What a host is worth for the wish, or what it is short of first.
pub(crate) fn look(state: &HostState, wish: &Wish<'_>, overcommit: Overcommit) -> Result<Choice, Short> {
    let (host, need) = (&state.host, wish.need);
    if host.vcpus < need.vcpus {
        return Err(Short::TooSmall);
    }
    // A product of two small numbers; what is lost by rounding down is less than one of a unit.
    let vcpus = (f64::from(host.vcpus) * overcommit.vcpus) as u64;
    let memory = (host.memory_mib as f64 * overcommit.memory) as u64;
    if memory < need.memory_mib {
        return Err(Short::TooSmall);
    }
    let gpus = match &need.gpus {
        None => Vec::new(),
        Some((count, model)) => {
            let wanted = usize::try_from(*count).unwrap_or(usize::MAX);
            if host.gpus.iter().filter(|gpu| gpu.model == *model).count() < wanted {
                return Err(Short::NoSuchGpus);
            }
            nearest(state, model, wanted).ok_or(Short::GpusTaken)?
        }
    };
    if vcpus.saturating_sub(state.vcpus_used) < need.vcpus.into() {
        return Err(Short::Vcpus);
    }
    let memory_free = memory.saturating_sub(state.memory_used);
    if memory_free < need.memory_mib {
        return Err(Short::Memory);
    }
    let model = need.gpus.as_ref().map(|(_, model)| model.as_str());
    let all_free = !host.gpus.is_empty() && state.gpus_used.iter().all(|used| !used);
    let takes_all = gpus.len() == host.gpus.len();
    Ok(Choice {
        wastes_gpus: model.is_none() && !host.gpus.is_empty(),
        breaks_whole: all_free && !takes_all,
        siblings: wish.apart_from.iter().filter(|name| **name == host.name).count(),
        nodes: nodes_of(state, &gpus),
        gpus_left: model.map_or(0, |model| state.free_gpus(model).count() - gpus.len()),
        memory_left: memory_free - need.memory_mib,
        gpus,
    })
}

/// So many free GPUs of a model on as few nodes as can be: those of the fullest node that has enough, else of the emptiest ones
/// in turn. `None` when fewer are free.
fn nearest(state: &HostState, model: &str, wanted: usize) -> Option<Vec<usize>> {
    let mut by_node: BTreeMap<Option<u32>, Vec<usize>> = BTreeMap::new();
    for place in state.free_gpus(model) {
        by_node.entry(state.host.gpus[place].node).or_default().push(place);
    }
    let enough = by_node.values().filter(|places| places.len() >= wanted).min_by_key(|places| places.len());
    if let Some(places) = enough {
        return Some(places[..wanted].to_vec());
    }
    let mut nodes: Vec<Vec<usize>> = by_node.into_values().collect();
    nodes.sort_by_key(|places| std::cmp::Reverse(places.len()));
    let mut chosen: Vec<usize> = nodes.into_iter().flatten().take(wanted).collect();
    if chosen.len() < wanted {
        return None;
    }
    chosen.sort_unstable();
    Some(chosen)
}

fn nodes_of(state: &HostState, gpus: &[usize]) -> usize {
    let mut nodes: Vec<Option<u32>> = gpus.iter().map(|&place| state.host.gpus[place].node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    nodes.len()
}

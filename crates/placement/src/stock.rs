//! Hosts, what they have, and what of it is taken.

use std::collections::BTreeMap;

use crate::{
    choice::{self, Choice},
    reason::{Reason, Refusal},
};

/// A host and what it has in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name, unique in a stock.
    pub name: String,
    /// The region it is in.
    pub region: String,
    /// Processors.
    pub vcpus: u32,
    /// Memory for machines, in MiB.
    pub memory_mib: u64,
    /// Its GPUs, by their place in this list.
    pub gpus: Vec<Gpu>,
}

/// One GPU of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// What it is, as sizes name it: `nvidia_h100`.
    pub model: String,
    /// The NUMA node it is on, where the host has several.
    pub node: Option<u32>,
    /// Whether it may be given to anybody.
    pub healthy: bool,
}

/// What one machine needs of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// How many GPUs of which model; all of them on one host.
    pub gpus: Option<(u32, String)>,
}

/// A machine that wants a place.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// Where it has to be; anywhere when `None`.
    pub region: Option<&'a str>,
    /// What it needs.
    pub need: &'a Need,
    /// Hosts that it had better not be on, by name, once for each of its siblings of one create.
    pub apart_from: &'a [String],
}

/// How much more is promised than there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overcommit {
    /// Virtual processors for each of a host's; a single machine never has more than the host.
    pub vcpus: f64,
    /// Memory; 1 promises none twice.
    pub memory: f64,
}

impl Default for Overcommit {
    /// Four virtual processors for each, and no memory twice.
    fn default() -> Self {
        Self { vcpus: 4.0, memory: 1.0 }
    }
}

/// A place for one machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The host's name.
    pub host: String,
    /// Its region.
    pub region: String,
    /// Which of the host's GPUs, by their place in [`Host::gpus`], ascending.
    pub gpus: Vec<usize>,
}

/// What one machine has of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Which GPUs; empty also for a machine that let go of them while it is off.
    pub gpus: Vec<usize>,
}

/// A host with what is taken of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    pub(crate) host: Host,
    pub(crate) vcpus_used: u64,
    pub(crate) memory_used: u64,
    /// For each GPU how many have it: more than one is what [`Stock::take`] refuses.
    pub(crate) gpus_used: Vec<bool>,
}

impl HostState {
    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Processors that are promised.
    pub fn vcpus_used(&self) -> u64 {
        self.vcpus_used
    }

    /// Memory that is promised, in MiB.
    pub fn memory_used(&self) -> u64 {
        self.memory_used
    }

    /// Whether somebody has the GPU at this place.
    pub fn is_gpu_used(&self, place: usize) -> bool {
        self.gpus_used.get(place).copied().unwrap_or(false)
    }

    /// Places of the GPUs of `model` that can be given now, ascending.
    pub fn free_gpus(&self, model: &str) -> impl Iterator<Item = usize> {
        let gpus = self.host.gpus.iter().zip(&self.gpus_used).enumerate();
        gpus.filter(move |(_, (gpu, used))| gpu.healthy && !**used && gpu.model == model).map(|(place, _)| place)
    }
}

/// Hosts and what is taken of them.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    pub(crate) hosts: Vec<HostState>,
    by_name: BTreeMap<String, usize>,
    overcommit: Overcommit,
}

impl Stock {
    /// Nothing is taken yet. Of two hosts of one name the first counts.
    pub fn new(hosts: impl IntoIterator<Item = Host>, overcommit: Overcommit) -> Self {
        let mut stock = Self { overcommit, ..Self::default() };
        for host in hosts {
            if stock.by_name.contains_key(&host.name) {
                continue;
            }
            stock.by_name.insert(host.name.clone(), stock.hosts.len());
            let gpus_used = vec![false; host.gpus.len()];
            stock.hosts.push(HostState { host, vcpus_used: 0, memory_used: 0, gpus_used });
        }
        stock
    }

    /// The hosts, in the order they were given.
    pub fn hosts(&self) -> &[HostState] {
        &self.hosts
    }

    /// How much more is promised than there is.
    pub fn overcommit(&self) -> Overcommit {
        self.overcommit
    }

    /// The place for such a machine, or every reason why there is none. Takes nothing.
    pub fn place(&self, wish: &Wish<'_>) -> Result<Placement, Refusal> {
        let candidates = self.hosts.iter().filter(|state| wish.region.is_none_or(|region| region == state.host.region));
        let mut refusal = Refusal::default();
        let mut best: Option<(Choice, &HostState)> = None;
        for state in candidates {
            match choice::look(state, wish, self.overcommit) {
                Ok(choice) => {
                    let better = |(present, other): &(Choice, &HostState)| {
                        (&choice, &state.host.name) < (present, &other.host.name)
                    };
                    if best.as_ref().is_none_or(better) {
                        best = Some((choice, state));
                    }
                }
                Err(short) => refusal.count(short),
            }
        }
        match best {
            Some((choice, state)) => Ok(Placement {
                host: state.host.name.clone(),
                region: state.host.region.clone(),
                gpus: choice.into_gpus(),
            }),
            None if refusal.is_empty() => Err(Refusal::of(Reason::NoHost { region: wish.region.map(str::to_owned) })),
            None => Err(refusal),
        }
    }

    /// Writes down what a machine has of `host`. Whether it could be: the host is there, and nobody has these GPUs. Memory and
    /// processors are written down whatever there is, since a machine that runs has them.
    pub fn take(&mut self, host: &str, taken: &Taken) -> bool {
        let Some(state) = self.by_name.get(host).and_then(|&place| self.hosts.get_mut(place)) else { return false };
        if taken.gpus.iter().any(|&gpu| state.gpus_used.get(gpu).copied().unwrap_or(true)) {
            return false;
        }
        for &gpu in &taken.gpus {
            state.gpus_used[gpu] = true;
        }
        state.vcpus_used += u64::from(taken.vcpus);
        state.memory_used += taken.memory_mib;
        true
    }

    /// Takes back what [`Stock::take`] wrote down.
    pub fn give_back(&mut self, host: &str, taken: &Taken) {
        let Some(state) = self.by_name.get(host).and_then(|&place| self.hosts.get_mut(place)) else { return };
        for &gpu in &taken.gpus {
            if let Some(used) = state.gpus_used.get_mut(gpu) {
                *used = false;
            }
        }
        state.vcpus_used = state.vcpus_used.saturating_sub(taken.vcpus.into());
        state.memory_used = state.memory_used.saturating_sub(taken.memory_mib);
    }

    /// Places and takes; the machine's siblings of one create are kept apart where that costs nothing more important.
    pub fn place_all(&mut self, wish: &Wish<'_>, count: usize) -> Result<Vec<Placement>, Refusal> {
        let mut placements: Vec<Placement> = Vec::with_capacity(count);
        let mut apart_from = wish.apart_from.to_vec();
        for _ in 0..count {
            match self.place(&Wish { apart_from: &apart_from, ..*wish }) {
                Ok(placement) => {
                    self.take(&placement.host, &placement.taken(wish.need));
                    apart_from.push(placement.host.clone());
                    placements.push(placement);
                }
                Err(refusal) => {
                    for placement in &placements {
                        self.give_back(&placement.host, &placement.taken(wish.need));
                    }
                    return Err(refusal.after(placements.len()));
                }
            }
        }
        Ok(placements)
    }
}

impl Placement {
    /// What a machine of this need has there.
    pub fn taken(&self, need: &Need) -> Taken {
        Taken { vcpus: need.vcpus, memory_mib: need.memory_mib, gpus: self.gpus.clone() }
    }
}

//! All GPUs of a host with what belongs to each and what is in the way of handing it to a guest.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use crate::{
    PciAddress, console, ids, iommu,
    obstacle::Obstacle,
    pci::{self, Function},
    users::Users,
};

/// One GPU: its card's functions, and whether a guest can have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its first function's address: its name on this host.
    pub address: PciAddress,
    /// As sizes name it (`nvidia_h100`); maker and device (`10de:2204`) when no size does.
    pub model: String,
    /// As people call it.
    pub name: String,
    /// Its memory in MiB; of a GPU that no size names, the size of its largest window, which may be more, or 0 when that is no
    /// window onto all of it.
    pub memory_mib: u64,
    /// All functions of its card, itself first: they go to a guest together.
    pub functions: Vec<Function>,
    /// The IOMMU groups these are in; empty without an IOMMU.
    pub groups: Vec<u32>,
    /// The NUMA node it is on, where the host says.
    pub node: Option<u32>,
    /// Whether it reaches its neighbours over the host's NVSwitches.
    pub switched: bool,
    /// What is in the way; a guest can have it when that is nothing.
    pub obstacles: Vec<Obstacle>,
}

impl Gpu {
    /// The driver that has it.
    pub fn driver(&self) -> Option<&str> {
        self.functions.first().and_then(|function| function.driver.as_deref())
    }
}

/// A NUMA node of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub number: u32,
    /// Its processors, as taskset(1) takes them: `0-55,112-167`.
    pub cpus: String,
    /// Its memory in MiB.
    pub memory_mib: u64,
}

/// What a host has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// Its GPUs, in the order of their addresses.
    pub gpus: Vec<Gpu>,
    /// The NVSwitches between them; they go to a guest that has every GPU on them.
    pub switches: Vec<Function>,
    /// Its NUMA nodes.
    pub nodes: Vec<Node>,
}

impl Inventory {
    /// Looks at the host whose files are below `root`, `/` for this one. Changes nothing.
    pub fn look(root: &Path) -> io::Result<Self> {
        let functions: Vec<Function> =
            Function::all(root)?.into_iter().filter(|function| !function.is_virtual).collect();
        if !functions.iter().any(ids::is_gpu) {
            return Ok(Self::default());
        }
        let by_host = iommu::obstacles(root);
        let users = Users::look(root);
        let look = Look { root, functions: &functions, by_host: &by_host, users: &users };
        let gpus =
            functions.iter().filter(|function| ids::is_gpu(function)).map(|function| look.gpu(function)).collect();
        let switches = functions.iter().filter(|function| ids::is_switch(function)).cloned().collect();
        Ok(Self { gpus, switches, nodes: nodes(root) })
    }

    /// The GPU of that address.
    pub fn gpu(&self, address: PciAddress) -> Option<&Gpu> {
        self.gpus.iter().find(|gpu| gpu.address == address)
    }

    /// The NVSwitches that go with `gpus`: all, when these are every GPU on them, and none when they are fewer, since the other
    /// GPUs' traffic passes the same switches.
    pub fn switches_of(&self, gpus: &[PciAddress]) -> &[Function] {
        let mut switched = self.gpus.iter().filter(|gpu| gpu.switched).peekable();
        let all = switched.peek().is_some() && switched.all(|gpu| gpus.contains(&gpu.address));
        if all { &self.switches } else { &[] }
    }
}

/// What every GPU of a host is judged by.
struct Look<'a> {
    root: &'a Path,
    functions: &'a [Function],
    by_host: &'a [Obstacle],
    users: &'a Users,
}

impl Look<'_> {
    fn gpu(&self, function: &Function) -> Gpu {
        let own = |other: &&Function| other.address.same_device(function.address) && other.address != function.address;
        let functions: Vec<Function> =
            [function.clone()].into_iter().chain(self.functions.iter().filter(own).cloned()).collect();
        let groups: BTreeSet<u32> = functions.iter().filter_map(|function| function.group).collect();
        let known = ids::known(function.vendor, function.device);
        let name = known.map(|model| model.name.to_owned());
        Gpu {
            address: function.address,
            model: known.map_or_else(|| function.numbers(), |model| model.slug.to_owned()),
            name: name
                .or_else(|| ids::listed(self.root, function.vendor, function.device))
                .unwrap_or_else(|| ids::maker(function.vendor).to_owned()),
            memory_mib: known.map_or_else(|| memory_of_windows(function), |model| model.memory_mib),
            node: function.node,
            switched: known.is_some_and(|model| model.switched) && self.functions.iter().any(ids::is_switch),
            obstacles: self.obstacles(function, &functions, &groups),
            functions,
            groups: groups.into_iter().collect(),
        }
    }

    /// All that is in the way, the gravest first: what must never be touched before what can be changed.
    fn obstacles(&self, gpu: &Function, card: &[Function], groups: &BTreeSet<u32>) -> Vec<Obstacle> {
        let mut found: Vec<Obstacle> =
            card.iter().find_map(|function| console::obstacle(self.root, function)).into_iter().collect();
        found.extend(self.users.obstacle(self.root, gpu, groups));
        found.extend(self.by_host.iter().cloned());
        found.extend(self.strangers(gpu, groups));
        // The host as a whole says it better.
        if groups.is_empty() && self.by_host.is_empty() {
            found.push(Obstacle::new(
                "it is in no IOMMU group",
                "look for it in the kernel's log: the firmware's tables (DMAR, IVRS) leave it out",
            ));
        }
        if gpu.vendor == ids::INTEL && gpu.address.to_string().starts_with("0000:00:") {
            found.push(Obstacle::new("it is part of the processor", "leave it to the host"));
        }
        if !card.iter().all(|function| function.placed) {
            found.push(Obstacle::new(
                "the firmware gave its memory no place",
                "switch on Above 4G Decoding (and Resizable BAR, where there is such a setting) in the firmware",
            ));
        }
        if gpu.virtual_functions > 0 {
            found.push(Obstacle::new(
                format!("it is split into {} virtual functions", gpu.virtual_functions),
                format!("write 0 to /sys/bus/pci/devices/{}/sriov_numvfs", gpu.address),
            ));
        }
        if !gpu.can_reset {
            found.push(Obstacle::new(
                "the kernel knows no way to reset it, so the next guest could find what the last one left",
                "leave it to the host, or try a newer kernel: it can be had once sysfs shows its file `reset`",
            ));
        }
        found
    }

    /// What else is in its groups: it would go to the guest too, and be lost to the host.
    fn strangers(&self, gpu: &Function, groups: &BTreeSet<u32>) -> Option<Obstacle> {
        let shares = |other: &&Function| {
            other.group.is_some_and(|group| groups.contains(&group))
                && !other.address.same_device(gpu.address)
                && !other.is_bridge()
        };
        let strangers: Vec<String> = self
            .functions
            .iter()
            .filter(shares)
            .map(|other| format!("{} ({})", other.address, other.driver.as_deref().unwrap_or(&other.numbers())))
            .collect();
        if strangers.is_empty() {
            return None;
        }
        let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
        Some(Obstacle::new(
            format!("its IOMMU group {} holds something else: {}", groups.join(", "), strangers.join(", ")),
            "put the card into a slot of its own root port, or switch on ACS in the firmware, so that the group is its own",
        ))
    }
}

/// A window of 2 GiB or more is onto all of a GPU's memory, as a rule; a smaller one is a part of it.
fn memory_of_windows(function: &Function) -> u64 {
    let largest = function.windows.iter().copied().max().unwrap_or(0) >> 20;
    if largest >= 2048 { largest } else { 0 }
}

fn nodes(root: &Path) -> Vec<Node> {
    let top = root.join("sys/devices/system/node");
    let mut found = BTreeMap::new();
    for name in console::names(&top) {
        let Some(number) = name.strip_prefix("node").and_then(|number| number.parse().ok()) else { continue };
        let at = top.join(&name);
        let memory = fs::read_to_string(at.join("meminfo")).unwrap_or_default();
        let kib = memory.lines().find_map(|line| line.split_once("MemTotal:")).map(|(_, rest)| rest.trim());
        let kib: u64 = kib.and_then(|rest| rest.trim_end_matches(" kB").trim().parse().ok()).unwrap_or(0);
        let cpus = pci::text(&at, "cpulist").unwrap_or_default();
        found.insert(number, Node { number, cpus, memory_mib: kib / 1024 });
    }
    found.into_values().collect()
}

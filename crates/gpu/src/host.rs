//! The GPUs of a host over time: looked at, taken for a machine, given back, parked and put back.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use dewpoint_clock::Timestamp;

use crate::{
    PciAddress,
    bind::{Moved, Mover},
    hardware::{Hardware, Sysfs},
    inventory::{Gpu, Inventory},
    ledger::{Held, Ledger, Open, Parked},
    obstacle::Obstacle,
    pci::Function,
};

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be handed to a machine; the text says why and what to change.
    #[error("GPU {gpu} cannot be handed to a machine: {why}")]
    Unusable {
        /// Which.
        gpu: PciAddress,
        /// Why not, and what to change.
        why: String,
    },
    /// Another machine has it.
    #[error("GPU {gpu} is machine {machine}'s")]
    Taken {
        /// Which.
        gpu: PciAddress,
        /// Whose it is.
        machine: u64,
    },
    /// The machine has others than those that were asked for.
    #[error("machine {0} has other GPUs, which are given back first")]
    HasOthers(u64),
    /// No parked GPU has this address.
    #[error("GPU {0} is not parked")]
    NotParked(PciAddress),
    /// It still cannot be reset, or its driver does not take it back.
    #[error("GPU {gpu} stays parked: {why}")]
    StaysParked {
        /// Which.
        gpu: PciAddress,
        /// What failed.
        why: String,
    },
    /// Files of the host cannot be read or written.
    #[error("the host's GPUs cannot be looked at: {0}")]
    Io(#[from] io::Error),
}

/// Whether a GPU can be given to a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It can, or a machine has it.
    Ready,
    /// It cannot; what is in the way, the gravest first.
    Unusable(Vec<Obstacle>),
    /// It is parked; why and since when.
    Parked(Parked),
}

/// One GPU with what is written down of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the host shows.
    pub gpu: Gpu,
    /// Whether it can be given to a machine.
    pub state: State,
    /// The machine that has it.
    pub machine: Option<u64>,
}

/// What a machine's process needs to know of a device that is handed to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    /// All its functions, itself first.
    pub functions: Vec<Function>,
}

/// The GPUs of one host.
#[derive(Clone, Debug)]
pub struct GpuHost {
    root: PathBuf,
    directory: PathBuf,
    hardware: Arc<dyn Hardware>,
}

impl GpuHost {
    /// This host's, with what is written down of them below `data_dir`.
    pub fn new(data_dir: &Path) -> Self {
        Self::at("/", data_dir, Arc::new(Sysfs::new("/")))
    }

    /// Those of the host whose files are below `root`, changed by `hardware`.
    pub fn at(root: impl Into<PathBuf>, data_dir: &Path, hardware: Arc<dyn Hardware>) -> Self {
        Self { root: root.into(), directory: data_dir.join("gpus"), hardware }
    }

    /// Below which directory the host's files are.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What the host has.
    pub fn inventory(&self) -> Result<Inventory, Error> {
        Ok(Inventory::look(&self.root)?)
    }

    /// What is written down.
    pub fn ledger(&self) -> Result<Ledger, Error> {
        Ok(Ledger::read(&self.directory)?)
    }

    /// Every GPU, in the order of their addresses. Changes nothing.
    pub fn look(&self) -> Result<Vec<Seen>, Error> {
        let inventory = self.inventory()?;
        if inventory.gpus.is_empty() {
            return Ok(Vec::new());
        }
        let ledger = self.ledger()?;
        Ok(inventory.gpus.into_iter().map(|gpu| self.seen(gpu, &ledger)).collect())
    }

    fn seen(&self, gpu: Gpu, ledger: &Ledger) -> Seen {
        let machine = ledger.held.iter().find(|held| held.device == gpu.address).map(|held| held.machine);
        let parked = ledger.parked.iter().find(|parked| parked.device == gpu.address);
        let state = match (parked, machine) {
            (Some(parked), _) => State::Parked(parked.clone()),
            // What is in the way of a machine's own was not when it was taken: its process has it open.
            (None, Some(_)) => State::Ready,
            (None, None) => match self.obstacles(&gpu) {
                found if found.is_empty() => State::Ready,
                found => State::Unusable(found),
            },
        };
        Seen { gpu, state, machine }
    }

    fn obstacles(&self, gpu: &Gpu) -> Vec<Obstacle> {
        gpu.obstacles.iter().cloned().chain(self.hardware.allowed().err()).collect()
    }

    /// Makes `gpus` this machine's: with all functions of each card, and the NVSwitches when they are all GPUs on them, bound to
    /// vfio-pci. Those it has stay its own, and are bound again where the host was started anew. All or nothing.
    pub fn take(&self, machine: u64, gpus: &[PciAddress]) -> Result<(), Error> {
        if gpus.is_empty() && !self.ledger()?.held.iter().any(|held| held.machine == machine) {
            return Ok(());
        }
        let mut open = Open::wait(&self.directory)?;
        let inventory = self.inventory()?;
        let wanted = self.wanted(machine, gpus, &inventory, &open.ledger)?;
        let (has, fresh): (Vec<Held>, Vec<Held>) =
            wanted.into_iter().partition(|wanted| open.ledger.held.iter().any(|held| held.device == wanted.device));
        if open.ledger.held.iter().any(|held| held.machine == machine && !has.contains(held)) {
            return Err(Error::HasOthers(machine));
        }
        if !fresh.is_empty() {
            open.ledger.held.extend(fresh.iter().cloned());
            open.write()?;
        }
        let functions: Vec<Moved> = has.iter().chain(&fresh).flat_map(|held| held.functions.clone()).collect();
        self.mover().take(&functions).map_err(|why| {
            // They are with their drivers again: nobody's. What the machine had before it keeps, to be given back.
            open.ledger.held.retain(|held| !fresh.contains(held));
            let unwritten = open.write().err().map(|error| format!("; {error}")).unwrap_or_default();
            let gpu = gpus.iter().find(|gpu| why.starts_with(&gpu.to_string())).or(gpus.first());
            Error::Unusable {
                gpu: *gpu.expect("none was asked for, so none is bound"),
                why: format!("{why}{unwritten}"),
            }
        })
    }

    /// The devices that are meant, each found fit or this machine's already.
    fn wanted(
        &self,
        machine: u64,
        gpus: &[PciAddress],
        inventory: &Inventory,
        ledger: &Ledger,
    ) -> Result<Vec<Held>, Error> {
        let mut wanted = Vec::new();
        for &gpu in gpus {
            let unusable = |why: String| Error::Unusable { gpu, why };
            let found = inventory
                .gpu(gpu)
                .ok_or_else(|| unusable("this host has none of that address; see `dew doctor`".to_owned()))?;
            let Seen { gpu: found, state, machine: holder } = self.seen(found.clone(), ledger);
            match (state, holder) {
                (State::Parked(parked), _) => {
                    return Err(unusable(format!(
                        "it is parked since {}: {}; see `dew doctor`",
                        parked.at, parked.why
                    )));
                }
                (_, Some(holder)) if holder != machine => return Err(Error::Taken { gpu, machine: holder }),
                (State::Unusable(found), _) => return Err(unusable(Obstacle::all(&found))),
                (State::Ready, _) => wanted.push(self.meant(machine, gpu, &found.functions, ledger)),
            }
        }
        for switch in inventory.switches_of(gpus) {
            if ledger.parked.iter().any(|parked| parked.device == switch.address) {
                let why =
                    format!("NVSwitch {} is parked, which all GPUs together need; see `dew doctor`", switch.address);
                return Err(Error::Unusable { gpu: gpus[0], why });
            }
            wanted.push(self.meant(machine, switch.address, std::slice::from_ref(switch), ledger));
        }
        Ok(wanted)
    }

    /// As it is written down, or is to be.
    fn meant(&self, machine: u64, device: PciAddress, functions: &[Function], ledger: &Ledger) -> Held {
        let known = ledger.held.iter().find(|held| held.device == device && held.machine == machine);
        known.cloned().unwrap_or_else(|| Held {
            device,
            machine,
            functions: functions
                .iter()
                .map(|function| Moved { at: function.address, before: function.driver.clone() })
                .collect(),
        })
    }

    /// Makes the device files of a machine's GPUs its process's user's to open, and says what that process is handed.
    pub fn hand_over(&self, machine: u64, user: Option<u32>) -> Result<Vec<Handed>, Error> {
        let mut handed = Vec::new();
        for held in self.ledger()?.held.iter().filter(|held| held.machine == machine) {
            let unusable = |why: String| Error::Unusable { gpu: held.device, why };
            let found = held.functions.iter().map(|function| Function::read(&self.root, function.at));
            let functions: Option<Vec<Function>> = found.collect();
            let functions = functions.ok_or_else(|| unusable("it has vanished from this host".to_owned()))?;
            for group in groups(&functions) {
                let given = user.map_or(Ok(()), |user| self.hardware.give_group(group, user));
                given.map_err(|error| {
                    unusable(format!("IOMMU group {group} cannot be opened to its machine: {error}"))
                })?;
            }
            handed.push(Handed { functions });
        }
        Ok(handed)
    }

    /// Takes everything back that the machine has: reset, and with the drivers it had. What cannot be reset, or is not taken by
    /// its driver, is parked and in the answer. The machine must not run.
    pub fn give_back(&self, machine: u64, now: Timestamp) -> Result<Vec<Parked>, Error> {
        if !self.ledger()?.held.iter().any(|held| held.machine == machine) {
            return Ok(Vec::new());
        }
        let mut open = Open::wait(&self.directory)?;
        let mut parked = Vec::new();
        let held: Vec<Held> = open.ledger.held.iter().filter(|held| held.machine == machine).cloned().collect();
        for held in held {
            // Nobody else opens it from now on; that it cannot be said is no reason to keep it.
            let functions: Vec<Function> =
                held.functions.iter().filter_map(|function| Function::read(&self.root, function.at)).collect();
            for group in groups(&functions) {
                let _ = self.hardware.give_group(group, 0);
            }
            if let Err(why) = self.mover().give_back(&held.functions) {
                parked.push(Parked { device: held.device, functions: held.functions.clone(), why, at: now });
            }
            // Written after each, so that a crash leaves what is not done yet and nothing else.
            open.ledger.held.retain(|other| *other != held);
            open.ledger.parked.extend(parked.last().filter(|last| last.device == held.device).cloned());
            open.write()?;
        }
        Ok(parked)
    }

    /// Puts a parked GPU back: resets it, and returns it to its driver. Fails, and it stays parked for the new reason, when that
    /// does not work.
    pub fn put_back(&self, gpu: PciAddress, now: Timestamp) -> Result<(), Error> {
        let mut open = Open::wait(&self.directory)?;
        let Some(index) = open.ledger.parked.iter().position(|parked| parked.device == gpu) else {
            return Err(Error::NotParked(gpu));
        };
        self.hardware.allowed().map_err(|why| Error::StaysParked { gpu, why: why.to_string() })?;
        match self.mover().give_back(&open.ledger.parked[index].functions) {
            Ok(()) => {
                open.ledger.parked.remove(index);
                Ok(open.write()?)
            }
            Err(why) => {
                let parked = &mut open.ledger.parked[index];
                (parked.why, parked.at) = (why.clone(), now);
                open.write()?;
                Err(Error::StaysParked { gpu, why })
            }
        }
    }

    fn mover(&self) -> Mover<'_> {
        Mover { root: &self.root, hardware: &*self.hardware }
    }
}

fn groups(functions: &[Function]) -> BTreeSet<u32> {
    functions.iter().filter_map(|function| function.group).collect()
}

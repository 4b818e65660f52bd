//! How functions pass from their drivers to vfio-pci and back: all of them, or none.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::{
    PciAddress,
    hardware::{Hardware, VFIO},
    pci,
};

/// One function that is on its way, and whose it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// Which.
    pub at: PciAddress,
    /// The driver it had before; it gets it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// What moves them, and where it is seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mover<'a> {
    pub(crate) root: &'a Path,
    pub(crate) hardware: &'a dyn Hardware,
}

impl Mover<'_> {
    /// Binds all to vfio-pci. On failure each is with its driver again, as far as that can be done, and the text says which step
    /// failed; what could not be undone is in it too.
    pub(crate) fn take(self, functions: &[Moved]) -> Result<(), String> {
        let missing: Vec<&Moved> = functions.iter().filter(|function| !self.is_taken(function.at)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.hardware.load_vfio().map_err(|error| format!("the driver {VFIO} cannot be had: {error}"))?;
        for (index, function) in missing.iter().enumerate() {
            let Err(problem) = self.bind(function.at) else { continue };
            let stuck: Vec<String> =
                missing[..=index].iter().rev().filter_map(|function| self.put_back(function).err()).collect();
            let tail = if stuck.is_empty() { String::new() } else { format!("; not undone: {}", stuck.join("; ")) };
            return Err(format!("{problem}{tail}"));
        }
        Ok(())
    }

    /// Resets all and returns each to its driver. What fails first is said; all that were not reset stay with vfio-pci, where
    /// nobody has them.
    pub(crate) fn give_back(self, functions: &[Moved]) -> Result<(), String> {
        // A reset of one may be felt by all: none is in use meanwhile.
        let free = functions.iter().try_for_each(|function| self.free(function));
        let reset = free.and_then(|()| functions.iter().try_for_each(|function| self.reset(function.at)));
        if let Err(problem) = reset {
            for function in functions {
                if let Err(also) = self.bind(function.at) {
                    warn!("PCI function {} is with no driver: {also}", function.at);
                }
            }
            return Err(problem);
        }
        functions.iter().try_for_each(|function| self.put_back(function))
    }

    fn is_taken(self, at: PciAddress) -> bool {
        pci::driver(self.root, at).as_deref() == Some(VFIO)
    }

    fn bind(self, at: PciAddress) -> Result<(), String> {
        if self.is_taken(at) {
            return Ok(());
        }
        let step = |what: &str, done: io::Result<()>| done.map_err(|error| format!("{at} {what}: {error}"));
        step("cannot be kept for vfio-pci", self.hardware.set_override(at, Some(VFIO)))?;
        let driver = pci::driver(self.root, at).unwrap_or_else(|| "its driver".to_owned());
        step(&format!("is not let go by {driver}"), self.hardware.unbind(at))?;
        step("is not taken by vfio-pci", self.hardware.probe(at))?;
        match pci::driver(self.root, at) {
            Some(driver) if driver == VFIO => {
                info!(pci.address = %at, "PCI function {at} is with {VFIO}, it was with {driver}");
                Ok(())
            }
            Some(driver) => Err(format!("{at} is not taken by vfio-pci: {driver} has it")),
            None => Err(format!("{at} is not taken by vfio-pci: the kernel's log says why")),
        }
    }

    /// Takes the function from vfio-pci, unless that is where it was before.
    fn free(self, Moved { at, before }: &Moved) -> Result<(), String> {
        if before.as_deref() == Some(VFIO) {
            return Ok(());
        }
        self.hardware.unbind(*at).map_err(|error| format!("{at} is not let go by {VFIO}: {error}"))
    }

    /// Has nothing of the guest's left in the function. One that the kernel cannot reset alone is reset with the card's first,
    /// which every GPU that is handed out can be.
    fn reset(self, at: PciAddress) -> Result<(), String> {
        if !pci::directory(self.root, at).join("reset").exists() {
            return match at.function() {
                0 => Err(format!("{at} cannot be reset: it is gone, or has no way any more")),
                _ => Ok(()),
            };
        }
        self.hardware.reset(at).map_err(|error| format!("{at} was not reset: {error}"))
    }

    /// Back to the driver it had, from wherever it is.
    fn put_back(self, function: &Moved) -> Result<(), String> {
        let Moved { at, before } = function;
        if before.as_deref() == Some(VFIO) {
            return Ok(());
        }
        let step = |what: &str, done: io::Result<()>| done.map_err(|error| format!("{at} {what}: {error}"));
        step("is still kept for vfio-pci", self.hardware.set_override(*at, None))?;
        if pci::driver(self.root, *at) == *before {
            return Ok(());
        }
        step("is not let go by vfio-pci", self.hardware.unbind(*at))?;
        let Some(before) = before else { return Ok(()) };
        step(&format!("was not taken back by {before}"), self.hardware.probe(*at))?;
        match pci::driver(self.root, *at) {
            Some(driver) if driver == *before => {
                info!(pci.address = %at, "PCI function {at} is with {before} again");
                Ok(())
            }
            Some(driver) => Err(format!("{at} was not taken back by {before}: {driver} has it")),
            None => Err(format!("{at} was not taken back by {before}: the kernel's log says why")),
        }
    }
}

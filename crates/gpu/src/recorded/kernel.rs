//! A kernel that only pretends: it moves the links of a recorded host as a real one would, and fails when it is told to.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Hardware, Obstacle, PciAddress, VFIO, pci};

/// What a kernel is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// [`Hardware::load_vfio`]
    LoadVfio,
    /// [`Hardware::set_override`]
    Override,
    /// [`Hardware::unbind`]
    Unbind,
    /// [`Hardware::probe`]
    Probe,
    /// [`Hardware::reset`]
    Reset,
    /// [`Hardware::give_group`]
    GiveGroup,
}

/// The kernel of a recorded host.
#[derive(Debug)]
pub struct FakeKernel {
    root: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    done: Vec<(Step, Option<PciAddress>)>,
    /// What fails, and how often still.
    faults: Vec<(Step, Option<PciAddress>, usize)>,
    groups: Vec<(u32, u32)>,
    /// Drivers that take nothing any more.
    deaf: Vec<String>,
}

impl FakeKernel {
    pub(super) fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), state: Mutex::default() }
    }

    /// Has a step fail as often as said, of one function or of any.
    pub fn fail(&self, step: Step, at: Option<PciAddress>, times: usize) {
        self.state().faults.push((step, at, times));
    }

    /// Takes every order back.
    pub fn mend(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.deaf.clear();
    }

    /// Has a driver take no device any more, without an error: so a real probe fails.
    pub fn deafen(&self, driver: &str) {
        self.state().deaf.push(driver.to_owned());
    }

    /// What was done since this was asked last, in order, failed steps too.
    pub fn done(&self) -> Vec<(Step, Option<PciAddress>)> {
        std::mem::take(&mut self.state().done)
    }

    /// To which user groups were given since this was asked last, in order.
    pub fn groups(&self) -> Vec<(u32, u32)> {
        std::mem::take(&mut self.state().groups)
    }

    /// As after the host was started anew: every function is with the driver it was recorded with.
    pub fn restart(&self) {
        for function in pci::Function::all(&self.root).expect("functions") {
            let directory = pci::directory(&self.root, function.address);
            // Those that have none.
            let _ = fs::remove_file(directory.join("driver"));
            fs::write(directory.join("driver_override"), "(null)\n").expect("written");
            self.offer(function.address).expect("its driver");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, step: Step, at: Option<PciAddress>) -> io::Result<()> {
        let mut state = self.state();
        state.done.push((step, at));
        let meets = |(of, where_, times): &&mut (Step, Option<PciAddress>, usize)| {
            *of == step && *times > 0 && (where_.is_none() || *where_ == at)
        };
        match state.faults.iter_mut().find(meets) {
            Some(fault) => {
                fault.2 -= 1;
                Err(io::Error::other("Input/output error (ordered)"))
            }
            None => Ok(()),
        }
    }

    fn offer(&self, at: PciAddress) -> io::Result<()> {
        let directory = pci::directory(&self.root, at);
        let wanted = pci::text(&directory, "driver_override").filter(|text| !text.is_empty() && text != "(null)");
        let driver = wanted.or_else(|| pci::text(&directory, ".driver"));
        let Some(driver) = driver.filter(|driver| !self.state().deaf.contains(driver)) else { return Ok(()) };
        if pci::driver(&self.root, at).is_some() || !self.root.join("sys/bus/pci/drivers").join(&driver).exists() {
            return Ok(());
        }
        symlink(format!("../../../bus/pci/drivers/{driver}"), directory.join("driver"))
    }
}

impl Hardware for FakeKernel {
    fn allowed(&self) -> Result<(), Obstacle> {
        Ok(())
    }

    fn load_vfio(&self) -> io::Result<()> {
        self.step(Step::LoadVfio, None)?;
        fs::create_dir_all(self.root.join("sys/bus/pci/drivers").join(VFIO))
    }

    fn set_override(&self, at: PciAddress, driver: Option<&str>) -> io::Result<()> {
        self.step(Step::Override, Some(at))?;
        let text = driver.unwrap_or("(null)");
        fs::write(pci::directory(&self.root, at).join("driver_override"), format!("{text}\n"))
    }

    fn unbind(&self, at: PciAddress) -> io::Result<()> {
        self.step(Step::Unbind, Some(at))?;
        match fs::remove_file(pci::directory(&self.root, at).join("driver")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn probe(&self, at: PciAddress) -> io::Result<()> {
        self.step(Step::Probe, Some(at))?;
        self.offer(at)
    }

    fn reset(&self, at: PciAddress) -> io::Result<()> {
        self.step(Step::Reset, Some(at))
    }

    fn give_group(&self, group: u32, user: u32) -> io::Result<()> {
        self.step(Step::GiveGroup, None)?;
        self.state().groups.push((group, user));
        Ok(())
    }
}

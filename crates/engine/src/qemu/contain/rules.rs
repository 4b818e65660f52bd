//! Landlock: rules that a thread lays on itself and its children, for good, without being root.

use std::{
    io,
    path::{Path, PathBuf},
    thread,
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, Scope, make_bitflags,
};

use super::{Cell, DEVICES, RESOLVER, Walls};
use crate::qemu::layout::names;

/// The first version that knows TCP.
pub(super) const WITH_NETWORK: u32 = 4;

/// The first version that knows abstract sockets and signals.
pub(super) const WITH_SCOPES: u32 = 6;

/// The newest version that was looked at here; a kernel that knows less lays what it knows.
const VERSION: ABI = ABI::V9;

/// Lays the rules for `cell` on this thread.
pub(super) fn lay(walls: Walls, cell: &Cell<'_>, system: &[PathBuf]) -> io::Result<()> {
    let lay = || -> Result<(), RulesetError> {
        let mut rules = created(walls, cell)?;
        for &port in &cell.ports {
            rules = rules.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
        }
        if walls == Walls::Rules {
            rules = files(rules, cell, system)?;
        }
        rules.restrict_self().map(drop)
    };
    lay().map_err(io::Error::other)
}

fn created(walls: Walls, cell: &Cell<'_>) -> Result<RulesetCreated, RulesetError> {
    let mut rules = Ruleset::default().handle_access(AccessNet::BindTcp)?;
    if !cell.egress {
        rules = rules.handle_access(AccessNet::ConnectTcp)?;
    }
    if walls == Walls::Rules {
        rules = rules.handle_access(AccessFs::from_all(VERSION))?;
    }
    rules.scope(Scope::AbstractUnixSocket | Scope::Signal)?.create()
}

fn files(rules: RulesetCreated, cell: &Cell<'_>, system: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    let programs = make_bitflags!(AccessFs::{Execute | ReadFile | ReadDir});
    let reading = make_bitflags!(AccessFs::{ReadFile});
    let writing = make_bitflags!(AccessFs::{ReadFile | WriteFile | Truncate});
    let device = writing | AccessFs::IoctlDev;
    let mut rules = rules;
    for path in system {
        rules = beneath(rules, path, programs)?;
    }
    for path in DEVICES.iter().map(Path::new).chain(cell.devices.iter().map(PathBuf::as_path)) {
        rules = beneath(rules, path, device)?;
    }
    if cell.egress {
        rules = beneath(rules, Path::new(RESOLVER), reading)?;
    }
    for path in &cell.read {
        rules = beneath(rules, path, reading)?;
    }
    for path in cell.write.iter().map(PathBuf::as_path).chain([cell.directory]) {
        rules = beneath(rules, path, writing)?;
    }
    let sockets = make_bitflags!(AccessFs::{MakeSock | RemoveFile});
    beneath(rules, &cell.directory.join(names::SOCKETS), sockets)
}

/// Allows what is meant of `rights` at and below `path`, if that is there.
fn beneath(rules: RulesetCreated, path: &Path, rights: BitFlags<AccessFs>) -> Result<RulesetCreated, RulesetError> {
    // Not there, or closed to the server itself: then it is so to QEMU.
    let Ok(fd) = PathFd::new(path) else { return Ok(rules) };
    // Of a file only those can be allowed that a file has.
    let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(VERSION) };
    rules.add_rule(PathBeneath::new(fd, rights))
}

/// Landlock's version in this kernel; 0 for none. Asked by a thread that lays a rule on itself.
pub(super) fn version() -> u32 {
    let asked = thread::spawn(|| {
        let rules = Ruleset::default().handle_access(AccessFs::from_all(ABI::V1))?.create()?;
        rules.restrict_self()
    });
    match asked.join() {
        Ok(Ok(status)) => match status.landlock {
            LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
            LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => 0,
        },
        _ => 0,
    }
}

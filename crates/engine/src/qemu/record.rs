//! What is written down about a machine and its process.

use std::{net::SocketAddr, path::PathBuf};

use dewpoint_clock::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{accel::Accelerator, images::DiskFormat};
use crate::{Forward, MachineSpec};

/// What a machine is. Its presence means that the machine is wholly made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct MachineRecord {
    /// Tells this machine's process from every other, also from one whose machine had the same number.
    pub(super) uuid: Uuid,
    pub(super) spec: MachineSpec,
    /// What the root disk was made on. After a snapshot there is a layer in between, which only the disk's own head names.
    pub(super) base: BaseFiles,
    /// The root disk's file in the machine's directory. Each snapshot begins another.
    pub(super) disk: String,
}

/// The files of an image that disks are made on. They stay as long as a disk or an image leads to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BaseFiles {
    pub(super) disk: PathBuf,
    pub(super) format: DiskFormat,
    /// Kernel, initramfs and command line of an image that is booted without a boot loader.
    pub(super) direct: Option<DirectBoot>,
}

/// A kernel that QEMU starts itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct DirectBoot {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) command_line: String,
}

/// A machine's newest process. Written without a pid before the process is made, so that no start goes unnoticed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunRecord {
    pub(super) process: Option<ProcessIdentity>,
    pub(super) forwards: Vec<ForwardRecord>,
    /// Whether its links are taps: then it is reached by its own addresses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) real: bool,
    pub(super) started_at: Timestamp,
    pub(super) accelerator: Accelerator,
}

/// Tells one process from another that has its number after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct ProcessIdentity {
    pub(super) pid: i32,
    /// Clock ticks from the host's boot to the process's start.
    pub(super) start_ticks: u64,
}

/// A forwarded port, as written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ForwardRecord {
    pub(super) guest_port: u16,
    pub(super) host: SocketAddr,
}

impl From<ForwardRecord> for Forward {
    fn from(record: ForwardRecord) -> Self {
        Self { guest_port: record.guest_port, host: record.host }
    }
}

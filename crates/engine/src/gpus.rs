//! GPUs as an engine knows them: which a host has, and what becomes of them. Their own names are PCI addresses.

use serde::{Deserialize, Serialize};

/// The name of a GPU on its host: the PCI address of its first function, `0000:17:00.0`.
pub use dewpoint_gpu::PciAddress as GpuAddress;

/// The GPUs of a host, all of them, whoever has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostGpus {
    /// As many of each model as anybody asks for; nobody names or counts them. So the simulator's, undeclared.
    Plenty,
    /// These, in the order of their addresses.
    These(Vec<HostGpu>),
}

impl HostGpus {
    /// A host without GPUs.
    pub const NONE: Self = Self::These(Vec::new());

    /// Whether it has a GPU that could be given to a machine, by whomever it is held now.
    pub fn any(&self) -> bool {
        match self {
            Self::Plenty => true,
            Self::These(gpus) => gpus.iter().any(|gpu| gpu.state == GpuState::Ready),
        }
    }
}

/// One GPU of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGpu {
    /// What it is called on its host.
    pub address: GpuAddress,
    /// What it is, as sizes name it: `nvidia_h100`; `10de:2204` (vendor and device) for one that no size names.
    pub model: String,
    /// Its memory in MiB; 0 when it is not known.
    pub memory_mib: u64,
    /// The NUMA node it is on, where the host has several.
    pub node: Option<u32>,
    /// Whether it can be given to a machine. One that a machine has is `Ready` too: who has what, the control plane knows.
    pub state: GpuState,
}

/// Whether a GPU can be given to a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub enum GpuState {
    /// It can.
    Ready,
    /// It cannot, and the text says why and what an operator has to change.
    Unusable(String),
    /// It could not be reset after its last machine and stays out until an operator puts it back; the text says how.
    Parked(String),
}

/// A GPU that could not be reset when its machine gave it back, and is parked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedGpu {
    /// Which.
    pub gpu: GpuAddress,
    /// What failed, for the operator.
    pub why: String,
}

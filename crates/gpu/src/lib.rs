//! The GPUs of this host: which there are, whether a guest can have them, what to change where it cannot, and how they pass
//! from the host's drivers to a guest and back.
//!
//! ```text
//!                       take                              give back
//! with its driver ───────────────> vfio-pci, one machine's ─────────> reset ──> with its driver again
//!                  └ undone when a step fails                           └ fails: parked, until an operator puts it back
//! ```
//!
//! Everything is read from sysfs below a root that is given, so that hosts nobody here owns can be looked at in tests. What
//! changes a real device is behind one trait, [`Hardware`]. What is written down is in one file ([`ledger`]).

#![warn(missing_docs)]

mod address;
mod bind;
mod console;
mod hardware;
mod host;
mod ids;
mod inventory;
mod iommu;
pub mod ledger;
mod obstacle;
mod pci;
#[cfg(feature = "recorded")]
pub mod recorded;
mod users;

pub use address::{NoAddress, PciAddress};
pub use hardware::{Hardware, Sysfs, VFIO};
pub use host::{Error, GpuHost, Handed, Seen, State};
pub use ids::Model;
pub use inventory::{Gpu, Inventory, Node};
pub use obstacle::Obstacle;
pub use pci::Function;

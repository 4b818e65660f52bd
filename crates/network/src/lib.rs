//! What should be on the wire, as one value: which links there are, who may reach whom, and what an address leads to.
//!
//! The control plane makes a [`Plan`] from its rows, whole, each time something changed; an engine makes it so. Nothing here
//! knows of Droplets, accounts or rows. With the feature `linux`, module `linux` makes a plan real on this host.

#[cfg(all(feature = "linux", target_os = "linux"))]
pub mod linux;
mod plan;
pub mod reach;

pub use plan::{Direction, Firewall, Link, LinkKind, Peering, Peers, Plan, Protocol, Reserved, Rule, Vpc};

//! What should be on the wire, as one value: which links there are, who may reach whom, and what an address leads to.
//!
//! The control plane makes a [`Plan`] from its rows, whole, each time something changed; an engine makes it so. Nothing here
//! knows of Droplets, accounts or rows, and nothing of a process or a device.

mod plan;

pub use plan::{Direction, Firewall, Link, LinkKind, Peering, Peers, Plan, Protocol, Reserved, Rule, Vpc};

//! The resource tree, named as in the documented SDK. A file a resource.

/// Declares groups of operations: each a client that has only these.
macro_rules! groups {
    ($($(#[$meta:meta])* $name:ident;)+) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $name(pub(crate) $crate::Client);
    )+ };
}

/// Declares the methods that lead from one group to another.
macro_rules! leads {
    ($from:ident { $($(#[$meta:meta])* $method:ident -> $to:ident;)+ }) => {
        impl $from { $(
            $(#[$meta])*
            pub fn $method(&self) -> $crate::resources::$to {
                $crate::resources::$to(self.0.clone())
            }
        )+ }
    };
}

mod account;
mod actions;
mod dewpoint;
mod domains;
mod droplet_actions;
mod droplets;
mod firewalls;
mod images;
mod inference;
mod projects;
mod regions;
mod reserved_ips;
mod simulator;
mod snapshots;
mod stories;
mod tags;
mod volumes;
mod vpcs;

pub use account::*;
pub use actions::*;
pub use dewpoint::*;
pub use domains::*;
pub use droplet_actions::*;
pub use droplets::*;
pub use firewalls::*;
pub use images::*;
pub use inference::*;
pub use projects::*;
pub use regions::*;
pub use reserved_ips::*;
pub use simulator::*;
pub use snapshots::*;
pub use stories::*;
pub use tags::*;
pub use volumes::*;
pub use vpcs::*;

use crate::Client;

/// The resources.
impl Client {
    /// Droplets with GPUs and without: the tree as the documented SDK names it. The same as [`Client::droplets`].
    pub fn gpu_droplets(&self) -> Droplets {
        self.droplets()
    }

    /// Droplets, and what belongs to them.
    pub fn droplets(&self) -> Droplets {
        Droplets(self.clone())
    }

    /// The account of the token, and its SSH keys.
    pub fn account(&self) -> Account {
        Account(self.clone())
    }

    /// Actions of every kind of resource.
    pub fn actions(&self) -> Actions {
        Actions(self.clone())
    }

    /// Images.
    pub fn images(&self) -> Images {
        Images(self.clone())
    }

    /// Regions.
    pub fn regions(&self) -> Regions {
        Regions(self.clone())
    }

    /// Sizes.
    pub fn sizes(&self) -> Sizes {
        Sizes(self.clone())
    }

    /// Snapshots of Droplets and of volumes.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots(self.clone())
    }

    /// VPCs.
    pub fn vpcs(&self) -> Vpcs {
        Vpcs(self.clone())
    }

    /// Peerings between VPCs.
    pub fn vpc_peerings(&self) -> VpcPeerings {
        VpcPeerings(self.clone())
    }

    /// Firewalls.
    pub fn firewalls(&self) -> Firewalls {
        Firewalls(self.clone())
    }

    /// Reserved IPv4 addresses.
    pub fn reserved_ips(&self) -> ReservedIps {
        ReservedIps(self.clone())
    }

    /// Reserved IPv4 addresses by their older name.
    pub fn floating_ips(&self) -> FloatingIps {
        FloatingIps(self.clone())
    }

    /// Reserved IPv6 addresses.
    pub fn reserved_ipv6(&self) -> ReservedIpv6s {
        ReservedIpv6s(self.clone())
    }

    /// Models that can be asked.
    pub fn models(&self) -> Models {
        Models(self.clone())
    }

    /// What there is around asking models: their keys, and which there are. [`Client::chat`] asks them.
    pub fn inference(&self) -> Inference {
        Inference(self.clone())
    }

    /// Domains.
    pub fn domains(&self) -> Domains {
        Domains(self.clone())
    }

    /// Projects.
    pub fn projects(&self) -> Projects {
        Projects(self.clone())
    }

    /// Tags.
    pub fn tags(&self) -> Tags {
        Tags(self.clone())
    }

    /// What is a Dewpoint server's own; the real service answers 404 there.
    pub fn dewpoint(&self) -> Dewpoint {
        Dewpoint(self.clone())
    }

    /// Volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes(self.clone())
    }
}

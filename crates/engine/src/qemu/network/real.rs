//! Real networking: each link is a tap in the installation's network namespace, and QEMU has nothing else of any network.
//!
//! The guest has its addresses itself. A private link leads to its VPC and, by the VPC's gateway, to the VPCs that are peered
//! with it; a public one to everything else. Source of the private routes: public documentation of VPC peering, which has
//! every Droplet reach 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 by its VPC.

use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::OwnedFd,
    sync::{Arc, Mutex, PoisonError},
};

use dewpoint_network::{
    LinkKind, Plan,
    linux::{self, METADATA, METADATA_HTTP, Wire, WireConfig},
};
use ipnet::Ipv4Net;

use super::{GuestLink, asked::Asked};
use crate::{Error, MachineId, MachineSpec, MetadataListener, Networking, Nic, NicKind};

/// What a VPC's gateway leads to.
const PRIVATE: [(Ipv4Addr, u8); 3] =
    [(Ipv4Addr::new(10, 0, 0, 0), 8), (Ipv4Addr::new(172, 16, 0, 0), 12), (Ipv4Addr::new(192, 168, 0, 0), 16)];

/// A real network to have machines' links in.
#[derive(Clone, Debug)]
pub struct RealNetwork {
    /// Where it is on this host, and its public addresses.
    pub wire: WireConfig,
    /// The name servers that guests are told of.
    pub nameservers: Vec<IpAddr>,
}

/// The links of an engine whose network is real.
#[derive(Debug)]
pub(in crate::qemu) struct RealLinks {
    wire: Arc<Wire>,
    public_v4: (Ipv4Net, Ipv4Addr),
    nameservers: Vec<IpAddr>,
    /// What is in force; nothing before the first plan.
    plan: Mutex<Plan>,
}

impl RealLinks {
    /// Makes the namespace, or finds it.
    pub(in crate::qemu) async fn open(network: RealNetwork) -> Result<Self, Error> {
        let RealNetwork { wire, nameservers } = network;
        let public_v4 = wire.public_v4;
        let wire = blocking("make the network", move || Wire::open(wire)).await?;
        Ok(Self { wire: Arc::new(wire), public_v4, nameservers, plan: Mutex::default() })
    }

    pub(in crate::qemu) fn nameservers(&self) -> Vec<IpAddr> {
        self.nameservers.clone()
    }

    /// Listens for machines that ask for their own data.
    pub(in crate::qemu) async fn listen_for_askers(&self) -> Result<Box<dyn MetadataListener>, Error> {
        const OPERATION: &str = "listen for machines that ask for their own data";
        let address = (METADATA_HTTP.address, METADATA_HTTP.port).into();
        let wire = Arc::clone(&self.wire);
        let listener = blocking(OPERATION, move || wire.listen_inside(address)).await?;
        let asked = Asked::new(Arc::clone(&self.wire), listener).map_err(|error| Error::host(OPERATION, error))?;
        Ok(Box::new(asked))
    }

    pub(in crate::qemu) fn public_v4(&self) -> Ipv4Net {
        self.public_v4.0
    }

    pub(super) fn networking(&self) -> Networking {
        let (network, gateway) = self.public_v4;
        Networking { pool: (network.network(), network.prefix_len()), netmask: network.netmask(), gateway }
    }

    /// Makes the network as planned.
    pub(in crate::qemu) async fn apply(&self, plan: &Plan) -> Result<(), Error> {
        let (wire, wanted) = (Arc::clone(&self.wire), plan.clone());
        blocking("settle the network", move || wire.apply(&wanted)).await?;
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone_from(plan);
        Ok(())
    }

    /// Opens the taps of a machine's links, in their order. Fails when one of them is not in force.
    pub(in crate::qemu) async fn taps(&self, id: MachineId, spec: &MachineSpec) -> Result<Vec<OwnedFd>, Error> {
        let kinds: Vec<LinkKind> =
            spec.nics.iter().map(|nic| self.planned(id, nic.kind)).collect::<Result<_, Error>>()?;
        let wire = Arc::clone(&self.wire);
        let open = move || kinds.into_iter().map(|kind| wire.tap(id.0, kind)).collect();
        blocking("open a machine's taps", open).await
    }

    /// Where a machine's link leads by the plan that is in force.
    fn planned(&self, id: MachineId, nic: NicKind) -> Result<LinkKind, Error> {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links = plan.links.iter().filter(|link| link.machine == id.0).map(|link| link.kind);
        let found = links.find(|kind| matches!(kind, LinkKind::Public) == (nic == NicKind::Public));
        found.ok_or_else(|| Error::Host {
            operation: "open a machine's taps",
            problem: format!("the {nic:?} link of machine {id} is not in the network that is in force"),
            transient: true,
        })
    }

    pub(super) fn of_guest(&self, spec: &MachineSpec) -> Vec<GuestLink> {
        let mut links: Vec<GuestLink> = spec.nics.iter().map(inside).collect();
        let is_public = spec.nics.iter().any(|nic| nic.kind == NicKind::Public);
        if let Some(first) = links.first_mut() {
            first.nameservers.clone_from(&self.nameservers);
            if let (false, Some((_, gateway))) = (is_public, first.routes.first()) {
                // With a public link, what has no other way goes there.
                first.routes.push((METADATA.into(), *gateway));
            }
        }
        links
    }
}

/// The inside of a link, without what only one of a machine's links has.
fn inside(nic: &Nic) -> GuestLink {
    let link = GuestLink::of(nic);
    let own = link.ipv4.and_then(|(address, prefix)| Ipv4Net::new(address, prefix).ok());
    match (nic.kind, own) {
        (NicKind::Private, Some(own)) => {
            let gateway = Ipv4Addr::from(u32::from(own.network()) + 1);
            let all = PRIVATE.into_iter().filter_map(|(base, prefix)| Ipv4Net::new(base, prefix).ok());
            GuestLink { routes: all.map(|net| (net, gateway)).collect(), ..link }
        }
        (NicKind::Private, None) | (NicKind::Public, _) => link,
    }
}

/// Does what takes some milliseconds in the kernel, and goes on with it when the caller leaves.
async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, linux::Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| Error::host(operation, error))?;
    done.map_err(|error| Error::Host { operation, problem: with_causes(&error), transient: may_pass(&error) })
}

/// Whether doing it again may work though nobody changes a setting or installs anything.
fn may_pass(error: &linux::Error) -> bool {
    use linux::Error as E;
    match error {
        E::Refused { .. } | E::Taken(_) | E::Io { .. } => true,
        E::NotAllowed { .. } | E::Config(_) | E::Plan(_) | E::Missing { .. } | E::Kernel(_) | E::Down(_) => false,
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", with_causes(cause)),
        None => error.to_string(),
    }
}

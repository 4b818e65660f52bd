//! Whose machine a connection to a service inside the namespace came from.

use std::{collections::BTreeMap, net::Ipv4Addr, os::fd::AsFd};

use nix::sys::socket::{SockaddrIn, getpeername, getsockopt, sockopt::Mark};

use super::{Error, devices::mark_of, names::numbers};
use crate::{LinkKind, Plan};

/// A link of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asker {
    /// The machine's number.
    pub machine: u64,
    /// By which of its links it asked.
    pub kind: LinkKind,
}

/// Links by the mark of their network's packets and their address in it.
///
/// VPCs may have the same addresses, so the mark says which network it was, which the kernel keeps with the connection
/// (`tcp_fwmark_accept`). Within a network, a tap sends from its own address alone.
#[derive(Debug, Default)]
pub(super) struct Askers(BTreeMap<(u32, Ipv4Addr), Asker>);

impl Askers {
    pub(super) fn new(plan: &Plan) -> Result<Self, Error> {
        let numbers = numbers(plan);
        let mut askers = BTreeMap::new();
        for link in &plan.links {
            let Some(address) = link.ipv4 else { continue };
            let mark = match link.kind {
                LinkKind::Public => 0,
                LinkKind::Private(vpc) => mark_of(&numbers, vpc)?,
            };
            askers.insert((mark, address.addr()), Asker { machine: link.machine, kind: link.kind });
        }
        Ok(Self(askers))
    }

    /// `None` for what came from no machine's link, or from one that is no longer planned.
    pub(super) fn of(&self, connection: &impl AsFd) -> Option<Asker> {
        let mark = getsockopt(&connection, Mark).ok()?;
        let peer: SockaddrIn = getpeername(std::os::fd::AsRawFd::as_raw_fd(&connection.as_fd())).ok()?;
        self.0.get(&(mark, peer.ip())).copied()
    }
}

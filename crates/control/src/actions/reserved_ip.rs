//! Actions on reserved IPs: `assign_ip`, `unassign_ip`, `release_ip`.
//!
//! Where an address leads is written first, and the wire follows: a step is done when it is in force there. When that fails
//! for good, it leads to where it led before.

use std::net::IpAddr;

use dewpoint_api::DropletId;
use dewpoint_store::{Tx, reserved_ips};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named},
};
use crate::Error;

/// What such an action is accepted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Pointing {
    /// The address.
    pub(crate) address: IpAddr,
    /// The Droplet it led to.
    pub(crate) from: Option<DropletId>,
    /// The Droplet it is to lead to.
    pub(crate) to: Option<DropletId>,
}

/// Writes where an address leads, if it is locked by this action, and returns when it does so on the wire.
pub(super) async fn point(cx: &Context, address: IpAddr, droplet: Option<DropletId>) -> Result<(), Error> {
    let id = cx.action.id;
    let store = &cx.control.inner.store;
    let points: bool = store
        .write(move |tx: &mut dyn Tx| reserved_ips::reserved_ip_point(tx, address, id, droplet).map_err(Error::from))
        .await?;
    if !points {
        return Err(Error::invalid(format!("{address} is not locked by action {id} any more")));
    }
    cx.control.settle_network().await
}

/// `assign_ip` and `unassign_ip`. The address is locked, and the Droplet it is assigned to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointStep {
    Point,
    /// Compensation: it leads to where it led before, if that Droplet is still there and has no other.
    PointBack,
}

impl Flow for PointStep {
    const STEPS: &'static [Named<Self>] = &[(Self::Point, "point")];
    const BACK: Option<Named<Self>> = Some((Self::PointBack, "point-back"));

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let Pointing { address, from, to } = cx.request()?;
        let droplet = match self {
            Self::Point => to,
            Self::PointBack => from,
        };
        point(cx, address, droplet).await?;
        Ok(Effect::default())
    }
}

/// `release_ip`: the row is gone. The address is held until nothing leads there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReleaseStep;

impl Flow for ReleaseStep {
    const STEPS: &'static [Named<Self>] = &[(Self, "release")];

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        let Pointing { address, .. } = cx.request()?;
        cx.control.settle_network().await?;
        Ok(Also::RestAddress(address).into())
    }
}

//! `create`: make the machine, boot it. If that fails for good, nothing is left of the Droplet (CRE-23).

use dewpoint_api::{DropletStatus, VolumeId};
use dewpoint_engine::{Error as EngineError, Power, PowerState};
use dewpoint_store::{Tx, addresses, droplets, droplets::DropletChange};
use serde::{Deserialize, Serialize};

use super::{
    effect::{Also, Effect},
    flow::{Context, Flow, Named},
    gpus::{self, GPUS},
    volume,
};
use crate::{
    Error, PUBLIC_POOL, passwords, readiness,
    stock::{self, GpuWork, Unplaced},
};

/// What a create is accepted with, beside the row.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct CreateWish {
    /// The volumes it begins with. They are its own from the moment it is accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) volumes: Vec<VolumeId>,
    /// What becomes of it when there was no room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unplaced: Option<Unplaced>,
    /// That it has GPUs, which are handed over before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gpus: Option<GpuWork>,
}

impl CreateWish {
    /// As the action keeps it.
    pub(crate) fn text(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|error| Error::invalid(format!("the request cannot be kept: {error}")))
    }
}

/// The steps of a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CreateStep {
    /// Waits for room where there was none when it was accepted; otherwise the host was chosen then.
    Place,
    Ensure,
    /// Hands the machine its GPUs; of a Droplet that has some.
    Gpus,
    /// Gives the machine its volumes, if there are any.
    Attach,
    Boot,
    /// Compensation: takes everything back.
    Remove,
}

/// The step a create begins with that has its host already.
pub(crate) const PLACED: &str = "ensure";

/// How many addresses are tried before a create gives up on finding one this host can use.
const ADDRESSES_TRIED: usize = 64;

impl Flow for CreateStep {
    const STEPS: &'static [Named<Self>] = &[
        (Self::Place, "place"),
        (Self::Ensure, PLACED),
        (Self::Gpus, GPUS),
        (Self::Attach, "attach"),
        (Self::Boot, "boot"),
    ];
    const BACK: Option<Named<Self>> = Some((Self::Remove, "remove"));

    fn can_wait(self) -> bool {
        match self {
            // Making a machine again from the same spec changes nothing, nor does attaching to it what it has.
            Self::Place | Self::Ensure | Self::Gpus | Self::Attach => true,
            Self::Boot | Self::Remove => false,
        }
    }

    fn is_for(self, cx: &Context) -> bool {
        self != Self::Gpus || cx.gpu_work().is_some()
    }

    async fn run(self, cx: &Context) -> Result<Effect, Error> {
        match self {
            Self::Place => {
                place(cx).await?;
                Ok(Effect::default())
            }
            Self::Ensure => {
                let mut spec = cx.spec().await?;
                if spec.ssh_keys.is_empty() && spec.password_hash.is_none() && cx.engine().sets_passwords() {
                    // Kept before the machine is made: made again, it must be made with the same.
                    spec.password_hash = Some(passwords::first_of(&cx.control, cx.droplet).await?);
                }
                cx.engine().ensure(cx.machine(), &spec).await?;
                Ok(Effect::default())
            }
            Self::Gpus => {
                gpus::take(cx).await?;
                Ok(Effect::default())
            }
            Self::Attach => {
                let mut newly = Vec::new();
                for id in cx.request::<CreateWish>()?.volumes {
                    newly.extend(volume::make(cx, id).await?.ok_or(Error::NotFound)?);
                    volume::give(cx, id, cx.machine()).await?;
                }
                Ok(volume::made_and(newly, None))
            }
            Self::Boot => {
                boot(cx).await?;
                let now = cx.control.now();
                let mut change = DropletChange {
                    status: Some(DropletStatus::Active),
                    started_at: Some(now),
                    active_at: Some(now),
                    ..DropletChange::default()
                };
                readiness::first_look(&cx.control, cx.droplet, &mut change).await;
                Ok(change.into())
            }
            Self::Remove => {
                cx.engine().destroy(cx.machine()).await?;
                let mut also = gpus::give_back(cx).await?;
                also.push(Also::RemoveDroplet);
                Ok(Effect { also, ..Effect::default() })
            }
        }
    }

    async fn aftermath(self, cx: &Context) -> Effect {
        // Only taking everything back has no compensation of its own.
        if !cx.machine_is_gone().await {
            return Also::ForgetDroplet.into();
        }
        let mut also = gpus::give_back_or_park(cx).await;
        also.push(Also::RemoveDroplet);
        Effect { also, ..Effect::default() }
    }
}

/// Sees to it that the Droplet has a host. What is written about it is written here, with the choice.
async fn place(cx: &Context) -> Result<(), Error> {
    if let Ok(mut prefetched) = cx.prefetched.lock() {
        // What was read says that it has none.
        prefetched.take();
    }
    match cx.request::<CreateWish>()?.unplaced {
        None => return Ok(()),
        Some(Unplaced::Vanish(reason)) => return Err(Error::invalid(reason)),
        Some(Unplaced::Queue) => {}
    }
    let (control, action, now) = (cx.control.clone(), cx.action.clone(), cx.control.now());
    let store = &cx.control.inner.store;
    let placed = store.write(move |tx: &mut dyn Tx| stock::place_waiting(tx, &control, &action, now)).await?;
    if placed { Ok(()) } else { Err(Error::SetAside) }
}

/// Starts the machine. An address this host cannot use is withdrawn for good and replaced by the next one.
async fn boot(cx: &Context) -> Result<(), Error> {
    if cx.action.attempt > 1 {
        catch_up(cx).await?;
    }
    for _ in 0..ADDRESSES_TRIED {
        cx.control.settle_links().await?;
        match cx.engine().power(cx.machine(), Power::On).await {
            Ok(()) => return Ok(()),
            Err(EngineError::AddressUnusable(bad)) => {
                tracing::warn!(droplet.id = %cx.droplet, address = %bad, "Address {bad} cannot be used here, taking another");
                replace_address(cx, bad).await?;
                cx.engine().change(cx.machine(), &cx.spec().await?).await?;
            }
            Err(other) => return Err(other.into()),
        }
    }
    Err(Error::invalid(format!("None of {ADDRESSES_TRIED} public addresses can be used on this host.")))
}

/// Gives a machine that is off the addresses its Droplet has: an earlier attempt may have been cut off between the two.
async fn catch_up(cx: &Context) -> Result<(), Error> {
    match cx.engine().observe(cx.machine()).await? {
        Some(observed) if observed.power == PowerState::Off => {
            cx.engine().change(cx.machine(), &cx.spec().await?).await?;
            Ok(())
        }
        Some(_) | None => Ok(()),
    }
}

async fn replace_address(cx: &Context, bad: std::net::Ipv4Addr) -> Result<(), Error> {
    let (pool, id, rested) = (cx.control.inner.public_v4.pool, cx.droplet, cx.control.rested());
    cx.control
        .inner
        .store
        .write(move |tx: &mut dyn Tx| {
            let record = droplets::droplet_of_machine(tx, id)?.ok_or(Error::NotFound)?;
            if record.public_v4 != Some(bad) {
                return Ok(());
            }
            addresses::address_ban(tx, PUBLIC_POOL, pool.position(bad))?;
            let next = addresses::address_take(tx, &pool.positions(PUBLIC_POOL, rested), Some(id))?;
            let next = next.ok_or_else(|| Error::invalid("No public IPv4 address is left that this host can use."))?;
            let change = DropletChange { public_v4: Some(pool.address(next)), ..DropletChange::default() };
            droplets::droplet_change(tx, id, &change)?;
            Ok(())
        })
        .await
}

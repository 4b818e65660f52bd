//! Handing GPUs over to machines and taking them back: what an action is to do about its Droplet's, and what is written of it.

use dewpoint_api::{ActionId, ActionKind, DropletId};
use dewpoint_clock::Timestamp;
use dewpoint_placement::{Need, Wish};
use dewpoint_store::{
    DropletRecord, Sequence, Tx, actions, counters, droplets, hosts,
    hosts::{GpuCondition, GpuRecord, HostRecord},
    stock::{self, Holding},
};
use serde::{Deserialize, Serialize};

use super::{alerts::trouble, known};
use crate::{
    Control, Error,
    actions::{NewAction, Resource, new_action},
    config::WhenOff,
};

/// What an action does about its Droplet's GPUs. Its request keeps it, as `gpus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GpuWork {
    /// They are handed over before the machine starts: the host may have been started anew since they were.
    Take,
    /// The same, and they were chosen for this action: when it fails they are given back.
    TakeAgain,
    /// They are given back once the machine is off.
    GiveBack,
}

/// What an action that is being accepted is to do about its Droplet's GPUs. Chooses some again for one that let go of them.
///
/// Fails where a machine would start without a GPU that its Droplet has, or there is none left for it.
pub(crate) fn work_for(
    tx: &mut dyn Tx,
    control: &Control,
    droplet: &DropletRecord,
    kind: ActionKind,
) -> Result<Option<GpuWork>, Error> {
    use ActionKind as K;
    let (starts, stops) = (
        matches!(kind, K::PowerOn | K::Reboot | K::PowerCycle | K::Rebuild | K::Restore),
        matches!(kind, K::PowerOff | K::Shutdown),
    );
    if !droplet.gpu || !(starts || stops) {
        return Ok(None);
    }
    let Some(holding) = stock::holding_get(tx, droplet.id)?.filter(|holding| holding.gpu_model.is_some()) else {
        return Ok(None);
    };
    let frees = control.config().gpus_when_off == WhenOff::Free;
    match (starts, holding.gpus.is_empty(), holding.addresses.is_empty()) {
        (false, false, false) if frees => Ok(Some(GpuWork::GiveBack)),
        (false, ..) => Ok(None),
        (true, true, _) => Ok(take_again(tx, control, droplet, holding)?.then_some(GpuWork::TakeAgain)),
        // From before GPUs had names: the machine was made without.
        (true, false, true) => Ok(None),
        (true, false, false) => {
            refuse_without(tx, control, &holding)?;
            Ok(Some(GpuWork::Take))
        }
    }
}

/// Whether a Droplet has GPUs that have to be taken back from its machine.
pub(crate) fn has_gpus(tx: &mut dyn Tx, droplet: DropletId) -> Result<bool, Error> {
    Ok(stock::holding_get(tx, droplet)?.is_some_and(|holding| !holding.addresses.is_empty()))
}

/// Whether this is of a Droplet that is off and has let go of its GPUs.
pub(super) fn is_let_go(holding: &Holding) -> bool {
    holding.gpu_model.is_some() && holding.gpus.is_empty()
}

/// Fails if one of the GPUs of a holding cannot be given to its machine.
fn refuse_without(tx: &mut dyn Tx, control: &Control, holding: &Holding) -> Result<(), Error> {
    let Some(known) = known(tx, control)? else { return Ok(()) };
    for place in &holding.gpus {
        let Some((gpu, how)) = known.gpu(holding, *place).and_then(|gpu| Some((gpu, trouble(gpu)?))) else { continue };
        return Err(Error::invalid(format!(
            "GPU {} of host {}, which this Droplet has, {how}. The Droplet is not started without it: put the GPU right and \
             try again, or take a snapshot of the Droplet, delete it and create it again from that.",
            gpu.address, holding.host
        )));
    }
    Ok(())
}

/// Chooses GPUs for a Droplet that let go of its own, on the host where its disk is; `false` while there is plenty.
fn take_again(tx: &mut dyn Tx, control: &Control, droplet: &DropletRecord, holding: Holding) -> Result<bool, Error> {
    let size = control.catalogue().size(&droplet.size);
    let Some(gpu) = size.and_then(|size| size.gpu()) else { return Ok(false) };
    let Some(known) = known(tx, control)? else { return Ok(false) };
    let known = known.only(&holding.host);
    let (vcpus, memory_mib) = (droplet.vcpus, droplet.memory_mib);
    let need = Need { vcpus, memory_mib, gpus: Some((gpu.count, gpu.model.clone())) };
    let wish = Wish { region: None, need: &need, apart_from: &[] };
    let placement = known.stock(tx, Some(droplet.id))?.place(&wish).map_err(|refusal| Error::OutOfStock {
        message: format!(
            "Size {} is out of stock on host {}, where the Droplet's disk is ({refusal}). Its GPUs were given back when it was \
             powered off. Try again later, or take a snapshot of it and create another one from that.",
            droplet.size, holding.host
        ),
        available_regions: Vec::new(),
    })?;
    let seat = known.seat(placement);
    let (gpus, addresses) = (seat.gpus, seat.addresses);
    stock::holding_put(tx, &Holding { vcpus, memory_mib, gpus, addresses, ..holding })?;
    Ok(true)
}

/// A Droplet that is off has no GPUs any more. Nor does it need memory and processors: others could not use its GPUs without.
pub(crate) fn let_go(tx: &mut dyn Tx, droplet: DropletId) -> Result<(), Error> {
    let Some(holding) = stock::holding_get(tx, droplet)? else { return Ok(()) };
    let none = Holding { vcpus: 0, memory_mib: 0, gpus: Vec::new(), addresses: Vec::new(), ..holding };
    stock::holding_put(tx, &none)?;
    actions::action_unpark_all(tx)?;
    Ok(())
}

/// Why GPUs of a Droplet are kept out of stock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parking {
    /// These, by their addresses, each for its reason: the engine keeps them out itself.
    Some(Vec<(String, String)>),
    /// All of them: they could not be given back, for this reason.
    All(String),
}

/// Keeps GPUs that a Droplet has out of stock, also when it has them no more, until the operator puts them back.
pub(crate) fn park(tx: &mut dyn Tx, droplet: DropletId, parking: &Parking) -> Result<(), Error> {
    let Some(holding) = stock::holding_get(tx, droplet)? else { return Ok(()) };
    if matches!(parking, Parking::Some(list) if list.is_empty()) {
        return Ok(());
    }
    for declared in [true, false] {
        let Some(mut host) = hosts::host_get(tx, declared, &holding.host)? else { continue };
        for gpu in mine(&mut host, &holding) {
            match parking {
                Parking::All(why) => gpu.parked = Some(why.clone()),
                Parking::Some(list) => {
                    let Some((_, why)) = list.iter().find(|(address, _)| *address == gpu.address) else { continue };
                    match declared {
                        true => gpu.parked = Some(why.clone()),
                        false => gpu.condition = GpuCondition::Parked(why.clone()),
                    }
                }
            }
        }
        host.generation = stock::stock_changed(tx)?;
        hosts::host_gpus_put(tx, &host)?;
    }
    for address in &holding.addresses {
        hosts::gpu_changed(tx, &holding.host, address)?;
    }
    Ok(())
}

/// The GPUs of a holding, on its host.
fn mine<'h>(host: &'h mut HostRecord, holding: &Holding) -> impl Iterator<Item = &'h mut GpuRecord> {
    let (places, addresses) = (holding.gpus.clone(), holding.addresses.clone());
    let is_mine = move |(place, gpu): &(usize, &mut GpuRecord)| {
        places.contains(place) && (addresses.is_empty() || addresses.contains(&gpu.address))
    };
    host.gpus.iter_mut().enumerate().filter(is_mine).map(|(_, gpu)| gpu)
}

/// Begins to give back the GPUs of a Droplet that is off, as a `power_off` would have; whether there is anything to do.
fn begin_freeing(tx: &mut dyn Tx, id: DropletId, now: Timestamp) -> Result<bool, Error> {
    let Some(droplet) = droplets::droplet_of_machine(tx, id)? else { return Ok(false) };
    if droplet.running_action.is_some() || droplet.status != dewpoint_api::DropletStatus::Off {
        return Ok(false);
    }
    let action = ActionId(counters::draw(tx, Sequence::Action, 1)?);
    if !droplets::droplet_lock(tx, id, action)? {
        return Ok(false);
    }
    let request = serde_json::json!({ "type": "power_off", "gpus": GpuWork::GiveBack }).to_string();
    let new = NewAction {
        id: action,
        account: droplet.account,
        kind: ActionKind::PowerOff,
        resource: Resource::Droplet(id),
        region: Some(&droplet.region),
        request: &request,
        now,
    };
    actions::action_insert(tx, &new_action(&new))?;
    Ok(true)
}

impl Control {
    /// Sees to it that Droplets that are off have no GPUs, where the operator wants that: those whose guests went off by
    /// themselves, and those that were off before it was wanted.
    pub(crate) async fn free_stopped(&self) -> Result<(), Error> {
        if self.config().gpus_when_off != WhenOff::Free {
            return Ok(());
        }
        let (store, now) = (&self.inner.store, self.now());
        let off: Vec<DropletId> = store.read(|tx: &mut dyn Tx| stock::holders_off(tx).map_err(Error::from)).await?;
        for id in off {
            if store.write(move |tx: &mut dyn Tx| begin_freeing(tx, id, now)).await? {
                tracing::info!(droplet.id = %id, "Droplet {id} is off: its GPUs are given back");
                self.inner.bell.notify_one();
            }
        }
        Ok(())
    }
}

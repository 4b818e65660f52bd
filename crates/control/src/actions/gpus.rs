//! What flows of Droplets with GPUs have in common: handing GPUs over before a machine starts, and taking them back once it is off
//! or gone. Each asks the engine for a state, so that doing it again is harmless.

use dewpoint_engine::{GpuState, HostGpus, PowerState};
use dewpoint_store::{
    Tx,
    stock::{self, Holding},
};

use super::{
    effect::{Also, Effect},
    flow::Context,
    worker::chain,
};
use crate::{
    Error,
    stock::{GpuWork, Parking},
};

/// The name of the step that hands GPUs over or takes them back, in every flow.
pub(super) const GPUS: &str = "gpus";

/// Hands the machine the GPUs its Droplet has. All or none.
pub(super) async fn take(cx: &Context) -> Result<(), Error> {
    let spec = cx.spec_with(|_| {}).await?;
    Ok(cx.engine().take_gpus(cx.machine(), &spec.gpus).await?)
}

/// The same for a machine that is off, of an action that starts it: it may have been made with others, or with none.
pub(super) async fn take_before_start(cx: &Context) -> Result<Effect, Error> {
    let spec = cx.spec_with(|_| {}).await?;
    cx.engine().change(cx.machine(), &spec).await?;
    cx.engine().take_gpus(cx.machine(), &spec.gpus).await?;
    Ok(Effect::default())
}

/// Takes back what the machine has, off or gone; what to write about those that are parked for it.
pub(super) async fn give_back(cx: &Context) -> Result<Vec<Also>, Error> {
    if cx.gpu_work().is_none() {
        return Ok(Vec::new());
    }
    let parked = cx.control.give_back_gpus(cx.droplet).await?;
    Ok(vec![Also::ParkGpus(Parking::Some(parked))])
}

/// The same where nothing can be done about a failure: all of them are parked then.
pub(super) async fn give_back_or_park(cx: &Context) -> Vec<Also> {
    match give_back(cx).await {
        Ok(also) => also,
        Err(error) => vec![Also::ParkGpus(Parking::All(could_not(&error)))],
    }
}

/// Why GPUs are parked that could not be given back.
pub(super) fn could_not(error: &Error) -> String {
    format!("it could not be given back: {}", chain(error))
}

/// Gives back the GPUs of a Droplet that is off and stays: the machine has none then.
pub(super) async fn let_go(cx: &Context) -> Result<Effect, Error> {
    let mut also = give_back(cx).await?;
    let mut spec = cx.spec_with(|_| {}).await?;
    spec.gpus.clear();
    cx.engine().change(cx.machine(), &spec).await?;
    also.push(Also::LetGoOfGpus);
    Ok(Effect { also, ..Effect::default() })
}

/// What to write when an action fails that was to let go of GPUs, or took them again for a Droplet that had: they are let go of
/// if it is off. What cannot be done now is done by and by, as for every Droplet that is off and has some.
pub(super) async fn aftermath(cx: &Context) -> Vec<Also> {
    match cx.gpu_work() {
        Some(GpuWork::TakeAgain | GpuWork::GiveBack) => {}
        Some(GpuWork::Take) | None => return Vec::new(),
    }
    match cx.engine().observe(cx.machine()).await {
        Ok(Some(seen)) if seen.power == PowerState::Off => {}
        Ok(_) | Err(_) => return Vec::new(),
    }
    match let_go(cx).await {
        Ok(effect) => effect.also,
        Err(error) => {
            tracing::warn!(droplet.id = %cx.droplet, error = %chain(&error), "Cannot give back the GPUs of Droplet {} yet", cx.droplet);
            Vec::new()
        }
    }
}

impl crate::Control {
    /// Takes back the GPUs that a Droplet's machine has, and tells which of them are parked for it and why.
    pub(crate) async fn give_back_gpus(
        &self,
        droplet: dewpoint_api::DropletId,
    ) -> Result<Vec<(String, String)>, Error> {
        let engine = &self.inner.engine;
        let parked = engine.give_back_gpus(dewpoint_engine::MachineId(droplet.0)).await?;
        let mut told: Vec<(String, String)> = parked.into_iter().map(|one| (one.gpu.to_string(), one.why)).collect();
        // An engine that took them back with the machine told of it then: its hosts still tell.
        let store = &self.inner.store;
        let holding: Option<Holding> =
            store.read(move |tx: &mut dyn Tx| stock::holding_get(tx, droplet).map_err(Error::from)).await?;
        let Some(holding) = holding else { return Ok(told) };
        for host in engine.hosts().await?.into_iter().filter(|host| host.name == holding.host) {
            let HostGpus::These(gpus) = host.gpus else { continue };
            for gpu in gpus {
                let address = gpu.address.to_string();
                let is_new = holding.addresses.contains(&address) && told.iter().all(|(known, _)| *known != address);
                if let (GpuState::Parked(why), true) = (gpu.state, is_new) {
                    told.push((address, why));
                }
            }
        }
        Ok(told)
    }
}

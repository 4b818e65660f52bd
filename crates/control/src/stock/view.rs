//! What there is and what is taken, for people.

use std::collections::HashMap;

use dewpoint_api::{DropletId, StockGpu, StockGpuState, StockGpuUse, StockHostUse, StockResponse, StockUse};
use dewpoint_store::{
    Tx,
    hosts::{GpuCondition, GpuRecord, HostRecord},
    stock::{self, Holding},
};

use super::{alerts, inventory, known};
use crate::{Control, Error};

impl Control {
    /// What there is, declared or told of by the engine, and what is taken of it.
    pub async fn stock(&self) -> Result<StockResponse, Error> {
        let control = self.clone();
        self.inner.store.read(move |tx: &mut dyn Tx| view(tx, &control)).await
    }
}

pub(super) fn view(tx: &mut dyn Tx, control: &Control) -> Result<StockResponse, Error> {
    let known = known(tx, control)?;
    let holdings = stock::holding_list(tx)?;
    let mut of_host: HashMap<&str, Vec<&Holding>> = HashMap::new();
    for holding in &holdings {
        of_host.entry(&holding.host).or_default().push(holding);
    }
    let ratio = control.config().overcommit;
    let here = |host: &HostRecord| of_host.get(host.name.as_str()).cloned().unwrap_or_default();
    let hosts = known.as_ref().map(|known| known.hosts.as_slice()).unwrap_or_default();
    Ok(StockResponse {
        declared: known.as_ref().is_some_and(|known| known.declared),
        generation: stock::stock_generation(tx)?,
        hosts: hosts.iter().map(|host| host_use(host, &here(host), (ratio.vcpus, ratio.memory))).collect(),
        alerts: hosts.iter().flat_map(|host| alerts::of_host(host, &here(host))).map(|alert| alert.text).collect(),
        queued: stock::unplaced_count(tx, None)?,
        out_of_stock: known.map(|known| known.out_of_stock).unwrap_or_default(),
    })
}

fn host_use(host: &HostRecord, here: &[&Holding], (vcpus, memory): (f64, f64)) -> StockHostUse {
    let devices: Vec<StockGpu> = (0..)
        .zip(&host.gpus)
        .filter(|(_, gpu)| !inventory::is_empty(gpu))
        .map(|(place, gpu)| device(gpu, holder(here, place)))
        .collect();
    let mut gpus: Vec<StockGpuUse> = Vec::new();
    for device in &devices {
        let at = gpus.iter().position(|known| known.model == device.model).unwrap_or(gpus.len());
        if at == gpus.len() {
            let count = StockUse { total: 0, used: 0, free: 0 };
            gpus.push(StockGpuUse { model: device.model.clone(), count });
        }
        let count = &mut gpus[at].count;
        count.total += u64::from(device.state != StockGpuState::Missing);
        count.used += u64::from(device.droplet_id.is_some());
        count.free += u64::from(device.state == StockGpuState::Free);
    }
    StockHostUse {
        name: host.name.clone(),
        region: host.region.clone(),
        vcpus: used((f64::from(host.vcpus) * vcpus) as u64, here.iter().map(|holding| u64::from(holding.vcpus)).sum()),
        memory_mib: used((host.memory_mib as f64 * memory) as u64, here.iter().map(|holding| holding.memory_mib).sum()),
        gpus,
        devices,
    }
}

/// Which Droplet has the GPU at this place.
pub(super) fn holder(here: &[&Holding], place: usize) -> Option<DropletId> {
    here.iter().find(|holding| holding.gpus.contains(&place)).map(|holding| holding.droplet)
}

fn device(gpu: &GpuRecord, droplet_id: Option<DropletId>) -> StockGpu {
    let (state, reason) = match (&gpu.condition, &gpu.parked) {
        (GpuCondition::Missing, _) => (StockGpuState::Missing, None),
        (GpuCondition::Parked(why), _) | (_, Some(why)) => (StockGpuState::Parked, Some(why.clone())),
        (GpuCondition::Unusable(why), None) => (StockGpuState::Unusable, Some(why.clone())),
        (GpuCondition::Ready, None) if droplet_id.is_some() => (StockGpuState::Used, None),
        (GpuCondition::Ready, None) => (StockGpuState::Free, None),
    };
    StockGpu {
        address: gpu.address.clone(),
        model: gpu.model.clone(),
        node: gpu.node,
        state,
        droplet_id,
        reason,
        seen: gpu.seen,
    }
}

fn used(total: u64, used: u64) -> StockUse {
    StockUse { total, used, free: total.saturating_sub(used) }
}

//! What is wrong with GPUs and needs somebody: told in the log once, counted for metrics, shown with the stock.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use dewpoint_api::DropletId;
use dewpoint_store::{
    Tx,
    hosts::{GpuCondition, GpuRecord, HostRecord},
    stock::{self, Holding},
};

use super::{inventory, known, view::holder};
use crate::{Control, Error};

/// Something that somebody has to see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alert {
    /// It in one sentence, with the way out.
    pub(crate) text: String,
    /// Whether the GPU is missing; otherwise it is parked, or of no use to who has it.
    missing: bool,
}

/// What is known of troubles, in memory.
#[derive(Debug, Default)]
pub(crate) struct Alerts {
    /// Whether what is taken of the engine's own hosts is counted.
    counts_hosts: AtomicBool,
    missing: AtomicU64,
    parked: AtomicU64,
    /// What the log was told of.
    told: Mutex<BTreeSet<String>>,
}

impl Alerts {
    pub(crate) fn counts_hosts(&self) -> bool {
        self.counts_hosts.load(Relaxed)
    }

    pub(super) fn set_counts_hosts(&self, counts: bool) {
        self.counts_hosts.store(counts, Relaxed);
    }
}

/// How a GPU is, in the words of a sentence about it; `None` for one that is well.
pub(super) fn trouble(gpu: &GpuRecord) -> Option<String> {
    match (&gpu.condition, &gpu.parked) {
        (GpuCondition::Missing, _) => Some("is missing: the host does not have it any more".to_owned()),
        (GpuCondition::Parked(why), _) | (_, Some(why)) => Some(format!("is parked: {why}")),
        (GpuCondition::Unusable(why), None) => Some(format!("cannot be given to a guest: {why}")),
        (GpuCondition::Ready, None) => None,
    }
}

/// The alerts of one host.
pub(super) fn of_host(host: &HostRecord, here: &[&Holding]) -> Vec<Alert> {
    let gpus = (0..).zip(&host.gpus).filter(|(_, gpu)| !inventory::is_empty(gpu));
    gpus.filter_map(|(place, gpu)| alert(host, gpu, holder(here, place))).collect()
}

fn alert(host: &HostRecord, gpu: &GpuRecord, holder: Option<DropletId>) -> Option<Alert> {
    let (name, GpuRecord { address, model, .. }) = (&host.name, gpu);
    let how = trouble(gpu)?;
    let missing = gpu.condition == GpuCondition::Missing;
    let parked = gpu.parked.is_some() || matches!(gpu.condition, GpuCondition::Parked(_));
    let list = format!("DELETE /dew/v1/stock/parked/{name}/{address}");
    let then = match (holder, missing) {
        (Some(id), _) => format!("Droplet {id} has it and is not started without it"),
        (None, true) => format!("put it back, or forget it with {list}"),
        (None, false) if parked => format!("put it back with {list}"),
        // One that a host keeps for itself and nobody was given is no trouble.
        (None, false) => return None,
    };
    Some(Alert { text: format!("GPU {address} ({model}) of host {name} {how}; {then}."), missing })
}

impl Control {
    /// Looks for GPUs that need somebody, and tells the log of those it did not know of.
    pub(crate) async fn look_for_trouble(&self) -> Result<(), Error> {
        let control = self.clone();
        let found = self.inner.store.read(move |tx: &mut dyn Tx| all(tx, &control)).await?;
        let alerts = &self.inner.alerts;
        let missing = found.iter().filter(|alert| alert.missing).count() as u64;
        alerts.missing.store(missing, Relaxed);
        alerts.parked.store(found.len() as u64 - missing, Relaxed);
        let texts: BTreeSet<String> = found.into_iter().map(|alert| alert.text).collect();
        let mut told = alerts.told.lock().unwrap_or_else(PoisonError::into_inner);
        for text in texts.difference(&told) {
            tracing::error!("{text}");
        }
        for text in told.difference(&texts) {
            tracing::info!("No more so: {text}");
        }
        *told = texts;
        Ok(())
    }

    /// How many GPUs are missing that were there, and how many are parked or of no use to the Droplet that has them.
    pub fn gpus_in_trouble(&self) -> (u64, u64) {
        let alerts = &self.inner.alerts;
        (alerts.missing.load(Relaxed), alerts.parked.load(Relaxed))
    }
}

fn all(tx: &mut dyn Tx, control: &Control) -> Result<Vec<Alert>, Error> {
    let Some(known) = known(tx, control)? else { return Ok(Vec::new()) };
    let holdings = stock::holding_list(tx)?;
    let mut of: HashMap<&str, Vec<&Holding>> = HashMap::new();
    for holding in &holdings {
        of.entry(&holding.host).or_default().push(holding);
    }
    let here = |host: &HostRecord| of.get(host.name.as_str()).cloned().unwrap_or_default();
    Ok(known.hosts.iter().flat_map(|host| of_host(host, &here(host))).collect())
}

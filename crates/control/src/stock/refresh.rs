//! The GPUs that the engine tells of, written down: at the start, regularly, and when the operator puts one back.

use std::time::Duration;

use dewpoint_engine::{GpuState, Host, HostGpu, HostGpus};
use dewpoint_store::{
    Tx, actions, droplets, hosts,
    hosts::{GpuCondition, GpuRecord, HostRecord},
    stock::{self, Holding},
};
use tokio::sync::watch;

use super::inventory;
use crate::{Control, Error, actions::chain};

/// How often the engine is asked.
const EVERY: Duration = Duration::from_secs(60);

impl Control {
    /// Asks the engine what its hosts have now and writes down what changed. Also sees to GPUs that stopped Droplets have.
    ///
    /// Fails when engine or store do not answer; what was known stays then.
    pub async fn refresh_stock(&self) -> Result<(), Error> {
        let hosts: Vec<(Host, Vec<GpuRecord>)> =
            self.inner.engine.hosts().await?.into_iter().filter_map(own_gpus).collect();
        let count_all = self.config().count_hosts;
        let wanted = count_all || hosts.iter().any(|(_, gpus)| gpus.iter().any(can_be_given));
        let store = &self.inner.store;
        let had: bool = store.read(|tx: &mut dyn Tx| Ok::<_, Error>(!hosts::host_list(tx, false)?.is_empty())).await?;
        if wanted || had {
            let counts: bool = store.write(move |tx: &mut dyn Tx| write_down(tx, &hosts, wanted)).await?;
            self.inner.alerts.set_counts_hosts(counts);
            self.inner.bell.notify_one();
        }
        self.look_for_trouble().await?;
        self.free_stopped().await
    }

    /// Does so regularly until `stop` turns true.
    pub async fn keep_stock(self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let next = self.clock().now() + EVERY;
            tokio::select! {
                biased;
                _ = stop.changed() => return,
                () = self.clock().sleep_until(next) => {}
            }
            if let Err(error) = self.refresh_stock().await {
                tracing::error!(error = %chain(&error), "Cannot tell which GPUs there are; trying again");
            }
        }
    }

    /// The operator puts a parked GPU back into stock, or forgets one that is missing and nobody has.
    ///
    /// Fails with [`Error::NotFound`] for a GPU that is neither, and with a sentence when its host still says no.
    pub async fn gpu_put_back(&self, host: &str, address: &str) -> Result<(), Error> {
        let (name, wanted) = (host.to_owned(), address.to_owned());
        let known: Option<HostRecord> = self
            .inner
            .store
            .read(move |tx: &mut dyn Tx| find(tx, &name, &wanted).map(|found| found.map(|(host, _)| host)))
            .await?;
        let known = known.ok_or(Error::NotFound)?;
        if !known.declared {
            let parsed = address.parse().map_err(|_| Error::NotFound)?;
            let result = self.inner.engine.put_back_gpu(host, &parsed).await;
            result.map_err(|error| Error::Conflict(format!("GPU {address} of host {host} stays parked: {error}.")))?;
        }
        let (name, wanted) = (host.to_owned(), address.to_owned());
        self.inner.store.write(move |tx: &mut dyn Tx| put_back(tx, &name, &wanted)).await?;
        self.inner.bell.notify_one();
        match known.declared {
            true => self.look_for_trouble().await,
            false => self.refresh_stock().await,
        }
    }
}

/// Whether a GPU is one that Droplets can have, sooner or later: a host whose only GPU shows its console has none for them.
fn can_be_given(gpu: &GpuRecord) -> bool {
    !matches!(gpu.condition, GpuCondition::Unusable(_))
}

/// A host's own GPUs; `None` for one that has plenty of everything.
fn own_gpus(mut host: Host) -> Option<(Host, Vec<GpuRecord>)> {
    match std::mem::replace(&mut host.gpus, HostGpus::Plenty) {
        HostGpus::Plenty => None,
        HostGpus::These(gpus) => Some((host, gpus.into_iter().map(record).collect())),
    }
}

fn record(gpu: HostGpu) -> GpuRecord {
    let HostGpu { address, model, memory_mib, node, state } = gpu;
    let condition = match state {
        GpuState::Ready => GpuCondition::Ready,
        GpuState::Unusable(why) => GpuCondition::Unusable(why),
        GpuState::Parked(why) => GpuCondition::Parked(why),
    };
    GpuRecord { address: address.to_string(), model, memory_mib, node, condition, parked: None, seen: 0 }
}

/// Brings the rows to what is told; whether what is taken of these hosts counts.
fn write_down(tx: &mut dyn Tx, told: &[(Host, Vec<GpuRecord>)], wanted: bool) -> Result<bool, Error> {
    let (known, holdings) = (hosts::host_list(tx, false)?, stock::holding_list(tx)?);
    let generation = stock::stock_generation(tx)? + 1;
    let hosts: Vec<HostRecord> =
        told.iter().map(|(host, gpus)| of_told(host, gpus, &known, &holdings, generation)).collect();
    // A host that has none to give is counted as long as one is missing, or somebody has one.
    let has_some = |host: &HostRecord| {
        let held = inventory::held(&holdings, &host.name);
        (0..).zip(&host.gpus).any(|(place, gpu)| can_be_given(gpu) || held.contains(&place))
    };
    let counts = wanted || hosts.iter().any(has_some);
    let hosts = if counts { hosts } else { Vec::new() };
    for host in &hosts {
        for id in stock::holders_missing(tx, &host.name)? {
            let Some(row) = droplets::droplet_of_machine(tx, id)? else { continue };
            let (host, vcpus, memory_mib) = (host.name.clone(), row.vcpus, row.memory_mib);
            let none = (Vec::new(), Vec::new());
            let (gpus, addresses) = none;
            stock::holding_put(
                tx,
                &Holding { droplet: id, host, vcpus, memory_mib, gpus, addresses, gpu_model: None },
            )?;
        }
    }
    if without_times(&hosts) == without_times(&known) {
        return Ok(counts);
    }
    for (host, address) in changed(&known, &hosts) {
        hosts::gpu_changed(tx, &host, &address)?;
    }
    stock::stock_changed(tx)?;
    hosts::hosts_replace(tx, false, &hosts)?;
    actions::action_unpark_all(tx)?;
    Ok(counts)
}

fn of_told(host: &Host, gpus: &[GpuRecord], known: &[HostRecord], holdings: &[Holding], generation: u64) -> HostRecord {
    let had = known.iter().find(|known| known.name == host.name).map(|known| known.gpus.clone()).unwrap_or_default();
    let had = inventory::with_held(had, holdings, &host.name);
    HostRecord {
        declared: false,
        name: host.name.clone(),
        region: None,
        vcpus: host.vcpus,
        memory_mib: host.memory_mib,
        gpus: inventory::told(gpus, had, &inventory::held(holdings, &host.name), generation),
        generation,
    }
}

/// The same hosts, whenever they were written.
fn without_times(hosts: &[HostRecord]) -> Vec<HostRecord> {
    let timeless = |gpu: &GpuRecord| GpuRecord { seen: 0, ..gpu.clone() };
    let same = |host: &HostRecord| HostRecord {
        generation: 0,
        gpus: host.gpus.iter().map(timeless).collect(),
        ..host.clone()
    };
    hosts.iter().map(same).collect()
}

/// The GPUs that are otherwise than before, with their hosts.
fn changed(before: &[HostRecord], after: &[HostRecord]) -> Vec<(String, String)> {
    let mut changed = Vec::new();
    let of = |hosts: &[HostRecord], name: &str, address: &str| -> Option<GpuRecord> {
        let host = hosts.iter().find(|host| host.name == name)?;
        host.gpus.iter().find(|gpu| gpu.address == address).map(|gpu| GpuRecord { seen: 0, ..gpu.clone() })
    };
    for host in before.iter().chain(after) {
        for gpu in host.gpus.iter().filter(|gpu| !inventory::is_empty(gpu)) {
            let named = (host.name.clone(), gpu.address.clone());
            if of(before, &named.0, &named.1) != of(after, &named.0, &named.1) && !changed.contains(&named) {
                changed.push(named);
            }
        }
    }
    changed
}

/// The host of a GPU that is parked, or missing and nobody's, and the GPU's place there. What is declared counts before what
/// is told.
fn find(tx: &mut dyn Tx, name: &str, address: &str) -> Result<Option<(HostRecord, usize)>, Error> {
    for declared in [true, false] {
        let Some(host) = hosts::host_get(tx, declared, name)? else { continue };
        let Some(place) = host.gpus.iter().position(|gpu| gpu.address == address) else { continue };
        let gpu = &host.gpus[place];
        let parked = gpu.parked.is_some() || matches!(gpu.condition, GpuCondition::Parked(_));
        let held = stock::holding_list(tx)?.iter().any(|holding| holding.host == name && holding.gpus.contains(&place));
        if parked || (gpu.condition == GpuCondition::Missing && !held) {
            return Ok(Some((host, place)));
        }
    }
    Ok(None)
}

fn put_back(tx: &mut dyn Tx, name: &str, address: &str) -> Result<(), Error> {
    // Somebody else may have been faster.
    let Some((mut host, place)) = find(tx, name, address)? else { return Ok(()) };
    if host.gpus[place].condition == GpuCondition::Missing {
        let held = stock::holding_list(tx)?.iter().any(|holding| holding.host == name && holding.gpus.contains(&place));
        host.gpus[place].parked = None;
        if !held {
            host.gpus = inventory::without(host.gpus, place);
        }
    } else {
        host.gpus[place].parked = None;
        if matches!(host.gpus[place].condition, GpuCondition::Parked(_)) {
            host.gpus[place].condition = GpuCondition::Ready;
        }
    }
    host.generation = stock::stock_changed(tx)?;
    hosts::host_gpus_put(tx, &host)?;
    hosts::gpu_changed(tx, name, address)?;
    actions::action_unpark_all(tx)?;
    Ok(())
}

//! Hosts and GPUs of which what is taken is counted: who has what of them, and where a create goes.
//!
//! The hosts are rows, declared by the operator or told by the engine ([`inventory`] keeps their GPUs in their places); what each
//! Droplet has are rows too. The stock is made from them in the transaction that places, so that no GPU and no memory is
//! promised twice. Where there is neither a declaration nor an engine with GPUs of its own, there is plenty of everything, and
//! nobody counts.

mod alerts;
mod choose;
mod declare;
mod hand;
mod inventory;
mod queue;
mod refresh;
mod resize;
mod view;

use std::collections::{BTreeMap, HashMap};

use dewpoint_api::{DropletId, OutOfStock, RegionSlug, SizeSlug, StockDeclaration};
use dewpoint_placement::{Gpu, Host, Need, Overcommit, Placement, Refusal, Stock, Taken, Wish};
use dewpoint_store::{
    Tx, actions, hosts,
    hosts::{GpuRecord, HostRecord},
    stock::{self, Holding},
};

pub(crate) use alerts::Alerts;
pub(crate) use choose::{Room, choose};
pub(crate) use hand::{GpuWork, Parking, has_gpus, let_go, park, work_for};
pub(crate) use queue::{Unplaced, hold, place_waiting};
pub(crate) use resize::{make_room, settle_room};

use crate::{Control, Error};

/// The hosts of which what is taken is counted.
#[derive(Debug)]
pub(crate) struct Known {
    /// In their order.
    pub(crate) hosts: Vec<HostRecord>,
    by_name: HashMap<String, usize>,
    /// What a create of a size does for which there is no room.
    pub(crate) out_of_stock: BTreeMap<SizeSlug, OutOfStock>,
    /// Whether they were declared. An engine's own hosts are in every region.
    pub(crate) declared: bool,
    overcommit: Overcommit,
}

/// A place for one Droplet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// Its host.
    pub(crate) host: String,
    /// Its GPUs there, by their places.
    pub(crate) gpus: Vec<usize>,
    /// What the engine calls them.
    pub(crate) addresses: Vec<String>,
}

/// The hosts that are counted; `None` while there is plenty.
pub(crate) fn known(tx: &mut dyn Tx, control: &Control) -> Result<Option<Known>, Error> {
    let overcommit = control.config().overcommit;
    let (declared, out_of_stock) = match declared(tx)? {
        Some(StockDeclaration { out_of_stock, .. }) => (true, out_of_stock),
        None if control.inner.alerts.counts_hosts() => (false, BTreeMap::new()),
        None => return Ok(None),
    };
    let hosts = hosts::host_list(tx, declared)?;
    let by_name = (0..).zip(&hosts).map(|(at, host)| (host.name.clone(), at)).collect();
    Ok(Some(Known { hosts, by_name, out_of_stock, declared, overcommit }))
}

/// What the operator declared; `None` while nothing is.
fn declared(tx: &mut dyn Tx) -> Result<Option<StockDeclaration>, Error> {
    match stock::stock_declared(tx)? {
        None => Ok(None),
        Some((_, text)) => read(&text).map(Some),
    }
}

fn read(text: &str) -> Result<StockDeclaration, Error> {
    let unreadable = |error| Error::invalid(format!("the declared stock cannot be read: {error}"));
    serde_json::from_str(text).map_err(unreadable)
}

impl Known {
    /// With what is taken, but for what `without` has.
    pub(crate) fn stock(&self, tx: &mut dyn Tx, without: Option<DropletId>) -> Result<Stock, Error> {
        let mut stock = Stock::new(self.hosts.iter().map(host), self.overcommit);
        for holding in stock::holding_list(tx)? {
            if Some(holding.droplet) == without {
                continue;
            }
            let there = self.host(&holding.host).map_or(0, |host| host.gpus.len());
            let gpus = holding.gpus.iter().copied().filter(|place| *place < there).collect();
            stock.take(&holding.host, &Taken { vcpus: holding.vcpus, memory_mib: holding.memory_mib, gpus });
        }
        Ok(stock)
    }

    /// Seats for so many machines of one need in a region: all of them, or why not.
    pub(crate) fn seats(
        &self,
        stock: &Stock,
        region: &RegionSlug,
        need: &Need,
        count: usize,
    ) -> Result<Vec<Seat>, Refusal> {
        let wish = Wish { region: self.declared.then_some(region.as_str()), need, apart_from: &[] };
        let placements = stock.clone().place_all(&wish, count)?;
        Ok(placements.into_iter().map(|placement| self.seat(placement)).collect())
    }

    /// The seat that a placement is.
    pub(crate) fn seat(&self, Placement { host, gpus, region: _ }: Placement) -> Seat {
        let known = self.host(&host).map(|host| host.gpus.as_slice()).unwrap_or_default();
        let address = |place: &usize| known.get(*place).map(|gpu| gpu.address.clone()).unwrap_or_default();
        Seat { addresses: gpus.iter().map(address).collect(), host, gpus }
    }

    /// A host by its name.
    pub(crate) fn host(&self, name: &str) -> Option<&HostRecord> {
        self.by_name.get(name).map(|at| &self.hosts[*at])
    }

    /// The same with one host alone.
    pub(crate) fn only(mut self, name: &str) -> Self {
        self.hosts.retain(|host| host.name == name);
        self.by_name = self.hosts.iter().map(|host| (host.name.clone(), 0)).collect();
        self
    }

    /// A GPU of a holding, by its place.
    pub(crate) fn gpu(&self, holding: &Holding, place: usize) -> Option<&GpuRecord> {
        self.host(&holding.host)?.gpus.get(place)
    }
}

fn host(record: &HostRecord) -> Host {
    let gpus = record.gpus.iter().map(|gpu| Gpu {
        model: gpu.model.clone(),
        node: gpu.node,
        healthy: gpu.is_healthy() && !inventory::is_empty(gpu),
    });
    Host {
        name: record.name.clone(),
        region: record.region.as_ref().map(ToString::to_string).unwrap_or_default(),
        vcpus: record.vcpus,
        memory_mib: record.memory_mib,
        gpus: gpus.collect(),
    }
}

/// Gives back what a Droplet has, once its machine is gone; creates that wait are looked at again.
pub(crate) fn release(tx: &mut dyn Tx, droplet: DropletId) -> Result<(), Error> {
    stock::holding_drop(tx, droplet)?;
    actions::action_unpark_all(tx)?;
    Ok(())
}

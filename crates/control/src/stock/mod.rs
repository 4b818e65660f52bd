//! Hosts and GPUs that an operator declared: who has what of them, and where a create goes.
//!
//! The declaration and what each Droplet has are rows; the stock is made from them in the transaction that places, so that no
//! GPU and no memory is promised twice. While nothing is declared there is plenty of everything, and nobody counts.

mod choose;
mod declare;
mod queue;
mod resize;
mod view;

use dewpoint_api::{DropletId, StockDeclaration};
use dewpoint_placement::{Gpu, Host, Overcommit, Stock, Taken};
use dewpoint_store::{Tx, actions, stock};

pub(crate) use choose::{Room, choose};
pub(crate) use queue::{Unplaced, hold, place_waiting};
pub(crate) use resize::{make_room, settle_room};

use crate::Error;

/// What is declared; `None` while nothing is.
pub(crate) fn declared(tx: &mut dyn Tx) -> Result<Option<StockDeclaration>, Error> {
    match stock::stock_declared(tx)? {
        None => Ok(None),
        Some((_, text)) => read(&text).map(Some),
    }
}

fn read(text: &str) -> Result<StockDeclaration, Error> {
    let unreadable = |error| Error::invalid(format!("the declared stock cannot be read: {error}"));
    serde_json::from_str(text).map_err(unreadable)
}

/// The declared hosts with what is taken of them, but for what `without` has.
pub(crate) fn stock_of(
    tx: &mut dyn Tx,
    declared: &StockDeclaration,
    without: Option<DropletId>,
) -> Result<Stock, Error> {
    let mut stock = Stock::new(declared.hosts.iter().map(host), Overcommit::default());
    for holding in stock::holding_list(tx)? {
        if Some(holding.droplet) == without {
            continue;
        }
        let there = declared.hosts.iter().find(|host| host.name == holding.host).map_or(0, gpu_count);
        let gpus = holding.gpus.iter().copied().filter(|place| *place < there).collect();
        stock.take(&holding.host, &Taken { vcpus: holding.vcpus, memory_mib: holding.memory_mib, gpus });
    }
    Ok(stock)
}

fn host(declared: &dewpoint_api::StockHost) -> Host {
    let gpus = declared.gpus.iter().flat_map(|gpus| {
        let gpu = Gpu { model: gpus.model.clone(), node: None, healthy: true };
        std::iter::repeat_n(gpu, gpus.count as usize)
    });
    Host {
        name: declared.name.clone(),
        region: declared.region.to_string(),
        vcpus: declared.vcpus,
        memory_mib: declared.memory_mib,
        gpus: gpus.collect(),
    }
}

fn gpu_count(host: &dewpoint_api::StockHost) -> usize {
    host.gpus.iter().map(|gpus| gpus.count as usize).sum()
}

/// Gives back what a Droplet has, once its machine is gone; creates that wait are looked at again.
pub(crate) fn release(tx: &mut dyn Tx, droplet: DropletId) -> Result<(), Error> {
    stock::holding_drop(tx, droplet)?;
    actions::action_unpark_all(tx)?;
    Ok(())
}

//! What there is and what is taken, for people.

use dewpoint_api::{StockDeclaration, StockGpuUse, StockHost, StockHostUse, StockResponse, StockUse};
use dewpoint_store::{Tx, stock, stock::Holding};

use super::read;
use crate::{Control, Error};

impl Control {
    /// What is declared and what is taken of it.
    pub async fn stock(&self) -> Result<StockResponse, Error> {
        self.inner.store.read(view).await
    }
}

pub(super) fn view(tx: &mut dyn Tx) -> Result<StockResponse, Error> {
    let found = stock::stock_declared(tx)?;
    let declared = found.as_ref().map(|(_, text)| read(text)).transpose()?;
    let holdings = stock::holding_list(tx)?;
    let queued = stock::unplaced_count(tx, None)?;
    let is_declared = declared.is_some();
    let StockDeclaration { hosts, out_of_stock } = declared.unwrap_or_default();
    let hosts = hosts.iter().map(|host| host_use(host, &holdings)).collect();
    let generation = found.map_or(0, |(generation, _)| generation);
    Ok(StockResponse { declared: is_declared, generation, hosts, out_of_stock, queued })
}

fn host_use(host: &StockHost, holdings: &[Holding]) -> StockHostUse {
    let here: Vec<&Holding> = holdings.iter().filter(|holding| holding.host == host.name).collect();
    let ratio = dewpoint_placement::Overcommit::default().vcpus;
    let vcpus = (f64::from(host.vcpus) * ratio) as u64;
    let mut gpus: Vec<StockGpuUse> = Vec::new();
    for declared in &host.gpus {
        match gpus.iter_mut().find(|known| known.model == declared.model) {
            Some(known) => known.count.total += u64::from(declared.count),
            None => gpus.push(StockGpuUse {
                model: declared.model.clone(),
                count: StockUse { total: declared.count.into(), used: 0, free: 0 },
            }),
        }
    }
    for known in &mut gpus {
        let of_model = here.iter().filter(|holding| holding.gpu_model.as_deref() == Some(known.model.as_str()));
        known.count = used(known.count.total, of_model.map(|holding| holding.gpus.len() as u64).sum());
    }
    StockHostUse {
        name: host.name.clone(),
        region: host.region.clone(),
        vcpus: used(vcpus, here.iter().map(|holding| u64::from(holding.vcpus)).sum()),
        memory_mib: used(host.memory_mib, here.iter().map(|holding| holding.memory_mib).sum()),
        gpus,
    }
}

fn used(total: u64, used: u64) -> StockUse {
    StockUse { total, used, free: total.saturating_sub(used) }
}

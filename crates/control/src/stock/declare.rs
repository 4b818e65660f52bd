//! Declaring what there is, in place of what was declared before.

use std::collections::{BTreeSet, HashMap};

use dewpoint_api::{StockDeclaration, StockHost, StockResponse};
use dewpoint_store::{Tx, actions, hosts, hosts::HostRecord, stock, stock::Holding};

use super::inventory;
use crate::{Catalogue, Control, Error};

/// Most hosts of a declaration.
const HOSTS_MAX: usize = 10_000;
/// Most GPUs of a host.
const GPUS_MAX: usize = 64;

impl Control {
    /// Declares what there is, whole; or with `None` that there is plenty of everything. What Droplets have stays theirs, also
    /// where there is less of it than they have. Fails with a sentence for a declaration that makes no sense.
    pub async fn stock_declare(&self, declaration: Option<StockDeclaration>) -> Result<StockResponse, Error> {
        if let Some(problem) = declaration.as_ref().and_then(|declared| problem(declared, self.catalogue())) {
            return Err(Error::invalid(problem));
        }
        let control = self.clone();
        let told = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let text = declaration.as_ref().map(serde_json::to_string).transpose();
                let text = text.map_err(|error| Error::invalid(format!("the stock cannot be kept: {error}")))?;
                let generation = stock::stock_declare(tx, text.as_deref())?;
                // Where nothing is declared any more, what was is kept: a GPU that is parked is so in the next declaration too.
                if let Some(declared) = &declaration {
                    settle(tx, &declared.hosts, generation)?;
                }
                actions::action_unpark_all(tx)?;
                super::view::view(tx, &control)
            })
            .await?;
        self.look_for_trouble().await?;
        self.inner.bell.notify_one();
        Ok(told)
    }

    /// The same from a text of JSON, as `--stock FILE` has it.
    pub async fn stock_declare_text(&self, text: &str) -> Result<StockResponse, Error> {
        let declared =
            serde_json::from_str(text).map_err(|error| Error::invalid(format!("it is no stock: {error}")))?;
        self.stock_declare(Some(declared)).await
    }
}

/// What is wrong with a declaration, as a sentence.
fn problem(declared: &StockDeclaration, catalogue: &Catalogue) -> Option<String> {
    if declared.hosts.len() > HOSTS_MAX {
        return Some(format!("hosts has {} entries: at most {HOSTS_MAX} are allowed.", declared.hosts.len()));
    }
    let mut names = BTreeSet::new();
    for host in &declared.hosts {
        let name = &host.name;
        if name.is_empty() || name.len() > 255 || name.chars().any(char::is_control) {
            return Some(format!("The host name {name:?} cannot be used: give 1 to 255 printable characters."));
        }
        if !names.insert(name) {
            return Some(format!("There are two hosts called {name}: each needs a name of its own."));
        }
        if catalogue.region(&host.region).is_none() {
            return Some(format!("Host {name} is in region {}, which there is none.", host.region));
        }
        if host.vcpus == 0 || host.memory_mib == 0 {
            return Some(format!("Host {name} has no vcpus or no memory_mib: both are at least 1."));
        }
        if gpu_count(host) > GPUS_MAX {
            return Some(format!("Host {name} has {} GPUs: at most {GPUS_MAX} are allowed.", gpu_count(host)));
        }
        if host.gpus.iter().any(|gpus| gpus.model.is_empty() || gpus.count == 0) {
            return Some(format!("Host {name} has GPUs without a model, or none of a model: leave those out."));
        }
    }
    let unknown = declared.out_of_stock.keys().find(|size| catalogue.size(size).is_none())?;
    Some(format!("out_of_stock names size {unknown}, which there is none."))
}

/// Writes down the declared hosts, each GPU in the place it had if it is there still.
pub(super) fn settle(tx: &mut dyn Tx, declared: &[StockHost], generation: u64) -> Result<(), Error> {
    let holdings = stock::holding_list(tx)?;
    let mut had: HashMap<String, HostRecord> =
        hosts::host_list(tx, true)?.into_iter().map(|host| (host.name.clone(), host)).collect();
    let mut of_host: HashMap<&str, Vec<Holding>> = HashMap::new();
    for holding in &holdings {
        of_host.entry(&holding.host).or_default().push(holding.clone());
    }
    let hosts: Vec<HostRecord> = declared
        .iter()
        .map(|host| {
            let here = of_host.get(host.name.as_str()).map(Vec::as_slice).unwrap_or_default();
            let known = had.remove(&host.name).map(|host| host.gpus).unwrap_or_default();
            let known = inventory::with_held(known, here, &host.name);
            HostRecord {
                declared: true,
                name: host.name.clone(),
                region: Some(host.region.clone()),
                vcpus: host.vcpus,
                memory_mib: host.memory_mib,
                gpus: inventory::declared(host, known, &inventory::held(here, &host.name), generation),
                generation,
            }
        })
        .collect();
    Ok(hosts::hosts_replace(tx, true, &hosts)?)
}

fn gpu_count(host: &StockHost) -> usize {
    host.gpus.iter().map(|gpus| gpus.count as usize).sum()
}

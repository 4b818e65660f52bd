//! Declaring what there is, in place of what was declared before.

use std::collections::BTreeSet;

use dewpoint_api::{StockDeclaration, StockHost, StockResponse};
use dewpoint_store::{Tx, actions, stock};

use super::gpu_count;
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
        let told = self
            .inner
            .store
            .write(move |tx: &mut dyn Tx| {
                let text = declaration.as_ref().map(serde_json::to_string).transpose();
                let text = text.map_err(|error| Error::invalid(format!("the stock cannot be kept: {error}")))?;
                stock::stock_declare(tx, text.as_deref())?;
                if let Some(declared) = &declaration {
                    settle(tx, declared)?;
                }
                actions::action_unpark_all(tx)?;
                super::view::view(tx)
            })
            .await?;
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

/// Gives each Droplet's GPUs their places among those its host has now, by their model; those there are too few of get places
/// past the list's end, where they are used and nobody else's.
fn settle(tx: &mut dyn Tx, declared: &StockDeclaration) -> Result<(), Error> {
    let holdings = stock::holding_list(tx)?;
    // All of them first: a place that one leaves may be another's next.
    for holding in &holdings {
        stock::holding_drop(tx, holding.droplet)?;
    }
    let mut taken: BTreeSet<(String, usize)> = BTreeSet::new();
    for mut holding in holdings {
        let host = declared.hosts.iter().find(|host| host.name == holding.host);
        let model = holding.gpu_model.clone().unwrap_or_default();
        let end = host.map_or(0, gpu_count);
        let own = host.map(|host| places_of(host, &model)).unwrap_or_default();
        let free = own.into_iter().chain(end..).filter(|place| !taken.contains(&(holding.host.clone(), *place)));
        holding.gpus = free.take(holding.gpus.len()).collect();
        taken.extend(holding.gpus.iter().map(|place| (holding.host.clone(), *place)));
        stock::holding_put(tx, &holding)?;
    }
    Ok(())
}

/// The places of a model's GPUs on a host.
fn places_of(host: &StockHost, model: &str) -> Vec<usize> {
    let models = host.gpus.iter().flat_map(|gpus| std::iter::repeat_n(gpus.model.as_str(), gpus.count as usize));
    models.enumerate().filter(|(_, there)| *there == model).map(|(place, _)| place).collect()
}

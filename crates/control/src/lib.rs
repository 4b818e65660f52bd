//! What Dewpoint does, without HTTP and without SQL text: checks, then record and action in one transaction, then work.
//!
//! A request ends with its commit; what takes time is an action, which the [worker](actions) carries out and a restart
//! resumes. Policy (limits, states, windows, placement) is pure functions beside it.

pub mod accounts;
pub mod actions;
mod addresses;
pub mod audit;
pub mod backups;
pub mod catalogue;
pub mod check;
mod config;
pub mod console;
pub mod domains;
pub mod droplets;
mod error;
pub mod firewalls;
pub mod fixtures;
mod housekeeping;
pub mod images;
pub mod metadata;
pub mod model_keys;
pub mod model_usage;
pub mod models;
pub mod network;
mod orphans;
mod passwords;
pub mod projects;
mod random;
pub mod reach;
pub mod readiness;
mod reconcile;
pub mod reserved_ips;
pub mod scheduler;
pub mod snapshots;
pub mod ssh_keys;
pub mod stock;
pub mod tags;
pub mod tokens;
pub mod volumes;
pub mod vpc_peerings;
pub mod vpcs;
mod wire;
mod world;

pub use config::{ControlConfig, WhenOff};
pub use error::Error;
pub use random::Random;
pub use tokens::Grant;
pub use world::{Held, Inside};

use std::{fmt, sync::Arc};

pub use catalogue::Catalogue;
use dewpoint_api::PageRequest;
use dewpoint_clock::{Clock, Timestamp};
use dewpoint_engine::{Engine, Host};
use dewpoint_store::{Store, Window};
use ipnet::Ipv4Net;
use network::Pool;
use tokio::sync::Notify;

/// The control plane: one value, cheap to clone, shared by every request and by the worker.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    random: Random,
    catalogue: Catalogue,
    config: ControlConfig,
    hosts: Vec<Host>,
    public_v4: PublicNetwork,
    reserved_v4: Pool,
    grants: tokens::Cache,
    /// The same of model access keys.
    model_grants: tokens::Cache,
    journal: audit::Journal,
    /// What keys used of models.
    usage: model_usage::UsageBook,
    /// Rung when there is a new action to claim.
    bell: Arc<Notify>,
    /// Droplets whose machine changed by itself while an action ran: to be looked at when that ends.
    restless: reconcile::Restless,
    /// Who is at work, so that all can be told to leave.
    world: world::World,
    /// Puts the network in force.
    wire: wire::Wire,
    /// What is wrong with GPUs.
    alerts: stock::Alerts,
}

/// The public IPv4 network as Droplets show it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublicNetwork {
    pub(crate) pool: Pool,
    pub(crate) netmask: std::net::Ipv4Addr,
    pub(crate) gateway: std::net::Ipv4Addr,
}

/// The name of the public pool in the store.
pub(crate) const PUBLIC_POOL: &str = "public-v4";

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("engine", &self.inner.engine.name()).finish_non_exhaustive()
    }
}

/// What a control plane is made of.
#[derive(Debug)]
pub struct Parts {
    /// The truth.
    pub store: Store,
    /// The maker of machines.
    pub engine: Arc<dyn Engine>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance: ids and secrets.
    pub random: Random,
    /// What can be bought.
    pub catalogue: Catalogue,
    /// The operator's settings.
    pub config: ControlConfig,
}

impl Control {
    /// Puts the parts together. Sizes no host can serve become unavailable.
    ///
    /// Fails when the engine cannot name its hosts, or the configured address pool is not one.
    pub async fn new(parts: Parts) -> Result<Self, Error> {
        let Parts { store, engine, clock, random, mut catalogue, config } = parts;
        let hosts = engine.hosts().await?;
        catalogue.restrict_sizes(|size| scheduler::place(&hosts, scheduler::Needs::of(size)).is_some());
        let defaults = engine.networking();
        let public_v4 = match config.public_v4_pool {
            None => PublicNetwork {
                pool: Pool::new(pool_of(defaults.pool)?),
                netmask: defaults.netmask,
                gateway: defaults.gateway,
            },
            Some(own) => {
                let pool = Pool::new(pool_of(own)?);
                PublicNetwork { pool, netmask: pool.netmask(), gateway: pool.address(1) }
            }
        };
        let reserved_v4 = reserved_ips::pool(&config, public_v4.pool)?;
        let grants = tokens::Cache::new(store.dialect());
        let model_grants = tokens::Cache::new(store.dialect());
        let (bell, restless, world) = (Arc::default(), reconcile::Restless::default(), world::World::default());
        let journal = audit::Journal::default();
        store.feed().open(Arc::clone(&clock));
        let inner = Inner {
            store,
            engine,
            clock,
            random,
            catalogue,
            config,
            hosts,
            public_v4,
            reserved_v4,
            grants,
            model_grants,
            journal,
            usage: model_usage::UsageBook::default(),
            bell,
            restless,
            world,
            wire: wire::Wire::default(),
            alerts: stock::Alerts::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The clock all of it runs by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Where ids and secrets come from.
    pub fn random(&self) -> &Random {
        &self.inner.random
    }

    /// What can be bought.
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// The store, for reads that are only a query.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// The engine, for what only it can tell: how to reach a machine.
    pub fn engine(&self) -> &Arc<dyn Engine> {
        &self.inner.engine
    }

    /// The operator's settings.
    pub fn config(&self) -> &ControlConfig {
        &self.inner.config
    }

    /// The public network's netmask and gateway, as Droplets show them.
    pub fn public_network(&self) -> (std::net::Ipv4Addr, std::net::Ipv4Addr) {
        (self.inner.public_v4.netmask, self.inner.public_v4.gateway)
    }

    /// The netmask and gateway that reserved IPv4 addresses are shown with. No guest sees either.
    pub fn reserved_network(&self) -> (std::net::Ipv4Addr, std::net::Ipv4Addr) {
        let pool = self.inner.reserved_v4;
        (pool.netmask(), pool.address(1))
    }

    /// An address that was given back then or before may be given again.
    pub(crate) fn rested(&self) -> Timestamp {
        self.now() - self.config().address_quarantine
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

fn pool_of((address, prefix): (std::net::Ipv4Addr, u8)) -> Result<Ipv4Net, Error> {
    Ipv4Net::new(address, prefix).map_err(|_| {
        Error::invalid(format!("the address pool {address}/{prefix} is no network: a prefix has at most 32 bits"))
    })
}

/// The window of rows a page is.
pub fn window(page: PageRequest) -> Window {
    Window { skip: page.offset(), take: u32::try_from(page.per_page).unwrap_or(u32::MAX) }
}

/// What of a page is left for the second of two lists that are read as one, when the first has `first` rows in all.
pub(crate) fn rest_of(window: Window, first: u64) -> Window {
    let of_first = first.saturating_sub(window.skip).min(u64::from(window.take));
    let taken = u32::try_from(of_first).unwrap_or(window.take);
    Window { skip: window.skip.saturating_sub(first), take: window.take - taken }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_over_two_lists_ends_the_first_and_begins_the_second() {
        let rest = |skip, take, first| {
            let window = rest_of(Window { skip, take }, first);
            (window.skip, window.take)
        };
        assert_eq!(rest(0, 20, 45), (0, 0));
        assert_eq!(rest(40, 20, 45), (0, 15));
        assert_eq!(rest(60, 20, 45), (15, 20));
        assert_eq!(rest(0, 20, 0), (0, 20));
    }
}

//! The store's suite: every query function and every promise of `Store`, on SQLite always and on PostgreSQL when
//! `DEW_TEST_POSTGRES_URL` names one (`make test-postgres` starts one for it).

mod accounts;
mod actions;
mod addresses;
mod audit;
mod backups;
mod binds;
mod counters;
mod domains;
mod droplets;
mod feed;
mod files;
mod firewalls;
mod fixtures;
mod flips;
mod full_disk;
mod harness;
mod lists;
mod model_keys;
mod model_usage;
mod models;
mod once;
mod plans;
mod projects;
#[cfg(feature = "postgres")]
mod proxy;
#[cfg(feature = "postgres")]
mod servers;
mod ssh_keys;
mod stock;
mod tags;
mod teardowns;
mod tokens;
mod transactions;
mod untold;
mod volume_snapshots;
mod volumes;
mod vpcs;

//! A file a command.

pub(crate) mod account;
pub(crate) mod action;
pub(crate) mod api;
pub(crate) mod associated;
pub(crate) mod auth;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod console;
pub(crate) mod data_dir;
pub(crate) mod doctor;
pub(crate) mod droplet;
pub(crate) mod env;
pub(crate) mod firewall;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod reference;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod ssh;
pub(crate) mod ssh_key;
pub(crate) mod tag;
pub(crate) mod tls;
pub(crate) mod token;
pub(crate) mod top;

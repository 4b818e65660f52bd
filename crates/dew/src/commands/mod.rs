//! A file a command.

pub(crate) mod account;
pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod data_dir;
pub(crate) mod doctor;
pub(crate) mod image;
pub(crate) mod network;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod token;

//! A file a command.

pub(crate) mod data_dir;
pub(crate) mod serve;

//! The columns of each kind of object, named as doctl names them.

mod account;
mod droplets;
mod models;
mod network;
mod storage;

pub(crate) use self::{account::*, droplets::*, models::*, network::*, storage::*};

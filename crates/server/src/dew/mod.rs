//! What is Dewpoint's own, below `/dew/v1`: accounts, tokens, the audit log, and what the public API does not tell. All of it needs a full token.

mod accounts;
mod actions;
mod audit;
mod backup;
mod clock;
mod console;
mod delays;
mod droplets;
mod events;
mod faults;
mod metadata;
mod model_keys;
mod models;
mod reach;
mod requests;
mod state;
mod stock;
mod tokens;
mod usage;

use crate::Operation;

/// Every operation of our own.
pub(crate) fn operations() -> Vec<Operation> {
    let of_all = [
        tokens::operations(),
        accounts::operations(),
        audit::operations(),
        backup::operations(),
        actions::operations(),
        droplets::operations(),
        console::operations(),
        metadata::operations(),
        events::operations(),
        reach::operations(),
        model_keys::operations(),
        usage::operations(),
        models::operations(),
    ];
    let of_the_simulator = [
        clock::operations(),
        requests::operations(),
        faults::operations(),
        delays::operations(),
        state::operations(),
        stock::operations(),
    ];
    of_all.into_iter().chain(of_the_simulator).flatten().collect()
}

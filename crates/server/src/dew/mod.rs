//! What is Dewpoint's own, below `/dew/v1`: tokens, and what the public API does not tell. All of it needs a full token.

mod actions;
mod clock;
mod droplets;
mod requests;
mod tokens;

use crate::Operation;

/// Every operation of our own.
pub(crate) fn operations() -> Vec<Operation> {
    [tokens::operations(), actions::operations(), droplets::operations(), clock::operations(), requests::operations()]
        .into_iter()
        .flatten()
        .collect()
}

//! The account a token belongs to.

use axum::extract::State;
use dewpoint_api::{AccountResponse, Scope, Single};

use crate::{ApiError, App, Caller, Json, Operation, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/account", get)
            .id("account_get")
            .says("The account the token belongs to, with its limits.")
            .needs(&[Scope::AccountRead])
            .answers::<AccountResponse>(200),
    ]
}

/// `GET /v2/account`
async fn get(State(app): State<App>, caller: Caller) -> Result<Json<AccountResponse>, ApiError> {
    let record = app.control.account_get(caller.account).await?;
    Ok(Json(Single(view::account(&app.control, record))))
}

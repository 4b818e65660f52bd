//! Accounts: make one, list them. For the operator, whose account is the first.

use axum::extract::State;
use dewpoint_api::{AccountCreateRequest, AccountCreateResponse, AccountsResponse};
use http::StatusCode;

use crate::{Again, ApiError, App, Json, Operation, Paging, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/dew/v1/accounts", create, Again::Secret)
            .id("dew_accounts_create")
            .says("Makes an account with a full token of its own, which is shown in this answer only.")
            .needs_operator()
            .body::<AccountCreateRequest>()
            .answers::<AccountCreateResponse>(201),
        Operation::get("/dew/v1/accounts", list)
            .id("dew_accounts_list")
            .says("Every account of this server.")
            .needs_operator()
            .paged()
            .answers::<AccountsResponse>(200),
    ]
}

/// `POST /dew/v1/accounts`: 201 with the account and its first token; 409 when there is one of that name.
async fn create(
    State(app): State<App>,
    Json(request): Json<AccountCreateRequest>,
) -> Result<(StatusCode, Json<AccountCreateResponse>), ApiError> {
    let new = app.control.account_create(&request).await?;
    let answer = AccountCreateResponse {
        account: view::account_entry(new.record),
        token: new.token.secret,
        token_id: new.token.record.id,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// `GET /dew/v1/accounts`
async fn list(State(app): State<App>, paging: Paging) -> Result<Json<AccountsResponse>, ApiError> {
    let page = app.control.account_list(paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::account_entry).collect(), page.total)))
}

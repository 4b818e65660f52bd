//! Access tokens: make, list, revoke.

use axum::extract::State;
use dewpoint_api::{TokenCreateRequest, TokenCreateResponse, TokenId, TokensResponse};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/dew/v1/tokens", create, Again::Secret)
            .id("dew_tokens_create")
            .says("Makes a token. Its secret is shown in this answer only.")
            .needs_full_token()
            .body::<TokenCreateRequest>()
            .answers::<TokenCreateResponse>(201),
        Operation::get("/dew/v1/tokens", list)
            .id("dew_tokens_list")
            .says("The account's tokens, without their secrets.")
            .needs_full_token()
            .paged()
            .answers::<TokensResponse>(200),
        Operation::delete("/dew/v1/tokens/{token_id}", revoke)
            .id("dew_tokens_revoke")
            .says("Revokes a token at once.")
            .needs_full_token(),
    ]
}

/// `POST /dew/v1/tokens`: 201 with the secret.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<TokenCreateRequest>,
) -> Result<(StatusCode, Json<TokenCreateResponse>), ApiError> {
    let new = app.control.token_create(caller.account, &request).await?;
    Ok((StatusCode::CREATED, Json(TokenCreateResponse { token: new.secret, about: view::token(new.record) })))
}

/// `GET /dew/v1/tokens`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<TokensResponse>, ApiError> {
    let page = app.control.token_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::token).collect(), page.total)))
}

/// `DELETE /dew/v1/tokens/{id}`: 204.
async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<TokenId>) -> Result<Done, ApiError> {
    app.control.token_revoke(caller.account, id).await?;
    Ok(Done)
}

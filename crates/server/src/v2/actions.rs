//! Actions of every kind of resource.

use axum::extract::State;
use dewpoint_api::{ActionId, ActionResponse, ActionsResponse, Scope, Single};

use crate::{ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/actions", list)
            .id("actions_list")
            .says("All actions of the account, newest first.")
            .needs(&[Scope::ActionsRead])
            .paged()
            .answers::<ActionsResponse>(200),
        Operation::get("/v2/actions/{action_id}", get)
            .id("actions_get")
            .says("One action, whatever it changes.")
            .needs(&[Scope::ActionsRead])
            .answers::<ActionResponse>(200),
    ]
}

/// `GET /v2/actions`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.action_list(caller.account, paging.asked).await?;
    let actions = page.rows.into_iter().map(|record| view::action(&app.control, &caller, record)).collect();
    Ok(Json(paging.collection(actions, page.total)))
}

/// `GET /v2/actions/{id}`: readable from the moment its creation was answered (ACT-4).
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ActionId>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.action_get(caller.account, id).await?;
    Ok(Json(Single(view::action(&app.control, &caller, record))))
}

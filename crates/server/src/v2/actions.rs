//! Actions of every kind of resource.

use axum::extract::State;
use dewpoint_api::{Action, ActionId, ActionResponse, ActionsResponse, ResourceType, Scope, Single};
use dewpoint_store::ActionRecord;
use http::{HeaderMap, header::ACCEPT};

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

/// Who accepts this is told of reserved IPs by their newer name (ACT-13).
const NEWER_NAMES: &str = "application/vnd.digitalocean.reserveip+json";

/// An action; one of a reserved IP by that's older name unless the newer one is asked for.
fn shown(app: &App, caller: &Caller, headers: &HeaderMap, record: ActionRecord) -> Action {
    let newer = headers.get_all(ACCEPT).iter().any(|accepted| {
        accepted.to_str().is_ok_and(|accepted| accepted.split([',', ';']).any(|one| one.trim() == NEWER_NAMES))
    });
    let mut action = view::action(&app.control, caller, record);
    if action.resource_type == ResourceType::ReservedIp && !newer {
        action.resource_type = ResourceType::FloatingIp.into();
    }
    action
}

/// `GET /v2/actions`
async fn list(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    paging: Paging,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.action_list(caller.account, paging.asked).await?;
    let actions = page.rows.into_iter().map(|record| shown(&app, &caller, &headers, record)).collect();
    Ok(Json(paging.collection(actions, page.total)))
}

/// `GET /v2/actions/{id}`: readable from the moment its creation was answered (ACT-4).
async fn get(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<ActionId>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.action_get(caller.account, id).await?;
    Ok(Json(Single(shown(&app, &caller, &headers, record))))
}

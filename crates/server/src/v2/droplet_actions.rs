//! Actions on Droplets: ask for one, look at it, list them (DAC-*, ACT-*).

use axum::extract::State;
use dewpoint_api::{
    ActionId, ActionResponse, ActionsResponse, Collection, DropletActionRequest, DropletId, Scope, Single,
};
use http::StatusCode;

use super::droplets::TagQuery;
use crate::{Again, ApiError, App, Caller, Json, Operation, Paging, Path, Query, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets/{droplet_id}/actions", list)
            .id("dropletActions_list")
            .says("A Droplet's actions, newest first.")
            .needs(&[Scope::DropletRead])
            .paged()
            .answers::<ActionsResponse>(200),
        Operation::post("/v2/droplets/{droplet_id}/actions", create, Again::One("action"))
            .id("dropletActions_post")
            .says("Asks one Droplet to change.")
            .needs(&[Scope::DropletUpdate])
            .body::<DropletActionRequest>()
            .answers::<ActionResponse>(201),
        Operation::get("/v2/droplets/{droplet_id}/actions/{action_id}", get)
            .id("dropletActions_get")
            .says("One action of a Droplet.")
            .needs(&[Scope::DropletRead])
            .answers::<ActionResponse>(200),
        Operation::post("/v2/droplets/actions", create_by_tag, Again::Actions)
            .id("dropletActions_post_byTag")
            .says("Asks every Droplet that carries a tag to change.")
            .needs(&[Scope::DropletUpdate])
            .query::<TagQuery>()
            .body::<DropletActionRequest>()
            .answers::<ActionsResponse>(201),
    ]
}

/// `GET /v2/droplets/{id}/actions`
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(droplet): Path<DropletId>,
    paging: Paging,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.droplet_action_list(caller.account, droplet, paging.asked).await?;
    let actions = page.rows.into_iter().map(|record| view::action(&app.control, &caller, record)).collect();
    Ok(Json(paging.collection(actions, page.total)))
}

/// `POST /v2/droplets/{id}/actions`: 201 with the action in progress; 422 when busy or in the wrong state.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(droplet): Path<DropletId>,
    Json(request): Json<DropletActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.droplet_act(&caller, droplet, &request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::action(&app.control, &caller, record)))))
}

/// `GET /v2/droplets/{id}/actions/{action}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((droplet, action)): Path<(DropletId, ActionId)>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.droplet_action_get(caller.account, droplet, action).await?;
    Ok(Json(Single(view::action(&app.control, &caller, record))))
}

/// `POST /v2/droplets/actions?tag_name=`: 201 with an action for each Droplet (ACT-12).
async fn create_by_tag(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TagQuery>,
    Json(request): Json<DropletActionRequest>,
) -> Result<(StatusCode, Json<ActionsResponse>), ApiError> {
    let records = app.control.droplet_act_by_tag(&caller, &query.required()?, &request).await?;
    let actions = records.into_iter().map(|record| view::action(&app.control, &caller, record)).collect();
    Ok((StatusCode::CREATED, Json(Collection::whole(actions))))
}

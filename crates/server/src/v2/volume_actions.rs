//! Actions on volumes: attach, detach, resize (VOL-5 to VOL-8).

use axum::extract::State;
use dewpoint_api::{ActionId, ActionResponse, ActionsResponse, Scope, Single, VolumeActionRequest, VolumeId};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/v2/volumes/actions", create_by_name, Again::One("action"))
            .id("volumeActions_post")
            .says("Asks the volume of a name in a region to change.")
            .needs(&[Scope::BlockStorageActionCreate])
            .body::<VolumeActionRequest>()
            .answers::<ActionResponse>(202),
        Operation::get("/v2/volumes/{volume_id}/actions", list)
            .id("volumeActions_list")
            .says("A volume's actions, newest first.")
            .needs(&[Scope::BlockStorageActionRead])
            .paged()
            .answers::<ActionsResponse>(200),
        Operation::post("/v2/volumes/{volume_id}/actions", create, Again::One("action"))
            .id("volumeActions_post_byId")
            .says("Asks one volume to change.")
            .needs(&[Scope::BlockStorageActionCreate])
            .body::<VolumeActionRequest>()
            .answers::<ActionResponse>(202),
        Operation::get("/v2/volumes/{volume_id}/actions/{action_id}", get)
            .id("volumeActions_get")
            .says("One action of a volume.")
            .needs(&[Scope::BlockStorageActionRead])
            .answers::<ActionResponse>(200),
    ]
}

/// `POST /v2/volumes/{id}/actions`: 202 with the action in progress (ACT-7); 422 when busy or in the wrong state.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(volume): Path<VolumeId>,
    Json(request): Json<VolumeActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.volume_act(&caller, volume, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(view::action(&app.control, &caller, record)))))
}

/// `POST /v2/volumes/actions`: the volume is `volume_name` in `region` (VOL-8); 422 without both.
async fn create_by_name(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<VolumeActionRequest>,
) -> Result<(StatusCode, Json<ActionResponse>), ApiError> {
    let record = app.control.volume_act_by_name(&caller, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(view::action(&app.control, &caller, record)))))
}

/// `GET /v2/volumes/{id}/actions`
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(volume): Path<VolumeId>,
    paging: Paging,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.volume_action_list(caller.account, volume, paging.asked).await?;
    let actions = page.rows.into_iter().map(|record| view::action(&app.control, &caller, record)).collect();
    Ok(Json(paging.collection(actions, page.total)))
}

/// `GET /v2/volumes/{id}/actions/{action}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((volume, action)): Path<(VolumeId, ActionId)>,
) -> Result<Json<ActionResponse>, ApiError> {
    let record = app.control.volume_action_get(caller.account, volume, action).await?;
    Ok(Json(Single(view::action(&app.control, &caller, record))))
}

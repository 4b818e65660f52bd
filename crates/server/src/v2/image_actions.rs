//! Actions on the account's images: `transfer` and `convert` (IMG-7), answered flat and under `action` (ACT-10).

use axum::extract::State;
use dewpoint_api::{ActionId, ActionsResponse, Collection, ImageActionRequest, ImageActionResponse, ImageId, Scope};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Json, Operation, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/images/{image_id}/actions", list)
            .id("imageActions_list")
            .says("An image's actions, newest first, on one page.")
            .needs(&[Scope::ImageRead])
            .answers::<ActionsResponse>(200),
        Operation::post("/v2/images/{image_id}/actions", create, Again::FlatAction)
            .id("imageActions_post")
            .says("Brings an image to another region, or makes a backup a snapshot.")
            .needs(&[Scope::ImageUpdate])
            .body::<ImageActionRequest>()
            .answers::<ImageActionResponse>(201),
        Operation::get("/v2/images/{image_id}/actions/{action_id}", get)
            .id("imageActions_get")
            .says("One action of an image.")
            .needs(&[Scope::ImageRead])
            .answers::<ImageActionResponse>(200),
    ]
}

/// `GET /v2/images/{id}/actions`: all of them (PAG-10).
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(image): Path<ImageId>,
) -> Result<Json<ActionsResponse>, ApiError> {
    let page = app.control.image_action_list(caller.account, image).await?;
    Ok(Json(Collection::whole(
        page.rows.into_iter().map(|record| view::action(&app.control, &caller, record)).collect(),
    )))
}

/// `POST /v2/images/{id}/actions`: 201 with the action in progress.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(image): Path<ImageId>,
    Json(request): Json<ImageActionRequest>,
) -> Result<(StatusCode, Json<ImageActionResponse>), ApiError> {
    let record = app.control.image_act(caller.account, image, &request).await?;
    Ok((StatusCode::CREATED, Json(view::action(&app.control, &caller, record).into())))
}

/// `GET /v2/images/{id}/actions/{action}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path((image, action)): Path<(ImageId, ActionId)>,
) -> Result<Json<ImageActionResponse>, ApiError> {
    let record = app.control.image_action_get(caller.account, image, action).await?;
    Ok(Json(view::action(&app.control, &caller, record).into()))
}

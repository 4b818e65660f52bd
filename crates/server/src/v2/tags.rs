//! Tags (TAG-*).

use axum::extract::State;
use dewpoint_api::{Scope, Single, TagCreateRequest, TagResourcesRequest, TagResponse, TagsResponse};
use dewpoint_control::tags::TagChange;
use http::StatusCode;

use crate::{Again, ApiError, App, BaseUrl, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/tags", list)
            .id("tags_list")
            .says("All tags of the account.")
            .needs(&[Scope::TagRead])
            .paged()
            .answers::<TagsResponse>(200),
        Operation::post("/v2/tags", create, Again::One("tag"))
            .id("tags_create")
            .says("Makes a tag, or returns the one there is.")
            .needs(&[Scope::TagCreate])
            .body::<TagCreateRequest>()
            .answers::<TagResponse>(201),
        Operation::get("/v2/tags/{tag_id}", get)
            .id("tags_get")
            .says("One tag and how much carries it.")
            .needs(&[Scope::TagRead])
            .answers::<TagResponse>(200),
        Operation::delete("/v2/tags/{tag_id}", delete)
            .id("tags_delete")
            .says("Takes a tag off everything and removes it.")
            .needs(&[Scope::TagDelete]),
        Operation::post("/v2/tags/{tag_id}/resources", assign, Again::Empty)
            .id("tags_assign_resources")
            .says("Puts a tag on resources.")
            .needs(&[Scope::TagCreate])
            .body::<TagResourcesRequest>(),
        Operation::delete("/v2/tags/{tag_id}/resources", unassign)
            .id("tags_unassign_resources")
            .says("Takes a tag off resources.")
            .needs(&[Scope::TagDelete])
            .body::<TagResourcesRequest>(),
    ]
}

/// `GET /v2/tags`
async fn list(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    paging: Paging,
) -> Result<Json<TagsResponse>, ApiError> {
    let page = app.control.tag_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(|one| view::tag(&base, &caller, one)).collect(), page.total)))
}

/// `POST /v2/tags`: 201, also for a tag that is there (TAG-2).
async fn create(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Json(request): Json<TagCreateRequest>,
) -> Result<(StatusCode, Json<TagResponse>), ApiError> {
    let tag = app.control.tag_create(caller.account, &request.name).await?;
    Ok((StatusCode::CREATED, Json(Single(view::tag(&base, &caller, tag)))))
}

/// `GET /v2/tags/{name}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Path(name): Path<String>,
) -> Result<Json<TagResponse>, ApiError> {
    let tag = app.control.tag_get(caller.account, &name).await?;
    Ok(Json(Single(view::tag(&base, &caller, tag))))
}

/// `DELETE /v2/tags/{name}`: 204.
async fn delete(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<Done, ApiError> {
    app.control.tag_delete(caller.account, &name).await?;
    Ok(Done)
}

/// `POST /v2/tags/{name}/resources`: 204; 404 for an unknown tag or resource (TAG-3).
async fn assign(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(request): Json<TagResourcesRequest>,
) -> Result<Done, ApiError> {
    app.control.tag_resources(&caller, &name, request.resources, TagChange::Put).await?;
    Ok(Done)
}

/// `DELETE /v2/tags/{name}/resources`, with a body: 204.
async fn unassign(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(request): Json<TagResourcesRequest>,
) -> Result<Done, ApiError> {
    app.control.tag_resources(&caller, &name, request.resources, TagChange::Remove).await?;
    Ok(Done)
}

//! What a Droplet's metadata service tells it (docs/metadata.md), for who looks from outside: with every engine.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use dewpoint_api::DropletId;
use http::{HeaderValue, header};

use crate::{
    ApiError, App, Caller, Operation, Path,
    metadata::tree::{Answer, answer_at_either},
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/droplets/{droplet_id}/metadata", top)
            .id("dew_droplets_metadata")
            .says("What the metadata service has for a Droplet: the beginning of its tree.")
            .needs_full_token()
            .answers_empty(200),
        Operation::get("/dew/v1/droplets/{droplet_id}/metadata/{*path}", below)
            .id("dew_droplets_metadata_path")
            .says("What a Droplet finds at this path of the metadata service, such as `v1.json` or `v1/interfaces/public/0/mac`.")
            .needs_full_token()
            .answers_empty(200),
    ]
}

/// `GET /dew/v1/droplets/{id}/metadata`: text.
async fn top(State(app): State<App>, caller: Caller, Path(id): Path<DropletId>) -> Result<Response, ApiError> {
    at(&app, &caller, id, "/metadata/").await
}

/// `GET /dew/v1/droplets/{id}/metadata/{path}`: text, or JSON for `v1.json`; 404 for what is not there. A slash at the end makes no
/// difference here.
async fn below(
    State(app): State<App>,
    caller: Caller,
    Path((id, path)): Path<(DropletId, String)>,
) -> Result<Response, ApiError> {
    at(&app, &caller, id, &format!("/metadata/{path}")).await
}

async fn at(app: &App, caller: &Caller, id: DropletId, path: &str) -> Result<Response, ApiError> {
    let facts = app.control.droplet_metadata(caller.account, id).await?;
    match answer_at_either(&facts, path) {
        Answer::Text(told) => {
            let plain = HeaderValue::from_static("text/plain; charset=utf-8");
            Ok(([(header::CONTENT_TYPE, plain)], told).into_response())
        }
        Answer::Json(told) => Ok(crate::Json(told).into_response()),
        Answer::Moved | Answer::Nothing => Err(ApiError::not_found()),
    }
}

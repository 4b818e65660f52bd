//! Models that are added to the running server (docs/chat.md): a file on its host, or Droplets with a tag.

use std::path::Path as FilePath;

use axum::extract::State;
use dewpoint_api::{
    ServedByDroplets, ServedModel, ServedModelRequest, ServedModelResponse, ServedModelsResponse, Single,
};
use dewpoint_store::{ModelFile, ModelSource, ModelState};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, inference};

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/dew/v1/models/{name}";
    vec![
        Operation::post("/dew/v1/models", add, Again::One("model"))
            .id("dew_models_add")
            .says("Adds a model: a file on the server's host, which it copies, or Droplets with a tag.")
            .needs_operator()
            .body::<ServedModelRequest>()
            .answers::<ServedModelResponse>(202),
        Operation::get("/dew/v1/models", list)
            .id("dew_models_list")
            .says("The models that were added, and how far each is.")
            .needs_operator()
            .paged()
            .answers::<ServedModelsResponse>(200),
        Operation::get(one, get)
            .id("dew_models_get")
            .says("One of the models that were added.")
            .needs_operator()
            .answers::<ServedModelResponse>(200),
        Operation::delete(one, delete)
            .id("dew_models_delete")
            .says("Takes a model away: what answers for it ends, and its file is removed.")
            .needs_operator(),
    ]
}

/// `POST /dew/v1/models`: 202. 422 for what cannot be served, with what would help; 409 for a name that is taken.
async fn add(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ServedModelRequest>,
) -> Result<(StatusCode, Json<ServedModelResponse>), ApiError> {
    let ServedModelRequest { name, file, droplets, owned_by } = request;
    let name = name.ok_or_else(|| ApiError::unprocessable("name is missing: it is what requests call the model."))?;
    dewpoint_control::models::check_name(&name)?;
    if app.inference.is_fixed(&name) {
        let text = format!("There is a model {name} already, of the server's own configuration. Take another name.");
        return Err(ApiError::conflict(text));
    }
    let source = match (file, droplets) {
        (Some(file), None) => (of_file(&app, file).await?, ModelState::Copying),
        (None, Some(droplets)) => (of_droplets(droplets)?, ModelState::Kept),
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::unprocessable("A model is a file or Droplets: give one of file and droplets."));
        }
    };
    let owner = owned_by.unwrap_or_else(|| "dewpoint".to_owned());
    app.control.model_add(caller.account, (name.clone(), owner), source).await?;
    app.inference.refresh(&app.control).await?;
    Ok((StatusCode::ACCEPTED, Json(Single(shown(&app, app.control.model_get(&name).await?)))))
}

fn of_droplets(droplets: ServedByDroplets) -> Result<ModelSource, ApiError> {
    let ServedByDroplets { tag, port } = droplets;
    match port {
        0 => Err(ApiError::unprocessable("droplets.port is 0; it has to be from 1 to 65535.")),
        port => Ok(ModelSource::Droplets { tag, port }),
    }
}

/// A file that this server can read and that is a model. It is copied later.
async fn of_file(app: &App, file: String) -> Result<ModelSource, ApiError> {
    let keeper = app.inference.keeper().ok_or_else(|| {
        ApiError::unprocessable("This server has no data directory to keep files in, so a model cannot be a file.")
    })?;
    if !FilePath::new(&file).is_absolute() {
        return Err(ApiError::unprocessable(format!(
            "file is {file:?}, which is a relative path, and the server has another working directory. Give the whole path, \
             from / on."
        )));
    }
    let (own, path) = (keeper.clone(), file.clone());
    let looking = tokio::task::spawn_blocking(move || {
        let checked = inference::check(FilePath::new(&path))?;
        own.files().has_room(checked.bytes).map(|()| checked)
    });
    let checked =
        looking.await.map_err(ApiError::internal)?.map_err(|why| ApiError::unprocessable(format!("file: {why}")))?;
    let keeper = keeper.id().to_owned();
    Ok(ModelSource::File(ModelFile { from: file, keeper, bytes: checked.bytes, sha256: None, facts: checked.facts }))
}

fn shown(app: &App, record: dewpoint_store::ModelRecord) -> ServedModel {
    app.inference.shown(record)
}

/// `GET /dew/v1/models`, the oldest first.
async fn list(State(app): State<App>, paging: Paging) -> Result<Json<ServedModelsResponse>, ApiError> {
    let page = app.control.model_list(paging.asked).await?;
    let models = page.rows.into_iter().map(|record| shown(&app, record)).collect();
    Ok(Json(paging.collection(models, page.total)))
}

/// `GET /dew/v1/models/{name}`
async fn get(State(app): State<App>, Path(name): Path<String>) -> Result<Json<ServedModelResponse>, ApiError> {
    Ok(Json(Single(shown(&app, app.control.model_get(&name).await?))))
}

/// `DELETE /dew/v1/models/{name}`: 204; its child and its file go soon after.
async fn delete(State(app): State<App>, Path(name): Path<String>) -> Result<Done, ApiError> {
    app.control.model_delete(&name).await?;
    app.inference.refresh(&app.control).await?;
    Ok(Done)
}

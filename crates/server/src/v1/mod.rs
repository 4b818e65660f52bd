//! Inference, as the public API serves it below `/v1` of another host: models and chat completions. `/chat/completions` is the
//! same, for clients that put that behind an address of their own (the released Python SDK does).

use axum::{
    extract::{Request, State},
    response::Response,
};
use dewpoint_api::{
    EmbeddingRequest, EmbeddingResponse, ErrorId, InferenceModel, InferenceModelsResponse,
    chat::{ChatCompletion, ChatCompletionChunk, ChatCompletionRequest},
};

use crate::{
    Again, ApiError, App, Caller, Json, Operation, Path, RequestId,
    extract::read_body,
    inference::{self, Model, Task},
};

const EACH_TIME: Again = Again::Never("it keeps nothing, and asked again a model is to speak again");

/// Every operation of inference.
pub(crate) fn operations() -> Vec<Operation> {
    let chat = |path, id| {
        Operation::post(path, complete, EACH_TIME)
            .id(id)
            .says("An answer of a model to a conversation; with stream: true bit by bit, as server-sent events.")
            .needs_model_key()
            .body::<ChatCompletionRequest>()
            .answers::<ChatCompletion>(200)
            .streams::<ChatCompletionChunk>()
    };
    vec![
        Operation::get("/v1/models", models)
            .id("inference_list_models")
            .says("The models that can be asked.")
            .needs_model_key()
            .answers::<InferenceModelsResponse>(200),
        Operation::get("/v1/models/{model}", model)
            .id("inference_get_model")
            .says("A model that can be asked.")
            .needs_model_key()
            .answers::<InferenceModel>(200),
        Operation::post("/v1/embeddings", embed, EACH_TIME)
            .id("inference_create_embedding")
            .says("Where texts lie among others: a vector for each.")
            .needs_model_key()
            .body::<EmbeddingRequest>()
            .answers::<EmbeddingResponse>(200),
        chat("/v1/chat/completions", "inference_create_chat_completion"),
        chat("/chat/completions", "chat_completions"),
    ]
}

/// `GET /v1/models` (INF-9)
async fn models(State(app): State<App>) -> Json<InferenceModelsResponse> {
    let models = app.inference.listed(&app.control).await;
    let data = models.iter().map(|model| shown(model)).collect();
    Json(InferenceModelsResponse { object: "list".to_owned(), data })
}

/// `GET /v1/models/{model}`, which OpenAI's clients have and the public description has not. 404 with the models there are for
/// an unknown one, and for one that does not answer now.
async fn model(State(app): State<App>, Path(name): Path<String>) -> Result<Json<InferenceModel>, ApiError> {
    let models = app.inference.listed(&app.control).await;
    match models.iter().find(|model| model.name == name) {
        Some(model) => Ok(Json(shown(model))),
        None => {
            let known = app.inference.find(&name)?;
            Err(ApiError::new(ErrorId::NotFound, format!("The model {} does not answer now.", known.name)))
        }
    }
}

fn shown(model: &Model) -> InferenceModel {
    InferenceModel {
        id: model.name.clone(),
        object: "model".to_owned(),
        created: model.created,
        owned_by: model.owner.clone(),
    }
}

/// `POST /v1/chat/completions`: 200 with the answer, or with its events. 404 with the models there are for an unknown one; 422
/// for what is out of bounds; 400 for what the model cannot hold; 413 for a body over the configured size; 429 when the key has
/// had what it may have; 503 when no upstream answers.
async fn complete(state: State<App>, caller: Caller, id: RequestId, request: Request) -> Result<Response, ApiError> {
    ask(state, caller, id, request, Task::Chat).await
}

/// `POST /v1/embeddings`: 200 with a vector for each text; refused as chat completions are (INF-9).
async fn embed(state: State<App>, caller: Caller, id: RequestId, request: Request) -> Result<Response, ApiError> {
    ask(state, caller, id, request, Task::Embed).await
}

async fn ask(
    State(app): State<App>,
    caller: Caller,
    RequestId(id): RequestId,
    request: Request,
    task: Task,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, app.config.inference.body_most).await?;
    inference::answer(&app, &caller, task, body, &id).await
}

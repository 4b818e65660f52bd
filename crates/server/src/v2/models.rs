//! Models and the keys to ask them with: `/v2/gen-ai/models` and `/v2/gen-ai/models/api_keys`. The models' answers are `v1`'s.

use axum::extract::State;
use dewpoint_api::{
    GenAiModel, GenAiModelsResponse, ModelKey, ModelKeyRequest, ModelKeyResponse, ModelKeysResponse, Scope, Single,
    TokenId,
};
use dewpoint_clock::Timestamp;
use dewpoint_store::ModelKeyRecord;
use schemars::JsonSchema;
use serde::{
    Deserialize,
    de::{IntoDeserializer as _, value::Error as ValueError},
};

use crate::{Again, ApiError, App, Caller, Json, Operation, Paging, Path, Query};

const KEYS: &str = "/v2/gen-ai/models/api_keys";

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/v2/gen-ai/models/api_keys/{api_key_uuid}";
    vec![
        Operation::get("/v2/gen-ai/models", models)
            .id("genai_list_models")
            .says("The models that can be asked.")
            .needs(&[Scope::GenAiRead])
            .query::<ModelQuery>()
            .paged()
            .answers::<GenAiModelsResponse>(200),
        Operation::get(KEYS, list)
            .id("genai_list_model_api_keys")
            .says("The account's model access keys, without their secrets.")
            .needs(&[Scope::GenAiRead])
            .paged()
            .answers::<ModelKeysResponse>(200),
        Operation::post(KEYS, create, Again::Secret)
            .id("genai_create_model_api_key")
            .says("Makes a model access key. Its secret is shown in this answer only.")
            .needs(&[Scope::GenAiCreate])
            .body::<ModelKeyRequest>()
            .answers::<ModelKeyResponse>(200),
        Operation::put(one, rename)
            .id("genai_update_model_api_key")
            .says("Calls a model access key otherwise.")
            .needs(&[Scope::GenAiUpdate])
            .body::<ModelKeyRequest>()
            .answers::<ModelKeyResponse>(200),
        Operation::delete(one, delete)
            .id("genai_delete_model_api_key")
            .says("Removes a model access key, which is refused at once.")
            .needs(&[Scope::GenAiDelete])
            .answers::<ModelKeyResponse>(200),
        Operation::put("/v2/gen-ai/models/api_keys/{api_key_uuid}/regenerate", regenerate)
            .id("genai_regenerate_model_api_key")
            .says("Gives a model access key another secret, shown in this answer only; the old one is refused at once.")
            .needs(&[Scope::GenAiUpdate])
            .answers::<ModelKeyResponse>(200),
    ]
}

/// Which models a list shows. All of them may be asked by everybody, and nothing is known of what else they are good for.
#[derive(Debug, Default, PartialEq, Eq, JsonSchema)]
struct ModelQuery {
    /// Only those for one of these uses; ours are for serverless inference.
    usecases: Option<Vec<Usecase>>,
    /// Only those that everybody may ask, which are all.
    public_only: Option<bool>,
}

/// What a model is for. Source: public OpenAPI, operation `genai_list_models`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
enum Usecase {
    #[serde(rename = "MODEL_USECASE_UNKNOWN")]
    Unknown,
    #[serde(rename = "MODEL_USECASE_AGENT")]
    Agent,
    #[serde(rename = "MODEL_USECASE_FINETUNED")]
    FineTuned,
    #[serde(rename = "MODEL_USECASE_KNOWLEDGEBASE")]
    KnowledgeBase,
    #[serde(rename = "MODEL_USECASE_GUARDRAIL")]
    Guardrail,
    #[serde(rename = "MODEL_USECASE_REASONING")]
    Reasoning,
    #[serde(rename = "MODEL_USECASE_SERVERLESS")]
    Serverless,
}

impl ModelQuery {
    /// Reads what was asked. Uses come in a parameter each (pydo), or with commas between them (the Python SDK).
    fn read(pairs: Vec<(String, String)>) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            match name.as_str() {
                "usecases" | "usecases[]" => {
                    let uses = query.usecases.get_or_insert_default();
                    for word in value.split(',') {
                        let read: Result<Usecase, ValueError> = Usecase::deserialize(word.into_deserializer());
                        uses.push(read.map_err(|error| ApiError::unprocessable(format!("usecases: {error}.")))?);
                    }
                }
                "public_only" => {
                    query.public_only = Some(value.parse().map_err(|_| {
                        ApiError::unprocessable(format!("public_only must be true or false, not {value:?}."))
                    })?);
                }
                _ => {}
            }
        }
        Ok(query)
    }

    fn shows_ours(&self) -> bool {
        self.usecases.as_ref().is_none_or(|uses| uses.contains(&Usecase::Serverless))
    }
}

fn key(record: ModelKeyRecord) -> ModelKey {
    ModelKey {
        uuid: record.id,
        name: record.name,
        created_at: record.created_at,
        created_by: record.account.to_string(),
        deleted_at: None,
        secret_key: None,
    }
}

/// `GET /v2/gen-ai/models`
async fn models(
    State(app): State<App>,
    paging: Paging,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<GenAiModelsResponse>, ApiError> {
    let window = dewpoint_control::window(paging.asked);
    let models = match ModelQuery::read(pairs)?.shows_ours() {
        true => app.inference.listed(&app.control).await,
        false => Vec::new(),
    };
    let (skip, take) = (usize::try_from(window.skip).unwrap_or(usize::MAX), window.take as usize);
    let page = models.iter().skip(skip).take(take).map(|model| GenAiModel {
        id: model.name.clone(),
        name: model.name.clone(),
        created_at: Timestamp::from_millis(model.created.saturating_mul(1000)),
        upload_complete: true,
    });
    Ok(Json(paging.collection(page.collect(), models.len() as u64)))
}

/// `GET /v2/gen-ai/models/api_keys`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<ModelKeysResponse>, ApiError> {
    let page = app.control.model_key_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(key).collect(), page.total)))
}

/// `POST /v2/gen-ai/models/api_keys`: 200 with the secret, although the description says the operation is retired (410).
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ModelKeyRequest>,
) -> Result<Json<ModelKeyResponse>, ApiError> {
    let new = app.control.model_key_create(caller.account, &request).await?;
    Ok(Json(Single(ModelKey { secret_key: Some(new.secret), ..key(new.record) })))
}

/// `PUT /v2/gen-ai/models/api_keys/{uuid}`: another name. 404 for another account's too.
async fn rename(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TokenId>,
    Json(request): Json<ModelKeyRequest>,
) -> Result<Json<ModelKeyResponse>, ApiError> {
    Ok(Json(Single(key(app.control.model_key_rename(caller.account, id, &request).await?))))
}

/// `PUT /v2/gen-ai/models/api_keys/{uuid}/regenerate`: 200 with the new secret.
async fn regenerate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TokenId>,
) -> Result<Json<ModelKeyResponse>, ApiError> {
    let new = app.control.model_key_regenerate(caller.account, id).await?;
    Ok(Json(Single(ModelKey { secret_key: Some(new.secret), ..key(new.record) })))
}

/// `DELETE /v2/gen-ai/models/api_keys/{uuid}`: 200 with the key as it was.
async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<TokenId>,
) -> Result<Json<ModelKeyResponse>, ApiError> {
    let deleted = app.control.model_key_delete(caller.account, id).await?;
    let deleted_at = Some(app.control.clock().now());
    Ok(Json(Single(ModelKey { deleted_at, ..key(deleted) })))
}

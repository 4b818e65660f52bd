//! Droplets: create, list, get, delete. Their actions are in `droplet_actions.rs`, their backups in `backups.rs`.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use dewpoint_api::{
    ActionLinks, DropletCreateRequest, DropletId, DropletResponse, DropletsCreateResponse, DropletsResponse,
    DryRunResponse, Scope,
};
use dewpoint_store::DropletFilter;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Again, ApiError, App, BaseUrl, Caller, Done, Json, Operation, Paging, Path, Query, view};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/v2/droplets", list)
            .id("droplets_list")
            .says("The account's Droplets, without GPU Droplets unless they are asked for.")
            .needs(&[Scope::DropletRead])
            .query::<DropletQuery>()
            .paged()
            .answers::<DropletsResponse>(200),
        Operation::post("/v2/droplets", create, Again::Droplets)
            .id("droplets_create")
            .says("Makes one Droplet (`name`) or up to ten (`names`).")
            .needs(&[Scope::DropletCreate])
            .query::<CreateQuery>()
            .body::<DropletCreateRequest>()
            .answers::<DropletResponse>(202),
        Operation::delete("/v2/droplets", delete_by_tag)
            .id("droplets_destroy_byTag")
            .says("Deletes every Droplet that carries a tag.")
            .needs(&[Scope::DropletDelete])
            .query::<TagQuery>(),
        Operation::get("/v2/droplets/{droplet_id}", get)
            .id("droplets_get")
            .says("One Droplet.")
            .needs(&[Scope::DropletRead])
            .answers::<DropletResponse>(200),
        Operation::delete("/v2/droplets/{droplet_id}", delete)
            .id("droplets_destroy")
            .says("Deletes a Droplet and its machine.")
            .needs(&[Scope::DropletDelete]),
    ]
}

/// Which Droplets a list shows (DRO-5).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct DropletQuery {
    /// Only those with this tag; goes with neither `name` nor `type`.
    tag_name: Option<String>,
    /// Only those of this name, without case.
    name: Option<String>,
    /// `droplets` (the default) or `gpus`.
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl DropletQuery {
    /// The filter asked for; `None` when it is a tag that nothing can carry.
    fn filter(self) -> Result<Option<DropletFilter>, ApiError> {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (tag, name, kind) = (some(self.tag_name), some(self.name), some(self.kind));
        let gpu = match kind.as_deref() {
            None | Some("droplets") => false,
            Some("gpus") => true,
            Some(other) => {
                return Err(ApiError::unprocessable(format!("type must be droplets or gpus, not {other:?}.")));
            }
        };
        match (tag, name) {
            (Some(_), Some(_)) => Err(ApiError::unprocessable("tag_name goes with neither name nor type.")),
            (Some(_), None) if kind.is_some() => {
                Err(ApiError::unprocessable("tag_name goes with neither name nor type."))
            }
            (Some(tag), None) => Ok(tag.parse().ok().map(DropletFilter::Tag)),
            (None, Some(name)) => Ok(Some(DropletFilter::Name { name, gpu })),
            (None, None) => Ok(Some(DropletFilter::Kind { gpu })),
        }
    }
}

/// How a create is meant.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct CreateQuery {
    /// Makes nothing and answers 200 with what would happen.
    dry_run: Option<bool>,
}

/// The tag an operation on many Droplets means.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct TagQuery {
    /// The tag's name.
    tag_name: Option<String>,
}

impl TagQuery {
    /// The tag; 422 without one, since none never means all (DEL-4).
    pub(crate) fn required(self) -> Result<String, ApiError> {
        let tag = self.tag_name.filter(|tag| !tag.is_empty());
        tag.ok_or_else(|| ApiError::unprocessable("tag_name is required: name the tag whose Droplets are meant."))
    }
}

/// `GET /v2/droplets`: naming a tag needs the right to see tags (AUTH-5).
async fn list(
    State(app): State<App>,
    caller: Caller,
    paging: Paging,
    Query(query): Query<DropletQuery>,
) -> Result<Json<DropletsResponse>, ApiError> {
    if query.tag_name.as_deref().is_some_and(|tag| !tag.is_empty()) {
        caller.require(Scope::TagRead)?;
    }
    let Some(filter) = query.filter()? else { return Ok(Json(paging.collection(Vec::new(), 0))) };
    let page = app.control.droplet_list(caller.account, filter, paging.asked).await?;
    let droplets = page.rows.into_iter().map(|one| view::droplet(&app.control, &caller, one)).collect();
    Ok(Json(paging.collection(droplets, page.total)))
}

/// `POST /v2/droplets`: 202 with the Droplets `new` and a create action each (CRE-1, CRE-21).
///
/// 422 with nothing made when any part of the request is wrong (ERR-8); 403 when its parts need scopes the token lacks (AUTH-5).
async fn create(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Query(query): Query<CreateQuery>,
    Json(request): Json<DropletCreateRequest>,
) -> Result<Response, ApiError> {
    let wanted = [
        (true, Scope::ImageRead),
        (!request.ssh_keys.is_empty(), Scope::SshKeyRead),
        (!request.tags.is_empty(), Scope::TagCreate),
        (!request.volumes.is_empty(), Scope::BlockStorageRead),
        (request.vpc_uuid.is_some(), Scope::VpcRead),
    ];
    wanted.into_iter().filter(|(wanted, _)| *wanted).try_for_each(|(_, scope)| caller.require(scope))?;
    if query.dry_run == Some(true) {
        let dry_run = app.control.droplet_create_dry(caller.account, request).await?;
        return Ok(Json(DryRunResponse { dry_run }).into_response());
    }
    let created = app.control.droplet_create(caller.account, request).await?;
    let actions = created.actions.iter().map(|action| view::action_link(&base, action, "create")).collect();
    let links = ActionLinks { actions };
    let mut droplets = created.droplets.into_iter().map(|one| {
        let mut droplet = view::droplet(&app.control, &caller, one);
        droplet.next_backup_window = None;
        droplet.gpu_partition_mode = created.partition_mode.map(Into::into);
        droplet
    });
    let answer = match (created.many, droplets.next()) {
        (false, Some(droplet)) => Json(DropletResponse { droplet, links: Some(links) }).into_response(),
        (_, first) => Json(DropletsCreateResponse { droplets: first.into_iter().chain(droplets).collect(), links })
            .into_response(),
    };
    Ok((StatusCode::ACCEPTED, answer).into_response())
}

/// `GET /v2/droplets/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<DropletResponse>, ApiError> {
    let found = app.control.droplet_get(caller.account, id).await?;
    Ok(Json(DropletResponse { droplet: view::droplet(&app.control, &caller, found), links: None }))
}

/// `DELETE /v2/droplets/{id}`: 204, and 404 from then on (DEL-1); 422 while an action runs (DEL-2).
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<DropletId>) -> Result<Done, ApiError> {
    app.control.droplet_delete(caller.account, id).await?;
    Ok(Done)
}

/// `DELETE /v2/droplets?tag_name=`: 204; 404 for an unknown tag, 422 without one (DEL-4).
async fn delete_by_tag(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TagQuery>,
) -> Result<Done, ApiError> {
    caller.require(Scope::TagRead)?;
    app.control.droplet_delete_by_tag(caller.account, &query.required()?).await?;
    Ok(Done)
}

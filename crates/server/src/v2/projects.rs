//! Projects and what is in them (PRJ-1).

use axum::extract::State;
use dewpoint_api::{
    ProjectAssignRequest, ProjectAssignResponse, ProjectId, ProjectRequest, ProjectResourcesResponse, ProjectResponse,
    ProjectsResponse, Scope, Single,
};
use dewpoint_control::projects::{Change, Which};
use http::StatusCode;

use crate::{Again, ApiError, App, BaseUrl, Caller, Done, Json, Operation, Paging, Path, view};

pub(crate) fn operations() -> Vec<Operation> {
    let mut all = of_any();
    all.extend(of_the_default());
    all
}

fn of_any() -> Vec<Operation> {
    vec![
        Operation::get("/v2/projects", list)
            .id("projects_list")
            .says("The account's projects.")
            .needs(&[Scope::ProjectRead])
            .paged()
            .answers::<ProjectsResponse>(200),
        Operation::post("/v2/projects", create, Again::One("project"))
            .id("projects_create")
            .says("Makes a project.")
            .needs(&[Scope::ProjectCreate])
            .body::<ProjectRequest>()
            .answers::<ProjectResponse>(201),
        Operation::get("/v2/projects/{project_id}", get)
            .id("projects_get")
            .says("One project.")
            .needs(&[Scope::ProjectRead])
            .answers::<ProjectResponse>(200),
        Operation::put("/v2/projects/{project_id}", put)
            .id("projects_update")
            .says("Changes all of a project.")
            .needs(&[Scope::ProjectUpdate])
            .body::<ProjectRequest>()
            .answers::<ProjectResponse>(200),
        Operation::patch("/v2/projects/{project_id}", patch)
            .id("projects_patch")
            .says("Changes some of a project.")
            .needs(&[Scope::ProjectUpdate])
            .body::<ProjectRequest>()
            .answers::<ProjectResponse>(200),
        Operation::delete("/v2/projects/{project_id}", delete)
            .id("projects_delete")
            .says("Deletes an empty project.")
            .needs(&[Scope::ProjectDelete]),
        Operation::get("/v2/projects/{project_id}/resources", resources)
            .id("projects_list_resources")
            .says("What is in a project.")
            .needs(&[Scope::ProjectRead])
            .paged()
            .answers::<ProjectResourcesResponse>(200),
        Operation::post("/v2/projects/{project_id}/resources", assign, Again::Resources)
            .id("projects_assign_resources")
            .says("Puts resources into a project.")
            .needs(&[Scope::ProjectAssignResource])
            .body::<ProjectAssignRequest>()
            .answers::<ProjectAssignResponse>(200),
    ]
}

fn of_the_default() -> Vec<Operation> {
    vec![
        Operation::get("/v2/projects/default", get_default)
            .id("projects_get_default")
            .says("The default project.")
            .needs(&[Scope::ProjectRead])
            .answers::<ProjectResponse>(200),
        Operation::put("/v2/projects/default", put_default)
            .id("projects_update_default")
            .says("Changes all of the default project.")
            .needs(&[Scope::ProjectUpdate])
            .body::<ProjectRequest>()
            .answers::<ProjectResponse>(200),
        Operation::patch("/v2/projects/default", patch_default)
            .id("projects_patch_default")
            .says("Changes some of the default project.")
            .needs(&[Scope::ProjectUpdate])
            .body::<ProjectRequest>()
            .answers::<ProjectResponse>(200),
        Operation::get("/v2/projects/default/resources", resources_of_default)
            .id("projects_list_resources_default")
            .says("What is in the default project.")
            .needs(&[Scope::ProjectRead])
            .paged()
            .answers::<ProjectResourcesResponse>(200),
        Operation::post("/v2/projects/default/resources", assign_to_default, Again::Resources)
            .id("projects_assign_resources_default")
            .says("Puts resources into the default project.")
            .needs(&[Scope::ProjectAssignResource])
            .body::<ProjectAssignRequest>()
            .answers::<ProjectAssignResponse>(200),
    ]
}

type Project = Result<Json<ProjectResponse>, ApiError>;

/// `GET /v2/projects`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<ProjectsResponse>, ApiError> {
    let page = app.control.project_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::project).collect(), page.total)))
}

/// `POST /v2/projects`: 201; 409 for a name that is taken.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<ProjectRequest>,
) -> Result<(StatusCode, Json<ProjectResponse>), ApiError> {
    let made = app.control.project_create(caller.account, &request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::project(made)))))
}

/// `GET /v2/projects/{id}`
async fn get(State(app): State<App>, caller: Caller, Path(id): Path<ProjectId>) -> Project {
    show(&app, &caller, Which::Id(id)).await
}

/// `GET /v2/projects/default`
async fn get_default(State(app): State<App>, caller: Caller) -> Project {
    show(&app, &caller, Which::Default).await
}

async fn show(app: &App, caller: &Caller, which: Which) -> Project {
    Ok(Json(Single(view::project(app.control.project_get(caller.account, which).await?))))
}

/// `PUT /v2/projects/{id}`: every member is required.
async fn put(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProjectId>,
    Json(request): Json<ProjectRequest>,
) -> Project {
    update(&app, &caller, Which::Id(id), request, Change::Whole).await
}

/// `PATCH /v2/projects/{id}`: what is not named stays.
async fn patch(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<ProjectId>,
    Json(request): Json<ProjectRequest>,
) -> Project {
    update(&app, &caller, Which::Id(id), request, Change::Parts).await
}

/// `PUT /v2/projects/default`
async fn put_default(State(app): State<App>, caller: Caller, Json(request): Json<ProjectRequest>) -> Project {
    update(&app, &caller, Which::Default, request, Change::Whole).await
}

/// `PATCH /v2/projects/default`
async fn patch_default(State(app): State<App>, caller: Caller, Json(request): Json<ProjectRequest>) -> Project {
    update(&app, &caller, Which::Default, request, Change::Parts).await
}

async fn update(app: &App, caller: &Caller, which: Which, request: ProjectRequest, change: Change) -> Project {
    let changed = app.control.project_update(caller.account, which, request, change).await?;
    Ok(Json(Single(view::project(changed))))
}

/// `DELETE /v2/projects/{id}`: 204; 412 while something is in it, and for the default one.
async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<ProjectId>) -> Result<Done, ApiError> {
    app.control.project_delete(caller.account, id).await?;
    Ok(Done)
}

/// `GET /v2/projects/{id}/resources`: only what the token may see.
async fn resources(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<ProjectId>,
    paging: Paging,
) -> Result<Json<ProjectResourcesResponse>, ApiError> {
    resources_in(&app, &caller, &base, Which::Id(id), paging).await
}

/// `GET /v2/projects/default/resources`
async fn resources_of_default(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    paging: Paging,
) -> Result<Json<ProjectResourcesResponse>, ApiError> {
    resources_in(&app, &caller, &base, Which::Default, paging).await
}

async fn resources_in(
    app: &App,
    caller: &Caller,
    base: &BaseUrl,
    which: Which,
    paging: Paging,
) -> Result<Json<ProjectResourcesResponse>, ApiError> {
    let page = app.control.project_resources(caller, which, paging.asked).await?;
    let found = page.rows.into_iter().map(|entry| view::project_resource(base, entry)).collect();
    Ok(Json(paging.collection(found, page.total)))
}

/// `POST /v2/projects/{id}/resources`: 200 with a status each, also when some fail.
async fn assign(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Path(id): Path<ProjectId>,
    Json(request): Json<ProjectAssignRequest>,
) -> Result<Json<ProjectAssignResponse>, ApiError> {
    assign_to(&app, &caller, &base, Which::Id(id), request).await
}

/// `POST /v2/projects/default/resources`
async fn assign_to_default(
    State(app): State<App>,
    caller: Caller,
    base: BaseUrl,
    Json(request): Json<ProjectAssignRequest>,
) -> Result<Json<ProjectAssignResponse>, ApiError> {
    assign_to(&app, &caller, &base, Which::Default, request).await
}

async fn assign_to(
    app: &App,
    caller: &Caller,
    base: &BaseUrl,
    which: Which,
    request: ProjectAssignRequest,
) -> Result<Json<ProjectAssignResponse>, ApiError> {
    let came_out = app.control.project_assign(caller, which, request.resources).await?;
    let resources = came_out.into_iter().map(|one| view::assigned(base, one)).collect();
    Ok(Json(ProjectAssignResponse { resources }))
}

//! SSH keys of the account (KEY-1, KEY-2).

use axum::extract::State;
use dewpoint_api::{
    Scope, Single, SshKeyCreateRequest, SshKeyIdOrFingerprint, SshKeyResponse, SshKeyUpdateRequest, SshKeysResponse,
};
use http::StatusCode;

use crate::{Again, ApiError, App, Caller, Done, Json, Operation, Paging, Path, rate::Bucket, view};

pub(crate) fn operations() -> Vec<Operation> {
    let one = "/v2/account/keys/{ssh_key_identifier}";
    vec![
        Operation::get("/v2/account/keys", list)
            .id("sshKeys_list")
            .says("The account's SSH keys.")
            .needs(&[Scope::SshKeyRead])
            .counted_in(Bucket::Keys)
            .paged()
            .answers::<SshKeysResponse>(200),
        Operation::post("/v2/account/keys", create, Again::One("ssh_key"))
            .id("sshKeys_create")
            .says("Adds an SSH public key, which new Droplets can then let in.")
            .needs(&[Scope::SshKeyCreate])
            .body::<SshKeyCreateRequest>()
            .answers::<SshKeyResponse>(201),
        Operation::get(one, get)
            .id("sshKeys_get")
            .says("One SSH key, by its number or its fingerprint.")
            .needs(&[Scope::SshKeyRead])
            .answers::<SshKeyResponse>(200),
        Operation::put(one, update)
            .id("sshKeys_update")
            .says("Gives an SSH key another name.")
            .needs(&[Scope::SshKeyUpdate])
            .body::<SshKeyUpdateRequest>()
            .answers::<SshKeyResponse>(200),
        Operation::delete(one, delete)
            .id("sshKeys_delete")
            .says("Removes an SSH key. Droplets made with it keep it.")
            .needs(&[Scope::SshKeyDelete]),
    ]
}

/// `GET /v2/account/keys`
async fn list(State(app): State<App>, caller: Caller, paging: Paging) -> Result<Json<SshKeysResponse>, ApiError> {
    let page = app.control.ssh_key_list(caller.account, paging.asked).await?;
    Ok(Json(paging.collection(page.rows.into_iter().map(view::ssh_key).collect(), page.total)))
}

/// `POST /v2/account/keys`: 201; 422 for what is no key, and for a key that is there already.
async fn create(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<SshKeyCreateRequest>,
) -> Result<(StatusCode, Json<SshKeyResponse>), ApiError> {
    let key = app.control.ssh_key_create(caller.account, request).await?;
    Ok((StatusCode::CREATED, Json(Single(view::ssh_key(key)))))
}

/// `GET /v2/account/keys/{id or fingerprint}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(key): Path<String>,
) -> Result<Json<SshKeyResponse>, ApiError> {
    let key = app.control.ssh_key_get(caller.account, SshKeyIdOrFingerprint::from(key)).await?;
    Ok(Json(Single(view::ssh_key(key))))
}

/// `PUT /v2/account/keys/{id or fingerprint}`: only the name changes.
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(key): Path<String>,
    Json(request): Json<SshKeyUpdateRequest>,
) -> Result<Json<SshKeyResponse>, ApiError> {
    let key = app.control.ssh_key_update(caller.account, SshKeyIdOrFingerprint::from(key), request).await?;
    Ok(Json(Single(view::ssh_key(key))))
}

/// `DELETE /v2/account/keys/{id or fingerprint}`: 204.
async fn delete(State(app): State<App>, caller: Caller, Path(key): Path<String>) -> Result<Done, ApiError> {
    app.control.ssh_key_delete(caller.account, SshKeyIdOrFingerprint::from(key)).await?;
    Ok(Done)
}

//! What the public API does not tell of a Droplet: how far it is on the way to ready, and how to reach it from this host.

use std::net::SocketAddr;

use axum::extract::State;
use dewpoint_api::DropletId;
use dewpoint_clock::Timestamp;
use dewpoint_control::readiness::milestones;
use dewpoint_engine::{Error as EngineError, MachineId};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{ApiError, App, Caller, Json, Operation, Path};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/droplets/{droplet_id}", get)
            .id("dew_droplets_get")
            .says("How far a Droplet is on the way from accepted to ready, and when it got where.")
            .needs_full_token()
            .answers::<DropletStory>(200),
        Operation::get("/dew/v1/droplets/{droplet_id}/access", access)
            .id("dew_droplets_access")
            .says("Where on this host a Droplet's ports are reached.")
            .needs_full_token()
            .answers::<DropletAccess>(200),
        Operation::get("/dew/v1/droplets/{droplet_id}/password", password)
            .id("dew_droplets_password")
            .says("A Droplet's root password, shown once.")
            .needs_full_token()
            .answers::<DropletPassword>(200),
    ]
}

/// A Droplet's way to ready.
#[derive(Debug, Serialize, JsonSchema)]
struct DropletStory {
    /// Which Droplet.
    id: DropletId,
    /// The host it is placed on.
    host: Option<String>,
    /// The engine it runs on.
    engine: &'static str,
    /// `pending`, `ready`, `failed` (user data failed), `unsupported` (the image cannot run such user data), or `unknown`.
    readiness: &'static str,
    /// What the guest said about it.
    readiness_detail: Option<String>,
    /// What has been reached so far, in order.
    milestones: Vec<Milestone>,
}

/// Something a Droplet reached.
#[derive(Debug, Serialize, JsonSchema)]
struct Milestone {
    /// `accepted`, `placed`, `started`, `active`, `ssh`, `ready`.
    name: &'static str,
    /// When.
    at: Timestamp,
    /// Milliseconds after `accepted`.
    after_ms: u64,
}

/// `GET /dew/v1/droplets/{id}`
async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<DropletStory>, ApiError> {
    let record = app.control.droplet_get(caller.account, id).await?.record;
    let reached = milestones(&record).into_iter().filter_map(|(name, at)| {
        let at = at?;
        let after_ms = u64::try_from(at.since(record.created_at).as_millis()).unwrap_or(u64::MAX);
        Some(Milestone { name, at, after_ms })
    });
    Ok(Json(DropletStory {
        id,
        milestones: reached.collect(),
        engine: app.control.engine().name(),
        readiness: record.readiness.as_str(),
        readiness_detail: record.readiness_detail,
        host: record.host,
    }))
}

/// How a Droplet is reached from this host.
#[derive(Debug, Serialize, JsonSchema)]
struct DropletAccess {
    /// Forwarded TCP ports, by guest port.
    ports: Vec<ForwardedPort>,
    /// The command that logs in, when SSH is forwarded.
    ssh: Option<String>,
    /// The file that holds the end of the serial console's output.
    console_log: Option<String>,
}

/// One forwarded port.
#[derive(Debug, Serialize, JsonSchema)]
struct ForwardedPort {
    /// The port in the guest.
    guest_port: u16,
    /// The address on this host.
    #[schemars(with = "String")]
    host: SocketAddr,
}

/// `GET /dew/v1/droplets/{id}/access`
async fn access(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<DropletId>,
) -> Result<Json<DropletAccess>, ApiError> {
    app.control.droplet_get(caller.account, id).await?;
    let access = match app.control.engine().access(MachineId(id.0)).await {
        Ok(access) => access,
        // Its machine is still to be made, or just gone.
        Err(EngineError::NoSuchMachine(_)) => Default::default(),
        Err(other) => return Err(dewpoint_control::Error::from(other).into()),
    };
    let ssh = access.forwards.iter().find(|forward| forward.guest_port == 22).map(|forward| {
        let (address, port) = (forward.host.ip(), forward.host.port());
        if port == 22 { format!("ssh root@{address}") } else { format!("ssh -p {port} root@{address}") }
    });
    let ports =
        access.forwards.iter().map(|forward| ForwardedPort { guest_port: forward.guest_port, host: forward.host });
    Ok(Json(DropletAccess {
        ports: ports.collect(),
        ssh,
        console_log: access.console_log.map(|path| path.display().to_string()),
    }))
}

/// A password of root.
#[derive(Serialize, JsonSchema)]
struct DropletPassword {
    /// The password. It is nowhere else: whoever asks next is told that there is none.
    password: String,
    /// When it was set.
    set_at: Timestamp,
}

/// `GET /dew/v1/droplets/{id}/password`: 404 when there is none, or none any more. HEAD is not served: it would use it up.
async fn password(
    State(app): State<App>,
    caller: Caller,
    method: http::Method,
    Path(id): Path<DropletId>,
) -> Result<Json<DropletPassword>, ApiError> {
    if method == http::Method::HEAD {
        return Err(ApiError::unprocessable("A password is shown once, and HEAD would not show it: use GET."));
    }
    let found = app.control.droplet_password(caller.account, id).await?;
    let (password, set_at) = found.ok_or_else(|| {
        ApiError::new(
            dewpoint_api::ErrorId::NotFound,
            "There is no password to show: it was shown before, or the Droplet was made with a key. The action \
             password_reset sets a new one.",
        )
    })?;
    Ok(Json(DropletPassword { password, set_at }))
}

//! The simulator's whole state: snapshots, and back to the start (docs/simulator.md).

use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    Again, ApiError, App, Done, Json, Operation, Path,
    simulator::{Steered, state::Snapshot},
};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/dew/v1/reset", reset, Again::Never("done twice, the state is the same"))
            .id("dew_reset")
            .says("Puts the simulator's whole state back to what it was at the start.")
            .steers()
            .answers::<OneSnapshot>(200),
        Operation::get("/dew/v1/snapshots", list)
            .id("dew_snapshots_list")
            .says("The snapshots of the simulator's whole state.")
            .steers()
            .answers::<AllSnapshots>(200),
        Operation::put("/dew/v1/snapshots/{name}", take)
            .id("dew_snapshots_take")
            .says("Keeps the simulator's whole state under a name, in place of one of that name.")
            .steers()
            .answers::<OneSnapshot>(200),
        Operation::post("/dew/v1/snapshots/{name}/restore", restore, Again::Never("done twice, the state is the same"))
            .id("dew_snapshots_restore")
            .says("Puts the simulator's whole state back to what it was when the snapshot was taken.")
            .steers()
            .answers::<OneSnapshot>(200),
        Operation::delete("/dew/v1/snapshots/{name}", delete)
            .id("dew_snapshots_delete")
            .says("Forgets a snapshot.")
            .steers(),
    ]
}

/// A snapshot.
#[derive(Debug, Serialize, JsonSchema)]
struct OneSnapshot {
    snapshot: Snapshot,
}

/// Snapshots, by name.
#[derive(Debug, Serialize, JsonSchema)]
struct AllSnapshots {
    snapshots: Vec<Snapshot>,
}

/// `POST /dew/v1/reset`. 409 when the state at the start was too large to be kept.
async fn reset(State(app): State<App>, Steered(simulator): Steered) -> Result<Json<OneSnapshot>, ApiError> {
    let snapshot = simulator.reset().await?;
    app.rates.forget();
    app.inference.forget_limits();
    app.once.forget();
    Ok(Json(OneSnapshot { snapshot }))
}

/// `GET /dew/v1/snapshots`
async fn list(Steered(simulator): Steered) -> Result<Json<AllSnapshots>, ApiError> {
    Ok(Json(AllSnapshots { snapshots: simulator.kept().list() }))
}

/// `PUT /dew/v1/snapshots/{name}`. 409 for a state that is too large, or one snapshot too many.
async fn take(Steered(simulator): Steered, Path(name): Path<String>) -> Result<Json<OneSnapshot>, ApiError> {
    if name.is_empty() || name.len() > 255 {
        return Err(ApiError::unprocessable("A snapshot's name has from 1 to 255 bytes."));
    }
    Ok(Json(OneSnapshot { snapshot: simulator.take(&name).await? }))
}

/// `POST /dew/v1/snapshots/{name}/restore`. 404 when there is none of that name.
async fn restore(
    State(app): State<App>,
    Steered(simulator): Steered,
    Path(name): Path<String>,
) -> Result<Json<OneSnapshot>, ApiError> {
    let snapshot = simulator.restore(&name).await?;
    app.rates.forget();
    app.inference.forget_limits();
    app.once.forget();
    Ok(Json(OneSnapshot { snapshot }))
}

/// `DELETE /dew/v1/snapshots/{name}`: 204; 404 when there is none of that name.
async fn delete(Steered(simulator): Steered, Path(name): Path<String>) -> Result<Done, ApiError> {
    if simulator.kept().delete(&name) { Ok(Done) } else { Err(ApiError::not_found()) }
}

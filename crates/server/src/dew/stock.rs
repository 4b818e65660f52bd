//! The hosts and GPUs there are, and what is taken of them (docs/gpus.md); in the simulator they are declared here
//! (docs/simulator.md).

use axum::extract::State;
use dewpoint_api::{StockDeclaration, StockResponse};

use crate::{ApiError, App, Done, Json, Operation, Path, simulator::Steered};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/stock", get)
            .id("dew_stock_get")
            .says(
                "The hosts and GPUs there are, each with what is taken and what is free, and what is wrong with them.",
            )
            .steers()
            .answers::<StockResponse>(200),
        Operation::put("/dew/v1/stock", put)
            .id("dew_stock_put")
            .says("Declares what there is, whole, and what a create does for which there is no room.")
            .steers()
            .body::<StockDeclaration>()
            .answers::<StockResponse>(200),
        Operation::delete("/dew/v1/stock", delete)
            .id("dew_stock_delete")
            .says("Declares nothing: there is plenty of everything again.")
            .steers(),
        Operation::delete("/dew/v1/stock/parked/{host}/{gpu}", put_back)
            .id("dew_stock_put_back")
            .says("Puts a parked GPU back into stock, or forgets a missing one that nobody has.")
            .needs_operator(),
    ]
}

/// `GET /dew/v1/stock`, on every engine. One that has no GPUs to tell of shows no hosts: there is plenty.
async fn get(State(app): State<App>) -> Result<Json<StockResponse>, ApiError> {
    Ok(Json(app.control.stock().await?))
}

/// `PUT /dew/v1/stock`: what Droplets have stays theirs. 422 for a declaration that makes no sense.
async fn put(
    _: Steered,
    State(app): State<App>,
    Json(declared): Json<StockDeclaration>,
) -> Result<Json<StockResponse>, ApiError> {
    Ok(Json(app.control.stock_declare(Some(declared)).await?))
}

/// `DELETE /dew/v1/stock`
async fn delete(_: Steered, State(app): State<App>) -> Result<Done, ApiError> {
    app.control.stock_declare(None).await?;
    Ok(Done)
}

/// `DELETE /dew/v1/stock/parked/{host}/{gpu}`: 404 for a GPU that is neither, 409 when its host still cannot use it.
async fn put_back(State(app): State<App>, Path((host, gpu)): Path<(String, String)>) -> Result<Done, ApiError> {
    app.control.gpu_put_back(&host, &gpu).await?;
    Ok(Done)
}

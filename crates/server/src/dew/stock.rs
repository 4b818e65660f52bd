//! The hosts and GPUs there are in the simulator, and how scarce (docs/simulator.md).

use axum::extract::State;
use dewpoint_api::{StockDeclaration, StockResponse};

use crate::{ApiError, App, Json, Operation, simulator::Steered};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/dew/v1/stock", get)
            .id("dew_stock_get")
            .says("The declared hosts and GPUs, each with what is taken and what is free.")
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
    ]
}

/// `GET /dew/v1/stock`
async fn get(_: Steered, State(app): State<App>) -> Result<Json<StockResponse>, ApiError> {
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
async fn delete(_: Steered, State(app): State<App>) -> Result<crate::Done, ApiError> {
    app.control.stock_declare(None).await?;
    Ok(crate::Done)
}

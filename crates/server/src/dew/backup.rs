//! A backup of everything, for the operator: `dew backup` writes it down.

use axum::{body::Body, extract::State, response::Response};
use http::{HeaderValue, header};

use crate::{Again, ApiError, App, Operation, backup};

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::post("/dew/v1/backup", take, Again::Never("done twice, there are two backups and nothing else"))
            .id("dew_backup_take")
            .says("Sends the whole state of the server as it is at one moment: lines of JSON, with a file's bytes after each that announces one.")
            .steers()
            .answers_empty(200),
    ]
}

/// `POST /dew/v1/backup`: 200 with frames until the end; 409 when one is being taken, or the store is PostgreSQL's.
async fn take(State(app): State<App>) -> Result<Response<Body>, ApiError> {
    let body = backup::take(&app.control, &app.backups, app.config.data_dir.as_deref()).await?;
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.dewpoint.backup"));
    Ok(response)
}

//! What an event is about, as the API shows it now.

use std::sync::Arc;

use axum::body::Body;
use dewpoint_api as api;
use dewpoint_control::Grant;
use http::{Method, Request, StatusCode, Uri, request::Parts};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::{App, context::Context, table::Found};

/// Looks resources up for one caller.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    app: App,
    grant: Arc<Grant>,
    parts: Parts,
}

impl Objects {
    /// As this request's caller sees them, with links to where it was sent.
    pub(crate) fn new(app: App, grant: Arc<Grant>, parts: Parts) -> Self {
        Self { app, grant, parts }
    }

    /// Puts into the event what its path shows now; null when that is nothing any more.
    pub(crate) async fn put_into(&self, event: &mut api::Event) {
        let found = match &event.path {
            Some(path) if event.happened != api::EventType::Gone => self.get(path).await,
            Some(_) | None => None,
        };
        event.object = Some(found.unwrap_or(Value::Null));
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let Found::Operation(_, operation, parameters) = self.app.table.find(&Method::GET, path) else { return None };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::try_from(path).ok()?;
        *request.headers_mut() = self.parts.headers.clone();
        *request.extensions_mut() = self.parts.extensions.clone();
        let request_id = Context::of(&self.parts).map(|context| context.request_id.clone()).unwrap_or_default();
        request.extensions_mut().insert(Context { request_id, parameters, grant: Some(self.grant.clone()) });
        let response = operation.run(request, self.app.clone()).await;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = response.into_body().collect().await.ok()?.to_bytes();
        serde_json::from_slice(&body).ok()
    }
}

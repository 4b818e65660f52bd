//! `/docs`: the OpenAPI document to read and try, from files inside the binary. It loads nothing from anywhere else.

use axum::{
    body::Body,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};

use crate::{Operation, openapi};

/// RapiDoc 9.3.8, as its npm package has it. MIT licensed; the licence is in the file beside it.
const VIEWER: &[u8] = include_bytes!("../assets/rapidoc-9.3.8.min.js");
const VIEWER_LICENCE: &str = include_str!("../assets/rapidoc-9.3.8.LICENSE.txt");
const VIEWER_PATH: &str = "/docs/rapidoc-9.3.8.min.js";
const VIEWER_ETAG: HeaderValue = HeaderValue::from_static("\"rapidoc-9.3.8\"");

/// Everything from here; styles inline too, since the viewer writes its own; pictures may be written in the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     frame-ancestors 'none'; base-uri 'none'",
);

pub(crate) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/docs", page).id("docs").open().answers_empty(200),
        Operation::get(VIEWER_PATH, viewer).id("docs_viewer").open().answers_empty(200),
        Operation::get("/docs/licence.txt", licence).id("docs_licence").open().answers_empty(200),
    ]
}

/// `GET /docs`: the page.
async fn page() -> Response {
    let html = format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Dewpoint API</title>
<link rel="icon" href="data:,">
<script type="module" src="{VIEWER_PATH}"></script>
</head>
<body>
<rapi-doc spec-url="{document}" load-fonts="false" theme="light" render-style="read" show-header="false"
  allow-server-selection="false" show-method-in-nav-bar="as-colored-text" persist-auth="false"
  regular-font="system-ui, sans-serif" mono-font="ui-monospace, monospace">
<p slot="overview"><a href="{document}">The document itself</a> · <a href="/docs/licence.txt">Licence of the viewer</a></p>
</rapi-doc>
<noscript>This page needs JavaScript. The document itself is at <a href="{document}">{document}</a>.</noscript>
</body>
</html>
"#,
        document = openapi::PATH,
    );
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, html).into_response()
}

/// `GET /docs/rapidoc-9.3.8.min.js`: the viewer. Its version is in its name, so it may be kept for ever.
async fn viewer(headers: HeaderMap) -> Response {
    let kept = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| *tag == VIEWER_ETAG);
    let mut response = Response::new(if kept { Body::empty() } else { Body::from(VIEWER) });
    let headers = response.headers_mut();
    headers.insert(header::ETAG, VIEWER_ETAG);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    if kept {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    }
    response
}

/// `GET /docs/licence.txt`: whose work the viewer is.
async fn licence() -> &'static str {
    VIEWER_LICENCE
}

//! What the edge found out about a request before its handler runs. The extractors read it.

use std::sync::Arc;

use dewpoint_control::Grant;
use http::request::Parts;

/// Rides in the request's extensions, one per request.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    /// As sent back in `x-request-id`.
    pub(crate) request_id: Arc<str>,
    /// The values of the path's parameters, percent-decoded, in the order of the path.
    pub(crate) parameters: Vec<String>,
    /// What the token allows; `None` for operations that need none.
    pub(crate) grant: Option<Arc<Grant>>,
}

impl Context {
    /// The context of this request; every request that came through the edge has one.
    pub(crate) fn of(parts: &Parts) -> Option<&Self> {
        parts.extensions.get()
    }
}

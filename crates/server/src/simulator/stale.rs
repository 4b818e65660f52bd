//! Stale reads: what a GET answered before it changed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode};
use http_body_util::BodyExt as _;

/// Most answers one fault remembers.
const MOST: usize = 1000;

/// An answer, to be given once more.
#[derive(Clone, Debug)]
struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    /// An error that has no body yet is here.
    extensions: Extensions,
    body: Bytes,
}

/// What GETs answered when a fault first saw them, by path, query and token.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<HashMap<String, Answered>>>);

impl Memory {
    /// What to answer in place of `fresh`: what this GET answered when it was first seen, if `fresh` differs from that and
    /// `may_give` says so; otherwise `fresh` itself.
    pub(crate) async fn answer(&self, key: &str, fresh: Response, may_give: impl FnOnce() -> bool) -> Response {
        let (parts, body) = fresh.into_parts();
        // A body of ours is in memory and cannot fail; one that did was a stream, of which there is nothing to remember.
        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return Response::from_parts(parts, Body::empty());
        };
        let (headers, extensions) = (parts.headers.clone(), parts.extensions.clone());
        let fresh = Answered { status: parts.status, headers, extensions, body: body.clone() };
        let first = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match known.get(key) {
                Some(first) => Some(first.clone()),
                None if known.len() < MOST => {
                    known.insert(key.to_owned(), fresh.clone());
                    None
                }
                None => None,
            }
        };
        match first {
            Some(first) if (first.status, &first.body) != (fresh.status, &fresh.body) && may_give() => {
                let mut response = Response::new(Body::from(first.body));
                *response.status_mut() = first.status;
                *response.headers_mut() = first.headers;
                *response.extensions_mut() = first.extensions;
                response
            }
            Some(_) | None => Response::from_parts(parts, Body::from(body)),
        }
    }
}

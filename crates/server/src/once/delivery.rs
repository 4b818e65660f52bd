//! Whether an answer reached its client, as far as the server can know.
//!
//! It knows of a loss in three cases: the client left before there was an answer (the handler's future is dropped, though
//! its write may still be made), the connection broke before all of the answer was handed to the system, or the answer was
//! that of a fault of ours after the effect. Bytes that were handed over and then lost on their way are not among them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use dewpoint_api::TokenId;
use dewpoint_store::Ending;
use http::Uri;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::{Asked, Wire, mark::fingerprint};
use crate::App;

/// An answer on its way. Dropped, it counts as lost.
#[derive(Debug)]
pub(super) struct Delivery(Option<Underway>);

#[derive(Debug)]
struct Underway {
    app: App,
    token: TokenId,
    uri: Uri,
    body: Bytes,
    ending: Ending,
}

impl Delivery {
    /// The answer that will tell what came of `ending`.
    pub(super) fn of(asked: &Asked<'_>, ending: Ending) -> Self {
        let (app, token) = (asked.app.clone(), asked.grant.token);
        Self(Some(Underway { app, token, uri: asked.parts.uri.clone(), body: asked.body.clone(), ending }))
    }

    /// There is nothing to lose, or no longer.
    pub(super) fn settle(mut self) {
        self.0 = None;
    }

    /// The answer, watched until the last of it is handed to `wire`, or taken if there is none.
    pub(super) fn watch(self, response: Response, wire: Option<Arc<Wire>>) -> Response {
        response.map(|body| Body::new(Watched { body, delivery: Some(self), wire }))
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(Underway { app, token, uri, body, ending }) = self.0.take() else { return };
        let until = app.control.clock().now() + app.config.retry_horizon;
        app.once.lost.put(fingerprint(&token.to_string(), &uri, &body), ending, until);
    }
}

/// The body of a watched answer.
struct Watched {
    body: Body,
    delivery: Option<Delivery>,
    wire: Option<Arc<Wire>>,
}

impl Watched {
    /// All of it was taken: on a wire it is delivered when it is flushed, elsewhere it has been.
    fn ended(&mut self) {
        match (self.delivery.take(), &self.wire) {
            (Some(delivery), Some(wire)) => wire.carries(delivery),
            (Some(delivery), None) => delivery.settle(),
            (None, _) => {}
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let at_end = match &polled {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if at_end {
            self.ended();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // An empty body is never asked for a frame.
        if self.body.is_end_stream() {
            self.ended();
        }
    }
}

//! An answer of a model on its way to its client: looked at while it passes, and ended with a word when the server ends.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    response::Response,
};
use dewpoint_inference::{sse::error_event, usage_of_answer};
use http::header;
use http_body_util::BodyExt as _;
use hyper::body::Frame;

use super::account::Account;
use crate::App;

/// The same answer; what it costs is noted.
pub(super) async fn counted(response: Response, mut account: Account, app: &App) -> Response {
    let (mut parts, body) = response.into_parts();
    parts.headers.extend(account.headers());
    let kind = parts.headers.get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        let ending = Box::pin(app.inference.stopping());
        return Response::from_parts(parts, Body::new(Flow { body: Some(body), account: Some(account), ending }));
    }
    if !parts.status.is_success() {
        account.failed(parts.status.is_server_error());
        return Response::from_parts(parts, body);
    }
    // It is in memory already.
    match body.collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            account.whole(usage_of_answer(&bytes).ok().flatten());
            Response::from_parts(parts, Body::from(bytes))
        }
        Err(error) => {
            account.broke_off();
            tracing::error!(%error, "An answer in memory could not be read: {error}");
            Response::from_parts(parts, Body::empty())
        }
    }
}

/// A stream of whole events.
struct Flow {
    /// `None` when it is over.
    body: Option<Body>,
    /// Settled when the stream is over or its client left.
    account: Option<Account>,
    /// Ready when answers have to end.
    ending: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Flow {
    fn end(&mut self) {
        self.body = None;
        self.account = None;
    }
}

impl HttpBody for Flow {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if this.ending.as_mut().poll(cx).is_ready() {
            if let Some(account) = &mut this.account {
                account.broke_off();
            }
            this.end();
            let event = error_event("The server is ending. Ask again in a moment.");
            return Poll::Ready(Some(Ok(Frame::data(event.into()))));
        }
        let polled = Pin::new(body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(events), Some(account)) = (frame.data_ref(), &mut this.account) {
                    account.passed(events);
                }
            }
            Poll::Ready(Some(Err(_)) | None) => this.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }
}

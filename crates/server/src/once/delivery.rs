//! Whether an answer reached its client, as far as the server can know.
//!
//! It knows of a loss in three cases: the client left before there was an answer (the handler's future is dropped, though
//! its write may still be made), the connection broke before all of the answer was handed to the system, or the answer was
//! that of a fault of ours after the effect. Bytes that were handed over and then lost on their way are not among them.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use dewpoint_api::TokenId;
use http::Uri;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::{Asked, Wire, lost::Lost, mark::fingerprint};
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
    lost: Lost,
    /// Whether the file says that it was handed over.
    handed_over: bool,
}

impl Delivery {
    /// The answer that will tell what came of a request; what is lost if it is.
    pub(super) fn of(asked: &Asked<'_>, lost: Lost) -> Self {
        let (app, token, uri, body) =
            (asked.app.clone(), asked.grant.token, asked.parts.uri.clone(), asked.body.clone());
        Self(Some(Underway { app, token, uri, body, lost, handed_over: false }))
    }

    /// All of it is about to be given to the system: if the process ends from here on, it counts as delivered.
    fn hand_over(&mut self) {
        let Some(underway) = &mut self.0 else { return };
        if let (Some(told), Some(number)) = (underway.app.once.told.get(), underway.lost.number) {
            told.hand_over(number);
            underway.handed_over = true;
        }
    }

    /// There is nothing to lose, or no longer.
    pub(super) fn settle(mut self) {
        self.0 = None;
    }

    /// The answer, watched until the last of it is handed to `wire`, or taken if there is none.
    pub(super) fn watch(self, mut response: Response, wire: Option<Arc<Wire>>) -> Response {
        let withheld = Withheld::default();
        response.extensions_mut().insert(withheld.clone());
        response.map(|body| Body::new(Watched { body, delivery: Some(self), wire, withheld }))
    }
}

/// Whether a watched answer is not to be sent.
#[derive(Clone, Debug, Default)]
struct Withheld(Arc<AtomicBool>);

/// Marks an answer that its client is not to get: if it is watched, it is lost when it is dropped.
pub(crate) fn withhold(response: &Response) {
    if let Some(Withheld(withheld)) = response.extensions().get() {
        withheld.store(true, Ordering::Relaxed);
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(Underway { app, token, uri, body, lost, handed_over }) = self.0.take() else { return };
        if let (true, Some(told), Some(number)) = (handed_over, app.once.told.get(), lost.number) {
            told.take_back(number);
        }
        let until = app.control.clock().now() + app.config.retry_horizon;
        app.once.lost.put(fingerprint(&token.to_string(), &uri, &body), lost, until);
    }
}

/// The body of a watched answer.
struct Watched {
    body: Body,
    delivery: Option<Delivery>,
    wire: Option<Arc<Wire>>,
    withheld: Withheld,
}

impl Watched {
    /// All of it was taken: on a wire it is delivered when it is flushed, elsewhere it has been.
    fn ended(&mut self) {
        let Some(mut delivery) = self.delivery.take() else { return };
        delivery.hand_over();
        match &self.wire {
            Some(wire) => wire.carries(delivery),
            None => delivery.settle(),
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
        if self.body.is_end_stream() && !self.withheld.0.load(Ordering::Relaxed) {
            self.ended();
        }
    }
}

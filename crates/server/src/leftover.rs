//! The part of a request's body that nobody read.
//!
//! A refusal may be made before the body was looked at. A connection with bytes of it still on their way cannot carry the next
//! request, and closing it without a word costs the client that one. So what is left is read and thrown away, within limits,
//! and past these the answer says that the connection ends with it.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
};
use http_body_util::BodyExt as _;
use hyper::body::{Frame, SizeHint};

use crate::extract::{BODY_MAX, waits_for_consent};

/// How long the rest of a body may take to arrive.
const TIME: Duration = Duration::from_secs(1);

/// What is left of a request's body.
#[derive(Clone, Debug)]
pub(crate) struct Leftover {
    body: Arc<Mutex<Body>>,
    /// Its sender waits to be told to send it, which nobody should for throwing it away.
    held_back: bool,
}

impl Leftover {
    /// The request as it was, and what remains of its body when it is gone; `None` for a request without one.
    pub(crate) fn of(request: Request) -> (Request, Option<Self>) {
        if request.body().is_end_stream() {
            return (request, None);
        }
        let (parts, body) = request.into_parts();
        let held_back = waits_for_consent(&parts.headers);
        let rest = Self { body: Arc::new(Mutex::new(body)), held_back };
        (Request::from_parts(parts, Body::new(rest.clone())), Some(rest))
    }

    /// Reads what is left and throws it away: at most [`BODY_MAX`] bytes and [`TIME`]. Whether that was all of it.
    pub(crate) async fn discard(mut self) -> bool {
        if self.is_end_stream() {
            return true;
        }
        if self.held_back {
            return false;
        }
        let reading = async {
            let mut left = BODY_MAX;
            while let Some(frame) = self.frame().await {
                let length = frame.map_or(usize::MAX, |frame| frame.data_ref().map_or(0, Bytes::len));
                match left.checked_sub(length) {
                    Some(rest) => left = rest,
                    None => return false,
                }
            }
            true
        };
        tokio::time::timeout(TIME, reading).await.unwrap_or(false)
    }
}

impl HttpBody for Leftover {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}

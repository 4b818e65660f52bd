//! The body of a request on its way, and how slowly it may come.

use std::{
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::ConnectionLimits;

/// A body that fails with [`TooSlow`] when less of it has come than should have.
///
/// It has `body_time`, and for each byte that has come the time that a byte takes at `body_rate`: a client that keeps to the
/// rate is never cut off, one that sends now and then is when `body_time` is used up. Time counts while it is waited for.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Incoming,
    time: Duration,
    rate: u32,
    came: u64,
    /// When it was first waited for.
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// The body under these limits.
    pub(super) fn body(body: Incoming, limits: &ConnectionLimits) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        let (time, rate) = (limits.body_time, limits.body_rate.max(1));
        Body::new(Self { body, time, rate, came: 0, since: None, sleep: None })
    }

    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let allowed = self.time + Duration::from_micros(self.came.saturating_mul(1_000_000) / u64::from(self.rate));
        let until = since + allowed;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.came += frame.data_ref().map_or(0, |data| data.len() as u64);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(axum::Error::new(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.is_too_slow(cx) => Poll::Ready(Some(Err(axum::Error::new(TooSlow)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body came more slowly than it may.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TooSlow;

impl TooSlow {
    /// Whether this is why, at the end of a chain of errors.
    pub(crate) fn is_behind(error: &(dyn StdError + 'static)) -> bool {
        error.is::<Self>() || error.source().is_some_and(Self::is_behind)
    }
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body of the request did not arrive in time")
    }
}

impl StdError for TooSlow {}

//! A stream of an upstream on its way to a client: whole events at a time, and one that says so when it breaks off.

use std::{future::poll_fn, task::Poll, time::Instant};

use axum::{
    body::{Body, Bytes},
    response::Response,
};
use dewpoint_inference::sse::{Cutter, error_event};
use futures_util::stream;
use http::{HeaderValue, header};

use super::{super::scripted::says_it_streams, Held, link::Answer};

/// The stream of an upstream.
pub(super) fn passed_on(held: Held, from: Answer, first: Bytes) -> Response {
    let until = Instant::now() + held.upstreams.config.whole;
    let passing = Passing {
        held,
        from: Some(from),
        first: Some(first),
        cutter: Cutter::default(),
        until,
        has_begun: false,
        over: false,
    };
    let events = stream::unfold(passing, |mut passing| async {
        if std::mem::take(&mut passing.has_begun) {
            sent().await;
        }
        let events = passing.next().await?;
        Some((Ok::<_, std::convert::Infallible>(events), passing))
    });
    let mut response = Response::new(Body::from_stream(events));
    says_it_streams(response.headers_mut());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

struct Passing {
    held: Held,
    /// `None` when all that is wanted of it has come.
    from: Option<Answer>,
    first: Option<Bytes>,
    cutter: Cutter,
    /// When it has taken too long, however much comes.
    until: Instant,
    /// Whether the first events were handed out just now.
    has_begun: bool,
    over: bool,
}

/// Lets what was handed out be sent before more is read. A server writes when there is nothing more to be had; without this the
/// first events of an upstream that speaks fast would wait for those after them.
async fn sent() {
    let mut is_sent = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_sent, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl Passing {
    async fn next(&mut self) -> Option<Bytes> {
        while !self.over {
            let piece = match self.first.take() {
                Some(first) => {
                    self.has_begun = true;
                    Ok(Some(first))
                }
                None => match &mut self.from {
                    Some(from) => self.held.upstreams.next(from).await,
                    None => Ok(None),
                },
            };
            let broken = match piece {
                Ok(Some(_)) if Instant::now() >= self.until => {
                    format!("its answer took longer than {:?}", self.held.upstreams.config.whole)
                }
                Ok(Some(piece)) => match self.cutter.push(&piece) {
                    Ok(events) => {
                        if self.cutter.is_done() {
                            (self.over, self.held.well) = (true, Some(true));
                            if let Some(from) = self.from.take() {
                                from.finish();
                            }
                        }
                        if !events.is_empty() {
                            return Some(events);
                        }
                        continue;
                    }
                    Err(_) => format!("it sent an event of more than {} bytes", Cutter::MOST),
                },
                Ok(None) => "it ended its answer before the end".to_owned(),
                Err(failure) => failure.to_string(),
            };
            (self.over, self.held.well) = (true, Some(false));
            let name = &self.held.upstreams.config.name;
            tracing::warn!(model = name, "An upstream broke off a stream: {broken}");
            return Some(error_event(&format!("The upstream of {name} broke off: {broken}.")).into());
        }
        None
    }
}

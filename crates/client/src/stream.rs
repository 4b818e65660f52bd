//! Answers that come bit by bit: bytes, or events read as they come.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_core::Stream;
use http::Method;
use reqwest::Response;

use crate::{
    Client, Error, Result,
    error::Broken,
    request::Request,
    sse::{SseEvent, SseReader},
    transport,
};

type Chunk = Pin<Box<dyn Future<Output = (Response, Result<Option<Bytes>, reqwest::Error>)> + Send>>;

/// The bytes of an answer as they come. Dropping it closes the connection.
#[must_use = "streams do nothing unless polled"]
pub struct ByteStream {
    method: Method,
    path: String,
    state: State,
}

enum State {
    /// Waiting for the next bytes.
    Reading(Chunk),
    Ended,
}

fn chunk(mut response: Response) -> State {
    State::Reading(Box::pin(async move {
        let chunk = response.chunk().await;
        (response, chunk)
    }))
}

impl ByteStream {
    pub(crate) async fn open(client: &Client, request: &Request) -> Result<Self> {
        let response = transport::open(client, request).await?;
        Ok(Self { method: request.method.clone(), path: request.path().to_owned(), state: chunk(response) })
    }

    /// The next bytes; `None` at the end of the answer. An answer that breaks off ends in an error.
    pub async fn next(&mut self) -> Option<Result<Bytes>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let State::Reading(reading) = &mut self.state else { return Poll::Ready(None) };
        let (response, got) = ready!(reading.as_mut().poll(cx));
        self.state = State::Ended;
        Poll::Ready(match got {
            Ok(Some(bytes)) => {
                self.state = chunk(response);
                Some(Ok(bytes))
            }
            Ok(None) => None,
            Err(source) => {
                let (method, path) = (self.method.clone(), self.path.clone());
                let broken = Broken { method, path, was_sent: true, source: source.without_url() };
                Some(Err(Error::Connection(Arc::new(broken))))
            }
        })
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What an event turns out to be.
pub(crate) enum Seen<T> {
    /// Something to give.
    Item(T),
    /// Nothing for the caller.
    Nothing,
    /// The end, said by the server.
    End,
}

/// Reads one event.
pub(crate) type ReadEvent<T> = fn(&SseEvent) -> Result<Seen<T>>;

/// The events of an answer as they come, typed. Dropping it closes the connection.
///
/// An error ends it: one that came within the stream, an answer that broke off, an event that cannot be read.
#[must_use = "streams do nothing unless polled"]
pub struct EventStream<T> {
    bytes: ByteStream,
    reader: SseReader,
    events: VecDeque<SseEvent>,
    read: ReadEvent<T>,
    /// Whether the server has to say that it is done: else an end without that is an answer broken off.
    must_end: bool,
    is_over: bool,
}

impl<T> EventStream<T> {
    pub(crate) async fn open(
        client: &Client,
        mut request: Request,
        read: ReadEvent<T>,
        must_end: bool,
    ) -> Result<Self> {
        request.header("accept", "text/event-stream");
        let bytes = ByteStream::open(client, &request).await?;
        let (reader, events) = (SseReader::default(), VecDeque::new());
        Ok(Self { bytes, reader, events, read, must_end, is_over: false })
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Result<T>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl<T> Unpin for EventStream<T> {}

impl<T> Stream for EventStream<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.is_over {
                return Poll::Ready(None);
            }
            while let Some(event) = this.events.pop_front() {
                match (this.read)(&event) {
                    Ok(Seen::Item(item)) => return Poll::Ready(Some(Ok(item))),
                    Ok(Seen::Nothing) => {}
                    Ok(Seen::End) => {
                        this.is_over = true;
                        return Poll::Ready(None);
                    }
                    Err(error) => {
                        this.is_over = true;
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
            let failure = match ready!(Pin::new(&mut this.bytes).poll_next(cx)) {
                Some(Ok(bytes)) => match this.reader.feed(&bytes, &mut this.events) {
                    Ok(()) => continue,
                    Err(_) => Some("one event is larger than 16 MiB"),
                },
                Some(Err(error)) => {
                    this.is_over = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.must_end.then_some("it broke off before its end"),
            };
            this.is_over = true;
            if let Some(message) = failure {
                return Poll::Ready(Some(Err(Error::stream(message, None, String::new()))));
            }
        }
    }
}

impl<T> fmt::Debug for EventStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("path", &self.bytes.path).finish_non_exhaustive()
    }
}

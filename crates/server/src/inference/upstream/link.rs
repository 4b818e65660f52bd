//! Connections to one upstream: HTTP/1.1, a request at a time on each, kept for the next one.
//!
//! A connection has no task of its own: the request that has it moves its bytes too. So nothing has to be roused between an
//! upstream's answer and our client but the one task that serves the client (docs/benchmarks.md has what that is worth). A
//! connection that no request has is looked at when the next one takes it, and closed when none does for a while.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::{Bytes, HttpBody as _};
use futures_util::FutureExt as _;
use http::{HeaderMap, Request, StatusCode, response::Parts};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    rt::{Read, Write},
};
use tokio::time::{Instant, timeout};

/// How long a connection may lie unused. Less than the 5 s after which servers written in Python close theirs: a request that
/// is sent on one that is just being closed fails.
const IDLE: Duration = Duration::from_secs(4);

/// How long the end of a body may take when all else has come.
const END: Duration = Duration::from_secs(1);

/// What is sent.
pub(super) type Sent = Request<Full<Bytes>>;

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("it cannot be reached: {0}")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the connection took longer than {0:?}")]
    Slow(Duration),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("the connection was closed")]
    Closed,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Connect(error.into())
    }
}

/// A connection that is open.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    /// Moves the bytes. `None` when it has ended.
    driver: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    /// Since when no request has it.
    since: Instant,
}

impl Link {
    /// A connection over this stream.
    pub(super) async fn over<T: Read + Write + Send + Unpin + 'static>(stream: T) -> Result<Self, Broken> {
        let (sender, connection) = http1::handshake(stream).await?;
        Ok(Self { sender, driver: Some(Box::pin(connection)), since: Instant::now() })
    }

    /// Moves what can be moved. `false`: it has ended.
    fn drive(&mut self, context: &mut Context<'_>) -> bool {
        let Some(driver) = &mut self.driver else { return false };
        // Why it ended is told to the request by hyper itself.
        if driver.as_mut().poll(context).is_ready() {
            self.driver = None;
        }
        self.driver.is_some()
    }

    /// Waits until a request can be sent; `false` when none can be any more.
    async fn is_ready(&mut self) -> bool {
        poll_fn(|context| {
            if !self.drive(context) {
                return Poll::Ready(false);
            }
            self.sender.poll_ready(context).map(|ready| ready.is_ok())
        })
        .await
    }

    /// Sends a request. It comes back when nothing of it was sent.
    async fn ask(mut self, request: Sent) -> Result<(http::Response<Incoming>, Self), (Broken, Option<Box<Sent>>)> {
        if !self.is_ready().await {
            return Err((Broken::Closed, Some(Box::new(request))));
        }
        let mut asking = pin!(self.sender.try_send_request(request));
        let answered = poll_fn(|context| {
            let goes_on = self.drive(context);
            match asking.as_mut().poll(context) {
                Poll::Ready(Ok(answer)) => Poll::Ready(Ok(answer)),
                Poll::Ready(Err(mut error)) => {
                    let request = error.take_message().map(Box::new);
                    Poll::Ready(Err((Broken::Http(error.into_error()), request)))
                }
                Poll::Pending if goes_on => Poll::Pending,
                Poll::Pending => Poll::Ready(Err((Broken::Closed, None))),
            }
        });
        let answer = answered.await?;
        Ok((answer, self))
    }
}

/// The connections of one upstream that no request has.
#[derive(Clone, Default)]
pub(super) struct Links(Arc<Mutex<Free>>);

#[derive(Default)]
struct Free {
    /// The one that was given back last is last, and taken first.
    links: Vec<Link>,
    /// Whether a task looks after them.
    is_swept: bool,
}

impl Links {
    fn free(&self) -> MutexGuard<'_, Free> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request over a connection that is there, or over a new one.
    pub(super) async fn ask<F>(&self, request: Sent, connect: impl Fn() -> F) -> Result<Answer, Broken>
    where
        F: Future<Output = Result<Link, Broken>>,
    {
        let mut request = request;
        loop {
            let taken = self.free().links.pop().filter(|link| link.since.elapsed() < IDLE);
            let (link, is_new) = match taken {
                Some(link) => (link, false),
                None => (connect().await?, true),
            };
            match link.ask(request).await {
                Ok((answer, link)) => {
                    let (head, body) = answer.into_parts();
                    return Ok(Answer { head, body, link: Some(link), home: self.clone() });
                }
                // It was closed while it lay there, and the upstream has heard nothing of the request.
                Err((_, Some(unsent))) if !is_new => request = *unsent,
                Err((broken, _)) => return Err(broken),
            }
        }
    }

    fn give_back(&self, mut link: Link) {
        // An upstream that wants no other request on it has said so already.
        if !link.drive(&mut Context::from_waker(Waker::noop())) || link.sender.is_closed() {
            return;
        }
        link.since = Instant::now();
        let mut free = self.free();
        free.links.push(link);
        if !free.is_swept {
            free.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.0)));
        }
    }
}

/// Closes connections that nobody used, until there are none.
async fn sweep(free: Weak<Mutex<Free>>) {
    loop {
        tokio::time::sleep(IDLE).await;
        let Some(free) = free.upgrade() else { return };
        let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
        free.links.retain(|link| link.since.elapsed() < IDLE);
        if free.links.is_empty() {
            (free.links, free.is_swept) = (Vec::new(), false);
            return;
        }
    }
}

/// An answer whose body is still to be read. Dropped before its end, the connection is closed.
pub(super) struct Answer {
    head: Parts,
    body: Incoming,
    /// `None` when all of the body has come.
    link: Option<Link>,
    home: Links,
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// More of the body; `None` at its end.
    pub(super) async fn piece(&mut self) -> Result<Option<Bytes>, Broken> {
        poll_fn(|context| {
            loop {
                let polled = match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Pending => {
                        let goes_on = self.link.as_mut().is_some_and(|link| link.drive(context));
                        match Pin::new(&mut self.body).poll_frame(context) {
                            Poll::Pending if goes_on => return Poll::Pending,
                            Poll::Pending => return Poll::Ready(Err(Broken::Closed)),
                            Poll::Ready(polled) => polled,
                        }
                    }
                    Poll::Ready(polled) => polled,
                };
                let is_over = polled.is_none() || self.body.is_end_stream();
                let frame = polled.transpose()?;
                if is_over && let Some(link) = self.link.take() {
                    self.home.give_back(link);
                }
                match frame.map(hyper::body::Frame::into_data) {
                    Some(Ok(data)) => return Poll::Ready(Ok(Some(data))),
                    // Trailers say nothing to us.
                    Some(Err(_)) => {}
                    None => return Poll::Ready(Ok(None)),
                }
            }
        })
        .await
    }

    /// Takes the end of a body that says nothing more, so that the connection can be used again. It is closed where something
    /// else comes, or nothing for a while.
    pub(super) fn finish(mut self) {
        if self.is_over() || self.piece().now_or_never().is_some() {
            return;
        }
        tokio::spawn(async move { timeout(END, self.piece()).await.is_ok() });
    }

    /// Whether all of the body has come.
    pub(super) fn is_over(&self) -> bool {
        self.link.is_none()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use http::Method;
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    };

    use super::*;

    /// An upstream that a test plays: its ends of the connections that were made to it.
    struct Played {
        links: Links,
        made: AtomicUsize,
        ends: UnboundedSender<DuplexStream>,
    }

    impl Played {
        fn new() -> (Self, UnboundedReceiver<DuplexStream>) {
            let (ends, come) = mpsc::unbounded_channel();
            (Self { links: Links::default(), made: AtomicUsize::new(0), ends }, come)
        }

        async fn ask(&self) -> Result<Answer, Broken> {
            let mut request = Sent::new(Full::new(Bytes::from_static(b"{}")));
            *request.method_mut() = Method::POST;
            let connect = || async {
                let (ours, theirs) = duplex(4096);
                self.made.fetch_add(1, SeqCst);
                self.ends.send(theirs).expect("the test is there");
                Link::over(TokioIo::new(ours)).await
            };
            self.links.ask(request, connect).await
        }

        async fn asks_and_reads(&self) -> String {
            let mut answer = self.ask().await.expect("it answers");
            let mut whole = Vec::new();
            while let Some(piece) = answer.piece().await.expect("it goes on") {
                whole.extend_from_slice(&piece);
            }
            assert!(answer.is_over());
            String::from_utf8(whole).expect("it is text")
        }
    }

    async fn hear(end: &mut DuplexStream) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(b"\r\n\r\n{}") {
            assert_ne!(end.read_buf(&mut heard).await.expect("it can be read"), 0, "closed after {heard:?}");
        }
        String::from_utf8(heard).expect("it is text")
    }

    async fn say(end: &mut DuplexStream, text: &str) {
        end.write_all(text.as_bytes()).await.expect("it is heard");
    }

    const HI: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

    #[tokio::test]
    async fn a_connection_is_used_again_once_its_answer_was_read() {
        let (upstream, mut ends) = Played::new();
        let plays = async {
            let mut end = ends.recv().await.expect("somebody connects");
            for _ in 0..3 {
                assert!(hear(&mut end).await.starts_with("POST / HTTP/1.1"));
                say(&mut end, HI).await;
            }
            end
        };
        let asks = async {
            for _ in 0..3 {
                assert_eq!(upstream.asks_and_reads().await, "hi");
            }
        };
        let (_end, ()) = tokio::join!(plays, asks);
        assert_eq!(upstream.made.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn one_that_was_closed_while_it_lay_there_is_replaced() {
        let (upstream, mut ends) = Played::new();
        for made in 1..=2 {
            let plays = async {
                let mut end = ends.recv().await.expect("somebody connects");
                hear(&mut end).await;
                say(&mut end, HI).await;
                // Here the upstream's end is dropped, and so closed.
            };
            let (_, answered) = tokio::join!(plays, upstream.asks_and_reads());
            assert_eq!((answered.as_str(), upstream.made.load(SeqCst)), ("hi", made));
        }
    }

    #[tokio::test]
    async fn what_an_upstream_may_have_heard_is_not_sent_again() {
        let (upstream, mut ends) = Played::new();
        let plays = async {
            let mut end = ends.recv().await.expect("somebody connects");
            hear(&mut end).await;
            say(&mut end, HI).await;
            hear(&mut end).await;
        };
        let asks = async {
            assert_eq!(upstream.asks_and_reads().await, "hi");
            upstream.ask().await.map(|_| ()).expect_err("it heard the second one and closed")
        };
        let ((), _broken) = tokio::join!(plays, asks);
        assert_eq!(upstream.made.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn an_answer_that_has_said_all_leaves_its_connection_for_the_next_whenever_its_end_comes() {
        for the_end_is_late in [false, true] {
            let (upstream, mut ends) = Played::new();
            let asks = async |end: &mut DuplexStream| {
                let plays = async {
                    hear(end).await;
                    say(end, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
                    if !the_end_is_late {
                        say(end, "0\r\n\r\n").await;
                    }
                };
                let reads = async {
                    let mut answer = upstream.ask().await.expect("it answers");
                    assert_eq!(answer.piece().await.expect("it begins").as_deref(), Some(&b"hi"[..]));
                    answer.finish();
                };
                tokio::join!(plays, reads);
                if the_end_is_late {
                    say(end, "0\r\n\r\n").await;
                }
                let is_back = async {
                    while upstream.links.free().links.is_empty() {
                        tokio::task::yield_now().await;
                    }
                };
                timeout(Duration::from_secs(20), is_back).await.expect("it is given back");
            };
            let (ours, theirs) = duplex(4096);
            let mut end = theirs;
            upstream.links.give_back(Link::over(TokioIo::new(ours)).await.expect("it is open"));
            for _ in 0..3 {
                asks(&mut end).await;
            }
            assert_eq!(upstream.made.load(SeqCst), 0, "late: {the_end_is_late}");
            assert!(ends.try_recv().is_err());
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_to_its_end_closes_its_connection() {
        let (upstream, mut ends) = Played::new();
        let plays = async {
            let mut end = ends.recv().await.expect("somebody connects");
            hear(&mut end).await;
            say(&mut end, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi").await;
            assert_eq!(end.read(&mut [0]).await.expect("it can be read"), 0, "it is closed");
        };
        let asks = async {
            let mut answer = upstream.ask().await.expect("it answers");
            assert_eq!(answer.piece().await.expect("it begins").as_deref(), Some(&b"hi"[..]));
            assert!(!answer.is_over());
        };
        tokio::join!(plays, asks);
    }

    #[tokio::test]
    async fn an_upstream_that_wants_no_other_request_on_a_connection_gets_none() {
        let (upstream, mut ends) = Played::new();
        for made in 1..=2 {
            let plays = async {
                let mut end = ends.recv().await.expect("somebody connects");
                hear(&mut end).await;
                say(&mut end, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi").await;
                assert_eq!(end.read(&mut [0]).await.expect("it can be read"), 0, "it is closed");
            };
            tokio::join!(plays, async { assert_eq!(upstream.asks_and_reads().await, "hi") });
            assert_eq!(upstream.made.load(SeqCst), made);
        }
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_says_so() {
        let (upstream, mut ends) = Played::new();
        let plays = async {
            let mut end = ends.recv().await.expect("somebody connects");
            hear(&mut end).await;
            say(&mut end, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
        };
        let asks = async {
            let mut answer = upstream.ask().await.expect("it answers");
            assert_eq!(answer.piece().await.expect("it begins").as_deref(), Some(&b"hi"[..]));
            answer.piece().await.expect_err("it broke off");
        };
        tokio::join!(plays, asks);
        assert!(upstream.links.free().links.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_nobody_uses_is_closed() {
        let (upstream, mut ends) = Played::new();
        let plays = async {
            let mut end = ends.recv().await.expect("somebody connects");
            hear(&mut end).await;
            say(&mut end, HI).await;
            let begun = Instant::now();
            assert_eq!(end.read(&mut [0]).await.expect("it can be read"), 0, "it is closed");
            begun.elapsed()
        };
        let (after, _) = tokio::join!(plays, upstream.asks_and_reads());
        assert!(after >= IDLE && after <= 2 * IDLE, "{after:?}");
        assert!(!upstream.links.free().is_swept);
    }
}

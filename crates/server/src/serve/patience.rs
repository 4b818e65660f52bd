//! How long a client is waited for. Each wait has an end: for a request's head, for the next request, and for bytes of an
//! answer to be taken. While a request is answered nobody waits for its client to send: a stream of events may be silent.
//!
//! ```text
//! idle ──first byte──▶ head ──the head is whole──▶ busy ──the answer's body is handed over──▶ idle
//! ```

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures_util::task::AtomicWaker;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use super::places::Places;

/// What a connection waits for, shared by its stream and its requests. Used by one task, so plain loads and stores do.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    phase: AtomicU64,
    /// Who reads: told when the connection is idle again, since only a read begins that wait.
    reader: AtomicWaker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Head,
    Busy,
}

impl Pace {
    const KINDS: u64 = 3;

    /// The phase, and a number that no other phase of this connection has.
    fn now(&self) -> (Phase, u64) {
        let number = self.phase.load(Relaxed);
        let phase = match number % Self::KINDS {
            0 => Phase::Idle,
            1 => Phase::Head,
            _ => Phase::Busy,
        };
        (phase, number)
    }

    fn begin(&self, phase: Phase) {
        let round = self.phase.load(Relaxed) / Self::KINDS + 1;
        let kind = match phase {
            Phase::Idle => 0,
            Phase::Head => 1,
            Phase::Busy => 2,
        };
        self.phase.store(round * Self::KINDS + kind, Relaxed);
    }

    /// A request's head has come; the connection is busy until the value goes.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.begin(Phase::Busy);
        Busy(Some(Arc::clone(self)))
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(crate) struct Busy(Option<Arc<Pace>>);

impl Busy {
    /// The answer's body, which keeps the connection busy until all of it was taken; for ever when it `switches` to another
    /// protocol, which has waits of its own.
    pub(crate) fn until_taken(mut self, body: Body, switches: bool) -> Answer {
        if switches {
            self.0 = None;
        }
        Answer { body, _busy: self }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(pace) = &self.0 {
            pace.begin(Phase::Idle);
            pace.reader.wake();
        }
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that fails, as timed out, when its client lets it wait for too long.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    pace: Arc<Pace>,
    places: Arc<Places>,
    reading: Timer,
    writing: Timer,
    /// How often bytes were taken: each begins a new wait.
    taken: u64,
}

impl<S> Patient<S> {
    pub(crate) fn new(stream: S, pace: Arc<Pace>, places: Arc<Places>) -> Self {
        Self { stream, pace, places, reading: Timer::default(), writing: Timer::default(), taken: 0 }
    }

    /// What came of reading: bytes begin a head, none are waited for as long as the phase allows.
    fn read(&mut self, polled: Poll<io::Result<()>>, got: bool, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (phase, number) = self.pace.now();
        if polled.is_ready() {
            if got && phase == Phase::Idle {
                self.pace.begin(Phase::Head);
            }
            return polled;
        }
        let limits = self.places.limits();
        let time = match phase {
            Phase::Idle => limits.idle_time,
            Phase::Head => limits.head_time,
            Phase::Busy => {
                self.pace.reader.register(cx.waker());
                return Poll::Pending;
            }
        };
        match self.reading.poll_over(number, time, cx) {
            Poll::Ready(()) => Poll::Ready(Err(self.cut_off("its client sent nothing for too long"))),
            Poll::Pending => Poll::Pending,
        }
    }

    /// What came of writing: each success is progress, and without any the client is waited for `write_time` and no longer.
    fn wrote<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.taken += 1;
            return polled;
        }
        let time = self.places.limits().write_time;
        match self.writing.poll_over(self.taken, time, cx) {
            Poll::Ready(()) => Poll::Ready(Err(self.cut_off("its client took nothing of an answer for too long"))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn cut_off(&self, why: &'static str) -> io::Error {
        self.places.count_cut_off();
        io::Error::new(io::ErrorKind::TimedOut, why)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.read(polled, buffer.filled().len() > before, cx)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(polled, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.wrote(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.wrote(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wrote(polled, cx)
    }
}

/// The end of a wait. Its clock is made at the first wait, and set anew when another begins.
#[derive(Debug, Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Which wait it is set for.
    wait: Option<u64>,
}

impl Timer {
    /// Ready once `wait` has lasted `time` since it was first asked about.
    fn poll_over(&mut self, wait: u64, time: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        if self.wait != Some(wait) {
            self.wait = Some(wait);
            sleep.as_mut().reset(Instant::now() + time);
        }
        sleep.as_mut().poll(cx)
    }
}

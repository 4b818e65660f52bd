//! A connection that knows which of its answers it has handed to the system.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::delivery::Delivery;

/// The answers of one connection that are written and not yet flushed. With the connection they go, and count as lost.
#[derive(Debug, Default)]
pub(crate) struct Wire(Mutex<Vec<Delivery>>);

impl Wire {
    /// The stream, telling this wire when all that was written to it is with the system.
    pub(crate) fn watch<S>(self: &Arc<Self>, stream: S) -> Watched<S> {
        Watched { stream, wire: Arc::clone(self) }
    }

    /// The last bytes of an answer are being written.
    pub(super) fn carries(&self, delivery: Delivery) {
        self.lock().push(delivery);
    }

    /// What is written and not flushed will not be.
    pub(crate) fn breaks(&self) {
        let lost = std::mem::take(&mut *self.lock());
        drop(lost);
    }

    fn flushed(&self) {
        let delivered = std::mem::take(&mut *self.lock());
        delivered.into_iter().for_each(Delivery::settle);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Delivery>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream of [`Wire::watch`].
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    wire: Arc<Wire>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Hyper flushes when it has written all it holds, so what was flushed is whole answers.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.wire.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

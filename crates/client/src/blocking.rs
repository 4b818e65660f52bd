//! Calls that block the thread they are made on, for programs without an async runtime.
//!
//! Whatever can be awaited here can be blocked on: a [`Call`](crate::Call), a [`List`](crate::List), a wait.
//!
//! ```
//! use dewpoint_client::{CreateDroplet, blocking::{Blocking as _, BlockingStream as _}, testing::Simulator};
//!
//! let simulator = Simulator::start()?;
//! let client = simulator.client();
//! let created = client.droplets().create(CreateDroplet::new("web-1", "s-1vcpu-1gb", "ubuntu-24-04-x64")).blocking()?;
//! created.wait_ready(&client).blocking()?;
//! for droplet in client.droplets().list().stream().blocking_iter() {
//!     println!("{}", droplet?.name);
//! }
//! # Ok::<(), dewpoint_client::Error>(())
//! ```

use std::{
    future::{IntoFuture, poll_fn},
    pin::Pin,
    sync::OnceLock,
};

use futures_core::Stream;
use tokio::runtime::{Builder, Runtime};

/// Blocking on what can be awaited.
pub trait Blocking: IntoFuture + Sized {
    /// Waits for it on this thread. Panics on a thread that runs async tasks: await it there.
    fn blocking(self) -> Self::Output {
        let future = self.into_future();
        runtime().block_on(future)
    }
}

impl<T: IntoFuture> Blocking for T {}

/// Blocking on what comes bit by bit.
pub trait BlockingStream: Stream + Unpin + Sized {
    /// An iterator that waits for each item on this thread. Panics on a thread that runs async tasks.
    fn blocking_iter(self) -> Iter<Self> {
        Iter(self)
    }
}

impl<S: Stream + Unpin> BlockingStream for S {}

/// A stream as an iterator. Made by [`BlockingStream::blocking_iter`].
#[derive(Debug)]
pub struct Iter<S>(S);

impl<S: Stream + Unpin> Iterator for Iter<S> {
    type Item = S::Item;
    fn next(&mut self) -> Option<S::Item> {
        runtime().block_on(poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)))
    }
}

/// One runtime for all blocking calls of the process, with one thread, which drives connections between calls.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let built = Builder::new_multi_thread().worker_threads(1).thread_name("dewpoint-client").enable_all().build();
        built.unwrap_or_else(|error| panic!("no thread can be started for blocking calls: {error}"))
    })
}

//! A task that wakes itself while it runs is run on at once.
//!
//! A connection and the request on it are one task, and tell each other of a body's bytes through wakers. A runtime takes such
//! a wake for work that any thread may do, and rouses one that sleeps: system calls and often a change of processors, for a
//! task that is running already (docs/benchmarks.md has what that cost).

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// How often in a row it is run on before other tasks get to run.
const TURNS: usize = 8;

/// Nothing to do until it is woken.
const IDLE: u8 = 0;
/// It runs.
const RUNS: u8 = 1;
/// It runs, and was woken meanwhile.
const WOKEN: u8 = 2;

#[derive(Debug, Default)]
struct Bell {
    state: AtomicU8,
    /// The runtime's.
    outside: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.compare_exchange(RUNS, WOKEN, SeqCst, SeqCst) == Err(IDLE) {
            self.outside.wake();
        }
    }
}

/// The future, run on for as long as it wakes itself, but for at most a few turns.
pub(crate) async fn settled<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let bell = Arc::<Bell>::default();
    let waker = Waker::from(Arc::clone(&bell));
    poll_fn(move |context| {
        bell.outside.register(context.waker());
        for _ in 0..TURNS {
            bell.state.store(RUNS, SeqCst);
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            if bell.state.compare_exchange(RUNS, IDLE, SeqCst, SeqCst).is_ok() {
                return Poll::Pending;
            }
        }
        bell.state.store(IDLE, SeqCst);
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Counts how often the runtime is told.
    #[derive(Default)]
    struct Told(AtomicUsize);

    impl Wake for Told {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    /// Wakes itself this many times in a row, then is done, or waits to be woken from outside and is done.
    fn restless(times: usize, waits: Option<Arc<AtomicWaker>>) -> impl Future<Output = usize> {
        let (mut polls, mut waits) = (0, waits);
        poll_fn(move |context| {
            polls += 1;
            if polls <= times {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            match waits.take() {
                Some(outside) => {
                    outside.register(context.waker());
                    Poll::Pending
                }
                None => Poll::Ready(polls),
            }
        })
    }

    #[test]
    fn what_wakes_itself_is_run_on_and_the_runtime_hears_nothing_of_it() {
        let (told, mut future) = (Arc::<Told>::default(), pin!(settled(restless(TURNS - 1, None))));
        let waker = Waker::from(Arc::clone(&told));
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(TURNS));
        assert_eq!(told.0.load(SeqCst), 0);
    }

    #[test]
    fn what_goes_on_waking_itself_lets_others_run_and_comes_back() {
        let (told, mut future) = (Arc::<Told>::default(), pin!(settled(restless(TURNS + 2, None))));
        let waker = Waker::from(Arc::clone(&told));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(told.0.load(SeqCst), 1, "it is to be run again");
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(TURNS + 3));
    }

    #[test]
    fn a_wake_from_outside_reaches_the_runtime() {
        let (told, outside) = (Arc::<Told>::default(), Arc::<AtomicWaker>::default());
        let mut future = pin!(settled(restless(1, Some(Arc::clone(&outside)))));
        let waker = Waker::from(Arc::clone(&told));
        assert!(future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(told.0.load(SeqCst), 0);
        outside.wake();
        assert_eq!(told.0.load(SeqCst), 1);
        assert_eq!(future.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(3));
    }
}

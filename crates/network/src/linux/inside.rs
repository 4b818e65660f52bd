//! A thread that lives in the namespace.
//!
//! A thread that has entered a namespace keeps it, and so does all that it starts or opens: this one is used for nothing else,
//! and what it opened can be used anywhere. It does one thing after the other, so no two changes of the network meet.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::{Mutex, mpsc},
    thread::{Builder, JoinHandle},
};

use nix::sched::{CloneFlags, setns};

use super::Error;

type Job = Box<dyn FnOnce() + Send>;

/// Runs things inside a namespace until it is dropped.
#[derive(Debug)]
pub(super) struct Inside {
    name: String,
    thread: Mutex<Option<(mpsc::Sender<Job>, JoinHandle<()>)>>,
}

impl Inside {
    /// Enters the namespace that is mounted at `path`.
    pub(super) fn enter(name: &str, path: &Path) -> Result<Self, Error> {
        let doing = format!("entering the network namespace {name}");
        let namespace = File::open(path).map_err(|error| Error::io(&doing, error))?;
        let (jobs, wanted) = mpsc::channel::<Job>();
        let (entered, answer) = mpsc::channel();
        let thread = Builder::new().name(format!("network {name}")).spawn(move || {
            let result = setns(&namespace, CloneFlags::CLONE_NEWNET);
            drop(namespace);
            let is_in = result.is_ok();
            if entered.send(result).is_ok() && is_in {
                // One that panics is told to whoever waits for it by its missing answer; the others go on.
                wanted.into_iter().for_each(|job| drop(catch_unwind(AssertUnwindSafe(job))));
            }
        });
        let thread = thread.map_err(|error| Error::io("starting a thread", error))?;
        match answer.recv() {
            Ok(Ok(())) => Ok(Self { name: name.to_owned(), thread: Mutex::new(Some((jobs, thread))) }),
            Ok(Err(error)) => Err(Error::io(doing, error)),
            Err(_) => Err(Error::Down(name.to_owned())),
        }
    }

    /// Runs `job` inside and waits for what it returns. [`Error::Down`] after [`Inside::leave`], and when it panics.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let (done, answer) = mpsc::channel();
        let down = || Error::Down(self.name.clone());
        {
            let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let (jobs, _) = thread.as_ref().ok_or_else(down)?;
            let job = Box::new(move || drop(done.send(job())));
            jobs.send(job).map_err(|_| down())?;
        }
        answer.recv().map_err(|_| down())
    }

    /// Ends the thread after what it was asked before, so that it holds the namespace no longer.
    pub(super) fn leave(&self) {
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some((jobs, thread)) = thread {
            drop(jobs);
            // A job that panicked ended it already; whoever waited for that job was told.
            let _ = thread.join();
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.leave();
    }
}

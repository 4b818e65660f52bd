//! Why an import does not go on, while it is carried through readers that know only [`io::Error`].

use std::{io, path::Path};

use crate::{Error, qemu::layout::io_error};

/// What stops a download, or what is made of it.
#[derive(Debug, thiserror::Error)]
pub(in crate::qemu) enum Problem {
    /// For the one who gave the address; asking again does not help.
    #[error("{0}")]
    Refused(String),
    /// It may work later.
    #[error("{0}")]
    Transient(String),
    /// What was received cannot be continued, and can be fetched from its start.
    #[error("{0}")]
    Restart(String),
    /// Nobody waits for it any more.
    #[error("nobody waits for it any more")]
    Stopped,
    /// The host failed.
    #[error(transparent)]
    Host(#[from] Error),
}

impl Problem {
    /// What a failed read of a source means: the download's own problem, or else one of the decoder above it.
    pub(super) fn of_reading(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(problem) => problem,
            Err(error) => Self::Refused(format!("its compressed data is damaged or ends too early ({error})")),
        }
    }

    /// What a failed write to `path` means.
    pub(super) fn of_writing(path: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| Self::Host(io_error("write an image", path, &error))
    }
}

impl From<Problem> for io::Error {
    fn from(problem: Problem) -> Self {
        Self::other(problem)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let text = problem.to_string();
        match problem {
            Problem::Refused(text) => Self::ImportRefused(text),
            Problem::Transient(_) | Problem::Restart(_) => {
                Self::Host { operation: "fetch an image", problem: text, transient: true }
            }
            Problem::Stopped => Self::host("import an image", text),
            Problem::Host(error) => error,
        }
    }
}

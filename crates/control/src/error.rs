//! Why the control plane said no, in its own terms. Knows nothing of HTTP: `server` gives each variant its status.

use dewpoint_api::RegionSlug;

/// Why the control plane said no. `Display` is what the caller reads, so it says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No, unknown, expired or revoked token (ERR-2).
    #[error("Unable to authenticate you.")]
    Unauthenticated,
    /// The token is good and may not do this, or the state of the resource forbids it for good.
    #[error("{0}")]
    Forbidden(String),
    /// Absent, or another account's: from outside the two must look the same (ERR-4).
    #[error("The resource you were accessing could not be found.")]
    NotFound,
    /// The request itself is malformed: an unparseable parameter, a missing header.
    #[error("{0}")]
    Malformed(String),
    /// Well-formed, and wrong; or the state does not allow it now (ERR-3).
    #[error("{0}")]
    Invalid(String),
    /// No capacity for it now; `available_regions` have some (ERR-7).
    #[error("{message}")]
    OutOfStock {
        /// What is lacking.
        message: String,
        /// Where it could be had.
        available_regions: Vec<RegionSlug>,
    },
    /// Another action of the same resource is still running (ACT-6).
    #[error("Droplet already has a pending event.")]
    Busy,
    /// A duplicate, or still in use. Asking again will not help.
    #[error("{0}")]
    Conflict(String),
    /// Something else has to be done first.
    #[error("{0}")]
    Precondition(String),
    /// An action was set aside: it goes on when what it waits for is there. Never a caller's answer.
    #[error("it waits for room")]
    SetAside,
    /// Dewpoint itself failed: a panic, with what it said.
    #[error("a fault of Dewpoint's own: {0}")]
    Panicked(String),
    /// The store failed; what it said is for the log, not for the caller.
    #[error("the store failed")]
    Store(#[from] dewpoint_store::Error),
    /// The engine failed; what it said is for the log, not for the caller.
    #[error("the engine failed")]
    Engine(#[from] dewpoint_engine::Error),
}

impl Error {
    /// [`Error::Invalid`] with this sentence.
    pub fn invalid(sentence: impl Into<String>) -> Self {
        Self::Invalid(sentence.into())
    }
}

impl From<dewpoint_api::Invalid> for Error {
    fn from(invalid: dewpoint_api::Invalid) -> Self {
        Self::Invalid(invalid.to_string())
    }
}

impl dewpoint_store::Retry for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(dewpoint_store::Error::Conflict))
    }
}

//! What Dewpoint does, without HTTP and without SQL text: checks, then record and action in one transaction, then work.

pub mod catalogue;
mod error;

pub use catalogue::Catalogue;
pub use error::Error;

use std::sync::Arc;

use dewpoint_api::{AccountId, Scopes, TokenId};
use dewpoint_clock::{Clock, Timestamp};

/// What a token lets its bearer do. Made by [`Control::authenticate`].
#[derive(Debug, Clone)]
pub struct Grant {
    /// Whose resources it reaches.
    pub account: AccountId,
    /// Which token it is.
    pub token: TokenId,
    /// What it may do.
    pub scopes: Scopes,
    /// From when on it is void.
    pub expires_at: Option<Timestamp>,
}

/// The control plane: one value, cheap to clone, shared by every request and by the worker.
#[derive(Debug, Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    catalogue: Arc<Catalogue>,
}

impl Control {
    /// The clock all of it runs by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Regions, sizes and public images.
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// Who bears `token`; [`Error::Unauthenticated`] for no, unknown, expired or revoked ones. No I/O for a token seen before.
    pub async fn authenticate(&self, token: &str) -> Result<Arc<Grant>, Error> {
        let _ = token;
        Err(Error::Unauthenticated)
    }
}

//! All SQL.
/// Why the store could not.
#[derive(Debug, thiserror::Error)]
#[error("the store failed")]
pub struct Error;

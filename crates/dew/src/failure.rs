//! How a command ends when it could not do what was asked: one line that says what was wrong, one that says what to do, and
//! a status that scripts can tell apart (docs/cli.md lists them).

use std::fmt;

/// What kind of failure, and so which status the process ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The server refused, or something else went wrong.
    Other = 1,
    /// The command line is wrong, or names what is not built yet.
    Usage = 2,
    /// What was asked for is not there.
    NotFound = 3,
    /// The token is missing, not known or may not do this.
    Denied = 4,
    /// No server answers.
    Unreachable = 5,
    /// What was waited for did not happen in time.
    TooLate = 6,
    /// Ctrl-C.
    Interrupted = 130,
}

/// What went wrong, and what to do next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    text: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), hint: None }
    }

    /// The command line is wrong.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::new(Kind::Usage, text)
    }

    /// Something that is planned and not built.
    pub(crate) fn not_yet(what: &str) -> Self {
        Self::usage(format!("{what}: not yet. README lists what this version has."))
    }

    /// What to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, with a hint when there is one.
    pub(crate) fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\nhint: {hint}"))
    }
}

impl std::error::Error for Failure {}

/// The status the process ends with.
pub(crate) fn status(error: &anyhow::Error) -> u8 {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map_or(Kind::Other, |failure| failure.kind) as u8
}

//! Why a network could not be made, for the person who runs the host.

use std::io;

/// Why this host's network is not as it was asked for. What was in force before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The process lacks the right.
    #[error(
        "{doing} needs root, or CAP_NET_ADMIN and CAP_SYS_ADMIN: start the server with them, or use network mode \"loopback\""
    )]
    NotAllowed {
        /// What was tried.
        doing: String,
    },
    /// A setting that cannot be made real.
    #[error("{0}")]
    Config(String),
    /// A plan that contradicts itself.
    #[error("the network cannot be as planned: {0}")]
    Plan(String),
    /// A program is not installed.
    #[error(
        "`{program}` is not on this host: install the package {package} (`apt-get install {package}`), then try again"
    )]
    Missing {
        /// Its name.
        program: String,
        /// Where Debian has it.
        package: &'static str,
    },
    /// A program ran and said no. Of a ruleset nothing is in force then but the one before.
    #[error("`{program}` refused {what}: {said}")]
    Refused {
        /// Its name.
        program: String,
        /// The line or the ruleset that it stopped at.
        what: String,
        /// What it printed.
        said: String,
    },
    /// The kernel has not what is needed.
    #[error("{0}")]
    Kernel(String),
    /// Something of this name is there that is not ours.
    #[error("{0}")]
    Taken(String),
    /// [`super::Wire::down`] was called, or what was asked for panicked.
    #[error("the network {0} was taken down, or stopped at an error that its log tells")]
    Down(String),
    /// Anything else.
    #[error("{doing} failed")]
    Io {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// What `doing` failed with; a missing right is said as such.
    pub(super) fn io(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        let (doing, source) = (doing.into(), source.into());
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::NotAllowed { doing },
            _ => Self::Io { doing, source },
        }
    }
}

//! Asking before something is lost.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use anyhow::Result;

use crate::failure::Failure;

/// Asks whether this is meant, unless it was said beforehand. Never blocks where nobody can answer.
pub(crate) fn confirm(force: bool, what: &str) -> Result<()> {
    if force {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "this would {what}, and nobody can be asked: standard input is no terminal"
        ))
        .hint("--force (-f) says that it is meant")
        .into());
    }
    let mut err = io::stderr().lock();
    write!(err, "This will {what}. Are you sure? (y/N) ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::usage("nothing was done").into()),
    }
}

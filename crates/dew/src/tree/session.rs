//! One run of a command: the server it asks, how it prints, and what to tell when it is cut off.

use anyhow::Result;

use crate::{
    client::{Client, ClientArgs},
    failure::{Failure, Kind},
    output::{Json, Output, Table},
};

/// What commands work with.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
    /// What goes on at the server if the command is cut off now, in words.
    left: Vec<String>,
}

impl Session {
    /// Asks nothing yet. Fails when there is no server or token to ask with.
    pub(crate) fn new(args: &ClientArgs, output: Output) -> Result<Self> {
        Ok(Self { client: Client::new(args)?, output, left: Vec::new() })
    }

    /// Prints objects of an answer.
    pub(crate) fn print(&self, table: &'static Table, objects: &[Json]) -> Result<()> {
        self.output.print(table, objects)
    }

    /// From now on this goes on at the server when the command is cut off.
    pub(crate) fn leaves(&mut self, what: impl Into<String>) {
        self.left.push(what.into());
    }

    /// What was begun has ended.
    pub(crate) fn leaves_nothing(&mut self) {
        self.left.clear();
    }

    /// What to say after Ctrl-C.
    pub(crate) fn interrupted(&self) -> Failure {
        let failure = Failure::new(
            Kind::Interrupted,
            match self.left.is_empty() {
                true => "interrupted: nothing of it goes on at the server".to_owned(),
                false => format!("interrupted, and still going on at the server: {}", self.left.join("; ")),
            },
        );
        match self.left.is_empty() {
            true => failure,
            false => failure
                .hint("`dew action list --status in-progress` shows what runs; `dew action wait ID` waits for it"),
        }
    }
}

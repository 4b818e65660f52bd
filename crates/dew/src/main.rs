//! `dew`, the one binary: `dew serve` runs the server, host commands work on its data directory, the others ask a server.

#![warn(clippy::print_stderr)]

mod args;
mod backup;
mod client;
mod commands;
mod config;
mod contexts;
mod failure;
mod groups;
mod output;
mod tables;
mod terminal;
mod tree;
mod usage;

use std::process::ExitCode;

use clap::FromArgMatches as _;

use args::{Args, Command};
use client::ClientArgs;
use output::tell;

fn main() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::told(&error),
    };
    let done = match ClientArgs::from_arg_matches(&matches) {
        Ok(earlier) => {
            tree::run(&matches, &earlier).map(|done| done.map(|()| ExitCode::SUCCESS)).unwrap_or_else(|| {
                let args = Args::from_arg_matches(&matches).map_err(anyhow::Error::from)?;
                usage::stands_right(&matches, &args.command)?;
                run(args.command, &earlier)
            })
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(code) => code,
        // A closed pipe is a normal end.
        Err(error) if output::is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("dew: {error:#}");
            ExitCode::from(failure::status(&error))
        }
    }
}

/// Runs a command that is not one of the groups'; what the process ends with.
fn run(command: Command, earlier: &ClientArgs) -> anyhow::Result<ExitCode> {
    let done = match command {
        Command::Serve(serve) => commands::serve::run(*serve),
        Command::Image(image) => commands::image::run(image),
        Command::Doctor(doctor) => commands::doctor::run(doctor),
        Command::Network(network) => commands::network::run(network),
        Command::Token(token) => commands::token::run(token, earlier),
        Command::Backup(backup) => commands::backup::run(backup, earlier),
        Command::Restore(restore) => commands::restore::run(restore),
        Command::Check(check) => return Ok(commands::check::run(&check)),
        Command::Init(init) => commands::auth::init(init, earlier),
        Command::Auth(auth) => commands::auth::run(auth, earlier),
        Command::Completion(completion) => commands::completion::run(&completion),
        Command::Complete(complete) => commands::completion::complete(&complete, &mut args::command()),
        Command::Reference(reference) => commands::reference::run(&reference, args::command()),
    };
    done.map(|()| ExitCode::SUCCESS)
}

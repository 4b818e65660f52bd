//! `dew`, the one binary: `dew serve` runs the server, host commands work on its data directory, the others ask a server.

mod args;
mod backup;
mod client;
mod commands;
mod config;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};

/// The process ends with this when a command or setting is known and not built yet.
const NOT_YET: u8 = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.command {
        Command::Serve(serve) => commands::serve::run(*serve),
        Command::Image(image) => commands::image::run(image),
        Command::Doctor(doctor) => commands::doctor::run(doctor),
        Command::Network(network) => commands::network::run(network),
        Command::Account(account) => commands::account::run(account),
        Command::Token(token) => commands::token::run(token),
        Command::Backup(backup) => commands::backup::run(&backup),
        Command::Restore(restore) => commands::restore::run(restore),
        Command::Check(check) => return commands::check::run(&check),
        Command::NotYet(words) => Err(NotYet(words.first().cloned().unwrap_or_default()).into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dew: {error:#}");
            if error.is::<NotYet>() { ExitCode::from(NOT_YET) } else { ExitCode::FAILURE }
        }
    }
}

/// Something that is planned and not built; README lists what there is.
#[derive(Debug)]
struct NotYet(String);

impl std::fmt::Display for NotYet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if KNOWN_LATER.contains(&self.0.as_str()) || self.0.starts_with("--") {
            write!(f, "{}: not yet. README lists what this version has.", self.0)
        } else {
            write!(f, "{:?} is no command of dew. `dew --help` lists them.", self.0)
        }
    }
}

impl std::error::Error for NotYet {}

/// Commands that the design has and this version does not.
const KNOWN_LATER: [&str; 11] =
    ["droplet", "action", "ssh-key", "size", "region", "tag", "volume", "snapshot", "vpc", "firewall", "model"];

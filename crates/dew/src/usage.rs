//! What is said of a command line that is wrong: as every other error, a line that says what, and a hint.

use std::{env, process::ExitCode};

use clap::{ArgMatches, error::ErrorKind};

use crate::{
    args::Command,
    failure::{Failure, Kind},
    output::tell,
};

/// Prints help or the version where that was asked for, else what is wrong.
pub(crate) fn told(error: &clap::Error) -> ExitCode {
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    if is_help {
        // A closed pipe is a normal end.
        let _ = error.print();
        return if error.use_stderr() { ExitCode::from(Kind::Usage as u8) } else { ExitCode::SUCCESS };
    }
    tell!("dew: {}", failure(&error.to_string()));
    ExitCode::from(Kind::Usage as u8)
}

/// Of clap's paragraphs the first says what is wrong, one may hold a tip, and one the usage.
fn failure(text: &str) -> Failure {
    let mut paragraphs = text.split("\n\n");
    let wrong = paragraphs.next().unwrap_or_default();
    let lines: Vec<&str> = wrong.trim_start_matches("error: ").lines().map(str::trim).collect();
    let (first, rest) = lines.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    let wrong = if rest.is_empty() { first.to_owned() } else { format!("{first} {}", rest.join(" ")) };
    let (mut tip, mut help) = (None, "dew --help".to_owned());
    for paragraph in paragraphs.map(str::trim) {
        tip = tip.or_else(|| {
            paragraph.strip_prefix("tip: ").map(|tip| tip.lines().map(str::trim).collect::<Vec<_>>().join("; "))
        });
        if let Some(usage) = paragraph.strip_prefix("Usage: ") {
            let words = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
            help = format!("{} --help", words.collect::<Vec<_>>().join(" "));
        }
    }
    let hint =
        tip.map_or_else(|| format!("`{help}` shows how it is meant"), |tip| format!("{tip}; `{help}` shows the rest"));
    Failure::usage(wrong).hint(hint)
}

/// Fails when flags of commands that ask a server stand before one that asks none, where they would mean nothing.
pub(crate) fn stands_right(matches: &ArgMatches, command: &Command) -> Result<(), Failure> {
    if command.asks_a_server() {
        return Ok(());
    }
    // The words themselves: flags that hold for all below a command are known to the root's matches too.
    let name = matches.subcommand_name().unwrap_or_default();
    let mut before =
        env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).take_while(|word| word != name);
    let Some(flag) = before.find(|word| word.starts_with('-')) else { return Ok(()) };
    let flag = flag.split('=').next().unwrap_or_default();
    Err(Failure::usage(format!("{flag} stands before {name}, where it means nothing"))
        .hint(format!("a flag of `dew {name}` comes after that word")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> String {
        let error = crate::args::command().try_get_matches_from(words).expect_err("wrong");
        failure(&error.to_string()).to_string()
    }

    #[test]
    fn what_is_wrong_is_a_line_and_what_to_do_another() {
        let missing = said(&["dew", "droplet", "create", "x", "--size", "s"]);
        assert!(
            missing.starts_with("the following required arguments were not provided: --image <IMAGE>\nhint: "),
            "{missing}"
        );
        assert!(missing.ends_with("`dew droplet create --help` shows how it is meant"), "{missing}");
        let unknown = said(&["dew", "droplet", "lst"]);
        assert!(
            unknown.starts_with("unrecognized subcommand 'lst'\nhint: some similar subcommands exist"),
            "{unknown}"
        );
        let value = said(&["dew", "droplet", "list", "-o", "xml"]);
        assert_eq!(value.lines().count(), 2, "{value}");
        assert!(value.contains("'xml'") && value.contains("json"), "{value}");
    }
}

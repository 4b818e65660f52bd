//! The command reference and the man pages, made from the commands themselves; `tests/reference.rs` checks that the one in
//! `docs/` is current.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Arg, Args, Command};

use crate::{
    groups,
    output::{Table, print},
    tables::{CONTEXT, NEW_TOKEN, TOKEN},
};

/// Flags of `dew __reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    /// Write a man page for each command into this directory, instead of printing the reference
    #[arg(long, value_name = "DIR")]
    man: Option<PathBuf>,
}

const HEAD: &str = "# Commands

Made from the program: `dew __reference > docs/cli.md`. `dew __reference --man DIR` writes the man pages.

The commands have doctl's names and flags where doctl has them; [from-doctl.md](from-doctl.md) is a walk-through. Every group below
`compute` is also there without that word, but for `dew compute image`: `dew image` is about this host's base images.

Data goes to standard output, everything else to standard error. `-o json` prints an array of the API's objects, also for one;
`--format` chooses the columns of tables and of `-o csv`. A command that loses something asks, and where nobody can be asked it
refuses; `--force` says that it is meant. Where an id is wanted a name will do, if only one thing has it.

| status | the command ended because |
| --- | --- |
| 0 | it is done, or nobody reads what it prints any more (`head` had enough) |
| 1 | the server refused, or something else went wrong |
| 2 | the command line is wrong, nobody could be asked for a confirmation, or it is not built yet |
| 3 | what was asked for is not there |
| 4 | the token is missing, not known, or may not do this |
| 5 | no server answers there |
| 6 | what was waited for did not happen in time; it goes on at the server |
| 130 | Ctrl-C; it says what goes on at the server |

The server is the first of: `--url`, the context that `--context` names, `DEW_URL`, `DIGITALOCEAN_API_URL`, the context in use,
`http://127.0.0.1:8080`. The token is the first of: that of the context that `--context` names, `DEW_TOKEN`,
`DIGITALOCEAN_ACCESS_TOKEN`, that of the context in use when its server is asked, and for a server on this host the admin token in
the data directory. A token is never a flag: others could read it in the list of processes.
";

/// Prints the reference, or writes the man pages.
pub(crate) fn run(args: &ReferenceArgs, root: Command) -> Result<()> {
    match &args.man {
        None => print(&reference(root)),
        Some(dir) => man(root, dir),
    }
}

fn man(root: Command, dir: &PathBuf) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    clap_mangen::generate_to(root.disable_help_subcommand(true), dir)
        .with_context(|| format!("cannot write man pages into {}", dir.display()))
}

fn reference(mut root: Command) -> String {
    root.build();
    let mut text = HEAD.to_owned();
    for command in shown(&root) {
        text.push_str(&format!("\n## dew {}\n\n{}\n", command.get_name(), about(command)));
        section(&mut text, &format!("dew {}", command.get_name()), command);
    }
    text
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
}

fn about(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let aliases: Vec<String> = command.get_visible_aliases().map(|alias| format!("`{alias}`")).collect();
    let stop = if about.ends_with('.') { "" } else { "." };
    let short = if aliases.is_empty() { String::new() } else { format!(" Short: {}.", aliases.join(", ")) };
    format!("{about}{stop}{short}")
}

/// A command's usage and flags; then those below it. What `compute` holds is told where it is without that word.
fn section(text: &mut String, words: &str, command: &Command) {
    if words == "dew compute" {
        let names: Vec<&str> = shown(command).map(Command::get_name).filter(|name| *name != "image").collect();
        text.push_str(&format!("\nThe same as without the word: {}.\n", names.join(", ")));
    }
    if !command.has_subcommands() {
        let usage = command.clone().render_usage().to_string();
        text.push_str(&format!("\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")));
        let own: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set() && is_own(arg)).collect();
        if !own.is_empty() {
            text.push_str("\n| | |\n| --- | --- |\n");
        }
        for arg in own {
            text.push_str(&format!("| `{}` | {} |\n", name(arg), help(arg)));
        }
        if let Some(table) = table(words) {
            let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
            text.push_str(&format!("\nColumns: {}.\n", columns.join(", ")));
        }
    }
    for below in shown(command) {
        if words == "dew compute" && below.get_name() != "image" {
            continue;
        }
        let words = format!("{words} {}", below.get_name());
        text.push_str(&format!("\n### {words}\n\n{}\n", about(below)));
        section(text, &words, below);
    }
}

/// What a command prints that prints a table.
fn table(words: &str) -> Option<&'static Table> {
    let words = words.trim_start_matches("dew ");
    match words {
        "auth list" => Some(&CONTEXT),
        "token create" => Some(&NEW_TOKEN),
        "token list" => Some(&TOKEN),
        // The one word that stands for two things: without compute it is about the host's images.
        _ if words.starts_with("image ") => None,
        _ => groups::table(words.trim_start_matches("compute ")),
    }
}

/// Whether a flag is this command's, not one that every command has.
fn is_own(arg: &Arg) -> bool {
    !["help", "version", "url", "context", "ca_cert", "output", "columns", "no_header", "quiet"]
        .contains(&arg.get_id().as_str())
}

fn name(arg: &Arg) -> String {
    let value = arg.get_value_names().map(|names| names.join(" ")).unwrap_or_default().replace('|', "\\|");
    let takes = arg.get_action().takes_values();
    match (arg.get_long(), arg.get_short()) {
        (Some(long), short) => {
            let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
            let equals = if arg.is_require_equals_set() { format!("[={value}]") } else { format!(" {value}") };
            if takes { format!("{short}--{long}{equals}") } else { format!("{short}--{long}") }
        }
        (None, _) => value,
    }
}

fn help(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default().replace('|', "\\|");
    let words: Vec<String> = match arg.get_action().takes_values() {
        true => arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect(),
        false => Vec::new(),
    };
    let words = if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) };
    let needed = if arg.is_required_set() && arg.get_long().is_some() { " (required)" } else { "" };
    format!("{help}{words}{needed}")
}

//! `dew completion`: scripts for shells, which ask this program what could come next; names and ids come from the server.

use std::time::Duration;

use anyhow::Result;
use clap::{Arg, Args, Command, FromArgMatches as _, ValueEnum};

use crate::{
    client::{Client, ClientArgs},
    output::{Json, print},
    tree::{block_on, kind::Kind},
};

/// How long a server may take to say what there is: whoever types does not wait longer.
const TIME: Duration = Duration::from_secs(2);

/// Flags of `dew completion`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bash:  source <(dew completion bash)
  zsh:   source <(dew completion zsh)
  fish:  dew completion fish | source")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The words of a command line, the last one not yet whole.
#[derive(Debug, Args)]
pub(crate) struct CompleteArgs {
    #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
    words: Vec<String>,
}

/// The scripts; `tests/cli/shells` runs each in its shell.
const BASH: &str = include_str!("completion/dew.bash");
const ZSH: &str = include_str!("completion/dew.zsh");
const FISH: &str = include_str!("completion/dew.fish");

/// Prints a shell's script.
pub(crate) fn run(args: &CompletionArgs) -> Result<()> {
    print(match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    })
}

/// Prints what could stand in the place of the last word, a line each, with what it is after a tab. Says nothing when it
/// cannot: a shell that completes is no place for errors.
pub(crate) fn complete(args: &CompleteArgs, root: &mut Command) -> Result<()> {
    root.build();
    let (partial, before) = args.words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let mut found = candidates(root, before, partial);
    found.retain(|(word, _)| word.starts_with(partial));
    print(&found.iter().map(|(word, what)| format!("{word}\t{what}\n")).collect::<String>())
}

type Candidates = Vec<(String, String)>;

fn candidates(root: &Command, before: &[String], partial: &str) -> Candidates {
    let place = Place::of(root, before);
    if let Some((flag, value)) = partial.split_once('=')
        && let Some(arg) =
            place.command.get_arguments().find(|arg| arg.get_long().is_some_and(|long| flag == format!("--{long}")))
    {
        let _ = value;
        return values(arg, before).into_iter().map(|(word, what)| (format!("{flag}={word}"), what)).collect();
    }
    if let Some(arg) = place.awaits {
        return listed(arg, partial, before);
    }
    if partial.starts_with('-') {
        return flags(place.command);
    }
    let below = place.command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help");
    let mut found: Candidates = below.map(|below| (below.get_name().to_owned(), about(below.get_about()))).collect();
    if let Some(arg) = place.positional() {
        found.extend(values(arg, before));
    }
    found
}

/// Where on the command line the last word stands.
struct Place<'a> {
    command: &'a Command,
    /// The flag whose value it is.
    awaits: Option<&'a Arg>,
    /// Words before it that are no flags and no commands.
    positionals: usize,
}

impl<'a> Place<'a> {
    fn of(root: &'a Command, before: &[String]) -> Self {
        let mut place = Self { command: root, awaits: None, positionals: 0 };
        for word in before {
            if place.awaits.take().is_some() {
                continue;
            }
            if word.starts_with('-') {
                place.awaits = place.command.get_arguments().find(|arg| takes_next(arg, word));
            } else if let Some(below) = place.command.find_subcommand(word) {
                place = Self { command: below, ..place };
            } else {
                place.positionals += 1;
            }
        }
        place
    }

    fn positional(&self) -> Option<&'a Arg> {
        let mut args = self.command.get_positionals();
        let last = self.command.get_positionals().last();
        args.nth(self.positionals).or(last.filter(|arg| arg.get_num_args().is_some_and(|range| range.max_values() > 1)))
    }
}

/// Whether this flag's value is the next word.
fn takes_next(arg: &Arg, word: &str) -> bool {
    let is_it = arg.get_long().is_some_and(|long| word == format!("--{long}"))
        || arg.get_visible_aliases().unwrap_or_default().iter().any(|alias| word == format!("--{alias}"))
        || arg.get_short().is_some_and(|short| word == format!("-{short}"));
    is_it && arg.get_action().takes_values() && !arg.is_require_equals_set()
}

fn flags(command: &Command) -> Candidates {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| Some((format!("--{}", arg.get_long()?), about(arg.get_help())))).collect()
}

fn about(text: Option<&clap::builder::StyledStr>) -> String {
    text.map(|text| text.to_string().lines().next().unwrap_or_default().to_owned()).unwrap_or_default()
}

/// Values of a flag that takes several with commas between: the last of them is completed.
fn listed(arg: &Arg, partial: &str, before: &[String]) -> Candidates {
    let found = values(arg, before);
    match partial.rsplit_once(',') {
        Some((done, _)) if arg.get_value_delimiter().is_some() => {
            found.into_iter().map(|(word, what)| (format!("{done},{word}"), what)).collect()
        }
        _ => found,
    }
}

/// What this can be: its words, or what the server has of its kind.
fn values(arg: &Arg, before: &[String]) -> Candidates {
    let words: Candidates = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| (value.get_name().to_owned(), about(value.get_help())))
        .collect();
    if !words.is_empty() {
        return words;
    }
    let word = arg.get_value_names().and_then(<[_]>::first).map(ToString::to_string).unwrap_or_default();
    Kind::of_word(&word).and_then(|kind| live(kind, before)).unwrap_or_default()
}

/// What the server has of a kind, by name and by id.
fn live(kind: Kind, before: &[String]) -> Option<Candidates> {
    let listing = kind.listing()?;
    // The flags that name the server, wherever they stand.
    let flags = ClientArgs::augment(Command::new("dew")).ignore_errors(true);
    let named = before.iter().enumerate().filter(|(index, word)| {
        let of_server =
            |word: &str| ["--url", "--api-url", "-u", "--context", "--ca-cert", "--data-dir"].contains(&word);
        of_server(word.split('=').next().unwrap_or_default()) || (*index > 0 && of_server(&before[index - 1]))
    });
    let words = std::iter::once("dew".to_owned()).chain(named.map(|(_, word)| word.clone()));
    let args = ClientArgs::from_arg_matches(&flags.try_get_matches_from(words).ok()?).ok()?.or(&ClientArgs::default());
    let client = Client::new(&args).ok()?;
    let found =
        block_on(async { Ok(tokio::time::timeout(TIME, listing.all(&client, &[])).await.ok().and_then(Result::ok)) });
    let text = |object: &Json, member: &str| object.at(member).cell();
    let mut candidates = Vec::new();
    for object in found.ok()?? {
        let (id, name) = (text(&object, listing.id), text(&object, listing.name));
        if name != id && !name.is_empty() && kind != Kind::Action {
            candidates.push((name.clone(), id.clone()));
        }
        let what = if name == id { described(&object) } else { name };
        candidates.push((id, what));
    }
    Some(candidates)
}

/// What a thing without a name of its own is.
fn described(object: &Json) -> String {
    ["name", "description", "region_slug"]
        .into_iter()
        .map(|member| object.at(member).cell())
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(words: &[&str]) -> Vec<String> {
        let mut root = crate::args::command();
        root.build();
        let (partial, before) = words.split_last().expect("a word");
        let before: Vec<String> = before.iter().map(ToString::to_string).collect();
        let found = candidates(&root, &before, partial).into_iter().map(|(word, _)| word);
        found.filter(|word| word.starts_with(partial)).collect()
    }

    #[test]
    fn commands_flags_and_words_are_completed() {
        assert_eq!(complete(&["drop"]), ["droplet", "droplet-action"]);
        assert_eq!(complete(&["compute", "volume", "del"]), ["delete", "delete-by-name", "delete-snapshot"]);
        assert_eq!(complete(&["droplet", "list", "--no"]), ["--no-header"]);
        assert_eq!(complete(&["-o", "j"]), ["json"]);
        assert_eq!(complete(&["droplet", "create", "x", "--wait=r"]), ["--wait=ready"]);
        assert_eq!(complete(&["completion", ""]), ["bash", "zsh", "fish"]);
    }
}

//! From data to clap: the commands of the groups, their flags and their help.

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser};

use super::{
    kind::Kind,
    spec::{Group, Param, Verb, Waits},
};

/// What one can wait for, where a Droplet is made.
pub(super) const GOALS: [&str; 3] = ["active", "ssh", "ready"];

/// The command of a group, with all below it.
pub(crate) fn group(group: &Group) -> Command {
    let command = Command::new(group.name).about(group.about).visible_aliases(group.aliases.to_vec());
    let command = command.subcommand_required(true).arg_required_else_help(true);
    command.subcommands(group.verbs.iter().map(verb)).subcommands(group.groups.iter().map(self::group))
}

pub(super) fn verb(verb: &Verb) -> Command {
    let command = Command::new(verb.name).about(verb.about).visible_aliases(verb.aliases.to_vec());
    let mut command = command.args(verb.params.iter().map(arg));
    if !verb.examples.is_empty() {
        command = command.after_help(format!("Examples:\n{}", verb.examples));
    }
    if verb.destroys.is_some() {
        command = command.arg(
            Arg::new("force")
                .short('f')
                .long("force")
                .action(ArgAction::SetTrue)
                .help("Do not ask whether this is meant"),
        );
    }
    let wait = Arg::new("wait").long("wait");
    let timeout = Arg::new("wait-timeout").long("wait-timeout").value_name("SECONDS").default_value("600");
    let timeout = timeout.value_parser(clap::value_parser!(u64)).help("How long to wait at most");
    match verb.waits {
        Waits::No => command,
        Waits::Actions => command.arg(wait.action(ArgAction::SetTrue).help("Wait until it is done")).arg(timeout),
        Waits::Droplets => {
            let goals = GOALS.map(|goal| {
                clap::builder::PossibleValue::new(goal).alias(if goal == "active" { "true" } else { goal })
            });
            let wait = wait.num_args(0..=1).require_equals(true).default_missing_value("active").value_name("GOAL");
            let wait = wait.value_parser(PossibleValuesParser::new(goals));
            command.arg(wait.help("Wait until it is active, answers to SSH, or is ready [bare: active]")).arg(timeout)
        }
    }
}

fn arg(param: &Param) -> Arg {
    let mut arg = Arg::new(param.name).help(param.help).value_name(param.kind.word());
    if param.is_flag {
        arg = arg.long(param.name).visible_aliases(param.aliases.to_vec());
        arg = param.short.into_iter().fold(arg, Arg::short);
    }
    arg = match (param.kind, param.is_many) {
        (Kind::Switch, _) => arg.action(ArgAction::SetTrue),
        (_, false) => arg,
        (_, true) if param.keeps_commas => arg.action(ArgAction::Append),
        (_, true) if param.is_flag => arg.action(ArgAction::Append).value_delimiter(','),
        (_, true) => arg.num_args(1..).last(param.is_last),
    };
    arg = match param.kind {
        Kind::Word(words) => arg.value_parser(PossibleValuesParser::new(words.iter().copied())),
        Kind::Bool => {
            arg.value_parser(["true", "false"]).num_args(0..=1).require_equals(true).default_missing_value("true")
        }
        Kind::Whole(_) => arg.value_parser(whole),
        _ => arg,
    };
    match param.instead_of {
        Some(other) => arg.conflicts_with(other).required_unless_present(other),
        None => arg.required(param.is_required),
    }
}

fn whole(text: &str) -> Result<String, String> {
    match text.parse::<u64>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("it has to be a whole number".to_owned()),
    }
}

/// The words and the values of the command that was called, below `matches`.
pub(crate) fn called(matches: &ArgMatches) -> (Vec<&str>, &ArgMatches) {
    let (mut words, mut found) = (Vec::new(), matches);
    while let Some((word, below)) = found.subcommand() {
        words.push(word);
        found = below;
    }
    (words, found)
}

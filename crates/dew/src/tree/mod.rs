//! The commands that ask a server, shaped as doctl's: described as data in `groups/`, run here.

pub(crate) mod call;
pub(crate) mod confirm;
pub(crate) mod given;
pub(crate) mod kind;
pub(crate) mod parse;
pub(crate) mod session;
pub(crate) mod spec;
pub(crate) mod wait;

use anyhow::Result;
use clap::{ArgMatches, Command, FromArgMatches as _};

use crate::{client::ClientArgs, failure::Failure, groups};
use session::Session;
use spec::{Group, Verb};

/// The group that holds others in doctl, whose groups are also there without it.
const COMPUTE: &str = "compute";

/// The groups' commands, put below `dew`: each as doctl has it, those of `compute` also without that word.
pub(crate) fn commands() -> Vec<Command> {
    let compute =
        Command::new(COMPUTE).about("What doctl keeps below compute; all but image is there without this word too");
    let compute = compute.subcommand_required(true).arg_required_else_help(true);
    let compute = ClientArgs::augment(compute).subcommands(groups::compute().iter().map(parse::group));
    let short = groups::compute().into_iter().filter(|group| group.name != groups::ONLY_COMPUTE);
    let below = short.chain(groups::others()).map(|group| ClientArgs::augment(parse::group(&group)));
    let single = groups::single().into_iter().map(|verb| ClientArgs::augment(parse::verb(&verb)));
    below.chain(single).chain([compute]).collect()
}

/// Runs the command if it is one of the groups'; `None` when it is not.
pub(crate) fn run(matches: &ArgMatches, earlier: &ClientArgs) -> Option<Result<()>> {
    let (words, values) = parse::called(matches);
    let words = match words.split_first() {
        Some((&COMPUTE, rest)) => rest,
        // Without that word it is another command, of this host.
        Some((&groups::ONLY_COMPUTE, _)) => return None,
        _ => &words[..],
    };
    let verb = find(words)?;
    Some(run_verb(&verb, values, earlier))
}

/// The command of these words.
pub(crate) fn find(words: &[&str]) -> Option<Verb> {
    let (first, rest) = words.split_first()?;
    if rest.is_empty() {
        return groups::single().into_iter().find(|verb| verb.name == *first);
    }
    let mut groups = groups::compute().into_iter().chain(groups::others());
    let group = groups.find(|group| group.name == *first)?;
    take(group, rest)
}

fn take(mut group: Group, words: &[&str]) -> Option<Verb> {
    match words {
        [verb] => {
            let index = group.verbs.iter().position(|found| found.name == *verb)?;
            Some(group.verbs.swap_remove(index))
        }
        [below, rest @ ..] => {
            let index = group.groups.iter().position(|found| found.name == *below)?;
            take(group.groups.swap_remove(index), rest)
        }
        [] => None,
    }
}

fn run_verb(verb: &Verb, values: &ArgMatches, earlier: &ClientArgs) -> Result<()> {
    let args = ClientArgs::from_arg_matches(values)?.or(earlier);
    let output = args.output.clone().or(earlier.output.clone());
    let mut session = Session::new(&args, output)?;
    block_on(async {
        let given = given::Given::new(values.clone());
        let done = tokio::select! {
            done = call::run(&mut session, verb, &given) => Some(done),
            _ = tokio::signal::ctrl_c() => None,
        };
        match done {
            Some(done) => done,
            None => Err(session.interrupted().into()),
        }
    })
}

/// Runs a future on a runtime of this thread's own.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(crate::failure::Kind::Other, format!("cannot start: {error}")))?
        .block_on(future)
}

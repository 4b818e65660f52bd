//! `dew auth` and `dew init`: contexts, each a server and its token, so that neither has to be said again.

use std::{
    env, fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::Command,
};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use crate::{
    client::{ADMIN_TOKEN, Client, ClientArgs, USUAL_URL, non_empty},
    contexts::{Contexts, DEFAULT, Entry, path},
    failure::Failure,
    output::{Json, print, tell},
    tables::CONTEXT,
    tree::block_on,
};

/// Flags of `dew auth`.
#[derive(Debug, Args)]
pub(crate) struct AuthArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: AuthCommand,
}

#[derive(Debug, Subcommand)]
enum AuthCommand {
    /// Keep a server and a token as a context, once they have been tried, and use it.
    #[command(visible_alias = "login", after_help = INIT_HELP)]
    Init,
    /// List the contexts.
    #[command(visible_alias = "ls")]
    List,
    /// Use another context from now on.
    Switch {
        /// Its name; --context does as well
        name: Option<String>,
    },
    /// Forget a context and its token.
    #[command(visible_alias = "rm")]
    Remove {
        /// Its name; --context does as well
        name: Option<String>,
    },
    /// Print the token in use.
    Token,
}

/// Flags of `dew init`.
#[derive(Debug, Args)]
#[command(after_help = INIT_HELP)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    client: ClientArgs,
}

const INIT_HELP: &str =
    "The token is asked for, or comes from standard input, DEW_TOKEN or DIGITALOCEAN_ACCESS_TOKEN; for a
server on this host it is the admin token in the data directory if there is no other. It is kept
in dewpoint/config.toml below XDG_CONFIG_HOME or ~/.config, readable by this user alone.

Examples:
  dew init
  dew auth init --context lab --url https://lab.example.com:8443 --ca-cert lab.pem < token";

/// Runs `dew init`.
pub(crate) fn init(args: InitArgs, earlier: &ClientArgs) -> Result<()> {
    keep(&args.client.or(earlier))
}

/// Runs `dew auth …`.
pub(crate) fn run(args: AuthArgs, earlier: &ClientArgs) -> Result<()> {
    let client = args.client.or(earlier);
    let named = |name: Option<String>| {
        name.or_else(|| client.context.clone())
            .ok_or_else(|| Failure::usage("no context is named").hint("`dew auth list` shows them"))
    };
    match args.command {
        AuthCommand::Init => keep(&client),
        AuthCommand::List => {
            let contexts = Contexts::load()?;
            let text = |text: &str| Json::Text(text.to_owned());
            let rows = contexts.all().map(|(name, entry)| {
                let is_current = name == contexts.current();
                let members = [("name", text(name)), ("url", text(&entry.url)), ("current", Json::Bool(is_current))];
                Json::Map(members.map(|(name, value)| (name.to_owned(), value)).to_vec())
            });
            let rows: Vec<Json> = rows.collect();
            client.output.or(earlier.output.clone()).print(&CONTEXT, &rows)
        }
        AuthCommand::Switch { name } => {
            let (name, mut contexts) = (named(name)?, Contexts::load()?);
            contexts.switch(&name)?;
            contexts.save()?;
            tell!("The context in use is {name}.");
            Ok(())
        }
        AuthCommand::Remove { name } => {
            let (name, mut contexts) = (named(name)?, Contexts::load()?);
            contexts.remove(&name)?;
            contexts.save()
        }
        AuthCommand::Token => print(&format!("{}\n", Client::new(&client)?.token())),
    }
}

/// Tries a server and a token, and keeps them.
fn keep(args: &ClientArgs) -> Result<()> {
    let mut contexts = Contexts::load()?;
    let name = args.context.clone().unwrap_or_else(|| DEFAULT.to_owned());
    let known =
        contexts.get(None).ok().flatten().filter(|(current, _)| *current == name).map(|(_, entry)| entry.clone());
    let environment = ["DEW_URL", "DIGITALOCEAN_API_URL"].into_iter().find_map(non_empty);
    let usual =
        args.url.clone().or(environment).or(known.map(|entry| entry.url)).unwrap_or_else(|| USUAL_URL.to_owned());
    let is_asked = io::stdin().is_terminal();
    let url = match (is_asked, &args.url) {
        (true, None) => ask(&format!("The server [{usual}]: "))?.unwrap_or(usual),
        _ => usual,
    };
    let (token, origin) = token(args, is_asked)?;
    let ca_cert = args.ca_cert.as_ref().map(fs::canonicalize).transpose().context("--ca-cert")?;
    let client = Client::with_token(args, &url, &token, &origin, ca_cert.clone())?;
    let account = block_on(client.get("/v2/account"))?;
    contexts.put(&name, Entry { url: client.url().to_owned(), token, ca_cert });
    contexts.save()?;
    let whose = account.at("account.email").cell();
    tell!("{} knows {origin} as {whose}. It is kept as the context {name} in {}.", client.url(), path()?.display());
    Ok(())
}

/// The token to keep, and where it comes from.
fn token(args: &ClientArgs, is_asked: bool) -> Result<(String, String)> {
    for name in ["DEW_TOKEN", "DIGITALOCEAN_ACCESS_TOKEN"] {
        if let Some(token) = non_empty(name) {
            return Ok((token, format!("the token in {name}")));
        }
    }
    let given = match is_asked {
        true => ask_silently("The token (not shown; empty for this host's own server): ")?,
        false => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line)?;
            Some(line.trim().to_owned()).filter(|line| !line.is_empty())
        }
    };
    if let Some(token) = given {
        return Ok((token, "the token given".to_owned()));
    }
    let path = args.data_dir()?.join(ADMIN_TOKEN);
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("no token was given, and {}: {error}", path.display()))
            .hint("give it on standard input or as DEW_TOKEN; the first start of `dew serve` prints the admin token")
    })?;
    Ok((text.trim().to_owned(), format!("the token in {}", path.display())))
}

fn ask(question: &str) -> Result<Option<String>> {
    let mut err = io::stderr().lock();
    write!(err, "{question}")?;
    err.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty()))
}

/// Asks without showing what is typed, where `stty` can do that.
fn ask_silently(question: &str) -> Result<Option<String>> {
    let stty = |word| Command::new("stty").arg(word).status().is_ok_and(|status| status.success());
    let is_hidden = env::var_os("PATH").is_some() && stty("-echo");
    let answer = ask(question);
    if is_hidden {
        stty("echo");
        tell!();
    }
    answer
}

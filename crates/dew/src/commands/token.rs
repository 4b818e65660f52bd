//! `dew token`: the access tokens of one's own account.

use anyhow::Result;
use clap::{Args, Subcommand};
use dewpoint_api::{ScopeNames, TokenCreateRequest, TokenId};

use crate::{
    client::{Client, ClientArgs, TOKEN_HELP},
    output::Output,
    tables::{NEW_TOKEN, TOKEN},
    tree::block_on,
};

const PATH: &str = "/dew/v1/tokens";

/// Flags of `dew token`.
#[derive(Debug, Args)]
#[command(after_help = TOKEN_HELP)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token. It is printed this once.
    Create {
        /// What it is for
        name: String,
        /// What it may do, with commas between: full, read, or names such as droplet:read [default: full]
        #[arg(long, value_name = "SCOPES", value_delimiter = ',')]
        scopes: Vec<String>,
        /// Seconds until it ends [default: never]
        #[arg(long, value_name = "SECONDS")]
        expires_in: Option<u64>,
    },
    /// List the tokens, oldest first, without themselves.
    List,
    /// Revoke a token: it is refused from now on.
    Revoke {
        /// Its id, as the list has it
        id: TokenId,
    },
}

/// Runs `dew token …`.
pub(crate) fn run(args: TokenArgs, earlier: &ClientArgs) -> Result<()> {
    let client_args = args.client.or(earlier);
    let output = client_args.output.clone().or(earlier.output.clone());
    let client = Client::new(&client_args)?;
    block_on(ask(args.command, &client, &output))
}

async fn ask(command: TokenCommand, client: &Client, output: &Output) -> Result<()> {
    match command {
        TokenCommand::Create { name, scopes, expires_in } => {
            let scopes = (!scopes.is_empty()).then_some(ScopeNames::Many(scopes));
            let request = serde_json::to_value(TokenCreateRequest { name: Some(name), scopes, expires_in })?;
            let made = client.send("POST", PATH, &[], Some(&request)).await?.body;
            output.note("The token is shown this once and cannot be shown again.");
            output.print(&NEW_TOKEN, &[made])
        }
        TokenCommand::List => output.print(&TOKEN, &client.list(PATH, &[], &TOKEN).await?),
        TokenCommand::Revoke { id } => client.send("DELETE", &format!("{PATH}/{id}"), &[], None).await.map(drop),
    }
}

//! `dew token`: the access tokens of one's own account.

use anyhow::Result;
use clap::{Args, Subcommand};
use dewpoint_api::{ScopeNames, Token, TokenCreateRequest, TokenCreateResponse, TokenId};

use crate::{
    client::{Client, ClientArgs},
    output::print,
};

const PATH: &str = "/dew/v1/tokens";

/// Flags of `dew token`.
#[derive(Debug, Args)]
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
pub(crate) fn run(args: TokenArgs) -> Result<()> {
    let (client, format) = (Client::new(&args.client)?, args.client.output);
    match args.command {
        TokenCommand::Create { name, scopes, expires_in } => {
            let scopes = (!scopes.is_empty()).then_some(ScopeNames::Many(scopes));
            let made: TokenCreateResponse =
                client.post(PATH, &TokenCreateRequest { name: Some(name), scopes, expires_in })?;
            eprintln!("The token is shown this once and cannot be shown again.");
            print(format, &[made], ["ID", "NAME", "SCOPES", "EXPIRES", "TOKEN"], |made| {
                let [id, name, scopes, _, expires, _] = cells(&made.about);
                [id, name, scopes, expires, made.token.clone()]
            })
        }
        TokenCommand::List => {
            let tokens: Vec<Token> = client.list(PATH)?;
            print(format, &tokens, ["ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED"], cells)
        }
        TokenCommand::Revoke { id } => client.delete(&format!("{PATH}/{id}")),
    }
}

fn cells(token: &Token) -> [String; 6] {
    let time =
        |time: Option<_>| time.map_or_else(|| "never".to_owned(), |time: dewpoint_clock::Timestamp| time.to_string());
    [
        token.id.to_string(),
        token.name.clone(),
        token.scopes.to_string(),
        token.created_at.to_string(),
        time(token.expires_at),
        time(token.last_used_at),
    ]
}

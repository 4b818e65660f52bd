//! `dew account`: the accounts of a server, each with resources of its own. For its operator.

use anyhow::Result;
use clap::{Args, Subcommand};
use dewpoint_api::{AccountCreateRequest, AccountCreateResponse, AccountEntry, TokenId};
use serde::Serialize;

use crate::{
    client::{Client, ClientArgs},
    output::print,
};

const PATH: &str = "/dew/v1/accounts";

/// Flags of `dew account`.
#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make an account. Its first token, a full one, is printed this once.
    Create {
        /// Whose it is; no two accounts have one name
        name: String,
        /// Where its owner is written to
        #[arg(long)]
        email: Option<String>,
        /// What its team is called [default: the name]
        #[arg(long)]
        team_name: Option<String>,
    },
    /// List the accounts, oldest first.
    List,
}

/// An account as it is printed when it is made: with its first token.
#[derive(Debug, Serialize)]
struct NewAccount {
    #[serde(flatten)]
    account: AccountEntry,
    token: String,
    token_id: TokenId,
}

/// Runs `dew account …`.
pub(crate) fn run(args: AccountArgs) -> Result<()> {
    let (client, format) = (Client::new(&args.client)?, args.client.output);
    match args.command {
        AccountCommand::Create { name, email, team_name } => {
            let request = AccountCreateRequest { name, email, team_name };
            let AccountCreateResponse { account, token, token_id } = client.post(PATH, &request)?;
            eprintln!("The token is shown this once and cannot be shown again.");
            let new = NewAccount { account, token, token_id };
            print(format, &[new], ["UUID", "NAME", "EMAIL", "TOKEN"], |new| {
                [&new.account.uuid, &new.account.name, &new.account.email, &new.token].map(String::clone)
            })
        }
        AccountCommand::List => {
            let accounts: Vec<AccountEntry> = client.list(PATH)?;
            print(format, &accounts, ["UUID", "NAME", "EMAIL", "TEAM", "CREATED"], |account| {
                let AccountEntry { uuid, name, email, team_name, created_at } = account.clone();
                [uuid, name, email, team_name, created_at.to_string()]
            })
        }
    }
}

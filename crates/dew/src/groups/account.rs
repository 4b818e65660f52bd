//! `dew account`: the caller's account, and for a server's operator all of them.

use crate::{
    commands::account,
    tables::{ACCOUNT, ENTRY, NEW_ENTRY, RATE_LIMIT},
    tree::{
        kind::Kind,
        spec::{Group, Place, arg, flag, get, group, list, post},
    },
};

pub(super) fn group_of_accounts() -> Group {
    let text = |name, member, help| flag(name, Kind::Text("TEXT"), Place::Body(member), help);
    group("account", &[], "The account of the token; for a server's operator, all accounts").verbs([
        get("get", "Show the account the token is of", "/v2/account").aliases(&["g"]).shows(&ACCOUNT),
        get("ratelimit", "Show how many requests are left", "/v2/account")
            .aliases(&["rl"])
            .shows(&RATE_LIMIT)
            .run(|session, verb, given| Box::pin(account::ratelimit(session, verb, given))),
        post("create", "Make an account, with a full token that is printed this once (operator)", "/dew/v1/accounts")
            .with([
                arg("name", Kind::Text("NAME"), Place::Body("name"), "Whose it is; no two accounts have one name"),
                text("email", "email", "Where its owner is written to"),
                text("team-name", "team_name", "What its team is called [default: the name]"),
            ])
            .shows(&NEW_ENTRY)
            .run(|session, verb, given| Box::pin(account::create(session, verb, given))),
        list("list", "List the accounts of the server, oldest first (operator)", "/dew/v1/accounts")
            .aliases(&["ls"])
            .shows(&ENTRY),
    ])
}

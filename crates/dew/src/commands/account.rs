//! What `dew account` does that is more than one request.

use anyhow::Result;

use crate::{
    output::Json,
    tables::{NEW_ENTRY, RATE_LIMIT},
    tree::{call, given::Given, session::Session, spec::Verb},
};

/// `dew account ratelimit`: what the headers of any answer say.
pub(crate) async fn ratelimit(session: &mut Session, _verb: &Verb, _given: &Given) -> Result<()> {
    let answer = session.client.send("GET", "/v2/account", &[], None).await?;
    let [limit, remaining, reset] = answer.limits().each_ref().map(|text| match text {
        Some(text) => {
            text.parse::<u64>().map_or_else(|_| Json::Text(text.clone()), |number| Json::Number(number.into()))
        }
        None => Json::Null,
    });
    let reset = match reset.number().and_then(|seconds| i64::try_from(seconds).ok()) {
        Some(seconds) => Json::Text(dewpoint_clock::Timestamp::from_millis(seconds.saturating_mul(1000)).to_string()),
        None => reset,
    };
    let members = [("limit", limit), ("remaining", remaining), ("reset", reset)];
    session.print(&RATE_LIMIT, &[Json::Map(members.map(|(name, value)| (name.to_owned(), value)).to_vec())])
}

/// `dew account create`: the account with its first token, which is shown this once.
pub(crate) async fn create(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let body = call::body(&session.client, verb, given).await?;
    let answer = session.client.send("POST", verb.call.path, &[], body.as_ref()).await?.body;
    session.output.note("The token is shown this once and cannot be shown again.");
    let Json::Map(mut account) = answer.at("account").clone() else { return session.print(&NEW_ENTRY, &[answer]) };
    account.extend(["token", "token_id"].map(|name| (name.to_owned(), answer.at(name).clone())));
    session.print(&NEW_ENTRY, &[Json::Map(account)])
}

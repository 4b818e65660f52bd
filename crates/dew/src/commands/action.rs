//! What `dew action` does that is more than one request.

use std::time::Duration;

use anyhow::Result;
use dewpoint_clock::Timestamp;

use crate::{
    failure::Failure,
    output::Json,
    tables::ACTION,
    tree::{given::Given, session::Session, spec::Verb, wait},
};

/// `dew action list`: filtered here, since the API cannot.
pub(crate) async fn list(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let (after, before) = (time(given, "after")?, time(given, "before")?);
    let is = |object: &Json, member: &str, flag: &str| {
        given.text(flag).is_none_or(|wanted| object.at(member).cell() == wanted)
    };
    let mut actions = session.client.list("/v2/actions", &[], &ACTION).await?;
    actions.retain(|action| {
        let started = action.at("started_at").cell().parse::<Timestamp>().ok();
        is(action, "resource_type", "resource-type")
            && is(action, "type", "action-type")
            && is(action, "status", "status")
            && is(action, "region_slug", "region")
            && after.is_none_or(|after| started.is_some_and(|started| started > after))
            && before.is_none_or(|before| started.is_some_and(|started| started < before))
    });
    session.print(&ACTION, &actions)
}

fn time(given: &Given, flag: &str) -> Result<Option<Timestamp>> {
    let read = |text: &str| {
        text.parse().map_err(|_| {
            Failure::usage(format!("--{flag}: {text} is no time")).hint("a time is such as 2026-11-22T12:00:00Z").into()
        })
    };
    given.text(flag).map(read).transpose()
}

/// `dew action wait`
pub(crate) async fn wait(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let read = |text: &&str| text.parse().map_err(|_| Failure::usage(format!("{text} is no action's id")));
    let ids = given.all("action").iter().map(read).collect::<Result<Vec<u64>, _>>()?;
    let limit = given.text("poll-timeout").and_then(|text| text.parse().ok()).unwrap_or(600);
    let ended = wait::actions(session, &ids, Duration::from_secs(limit)).await?;
    session.print(&ACTION, &ended)
}

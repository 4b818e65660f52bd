//! From what was given to requests, and from answers to what is printed.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Map, Value};

use super::{
    confirm::confirm,
    given::Given,
    kind::Kind,
    session::Session,
    spec::{Param, Place, Verb, Waits},
    wait,
};
use crate::{client::Client, output::Json, tables};

/// Runs a command: asks whether a loss is meant, then its own steps or its plain request.
pub(crate) async fn run(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    if let Some(destroys) = verb.destroys {
        let named = verb.params.iter().filter(|param| !param.is_flag || param.instead_of.is_some());
        let named: Vec<&str> = named.flat_map(|param| given.all(param.name)).collect();
        confirm(given.is_on("force"), format!("{destroys} {}", named.join(", ")).trim())?;
    }
    // Before anything is made: a column that there is not would leave it without its id being told.
    verb.call.table.map_or(Ok(()), |table| session.output.check(table))?;
    match verb.own {
        Some(own) => own(session, verb, given).await,
        None => plain(session, verb, given).await,
    }
}

/// The request that the command describes, once for each value of a parameter that may stand several times in its path.
pub(crate) async fn plain(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let query = query(&session.client, verb, given).await?;
    let body = body(&session.client, verb, given).await?;
    let mut paths = vec![verb.call.path.to_owned()];
    for param in verb.params.iter().filter(|param| param.place == Place::Path) {
        let mut next = Vec::new();
        for text in given.all(param.name) {
            let value = written(&param.kind.value(&session.client, text).await?);
            next.extend(paths.iter().map(|path| path.replace(&format!("{{{}}}", param.name), &escaped(&value))));
        }
        paths = next;
    }
    let mut objects = Vec::new();
    for path in paths {
        objects.extend(one(session, verb, given, &path, &query, body.as_ref()).await?);
    }
    match verb.call.table {
        Some(table) => session.print(table, &objects),
        None => Ok(()),
    }
}

/// One request; the objects of its answer, as they are after what was started has ended, if that was asked for.
async fn one(
    session: &mut Session,
    verb: &Verb,
    given: &Given,
    path: &str,
    query: &[(String, String)],
    body: Option<&Value>,
) -> Result<Vec<Json>> {
    let (call, client) = (verb.call, &session.client);
    if let (true, Some(table)) = (call.is_paged, call.table) {
        return client.list(path, query, table).await;
    }
    let answer = client.send(call.method, path, query, body).await?.body;
    let mut objects = call.table.map(|table| table.objects(&answer)).unwrap_or_default();
    if verb.waits == Waits::Actions && given.is_on("wait") {
        let is_action = call.table.is_some_and(|table| std::ptr::eq(table, &tables::ACTION));
        let started = started(&answer, is_action.then_some(&objects[..]));
        let ended = wait::actions(session, &started, limit(given)).await?;
        if is_action {
            objects = ended;
        }
    }
    Ok(objects)
}

/// How long `--wait` waits at most.
pub(crate) fn limit(given: &Given) -> Duration {
    let seconds = given.whole("wait-timeout").unwrap_or(600);
    Duration::from_secs(seconds)
}

/// The ids of the actions that an answer holds, or else links to.
pub(crate) fn started(answer: &Json, actions: Option<&[Json]>) -> Vec<u64> {
    let actions = actions.unwrap_or_else(|| answer.at("links.actions").list());
    actions.iter().filter_map(|action| action.at("id").number()).collect()
}

async fn query(client: &Client, verb: &Verb, given: &Given) -> Result<Vec<(String, String)>> {
    let mut query: Vec<(String, String)> =
        verb.call.query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for param in &verb.params {
        let Place::Query(name) = param.place else { continue };
        if param.kind == Kind::Switch {
            query.extend(given.is_on(param.name).then(|| (name.to_owned(), "true".to_owned())));
        }
        for text in given.texts(param) {
            query.push((name.to_owned(), written(&param.kind.value(client, text).await?)));
        }
    }
    Ok(query)
}

/// The body of the request; `None` when nothing of it belongs in a body.
pub(crate) async fn body(client: &Client, verb: &Verb, given: &Given) -> Result<Option<Value>> {
    let mut body = Map::new();
    if let Some((member, value)) = verb.call.fixed {
        body.insert(member.to_owned(), Value::from(value));
    }
    for param in &verb.params {
        let Place::Body(path) = param.place else { continue };
        if let Some(value) = value(client, param, given).await? {
            put(&mut body, path, value)?;
        }
    }
    let sends = !body.is_empty() || matches!(verb.call.method, "POST" | "PUT" | "PATCH");
    Ok(sends.then_some(Value::Object(body)))
}

async fn value(client: &Client, param: &Param, given: &Given) -> Result<Option<Value>> {
    if param.kind == Kind::Switch {
        return Ok(given.is_on(param.name).then_some(Value::Bool(true)));
    }
    let mut values = Vec::new();
    for text in given.texts(param) {
        values.push(param.kind.value(client, text).await?);
    }
    Ok(match param.is_many {
        true if values.is_empty() => None,
        true => Some(Value::Array(values)),
        false => values.pop(),
    })
}

/// Puts a value at a path such as `backup_policy.plan`.
fn put(body: &mut Map<String, Value>, path: &str, value: Value) -> Result<()> {
    let Some((head, rest)) = path.split_once('.') else {
        // Two flags for one list, such as --tag-name and --tag-names, fill it together.
        if let (Some(Value::Array(there)), Value::Array(more)) = (body.get_mut(path), &value) {
            there.extend(more.iter().cloned());
            return Ok(());
        }
        body.insert(path.to_owned(), value);
        return Ok(());
    };
    match body.entry(head).or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(below) => put(below, rest, value),
        _ => bail!("{head} is given in two ways"),
    }
}

/// A value as a path or a query holds it.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn escaped(text: &str) -> String {
    // What is no part of a path's segment; a colon of a fingerprint and a tag is.
    const SET: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b':');
    percent_encoding::utf8_percent_encode(text, SET).to_string()
}

impl Given {
    /// Every text given for a parameter; switches have none.
    fn texts(&self, param: &Param) -> Vec<&str> {
        if param.kind == Kind::Switch { Vec::new() } else { self.all(param.name) }
    }
}

//! What `dew droplet` does that is more than one request.

use anyhow::Result;
use serde_json::{Value, json};

use super::serve_model::Serving;
use crate::{
    failure::{Failure, Kind as Failed},
    output::Json,
    tables::{DROPLET, DRY_RUN, PASSWORD},
    tree::{
        call,
        given::Given,
        kind::Kind,
        session::Session,
        spec::Verb,
        wait::{self, Goal},
    },
};

/// `dew droplet create`: one request for all names, then the project, then the wait.
pub(crate) async fn create(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let mut body = call::body(&session.client, verb, given).await?.unwrap_or_default();
    match given.all("names")[..] {
        [name] => body["name"] = Value::from(name),
        ref names => body["names"] = json!(names),
    }
    let serving = Serving::of(given)?;
    if let Some(serving) = &serving {
        serving.put_into(session, given, &mut body).await?;
    }
    if given.is_on("dry-run") {
        return dry_run(session, &body).await;
    }
    let project = match given.text("project-id") {
        Some(text) => Some(call::written(&Kind::Project.value(&session.client, text).await?)),
        None => None,
    };
    if let Some(serving) = &serving {
        serving.announce(session).await?;
    }
    let unanswered = format!("the request for {}, unanswered: they may have been made", given.all("names").join(", "));
    session.leaves(unanswered);
    let answer = session.client.send("POST", "/v2/droplets", &[], Some(&body)).await?.body;
    session.leaves_nothing();
    let mut droplets = DROPLET.objects(&answer);
    for droplet in &droplets {
        session.leaves(format!("Droplet {} ({}) is being made", droplet.at("id").cell(), droplet.at("name").cell()));
    }
    if let Some(project) = project {
        let urns: Vec<String> =
            droplets.iter().map(|droplet| format!("do:droplet:{}", droplet.at("id").cell())).collect();
        let path = format!("/v2/projects/{project}/resources");
        session.client.send("POST", &path, &[], Some(&json!({ "resources": urns }))).await?;
    }
    if let Some(goal) = given.text("wait") {
        let limit = call::limit(given);
        wait::actions(session, &call::started(&answer, None), limit).await?;
        for droplet in &mut droplets {
            let id = droplet.at("id").number().unwrap_or_default();
            session.leaves(format!("Droplet {id} goes on booting"));
            wait::droplet(session, id, Goal::of(goal), limit).await?;
            *droplet = session.client.get(&format!("/v2/droplets/{id}")).await?.at("droplet").clone();
        }
    }
    session.print(&DROPLET, &droplets)
}

/// Says what a create would cost and where it would be. Fails when it would be refused.
async fn dry_run(session: &Session, body: &Value) -> Result<()> {
    let query = [("dry_run".to_owned(), "true".to_owned())];
    let answer = session.client.send("POST", "/v2/droplets", &query, Some(body)).await?.body;
    if !answer.has("dry_run") {
        return Err(Failure::new(Failed::Other, "this server knows no dry run, and may have made the Droplets")
            .hint("`dew droplet list` shows what there is")
            .into());
    }
    let found = answer.at("dry_run").clone();
    let reasons = found.at("reasons").cell();
    session.print(&DRY_RUN, &[found])?;
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Failure::new(Failed::Other, format!("it would not be made now: {reasons}")).into()),
    }
}

/// `dew droplet list`: what the server cannot filter is filtered here.
pub(crate) async fn list(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let mut query = Vec::new();
    if let Some(tag) = given.text("tag-name") {
        query.push(("tag_name".to_owned(), tag.to_owned()));
    }
    if given.is_on("gpus") {
        query.push(("type".to_owned(), "gpus".to_owned()));
    }
    let (names, region) = (given.all("names"), given.text("region"));
    let mut droplets = session.client.list("/v2/droplets", &query, &DROPLET).await?;
    droplets.retain(|droplet| {
        let name = droplet.at("name").cell();
        let named = names.is_empty() || names.iter().any(|pattern| matches(pattern, &name));
        named && region.is_none_or(|region| droplet.at("region.slug").cell() == region)
    });
    session.print(&DROPLET, &droplets)
}

/// Whether a name fits a pattern, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|name| {
            (0..=name.len()).filter(|start| name.is_char_boundary(*start)).any(|start| matches(rest, &name[start..]))
        }),
    }
}

/// `dew droplet delete`: by id, by name, or all with a tag.
pub(crate) async fn delete(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let Some(tag) = given.text("tag-name") else { return call::plain(session, verb, given).await };
    let query = [("tag_name".to_owned(), tag.to_owned())];
    session.client.send("DELETE", "/v2/droplets", &query, None).await.map(drop)
}

/// `dew droplet tag`: the tag is made when there is none.
pub(crate) async fn tag(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    if let Some(tag) = given.text("tag-name") {
        session.client.send("POST", "/v2/tags", &[], Some(&json!({ "name": tag }))).await?;
    }
    tagged(session, given, "POST").await
}

/// `dew droplet untag`
pub(crate) async fn untag(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    tagged(session, given, "DELETE").await
}

async fn tagged(session: &Session, given: &Given, method: &str) -> Result<()> {
    let id = Kind::Droplet.value(&session.client, given.text("droplet").unwrap_or_default()).await?;
    let body = json!({ "resources": [{ "resource_id": call::written(&id), "resource_type": "droplet" }] });
    for tag in given.all("tag-name") {
        session.client.send(method, &format!("/v2/tags/{}/resources", call::escaped(tag)), &[], Some(&body)).await?;
    }
    Ok(())
}

/// `dew droplet-action password`
pub(crate) async fn password(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let id = Kind::Droplet.value(&session.client, given.text("droplet").unwrap_or_default()).await?;
    let found: Json = session.client.get(&format!("/dew/v1/droplets/{id}/password")).await?;
    session.output.note("The password is shown this once and cannot be shown again.");
    session.print(&PASSWORD, &[found])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("web-*", "web-1") && matches("*", "") && matches("*-1", "web-1") && matches("w*b*1", "web-1"));
        assert!(!matches("web", "web-1") && !matches("web-*", "db-1") && !matches("*2", "web-1"));
    }
}

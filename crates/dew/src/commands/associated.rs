//! `dew droplet associated`: Droplets together with what belongs to them.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{
    failure::Failure,
    output::Json,
    tables::ASSOCIATED,
    tree::{call, given::Given, kind::Kind, session::Session, spec::Verb},
};

/// What can belong to a Droplet, as requests and answers name it.
const KINDS: [&str; 5] = ["reserved_ips", "floating_ips", "snapshots", "volumes", "volume_snapshots"];

async fn path(session: &Session, given: &Given, below: &str) -> Result<String> {
    let id = Kind::Droplet.value(&session.client, given.text("droplet").unwrap_or_default()).await?;
    Ok(format!("/v2/droplets/{id}/destroy_with_associated_resources{below}"))
}

/// The members of an answer in one list, each with its kind.
fn flat(answer: &Json) -> Vec<Json> {
    let of_kind = |kind: &str| -> Vec<Json> {
        let with_kind = |object: &Json| match object {
            Json::Map(members) => {
                let kind = ("kind".to_owned(), Json::Text(kind.trim_end_matches('s').to_owned()));
                Json::Map(std::iter::once(kind).chain(members.clone()).collect())
            }
            other => other.clone(),
        };
        answer.at(kind).list().iter().map(with_kind).collect()
    };
    KINDS.iter().flat_map(|kind| of_kind(kind)).collect()
}

/// `dew droplet associated list`
pub(crate) async fn list(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let answer = session.client.get(&path(session, given, "").await?).await?;
    session.print(&ASSOCIATED, &flat(&answer))
}

/// `dew droplet associated destroy`: what is named, or everything.
pub(crate) async fn destroy(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    if given.is_on("all") {
        let path = path(session, given, "/dangerous").await?;
        let meant = [("x-dangerous", "true")];
        return session.client.send_with("DELETE", &path, &[], None, &meant).await.map(drop);
    }
    let mut body = Map::new();
    let kinds = [
        ("snapshots", Kind::Snapshot),
        ("volumes", Kind::Volume),
        ("volume-snapshots", Kind::Snapshot),
        ("reserved-ips", Kind::ReservedIp),
    ];
    for (name, kind) in kinds {
        let mut ids = Vec::new();
        for text in given.all(name) {
            ids.push(Value::from(call::written(&kind.value(&session.client, text).await?)));
        }
        if !ids.is_empty() {
            body.insert(name.replace('-', "_"), Value::Array(ids));
        }
    }
    if body.is_empty() {
        return Err(Failure::usage("nothing is named that should be destroyed with the Droplet")
            .hint("name it with --snapshots, --volumes, --volume-snapshots or --reserved-ips, or --all; `dew droplet delete` takes the Droplet alone")
            .into());
    }
    let path = path(session, given, "/selective").await?;
    session.client.send("DELETE", &path, &[], Some(&Value::Object(body))).await.map(drop)
}

/// `dew droplet associated status`
pub(crate) async fn status(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let answer = session.client.get(&path(session, given, "/status").await?).await?;
    let droplet = match answer.at("droplet") {
        Json::Map(members) => {
            let kind = ("kind".to_owned(), Json::Text("droplet".to_owned()));
            Json::Map(std::iter::once(kind).chain(members.clone()).collect())
        }
        other => other.clone(),
    };
    let objects: Vec<Json> = std::iter::once(droplet).chain(flat(answer.at("resources"))).collect();
    session.output.note(&match answer.at("completed_at") {
        Json::Null => format!("It goes on; {} failed so far.", answer.at("failures").cell()),
        at => format!("It ended at {}; {} failed.", at.cell(), answer.at("failures").cell()),
    });
    session.print(&ASSOCIATED, &objects)
}

//! `dew tag apply` and `dew tag remove`: resources by URN, as doctl takes them.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    tree::{call, given::Given, session::Session, spec::Verb},
};

/// `dew tag apply`
pub(crate) async fn apply(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    change(session, given, "POST").await
}

/// `dew tag remove`
pub(crate) async fn remove(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    change(session, given, "DELETE").await
}

async fn change(session: &Session, given: &Given, method: &str) -> Result<()> {
    let resources = given.all("resource").into_iter().map(resource).collect::<Result<Vec<Value>>>()?;
    let path = format!("/v2/tags/{}/resources", call::escaped(given.text("tag").unwrap_or_default()));
    session.client.send(method, &path, &[], Some(&json!({ "resources": resources }))).await.map(drop)
}

/// A resource as the API names it, of its URN.
fn resource(urn: &str) -> Result<Value> {
    match urn.split(':').collect::<Vec<_>>()[..] {
        ["do", kind, id] if !id.is_empty() => {
            let kind = match kind {
                "volumesnapshot" => "volume_snapshot",
                "dbaas" => "database",
                kind => kind,
            };
            Ok(json!({ "resource_id": id, "resource_type": kind }))
        }
        _ => Err(Failure::usage(format!("{urn} names no resource"))
            .hint("a URN is do:KIND:ID, such as do:droplet:3164494, do:volume:ID, do:image:ID or do:volumesnapshot:ID")
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urns_are_read_and_nonsense_is_refused() {
        let read = resource("do:volumesnapshot:x-1").expect("a URN");
        assert_eq!(read, json!({ "resource_id": "x-1", "resource_type": "volume_snapshot" }));
        assert!(["droplet:1", "do:droplet", "do:droplet:", ""].into_iter().all(|urn| resource(urn).is_err()));
    }
}

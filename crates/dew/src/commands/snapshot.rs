//! `dew snapshot list`: by region too, which the API cannot.

use anyhow::Result;

use crate::{
    tables::SNAPSHOT,
    tree::{given::Given, session::Session, spec::Verb},
};

/// `dew snapshot list`
pub(crate) async fn list(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let kind = given.text("resource").map(|kind| ("resource_type".to_owned(), kind.to_owned()));
    let query: Vec<(String, String)> = kind.into_iter().collect();
    let mut snapshots = session.client.list("/v2/snapshots", &query, &SNAPSHOT).await?;
    if let Some(region) = given.text("region") {
        snapshots.retain(|snapshot| snapshot.at("regions").list().iter().any(|one| one.cell() == region));
    }
    session.print(&SNAPSHOT, &snapshots)
}

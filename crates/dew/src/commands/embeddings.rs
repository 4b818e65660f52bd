//! `dew embeddings`: where texts lie among others, by a model that can tell.

use std::io::{self, IsTerminal as _};

use anyhow::Result;
use dewpoint_client::models::EmbeddingRequest;

use crate::{
    failure::Failure,
    tables::EMBEDDING,
    tree::{given::Given, session::Session, spec::Verb},
};

/// Asks once for all texts given, or for the lines of standard input, and prints a vector for each in their order.
pub(crate) async fn run(session: &mut Session, _verb: &Verb, given: &Given) -> Result<()> {
    let mut texts: Vec<String> = given.all("texts").into_iter().map(str::to_owned).collect();
    if texts.is_empty() {
        if io::stdin().is_terminal() {
            return Err(Failure::usage("give it texts, or lines on standard input").into());
        }
        let lines = io::read_to_string(io::stdin())?;
        texts = lines.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    }
    let mut wanted = EmbeddingRequest::new(given.text("model").unwrap_or_default(), texts);
    if let Some(dimensions) = given.whole("dimensions") {
        let too_many = || Failure::usage("--dimensions is too large a number");
        wanted.dimensions = Some(u32::try_from(dimensions).map_err(|_| too_many())?);
    }
    let body = serde_json::to_value(wanted)?;
    let answer = session.client.send("POST", "/v1/embeddings", &[], Some(&body)).await?.body;
    session.print(&EMBEDDING, &EMBEDDING.objects(&answer))
}

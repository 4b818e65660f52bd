//! What `dew model` does that is more than one request.

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    failure::Failure,
    tables::SERVED_MODEL,
    tree::{call, given::Given, session::Session, spec::Verb, wait},
};

/// Where models are that were added to the server.
pub(crate) const MODELS: &str = "/dew/v1/models";

/// `dew model add`: the request, then the wait. A file is named as the server finds it, which has another working directory.
pub(crate) async fn add(session: &mut Session, verb: &Verb, given: &Given) -> Result<()> {
    let mut body = call::body(&session.client, verb, given).await?.unwrap_or_default();
    match (given.text("file"), given.text("droplets-tag"), given.whole("port")) {
        (Some(file), None, None) => {
            let path = std::path::absolute(file).with_context(|| format!("--file {file}"))?;
            let path = path.to_str().ok_or_else(|| Failure::usage("--file: the path is no text"))?;
            body["file"] = Value::from(path);
        }
        (None, Some(_), Some(_)) => {}
        (Some(_), ..) => return Err(Failure::usage("a model is a file or Droplets: --file goes alone").into()),
        (None, ..) => {
            return Err(
                Failure::usage("what is it to be served by? --file FILE, or --droplets-tag TAG --port PORT").into()
            );
        }
    }
    let answer = session.client.send("POST", MODELS, &[], Some(&body)).await?.body;
    let mut model = answer.at("model").clone();
    if given.is_on("wait") {
        let name = model.at("name").cell();
        session.leaves(format!("the model {name} is copied and loaded; `dew model get {name}` shows how far it is"));
        model = wait::model(session, &name, call::limit(given)).await?;
        session.leaves_nothing();
    }
    session.print(&SERVED_MODEL, &[model])
}

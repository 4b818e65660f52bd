//! `dew droplet create --serve MODEL`: what makes Droplets serve a model, and the model known by them.
//!
//! The Droplets get a recipe as user data and a tag, and the server a model of that tag, unless it has it. From then on the server
//! finds those Droplets by itself, and asks each from the moment it answers.

use anyhow::Result;
use serde_json::{Value, json};

use super::model::MODELS;
use crate::{
    failure::{Failure, Kind as Failed},
    output::Json,
    tree::{call, given::Given, kind::Kind, session::Session, wait},
};

/// What a Droplet does at its first boot, unless another recipe is given.
const RECIPE: &str = include_str!("serve_model.yaml");
/// The port that it answers on.
const PORT: u64 = 8000;

/// What is to be served.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Serving {
    /// What the engine fetches and requests call it, such as `Qwen/Qwen2.5-7B-Instruct`.
    model: String,
    tag: String,
    port: u64,
}

impl Serving {
    /// What `--serve` asks for, if it is given.
    pub(crate) fn of(given: &Given) -> Result<Option<Self>> {
        let Some(model) = given.text("serve") else {
            let other = ["serve-recipe", "serve-port"].into_iter().find(|flag| given.text(flag).is_some());
            return match other {
                Some(flag) => Err(Failure::usage(format!("--{flag} goes with --serve")).into()),
                None => Ok(None),
            };
        };
        if ["user-data", "user-data-file"].into_iter().any(|flag| given.text(flag).is_some()) {
            return Err(Failure::usage("--serve writes the user data itself")
                .hint("--serve-recipe FILE gives another recipe, which may do more: {model} and {port} stand for what is served")
                .into());
        }
        Self::named(model, given.whole("serve-port").unwrap_or(PORT)).map(Some)
    }

    fn named(model: &str, port: u64) -> Result<Self> {
        let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-_.:".contains(letter);
        let begins_well = |part: &str| part.chars().next().is_some_and(|first| first.is_ascii_alphanumeric());
        // It stands in a script of the Droplet's.
        if model.len() > 128 || !model.split('/').all(|part| begins_well(part) && part.chars().all(is_good)) {
            let text = format!("--serve: {model:?} is no name of a model, such as Qwen/Qwen2.5-7B-Instruct");
            return Err(Failure::usage(text).into());
        }
        if !(1..=65_535).contains(&port) {
            return Err(Failure::usage(format!("--serve-port: {port} is no port")).into());
        }
        let tag = format!("serves:{}", model.replace(['.', '/'], "-"));
        Ok(Self { model: model.to_owned(), tag, port })
    }

    /// The recipe with what is served put in.
    fn recipe(&self, recipe: &str) -> String {
        let port = self.port.to_string();
        recipe.replace("{model}", &self.model).replace("{port}", &port)
    }

    /// Puts the recipe and the tag into the body of a create.
    pub(crate) async fn put_into(&self, session: &Session, given: &Given, body: &mut Value) -> Result<()> {
        let recipe = match given.text("serve-recipe") {
            Some(path) => call::written(&Kind::File.value(&session.client, path).await?),
            None => RECIPE.to_owned(),
        };
        body["user_data"] = Value::from(self.recipe(&recipe));
        match &mut body["tags"] {
            Value::Array(tags) => tags.push(Value::from(self.tag.as_str())),
            other => *other = json!([self.tag]),
        }
        Ok(())
    }

    /// Makes the model known to the server, unless it is: before the Droplets are made, so that nothing is paid for that nobody finds.
    pub(crate) async fn announce(&self, session: &Session) -> Result<()> {
        let Self { model: name, tag, port } = self;
        let found = match session.client.get(&format!("{MODELS}/{}", call::escaped(name))).await {
            Ok(found) => found,
            Err(error) if wait::is_absent(&error) => Json::Null,
            Err(error) => return Err(error),
        };
        let there = found.at("model.droplets");
        if there.at("tag").cell() == *tag && there.at("port").number() == Some(*port) {
            return Ok(());
        }
        if found.has("model") {
            let text = format!(
                "there is a model {name} already, which is not served by Droplets with the tag {tag} on port {port}"
            );
            let hint = format!("`dew model get {name}` shows it; `dew model delete {name}` makes room");
            return Err(Failure::new(Failed::Other, text).hint(hint).into());
        }
        let body = json!({ "name": name, "droplets": { "tag": tag, "port": port } });
        session.client.send("POST", MODELS, &[], Some(&body)).await?;
        session.output.note(&format!("The model {name} is asked at every Droplet with the tag {tag}, on port {port}."));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_goes_into_the_recipe_under_its_name() {
        let serving = Serving::named("Qwen/Qwen2.5-7B-Instruct", PORT).expect("a good name");
        assert_eq!(serving.tag, "serves:Qwen-Qwen2-5-7B-Instruct");
        let recipe = serving.recipe(RECIPE);
        assert!(recipe.starts_with("#cloud-config\n") && !recipe.contains('{'), "{recipe}");
        for part in ["--model Qwen/Qwen2.5-7B-Instruct", "8000:8000"] {
            assert!(recipe.contains(part), "{part}");
        }
        for bad in ["", "a b", "a;b", "../x/", "-v", "/etc", "a$(b)", "a\nb", "x/.."] {
            assert!(Serving::named(bad, PORT).is_err(), "{bad:?}");
        }
        assert!(Serving::named("a", 70_000).is_err());
    }
}

//! `[[models]]`: models that others serve, and where.

use std::time::Duration;

use anyhow::{Result, bail};
use dewpoint_server::{ModelConfig, Secret, UpstreamConfig};
use serde::Deserialize;

const FIRST_BYTE: f64 = 60.0;
const BETWEEN: f64 = 30.0;
/// A day: longer is a mistake.
const LONGEST: f64 = 86_400.0;

/// One of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelFile {
    /// As requests and its upstreams name it.
    name: String,
    /// As it is listed.
    owned_by: Option<String>,
    upstreams: Vec<UpstreamFile>,
    /// How long an upstream may take for its first byte.
    first_byte_seconds: Option<f64>,
    /// How long it may be silent after that.
    between_seconds: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamFile {
    url: String,
    weight: Option<u32>,
    key: Option<String>,
}

impl std::fmt::Debug for ModelFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks them. Fails with a sentence that names the model.
pub(crate) fn models(files: Vec<ModelFile>) -> Result<Vec<ModelConfig>> {
    let mut models: Vec<ModelConfig> = Vec::new();
    for file in files {
        let name = file.name;
        if name.is_empty() || models.iter().any(|other| other.name == name) {
            bail!("models: each has a name of its own, and {name:?} is none");
        }
        if file.upstreams.is_empty() {
            bail!("models: {name} has no upstreams, so nobody could answer for it");
        }
        let mut upstreams = Vec::new();
        for UpstreamFile { url, weight, key } in file.upstreams {
            if !url.starts_with("http://") && !url.starts_with("https://") {
                bail!("models: {name}: {url:?} is no address; it begins with http:// or https://");
            }
            if weight == Some(0) {
                bail!("models: {name}: the weight of {url} is 0; leave the upstream out, or give it at least 1");
            }
            upstreams.push(UpstreamConfig { url, weight: weight.unwrap_or(1), key: key.map(Secret::new) });
        }
        let seconds = |what: &str, given: Option<f64>, usual: f64| match given.unwrap_or(usual) {
            seconds if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
            seconds => bail!("models: {name}: {what} is {seconds}; it has to be more than 0 and at most {LONGEST}"),
        };
        models.push(ModelConfig {
            first_byte: seconds("first_byte_seconds", file.first_byte_seconds, FIRST_BYTE)?,
            between: seconds("between_seconds", file.between_seconds, BETWEEN)?,
            owned_by: file.owned_by.unwrap_or_else(|| "operator".to_owned()),
            name,
            upstreams,
        });
    }
    Ok(models)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        models: Vec<ModelFile>,
    }

    fn read(text: &str) -> Result<Vec<ModelConfig>> {
        models(toml::from_str::<File>(text)?.models)
    }

    #[test]
    fn a_model_has_upstreams_with_weights_and_keys_that_no_log_shows() {
        let text = "[[models]]\nname = \"a\"\nupstreams = [{ url = \"http://h/v1\", weight = 2, key = \"k3y\" }, { url = \"https://h\" }]";
        let models = read(text).expect("well-formed");
        assert_eq!((models[0].upstreams[0].weight, models[0].upstreams[1].weight), (2, 1));
        assert_eq!((models[0].first_byte, models[0].between), (Duration::from_secs(60), Duration::from_secs(30)));
        assert!(!format!("{models:?}").contains("k3y"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_models_name() {
        for (more, named) in [
            ("upstreams = []", "no upstreams"),
            ("upstreams = [{ url = \"h:80\" }]", "h:80"),
            ("upstreams = [{ url = \"http://h\", weight = 0 }]", "weight"),
            ("between_seconds = -1.0\nupstreams = [{ url = \"http://h\" }]", "between_seconds"),
            ("upstreams = [{ url = \"http://h\" }]\n[[models]]\nname = \"llama\"\nupstreams = []", "name of its own"),
        ] {
            let error = read(&format!("[[models]]\nname = \"llama\"\n{more}")).expect_err("it cannot be").to_string();
            assert!(error.contains("llama") && error.contains(named), "{error}");
        }
    }
}

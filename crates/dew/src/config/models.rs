//! `[[models]]`: models that others serve, and where.

use std::time::Duration;

use anyhow::{Result, bail};
use dewpoint_api::KeyLimits;
use dewpoint_server::{CheckConfig, FoundConfig, InferenceConfig, ModelConfig, Secret, UpstreamConfig};
use serde::Deserialize;

const FIRST_BYTE: f64 = 60.0;
const BETWEEN: f64 = 30.0;
const WHOLE: f64 = 3600.0;
/// How long answers may go on when the server ends: it waits 20 s for them.
const ENDING_MOST: f64 = 18.0;
/// Bounds of a request's size.
const BODY: std::ops::RangeInclusive<usize> = 64 * 1024..=1024 * 1024 * 1024;
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
    #[serde(default)]
    upstreams: Vec<UpstreamFile>,
    /// The operator's Droplets that serve it.
    droplets: Option<DropletsFile>,
    /// Models that are asked when it does not answer.
    #[serde(default)]
    fallbacks: Vec<String>,
    /// How upstreams are looked after.
    #[serde(default)]
    check: CheckFile,
    /// How long an upstream may take for its first byte.
    first_byte_seconds: Option<f64>,
    /// How long it may be silent after that.
    between_seconds: Option<f64>,
    /// How long all of an answer may take.
    whole_seconds: Option<f64>,
}

/// Droplets with a tag.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DropletsFile {
    tag: String,
    port: u16,
    key: Option<String>,
}

/// `check`: false, or what is asked and how often.
#[derive(Deserialize)]
#[serde(untagged)]
enum CheckFile {
    Wanted(bool),
    So(CheckMembers),
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct CheckMembers {
    path: Option<String>,
    every_seconds: Option<f64>,
    time_seconds: Option<f64>,
    ill_after: Option<u32>,
}

impl Default for CheckFile {
    fn default() -> Self {
        Self::Wanted(true)
    }
}

/// `[inference]`: what asking models may take.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct InferenceFile {
    /// Most bytes of a request's body.
    body_bytes: Option<usize>,
    /// How long answers may go on once the server ends.
    ending_seconds: Option<f64>,
    /// What keys may have that have no limits of their own.
    requests_per_minute: Option<u64>,
    tokens_per_minute: Option<u64>,
    tokens_per_day: Option<u64>,
}

/// Checks `[inference]`.
pub(crate) fn inference(file: &InferenceFile) -> Result<InferenceConfig> {
    let usual = InferenceConfig::default();
    let body_most = file.body_bytes.unwrap_or(usual.body_most);
    if !BODY.contains(&body_most) {
        bail!("inference.body_bytes is {body_most}; it has to be from {} to {}", BODY.start(), BODY.end());
    }
    let ending = match file.ending_seconds {
        None => usual.ending,
        Some(seconds) if (0.0..=ENDING_MOST).contains(&seconds) => Duration::from_secs_f64(seconds),
        Some(seconds) => bail!("inference.ending_seconds is {seconds}; it has to be from 0 to {ENDING_MOST}"),
    };
    let limits = KeyLimits {
        requests_per_minute: file.requests_per_minute,
        tokens_per_minute: file.tokens_per_minute,
        tokens_per_day: file.tokens_per_day,
    };
    Ok(InferenceConfig { body_most, ending, limits })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpstreamFile {
    url: String,
    weight: Option<u32>,
    key: Option<String>,
    /// What it calls the model, when that is another name.
    model: Option<String>,
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
        if file.upstreams.is_empty() && file.droplets.is_none() {
            bail!("models: {name} has no upstreams, so nobody could answer for it");
        }
        let mut upstreams = Vec::new();
        for UpstreamFile { url, weight, key, model } in file.upstreams {
            if !["http://", "https://", "unix:/"].iter().any(|kind| url.starts_with(kind)) {
                bail!("models: {name}: {url:?} is no address; it begins with http://, https:// or unix:/");
            }
            if upstreams.iter().any(|other: &UpstreamConfig| other.url == url) {
                bail!("models: {name}: {url} is there twice; give it a weight instead");
            }
            if weight == Some(0) {
                bail!("models: {name}: the weight of {url} is 0; leave the upstream out, or give it at least 1");
            }
            upstreams.push(UpstreamConfig { url, weight: weight.unwrap_or(1), key: key.map(Secret::new), model });
        }
        let seconds = |what: &str, given: Option<f64>, usual: f64| match given.unwrap_or(usual) {
            seconds if seconds > 0.0 && seconds <= LONGEST => Ok(Duration::from_secs_f64(seconds)),
            seconds => bail!("models: {name}: {what} is {seconds}; it has to be more than 0 and at most {LONGEST}"),
        };
        let droplets = file.droplets.map(|DropletsFile { tag, port, key }| match tag.parse() {
            Ok(tag) if port > 0 => Ok(FoundConfig { tag, port, key: key.map(Secret::new) }),
            Ok(_) => bail!("models: {name}: no server listens on port 0"),
            Err(_) => bail!("models: {name}: {tag:?} is no tag: letters, digits, _, - and :"),
        });
        let check = match file.check {
            CheckFile::Wanted(false) => None,
            CheckFile::Wanted(true) => Some(CheckConfig::default()),
            CheckFile::So(CheckMembers { path, every_seconds, time_seconds, ill_after }) => {
                let usual = CheckConfig::default();
                Some(CheckConfig {
                    path,
                    every: seconds("check.every_seconds", every_seconds, usual.every.as_secs_f64())?,
                    time: seconds("check.time_seconds", time_seconds, usual.time.as_secs_f64())?,
                    ill_after: ill_after.unwrap_or(usual.ill_after).max(1),
                })
            }
        };
        models.push(ModelConfig {
            droplets: droplets.transpose()?,
            fallbacks: file.fallbacks,
            check,
            whole: seconds("whole_seconds", file.whole_seconds, WHOLE)?,
            first_byte: seconds("first_byte_seconds", file.first_byte_seconds, FIRST_BYTE)?,
            between: seconds("between_seconds", file.between_seconds, BETWEEN)?,
            owned_by: file.owned_by.unwrap_or_else(|| "operator".to_owned()),
            name,
            upstreams,
        });
    }
    for model in &models {
        if model.fallbacks.contains(&model.name) {
            bail!("models: {} cannot answer instead of itself", model.name);
        }
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
        assert_eq!(models[0].check, Some(CheckConfig::default()), "upstreams are looked after unless that is declined");
    }

    #[test]
    fn a_model_has_sockets_droplets_fallbacks_and_checks() {
        let text =
            "[[models]]\nname = \"a\"\nfallbacks = [\"b\"]\nupstreams = [{ url = \"unix:/run/a\", model = \"x\" }]
            check = { path = \"/health\", every_seconds = 2.5 }
            [[models]]\nname = \"b\"\ndroplets = { tag = \"llm\", port = 8000 }\ncheck = false";
        let models = read(text).expect("well-formed");
        assert_eq!((models[0].fallbacks[0].as_str(), models[0].upstreams[0].model.as_deref()), ("b", Some("x")));
        let check = models[0].check.clone().expect("it is looked after");
        assert_eq!((check.path.as_deref(), check.every), (Some("/health"), Duration::from_millis(2500)));
        let found = models[1].droplets.clone().expect("Droplets serve it");
        assert_eq!((found.tag.as_str(), found.port, models[1].check.is_none()), ("llm", 8000, true));
    }

    #[test]
    fn what_asking_may_take_has_bounds() {
        let file = |text: &str| inference(&toml::from_str(text).expect("TOML"));
        let limits = file("tokens_per_minute = 5").expect("well-formed").limits;
        assert_eq!((limits.tokens_per_minute, limits.requests_per_minute), (Some(5), None));
        for (text, named) in [("body_bytes = 1", "body_bytes"), ("ending_seconds = 30.0", "ending_seconds")] {
            let error = file(text).expect_err("out of bounds").to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_models_name() {
        for (more, named) in [
            ("upstreams = []", "no upstreams"),
            ("upstreams = [{ url = \"h:80\" }]", "h:80"),
            ("upstreams = [{ url = \"http://h\", weight = 0 }]", "weight"),
            ("between_seconds = -1.0\nupstreams = [{ url = \"http://h\" }]", "between_seconds"),
            ("upstreams = [{ url = \"http://h\" }, { url = \"http://h\" }]", "twice"),
            ("fallbacks = [\"llama\"]\nupstreams = [{ url = \"http://h\" }]", "itself"),
            ("droplets = { tag = \"a b\", port = 1 }", "no tag"),
            ("droplets = { tag = \"a\", port = 0 }", "port 0"),
            ("upstreams = [{ url = \"http://h\" }]\n[[models]]\nname = \"llama\"\nupstreams = []", "name of its own"),
        ] {
            let error = read(&format!("[[models]]\nname = \"llama\"\n{more}")).expect_err("it cannot be").to_string();
            assert!(error.contains("llama") && error.contains(named), "{error}");
        }
    }
}
